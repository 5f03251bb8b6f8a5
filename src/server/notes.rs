//! Where the server's happenings become log lines and metrics: one method a happening (style: one event, one place).

use crate::call::end::Cause;
use crate::call::{CallEvent, CallRecord};
use crate::observe::cdr::Cdr;
use crate::observe::events;
use crate::observe::metrics::Metrics;
use crate::sip::Flow;
use crate::sip::registration::RegistrationState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Sees every event of every call as it happens, on the thread that runs the call: it must be quick.
pub type Tap = Arc<dyn Fn(&str, &CallEvent) + Send + Sync>;

/// Shared by signalling and the workers; cheap to clone.
#[derive(Clone, Default)]
pub struct Notes {
    tap: Option<Tap>,
    metrics: Metrics,
}

/// Counts as one open Realtime session while it lives.
pub struct OpenSession(Metrics);

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.realtime_closed();
    }
}

impl Notes {
    pub fn new(tap: Option<Tap>, metrics: Metrics) -> Notes {
        Notes { tap, metrics }
    }

    /// Something happened in a call.
    pub fn call(&self, record: &Cdr, event: &CallEvent) {
        if let Some(tap) = &self.tap {
            tap(&record.call, event);
        }
        events::note(record, event, &self.metrics);
    }

    /// A call was taken in.
    pub fn call_started(&self, record: &Cdr) {
        self.metrics.invite("accepted");
        self.metrics.trunk_invite(record.trunk.as_deref().unwrap_or_default(), "accepted");
        self.metrics.call_started();
        let plan = record.dialplan.as_deref().unwrap_or_default();
        tracing::info!(call = %record.call, source = %record.source, dialplan = plan, "incoming call");
    }

    /// An INVITE was refused before there was a call; `result` is the cause of its record.
    pub fn refused(&self, trunk: &str, result: &'static str) {
        self.metrics.invite(result);
        self.metrics.trunk_invite(trunk, result);
    }

    /// A call of the process before gets its BYE (OVL-06).
    pub fn orphan(&self, trunk: &str) {
        self.metrics.warning("orphaned_call");
        tracing::info!(%trunk, "BYE for a call of the process before");
    }

    /// A call is over; its record is [`Notes::ended`]'s.
    pub fn call_gone(&self) {
        self.metrics.call_gone();
    }

    /// The one record of an INVITE.
    pub fn ended(&self, record: &CallRecord) {
        let cdr = &record.cdr;
        self.metrics.ended(cdr);
        if let Cause::Realtime(fault) = &record.end.cause {
            self.metrics.realtime_failed(fault.label());
            tracing::warn!(call = %cdr.call, provider = cdr.provider, %fault, "the Realtime session failed");
        }
        let (cause, by, status, talk_ms) = (&cdr.cause, cdr.ended_by, cdr.sip_status, cdr.talk_ms);
        tracing::info!(call = %cdr.call, %cause, ?by, status, talk_ms, "call ended");
    }

    pub fn realtime_opened(&self) -> OpenSession {
        self.metrics.realtime_opened();
        OpenSession(self.metrics.clone())
    }

    pub fn tick_lag(&self, lag: Duration) {
        self.metrics.tick_lag(lag);
    }

    /// Something of no trunk was dropped.
    pub fn foreign(&self, source: SocketAddr) {
        self.metrics.sip_dropped("foreign_source");
        tracing::debug!(%source, "dropped: of no trunk");
    }

    /// A source sends more than its budget; the message was dropped, unread.
    pub fn too_fast(&self, source: SocketAddr) {
        self.metrics.sip_dropped("rate");
        tracing::debug!(%source, "dropped: too many messages");
    }

    /// A source guessed passwords.
    pub fn locked_out(&self, source: SocketAddr) {
        self.metrics.sip_dropped("locked_out");
        tracing::warn!(%source, "dropped: too many wrong passwords; it is heard again in ten minutes");
    }

    /// The gate for new calls opened or shut.
    pub fn load(&self, shut: Option<&'static str>, cpu_percent: u32) {
        match shut {
            Some(gate) => tracing::warn!(gate, cpu_percent, "too busy: no new calls for now"),
            None => tracing::info!(cpu_percent, "new calls are taken again"),
        }
    }

    /// A target's name has no address.
    pub fn target_unknown(&self, trunk: &str, why: &str) {
        tracing::warn!(trunk, why, "a target has no address");
    }

    /// A target answers OPTIONS again, or no longer.
    pub fn target_turned(&self, trunk: &str, target: SocketAddr, up: bool, status: u16) {
        self.metrics.trunk_target_up(trunk, &target.to_string(), up);
        match up {
            true => tracing::info!(trunk, %target, status, "target is up"),
            false => tracing::warn!(trunk, %target, status, "target is down: calls go to the next one"),
        }
    }

    /// A registration has another state.
    pub fn registration(&self, trunk: &str, state: RegistrationState, trouble: Option<&str>) {
        self.metrics.trunk_registered(trunk, state == RegistrationState::Registered);
        let state = state.label();
        match trouble {
            None => tracing::info!(trunk, state, "registration"),
            Some(trouble) => tracing::warn!(trunk, state, trouble, "registration"),
        }
    }

    /// A trunk's calls, for the gauges.
    pub fn trunk_calls(&self, trunk: &str, calls: usize) {
        self.metrics.trunk_calls(trunk, calls);
    }

    /// A peer opens more connections than it may.
    pub fn too_many_connections(&self, source: SocketAddr) {
        self.metrics.sip_dropped("too_many_connections");
        tracing::warn!(%source, "dropped: too many SIP connections");
    }

    /// A connection that brought no message was closed for the sake of newer ones (A9).
    pub fn silent_connection(&self, source: SocketAddr) {
        self.metrics.sip_dropped("silent_connection");
        tracing::debug!(%source, "closed: too many SIP connections without a message");
    }

    /// A stream could not be opened, or its TLS handshake failed; warned of if `loud`.
    pub fn stream_failed(&self, flow: Flow, why: &str, loud: bool) {
        self.metrics.sip_dropped("stream_failed");
        let (peer, transport) = (flow.remote, flow.transport.via_token());
        if loud {
            tracing::warn!(%peer, transport, why, "no SIP connection");
        } else {
            tracing::debug!(%peer, transport, why, "no SIP connection");
        }
    }
}
