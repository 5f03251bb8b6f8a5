//! `voxtrunk demo`: the whole path in one process, without a key: the embedded Realtime server, the SIP server on loopback
//! ports, and the built-in phone placing a call through real sockets. Prints a timeline, leaves a WAV and a JSON report.

mod appointments;
mod timeline;
mod verdict;

use super::exit;
use crate::audio::wav;
use crate::config::book::Book;
use crate::config::dialplan::Dialplan;
use crate::config::settings::Settings;
use crate::net::clock;
use crate::phone::{CallOptions, Report, Step, place_call};
use crate::server::{Server, ServerOptions};
use appointments::Appointments;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timeline::Timeline;

const NUMBER: &str = "+15551230001";
/// How long each wait of the caller may take before the script goes on regardless.
const PATIENCE: Duration = Duration::from_secs(20);
/// How far into the agent's answer the caller interrupts: in the middle of a sentence, not in a pause between two.
const INTERRUPT_AFTER: Duration = Duration::from_millis(3300);
/// How long the agent has been quiet before the caller answers.
const POLITE_MS: u32 = 900;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The demo needs no key, no network and no configuration: it talks to the embedded Realtime server, whose agent follows a
script with pre-rendered speech. What you hear is real all the same: SIP, RTP, G.711, the Realtime protocol over a WebSocket,
voice activity detection, the interruption, the tool call. Listen to demo-call.wav: the caller is left, the agent right.")]
pub struct Args {
    /// Keep the server up after the call and print how to dial it from a softphone (until Ctrl-C).
    #[arg(long)]
    pub stay: bool,
    /// Where to write the recording.
    #[arg(long, value_name = "WAV", default_value = "demo-call.wav")]
    pub wav: PathBuf,
    /// Where to write the JSON report.
    #[arg(long, value_name = "FILE", default_value = "demo-report.json")]
    pub report: PathBuf,
    /// SIP port; default any free one, or 5060 with --stay.
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
}

/// Runs it.
pub fn run(args: Args) -> ExitCode {
    exit::block_on("demo", async {
        match demo(&args).await {
            Ok(true) => exit::code(exit::OK),
            Ok(false) => exit::code(exit::CALL_FAILED),
            Err(why) => {
                eprintln!("voxtrunk demo: {why}");
                exit::code(exit::FAILURE)
            }
        }
    })
}

async fn demo(args: &Args) -> Result<bool, String> {
    let book = Appointments::start().await?;
    let timeline = Arc::new(Mutex::new(Timeline::default()));
    let start = clock::now();
    let tap = {
        let timeline = timeline.clone();
        Arc::new(move |_call: &str, event: &crate::call::CallEvent| {
            let at = clock::now().saturating_duration_since(start);
            timeline.lock().unwrap_or_else(PoisonError::into_inner).server(at, event);
        })
    };
    let port = args.port.unwrap_or(if args.stay { 5060 } else { 0 });
    let server = Server::start_with(settings(port), plans(&book)?, ServerOptions { tap: Some(tap) }).await?;
    println!("voxtrunk demo: SIP on {} (UDP and TCP), embedded Realtime server, number {NUMBER}\n", server.sip_addr());

    let options = CallOptions { steps: script()?, ..CallOptions::new(format!("sip:{NUMBER}@{}", server.sip_addr())) };
    let heard = |heard: crate::phone::Heard| {
        let at = clock::now().saturating_duration_since(start);
        timeline.lock().unwrap_or_else(PoisonError::into_inner).phone(at, &heard.event, words_of);
    };
    let (report, tracks) = place_call(options, std::future::pending(), heard).await?;
    let at = clock::now().saturating_duration_since(start);
    timeline.lock().unwrap_or_else(PoisonError::into_inner).ended(at, &format!("call over: {}", report.outcome));

    wav::write(&args.wav, tracks.rate.hz(), &[&tracks.caller, &tracks.agent])?;
    let ok = conclude(args, &report, &timeline.lock().unwrap_or_else(PoisonError::into_inner))?;
    if args.stay {
        stay(&server).await;
    }
    server.stop().await;
    Ok(ok)
}

/// Defaults, but on ports of its own and without files left behind.
fn settings(port: u16) -> Settings {
    let mut settings = Settings::defaults();
    settings.sip.listen.set_port(port);
    settings.observe.listen = None;
    settings.observe.cdr = None;
    settings.observe.journal = None;
    settings
}

fn plans(book: &Appointments) -> Result<Book, String> {
    let text = include_str!("plan.toml").replace("APPOINTMENTS_URL", &book.url());
    let plan = Dialplan::parse(Path::new("demo.toml"), &text)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let mut everything = plan.clone();
    everything.numbers = vec![crate::config::dialplan::NumberPattern::Default];
    everything.name = "demo-any-number".into();
    Ok(Book::from_plans(vec![plan, everything]))
}

/// The caller's clips: name, WAV, words.
const CLIPS: [(&str, &[u8], &str); 4] = [
    (
        "opening_hours",
        include_bytes!("../../../assets/speech/caller/opening_hours.wav"),
        "Hi, what are your opening hours?",
    ),
    (
        "interruption",
        include_bytes!("../../../assets/speech/caller/interruption.wav"),
        "Sorry, stop there. One more question.",
    ),
    (
        "book_appointment",
        include_bytes!("../../../assets/speech/caller/book_appointment.wav"),
        "Can you book me an appointment for Thursday at three?",
    ),
    ("thats_all", include_bytes!("../../../assets/speech/caller/thats_all.wav"), "That is all, thank you. Goodbye."),
];

fn words_of(name: &str) -> Option<String> {
    CLIPS.iter().find(|(clip, _, _)| *clip == name).map(|(_, _, words)| (*words).to_owned())
}

/// Listen to the greeting, ask, interrupt the answer, ask for the appointment, say goodbye.
fn script() -> Result<Vec<Step>, String> {
    let say = |name: &str| -> Result<Step, String> {
        let (name, bytes, _) = CLIPS.iter().find(|(clip, _, _)| *clip == name).ok_or("a clip is missing")?;
        Ok(Step::Play { name: (*name).into(), samples: wav::decode_8k_mono(name, bytes)?.into() })
    };
    let quiet = || Step::AwaitAgentSilence { ms: POLITE_MS, timeout: PATIENCE };
    let spoken = |ms| Step::AwaitAgentSpeech { ms, timeout: PATIENCE };
    Ok(vec![
        spoken(100),
        quiet(),
        say("opening_hours")?,
        spoken(100),
        Step::Wait(INTERRUPT_AFTER),
        say("interruption")?,
        spoken(100),
        quiet(),
        say("book_appointment")?,
        spoken(100),
        quiet(),
        say("thats_all")?,
        Step::AwaitBye(PATIENCE),
    ])
}

/// Prints what was measured, writes the report; whether everything the demo promises was there.
fn conclude(args: &Args, report: &Report, timeline: &Timeline) -> Result<bool, String> {
    let checks = verdict::checks(report, timeline);
    let ok = checks.iter().all(|check| check.ok);
    println!("\nMeasured");
    for check in &checks {
        println!("  {} {}: {}", if check.ok { "ok  " } else { "FAIL" }, check.what, check.detail);
    }
    println!(
        "  set-up {} ms, Realtime session {} ms, answers (speech_stopped to first RTP) {} ms, packets every {:.1} ms (p99 {:.1}, most {:.1})",
        report.answered_ms.unwrap_or_default(),
        timeline.realtime_ready_ms.unwrap_or_default(),
        timeline.agent_latencies_ms.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        report.inter_arrival_p50_ms,
        report.inter_arrival_p99_ms,
        report.inter_arrival_max_ms,
    );
    let json = serde_json::json!({
        "ok": ok,
        "checks": checks,
        "call": report,
        "realtime_ready_ms": timeline.realtime_ready_ms,
        "agent_latencies_ms": timeline.agent_latencies_ms,
        "barge_ins": timeline.barge_ins,
        "timeline": timeline.entries,
    });
    std::fs::write(&args.report, format!("{json:#}\n")).map_err(|e| format!("{}: {e}", args.report.display()))?;
    println!("\nListen: {} (caller left, agent right). Report: {}", args.wav.display(), args.report.display());
    Ok(ok)
}

async fn stay(server: &Server) {
    println!(
        "\nThe server stays up. Point a softphone on this machine at it: dial sip:{NUMBER}@{addr} (UDP or TCP, no registration,\n\
         codec PCMU or PCMA), or any other number. Or: voxtrunk call sip:{NUMBER}@{addr} --record mine.wav\nCtrl-C ends it.",
        addr = server.sip_addr()
    );
    // Without a signal handler there is nothing to wait for.
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_s_dialplan_and_clips_are_good() {
        let text = include_str!("plan.toml").replace("APPOINTMENTS_URL", "http://127.0.0.1:1/appointments");
        let plan = Dialplan::parse(Path::new("demo.toml"), &text).expect("a good dialplan");
        assert_eq!(plan.tools.len(), 2);
        let spoken = script().expect("good clips").iter().filter(|step| matches!(step, Step::Play { .. })).count();
        assert_eq!(spoken, CLIPS.len());
    }
}
