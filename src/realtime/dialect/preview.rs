//! The preview session: flat fields. What early servers do not know is left out unless it is asked for.

use super::{decimal, insert_some, tools, transcription, turn_detection};
use crate::realtime::{AgentSpec, AudioFormat};
use serde_json::{Map, Value, json};

/// `session` of `session.update`.
pub(super) fn session(spec: &AgentSpec) -> Value {
    let format = match spec.format {
        AudioFormat::Pcm24k => "pcm16",
        AudioFormat::Pcmu => "g711_ulaw",
        AudioFormat::Pcma => "g711_alaw",
    };
    let mut session = Map::new();
    // Audio alone was refused by early servers.
    session.insert("modalities".to_owned(), json!(["audio", "text"]));
    session.insert("instructions".to_owned(), json!(spec.instructions));
    session.insert("input_audio_format".to_owned(), json!(format));
    session.insert("output_audio_format".to_owned(), json!(format));
    session.insert("input_audio_transcription".to_owned(), transcription(spec.transcription.as_ref()));
    session.insert("turn_detection".to_owned(), turn_detection(&spec.turn_detection, false));
    session.insert("tools".to_owned(), tools(&spec.tools));
    session.insert("tool_choice".to_owned(), json!("auto"));
    insert_some(&mut session, "voice", spec.voice.as_ref().map(|v| json!(v)));
    insert_some(&mut session, "input_audio_noise_reduction", spec.noise_reduction.as_ref().map(|k| json!({"type": k})));
    insert_some(&mut session, "temperature", spec.temperature.map(decimal));
    insert_some(&mut session, "max_response_output_tokens", spec.max_output_tokens.map(Value::from));
    insert_some(&mut session, "speed", spec.speed.map(decimal));
    Value::Object(session)
}
