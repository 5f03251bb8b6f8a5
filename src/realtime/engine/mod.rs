//! The response engine: what the Realtime dialects have in common above their wire forms.
//!
//! In: decoded server events, intents, time. Out (through the outbox): client events and agent events.
//!
//! | file | role |
//! |---|---|
//! | `events` | each server event to the tables below |
//! | `intents` | each intent to client events; barge-in |
//! | `errors` | `error` events to the command they refuse |
//! | `response`, `slot` | one writer of `response.create`; its states |
//! | `segments` | agent speech by item and content part |
//! | `turns` | caller speech |
//! | `tools` | function calls and what still wants an answer |
//! | `usage`, `recent` | token sums; bounded memory of ids |

mod errors;
mod events;
mod intents;
mod recent;
mod response;
mod segments;
mod slot;
mod tools;
mod turns;
mod usage;

use super::dialect::Command;
use super::fault::SessionFault;
use super::outbox::{Outbox, Sent};
use super::{AgentEvent, AgentSpec, SegmentOutcome, TurnDetection, Usage};
use response::Sequencer;
use segments::Segments;
use slot::{Created, Expired, Pending, Running, Wish};
use std::time::Instant;
use tools::Calls;
use turns::Turns;

use super::wire::ConversationId;

/// Longest speech of one response (R11); the rest is cancelled.
const MAX_RESPONSE_MS: u64 = 180_000;

/// The state of one configured session.
pub struct ResponseEngine {
    instructions: String,
    bytes_per_ms: u64,
    /// The server's VAD answers by itself.
    server_creates: bool,
    sequencer: Sequencer,
    segments: Segments,
    calls: Calls,
    turns: Turns,
    usage: Usage,
    /// Numbers the items we create.
    last_item: u64,
}

impl ResponseEngine {
    pub(super) fn new(spec: &AgentSpec) -> ResponseEngine {
        let server_creates = match spec.turn_detection {
            TurnDetection::ServerVad { create_response, .. } | TurnDetection::SemanticVad { create_response, .. } => {
                create_response
            }
        };
        ResponseEngine {
            instructions: spec.instructions.clone(),
            bytes_per_ms: spec.format.bytes_per_ms() as u64,
            server_creates,
            sequencer: Sequencer::new(),
            segments: Segments::new(spec.format),
            calls: Calls::default(),
            turns: Turns::new(),
            usage: Usage::default(),
            last_item: 0,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// When `on_timeout` wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let slot = self.sequencer.deadline();
        let hold = self.held_until().filter(|_| slot.is_none() && self.sequencer.answer_is_pending());
        slot.or(hold)
    }

    pub(super) fn on_timeout(&mut self, now: Instant, out: &mut Outbox) {
        match self.sequencer.expire(now) {
            Some(Expired::Request) => {
                out.warn("response_create_unanswered", "");
                let failed = Some(SessionFault::Server("response.create was not answered".to_owned()));
                out.event(AgentEvent::ResponseEnded { spoke: false, failed });
            }
            Some(Expired::Response(running)) if running.announced => self.stalled(running, out),
            Some(Expired::Response(_)) | None => {}
        }
        self.flush(now, out);
    }

    /// A response that stalled: its `response.done` never came.
    fn stalled(&mut self, running: Running, out: &mut Outbox) {
        out.warn("response_done_missing", &running.id);
        let fault = SessionFault::Server("response.done is missing".to_owned());
        self.end_segments(&running.id, SegmentOutcome::Failed, out);
        out.event(AgentEvent::ResponseEnded { spoke: running.spoke, failed: Some(fault) });
    }

    /// The next response began, so this one is over; only its `response.done` was missed.
    fn overtaken(&mut self, running: Running, out: &mut Outbox) {
        out.warn("response_done_missing", &running.id);
        self.end_segments(&running.id, SegmentOutcome::Completed, out);
        out.event(AgentEvent::ResponseEnded { spoke: running.spoke, failed: None });
    }

    /// Until when a mere answer is left to the server's VAD.
    fn held_until(&self) -> Option<Instant> {
        self.turns.server_creates_until().filter(|_| self.server_creates)
    }

    /// Sends the pending wish if its time has come.
    fn flush(&mut self, now: Instant, out: &mut Outbox) {
        let hold = self.held_until().is_some_and(|until| now < until);
        let Some(pending) = self.sequencer.take_due(now, hold) else { return };
        let composed;
        let command = match &pending.wish {
            Wish::Answer => Command::Respond,
            Wish::Exactly(words) => Command::RespondExactly(words),
            // Instructions of a response replace the session's, so the agent would forget who it is.
            Wish::About(text) if self.instructions.is_empty() => Command::RespondWith(text),
            Wish::About(text) => {
                composed = format!("{}\n\n{text}", self.instructions);
                Command::RespondWith(&composed)
            }
        };
        let number = out.send(Sent::Response, pending.command, &command);
        self.sequencer.requested(now, number, pending);
    }

    fn want(&mut self, now: Instant, pending: Pending, out: &mut Outbox) {
        if self.sequencer.want(pending).is_some() {
            out.warn("say_superseded", "");
        }
        self.flush(now, out);
    }

    /// A response began, announced or not.
    fn response_began(&mut self, now: Instant, id: &str, conversation: ConversationId, out: &mut Outbox) {
        let vad_due = self.held_until().is_some();
        match self.sequencer.created(now, id, conversation, self.turns.current(), vad_due) {
            Created::Known => {}
            Created::Parallel => out.warn("parallel_response", id),
            Created::Started { replaced, ours, cancel } => {
                if let Some(old) = replaced {
                    self.overtaken(old, out);
                }
                self.turns.answered();
                if let Some(event) = ours {
                    let uncovered = self.calls.answered_by_us(event);
                    if let Some(running) = self.sequencer.running_mut() {
                        running.uncovered = uncovered;
                    }
                } else {
                    self.calls.answered_by_server();
                    if self.calls.all_answered() {
                        self.sequencer.drop_pending_answer();
                    }
                }
                out.event(AgentEvent::ResponseStarted);
                if cancel {
                    self.cancel_running(now, out);
                }
            }
        }
    }

    /// Cancels what runs and quarantines the rest of it: late deltas are dropped from here on.
    ///
    /// Sent even when the server's VAD cancels by itself: compatible servers do not all honour `interrupt_response`, and
    /// the price is one benign `response_cancel_not_active`. It names the response, so it can never hit the next one.
    fn cancel_running(&mut self, now: Instant, out: &mut Outbox) {
        let Some(id) = self.sequencer.cancel(now) else { return };
        let response_id = Some(id.as_str()).filter(|id| !id.is_empty());
        out.send(Sent::Cancel, None, &Command::Cancel { response_id });
        for segment in self.segments.end_response(&id, false) {
            out.event(AgentEvent::SegmentEnded { segment, outcome: SegmentOutcome::Interrupted });
        }
    }

    fn end_segments(&mut self, response: &str, outcome: SegmentOutcome, out: &mut Outbox) {
        let ended = self.segments.end_response(response, true);
        self.tell_texts(out);
        for segment in ended {
            out.event(AgentEvent::SegmentEnded { segment, outcome });
        }
    }

    fn tell_texts(&mut self, out: &mut Outbox) {
        for (segment, text) in self.segments.take_texts() {
            out.event(AgentEvent::AgentText { segment, text });
        }
    }
}

#[cfg(test)]
mod tests;
