//! The states of the slot and what its transitions give.

use crate::realtime::CommandId;
use std::time::Instant;

/// What a response is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Answer what is in the conversation.
    Answer,
    /// Instructions of our own.
    About(String),
    /// These words.
    Exactly(String),
}

/// A wish and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    pub wish: Wish,
    pub command: Option<CommandId>,
    /// How often it was refused because another response ran.
    pub refusals: u8,
}

/// A `response.create` on its way.
#[derive(Debug)]
pub(super) struct Request {
    /// Number of its client event.
    pub event: u64,
    pub pending: Pending,
}

/// A response of the server's.
#[derive(Debug)]
pub(super) struct Running {
    pub id: String,
    /// The request it is believed to answer, until an error says otherwise.
    pub request: Option<Request>,
    /// Items that the server had not yet shown when the response began: not covered if the response is not ours.
    pub uncovered: Vec<String>,
    pub spoke: bool,
    pub audio_bytes: u64,
    /// Caller turn at its begin.
    pub turn: u64,
    pub until: Instant,
    /// `response.created` (or a first delta) was seen; a mere placeholder otherwise.
    pub announced: bool,
    /// The server's VAD was about to create one too: ours may still be refused after this one is over.
    pub ambiguous: bool,
}

impl Running {
    pub fn new(id: &str, until: Instant, announced: bool) -> Running {
        Running {
            id: id.to_owned(),
            request: None,
            uncovered: Vec::new(),
            spoke: false,
            audio_bytes: 0,
            turn: 0,
            until,
            announced,
            ambiguous: false,
        }
    }
}

/// One response at a time, from our wish to its end.
#[derive(Debug)]
pub(super) enum Slot {
    Idle,
    Requested { request: Request, until: Instant, cancel: bool },
    Active(Running),
    Cancelling(Running),
}

/// What a `response.created` turned out to be.
#[derive(Debug)]
pub(super) enum Created {
    /// Seen before, or over already.
    Known,
    /// Out of band; not in the conversation.
    Parallel,
    Started {
        /// A response whose `response.done` was missed.
        replaced: Option<Running>,
        /// Client event of the request that it is believed to answer.
        ours: Option<u64>,
        /// It was interrupted before it began.
        cancel: bool,
    },
}

/// What became of a refused `response.create`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not ours, or long over.
    Unknown,
    /// Another response runs: the wish waits for its end. `uncovered`: items that this response does not cover;
    /// `superseded`: a later instruction waits already and takes its place.
    Requeued { uncovered: Vec<String>, superseded: bool },
    /// The running response covers it.
    Covered,
    /// Given up.
    Dropped,
}

/// What a deadline ended.
#[derive(Debug)]
pub(super) enum Expired {
    Request,
    Response(Running),
}
