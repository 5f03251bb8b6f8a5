//! One Realtime session, server side, pure: `(now, client text)` in, [`Output`]s out, drained by [`Session::poll`] down to
//! `Timeout`. The parts: `items` (conversation events), `listen` (audio in, turns), `respond` and `stream` (responses out),
//! `usage` (token accounting), `echo`.

mod echo;
mod items;
mod listen;
mod respond;
mod stream;
mod usage;

use super::client_event::{self, ClientEvent, MOST_APPEND, Refusal};
use super::conversation::Conversation;
use super::dialect::Dialect;
use super::ears::Ears;
use super::scenario::{Break, Quirk, Scenario, Updates};
use super::script::Script;
use super::settings::Settings;
use super::shape::Refused;
pub use super::wire::Output;
use super::wire::Wire;
use respond::Running;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// What a session is opened with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Makes ids unique over the sessions of a server.
    pub number: u64,
    pub dialect: Dialect,
    pub model: String,
    pub scenario: Arc<Scenario>,
    /// Every caller sample comes straight back; the scenario's behaviour is not used.
    pub echo: bool,
    /// Unix seconds now, for `expires_at`.
    pub unix_s: u64,
    /// Keep what is heard for [`Session::recording`].
    pub record: bool,
}

/// Audio that a recording has at most: ten minutes of PCM16 at 24 kHz.
const MOST_RECORDED: usize = 600 * 48_000;

/// A transcript that is on its way.
struct Transcript {
    due: Instant,
    item_id: String,
    text: String,
    audio_ms: u64,
}

/// The machine.
pub struct Session {
    dialect: Dialect,
    scenario: Arc<Scenario>,
    wire: Wire,
    settings: Settings,
    conversation: Conversation,
    conversation_id: String,
    ears: Ears,
    script: Script,
    running: Vec<Running>,
    echo: Option<echo::Echo>,
    transcripts: VecDeque<Transcript>,
    /// The item of the turn being spoken, and where its audio starts.
    turn: Option<(String, u64)>,
    /// The turn being spoken interrupted the agent.
    interrupted: bool,
    /// When the audio sent so far would have been played out.
    playback_until: Instant,
    idle_at: Option<Instant>,
    idle_since_ms: u64,
    recording: Option<Vec<u8>>,
    expires: Instant,
    /// The agent's voice was heard: it is fixed from now on.
    spoke: bool,
    /// Input tokens of the last response; they count as cached for the next.
    cached: (u64, u64),
}

impl Session {
    pub fn new(now: Instant, opening: Opening) -> Session {
        let Opening { number, dialect, model, scenario, echo, unix_s, record } = opening;
        let mut wire = Wire::new(number, &scenario.faults);
        let id = wire.id("sess");
        let conversation_id = wire.id("conv");
        let settings = Settings::new(dialect, &id, &model, unix_s + scenario.server.expires_after.as_secs());
        let mut session = Session {
            dialect,
            wire,
            ears: Ears::new(&settings),
            script: Script::new(scenario.clone()),
            conversation: Conversation::default(),
            conversation_id,
            settings,
            running: Vec::new(),
            echo: echo.then(echo::Echo::default),
            transcripts: VecDeque::new(),
            turn: None,
            interrupted: false,
            playback_until: now,
            idle_at: None,
            idle_since_ms: 0,
            recording: record.then(Vec::new),
            expires: now + scenario.server.expires_after,
            spoke: false,
            cached: (0, 0),
            scenario,
        };
        session.open();
        session
    }

    /// One text message of the client.
    pub fn text(&mut self, now: Instant, text: &str) {
        if self.wire.is_over() {
            return;
        }
        if let Some(append) = client_event::append(text) {
            if let Err(refused) = self.append(now, append.audio) {
                self.wire.error(&refused, append.event_id);
            }
            return;
        }
        match client_event::parse(self.dialect, text) {
            Ok(event) => {
                if let Err(refused) = self.handle(now, &event) {
                    self.wire.error(&refused, event.event_id.as_deref());
                }
            }
            Err(Refusal { refused, event_id }) => self.wire.error(&refused, event_id.as_deref()),
        }
    }

    /// A binary message: the API has none.
    pub fn binary(&mut self) {
        self.wire
            .error(&Refused::new("invalid_event", "Events are JSON text messages; audio goes in as base64."), None);
    }

    /// A deadline passed.
    pub fn timeout(&mut self, now: Instant) {
        if self.wire.is_over() {
            return;
        }
        if now >= self.expires {
            let minutes = self.scenario.server.expires_after.as_secs() / 60;
            let message = format!("Your session hit the maximum duration of {minutes} minutes.");
            self.wire.error(&Refused::new("session_expired", message.clone()), None);
            return self.close(1001, &message);
        }
        self.due_transcripts(now);
        self.due_responses(now);
        if self.idle_at.is_some_and(|at| now >= at) && !self.wire.is_over() {
            self.idle_timeout(now);
        }
    }

    /// What the socket has to do next; ends with `Timeout`.
    pub fn poll(&mut self) -> Output {
        if let Some(output) = self.wire.pop() {
            return output;
        }
        if self.wire.is_over() {
            return Output::Timeout(None);
        }
        let transcript = self.transcripts.front().map(|transcript| transcript.due);
        let response = self.running.iter().filter_map(|running| running.due()).min();
        let dues = [transcript, response, self.idle_at, Some(self.expires)];
        Output::Timeout(dues.into_iter().flatten().min())
    }

    fn open(&mut self) {
        if self.dialect == Dialect::Preview && self.scenario.has(Quirk::BetaDisabled) {
            let message =
                "The Realtime Beta API is no longer supported. Please use /v1/realtime without the OpenAI-Beta header.";
            self.wire.error(&Refused::new("beta_api_shape_disabled", message), None);
            return self.close(4000, "invalid_request_error.beta_api_shape_disabled");
        }
        self.wire.event("session.created", json!({"session": self.settings.report()}));
        if self.scenario.has(Quirk::ConversationCreated) {
            let conversation = json!({"id": self.conversation_id, "object": "realtime.conversation"});
            self.wire.event("conversation.created", json!({ "conversation": conversation }));
        }
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.wire.break_with(&Break::Close { code, reason: reason.to_owned() });
    }

    fn handle(&mut self, now: Instant, event: &ClientEvent) -> Result<(), Refused> {
        match event.kind.as_str() {
            "session.update" if self.scenario.server.updates == Updates::Ignore => Ok(()),
            "session.update" if self.scenario.server.updates == Updates::Refuse => {
                let message = "Invalid value: the scenario refuses every session.update.";
                Err(Refused::new("invalid_value", message).at("session"))
            }
            "session.update" => {
                let update = event.body.get("session").unwrap_or(&serde_json::Value::Null);
                self.settings.update(update, self.spoke)?;
                self.ears.configure(self.settings.input_format(), self.settings.turn_detection());
                if !self.ears.in_speech() {
                    self.turn = None;
                }
                self.wire.event("session.updated", json!({"session": self.settings.report()}));
                self.arm_idle(now);
                Ok(())
            }
            "input_audio_buffer.append" => {
                let audio = event.text("audio").unwrap_or_default();
                if audio.len() / 4 * 3 > MOST_APPEND {
                    let message = "Invalid 'audio': the decoded audio is larger than 15 MiB.";
                    return Err(Refused::new("invalid_value", message).at("audio"));
                }
                self.append(now, audio)
            }
            "input_audio_buffer.commit" => self.manual_commit(now),
            "input_audio_buffer.clear" => {
                self.ears.clear();
                self.turn = None;
                self.wire.event("input_audio_buffer.cleared", json!({}));
                Ok(())
            }
            "conversation.item.create" => self.create_item(event),
            "conversation.item.delete" => self.delete_item(event),
            "conversation.item.retrieve" => self.retrieve_item(event),
            "conversation.item.truncate" => self.truncate_item(now, event),
            "response.create" => self.create_response(now, event),
            "response.cancel" => self.cancel_response(now, event),
            kind => {
                let message = format!("'{kind}' is not available on a WebSocket session of this server.");
                Err(Refused::new("invalid_value", message).at("type"))
            }
        }
    }
}
