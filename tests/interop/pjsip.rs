//! Calls placed by PJSIP; the audio it records is judged.

#[path = "../support/authority.rs"]
mod authority;

use super::hearing::{self, BELOW_CEILING, hear_g711, of_two};
use super::support::{Server, free_port, here, peer_python, realtime, run};
pub use authority::Authority;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::wav;

/// The service gives the caller's own voice back: nothing an echo guard could make sense of. And no high-pass, as the waveform is judged.
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

/// The file of [`hearing::speech`] in the server's folder, and its samples.
pub fn speech(server: &Server) -> (PathBuf, Vec<i16>) {
    (server.dir.path().join("said.wav"), hearing::speech(server.dir.path()))
}

/// One call; what is wrong with the audio that came back, if anything.
fn echo_call(python: &Path, codec: &str, law: Law, more: &[&str]) -> Result<(), String> {
    let server = Server::start(&[("100.toml", PLAN)], None);
    let (file, said) = speech(&server);
    let seconds = (said.len() as f32 / 8000.0 + 2.0).to_string();
    let file = file.to_str().expect("UTF-8 path");
    let args = ["--play", file, "--record", "heard.wav", "--seconds", &seconds, "--codec", codec];
    let report = call(python, &server, &[&args[..], more].concat());
    let record = &server.cdrs(1)[0];
    assert_eq!(record["cause"], "caller_bye");
    assert_eq!((&report["rx_lost"], &record["rtp"]["lost"]), (&0.into(), &0.into()), "{report} {record}");
    let heard = hear_g711(python, server.dir.path(), law, &said, &server.dir.path().join("heard.wav"));
    heard.clean(&format!("PJSIP {codec} {more:?} {}", report["buffer"]), BELOW_CEILING)
}

fn echo_quality(codec: &str, law: Law, more: &[&str]) {
    let Some(python) = peer_python() else { return };
    of_two(|| echo_call(&python, codec, law, more));
}

/// RTP-03, RTP-17: speech comes back through an echo dialplan at the PESQ ceiling of µ-law
#[test]
fn echo_at_the_ceiling_of_g711_mu_law() {
    echo_quality("PCMU/8000", Law::Mu, &[]);
}

/// RTP-03, RTP-17, TRN-01: the same in A-law over TCP signalling
#[test]
fn echo_at_the_ceiling_of_g711_a_law_over_tcp() {
    echo_quality("PCMA/8000", Law::A, &["--transport", "tcp"]);
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

/// SDP-11: the same in packets of 40 ms
#[test]
fn long_packets() {
    echo_quality("PCMU/8000", Law::Mu, &["--ptime", "40"]);
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
