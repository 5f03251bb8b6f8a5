//! Records arrive whole, in order, and survive a file that cannot be written for a while.

use super::*;

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
    let (sender, writer) = records(Some(path.clone()), directory.path().join("t"), metrics.clone());
    for index in 0..50 {
        sender.cdr(cdr(&format!("c{index}")));
    }
    let line = TranscriptLine { unix_ms: 7, who: "caller", text: Pii("hello".into()) };
    sender.transcript("c1/../x", vec![line]);
    drop(sender);
    writer.run();
    let expected: Vec<String> = (0..50).map(|index| format!("c{index}")).collect();
    assert_eq!(calls_in(&path), expected);
    let transcript = std::fs::read_to_string(directory.path().join("t/c1____x.jsonl")).expect("transcript");
    assert_eq!(transcript, "{\"unix_ms\":7,\"who\":\"caller\",\"text\":\"hello\"}\n");
    assert!(metrics.encode().contains("voxtrunk_records_total{result=\"written\"} 51"));
}

/// P5: while the sink is down nothing is lost, and when it is back everything is written once.
#[test]
fn a_file_that_cannot_be_written_delays_records_and_loses_none() {
    let directory = tempfile::tempdir().expect("temp dir");
    let path = directory.path().join("cdr.jsonl");
    // A directory in the file's place: opening fails.
    std::fs::create_dir(&path).expect("block");
    let metrics = Metrics::new();
    let (_sender, mut writer) = records(Some(path.clone()), directory.path().join("t"), metrics.clone());
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
    let (sender, writer) = records(Some(directory.path().join("cdr.jsonl")), directory.path().into(), metrics.clone());
    for index in 0..QUEUE + 5 {
        sender.cdr(cdr(&index.to_string()));
    }
    assert!(metrics.encode().contains("voxtrunk_records_total{result=\"spilled\"} 5"), "{}", metrics.encode());
    drop(sender);
    writer.run();
    assert_eq!(calls_in(&directory.path().join("cdr.jsonl")).len(), QUEUE);
}

#[test]
fn a_rotated_file_is_left_alone() {
    let directory = tempfile::tempdir().expect("temp dir");
    let path = directory.path().join("cdr.jsonl");
    let (_sender, mut writer) = records(Some(path.clone()), directory.path().into(), Metrics::new());
    writer.keep(Record::Cdr(Box::new(cdr("before"))));
    writer.write_backlog();
    std::fs::rename(&path, directory.path().join("cdr.jsonl.1")).expect("rotate");
    writer.keep(Record::Cdr(Box::new(cdr("after"))));
    writer.write_backlog();
    assert_eq!(calls_in(&path), ["after"]);
    assert_eq!(calls_in(&directory.path().join("cdr.jsonl.1")), ["before"]);
}
