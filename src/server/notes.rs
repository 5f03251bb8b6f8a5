//! Where the server's happenings become log lines and metrics: one method a happening (style: one event, one place).

use crate::call::CallEvent;
use crate::observe::cdr::Cdr;

/// Shared by signalling and the workers; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Notes {}

impl Notes {
    pub fn new() -> Notes {
        Notes {}
    }

    /// Something happened in a call.
    pub fn call(&self, record: &Cdr, event: &CallEvent) {
        match event {
            CallEvent::Warning { label, detail } => {
                tracing::debug!(call = %record.call, label, detail, "warning");
            }
            event => tracing::info!(call = %record.call, ?event),
        }
    }

    /// The call, answered or not, is over; this is its one record.
    pub fn ended(&self, cdr: &Cdr) {
        tracing::info!(
            call = %cdr.call,
            cause = %cdr.cause,
            by = ?cdr.ended_by,
            status = cdr.sip_status,
            talk_ms = cdr.talk_ms,
            "call ended"
        );
    }
}
