//! The way out of a session: events with their ids, in order, as WebSocket texts.
//!
//! The queue is drained after every input, so its bound is what one input can cause (at most one audio chunk and a
//! response's closing events, or one answer).

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

/// Numbers events, items, responses and calls of one session.
#[derive(Debug)]
pub struct Wire {
    session: u64,
    events: u64,
    objects: u64,
    queue: VecDeque<Output>,
}

impl Wire {
    pub fn new(session: u64) -> Wire {
        Wire { session, events: 0, objects: 0, queue: VecDeque::new() }
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
        self.text(format!(r#"{{"type":"{kind}","event_id":"{event_id}"{comma}{rest}"#));
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
        self.text(text);
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
    pub fn close(&mut self, code: u16, reason: impl Into<String>) {
        self.queue.push_back(Output::Close { code, reason: reason.into() });
    }
    pub fn cut(&mut self) {
        self.queue.push_back(Output::Drop);
    }
    pub fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }
    fn text(&mut self, text: String) {
        self.queue.push_back(Output::Text(text));
    }
    fn event_id(&mut self) -> String {
        self.events += 1;
        format!("event_S{}N{}", self.session, self.events)
    }
}
