//! One connection from connect to close: waits for `session.created`, configures, holds the deadline, feeds the engine.

use super::{AgentEvent, AgentSpec, CommandId, Endpoint, Intent, Usage};
use std::time::{Duration, Instant};

/// Why a session failed or ended. The verdict (caller-facing and retry) follows from the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionFault {
    /// DNS, TCP, TLS, HTTP other than below.
    Connect(String),
    /// 401 / 403.
    Unauthorised(String),
    /// 404: model or deployment unknown.
    NotFound(String),
    /// 429, quota.
    RateLimited(String),
    /// No `session.updated` in time.
    Timeout,
    /// `session.update` was refused: the configuration is bad.
    BadConfiguration(String),
    /// The length cap.
    Expired,
    /// The dialect was refused (`beta_api_shape_disabled`, foreign fields).
    WrongDialect(String),
    /// The socket closed or broke; the close code if one came.
    Lost { code: Option<u16>, reason: String },
    /// Server-side failure of a response.
    Server(String),
}

impl SessionFault {
    /// Label for metrics and CDR.
    pub fn label(&self) -> &'static str {
        match self {
            SessionFault::Connect(_) => "realtime_connect",
            SessionFault::Unauthorised(_) => "realtime_unauthorised",
            SessionFault::NotFound(_) => "realtime_not_found",
            SessionFault::RateLimited(_) => "realtime_rate_limited",
            SessionFault::Timeout => "realtime_timeout",
            SessionFault::BadConfiguration(_) => "realtime_bad_configuration",
            SessionFault::Expired => "realtime_expired",
            SessionFault::WrongDialect(_) => "realtime_wrong_dialect",
            SessionFault::Lost { .. } => "realtime_lost",
            SessionFault::Server(_) => "realtime_server_error",
        }
    }
}

impl std::fmt::Display for SessionFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SessionFault::Connect(s)
            | SessionFault::Unauthorised(s)
            | SessionFault::NotFound(s)
            | SessionFault::RateLimited(s)
            | SessionFault::BadConfiguration(s)
            | SessionFault::WrongDialect(s)
            | SessionFault::Server(s) => write!(f, "{}: {s}", self.label()),
            SessionFault::Timeout | SessionFault::Expired => f.write_str(self.label()),
            SessionFault::Lost { code: Some(c), reason } => write!(f, "realtime_lost: close {c} {reason}"),
            SessionFault::Lost { code: None, reason } => write!(f, "realtime_lost: {reason}"),
        }
    }
}

/// What a session is made of.
#[derive(Clone, Debug)]
pub struct SessionParams {
    pub endpoint: Endpoint,
    pub agent: AgentSpec,
    /// From the connection being open to `session.updated`.
    pub ready_timeout: Duration,
}

/// What comes out.
#[derive(Debug, PartialEq)]
pub enum SessionOutput {
    /// One WebSocket text message.
    Send(String),
    Event(AgentEvent),
    /// Close the socket (1000); no more Send follows.
    Disconnect,
    Timeout(Option<Instant>),
}

/// The machine: dialect + engine + life cycle.
pub struct Session {}

impl Session {
    /// The connection is open (the 101 was received).
    pub fn new(now: Instant, params: SessionParams) -> Session {
        let _ = (now, params);
        todo!()
    }
    pub fn handle_text(&mut self, now: Instant, text: &str) {
        let _ = (now, text);
        todo!()
    }
    /// The socket is gone.
    pub fn handle_close(&mut self, now: Instant, code: Option<u16>, reason: &str) {
        let _ = (now, code, reason);
        todo!()
    }
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }
    pub fn intent(&mut self, now: Instant, intent: Intent) -> CommandId {
        let _ = (now, intent);
        todo!()
    }
    /// Caller audio in the session's format; one `append` event each call. Dropped before Ready.
    pub fn audio(&mut self, audio: &[u8]) {
        let _ = audio;
        todo!()
    }
    pub fn poll_output(&mut self) -> SessionOutput {
        todo!()
    }
    pub fn usage(&self) -> Usage {
        todo!()
    }
}
