//! Client events: text in, a checked event or a refusal out. `input_audio_buffer.append` has a fast path without a JSON tree.

use super::dialect::Dialect;
use super::shape::{Refused, check_fields};
use super::shapes;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Decoded audio of one append (the services say 15 MiB).
pub const MOST_APPEND: usize = 15 << 20;

/// A checked client event: every field present has the right shape, every required one is present.
#[derive(Debug)]
pub struct ClientEvent {
    pub kind: String,
    pub event_id: Option<String>,
    pub body: Map<String, Value>,
}

impl ClientEvent {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }
    pub fn number(&self, name: &str) -> u64 {
        self.body.get(name).and_then(Value::as_u64).unwrap_or(0)
    }
}

/// A refusal and the event it answers.
#[derive(Debug)]
pub struct Refusal {
    pub refused: Refused,
    pub event_id: Option<String>,
}

/// An append in its usual spelling.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Append<'a> {
    r#type: &'a str,
    #[serde(default)]
    pub event_id: Option<&'a str>,
    /// Base64, not checked.
    pub audio: &'a str,
}

/// `None` = not an append, or one that needs [`parse`].
pub fn append(text: &str) -> Option<Append<'_>> {
    let append: Append<'_> = serde_json::from_str(text).ok()?;
    let ours = append.r#type == "input_audio_buffer.append" && append.event_id.is_none_or(|id| id.len() <= 512);
    (ours && append.audio.len() / 4 * 3 <= MOST_APPEND).then_some(append)
}

/// Parses and checks.
pub fn parse(dialect: Dialect, text: &str) -> Result<ClientEvent, Refusal> {
    let refuse = |refused, event_id| Refusal { refused, event_id };
    let mut body = match serde_json::from_str(text) {
        Ok(Value::Object(body)) => body,
        Ok(_) | Err(_) => {
            let message = "We could not parse the JSON body of your event. (An event is one JSON object.)";
            return Err(refuse(Refused::new("invalid_event", message), None));
        }
    };
    let event_id = match body.remove("event_id") {
        None => None,
        Some(Value::Null) if dialect == Dialect::Preview => None,
        Some(id) => {
            shapes::EVENT_ID.check(&id, "event_id").map_err(|refused| refuse(refused, None))?;
            id.as_str().map(str::to_owned)
        }
    };
    let Some(Value::String(kind)) = body.remove("type") else {
        let refused = Refused::new("invalid_event", "The event has no `type`.").at("type");
        return Err(refuse(refused, event_id));
    };
    let known = match dialect {
        Dialect::Ga => shapes::GA,
        Dialect::Preview => shapes::PREVIEW,
    };
    let Some((_, fields)) = known.iter().find(|(name, _)| *name == kind) else {
        let names = known.iter().map(|(name, _)| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        let kind: String = kind.chars().take(64).collect();
        let message = format!("Invalid value: '{kind}'. Supported values are: {names}.");
        return Err(refuse(Refused::new("invalid_value", message).at("type"), event_id));
    };
    match check_fields(fields, &[], &body, "") {
        Ok(()) => Ok(ClientEvent { kind, event_id, body }),
        Err(refused) => Err(refuse(refused, event_id)),
    }
}
