//! RTCP with stacks nobody here wrote: PJSIP's own statistics and baresip's, and what is left of theirs in the call record.

use super::baresip::configuration;
use super::pjsip;
use super::support::{Server, peer_python, program, run};
use std::process::Command;
use std::time::Duration;
use voxtrunk::audio::wav;

/// What both ends must know after a call on loopback.
fn assert_reported(record: &serde_json::Value) {
    let quality = &record["quality"];
    assert!(quality["rtcp_received"].as_u64().is_some_and(|n| n >= 2), "{record}");
    assert!(quality["round_trip_ms"].as_f64().is_some_and(|ms| ms < 500.0), "{record}");
    assert!(quality["remote_loss_percent"].as_f64().is_some_and(|loss| loss < 5.0), "{record}");
    assert!(quality["remote_jitter_ms"].as_f64().is_some_and(|ms| ms < 200.0), "{record}");
    assert!(quality["mos"].as_f64().is_some_and(|mos| mos > 3.5), "{record}");
    assert!(quality["remote_mos"].as_f64().is_some_and(|mos| mos > 3.5), "{record}");
}

/// RTP-13: PJSIP counts our reports on its stream, measures the round trip by them, and so do we of it
#[test]
fn pjsip_and_we_report_to_each_other() {
    let Some(python) = peer_python() else { return };
    let server = Server::start(&[("100.toml", pjsip::PLAN)], None);
    let (file, _) = pjsip::speech(&server);
    let file = file.to_str().expect("UTF-8 path");
    let report = pjsip::call(&python, &server, &["--play", file, "--seconds", "17"]);
    // What it knows of its own packets it has from our reports.
    let rtcp = &report["rtcp"];
    assert!(rtcp["tx_updates"].as_u64().is_some_and(|n| n >= 2), "{report}");
    assert!(rtcp["round_trips"].as_u64().is_some_and(|n| n >= 1), "{report}");
    assert!(rtcp["round_trip_us"].as_u64().is_some_and(|us| us < 500_000), "{report}");
    assert_reported(&server.cdrs(1)[0]);
}

/// RTP-14: baresip offers rtcp-mux and gets it; its reports are read on the RTP port, and ours are there for it
#[test]
fn baresip_shares_one_port() {
    let Some(baresip) = program("baresip") else { return };
    let server = Server::start(&[("100.toml", pjsip::PLAN)], None);
    let dir = server.dir.path();
    wav::write(&dir.join("said.wav"), 8000, &[&vec![0i16; 160_000]]).expect("written");
    let folder = configuration(dir, "PCMU", 20);
    let file = folder.join("config");
    let mut config = std::fs::read_to_string(&file).expect("our configuration");
    config.push_str("rtcp_mux yes\nrtp_stats yes\n");
    std::fs::write(&file, config).expect("written");
    let mut command = Command::new(baresip);
    command.current_dir(dir).args(["-4", "-s", "-f"]).arg(&folder).args(["-t", "18"]);
    command.arg("-e").arg(format!("/dial sip:100@{}", server.sip));
    let (_, output) = run(&mut command, Duration::from_secs(60));
    assert!(output.matches("a=rtcp-mux").count() >= 2, "offered and answered: {output}");
    assert_reported(&server.cdrs(1)[0]);
}
