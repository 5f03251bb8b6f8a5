//! The way out of a session: events with their ids, in order, as WebSocket texts.
//!
//! The queue is drained after every input, so its bound is what one input can cause (at most one audio chunk and a
//! response's closing events, or one answer).

use super::scenario::{Break, Fault};
use super::shape::Refused;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Instant;

/// What the socket has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this text message.
    Text(String),
    /// Send a close frame and stop.
    Close { code: u16, reason: String },
    /// Cut the connection without a close frame.
    Drop,
    /// Nothing more to do before this moment (or before the client speaks).
    Timeout(Option<Instant>),
}

/// Numbers events, items, responses and calls of one session, and goes wrong where the scenario says so.
#[derive(Debug)]
pub struct Wire {
    session: u64,
    events: u64,
    objects: u64,
    queue: VecDeque<Output>,
    /// Faults to come, each with how often its event still has to be sent.
    faults: Vec<(u32, Fault)>,
    /// Nothing is sent any more, the socket stays open.
    muted: bool,
    /// The last output is queued.
    over: bool,
}

impl Wire {
    pub fn new(session: u64, faults: &[Fault]) -> Wire {
        let faults = faults.iter().map(|fault| (fault.nth, fault.clone())).collect();
        Wire { session, events: 0, objects: 0, queue: VecDeque::new(), faults, muted: false, over: false }
    }
    /// Whether the session has ended.
    pub fn is_over(&self) -> bool {
        self.over
    }
    /// A new id: `item_S1N4`. Unique over the sessions of one server.
    pub fn id(&mut self, kind: &str) -> String {
        self.objects += 1;
        format!("{kind}_S{}N{}", self.session, self.objects)
    }
    /// Queues an event; `body` is an object without `type` and `event_id`.
    pub fn event(&mut self, kind: &str, body: Value) {
        let event_id = self.event_id();
        let body = body.to_string();
        let rest = body.strip_prefix('{').unwrap_or("}");
        let comma = if rest == "}" { "" } else { "," };
        self.text(kind, format!(r#"{{"type":"{kind}","event_id":"{event_id}"{comma}{rest}"#));
    }
    /// Queues an audio delta. Written by hand: in echo mode it is the cost of a session.
    pub fn audio_delta(&mut self, kind: &str, at: &str, base64: &str) {
        let event_id = self.event_id();
        let mut text = String::with_capacity(kind.len() + at.len() + base64.len() + 64);
        for piece in
            [r#"{"type":""#, kind, r#"","event_id":""#, &event_id, r#"","#, at, r#","delta":""#, base64, r#""}"#]
        {
            text.push_str(piece);
        }
        self.text(kind, text);
    }
    /// Queues an `error` event.
    pub fn error(&mut self, refused: &Refused, client_event: Option<&str>) {
        self.error_of(
            "invalid_request_error",
            Some(refused.code),
            &refused.message,
            refused.param.as_deref(),
            client_event,
        );
    }
    /// Queues an `error` event of any type.
    pub fn error_of(
        &mut self,
        kind: &str,
        code: Option<&str>,
        message: &str,
        param: Option<&str>,
        client_event: Option<&str>,
    ) {
        let error = json!({"type": kind, "code": code, "message": message, "param": param, "event_id": client_event});
        self.event("error", json!({ "error": error }));
    }
    /// The connection breaks. [`Break::Mute`] only stops what is sent.
    pub fn break_with(&mut self, broken: &Break) {
        match broken {
            _ if self.over => {}
            Break::Close { code, reason } => {
                self.queue.push_back(Output::Close { code: *code, reason: reason.clone() });
                self.over = true;
            }
            Break::Drop => {
                self.queue.push_back(Output::Drop);
                self.over = true;
            }
            Break::Mute => self.muted = true,
            Break::Send(text) => self.push(text.clone()),
        }
    }
    pub fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }
    fn text(&mut self, kind: &str, text: String) {
        self.push(text);
        if self.faults.is_empty() {
            return;
        }
        for (left, _) in self.faults.iter_mut().filter(|(_, fault)| fault.after_event == kind) {
            *left = left.saturating_sub(1);
        }
        while let Some(at) = self.faults.iter().position(|(left, _)| *left == 0) {
            let (_, fault) = self.faults.remove(at);
            self.break_with(&fault.broken);
        }
    }
    fn push(&mut self, text: String) {
        if !self.muted && !self.over {
            self.queue.push_back(Output::Text(text));
        }
    }
    fn event_id(&mut self) -> String {
        self.events += 1;
        format!("event_S{}N{}", self.session, self.events)
    }
}
