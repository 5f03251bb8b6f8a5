//! Whatever a session sends validates against the client schema of its dialect.

use super::driver::{Driver, plain_spec};
use super::schema::Schema;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use voxtrunk::realtime::{
    AgentSpec, AudioFormat, DialectKind, Eagerness, Greeting, Intent, SegmentId, ToolCallId, ToolDefinition,
    Transcription, TurnDetection,
};

/// Text as operators, callers and tools write it.
pub fn text(rng: &mut StdRng) -> String {
    let words = [
        "Hello",
        "\"quoted\"",
        "back\\slash",
        "line\nbreak",
        "\u{0}",
        "日本語",
        "🙂",
        "",
        "<b>",
        "{\"a\":1}",
        "\u{2028}",
    ];
    let count = rng.random_range(0..6);
    (0..count).filter_map(|_| words.choose(rng).copied()).collect::<Vec<_>>().join(" ")
}

/// A value within a range of hundredths, as a file has it.
fn hundredths(rng: &mut StdRng, from: u32, to: u32) -> f32 {
    rng.random_range(from..=to) as f32 / 100.0
}

fn maybe<T>(rng: &mut StdRng, make: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
    rng.random_bool(0.5).then(|| make(rng))
}

/// Any agent that a checked dialplan can give.
pub fn spec(rng: &mut StdRng) -> AgentSpec {
    let (create_response, interrupt_response) = (rng.random(), rng.random());
    let turn_detection = if rng.random() {
        TurnDetection::ServerVad {
            threshold: hundredths(rng, 0, 100),
            prefix_padding_ms: rng.random_range(0..5000),
            silence_duration_ms: rng.random_range(0..5000),
            create_response,
            interrupt_response,
            idle_timeout_ms: maybe(rng, |r| r.random_range(5000..=30_000)),
        }
    } else {
        let all = [Eagerness::Low, Eagerness::Medium, Eagerness::High, Eagerness::Auto];
        TurnDetection::SemanticVad {
            eagerness: *all.choose(rng).expect("not empty"),
            create_response,
            interrupt_response,
        }
    };
    let tools = (0..rng.random_range(0..4)).map(|n| ToolDefinition {
        name: format!("tool_{n}"),
        description: text(rng),
        parameters: json!({"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}),
    });
    let tools = tools.collect();
    AgentSpec {
        instructions: text(rng),
        voice: maybe(rng, |r| ["alloy", "marin", "voice_123", "x y"].choose(r).map(|v| (*v).to_owned())).flatten(),
        format: *[AudioFormat::Pcm24k, AudioFormat::Pcmu, AudioFormat::Pcma].choose(rng).expect("not empty"),
        turn_detection,
        transcription: maybe(rng, |r| Transcription {
            model: "whisper-1".to_owned(),
            language: maybe(r, |_| "de".to_owned()),
            prompt: maybe(r, text),
        }),
        noise_reduction: maybe(rng, |r| if r.random() { "near_field" } else { "far_field" }.to_owned()),
        tools,
        temperature: maybe(rng, |r| hundredths(r, 60, 120)),
        max_output_tokens: maybe(rng, |r| r.random_range(1..=4096)),
        speed: maybe(rng, |r| hundredths(r, 25, 150)),
    }
}

/// Any intent; small ids, so that some of them exist.
pub fn intent(rng: &mut StdRng) -> Intent {
    match rng.random_range(0..11) {
        0 => Intent::Greet(Greeting::Say(text(rng))),
        1 => Intent::Greet(Greeting::Instructions(text(rng))),
        2 => Intent::Greet(Greeting::None),
        3 => Intent::Say(text(rng)),
        4 => Intent::AddContext(text(rng)),
        5 => Intent::Digits("12#".to_owned()),
        6 => Intent::Respond,
        7 | 8 => Intent::ToolResult { id: ToolCallId(rng.random_range(0..6)), output: text(rng), silent: rng.random() },
        _ => Intent::Interrupt { segment: SegmentId(rng.random_range(0..6)), heard_ms: rng.random_range(0..3000) },
    }
}

/// The response of a scripted server to whatever was asked, ids made from `n`.
fn response(rng: &mut StdRng, n: u32) -> Vec<Value> {
    let (id, item, call) = (format!("resp_{n}"), format!("item_{n}"), format!("call_{n}"));
    let call_item = json!({"id": format!("fc_{n}"), "type": "function_call", "status": "completed", "name": "tool_0",
        "call_id": call, "arguments": "{}"});
    let mut events = vec![
        json!({"type": "response.created", "response": {"id": id}}),
        json!({"type": "response.output_audio.delta", "response_id": id, "item_id": item, "content_index": 0,
            "delta": "AAAA".repeat(rng.random_range(1..2000))}),
    ];
    if rng.random() {
        events.push(json!({"type": "response.output_item.done", "response_id": id, "item": call_item}));
    }
    if rng.random_bool(0.8) {
        events.push(json!({"type": "response.done", "response": {"id": id, "status": "completed"}}));
    }
    events
}

#[test]
fn every_event_of_any_agent_and_any_intents_is_valid() {
    for dialect in [DialectKind::Ga, DialectKind::Preview] {
        let schema = Schema::client(dialect);
        let mut seen = BTreeSet::new();
        for seed in 0..300 {
            let mut rng = StdRng::seed_from_u64(seed);
            let context = format!("{dialect:?} seed {seed}");
            let mut driver = Driver::new(dialect, spec(&mut rng));
            let mut sent = driver.server(&json!({"type": "session.created"})).sent;
            sent.extend(driver.server(&json!({"type": "session.updated"})).sent);
            for n in 0..20 {
                sent.extend(driver.intent(intent(&mut rng)).1.sent);
                let audio = vec![0; rng.random_range(0..500)];
                driver.session.audio(&audio);
                for event in response(&mut rng, n) {
                    sent.extend(driver.server(&event).sent);
                    sent.extend(driver.intent(intent(&mut rng)).1.sent);
                }
            }
            for event in &sent {
                schema.assert_valid(event, &context);
                let kind = event["type"].as_str().unwrap_or_default();
                assert!(kind == "input_audio_buffer.append" || event["event_id"].is_string(), "{context}: {event}");
                seen.insert(kind.to_owned());
            }
        }
        let all = [
            "conversation.item.create",
            "conversation.item.delete",
            "conversation.item.truncate",
            "input_audio_buffer.append",
            "response.cancel",
            "response.create",
            "session.update",
        ];
        assert_eq!(seen, all.map(str::to_owned).into(), "{dialect:?}: every kind of event was made");
    }
}

/// The number in the file is the number on the wire: 1.2 as f32 would be above the service's maximum.
#[test]
fn decimal_limits_survive() {
    let mut spec = plain_spec(AudioFormat::Pcmu);
    spec.temperature = Some(1.2);
    spec.speed = Some(1.5);
    let schema = Schema::client(DialectKind::Preview);
    let mut driver = Driver::new(DialectKind::Preview, spec);
    let sent = driver.server(&json!({"type": "session.created"})).sent;
    schema.assert_valid(&sent[0], "limits");
    assert_eq!(sent[0]["session"]["temperature"], json!(1.2));
}
