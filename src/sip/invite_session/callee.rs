//! Callee: from the INVITE to the ACK of its 2xx (RFC 3261 §13.3), CANCEL included (§9.2).

use super::{Phase, Session, causes, sdp_body};
use crate::sip::dialog::Dialog;
use crate::sip::headers::{Name, Reason};
use crate::sip::message::{Builder, Message};
use crate::sip::timers::Timer;
use crate::sip::transaction::{MergeKey, ServerKey, reply_flow};
use crate::sip::user_agent::core::Core;
use crate::sip::user_agent::{SessionEnd, SessionId, UaEvent};
use crate::sip::{Flow, TrunkId};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Proxies give up after three minutes without a provisional response (DLG-15).
const RING_REPEAT: Duration = Duration::from_secs(60);

/// A 2xx of ours (INVITE or re-INVITE) on its way to being acknowledged.
#[derive(Debug)]
pub(super) struct PendingOk {
    pub cseq: u32,
    pub flow: Flow,
    pub bytes: Bytes,
    /// Running interval of its repetition.
    pub interval: Duration,
    /// It carries our offer, the ACK brings the answer.
    pub offered: bool,
}

impl Session {
    /// A new call: 100 Trying at once, then the owner is asked. `None`: the INVITE makes no dialog (Contact, Record-Route).
    #[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename them")]
    pub fn incoming(
        core: &mut Core,
        now: Instant,
        (id, trunk): (SessionId, TrunkId),
        flow: Flow,
        invite: &Message,
        key: ServerKey,
        merge: Option<MergeKey>,
        replaces: Option<SessionId>,
    ) -> Option<Session> {
        let tag = core.random.token();
        let cseq = core.random.cseq();
        let dialog = Dialog::callee(trunk, invite, tag.clone(), cseq, flow)?;
        let tx = core.store.serve(key, merge, reply_flow(flow, invite), id, tag.clone(), true);
        core.respond(now, tx, 100, Builder::response(invite, 100, "", None));
        core.live += 1;
        core.event(UaEvent::IncomingCall { session: id, trunk, flow, invite: invite.clone(), replaces });
        let phase = Phase::Incoming { invite: Box::new(invite.clone()), tx };
        let mut session = Session::new(id, trunk, dialog.call_id.clone(), tag, phase, Some(dialog));
        session.server_opened();
        session.replaces = replaces;
        session.learn_allow(invite);
        session.learn_identity(invite);
        Some(session)
    }

    /// 101–199, with SDP as early media; the last one is repeated each minute.
    pub fn provisional(&mut self, core: &mut Core, now: Instant, status: u16, sdp: Option<Bytes>) {
        if !matches!(self.phase, Phase::Incoming { .. }) || !(101..=199).contains(&status) {
            return;
        }
        core.start(now, self.id, Timer::RingRepeat, RING_REPEAT);
        if self.reliable_provisional(core, now, status, sdp.as_ref()) {
            return;
        }
        let (Phase::Incoming { invite, tx }, Some(dialog)) = (&self.phase, &self.dialog) else { return };
        let mut response = core.capable(self.trunk, invite, status, &self.local_tag, dialog.flow);
        if let Some((content_type, body)) = sdp_body(sdp.as_ref()) {
            response = response.body(content_type, body);
        }
        core.respond(now, *tx, status, response);
    }

    pub(super) fn repeat_ring(&mut self, core: &mut Core, now: Instant) {
        let Phase::Incoming { tx, .. } = &self.phase else { return };
        let tx = *tx;
        core.start(now, self.id, Timer::RingRepeat, RING_REPEAT);
        // A reliable one that has its PRACK is said anew, or the peer takes it for a copy.
        if !self.reliable_provisional(core, now, 180, None) {
            core.store.repeat_provisional(&mut core.io, tx);
        }
    }

    /// 200 with our answer, or our offer when the INVITE had none.
    pub fn accept(&mut self, core: &mut Core, now: Instant, sdp: Bytes) {
        if !matches!(self.phase, Phase::Incoming { .. }) || self.accept_waits(core, &sdp) {
            return;
        }
        let moratorium = Phase::Moratorium { hangup: None };
        let (invite, tx) = match std::mem::replace(&mut self.phase, moratorium) {
            Phase::Incoming { invite, tx } => (invite, tx),
            other => {
                self.phase = other;
                return;
            }
        };
        let Some(dialog) = &self.dialog else { return };
        let mut response = core.capable(self.trunk, &invite, 200, &self.local_tag, dialog.flow);
        for (name, value) in self.agree_timer(core, now, &invite) {
            response = response.header(name, value);
        }
        let (sdp, offered) = self.final_sdp(&invite, sdp);
        if let Some((content_type, body)) = sdp_body(sdp.as_ref()) {
            response = response.body(content_type, body);
        }
        self.refresh.local_sdp = sdp.or(self.refresh.local_sdp.take());
        core.stop(self.id, Timer::RingRepeat);
        // An UPDATE may have raised the peer's CSeq: the ACK has that of the INVITE.
        let cseq = invite.cseq().and_then(Result::ok).map_or(0, |c| c.number);
        let bytes = core.respond(now, tx, 200, response);
        self.await_ack(core, now, tx, cseq, bytes, offered);
        core.replaced.extend(self.replaces.take());
    }

    pub(super) fn await_ack(&mut self, core: &mut Core, now: Instant, tx: u64, cseq: u32, bytes: Bytes, offered: bool) {
        let Some(flow) = core.store.reply_flow(tx) else { return };
        let interval = core.io.times.t1;
        self.pending_ok = Some(PendingOk { cseq, flow, bytes, interval, offered });
        core.start(now, self.id, Timer::OkRepeat, interval);
        core.start(now, self.id, Timer::OkLimit, core.io.times.t1_64());
    }

    /// §13.3.1.4: from T1 to T2, on every transport.
    pub(super) fn repeat_ok(&mut self, core: &mut Core, now: Instant) {
        let Some(ok) = &mut self.pending_ok else { return };
        core.io.send(ok.flow, ok.bytes.clone());
        ok.interval = (ok.interval * 2).min(core.io.times.t2);
        core.start(now, self.id, Timer::OkRepeat, ok.interval);
    }

    pub(super) fn no_ack(&mut self, core: &mut Core, now: Instant) {
        let (end, reason) = match &mut self.phase {
            Phase::Moratorium { hangup: Some(reason) } => (SessionEnd::Local, reason.take()),
            _ => (SessionEnd::NoAck, Some(causes::no_ack())),
        };
        self.bye(core, now, reason.as_ref());
        self.finish(core, now, end);
    }

    /// An ACK of the dialog. One that matches no pending 2xx is a copy.
    pub fn ack(&mut self, core: &mut Core, now: Instant, flow: Flow, ack: &Message) {
        let Some(Ok(cseq)) = ack.cseq() else { return };
        if self.pending_ok.as_ref().is_some_and(|ok| ok.cseq == cseq.number) {
            if let Some(dialog) = &mut self.dialog {
                dialog.seen_on(flow);
            }
            self.acknowledged(core, now, ack.sdp());
        }
    }

    /// Our 2xx has arrived: by its ACK, or because the peer goes on with a re-INVITE.
    pub(super) fn acknowledged(&mut self, core: &mut Core, now: Instant, sdp: Option<Bytes>) {
        let Some(ok) = self.pending_ok.take() else { return };
        core.stop(self.id, Timer::OkRepeat);
        core.stop(self.id, Timer::OkLimit);
        let sdp = sdp.filter(|_| ok.offered).or_else(|| self.answer_of_prack());
        match &mut self.phase {
            Phase::Moratorium { hangup: Some(reason) } => {
                let reason = reason.take();
                self.bye(core, now, reason.as_ref());
                return self.finish(core, now, SessionEnd::Local);
            }
            Phase::Moratorium { hangup: None } => {
                self.phase = Phase::Established;
                core.event(UaEvent::Established { session: self.id, sdp });
            }
            _ if ok.offered => core.event(UaEvent::ReinviteAck { session: self.id, sdp }),
            _ => {}
        }
        self.try_reinvite(core, now);
    }

    /// Final refusal.
    pub fn reject(&mut self, core: &mut Core, now: Instant, status: u16, headers: Vec<(Name, String)>) {
        let status = if (300..=699).contains(&status) { status } else { 500 };
        self.refuse_invite(core, now, status, headers);
        if matches!(self.phase, Phase::Incoming { .. }) {
            self.finish(core, now, SessionEnd::Local);
        }
    }

    pub(super) fn refuse_invite(&mut self, core: &mut Core, now: Instant, status: u16, headers: Vec<(Name, String)>) {
        let Phase::Incoming { invite, tx } = &self.phase else { return };
        let mut response = Builder::response(invite, status, "", Some(&self.local_tag));
        for (name, value) in headers {
            response = response.header(name, value);
        }
        core.respond(now, *tx, status, response);
    }

    /// CANCEL of our caller for the INVITE (or re-INVITE) of `tx`; nothing happens after its final response.
    pub fn cancelled(&mut self, core: &mut Core, now: Instant, tx: u64, cancel: &Message) {
        match &self.phase {
            Phase::Incoming { tx: invite, .. } if *invite == tx => {
                self.end_incoming(core, now, SessionEnd::PeerCancel { reason: cancel.reasons() });
            }
            _ => {
                if let Some(offer) = self.peer_offer.take_if(|offer| offer.tx == tx) {
                    self.refuse(core, now, &offer, 487);
                    self.go_on(core, now);
                    self.try_reinvite(core, now);
                }
            }
        }
    }

    /// 487 to the INVITE, and the end.
    pub(super) fn end_incoming(&mut self, core: &mut Core, now: Instant, end: SessionEnd) {
        self.refuse_invite(core, now, 487, Vec::new());
        self.finish(core, now, end);
    }

    /// A response could not be sent. Only an unanswered INVITE ends by it: a 2xx goes on being repeated.
    pub fn server_failed(&mut self, core: &mut Core, now: Instant, tx: u64) {
        if self.peer_offer.take_if(|offer| offer.tx == tx).is_some() {
            self.go_on(core, now);
        }
        if matches!(&self.phase, Phase::Incoming { tx: invite, .. } if *invite == tx) {
            self.finish(core, now, SessionEnd::Failed { status: 503, reason: Vec::<Reason>::new() });
        }
    }
}
