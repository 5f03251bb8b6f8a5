//! `error` events: by the `event_id` they name first, by code second. Most harm nothing.

use super::ResponseEngine;
use super::slot::Refused;
use crate::realtime::AgentEvent;
use crate::realtime::fault::{SessionFault, describe};
use crate::realtime::outbox::{Outbox, Sent, SentEvent};
use crate::realtime::wire::ErrorInfo;
use std::time::Instant;

impl ResponseEngine {
    pub(super) fn on_error(&mut self, now: Instant, error: &ErrorInfo<'_>, out: &mut Outbox) {
        let named = out.named(&error.event_id);
        // The code of the oldest servers is null.
        let already_active = error.code == "conversation_already_has_active_response"
            || error.message.contains("already has an active response");
        let not_active = error.code == "response_cancel_not_active";
        match named {
            Some(SentEvent { what: Sent::Response, number, .. }) => {
                self.on_response_refused(now, Some(number), error, already_active, named, out);
            }
            Some(SentEvent { what: Sent::Cancel, .. }) => self.on_cancel_refused(now, not_active, error, out),
            Some(SentEvent { what: Sent::Truncate, .. }) => out.warn("truncate_refused", &describe(error)),
            Some(SentEvent { what: Sent::Delete, .. }) => out.warn("delete_refused", &describe(error)),
            Some(SentEvent { what: Sent::Item | Sent::SessionUpdate, command, .. }) => {
                Self::reject(command, &error.code, describe(error), out);
            }
            None if already_active => self.on_response_refused(now, None, error, true, None, out),
            None if not_active => self.on_cancel_refused(now, true, error, out),
            None if error.code == "input_audio_buffer_commit_empty" => out.warn("commit_empty", &describe(error)),
            None => Self::reject(None, &error.code, describe(error), out),
        }
    }

    /// R10: the loser of the race against the server's own cancel or end.
    fn on_cancel_refused(&mut self, now: Instant, not_active: bool, error: &ErrorInfo<'_>, out: &mut Outbox) {
        self.sequencer.cancel_refused(now);
        out.warn(if not_active { "cancel_not_active" } else { "cancel_refused" }, &describe(error));
    }

    fn on_response_refused(
        &mut self,
        now: Instant,
        number: Option<u64>,
        error: &ErrorInfo<'_>,
        already_active: bool,
        named: Option<SentEvent>,
        out: &mut Outbox,
    ) {
        match self.sequencer.refused(now, number, already_active) {
            Refused::Unknown => out.warn("response_refused_late", &describe(error)),
            Refused::Requeued { uncovered, superseded } => {
                for item in &uncovered {
                    self.calls.want_answer(item, "", number.unwrap_or(0));
                }
                out.warn("already_has_active_response", &describe(error));
                if superseded {
                    out.warn("say_superseded", "");
                }
            }
            Refused::Covered => out.warn("already_has_active_response", &describe(error)),
            Refused::Dropped => {
                self.calls.give_up();
                Self::reject(named.and_then(|n| n.command), &error.code, describe(error), out);
                // No response.done follows such an error; of an already active one it does.
                if !already_active {
                    let failed = Some(SessionFault::from_failed_response(error));
                    out.event(AgentEvent::ResponseEnded { spoke: false, failed });
                }
            }
        }
    }
}
