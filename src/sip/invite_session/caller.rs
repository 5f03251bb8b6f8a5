//! Caller: from our INVITE to the ACK of its 2xx (RFC 3261 §13.2), CANCEL (§9.1), forks (§13.2.2.4).

use super::{Attempt, Outgoing, Phase, Session, causes, sdp_body};
use crate::sip::Flow;
use crate::sip::dialog::{Dialog, peer_tag};
use crate::sip::headers::{Name, Reason};
use crate::sip::message::{Builder, Message, Method};
use crate::sip::session_timer;
use crate::sip::timers::Timer;
use crate::sip::transaction::{Purpose, Sent};
use crate::sip::user_agent::core::{Core, reason_value};
use crate::sip::user_agent::way::Way;
use crate::sip::user_agent::{NewInvite, SessionEnd, UaEvent};
use bytes::Bytes;
use std::time::Instant;

/// Most early dialogs and ACKs remembered of one session.
const MOST_FORKS: usize = 16;

/// An ACK to be sent again for each copy of its 2xx.
#[derive(Debug)]
pub(super) struct SentAck {
    cseq: u32,
    tag: String,
    flow: Flow,
    bytes: Bytes,
}

/// An early dialog of our INVITE (EAR-05).
#[derive(Debug)]
pub(super) struct Early {
    pub tag: String,
    pub sdp: Option<Bytes>,
}

impl Outgoing {
    /// Takes a provisional response: its early dialog, and the SDP that the owner should go by from now on, if it is news.
    ///
    /// The early dialog that spoke last has the media; one that spoke before is not heard again by saying the same. A 199 ends one
    /// (RFC 6228): the media go back to the one before.
    fn early_media(&mut self, message: &Message, status: u16) -> Option<Bytes> {
        let Some(tag) = peer_tag(message) else { return message.sdp() };
        let at = self.early.iter().position(|early| early.tag == tag);
        if status == 199 {
            self.early.retain(|early| early.tag != tag);
            self.media.take_if(|media| *media == tag)?;
            let last = self.early.iter().rev().find(|early| early.sdp.is_some())?;
            self.media = Some(last.tag.clone());
            return last.sdp.clone();
        }
        let at = match at {
            Some(at) => at,
            None if status > 100 && self.early.len() < MOST_FORKS => {
                self.early.push(Early { tag: tag.clone(), sdp: None });
                self.early.len() - 1
            }
            None => return None,
        };
        let (early, sdp) = (self.early.get_mut(at)?, message.sdp()?);
        let old = early.sdp.as_ref() == Some(&sdp) && self.media.as_ref() != Some(&tag);
        early.sdp = Some(sdp.clone());
        if old {
            return None;
        }
        self.media = Some(tag);
        Some(sdp)
    }
}

impl Session {
    /// Places a call. `None`: refused at once (transport not in use, too many sessions); `Ended` was told.
    pub fn calling(core: &mut Core, now: Instant, new: NewInvite) -> Option<Session> {
        let NewInvite { session: id, trunk, flows, target, from, sdp, headers, ring_limit } = new;
        let way = Way::new(core, now, trunk, &flows).filter(|_| core.live < core.config.max_sessions);
        let Some(mut way) = way else {
            let end = SessionEnd::Failed { status: 503, reason: Vec::new() };
            core.event(UaEvent::Ended { session: id, end });
            return None;
        };
        let flow = way.flow();
        let (mut branch, via) = core.via(trunk, flow);
        let (tag, call_id, cseq) =
            (core.random.token(), core.random.token() + &core.random.token(), core.random.cseq());
        let to = target.as_str();
        let mut invite =
            Builder::request(&Method::Invite, to.split('?').next().unwrap_or_default()).header(Name::Via, via);
        // DLG-16: a call placed because of another one brings its own count.
        if !headers.iter().any(|(name, _)| *name == Name::MaxForwards) {
            invite = invite.header(Name::MaxForwards, "70");
        }
        invite = core
            .routed(trunk, invite)
            .header(Name::From, format!("{from};tag={tag}"))
            .header(Name::To, format!("<{to}>"))
            .header(Name::CallId, &call_id)
            .header(Name::CSeq, format!("{cseq} INVITE"))
            .header(Name::Contact, core.contact(trunk, flow))
            .header(Name::Allow, core.allow(trunk))
            .header(Name::Supported, core.supported_in_invite(trunk, sdp.is_some()));
        for (name, value) in session_timer::ask(&core.trunk(trunk).timer, None, 0) {
            invite = invite.header(name, value);
        }
        for (name, value) in headers {
            invite = invite.header(name, value);
        }
        if let Some((content_type, body)) = sdp_body(sdp.as_ref()) {
            invite = invite.body(content_type, body);
        }
        let mut invite = invite.build();
        if way.fit(core, trunk, invite.as_bytes().len()) {
            let contact = [(Name::Contact, core.contact(trunk, way.flow()))];
            (branch, invite) = core.again(trunk, way.flow(), &invite, (None, cseq), &contact);
        }
        let (flow, hosts) = (way.flow(), way.hosts.clone());
        let out = Outgoing {
            early: Vec::new(),
            media: None,
            attempt: Attempt::new(way, target),
            unanswered: false,
            provisional: false,
            hangup: None,
            cancelled: false,
        };
        let mut session = Session::new(id, trunk, call_id, tag, Phase::Calling(Box::new(out)), None);
        session.hosts = hosts;
        core.live += 1;
        session.transmit_invite(core, now, flow, branch, invite);
        core.start(now, id, Timer::RingLimit, ring_limit);
        Some(session)
    }

    pub(super) fn invite_response(
        &mut self,
        core: &mut Core,
        now: Instant,
        (flow, status): (Flow, u16),
        message: &Message,
        sent: &Sent,
    ) {
        let calling = matches!(self.phase, Phase::Calling(_));
        if calling && (101..200).contains(&status) && !self.take_provisional(core, now, flow, message) {
            return;
        }
        match (&mut self.phase, status) {
            (Phase::Calling(out), 100..=199) => {
                out.provisional = true;
                let sdp = out.early_media(message, status);
                if out.hangup.is_some() {
                    self.try_cancel(core, now);
                } else if status > 100 {
                    core.event(UaEvent::Progress { session: self.id, status, sdp });
                }
            }
            (Phase::Calling(_), 200..=299) => self.first_ok(core, now, flow, message),
            (_, 200..=299) => self.further_ok(core, now, flow, message),
            (Phase::Calling(_), _) => self.invite_refusal(core, now, status, message, sent),
            // 1xx of other branches after the 2xx; the final response to our CANCEL after the end.
            _ => {}
        }
    }

    fn first_ok(&mut self, core: &mut Core, now: Instant, flow: Flow, message: &Message) {
        core.stop(self.id, Timer::CancelLimit);
        core.stop(self.id, Timer::RingLimit);
        let given_up = self.given_up();
        let (wish, early) = match &mut self.phase {
            Phase::Calling(out) => (out.hangup.take(), std::mem::take(&mut out.early)),
            _ => (None, Vec::new()),
        };
        let dialog = self.own_invite.as_ref().and_then(|invite| Dialog::caller(self.trunk, invite, message, flow));
        let Some(mut dialog) = dialog else {
            // Record-Route or To cannot be read: nothing can be sent into that dialog.
            return self.finish(core, now, SessionEnd::Failed { status: 502, reason: Vec::new() });
        };
        let cseq = dialog.local_cseq;
        // Some send the answer in a provisional response only, though it was no reliable one.
        let early = early.into_iter().find(|early| early.tag == dialog.remote_tag).and_then(|early| early.sdp);
        let sdp = self.carry_on(&mut dialog, message.sdp()).or(early);
        self.dialog = Some(dialog);
        self.phase = Phase::Established;
        self.timer_agreed(core, now, message);
        self.learn_identity(message);
        self.refresh.local_sdp = self.own_invite.as_ref().and_then(Message::sdp);
        self.refresh.answer = sdp.clone();
        let late_offer = self.own_invite.as_ref().is_some_and(|invite| invite.sdp().is_none());
        if wish.is_none() && late_offer && sdp.is_some() {
            self.want_answer(core, now, cseq);
        } else {
            self.send_ack(core, cseq, None);
        }
        match wish {
            // TXN-10: the 2xx crossed our CANCEL.
            Some(reason) => {
                self.bye(core, now, reason.as_ref());
                self.finish(core, now, given_up);
            }
            None => core.event(UaEvent::Answered { session: self.id, sdp, response: message.clone() }),
        }
    }

    /// A copy of a 2xx gets its ACK again; one of another fork gets ACK and BYE (§13.2.2.4).
    fn further_ok(&mut self, core: &mut Core, now: Instant, flow: Flow, message: &Message) {
        let Some(mut dialog) =
            self.own_invite.as_ref().and_then(|invite| Dialog::caller(self.trunk, invite, message, flow))
        else {
            return;
        };
        if self.repeat_ack(core, dialog.local_cseq, &dialog.remote_tag) {
            return;
        }
        let awaited = self.answer_wanted == Some(dialog.local_cseq)
            && self.dialog.as_ref().is_some_and(|own| own.remote_tag == dialog.remote_tag);
        if awaited || self.acks.len() >= MOST_FORKS {
            return;
        }
        let cseq = dialog.local_cseq;
        self.carry_on(&mut dialog, None);
        let own = self.dialog.replace(dialog);
        self.send_ack(core, cseq, None);
        self.bye(core, now, Some(&causes::answered_elsewhere()));
        if own.is_some() {
            self.dialog = own;
        }
    }

    /// CANCEL, once and only after a 1xx (§9.1); its time limit is for the INVITE.
    pub(super) fn try_cancel(&mut self, core: &mut Core, now: Instant) {
        let Phase::Calling(out) = &mut self.phase else { return };
        let Some((invite, flow)) = self.invite_tx.and_then(|tx| core.store.request(tx)) else { return };
        if !out.provisional || out.cancelled {
            return;
        }
        out.cancelled = true;
        let uri = invite.request_uri().and_then(Result::ok).map(|u| u.to_string()).unwrap_or_default();
        let via = invite.values(&Name::Via).into_iter().next().unwrap_or_default();
        let branch = invite.top_via().and_then(Result::ok).and_then(|via| via.branch).unwrap_or_default();
        let number = invite.cseq().and_then(Result::ok).map_or(0, |c| c.number);
        let mut cancel = Builder::request(&Method::Cancel, &uri).header(Name::Via, via).header(Name::MaxForwards, "70");
        for route in invite.values(&Name::Route) {
            cancel = cancel.header(Name::Route, route);
        }
        for name in [Name::From, Name::To, Name::CallId] {
            cancel = cancel.header(name.clone(), invite.value(&name).unwrap_or_default());
        }
        cancel = cancel.header(Name::CSeq, format!("{number} CANCEL"));
        let reason = out.hangup.clone().flatten().unwrap_or_else(causes::normal);
        let cancel = cancel.header(Name::Reason, reason_value(&reason)).build();
        self.open_clients += 1;
        core.store.start(&mut core.io, now, flow, branch, cancel, self.id, Purpose::Cancel);
        core.start(now, self.id, Timer::CancelLimit, core.io.times.t1_64());
    }

    /// BYE of a callee in an early dialog, whose 2xx we have not seen: the call is over, other forks are cancelled.
    pub(super) fn early_bye(&mut self, core: &mut Core, now: Instant, reason: Vec<Reason>) {
        self.try_cancel(core, now);
        self.finish(core, now, SessionEnd::PeerBye { reason });
    }

    /// The ACK of this 2xx waits for the owner's answer.
    pub(super) fn want_answer(&mut self, core: &mut Core, now: Instant, cseq: u32) {
        self.answer_wanted = Some(cseq);
        core.start(now, self.id, Timer::AnswerLimit, core.io.times.t1_64());
    }

    /// The owner's answer to the offer of a 2xx.
    pub fn answer_in_ack(&mut self, core: &mut Core, now: Instant, sdp: Bytes) {
        if let Some(cseq) = self.answer_wanted.take() {
            core.stop(self.id, Timer::AnswerLimit);
            self.send_ack(core, cseq, Some(&sdp));
            self.refresh.local_sdp = Some(sdp);
            self.try_reinvite(core, now);
        }
    }

    /// The session ends before the owner answered: the 2xx is acknowledged all the same.
    pub(super) fn ack_without_answer(&mut self, core: &mut Core, _now: Instant) {
        if let Some(cseq) = self.answer_wanted.take() {
            core.stop(self.id, Timer::AnswerLimit);
            self.send_ack(core, cseq, None);
        }
    }

    /// Builds the ACK of a 2xx once, sends it and keeps it for copies of the 2xx.
    pub(super) fn send_ack(&mut self, core: &mut Core, cseq: u32, sdp: Option<&Bytes>) {
        let Some(dialog) = &self.dialog else { return };
        let (flow, bytes) = core.ack(dialog, cseq, sdp);
        core.io.send(flow, bytes.clone());
        if self.acks.len() >= MOST_FORKS {
            self.acks.remove(0);
        }
        self.acks.push(SentAck { cseq, tag: dialog.remote_tag.clone(), flow, bytes });
    }

    /// Sends the ACK of a 2xx again. `false`: none was sent for it.
    pub(super) fn repeat_ack(&mut self, core: &mut Core, cseq: u32, tag: &str) -> bool {
        match self.acks.iter().find(|ack| ack.cseq == cseq && ack.tag == tag) {
            Some(ack) => {
                core.io.send(ack.flow, ack.bytes.clone());
                true
            }
            None => false,
        }
    }
}
