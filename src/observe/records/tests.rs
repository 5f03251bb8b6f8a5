//! Records arrive whole, in order, and survive a file that cannot be written for a while.

use super::*;
use crate::call::end::{CallEnd, Cause};
use crate::config::settings::Settings;
use crate::observe::cdr::EndedBy;

fn made(directory: &Path, metrics: &Metrics) -> (RecordSender, RecordWriter) {
    let mut settings = Settings::defaults().observe;
    settings.cdr = Some(directory.join("deep/cdr.jsonl"));
    settings.transcripts = directory.join("t");
    records(&settings, metrics.clone()).expect("writable")
}

fn record(call: &str, transcript: Vec<TranscriptLine>) -> CallRecord {
    CallRecord { end: CallEnd { by: EndedBy::Caller, cause: Cause::CallerBye }, cdr: cdr(call), transcript }
}

fn cdr(call: &str) -> Cdr {
    Cdr { call: call.into(), cause: "caller_bye".into(), caller: "+15551230001".into(), ..Cdr::default() }
}

fn calls_in(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let call = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        value["call"].as_str().unwrap_or("").to_owned()
    };
    text.lines().map(call).collect()
}

#[test]
fn records_are_lines_of_json_in_order() {
    let directory = tempfile::tempdir().expect("temp dir");
    let path = directory.path().join("deep/cdr.jsonl");
    let metrics = Metrics::new();
    let (sender, writer) = made(directory.path(), &metrics);
    for index in 0..50 {
        sender.write(record(&format!("c{index}"), Vec::new()));
    }
    sender.write(record("c1/../x", vec![(7, "caller", Pii("hello".into()))]));
    drop(sender);
    writer.run();
    let expected: Vec<String> = (0..50).map(|index| format!("c{index}")).chain(["c1/../x".into()]).collect();
    assert_eq!(calls_in(&path), expected);
    let transcript = std::fs::read_to_string(directory.path().join("t/c1____x.jsonl")).expect("transcript");
    assert_eq!(transcript, "{\"unix_ms\":7,\"who\":\"caller\",\"text\":\"hello\"}\n");
    assert!(metrics.encode().contains("voxtrunk_records_total{result=\"written\"} 52"));
}

/// P5: while the sink is down nothing is lost, and when it is back everything is written once.
#[test]
fn a_file_that_cannot_be_written_delays_records_and_loses_none() {
    let directory = tempfile::tempdir().expect("temp dir");
    let path = directory.path().join("deep/cdr.jsonl");
    let metrics = Metrics::new();
    let (_sender, mut writer) = made(directory.path(), &metrics);
    // A directory in the file's place: opening fails, now and at a start.
    std::fs::remove_file(&path).expect("unused");
    std::fs::create_dir(&path).expect("block");
    let settings = ObserveSettings { cdr: Some(path.clone()), ..Settings::defaults().observe };
    let error = records(&settings, Metrics::new()).err().expect("refused");
    assert!(error.contains("deep/cdr.jsonl") && error.ends_with("set observe.cdr"), "{error}");
    for index in 0..3 {
        writer.keep(Record::Cdr(Box::new(cdr(&format!("c{index}")))));
        writer.write_backlog();
    }
    assert_eq!(writer.backlog.len(), 3);
    std::fs::remove_dir(&path).expect("unblock");
    writer.write_backlog();
    assert_eq!(calls_in(&path), ["c0", "c1", "c2"]);
    assert!(metrics.encode().contains("voxtrunk_records_total{result=\"delayed\"} 3"));
}

#[test]
fn a_full_queue_spills_into_the_log_and_counts() {
    let directory = tempfile::tempdir().expect("temp dir");
    let metrics = Metrics::new();
    let (sender, writer) = made(directory.path(), &metrics);
    for index in 0..QUEUE + 5 {
        sender.write(record(&index.to_string(), Vec::new()));
    }
    assert!(metrics.encode().contains("voxtrunk_records_total{result=\"spilled\"} 5"), "{}", metrics.encode());
    drop(sender);
    writer.run();
    assert_eq!(calls_in(&directory.path().join("deep/cdr.jsonl")).len(), QUEUE);
}

#[test]
fn a_rotated_file_is_left_alone() {
    let directory = tempfile::tempdir().expect("temp dir");
    let path = directory.path().join("deep/cdr.jsonl");
    let (_sender, mut writer) = made(directory.path(), &Metrics::new());
    writer.keep(Record::Cdr(Box::new(cdr("before"))));
    writer.write_backlog();
    std::fs::rename(&path, directory.path().join("cdr.jsonl.1")).expect("rotate");
    writer.keep(Record::Cdr(Box::new(cdr("after"))));
    writer.write_backlog();
    assert_eq!(calls_in(&path), ["after"]);
    assert_eq!(calls_in(&directory.path().join("cdr.jsonl.1")), ["before"]);
}
