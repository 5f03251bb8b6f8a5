//! Digits of callers are for the model and for nobody else (DTM-05): a canary through every way in and every sink.

use crate::caller::Caller;
use crate::operating::{Process, get};
use crate::world::{own_ip, until};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::tone;
use voxtrunk::realtime_sim::{Sim, SimConfig, SimMode};

/// A PIN by events into the tool, a card's number by INFO, an account by tones.
const PIN: &str = "8273649";
const CARD: &str = "5931846";
const ACCOUNT: &str = "4417263";

const PLAN: &str = r#"
numbers = ["1000"]
instructions = "Ask for the PIN."
greeting = { instructions = "Begin." }
transcript = true
[[tool]]
kind = "collect_digits"
next_key_secs = 2
"#;
const SCENARIO: &str = r#"
name = "digits"
[[greeting]]
say = ["go_ahead"]
[[greeting]]
call = "collect_digits"
[[fallback]]
say = ["go_ahead"]
"#;

/// Every file below a directory, with its name.
fn files(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((
                path.display().to_string(),
                String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned(),
            ));
        }
    }
}

/// Samples as packets of 20 ms, in time.
async fn play(caller: &mut Caller, samples: &[i16]) {
    let mut next = Instant::now();
    for frame in samples.chunks(160) {
        let mut payload = Vec::new();
        Law::Mu.encode(frame, &mut payload);
        caller.speak(&payload).await;
        next += Duration::from_millis(20);
        tokio::time::sleep_until(next).await;
    }
}

/// DTM-05: with the log at its loudest, no log line, metric, record, journal or transcript has a digit a caller pressed, by whatever way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sink_of_a_running_server_shows_a_digit() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let ip = own_ip();
    let scenario = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(scenario.path(), SCENARIO).unwrap();
    let mode = SimMode::Scripted { scenario: Some(scenario.path().to_owned()) };
    let sim = Sim::start(SimConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), mode }).await.unwrap();
    std::fs::create_dir(at.join("dialplans")).unwrap();
    std::fs::write(at.join("dialplans/a.toml"), PLAN).unwrap();
    let config = format!(
        "dialplans = \"dialplans\"\n[sip]\nlisten = \"{ip}:0\"\npeers = [\"{ip}\"]\n[limits]\nmax_cpu_percent = 100\n\
         [observe]\nlisten = \"{ip}:0\"\ncdr = \"cdr.jsonl\"\ntranscripts = \"transcripts\"\n\
         [[provider]]\nkind = \"compatible\"\nurl = \"{}\"\nmodel = \"m\"\n",
        sim.url()
    );
    let process = Process::start_logging(at, &config, "trace");
    let line = process.line_with("SIP on ");
    let after = |what: &str| line.split(what).nth(1).unwrap().split([' ', ';', '/']).next().unwrap().parse().unwrap();
    let (sip, metrics): (SocketAddr, SocketAddr) = (after("SIP on "), after("metrics: http://"));
    let mut lines = Vec::new();

    let mut caller = Caller::udp(sip).await;
    assert_eq!(caller.call("1000").await, 200);
    caller.listen(Duration::from_millis(1_500), |_| false).await;
    for key in PIN.bytes() {
        caller.send_event(key - b'0').await;
        caller.listen(Duration::from_millis(120), |_| false).await;
    }
    // The entry ends, and what comes then is an entry of the usual kind.
    caller.listen(Duration::from_millis(3_000), |_| false).await;
    for key in CARD.chars() {
        assert_eq!(caller.info(key).await, 200);
    }
    caller.listen(Duration::from_millis(2_500), |_| false).await;
    assert_eq!(caller.bye().await, 200);

    let mut caller = Caller::udp(sip).await;
    let without_events: String =
        caller.offer("0").split_inclusive("\r\n").filter(|line| !line.contains("telephone-event")).collect();
    caller.invite_with("1000", &without_events).await;
    assert_eq!(caller.answer().await.0, 200);
    let mut samples = tone::pause(1_500);
    for key in ACCOUNT.chars() {
        samples.extend(tone::dtmf(key, 80).unwrap());
        samples.extend(tone::pause(80));
    }
    samples.extend(tone::pause(2_500));
    play(&mut caller, &samples).await;
    assert_eq!(caller.bye().await, 200);

    let cdr = at.join("cdr.jsonl");
    until("two records", async || std::fs::read_to_string(&cdr).unwrap_or_default(), |text| text.lines().count() == 2)
        .await;
    let mut sinks = vec![("metrics".to_owned(), get(metrics, "/metrics").await)];
    files(at, &mut sinks);
    lines.extend(process.finish());
    let log = lines.join("\n");
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is not at its loudest:\n{log}");
    sinks.push(("log".to_owned(), log));
    let records = std::fs::read_to_string(&cdr).unwrap();
    let counts: Vec<u64> = records
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["dtmf_digits"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [14, 7], "every key came: {records}");
    assert!(sinks.iter().any(|(name, _)| name.contains("transcripts")), "a transcript was written");
    for (name, text) in &sinks {
        for digits in [PIN, CARD, ACCOUNT] {
            assert!(!text.contains(digits), "{name} has {digits}");
            let apart: String = digits.chars().flat_map(|digit| [digit, '"', ',', '"']).collect();
            assert!(!text.contains(apart.trim_end_matches(['"', ','])), "{name} has the keys of {digits}");
        }
        for key in CARD.chars().chain(PIN.chars()) {
            assert!(!text.contains(&format!("Signal={key}")), "{name} has the body of an INFO");
        }
    }
    sim.stop().await;
}
