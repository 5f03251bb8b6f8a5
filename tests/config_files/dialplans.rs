//! Dialplan files: what they mean, and every mistake with its place.

use crate::world::{Files, MINIMAL, repository};
use std::time::Duration;
use voxtrunk::config::dialplan::*;
use voxtrunk::config::secret::SecretRef;
use voxtrunk::realtime::{Eagerness, Greeting, Transcription, TurnDetection};

fn parse(text: &str) -> Result<Dialplan, Vec<String>> {
    let files = Files::new(&[("plan.toml", text)]);
    let result = Dialplan::load(&files.path("plan.toml"));
    result.map_err(|errors| files.lines::<()>(Err(errors)))
}

#[test]
fn a_minimal_plan_has_sane_defaults() {
    let plan = parse(MINIMAL).unwrap();
    assert_eq!((plan.name.as_str(), plan.numbers), ("plan", vec![NumberPattern::Exact("200".into())]));
    assert_eq!(
        (plan.audio, plan.answer, plan.fallback),
        (AudioChoice::Pcm16, AnswerPolicy::WhenReady, Fallback::Reject)
    );
    assert_eq!((plan.greeting, plan.transcription, plan.transcript), (Greeting::None, None, false));
    let expected = TurnDetection::ServerVad {
        threshold: 0.5,
        prefix_padding_ms: 300,
        silence_duration_ms: 500,
        create_response: true,
        interrupt_response: true,
        idle_timeout_ms: None,
    };
    assert_eq!((&plan.turn_detection, TurnDetection::default()), (&expected, expected.clone()));
    let limits = plan.limits;
    assert_eq!((limits.max_call, limits.no_media_start), (Duration::from_secs(1800), Duration::from_secs(30)));
    assert_eq!((limits.no_media, limits.caller_silence), (Duration::from_secs(15), Some(Duration::from_secs(30))));
    assert!(!limits.check_in.is_empty() && !limits.goodbye.is_empty());
}

#[test]
fn a_whole_plan_is_read() {
    let text = r#"
numbers = ["+15551230001", "200", "reception", "+1555*", "*98"]
instructions = { file = "x.md" }
greeting = { instructions = "Greet in German." }
language = "de-DE"
provider = "azure"
model = "m"
voice = "marin"
speed = 1.1
temperature = 0.7
max_output_tokens = 500
noise_reduction = "far_field"
audio = "g711"
answer = "at_once"
transcript = true
turn_detection = { type = "semantic_vad", eagerness = "low", interrupt_response = false }
[transcription]
model = "gpt-4o-transcribe"
prompt = "Northwind"
[[tool]]
kind = "hangup"
[[tool]]
kind = "transfer"
name = "put_through"
description = "Puts through."
[[tool.target]]
name = "front desk"
description = "People"
uri = "sip:200@[2001:db8::1]:5070;transport=tcp"
[[tool]]
kind = "http"
name = "look_up"
description = "Looks up."
method = "PUT"
url = "https://api.example.com/{id}"
headers = { Authorization = "Bearer env:TOKEN", X-Key = "file:/k", X-Plain = "a b" }
timeout_ms = 500
max_bytes = 1000
[[tool.parameter]]
name = "id"
description = "Id"
type = "integer"
min = -5
[limits]
caller_silence_secs = 0
max_call_minutes = 2
[fallback]
action = "transfer"
target = "front desk"
"#;
    let files = Files::new(&[("plan.toml", text), ("x.md", "# Agent\nBe kind.\n")]);
    let plan = Dialplan::load(&files.path("plan.toml")).unwrap_or_else(|e| panic!("{:#?}", files.lines::<()>(Err(e))));
    assert_eq!(plan.instructions, "# Agent\nBe kind.\n");
    assert_eq!(plan.numbers.len(), 5);
    assert_eq!(plan.numbers[3], NumberPattern::Prefix("+1555".into()));
    assert_eq!(plan.greeting, Greeting::Instructions("Greet in German.".into()));
    let semantic =
        TurnDetection::SemanticVad { eagerness: Eagerness::Low, create_response: true, interrupt_response: false };
    assert_eq!(plan.turn_detection, semantic);
    let model = "gpt-4o-transcribe".to_owned();
    let transcription = Transcription { model, language: Some("de".into()), prompt: Some("Northwind".into()) };
    assert_eq!(plan.transcription, Some(transcription));
    assert_eq!((plan.audio, plan.answer, plan.limits.caller_silence), (AudioChoice::G711, AnswerPolicy::AtOnce, None));
    assert_eq!(plan.fallback, Fallback::Transfer { target: "front desk".into() });
    assert_eq!(
        plan.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(),
        ["hangup", "put_through", "look_up"]
    );
    let ToolKind::Http(http) = &plan.tools[2].kind else { panic!("not http") };
    assert_eq!((http.method, http.timeout, http.max_bytes), (HttpMethod::Put, Duration::from_millis(500), 1000));
    let env = HeaderValue::Secret { prefix: "Bearer ".into(), secret: SecretRef::Env("TOKEN".into()) };
    let file = HeaderValue::Secret { prefix: String::new(), secret: SecretRef::File("/k".into()) };
    let header = |name: &str| http.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    assert_eq!((header("Authorization"), header("X-Key")), (Some(env), Some(file)));
    assert_eq!(header("X-Plain"), Some(HeaderValue::Literal("a b".into())));
    assert_eq!(http.parameters[0].kind, ParameterKind::Integer { min: Some(-5), max: None });
}

#[test]
fn transcripts_switch_transcription_on() {
    let plan = parse(&format!("{MINIMAL}transcript = true\nlanguage = \"en\"\n")).unwrap();
    assert_eq!(plan.transcription.map(|t| (t.model, t.language)), Some(("whisper-1".into(), Some("en".into()))));
}

#[test]
fn every_problem_of_a_file_is_shown_at_once() {
    let text = r#"numbers = ["+1 555 123", "*"]
greting = { say = "Hi" }
instructions = { file = "missing.md" }
temperature = 2
turn_detection = { type = "semantic_vad", threshold = 0.5 }
[[tool]]
kind = "lokup"
[[tool]]
kind = "http"
url = "https://api.example.com/{oder}"
[[tool.parameter]]
name = "order"
description = "Order"
type = "string"
max = 3
[fallback]
action = "transfer"
target = "sale"
"#;
    let found = parse(text).unwrap_err();
    let expected = [
        "plan.toml: greeting: is missing: write greeting = { say = \"…\" }",
        "plan.toml:1:12: numbers[1]: \"+1 555 123\" has signs that are not dialled: write \"+1555123\"",
        "plan.toml:1:26: numbers[2]: \"*\" alone would be every number: name the file default.toml instead",
        "plan.toml:2:1: greting: unknown field; did you mean \"greeting\"?",
        "plan.toml:3:25: instructions.file: missing.md cannot be opened:",
        "plan.toml:4:15: temperature: 2 is out of range: use 0.6 to 1.2",
        "plan.toml:5:55: turn_detection.threshold: has no meaning here, it belongs to type = \"server_vad\": remove it",
        "plan.toml:7:8: tool[1].kind: \"lokup\" is not known: use one of \"hangup\", \"transfer\", \"send_dtmf\", \"collect_digits\", \"http\".",
        "plan.toml:8:1: tool[2].name: is missing",
        "plan.toml:8:1: tool[2].description: is missing",
        "plan.toml:10:7: tool[2].url: has {oder}, but there is no [[tool.parameter]] of that name. Did you mean \"order\"?",
        "plan.toml:15:7: tool[2].parameter[1].max: has no meaning here, it belongs to type = \"integer\": remove it",
        "plan.toml:18:10: fallback.target: names a transfer target, but this file has no transfer tool",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "found:    {found}\nexpected: {expected}");
    }
}

/// One mistake each, in an otherwise good file: exactly one problem, which names the field and the way out.
#[test]
fn single_mistakes() {
    let http = "[[tool]]\nkind = \"http\"\nname = \"t\"\ndescription = \"d\"\n";
    let transfer = "[[tool]]\nkind = \"transfer\"\n[[tool.target]]\ndescription = \"d\"\n";
    let desk = "name = \"a\"\nuri = \"sip:a@b\"\n";
    let cases: Vec<(String, &str)> = vec![
        ("voice = 3".into(), "voice: expected a string"),
        ("speed = 2".into(), "speed: 2 is out of range: use 0.25 to 1.5"),
        ("language = \"english!\"".into(), "language: is not a language tag"),
        ("noise_reduction = \"near\"".into(), "use one of \"near_field\", \"far_field\""),
        ("audio = \"opus\"".into(), "use one of \"pcm16\", \"g711\""),
        ("audio = { format = \"mp3\" }".into(), "audio.format: "),
        ("audio = { volume_db = 20 }".into(), "audio.volume_db: 20 is out of range: use -20 to 12"),
        ("audio = { comfort_noise_dbov = 65 }".into(), "audio.comfort_noise_dbov: 65 is out of range: use -80 to -50"),
        ("audio = { format = \"opus\" }".into(), "audio.format: \"opus\" is not known: use one of \"pcm16\", \"g711\""),
        (
            "audio = { echo_guard = \"on\" }".into(),
            "audio.echo_guard: \"on\" is not known: use one of \"auto\", \"off\"",
        ),
        ("audio = { high_pass = 1 }".into(), "audio.high_pass: expected"),
        ("[[tool]]\nkind = \"collect_digits\"\nfinish_key = \"A\"".into(), "tool[1].finish_key: is not a key"),
        ("answer = \"now\"".into(), "use one of \"when_ready\", \"at_once\""),
        ("max_output_tokens = 0".into(), "max_output_tokens: 0 is out of range"),
        ("turn_detection = { silence_ms = 3 }".into(), "turn_detection.silence_ms: unknown field; known here: "),
        (
            "turn_detection = { eagerness = \"low\" }".into(),
            "eagerness: has no meaning here, it belongs to type = \"semantic_vad\"",
        ),
        ("turn_detection = { idle_timeout_ms = 1000 }".into(), "1000 is out of range: use 5000 to 30000"),
        ("transcription = { language = \"english\" }".into(), "transcription.language: has 7 characters"),
        ("limits = { max_call_minutes = 0 }".into(), "limits.max_call_minutes: 0 is out of range: use 1 to 1440"),
        ("limits = { max_call = 3 }".into(), "limits.max_call: unknown field"),
        ("fallback = { action = \"voicemail\" }".into(), "use one of \"reject\", \"transfer\", \"apology\""),
        ("fallback = { action = \"apology\", wav = \"none.wav\" }".into(), "fallback.wav: none.wav cannot be read"),
        (
            "fallback = { target = \"x\" }".into(),
            "fallback.target: has no meaning here, it belongs to action = \"transfer\"",
        ),
        ("[[tool]]\nname = \"x\"".into(), "tool[1].kind: is missing"),
        ("[[tool]]\nkind = \"hangup\"\nname = \"a b\"".into(), "tool[1].name: may have letters, digits"),
        (
            "[[tool]]\nkind = \"hangup\"\n[[tool]]\nkind = \"hangup\"".into(),
            "tool[2].name: \"hangup\" is the name of an earlier tool",
        ),
        ("[[tool]]\nkind = \"hangup\"\nurl = \"x\"".into(), "tool[1].url: unknown field"),
        ("[[tool]]\nkind = \"transfer\"".into(), "tool[1].target: is missing: add [[tool.target]]"),
        (format!("{transfer}uri = \"sip:a@b\""), "tool[1].target[1].name: is missing"),
        (format!("{transfer}name = \"a\"\nuri = \"+15551230001\""), "has no known scheme: write sip:user@host"),
        (format!("{transfer}name = \"a\"\nuri = \"sip:a@b?Replaces=x\""), "has URI headers"),
        (format!("{transfer}name = \"a\"\nuri = \"sip:a@b>\\r\\nX: y\""), "uri: contains "),
        (format!("{transfer}name = \"a\"\nuri = \"tel:call-me\""), "is not a tel URI"),
        (format!("{transfer}{desk}mode = \"warm\""), "use one of \"blind\", \"attended\", \"bridge\""),
        (
            format!("{transfer}{desk}ring_secs = 20"),
            "ring_secs: has no meaning here, it belongs to mode = \"attended\"",
        ),
        (format!("{transfer}{desk}mode = \"attended\"\nring_secs = 1"), "1 is out of range: use 5 to 120"),
        (format!("{transfer}{desk}mode = \"bridge\"\naccept = \"voice\""), "use one of \"key\", \"auto\""),
        (format!("{transfer}{desk}mode = \"bridge\"\naccept_key = \"x\""), "accept_key: is not a key"),
        (
            format!("{transfer}{desk}mode = \"bridge\"\naccept = \"auto\"\naccept_key = \"1\""),
            "accept_key: has no meaning here, it belongs to accept = \"key\"",
        ),
        (format!("{transfer}{desk}fallback = \"a\""), "tool[1].target: \"a\" has itself as fallback"),
        (format!("{transfer}{desk}fallback = \"b\""), "the fallback \"b\" of \"a\" is not a target of this tool"),
        ("caller_info = [\"numbr\"]".into(), "\"numbr\" is not known: use one of \"number\", \"name\""),
        ("caller_info = [\"name\", \"name\"]".into(), "\"name\" is listed twice"),
        ("on_resume = \"sing\"".into(), "use one of \"tell\", \"speak\", \"silent\""),
        ("[[tool]]\nkind = \"hangup\"\nrequires_verified_caller = 1".into(), "requires_verified_caller: expected true"),
        ("[[tool]]\nkind = \"send_dtmf\"\nmax_digits = 100".into(), "100 is out of range: use 1 to 64"),
        (http.into(), "tool[1].url: is missing"),
        (format!("{http}url = \"http://api.example.com/\""), "url: is not encrypted: use https://"),
        (format!("{http}url = \"https://10.0.0.1/\""), "url: leads into a private network"),
        (format!("{http}url = \"https://localhost/\""), "url: leads into a private network"),
        (format!("{http}url = \"https://{{h}}.example.com/\""), "url: must have a fixed host"),
        (format!("{http}url = \"https://h.example/?{{a}}=1\""), "has a parameter in the name of a query field"),
        (format!("{http}url = \"https://h.example/a b\""), "must be percent-encoded"),
        (
            format!(
                "{http}url = \"https://h.example/{{a}}\"\n[[tool.parameter]]\nname = \"a\"\ndescription = \"d\"\ntype = \"boolean\"\nrequired = false"
            ),
            "a parameter in the URL must be required",
        ),
        (format!("{http}url = \"https://h.example/\"\nmethod = \"HEAD\""), "use one of \"GET\", \"POST\""),
        (
            format!("{http}url = \"https://h.example/\"\nheaders = {{ Host = \"x\" }}"),
            "headers.Host: is written by the server itself",
        ),
        (
            format!("{http}url = \"https://h.example/\"\nheaders = {{ \"X Y\" = \"x\" }}"),
            "is not the name of an HTTP header",
        ),
        (
            format!("{http}url = \"https://h.example/\"\nheaders = {{ A = \"x\\r\\nB: y\" }}"),
            "headers.A: must be printable ASCII",
        ),
        (format!("{http}url = \"https://h.example/\"\nheaders = {{ A = 3 }}"), "headers.A: expected a string"),
        (
            format!(
                "{http}url = \"https://h.example/\"\n[[tool.parameter]]\nname = \"a\"\ndescription = \"d\"\ntype = \"text\""
            ),
            "use one of \"string\", \"integer\"",
        ),
        (
            format!(
                "{http}url = \"https://h.example/\"\n[[tool.parameter]]\nname = \"a\"\ndescription = \"d\"\ntype = \"enum\""
            ),
            "values: is missing",
        ),
        (
            format!(
                "{http}url = \"https://h.example/\"\n[[tool.parameter]]\nname = \"a\"\ndescription = \"d\"\ntype = \"enum\"\nvalues = [\"x\", \"x\"]"
            ),
            "values[2]: is there twice",
        ),
        (
            format!(
                "{http}url = \"https://h.example/\"\n[[tool.parameter]]\nname = \"a\"\ndescription = \"d\"\ntype = \"integer\"\nmin = 3\nmax = 2"
            ),
            "min: is above max",
        ),
        (
            format!(
                "{http}url = \"https://h.example/\"\n[[tool.parameter]]\nname = \"a-b\"\ndescription = \"d\"\ntype = \"integer\""
            ),
            "parameter[1].name: may have letters",
        ),
    ];
    for (body, expected) in cases {
        let found = parse(&format!("{MINIMAL}{body}\n")).expect_err(&body);
        assert!(found.len() == 1 && found[0].contains(expected), "{body}\nexpected: {expected}\nfound: {found:#?}");
        assert!(found[0].starts_with("plan.toml:"), "{found:?}");
    }
}

/// A21, G11: a credential in a header is refused, and the refusal does not repeat it.
#[test]
fn a_literal_credential_is_refused_without_being_shown() {
    for header in ["Authorization = \"Bearer canary-1\"", "\"X-API-Key\" = \"canary-2\"", "cookie = \"canary=3\""] {
        let text = format!(
            "{MINIMAL}[[tool]]\nkind = \"http\"\nname = \"t\"\ndescription = \"d\"\nurl = \"https://h.example/\"\n\
             headers = {{ {header} }}\n"
        );
        let found = parse(&text).unwrap_err();
        assert!(found.len() == 1 && found[0].contains("is a credential") && !found[0].contains("canary"), "{found:?}");
    }
}

/// A19: a dialplan reads no file outside its directory.
#[test]
fn instructions_come_from_the_plans_own_directory() {
    for name in ["../x.md", "/etc/passwd", "a/../../x.md"] {
        let text = format!("numbers = [\"200\"]\ngreeting = \"none\"\ninstructions = {{ file = \"{name}\" }}\n");
        let found = parse(&text).unwrap_err();
        assert!(found.len() == 1 && found[0].contains("must be a file beside this one"), "{name}: {found:?}");
    }
}

#[test]
fn instructions_may_be_given_in_three_ways_and_only_one_at_a_time() {
    for way in ["instructions = \"a\"", "instructions = { text = \"a\" }"] {
        let plan = parse(&format!("numbers = [\"200\"]\ngreeting = \"none\"\n{way}\n")).unwrap();
        assert_eq!(plan.instructions, "a");
    }
    for (way, expected) in [
        ("", "instructions: is missing"),
        ("instructions = \" \"", "instructions: is empty"),
        ("instructions = {}", "instructions.file: is missing"),
        ("instructions = { text = \"a\", file = \"b\" }", "and text are both given"),
    ] {
        let found = parse(&format!("numbers = [\"200\"]\ngreeting = \"none\"\n{way}\n")).unwrap_err();
        assert!(found.len() == 1 && found[0].contains(expected), "{way}: {found:?}");
    }
}

/// The demo's first words are those its recorded speech says.
#[test]
fn the_receptionist_says_what_the_embedded_server_can_speak() {
    let plan = Dialplan::load(&repository("dialplans/default.toml")).unwrap();
    let words = "Hello, thanks for calling Northwind. I am the virtual assistant. How can I help you today?";
    assert_eq!(plan.greeting, Greeting::Say(words.into()));
    let lines = std::fs::read_to_string(repository("assets/speech/lines.toml")).unwrap();
    assert!(lines.contains(words));
    assert!(plan.tools.iter().any(|tool| tool.name == "hangup" && tool.kind == ToolKind::Hangup));
}

/// What a target with a second leg is, with every field and with none.
#[test]
fn second_legs() {
    use voxtrunk::config::dialplan::{Accept, LegPlan, ToolKind};
    let legs = |text: &str| {
        let file = format!(
            "numbers = [\"1\"]\ninstructions = \"x\"\ngreeting = \"none\"\n[[tool]]\nkind = \"transfer\"\n\
             [[tool.target]]\nname = \"a\"\ndescription = \"d\"\nuri = \"sip:a@b\"\n{text}"
        );
        let plan = Dialplan::parse(std::path::Path::new("x.toml"), &file).unwrap_or_else(|e| panic!("{e:#?}"));
        let ToolKind::Transfer { targets } = &plan.tools[0].kind else { panic!("a transfer tool") };
        targets[0].leg.clone()
    };
    assert_eq!(legs("mode = \"blind\""), None);
    assert_eq!(legs(""), None);
    let attended = legs("mode = \"attended\"").unwrap();
    let secs = std::time::Duration::from_secs;
    assert!(attended.whisper.contains("press 1"), "{}", attended.whisper);
    let LegPlan { refer, trunk, ring, accept, accept_within, .. } = attended;
    assert_eq!((refer, trunk, ring, accept, accept_within), (true, None, secs(30), Accept::Key('1'), secs(20)));
    let all =
        "mode = \"bridge\"\ntrunk = \"pbx\"\nring_secs = 9\nwhisper = \"w\"\naccept = \"auto\"\naccept_secs = 3\n";
    let expected = LegPlan {
        refer: false,
        trunk: Some("pbx".into()),
        ring: secs(9),
        whisper: "w".into(),
        accept: Accept::Auto,
        accept_within: secs(3),
    };
    assert_eq!(legs(all), Some(expected));
    assert_eq!(legs("mode = \"bridge\"\naccept_key = \"#\"").map(|leg| leg.accept), Some(Accept::Key('#')));
}
