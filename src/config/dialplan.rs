//! One dialplan file, checked: what a number's agent is, may do, and when it ends.

mod agent;
mod http;
mod read;
mod target;
mod tools;

use super::ConfigError;
use super::document::{At, Table};
use super::fields::Problems;
use super::secret::SecretRef;
use crate::audio::front::FrontParams;
use crate::audio::level::LevelParams;
use crate::realtime::{AudioFormat, Greeting, Transcription, TurnDetection};
use crate::tools::KeyEntry;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A checked dialplan.
#[derive(Clone, Debug, PartialEq)]
pub struct Dialplan {
    pub file: PathBuf,
    /// File stem; label in metrics, logs and CDR.
    pub name: String,
    pub numbers: Vec<NumberPattern>,
    pub instructions: String,
    pub greeting: Greeting,
    /// BCP 47, e.g. `en` or `de-DE`.
    pub language: Option<String>,
    /// Name of a `[[provider]]`; `None` = the default one.
    pub provider: Option<String>,
    /// Overrides the provider's model.
    pub model: Option<String>,
    pub voice: Option<String>,
    pub turn_detection: TurnDetection,
    pub transcription: Option<Transcription>,
    pub noise_reduction: Option<String>,
    pub temperature: Option<f32>,
    pub speed: Option<f32>,
    pub max_output_tokens: Option<u32>,
    pub audio: AudioChoice,
    /// How loud the agent is for the caller, and its silence.
    pub level: LevelParams,
    /// What is done to the caller's audio.
    pub front: FrontParams,
    pub answer: AnswerPolicy,
    pub tools: Vec<Tool>,
    pub limits: Limits,
    pub fallback: Fallback,
    /// Write transcripts of both sides.
    pub transcript: bool,
    /// What of the caller's data the model is given, as data (AUT-14); none by default.
    pub caller_info: Vec<CallerField>,
    pub on_resume: OnResume,
}

impl Dialplan {
    /// A plan that says nothing but this, with the defaults of a file's fields; it serves no number yet.
    pub fn new(name: &str, instructions: &str) -> Dialplan {
        Dialplan {
            file: PathBuf::from(format!("{name}.toml")),
            name: name.to_owned(),
            numbers: Vec::new(),
            instructions: instructions.to_owned(),
            greeting: Greeting::None,
            language: None,
            provider: None,
            model: None,
            voice: None,
            turn_detection: TurnDetection::default(),
            transcription: None,
            noise_reduction: None,
            temperature: None,
            speed: None,
            max_output_tokens: None,
            audio: AudioChoice::default(),
            level: LevelParams::default(),
            front: FrontParams::default(),
            answer: AnswerPolicy::default(),
            tools: Vec::new(),
            limits: Limits::default(),
            fallback: Fallback::default(),
            transcript: false,
            caller_info: Vec::new(),
            on_resume: OnResume::default(),
        }
    }
}

/// A piece of what the trunk says of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerField {
    Number,
    Name,
    ForwardedFrom,
    UserToUser,
    Headers,
}

/// What the model learns when the caller takes the call off hold (SDP-08).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnResume {
    /// That the caller was away and is back.
    #[default]
    Tell,
    /// That, and to say something.
    Speak,
    Silent,
}

/// Which numbers a file serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NumberPattern {
    /// Exactly this number, as dialled after normalising (E.164 or a PBX extension).
    Exact(String),
    /// `+1555*`: every number with this prefix; the longest prefix wins.
    Prefix(String),
    /// `default.toml`: everything else.
    Default,
}

/// `pcm16`, or G.711 passed through in the call's own law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudioChoice {
    #[default]
    Pcm16,
    G711,
}

impl AudioChoice {
    /// The session's format for a call with this codec.
    pub fn format(self, codec: crate::sip::offer_answer::Codec) -> AudioFormat {
        use crate::sip::offer_answer::Codec;
        match (self, codec) {
            // Wideband would lose its upper half on the way through G.711.
            (AudioChoice::Pcm16, _) | (_, Codec::G722) => AudioFormat::Pcm24k,
            (AudioChoice::G711, Codec::Pcmu) => AudioFormat::Pcmu,
            (AudioChoice::G711, Codec::Pcma) => AudioFormat::Pcma,
        }
    }
}

impl std::fmt::Display for NumberPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NumberPattern::Exact(number) => f.write_str(number),
            NumberPattern::Prefix(prefix) => write!(f, "{prefix}*"),
            NumberPattern::Default => f.write_str("all others"),
        }
    }
}

/// When the 200 goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerPolicy {
    /// 180 until the session is configured.
    #[default]
    WhenReady,
    AtOnce,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Longest call; a goodbye is spoken before.
    pub max_call: Duration,
    /// No RTP at all from the caller: after answer, and later in the call.
    pub no_media_start: Duration,
    pub no_media: Duration,
    /// The caller says nothing this long: spoken check-in, then after as long again goodbye. `None` = off.
    pub caller_silence: Option<Duration>,
    /// What the check-in and the goodbyes are about (instructions for one response).
    pub check_in: String,
    pub goodbye: String,
}

impl Default for Limits {
    fn default() -> Limits {
        const CHECK_IN: &str = "The caller has said nothing for a while. Ask in one short sentence whether they are still \
                                there, then wait.";
        const GOODBYE: &str = "The call must end now. Say so in one short, friendly sentence and say goodbye.";
        Limits {
            max_call: Duration::from_secs(30 * 60),
            no_media_start: Duration::from_secs(30),
            no_media: Duration::from_secs(15),
            caller_silence: Some(Duration::from_secs(30)),
            check_in: CHECK_IN.to_owned(),
            goodbye: GOODBYE.to_owned(),
        }
    }
}

/// What happens when the Realtime side fails.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fallback {
    /// Before answer: 480/503, so that the PBX overflows; in the call: apology tone and BYE.
    #[default]
    Reject,
    /// REFER to this named target (302-less: the call is answered, then transferred).
    Transfer { target: String },
    /// Answer and play this WAV file, then BYE.
    Apology { wav: Option<PathBuf> },
}

/// One tool the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// The function's name for the model.
    pub name: String,
    pub description: String,
    /// Refused unless the trunk vouches for the caller's number with attestation A (A14).
    pub requires_verified_caller: bool,
    pub kind: ToolKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ToolKind {
    Hangup,
    Transfer {
        targets: Vec<TransferTarget>,
    },
    /// Most digits in one go.
    SendDtmf {
        max_digits: usize,
    },
    /// An entry by keys, given to the model as the tool's result.
    CollectDigits(KeyEntry),
    Http(HttpTool),
}

/// A destination the model can pick by name, never by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferTarget {
    pub name: String,
    pub description: String,
    /// `sip:…`, `sips:…` or `tel:…`.
    pub uri: String,
    /// Another target of the same tool that is tried when this one fails (XFR-03).
    pub fallback: Option<String>,
    /// How the second leg goes, when there is one; `None` = blind, by REFER alone.
    pub leg: Option<LegPlan>,
}

/// A transfer with a second leg: we call the target first and speak to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegPlan {
    /// `true`: the legs are joined by REFER with Replaces where the trunk takes it; else, and `false`, they are bridged here.
    pub refer: bool,
    /// Name of the `[[trunk]]` it is placed on; `None` = the caller's.
    pub trunk: Option<String>,
    pub ring: Duration,
    /// What the callee is told, as instructions for one response.
    pub whisper: String,
    pub accept: Accept,
    /// From the end of those words.
    pub accept_within: Duration,
}

/// How a callee takes the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// By this key in time; without it the caller goes back to the agent.
    Key(char),
    /// By staying on the line.
    Auto,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HttpTool {
    pub method: HttpMethod,
    /// Fixed but for `{parameter}` in path or query, which are percent-encoded.
    pub url: String,
    /// Header values: literal, or by reference.
    pub headers: Vec<(String, HeaderValue)>,
    pub parameters: Vec<Parameter>,
    /// Parameters that are not in the URL go into the query (GET, DELETE) or a JSON body (POST, PUT, PATCH).
    pub timeout: Duration,
    /// Cut-off of the answer given to the model, bytes.
    pub max_bytes: usize,
    /// The fixed host itself may be private (an operator's own service); redirects never may.
    pub allow_private: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    Literal(String),
    /// `prefix` goes before the secret, like `Bearer `; it may be empty.
    Secret {
        prefix: String,
        secret: SecretRef,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// One typed argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub description: String,
    pub kind: ParameterKind,
    pub required: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ParameterKind {
    /// Length limit in characters.
    String {
        max_length: usize,
    },
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Number,
    Boolean,
    Enum {
        values: Vec<String>,
    },
}

/// Largest dialplan file, bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

impl Dialplan {
    /// Reads and checks one file (and the Markdown it names). All problems at once, each with line and field.
    pub fn load(file: &Path) -> Result<Dialplan, Vec<ConfigError>> {
        let text = super::read_text(file, MAX_FILE_BYTES).map_err(|error| vec![error])?;
        Dialplan::parse(file, &text)
    }

    /// Like [`Dialplan::load`], from a text that stands for `file` (its Markdown is still read beside it).
    pub fn parse(file: &Path, text: &str) -> Result<Dialplan, Vec<ConfigError>> {
        let table = super::document::parse(&file.display().to_string(), text)?;
        let problems = Problems::default();
        let plan = Dialplan::from_table(&problems, file, table);
        problems.finish(plan)
    }

    /// Reads a parsed tree; complaints go to `problems`, and what was wrong has some value in the result.
    pub fn from_table(problems: &Problems, file: &Path, table: Table) -> Dialplan {
        read::dialplan(problems, file, table)
    }

    /// Where a top-level field stands in the file, for complaints that need more than this file. Reads the file again.
    pub(super) fn place_of(&self, key: &str) -> At {
        let name = self.file.display().to_string();
        let table = super::read_text(&self.file, MAX_FILE_BYTES)
            .ok()
            .and_then(|text| super::document::parse(&name, &text).ok())
            .unwrap_or_default();
        table.get(key).map_or_else(|| At::file(&name), |entry| entry.node.at.clone())
    }

    /// Every transfer target of every transfer tool.
    pub fn transfer_targets(&self) -> impl Iterator<Item = &TransferTarget> {
        fn targets(tool: &Tool) -> &[TransferTarget] {
            match &tool.kind {
                ToolKind::Transfer { targets } => targets,
                _ => &[],
            }
        }
        self.tools.iter().flat_map(targets)
    }
}
