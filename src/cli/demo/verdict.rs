//! What a demo call must have shown, checked against what was recorded.

use super::timeline::Timeline;
use crate::phone::Report;
use serde::Serialize;

/// The agent must be silent on the wire this soon after `speech_started`.
const BARGE_IN_LIMIT_MS: u64 = 60;

/// One thing the demo promises.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    pub what: &'static str,
    pub ok: bool,
    pub detail: String,
}

/// All promises, in the order of the call. The audio decides where it can.
pub fn checks(report: &Report, timeline: &Timeline) -> Vec<Check> {
    let (agent, caller) = (&report.agent_speech, &report.caller_speech);
    let first_caller = caller.first().map_or(u32::MAX, |s| s.start_ms);
    let last_caller = caller.last().map_or(u32::MAX, |s| s.end_ms);
    let greeting = agent.first().filter(|s| s.end_ms <= first_caller);
    let reply = report.turns.first().and_then(|turn| turn.answer_after_ms);
    let cut = report.turns.iter().find_map(|turn| turn.agent_stopped_after_ms);
    let barge_in = timeline.barge_ins.first();
    let tool = timeline.tools.iter().find(|(name, _, _)| name == "book_appointment");
    let goodbye = agent.iter().rfind(|s| s.start_ms >= last_caller);
    vec![
        Check {
            what: "greeting heard",
            ok: greeting.is_some(),
            detail: greeting
                .map_or("no speech before the caller spoke".into(), |s| format!("{}–{} ms", s.start_ms, s.end_ms)),
        },
        Check {
            what: "question answered",
            ok: reply.is_some(),
            detail: reply.map_or("no answer".into(), |ms| format!("{ms} ms after the caller stopped, line to line")),
        },
        Check {
            what: "agent stopped when interrupted",
            ok: cut.is_some() && barge_in.is_some_and(|b| b.stop_ms <= BARGE_IN_LIMIT_MS),
            detail: match (barge_in, cut) {
                (Some(b), Some(cut)) => format!(
                    "silent {} ms after speech_started ({cut} ms after the caller's first sound), truncated at {} ms",
                    b.stop_ms, b.heard_ms
                ),
                _ => "no interruption seen".into(),
            },
        },
        Check {
            what: "tool ran",
            ok: tool.is_some_and(|(_, ok, _)| *ok),
            detail: tool.map_or("book_appointment was not called".into(), |(name, ok, ms)| {
                format!("{name} {} in {ms} ms", if *ok { "answered" } else { "failed" })
            }),
        },
        Check {
            what: "goodbye heard, then BYE from the agent",
            ok: goodbye.is_some() && report.outcome == "peer_hung_up",
            detail: goodbye.map_or("no speech after the caller's last words".into(), |s| {
                format!("{}–{} ms, {}", s.start_ms, s.end_ms, report.outcome)
            }),
        },
        Check {
            what: "no packet lost",
            ok: report.packets_lost == 0 && report.packets_received > 0,
            detail: format!("{} received, {} lost", report.packets_received, report.packets_lost),
        },
    ]
}
