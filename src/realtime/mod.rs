//! The Realtime side, pure: neutral [`Intent`]s down, [`AgentEvent`]s up, WebSocket texts in and out.
//!
//! | file | role |
//! |---|---|
//! | [`endpoint`] | URL, headers and key place of every endpoint form |
//! | [`wire`] | lenient decoding of server events, names of both dialects alike |
//! | [`dialect`] | client events as `ga` and `preview` spell them |
//! | [`append`] | the hot path: caller audio out, agent audio in |
//! | [`engine`] | the state: one writer of `response.create`, barge-in, tool batches, caller turns |
//! | [`fault`] | why a session failed or ended, from HTTP status, `error` event or close code |
//! | [`session`] | one connection from connect to close |
//!
//! No provider id is seen above the engine (invariant 10).

pub mod append;
pub mod buffers;
pub mod dialect;
pub mod endpoint;
pub mod engine;
pub mod fault;
mod outbox;
pub mod session;
pub mod wire;

pub use endpoint::handshake;

use crate::realtime::fault::SessionFault;

/// A stretch of agent speech as the call knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub u64);

/// A command of ours; comes back in [`AgentEvent::Rejected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandId(pub u64);

/// A tool call as the call knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToolCallId(pub u64);

/// Audio on the wire between us and the service, both directions alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioFormat {
    /// 24 kHz, 16 bit little endian.
    Pcm24k,
    Pcmu,
    Pcma,
}

impl AudioFormat {
    /// Bytes of one millisecond.
    pub fn bytes_per_ms(self) -> usize {
        match self {
            AudioFormat::Pcm24k => 48,
            AudioFormat::Pcmu | AudioFormat::Pcma => 8,
        }
    }
}

/// What the first words are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// These words, as exactly as the service can.
    Say(String),
    /// Instructions for a greeting.
    Instructions(String),
    /// The caller speaks first.
    None,
}

/// Turn detection; every field is sent explicitly (a service's silent defaults differ from its documents).
#[derive(Clone, Debug, PartialEq)]
pub enum TurnDetection {
    ServerVad {
        threshold: f32,
        prefix_padding_ms: u32,
        silence_duration_ms: u32,
        create_response: bool,
        interrupt_response: bool,
        idle_timeout_ms: Option<u32>,
    },
    SemanticVad {
        eagerness: Eagerness,
        create_response: bool,
        interrupt_response: bool,
    },
}

impl Default for TurnDetection {
    /// What a dialplan without `[turn_detection]` gets.
    fn default() -> TurnDetection {
        TurnDetection::ServerVad {
            threshold: 0.5,
            prefix_padding_ms: 300,
            silence_duration_ms: 500,
            create_response: true,
            interrupt_response: true,
            idle_timeout_ms: None,
        }
    }
}

/// semantic_vad's eagerness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eagerness {
    Low,
    Medium,
    High,
    Auto,
}

/// Transcription of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcription {
    pub model: String,
    /// ISO-639-1.
    pub language: Option<String>,
    pub prompt: Option<String>,
}

/// A function given to the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolDefinition {
    pub name: String,
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: serde_json::Value,
}

/// What a session is configured with.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentSpec {
    pub instructions: String,
    /// `None` = the service's default.
    pub voice: Option<String>,
    pub format: AudioFormat,
    pub turn_detection: TurnDetection,
    pub transcription: Option<Transcription>,
    /// `near_field`, `far_field` or none.
    pub noise_reduction: Option<String>,
    pub tools: Vec<ToolDefinition>,
    /// preview only; GA has no such field and it is left out there.
    pub temperature: Option<f32>,
    pub max_output_tokens: Option<u32>,
    pub speed: Option<f32>,
}

/// Which words are spoken on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialectKind {
    Ga,
    Preview,
}

/// Which kind of service the endpoint is; decides URL, query and authentication (reference §1–2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    OpenAi,
    Azure,
    Compatible,
    Embedded,
}

/// Everything needed to open a connection. The key is put in by `net` at the handshake, never here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub kind: ProviderKind,
    pub dialect: DialectKind,
    /// `wss://api.openai.com`, `wss://RES.openai.azure.com`, or a whole `ws://` / `wss://` URL for `Compatible`.
    pub url: String,
    /// Model (OpenAI, compatible) or deployment name (Azure).
    pub model: String,
    /// Azure preview only.
    pub api_version: Option<String>,
}

/// Where the key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer KEY`
    Bearer,
    /// `api-key: KEY`
    ApiKey,
    None,
}

/// The WebSocket request, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub key: KeyHeader,
}

/// What the call wants. Audio has its own method ([`session::Session::audio`]).
#[derive(Clone, Debug, PartialEq)]
pub enum Intent {
    /// The first words, once, after Ready.
    Greet(Greeting),
    /// Speak about this / say this now (check-in, goodbye, apology): instructions for one response.
    Say(String),
    /// A fact for the model, without an answer.
    AddContext(String),
    /// Result of a tool call. A response follows when the batch is complete, unless `silent`.
    ToolResult {
        id: ToolCallId,
        output: String,
        silent: bool,
    },
    /// The caller speaks over the segment: cancel what runs, truncate at `heard_ms` (0 = nothing was heard).
    Interrupt {
        segment: SegmentId,
        heard_ms: u32,
    },
    /// Keys the caller pressed, as a text item; a response follows.
    Digits(String),
    /// Answer what is in the conversation: the retry after a response that failed (R3, R7).
    Respond,
    Close,
}

/// How a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentOutcome {
    Completed,
    Interrupted,
    Failed,
}

/// Tokens, summed over a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_text: u64,
    pub input_audio: u64,
    pub cached: u64,
    pub output_text: u64,
    pub output_audio: u64,
    pub total: u64,
    pub responses: u32,
}

/// What the call learns.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    /// `session.updated` came: the session is configured as asked.
    Ready {
        session_id: String,
        expires_at_unix: Option<u64>,
    },
    /// A response began (for latency records); `created` before any audio.
    ResponseStarted,
    SegmentStarted {
        segment: SegmentId,
    },
    /// In the session's [`AudioFormat`].
    Audio {
        segment: SegmentId,
        audio: Vec<u8>,
    },
    /// No more audio for the segment.
    SegmentEnded {
        segment: SegmentId,
        outcome: SegmentOutcome,
    },
    /// Everything of a response is there; `spoke` = it had at least one segment.
    ResponseEnded {
        spoke: bool,
        failed: Option<SessionFault>,
    },
    /// Final transcript of what the agent said in the segment.
    AgentText {
        segment: SegmentId,
        text: String,
    },
    /// `turn` numbers caller turns. `audio_ms` is the provider's clock of received audio.
    CallerSpeechStarted {
        turn: u64,
        audio_ms: u32,
    },
    CallerSpeechStopped {
        turn: u64,
        audio_ms: u32,
    },
    /// Final transcript of the caller's turn.
    CallerText {
        turn: u64,
        text: String,
    },
    /// Arguments are complete JSON text of a completed item, not yet checked.
    ToolCall {
        id: ToolCallId,
        name: String,
        arguments: String,
    },
    Usage(Usage),
    /// A command was refused; the session goes on.
    Rejected {
        command: Option<CommandId>,
        code: Option<String>,
        message: String,
    },
    /// Something odd that harms nothing (unknown event, benign race); `label` is for metrics.
    Warning {
        label: &'static str,
        detail: String,
    },
    /// The session is over; nothing follows.
    Closed {
        fault: Option<SessionFault>,
    },
}
