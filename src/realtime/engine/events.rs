//! Server events to the engine's tables.

use super::segments::{Delta, PartId};
use super::slot::{Pending, Running, Wish};
use super::tools::{NotProposed, Proposed};
use super::{MAX_RESPONSE_MS, ResponseEngine, usage};
use crate::realtime::buffers::{Buffers, Used};
use crate::realtime::fault::{SessionFault, describe};
use crate::realtime::outbox::Outbox;
use crate::realtime::wire::{AudioDelta, ConversationId, ItemInfo, Kind, ResponseInfo, ServerEvent};
use crate::realtime::{AgentEvent, SegmentId, SegmentOutcome};
use std::time::Instant;

impl ResponseEngine {
    pub(in crate::realtime) fn on_event(&mut self, now: Instant, event: &ServerEvent<'_>, out: &mut Outbox) {
        match event.kind() {
            Kind::AudioDelta => self.on_audio(now, event, out),
            Kind::TranscriptDelta => {
                if self.accept(now, event, out)
                    && let Some(running) = self.sequencer.running()
                {
                    self.segments.gather_text(running_part(running, event), self.turns.current(), &event.delta);
                }
            }
            Kind::TranscriptDone => self.on_transcript(now, event, &event.transcript, out),
            Kind::ContentPartDone => {
                self.segments.final_text(part_of(event), &event.part.transcript);
                self.tell_texts(out);
                self.end_part(event, out);
            }
            Kind::AudioDone => self.end_part(event, out),
            Kind::ResponseCreated => self.response_began(now, &event.response.id, event.response.conversation_id, out),
            Kind::ResponseDone => self.on_response_done(now, event, out),
            Kind::OutputItemAdded => {
                self.sequencer.touch(now);
                if event.item.kind == "function_call" {
                    let item = &event.item;
                    self.calls.note(&event.response_id, &item.id, &item.call_id, &item.name, None);
                }
            }
            Kind::ArgumentsDone => {
                self.sequencer.touch(now);
                let arguments = Some(event.arguments.as_ref());
                self.calls.note(&event.response_id, &event.item_id, &event.call_id, &event.function, arguments);
            }
            Kind::OutputItemDone => {
                self.sequencer.touch(now);
                self.on_item_done(&event.response_id, &event.item, out);
            }
            Kind::ItemInConversation => self.calls.shown(&event.item),
            Kind::SpeechStarted => {
                if let Some(turn) = self.turns.started(now, &event.item_id) {
                    out.event(AgentEvent::CallerSpeechStarted { turn, audio_ms: event.audio_start_ms });
                }
            }
            Kind::SpeechStopped => {
                if let Some(turn) = self.turns.stopped(now, &event.item_id) {
                    out.event(AgentEvent::CallerSpeechStopped { turn, audio_ms: event.audio_end_ms });
                }
            }
            Kind::Committed => self.turns.committed(&event.item_id),
            Kind::CallerTranscript => {
                if let Some(turn) = self.turns.transcribed(&event.item_id)
                    && !event.transcript.trim().is_empty()
                {
                    out.event(AgentEvent::CallerText { turn, text: event.transcript.trim().to_owned() });
                }
            }
            Kind::CallerTranscriptFailed => out.warn("transcription_failed", &describe(&event.error)),
            Kind::Error => self.on_error(now, &event.error, out),
            Kind::SessionCreated | Kind::SessionUpdated | Kind::Ignored => {}
            Kind::Unknown => out.warn("unknown_event", &event.name),
        }
        self.flush(now, out);
    }

    /// Whether a delta belongs to the running response; not so for one that is over, cut off or out of band. A response that was
    /// never announced begins here. Deltas without a response id belong to what runs.
    fn accept(&mut self, now: Instant, event: &ServerEvent<'_>, out: &mut Outbox) -> bool {
        if self.sequencer.is_quarantined(&event.response_id) {
            return false;
        }
        let named = |id: &str| event.response_id.is_empty() || event.response_id == id;
        let runs = self.sequencer.running().is_some_and(|r| r.announced && named(&r.id));
        if !runs {
            self.response_began(now, &event.response_id, ConversationId::Absent, out);
            if self.sequencer.is_cancelling() {
                return false;
            }
        }
        self.sequencer.touch(now);
        self.sequencer.running().is_some()
    }

    fn on_audio(&mut self, now: Instant, event: &ServerEvent<'_>, out: &mut Outbox) {
        if !self.accept(now, event, out) {
            return;
        }
        let Some(running) = self.sequencer.running() else { return };
        let buffer = out.buffers.take_audio();
        match self.segments.audio(running_part(running, event), running.turn, &event.delta, buffer) {
            Delta::Late => out.warn("late_audio", &event.item_id),
            Delta::NotBase64 => out.warn("bad_base64", &event.item_id),
            Delta::Nothing => {}
            Delta::Audio { segment, started, audio } => {
                if started {
                    out.event(AgentEvent::SegmentStarted { segment });
                    self.tell_texts(out);
                }
                let bytes_per_ms = self.bytes_per_ms;
                let mut too_long = false;
                if let Some(running) = self.sequencer.running_mut() {
                    running.spoke = true;
                    running.audio_bytes += audio.len() as u64;
                    too_long = running.audio_bytes / bytes_per_ms > MAX_RESPONSE_MS;
                }
                out.event(AgentEvent::Audio { segment, audio });
                if too_long {
                    let response = self.sequencer.running().map(|running| running.id.clone()).unwrap_or_default();
                    out.warn("response_too_long", &response);
                    self.cancel_running(now, out);
                }
            }
        }
    }

    /// The audio of a delta, if that is all it brings: its response and its segment are known, and nothing waits for a place. `None`: nothing was
    /// done, and the delta is one for [`Self::on_event`].
    pub(in crate::realtime) fn next_audio(
        &mut self,
        now: Instant,
        delta: &AudioDelta<'_>,
        buffers: &mut Buffers,
    ) -> Option<(SegmentId, Vec<u8>)> {
        let running = self.sequencer.speaking(delta.response_id)?;
        // The text is longer than what it stands for: what is within the bound as text is so as audio.
        if (running.audio_bytes + delta.delta.len() as u64) / self.bytes_per_ms > MAX_RESPONSE_MS {
            return None;
        }
        let part = PartId { response: &running.id, item: delta.item_id, content_index: delta.content_index };
        let mut audio = buffers.take_audio();
        let Some(segment) = self.segments.next_piece(part, delta.delta, &mut audio) else {
            buffers.put(Used::Audio(audio));
            return None;
        };
        running.spoke = true;
        running.audio_bytes += audio.len() as u64;
        self.sequencer.touch(now);
        Some((segment, audio))
    }

    fn on_transcript(&mut self, now: Instant, event: &ServerEvent<'_>, text: &str, out: &mut Outbox) {
        // Of a response that was cut off only parts that were heard of matter, of any other it may come ahead of audio.
        if self.accept(now, event, out)
            && let Some(running) = self.sequencer.running()
        {
            self.segments.expect(running_part(running, event), self.turns.current());
        }
        self.segments.final_text(part_of(event), text);
        self.tell_texts(out);
    }

    fn end_part(&mut self, event: &ServerEvent<'_>, out: &mut Outbox) {
        if let Some(segment) = self.segments.end_part(part_of(event)) {
            out.event(AgentEvent::SegmentEnded { segment, outcome: SegmentOutcome::Completed });
        }
    }

    /// An item in its final form, from `output_item.done` or `response.done`.
    fn on_item_done(&mut self, response: &str, item: &ItemInfo<'_>, out: &mut Outbox) {
        if item.kind == "function_call" {
            let proposed = self.calls.item_done(response, item);
            tell_call(proposed, out);
            return;
        }
        for (index, part) in item.content.iter().enumerate() {
            let content_index = u32::try_from(index).unwrap_or(u32::MAX);
            self.segments.final_text(PartId { response, item: &item.id, content_index }, &part.transcript);
        }
        self.tell_texts(out);
        let outcome = match item.status.as_ref() {
            "incomplete" => SegmentOutcome::Interrupted,
            _ => SegmentOutcome::Completed,
        };
        for segment in self.segments.end_item(&item.id) {
            out.event(AgentEvent::SegmentEnded { segment, outcome });
        }
    }

    fn on_response_done(&mut self, now: Instant, event: &ServerEvent<'_>, out: &mut Outbox) {
        let id = if event.response.id.is_empty() { &event.response_id } else { &event.response.id };
        if self.sequencer.is_over(id) {
            return;
        }
        if self.sequencer.running().is_none_or(|r| !r.announced) && !self.sequencer.is_quarantined(id) {
            self.response_began(now, id, event.response.conversation_id, out);
        }
        let response = &event.response;
        for item in &response.output {
            self.on_item_done(id, item, out);
        }
        for proposed in self.calls.response_done(id, &response.status) {
            tell_call(proposed, out);
        }
        usage::add(&mut self.usage, &response.usage);
        if let Some(running) = self.sequencer.done(now, id) {
            let failed = failure(response);
            let outcome = match response.status.as_ref() {
                "cancelled" => SegmentOutcome::Interrupted,
                "failed" => SegmentOutcome::Failed,
                _ => SegmentOutcome::Completed,
            };
            if response.status == "incomplete" {
                out.warn("response_incomplete", &response.status_details.reason);
            }
            self.end_segments(&running.id, outcome, out);
            out.event(AgentEvent::Usage(self.usage));
            out.event(AgentEvent::ResponseEnded { spoke: running.spoke, failed });
            if self.calls.batch_is_complete(&running.id) {
                self.want(now, Pending { wish: Wish::Answer, command: None, refusals: 0 }, out);
            }
        } else {
            out.event(AgentEvent::Usage(self.usage));
        }
    }
}

fn part_of<'a>(event: &'a ServerEvent<'_>) -> PartId<'a> {
    PartId { response: &event.response_id, item: &event.item_id, content_index: event.content_index }
}

/// A failed response comes without an `error` event; its reason is in here only.
fn failure(response: &ResponseInfo<'_>) -> Option<SessionFault> {
    (response.status == "failed").then(|| SessionFault::from_failed_response(&response.status_details.error))
}

fn tell_call(proposed: Result<Proposed, NotProposed>, out: &mut Outbox) {
    match proposed {
        Ok(Proposed { id, name, arguments }) => out.event(AgentEvent::ToolCall { id, name, arguments }),
        Err(NotProposed::Quiet) => {}
        Err(NotProposed::NoId) => out.warn("tool_call_without_id", ""),
        Err(NotProposed::TooMany) => out.warn("too_many_tool_calls", ""),
    }
}

/// The part of the running response that the event is about.
fn running_part<'a>(running: &'a Running, event: &'a ServerEvent<'_>) -> PartId<'a> {
    PartId { response: &running.id, item: &event.item_id, content_index: event.content_index }
}
