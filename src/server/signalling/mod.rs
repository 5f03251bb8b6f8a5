//! The signalling task: owns the user agent, the SIP sockets and the routes from SIP sessions to media workers.
//!
//! `transport`: datagrams and streams in and out. `front`: gate, trunk, admission, before the user agent sees a message.
//! `incoming`: a new INVITE becomes a call, or a refusal with its record. `journal`: dialogs that a crash would leave behind.
//! In: SIP, [`Report`]s of the workers, [`Request`]s of the server. Out: SIP, [`Command`]s, records.

mod challenges;
mod front;
mod incoming;
mod journal;
mod legs;
mod look;
mod lookups;
mod registrations;
mod transport;
mod ways;

use super::admission::Admission;
use super::journal::{Entry, Journal};
use super::load::Load;
use super::media_worker::{Command, Report, Worker};
use super::notes::Notes;
use super::numbers::Numbers;
use super::providers::Providers;
use super::quota::Quota;
use super::refusals::Refusals;
use super::targets::Targets;
use super::trunks::Trunks;
use crate::call::end::Cause;
use crate::call::{CallEnd, CallRecord};
use crate::config::settings::Settings;
use crate::net::clock;
use crate::net::dns::Dns;
use crate::net::rtp_port::RtpPorts;
use crate::observe::records::RecordSender;
use crate::observe::trunks::TrunkBoard;
use crate::realtime::session::SessionFault;
use crate::sip::user_agent::{SessionId, UaCounts, UaEvent, UaOutput, UserAgent};
use crate::sip::{Flow, TrunkId};
use rand::rngs::StdRng;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use transport::Transport;

/// Reports taken in one turn of the loop, so that SIP is never starved.
const REPORTS: usize = 256;
/// When a worker's channel was full.
const RETRY: Duration = Duration::from_millis(5);

/// What the server asks of the task.
pub enum Request {
    /// Refuse new calls from now on.
    Drain,
    /// End every call.
    CloseAll(CallEnd),
    /// Numbers of new calls are looked up here from now on; running calls keep theirs (OVL-07).
    Numbers(Arc<Numbers>),
    Counts(oneshot::Sender<SignallingCounts>),
    /// End the task.
    Stop,
}

/// What the task holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignallingCounts {
    pub calls: usize,
    /// Sessions that are not wholly over, calls or not.
    pub routes: usize,
    pub ports_in_use: usize,
    pub ports_quarantined: usize,
    pub connections: usize,
    pub user_agent: UaCounts,
    /// Registrations of ours that are not over.
    pub registrations: usize,
    /// Datagrams and connections from outside `sip.peers`.
    pub foreign: u64,
}

/// What becomes of the events of a session.
struct Route {
    /// `None`: refused, its record is written.
    worker: Option<usize>,
    /// The session its call began with.
    call: SessionId,
    /// Of that one: the further sessions of the call.
    others: Vec<SessionId>,
    /// The call has not reported its end.
    call_runs: bool,
    /// The user agent has not reported the session's end.
    session_runs: bool,
    origin: Origin,
}

/// Where a call came from.
#[derive(Clone, Debug)]
struct Origin {
    trunk: TrunkId,
    flow: Flow,
    /// As the trunk wrote it; `None`: withheld or unreadable.
    caller: Option<String>,
    /// By which the caller's calls are counted.
    caller_key: Option<String>,
    /// Of the caller's INVITE.
    max_forwards: u32,
}

/// Everything the task is made of.
pub struct Parts {
    pub settings: Arc<Settings>,
    pub trunks: Trunks,
    /// Where the state of the trunks is shown.
    pub board: TrunkBoard,
    pub dns: Dns,
    pub numbers: Arc<Numbers>,
    pub providers: Providers,
    pub user_agent: UserAgent,
    pub transport: Transport,
    pub ports: RtpPorts,
    pub workers: Vec<Worker>,
    pub records: RecordSender,
    pub journal: Journal,
    /// Dialogs of the process before, still to be ended.
    pub orphans: Vec<Entry>,
    pub notes: Notes,
    pub reports: mpsc::Receiver<Report>,
    pub requests: mpsc::Receiver<Request>,
    /// How many calls there are.
    pub calls: watch::Sender<usize>,
    pub random: StdRng,
}

pub use transport::Transport as SipTransport;

/// The task's state.
pub struct Signalling {
    parts: Parts,
    front: front::Front,
    admission: Admission,
    quota: Quota,
    load: Load,
    /// When the next look at load and trunks is due.
    next_look: Instant,
    looks: u32,
    refusals: Refusals,
    /// Cause of the refusal that the user agent is about to tell of.
    refusing: Option<&'static str>,
    targets: Targets,
    lookups: lookups::Lookups,
    /// Our requests outside of calls.
    own: registrations::Requests,
    orphans: journal::Orphans,
    routes: HashMap<SessionId, Route>,
    /// Prefix of call ids, different in each run.
    boot: u32,
    last_call: u64,
}

impl Signalling {
    pub fn new(now: Instant, mut parts: Parts) -> Signalling {
        let limits = &parts.settings.limits;
        let of_trunks = parts.trunks.limits();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let secret = rand::Rng::random(&mut parts.random);
        Signalling {
            front: front::Front::new(now, &parts.trunks, parts.settings.sip.unknown_sources, secret),
            admission: Admission::new(now, limits.max_calls, limits.calls_per_second, &of_trunks),
            quota: Quota::default(),
            load: Load::new(now, clock::process_cpu(), cores, limits.max_cpu_percent),
            next_look: now,
            looks: 0,
            refusals: Refusals::new(now),
            refusing: None,
            targets: Targets::new(now, &parts.trunks),
            lookups: lookups::Lookups::new(parts.dns.clone(), rand::Rng::random(&mut parts.random)),
            own: registrations::Requests::default(),
            orphans: journal::Orphans::new(now, std::mem::take(&mut parts.orphans)),
            routes: HashMap::new(),
            boot: rand::Rng::random(&mut parts.random),
            last_call: 0,
            parts,
        }
    }

    /// Runs until [`Request::Stop`], or until the server is dropped.
    pub async fn run(mut self) {
        let now = clock::now();
        self.tend(now);
        self.register(now);
        loop {
            let deadline = self.drain();
            let retry = !self.flush_workers();
            let wake = wake_at(deadline, retry);
            let parts = &mut self.parts;
            tokio::select! {
                report = parts.reports.recv() => {
                    if let Some(report) = report {
                        self.report(report);
                    }
                    for _ in 0..REPORTS {
                        let Ok(report) = self.parts.reports.try_recv() else { break };
                        self.report(report);
                    }
                }
                input = parts.transport.next() => {
                    self.input(input);
                }
                request = parts.requests.recv() => match request {
                    Some(Request::Stop) | None => return self.write_folded(),
                    Some(request) => self.request(request),
                },
                answered = self.lookups.next() => self.dns_answered(answered),
                () = tokio::time::sleep_until(self.next_look.into()) => self.look(),
                () = tokio::time::sleep_until(wake.into()) => self.parts.user_agent.handle_timeout(clock::now()),
            }
        }
    }

    /// Does what the user agent wants until it wants nothing; returns its deadline.
    fn drain(&mut self) -> Option<Instant> {
        // Before the 2xx goes out that makes a dialog.
        self.note_dialogs();
        loop {
            match self.parts.user_agent.poll_output() {
                UaOutput::Transmit { flow, bytes } => {
                    self.parts.transport.send(clock::now(), flow, bytes, &mut self.parts.user_agent);
                }
                UaOutput::Event(event) => self.event(event),
                UaOutput::Timeout(deadline) => {
                    self.note_dialogs();
                    return deadline;
                }
            }
        }
    }

    fn event(&mut self, event: UaEvent) {
        if let UaEvent::IncomingCall { replaces: Some(old), .. } = &event
            && self.take_over(*old, event.clone())
        {
            return;
        }
        match &event {
            UaEvent::IncomingCall { session, trunk, flow, invite, .. } => {
                return self.incoming(*session, *trunk, *flow, invite.clone());
            }
            UaEvent::Refused { trunk, flow, invite, status } => return self.refused(*trunk, *flow, invite, *status),
            UaEvent::Response { id, flow, status, message } => {
                return self.answered(clock::now(), *id, *flow, *status, message.as_ref());
            }
            _ => {}
        }
        let Some(session) = event.session() else { return };
        let ended = matches!(event, UaEvent::Ended { .. });
        if ended {
            self.dialog_over(session);
        }
        let Some(route) = self.routes.get_mut(&session) else { return };
        if let Some(worker) = route.worker
            && route.call_runs
        {
            let call = route.call;
            self.parts.workers[worker].send(Command::Sip(call, event));
        }
        if ended {
            route.session_runs = false;
            self.forget_if_over(session);
        }
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Sip(command) => self.sip_command(*command),
            Report::OpenLeg { call, request } => {
                self.find_leg(clock::now(), call, request.trunk.as_deref(), &request.uri);
            }
            Report::LegClosed { leg, port } => self.leg_closed(leg, port),
            Report::Ended { session, port, record } => {
                self.parts.ports.release(clock::now(), port);
                if let Some(worker) = self.routes.get(&session).and_then(|r| r.worker) {
                    self.parts.workers[worker].ended();
                }
                self.call_ended(session, *record);
            }
        }
    }

    fn call_ended(&mut self, session: SessionId, record: CallRecord) {
        if let Some(route) = self.routes.get_mut(&session)
            && std::mem::take(&mut route.call_runs)
        {
            self.admission.ended(route.origin.trunk, route.origin.caller_key.as_deref());
            self.parts.notes.call_gone();
            self.parts.calls.send_replace(self.admission.calls());
        }
        if let Some(provider) = &record.cdr.provider {
            match &record.end.cause {
                Cause::Realtime(SessionFault::RateLimited(_)) => self.quota.refused(clock::now(), provider),
                _ if record.cdr.realtime_session.is_some() => self.quota.served(provider),
                _ => {}
            }
        }
        self.write(record);
        self.release_sessions(session);
        self.forget_if_over(session);
    }

    fn forget_if_over(&mut self, session: SessionId) {
        if self.routes.get(&session).is_some_and(|r| !r.call_runs && !r.session_runs) {
            self.routes.remove(&session);
        }
    }

    fn write(&mut self, record: CallRecord) {
        self.parts.notes.ended(&record);
        self.parts.records.write(record);
    }

    fn flush_workers(&mut self) -> bool {
        let mut done = true;
        for worker in &mut self.parts.workers {
            done &= worker.flush();
        }
        done
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Drain => self.refuse_calls(),
            Request::CloseAll(end) => {
                self.refuse_calls();
                for worker in &mut self.parts.workers {
                    worker.send(Command::CloseAll(end.clone()));
                }
            }
            Request::Numbers(numbers) => self.parts.numbers = numbers,
            Request::Counts(answer) => {
                let _ = answer.send(self.counts());
            }
            Request::Stop => {}
        }
    }

    fn refuse_calls(&mut self) {
        self.admission.drain();
        self.unregister(clock::now());
        self.parts.user_agent.set_draining(true);
    }

    fn counts(&mut self) -> SignallingCounts {
        SignallingCounts {
            calls: self.admission.calls(),
            routes: self.routes.len(),
            ports_in_use: self.parts.ports.in_use(),
            ports_quarantined: self.parts.ports.quarantined(clock::now()),
            connections: self.parts.transport.connections(),
            user_agent: self.parts.user_agent.counts(),
            registrations: self.own.registrations(),
            foreign: self.front.foreign(),
        }
    }
}

/// When the loop must run again without an event; a day when nothing is due.
fn wake_at(deadline: Option<Instant>, retry: bool) -> Instant {
    let now = clock::now();
    let idle = now + if retry { RETRY } else { Duration::from_secs(86_400) };
    deadline.map_or(idle, |d| d.min(idle))
}
