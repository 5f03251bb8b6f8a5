//! The calls that are compared, PJSIP to PJSIP, PJSIP to us, baresip to us, all through the relay, and the PESQ of what each end recorded.

use super::super::baresip;
use super::super::hearing::{clips, pesq};
use super::super::relay::{Path as Network, Relay};
use super::super::support::{Running, Server, free_port, here, real_time, recording, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use voxtrunk::audio::{quality, wav};

const PLAN: &str = "numbers = [\"100\"]\ninstructions = \"Explain.\"\ngreeting = { instructions = \"Begin.\" }\n";
/// No turn-taking between the two directions.
const AT_ONCE: &str =
    "\n[turn_detection]\ntype = \"server_vad\"\ncreate_response = false\ninterrupt_response = false\n";
/// The caller waits so long for the greeting to be over.
const GREETING_MS: usize = 8_000;

/// What the two say, and what is done to the caller's voice on the way to the model.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// Both speak all the time, and both directions are judged; no echo guard, as that is for people who take turns.
    AtOnce,
    /// The same with the guard, and without high-pass and guard.
    AtOnceGuarded,
    AtOnceBare,
    /// A dialplan of defaults alone, all of the front end with them: the agent greets, then the caller speaks and is judged.
    InTurns,
}

impl Talk {
    fn plan(self) -> String {
        let audio = match self {
            Talk::InTurns => return PLAN.to_owned(),
            Talk::AtOnceGuarded => "",
            Talk::AtOnce => "\n[audio]\necho_guard = \"off\"\n",
            Talk::AtOnceBare => "\n[audio]\necho_guard = \"off\"\nhigh_pass = false\n",
        };
        format!("{PLAN}{AT_ONCE}{audio}")
    }

    fn scenario(self) -> String {
        let clip = if self == Talk::InTurns { "greeting" } else { "long_explanation" };
        format!("name = \"quality\"\n[[greeting]]\nsay = [\"{clip}\"]\n")
    }
}

#[derive(Clone, Copy)]
pub struct Condition {
    pub name: &'static str,
    pub network: Network,
    pub dtx: bool,
    pub talk: Talk,
}

/// PESQ of one call: at the far end of what the caller says, and at the caller's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scores {
    pub said: f64,
    pub heard: f64,
}

/// What both sides say; the caller begins a little later, as the agent's greeting needs a moment too.
pub struct Speech {
    pub caller: Vec<i16>,
    pub agent: Vec<i16>,
    /// Silence of the caller before.
    waits: usize,
    seconds: f32,
}

pub fn speech(talk: Talk) -> Speech {
    let waits = if talk == Talk::InTurns { 8 * GREETING_MS } else { 0 };
    let caller = clips(&["opening_hours", "book_appointment", "thats_all", "interruption"]);
    let agent = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/speech/agent/long_explanation.wav");
    let agent = wav::read_8k_mono(&agent).expect("a clip of ours");
    let seconds = (waits + caller.len()).max(agent.len()) as f32 / 8000.0 + 1.5;
    Speech { caller, agent, waits, seconds }
}

fn write(dir: &Path, name: &str, samples: &[i16]) -> PathBuf {
    let file = dir.join(name);
    wav::write(&file, 8000, &[samples]).expect("written");
    file
}

/// PESQ of recordings against what was said, each shifted by its delay.
pub fn judge(python: &Path, dir: &Path, pairs: &[(&[i16], &Path)]) -> Vec<f64> {
    let files: Vec<[PathBuf; 2]> = pairs
        .iter()
        .enumerate()
        .map(|(n, (said, recorded))| {
            let heard = wav::read_8k_mono(recorded).unwrap_or_else(|e| panic!("{}: {e}", recorded.display()));
            let report = quality::compare_within(said, &heard, 12_000)
                .unwrap_or_else(|| panic!("{}: silence", recorded.display()));
            let start = (report.delay_ms.max(0.0) * 8.0) as usize;
            // PESQ aligns by itself; the ends must not be cut by what a jitter buffer added.
            let cut: Vec<i16> =
                heard.iter().skip(start).copied().chain(std::iter::repeat(0)).take(said.len() + 2_000).collect();
            [write(dir, &format!("reference-{n}.wav"), said), write(dir, &format!("judged-{n}.wav"), &cut)]
        })
        .collect();
    let files: Vec<_> = files.iter().map(|[reference, judged]| (reference.as_path(), judged.as_path())).collect();
    pesq(python, &files)
}

impl Speech {
    /// `said.wav`: the caller's part, with so many samples of silence behind.
    fn write(&self, dir: &Path, behind: usize) {
        let silence = |samples: usize| std::iter::repeat_n(0, samples);
        let said: Vec<i16> = silence(self.waits).chain(self.caller.iter().copied()).chain(silence(behind)).collect();
        write(dir, "said.wav", &said);
    }
}

/// What was not judged is 0.
fn scores(python: &Path, dir: &Path, speech: &Speech, far: &Path, near: &Path) -> Scores {
    if speech.waits > 0 {
        return Scores { said: judge(python, dir, &[(&speech.caller, far)])[0], heard: 0.0 };
    }
    let judged = judge(python, dir, &[(&speech.caller, far), (&speech.agent, near)]);
    Scores { said: judged[0], heard: judged[1] }
}

/// A caller that is PJSIP as it comes out of the box.
fn pjsip(python: &Path, dir: &Path, condition: Condition, uri: &str, speech: &Speech) -> Value {
    let seconds = speech.seconds.to_string();
    let mut command = Command::new(python);
    command.current_dir(dir).arg(here("peers/pjsip_quality.py"));
    command.args(["--uri", uri, "--play", "said.wav", "--record", "heard.wav", "--seconds", &seconds]);
    command.args(condition.dtx.then_some("--dtx"));
    let (ok, output) = run(&mut command, Duration::from_secs(60));
    let json = output.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no report: {output}"));
    let report: Value = serde_json::from_str(json).expect("a JSON report");
    assert!(ok && report["trouble"].is_null(), "{output}");
    report
}

/// PJSIP calls PJSIP.
pub fn telephones(python: &Path, condition: Condition, seed: u64) -> Scores {
    let (dir, speech) = (tempfile::tempdir().expect("a folder"), speech(condition.talk));
    let dir = dir.path();
    speech.write(dir, 0);
    write(dir, "answer.wav", &speech.agent);
    // Two processes: in one, both telephones would have the same clock, which makes a jitter buffer's work easy.
    let (port, seconds) = (free_port().to_string(), (speech.seconds + 2.0).to_string());
    let mut callee = Command::new(python);
    callee.current_dir(dir).arg(here("peers/pjsip_quality.py")).args(["--port", &port, "--seconds", &seconds]);
    callee.args(["--play", "answer.wav", "--record", "far.wav"]).args(condition.dtx.then_some("--dtx"));
    let callee =
        std::thread::Builder::new().spawn(move || run(&mut callee, Duration::from_secs(60))).expect("a thread");
    // SIP repeats what comes too early for the callee.
    let callee_at = ([127, 0, 0, 1], port.parse().expect("a port")).into();
    let relay = Relay::start(callee_at, condition.network, seed);
    let report = pjsip(python, dir, condition, &format!("sip:callee@{}", relay.sip), &speech);
    let (_, answered) = callee.join().expect("the callee");
    assert!(dir.join("far.wav").exists(), "the callee recorded nothing: {answered}");
    let scores = scores(python, dir, &speech, &dir.join("far.wav"), &dir.join("heard.wav"));
    println!("telephones, {}, seed {seed}: {scores:.2?} {report} {:?}", condition.name, relay.seen());
    scores
}

fn serve(sim_dir: &Path, talk: Talk) -> (Running, Server) {
    let (sim, url) = recording(sim_dir, &talk.scenario());
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::with_provider(folder, &[("100.toml", &talk.plan())], &url);
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
pub fn pjsip_to_us(python: &Path, condition: Condition, seed: u64) -> Scores {
    let (dir, speech) = (tempfile::tempdir().expect("a folder"), speech(condition.talk));
    let dir = dir.path();
    let (_sim, server) = serve(dir, condition.talk);
    speech.write(dir, 0);
    let relay = Relay::start(server.sip, condition.network, seed);
    let report = pjsip(python, dir, condition, &format!("sip:100@{}", relay.sip), &speech);
    let record = server.cdrs(1)[0]["rtp"].clone();
    let scores = scores(python, dir, &speech, &recorded(dir), &dir.join("heard.wav"));
    println!("PJSIP to us, {}, seed {seed}: {scores:.2?} {report} {:?} {record}", condition.name, relay.seen());
    scores
}

/// baresip calls voxtrunk.
pub fn baresip_to_us(python: &Path, program: &Path, condition: Condition, seed: u64) -> Scores {
    let (dir, speech) = (tempfile::tempdir().expect("a folder"), speech(condition.talk));
    let dir = dir.path();
    let (_sim, server) = serve(dir, condition.talk);
    speech.write(dir, 16_000);
    let folder = baresip::configuration(dir, "PCMU", 20);
    let relay = Relay::start(server.sip, condition.network, seed);
    let mut command = real_time(program);
    let seconds = (speech.seconds + 1.0).ceil().to_string();
    command.current_dir(dir).arg("-4").arg("-f").arg(&folder).args(["-t", &seconds]);
    command.arg("-e").arg(format!("/dial sip:100@{}", relay.sip));
    let (_, output) = run(&mut command, Duration::from_secs(60));
    let record = server.cdrs(1)[0]["rtp"].clone();
    let scores = scores(python, dir, &speech, &recorded(dir), &baresip::recording(dir, &output));
    println!("baresip to us, {}, seed {seed}: {scores:.2?} {:?} {record}", condition.name, relay.seen());
    scores
}
