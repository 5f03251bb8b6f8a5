//! Client events as the two dialects spell them.
//!
//! In: a [`Command`] and the `event_id` that an `error` will name. Out: one WebSocket text. Decoding needs no dialect
//! ([`super::wire`] takes the names of both), so all that differs is in `ga` and `preview`: session and response.

mod ga;
mod preview;

use super::{AgentSpec, AudioFormat, DialectKind, Eagerness, ToolDefinition, Transcription, TurnDetection};
use crate::realtime::wire::Format;
use serde_json::{Map, Value, json};

/// What a client event says, whatever the dialect.
#[derive(Debug)]
pub enum Command<'a> {
    SessionUpdate(&'a AgentSpec),
    /// `response.create` as the session is configured.
    Respond,
    /// `response.create` with instructions for this response; they replace the session's.
    RespondWith(&'a str),
    /// `response.create` that speaks these words.
    RespondExactly(&'a str),
    /// A text item.
    Text {
        id: &'a str,
        role: Role,
        text: &'a str,
    },
    FunctionCallOutput {
        call_id: &'a str,
        output: &'a str,
    },
    Truncate {
        item_id: &'a str,
        content_index: u32,
        audio_end_ms: u32,
    },
    Delete {
        item_id: &'a str,
    },
    /// `None`: whatever runs.
    Cancel {
        response_id: Option<&'a str>,
    },
}

/// Whose text an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    User,
}

/// One client event.
pub fn encode(dialect: DialectKind, command: &Command<'_>, event_id: &str) -> String {
    let mut event = match command {
        Command::SessionUpdate(spec) => {
            let session = match dialect {
                DialectKind::Ga => ga::session(spec),
                DialectKind::Preview => preview::session(spec),
            };
            json!({"type": "session.update", "session": session})
        }
        Command::Respond => json!({"type": "response.create"}),
        Command::RespondWith(text) => json!({"type": "response.create", "response": {"instructions": text}}),
        Command::RespondExactly(words) => {
            let instructions = exactly(words);
            let response = match dialect {
                // An empty input keeps the conversation from tempting the model away from the words.
                DialectKind::Ga => json!({"instructions": instructions, "input": []}),
                DialectKind::Preview => json!({"instructions": instructions}),
            };
            json!({"type": "response.create", "response": response})
        }
        Command::Text { id, role, text } => {
            let role = match role {
                Role::System => "system",
                Role::User => "user",
            };
            let content = [json!({"type": "input_text", "text": text})];
            let item = json!({"id": id, "type": "message", "role": role, "content": content});
            json!({"type": "conversation.item.create", "item": item})
        }
        Command::FunctionCallOutput { call_id, output } => {
            let item = json!({"type": "function_call_output", "call_id": call_id, "output": output});
            json!({"type": "conversation.item.create", "item": item})
        }
        Command::Truncate { item_id, content_index, audio_end_ms } => json!({
            "type": "conversation.item.truncate",
            "item_id": item_id,
            "content_index": content_index,
            "audio_end_ms": audio_end_ms,
        }),
        Command::Delete { item_id } => json!({"type": "conversation.item.delete", "item_id": item_id}),
        Command::Cancel { response_id: Some(id) } => json!({"type": "response.cancel", "response_id": id}),
        Command::Cancel { response_id: None } => json!({"type": "response.cancel"}),
    };
    event["event_id"] = Value::from(event_id);
    event.to_string()
}

/// The service promises no exact wording; this is the form its own guide uses.
fn exactly(words: &str) -> String {
    format!("Say exactly the following words, without adding or changing anything:\n\n{words}")
}

/// Whether the echoed format is the one that was asked for; `true` when the server did not echo one.
pub fn same_format(asked: AudioFormat, echoed: &Format<'_>) -> bool {
    let (names, rate) = match asked {
        AudioFormat::Pcm24k => (["audio/pcm", "pcm16"], 24_000),
        AudioFormat::Pcmu => (["audio/pcmu", "g711_ulaw"], 8_000),
        AudioFormat::Pcma => (["audio/pcma", "g711_alaw"], 8_000),
    };
    echoed.name.is_empty() || (names.contains(&echoed.name.as_ref()) && (echoed.rate == 0 || echoed.rate == rate))
}

fn turn_detection(turns: &TurnDetection, null_idle_timeout: bool) -> Value {
    match turns {
        TurnDetection::ServerVad {
            threshold,
            prefix_padding_ms,
            silence_duration_ms,
            create_response,
            interrupt_response,
            idle_timeout_ms,
        } => {
            let mut vad = json!({
                "type": "server_vad",
                "threshold": decimal(*threshold),
                "prefix_padding_ms": prefix_padding_ms,
                "silence_duration_ms": silence_duration_ms,
                "create_response": create_response,
                "interrupt_response": interrupt_response,
            });
            if null_idle_timeout || idle_timeout_ms.is_some() {
                vad["idle_timeout_ms"] = json!(idle_timeout_ms);
            }
            vad
        }
        TurnDetection::SemanticVad { eagerness, create_response, interrupt_response } => {
            let eagerness = match eagerness {
                Eagerness::Low => "low",
                Eagerness::Medium => "medium",
                Eagerness::High => "high",
                Eagerness::Auto => "auto",
            };
            json!({
                "type": "semantic_vad",
                "eagerness": eagerness,
                "create_response": create_response,
                "interrupt_response": interrupt_response,
            })
        }
    }
}

/// Null switches transcription off.
fn transcription(transcription: Option<&Transcription>) -> Value {
    let Some(t) = transcription else { return Value::Null };
    let mut out = json!({"model": t.model});
    if let Some(language) = &t.language {
        out["language"] = json!(language);
    }
    if let Some(prompt) = &t.prompt {
        out["prompt"] = json!(prompt);
    }
    out
}

/// Flat, not nested under `function` as in Chat Completions.
fn tools(tools: &[ToolDefinition]) -> Value {
    let flat = |t: &ToolDefinition| json!({"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters});
    Value::Array(tools.iter().map(flat).collect())
}

/// The number as it was written in the file: 1.2, not 1.2000000476837158, which a service would refuse as above 1.2.
/// A number that is none reads as null.
fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().ok().filter(|v| v.is_finite()).map_or(Value::Null, Value::from)
}

fn insert_some(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests;
