//! The session object: what `session.created` and `session.updated` report, and what the server reads from it.
//!
//! The object is kept as it goes on the wire. An update is merged: absent members stay, `audio` is merged member by member,
//! everything else is replaced whole; a new `turn_detection` gets the defaults for what it leaves out.

use super::dialect::Dialect;
use super::format::Format;
use super::shape::Refused;
use serde_json::{Map, Value, json};

/// When a turn begins and ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TurnDetection {
    pub threshold: f32,
    pub prefix_padding_ms: u32,
    pub silence_duration_ms: u32,
    pub create_response: bool,
    pub interrupt_response: bool,
    pub idle_timeout_ms: Option<u32>,
}

impl Default for TurnDetection {
    /// server_vad as it is by default.
    fn default() -> TurnDetection {
        TurnDetection {
            threshold: 0.5,
            prefix_padding_ms: 300,
            silence_duration_ms: 500,
            create_response: true,
            interrupt_response: true,
            idle_timeout_ms: None,
        }
    }
}

/// The effective configuration of one session.
#[derive(Clone, Debug)]
pub struct Settings {
    dialect: Dialect,
    object: Value,
}

const INSTRUCTIONS: &str = "You are the scripted test agent of the embedded Realtime server.";

impl Settings {
    /// The defaults a session starts with.
    pub fn new(dialect: Dialect, id: &str, model: &str, expires_at_unix: u64) -> Settings {
        let turn_detection = with_defaults(&json!({"type": "server_vad"}), dialect);
        let object = match dialect {
            Dialect::Ga => json!({
                "type": "realtime", "object": "realtime.session", "id": id, "model": model,
                "output_modalities": ["audio"], "instructions": INSTRUCTIONS, "tools": [], "tool_choice": "auto",
                "max_output_tokens": "inf", "tracing": null, "prompt": null, "truncation": "auto", "include": null,
                "expires_at": expires_at_unix,
                "audio": {
                    "input": {
                        "format": Format::Pcm24k.to_value(dialect), "transcription": null, "noise_reduction": null,
                        "turn_detection": turn_detection,
                    },
                    "output": {"format": Format::Pcm24k.to_value(dialect), "voice": "marin", "speed": 1.0},
                },
            }),
            Dialect::Preview => json!({
                "object": "realtime.session", "id": id, "model": model, "expires_at": expires_at_unix,
                "modalities": ["text", "audio"], "instructions": INSTRUCTIONS, "voice": "alloy",
                "input_audio_format": "pcm16", "output_audio_format": "pcm16", "input_audio_transcription": null,
                "turn_detection": turn_detection, "tools": [], "tool_choice": "auto", "temperature": 0.8,
                "max_response_output_tokens": "inf",
            }),
        };
        Settings { dialect, object }
    }

    /// The object for `session.created` and `session.updated`.
    pub fn report(&self) -> &Value {
        &self.object
    }

    /// Merges a checked `session` value of an update. `spoke`: the agent's voice was heard in this session.
    pub fn update(&mut self, update: &Value, spoke: bool) -> Result<(), Refused> {
        let mut next = self.clone();
        if update.get("type").and_then(Value::as_str) == Some("transcription") {
            return Err(
                Refused::new("invalid_value", "Transcription sessions are not available here.").at("session.type")
            );
        }
        if let (Some(object), Some(update)) = (next.object.as_object_mut(), update.as_object()) {
            if update.get("model").is_some_and(|model| object.get("model") != Some(model)) {
                return Err(
                    Refused::new("invalid_value", "The model of a session cannot be changed.").at("session.model")
                );
            }
            merge(object, update, self.dialect);
        }
        if spoke && next.voice() != self.voice() {
            let message = "Cannot update a conversation's voice if assistant audio is present.";
            return Err(Refused::new("cannot_update_voice", message));
        }
        *self = next;
        Ok(())
    }

    pub fn input_format(&self) -> Format {
        Format::from_value(self.at("/audio/input/format", "/input_audio_format"))
    }
    pub fn output_format(&self) -> Format {
        Format::from_value(self.at("/audio/output/format", "/output_audio_format"))
    }
    pub fn voice(&self) -> &Value {
        self.at("/audio/output/voice", "/voice")
    }
    pub fn instructions(&self) -> &str {
        self.object["instructions"].as_str().unwrap_or_default()
    }
    /// The transcription model, if transcription is on.
    pub fn transcription(&self) -> Option<&str> {
        let value = self.at("/audio/input/transcription", "/input_audio_transcription");
        value.as_object().map(|object| object.get("model").and_then(Value::as_str).unwrap_or("whisper-1"))
    }
    pub fn modalities(&self) -> &Value {
        self.at("/output_modalities", "/modalities")
    }
    pub fn tools(&self) -> &[Value] {
        self.object["tools"].as_array().map(Vec::as_slice).unwrap_or_default()
    }
    pub fn tool_choice(&self) -> &Value {
        &self.object["tool_choice"]
    }
    pub fn temperature(&self) -> &Value {
        &self.object["temperature"]
    }
    /// A number or `"inf"`.
    pub fn max_output_tokens(&self) -> &Value {
        self.at("/max_output_tokens", "/max_response_output_tokens")
    }
    /// `None` = the client commits by itself.
    pub fn turn_detection(&self) -> Option<TurnDetection> {
        let value = self.at("/audio/input/turn_detection", "/turn_detection");
        let number = |name: &str| value.get(name).and_then(Value::as_u64).map(|n| n as u32);
        let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(true);
        let (threshold, prefix_padding_ms, silence_duration_ms) = match value.get("type").and_then(Value::as_str)? {
            "server_vad" => (
                value.get("threshold").and_then(Value::as_f64).unwrap_or(0.5) as f32,
                number("prefix_padding_ms").unwrap_or(300),
                number("silence_duration_ms").unwrap_or(200),
            ),
            // There is no model here that understands the words: eagerness becomes a waiting time.
            "semantic_vad" => match value.get("eagerness").and_then(Value::as_str) {
                Some("low") => (0.5, 300, 1_500),
                Some("high") => (0.5, 300, 300),
                _ => (0.5, 300, 700),
            },
            _ => return None,
        };
        Some(TurnDetection {
            threshold,
            prefix_padding_ms,
            silence_duration_ms,
            create_response: flag("create_response"),
            interrupt_response: flag("interrupt_response"),
            idle_timeout_ms: number("idle_timeout_ms"),
        })
    }

    fn at(&self, ga: &str, preview: &str) -> &Value {
        let path = match self.dialect {
            Dialect::Ga => ga,
            Dialect::Preview => preview,
        };
        self.object.pointer(path).unwrap_or(&Value::Null)
    }
}

fn merge(object: &mut Map<String, Value>, update: &Map<String, Value>, dialect: Dialect) {
    for (name, value) in update {
        match (name.as_str(), object.get_mut(name), value) {
            ("audio" | "input" | "output", Some(Value::Object(inner)), Value::Object(update)) => {
                merge(inner, update, dialect);
            }
            ("turn_detection", ..) => {
                object.insert(name.clone(), with_defaults(value, dialect));
            }
            ("format", _, value) => {
                object.insert(name.clone(), Format::from_value(value).to_value(dialect));
            }
            _ => {
                object.insert(name.clone(), value.clone());
            }
        }
    }
}

/// A turn_detection with every field written out; `none` (oldest preview) is null.
fn with_defaults(value: &Value, dialect: Dialect) -> Value {
    let mut full = match value.get("type").and_then(Value::as_str) {
        Some("server_vad") => json!({
            "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200, "create_response": true,
            "interrupt_response": true,
        }),
        Some("semantic_vad") => json!({"eagerness": "auto", "create_response": true, "interrupt_response": true}),
        _ => return Value::Null,
    };
    if let (Some(full), Some(given)) = (full.as_object_mut(), value.as_object()) {
        if dialect == Dialect::Ga && given.get("type").and_then(Value::as_str) == Some("server_vad") {
            full.insert("idle_timeout_ms".into(), Value::Null);
        }
        full.extend(given.clone());
    }
    full
}
