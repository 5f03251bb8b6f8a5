//! Audio in: appends, turns by VAD or by commit, interruption, transcripts, the idle timeout.

use super::super::conversation::Item;
use super::super::shape::Refused;
use super::super::vad::Border;
use super::{MOST_RECORDED, Session, Transcript};
use serde_json::json;
use std::time::{Duration, Instant};

/// Transcripts on their way; a client that commits faster than that gets none for the rest.
const MOST_TRANSCRIPTS: usize = 64;

impl Session {
    /// What was heard so far, and its rate in Hz; `None` without `Opening::record`.
    pub fn recording(&self) -> Option<(Vec<i16>, u32)> {
        let format = self.settings.input_format();
        let mut samples = Vec::new();
        format.decode(self.recording.as_ref()?, &mut samples);
        Some((samples, format.hz()))
    }

    /// Base64 audio of the caller.
    pub(super) fn append(&mut self, now: Instant, base64: &str) -> Result<(), Refused> {
        if self.echo.is_some() {
            return self.echo_append(now, base64);
        }
        let Ok(audio) = base64_simd::STANDARD.decode_to_vec(base64) else {
            return Err(Refused::new("invalid_value", "Invalid 'audio': expected base64-encoded audio.").at("audio"));
        };
        if let Some(recording) = &mut self.recording {
            let room = MOST_RECORDED.saturating_sub(recording.len());
            recording.extend_from_slice(&audio[..audio.len().min(room)]);
        }
        let mut borders = Vec::new();
        self.ears.append(&audio, &mut borders)?;
        for border in borders {
            match border {
                Border::Started { onset_ms } => self.speech_started(now, onset_ms),
                Border::Stopped { end_ms } => self.speech_stopped(now, end_ms),
            }
        }
        Ok(())
    }

    fn speech_started(&mut self, now: Instant, audio_start_ms: u64) {
        let item_id = self.wire.id("item");
        let body = json!({"audio_start_ms": audio_start_ms, "item_id": item_id});
        self.wire.event("input_audio_buffer.speech_started", body);
        self.idle_at = None;
        let interrupts = self.settings.turn_detection().is_some_and(|rules| rules.interrupt_response);
        self.interrupted = now < self.playback_until || self.speaking();
        if interrupts {
            self.interrupt(now);
        }
        self.turn = Some((item_id, audio_start_ms));
    }

    fn speech_stopped(&mut self, now: Instant, audio_end_ms: u64) {
        let Some((item_id, start_ms)) = self.turn.take() else { return };
        let body = json!({"audio_end_ms": audio_end_ms, "item_id": item_id});
        self.wire.event("input_audio_buffer.speech_stopped", body);
        let audio = self.ears.take(start_ms, audio_end_ms);
        let interrupting = self.interrupted;
        self.commit(now, item_id, audio, Some(interrupting));
        if self.settings.turn_detection().is_some_and(|rules| rules.create_response) {
            let answer = self.script.answer_turn();
            self.respond_to_turn(now, answer);
        }
    }

    /// `input_audio_buffer.commit`: ends a turn by hand, without a response.
    pub(super) fn manual_commit(&mut self, now: Instant) -> Result<(), Refused> {
        let audio = self.ears.commit()?;
        let item_id = match self.turn.take() {
            Some((item_id, _)) => item_id,
            None => self.wire.id("item"),
        };
        let interrupting = now < self.playback_until || self.speaking();
        self.commit(now, item_id, audio, Some(interrupting));
        Ok(())
    }

    /// Nobody spoke since the agent finished.
    pub(super) fn idle_timeout(&mut self, now: Instant) {
        self.idle_at = None;
        let item_id = self.wire.id("item");
        let (from_ms, to_ms) = (self.idle_since_ms, self.ears.clock_ms());
        let body = json!({"audio_start_ms": from_ms, "audio_end_ms": to_ms, "item_id": item_id});
        self.wire.event("input_audio_buffer.timeout_triggered", body);
        let audio = self.ears.take(from_ms, to_ms);
        self.commit(now, item_id, audio, None);
        let answer = self.script.answer_idle();
        self.respond_to_turn(now, answer);
    }

    /// Starts the idle clock: from the end of play-out, if nothing runs and nobody speaks.
    pub(super) fn arm_idle(&mut self, now: Instant) {
        let idle = self.settings.turn_detection().and_then(|rules| rules.idle_timeout_ms);
        let quiet = !self.ears.in_speech() && !self.running.iter().any(|running| running.in_conversation());
        self.idle_since_ms = self.ears.clock_ms();
        self.idle_at = match idle {
            Some(idle_ms) if quiet && self.spoke => {
                Some(self.playback_until.max(now) + Duration::from_millis(u64::from(idle_ms)))
            }
            _ => None,
        };
    }

    /// Makes the user item. `turn`: it was speech, and whether it interrupted.
    fn commit(&mut self, now: Instant, item_id: String, audio: Vec<u8>, turn: Option<bool>) {
        let audio_ms = audio.len() as u64 / self.settings.input_format().bytes_per_ms() as u64;
        let body = json!({"previous_item_id": self.conversation.last_id(), "item_id": item_id});
        self.wire.event("input_audio_buffer.committed", body);
        let value = json!({
            "id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
            "content": [{"type": "input_audio", "transcript": null}],
        });
        let mut item = Item::new(&item_id, value);
        item.audio = audio;
        item.audio_ms = audio_ms as u32;
        self.conversation.push(item);
        self.announce(&item_id, true);
        let Some(interrupting) = turn else { return };
        let heard = self.script.heard_turn(interrupting);
        if self.settings.transcription().is_some() && self.transcripts.len() < MOST_TRANSCRIPTS {
            let text = heard.unwrap_or_else(|| format!("(speech, {:.1} s)", audio_ms as f64 / 1_000.0));
            let due = now + self.scenario.server.transcribe;
            self.transcripts.push_back(Transcript { due, item_id, text, audio_ms });
        }
    }

    pub(super) fn due_transcripts(&mut self, now: Instant) {
        while self.transcripts.front().is_some_and(|transcript| transcript.due <= now) {
            let Some(Transcript { item_id, text, audio_ms, .. }) = self.transcripts.pop_front() else { return };
            let event = |name: &str| format!("conversation.item.input_audio_transcription.{name}");
            let body = json!({"item_id": item_id, "content_index": 0, "delta": text});
            self.wire.event(&event("delta"), body);
            let usage = match self.settings.transcription() {
                Some("whisper-1") | None => json!({"type": "duration", "seconds": audio_ms as f64 / 1_000.0}),
                Some(_) => {
                    let (input, output) = (audio_ms.div_ceil(100), super::usage::text_tokens(&text));
                    json!({"type": "tokens", "total_tokens": input + output, "input_tokens": input,
                        "input_token_details": {"text_tokens": 0, "audio_tokens": input}, "output_tokens": output})
                }
            };
            let body = json!({"item_id": item_id, "content_index": 0, "transcript": text, "usage": usage});
            self.wire.event(&event("completed"), body);
            if let Some(item) = self.conversation.get_mut(&item_id) {
                item.value["content"][0]["transcript"] = json!(text);
            }
        }
    }
}
