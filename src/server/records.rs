//! Writes call records and transcripts on a thread of its own, so that a slow disk never holds up a call.
//!
//! Queue: 4,096 records; one more goes to the log instead of the file, whole, so that none is lost (OVL-08).

use crate::call::CallRecord;
use crate::config::settings::ObserveSettings;
use crate::observe::cdr::Cdr;
use crate::observe::pii::Pii;
use std::fs::{File, OpenOptions, create_dir_all};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

const QUEUE: usize = 4096;

struct Entry {
    cdr: Cdr,
    transcript: Vec<(u64, &'static str, Pii<String>)>,
}

/// The writing end. Dropping it lets the thread write what is queued and end.
pub struct Records {
    queue: SyncSender<Entry>,
}

impl Records {
    /// Opens the CDR file for appending; the error names it.
    pub fn start(settings: &ObserveSettings) -> Result<(Records, JoinHandle<()>), String> {
        let file = match &settings.cdr {
            Some(path) => Some(open(path)?),
            None => None,
        };
        let (queue, entries) = sync_channel(QUEUE);
        let transcripts = settings.transcripts.clone();
        let thread = std::thread::Builder::new()
            .name("records".into())
            .spawn(move || write_all(entries, file, &transcripts))
            .map_err(|e| format!("records thread: {e}"))?;
        Ok((Records { queue }, thread))
    }

    /// Queues one record.
    pub fn write(&self, record: CallRecord) {
        let entry = Entry { cdr: record.cdr, transcript: record.transcript };
        if let Err(std::sync::mpsc::TrySendError::Full(entry) | std::sync::mpsc::TrySendError::Disconnected(entry)) =
            self.queue.try_send(entry)
        {
            tracing::error!(cdr = %line(&entry.cdr), "the CDR file is too slow; here is the record");
        }
    }
}

fn open(path: &Path) -> Result<BufWriter<File>, String> {
    let explain = |e: std::io::Error| format!("cannot write call records to {}: {e}; set observe.cdr", path.display());
    if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        create_dir_all(directory).map_err(explain)?;
    }
    Ok(BufWriter::new(OpenOptions::new().create(true).append(true).open(path).map_err(explain)?))
}

fn line(cdr: &Cdr) -> String {
    serde_json::to_string(cdr).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"))
}

fn write_all(entries: Receiver<Entry>, mut file: Option<BufWriter<File>>, transcripts: &Path) {
    while let Ok(first) = entries.recv() {
        // One flush for what came together.
        for entry in std::iter::once(first).chain(entries.try_iter()) {
            if let Some(file) = &mut file
                && let Err(error) = writeln!(file, "{}", line(&entry.cdr))
            {
                tracing::error!(%error, cdr = %line(&entry.cdr), "cannot write the CDR file; here is the record");
            }
            if !entry.transcript.is_empty()
                && let Err(error) = write_transcript(transcripts, &entry)
            {
                tracing::error!(%error, call = %entry.cdr.call, "cannot write the transcript");
            }
        }
        if let Some(Err(error)) = file.as_mut().map(Write::flush) {
            tracing::error!(%error, "cannot flush the CDR file");
        }
    }
}

/// `<directory>/<call id>.jsonl`; the id is ours, so no name from outside is a path.
fn write_transcript(directory: &Path, entry: &Entry) -> std::io::Result<()> {
    create_dir_all(directory)?;
    let path: PathBuf = directory.join(format!("{}.jsonl", entry.cdr.call));
    let mut file = BufWriter::new(File::create(path)?);
    for (unix_ms, who, text) in &entry.transcript {
        let turn = serde_json::json!({ "unix_ms": unix_ms, "who": who, "text": text.expose() });
        writeln!(file, "{turn}")?;
    }
    file.flush()
}
