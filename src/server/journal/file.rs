//! The journal's file: JSON lines, a head, then `+` (a dialog as it stands now) and `-` (it is over). Mode 0600: it has caller data.
//!
//! In: [`Entry`]s and [`Key`]s. Out: what a crash left behind. `FILE.lock` is held while the file is in use, `FILE.new` becomes the file
//! whenever it is written anew (at the start, and when most of it is dead lines), `FILE.broken` is one that could not be read.

use crate::sip::user_agent::DialogRecord;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;
const PRIVATE: u32 = 0o600;
/// No file of ours grows to this.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// The file is written anew when it has more lines than this, and four times as many as there are dialogs.
const TIDY_LINES: usize = 1024;

/// One dialog and the trunk it is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub trunk: String,
    pub dialog: DialogRecord,
}

/// Call-ID and our tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    pub call_id: String,
    pub local_tag: String,
}

impl Entry {
    pub fn key(&self) -> Key {
        Key { call_id: self.dialog.call_id.clone(), local_tag: self.dialog.local_tag.clone() }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "op")]
enum Line {
    #[serde(rename = "voxtrunk-dialogs")]
    Head { version: u32 },
    #[serde(rename = "+")]
    Put(Box<Entry>),
    #[serde(rename = "-")]
    End(Key),
}

pub struct JournalFile {
    path: PathBuf,
    file: File,
    /// Nobody else writes while this is open.
    _lock: File,
    live: HashMap<Key, Entry>,
    /// Below the head, dead ones included.
    lines: usize,
    /// The file is not what `live` says: a write failed.
    stale: bool,
}

impl JournalFile {
    /// Opens, locks, reads and tidies. A file that cannot be read is put aside with an error in the log. The error is a sentence for
    /// the operator.
    pub fn open(path: &Path) -> Result<(JournalFile, Vec<Entry>), String> {
        let explain = |error: io::Error| {
            format!(
                "cannot write the journal of dialogs {}: {error}; set observe.journal to another path, or \"off\"",
                path.display()
            )
        };
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory).map_err(explain)?;
        }
        let lock = lock(path)?;
        let live = match read(path) {
            Ok(live) => live,
            Err(Unreadable::Io(error)) => return Err(explain(error)),
            Err(Unreadable::Line(line, why)) => {
                let aside = beside(path, ".broken");
                fs::rename(path, &aside).map_err(explain)?;
                let (journal, aside) = (path.display(), aside.display());
                tracing::error!(
                    "{journal}:{line}: {why}; it is {aside} now and a fresh journal is begun. Calls of the process before get no BYE; \
                     see what wrote to it"
                );
                HashMap::new()
            }
        };
        let file = create(path, &live).map_err(explain)?;
        let mut orphans: Vec<Entry> = live.values().cloned().collect();
        orphans.sort_by(|a, b| (&a.dialog.call_id, &a.dialog.local_tag).cmp(&(&b.dialog.call_id, &b.dialog.local_tag)));
        let lines = live.len();
        Ok((JournalFile { path: path.to_owned(), file, _lock: lock, live, lines, stale: false }, orphans))
    }

    /// The dialog stands like this now.
    pub fn put(&mut self, entry: &Entry) -> io::Result<()> {
        self.live.insert(entry.key(), entry.clone());
        self.append(&Line::Put(Box::new(entry.clone())))
    }

    /// The dialog is over.
    pub fn end(&mut self, key: &Key) -> io::Result<()> {
        if self.live.remove(key).is_none() {
            return Ok(());
        }
        self.append(&Line::End(key.clone()))
    }

    /// Whether [`JournalFile::rewrite`] is due because a write failed.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Writes the file anew, as `live` says.
    pub fn rewrite(&mut self) -> io::Result<()> {
        self.stale = true;
        self.file = create(&self.path, &self.live)?;
        (self.stale, self.lines) = (false, self.live.len());
        Ok(())
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        if self.stale {
            // The next rewrite has it.
            return Ok(());
        }
        if self.live.is_empty() || (self.lines >= TIDY_LINES && self.lines / 4 >= self.live.len()) {
            return self.rewrite();
        }
        let written = text(line).and_then(|text| self.file.write_all(text.as_bytes()));
        self.stale = written.is_err();
        self.lines += 1;
        written
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn lock(path: &Path) -> Result<File, String> {
    let (at, journal) = (beside(path, ".lock"), path.display());
    let advice = "set observe.journal to another path, or \"off\"";
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(PRIVATE).open(&at);
    let file = file.map_err(|error| format!("cannot open {}: {error}; {advice}", at.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "the journal of dialogs {journal} is in use by another voxtrunk: stop that one, or {advice} for this one"
        )),
        Err(TryLockError::Error(error)) => Err(format!("cannot lock {}: {error}; {advice}", at.display())),
    }
}

/// A new file with these dialogs, in the place of the old one. Whole or not at all.
fn create(path: &Path, live: &HashMap<Key, Entry>) -> io::Result<File> {
    let new = beside(path, ".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).append(true).mode(PRIVATE).open(&new)?;
    // Whatever the umask says.
    file.set_permissions(Permissions::from_mode(PRIVATE))?;
    let mut all = text(&Line::Head { version: VERSION })?;
    for entry in live.values() {
        all.push_str(&text(&Line::Put(Box::new(entry.clone())))?);
    }
    file.write_all(all.as_bytes())?;
    fs::rename(&new, path)?;
    Ok(file)
}

fn text(line: &Line) -> io::Result<String> {
    Ok(serde_json::to_string(line)? + "\n")
}

enum Unreadable {
    Io(io::Error),
    /// Line number from 1, and what is wrong with it.
    Line(usize, String),
}

/// The dialogs that stand in a file; none when there is no file. A last line without its end was being written in the crash.
fn read(path: &Path) -> Result<HashMap<Key, Entry>, Unreadable> {
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(Unreadable::Io(error)),
    };
    if size > MAX_BYTES {
        return Err(Unreadable::Line(1, format!("{size} bytes are too many for a journal")));
    }
    parse(&fs::read(path).map_err(Unreadable::Io)?)
}

fn parse(bytes: &[u8]) -> Result<HashMap<Key, Entry>, Unreadable> {
    let mut live = HashMap::new();
    let foreign = || Unreadable::Line(1, "this is no journal of dialogs, or that of another version".to_owned());
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for (n, line) in lines.into_iter().enumerate() {
        let Some(whole) = line.strip_suffix(b"\n") else {
            return if n == 0 { Err(foreign()) } else { Ok(live) };
        };
        let broken = |why: serde_json::Error| Unreadable::Line(n + 1, format!("this line is broken ({why})"));
        let line = match serde_json::from_slice(whole) {
            Ok(line) => line,
            Err(_) if n == 0 => return Err(foreign()),
            Err(why) => return Err(broken(why)),
        };
        match line {
            Line::Head { version: VERSION } if n == 0 => {}
            _ if n == 0 => return Err(foreign()),
            Line::Put(entry) => drop(live.insert(entry.key(), *entry)),
            Line::End(key) => drop(live.remove(&key)),
            Line::Head { .. } => return Err(Unreadable::Line(n + 1, "a second head".to_owned())),
        }
    }
    Ok(live)
}
