//! The settings file and its environment.

use crate::world::{Files, repository};
use std::collections::HashMap;
use std::time::Duration;
use voxtrunk::config::ConfigError;
use voxtrunk::config::secret::SecretRef;
use voxtrunk::config::settings::{LogFormat, Settings};
use voxtrunk::realtime::{DialectKind, ProviderKind};
use voxtrunk::rtp::receiver::SourcePolicy;
use voxtrunk::sip::offer_answer::Codec;

pub fn load(text: &str, variables: &[(&str, &str)]) -> (Files, Result<Settings, Vec<ConfigError>>) {
    let files = Files::new(&[("v.toml", text)]);
    let variables: HashMap<String, String> = variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let result = Settings::load_with(Some(&files.path("v.toml")), variables);
    (files, result)
}

pub fn loaded(text: &str, variables: &[(&str, &str)]) -> Settings {
    let (files, result) = load(text, variables);
    result.unwrap_or_else(|errors| panic!("{:#?}", files.lines::<()>(Err(errors))))
}

pub fn refused(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let (files, result) = load(text, variables);
    files.lines(result)
}

/// A23: what is never configured is reached from this machine only.
#[test]
fn without_a_file_everything_is_on_loopback() {
    let settings = Settings::load_with(None, HashMap::new()).unwrap();
    assert_eq!(settings, Settings::defaults());
    assert!(settings.is_default && settings.sip.listen.ip().is_loopback());
    assert!(settings.observe.listen.unwrap().ip().is_loopback());
    let peers = &settings.sip.peers;
    assert!(peers.iter().any(|n| n.contains("127.9.9.9".parse().unwrap())));
    assert!(peers.iter().any(|n| n.contains("::1".parse().unwrap())));
    assert!(!peers.iter().any(|n| n.contains("192.0.2.1".parse().unwrap())));
    let provider = settings.provider(None).unwrap();
    assert_eq!((provider.name.as_str(), provider.endpoint.kind), ("embedded", ProviderKind::Embedded));
}

#[test]
fn the_example_shows_the_defaults() {
    let path = repository("voxtrunk.example.toml");
    let settings = Settings::load_with(Some(&path), HashMap::new()).unwrap();
    assert_eq!(settings, Settings { is_default: false, ..Settings::defaults() });
}

#[test]
fn a_whole_file_is_read() {
    let text = r#"
dialplans = "/etc/voxtrunk/dialplans"
[sip]
listen = "0.0.0.0:5070"
advertise = "192.0.2.10"
peers = ["192.0.2.0/24", "2001:db8::/32"]
[media]
listen = "192.0.2.11"
port_min = 30000
port_max = 30999
codecs = ["pcma"]
prefer_local_order = true
ptime_ms = 30
source_policy = "strict"
networks = ["198.51.100.0/24"]
reorder_wait_ms = 0
append_ms = 40
port_quarantine_secs = 5
workers = 3
[limits]
max_calls = 50
calls_per_second = 5
drain_secs = 0
[observe]
listen = "off"
cdr = "off"
journal = "off"
transcripts = "/var/lib/voxtrunk"
log_format = "json"
"#;
    let s = loaded(text, &[]);
    assert_eq!(s.sip.advertise, Some("192.0.2.10".parse().unwrap()));
    assert_eq!(s.sip.peers.len(), 2);
    assert_eq!((s.media.port_min, s.media.port_max, s.media.workers), (30000, 30999, 3));
    assert_eq!((s.media.codecs.as_slice(), s.media.ptime_ms), ([Codec::Pcma].as_slice(), 30));
    assert_eq!((s.media.source_policy, s.media.reorder_wait), (SourcePolicy::Strict, Duration::ZERO));
    assert_eq!(s.media.append_ms, 40);
    assert_eq!((s.limits.max_calls, s.limits.calls_per_second, s.limits.drain), (50, 5, Duration::ZERO));
    assert_eq!((s.observe.listen, s.observe.cdr.clone(), s.observe.log_format), (None, None, LogFormat::Json));
    assert_eq!(s.observe.journal, None);
    assert_eq!(loaded("", &[]).observe.journal, Some("calls.journal".into()));
}

#[test]
fn every_problem_is_shown_at_once_with_place_and_advice() {
    let text = r#"dialplan = "x"
[sip]
listen = "0.0.0.0:5060"
peers = []
[media]
port_min = 20001
port_max = 20010
ptime_ms = 25
codecs = ["opus"]
reorder_wait_ms = 999
[limits]
max_calls = "many"
[observe]
listen = "9090"
log_format = "jsn"
"#;
    assert_eq!(
        refused(text, &[]),
        [
            "v.toml:1:1: dialplan: unknown field; did you mean \"dialplans\"?",
            "v.toml:3:10: sip.listen: listens on all addresses, so sip.advertise is required: add advertise = \
             \"the address the PBX or trunk reaches us at\"",
            "v.toml:4:9: sip.peers: is empty and there is no [[trunk]], so nobody could call: list the networks of your \
             PBX or trunk, like [\"192.0.2.0/24\"]",
            "v.toml:6:12: media.port_min: 20001 is odd, but RTP takes even ports: use 20002",
            "v.toml:7:12: media.port_max: 20010 is even, so its RTCP port would be outside the range: use 20011",
            "v.toml:8:12: media.ptime_ms: 25 is not a packet length we send: use 10, 20, 30, 40 or 60",
            "v.toml:9:11: media.codecs[1]: is not known: use \"PCMU\", \"PCMA\" and \"G722\"",
            "v.toml:10:19: media.reorder_wait_ms: 999 is out of range: use 0 to 200",
            "v.toml:12:13: limits.max_calls: expected an integer (without quotes), but this is a string",
            "v.toml:14:10: observe.listen: is not an address with port, like \"127.0.0.1:9090\", nor \"off\"",
            "v.toml:15:14: observe.log_format: \"jsn\" is not known: use one of \"text\", \"json\". Did you mean \"json\"?",
        ]
    );
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let advertise = refused("[sip]\nadvertise = \"::1\"\n", &[]);
    assert_eq!(advertise.len(), 1);
    assert!(advertise[0].starts_with("v.toml:2:13: sip.advertise: is not of the same family as sip.listen"));
    assert!(refused("[sip]\nadvertise = \"0.0.0.0\"\n", &[])[0].contains("is not an address that others can send to"));
    let few = refused("[media]\nport_min = 20000\nport_max = 20009\n[limits]\nmax_calls = 6\n", &[]);
    assert_eq!(few.len(), 1);
    assert!(few[0].starts_with("v.toml:5:13: limits.max_calls: 6 calls need more ports"), "{few:?}");
    assert!(
        refused("[media]\nport_min = 30000\nport_max = 20001\n[limits]\nmax_calls = 1\n", &[])[0].contains("above")
    );
    assert!(refused("[media]\ncodecs = [\"PCMU\", \"PCMU\"]\n", &[])[0].contains("twice"));
    assert!(refused("[media]\ncodecs = [\"G722\", \"PCMU\", \"g722\"]\n", &[])[0].contains("twice"));
}

#[test]
fn the_environment_wins_over_the_file_and_is_checked_alike() {
    let variables = [
        ("VOXTRUNK__SIP__LISTEN", "127.0.0.1:5099"),
        ("VOXTRUNK__SIP__PEERS", "10.0.0.0/8, 192.0.2.7"),
        ("voxtrunk__limits__max_calls", "7"),
        ("VOXTRUNK__MEDIA__PREFER_LOCAL_ORDER", "true"),
        ("VOXTRUNK__DIALPLANS", "/plans"),
        ("VOXTRUNK_LOG", "debug"),
        ("PATH", "/bin"),
    ];
    let settings = loaded("[sip]\nlisten = \"127.0.0.1:5060\"\n[limits]\nmax_calls = 3\n", &variables);
    assert_eq!(settings.sip.listen.port(), 5099);
    assert_eq!((settings.sip.peers.len(), settings.limits.max_calls), (2, 7));
    assert!(settings.media.prefer_local_order);
    assert_eq!(settings.dialplans.to_str(), Some("/plans"));

    let bad = [("VOXTRUNK__LIMITS__MAX_CALLS", "lots"), ("VOXTRUNK__SIP__LISTN", "x"), ("VOXTRUNK__SIPP__LISTEN", "x")];
    let mut errors = refused("", &bad);
    errors.sort();
    assert_eq!(
        errors,
        [
            "environment variable VOXTRUNK__LIMITS__MAX_CALLS: limits.max_calls: expected an integer (without quotes), \
             but this is \"lots\"",
            "environment variable VOXTRUNK__SIPP__LISTEN: sipp: unknown field; did you mean \"sip\"?",
            "environment variable VOXTRUNK__SIP__LISTN: sip.listn: unknown field; did you mean \"listen\"?",
        ]
    );
}

#[test]
fn each_kind_of_provider_has_its_endpoint() {
    let text = r#"
[[provider]]
kind = "azure"
resource = "my-res"
deployment = "dep"
key = "env:AZURE_KEY"
[[provider]]
kind = "azure"
name = "old"
url = "https://my-res.openai.azure.com/"
deployment = "dep"
dialect = "preview"
key = "file:/run/key"
[[provider]]
kind = "openai"
model = "gpt-realtime"
key = "env:OPENAI_API_KEY"
connect_timeout_ms = 1500
[[provider]]
kind = "compatible"
name = "local"
url = "ws://127.0.0.1:8080/v1/realtime"
model = "m"
[[provider]]
kind = "embedded"
dialect = "preview"
"#;
    let settings = loaded(text, &[]);
    assert_eq!(settings.default_provider, "azure");
    let get = |name: &str| settings.provider(Some(name)).unwrap();
    let azure = get("azure");
    assert_eq!((azure.endpoint.url.as_str(), azure.endpoint.model.as_str()), ("wss://my-res.openai.azure.com", "dep"));
    assert_eq!((azure.endpoint.dialect, &azure.endpoint.api_version), (DialectKind::Ga, &None));
    assert_eq!(azure.key, Some(SecretRef::Env("AZURE_KEY".into())));
    assert_eq!((azure.connect_timeout, azure.ready_timeout), (Duration::from_secs(4), Duration::from_secs(5)));
    let old = get("old");
    assert_eq!(old.endpoint.url, "wss://my-res.openai.azure.com");
    assert_eq!(old.endpoint.api_version.as_deref(), Some("2024-10-01-preview"));
    assert_eq!(get("openai").endpoint.url, "wss://api.openai.com");
    assert_eq!(get("openai").connect_timeout, Duration::from_millis(1500));
    assert_eq!((&get("local").endpoint.url[..], &get("local").key), ("ws://127.0.0.1:8080/v1/realtime", &None));
    assert_eq!(get("embedded").endpoint.dialect, DialectKind::Preview);
    assert!(settings.provider(Some("none")).is_none());
}

#[test]
fn mistakes_in_providers_say_what_to_do() {
    let cases = [
        ("name = \"x\"", "provider[1].kind: is missing: use \"openai\""),
        ("kind = \"opnai\"", "provider[1].kind: \"opnai\" is not known"),
        ("kind = \"openai\"\nkey = \"env:K\"", "provider[1].model: is missing: name the Realtime model"),
        (
            "kind = \"openai\"\nmodel = \"m\"",
            "provider[1].key: is missing: refer to it, like key = \"env:OPENAI_API_KEY\"",
        ),
        (
            "kind = \"openai\"\nmodel = \"m\"\nkey = \"env:K\"\nresource = \"r\"",
            "provider[1].resource: belongs to kind = \"azure\"",
        ),
        (
            "kind = \"azure\"\ndeployment = \"d\"\nkey = \"env:K\"",
            "provider[1].resource: is missing: write resource = \"NAME\"",
        ),
        ("kind = \"azure\"\nresource = \"r\"\nkey = \"env:K\"", "provider[1].deployment: is missing"),
        (
            "kind = \"azure\"\nresource = \"r.openai.azure.com\"\ndeployment = \"d\"\nkey = \"env:K\"",
            "provider[1].resource: is not a resource name",
        ),
        (
            "kind = \"azure\"\nresource = \"r\"\nurl = \"wss://h\"\ndeployment = \"d\"\nkey = \"env:K\"",
            "provider[1].resource: and url are both given",
        ),
        (
            "kind = \"azure\"\nresource = \"r\"\ndeployment = \"d\"\nkey = \"env:K\"\napi_version = \"2025-04-01-preview\"",
            "provider[1].api_version: belongs to dialect = \"preview\"",
        ),
        (
            "kind = \"azure\"\nresource = \"r\"\nmodel = \"m\"\nkey = \"env:K\"\ndeployment = \"d\"",
            "write deployment = \"…\"",
        ),
        ("kind = \"compatible\"\nmodel = \"m\"", "provider[1].url: is missing: write the whole address"),
        (
            "kind = \"compatible\"\nmodel = \"m\"\nurl = \"ws://10.0.0.5/v1\"",
            "provider[1].url: is not encrypted: use wss://",
        ),
        ("kind = \"compatible\"\nmodel = \"m\"\nurl = \"wss://u:p@h/v1\"", "provider[1].url: contains user:password@"),
        ("kind = \"compatible\"\nmodel = \"m\"\nurl = \"http://h/v1\"", "provider[1].url: has the scheme \"http\""),
        ("kind = \"embedded\"\nurl = \"wss://h\"", "provider[1].url: belongs to the other kinds"),
        (
            "kind = \"embedded\"\nready_timeout_ms = 50",
            "provider[1].ready_timeout_ms: 50 is out of range: use 100 to 60000",
        ),
        ("kind = \"embedded\"\nca_file = \"/nonexistent.pem\"", "provider[1].ca_file: /nonexistent.pem cannot be read"),
        ("kind = \"embedded\"\nname = \"a b\"", "provider[1].name: may have letters, digits"),
        (
            "kind = \"embedded\"\n[[provider]]\nkind = \"embedded\"",
            "provider[2].name: \"embedded\" is the name of an earlier",
        ),
        ("kind = \"embedded\"\ndialekt = \"ga\"", "provider[1].dialekt: unknown field; did you mean \"dialect\"?"),
    ];
    for (body, expected) in cases {
        let errors = refused(&format!("[[provider]]\n{body}\n"), &[]);
        assert!(errors.len() == 1 && errors[0].contains(expected), "{body}\nexpected: {expected}\nfound: {errors:#?}");
    }
    let plain = "[[provider]]\nkind = \"compatible\"\nmodel = \"m\"\nurl = \"ws://10.0.0.5/v1\"\nallow_plain = true\n";
    assert_eq!(loaded(plain, &[]).providers[0].endpoint.url, "ws://10.0.0.5/v1");
}

/// A21, G11: a key in the file is refused, and the refusal does not repeat it.
#[test]
fn a_literal_key_is_refused_without_being_shown() {
    let text = "[[provider]]\nkind = \"openai\"\nmodel = \"m\"\nkey = \"sk-canary-83ac\"\n";
    let errors = refused(text, &[]);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("v.toml:4:7: provider[1].key: a secret is never written here"), "{errors:?}");
    assert!(!errors[0].contains("canary"));
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let files = Files::new(&[]);
    let missing = files.lines(Settings::load_with(Some(&files.path("v.toml")), HashMap::new()));
    assert_eq!(missing.len(), 1);
    assert!(missing[0].starts_with("v.toml: cannot be opened: "), "{missing:?}");
    std::fs::write(files.path("v.toml"), [0xff, 0xfe]).unwrap();
    let binary = files.lines(Settings::load_with(Some(&files.path("v.toml")), HashMap::new()));
    assert_eq!(binary, ["v.toml: is not UTF-8 text: save it as UTF-8"]);
    std::fs::write(files.path("v.toml"), " ".repeat(2 << 20)).unwrap();
    let huge = files.lines(Settings::load_with(Some(&files.path("v.toml")), HashMap::new()));
    assert_eq!(huge, ["v.toml: is larger than 1024 KiB"]);
}
