//! The wall clock jumps under a running server (P7): NTP, an operator, a machine that was asleep.

use crate::caller::Caller;
use crate::operating::Process;
use crate::world::{own_ip, records};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;

/// What moves the clock, built by the C compiler that links Rust programs, too.
fn shim(directory: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/wall_clock.c");
    let library = directory.join("wall_clock.so");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status().unwrap();
    assert!(built.success(), "{built}");
    library
}

/// P7: a day forwards, ten years backwards, in the middle of a call: packets keep their pace, nothing times out, the call ends as it should,
/// and both clocks of its record agree with each other; the next call's record has the new time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_is_felt_by_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let (at, ip, clock) = (directory.path(), own_ip(), directory.path().join("clock"));
    let jump = |seconds: i64| std::fs::write(&clock, seconds.to_string()).unwrap();
    jump(0);
    std::fs::create_dir(at.join("dialplans")).unwrap();
    let plan = "numbers = [\"1000\"]\ninstructions = \"Be short.\"\ngreeting = \"none\"\n";
    std::fs::write(at.join("dialplans/a.toml"), plan).unwrap();
    let config = format!(
        "dialplans = \"dialplans\"\n[sip]\nlisten = \"{ip}:0\"\npeers = [\"{ip}\"]\n[limits]\nmax_cpu_percent = 100\n\
         [observe]\nlisten = \"off\"\ncdr = \"cdr.jsonl\"\n"
    );
    let library = shim(at);
    let server = Process::start_with(at, &config, "warn", &[("LD_PRELOAD", &library), ("WALL_CLOCK", &clock)]);
    let line = server.line_with("SIP on ");
    let sip: SocketAddr = line.split("SIP on ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();

    let mut caller = Caller::udp(sip).await;
    assert_eq!(caller.call("1000").await, 200);
    let (answered, mut packets) = (Instant::now(), 0);
    for seconds in [0, DAY, -3_650 * DAY, 0] {
        jump(seconds);
        packets += caller.listen_for(Duration::from_secs(1), 20).await.0.packets;
        let due = answered.elapsed().as_millis() as usize / 20;
        assert!(packets <= due + 10, "at {seconds} s: {packets} packets, {due} were due");
    }
    jump(-3_650 * DAY);
    let talked = answered.elapsed();
    assert_eq!(caller.bye().await, 200);
    let mut second = Caller::udp(sip).await;
    assert_eq!(second.call("1000").await, 200);
    assert_eq!(second.bye().await, 200);
    let rest = server.finish();
    assert!(!rest.iter().any(|line| line.contains("panic")), "{rest:#?}");

    let records = records(at);
    assert_eq!(records.len(), 2, "{records:#?}");
    let number = |n: usize, field: &str| records[n][field].as_u64().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    assert_eq!(records[0]["cause"], "caller_bye", "{records:#?}");
    assert!(number(0, "talk_ms").abs_diff(talked.as_millis() as u64) < 1_000, "{talked:?} {records:#?}");
    assert_eq!(number(0, "ended_unix_ms") - number(0, "answered_unix_ms"), number(0, "talk_ms"));
    assert_eq!(number(0, "answered_unix_ms") - number(0, "started_unix_ms"), number(0, "setup_ms"));
    assert!(now.abs_diff(number(0, "started_unix_ms")) < 120_000, "{records:#?}");
    let then = now - 3_650 * DAY as u64 * 1_000;
    assert!(then.abs_diff(number(1, "started_unix_ms")) < 120_000, "the clock did move: {records:#?}");
    assert!(
        number(1, "talk_ms") < 10_000 && number(1, "ended_unix_ms") >= number(1, "started_unix_ms"),
        "{records:#?}"
    );
}
