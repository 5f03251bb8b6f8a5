//! The items of a session's default conversation, in order, with the audio that `retrieve` gives back.

use super::dialect::Dialect;
use super::shape::Refused;
use serde_json::{Value, json};

/// More than any call needs; a client in a loop is stopped here.
const MOST_ITEMS: usize = 10_000;
/// Audio kept for `retrieve`; the oldest goes first.
const MOST_AUDIO: usize = 4 << 20;

/// One item.
#[derive(Clone, Debug)]
pub struct Item {
    pub id: String,
    /// As on the wire, without audio.
    pub value: Value,
    /// In the format it was received or sent in; empty if there is none (any more).
    pub audio: Vec<u8>,
    pub audio_ms: u32,
}

impl Item {
    pub fn new(id: &str, value: Value) -> Item {
        Item { id: id.into(), value, audio: Vec::new(), audio_ms: 0 }
    }
    fn is(&self, kind: &str) -> bool {
        self.value["type"] == kind
    }
    /// Every text in it: what counts as text tokens.
    pub fn text(&self) -> String {
        let parts = self.value["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |part: &Value, name: &str| part.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut text: String = parts.iter().map(|part| of(part, "text")).collect();
        for name in ["output", "arguments", "name"] {
            text.push_str(&of(&self.value, name));
        }
        text
    }
}

/// The default conversation.
#[derive(Debug, Default)]
pub struct Conversation {
    items: Vec<Item>,
}

impl Conversation {
    pub fn items(&self) -> &[Item] {
        &self.items
    }
    pub fn get_mut(&mut self, id: &str) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.id == id)
    }
    pub fn last_id(&self) -> Option<&str> {
        self.items.last().map(|item| item.id.as_str())
    }
    /// The id before an item's.
    pub fn before(&self, id: &str) -> Option<&str> {
        let at = self.items.iter().position(|item| item.id == id)?;
        self.items.get(at.checked_sub(1)?).map(|item| item.id.as_str())
    }
    /// Adds at the end.
    pub fn push(&mut self, item: Item) {
        if self.items.len() < MOST_ITEMS {
            self.items.push(item);
        }
        self.forget_old_audio();
    }
    /// Adds a client's item after `previous` (`"root"` = first, none = last).
    pub fn insert(&mut self, item: Item, previous: Option<&str>) -> Result<(), Refused> {
        if self.items.iter().any(|known| known.id == item.id) {
            let message = format!("Error adding item: an item with id '{}' already exists.", item.id);
            return Err(Refused::new("invalid_value", message).at("item.id"));
        }
        if self.items.len() >= MOST_ITEMS {
            return Err(Refused::new("invalid_value", "Error adding item: the conversation is full."));
        }
        if item.is("function_call_output") {
            let call_id = item.value["call_id"].as_str().unwrap_or_default();
            if !self.items.iter().any(|known| known.is("function_call") && known.value["call_id"] == call_id) {
                let call_id: String = call_id.chars().take(64).collect();
                let message = format!("Tool call ID '{call_id}' not found in conversation.");
                return Err(Refused::new("invalid_tool_call_id", message).at("item.call_id"));
            }
        }
        let at = match previous {
            None => self.items.len(),
            Some("root") => 0,
            Some(id) => 1 + self.position(id, "previous_item_id", "adding")?,
        };
        self.items.insert(at, item);
        Ok(())
    }
    pub fn delete(&mut self, id: &str) -> Result<(), Refused> {
        let at = self.position(id, "item_id", "deleting")?;
        self.items.remove(at);
        Ok(())
    }
    /// The whole item, audio included.
    pub fn retrieve(&self, id: &str) -> Result<Value, Refused> {
        let item = &self.items[self.position(id, "item_id", "retrieving")?];
        let mut value = item.value.clone();
        let part = value["content"].as_array_mut().and_then(|parts| {
            parts.iter_mut().find(|part| part["type"].as_str().is_some_and(|kind| kind.ends_with("audio")))
        });
        if let (Some(part), false) = (part, item.audio.is_empty()) {
            part["audio"] = json!(base64_simd::STANDARD.encode_to_string(&item.audio));
        }
        Ok(value)
    }
    /// Cuts the agent's audio and removes the transcript, which cannot be aligned with it.
    pub fn truncate(
        &mut self,
        id: &str,
        content_index: u64,
        audio_end_ms: u64,
        dialect: Dialect,
    ) -> Result<(), Refused> {
        let at = self.position(id, "item_id", "truncating")?;
        let item = &mut self.items[at];
        let part = usize::try_from(content_index).ok().and_then(|index| item.value["content"].get(index));
        let spoken = part.is_some_and(|part| part["type"] == dialect.names().item_audio);
        if !spoken || item.value["role"] != "assistant" || item.audio_ms == 0 {
            let message = "Only model output audio messages can be truncated";
            return Err(Refused::new("unsupported_content_type", message));
        }
        if audio_end_ms > u64::from(item.audio_ms) {
            let message = format!("Audio content of {} ms is already shorter than {audio_end_ms} ms", item.audio_ms);
            return Err(Refused::new("invalid_value", message).at("audio_end_ms"));
        }
        let keep = item.audio.len() as u64 * audio_end_ms / u64::from(item.audio_ms) / 2 * 2;
        item.audio.truncate(keep as usize);
        item.audio_ms = audio_end_ms as u32;
        if let Some(part) = item.value["content"].get_mut(content_index as usize).and_then(Value::as_object_mut) {
            part.remove("transcript");
        }
        Ok(())
    }

    /// `doing`: "deleting", … for the message; the code follows the service's pattern (`item_delete_invalid_item_id`).
    fn position(&self, id: &str, param: &str, doing: &str) -> Result<usize, Refused> {
        self.items.iter().position(|item| item.id == id).ok_or_else(|| {
            let code = match doing {
                "deleting" => "item_delete_invalid_item_id",
                "truncating" => "item_truncate_invalid_item_id",
                "retrieving" => "item_retrieve_invalid_item_id",
                _ => "item_create_invalid_previous_item_id",
            };
            let id: String = id.chars().take(64).collect();
            Refused::new(code, format!("Error {doing} item: the item with id '{id}' does not exist.")).at(param)
        })
    }
    fn forget_old_audio(&mut self) {
        let mut total: usize = self.items.iter().map(|item| item.audio.len()).sum();
        for item in &mut self.items {
            if total <= MOST_AUDIO {
                break;
            }
            total -= item.audio.len();
            item.audio = Vec::new();
        }
    }
}
