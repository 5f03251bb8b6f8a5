//! Transfers and races with PJSIP at both ends: a caller and a target that nobody here wrote, judged by what each saw and heard.
//!
//! In: a dialplan with one target, a scripted agent that transfers, and what `peers/pjsip_transfer.py` reports: every state, REFER,
//! NOTIFY and Replaces of every leg, a recording of each, PJSIP's log. RFC 3515, 3891, 5589.

use super::pjsip::ONE_AT_A_TIME;
use super::support::{Server, free_port, here, peer_python, realtime, run};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::PoisonError;
use std::time::Duration;
use voxtrunk::audio::wav;

/// What the two say to each other.
pub const CALLER_HZ: f64 = 700.0;
pub const TARGET_HZ: f64 = 1_100.0;

/// The agent transfers at once; to the target it says that somebody is put through; keys it repeats.
pub const TRANSFERS: &str = "name = \"desk\"\n[[greeting]]\ncall = \"transfer\"\narguments = { target = \"desk\" }\n\
    [[instructions]]\ncontains = [\"put through\"]\ndo = [{ say = [\"connecting\"] }]\n\
    [[tool_result]]\ndo = [{ say = [\"line_busy\"] }]\n\
    [[digits]]\ndo = [{ say = [\"you_pressed\", \"{digits}\"] }]\n[[fallback]]\nsay = [\"fallback\"]\n";

pub const TALKS: &str = "name = \"talks\"\n[[greeting]]\nsay = [\"greeting\"]\n\
    [[digits]]\ndo = [{ say = [\"you_pressed\", \"{digits}\"] }]\n[[fallback]]\nsay = [\"fallback\"]\n";

pub const PLAN: &str = "numbers = [\"100\"]\ninstructions = \"Answer.\"\ngreeting = { say = \"Hello\" }\n";

/// The number 100, with a transfer to the phone at this port.
pub fn plan(target_port: u16, fields: &str) -> String {
    format!(
        "{PLAN}[[tool]]\nkind = \"transfer\"\n[[tool.target]]\nname = \"desk\"\ndescription = \"The desk\"\n\
         uri = \"sip:target@127.0.0.1:{target_port}\"\n{fields}\n"
    )
}

/// What one part of the script showed.
struct Seen {
    events: Vec<Value>,
    record: Value,
    log: String,
    server: Server,
}

impl Seen {
    fn position(&self, who: &str, what: &str) -> usize {
        let found = self.events.iter().position(|e| e["who"] == who && e["what"] == what);
        found.unwrap_or_else(|| panic!("no {what} at {who}: {:#?}", self.events))
    }

    fn has(&self, who: &str, what: &str) -> bool {
        self.events.iter().any(|e| e["who"] == who && e["what"] == what)
    }

    fn heard(&self, leg: &str) -> Vec<i16> {
        wav::read_8k_mono(&self.server.dir.path().join(format!("{leg}.wav"))).expect("PJSIP's recording")
    }

    /// Most of this tone in half a second of what the leg heard, 0 to 1.
    fn tone(&self, leg: &str, hertz: f64) -> f64 {
        self.heard(leg).chunks_exact(4000).map(|part| purity(part, hertz)).fold(0.0, f64::max)
    }

    /// The two hear each other's tone and not their own, each on this leg.
    fn both_ways(&self, caller: &str, target: &str) {
        let levels = [(caller, TARGET_HZ), (target, CALLER_HZ), (caller, CALLER_HZ), (target, TARGET_HZ)]
            .map(|(leg, hertz)| self.tone(leg, hertz));
        println!(
            "tone heard by {caller}, {target}: {:.3}, {:.3}; own: {:.3}, {:.3}",
            levels[0], levels[1], levels[2], levels[3]
        );
        assert!(levels[0] > 0.9 && levels[1] > 0.9 && levels[2] < 0.1 && levels[3] < 0.1, "{levels:?}");
    }
}

/// Share of one frequency in the power of these samples; 0 for near silence.
pub fn purity(samples: &[i16], hertz: f64) -> f64 {
    let power: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    if power < 300.0_f64.powi(2) * samples.len() as f64 {
        return 0.0;
    }
    let step = std::f64::consts::TAU * hertz / 8000.0;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let (sin, cos) = (step * n as f64).sin_cos();
        re += f64::from(*sample) * cos;
        im += f64::from(*sample) * sin;
    }
    2.0 * (re * re + im * im) / (samples.len() as f64 * power)
}

/// Runs one part of the script against a server of this plan, agent and trunk. `None`: no PJSIP here.
fn part(name: &str, target: &str, scenario: &str, trunk: &str) -> Option<Seen> {
    let python = peer_python()?;
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (port, third) = (free_port(), free_port());
    let plan = if target.is_empty() { PLAN.to_owned() } else { plan(port, target) };
    let dir = tempfile::tempdir().expect("a folder");
    let (_sim, url) = realtime(dir.path(), Some(scenario));
    let server = Server::configured(dir, &[("100.toml", &plan)], &url, "127.0.0.1:0", trunk);
    Some(played(&python, name, server, [port, third]))
}

fn played(python: &Path, name: &str, server: Server, [port, third]: [u16; 2]) -> Seen {
    let mut command = Command::new(python);
    command.current_dir(server.dir.path()).arg(here("peers/pjsip_transfer.py")).arg(name);
    command.args(["--server", &server.sip.to_string()]);
    command.args(["--target-port", &port.to_string(), "--third-port", &third.to_string()]);
    let (ok, output) = run(&mut command, Duration::from_secs(120));
    let log = std::fs::read_to_string(server.dir.path().join("pjsip.log")).unwrap_or_default();
    let shown = || {
        let lines: Vec<&str> = log.lines().filter(|l| !l.trim().is_empty()).collect();
        format!("{name}: {output}\n{}", lines[lines.len().saturating_sub(300)..].join("\n"))
    };
    assert!(ok, "{}", shown());
    let json = output.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no report: {}", shown()));
    let report: Value = serde_json::from_str(json).expect("a JSON report");
    let records = server.cdrs(1);
    assert_eq!(records.len(), 1, "one record a call: {records:?}");
    let record = records[0].clone();
    println!("{name}: {record}");
    Seen { events: report["events"].as_array().expect("a list").clone(), record, log, server }
}

/// XFR-05: attended: PJSIP takes REFER with Replaces, calls the target, and the two talk without us
#[test]
fn attended() {
    let Some(seen) = part("attended", "mode = \"attended\"", TRANSFERS, "") else { return };
    let refer = &seen.events[seen.position("caller", "refer")];
    assert!(refer["to"].as_str().is_some_and(|to| to.contains("Replaces=")), "{refer}");
    assert!(
        seen.position("target", "replaced") < seen.position("target-replaced", "DISCONNECTED"),
        "{:#?}",
        seen.events
    );
    assert!(seen.has("caller-referred", "CONFIRMED"));
    seen.both_ways("caller-referred", "target-replaced");
    assert_eq!((&seen.record["cause"], &seen.record["bridged_ms"]), (&"transferred".into(), &Value::Null));
    assert_eq!(seen.record["tools"][0]["ok"], true, "{}", seen.record);
}

/// XFR-05: PJSIP refuses REFER with 603: the two are bridged here, and hear each other
#[test]
fn bridged_where_refer_is_refused() {
    let fields = "mode = \"attended\"\naccept = \"auto\"\naccept_secs = 1";
    let Some(seen) = part("bridged", fields, TRANSFERS, "") else { return };
    assert!(seen.has("caller", "refer") && !seen.has("caller-referred", "CALLING"), "{:#?}", seen.events);
    seen.both_ways("caller", "target");
    assert_eq!((&seen.record["cause"], &seen.record["ended_by"]), (&"bridged".into(), &"caller".into()));
    assert!(seen.record["bridged_ms"].as_u64().is_some_and(|ms| (2_500..6_000).contains(&ms)), "{}", seen.record);
}

/// The agent speaks again: in the last four seconds of what the caller heard.
fn agent_is_back(seen: &Seen) {
    let heard = seen.heard("caller");
    let tail = &heard[heard.len().saturating_sub(4 * 8000)..];
    assert!(tail.iter().any(|s| s.unsigned_abs() > 1000), "the caller hears nothing after the key");
    assert_eq!(
        (&seen.record["cause"], &seen.record["dtmf_digits"]),
        (&"caller_bye".into(), &1.into()),
        "{}",
        seen.record
    );
    assert_eq!(seen.record["tools"][0]["ok"], false, "{}", seen.record);
}

/// XFR-05: the target declines with 486: the caller is back with the agent
#[test]
fn attended_and_declined() {
    let Some(seen) = part("declined", "mode = \"attended\"", TRANSFERS, "") else { return };
    assert!(!seen.has("caller", "refer"), "{:#?}", seen.events);
    agent_is_back(&seen);
}

/// XFR-01, XFR-02: blind: PJSIP calls the target and tells us so by NOTIFY; then we let go
#[test]
fn blind() {
    let Some(seen) = part("blind", "mode = \"blind\"", TRANSFERS, "") else { return };
    seen.both_ways("caller-referred", "target");
    assert_eq!(seen.record["cause"], "transferred", "{}", seen.record);
    assert!(seen.log.contains("terminated;reason=noresource"), "NOTIFY to its end");
}

/// XFR-03: blind, and the target answers PJSIP with 486: the NOTIFY says so, the caller is back with the agent
#[test]
fn blind_and_declined() {
    let Some(seen) = part("blind_declined", "mode = \"blind\"", TRANSFERS, "") else { return };
    agent_is_back(&seen);
}

/// XFR-07: PJSIP refers a third phone to us with Replaces: the agent goes on with it, the caller's call ends
#[test]
fn taken_over_by_a_third_phone() {
    let trunk = "[[trunk]]\nname = \"pbx\"\nsources = [\"127.0.0.1\"]\nreplaces = true\n";
    let Some(seen) = part("taken_over", "", TALKS, trunk) else { return };
    assert!(seen.position("third-referred", "CONFIRMED") < seen.position("third-referred", "DISCONNECTED"));
    let heard = seen.heard("third-referred");
    let tail = &heard[heard.len().saturating_sub(4 * 8000)..];
    assert!(tail.iter().any(|s| s.unsigned_abs() > 1000), "the third phone hears nothing after its key");
    let record = &seen.record;
    assert_eq!(
        (&record["moves"], &record["dtmf_digits"], &record["cause"]),
        (&1.into(), &1.into(), &"caller_bye".into())
    );
}

/// TXN-09, DLG-13: CANCEL while it rings: 487 at PJSIP, one record
#[test]
fn cancelled_while_it_rings() {
    let slow = format!("{TALKS}[server]\nconnect_delay_ms = 5000\n");
    let Some(seen) = part("cancelled", "", &slow, "") else { return };
    assert_eq!(seen.events[seen.position("caller", "DISCONNECTED")]["status"], 487, "{:#?}", seen.events);
    assert_eq!((&seen.record["cause"], &seen.record["answered_unix_ms"]), (&"caller_cancel".into(), &Value::Null));
}

/// DLG-20: CANCEL and our 200 cross: PJSIP acknowledges and hangs up, nothing is left, one record
#[test]
fn cancel_crosses_the_answer() {
    let slow = format!("{TALKS}[server]\nconnect_delay_ms = 1000\n");
    let Some(seen) = part("crossed", "", &slow, "") else { return };
    let [cancel, answer, bye] =
        ["\nCANCEL sip:100@", "\nSIP/2.0 200 OK", "\nBYE sip:"].map(|line| seen.log.find(line).unwrap_or(usize::MAX));
    assert!(cancel < answer && answer < bye && bye < usize::MAX, "CANCEL {cancel}, 200 {answer}, BYE {bye}");
    assert_eq!(seen.record["cause"], "caller_bye", "{}", seen.record);
    assert!(seen.record["answered_unix_ms"].is_u64(), "{}", seen.record);
}
