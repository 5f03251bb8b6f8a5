//! Dialogs into the journal, and the end of those that an earlier process left behind (OVL-06, P2).
//!
//! In: what the user agent says has changed; the entries found at the start. Out: lines of the journal; BYEs with a Reason.

use super::super::journal::Entry;
use super::Signalling;
use crate::sip::headers::Reason;
use crate::sip::user_agent::{SessionId, UaCommand};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// BYEs in one look (there are ten a second): 200 calls are over at once, 10,000 in some seconds, without a storm.
const AT_ONCE: usize = 250;
/// By then the targets' names are resolved, and with them whom TLS must find there.
const STREAMS_AFTER: Duration = Duration::from_secs(2);

/// The dialogs of an earlier process.
pub(super) struct Orphans {
    /// Those by datagrams first.
    waiting: VecDeque<Entry>,
    streams_at: Instant,
}

impl Orphans {
    pub fn new(now: Instant, mut entries: Vec<Entry>) -> Orphans {
        if !entries.is_empty() {
            tracing::warn!(
                dialogs = entries.len(),
                "the process before this one did not end its calls: they get BYE now"
            );
        }
        entries.sort_by_key(|entry| entry.dialog.transport.is_reliable());
        Orphans { waiting: entries.into(), streams_at: now + STREAMS_AFTER }
    }

    fn next(&mut self, now: Instant) -> Option<Entry> {
        let first = self.waiting.front()?;
        let due = !first.dialog.transport.is_reliable() || now >= self.streams_at;
        if due { self.waiting.pop_front() } else { None }
    }
}

impl Signalling {
    /// Writes down what changed.
    pub(super) fn note_dialogs(&mut self) {
        for session in self.parts.user_agent.changed_dialogs() {
            if let Some((trunk, dialog)) = self.parts.user_agent.dialog(session) {
                self.parts.journal.put(session, self.parts.trunks.name(trunk), dialog);
            }
        }
    }

    /// Hangs up what an earlier process left behind.
    pub(super) fn end_orphans(&mut self, now: Instant) {
        for _ in 0..AT_ONCE {
            let Some(entry) = self.orphans.next(now) else { return };
            self.end_orphan(now, entry);
        }
    }

    fn end_orphan(&mut self, now: Instant, entry: Entry) {
        let key = entry.key();
        let Some(trunk) = self.parts.trunks.by_name(&entry.trunk) else {
            let trunk = entry.trunk;
            tracing::warn!(%trunk, "a call of the process before gets no BYE: the settings have no trunk of its name any more");
            return self.parts.journal.give_up(key);
        };
        self.parts.notes.orphan(&entry.trunk);
        let session = self.parts.user_agent.new_session_id();
        self.parts.journal.adopt(session, key);
        let record = Box::new(entry.dialog);
        self.parts.user_agent.command(now, UaCommand::Resume { session, trunk, record });
        self.parts.user_agent.command(now, UaCommand::Hangup { session, reason: Some(restarted()) });
    }

    pub(super) fn dialog_over(&mut self, session: SessionId) {
        self.parts.journal.end(session);
    }
}

fn restarted() -> Reason {
    Reason { protocol: "SIP".to_owned(), cause: Some(503), text: Some("Restarted".to_owned()) }
}
