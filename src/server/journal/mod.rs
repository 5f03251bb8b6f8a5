//! The journal of dialogs: what is needed to hang up, on disk, so that the next process can do it after a crash (OVL-06).
//!
//! In: [`Journal::put`] and [`Journal::end`], from the signalling task, never blocking. Out: a file (`file`: format, lock, repair)
//! written by one thread, and at the start the [`Entry`]s of the process before.
//!
//! Overflow and failure, written down:
//! - The queue holds [`QUEUE`] changes. One beyond is lost, counted (`journal_full`) and logged: a dialog that is missing gets no
//!   BYE after a crash; one that stays too long gets one that its peer answers with 481.
//! - A change that cannot be written (disk full) is kept in memory, and the file is written anew every second until that works.
//! - Nothing is synced: the file outlives the process, not the machine. Calls do not outlive the machine either, and no caller waits
//!   for a disk.

mod file;

pub use file::{Entry, Key};

use crate::observe::metrics::Metrics;
use crate::sip::user_agent::{DialogRecord, SessionId};
use file::JournalFile;
use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Changes on their way to the thread.
const QUEUE: usize = 8192;
const RETRY: Duration = Duration::from_secs(1);

enum Change {
    Put(Box<Entry>),
    End(Key),
}

/// The end that signalling has.
pub struct Journal {
    /// `None`: there is no journal.
    queue: Option<SyncSender<Change>>,
    /// Of the sessions whose dialog is in the file.
    keys: HashMap<SessionId, Key>,
    metrics: Metrics,
    losing: bool,
}

/// What a start finds.
pub struct Started {
    pub journal: Journal,
    /// The dialogs of a process that did not end them.
    pub orphans: Vec<Entry>,
    /// Ends when the [`Journal`] is dropped.
    pub thread: Option<JoinHandle<()>>,
}

/// Opens the journal, if there is one. The error is a sentence for the operator.
pub fn start(path: Option<&Path>, metrics: Metrics) -> Result<Started, String> {
    let journal = |queue| Journal { queue, keys: HashMap::new(), metrics, losing: false };
    let Some(path) = path else {
        return Ok(Started { journal: journal(None), orphans: Vec::new(), thread: None });
    };
    let (file, orphans) = JournalFile::open(path)?;
    let (queue, changes) = sync_channel(QUEUE);
    let run = move || write(file, &changes);
    let thread = std::thread::Builder::new().name("journal".into()).spawn(run);
    let thread = thread.map_err(|e| format!("journal thread: {e}"))?;
    Ok(Started { journal: journal(Some(queue)), orphans, thread: Some(thread) })
}

impl Journal {
    /// The session's dialog is this now.
    pub fn put(&mut self, session: SessionId, trunk: &str, dialog: DialogRecord) {
        if self.queue.is_none() {
            return;
        }
        let entry = Entry { trunk: trunk.to_owned(), dialog };
        self.keys.insert(session, entry.key());
        self.send(Change::Put(Box::new(entry)));
    }

    /// The session ends a dialog of an earlier process.
    pub fn adopt(&mut self, session: SessionId, key: Key) {
        self.keys.insert(session, key);
    }

    /// The session is over.
    pub fn end(&mut self, session: SessionId) {
        if let Some(key) = self.keys.remove(&session) {
            self.send(Change::End(key));
        }
    }

    /// A dialog of an earlier process is nobody's.
    pub fn give_up(&mut self, key: Key) {
        self.send(Change::End(key));
    }

    fn send(&mut self, change: Change) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(change).is_ok() {
            self.losing = false;
            return;
        }
        self.metrics.warning("journal_full");
        if !std::mem::replace(&mut self.losing, true) {
            tracing::error!(
                "the journal of dialogs cannot keep up: after a crash some calls would get no BYE; is the disk slow?"
            );
        }
    }
}

/// Writes until the other end is gone.
fn write(mut file: JournalFile, changes: &Receiver<Change>) {
    let mut failing = false;
    loop {
        let next = if file.is_stale() {
            changes.recv_timeout(RETRY)
        } else {
            changes.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        let written = match next {
            Ok(Change::Put(entry)) => file.put(&entry),
            Ok(Change::End(key)) => file.end(&key),
            Err(RecvTimeoutError::Timeout) => file.rewrite(),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match written {
            Err(error) if !std::mem::replace(&mut failing, true) => {
                tracing::error!(%error, "the journal of dialogs cannot be written; tried again each second");
            }
            Ok(()) if !file.is_stale() && std::mem::take(&mut failing) => {
                tracing::info!("the journal of dialogs is written again");
            }
            _ => {}
        }
    }
    if file.is_stale()
        && let Err(error) = file.rewrite()
    {
        tracing::error!(%error, "the journal of dialogs stays as it was");
    }
}

#[cfg(test)]
mod tests;
