//! The example traces: server events as they are, client events turned into the intents that lead to them.

use super::driver::{Driver, Outcome, plain_spec};
use super::schema::{Schema, data, name};
use serde_json::Value;
use std::time::Duration;
use voxtrunk::realtime::{
    AgentEvent, AgentSpec, AudioFormat, DialectKind, Intent, SegmentId, ToolCallId, TurnDetection,
};

/// The texts of a trace, `meta` first.
pub fn lines(scenario: &str, dialect: DialectKind) -> Vec<Value> {
    let text = data(&format!("traces/{scenario}.{}.jsonl", name(dialect)));
    text.lines().map(|line| serde_json::from_str(line).expect("trace line")).collect()
}

/// The format that the trace's client asked for.
pub fn format_of(lines: &[Value]) -> AudioFormat {
    let update = lines.iter().find(|l| l["event"]["type"] == "session.update");
    let session = update.map(|l| &l["event"]["session"]);
    let name = session.and_then(|s| {
        s["input_audio_format"].as_str().or_else(|| s.pointer("/audio/input/format/type").and_then(Value::as_str))
    });
    match name {
        Some("g711_ulaw" | "audio/pcmu") => AudioFormat::Pcmu,
        Some("g711_alaw" | "audio/pcma") => AudioFormat::Pcma,
        _ => AudioFormat::Pcm24k,
    }
}

/// The agent of the trace's client, as far as it changes what happens.
fn spec_of(lines: &[Value]) -> AgentSpec {
    let mut spec = plain_spec(format_of(lines));
    let update = lines.iter().find(|l| l["event"]["type"] == "session.update").map(Value::to_string);
    if let (Some(update), TurnDetection::ServerVad { create_response, .. }) = (update, &mut spec.turn_detection) {
        *create_response = update.contains(r#""create_response":true"#);
    }
    spec
}

/// What a call would see, one line each; audio summed.
#[derive(Default)]
struct Digest {
    lines: Vec<String>,
    bytes: usize,
}

impl Digest {
    fn add(&mut self, event: &AgentEvent, format: AudioFormat) {
        if let AgentEvent::Audio { audio, .. } = event {
            self.bytes += audio.len();
            return;
        }
        self.flush(format);
        self.lines.push(match event {
            AgentEvent::Ready { expires_at_unix, .. } => format!("ready, expires {}", expires_at_unix.is_some()),
            AgentEvent::ResponseStarted => "response".to_owned(),
            AgentEvent::SegmentStarted { segment } => format!("segment {}", segment.0),
            AgentEvent::SegmentEnded { segment, outcome } => format!("segment {} {outcome:?}", segment.0),
            AgentEvent::ResponseEnded { spoke, failed } => {
                format!("response ended, spoke {spoke}, {}", failed.as_ref().map_or("ok", |f| f.label()))
            }
            AgentEvent::AgentText { segment, text } => format!("agent {}: {text}", segment.0),
            AgentEvent::CallerSpeechStarted { turn, audio_ms } => format!("caller {turn} starts at {audio_ms}"),
            AgentEvent::CallerSpeechStopped { turn, audio_ms } => format!("caller {turn} stops at {audio_ms}"),
            AgentEvent::CallerText { turn, text } => format!("caller {turn}: {text}"),
            AgentEvent::ToolCall { name, arguments, .. } => format!("tool {name} {arguments}"),
            // Token counts are invented in the traces.
            AgentEvent::Usage(usage) => format!("usage of {} response(s)", usage.responses),
            AgentEvent::Rejected { code, .. } => format!("rejected {}", code.as_deref().unwrap_or("-")),
            AgentEvent::Warning { label, .. } => format!("warning {label}"),
            AgentEvent::Closed { fault } => format!("closed, {}", fault.as_ref().map_or("ok", |f| f.label())),
            AgentEvent::Audio { .. } => return,
        });
    }

    fn flush(&mut self, format: AudioFormat) {
        if self.bytes > 0 {
            self.lines.push(format!("audio {} ms", self.bytes / format.bytes_per_ms()));
            self.bytes = 0;
        }
    }
}

/// Replays a trace into a session of `speaks`; gives the digest of agent events and the client events less audio.
fn replay(scenario: &str, trace: DialectKind, speaks: DialectKind) -> (Vec<String>, Vec<String>) {
    let lines = lines(scenario, trace);
    let format = format_of(&lines);
    let schema = Schema::client(speaks);
    let mut driver = Driver::new(speaks, spec_of(&lines));
    let start = driver.now;
    let (mut digest, mut sent) = (Digest::default(), Vec::<String>::new());
    let (mut segment, mut tool) = (SegmentId(0), ToolCallId(0));
    for line in &lines {
        let event = &line["event"];
        let at = start + Duration::from_millis(line["t_ms"].as_u64().unwrap_or(0));
        let mut outcomes = vec![driver.advance(at.saturating_duration_since(driver.now))];
        if line["dir"] == "server" {
            match line.get("close") {
                Some(close) => {
                    let code = close["code"].as_u64().and_then(|c| u16::try_from(c).ok());
                    let reason = close["reason"].as_str().unwrap_or_default();
                    driver.session.handle_close(driver.now, code, reason);
                    outcomes.push(driver.drain());
                }
                None => outcomes.push(driver.server(event)),
            }
        } else {
            outcomes.push(client(&mut driver, event, segment, tool, &sent));
        }
        for Outcome { sent: more, events } in outcomes {
            for event in &more {
                schema.assert_valid(event, scenario);
                let kind = event["type"].as_str().unwrap_or_default();
                if kind != "input_audio_buffer.append" {
                    sent.push(match event.get("audio_end_ms") {
                        Some(ms) => format!("{kind} {ms}"),
                        None => kind.to_owned(),
                    });
                }
            }
            for event in &events {
                match event {
                    AgentEvent::SegmentStarted { segment: id } => segment = *id,
                    AgentEvent::ToolCall { id, .. } => tool = *id,
                    _ => {}
                }
                digest.add(event, format);
            }
        }
    }
    digest.flush(format);
    (digest.lines, sent)
}

/// What the trace's client did, as an intent.
fn client(driver: &mut Driver, event: &Value, segment: SegmentId, tool: ToolCallId, sent: &[String]) -> Outcome {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match event["type"].as_str().unwrap_or_default() {
        // Ours never asks out of band, and follows a tool result by itself.
        "response.create" if event["response"]["conversation"] == "none" => Outcome::default(),
        "response.create" if sent.last().is_some_and(|s| s == "response.create") && tool.0 > 0 => Outcome::default(),
        "response.create" => match event["response"]["instructions"].as_str() {
            Some(instructions) => driver.intent(Intent::Say(instructions.to_owned())).1,
            None => driver.intent(Intent::Respond).1,
        },
        "conversation.item.create" if event["item"]["type"] == "function_call_output" => {
            driver.intent(Intent::ToolResult { id: tool, output: text(&event["item"]["output"]), silent: false }).1
        }
        "conversation.item.truncate" => {
            let heard_ms = u32::try_from(event["audio_end_ms"].as_u64().unwrap_or(0)).unwrap_or(u32::MAX);
            driver.intent(Intent::Interrupt { segment, heard_ms }).1
        }
        "input_audio_buffer.append" => {
            driver.session.audio(&[0x55; 160]);
            driver.drain()
        }
        _ => Outcome::default(),
    }
}

/// `(scenario, digest)` pairs; both dialects tell the same story.
fn expected() -> Vec<(&'static str, &'static str)> {
    let sections = include_str!("expected_traces.txt").split("== ").filter(|s| !s.is_empty());
    sections.map(|section| section.split_once('\n').expect("a section")).collect()
}

fn dialects_of(scenario: &str) -> &'static [DialectKind] {
    // These two exist in GA only.
    let ga_only = scenario.starts_with("10-") || scenario.starts_with("11-");
    if ga_only { &[DialectKind::Ga] } else { &[DialectKind::Ga, DialectKind::Preview] }
}

fn told((digest, sent): (Vec<String>, Vec<String>)) -> String {
    format!("{}\nsent: {}", digest.join("\n"), sent.join(", ")).trim_end().to_owned()
}

#[test]
fn every_trace_gives_the_pinned_events_in_both_dialects() {
    let expected = expected();
    assert_eq!(expected.len(), 11);
    for (scenario, digest) in expected {
        for &dialect in dialects_of(scenario) {
            assert_eq!(told(replay(scenario, dialect, dialect)), digest.trim_end(), "{scenario} {dialect:?}");
        }
    }
}

/// A server that speaks the names of the other dialect is understood; only the mismatch is told.
#[test]
fn every_trace_is_understood_by_a_session_of_the_other_dialect() {
    for (scenario, digest) in expected() {
        for &dialect in dialects_of(scenario) {
            let other = if dialect == DialectKind::Ga { DialectKind::Preview } else { DialectKind::Ga };
            let got = told(replay(scenario, dialect, other));
            let (warned, rest) = match got.strip_prefix("warning dialect_mismatch\n") {
                Some(rest) => (true, rest),
                None => (false, got.as_str()),
            };
            assert_eq!(rest, digest.trim_end(), "{scenario} {dialect:?} in {other:?}");
            assert_eq!(warned, !scenario.starts_with("10-"), "{scenario}");
        }
    }
}

/// R14: the barge-in trace, with the interruption where a call has it: at `speech_started`, while the response runs.
#[test]
fn barge_in_at_speech_started_cancels_truncates_and_drops_the_rest() {
    for dialect in [DialectKind::Ga, DialectKind::Preview] {
        let lines = lines("03-barge-in-truncate", dialect);
        let mut driver = Driver::new(dialect, spec_of(&lines));
        let (mut sent, mut after) = (Vec::new(), Vec::new());
        let mut interrupted = false;
        for event in lines.iter().filter(|l| l["dir"] == "server").map(|l| &l["event"]) {
            let outcome = driver.server(event);
            if interrupted && event["type"] != "response.done" {
                after.extend(outcome.events);
            } else if interrupted {
                break;
            }
            if event["type"] == "input_audio_buffer.speech_started" {
                let intent = Intent::Interrupt { segment: SegmentId(1), heard_ms: 620 };
                sent = driver.intent(intent).1.sent;
                interrupted = true;
            }
        }
        let kinds: Vec<_> = sent.iter().map(|e| (e["type"].as_str().unwrap_or_default(), &e["audio_end_ms"])).collect();
        assert_eq!(kinds, [("response.cancel", &Value::Null), ("conversation.item.truncate", &Value::from(620))]);
        let quiet = |e: &AgentEvent| matches!(e, AgentEvent::AgentText { .. });
        assert!(!after.is_empty() && after.iter().all(quiet), "only the transcript: {after:?}");
    }
}
