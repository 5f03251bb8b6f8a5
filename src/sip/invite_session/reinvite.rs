//! re-INVITE and UPDATE, both ways: target refresh, glare, back-off (RFC 3261 §14, 3311 §5, 6141). DLG-07, -10, -11.

use super::{Phase, Session, sdp_body};
use crate::sip::Flow;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::timers::Timer;
use crate::sip::transaction::Purpose;
use crate::sip::user_agent::UaEvent;
use crate::sip::user_agent::core::Core;
use crate::sip::user_agent::request::check_invite;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// An own re-INVITE is given up after so many 491.
const MOST_GLARES: u8 = 8;
/// The longest Retry-After that is waited for.
const LONGEST_BUSY_SECS: u32 = 32;
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
    /// Of the session timer, not the owner's.
    refresh: bool,
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
        let ours_open = self.invite_tx.is_some() && !self.answered_early(request);
        if ours_open || self.answer_wanted.is_some() || offering {
            return self.reply(core, now, tx, request, 491, &[]);
        }
        self.ask(core, flow, tx, request);
    }

    /// An offer of the peer is not answered yet: that of its INVITE, or of its last re-INVITE or UPDATE.
    fn owner_thinks(&self) -> bool {
        self.peer_offer.is_some() || matches!(self.phase, Phase::Incoming { .. }) && !self.exchanged()
    }

    /// As caller: the offer of our INVITE was answered in the early dialog of this request (RFC 3311 §5.1).
    fn answered_early(&self, request: &Message) -> bool {
        let from = request.from().and_then(Result::ok);
        let early = from.as_ref().and_then(|from| from.tag()).and_then(|tag| self.early(tag));
        matches!(self.phase, Phase::Calling(_)) && early.is_some_and(|early| early.sdp.is_some())
    }

    fn retry_later(&self, core: &mut Core, now: Instant, tx: u64, request: &Message) {
        let after = core.random.seconds(10).to_string();
        self.reply(core, now, tx, request, 500, &[(Name::RetryAfter, after)]);
    }

    pub(super) fn ask(&mut self, core: &mut Core, flow: Flow, tx: u64, request: &Message) {
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
        if let Some(dialog) = self.dialog_of(request) {
            dialog.refresh(request, flow);
        }
        let mut response = core.capable(self.trunk, request, 200, &self.local_tag, flow);
        // The timer of a call runs from the 2xx to its INVITE.
        if matches!(self.phase, Phase::Established | Phase::Moratorium { .. }) {
            for (name, value) in self.agree_timer(core, now, request) {
                response = response.header(name, value);
            }
        }
        if let Some((content_type, body)) = sdp_body(sdp) {
            response = response.body(content_type, body);
            self.refresh.local_sdp = sdp.cloned();
        }
        let bytes = core.respond(now, tx, 200, response);
        self.identity_changed(core, request);
        bytes
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
                self.early_offer_answered();
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
        self.go_on(core, now);
        self.try_reinvite(core, now);
    }
}

// Ours.
impl Session {
    /// One at a time: a second one while the first is under way is refused 491 to the owner.
    pub fn reinvite(&mut self, core: &mut Core, now: Instant, sdp: Option<Bytes>) {
        let refreshing = self.own_reinvite.as_ref().is_some_and(|own| own.refresh);
        let own = OwnReinvite { sdp, glares: 0, refresh: false };
        match self.phase {
            Phase::Established | Phase::Moratorium { hangup: None } if self.own_reinvite.is_none() => {
                self.own_reinvite = Some(own);
                self.try_reinvite(core, now);
            }
            Phase::Established if refreshing && self.next_reinvite.is_none() => self.next_reinvite = Some(own),
            Phase::Mortal => {}
            _ => core.event(UaEvent::ReinviteDone { session: self.id, status: 491, sdp: None }),
        }
    }

    /// TIM-02: the SDP that holds, once more; its version has not changed, so nothing happens to the media.
    pub(super) fn refresh_by_reinvite(&mut self, core: &mut Core, now: Instant) {
        self.own_reinvite = Some(OwnReinvite { sdp: self.refresh.local_sdp.clone(), glares: 0, refresh: true });
        self.try_reinvite(core, now);
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
        let mut headers = vec![
            (Name::Contact, core.contact(self.trunk, dialog.flow)),
            (Name::Allow, core.allow(self.trunk)),
            (Name::Supported, core.supported_in_invite(self.trunk, false)),
        ];
        headers.extend(self.ask_timer(core));
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
            500 if message.value(&Name::RetryAfter).is_some() => self.peer_is_busy(core, now, message),
            408 | 481 => self.lost_peer(core, now, status, message.reasons()),
            422 if self.own_reinvite.is_some() && self.timer_raised(message) => self.try_reinvite(core, now),
            _ => self.reinvite_refused(core, now, status),
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
        let (sdp, ours) = (message.sdp(), own.sdp.clone());
        if ours.is_none() && sdp.is_some() {
            self.want_answer(core, now, cseq);
        } else {
            self.send_ack(core, cseq, None);
        }
        self.timer_agreed(core, now, message);
        self.refresh.local_sdp = ours.or(self.refresh.local_sdp.take());
        // A refresh that is answered as before is no news.
        let changed = sdp.is_some() && self.refresh.answer != sdp;
        if changed && let Some(own) = &mut self.own_reinvite {
            own.refresh = false;
        }
        self.refresh.answer = sdp.clone().or(self.refresh.answer.take());
        self.reinvite_done(core, now, status, sdp);
    }

    fn glare(&mut self, core: &mut Core, now: Instant) {
        let (Some(own), Some(dialog)) = (&mut self.own_reinvite, &self.dialog) else { return };
        if own.glares >= MOST_GLARES {
            return self.reinvite_refused(core, now, 491);
        }
        own.glares += 1;
        let back_off = match dialog.owns_call_id {
            true => core.random.back_off(2_100, 4_000),
            false => core.random.back_off(0, 2_000),
        };
        core.start(now, self.id, Timer::Glare, back_off);
    }

    /// TXN-13: 500 with Retry-After: the peer has an INVITE of ours or its own to end first (§14.2).
    fn peer_is_busy(&mut self, core: &mut Core, now: Instant, message: &Message) {
        let after = message.seconds(&Name::RetryAfter).and_then(Result::ok).filter(|secs| *secs <= LONGEST_BUSY_SECS);
        match (&mut self.own_reinvite, after) {
            (Some(own), Some(after)) if own.glares < MOST_GLARES => {
                own.glares += 1;
                core.start(now, self.id, Timer::Glare, Duration::from_secs(after.into()));
            }
            _ => self.reinvite_refused(core, now, 500),
        }
    }

    /// DLG-11: the session stays as it was, its timer too.
    fn reinvite_refused(&mut self, core: &mut Core, now: Instant, status: u16) {
        self.refresh_refused(core, now);
        self.reinvite_done(core, now, status, None);
    }

    fn reinvite_done(&mut self, core: &mut Core, now: Instant, status: u16, sdp: Option<Bytes>) {
        let Some(own) = self.own_reinvite.take() else { return };
        if !own.refresh {
            core.event(UaEvent::ReinviteDone { session: self.id, status, sdp });
        }
        self.own_reinvite = self.next_reinvite.take();
        self.try_reinvite(core, now);
    }
}
