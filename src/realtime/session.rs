//! One connection from connect to close: waits for `session.created`, configures, holds the deadline, feeds the engine.
//!
//! In: WebSocket texts, intents, caller audio, time. Out: [`SessionOutput`], drained down to `Timeout`.
//! `Greeted → Configuring → Ready → Closed`; what is wanted before Ready waits, caller audio before it is dropped.

use super::append::append_event;
use super::buffers::{Buffers, Used};
use super::dialect::{Command, same_format};
use super::engine::ResponseEngine;
use super::outbox::{Outbox, Sent};
use super::wire::{self, ErrorInfo, Format, Kind, ServerEvent, SessionInfo};
use super::{AgentEvent, AgentSpec, AudioFormat, CommandId, DialectKind, Endpoint, Intent, SegmentId, Usage};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use super::fault::SessionFault;

/// Intents that wait for Ready.
const MAX_WAITING: usize = 32;
/// R9: so many malformed messages within so long end the session.
const MALFORMED_LIMIT: usize = 5;
const MALFORMED_WINDOW: Duration = Duration::from_secs(10);

/// What a session is made of.
#[derive(Clone, Debug)]
pub struct SessionParams {
    pub endpoint: Endpoint,
    pub agent: AgentSpec,
    /// From the connection being open to `session.updated`.
    pub ready_timeout: Duration,
}

/// What comes out.
#[derive(Debug, PartialEq)]
pub enum SessionOutput {
    /// One WebSocket text message.
    Send(String),
    Event(AgentEvent),
    /// Close the socket (1000); no more Send follows.
    Disconnect,
    Timeout(Option<Instant>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Connected; the server's first event is awaited.
    Connected,
    /// `session.update` is on its way.
    Configuring,
    Ready,
    Closed,
}

/// The machine: dialect + engine + life cycle.
pub struct Session {
    state: State,
    dialect: DialectKind,
    agent: AgentSpec,
    /// Of getting Ready.
    deadline: Instant,
    session_id: String,
    expires_at_unix: Option<u64>,
    waiting: VecDeque<(CommandId, Intent)>,
    malformed: VecDeque<Instant>,
    last_command: u64,
    engine: ResponseEngine,
    out: Outbox,
}

impl Session {
    /// The connection is open (the 101 was received).
    pub fn new(now: Instant, params: SessionParams) -> Session {
        let dialect = params.endpoint.dialect;
        Session {
            state: State::Connected,
            dialect,
            engine: ResponseEngine::new(&params.agent),
            agent: params.agent,
            deadline: now + params.ready_timeout,
            session_id: String::new(),
            expires_at_unix: None,
            waiting: VecDeque::new(),
            malformed: VecDeque::new(),
            last_command: 0,
            out: Outbox::new(dialect),
        }
    }

    /// One text message of the server.
    pub fn handle_text(&mut self, now: Instant, text: &str) {
        if self.state == State::Closed {
            return;
        }
        let event = match wire::decode(text) {
            Ok(event) => event,
            Err(error) => return self.on_malformed(now, &error.to_string()),
        };
        match (event.kind(), self.state) {
            (Kind::SessionCreated, _) => self.on_created(&event.session),
            (Kind::SessionUpdated, State::Configuring) => self.on_updated(now, &event.session),
            (Kind::Error, State::Connected | State::Configuring) => self.on_early_error(&event.error),
            (Kind::Error, _) if is_expiry(&event.error) => self.end(Some(SessionFault::Expired)),
            (_, State::Ready) => self.engine.on_event(now, &event, &mut self.out),
            (Kind::Unknown, _) => self.out.warn("unknown_event", &event.name),
            _ => self.on_early_event(&event),
        }
    }

    /// The socket is gone.
    pub fn handle_close(&mut self, now: Instant, code: Option<u16>, reason: &str) {
        let _ = now;
        self.end(Some(SessionFault::from_close(code, reason)));
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Connected | State::Configuring if now >= self.deadline => self.end(Some(SessionFault::Timeout)),
            State::Ready => self.engine.on_timeout(now, &mut self.out),
            State::Connected | State::Configuring | State::Closed => {}
        }
    }

    /// Asks for something; the id comes back if it is refused. Waits for Ready, but for `Close`.
    pub fn intent(&mut self, now: Instant, intent: Intent) -> CommandId {
        self.last_command += 1;
        let id = CommandId(self.last_command);
        match (self.state, intent) {
            (State::Closed, _) => {}
            (_, Intent::Close) => self.end(None),
            (State::Ready, intent) => self.engine.on_intent(now, id, intent, &mut self.out),
            (State::Connected | State::Configuring, intent) if self.waiting.len() < MAX_WAITING => {
                self.waiting.push_back((id, intent));
            }
            (State::Connected | State::Configuring, _) => {
                let message = "too many wishes before the session is ready".to_owned();
                self.out.event(AgentEvent::Rejected { command: Some(id), code: None, message });
            }
        }
        id
    }

    /// Caller audio in the session's format; one `append` event each call. Dropped before Ready.
    pub fn audio(&mut self, audio: &[u8]) {
        if let Some(text) = self.append(audio) {
            self.out.send_audio(text);
        }
    }

    /// As [`Session::audio`], but a text that nothing waits before is given back: it may go at once.
    pub fn append(&mut self, audio: &[u8]) -> Option<String> {
        if self.state != State::Ready || audio.is_empty() {
            return None;
        }
        let text = append_event(audio, self.out.buffers.take_text());
        if self.out.is_empty() {
            return Some(text);
        }
        self.out.send_audio(text);
        None
    }

    /// The audio in a text that is nothing but the next piece of a segment which sounds already, as nearly every text is; its segment.
    /// `None`: nothing was done, and the text is for [`Session::handle_text`].
    pub fn take_audio(&mut self, now: Instant, text: &str) -> Option<(SegmentId, Vec<u8>)> {
        if self.state != State::Ready || !self.out.is_empty() {
            return None;
        }
        let delta = wire::audio_delta(text)?;
        self.engine.next_audio(now, &delta, &mut self.out.buffers)
    }

    /// Outputs wait.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Buffers to use from now on; those of before come back.
    pub fn lend(&mut self, buffers: Buffers) -> Buffers {
        std::mem::replace(&mut self.out.buffers, buffers)
    }

    /// A text or audio that came out of here and is not needed any more.
    pub fn reuse(&mut self, used: Used) {
        self.out.buffers.put(used);
    }

    pub fn poll_output(&mut self) -> SessionOutput {
        self.out.pop().unwrap_or_else(|| {
            SessionOutput::Timeout(match self.state {
                State::Connected | State::Configuring => Some(self.deadline),
                State::Ready => self.engine.deadline(),
                State::Closed => None,
            })
        })
    }

    pub fn usage(&self) -> Usage {
        self.engine.usage()
    }

    /// The first event of the server, whatever its name; later ones only add what is not known yet.
    fn on_created(&mut self, session: &SessionInfo<'_>) {
        self.learn(session);
        if self.state != State::Connected {
            return;
        }
        let foreign = match self.dialect {
            DialectKind::Ga => session.is_preview() && !session.is_ga(),
            DialectKind::Preview => session.is_ga(),
        };
        if foreign {
            // Look-alikes mix the shapes; whether it is the wrong dialect shows when session.update is refused.
            self.out.warn("dialect_mismatch", "session.created has the shape of the other dialect");
        }
        self.state = State::Configuring;
        self.out.send(Sent::SessionUpdate, None, &Command::SessionUpdate(&self.agent));
    }

    fn learn(&mut self, session: &SessionInfo<'_>) {
        if !session.id.is_empty() {
            self.session_id = session.id.to_string();
        }
        if session.expires_at > 0 {
            self.expires_at_unix = Some(session.expires_at);
        }
    }

    fn on_updated(&mut self, now: Instant, session: &SessionInfo<'_>) {
        self.learn(session);
        for (direction, echoed) in [("input", session.input_format()), ("output", session.output_format())] {
            if !same_format(self.agent.format, echoed) {
                // It would be heard as noise.
                let text = format_mismatch(direction, self.agent.format, echoed);
                return self.end(Some(SessionFault::BadConfiguration(text)));
            }
        }
        self.state = State::Ready;
        let (session_id, expires_at_unix) = (self.session_id.clone(), self.expires_at_unix);
        self.out.event(AgentEvent::Ready { session_id, expires_at_unix });
        for (id, intent) in std::mem::take(&mut self.waiting) {
            self.engine.on_intent(now, id, intent, &mut self.out);
        }
    }

    /// Nothing else has been sent yet, so an error that names nothing is about `session.update` as well. A refused
    /// update leaves the server's default agent on an open socket: fatal.
    fn on_early_error(&mut self, error: &ErrorInfo<'_>) {
        let fault = match self.state {
            State::Configuring => SessionFault::from_refused_update(error),
            _ => SessionFault::from_error(error).unwrap_or_else(|| SessionFault::Server(super::fault::describe(error))),
        };
        self.end(Some(fault));
    }

    /// Events between created and updated belong to no response of ours; rate limits and the like are common.
    fn on_early_event(&mut self, event: &ServerEvent<'_>) {
        if !matches!(event.kind(), Kind::Ignored | Kind::ItemInConversation | Kind::SessionUpdated) {
            self.out.warn("event_before_ready", &event.name);
        }
    }

    fn on_malformed(&mut self, now: Instant, detail: &str) {
        self.out.warn("malformed_event", detail);
        self.malformed.retain(|&at| now.saturating_duration_since(at) < MALFORMED_WINDOW);
        self.malformed.push_back(now);
        if self.malformed.len() >= MALFORMED_LIMIT {
            self.end(Some(SessionFault::Lost { code: None, reason: "malformed events".to_owned() }));
        }
    }

    /// Ends once; nothing is sent or told afterwards.
    fn end(&mut self, fault: Option<SessionFault>) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.waiting.clear();
            self.out.drop_sends();
            self.out.disconnect();
            self.out.event(AgentEvent::Closed { fault });
        }
    }
}

fn is_expiry(error: &ErrorInfo<'_>) -> bool {
    SessionFault::from_error(error) == Some(SessionFault::Expired)
}

fn format_mismatch(direction: &str, asked: AudioFormat, echoed: &Format<'_>) -> String {
    let rate = if echoed.rate > 0 { format!(" at {} Hz", echoed.rate) } else { String::new() };
    super::fault::excerpt(&format!("{direction} audio: asked for {asked:?}, the server uses {}{rate}", echoed.name))
}
