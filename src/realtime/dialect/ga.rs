//! The GA session: nested audio objects, `type` required, no `temperature`.

use super::{decimal, insert_some, tools, transcription, turn_detection};
use crate::realtime::{AgentSpec, AudioFormat};
use serde_json::{Map, Value, json};

/// `session` of `session.update`; complete, so that no default of the server is left in force.
pub(super) fn session(spec: &AgentSpec) -> Value {
    let noise_reduction = spec.noise_reduction.as_ref().map(|kind| json!({"type": kind}));
    let input = json!({
        "format": format(spec.format),
        "turn_detection": turn_detection(&spec.turn_detection, true),
        "transcription": transcription(spec.transcription.as_ref()),
        "noise_reduction": noise_reduction,
    });
    let mut output = Map::new();
    output.insert("format".to_owned(), format(spec.format));
    insert_some(&mut output, "voice", spec.voice.as_deref().map(voice));
    insert_some(&mut output, "speed", spec.speed.map(decimal));
    let mut session = Map::new();
    session.insert("type".to_owned(), json!("realtime"));
    session.insert("output_modalities".to_owned(), json!(["audio"]));
    session.insert("instructions".to_owned(), json!(spec.instructions));
    session.insert("audio".to_owned(), json!({"input": input, "output": output}));
    session.insert("tools".to_owned(), tools(&spec.tools));
    session.insert("tool_choice".to_owned(), json!("auto"));
    insert_some(&mut session, "max_output_tokens", spec.max_output_tokens.map(Value::from));
    Value::Object(session)
}

/// PCMU and PCMA have no `rate` member.
fn format(format: AudioFormat) -> Value {
    match format {
        AudioFormat::Pcm24k => json!({"type": "audio/pcm", "rate": 24_000}),
        AudioFormat::Pcmu => json!({"type": "audio/pcmu"}),
        AudioFormat::Pcma => json!({"type": "audio/pcma"}),
    }
}

/// A voice of one's own is named by its id in an object.
fn voice(name: &str) -> Value {
    if name.starts_with("voice_") { json!({"id": name}) } else { json!(name) }
}
