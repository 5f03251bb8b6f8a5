//! The writer of call records and transcripts (JSON lines): one owner thread, a bounded queue, nothing lost silently.
//!
//! In: [`RecordSender::write`], from any thread, never blocking (a media worker may call).
//! Out: one line a record, written and flushed at once, in files that are opened anew for each batch, so that a log rotator
//! may move them away.
//!
//! Overflow and failure, written down:
//! - The queue holds [`QUEUE`] records. When it is full, the record goes into the log instead (`spilled`).
//! - A record that cannot be written (disk full, directory gone) is kept and tried again every second and with each new
//!   one (`delayed`), up to [`BACKLOG`] records; then the oldest goes into the log (`spilled`).
//! - When all senders are gone, [`RecordWriter::run`] writes what is left, spills what it cannot, and returns.
//!
//! A spilled record has its caller masked; everything else of it is in the log line.

use super::cdr::Cdr;
use super::metrics::Metrics;
use super::pii::Pii;
use crate::call::CallRecord;
use crate::config::settings::ObserveSettings;
use serde::Serialize;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Records on their way to the writer.
const QUEUE: usize = 1024;
/// Records kept while they cannot be written.
const BACKLOG: usize = 10_000;
const RETRY: Duration = Duration::from_secs(1);

/// `(unix_ms, who, text)`; who is `caller` or `agent`.
type TranscriptLine = (u64, &'static str, Pii<String>);

enum Record {
    Cdr(Box<Cdr>),
    Transcript { call: String, lines: Vec<TranscriptLine> },
}

/// The end that calls are given.
#[derive(Clone)]
pub struct RecordSender {
    queue: SyncSender<Record>,
    metrics: Metrics,
    write_cdr: bool,
}

/// The end that a thread owns.
pub struct RecordWriter {
    queue: Receiver<Record>,
    backlog: VecDeque<Record>,
    cdr: Option<PathBuf>,
    transcripts: PathBuf,
    metrics: Metrics,
    failing: bool,
}

/// Makes the two ends. A CDR file that cannot be opened is an error now, at the start, rather than a surprise later.
pub fn records(settings: &ObserveSettings, metrics: Metrics) -> Result<(RecordSender, RecordWriter), String> {
    if let Some(path) = &settings.cdr {
        let explain = |error| format!("cannot write call records to {}: {error}; set observe.cdr", path.display());
        open_for_append(path).map_err(explain)?;
    }
    let (sender, queue) = sync_channel(QUEUE);
    let writer = RecordWriter {
        queue,
        backlog: VecDeque::new(),
        cdr: settings.cdr.clone(),
        transcripts: settings.transcripts.clone(),
        metrics: metrics.clone(),
        failing: false,
    };
    Ok((RecordSender { queue: sender, metrics, write_cdr: settings.cdr.is_some() }, writer))
}

impl RecordSender {
    /// What stays of one call: its CDR, and both sides' words if the number keeps them.
    pub fn write(&self, record: CallRecord) {
        let call = record.cdr.call.clone();
        if self.write_cdr {
            self.send(Record::Cdr(Box::new(record.cdr)));
        }
        if !record.transcript.is_empty() {
            self.send(Record::Transcript { call, lines: record.transcript });
        }
    }
    fn send(&self, record: Record) {
        match self.queue.try_send(record) {
            Ok(()) => {}
            Err(TrySendError::Full(record) | TrySendError::Disconnected(record)) => spill(record, &self.metrics),
        }
    }
}

impl RecordWriter {
    /// Writes until all senders are gone and everything is written or spilled. Blocks: run it on a thread of its own.
    pub fn run(mut self) {
        loop {
            let next = if self.backlog.is_empty() {
                self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.queue.recv_timeout(RETRY)
            };
            match next {
                Ok(record) => self.keep(record),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Ok(record) = self.queue.try_recv() {
                self.keep(record);
            }
            self.write_backlog();
        }
        self.write_backlog();
        for record in self.backlog.drain(..) {
            spill(record, &self.metrics);
        }
    }

    fn keep(&mut self, record: Record) {
        if self.backlog.len() >= BACKLOG
            && let Some(oldest) = self.backlog.pop_front()
        {
            spill(oldest, &self.metrics);
        }
        self.backlog.push_back(record);
    }

    /// Oldest first; stops at the first that cannot be written.
    fn write_backlog(&mut self) {
        let mut cdr_file = None;
        while let Some(record) = self.backlog.front() {
            let written = match record {
                Record::Cdr(cdr) => write_cdr(&mut cdr_file, self.cdr.as_deref(), cdr),
                Record::Transcript { call, lines } => write_transcript(&self.transcripts, call, lines),
            };
            match written {
                Ok(()) => {
                    self.backlog.pop_front();
                    self.metrics.record("written");
                    if std::mem::take(&mut self.failing) {
                        tracing::info!(waiting = self.backlog.len(), "records are written again");
                    }
                }
                Err(error) => {
                    self.metrics.record("delayed");
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::error!(%error, waiting = self.backlog.len(), "records cannot be written; kept for now");
                    }
                    return;
                }
            }
        }
    }
}

fn write_cdr(open: &mut Option<File>, path: Option<&Path>, cdr: &Cdr) -> io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let file = match open {
        Some(file) => file,
        None => open.insert(open_for_append(path)?),
    };
    append_line(file, cdr)
}

fn write_transcript(directory: &Path, call: &str, lines: &[TranscriptLine]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'l> {
        unix_ms: u64,
        who: &'static str,
        text: &'l str,
    }
    std::fs::create_dir_all(directory)?;
    // The id is ours; a separator in it would still only ever name a file in this directory.
    let stem: String = call.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let path = directory.join(format!("{stem}.jsonl"));
    // Whole or not at all: a retry starts the file anew.
    let mut file = File::create(path)?;
    for (unix_ms, who, text) in lines {
        append_line(&mut file, &Line { unix_ms: *unix_ms, who, text: text.expose() })?;
    }
    Ok(())
}

fn open_for_append(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// One line, in one write; a half-written line is taken back, so that the retry does not leave a broken one behind.
fn append_line(file: &mut File, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    let before = file.metadata()?.len();
    let written = file.write_all(&line).and_then(|()| file.flush());
    if written.is_err() && file.metadata()?.is_file() {
        file.set_len(before)?;
    }
    written
}

/// The last resort: into the log. The transcript's words do not go there.
fn spill(record: Record, metrics: &Metrics) {
    metrics.record("spilled");
    match record {
        Record::Cdr(mut cdr) => {
            cdr.caller = "<pii>".to_owned();
            let json = serde_json::to_string(&cdr).unwrap_or_default();
            tracing::error!(call = cdr.call, cdr = json, "call record could not be written");
        }
        Record::Transcript { call, lines } => {
            tracing::error!(call, lines = lines.len(), "transcript could not be written and is lost");
        }
    }
}

#[cfg(test)]
mod tests;
