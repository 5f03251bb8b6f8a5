//! A session machine in virtual time with a scripted client: audio at pace, every server event checked and kept.

use crate::schema::{assert_server_event, client_event_is_valid};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use voxtrunk::audio::g711::Law;
use voxtrunk::realtime_sim::dialect::Dialect;
use voxtrunk::realtime_sim::scenario::Scenario;
use voxtrunk::realtime_sim::session::{Opening, Output, Session};
use voxtrunk::realtime_sim::speech;

/// Audio format of a test session, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Pcm,
    Mu,
    A,
}

impl Format {
    pub fn bytes_per_ms(self) -> usize {
        if self == Format::Pcm { 48 } else { 8 }
    }
    fn name(self, dialect: Dialect) -> Value {
        match (dialect, self) {
            (Dialect::Ga, Format::Pcm) => json!({"type": "audio/pcm", "rate": 24000}),
            (Dialect::Ga, Format::Mu) => json!({"type": "audio/pcmu"}),
            (Dialect::Ga, Format::A) => json!({"type": "audio/pcma"}),
            (Dialect::Preview, Format::Pcm) => json!("pcm16"),
            (Dialect::Preview, Format::Mu) => json!("g711_ulaw"),
            (Dialect::Preview, Format::A) => json!("g711_alaw"),
        }
    }
    /// 8 kHz samples as bytes of this format (24 kHz by repetition: the detector does not mind).
    pub fn encode(self, samples: &[i16]) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Format::Pcm => out.extend(samples.iter().flat_map(|s| [s.to_le_bytes(); 3]).flatten()),
            Format::Mu => Law::Mu.encode(samples, &mut out),
            Format::A => Law::A.encode(samples, &mut out),
        }
        out
    }
}

/// The world of one test.
pub struct World {
    pub dialect: Dialect,
    pub format: Format,
    session: Session,
    start: Instant,
    now: Instant,
    due: Option<Instant>,
    /// Milliseconds since the start, and the event.
    pub events: Vec<(u64, Value)>,
    pub closed: Option<(u16, String)>,
    pub dropped: bool,
    seen: usize,
    ids: HashSet<String>,
}

pub fn receptionist() -> Scenario {
    Scenario::built_in().unwrap()
}

pub fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

pub fn caller_line(name: &str) -> &'static speech::Line {
    speech::caller_lines().iter().find(|line| line.name == name).unwrap()
}

pub fn agent_line(name: &str) -> &'static speech::Line {
    speech::agent_lines().iter().find(|line| line.name == name).unwrap()
}

impl World {
    pub fn new(dialect: Dialect, scenario: Scenario) -> World {
        World::open(dialect, scenario, false)
    }
    pub fn echo(dialect: Dialect) -> World {
        World::open(dialect, receptionist(), true)
    }
    fn open(dialect: Dialect, scenario: Scenario, echo: bool) -> World {
        let now = voxtrunk::net::clock::now();
        let opening = Opening {
            number: 1,
            dialect,
            model: "gpt-realtime".into(),
            scenario: Arc::new(scenario),
            echo,
            unix_s: 1_760_000_000,
            record: false,
        };
        let session = Session::new(now, opening);
        let mut world = World {
            dialect,
            format: Format::Pcm,
            session,
            start: now,
            now,
            due: None,
            events: Vec::new(),
            closed: None,
            dropped: false,
            seen: 0,
            ids: HashSet::new(),
        };
        world.drain();
        world
    }
    /// Configures format and turn detection (and tools, transcription) and checks that it was taken.
    pub fn configure(&mut self, format: Format, turn_detection: Value, extra: Value) {
        let mut session = match self.dialect {
            Dialect::Ga => json!({"type": "realtime", "audio": {
                "input": {"format": format.name(self.dialect), "turn_detection": turn_detection,
                    "transcription": {"model": "whisper-1"}},
                "output": {"format": format.name(self.dialect)}}}),
            Dialect::Preview => json!({"input_audio_format": format.name(self.dialect),
                "output_audio_format": format.name(self.dialect), "turn_detection": turn_detection,
                "input_audio_transcription": {"model": "whisper-1"}}),
        };
        if let (Some(session), Value::Object(extra)) = (session.as_object_mut(), extra) {
            session.extend(extra);
        }
        self.send(json!({"type": "session.update", "session": session}));
        assert_eq!(self.last()["type"], "session.updated", "{}", self.last());
        self.format = format;
    }
    pub fn server_vad(silence_duration_ms: u32) -> Value {
        json!({"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
            "silence_duration_ms": silence_duration_ms, "create_response": true, "interrupt_response": true})
    }
    pub fn now_ms(&self) -> u64 {
        self.now.duration_since(self.start).as_millis() as u64
    }
    /// Sends an event that is valid in the dialect.
    pub fn send(&mut self, event: Value) {
        assert!(client_event_is_valid(self.dialect, &event), "the test itself sends nonsense: {event}");
        self.send_raw(&event.to_string());
    }
    pub fn send_raw(&mut self, text: &str) {
        self.session.text(self.now, text);
        self.drain();
    }
    /// Sends 20 ms of audio every 20 ms.
    pub fn speak(&mut self, samples: &[i16]) {
        let format = self.format;
        for frame in samples.chunks(160) {
            self.advance(20);
            let event = json!({"type": "input_audio_buffer.append", "audio": base64(&format.encode(frame))});
            self.send_raw(&event.to_string());
        }
    }
    pub fn silence(&mut self, ms: u64) {
        self.speak(&vec![0; ms as usize * 8]);
    }
    /// Lets time pass without audio.
    pub fn advance(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(due) = self.due.filter(|due| *due <= until) {
            self.now = due.max(self.now);
            self.session.timeout(self.now);
            self.drain();
        }
        self.now = until;
    }
    /// Silence at pace until an event of this type comes (a new one since the last wait); at most a minute.
    pub fn until(&mut self, kind: &str) -> Value {
        for _ in 0..3_000 {
            if let Some(at) = self.events[self.seen..].iter().position(|(_, event)| event["type"] == kind) {
                self.seen += at + 1;
                return self.events[self.seen - 1].1.clone();
            }
            assert!(self.closed.is_none() && !self.dropped, "closed while waiting for {kind}: {:?}", self.closed);
            self.silence(20);
        }
        panic!("no {kind} within a minute; last: {}", self.last());
    }
    pub fn last(&self) -> &Value {
        &self.events.last().expect("there are events").1
    }
    /// Events of one type.
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().map(|(_, event)| event).filter(|event| event["type"] == kind).collect()
    }
    pub fn at(&self, kind: &str) -> u64 {
        self.events.iter().find(|(_, event)| event["type"] == kind).map(|(at, _)| *at).expect(kind)
    }
    /// Events since a mark ([`World::mark`]).
    pub fn since(&self, mark: usize) -> Vec<&Value> {
        self.events[mark..].iter().map(|(_, event)| event).collect()
    }
    pub fn mark(&self) -> usize {
        self.events.len()
    }
    /// The dialect's name of a GA event.
    pub fn named(&self, ga: &str) -> String {
        match self.dialect {
            Dialect::Ga => ga.to_owned(),
            Dialect::Preview => {
                ga.replace("response.output_audio", "response.audio").replace("response.output_text", "response.text")
            }
        }
    }
    /// Decoded audio of one item.
    pub fn audio_of(&self, item_id: &str) -> Vec<u8> {
        let kind = self.named("response.output_audio.delta");
        let deltas = self.all(&kind).into_iter().filter(|delta| delta["item_id"] == item_id);
        deltas
            .flat_map(|delta| base64_simd::STANDARD.decode_to_vec(delta["delta"].as_str().unwrap()).unwrap())
            .collect()
    }

    fn drain(&mut self) {
        loop {
            match self.session.poll() {
                Output::Text(text) => {
                    let event: Value = serde_json::from_str(&text).expect("server events are JSON");
                    assert_server_event(self.dialect, &event);
                    assert!(self.ids.insert(event["event_id"].as_str().unwrap().to_owned()), "event_id twice: {event}");
                    assert!(self.closed.is_none() && !self.dropped, "event after the end: {event}");
                    self.events.push((self.now_ms(), event));
                }
                Output::Close { code, reason } => self.closed = Some((code, reason)),
                Output::Drop => self.dropped = true,
                Output::Timeout(due) => {
                    self.due = due;
                    return;
                }
            }
        }
    }
}

/// Fails unless `events` (of one response, in order) are a proper response: names, order, ids, indices, usage.
pub fn assert_response(world: &World, events: &[&Value]) {
    let id = &events[0]["response"]["id"];
    let of = |event: &&&Value| event["response_id"] == *id || event["response"]["id"] == *id;
    let mut expected_index = 0;
    let mut open: Option<String> = None;
    for event in events.iter().filter(of) {
        let kind = event["type"].as_str().unwrap();
        match kind {
            "response.created" => assert_eq!(event["response"]["status"], "in_progress"),
            "response.output_item.added" => {
                assert!(open.is_none(), "two open items: {event}");
                assert_eq!(event["output_index"], expected_index);
                open = event["item"]["id"].as_str().map(str::to_owned);
            }
            "response.output_item.done" => {
                assert_eq!(open.take().as_deref(), event["item"]["id"].as_str());
                expected_index += 1;
            }
            "response.done" => {
                assert!(open.is_none(), "done with an open item");
                assert_eq!(event["response"]["output"].as_array().unwrap().len(), expected_index);
                let usage = &event["response"]["usage"];
                let n = |path: &str| {
                    usage.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path}: {usage}"))
                };
                assert_eq!(n("/total_tokens"), n("/input_tokens") + n("/output_tokens"));
                let input = ["text_tokens", "audio_tokens"].map(|t| n(&format!("/input_token_details/{t}")));
                let output = ["text_tokens", "audio_tokens"].map(|t| n(&format!("/output_token_details/{t}")));
                assert_eq!(n("/input_tokens"), input[0] + input[1]);
                assert_eq!(n("/output_tokens"), output[0] + output[1]);
                assert!(n("/input_token_details/cached_tokens") <= n("/input_tokens"));
            }
            _ => assert_eq!(event["item_id"].as_str(), open.as_deref(), "{kind} outside its item"),
        }
    }
    assert_eq!(events.iter().filter(|event| event["type"] == "response.done").count(), 1);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let order = ["response.output_audio.done", "response.output_audio_transcript.done"].map(|name| world.named(name));
    if let Some(at) = kinds.iter().position(|kind| *kind == order[0]) {
        let mut tail = vec![order[0].as_str(), &order[1], "response.content_part.done", "response.output_item.done"];
        if world.dialect == Dialect::Ga && events[0]["response"]["conversation_id"].is_string() {
            tail.push("conversation.item.done");
        }
        assert_eq!(&kinds[at..at + tail.len()], tail);
    }
}
