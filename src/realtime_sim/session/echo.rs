//! Echo mode: responses whose audio deltas are the caller's appends, one after the other. No VAD, no copy of the audio, no JSON tree.
//!
//! A response ends after [`LONGEST`], or by `response.cancel`; the next append begins another one.

use super::super::dialect::Dialect;
use super::super::format::Format;
use super::super::polyphase::Polyphase;
use super::super::shape::Refused;
use super::respond::Running;
use super::{Session, stream::place};
use crate::realtime_sim::conversation::Item;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Audio of one response: clients do not trust a response that talks for minutes.
const LONGEST: Duration = Duration::from_secs(60);

/// The response that is open, and what outlives it.
#[derive(Default)]
pub(super) struct Echo {
    open: Option<Open>,
    /// Between input and output format, kept from response to response: no sample stays behind in it.
    converter: Option<((Format, Format), Polyphase)>,
}

struct Open {
    running: Running,
    item_id: String,
    /// `"response_id":…` up to `"content_index":0`, ready to print.
    at: String,
    formats: (Format, Format),
    bytes: u64,
}

impl Open {
    fn audio_ms(&self) -> u64 {
        self.bytes / self.running.format.bytes_per_ms() as u64
    }
}

impl Session {
    /// Starts a response, if none is open.
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
        self.spoke = true;
        if let Some(echo) = &mut self.echo {
            echo.converter.take_if(|(before, _)| *before != formats);
            echo.open = Some(Open { running, item_id, at, formats, bytes: 0 });
        }
    }

    /// One append, straight back.
    pub(super) fn echo_append(&mut self, now: Instant, base64: &str) -> Result<(), Refused> {
        if base64_simd::STANDARD.check(base64.as_bytes()).is_err() {
            return Err(Refused::new("invalid_value", "Invalid 'audio': expected base64-encoded audio.").at("audio"));
        }
        self.echo_open();
        let Some(Echo { open: Some(open), converter }) = &mut self.echo else { return Ok(()) };
        let names = self.dialect.names();
        let (from, to) = open.formats;
        if from == to {
            let padding = base64.bytes().rev().take_while(|b| *b == b'=').count();
            open.bytes += (base64.len() / 4 * 3 - padding) as u64;
            self.wire.audio_delta(names.audio_delta, &open.at, base64);
        } else {
            let audio = base64_simd::STANDARD.decode_to_vec(base64).unwrap_or_default();
            let (mut samples, mut converted, mut out) = (Vec::new(), Vec::new(), Vec::new());
            from.decode(&audio, &mut samples);
            let between = || (open.formats, Polyphase::between(from.hz(), to.hz()));
            converter.get_or_insert_with(between).1.process(&samples, &mut converted);
            to.encode(&converted, &mut out);
            open.bytes += out.len() as u64;
            self.wire.audio_delta(names.audio_delta, &open.at, &base64_simd::STANDARD.encode_to_string(&out));
        }
        if open.audio_ms() >= LONGEST.as_millis() as u64 {
            self.echo_close(now, "completed", Value::Null);
        }
        Ok(())
    }

    /// Brings the item's length up to date, before something asks for it.
    pub(super) fn echo_measure(&mut self) {
        let Some(open) = self.echo.as_ref().and_then(|echo| echo.open.as_ref()) else { return };
        if let Some(item) = self.conversation.get_mut(&open.item_id) {
            item.audio_ms = open.audio_ms() as u32;
        }
    }

    /// `response.cancel` in echo mode. The next append opens a new response. `false` = not in echo mode, or nothing is open.
    pub(super) fn echo_cancel(&mut self, now: Instant, wanted: Option<&str>) -> bool {
        let open = self.echo.as_ref().and_then(|echo| echo.open.as_ref());
        let meant = open.is_some_and(|open| wanted.is_none_or(|id| id == open.running.id));
        if meant {
            self.echo_close(now, "cancelled", json!({"type": "cancelled", "reason": "client_cancelled"}));
        }
        meant
    }

    /// Ends the open response with `status`.
    fn echo_close(&mut self, now: Instant, status: &str, details: Value) {
        let Some(open) = self.echo.as_mut().and_then(|echo| echo.open.take()) else { return };
        let audio_ms = open.audio_ms();
        let Open { mut running, item_id, .. } = open;
        let names = self.dialect.names();
        running.tokens.output_audio_ms = audio_ms;
        self.wire.event(names.audio_done, place(&running, &item_id, json!({})));
        self.wire.event(names.transcript_done, place(&running, &item_id, json!({"transcript": ""})));
        let part = json!({"part": {"type": "audio", "transcript": ""}});
        self.wire.event("response.content_part.done", place(&running, &item_id, part));
        let item_status = if status == "completed" { status } else { "incomplete" };
        let item = json!({"id": item_id, "object": "realtime.item", "type": "message", "status": item_status,
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
        self.finish(now, running, status, details);
    }
}
