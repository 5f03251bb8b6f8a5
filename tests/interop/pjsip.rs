//! Calls placed by PJSIP; the audio it records is judged.

#[path = "../support/authority.rs"]
mod authority;

use super::support::{Server, free_port, here, peer_python, realtime, run};
pub use authority::Authority;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::{quality, wav};

/// The service gives the caller's own voice back: nothing an echo guard could make sense of.
pub const PLAN: &str = "numbers = [\"100\"]\ninstructions = \"Echo.\"\ngreeting = \"none\"\n[audio]\necho_guard = \"off\"\nhigh_pass = false\n";

/// PJSIP's calls are judged by ear: one at a time.
pub static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub fn call(python: &Path, server: &Server, args: &[&str]) -> Value {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    call_at(python, server, &server.sip.to_string(), args)
}

pub fn call_at(python: &Path, server: &Server, at: &str, args: &[&str]) -> Value {
    let mut command = Command::new(python);
    command.current_dir(server.dir.path()).arg(here("peers/pjsip_call.py")).arg(format!("sip:100@{at}")).args(args);
    let (ok, output) = run(&mut command, Duration::from_secs(90));
    let json = output.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no report: {output}"));
    assert!(ok, "{output}");
    serde_json::from_str(json).expect("a JSON report")
}

fn pesq(python: &Path, reference: &Path, degraded: &Path) -> f64 {
    let mut command = Command::new(python);
    command.arg(here("peers/pesq_score.py")).arg(reference).arg(degraded);
    let (ok, output) = run(&mut command, Duration::from_secs(60));
    assert!(ok, "{output}");
    let json = output.lines().find(|line| line.starts_with('{')).expect("a score");
    serde_json::from_str::<Value>(json).expect("JSON")["pesq_nb"].as_f64().expect("a number")
}

/// Speech for the caller: two clips with a pause, and silence at the end for the echo to come back in.
pub fn speech(server: &Server) -> (std::path::PathBuf, Vec<i16>) {
    let clips = ["opening_hours", "book_appointment"].map(|name| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/speech/caller/{name}.wav"));
        wav::read_8k_mono(&file).expect("a clip of ours")
    });
    let mut samples = vec![0i16; 4000];
    for clip in &clips {
        samples.extend(clip);
        samples.extend(vec![0; 4000]);
    }
    let path = server.dir.path().join("said.wav");
    let mut padded = samples.clone();
    padded.extend(vec![0; 24_000]);
    wav::write(&path, 8000, &[&padded]).expect("written");
    (path, samples)
}

fn g711_round_trip(law: Law, samples: &[i16]) -> Vec<i16> {
    let (mut codes, mut out) = (Vec::new(), Vec::new());
    law.encode(samples, &mut codes);
    law.decode(&codes, &mut out);
    out
}

/// What came back, cut to the length of what was said by the delay found.
pub fn judge(python: &Path, server: &Server, law: Law, said: &[i16], recorded: &Path) -> (quality::Report, f64, f64) {
    let heard = wav::read_8k_mono(recorded).expect("PJSIP's recording");
    let report = quality::compare(said, &heard).expect("speech came back");
    let start = (report.delay_ms.max(0.0) * 8.0) as usize;
    let cut: Vec<i16> = heard.iter().skip(start).copied().chain(std::iter::repeat(0)).take(said.len()).collect();
    let files = ["reference.wav", "cut.wav", "ceiling.wav"].map(|name| server.dir.path().join(name));
    let ceiling = g711_round_trip(law, said);
    for (file, samples) in files.iter().zip([said, &cut, &ceiling]) {
        wav::write(file, 8000, &[samples]).expect("written");
    }
    let [reference, cut, ceiling] = &files;
    (report, pesq(python, reference, cut), pesq(python, reference, ceiling))
}

/// One call; what is wrong with the audio that came back, if anything.
fn echo_call(python: &Path, codec: &str, law: Law, transport: &str) -> Result<(), String> {
    let server = Server::start(&[("100.toml", PLAN)], None);
    let (file, said) = speech(&server);
    let seconds = (said.len() as f32 / 8000.0 + 2.0).to_string();
    let file = file.to_str().expect("UTF-8 path");
    let report = call(
        python,
        &server,
        &["--play", file, "--record", "heard.wav", "--seconds", &seconds, "--codec", codec, "--transport", transport],
    );
    let record = &server.cdrs(1)[0];
    assert_eq!(record["cause"], "caller_bye");
    assert_eq!((&report["rx_lost"], &record["rtp"]["lost"]), (&0.into(), &0.into()), "{report} {record}");
    let (quality, score, ceiling) = judge(python, &server, law, &said, &server.dir.path().join("heard.wav"));
    println!("{codec} {transport}: PESQ {score:.3}, G.711 ceiling {ceiling:.3}, {quality:?}");
    if score >= ceiling - 0.1 && quality.gaps.is_empty() && quality.clicks.is_empty() {
        return Ok(());
    }
    Err(format!("PESQ {score:.3} against a ceiling of {ceiling:.3}: {quality:?}"))
}

/// A busy machine stalls PJSIP's own clock, and its jitter buffer then runs dry and stretches the recording: one clean call of eight counts.
pub fn until_clean(call: impl Fn(&Path) -> Result<(), String>) {
    let Some(python) = peer_python() else { return };
    let mut faults = Vec::new();
    while let Err(fault) = call(&python) {
        faults.push(fault);
        assert!(faults.len() < 8, "{}", faults.join("\n"));
    }
}

fn echo_quality(codec: &str, law: Law, transport: &str) {
    until_clean(|python| echo_call(python, codec, law, transport));
}

/// RTP-03, RTP-17: speech comes back through an echo dialplan at the PESQ ceiling of µ-law
#[test]
fn echo_at_the_ceiling_of_g711_mu_law() {
    echo_quality("PCMU/8000", Law::Mu, "udp");
}

/// RTP-03, RTP-17, TRN-01: the same in A-law over TCP signalling
#[test]
fn echo_at_the_ceiling_of_g711_a_law_over_tcp() {
    echo_quality("PCMA/8000", Law::A, "tcp");
}

/// SDP-08, DLG-07: hold, resume, re-INVITE and UPDATE by PJSIP leave the call alive with audio after them
#[test]
fn hold_resume_reinvite_and_update() {
    let Some(python) = peer_python() else { return };
    let server = Server::start(&[("100.toml", PLAN)], None);
    let (file, _) = speech(&server);
    let file = file.to_str().expect("UTF-8 path");
    let report = call(
        &python,
        &server,
        &[
            "--play",
            file,
            "--record",
            "heard.wav",
            "--seconds",
            "7",
            "--hold-at",
            "1",
            "--hold-for",
            "1",
            "--reinvite-at",
            "3",
            "--update-at",
            "4",
        ],
    );
    assert_eq!(report["peer_hung_up"], false, "{report}");
    // PJSUA_CALL_MEDIA_ACTIVE 1, LOCAL_HOLD 2: held once, active before and after.
    let media: Vec<_> = report["media"].as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
    assert!(media.contains(&2) && media.first() == Some(&1) && media.last() == Some(&1), "{report}");
    let heard = wav::read_8k_mono(&server.dir.path().join("heard.wav")).expect("a recording");
    let tail = &heard[heard.len().saturating_sub(3 * 8000)..];
    assert!(tail.iter().any(|s| s.unsigned_abs() > 1000), "no speech in the last three seconds after resume");
    assert_eq!(server.cdrs(1)[0]["cause"], "caller_bye");
}

/// SDP-11: PJSIP sends 40 ms packets and gets its speech back
#[test]
fn long_packets() {
    until_clean(|python| {
        let server = Server::start(&[("100.toml", PLAN)], None);
        let (file, said) = speech(&server);
        let file = file.to_str().expect("UTF-8 path");
        let report =
            call(python, &server, &["--play", file, "--record", "heard.wav", "--seconds", "8", "--ptime", "40"]);
        assert_eq!(report["rx_lost"], 0, "{report}");
        let (quality, score, ceiling) = judge(python, &server, Law::Mu, &said, &server.dir.path().join("heard.wav"));
        let fine = score >= ceiling - 0.15;
        fine.then_some(()).ok_or_else(|| format!("PESQ {score:.3} against {ceiling:.3}: {quality:?}"))
    });
}

/// DTM-01, DTM-02, DTM-03: keys go both ways as RFC 4733 events: PJSIP's to us, and the model's (tool `send_dtmf`) to PJSIP
#[test]
fn keys_in_both_directions() {
    let Some(python) = peer_python() else { return };
    let plan = "numbers = [\"100\"]\ninstructions = \"Press keys.\"\ngreeting = { say = \"Hello\" }\n\
        [[tool]]\nkind = \"send_dtmf\"\nname = \"press\"\ndescription = \"Presses keys.\"\n";
    let scenario = "name = \"keys\"\n[[greeting]]\ncall = \"press\"\narguments = { digits = \"42*0#\" }\n\
        [[tool_result]]\ndo = [{ say = [\"go_ahead\"] }]\n[[digits]]\ndo = [{ say = [\"you_pressed\", \"{digits}\"] }]\n";
    let server = Server::start(&[("100.toml", plan)], Some(scenario));
    let report =
        call(&python, &server, &["--record", "heard.wav", "--seconds", "8", "--dtmf", "12#", "--dtmf-at", "4"]);
    assert_eq!(report["digits"], "42*0#", "{report}");
    let record = &server.cdrs(1)[0];
    assert_eq!(record["dtmf_digits"], 3, "{record}");
    assert_eq!(record["tools"][0]["name"], "press", "{record}");
    assert_eq!(record["tools"][0]["ok"], true, "{record}");
}

/// EAR-01, EAR-02, TIM-01: PJSIP insists on reliable provisional responses and on a session timer
#[test]
fn prack_and_session_timer() {
    let Some(python) = peer_python() else { return };
    let server = Server::start(&[("100.toml", PLAN)], None);
    let report = call(&python, &server, &["--record", "heard.wav", "--seconds", "2", "--prack", "--timer"]);
    assert_eq!((&report["peer_hung_up"], &report["last_status"]), (&false.into(), &200.into()), "{report}");
    assert_eq!(server.cdrs(1)[0]["cause"], "caller_bye");
}

/// TRN-01, TRN-07: a call over TLS with the server's certificate checked; with another authority there is none
#[test]
fn a_call_over_tls() {
    let Some(python) = peer_python() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let (_sim, realtime) = realtime(dir.path(), None);
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.sign("server", "localhost");
    let port = free_port();
    let tls = format!(
        "[sip.tls]\nlisten = \"127.0.0.1:{port}\"\ncertificate = \"{}\"\nkey = \"{}\"\n",
        certificate.display(),
        key.display()
    );
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::configured(folder, &[("100.toml", PLAN)], &realtime, "127.0.0.1:0", &tls);
    let (file, _) = speech(&server);
    let file = file.to_str().expect("UTF-8 path");
    let at = format!("localhost:{port}");
    let call = |ca: &Path| {
        let ca = ca.to_str().expect("UTF-8 path");
        let args = ["--transport", "tls", "--ca", ca, "--play", file, "--record", "heard.wav", "--seconds", "4"];
        call_at(&python, &server, &at, &args)
    };
    let report = call(&authority.ca);
    assert_eq!((&report["peer_hung_up"], &report["rx_lost"]), (&false.into(), &0.into()), "{report}");
    let heard = wav::read_8k_mono(&server.dir.path().join("heard.wav")).expect("a recording");
    assert!(heard.iter().any(|s| s.unsigned_abs() > 1000), "no speech came back");
    let refused = call(&stranger.ca);
    assert_eq!(refused["media"], Value::Array(Vec::new()), "{refused}");
    assert_eq!(server.cdrs(1).len(), 1);
}
