//! re-INVITE and UPDATE, both ways: target refresh, glare, back-off (RFC 3261 §14, 3311 §5, 6141). DLG-07, -10, -11.

use super::{Phase, Session, sdp_body};
use crate::sip::Flow;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::timers::Timer;
use crate::sip::transaction::Purpose;
use crate::sip::user_agent::UaEvent;
use crate::sip::user_agent::core::{ALLOW, Core, SUPPORTED};
use crate::sip::user_agent::request::check_invite;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// An own re-INVITE is given up after so many 491.
const MOST_GLARES: u8 = 8;
/// A peer that said 1xx to a re-INVITE and nothing more is lost.
const REINVITE_LIMIT: Duration = Duration::from_secs(60);

/// The peer's re-INVITE, or UPDATE with SDP, while the owner thinks.
#[derive(Debug)]
pub(super) struct PeerOffer {
    pub tx: u64,
    request: Message,
    flow: Flow,
}

/// A re-INVITE of ours: under way, backing off, or waiting for its turn.
#[derive(Debug)]
pub(super) struct OwnReinvite {
    sdp: Option<Bytes>,
    glares: u8,
}

// The peer's.
impl Session {
    pub(super) fn peer_reinvite(&mut self, core: &mut Core, now: Instant, flow: Flow, tx: u64, request: &Message) {
        if self.owner_thinks() {
            return self.retry_later(core, now, tx, request);
        }
        // §14.2, and RFC 5407 §3.1.5 for a 2xx of ours whose offer is not answered yet.
        let offering = self.pending_ok.as_ref().is_some_and(|ok| ok.offered);
        if self.invite_tx.is_some() || self.answer_wanted.is_some() || offering {
            return self.reply(core, now, tx, request, 491, &[]);
        }
        // RFC 5407 §3.1.4: who goes on has our 2xx, its ACK was lost.
        self.acknowledged(core, now, None);
        if matches!(self.phase, Phase::Mortal) {
            return self.reply(core, now, tx, request, 481, &[]);
        }
        if self.invite_tx.is_some() {
            // The ACK let a waiting re-INVITE of ours go first.
            return self.reply(core, now, tx, request, 491, &[]);
        }
        if let Err((status, headers)) = check_invite(request) {
            let headers: Vec<_> = headers.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
            return self.reply(core, now, tx, request, status, &headers);
        }
        self.reply(core, now, tx, request, 100, &[]);
        self.ask(core, flow, tx, request);
    }

    pub(super) fn peer_update(&mut self, core: &mut Core, now: Instant, flow: Flow, tx: u64, request: &Message) {
        if request.sdp().is_none() {
            // EAR-04: a refresh only.
            self.agree(core, now, flow, tx, request, None);
            return;
        }
        if self.owner_thinks() {
            return self.retry_later(core, now, tx, request);
        }
        let offering = self.pending_ok.as_ref().is_some_and(|ok| ok.offered);
        if self.invite_tx.is_some() || self.answer_wanted.is_some() || offering {
            return self.reply(core, now, tx, request, 491, &[]);
        }
        self.ask(core, flow, tx, request);
    }

    /// An offer of the peer is not answered yet: that of its INVITE, or of its last re-INVITE or UPDATE.
    fn owner_thinks(&self) -> bool {
        self.peer_offer.is_some() || matches!(self.phase, Phase::Incoming { .. })
    }

    fn retry_later(&self, core: &mut Core, now: Instant, tx: u64, request: &Message) {
        let after = core.random.seconds(10).to_string();
        self.reply(core, now, tx, request, 500, &[(Name::RetryAfter, after)]);
    }

    fn ask(&mut self, core: &mut Core, flow: Flow, tx: u64, request: &Message) {
        self.peer_offer = Some(PeerOffer { tx, request: request.clone(), flow });
        core.event(UaEvent::Reinvite { session: self.id, offer: request.sdp() });
    }

    /// 200; only now the target is refreshed (RFC 6141 §4.2: a refused one changes nothing).
    fn agree(
        &mut self,
        core: &mut Core,
        now: Instant,
        flow: Flow,
        tx: u64,
        request: &Message,
        sdp: Option<&Bytes>,
    ) -> Bytes {
        if let Some(dialog) = &mut self.dialog {
            dialog.refresh(request, flow);
        }
        let mut response = core.capable(self.trunk, request, 200, &self.local_tag, flow);
        if let Some((content_type, body)) = sdp_body(sdp) {
            response = response.body(content_type, body);
        }
        core.respond(now, tx, 200, response)
    }

    pub(super) fn refuse(&self, core: &mut Core, now: Instant, offer: &PeerOffer, status: u16) {
        let warning = (status == 488).then(|| {
            (Name::Warning, format!("305 {} \"Incompatible media format\"", core.trunk(self.trunk).contact_user))
        });
        self.reply(core, now, offer.tx, &offer.request, status, warning.as_slice());
    }

    /// The owner's answer to [`UaEvent::Reinvite`].
    pub fn answer_reinvite(&mut self, core: &mut Core, now: Instant, answer: Result<Bytes, u16>) {
        let Some(offer) = self.peer_offer.take() else { return };
        match answer {
            Ok(sdp) => {
                let bytes = self.agree(core, now, offer.flow, offer.tx, &offer.request, Some(&sdp));
                if offer.request.method() == Method::Invite
                    && let Some(Ok(cseq)) = offer.request.cseq()
                {
                    let offered = offer.request.sdp().is_none();
                    self.await_ack(core, now, offer.tx, cseq.number, bytes, offered);
                }
            }
            Err(status) => {
                let status = if (300..=699).contains(&status) { status } else { 488 };
                self.refuse(core, now, &offer, status);
            }
        }
        self.try_reinvite(core, now);
    }
}

// Ours.
impl Session {
    /// One at a time: a second one while the first is under way is refused 491 to the owner.
    pub fn reinvite(&mut self, core: &mut Core, now: Instant, sdp: Option<Bytes>) {
        match self.phase {
            Phase::Established | Phase::Moratorium { hangup: None } if self.own_reinvite.is_none() => {
                self.own_reinvite = Some(OwnReinvite { sdp, glares: 0 });
                self.try_reinvite(core, now);
            }
            Phase::Mortal => {}
            _ => core.event(UaEvent::ReinviteDone { session: self.id, status: 491, sdp: None }),
        }
    }

    /// Sends the waiting re-INVITE when nothing else is open.
    pub(super) fn try_reinvite(&mut self, core: &mut Core, now: Instant) {
        let busy = !matches!(self.phase, Phase::Established)
            || self.pending_ok.is_some()
            || self.peer_offer.is_some()
            || self.invite_tx.is_some()
            || self.answer_wanted.is_some()
            || core.is_running(self.id, Timer::Glare);
        let (false, Some(own), Some(dialog)) = (busy, &self.own_reinvite, &self.dialog) else { return };
        let headers = [
            (Name::Contact, core.contact(self.trunk, dialog.flow)),
            (Name::Allow, ALLOW.to_owned()),
            (Name::Supported, SUPPORTED.to_owned()),
        ];
        let body = sdp_body(own.sdp.as_ref());
        let sent = self.send(core, now, Method::Invite, Purpose::Reinvite, &headers, body);
        self.invite_tx = sent.map(|(tx, _)| tx);
    }

    /// `first`: it is the first final response, no copy.
    pub(super) fn reinvite_response(
        &mut self,
        core: &mut Core,
        now: Instant,
        flow: Flow,
        message: &Message,
        (status, first): (u16, bool),
    ) {
        if status < 200 {
            if !core.is_running(self.id, Timer::ReinviteLimit) && self.own_reinvite.is_some() {
                core.start(now, self.id, Timer::ReinviteLimit, REINVITE_LIMIT);
            }
            return;
        }
        let (Some(Ok(cseq)), Some(dialog)) = (message.cseq(), &self.dialog) else { return };
        if !first {
            // Only a copy of a 2xx: its ACK again, if it was sent already.
            let tag = dialog.remote_tag.clone();
            self.repeat_ack(core, cseq.number, &tag);
            return;
        }
        core.stop(self.id, Timer::ReinviteLimit);
        match status {
            200..=299 => self.reinvite_ok(core, now, flow, message, (status, cseq.number)),
            491 => self.glare(core, now),
            408 | 481 => self.lost_peer(core, now, status, message.reasons()),
            _ => self.reinvite_done(core, status, None),
        }
    }

    fn reinvite_ok(
        &mut self,
        core: &mut Core,
        now: Instant,
        flow: Flow,
        message: &Message,
        (status, cseq): (u16, u32),
    ) {
        let (Some(own), Some(dialog)) = (&self.own_reinvite, &mut self.dialog) else {
            // RFC 5407 §3.2.3: the 2xx crossed a BYE; the peer needs its ACK all the same.
            return self.send_ack(core, cseq, None);
        };
        dialog.refresh(message, flow);
        let sdp = message.sdp();
        if own.sdp.is_none() && sdp.is_some() {
            self.want_answer(core, now, cseq);
        } else {
            self.send_ack(core, cseq, None);
        }
        self.reinvite_done(core, status, sdp);
    }

    fn glare(&mut self, core: &mut Core, now: Instant) {
        let (Some(own), Some(dialog)) = (&mut self.own_reinvite, &self.dialog) else { return };
        if own.glares >= MOST_GLARES {
            return self.reinvite_done(core, 491, None);
        }
        own.glares += 1;
        let back_off = match dialog.owns_call_id {
            true => core.random.back_off(2_100, 4_000),
            false => core.random.back_off(0, 2_000),
        };
        core.start(now, self.id, Timer::Glare, back_off);
    }

    fn reinvite_done(&mut self, core: &mut Core, status: u16, sdp: Option<Bytes>) {
        if self.own_reinvite.take().is_some() {
            core.event(UaEvent::ReinviteDone { session: self.id, status, sdp });
        }
    }
}
