//! The worker's loop: sleep to the tick, look what can be read, then due calls, commands, finished jobs, RTP in, WebSocket in, what sockets
//! did not take.
//!
//! Packets leave first in a tick, so that they keep their 20 ms however much there is to read; what is for the service is sent as it is made.
//! A call's WebSocket is read just before its packet leaves: a call is visited twice a frame, and what it has in the caches is used for both.
//! With no call the thread blocks on its channel and costs nothing.

use super::closing::Closing;
use super::jobs::{JobKey, JobResult, Jobs};
use super::slot::{Needs, Shared, Slot, Step};
use super::work::Work;
use super::{Command, LATE, NewCall, NewLeg, Report, TICK, WorkerParams, WorkerStats};
use crate::call::end::{CallEnd, Cause};
use crate::call::{CallRecord, Input};
use crate::net::clock;
use crate::net::epoll::Epoll;
use crate::net::rtp_port::RtpPort;
use crate::observe::cdr::EndedBy;
use crate::sip::headers::Reason;
use crate::sip::user_agent::{SessionId, UaCommand};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Commands taken in one tick.
const MAX_COMMANDS: usize = 256;
/// What a WebSocket has waits so long for the call's packet.
const PATIENCE: Duration = Duration::from_millis(10);
/// Ticks over which lateness and work are counted: 2 s.
const WINDOW: u64 = 400;

pub struct Machine {
    commands: Receiver<Command>,
    reports: mpsc::Sender<Report>,
    epoll: Epoll,
    tokens: Vec<u64>,
    slots: Vec<Option<Box<Slot>>>,
    /// What each slot needs of a tick, side by side: 200 times a second every slot is asked, few have an answer.
    needs: Vec<Needs>,
    free: Vec<usize>,
    by_session: HashMap<SessionId, usize>,
    closing: Closing,
    shared: Shared,
    tick: u64,
    late: u64,
    work: Work,
    /// Signalling is gone: nothing new comes.
    cut_off: bool,
}

impl Machine {
    pub fn new(params: WorkerParams, epoll: OwnedFd, commands: Receiver<Command>, stats: Arc<WorkerStats>) -> Machine {
        Machine {
            commands,
            reports: params.reports,
            epoll: Epoll::new(epoll),
            tokens: Vec::new(),
            slots: Vec::new(),
            needs: Vec::new(),
            free: Vec::new(),
            by_session: HashMap::new(),
            closing: Closing::default(),
            shared: Shared {
                now: clock::now(),
                thrifty: false,
                datagram: Vec::new(),
                inbox: Default::default(),
                frame: Vec::new(),
                buffers: Default::default(),
                jobs: Jobs::new(params.runtime, params.tools),
                out: Default::default(),
                stats,
                notes: params.notes,
            },
            tick: 0,
            late: 0,
            work: Work::new(clock::now()),
            cut_off: false,
        }
    }

    pub fn run(mut self) {
        let mut next = clock::now();
        loop {
            if self.is_idle() {
                self.publish();
                let command = self.commands.recv();
                self.shared.now = clock::now();
                match command {
                    Ok(command) => self.command(command),
                    Err(_) => return,
                }
                next = self.shared.now;
            }
            if self.cut_off && self.by_session.is_empty() {
                return;
            }
            next += TICK;
            clock::sleep_until(next);
            let now = clock::now();
            self.count_late(now, next);
            // Missed ticks need no run of their own: the calls' deadlines are absolute, and the grid keeps its phase.
            while next + TICK <= now {
                next += TICK;
            }
            self.shared.now = next;
            self.tick += 1;
            // A call's own panic is caught closer; this one would be ours, and must not take the other calls along.
            if catch_unwind(AssertUnwindSafe(|| self.run_tick())).is_err() {
                self.shared.stats.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!("media worker: a tick panicked");
            }
            self.count_work(now, clock::now());
        }
    }

    /// Nothing here needs a tick.
    fn is_idle(&self) -> bool {
        !self.cut_off
            && self.by_session.is_empty()
            && self.closing.is_empty()
            && self.shared.out.is_empty()
            && self.shared.jobs.is_empty()
    }

    fn count_late(&mut self, now: Instant, scheduled: Instant) {
        let lag = now.saturating_duration_since(scheduled);
        self.shared.notes.tick_lag(lag);
        self.late += u64::from(lag > LATE);
        if self.tick.is_multiple_of(WINDOW) {
            self.shared.stats.late_permille.store(self.late * 1000 / WINDOW, Ordering::Relaxed);
            self.late = 0;
        }
    }

    /// How busy the worker is, and what follows from it.
    fn count_work(&mut self, began: Instant, done: Instant) {
        self.work.add(began, done);
        if !self.tick.is_multiple_of(WINDOW) {
            return;
        }
        let (busy, thrifty) = self.work.close(done);
        if let Some(thrifty) = thrifty {
            self.shared.thrifty = thrifty;
            let appends = if thrifty { "twice as long" } else { "as configured" };
            tracing::info!(busy_percent = busy / 10, appends, "media worker: the length of appends has changed");
        }
    }

    fn run_tick(&mut self) {
        self.look();
        self.run_due();
        self.take_commands();
        self.take_jobs();
        self.read_sockets();
        self.flush();
        self.closing.tick(self.shared.now, &mut self.shared.inbox);
        self.report();
        self.publish();
    }

    fn take_commands(&mut self) {
        for _ in 0..MAX_COMMANDS {
            match self.commands.try_recv() {
                Ok(command) => self.command(command),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.cut(),
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Add(new) => self.add(*new),
            Command::Sip(session, event) => self.step(session, |slot, shared| slot.input(shared, Input::Sip(event))),
            Command::Leg(session, leg) => self.leg(session, leg),
            Command::CloseAll(end) => {
                for session in self.sessions() {
                    let end = end.clone();
                    self.step(session, |slot, shared| slot.input(shared, Input::Close(end)));
                }
            }
        }
    }

    /// A second leg, for a call that may be over.
    fn leg(&mut self, session: SessionId, leg: Result<Box<NewLeg>, u16>) {
        if !self.by_session.contains_key(&session) {
            if let Ok(leg) = leg {
                let report = closed_leg(leg.ready.session, leg.rtp);
                self.shared.out.push_back(report);
            }
            return;
        }
        self.step(session, |slot, shared| match leg {
            Ok(leg) => slot.take_leg(shared, *leg),
            Err(status) => slot.input(shared, Input::LegFailed { status }),
        });
    }

    /// Signalling went away without closing the calls (its task was dropped): end them here, records included.
    fn cut(&mut self) {
        if !self.cut_off {
            self.cut_off = true;
            self.command(Command::CloseAll(CallEnd { by: EndedBy::Operator, cause: Cause::Shutdown }));
        }
        for session in self.sessions() {
            let slot = self.by_session.get(&session).and_then(|&i| self.slots[i].as_ref());
            let Some(slot) = slot else { continue };
            let record = slot.record.finish(self.shared.now, EndedBy::Operator, Cause::Shutdown);
            self.finish(session, record);
        }
    }

    fn sessions(&self) -> Vec<SessionId> {
        self.by_session.keys().copied().collect()
    }

    fn add(&mut self, new: NewCall) {
        let session = new.session;
        let mut slot = Box::new(Slot::new(new));
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.needs.push(Needs::default());
            self.slots.len() - 1
        });
        let watched = self.epoll.add(&slot.rtp.rtp, token(index, RTP));
        let watched = watched.and_then(|()| self.epoll.add(&slot.rtp.rtcp, token(index, RTCP)));
        slot.discard_stale();
        self.slots[index] = Some(slot);
        self.by_session.insert(session, index);
        if let Err(error) = watched {
            tracing::error!(%error, "cannot watch the RTP socket");
            let end = CallEnd { by: EndedBy::Fault, cause: Cause::NoMedia };
            return self.step(session, |slot, shared| slot.input(shared, Input::Close(end)));
        }
        self.step(session, |slot, shared| slot.begin(shared));
    }

    /// One entry into a call's code: guarded, and looked after.
    fn step(&mut self, session: SessionId, entry: impl FnOnce(&mut Slot, &mut Shared) -> Step) {
        let Some(&index) = self.by_session.get(&session) else { return };
        self.step_at(index, entry);
    }

    fn step_at(&mut self, index: usize, entry: impl FnOnce(&mut Slot, &mut Shared) -> Step) {
        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else { return };
        let shared = &mut self.shared;
        let (had_ws, session) = (slot.ws.is_some(), slot.session);
        let outcome = catch_unwind(AssertUnwindSafe(|| entry(slot, shared)));
        // A new socket joins the epoll set; one that was dropped left it by being closed.
        if let (false, Some(open)) = (had_ws, &slot.ws)
            && let Err(error) = self.epoll.add(&open.socket, token(index, WS))
        {
            tracing::error!(%error, "cannot watch the WebSocket");
        }
        for socket in slot.let_go.drain(..) {
            let _ = self.epoll.remove(&socket);
            self.closing.add(self.shared.now, socket);
        }
        if let Some(leg) = &mut slot.leg
            && !std::mem::replace(&mut leg.watched, true)
            && let Err(error) = (self.epoll.add(&leg.port.rtp, token(index, LEG)))
                .and_then(|()| self.epoll.add(&leg.port.rtcp, token(index, RTCP)))
        {
            tracing::error!(%error, "cannot watch the second leg's RTP socket");
        }
        self.needs[index] = slot.needs();
        match outcome {
            Ok(Step::Goes) => {}
            Ok(Step::Over(record)) => self.finish(session, record),
            Err(_) => self.panicked(session),
        }
    }

    fn panicked(&mut self, session: SessionId) {
        self.shared.stats.panics.fetch_add(1, Ordering::Relaxed);
        let Some(slot) = self.by_session.get(&session).and_then(|&i| self.slots[i].as_ref()) else { return };
        tracing::error!(call = %slot.record.cdr().call, "the call panicked and was ended; the others go on");
        let record = slot.record.finish(self.shared.now, EndedBy::Fault, Cause::Panic);
        let reason = Reason { protocol: "SIP".into(), cause: Some(500), text: Some("Internal error".into()) };
        self.shared.out.push_back(Report::Sip(Box::new(UaCommand::Hangup { session, reason: Some(reason.clone()) })));
        // Whatever dialogs it had by then are ended, too: the user agent ignores those that are gone.
        let legs =
            self.by_session.get(&session).and_then(|&i| self.slots[i].as_ref()).map(|slot| slot.other_sessions());
        for session in legs.into_iter().flatten() {
            let reason = Some(reason.clone());
            self.shared.out.push_back(Report::Sip(Box::new(UaCommand::Hangup { session, reason })));
        }
        self.finish(session, record);
    }

    /// Takes the call out and closes its sockets, then reports it.
    fn finish(&mut self, session: SessionId, record: Box<CallRecord>) {
        let Some(index) = self.by_session.remove(&session) else { return };
        let Some(mut slot) = self.slots[index].take() else { return };
        self.free.push(index);
        self.needs[index] = Needs::default();
        slot.end();
        if let Some(leg) = slot.leg.take() {
            self.shared.out.push_back(closed_leg(leg.session, leg.port));
        }
        for socket in slot.let_go.drain(..) {
            let _ = self.epoll.remove(&socket);
            self.closing.add(self.shared.now, socket);
        }
        let port = slot.rtp.port;
        drop(slot);
        self.shared.out.push_back(Report::Ended { session, port, record });
    }

    fn take_jobs(&mut self) {
        while let Some((key, result)) = self.shared.jobs.finished() {
            match (key, result) {
                (JobKey::Open { session, attempt }, JobResult::Opened(result)) => self.opened(session, attempt, result),
                (JobKey::Tool { session, id }, JobResult::Tool(result)) => {
                    self.step(session, |slot, shared| slot.input(shared, Input::Tool { id, result }));
                }
                _ => {}
            }
        }
    }

    fn opened(
        &mut self,
        session: SessionId,
        attempt: u32,
        result: Result<crate::net::websocket::RealtimeSocket, crate::realtime::session::SessionFault>,
    ) {
        let mut unwanted = None;
        if self.by_session.contains_key(&session) {
            self.step(session, |slot, shared| match slot.opened(shared, attempt, result) {
                Ok(step) => step,
                Err(socket) => {
                    unwanted = socket.map(|socket| *socket);
                    Step::Goes
                }
            });
        } else {
            unwanted = result.ok();
        }
        if let Some(socket) = unwanted {
            self.closing.add(self.shared.now, socket);
        }
    }

    /// Which sockets have something.
    fn look(&mut self) {
        if let Err(error) = self.epoll.ready(&mut self.tokens) {
            tracing::error!(%error, "epoll");
        }
        for token in &self.tokens {
            let (index, kind) = parts(*token);
            if kind == WS
                && let Some(needs) = self.needs.get_mut(index).filter(|needs| needs.open)
            {
                needs.read = true;
            }
        }
    }

    /// First of all, and in the same order every time: what else the tick has to do must not be heard in the distance of two packets.
    fn run_due(&mut self) {
        let now = self.shared.now;
        for index in 0..self.needs.len() {
            let Needs { deadline, read, .. } = self.needs[index];
            if deadline.is_some_and(|d| d <= now) {
                self.step_at(index, |slot, shared| slot.due(shared, read));
            }
        }
    }

    fn read_sockets(&mut self) {
        let tokens = std::mem::take(&mut self.tokens);
        let tick = self.tick;
        for &token in &tokens {
            let (index, kind) = parts(token);
            if kind == RTP {
                self.step_at(index, |slot, shared| slot.read_rtp(shared, tick));
            } else if kind == LEG {
                self.step_at(index, Slot::read_leg);
            } else if kind == RTCP {
                self.step_at(index, Slot::read_rtcp);
            }
        }
        self.tokens = tokens;
        let soon = self.shared.now + PATIENCE;
        for index in 0..self.needs.len() {
            let Needs { deadline, read, .. } = self.needs[index];
            if read && deadline.is_none_or(|deadline| deadline > soon) {
                self.step_at(index, Slot::read_all);
            }
        }
    }

    fn flush(&mut self) {
        for index in 0..self.needs.len() {
            if self.needs[index].flush {
                self.step_at(index, Slot::flush_ws);
            }
        }
    }

    fn report(&mut self) {
        while let Some(report) = self.shared.out.pop_front() {
            match self.reports.try_send(report) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(report)) => return self.shared.out.push_front(report),
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
    }

    fn publish(&self) {
        let stats = &self.shared.stats;
        stats.calls.store(self.by_session.len(), Ordering::Relaxed);
        stats.jobs.store(self.shared.jobs.len(), Ordering::Relaxed);
        let open = self.needs.iter().filter(|needs| needs.open).count();
        stats.sockets.store(open + self.closing.len(), Ordering::Relaxed);
    }
}

/// What a token's last three bits say.
const RTP: u64 = 0;
const WS: u64 = 1;
const LEG: u64 = 2;
/// Either leg's.
const RTCP: u64 = 3;

fn token(index: usize, kind: u64) -> u64 {
    (index as u64) << 3 | kind
}

fn parts(token: u64) -> (usize, u64) {
    ((token >> 3) as usize, token & 7)
}

/// Closes the sockets, then reports it.
pub(super) fn closed_leg(leg: SessionId, port: RtpPort) -> Report {
    let number = port.port;
    drop(port);
    Report::LegClosed { leg, port: number }
}
