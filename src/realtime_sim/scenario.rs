//! What a scripted session does: checked values from a TOML file (fields: assets/scenarios/README.md).
//!
//! In: file text. Out: a [`Scenario`], or every problem with file, line and column. Reading is in [`super::scenario_file`].

use super::speech::Line;
use serde_json::{Map, Value};
use std::time::Duration;

/// One thing a reaction does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Speak these lines as one message.
    Say(Vec<Spoken>),
    /// Speak everything so often instead of once.
    Repeat(u32),
    /// Call a function, if the session offers it; otherwise speak these lines. `twice`: the same call id in two items.
    Call { tool: ToolChoice, arguments: Map<String, Value>, otherwise: Vec<Spoken>, twice: bool },
    /// Wait before the first audio, instead of the scenario's `think_ms`.
    Delay(Duration),
    /// End the response as failed with this code.
    Fail { code: String, message: String },
    /// Send an `error` event before anything else.
    Error { code: String, message: String },
    /// What happens to the connection after what was said.
    Break(Break),
    /// No response at all to a caller's turn; to `response.create`, a response without output.
    Silent,
    /// `response.created`, and never anything more.
    Stall,
    /// The whole audio in one delta.
    SingleDelta,
}

/// What happens to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    /// Close the WebSocket.
    Close { code: u16, reason: String },
    /// Cut the connection.
    Drop,
    /// Send nothing any more; the socket stays open.
    Mute,
    /// Send this text, whatever it is.
    Send(String),
}

/// A break at a chosen event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Type of a server event.
    pub after_event: String,
    /// After how many of them.
    pub nth: u32,
    pub broken: Break,
}

/// What becomes of a `session.update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updates {
    Accept,
    /// An `error` event; the old configuration stays.
    Refuse,
    /// Neither `session.updated` nor an error.
    Ignore,
}

/// What a spoken line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// Index into [`Scenario::lines`].
    Line(usize),
    /// The digits that were pressed, one clip each.
    Digits,
}

/// Which function is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    Named(String),
    /// The first offered one that is not listed in `tools.avoid`.
    Any,
}

pub type Reaction = Vec<Action>;

/// What happens on the n-th turn of the caller.
#[derive(Clone, Debug)]
pub struct Utterance {
    /// The transcript of the turn, as the scenario expects it.
    pub heard: Option<String>,
    /// Skipped when the turn did not interrupt the agent.
    pub only_if_interrupting: bool,
    pub reaction: Reaction,
}

/// A reaction that needs a word.
#[derive(Clone, Debug)]
pub struct Rule {
    /// All of these must occur (letters and digits compared, case ignored). Empty = always.
    pub contains: Vec<String>,
    /// For tool results: the function's name.
    pub tool: Option<String>,
    pub reaction: Reaction,
}

/// Ways real servers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// `conversation.created` is sent after `session.created`.
    ConversationCreated,
    /// Every reply is one audio delta.
    SingleDelta,
    /// A handshake with the beta header gets error `beta_api_shape_disabled` and close 4000.
    BetaDisabled,
    /// `rate_limits.updated` is never sent.
    NoRateLimits,
    /// Function arguments come without deltas.
    NoArgumentDeltas,
}

/// How the server presents itself.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Expected key; none = any or no key.
    pub key: Option<String>,
    /// Known models or deployments; empty = any.
    pub models: Vec<String>,
    /// HTTP statuses for the first connections; the ones after are served.
    pub refuse_http: Vec<u16>,
    /// Before the handshake is answered.
    pub connect_delay: Duration,
    pub updates: Updates,
    /// From the trigger of a response to its first delta.
    pub think: Duration,
    /// How many times faster than playback audio is sent.
    pub pace: f64,
    /// From the end of a turn to its transcript.
    pub transcribe: Duration,
    /// Session length cap.
    pub expires_after: Duration,
    pub quirks: Vec<Quirk>,
}

/// A checked scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    pub server: ServerOptions,
    /// The built-in lines and the file's own.
    pub lines: Vec<Line>,
    pub greeting: Reaction,
    pub utterances: Vec<Utterance>,
    /// After the last utterance, and for anything no rule fits.
    pub fallback: Reaction,
    /// `contains` is compared with the digits.
    pub digits: Vec<Rule>,
    pub tool_results: Vec<Rule>,
    pub instructions: Vec<Rule>,
    pub idle: Reaction,
    pub faults: Vec<Fault>,
    /// Functions that [`ToolChoice::Any`] never picks.
    pub avoid_tools: Vec<String>,
    /// Values for required arguments by name.
    pub argument_values: Map<String, Value>,
}

impl Scenario {
    /// The receptionist of the demo.
    pub fn built_in() -> Result<Scenario, String> {
        let text = include_str!("../../assets/scenarios/receptionist.toml");
        super::scenario_file::read("assets/scenarios/receptionist.toml", text)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }
    /// From a file; the error has one line per problem.
    pub fn load(path: &std::path::Path) -> Result<Scenario, String> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
        super::scenario_file::read(&name, &text)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }
    pub fn has(&self, quirk: Quirk) -> bool {
        self.server.quirks.contains(&quirk)
    }
}

/// Words of a text: lower case, letters and digits only.
pub fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}
