//! SRTP with keys in SDP, agreed on with PJSIP and baresip and heard by them: quality, suites, hold, policies.

use super::baresip;
use super::hearing::{self, BELOW_CEILING, hear_g711, of_two};
use super::pjsip::{Authority, ONE_AT_A_TIME, PLAN, call, call_at, speech};
use super::support::{Running, Server, free_port, peer_python, program, real_time, realtime, run, server_program};
use serde_json::Value;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::wav;

/// A server that is called by TLS and knows its callers as one trunk, with these lines of media settings.
struct Secure {
    server: Server,
    authority: Authority,
    at: String,
    port: u16,
    _realtime: Running,
}

fn secure(transport: &str, media: &str) -> Secure {
    let folder = tempfile::tempdir().expect("a folder");
    let (realtime, url) = realtime(folder.path(), None);
    let authority = Authority::new();
    let (certificate, key) = authority.sign("server", "localhost");
    let port = free_port();
    let settings = format!(
        "[sip.tls]\nlisten = \"127.0.0.1:{port}\"\ncertificate = \"{}\"\nkey = \"{}\"\n\
         [[trunk]]\nname = \"pbx\"\nsources = [\"127.0.0.1\"]\ntransports = [\"{transport}\"]\n[trunk.media]\n{media}\n",
        certificate.display(),
        key.display()
    );
    let server = Server::configured(folder, &[("100.toml", PLAN)], &url, "127.0.0.1:0", &settings);
    Secure { server, authority, at: format!("localhost:{port}"), port, _realtime: realtime }
}

impl Secure {
    /// A call of PJSIP by TLS.
    fn pjsip(&self, python: &Path, args: &[&str]) -> Value {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let ca = self.authority.ca.to_str().expect("UTF-8 path");
        call_at(python, &self.server, &self.at, &[&["--transport", "tls", "--ca", ca], args].concat())
    }
}

/// One call of PJSIP with these arguments; what is wrong with what it heard of itself, if anything. `suite`: which must be in use on both sides.
fn echo(python: &Path, secure: &Secure, udp: bool, args: &[&str], suite: &str) -> Result<(), String> {
    let server = &secure.server;
    let (file, said) = speech(server);
    let seconds = (said.len() as f32 / 8000.0 + 2.0).to_string();
    let file = file.to_str().expect("UTF-8 path");
    let args = [&["--play", file, "--record", "heard.wav", "--seconds", &seconds], args].concat();
    let report = if udp { call(python, server, &args) } else { secure.pjsip(python, &args) };
    let records = server.cdrs(1);
    let record = records.last().expect("a record");
    assert_eq!((&record["cause"], &record["srtp"]), (&"caller_bye".into(), &suite.into()), "{report} {record}");
    let dump = report["dump"].as_str().unwrap_or_default();
    assert!(dump.contains("SRTP status: Active") && dump.contains(&format!("Crypto-suite: {suite}")), "{dump}");
    let failed = (&record["rtp"]["srtp_failed"], &record["rtp"]["srtp_replayed"]);
    assert_eq!(failed, (&0.into(), &0.into()), "{record}");
    assert_eq!((&report["rx_lost"], &record["rtp"]["lost"]), (&0.into(), &0.into()), "{report} {record}");
    let heard = hear_g711(python, server.dir.path(), Law::Mu, &said, &server.dir.path().join("heard.wav"));
    heard.clean(&format!("PJSIP SRTP {suite}"), BELOW_CEILING)
}

/// [`echo`] of two.
fn echoes(transport: &str, media: &str, args: &[&str], suite: &str) {
    let Some(python) = peer_python() else { return };
    of_two(|| echo(&python, &secure(transport, media), transport == "udp", args, suite));
}

fn echo_in(suite: &str) {
    let media = "srtp = \"require\"\nsource_policy = \"strict\"";
    echoes("tls", media, &["--srtp", "mandatory", "--suite", suite], suite);
}

/// SRT-01, SRT-05: PJSIP with SRTP mandatory over TLS to a trunk that requires it, in the suite that everybody has.
#[test]
fn pjsip_in_aes_128() {
    echo_in("AES_CM_128_HMAC_SHA1_80");
}

/// SRT-01: the same with tags of 32 bits, which we take but never offer.
#[test]
fn pjsip_in_aes_128_with_short_tags() {
    echo_in("AES_CM_128_HMAC_SHA1_32");
}

/// SRT-06: AES-256 in counter mode.
#[test]
fn pjsip_in_aes_256() {
    echo_in("AES_256_CM_HMAC_SHA1_80");
}

/// SRT-02, SDP-14: PJSIP to which SRTP is a wish offers RTP/AVP with keys, and gets it where SRTP is our wish too.
#[test]
fn pjsip_to_which_it_is_a_wish() {
    echoes("tls", "", &["--srtp", "optional", "--suite", CM_80], CM_80);
}

/// SRT-01: by UDP, where a trunk says that keys may travel so.
#[test]
fn pjsip_by_udp_where_the_trunk_allows_it() {
    let media = "srtp = \"require\"\nsrtp_without_tls = true";
    echoes("udp", media, &["--srtp", "mandatory", "--suite", CM_80], CM_80);
}

/// SRT-04, SDP-08, DLG-07: hold, resume, re-INVITE and UPDATE of a secured call: audio before and after, and no packet was refused.
#[test]
fn pjsip_holds_and_resumes() {
    let Some(python) = peer_python() else { return };
    let secure = secure("tls", "srtp = \"require\"");
    let (file, _) = speech(&secure.server);
    let file = file.to_str().expect("UTF-8 path");
    let script = ["--hold-at", "1", "--hold-for", "1", "--reinvite-at", "3", "--update-at", "4"];
    let args =
        [&["--srtp", "mandatory", "--play", file, "--record", "heard.wav", "--seconds", "9"][..], &script].concat();
    let report = secure.pjsip(&python, &args);
    assert_eq!(report["peer_hung_up"], false, "{report}");
    let heard = wav::read_8k_mono(&secure.server.dir.path().join("heard.wav")).expect("a recording");
    let tail = &heard[heard.len().saturating_sub(3 * 8000)..];
    assert!(tail.iter().any(|s| s.unsigned_abs() > 1000), "no speech in the last three seconds after resume");
    let record = &secure.server.cdrs(1)[0];
    assert_eq!((&record["cause"], &record["rtp"]["srtp_failed"]), (&"caller_bye".into(), &0.into()), "{record}");
    assert!(record["srtp"].is_string(), "{record}");
}

/// SRT-02: a trunk that requires SRTP refuses PJSIP without, and one without SRTP refuses PJSIP that insists.
#[test]
fn pjsip_is_refused_where_policies_do_not_meet() {
    let Some(python) = peer_python() else { return };
    for (media, args) in [("srtp = \"require\"", &[][..]), ("srtp = \"off\"", &["--srtp", "mandatory"])] {
        let secure = secure("tls", media);
        let report = secure.pjsip(&python, &[&["--seconds", "2"], args].concat());
        assert_eq!((&report["last_status"], &report["media"]), (&488.into(), &Value::Array(Vec::new())), "{report}");
        assert_eq!(secure.server.cdrs(1)[0]["cause"], "no_srtp");
    }
}

/// A call of baresip with this `mediaenc`.
fn baresip_echo(media_encryption: &str, transport: &str, media: &str, profile: &str, suite: &str) {
    let (Some(python), Some(program)) = (peer_python(), program("baresip")) else { return };
    of_two(|| baresip_call(&python, &program, media_encryption, transport, media, profile, suite));
}

/// What is wrong with what it heard of itself.
fn baresip_call(
    python: &Path,
    program: &Path,
    media_encryption: &str,
    transport: &str,
    media: &str,
    profile: &str,
    suite: &str,
) -> Result<(), String> {
    let secure = secure(transport, media);
    let dir = secure.server.dir.path();
    let said = hearing::speech(dir);
    let folder = baresip::configuration(dir, "PCMU", 20);
    let add = |file: &str, text: &str| {
        let file = folder.join(file);
        let before = std::fs::read_to_string(&file).expect("written before");
        std::fs::write(&file, format!("{}{text}\n", before.trim_end())).expect("written");
    };
    add("config", "\nmodule srtp.so");
    add("accounts", &format!(";mediaenc={media_encryption}"));
    let port = if transport == "tls" { secure.port } else { secure.server.sip.port() };
    let mut command = real_time(program);
    command.current_dir(dir).args(["-4", "-s", "-f"]).arg(&folder).args(["-t", baresip::SECONDS]);
    command.arg("-e").arg(format!("/dial sip:100@127.0.0.1:{port};transport={transport}"));
    let (_, output) = run(&mut command, Duration::from_secs(60));
    let recording = baresip::recording(dir, &output);
    assert!(output.contains(&format!("{profile} 0")), "the profile:\n{output}");
    let record = &secure.server.cdrs(1)[0];
    assert_eq!((&record["cause"], &record["srtp"]), (&"caller_bye".into(), &suite.into()), "{record}\n{output}");
    // It opens its RTCP with APP packets in the clear, before it has our key: they are refused, and nothing else is.
    assert!(record["rtp"]["srtp_failed"].as_u64() <= Some(2), "{record}");
    assert_eq!(record["rtp"]["srtp_replayed"], 0, "{record}");
    let heard = hear_g711(python, dir, Law::Mu, &said, &recording);
    let who = format!("baresip {media_encryption} {transport}");
    heard.clean(&who, BELOW_CEILING).map_err(|fault| format!("{fault}\n{record}"))
}

const CM_80: &str = "AES_CM_128_HMAC_SHA1_80";

/// SRT-01, SRT-02: baresip with `srtp-mand` over TLS.
#[test]
fn baresip_that_insists() {
    baresip_echo("srtp-mand", "tls", "srtp = \"require\"", "RTP/SAVP", CM_80);
}

/// SDP-14: baresip with `srtp-mandf`, which offers RTP/SAVPF.
#[test]
fn baresip_with_feedback() {
    baresip_echo("srtp-mandf", "tls", "srtp = \"require\"", "RTP/SAVPF", CM_80);
}

/// SRT-01, SDP-14: baresip with `srtp`, RTP/AVP with keys, by UDP where the trunk allows it.
#[test]
fn baresip_by_udp_where_the_trunk_allows_it() {
    baresip_echo("srtp", "udp", "srtp_without_tls = true", "RTP/AVP", CM_80);
}

/// SRT-01, SRT-06: our telephone calls baresip, which takes the first suite that it has of our offer: AES-GCM with 256 bits.
#[test]
fn baresip_takes_aes_256_gcm_of_our_offer() {
    let (Some(python), Some(program)) = (peer_python(), program("baresip")) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let mut said = vec![0; 12_000];
    said.extend(hearing::clips(&["book_appointment"]));
    let mut padded = said.clone();
    padded.extend(vec![0; 24_000]);
    wav::write(&dir.path().join("said.wav"), 8000, &[&padded]).expect("written");
    let folder = baresip::configuration(dir.path(), "PCMU", 20);
    let port = free_port();
    let edit = |file: &str, change: &dyn Fn(String) -> String| {
        let file = folder.join(file);
        let before = std::fs::read_to_string(&file).expect("written before");
        std::fs::write(&file, change(before)).expect("written");
    };
    edit("config", &|config| {
        format!("{}module srtp.so\n", config.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")))
    });
    edit("accounts", &|account| format!("{};mediaenc=srtp-mand;answermode=auto\n", account.trim_end()));
    let log = std::fs::File::create(dir.path().join("log")).expect("a file");
    let child = real_time(&program)
        .current_dir(dir.path())
        .args(["-4", "-s", "-f"])
        .arg(&folder)
        .args(["-t", "20"])
        .stdin(std::process::Stdio::null())
        .stderr(log.try_clone().expect("a file"))
        .stdout(log)
        .spawn();
    let _running = Running(child.expect("baresip starts"));
    let mut call = real_time(&server_program());
    call.current_dir(dir.path()).arg("call").arg(format!("sip:baresip@127.0.0.1:{port}"));
    call.args(["--srtp", "require", "--codecs", "pcmu", "--record", "heard.wav", "--json", "report.json"]);
    call.args(["--hangup-after", "7"]);
    let (ok, output) = run(&mut call, Duration::from_secs(60));
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    assert!(ok, "{output}\n{log}");
    assert!(log.contains("SRTP is Enabled (cryptosuite=AEAD_AES_256_GCM)"), "{output}\n{log}");
    let report: Value =
        serde_json::from_str(&std::fs::read_to_string(dir.path().join("report.json")).expect("a report"))
            .expect("a JSON report");
    assert_eq!((&report["srtp"], &report["packets_lost"]), (&"AEAD_AES_256_GCM".into(), &0.into()), "{report}");
    // Stereo: the caller, who says nothing, and the other side.
    let mut recording = hound::WavReader::open(dir.path().join("heard.wav")).expect("our recording");
    let heard: Vec<i16> = recording.samples::<i16>().skip(1).step_by(2).map(|s| s.expect("a sample")).collect();
    let mono = dir.path().join("mono.wav");
    wav::write(&mono, 8000, &[&heard]).expect("written");
    let heard = hear_g711(&python, dir.path(), Law::Mu, &said, &mono);
    heard.clean("from baresip in AES-256-GCM", BELOW_CEILING).expect("as clear as without SRTP");
}
