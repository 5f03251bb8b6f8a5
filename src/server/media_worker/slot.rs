//! One call on its worker: the machine, its RTP pair, its WebSocket, its jobs.
//!
//! Everything here may panic inside the call's code; `run` guards each entry and ends that call only.

use super::jobs::Jobs;
use super::run::closed_leg;
use super::unfinished::Unfinished;
use super::{NewCall, NewLeg, Report, WorkerStats};
use crate::call::{Call, CallEvent, CallRecord, Input, Output};
use crate::net::clock;
use crate::net::rtp_port::RtpPort;
use crate::net::websocket::connect::Target;
use crate::net::websocket::frames::Inbox;
use crate::net::websocket::{Incoming, RealtimeSocket};
use crate::realtime::buffers::{Buffers, Used};
use crate::realtime::session::SessionFault;
use crate::server::notes::{Notes, OpenSession};
use crate::sip::user_agent::{SessionId, UaCommand};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// Frames a call may catch up in one go after a stall; what is left comes at the next tick.
const MAX_CATCH_UP: usize = 64;
/// WebSocket messages taken of one call in one tick.
const MAX_MESSAGES: usize = 128;
/// Of them before its packet leaves: more would be heard in the distance of other calls' packets.
const FIRST_MESSAGES: usize = 3;
/// Datagrams taken of a call in one tick, once they come at every tick: more than a flood has, so that it does not crowd the caller out.
const MAX_DATAGRAMS: usize = 128;
/// Datagrams taken of a second leg in one tick.
const MAX_LEG_DATAGRAMS: usize = 8;
/// RTCP datagrams taken of one socket in one tick.
const MAX_REPORTS: usize = 4;
/// The largest datagram that can be RTP of ours.
pub const RTP_BUFFER: usize = 2048;

/// What a slot uses of its worker.
pub struct Shared {
    /// The tick's place on the worker's 5 ms grid; a little in the past. Everything in a tick happens at this time, so that a deadline falls
    /// into the same tick every time, however late the thread woke.
    pub now: Instant,
    /// There is so much to do that appends are twice as long.
    pub thrifty: bool,
    /// Datagrams are read into it.
    pub datagram: Vec<u8>,
    /// WebSockets are read into it.
    pub inbox: Inbox,
    /// The WebSocket frame that is being sent.
    pub frame: Vec<u8>,
    /// Lent to the call that works.
    pub buffers: Buffers,
    pub jobs: Jobs,
    pub out: VecDeque<Report>,
    pub stats: Arc<WorkerStats>,
    pub notes: Notes,
}

/// A WebSocket and whether it needs care at this tick.
pub struct Open {
    pub socket: RealtimeSocket,
    /// Messages may wait in our buffers, which epoll does not see (after the handshake, when not all were taken).
    pub pending: bool,
    _session: OpenSession,
}

/// What a slot needs of the coming ticks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    pub deadline: Option<Instant>,
    /// It has a WebSocket.
    pub open: bool,
    /// Its WebSocket has messages.
    pub read: bool,
    /// Its WebSocket did not take all that was written.
    pub flush: bool,
}

/// What the worker must do for a slot after a step.
#[derive(Debug)]
pub enum Step {
    Goes,
    Over(Box<CallRecord>),
}

/// The sockets of a second leg.
pub struct Leg {
    pub session: SessionId,
    pub port: RtpPort,
    /// It is in the epoll set.
    pub watched: bool,
}

pub struct Slot {
    pub session: SessionId,
    pub call: Call,
    pub rtp: RtpPort,
    /// The second leg.
    pub leg: Option<Leg>,
    /// The two sockets changed places at some time, so a token may stand for either.
    swapped: bool,
    target: Target,
    pub deadline: Option<Instant>,
    pub ws: Option<Open>,
    /// Sockets the call has let go of; the worker closes them.
    pub let_go: Vec<RealtimeSocket>,
    /// Number of the WebSocket set-up that counts.
    attempt: u32,
    opening: Option<AbortHandle>,
    tools: Vec<AbortHandle>,
    /// Sessions the call went on to (Replaces, inbound REFER).
    adopted: Vec<SessionId>,
    /// Caller audio in one append as configured, ms, and whether it is doubled now.
    append_ms: u32,
    thrifty: bool,
    /// The tick of the last datagram: two ticks in a row mean that some wait.
    last_rtp_tick: u64,
    first: Vec<Output>,
    /// For the CDR if the call panics.
    pub record: Unfinished,
}

impl Slot {
    pub fn new(new: NewCall) -> Slot {
        Slot {
            session: new.session,
            append_ms: new.call.append_ms(),
            thrifty: false,
            call: new.call,
            rtp: new.rtp,
            leg: None,
            swapped: false,
            target: new.target,
            deadline: new.deadline,
            ws: None,
            let_go: Vec::new(),
            attempt: 0,
            opening: None,
            tools: Vec::new(),
            adopted: Vec::new(),
            last_rtp_tick: 0,
            first: new.outputs,
            record: Unfinished::new(clock::now(), new.record),
        }
    }

    pub fn needs(&self) -> Needs {
        let (read, flush) = self.ws.as_ref().map_or((false, false), |open| (open.pending, open.socket.is_dirty()));
        Needs { deadline: self.deadline, open: self.ws.is_some(), read, flush }
    }

    /// Throws away what the socket gathered before the call was here: it would be a standing delay for the whole call.
    pub fn discard_stale(&mut self) {
        let mut buffer = [0; RTP_BUFFER];
        for _ in 0..1024 {
            if self.rtp.rtp.recv_from(&mut buffer).is_err() {
                return;
            }
        }
    }

    /// Hands one input to the call and does what it then wants.
    pub fn input(&mut self, shared: &mut Shared, input: Input<'_>) -> Step {
        let unused = self.call.lend(std::mem::take(&mut shared.buffers));
        self.call.handle(shared.now, input);
        let step = self.drain(shared);
        shared.buffers = self.call.lend(Buffers::default()).or(unused);
        step
    }

    /// The call's packet is due. What the service has said by now comes first: its audio may be in this packet, and none leaves after the
    /// caller has begun to speak.
    pub fn due(&mut self, shared: &mut Shared, read: bool) -> Step {
        if read && let Some(deadline) = self.deadline {
            // As if before the deadline, or the packet would leave with the first message.
            let now = std::mem::replace(&mut shared.now, deadline - Duration::from_nanos(1));
            let step = self.read_ws(shared, FIRST_MESSAGES);
            shared.now = now;
            if let Step::Over(_) = step {
                return step;
            }
        }
        self.timeout(shared)
    }

    /// The call's deadline has passed, maybe more than one frame ago.
    pub fn timeout(&mut self, shared: &mut Shared) -> Step {
        for _ in 0..MAX_CATCH_UP {
            if self.deadline.is_none_or(|d| d > shared.now) {
                break;
            }
            if let Step::Over(record) = self.input(shared, Input::Timeout) {
                return Step::Over(record);
            }
        }
        Step::Goes
    }

    /// The second leg came.
    pub fn take_leg(&mut self, shared: &mut Shared, new: NewLeg) -> Step {
        if let Some(old) = self.leg.take() {
            shared.out.push_back(closed_leg(old.session, old.port));
        }
        self.leg = Some(Leg { session: new.ready.session, port: new.rtp, watched: false });
        self.input(shared, Input::LegReady(new.ready))
    }

    /// Sessions of the call besides the one it began with.
    pub fn other_sessions(&self) -> Vec<SessionId> {
        self.adopted.iter().copied().chain(self.leg.as_ref().map(|leg| leg.session)).collect()
    }

    /// The second leg's token fired.
    pub fn read_leg(&mut self, shared: &mut Shared) -> Step {
        match self.read_second(shared) {
            Step::Goes if self.swapped => self.read_own(shared, MAX_LEG_DATAGRAMS),
            step => step,
        }
    }

    fn read_second(&mut self, shared: &mut Shared) -> Step {
        with_buffer(shared, |shared, buffer| {
            for _ in 0..MAX_LEG_DATAGRAMS {
                let Some(leg) = &self.leg else { break };
                let Ok((n, from)) = leg.port.rtp.recv_from(buffer) else { break };
                shared.stats.rtp_reads.fetch_add(1, Ordering::Relaxed);
                let datagram = buffer.get(..n).unwrap_or_default();
                if let Step::Over(record) = self.input(shared, Input::LegRtp { from, datagram }) {
                    return Step::Over(record);
                }
            }
            Step::Goes
        })
    }

    /// Reads the RTP socket: one datagram an event, all of them when some were left over.
    pub fn read_rtp(&mut self, shared: &mut Shared, tick: u64) -> Step {
        if self.swapped {
            return self.read_leg(shared);
        }
        if self.thrifty != shared.thrifty {
            self.thrifty = shared.thrifty;
            self.call.set_append_ms(if self.thrifty { 2 * self.append_ms } else { self.append_ms });
        }
        let most = if self.last_rtp_tick + 1 == tick { MAX_DATAGRAMS } else { 1 };
        self.last_rtp_tick = tick;
        self.read_own(shared, most)
    }

    fn read_own(&mut self, shared: &mut Shared, most: usize) -> Step {
        with_buffer(shared, |shared, buffer| {
            for _ in 0..most {
                let Ok((n, from)) = self.rtp.rtp.recv_from(buffer) else { break };
                shared.stats.rtp_reads.fetch_add(1, Ordering::Relaxed);
                let datagram = buffer.get(..n).unwrap_or_default();
                if let Step::Over(record) = self.input(shared, Input::Rtp { from, datagram }) {
                    return Step::Over(record);
                }
            }
            Step::Goes
        })
    }

    /// Reads the RTCP sockets, the second leg's too: reports are rare, so one token may stand for both.
    pub fn read_rtcp(&mut self, shared: &mut Shared) -> Step {
        with_buffer(shared, |shared, buffer| {
            for _ in 0..MAX_REPORTS {
                let Ok((n, from)) = self.rtp.rtcp.recv_from(buffer) else { break };
                let datagram = buffer.get(..n).unwrap_or_default();
                if let Step::Over(record) = self.input(shared, Input::Rtcp { from, datagram }) {
                    return Step::Over(record);
                }
            }
            for _ in 0..MAX_REPORTS {
                let Some(leg) = &self.leg else { break };
                let Ok((n, from)) = leg.port.rtcp.recv_from(buffer) else { break };
                let datagram = buffer.get(..n).unwrap_or_default();
                if let Step::Over(record) = self.input(shared, Input::LegRtcp { from, datagram }) {
                    return Step::Over(record);
                }
            }
            Step::Goes
        })
    }

    /// All that the WebSocket has, but its share of the tick at most.
    pub fn read_all(&mut self, shared: &mut Shared) -> Step {
        self.read_ws(shared, MAX_MESSAGES)
    }

    /// Reads the WebSocket until it is empty or `most` messages were taken.
    fn read_ws(&mut self, shared: &mut Shared, most: usize) -> Step {
        let Some(open) = &mut self.ws else { return Step::Goes };
        open.pending = false;
        let mut inbox = std::mem::take(&mut shared.inbox);
        open.socket.begin_round(&mut inbox);
        let step = self.messages(shared, &mut inbox, most);
        if let Some(open) = &mut self.ws {
            open.socket.end_round(&mut inbox);
        }
        shared.inbox = inbox;
        step
    }

    fn messages(&mut self, shared: &mut Shared, inbox: &mut Inbox, most: usize) -> Step {
        for _ in 0..most {
            // The call may close or replace its socket at any message.
            let Some(open) = &mut self.ws else { return Step::Goes };
            let step = match open.socket.read(inbox) {
                Incoming::Text(text) => self.input(shared, Input::RealtimeText(text)),
                Incoming::Empty => return Step::Goes,
                Incoming::Closed { code, reason } => {
                    self.ws = None;
                    return self.input(shared, Input::RealtimeClosed { code, reason: &reason });
                }
            };
            if let Step::Over(record) = step {
                return Step::Over(record);
            }
        }
        if let Some(open) = &mut self.ws {
            open.pending = true;
        }
        Step::Goes
    }

    /// Sends what the system did not take before.
    pub fn flush_ws(&mut self, shared: &mut Shared) -> Step {
        let Some(open) = &mut self.ws else { return Step::Goes };
        match open.socket.flush() {
            Ok(_) => Step::Goes,
            Err(broken) => self.lost(shared, &broken.0),
        }
    }

    fn lost(&mut self, shared: &mut Shared, reason: &str) -> Step {
        self.ws = None;
        self.input(shared, Input::RealtimeClosed { code: None, reason })
    }

    /// The WebSocket set-up came to an end. `Err(socket)`: nobody waits for it any more.
    pub fn opened(
        &mut self,
        shared: &mut Shared,
        attempt: u32,
        result: Result<RealtimeSocket, SessionFault>,
    ) -> Result<Step, Option<Box<RealtimeSocket>>> {
        if attempt != self.attempt || self.opening.is_none() {
            return Err(result.ok().map(Box::new));
        }
        self.opening = None;
        Ok(match result {
            Ok(socket) => {
                self.ws = Some(Open { socket, pending: true, _session: shared.notes.realtime_opened() });
                self.input(shared, Input::RealtimeOpen)
            }
            Err(fault) => self.input(shared, Input::RealtimeFailed(fault)),
        })
    }

    /// The first outputs, made before the call came here, then all others.
    pub fn begin(&mut self, shared: &mut Shared) -> Step {
        for output in std::mem::take(&mut self.first) {
            if let Some(step) = self.output(shared, output) {
                return step;
            }
        }
        self.timeout(shared)
    }

    fn drain(&mut self, shared: &mut Shared) -> Step {
        loop {
            let output = self.call.poll_output(shared.now);
            if let Some(step) = self.output(shared, output) {
                return step;
            }
        }
    }

    fn output(&mut self, shared: &mut Shared, output: Output) -> Option<Step> {
        match output {
            Output::Rtp { to } => {
                if self.rtp.rtp.send_to(self.call.rtp_bytes(), to).is_err() {
                    shared.stats.rtp_send_errors.fetch_add(1, Ordering::Relaxed);
                }
            }
            Output::Sip(command) => {
                if let UaCommand::Accept { session, .. } = &command
                    && *session != self.session
                {
                    self.adopted.push(*session);
                }
                shared.out.push_back(Report::Sip(Box::new(command)));
            }
            Output::OpenLeg(request) => shared.out.push_back(Report::OpenLeg { call: self.session, request }),
            Output::LegRtp { to } => {
                let sent = self.leg.as_ref().map(|leg| leg.port.rtp.send_to(self.call.rtp_bytes(), to));
                if sent.is_some_and(|sent| sent.is_err()) {
                    shared.stats.rtp_send_errors.fetch_add(1, Ordering::Relaxed);
                }
            }
            Output::Rtcp { to } => {
                if self.rtp.rtcp.send_to(self.call.rtp_bytes(), to).is_err() {
                    shared.stats.rtp_send_errors.fetch_add(1, Ordering::Relaxed);
                }
            }
            Output::LegRtcp { to } => {
                let sent = self.leg.as_ref().map(|leg| leg.port.rtcp.send_to(self.call.rtp_bytes(), to));
                if sent.is_some_and(|sent| sent.is_err()) {
                    shared.stats.rtp_send_errors.fetch_add(1, Ordering::Relaxed);
                }
            }
            Output::SwapLegs => {
                if let Some(leg) = &mut self.leg {
                    std::mem::swap(&mut self.rtp, &mut leg.port);
                    self.adopted.push(leg.session);
                    self.swapped = true;
                }
            }
            Output::CloseLeg => {
                if let Some(leg) = self.leg.take() {
                    shared.out.push_back(closed_leg(leg.session, leg.port));
                }
            }
            Output::OpenRealtime => self.open_realtime(shared),
            Output::RealtimeText(text) => {
                if let Some(open) = &mut self.ws {
                    if let Err(broken) = open.socket.write(&text, &mut shared.frame) {
                        return Some(self.lost(shared, &broken.0));
                    }
                    self.call.reuse(Used::Text(text));
                }
            }
            Output::CloseRealtime => self.close_realtime(),
            Output::StartTool { id, action, timeout } => {
                self.tools.retain(|job| !job.is_finished());
                self.tools.push(shared.jobs.tool(self.session, id, action, timeout));
            }
            Output::Note(event) => {
                if let CallEvent::Answered { codec } = &event {
                    self.record.answered(shared.now, codec);
                }
                shared.notes.call(self.record.cdr(), &event);
            }
            Output::Ended(record) => return Some(Step::Over(record)),
            Output::Timeout(deadline) => {
                self.deadline = deadline;
                return Some(Step::Goes);
            }
        }
        None
    }

    fn open_realtime(&mut self, shared: &mut Shared) {
        self.close_realtime();
        self.attempt += 1;
        self.opening = Some(shared.jobs.open(self.session, self.attempt, self.target.clone()));
    }

    fn close_realtime(&mut self) {
        if let Some(job) = self.opening.take() {
            job.abort();
        }
        if let Some(mut open) = self.ws.take() {
            let _ = open.socket.flush();
            self.let_go.push(open.socket);
        }
    }

    /// Lets go of everything that runs elsewhere.
    pub fn end(&mut self) {
        self.close_realtime();
        for job in self.tools.drain(..) {
            job.abort();
        }
    }
}

/// Lends the worker's datagram buffer: clearing one of its own for each packet would cost more than reading it.
fn with_buffer(shared: &mut Shared, work: impl FnOnce(&mut Shared, &mut [u8]) -> Step) -> Step {
    let mut buffer = std::mem::take(&mut shared.datagram);
    buffer.resize(RTP_BUFFER, 0);
    let step = work(shared, &mut buffer);
    shared.datagram = buffer;
    step
}
