//! Where the server's happenings become log lines and metrics: one method a happening (style: one event, one place).

use crate::call::CallEvent;
use crate::observe::cdr::Cdr;
use std::sync::Arc;

/// Sees every event of every call as it happens, on the thread that runs the call: it must be quick.
pub type Tap = Arc<dyn Fn(&str, &CallEvent) + Send + Sync>;

/// Shared by signalling and the workers; cheap to clone.
#[derive(Clone, Default)]
pub struct Notes {
    tap: Option<Tap>,
}

impl Notes {
    pub fn new(tap: Option<Tap>) -> Notes {
        Notes { tap }
    }

    /// Something happened in a call.
    pub fn call(&self, record: &Cdr, event: &CallEvent) {
        if let Some(tap) = &self.tap {
            tap(&record.call, event);
        }
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
