//! Wideband calls: G.722 of PJSIP and of baresip (two coders that nobody here wrote) through an echo dialplan, judged by wideband PESQ.

use super::baresip;
use super::pjsip::{ONE_AT_A_TIME, PLAN};
use super::support::{Server, here, peer_python, program, realtime, run};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::PoisonError;
use std::time::Duration;
use voxtrunk::audio::g722::{Decoder, Encoder};
use voxtrunk::audio::pcm::Rate;
use voxtrunk::audio::{quality, resample, tone, wav};

const TRUNK: &str =
    "[[trunk]]\nname = \"telephones\"\nsources = [\"127.0.0.1\"]\n[trunk.media]\ncodecs = [\"G722\", \"PCMU\"]\n";

fn server() -> Server {
    let dir = tempfile::tempdir().expect("a folder");
    let (sim, url) = realtime(dir.path(), None);
    let mut server = Server::configured(dir, &[("100.toml", PLAN)], &url, "127.0.0.1:0", TRUNK);
    server.running.push(sim);
    server
}

/// A voice with harmonics up to 6.6 kHz, 6 s, and the file that is said: with silence for the echo to come back in.
fn speech(dir: &Path) -> Vec<i16> {
    let mut samples = vec![0; 8_000];
    samples.extend(tone::voice_at(Rate::Hz16000, 6_000, 11));
    let mut padded = samples.clone();
    padded.extend(vec![0; 48_000]);
    wav::write(&dir.join("said.wav"), 16_000, &[&padded]).expect("written");
    samples
}

/// What came back against what was said: wideband PESQ, that of our own coder there and back as the ceiling, and the narrowband measure.
fn judge(python: &Path, dir: &Path, said: &[i16], recorded: &Path) -> (f64, f64, quality::Report) {
    let heard = wav::read_mono(recorded, Rate::Hz16000).expect("a recording");
    let narrow = |samples: &[i16]| resample::convert(samples, 16_000, 8_000).expect("both are rates");
    let report = quality::compare(&narrow(said), &narrow(&heard)).expect("speech came back");
    let start = (report.delay_ms.max(0.0) * 16.0) as usize;
    let cut: Vec<i16> = heard.iter().skip(start).copied().chain(std::iter::repeat(0)).take(said.len()).collect();
    // Coded twice each way, as the call was: by the telephone and by us.
    let mut ceiling = said.to_vec();
    for _ in 0..2 {
        let (mut octets, mut out) = (Vec::new(), Vec::new());
        Encoder::new().encode(&ceiling, &mut octets);
        Decoder::new().decode(&octets, &mut out);
        ceiling = out;
    }
    let files = ["reference.wav", "cut.wav", "ceiling.wav"].map(|name| dir.join(name));
    for (file, samples) in files.iter().zip([said, &cut, &ceiling]) {
        wav::write(file, 16_000, &[samples]).expect("written");
    }
    let [reference, cut, ceiling] = &files;
    let mut command = Command::new(python);
    command.arg(here("peers/pesq_score.py")).args([reference, cut, reference, ceiling]);
    let (ok, output) = run(&mut command, Duration::from_secs(120));
    assert!(ok, "{output}");
    let json = output.lines().find(|line| line.starts_with('{')).expect("a score");
    let each = serde_json::from_str::<Value>(json).expect("JSON");
    let score = |n: usize| each["each"][n].as_f64().expect("a number");
    (score(0), score(1), report)
}

/// `below`: how far under the ceiling.
fn verdict(who: &str, below: f64, (score, ceiling, report): (f64, f64, quality::Report)) -> Result<(), String> {
    println!("{who} G.722: wideband PESQ {score:.3}, ceiling {ceiling:.3}, {report:?}");
    if score >= ceiling - below && report.segmental_snr_db > 30.0 && report.gaps.is_empty() && report.clicks.is_empty()
    {
        return Ok(());
    }
    Err(format!("{who}: PESQ {score:.3} against a ceiling of {ceiling:.3}: {report:?}"))
}

/// A busy machine stalls the peer's own clock: one clean call of five counts.
fn until_clean(call: impl Fn() -> Result<(), String>) {
    let mut faults = Vec::new();
    while let Err(fault) = call() {
        faults.push(fault);
        assert!(faults.len() < 5, "{}", faults.join("\n"));
    }
}

/// RTP-03, SDP-05: PJSIP's wideband speech comes back whole, its upper band with it
#[test]
fn echo_of_pjsip_in_g722() {
    let Some(python) = peer_python() else { return };
    until_clean(|| {
        let server = server();
        let dir = server.dir.path();
        let said = speech(dir);
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let mut command = Command::new(&python);
        command.current_dir(dir).arg(here("peers/pjsip_call.py")).arg(format!("sip:100@{}", server.sip));
        command.args(["--play", "said.wav", "--record", "heard.wav", "--seconds", "9"]);
        command.args(["--codec", "G722/16000", "--rate", "16000"]);
        let (ok, output) = run(&mut command, Duration::from_secs(90));
        assert!(ok, "{output}");
        drop(turn);
        let record = &server.cdrs(1)[0];
        assert_eq!((&record["cause"], &record["codec"]), (&"caller_bye".into(), &"G722".into()), "{output}");
        verdict("PJSIP", 0.35, judge(&python, dir, &said, &dir.join("heard.wav")))
    });
}

/// RTP-03, SDP-05: baresip's (SpanDSP's coder) the same
#[test]
fn echo_of_baresip_in_g722() {
    let (Some(python), Some(program)) = (peer_python(), program("baresip")) else { return };
    until_clean(|| {
        let server = server();
        let dir = server.dir.path();
        let said = speech(dir);
        let folder = baresip::configuration(dir, "G722", 20);
        let config = std::fs::read_to_string(folder.join("config")).expect("written above");
        let config = config.replace("srate 8000", "srate 16000").replace("module g711.so", "module g722.so");
        std::fs::write(folder.join("config"), config).expect("written");
        let accounts = std::fs::read_to_string(folder.join("accounts")).expect("written above");
        std::fs::write(folder.join("accounts"), accounts.replace("G722/8000/1", "G722/16000/1")).expect("written");
        let mut command = Command::new(&program);
        command.current_dir(dir).arg("-4").arg("-f").arg(&folder).args(["-t", "10"]);
        command.arg("-e").arg(format!("/dial sip:100@{}", server.sip));
        let (_, output) = run(&mut command, Duration::from_secs(60));
        let recording = baresip::recording(dir, &output);
        let record = &server.cdrs(1)[0];
        assert_eq!((&record["cause"], &record["codec"]), (&"caller_bye".into(), &"G722".into()), "{output}");
        verdict("baresip", 0.15, judge(&python, dir, &said, &recording))
    });
}
