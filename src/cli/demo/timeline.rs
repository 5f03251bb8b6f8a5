//! What happened, in order, on one clock; each line is printed as it comes.

use crate::call::CallEvent;
use crate::phone::PhoneEvent;
use serde::Serialize;
use std::io::Write;
use std::time::Duration;

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Milliseconds since the INVITE.
    pub at_ms: u64,
    /// `phone`, `caller`, `agent` or `server`.
    pub who: &'static str,
    pub what: String,
}

/// The lines so far.
#[derive(Debug, Default)]
pub struct Timeline {
    pub entries: Vec<Entry>,
    pub barge_ins: Vec<BargeIn>,
    pub tools: Vec<(String, bool, u64)>,
    pub agent_latencies_ms: Vec<u64>,
    pub realtime_ready_ms: Option<u64>,
}

/// An interruption as the server measured it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BargeIn {
    /// Of the agent's sentence, put on RTP before it stopped.
    pub heard_ms: u32,
    /// From `speech_started` to the agent's last packet with speech.
    pub stop_ms: u64,
}

/// Most lines kept; a demo has about forty.
const MAX_ENTRIES: usize = 1000;

impl Timeline {
    fn add(&mut self, at: Duration, who: &'static str, what: String) {
        if self.entries.len() >= MAX_ENTRIES {
            return;
        }
        let entry = Entry { at_ms: at.as_millis() as u64, who, what };
        println!("{:7.2} s  {:<6}  {}", at.as_secs_f32(), entry.who, entry.what);
        // A line that cannot be shown (a closed pipe) is no reason to end the call.
        let _ = std::io::stdout().flush();
        self.entries.push(entry);
    }

    /// Something the caller's phone saw or did; `said` gives the words of a clip.
    pub fn phone(&mut self, at: Duration, event: &PhoneEvent, said: impl Fn(&str) -> Option<String>) {
        let (who, what) = match event {
            PhoneEvent::Progress(180) => ("phone", "180 Ringing".into()),
            PhoneEvent::Progress(status) => ("phone", format!("{status}")),
            PhoneEvent::Answered => ("phone", "200 OK, answered".into()),
            PhoneEvent::CallerSpeaks(name) => {
                ("caller", said(name).map_or_else(|| format!("speaks ({name})"), |words| format!("“{words}”")))
            }
            PhoneEvent::ScriptNote(note) => ("phone", (*note).to_owned()),
            _ => return,
        };
        self.add(at, who, what);
    }

    /// Something the server noted about the call.
    pub fn server(&mut self, at: Duration, event: &CallEvent) {
        let (who, what) = match event {
            CallEvent::RealtimeReady { ms } => {
                self.realtime_ready_ms = Some(*ms);
                ("server", format!("Realtime session configured after {ms} ms"))
            }
            CallEvent::AgentSpeaks { latency_ms: Some(ms) } => {
                self.agent_latencies_ms.push(*ms);
                ("agent", format!("speaks, {ms} ms after the caller stopped"))
            }
            CallEvent::AgentSpeaks { latency_ms: None } => ("agent", "speaks".into()),
            CallEvent::AgentSaid(words) => ("agent", format!("“{}”", words.expose())),
            CallEvent::CallerSaid(words) => ("server", format!("understood “{}”", words.expose())),
            CallEvent::BargeIn { heard_ms, stop_ms } => {
                self.barge_ins.push(BargeIn { heard_ms: *heard_ms, stop_ms: *stop_ms });
                (
                    "agent",
                    format!("is interrupted: silent after {stop_ms} ms, {heard_ms} ms of the sentence were heard"),
                )
            }
            CallEvent::ToolStarted { name } => ("server", format!("tool {name} …")),
            CallEvent::ToolDone { name, ok, ms } => {
                self.tools.push((name.clone(), *ok, *ms));
                ("server", format!("tool {name}: {} after {ms} ms", if *ok { "done" } else { "failed" }))
            }
            CallEvent::Digit => ("server", "a digit".into()),
            CallEvent::Transfer { target, outcome } => ("server", format!("transfer to {target}: {outcome}")),
            CallEvent::Goodbye => ("server", "goodbye heard to the last sample, BYE".into()),
            CallEvent::Fallback(what) => ("server", format!("fallback: {what}")),
            CallEvent::CheckIn => ("server", "caller is silent, checking in".into()),
            _ => return,
        };
        self.add(at, who, what);
    }

    /// The end of the call.
    pub fn ended(&mut self, at: Duration, outcome: &str) {
        self.add(at, "phone", outcome.to_owned());
    }
}
