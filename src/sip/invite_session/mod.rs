//! One INVITE session, callee or caller, from the INVITE to the last response of its BYE (RFC 3261 §9, §12–15, RFC 5407).
//!
//! `attempt`: the tries of our INVITE: challenges, next flow, redirections. `challenged`: challenges in its dialog.
//! `callee`: INVITE to ACK. `reliable`: its provisional responses with PRACK. `caller`: INVITE to 2xx, CANCEL, forks. `early`: PRACK and
//! early dialogs of it. `in_dialog`: requests of the peer, INFO. `reinvite`: re-INVITE and UPDATE, both ways. `refresh`: the session
//! timer. `refer`: our REFER and its NOTIFYs. `referred`: those of the peer. `identity`: who the peer says it is. `resumed`: its record, and a dialog of an earlier process. `causes`: why we hang up.
//! Here: the state, own requests, timers, the end. Outputs go to the shared [`Core`].
//!
//! `Ended` is told once, on the way into `Mortal`; what follows is only answers and ACKs until the last client transaction is gone.

mod attempt;
mod callee;
mod caller;
pub(crate) mod causes;
mod challenged;
mod early;
mod identity;
mod in_dialog;
mod refer;
mod referred;
mod refresh;
mod reinvite;
mod reliable;
mod resumed;

use super::dialog::Dialog;
use super::digest::client::Answered;
use super::headers::{Name, Reason};
use super::message::{Message, Method};
use super::replaces::Replaces;
use super::timers::{SESSION_TIMERS, Timer};
use super::transaction::{Purpose, Sent};
use super::user_agent::core::{Core, reason_value};
use super::user_agent::{SessionEnd, SessionId, UaEvent};
use super::{Flow, TrunkId};
use attempt::Attempt;
use bytes::Bytes;
use callee::PendingOk;
use caller::{Early, SentAck};
use early::EarlyDialog;
use identity::Identity;
use refer::Refer;
use referred::Referred;
use refresh::Refresh;
use reinvite::{OwnReinvite, PeerOffer};
use reliable::ReliableResponses;
use std::net::IpAddr;
use std::time::Instant;

/// Where the session stands; names as in RFC 5407 §2.
#[derive(Debug)]
enum Phase {
    /// Callee, no final response yet (Preparative, Early).
    Incoming {
        invite: Box<Message>,
        tx: u64,
    },
    /// Callee, 2xx sent, no ACK yet. A wish to hang up waits for the ACK (DLG-09).
    Moratorium {
        hangup: Option<Option<Reason>>,
    },
    /// Caller, no 2xx yet.
    Calling(Box<Outgoing>),
    Established,
    /// Ended; answers to what is under way are still taken.
    Mortal,
}

/// A call of ours before its 2xx.
#[derive(Debug)]
struct Outgoing {
    /// The early dialogs of this try.
    early: Vec<Early>,
    /// Tag of the one whose SDP was told last: early media is its (EAR-05).
    media: Option<String>,
    attempt: Attempt,
    /// The owner's limit passed without an answer.
    unanswered: bool,
    /// A 1xx came: CANCEL may be sent (§9.1).
    provisional: bool,
    hangup: Option<Option<Reason>>,
    cancelled: bool,
}

#[derive(Debug)]
pub(crate) struct Session {
    id: SessionId,
    trunk: TrunkId,
    call_id: String,
    local_tag: String,
    phase: Phase,
    /// `None` only for a caller before the 2xx.
    dialog: Option<Dialog>,
    /// Our 2xx that waits for its ACK.
    pending_ok: Option<PendingOk>,
    /// The peer's re-INVITE or UPDATE that waits for our owner.
    peer_offer: Option<PeerOffer>,
    own_reinvite: Option<OwnReinvite>,
    /// The owner's re-INVITE that waits for a refresh to end.
    next_reinvite: Option<OwnReinvite>,
    /// Our INVITE, for ACK, CANCEL and forks; while its transaction lives.
    own_invite: Option<Message>,
    /// Client transaction of our INVITE or re-INVITE that has no final response yet.
    invite_tx: Option<u64>,
    /// CSeq of a 2xx with an offer whose ACK waits for the owner's answer.
    answer_wanted: Option<u32>,
    acks: Vec<SentAck>,
    /// Early dialogs of our INVITE that have a PRACK.
    earlies: Vec<EarlyDialog>,
    reliable: ReliableResponses,
    refresh: Refresh,
    refer: Option<Refer>,
    referred: Option<Referred>,
    /// Who the peer said it is.
    identity: Option<Identity>,
    /// The session that this one takes over when it is accepted.
    replaces: Option<SessionId>,
    /// Hosts that our call was sent to by its owner; empty for a call of the peer: none of its challenges is answered (AUT-04).
    hosts: Vec<IpAddr>,
    /// What was answered for in-dialog requests under way, by their transaction.
    challenged: Vec<(u64, Answered)>,
    /// As what the dialog's record was last told to have changed.
    recorded: Option<(u32, u32)>,
    open_clients: usize,
    open_servers: usize,
}

impl Session {
    fn new(
        id: SessionId,
        trunk: TrunkId,
        call_id: String,
        local_tag: String,
        phase: Phase,
        dialog: Option<Dialog>,
    ) -> Session {
        Session {
            id,
            trunk,
            call_id,
            local_tag,
            phase,
            dialog,
            pending_ok: None,
            peer_offer: None,
            own_reinvite: None,
            next_reinvite: None,
            own_invite: None,
            invite_tx: None,
            answer_wanted: None,
            acks: Vec::new(),
            earlies: Vec::new(),
            reliable: ReliableResponses::default(),
            refresh: Refresh::default(),
            refer: None,
            referred: None,
            identity: None,
            replaces: None,
            hosts: Vec::new(),
            challenged: Vec::new(),
            recorded: None,
            open_clients: 0,
            open_servers: 0,
        }
    }

    pub fn id(&self) -> SessionId {
        self.id
    }
    pub fn call_id(&self) -> &str {
        &self.call_id
    }
    pub fn local_tag(&self) -> &str {
        &self.local_tag
    }

    pub fn trunk(&self) -> TrunkId {
        self.trunk
    }

    /// How another call may name this dialog, as the peer sees it (RFC 3891 §3); `None` before there is one.
    pub fn replaceable(&self) -> Option<Replaces> {
        let dialog = self.dialog.as_ref().filter(|_| !matches!(self.phase, Phase::Mortal))?;
        // The peer's tag first: it receives the header.
        let (to_tag, from_tag) = (dialog.remote_tag.clone(), dialog.local_tag.clone());
        let legible = !to_tag.is_empty();
        legible.then(|| Replaces { call_id: dialog.call_id.clone(), to_tag, from_tag, early_only: false })
    }

    /// Whether another call may take this one over now; else the status of its refusal (RFC 3891 §3).
    pub fn may_be_replaced(&self, early_only: bool) -> Result<(), u16> {
        match &self.phase {
            // Only an early dialog that we initiated.
            Phase::Incoming { .. } => Err(481),
            Phase::Calling(_) => Ok(()),
            Phase::Moratorium { .. } | Phase::Established if early_only => Err(486),
            Phase::Moratorium { .. } | Phase::Established => Ok(()),
            Phase::Mortal => Err(603),
        }
    }

    /// Whether the tag is that of the peer, or of an early dialog.
    pub fn is_peer(&self, tag: &str) -> bool {
        match (&self.dialog, &self.phase) {
            (Some(dialog), _) => dialog.remote_tag == tag,
            (None, Phase::Calling(out)) => out.early.iter().any(|early| early.tag == tag),
            (None, _) => false,
        }
    }

    /// Whether a request from `source` may belong to this session. Of an early dialog of ours nothing is known yet.
    pub fn may_speak(&self, source: IpAddr, core: &Core) -> bool {
        self.dialog.as_ref().is_none_or(|dialog| dialog.may_speak(source, &core.trunk(self.trunk).networks))
    }

    /// Nothing is left to be answered.
    pub fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Mortal) && self.open_clients == 0
    }

    pub fn server_opened(&mut self) {
        self.open_servers += 1;
    }
    pub fn server_gone(&mut self) {
        self.open_servers = self.open_servers.saturating_sub(1);
    }
    pub fn client_gone(&mut self, purpose: Purpose, tx: u64) {
        self.open_clients = self.open_clients.saturating_sub(1);
        if self.invite_tx == Some(tx) {
            self.invite_tx = None;
        }
        self.challenged.retain(|(challenged, _)| *challenged != tx);
        // Before a 2xx there may be another try of it.
        if purpose == Purpose::Invite && !matches!(self.phase, Phase::Calling(_)) {
            self.own_invite = None;
        }
    }

    pub fn flow_lost(&mut self, flow: Flow) {
        if let Some(dialog) = &mut self.dialog {
            dialog.lost(flow);
        }
    }

    /// Sends an in-dialog request in a transaction of its own.
    fn send(
        &mut self,
        core: &mut Core,
        now: Instant,
        method: Method,
        purpose: Purpose,
        headers: &[(Name, String)],
        body: Option<(&str, Vec<u8>)>,
    ) -> Option<(u64, u32)> {
        let dialog = self.dialog.as_mut()?;
        let cseq = dialog.next_cseq();
        let (branch, flow, mut request) = core.in_dialog(dialog, &method, cseq);
        for (name, value) in headers {
            request = request.header(name.clone(), value);
        }
        if let Some((content_type, body)) = body {
            request = request.body(content_type, body);
        }
        self.open_clients += 1;
        let tx = core.store.start(&mut core.io, now, flow, branch, request.build(), self.id, purpose);
        Some((tx, cseq))
    }

    fn bye(&mut self, core: &mut Core, now: Instant, reason: Option<&Reason>) {
        // DLG-18: never without a reason.
        let reason = reason.map_or_else(|| reason_value(&causes::normal()), reason_value);
        self.send(core, now, Method::Bye, Purpose::Bye, &[(Name::Reason, reason)], None);
    }

    /// Tells the end, once, and stops whatever runs for the session.
    fn finish(&mut self, core: &mut Core, now: Instant, end: SessionEnd) {
        if matches!(self.phase, Phase::Mortal) {
            return;
        }
        self.phase = Phase::Mortal;
        // DLG-08: a re-INVITE of the peer that nobody will answer any more.
        if let Some(offer) = self.peer_offer.take() {
            self.refuse(core, now, &offer, 487);
        }
        self.refuse_refer(core, now);
        self.pending_ok = None;
        self.own_reinvite = None;
        self.next_reinvite = None;
        self.answer_wanted = None;
        self.unknown_refer(core);
        for timer in SESSION_TIMERS {
            core.stop(self.id, timer);
        }
        if self.invite_tx.is_some() {
            core.start(now, self.id, Timer::CancelLimit, core.io.times.t1_64());
        }
        core.live = core.live.saturating_sub(1);
        core.event(UaEvent::Ended { session: self.id, end });
    }

    /// DLG-06: the dialog is gone (481), or the peer is (408, 503): BYE on the off chance, then the end.
    fn lost_peer(&mut self, core: &mut Core, now: Instant, status: u16, reason: Vec<Reason>) {
        if matches!(self.phase, Phase::Mortal) {
            return;
        }
        if status != 481 {
            self.bye(core, now, Some(&causes::lost(status)));
        }
        self.finish(core, now, SessionEnd::Failed { status, reason });
    }

    /// BYE, CANCEL or a refusal, as the state asks.
    pub fn hangup(&mut self, core: &mut Core, now: Instant, reason: Option<Reason>) {
        match &mut self.phase {
            Phase::Incoming { .. } => {
                let headers = reason.iter().map(|r| (Name::Reason, reason_value(r))).collect();
                self.reject(core, now, 480, headers);
            }
            Phase::Moratorium { hangup } => *hangup = Some(hangup.take().flatten().or(reason)),
            Phase::Calling(out) => {
                out.hangup = Some(out.hangup.take().flatten().or(reason));
                self.try_cancel(core, now);
                if core.is_running(self.id, Timer::InviteAgain) {
                    // Between two tries there is nothing to cancel.
                    self.finish(core, now, SessionEnd::Local);
                }
            }
            Phase::Established => {
                self.ack_without_answer(core, now);
                self.bye(core, now, reason.as_ref());
                self.finish(core, now, SessionEnd::Local);
            }
            Phase::Mortal => {}
        }
    }

    pub fn response(
        &mut self,
        core: &mut Core,
        now: Instant,
        of: (Purpose, u64),
        flow: Flow,
        message: &Message,
        sent: &Sent,
    ) {
        let Some(status) = message.status() else { return };
        // The first final response to the INVITE or re-INVITE that is under way, not a copy of an older one.
        let first = status >= 200 && self.invite_tx.take_if(|tx| *tx == of.1).is_some();
        if matches!(status, 401 | 407) && self.answer_challenge(core, now, of, message, sent) {
            return;
        }
        match of.0 {
            Purpose::Invite => self.invite_response(core, now, (flow, status), message, sent),
            Purpose::Reinvite => self.reinvite_response(core, now, flow, message, (status, first)),
            Purpose::Refer => self.refer_response(core, now, message, status),
            Purpose::Update => self.update_response(core, now, flow, message, of.1),
            Purpose::Info if matches!(status, 408 | 481) => self.lost_peer(core, now, status, message.reasons()),
            Purpose::Notify if status >= 300 => self.notify_failed(core),
            // A refused BYE ends the session like any other (§15.1.1); no challenge is answered (AUT-04). A PRACK that is refused changes
            // nothing: the INVITE goes on.
            Purpose::Info | Purpose::Notify | Purpose::Prack | Purpose::Bye | Purpose::Cancel | Purpose::Standalone => {
            }
        }
    }

    /// A request of ours got no final response.
    pub fn failed(&mut self, core: &mut Core, now: Instant, of: (Purpose, u64), status: u16) {
        self.invite_tx.take_if(|tx| *tx == of.1);
        match of.0 {
            Purpose::Invite => self.invite_failed(core, now, status),
            Purpose::Reinvite | Purpose::Info | Purpose::Update => self.lost_peer(core, now, status, Vec::new()),
            Purpose::Notify => self.notify_failed(core),
            Purpose::Refer => {
                self.refer_refused(core, status);
                self.lost_peer(core, now, status, Vec::new());
            }
            // CancelLimit runs for the INVITE; a BYE has nothing behind it.
            Purpose::Bye | Purpose::Cancel | Purpose::Prack | Purpose::Standalone => {}
        }
    }

    pub fn timer(&mut self, core: &mut Core, now: Instant, timer: Timer) {
        match timer {
            Timer::OkRepeat => self.repeat_ok(core, now),
            Timer::OkLimit => self.no_ack(core, now),
            Timer::RingRepeat => self.repeat_ring(core, now),
            Timer::Glare => self.try_reinvite(core, now),
            Timer::RingLimit => self.ring_over(core, now),
            Timer::InviteAgain => self.invite_again(core, now, None, &[]),
            Timer::ReinviteLimit => self.lost_peer(core, now, 408, Vec::new()),
            Timer::CancelLimit => {
                if let Some(tx) = self.invite_tx.take() {
                    core.store.abandon(&mut core.io, now, tx);
                }
                let end = self.given_up();
                self.finish(core, now, end);
            }
            Timer::AnswerLimit => self.hangup(core, now, None),
            Timer::ReferNotify => self.refer_overdue(core),
            Timer::ReferAnswer => self.answer_refer(core, now, 603),
            Timer::ReferSubscription => self.subscription_over(core, now),
            Timer::Refresh => self.refresh_due(core, now),
            Timer::SessionExpiry => self.session_expired(core, now),
            Timer::ReliableRepeat => self.repeat_reliable(core, now),
            Timer::ReliableLimit => self.no_prack(core, now),
            // Transaction timers have another owner.
            _ => {}
        }
    }
}

/// An SDP body, if there is one to send.
fn sdp_body(sdp: Option<&Bytes>) -> Option<(&'static str, Vec<u8>)> {
    sdp.filter(|sdp| !sdp.is_empty()).map(|sdp| (super::user_agent::core::ACCEPT, sdp.to_vec()))
}
