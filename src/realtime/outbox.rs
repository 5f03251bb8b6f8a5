//! What the session wants to say and tell, in order, and the memory of which `event_id` was which command.

use super::buffers::Buffers;
use super::dialect::{self, Command};
use super::session::SessionOutput;
use super::{AgentEvent, CommandId, DialectKind};
use std::collections::VecDeque;

/// Client events remembered for `error.event_id`; an error comes within a round trip.
const REMEMBERED: usize = 128;
/// Outputs that wait before caller audio is dropped: the owner drains after every input, so this is never reached by one who does.
const AUDIO_WATERMARK: usize = 512;

/// What a client event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    SessionUpdate,
    Response,
    Cancel,
    Truncate,
    Delete,
    Item,
}

/// A client event that an `error` may name.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentEvent {
    pub number: u64,
    pub what: Sent,
    pub command: Option<CommandId>,
}

/// Collects outputs; the one place that numbers client events.
pub(super) struct Outbox {
    dialect: DialectKind,
    queue: VecDeque<SessionOutput>,
    sent: VecDeque<SentEvent>,
    last_number: u64,
    dropped_audio: u64,
    pub buffers: Buffers,
}

impl Outbox {
    pub fn new(dialect: DialectKind) -> Outbox {
        Outbox {
            dialect,
            queue: VecDeque::new(),
            sent: VecDeque::new(),
            last_number: 0,
            dropped_audio: 0,
            buffers: Buffers::default(),
        }
    }

    /// Encodes and queues; returns the number of the event.
    pub fn send(&mut self, what: Sent, command: Option<CommandId>, event: &Command<'_>) -> u64 {
        self.last_number += 1;
        let number = self.last_number;
        self.queue.push_back(SessionOutput::Send(dialect::encode(self.dialect, event, &format!("vt_{number}"))));
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(SentEvent { number, what, command });
        number
    }

    /// A ready-made `append`.
    pub fn send_audio(&mut self, text: String) {
        if self.queue.len() < AUDIO_WATERMARK {
            self.queue.push_back(SessionOutput::Send(text));
        } else {
            self.dropped_audio += 1;
        }
    }

    /// The client event that `error.event_id` names.
    pub fn named(&self, event_id: &str) -> Option<SentEvent> {
        let number: u64 = event_id.strip_prefix("vt_")?.parse().ok()?;
        self.sent.iter().rev().find(|s| s.number == number).copied()
    }

    pub fn event(&mut self, event: AgentEvent) {
        self.queue.push_back(SessionOutput::Event(event));
    }

    pub fn warn(&mut self, label: &'static str, detail: &str) {
        self.event(AgentEvent::Warning { label, detail: super::fault::excerpt(detail) });
    }

    pub fn disconnect(&mut self) {
        self.queue.push_back(SessionOutput::Disconnect);
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.dropped_audio == 0
    }

    pub fn pop(&mut self) -> Option<SessionOutput> {
        let next = self.queue.pop_front();
        if next.is_none() && self.dropped_audio > 0 {
            let detail = format!("{} appends", std::mem::take(&mut self.dropped_audio));
            return Some(SessionOutput::Event(AgentEvent::Warning { label: "append_dropped", detail }));
        }
        next
    }

    /// Forgets what was still to be sent: the socket is gone or about to be. Events stay.
    pub fn drop_sends(&mut self) {
        self.queue.retain(|output| !matches!(output, SessionOutput::Send(_)));
    }
}
