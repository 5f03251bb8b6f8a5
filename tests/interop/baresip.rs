//! Calls placed by baresip, which records what it hears.

use super::support::{Server, program, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use voxtrunk::audio::{quality, wav};

const PLAN: &str = "numbers = [\"100\"]\ninstructions = \"Echo.\"\ngreeting = \"none\"\n";

/// A configuration folder: WAV in, WAV out, no sound card, loopback only.
fn configuration(dir: &Path, ptime_ms: u32) -> PathBuf {
    let folder = dir.join("baresip");
    std::fs::create_dir_all(&folder).expect("a folder");
    let modules =
        ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules", "/usr/local/lib/baresip/modules"]
            .into_iter()
            .find(|path| Path::new(path).is_dir())
            .expect("baresip's modules");
    let said = dir.join("said.wav");
    let config = format!(
        "module_path {modules}\nsip_listen 127.0.0.1:0\nnet_interface 127.0.0.1\naudio_player aufile,{heard}\naudio_source aufile,{said}\n\
         audio_alert aufile,/dev/null\nausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n\
         audio_buffer 20-160\nrtp_stats no\nmodule g711.so\nmodule aufile.so\nmodule_app account.so\nmodule_app menu.so\n\
         module stdio.so\n",
        heard = dir.join("heard.wav").display(),
        said = said.display(),
    );
    std::fs::write(folder.join("config"), config).expect("written");
    let account = format!("<sip:baresip@127.0.0.1>;regint=0;audio_codecs=PCMU/8000/1;ptime={ptime_ms}\n");
    std::fs::write(folder.join("accounts"), account).expect("written");
    std::fs::write(folder.join("contacts"), "").expect("written");
    folder
}

/// RTP-03, SDP-11: baresip's speech comes back whole
#[test]
fn echo_call() {
    let Some(baresip) = program("baresip") else { return };
    let server = Server::start(&[("100.toml", PLAN)], None);
    let dir = server.dir.path();
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/speech/caller/book_appointment.wav");
    let mut said = vec![0i16; 4000];
    said.extend(wav::read_8k_mono(&clip).expect("a clip of ours"));
    let mut padded = said.clone();
    padded.extend(vec![0; 24_000]);
    wav::write(&dir.join("said.wav"), 8000, &[&padded]).expect("written");
    let folder = configuration(dir, 20);
    let mut command = Command::new(baresip);
    command.current_dir(dir).arg("-4").arg("-f").arg(&folder).args(["-t", "8"]);
    command.arg("-e").arg(format!("/dial sip:100@{}", server.sip));
    let (_, output) = run(&mut command, Duration::from_secs(60));
    let heard = wav::read_8k_mono(&dir.join("heard.wav")).unwrap_or_else(|why| panic!("{why}\n{output}"));
    let report = quality::compare(&said, &heard).expect("speech came back");
    println!("baresip: {report:?}");
    assert!(report.segmental_snr_db > 15.0, "{report:?}\n{output}");
    assert!(report.gaps.is_empty(), "{report:?}");
    assert_eq!(server.cdrs(1)[0]["cause"], "caller_bye", "{output}");
}
