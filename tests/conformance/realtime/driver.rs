//! A session between two scripts: server texts in, client events and agent events out.

use serde_json::Value;
use std::time::{Duration, Instant};
use voxtrunk::net::clock;
use voxtrunk::realtime::session::{Session, SessionOutput, SessionParams};
use voxtrunk::realtime::{
    AgentEvent, AgentSpec, AudioFormat, CommandId, DialectKind, Endpoint, Intent, ProviderKind, TurnDetection,
};

pub fn plain_spec(format: AudioFormat) -> AgentSpec {
    AgentSpec {
        instructions: "You are the telephone assistant of Example Ltd.".to_owned(),
        voice: None,
        format,
        turn_detection: TurnDetection::ServerVad {
            threshold: 0.5,
            prefix_padding_ms: 300,
            silence_duration_ms: 200,
            create_response: true,
            interrupt_response: true,
            idle_timeout_ms: None,
        },
        transcription: None,
        noise_reduction: None,
        tools: Vec::new(),
        temperature: None,
        max_output_tokens: None,
        speed: None,
    }
}

/// What came out since the last look.
#[derive(Default)]
pub struct Outcome {
    pub sent: Vec<Value>,
    pub events: Vec<AgentEvent>,
}

pub struct Driver {
    pub session: Session,
    pub now: Instant,
    pub deadline: Option<Instant>,
    pub closed: bool,
}

impl Driver {
    pub fn new(dialect: DialectKind, agent: AgentSpec) -> Driver {
        let endpoint = Endpoint {
            kind: ProviderKind::Embedded,
            dialect,
            url: "ws://localhost".to_owned(),
            model: "m".to_owned(),
            api_version: None,
        };
        let now = clock::now();
        let params = SessionParams { endpoint, agent, ready_timeout: Duration::from_secs(5) };
        Driver { session: Session::new(now, params), now, deadline: None, closed: false }
    }

    /// Drains; checks on the way that nothing is sent after Disconnect and nothing told after Closed.
    pub fn drain(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        let mut disconnected = self.closed;
        for _ in 0..10_000 {
            match self.session.poll_output() {
                SessionOutput::Send(text) => {
                    assert!(!disconnected, "Send after Disconnect: {text}");
                    outcome.sent.push(serde_json::from_str(&text).expect("client events are JSON"));
                }
                SessionOutput::Event(event) => {
                    assert!(!self.closed, "event after Closed: {event:?}");
                    self.closed = matches!(event, AgentEvent::Closed { .. });
                    outcome.events.push(event);
                }
                SessionOutput::Disconnect => disconnected = true,
                SessionOutput::Timeout(deadline) => {
                    self.deadline = deadline;
                    return outcome;
                }
            }
        }
        panic!("the session never comes to rest");
    }

    pub fn server(&mut self, event: &Value) -> Outcome {
        self.session.handle_text(self.now, &event.to_string());
        self.drain()
    }

    pub fn intent(&mut self, intent: Intent) -> (CommandId, Outcome) {
        let id = self.session.intent(self.now, intent);
        (id, self.drain())
    }

    pub fn advance(&mut self, by: Duration) -> Outcome {
        self.now += by;
        self.session.handle_timeout(self.now);
        self.drain()
    }
}
