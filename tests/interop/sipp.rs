//! sipp scenarios, each named after what it shows; the requirement ids stand in the files.

use super::support::{Server, here, mandatory, program, run};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PLAN: &str = "instructions = \"Answer.\"\ngreeting = { say = \"Hello\" }\n";

/// Runs one scenario against `server`; the panic shows what sipp saw.
fn scenario(server: &Server, name: &str, number: &str, transport: &str) {
    scenario_at(server.dir.path(), server.sip, name, number, transport);
}

/// The same against whoever is at `to`; what sipp writes goes to `dir`.
pub fn scenario_at(dir: &Path, to: SocketAddr, name: &str, number: &str, transport: &str) {
    let Some(sipp) = program("sipp") else { return };
    let mut command = Command::new(sipp);
    command
        .current_dir(dir)
        .arg(to.to_string())
        .arg("-sf")
        .arg(here(&format!("sipp/{name}.xml")))
        .args(["-s", number, "-t", transport, "-m", "1", "-i", "127.0.0.1", "-mi", "127.0.0.1", "-nostdin"])
        .args(["-timeout", "60s", "-timeout_error", "-trace_err", "-error_file", "sipp-errors.txt"]);
    let (ok, output) = run(&mut command, Duration::from_secs(90));
    let errors = std::fs::read_to_string(dir.join("sipp-errors.txt")).unwrap_or_default();
    let tail: Vec<&str> = output.lines().rev().take(40).collect();
    assert!(ok, "{name} over {transport} failed.\n{errors}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
}

fn echo_server() -> Option<Server> {
    program("sipp")?;
    Some(Server::start(&[("100.toml", &format!("numbers = [\"100\"]\n{PLAN}"))], None))
}

/// TRN-02, DLG-08, OVL-08: a plain call over UDP and TCP, with one CDR each
#[test]
fn basic_call_over_udp_and_tcp() {
    let Some(server) = echo_server() else { return };
    scenario(&server, "basic", "100", "u1");
    scenario(&server, "basic", "100", "t1");
    let records = server.cdrs(2);
    assert!(records.iter().all(|record| record["cause"] == "caller_bye"), "{records:?}");
}

/// SDP-01, SDP-02, SDP-07, SDP-08: late offer, empty re-INVITE, hold and resume
#[test]
fn offers_late_empty_and_held() {
    let Some(server) = echo_server() else { return };
    for name in ["late_offer", "empty_reinvite", "hold"] {
        scenario(&server, name, "100", "u1");
    }
    scenario(&server, "hold", "100", "t1");
}

/// DLG-05, DLG-12, DLG-14, SDP-12, PAR-15: refusals have the right status
#[test]
fn refusals() {
    let Some(server) = echo_server() else { return };
    for name in ["options", "bye_unknown", "no_codec", "unknown_method"] {
        scenario(&server, name, "100", "u1");
    }
    scenario(&server, "unknown_number", "999", "u1");
    let records = server.cdrs(2);
    let causes: Vec<_> = records.iter().filter_map(|record| record["cause"].as_str()).collect();
    assert!(causes.contains(&"no_codec") && causes.contains(&"no_number"), "{causes:?}");
}

/// EAR-01, EAR-02, EAR-04, TIM-01: PRACK, UPDATE, a session timer that is too short and one that is not
#[test]
fn prack_update_and_session_timer() {
    let Some(server) = echo_server() else { return };
    for name in ["prack", "update", "timer_small"] {
        scenario(&server, name, "100", "u1");
    }
    scenario(&server, "prack", "100", "t1");
    // The 422 has a record of its own.
    let records = server.cdrs(5);
    assert_eq!(records.iter().filter(|record| record["cause"] == "caller_bye").count(), 4, "{records:?}");
}

/// TIM-02: the server as refresher, 45 s after the answer; only where the peers are mandatory
#[test]
fn the_server_refreshes() {
    if !mandatory() {
        return;
    }
    if program("sipp").is_none() {
        return;
    }
    // sipp sends no audio in all that time.
    let plan = format!("numbers = [\"100\"]\n{PLAN}[limits]\nno_media_start_secs = 120\n");
    let server = Server::start(&[("100.toml", &plan)], None);
    scenario(&server, "timer_refresh", "100", "u1");
    assert_eq!(server.cdrs(1)[0]["cause"], "caller_bye");
}

/// TXN-06: a caller that never acknowledges gets the 200 again and in the end a BYE
#[test]
fn an_answer_that_is_never_acknowledged() {
    let Some(server) = echo_server() else { return };
    scenario(&server, "no_ack", "100", "u1");
    assert_eq!(server.cdrs(1)[0]["cause"], "no_ack");
}

/// TXN-08, TXN-09, DLG-13: a merged request, and CANCEL while the Realtime session is still being set up; R1, DLG-14: 503 when it never comes
#[test]
fn cancel_and_unavailable_while_the_model_is_not_there() {
    if program("sipp").is_none() {
        return;
    }
    // Takes connections and never says a word.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/v1/realtime", mute.local_addr().expect("bound"));
    let plans = [("100.toml", &*format!("numbers = [\"100\"]\n{PLAN}"))];
    let server = Server::with_provider(tempfile::tempdir().expect("a folder"), &plans, &url);
    scenario(&server, "cancel", "100", "u1");
    scenario(&server, "unavailable", "100", "u1");
    scenario(&server, "merged", "100", "u1");
    let records = server.cdrs(3);
    assert_eq!(records[0]["cause"], "caller_cancel");
    assert_eq!(records[1]["sip_status"], 503);
}

const TRANSFER_PLAN: &str = "numbers = [\"100\"]\n\
    [[tool]]\nkind = \"transfer\"\nname = \"transfer_call\"\ndescription = \"Hand the caller over.\"\n\
    [[tool.target]]\nname = \"sales\"\ndescription = \"The sales desk\"\nuri = \"sip:sales@example.test\"\n";

/// XFR-01, XFR-02, XFR-03: the model transfers to a named target; success releases the caller, refusal keeps it
#[test]
fn transfer_accepted_and_refused() {
    if program("sipp").is_none() {
        return;
    }
    let scenario_text = "name = \"transfer\"\n[[greeting]]\ncall = \"transfer_call\"\narguments = { target = \"sales\" }\n\
        [[tool_result]]\ndo = [{ say = [\"line_busy\"] }]\n";
    let plan = format!("{PLAN}{TRANSFER_PLAN}");
    let server = Server::start(&[("100.toml", &plan)], Some(scenario_text));
    scenario(&server, "transfer", "100", "u1");
    assert_eq!(server.cdrs(1)[0]["cause"], "transferred");
    scenario(&server, "transfer_refused", "100", "u1");
    assert_eq!(server.cdrs(2)[1]["cause"], "caller_bye");
}
