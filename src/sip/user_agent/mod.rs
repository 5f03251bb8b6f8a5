//! One SIP user agent for both roles: transactions, dialogs and INVITE sessions behind three calls.
//!
//! `handle_message` / `handle_timeout` / `command`, then `poll_output` drained down to [`UaOutput::Timeout`].
//!
//! `types`: what goes in and out. `refusals`: INVITEs refused without a session. `capability`: Allow and Supported by trunk. `request`: the checks of RFC 3261 §8.2 and the way into a dialog. `core`: what the sessions
//! share. `way`: flows, challenges, another try. `out_of_dialog`: our REGISTER and OPTIONS. The sessions are in `sip::invite_session`, the transactions in `sip::transaction`.

mod capability;
pub(crate) mod core;
mod out_of_dialog;
mod refusals;
pub(crate) mod request;
mod types;
pub(crate) mod way;

pub use types::*;

use self::core::Core;
use self::out_of_dialog::Requests;
use super::headers::Name;
use super::invite_session::{Session, causes};
use super::message::{Message, ParseFailure, fill_received};
use super::timers::{Owner, SESSION_TIMERS};
use super::transaction::{Notice, Purpose};
use super::{Flow, TrunkId};
use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

/// The machine. See the module's map.
pub struct UserAgent {
    core: Core,
    sessions: HashMap<SessionId, Session>,
    /// Call-ID and our tag of every session.
    dialogs: HashMap<(String, String), SessionId>,
    /// Sessions whose dialog's record changed and that are not gone.
    changed: BTreeSet<SessionId>,
    next_session: u64,
    requests: Requests,
}

impl UserAgent {
    pub fn new(config: UaConfig) -> UserAgent {
        UserAgent {
            core: Core::new(config),
            sessions: HashMap::new(),
            dialogs: HashMap::new(),
            changed: BTreeSet::new(),
            next_session: 0,
            requests: Requests::default(),
        }
    }

    /// A handle for an own call, to be used in [`UaCommand::Invite`].
    pub fn new_session_id(&mut self) -> SessionId {
        self.next_session += 1;
        SessionId(self.next_session)
    }

    /// A message (or what could be read of a malformed one, which gets its 400) that came by `flow`.
    ///
    /// `origin`: the trunk that the owner's rules give a request to (AUT-01). `None`: of no trunk; such a request is taken only
    /// in a dialog that knows its source, and is otherwise dropped without an answer (A1).
    pub fn handle_message(
        &mut self,
        now: Instant,
        flow: Flow,
        origin: Option<TrunkId>,
        message: Result<Message, ParseFailure>,
    ) {
        match message {
            Err(failure) => {
                if let Some(trunk) = origin {
                    self.malformed(trunk, flow, failure);
                }
            }
            Ok(message) if message.is_request() => {
                self.request(now, origin, flow, fill_received(&message, flow.remote));
            }
            Ok(message) => self.response(now, flow, &message),
        }
        self.settle(now);
    }

    /// The flow could not send or was closed: transactions on it fail (TRN-11, TXN-11).
    pub fn handle_transport_error(&mut self, now: Instant, flow: Flow) {
        if flow.transport.is_reliable() {
            for session in self.sessions.values_mut() {
                session.flow_lost(flow);
            }
        }
        self.core.store.transport_error(&mut self.core.io, now, flow);
        self.settle(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((owner, timer)) = self.core.io.timers.pop_due(now) {
            match owner {
                Owner::Client(_) | Owner::Server(_) => self.core.store.timer(&mut self.core.io, now, owner, timer),
                Owner::Session(id) => self.with(id, |session, core| session.timer(core, now, timer)),
            }
            self.settle(now);
        }
    }

    pub fn command(&mut self, now: Instant, command: UaCommand) {
        use UaCommand::*;
        match command {
            Invite(invite) => {
                if !self.sessions.contains_key(&invite.session)
                    && let Some(new) = Session::calling(&mut self.core, now, *invite)
                {
                    self.insert(new);
                }
            }
            Resume { session, trunk, record } => {
                if !self.sessions.contains_key(&session)
                    && let Some(resumed) = Session::resumed(&mut self.core, session, trunk, &record)
                {
                    self.insert(resumed);
                }
            }
            Ring { session } => self.with(session, |s, core| s.provisional(core, now, 180, None)),
            Progress { session, status, sdp } => self.with(session, |s, core| s.provisional(core, now, status, sdp)),
            Accept { session, sdp } => self.with(session, |s, core| s.accept(core, now, sdp)),
            Reject { session, status, headers } => self.with(session, |s, core| s.reject(core, now, status, headers)),
            AnswerReinvite { session, answer } => self.with(session, |s, core| s.answer_reinvite(core, now, answer)),
            Hangup { session, reason } => self.with(session, |s, core| s.hangup(core, now, reason)),
            AnswerInAck { session, sdp } => self.with(session, |s, core| s.answer_in_ack(core, now, sdp)),
            Reinvite { session, sdp } => self.with(session, |s, core| s.reinvite(core, now, sdp)),
            Request(request) => self.requests.send(&mut self.core, now, *request),
            ServiceRoute { trunk, routes } => self.core.preload(trunk, routes),
            AnswerRefer { session, status } => self.with(session, |s, core| s.answer_refer(core, now, status)),
            NotifyRefer { session, status } => self.with(session, |s, core| s.notify_refer(core, now, status)),
            Refer { session, refer_to, referred_by, replaces } => {
                let by = referred_by.as_deref();
                let replaces = replaces.map(|other| self.sessions.get(&other).and_then(Session::replaceable));
                self.with(session, |s, core| match replaces {
                    Some(None) => s.refuse_own_refer(core, 481),
                    Some(Some(dialog)) => s.refer(core, now, &dialog.refer_to(&refer_to), by),
                    None => s.refer(core, now, &format!("<{refer_to}>"), by),
                });
            }
            Info { session, content_type, body } => {
                self.with(session, |s, core| s.info(core, now, &content_type, body))
            }
        }
        self.settle(now);
    }

    /// While draining (or full), OPTIONS outside of a dialog is answered as the trunk's [`WhileDraining`] says: 503, so that a PBX takes
    /// us out of rotation (DLG-12, OVL-04). Calls are the owner's to refuse; dialogs go on.
    pub fn set_draining(&mut self, draining: bool) {
        self.core.draining = draining;
    }

    pub fn poll_output(&mut self) -> UaOutput {
        self.core.io.out.pop_front().unwrap_or_else(|| UaOutput::Timeout(self.core.io.timers.next()))
    }

    pub fn counts(&self) -> UaCounts {
        UaCounts {
            sessions: self.core.live,
            client_transactions: self.core.store.clients(),
            server_transactions: self.core.store.servers(),
            timers: self.core.io.timers.len(),
            dialogs: self.sessions.len(),
            requests: self.requests.len(),
        }
    }

    /// Requests dropped so far because the transaction store was full.
    pub fn dropped(&self) -> u64 {
        self.core.dropped
    }

    /// The dialog of a session as it stands, with its trunk; `None` before our 2xx or that of the peer, and after the end.
    pub fn dialog(&self, session: SessionId) -> Option<(TrunkId, DialogRecord)> {
        let session = self.sessions.get(&session)?;
        Some((session.trunk(), session.record()?))
    }

    /// The sessions whose [`UserAgent::dialog`] is new or changed since the last time this was asked; ended ones may be among them.
    pub fn changed_dialogs(&mut self) -> BTreeSet<SessionId> {
        std::mem::take(&mut self.changed)
    }

    /// Whether an INVITE is a copy of one that is being served, by the same way or another (482): it is no new call.
    pub fn knows(&self, invite: &Message, source: std::net::SocketAddr) -> bool {
        self.is_known(&fill_received(invite, source))
    }

    /// Whether an INVITE is a copy of one that was refused without a session; it got its refusal again then, whatever could be done
    /// about it now: it has its record.
    pub fn refuse_again(&mut self, flow: Flow, invite: &Message) -> bool {
        self.core.refuse_again(flow, &fill_received(invite, flow.remote))
    }

    /// Refuses a request without any state (a challenge, an admission limit); an ACK gets nothing. The same request gets the same
    /// bytes again. A refused INVITE is told as [`UaEvent::Refused`] once.
    pub fn refuse(&mut self, trunk: TrunkId, flow: Flow, request: &Message, status: u16, headers: &[(Name, &str)]) {
        let request = fill_received(request, flow.remote);
        self.core.respond_stateless(trunk, flow, &request, status, headers);
    }

    fn insert(&mut self, session: Session) {
        self.dialogs.insert((session.call_id().to_owned(), session.local_tag().to_owned()), session.id());
        self.sessions.insert(session.id(), session);
    }

    /// Runs one step of a session and forgets it when nothing of it is left.
    fn with(&mut self, id: SessionId, step: impl FnOnce(&mut Session, &mut Core)) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        step(session, &mut self.core);
        if session.record_changed() {
            self.changed.insert(id);
        }
        if session.is_gone() {
            self.changed.remove(&id);
            self.dialogs.remove(&(session.call_id().to_owned(), session.local_tag().to_owned()));
            self.sessions.remove(&id);
            for timer in SESSION_TIMERS {
                self.core.stop(id, timer);
            }
        }
    }

    /// Gives the sessions what the transactions have to tell.
    fn settle(&mut self, now: Instant) {
        loop {
            while let Some(session) = self.core.replaced.pop() {
                self.with(session, |s, core| s.hangup(core, now, Some(causes::replaced())));
            }
            let Some(notice) = self.core.io.notices.pop_front() else { return };
            match notice {
                Notice::Response { session, purpose: Purpose::Standalone, flow, message, sent, .. } => {
                    self.requests.response(&mut self.core, now, session.0, (flow, &message), &sent);
                }
                Notice::ClientFailed { session, purpose: Purpose::Standalone, status, .. } => {
                    self.requests.failed(&mut self.core, now, session.0, status);
                }
                Notice::ClientGone { purpose: Purpose::Standalone, .. } => {}
                Notice::Response { session, purpose, tx, flow, message, sent } => {
                    self.with(session, |s, core| s.response(core, now, (purpose, tx), flow, &message, &sent));
                }
                Notice::ClientFailed { session, purpose, tx, status } => {
                    self.with(session, |s, core| s.failed(core, now, (purpose, tx), status));
                }
                Notice::ClientGone { session, purpose, tx } => self.with(session, |s, _| s.client_gone(purpose, tx)),
                Notice::ServerFailed { session, tx } => self.with(session, |s, core| s.server_failed(core, now, tx)),
                Notice::ServerGone { session } => self.with(session, |s, _| s.server_gone()),
            }
        }
    }
}
