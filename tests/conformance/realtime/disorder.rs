//! The example traces with events lost, doubled and shuffled, and intents at any moment.
//!
//! Held for every seed: no panic, a session that comes to rest, valid client events, never two `response.create` in
//! flight, nothing heard of a cancelled response, never a truncation above the audio that was received, nothing told of a segment that did not start.

use super::client_events::intent;
use super::driver::{Driver, Outcome, plain_spec};
use super::schema::Schema;
use super::traces::{format_of, lines};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;
use voxtrunk::realtime::{AgentEvent, AudioFormat, DialectKind, SegmentId};

const SCENARIOS: [&str; 9] = [
    "01-greeting-text-in-audio-out",
    "02-server-vad-turn",
    "03-barge-in-truncate",
    "04-function-call",
    "05-out-of-band",
    "06-vad-off-push-to-talk",
    "07-vad-without-auto-response",
    "08-errors",
    "11-idle-timeout",
];

/// The rules, watched from outside.
struct Watch {
    schema: &'static Schema,
    format: AudioFormat,
    context: String,
    /// `event_id` of the `response.create` that nothing has answered yet.
    in_flight: Option<String>,
    done: HashSet<String>,
    cancelled: HashSet<String>,
    /// Segment by item and part, as the first delta showed.
    item_of: HashMap<SegmentId, String>,
    received: HashMap<String, usize>,
    open: BTreeSet<SegmentId>,
    ended: BTreeSet<SegmentId>,
}

impl Watch {
    /// What the server says frees the slot: a response that is over, or an error that refuses the create.
    fn server(&mut self, event: &Value) {
        match event["type"].as_str().unwrap_or_default() {
            "response.done" => {
                let id = event["response"]["id"].as_str().unwrap_or_default();
                if self.done.insert(id.to_owned()) {
                    self.in_flight = None;
                }
            }
            "error" => {
                let (named, code) = (&event["error"]["event_id"], &event["error"]["code"]);
                if self.in_flight.as_deref().is_some_and(|id| named == id)
                    || code == "conversation_already_has_active_response"
                {
                    self.in_flight = None;
                }
            }
            _ => {}
        }
    }

    fn outcome(&mut self, fed: &Value, outcome: &Outcome) {
        let context = &self.context;
        if fed["response_id"].as_str().is_some_and(|id| self.cancelled.contains(id)) {
            let audio = outcome.events.iter().any(|e| matches!(e, AgentEvent::Audio { .. }));
            assert!(!audio, "{context}: audio of a cancelled response");
        }
        for event in &outcome.events {
            match event {
                AgentEvent::SegmentStarted { segment } => {
                    assert!(self.open.insert(*segment), "{context}: started twice");
                    self.item_of.insert(*segment, fed["item_id"].as_str().unwrap_or_default().to_owned());
                }
                AgentEvent::Audio { segment, audio } => {
                    assert!(self.open.contains(segment), "{context}: audio outside of its segment");
                    assert!(self.format != AudioFormat::Pcm24k || audio.len() % 2 == 0, "{context}: half a sample");
                    *self.received.entry(self.item_of[segment].clone()).or_default() += audio.len();
                }
                AgentEvent::SegmentEnded { segment, .. } => {
                    assert!(self.open.remove(segment), "{context}: ended without start");
                    assert!(self.ended.insert(*segment), "{context}: ended twice");
                }
                AgentEvent::AgentText { segment, .. } => {
                    assert!(self.item_of.contains_key(segment), "{context}: text of a segment that never started");
                }
                _ => {}
            }
        }
        for event in &outcome.sent {
            self.schema.assert_valid(event, context);
            match event["type"].as_str().unwrap_or_default() {
                "response.create" => {
                    assert!(self.in_flight.is_none(), "{context}: two response.create in flight");
                    self.in_flight = event["event_id"].as_str().map(str::to_owned);
                }
                "response.cancel" => {
                    self.cancelled.extend(event["response_id"].as_str().map(str::to_owned));
                }
                "conversation.item.truncate" => {
                    let item = event["item_id"].as_str().unwrap_or_default();
                    let received_ms = self.received.get(item).copied().unwrap_or(0) / self.format.bytes_per_ms();
                    let end_ms = event["audio_end_ms"].as_u64().unwrap_or(u64::MAX);
                    assert!(end_ms <= received_ms as u64, "{context}: truncate {end_ms} of {received_ms} ms");
                }
                _ => {}
            }
        }
    }
}

/// A trace's server events with some lost, doubled and moved.
fn disordered(rng: &mut StdRng, mut events: Vec<Value>) -> Vec<Value> {
    let (loss, double) = (rng.random_range(0.0..0.3), rng.random_range(0.0..0.3));
    events.retain(|_| !rng.random_bool(loss));
    let mut out = Vec::new();
    for event in events {
        if rng.random_bool(double) {
            out.push(event.clone());
        }
        out.push(event);
    }
    match rng.random_range(0..3) {
        0 => out.shuffle(rng),
        1 => out.chunks_mut(6).for_each(|chunk| chunk.shuffle(rng)),
        _ => {}
    }
    // An id that is missing, null or of another type.
    for event in &mut out {
        if rng.random_bool(0.05)
            && let Some(object) = event.as_object_mut()
        {
            let names: Vec<String> = object.keys().filter(|k| *k != "type").cloned().collect();
            if let Some(name) = names.choose(rng) {
                let odd = [Value::Null, json!(7), json!([]), json!({}), json!("x")];
                object.insert(name.clone(), odd.choose(rng).cloned().unwrap_or_default());
            }
        }
    }
    out
}

fn run(seed: u64, dialect: DialectKind) {
    let mut rng = StdRng::seed_from_u64(seed);
    let scenario = SCENARIOS[rng.random_range(0..SCENARIOS.len())];
    let trace_dialect = if scenario.starts_with("11") { DialectKind::Ga } else { dialect };
    let lines = lines(scenario, trace_dialect);
    let format = format_of(&lines);
    let is_work = |e: &Value| e["type"] != "session.created" && e["type"] != "session.updated";
    let server = lines.iter().filter(|l| l["dir"] == "server").map(|l| l["event"].clone());
    let events = disordered(&mut rng, server.filter(|e| e.is_object() && is_work(e)).collect());
    let mut watch = Watch {
        schema: Schema::client(dialect),
        format,
        context: format!("seed {seed} {dialect:?} {scenario}"),
        in_flight: None,
        done: HashSet::new(),
        cancelled: HashSet::new(),
        item_of: HashMap::new(),
        received: HashMap::new(),
        open: BTreeSet::new(),
        ended: BTreeSet::new(),
    };
    let mut driver = Driver::new(dialect, plain_spec(format));
    driver.server(&json!({"type": "session.created"}));
    driver.server(&json!({"type": "session.updated"}));
    for event in &events {
        watch.server(event);
        let outcome = driver.server(event);
        watch.outcome(event, &outcome);
        if driver.closed {
            return;
        }
        while rng.random_bool(0.3) {
            let outcome = driver.intent(intent(&mut rng)).1;
            watch.outcome(&Value::Null, &outcome);
        }
    }
    // Left alone, the session comes to rest: every deadline ends something.
    for _ in 0..20 {
        let Some(deadline) = driver.deadline else { break };
        watch.in_flight = None;
        let outcome = driver.advance(deadline.saturating_duration_since(driver.now));
        watch.outcome(&Value::Null, &outcome);
    }
    assert_eq!(driver.deadline, None, "{}: still waiting", watch.context);
    assert!(watch.open.is_empty(), "{}: segments left open", watch.context);
    driver.advance(Duration::from_secs(60));
}

#[test]
fn no_disorder_breaks_a_rule() {
    for seed in 0..600 {
        run(seed, if seed % 2 == 0 { DialectKind::Ga } else { DialectKind::Preview });
    }
}

/// R9: bytes that are no event at all.
#[test]
fn rubbish_never_panics() {
    let lines = lines("04-function-call", DialectKind::Ga);
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut driver = Driver::new(DialectKind::Ga, plain_spec(AudioFormat::Pcm24k));
        for line in lines.iter().filter(|l| l["dir"] == "server") {
            let mut text: Vec<char> = line["event"].to_string().chars().collect();
            for _ in 0..rng.random_range(0..4) {
                let at = rng.random_range(0..text.len());
                match rng.random_range(0..3) {
                    0 => text[at] = *['{', '}', '"', '\u{0}', '9', '\\', 'é'].choose(&mut rng).expect("not empty"),
                    1 => text.truncate(at.max(1)),
                    _ => {
                        text.remove(at);
                        text.push('}');
                    }
                }
            }
            driver.session.handle_text(driver.now, &text.iter().collect::<String>());
            driver.drain();
        }
    }
}
