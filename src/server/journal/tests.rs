use super::file::{Entry, JournalFile};
use super::*;
use crate::sip::Transport;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

fn entry(call: &str) -> Entry {
    let dialog = DialogRecord {
        call_id: call.to_owned(),
        local_tag: format!("ours-{call}"),
        remote_tag: "theirs".to_owned(),
        local: "<sip:1000@192.0.2.1>".to_owned(),
        remote: "\"Ännchen\" <sip:200@192.0.2.2>".to_owned(),
        local_cseq: 7,
        remote_target: "sip:200@192.0.2.2:5060".to_owned(),
        routes: vec!["<sip:192.0.2.3;lr>".to_owned()],
        transport: Transport::Udp,
        local_addr: "192.0.2.1:5060".parse().unwrap(),
        remote_addr: "[2001:db8::2]:5060".parse().unwrap(),
        set_up_by: "192.0.2.2".parse().unwrap(),
        behind_nat: true,
    };
    Entry { trunk: "pbx".to_owned(), dialog }
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/calls.journal");
    (directory, path)
}

fn text(path: &PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// OVL-06: what stood at the crash is there at the next start, in its last version; what was over is not.
#[test]
fn what_stood_is_there_again() {
    let (_directory, path) = place();
    let (mut file, orphans) = JournalFile::open(&path).unwrap();
    assert!(orphans.is_empty());
    for call in ["a", "b", "c"] {
        file.put(&entry(call)).unwrap();
    }
    let mut moved = entry("c");
    moved.dialog.remote_target = "sip:elsewhere@192.0.2.9".to_owned();
    file.put(&moved).unwrap();
    file.end(&entry("b").key()).unwrap();
    assert_eq!(text(&path).lines().count(), 6, "{}", text(&path));
    drop(file);
    let (mut file, orphans) = JournalFile::open(&path).unwrap();
    assert_eq!(orphans, [entry("a"), moved]);
    assert_eq!(text(&path).lines().count(), 3, "tidied at the start");
    file.end(&entry("a").key()).unwrap();
    file.end(&entry("never there").key()).unwrap();
    file.end(&entry("c").key()).unwrap();
    assert_eq!(text(&path), "{\"op\":\"voxtrunk-dialogs\",\"version\":1}\n", "no caller stays in it");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// OVL-06: the line that was being written in the crash is ignored; the others count.
#[test]
fn a_torn_last_line_is_ignored() {
    let (_directory, path) = place();
    let (mut file, _) = JournalFile::open(&path).unwrap();
    file.put(&entry("a")).unwrap();
    let whole = text(&path).len();
    file.put(&entry("b")).unwrap();
    drop(file);
    let all = std::fs::read(&path).unwrap();
    for end in [whole, whole + 1, all.len() - 1] {
        std::fs::write(&path, &all[..end]).unwrap();
        let (_, orphans) = JournalFile::open(&path).unwrap();
        assert_eq!(orphans, [entry("a")], "{end}");
    }
    std::fs::write(&path, b"").unwrap();
    assert!(JournalFile::open(&path).unwrap().1.is_empty());
    assert!(!path.with_extension("journal.broken").exists());
}

/// OVL-06: what is no journal, or is broken in its middle, is put aside and a fresh one begun.
#[test]
fn a_broken_file_is_put_aside() {
    let (_directory, path) = place();
    let (mut file, _) = JournalFile::open(&path).unwrap();
    file.put(&entry("a")).unwrap();
    drop(file);
    let good = text(&path);
    for bad in [
        "my shopping list".to_owned(),
        "{\"call\":\"a\"}\n".to_owned(),
        good.replace("\"version\":1", "\"version\":2"),
        format!("{good}nonsense\n{good}"),
        format!("{good}{good}"),
        good.replace("\"udp\"", "\"pigeon\""),
        format!("{good}\u{0}\n"),
    ] {
        std::fs::write(&path, &bad).unwrap();
        let (_, orphans) = JournalFile::open(&path).unwrap();
        assert!(orphans.is_empty(), "{bad}");
        assert_eq!(text(&path.with_extension("journal.broken")), bad);
        assert_eq!(text(&path).lines().count(), 1);
    }
}

/// OVL-06: two servers never share a journal; the second is told what to do.
#[test]
fn a_journal_has_one_owner() {
    let (_directory, path) = place();
    let (file, _) = JournalFile::open(&path).unwrap();
    let error = JournalFile::open(&path).err().unwrap();
    assert!(error.contains("in use by another voxtrunk") && error.contains("set observe.journal"), "{error}");
    drop(file);
    assert!(JournalFile::open(&path).is_ok());
}

/// A journal of a long day is not longer than its dialogs ask for.
#[test]
fn dead_lines_are_taken_out() {
    let (_directory, path) = place();
    let (mut file, _) = JournalFile::open(&path).unwrap();
    file.put(&entry("stays")).unwrap();
    let mut longest = 0;
    for n in 0..3_000 {
        file.put(&entry(&n.to_string())).unwrap();
        file.end(&entry(&n.to_string()).key()).unwrap();
        if n % 100 == 0 {
            longest = longest.max(text(&path).lines().count());
        }
    }
    assert!((500..1_100).contains(&longest), "{longest}");
    drop(file);
    assert_eq!(JournalFile::open(&path).unwrap().1, [entry("stays")]);
}

/// A directory that goes away and comes back: nothing is lost.
#[test]
fn a_failed_write_is_made_good() {
    let (_directory, path) = place();
    let (mut file, _) = JournalFile::open(&path).unwrap();
    file.put(&entry("a")).unwrap();
    let (folder, away) = (path.parent().unwrap(), path.parent().unwrap().with_extension("away"));
    std::fs::rename(folder, &away).unwrap();
    assert!(file.rewrite().is_err() && file.is_stale());
    file.put(&entry("b")).unwrap();
    file.end(&entry("a").key()).unwrap();
    std::fs::rename(&away, folder).unwrap();
    file.rewrite().unwrap();
    assert!(!file.is_stale());
    drop(file);
    assert_eq!(JournalFile::open(&path).unwrap().1, [entry("b")]);
}

/// OVL-06: from the sessions of the signalling task to the file, by the thread; an end without a journal is nothing.
#[test]
fn sessions_are_written_by_the_thread() {
    let (_directory, path) = place();
    let mut started = start(Some(&path), Metrics::new()).unwrap();
    for (n, call) in ["a", "b"].into_iter().enumerate() {
        started.journal.put(SessionId(n as u64), "pbx", entry(call).dialog);
    }
    started.journal.end(SessionId(0));
    started.journal.end(SessionId(77));
    drop(started.journal);
    started.thread.unwrap().join().unwrap();
    let mut again = start(Some(&path), Metrics::new()).unwrap();
    assert_eq!(again.orphans, [entry("b")]);
    again.journal.adopt(SessionId(1), entry("b").key());
    again.journal.end(SessionId(1));
    drop(again.journal);
    again.thread.unwrap().join().unwrap();
    assert!(start(Some(&path), Metrics::new()).unwrap().orphans.is_empty());
    let mut none = start(None, Metrics::new()).unwrap();
    none.journal.put(SessionId(1), "pbx", entry("a").dialog);
    none.journal.end(SessionId(1));
    assert!(none.thread.is_none() && none.orphans.is_empty());
}
