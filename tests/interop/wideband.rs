//! Wideband calls: G.722 of PJSIP and of baresip (two coders that nobody here wrote) through an echo dialplan, judged by wideband PESQ.

use super::baresip;
use super::hearing::{self, Heard, of_two};
use super::pjsip::{ONE_AT_A_TIME, PLAN};
use super::support::{Server, here, peer_python, program, real_time, realtime, run};
use std::path::Path;
use std::process::Command;
use std::sync::PoisonError;
use std::time::Duration;
use voxtrunk::audio::g722::{Decoder, Encoder};
use voxtrunk::audio::pcm::Rate;
use voxtrunk::audio::{tone, wav};

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

/// How far below its ceiling a call may be, wideband MOS. PJSIP's own coder takes 0.27 of a call in which no sample is lost (37 dB below 4 kHz).
const BELOW: f64 = 0.1;
const BELOW_PJSIP: f64 = 0.3;

/// What came back, against G.722 there and back twice, as the call was coded: by the telephone and by us.
fn hear(python: &Path, dir: &Path, said: &[i16], recorded: &Path) -> Heard {
    let mut best = said.to_vec();
    for _ in 0..2 {
        let (mut octets, mut out) = (Vec::new(), Vec::new());
        Encoder::new().encode(&best, &mut octets);
        Decoder::new().decode(&octets, &mut out);
        best = out;
    }
    hearing::hear(python, dir, Rate::Hz16000, said, recorded, &best)
}

/// RTP-03, SDP-05: PJSIP's wideband speech comes back whole, its upper band with it
#[test]
fn echo_of_pjsip_in_g722() {
    let Some(python) = peer_python() else { return };
    of_two(|| {
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
        hear(&python, dir, &said, &dir.join("heard.wav")).clean("PJSIP G.722", BELOW_PJSIP)
    });
}

/// RTP-03, SDP-05: baresip's (SpanDSP's coder) the same
#[test]
fn echo_of_baresip_in_g722() {
    let (Some(python), Some(program)) = (peer_python(), program("baresip")) else { return };
    of_two(|| {
        let server = server();
        let dir = server.dir.path();
        let said = speech(dir);
        let folder = baresip::configuration(dir, "G722", 20);
        let config = std::fs::read_to_string(folder.join("config")).expect("written above");
        let config = config.replace("srate 8000", "srate 16000").replace("module g711.so", "module g722.so");
        std::fs::write(folder.join("config"), config).expect("written");
        let accounts = std::fs::read_to_string(folder.join("accounts")).expect("written above");
        std::fs::write(folder.join("accounts"), accounts.replace("G722/8000/1", "G722/16000/1")).expect("written");
        let mut command = real_time(&program);
        command.current_dir(dir).arg("-4").arg("-f").arg(&folder).args(["-t", "10"]);
        command.arg("-e").arg(format!("/dial sip:100@{}", server.sip));
        let (_, output) = run(&mut command, Duration::from_secs(60));
        let recording = baresip::recording(dir, &output);
        let record = &server.cdrs(1)[0];
        assert_eq!((&record["cause"], &record["codec"]), (&"caller_bye".into(), &"G722".into()), "{output}");
        hear(&python, dir, &said, &recording).clean("baresip G.722", BELOW)
    });
}
