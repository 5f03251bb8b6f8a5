//! The one writer of `response.create`: a single slot, at most one pending wish.
//!
//! `Idle → Requested → Active → (Cancelling) → Idle`. The server's VAD is the second writer: a `response.created` may be
//! its, so an `error` that names our event puts the wish back once. A slot is freed by `response.done`, by an `error`
//! that names our event, or by its deadline, so that a lost event never silences the agent for good.

use super::recent::Recent;
use crate::realtime::CommandId;
use crate::realtime::wire::ConversationId;
use std::time::{Duration, Instant};

/// From `response.create` to `response.created`; some servers create with the first audio of a slow model.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// Without any event of a running response.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// From `response.cancel` to `response.done`.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);
/// After the server says that a response runs of which we have not heard, or that the one we cancel is over.
const RESYNC_LIMIT: Duration = Duration::from_secs(1);

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
    /// It was refused once because another response ran.
    pub retried: bool,
}

/// A `response.create` on its way.
#[derive(Debug)]
pub(super) struct Request {
    event: u64,
    pending: Pending,
}

/// A response of the server's.
#[derive(Debug)]
pub(super) struct Running {
    pub id: String,
    /// The request it is believed to answer, until an error says otherwise.
    request: Option<Request>,
    /// Items that the server had not yet shown when the response began: not covered if the response is not ours.
    pub uncovered: Vec<String>,
    pub spoke: bool,
    pub audio_bytes: u64,
    /// Caller turn at its begin.
    pub turn: u64,
    until: Instant,
    /// `response.created` (or a first delta) was seen; a mere placeholder otherwise.
    pub announced: bool,
}

impl Running {
    fn new(id: &str, until: Instant, announced: bool) -> Running {
        Running {
            id: id.to_owned(),
            request: None,
            uncovered: Vec::new(),
            spoke: false,
            audio_bytes: 0,
            turn: 0,
            until,
            announced,
        }
    }
}

#[derive(Debug)]
enum Slot {
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
        /// It is believed to answer our request.
        ours: bool,
        /// It was interrupted before it began.
        cancel: bool,
    },
}

/// What became of a refused `response.create`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not ours, or long over.
    Unknown,
    /// Another response runs: the wish waits for its end. The items are those that it does not cover.
    Requeued(Vec<String>),
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

/// The slot, the pending wish, and the ids of responses that are over or none of ours.
pub(super) struct Sequencer {
    slot: Slot,
    pending: Option<Pending>,
    finished: Recent,
    parallel: Recent,
}

impl Sequencer {
    pub fn new() -> Sequencer {
        Sequencer { slot: Slot::Idle, pending: None, finished: Recent::default(), parallel: Recent::default() }
    }

    /// Queues a wish. A later instruction replaces an earlier one; a mere answer never replaces an instruction, which
    /// sees the whole conversation as well. Returns what was given up.
    pub fn want(&mut self, wish: Pending) -> Option<Pending> {
        match &self.pending {
            Some(pending) if wish.wish == Wish::Answer && pending.wish != Wish::Answer => None,
            _ => self.pending.replace(wish).filter(|old| old.wish != Wish::Answer),
        }
    }

    /// The wish whose time has come: the slot is free and, for a mere answer, nothing speaks for waiting.
    pub fn take_due(&mut self, hold_answers: bool) -> Option<Pending> {
        let due = matches!(self.slot, Slot::Idle);
        self.pending.take_if(|p| due && !(hold_answers && p.wish == Wish::Answer))
    }

    pub fn answer_is_pending(&self) -> bool {
        self.pending.as_ref().is_some_and(|p| p.wish == Wish::Answer)
    }

    /// A response that covers everything began: a mere answer is no longer wanted.
    pub fn drop_pending_answer(&mut self) {
        self.pending.take_if(|p| p.wish == Wish::Answer);
    }

    /// `response.create` was sent as client event `event`.
    pub fn requested(&mut self, now: Instant, event: u64, pending: Pending) {
        let request = Request { event, pending };
        self.slot = Slot::Requested { request, until: now + REQUEST_LIMIT, cancel: false };
    }

    /// A response began, by `response.created` or (if that was missed) by its first event.
    pub fn created(&mut self, now: Instant, id: &str, conversation: ConversationId, turn: u64) -> Created {
        if self.finished.contains(id)
            || self.parallel.contains(id)
            || self.running().is_some_and(|r| r.id == id && r.announced)
        {
            return Created::Known;
        }
        if conversation == ConversationId::Null && self.running().is_some_and(|r| r.announced) {
            self.parallel.insert(id);
            return Created::Parallel;
        }
        let mut running = Running::new(id, now + STALL_LIMIT, true);
        running.turn = turn;
        let (replaced, cancel) = match std::mem::replace(&mut self.slot, Slot::Idle) {
            Slot::Idle => (None, false),
            Slot::Requested { request, cancel, .. } => {
                running.request = Some(request);
                (None, cancel)
            }
            Slot::Active(old) | Slot::Cancelling(old) => (Some(old).filter(|r| r.announced), false),
        };
        if let Some(old) = &replaced {
            self.finished.insert(&old.id);
        }
        let ours = running.request.is_some();
        self.slot = Slot::Active(running);
        Created::Started { replaced, ours, cancel }
    }

    /// The running response, active or being cancelled.
    pub fn running(&self) -> Option<&Running> {
        match &self.slot {
            Slot::Active(running) | Slot::Cancelling(running) => Some(running),
            Slot::Idle | Slot::Requested { .. } => None,
        }
    }

    pub fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.slot {
            Slot::Active(running) | Slot::Cancelling(running) => Some(running),
            Slot::Idle | Slot::Requested { .. } => None,
        }
    }

    pub fn is_cancelling(&self) -> bool {
        matches!(self.slot, Slot::Cancelling(_))
    }

    /// Over or out of band: what still comes of it is dropped.
    pub fn is_quarantined(&self, id: &str) -> bool {
        self.finished.contains(id)
            || self.parallel.contains(id)
            || matches!(&self.slot, Slot::Cancelling(r) if r.id == id || id.is_empty())
    }

    /// Its `response.done` was seen, or it was given up.
    pub fn is_over(&self, id: &str) -> bool {
        self.finished.contains(id)
    }

    /// An event of the running response came.
    pub fn touch(&mut self, now: Instant) {
        if let Slot::Active(running) = &mut self.slot {
            running.until = now + STALL_LIMIT;
        }
    }

    /// `response.done`. The empty id means the running one.
    pub fn done(&mut self, id: &str) -> Option<Running> {
        let ours = self.running().is_some_and(|r| id.is_empty() || r.id == id);
        self.finished.insert(id);
        if !ours {
            return None;
        }
        match std::mem::replace(&mut self.slot, Slot::Idle) {
            Slot::Active(running) | Slot::Cancelling(running) => {
                self.finished.insert(&running.id);
                Some(running)
            }
            Slot::Idle | Slot::Requested { .. } => None,
        }
    }

    /// The running response is to be cancelled; its id, if it was not being cancelled already.
    pub fn cancel(&mut self, now: Instant) -> Option<String> {
        match std::mem::replace(&mut self.slot, Slot::Idle) {
            Slot::Active(mut running) => {
                running.until = now + CANCEL_LIMIT;
                let id = running.id.clone();
                let announced = running.announced;
                self.slot = Slot::Cancelling(running);
                announced.then_some(id)
            }
            other => {
                self.slot = other;
                None
            }
        }
    }

    /// A response that was asked for but has not begun is to be cancelled when it does: a cancel now would name nothing
    /// and leave it an orphan that speaks.
    pub fn cancel_requested(&mut self) {
        if let Slot::Requested { cancel, .. } = &mut self.slot {
            *cancel = true;
        }
    }

    /// The server refused `response.create` number `event` (`None`: the error named nothing; the one on its way is meant).
    pub fn refused(&mut self, now: Instant, event: Option<u64>, already_active: bool) -> Refused {
        let meant = |request: &mut Request| event.is_none_or(|e| e == request.event);
        let (request, uncovered) = match &mut self.slot {
            Slot::Requested { request, .. } => {
                if !meant(request) {
                    return Refused::Unknown;
                }
                // One runs that we have not heard of: wait for its events, or ask again soon.
                let unheard = already_active.then(|| Slot::Active(Running::new("", now + RESYNC_LIMIT, false)));
                match std::mem::replace(&mut self.slot, unheard.unwrap_or(Slot::Idle)) {
                    Slot::Requested { request, .. } => (request, None),
                    _ => return Refused::Unknown,
                }
            }
            // The response that was taken for ours is the server's own.
            Slot::Active(running) | Slot::Cancelling(running) => {
                match running.request.take_if(|r| event.is_some() && meant(r)) {
                    Some(request) => (request, Some(std::mem::take(&mut running.uncovered))),
                    None => return Refused::Unknown,
                }
            }
            Slot::Idle => return Refused::Unknown,
        };
        if !already_active || request.pending.retried {
            return Refused::Dropped;
        }
        let covered = request.pending.wish == Wish::Answer && uncovered.as_ref().is_some_and(Vec::is_empty);
        if covered {
            return Refused::Covered;
        }
        if self.pending.is_none() || request.pending.wish != Wish::Answer && self.answer_is_pending() {
            self.pending = Some(Pending { retried: true, ..request.pending });
        }
        Refused::Requeued(uncovered.unwrap_or_default())
    }

    /// `response_cancel_not_active`: if its `response.done` is not on the way, it is lost.
    pub fn cancel_refused(&mut self, now: Instant) {
        if let Slot::Cancelling(running) = &mut self.slot {
            running.until = running.until.min(now + RESYNC_LIMIT);
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        match &self.slot {
            Slot::Idle => None,
            Slot::Requested { until, .. } => Some(*until),
            Slot::Active(running) | Slot::Cancelling(running) => Some(running.until),
        }
    }

    /// Frees the slot if its deadline has passed.
    pub fn expire(&mut self, now: Instant) -> Option<Expired> {
        if self.deadline().is_none_or(|until| now < until) {
            return None;
        }
        match std::mem::replace(&mut self.slot, Slot::Idle) {
            Slot::Idle => None,
            Slot::Requested { .. } => Some(Expired::Request),
            Slot::Active(running) | Slot::Cancelling(running) => {
                self.finished.insert(&running.id);
                Some(Expired::Response(running))
            }
        }
    }
}
