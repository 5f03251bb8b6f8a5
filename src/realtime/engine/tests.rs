//! The rules of the engine, one test each, through a whole session: texts in, texts and events out.

use crate::net::clock;
use crate::realtime::session::{Session, SessionFault, SessionOutput, SessionParams};
use crate::realtime::{
    AgentEvent, AgentSpec, AudioFormat, CommandId, DialectKind, Endpoint, Greeting, Intent, ProviderKind, SegmentId,
    SegmentOutcome, ToolCallId, TurnDetection,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

mod barge_in;
mod life;
mod pieces;
mod slot;
mod speech;
mod tools;

/// A session with its two ends, and a clock that only moves when told.
struct Bench {
    session: Session,
    now: Instant,
    sent: Vec<Value>,
    events: Vec<AgentEvent>,
    disconnected: bool,
    deadline: Option<Instant>,
}

fn spec() -> AgentSpec {
    AgentSpec {
        instructions: "You are Ann.".to_owned(),
        voice: None,
        format: AudioFormat::Pcmu,
        turn_detection: TurnDetection::default(),
        transcription: None,
        noise_reduction: None,
        tools: Vec::new(),
        temperature: None,
        max_output_tokens: None,
        speed: None,
    }
}

impl Bench {
    fn connected(agent: AgentSpec) -> Bench {
        let endpoint = Endpoint {
            kind: ProviderKind::Embedded,
            dialect: DialectKind::Ga,
            url: "ws://localhost".to_owned(),
            model: String::new(),
            api_version: None,
        };
        let now = clock::now();
        let params = SessionParams { endpoint, agent, ready_timeout: Duration::from_secs(5) };
        let session = Session::new(now, params);
        let mut bench =
            Bench { session, now, sent: Vec::new(), events: Vec::new(), disconnected: false, deadline: None };
        bench.drain();
        bench
    }

    /// Configured, with an empty record.
    fn ready() -> Bench {
        let mut bench = Bench::connected(spec());
        bench.server(json!({"type": "session.created", "session": {"id": "sess_1", "expires_at": 99}}));
        bench.server(json!({"type": "session.updated", "session": {"id": "sess_1"}}));
        assert!(matches!(bench.events.as_slice(), [AgentEvent::Ready { .. }]), "{:?}", bench.events);
        bench.clear();
        bench
    }

    fn drain(&mut self) {
        loop {
            match self.session.poll_output() {
                SessionOutput::Send(text) => {
                    assert!(!self.disconnected, "Send after Disconnect");
                    self.sent.push(serde_json::from_str(&text).expect("JSON"));
                }
                SessionOutput::Event(event) => self.events.push(event),
                SessionOutput::Disconnect => self.disconnected = true,
                SessionOutput::Timeout(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
    }

    fn clear(&mut self) {
        self.sent.clear();
        self.events.clear();
    }

    fn server(&mut self, event: Value) {
        // As a call does it.
        let text = event.to_string();
        match self.session.take_audio(self.now, &text) {
            Some((segment, audio)) => self.events.push(AgentEvent::Audio { segment, audio }),
            None => self.session.handle_text(self.now, &text),
        }
        self.drain();
    }

    fn intent(&mut self, intent: Intent) -> CommandId {
        let id = self.session.intent(self.now, intent);
        self.drain();
        id
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.session.handle_timeout(self.now);
        self.drain();
    }

    /// Moves to the deadline that was announced.
    fn reach_deadline(&mut self) {
        let deadline = self.deadline.expect("a deadline");
        let by = deadline.saturating_duration_since(self.now);
        self.advance(by);
    }

    fn created(&mut self, id: &str) {
        self.server(json!({"type": "response.created", "response": {"id": id, "conversation_id": "conv"}}));
    }

    fn done(&mut self, id: &str, status: &str) {
        self.server(json!({"type": "response.done", "response": {"id": id, "status": status}}));
    }

    /// `ms` of mu-law audio of content part 0.
    fn audio(&mut self, response: &str, item: &str, ms: usize) {
        let delta = crate::realtime::append::append_event(&vec![0x55; ms * 8], String::new());
        let delta = serde_json::from_str::<Value>(&delta).expect("JSON")["audio"].clone();
        let name = "response.output_audio.delta";
        self.server(
            json!({"type": name, "response_id": response, "item_id": item, "content_index": 0, "delta": delta}),
        );
    }

    fn audio_done(&mut self, response: &str, item: &str) {
        self.server(json!({"type": "response.output_audio.done", "response_id": response, "item_id": item}));
    }

    fn speech_started(&mut self, item: &str) {
        self.server(json!({"type": "input_audio_buffer.speech_started", "item_id": item, "audio_start_ms": 100}));
    }

    fn speech_stopped(&mut self, item: &str) {
        self.server(json!({"type": "input_audio_buffer.speech_stopped", "item_id": item, "audio_end_ms": 900}));
    }

    fn error(&mut self, code: &str, event_id: &Value) {
        self.server(json!({"type": "error", "error": {"code": code, "message": "no", "event_id": event_id}}));
    }

    /// A completed call in a response that is then done.
    fn tool_call(&mut self, response: &str, call_id: &str) {
        let item = json!({"id": format!("item_{call_id}"), "type": "function_call", "status": "completed",
            "call_id": call_id, "name": "look_up", "arguments": "{\"n\":1}"});
        self.server(json!({"type": "response.output_item.done", "response_id": response, "item": item}));
    }

    fn sent_types(&self) -> Vec<&str> {
        self.sent.iter().filter_map(|e| e["type"].as_str()).collect()
    }

    fn warnings(&self) -> Vec<&'static str> {
        let label = |e: &AgentEvent| match e {
            AgentEvent::Warning { label, .. } => Some(*label),
            _ => None,
        };
        self.events.iter().filter_map(label).collect()
    }
}
