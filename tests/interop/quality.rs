//! Speech through bad networks, judged by PESQ: what the model hears and what the caller hears, against two PJSIP telephones with their own
//! jitter buffers in the same conditions. docs/quality.md has the table and how to make it again.
//!
//! `VOXTRUNK_QUALITY=FILE` measures every condition with several seeds and writes the table there (about 15 minutes); without it a short
//! selection is held against the rule: no worse than telephone to telephone.

use super::pjsip::ONE_AT_A_TIME;
use super::relay::{Path as Network, Relay};
use super::support::{Server, free_port, here, peer_python, program, recording, run};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::{quality, wav};

/// No turn-taking between the two directions: both are judged at once.
/// Both sides speak all the time, and the network is what is judged: no echo guard.
const PLAN: &str = "numbers = [\"100\"]\ninstructions = \"Explain.\"\ngreeting = { instructions = \"Begin.\" }\n\n[turn_detection]\ntype = \"server_vad\"\ncreate_response = false\ninterrupt_response = false\n\n[audio]\necho_guard = \"off\"\nhigh_pass = false\n";
const SCENARIO: &str = "name = \"quality\"\n[[greeting]]\nsay = [\"long_explanation\"]\n";
/// How much worse than telephone to telephone a condition may be, MOS: what the medians of as many seeds scatter by themselves.
const TOLERANCE: f64 = 0.1;
/// The same for the short selection, which has fewer seeds.
const SHORT_TOLERANCE: f64 = 0.25;

#[derive(Clone, Copy)]
struct Condition {
    name: &'static str,
    network: Network,
    dtx: bool,
}

fn network(loss: f64, jitter_ms: u64) -> Network {
    Network { loss, jitter: Duration::from_millis(jitter_ms), ..Network::default() }
}

fn conditions() -> Vec<Condition> {
    let plain = |name, network| Condition { name, network, dtx: false };
    let clean = network(0.0, 0);
    vec![
        plain("clean", clean),
        plain("loss 2 %", network(0.02, 0)),
        plain("loss 5 %", network(0.05, 0)),
        plain("loss 10 %", network(0.10, 0)),
        plain("jitter 20 ms", network(0.0, 20)),
        plain("jitter 60 ms", network(0.0, 60)),
        plain("jitter 120 ms", network(0.0, 120)),
        plain("loss 2 %, jitter 60 ms", network(0.02, 60)),
        plain("loss 5 %, jitter 120 ms", network(0.05, 120)),
        plain("5 % overtaken", Network { reorder: 0.05, ..clean }),
        plain("5 % doubled", Network { duplicate: 0.05, ..clean }),
        Condition { name: "DTX", network: clean, dtx: true },
        Condition { name: "DTX, loss 5 %, jitter 60 ms", network: network(0.05, 60), dtx: true },
    ]
}

/// PESQ of one call: at the far end of what the caller says, and at the caller's.
#[derive(Clone, Copy, Debug, Default)]
struct Scores {
    said: f64,
    heard: f64,
}

/// The median of each direction: a busy machine stalls a telephone's clock now and then, and that call says nothing about the network.
fn median(scores: &[Scores]) -> Scores {
    let of = |pick: fn(&Scores) -> f64| {
        let mut values: Vec<f64> = scores.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        let upper = values.len() / 2;
        let lower = (values.len().max(1) - 1) / 2;
        (values.get(lower).copied().unwrap_or_default() + values.get(upper).copied().unwrap_or_default()) / 2.0
    };
    Scores { said: of(|scores| scores.said), heard: of(|scores| scores.heard) }
}

/// What both sides say; the caller begins a little later, as the agent's greeting needs a moment too.
struct Speech {
    caller: Vec<i16>,
    agent: Vec<i16>,
    seconds: String,
}

fn speech() -> Speech {
    let clip = |file: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/speech").join(file);
        wav::read_8k_mono(&path).expect("a clip of ours")
    };
    let mut caller = vec![0i16; 6_000];
    for name in ["opening_hours", "book_appointment", "thats_all", "interruption"] {
        caller.extend(clip(&format!("caller/{name}.wav")));
        caller.extend(vec![0; 3_000]);
    }
    let agent = clip("agent/long_explanation.wav");
    let seconds = (caller.len().max(agent.len()) as f32 / 8000.0 + 1.5).to_string();
    Speech { caller, agent, seconds }
}

fn write(dir: &Path, name: &str, samples: &[i16]) -> PathBuf {
    let file = dir.join(name);
    wav::write(&file, 8000, &[samples]).expect("written");
    file
}

/// PESQ of recordings against what was said, each shifted by its delay.
fn judge(python: &Path, dir: &Path, pairs: &[(&[i16], &Path)]) -> Vec<f64> {
    let mut command = Command::new(python);
    command.arg(here("peers/pesq_score.py"));
    for (n, (said, recorded)) in pairs.iter().enumerate() {
        let heard = wav::read_8k_mono(recorded).unwrap_or_else(|e| panic!("{}: {e}", recorded.display()));
        let report = quality::compare(said, &heard).unwrap_or_else(|| panic!("{}: silence", recorded.display()));
        let start = (report.delay_ms.max(0.0) * 8.0) as usize;
        // PESQ aligns by itself; the ends must not be cut by what a jitter buffer added.
        let cut: Vec<i16> =
            heard.iter().skip(start).copied().chain(std::iter::repeat(0)).take(said.len() + 2_000).collect();
        command.arg(write(dir, &format!("reference-{n}.wav"), said));
        command.arg(write(dir, &format!("judged-{n}.wav"), &cut));
    }
    let (ok, output) = run(&mut command, Duration::from_secs(120));
    assert!(ok, "{output}");
    let json = output.lines().find(|line| line.starts_with('{')).expect("scores");
    let scores: Value = serde_json::from_str(json).expect("JSON");
    scores["each"].as_array().expect("a list").iter().filter_map(Value::as_f64).collect()
}

fn pjsip(python: &Path, dir: &Path, condition: Condition, args: &[&str]) -> Value {
    let mut command = Command::new(python);
    command.current_dir(dir).arg(here("peers/pjsip_quality.py")).args(args);
    if condition.dtx {
        command.arg("--dtx");
    }
    let (ok, output) = run(&mut command, Duration::from_secs(60));
    let json = output.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no report: {output}"));
    let report: Value = serde_json::from_str(json).expect("a JSON report");
    assert!(ok && report["trouble"].is_null(), "{output}");
    report
}

/// PJSIP calls PJSIP.
fn telephones(python: &Path, condition: Condition, seed: u64) -> Scores {
    let (dir, speech) = (tempfile::tempdir().expect("a folder"), speech());
    let dir = dir.path();
    write(dir, "said.wav", &speech.caller);
    write(dir, "answer.wav", &speech.agent);
    // Two processes: in one, both telephones would have the same clock, which makes a jitter buffer's work easy.
    let port = free_port();
    let mut callee = Command::new(python);
    let seconds = (speech.seconds.parse::<f32>().expect("a number") + 2.0).to_string();
    callee.current_dir(dir).arg(here("peers/pjsip_quality.py")).args([
        "--port",
        &port.to_string(),
        "--seconds",
        &seconds,
    ]);
    callee.args(["--play", "answer.wav", "--record", "far.wav"]).args(condition.dtx.then_some("--dtx"));
    let callee =
        std::thread::Builder::new().spawn(move || run(&mut callee, Duration::from_secs(60))).expect("a thread");
    // SIP repeats what comes too early for the callee.
    let relay = Relay::start(([127, 0, 0, 1], port).into(), condition.network, seed);
    let uri = format!("sip:callee@{}", relay.sip);
    let args = ["--uri", &uri, "--play", "said.wav", "--record", "heard.wav", "--seconds", &speech.seconds];
    let report = pjsip(python, dir, condition, &args);
    let (_, answered) = callee.join().expect("the callee");
    assert!(dir.join("far.wav").exists(), "the callee recorded nothing: {answered}");
    println!("telephones, {}, seed {seed}: {report} {:?}", condition.name, relay.counts());
    scores(python, dir, &speech, &dir.join("far.wav"), &dir.join("heard.wav"))
}

fn scores(python: &Path, dir: &Path, speech: &Speech, far: &Path, near: &Path) -> Scores {
    let judged = judge(python, dir, &[(&speech.caller, far), (&speech.agent, near)]);
    Scores { said: judged[0], heard: judged[1] }
}

fn serve(sim_dir: &Path) -> (super::support::Running, Server) {
    let (sim, url) = recording(sim_dir, SCENARIO);
    let server = Server::with_provider(tempfile::tempdir().expect("a folder"), &[("100.toml", PLAN)], &url);
    (sim, server)
}

/// The recording of the first session, once it is over.
fn recorded(dir: &Path) -> PathBuf {
    let file = dir.join("session-1.wav");
    let deadline = Instant::now() + Duration::from_secs(10);
    while wav::read_8k_mono(&file).is_err() {
        assert!(Instant::now() < deadline, "no recording of the session");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    file
}

/// PJSIP calls voxtrunk.
fn pjsip_to_us(python: &Path, condition: Condition, seed: u64) -> Scores {
    let (dir, speech) = (tempfile::tempdir().expect("a folder"), speech());
    let dir = dir.path();
    let (_sim, server) = serve(dir);
    write(dir, "said.wav", &speech.caller);
    let relay = Relay::start(server.sip, condition.network, seed);
    let uri = format!("sip:100@{}", relay.sip);
    let args = ["--uri", &uri, "--play", "said.wav", "--record", "heard.wav", "--seconds", &speech.seconds];
    let report = pjsip(python, dir, condition, &args);
    let record = server.cdrs(1)[0]["rtp"].clone();
    println!("PJSIP to us, {}, seed {seed}: {report} {:?} {record}", condition.name, relay.counts());
    scores(python, dir, &speech, &recorded(dir), &dir.join("heard.wav"))
}

/// baresip calls voxtrunk.
fn baresip_to_us(python: &Path, baresip: &Path, condition: Condition, seed: u64) -> Scores {
    let (dir, speech) = (tempfile::tempdir().expect("a folder"), speech());
    let dir = dir.path();
    let (_sim, server) = serve(dir);
    let mut padded = speech.caller.clone();
    padded.extend(vec![0; 16_000]);
    write(dir, "said.wav", &padded);
    let folder = super::baresip::configuration(dir, "PCMU", 20);
    let relay = Relay::start(server.sip, condition.network, seed);
    let mut command = Command::new(baresip);
    let seconds = (speech.seconds.parse::<f32>().expect("a number") + 1.0).ceil().to_string();
    command.current_dir(dir).arg("-4").arg("-f").arg(&folder).args(["-t", &seconds]);
    command.arg("-e").arg(format!("/dial sip:100@{}", relay.sip));
    let (_, output) = run(&mut command, Duration::from_secs(60));
    let record = server.cdrs(1)[0]["rtp"].clone();
    println!("baresip to us, {}, seed {seed}: {:?} {record}", condition.name, relay.counts());
    let heard = super::baresip::recording(dir, &output);
    scores(python, dir, &speech, &recorded(dir), &heard)
}

/// Runs calls, so many at once: they are in real time and cost little.
fn all<T: Send>(at_once: usize, calls: Vec<Box<dyn Fn() -> T + Send + Sync + '_>>) -> Vec<T> {
    let mut results = Vec::new();
    for group in calls.chunks(at_once) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = group
                .iter()
                .map(|call| std::thread::Builder::new().spawn_scoped(scope, call).expect("a thread"))
                .collect();
            for thread in threads {
                results.push(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
    }
    results
}

/// RTP-04, S4: in a bad network the model hears the caller, and the caller the model, no worse than two telephones with adaptive jitter
/// buffers hear each other
#[test]
fn no_worse_than_telephones() {
    let Some(python) = peer_python() else { return };
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = std::env::var_os("VOXTRUNK_QUALITY") {
        return table(&python, Path::new(&file));
    }
    let chosen = ["loss 5 %", "jitter 60 ms"];
    for condition in conditions().into_iter().filter(|condition| chosen.contains(&condition.name)) {
        // A busy machine disturbs the telephones, too: one undisturbed round of three counts.
        let mut faults = Vec::new();
        while let Err(fault) = compare(&python, condition, 10 * faults.len() as u64) {
            faults.push(fault);
            assert!(faults.len() < 3, "{}", faults.join("\n"));
        }
    }
}

/// Two calls of each kind at once.
fn compare(python: &Path, condition: Condition, first_seed: u64) -> Result<(), String> {
    let mut calls: Vec<Box<dyn Fn() -> Scores + Send + Sync>> = Vec::new();
    for seed in first_seed + 1..=first_seed + 2 {
        calls.push(Box::new(move || telephones(python, condition, seed)));
        calls.push(Box::new(move || pjsip_to_us(python, condition, seed)));
    }
    let scores = all(4, calls);
    let (telephones, ours) = (median(&[scores[0], scores[2]]), median(&[scores[1], scores[3]]));
    let result = format!("{}: telephones {telephones:.2?}, ours {ours:.2?}", condition.name);
    println!("{result}");
    let worst = (ours.said - telephones.said).min(ours.heard - telephones.heard);
    if worst >= -SHORT_TOLERANCE { Ok(()) } else { Err(result) }
}

/// Every condition, several seeds, all kinds of calls; written as a table in Markdown.
fn table(python: &Path, file: &Path) {
    let number =
        |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seeds, at_once) = (number("VOXTRUNK_QUALITY_SEEDS", 5), number("VOXTRUNK_QUALITY_AT_ONCE", 4));
    let only = std::env::var("VOXTRUNK_QUALITY_ONLY").unwrap_or_default();
    let baresip = program("baresip").expect("baresip");
    let speech = speech();
    let dir = tempfile::tempdir().expect("a folder");
    let ceiling = |samples: &[i16]| {
        let (mut codes, mut out) = (Vec::new(), Vec::new());
        Law::Mu.encode(samples, &mut codes);
        Law::Mu.decode(&codes, &mut out);
        write(dir.path(), "ceiling.wav", &out);
        judge(python, dir.path(), &[(samples, &dir.path().join("ceiling.wav"))])[0]
    };
    let mut text = format!(
        "| condition | PJSIP → PJSIP | PJSIP → model | baresip → model | PJSIP → PJSIP, back | model → PJSIP | model → baresip |\n\
         |---|---|---|---|---|---|---|\n| ceiling of µ-law | {0:.2} | {0:.2} | {0:.2} | {1:.2} | {1:.2} | {1:.2} |\n",
        ceiling(&speech.caller),
        ceiling(&speech.agent)
    );
    let mut worse = Vec::new();
    for condition in conditions().into_iter().filter(|condition| condition.name.contains(&only)) {
        let mut calls: Vec<Box<dyn Fn() -> Scores + Send + Sync>> = Vec::new();
        for seed in 1..=seeds as u64 {
            let baresip = &baresip;
            calls.push(Box::new(move || telephones(python, condition, seed)));
            calls.push(Box::new(move || pjsip_to_us(python, condition, seed)));
            calls.push(Box::new(move || match condition.dtx {
                // baresip has no DTX.
                true => Scores::default(),
                false => baresip_to_us(python, baresip, condition, seed),
            }));
        }
        let scores = all(at_once, calls);
        let of = |kind: usize| median(&scores.iter().skip(kind).step_by(3).copied().collect::<Vec<_>>());
        let (phones, ours, baresips) = (of(0), of(1), of(2));
        let cell = |score: f64| if score == 0.0 { "–".to_owned() } else { format!("{score:.2}") };
        let row = format!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            condition.name,
            cell(phones.said),
            cell(ours.said),
            cell(baresips.said),
            cell(phones.heard),
            cell(ours.heard),
            cell(baresips.heard)
        );
        println!("{row}\n  {scores:.2?}");
        let _ = writeln!(text, "{row}");
        if ours.said < phones.said - TOLERANCE || ours.heard < phones.heard - TOLERANCE {
            worse.push(row);
        }
        std::fs::write(file, &text).expect("the table is written");
    }
    assert!(worse.is_empty(), "worse than telephone to telephone by more than {TOLERANCE}:\n{}", worse.join("\n"));
}
