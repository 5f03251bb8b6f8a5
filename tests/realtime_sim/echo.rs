//! Echo mode with the program's own client: a long call hears itself to the end.

use crate::world::receptionist;
use std::sync::Arc;
use std::time::{Duration, Instant};
use voxtrunk::realtime::session::{Session as Client, SessionOutput, SessionParams};
use voxtrunk::realtime::{
    AgentEvent, AgentSpec, AudioFormat, DialectKind, Eagerness, Endpoint, Intent, ProviderKind, TurnDetection,
};
use voxtrunk::realtime_sim::dialect::Dialect;
use voxtrunk::realtime_sim::session::{Opening, Output, Session as Server};

/// Client and server joined by a wire without delay, in virtual time.
struct Joined {
    client: Client,
    server: Server,
    now: Instant,
    events: Vec<AgentEvent>,
}

impl Joined {
    fn new(dialect: Dialect) -> Joined {
        let now = voxtrunk::net::clock::now();
        let kind = if dialect == Dialect::Ga { DialectKind::Ga } else { DialectKind::Preview };
        let endpoint = Endpoint {
            kind: ProviderKind::Compatible,
            dialect: kind,
            url: "ws://127.0.0.1".into(),
            model: "gpt-realtime".into(),
            api_version: None,
        };
        let agent = AgentSpec {
            instructions: "Echo.".into(),
            voice: None,
            format: AudioFormat::Pcmu,
            turn_detection: TurnDetection::SemanticVad {
                eagerness: Eagerness::Auto,
                create_response: true,
                interrupt_response: true,
            },
            transcription: None,
            noise_reduction: None,
            tools: Vec::new(),
            temperature: None,
            max_output_tokens: None,
            speed: None,
        };
        let opening = Opening {
            number: 1,
            dialect,
            model: "gpt-realtime".into(),
            scenario: Arc::new(receptionist()),
            echo: true,
            unix_s: 1_760_000_000,
            record: false,
        };
        let params = SessionParams { endpoint, agent, ready_timeout: Duration::from_secs(5) };
        let (client, server) = (Client::new(now, params), Server::new(now, opening));
        let mut joined = Joined { client, server, now, events: Vec::new() };
        joined.settle();
        assert!(matches!(joined.events[0], AgentEvent::Ready { .. }), "{:?}", joined.events);
        joined
    }

    /// Carries messages until neither side has one; returns the next deadlines.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            while let Output::Text(text) = self.server.poll() {
                self.client.handle_text(self.now, &text);
                quiet = false;
            }
            let deadline = loop {
                match self.client.poll_output() {
                    SessionOutput::Send(text) => self.server.text(self.now, &text),
                    SessionOutput::Event(event) => self.events.push(event),
                    SessionOutput::Disconnect => panic!("the client gave up: {:?}", self.events.last()),
                    SessionOutput::Timeout(deadline) => break deadline,
                }
                quiet = false;
            };
            if deadline.is_some_and(|at| at <= self.now) {
                self.client.handle_timeout(self.now);
                quiet = false;
            }
            if quiet {
                return;
            }
        }
    }

    /// 20 ms of caller audio.
    fn speak(&mut self, frame: &[u8]) {
        self.now += Duration::from_millis(20);
        self.server.timeout(self.now);
        self.client.audio(frame);
        self.settle();
    }

    fn heard(&self) -> Vec<u8> {
        let audio = |event: &AgentEvent| match event {
            AgentEvent::Audio { audio, .. } => audio.clone(),
            _ => Vec::new(),
        };
        self.events.iter().flat_map(audio).collect()
    }

    fn ended(&self) -> Vec<bool> {
        let ended = |event: &AgentEvent| match event {
            AgentEvent::ResponseEnded { failed, .. } => Some(failed.is_none()),
            _ => None,
        };
        self.events.iter().filter_map(ended).collect()
    }
}

fn frame(n: u32) -> Vec<u8> {
    (0..160).map(|i| ((n * 160 + i) * 7 % 251) as u8).collect()
}

/// Ten minutes come back byte for byte, in responses of a minute each: the client, which cancels a response after three
/// minutes, has nothing to cancel.
#[test]
fn ten_minutes_of_echo_lose_nothing() {
    for dialect in [Dialect::Ga, Dialect::Preview] {
        let mut joined = Joined::new(dialect);
        let frames = 10 * 60 * 50;
        for n in 0..frames {
            joined.speak(&frame(n));
        }
        let said: Vec<u8> = (0..frames).flat_map(frame).collect();
        assert!(joined.heard() == said, "{} of {} bytes", joined.heard().len(), said.len());
        assert_eq!(joined.ended(), [true; 10]);
    }
}

/// After an interruption the echo goes on in a new response.
#[test]
fn echo_goes_on_after_a_cancel() {
    let mut joined = Joined::new(Dialect::Ga);
    for n in 0..50 {
        joined.speak(&frame(n));
    }
    let segment = joined.events.iter().find_map(|event| match event {
        AgentEvent::SegmentStarted { segment } => Some(*segment),
        _ => None,
    });
    joined.client.intent(joined.now, Intent::Interrupt { segment: segment.expect("a segment"), heard_ms: 500 });
    joined.settle();
    assert_eq!(joined.heard().len(), 50 * 160);
    for n in 50..100 {
        joined.speak(&frame(n));
    }
    assert!(joined.heard() == (0..100).flat_map(frame).collect::<Vec<u8>>());
}
