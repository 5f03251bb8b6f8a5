//! Calls placed by baresip, which records what it hears.

use super::hearing::{BELOW_CEILING, hear_g711, of_two, speech};
use super::pjsip::PLAN;
use super::support::{Server, peer_python, program, real_time, run};
use std::path::{Path, PathBuf};
use std::time::Duration;
use voxtrunk::audio::g711::Law;

/// An echo call ends so long after baresip's start.
pub const SECONDS: &str = "12";

/// What baresip heard: the one recording in its folder. `output`: for the panic when there is none.
pub fn recording(dir: &Path, output: &str) -> PathBuf {
    std::fs::read_dir(dir)
        .expect("our folder")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with("-dec.wav"))
        .unwrap_or_else(|| panic!("baresip recorded nothing:\n{output}"))
}

/// A configuration folder: WAV in, WAV out, no sound card, loopback only.
pub fn configuration(dir: &Path, codec: &str, ptime_ms: u32) -> PathBuf {
    let folder = dir.join("baresip");
    std::fs::create_dir_all(&folder).expect("a folder");
    let modules =
        ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules", "/usr/local/lib/baresip/modules"]
            .into_iter()
            .find(|path| Path::new(path).is_dir())
            .expect("baresip's modules");
    let config = format!(
        "module_path {modules}\nsip_listen 127.0.0.1:0\nnet_interface 127.0.0.1\naudio_player aubridge,play\n\
         audio_source aufile,{said}\naudio_alert aubridge,alert\nausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\n\
         auplay_channels 1\nmodule g711.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nsnd_path {dump}\n\
         module_app account.so\nmodule_app menu.so\n",
        said = dir.join("said.wav").display(),
        dump = dir.display(),
    );
    std::fs::write(folder.join("config"), config).expect("written");
    let account = format!("<sip:baresip@127.0.0.1>;regint=0;audio_codecs={codec}/8000/1;ptime={ptime_ms}\n");
    std::fs::write(folder.join("accounts"), account).expect("written");
    std::fs::write(folder.join("contacts"), "").expect("written");
    folder
}

/// One call that says [`hearing::speech`](super::hearing::speech) and hears it come back; what is wrong with that, if anything.
fn echo_call(python: &Path, baresip: &Path, codec: &str, law: Law, ptime_ms: u32) -> Result<(), String> {
    let server = Server::start(&[("100.toml", PLAN)], None);
    let dir = server.dir.path();
    let said = speech(dir);
    let folder = configuration(dir, codec, ptime_ms);
    let mut command = real_time(baresip);
    command.current_dir(dir).arg("-4").arg("-f").arg(&folder).args(["-t", SECONDS]);
    command.arg("-e").arg(format!("/dial sip:100@{}", server.sip));
    let (_, output) = run(&mut command, Duration::from_secs(60));
    let recording = recording(dir, &output);
    let record = &server.cdrs(1)[0];
    assert_eq!((&record["cause"], &record["codec"]), (&"caller_bye".into(), &codec.into()), "{output}");
    let heard = hear_g711(python, dir, law, &said, &recording);
    heard.clean(&format!("baresip {codec} {ptime_ms} ms"), BELOW_CEILING).map_err(|fault| format!("{fault}\n{record}"))
}

fn echo(codec: &str, law: Law, ptime_ms: u32) {
    let (Some(python), Some(baresip)) = (peer_python(), program("baresip")) else { return };
    of_two(|| echo_call(&python, &baresip, codec, law, ptime_ms));
}

/// RTP-03, RTP-17: baresip's speech comes back whole
#[test]
fn echo_in_mu_law() {
    echo("PCMU", Law::Mu, 20);
}

/// SDP-11: the same in A-law and packets of 30 ms
#[test]
fn echo_in_a_law_with_30_ms_packets() {
    echo("PCMA", Law::A, 30);
}
