//! The Realtime connection: opening, the session on it, closing.
//!
//! In: what the owner says of the WebSocket. Out: texts, and the session's events to `agent`.

use super::Output;
use super::machine::{Call, Phase};
use crate::realtime::buffers::{Buffers, Used};
use crate::realtime::session::{Session, SessionFault, SessionOutput, SessionParams};
use crate::realtime::{CommandId, Intent};
use std::time::{Duration, Instant};

/// The WebSocket as the owner holds it for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Socket {
    None,
    Opening { deadline: Instant },
    Open,
    Closed,
}

impl Call {
    pub(super) fn open_realtime(&mut self, now: Instant, connect_timeout: Duration) {
        // The owner gives up first; this is for an owner that never answers.
        self.socket = Socket::Opening { deadline: now + connect_timeout + Duration::from_secs(1) };
        self.put(Output::OpenRealtime);
    }

    pub(super) fn realtime_refused(&mut self, now: Instant, fault: SessionFault) {
        if matches!(self.socket, Socket::Opening { .. }) {
            self.socket = Socket::Closed;
            self.realtime_failed(now, fault);
        }
    }

    pub(super) fn realtime_closed(&mut self, now: Instant, code: Option<u16>, reason: &str) {
        if self.socket == Socket::Open {
            self.socket = Socket::Closed;
            if let Some(session) = &mut self.session {
                session.handle_close(now, code, reason);
            }
        }
    }

    pub(super) fn realtime_open(&mut self, now: Instant) {
        if !matches!(self.socket, Socket::Opening { .. }) {
            return;
        }
        self.socket = Socket::Open;
        let params = SessionParams {
            endpoint: self.endpoint.clone(),
            agent: super::agent::spec(&self.plan, self.format),
            ready_timeout: self.ready_timeout,
        };
        self.session = Some(Box::new(Session::new(now, params)));
    }

    pub(super) fn realtime_clock(&mut self, now: Instant) {
        if self.is_ended() {
            return;
        }
        match self.socket {
            Socket::Opening { deadline } if now >= deadline => {
                self.close_socket();
                self.realtime_failed(now, SessionFault::Timeout);
            }
            Socket::Open if self.session_timeout.is_some_and(|t| t <= now) => {
                self.session_timeout = None;
                if let Some(session) = &mut self.session {
                    session.handle_timeout(now);
                }
            }
            _ => {}
        }
    }

    /// Session outputs → ours.
    pub(super) fn pump(&mut self, now: Instant) {
        while let Some(session) = &mut self.session {
            if matches!(self.phase, Phase::Ended) {
                return;
            }
            match session.poll_output() {
                SessionOutput::Send(text) => {
                    if self.socket == Socket::Open {
                        self.put(Output::RealtimeText(text));
                    }
                }
                SessionOutput::Event(event) => self.agent_event(now, event),
                SessionOutput::Disconnect => self.close_socket(),
                SessionOutput::Timeout(at) => {
                    self.session_timeout = at.filter(|_| self.socket == Socket::Open);
                    return;
                }
            }
        }
    }

    pub(super) fn close_socket(&mut self) {
        if matches!(self.socket, Socket::Opening { .. } | Socket::Open) {
            self.socket = Socket::Closed;
            self.put(Output::CloseRealtime);
        }
    }

    /// Lends the session the owner's buffers for an input and its outputs; gives back what it had. An owner that does not is served as well.
    pub fn lend(&mut self, buffers: Buffers) -> Buffers {
        match &mut self.session {
            Some(session) => session.lend(buffers),
            None => buffers,
        }
    }

    /// A text of [`Output::RealtimeText`] that was sent, or audio that was played.
    pub fn reuse(&mut self, used: Used) {
        if let Some(session) = &mut self.session {
            session.reuse(used);
        }
    }

    /// Asks the session; `None` when there is none that could do it.
    pub(super) fn intent(&mut self, now: Instant, intent: Intent) -> Option<CommandId> {
        let session = self.session.as_mut().filter(|_| self.ready)?;
        Some(session.intent(now, intent))
    }
}
