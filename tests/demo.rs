//! `voxtrunk demo` as a new user runs it: the binary, in an empty folder, without a key.

use std::process::Command;

/// The demo's own checks hold, and what it leaves behind says so: greeting, answer, interruption, tool, goodbye.
#[test]
fn the_demo_call_happens_and_is_recorded() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_voxtrunk"))
        .arg("demo")
        .current_dir(dir.path())
        .output()
        .expect("the built binary starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report = std::fs::read_to_string(dir.path().join("demo-report.json")).unwrap_or_else(|e| panic!("{e}\n{said}"));
    let report: serde_json::Value = serde_json::from_str(&report).expect("a JSON report");
    let failed: Vec<_> = report["checks"].as_array().expect("checks").iter().filter(|c| c["ok"] != true).collect();
    assert!(output.status.success() && failed.is_empty(), "{failed:?}\n{said}");
    for line in
        ["180 Ringing", "answered", "opening hours", "is interrupted", "tool book_appointment: done", "call over"]
    {
        assert!(said.contains(line), "no line with {line:?}:\n{said}");
    }

    // The recording agrees with the report: both sides, and the agent's cut sentence is as long as what was heard of it (by ear: a
    // sentence cut in a soft sound ends a little earlier; `tests/e2e/interrupting.rs` proves it by the packet).
    let mut wav = hound::WavReader::open(dir.path().join("demo-call.wav")).expect("a WAV file");
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (2, 8000));
    let samples: Vec<i16> = wav.samples::<i16>().map(|s| s.expect("a whole file")).collect();
    let seconds = samples.len() as f64 / 16_000.0;
    assert!((seconds - report["call"]["talk_ms"].as_f64().expect("a time") / 1000.0).abs() < 1.0, "{seconds} s");
    let heard_ms = report["barge_ins"][0]["heard_ms"].as_i64().expect("an interruption");
    let cut = report["call"]["agent_speech"].as_array().expect("stretches").iter().any(|stretch| {
        let length = stretch["end_ms"].as_i64().unwrap_or(0) - stretch["start_ms"].as_i64().unwrap_or(0);
        (length - heard_ms).abs() <= 120
    });
    assert!(cut, "no stretch of {heard_ms} ms: {}", report["call"]["agent_speech"]);
}
