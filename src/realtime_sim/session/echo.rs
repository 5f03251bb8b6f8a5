//! Echo mode: one endless response whose audio deltas are the caller's appends. No VAD, no copy of the audio, no JSON tree.

use super::super::dialect::Dialect;
use super::super::format::Format;
use super::super::polyphase::Polyphase;
use super::super::shape::Refused;
use super::respond::Running;
use super::{Session, stream::place};
use crate::realtime_sim::conversation::Item;
use serde_json::{Value, json};
use std::time::Instant;

/// The endless response, once it is open.
#[derive(Default)]
pub(super) struct Echo {
    open: Option<Endless>,
}

struct Endless {
    running: Running,
    item_id: String,
    /// `"response_id":…` up to `"content_index":0`, ready to print.
    at: String,
    formats: (Format, Format),
    converter: Polyphase,
    bytes: u64,
}

impl Session {
    /// Starts the endless response, if it is not there.
    pub(super) fn echo_open(&mut self) {
        if self.echo.as_ref().is_none_or(|echo| echo.open.is_some()) {
            return;
        }
        let running = self.new_running(&Value::Null, true);
        self.wire
            .event("response.created", json!({"response": running.object("in_progress", Value::Null, Value::Null)}));
        let item_id = self.wire.id("item");
        let item = json!({"id": item_id, "object": "realtime.item", "type": "message", "status": "in_progress",
            "role": "assistant", "content": []});
        let body = json!({"response_id": running.id, "output_index": 0, "item": item});
        self.wire.event("response.output_item.added", body);
        self.conversation.push(Item::new(&item_id, item));
        self.announce(&item_id, false);
        let part = place(&running, &item_id, json!({"part": {"type": "audio", "transcript": ""}}));
        self.wire.event("response.content_part.added", part);
        if let Some(item) = self.conversation.get_mut(&item_id) {
            item.value["content"] = json!([{"type": self.dialect.names().item_audio, "transcript": ""}]);
        }
        let at = format!(r#""response_id":"{}","item_id":"{item_id}","output_index":0,"content_index":0"#, running.id);
        let formats = (self.settings.input_format(), running.format);
        let converter = Polyphase::between(formats.0.hz(), formats.1.hz());
        self.spoke = true;
        if let Some(echo) = &mut self.echo {
            echo.open = Some(Endless { running, item_id, at, formats, converter, bytes: 0 });
        }
    }

    /// One append, straight back.
    pub(super) fn echo_append(&mut self, base64: &str) -> Result<(), Refused> {
        if base64_simd::STANDARD.check(base64.as_bytes()).is_err() {
            return Err(Refused::new("invalid_value", "Invalid 'audio': expected base64-encoded audio.").at("audio"));
        }
        self.echo_open();
        let Some(endless) = self.echo.as_mut().and_then(|echo| echo.open.as_mut()) else { return Ok(()) };
        let names = self.dialect.names();
        let (from, to) = endless.formats;
        if from == to {
            endless.bytes += (base64.len() / 4 * 3) as u64;
            self.wire.audio_delta(names.audio_delta, &endless.at, base64);
            return Ok(());
        }
        let audio = base64_simd::STANDARD.decode_to_vec(base64).unwrap_or_default();
        let (mut samples, mut converted, mut out) = (Vec::new(), Vec::new(), Vec::new());
        from.decode(&audio, &mut samples);
        endless.converter.process(&samples, &mut converted);
        to.encode(&converted, &mut out);
        endless.bytes += out.len() as u64;
        self.wire.audio_delta(names.audio_delta, &endless.at, &base64_simd::STANDARD.encode_to_string(&out));
        Ok(())
    }

    /// Brings the item's length up to date, before something asks for it.
    pub(super) fn echo_measure(&mut self) {
        let Some(endless) = self.echo.as_ref().and_then(|echo| echo.open.as_ref()) else { return };
        let audio_ms = (endless.bytes / endless.running.format.bytes_per_ms() as u64) as u32;
        if let Some(item) = self.conversation.get_mut(&endless.item_id) {
            item.audio_ms = audio_ms;
        }
    }

    /// `response.cancel` in echo mode. The next append opens a new response. `false` = not in echo mode, or nothing is open.
    pub(super) fn echo_cancel(&mut self, now: Instant, wanted: Option<&str>) -> bool {
        let Some(echo) = &mut self.echo else { return false };
        let Some(Endless { mut running, item_id, bytes, .. }) =
            echo.open.take_if(|endless| wanted.is_none_or(|id| id == endless.running.id))
        else {
            return false;
        };
        let names = self.dialect.names();
        let audio_ms = bytes / running.format.bytes_per_ms() as u64;
        running.tokens.output_audio_ms = audio_ms;
        self.wire.event(names.audio_done, place(&running, &item_id, json!({})));
        self.wire.event(names.transcript_done, place(&running, &item_id, json!({"transcript": ""})));
        let part = json!({"part": {"type": "audio", "transcript": ""}});
        self.wire.event("response.content_part.done", place(&running, &item_id, part));
        let item = json!({"id": item_id, "object": "realtime.item", "type": "message", "status": "incomplete",
            "role": "assistant", "content": [{"type": names.item_audio, "transcript": ""}]});
        let body = json!({"response_id": running.id, "output_index": 0, "item": item});
        self.wire.event("response.output_item.done", body);
        if let Some(known) = self.conversation.get_mut(&item_id) {
            known.value = item.clone();
            known.audio_ms = audio_ms as u32;
        }
        if self.dialect == Dialect::Ga {
            self.announce_done(&item_id);
        }
        running.output.push(item);
        let details = json!({"type": "cancelled", "reason": "client_cancelled"});
        self.finish(now, running, "cancelled", details);
        true
    }
}
