//! Conversation events: create, delete, retrieve, truncate, and the announcements of items.

use super::super::client_event::ClientEvent;
use super::super::conversation::Item;
use super::super::dialect::Dialect;
use super::super::shape::Refused;
use super::Session;
use serde_json::{Value, json};
use std::time::Instant;

impl Session {
    pub(super) fn create_item(&mut self, event: &ClientEvent) -> Result<(), Refused> {
        let mut value = event.body.get("item").cloned().unwrap_or_default();
        let id = match value["id"].as_str() {
            Some(id) => id.to_owned(),
            None => self.wire.id("item"),
        };
        value["id"] = json!(id);
        value["object"] = json!("realtime.item");
        value["status"] = json!("completed");
        if value["type"] == "mcp_approval_response" {
            // Its schema has no `object` and no `status`.
            if let Some(item) = value.as_object_mut() {
                item.retain(|name, _| name != "object" && name != "status");
            }
        }
        if value["type"] == "function_call" && value["call_id"].is_null() {
            value["call_id"] = json!(self.wire.id("call"));
        }
        let mut item = Item::new(&id, Value::Null);
        for part in value["content"].as_array_mut().into_iter().flatten() {
            if let Some(audio) = part.as_object_mut().and_then(|part| part.remove("audio")) {
                let bytes = base64_simd::STANDARD.decode_to_vec(audio.as_str().unwrap_or_default());
                item.audio = bytes.unwrap_or_default();
                item.audio_ms = (item.audio.len() / self.settings.input_format().bytes_per_ms()) as u32;
            }
        }
        item.value = value.clone();
        self.conversation.insert(item, event.text("previous_item_id"))?;
        self.note(&value);
        self.announce(&id, true);
        Ok(())
    }

    pub(super) fn delete_item(&mut self, event: &ClientEvent) -> Result<(), Refused> {
        let id = event.text("item_id").unwrap_or_default();
        self.conversation.delete(id)?;
        self.wire.event("conversation.item.deleted", json!({ "item_id": id }));
        Ok(())
    }

    pub(super) fn retrieve_item(&mut self, event: &ClientEvent) -> Result<(), Refused> {
        let item = self.conversation.retrieve(event.text("item_id").unwrap_or_default())?;
        self.wire.event("conversation.item.retrieved", json!({ "item": item }));
        Ok(())
    }

    pub(super) fn truncate_item(&mut self, now: Instant, event: &ClientEvent) -> Result<(), Refused> {
        let id = event.text("item_id").unwrap_or_default();
        let (content_index, audio_end_ms) = (event.number("content_index"), event.number("audio_end_ms"));
        self.echo_measure();
        self.conversation.truncate(id, content_index, audio_end_ms, self.dialect)?;
        self.playback_until = now;
        let body = json!({"item_id": id, "content_index": content_index, "audio_end_ms": audio_end_ms});
        self.wire.event("conversation.item.truncated", body);
        self.arm_idle(now);
        Ok(())
    }

    /// Tells the client of an item of the default conversation. `done`: it is complete already.
    pub(super) fn announce(&mut self, id: &str, done: bool) {
        let previous = self.conversation.before(id).map(str::to_owned);
        let Some(item) = self.conversation.get_mut(id) else { return };
        let body = json!({"previous_item_id": previous, "item": item.value});
        match self.dialect {
            Dialect::Preview => self.wire.event("conversation.item.created", body),
            Dialect::Ga => {
                self.wire.event("conversation.item.added", body.clone());
                if done {
                    self.wire.event("conversation.item.done", body);
                }
            }
        }
    }

    /// GA: tells the client that an item is complete.
    pub(super) fn announce_done(&mut self, id: &str) {
        if self.dialect == Dialect::Ga {
            let previous = self.conversation.before(id).map(str::to_owned);
            let Some(item) = self.conversation.get_mut(id) else { return };
            let body = json!({"previous_item_id": previous, "item": item.value});
            self.wire.event("conversation.item.done", body);
        }
    }

    /// What a client's item means to the script.
    fn note(&mut self, value: &Value) {
        if value["type"] == "function_call_output" {
            let call = self
                .conversation
                .items()
                .iter()
                .find(|item| item.value["type"] == "function_call" && item.value["call_id"] == value["call_id"]);
            let tool = call.and_then(|item| item.value["name"].as_str()).unwrap_or_default().to_owned();
            self.script.tool_result(&tool, value["output"].as_str().unwrap_or_default());
        } else if value["role"] == "user" {
            let text = value["content"].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
            self.script.read_text(&text.collect::<Vec<_>>().join(" "));
        }
    }
}
