//! The one writer of `response.create`: a single slot, at most one pending wish.
//!
//! `Idle → Requested → Active → (Cancelling) → Idle`. The server's VAD is the second writer: a `response.created` may be
//! its, so an `error` that names our event puts the wish back. A slot is freed by `response.done`, by an `error`
//! that names our event, or by its deadline, so that a lost event never silences the agent for good.

use super::recent::Recent;
use super::slot::{Created, Expired, Pending, Refused, Request, Running, Slot, Wish};
use crate::realtime::wire::ConversationId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// From `response.create` to `response.created`; some servers create with the first audio of a slow model.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// Without any event of a running response.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// From `response.cancel` to `response.done`.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);
/// After the server says that a response runs of which we have not heard, or that the one we cancel is over, or when a
/// refusal may still be on the way.
const RESYNC_LIMIT: Duration = Duration::from_secs(1);
/// A wish that meets another running response this often is given up: the server does not mean what it says.
const MAX_REFUSALS: u8 = 3;
/// Requests remembered in case of a late refusal.
const MAX_UNSURE: usize = 4;

/// The slot, the pending wish, and the ids of responses that are over or none of ours.
pub(super) struct Sequencer {
    slot: Slot,
    pending: Option<Pending>,
    /// Requests whose response is over, if it was theirs, with the items it did not cover.
    unsure: VecDeque<(Request, Vec<String>)>,
    /// Until then an error may still say that it was not.
    unsure_until: Option<Instant>,
    finished: Recent,
    parallel: Recent,
}

impl Sequencer {
    pub fn new() -> Sequencer {
        Sequencer {
            slot: Slot::Idle,
            pending: None,
            unsure: VecDeque::new(),
            unsure_until: None,
            finished: Recent::default(),
            parallel: Recent::default(),
        }
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
    pub fn take_due(&mut self, now: Instant, hold_answers: bool) -> Option<Pending> {
        self.take_sure(now);
        let due = matches!(self.slot, Slot::Idle) && self.unsure_until.is_none();
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

    /// A response began, by `response.created` or (if that was missed) by its first event, in caller turn `turn`;
    /// `vad_due`: the server's VAD was about to create one.
    pub fn created(
        &mut self,
        now: Instant,
        id: &str,
        conversation: ConversationId,
        turn: u64,
        vad_due: bool,
    ) -> Created {
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
        running.ambiguous = vad_due || self.unsure_until.is_some_and(|until| now < until);
        let (replaced, cancel) = match std::mem::replace(&mut self.slot, Slot::Idle) {
            Slot::Idle => (None, false),
            Slot::Requested { request, cancel, .. } => {
                running.request = Some(request);
                (None, cancel)
            }
            Slot::Active(old) | Slot::Cancelling(old) => (Some(old).filter(|r| r.announced), false),
        };
        let ours = running.request.as_ref().map(|r| r.event);
        self.slot = Slot::Active(running);
        let replaced = replaced.map(|old| self.over(now, old));
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

    /// The running response, when a delta that names `id` is the next one of it and no wish waits. Neither over nor out of band: it runs.
    pub fn speaking(&mut self, id: &str) -> Option<&mut Running> {
        match &mut self.slot {
            Slot::Active(running)
                if running.announced && self.pending.is_none() && (id.is_empty() || running.id == id) =>
            {
                Some(running)
            }
            _ => None,
        }
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
    pub fn done(&mut self, now: Instant, id: &str) -> Option<Running> {
        let ours = self.running().is_some_and(|r| id.is_empty() || r.id == id);
        self.finished.insert(id);
        if !ours {
            return None;
        }
        match std::mem::replace(&mut self.slot, Slot::Idle) {
            Slot::Active(running) | Slot::Cancelling(running) => Some(self.over(now, running)),
            Slot::Idle | Slot::Requested { .. } => None,
        }
    }

    /// Books a response as over. If the VAD was about to create one, this may have been the VAD's and our own
    /// `response.create` still on the way: no other is sent until a refusal would have come.
    fn over(&mut self, now: Instant, mut running: Running) -> Running {
        self.finished.insert(&running.id);
        if running.ambiguous
            && let Some(request) = running.request.take()
        {
            if self.unsure.len() == MAX_UNSURE {
                self.unsure.pop_front();
            }
            self.unsure.push_back((request, std::mem::take(&mut running.uncovered)));
            self.unsure_until = Some(now + RESYNC_LIMIT);
        }
        running
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
        let Some((request, uncovered)) = self.take_refused(now, event, already_active) else { return Refused::Unknown };
        if !already_active || request.pending.refusals + 1 >= MAX_REFUSALS {
            return Refused::Dropped;
        }
        let covered = request.pending.wish == Wish::Answer && uncovered.as_ref().is_some_and(Vec::is_empty);
        if covered {
            return Refused::Covered;
        }
        let uncovered = uncovered.unwrap_or_default();
        let instructs = request.pending.wish != Wish::Answer;
        let superseded = instructs && self.pending.is_some() && !self.answer_is_pending();
        if self.pending.is_none() || (instructs && !superseded) {
            let refusals = request.pending.refusals + 1;
            self.pending = Some(Pending { refusals, ..request.pending });
        }
        Refused::Requeued { uncovered, superseded }
    }

    /// The refused request, freed from wherever it is; with the items that the response which was taken for its own did
    /// not cover, if there is one.
    fn take_refused(
        &mut self,
        now: Instant,
        event: Option<u64>,
        already_active: bool,
    ) -> Option<(Request, Option<Vec<String>>)> {
        let late = self.unsure.iter().position(|(request, _)| Some(request.event) == event);
        if let Some((request, uncovered)) = late.and_then(|index| self.unsure.remove(index)) {
            self.unsure_until = None;
            return Some((request, Some(uncovered)));
        }
        if let Some(running) = self.running_mut() {
            let request = running.request.take_if(|r| Some(r.event) == event)?;
            return Some((request, Some(std::mem::take(&mut running.uncovered))));
        }
        match std::mem::replace(&mut self.slot, Slot::Idle) {
            Slot::Requested { request, .. } if event.is_none_or(|e| e == request.event) => {
                if already_active {
                    // One runs that we have not heard of: wait for its events, or ask again soon.
                    self.slot = Slot::Active(Running::new("", now + RESYNC_LIMIT, false));
                }
                Some((request, None))
            }
            other => {
                self.slot = other;
                None
            }
        }
    }

    /// `response_cancel_not_active`: if its `response.done` is not on the way, it is lost.
    pub fn cancel_refused(&mut self, now: Instant) {
        if let Slot::Cancelling(running) = &mut self.slot {
            running.until = running.until.min(now + RESYNC_LIMIT);
        }
    }

    /// Of the slot, or of the wish that waits for a refusal which may still come.
    pub fn deadline(&self) -> Option<Instant> {
        self.slot_deadline().or(self.unsure_until.filter(|_| self.pending.is_some()))
    }

    fn slot_deadline(&self) -> Option<Instant> {
        match &self.slot {
            Slot::Idle => None,
            Slot::Requested { until, .. } => Some(*until),
            Slot::Active(running) | Slot::Cancelling(running) => Some(running.until),
        }
    }

    /// Forgets a passed `unsure_until`: it would stay a deadline for as long as the VAD holds a pending answer.
    fn take_sure(&mut self, now: Instant) {
        self.unsure_until.take_if(|until| now >= *until);
    }

    /// Frees the slot if its deadline has passed.
    pub fn expire(&mut self, now: Instant) -> Option<Expired> {
        self.take_sure(now);
        if self.slot_deadline().is_none_or(|until| now < until) {
            return None;
        }
        match std::mem::replace(&mut self.slot, Slot::Idle) {
            Slot::Idle => None,
            Slot::Requested { .. } => Some(Expired::Request),
            Slot::Active(running) | Slot::Cancelling(running) => Some(Expired::Response(self.over(now, running))),
        }
    }
}
