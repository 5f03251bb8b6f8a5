//! The second leg: asked for, called, answered, closed. What it is for is decided elsewhere.
//!
//! In: `LegReady`/`LegFailed`, the SIP events and datagrams of the leg. Out: its INVITE and in-dialog answers, and what became
//! of it: to `attended` (a transfer) or to `moved` (the agent goes there). One leg at a time.

use super::digits::{Digits, Way, key_of_event, key_of_info};
use super::limits::LimitClock;
use super::machine::{Call, Phase};
use super::media::Media;
use super::{LegReady, LegRequest, Output};
use crate::rtp::receiver::Received;
use crate::sip::headers::{Name, Reason};
use crate::sip::offer_answer::{MediaParams, Negotiation};
use crate::sip::uri::Uri;
use crate::sip::user_agent::{NewInvite, SessionEnd, SessionId, UaCommand, UaEvent};
use crate::trunk::DtmfWay;
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Finding a way (DNS included) may take this long.
const LONGEST_SEARCH: Duration = Duration::from_secs(15);
/// The user agent ends an unanswered INVITE itself; this is for one that never says so.
const GRACE: Duration = Duration::from_secs(40);

/// A leg that was asked for.
#[derive(Debug)]
pub(super) enum Wish {
    Asked {
        uri: Uri,
        ring: Duration,
        deadline: Instant,
    },
    /// Nobody wants it any more; it is closed when it comes.
    Dropped,
}

/// The leg, from its INVITE on.
pub(super) struct Leg {
    pub session: SessionId,
    /// Its trunk takes REFER with Replaces.
    pub refers: bool,
    pub negotiation: Negotiation,
    pub media: Option<Media>,
    pub source: IpAddr,
    /// Unanswered: when we give up.
    deadline: Option<Instant>,
    pub limits: Option<LimitClock>,
    digits: Digits,
    answered: Option<Instant>,
}

/// Why there is no (longer a) leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LegEnd {
    /// Never answered; the status of its INVITE, or what stands for it.
    Refused(u16),
    /// It was answered and hung up.
    HungUp,
    /// It was answered, and its dialog failed.
    Broken(u16),
}

/// The Reason of BYE and CANCEL when nothing is wrong.
pub(super) fn normal_clearing() -> Reason {
    Reason { protocol: "Q.850".to_owned(), cause: Some(16), text: Some("Normal call clearing".to_owned()) }
}

impl Call {
    /// Asks for a leg to `uri`; it ends in `leg_answered` or `leg_over`.
    pub(super) fn open_leg(&mut self, now: Instant, uri: Uri, trunk: Option<String>, ring: Duration) {
        if self.leg.is_some() || self.leg_wish.is_some() {
            return self.leg_over(now, LegEnd::Refused(503));
        }
        self.leg_wish = Some(Wish::Asked { uri: uri.clone(), ring, deadline: now + LONGEST_SEARCH });
        self.put(Output::OpenLeg(LegRequest { uri, trunk }));
    }

    pub(super) fn leg_ready(&mut self, now: Instant, ready: LegReady) {
        let Some(Wish::Asked { uri, ring, .. }) = self.leg_wish.take() else { return self.put(Output::CloseLeg) };
        let Some(first) = ready.flows.first() else {
            self.put(Output::CloseLeg);
            return self.leg_over(now, LegEnd::Refused(503));
        };
        let source = first.remote.ip();
        let mut negotiation = Negotiation::new(ready.local);
        let sdp = Some(negotiation.offer());
        let headers = vec![(Name::MaxForwards, ready.max_forwards.to_string()), (Name::ReferredBy, self.referred_by())];
        self.sip(UaCommand::Invite(Box::new(NewInvite {
            session: ready.session,
            trunk: ready.trunk,
            flows: ready.flows,
            target: uri,
            from: ready.from,
            sdp,
            headers,
            ring_limit: ring,
        })));
        self.leg = Some(Box::new(Leg {
            session: ready.session,
            refers: ready.refer,
            negotiation,
            media: None,
            source,
            deadline: Some(now + ring + GRACE),
            limits: None,
            digits: Digits::default(),
            answered: None,
        }));
    }

    pub(super) fn leg_unavailable(&mut self, now: Instant, status: u16) {
        if let Some(Wish::Asked { .. }) = self.leg_wish.take() {
            self.leg_over(now, LegEnd::Refused(status));
        }
    }

    /// An event of the leg's session.
    pub(super) fn leg_event(&mut self, now: Instant, event: UaEvent) {
        match event {
            UaEvent::Answered { sdp, .. } => self.leg_takes_the_call(now, sdp),
            UaEvent::Reinvite { offer, .. } => self.leg_reinvite(now, offer),
            UaEvent::ReinviteAck { sdp: Some(sdp), .. } => {
                let Some(leg) = &mut self.leg else { return };
                match leg.negotiation.receive_answer(&sdp) {
                    Ok(media) => self.leg_apply(now, media),
                    Err(refusal) => self.warn("leg_reinvite_answer", refusal.why),
                }
            }
            UaEvent::Info { content_type, body, .. } => {
                if let Some(key) = key_of_info(&content_type, &body) {
                    self.leg_key(now, Way::Info, key);
                }
            }
            UaEvent::ReferRequested { session, .. } => self.sip(UaCommand::AnswerRefer { session, status: 603 }),
            UaEvent::Ended { end, .. } => {
                let Some(leg) = self.leg_gone(now) else { return };
                self.put(Output::CloseLeg);
                let end = match end {
                    SessionEnd::Failed { status, .. } if leg.media.is_some() => LegEnd::Broken(status),
                    SessionEnd::Failed { status, .. } => LegEnd::Refused(status),
                    _ if leg.media.is_some() => LegEnd::HungUp,
                    _ => LegEnd::Refused(487),
                };
                self.leg_over(now, end);
            }
            // Ringing is not told to the caller, whom the waiting tone keeps; early media is not played.
            _ => {}
        }
    }

    fn leg_takes_the_call(&mut self, now: Instant, sdp: Option<Bytes>) {
        let Some(leg) = self.leg.as_mut().filter(|leg| leg.media.is_none()) else { return };
        leg.deadline = None;
        match sdp.map(|sdp| leg.negotiation.receive_answer(&sdp)) {
            Some(Ok(params)) => {
                let seed = self.seed.wrapping_add(0x1e6);
                let mut media = Media::new(params, &self.policy, leg.source, self.format, seed);
                media.downlink.set_level(self.plan.level);
                media.set_up(self.plan.front, DtmfWay::Auto);
                media.start(now, self.wall_clock);
                let mut limits = LimitClock::new(now, &self.plan.limits);
                limits.set_receiving(now, media.hears_caller());
                leg.answered = Some(now);
                leg.media = Some(media);
                leg.limits = Some(limits);
                self.leg_answered(now);
            }
            other => {
                let why = other.and_then(Result::err).map_or("no SDP in the answer".to_owned(), |refusal| refusal.why);
                self.warn("leg_answer", why);
                let reason = Reason { protocol: "Q.850".to_owned(), cause: Some(88), text: None };
                self.close_leg(now, Some(reason));
                self.leg_over(now, LegEnd::Refused(488));
            }
        }
    }

    fn leg_reinvite(&mut self, now: Instant, offer: Option<Bytes>) {
        let Some(leg) = &mut self.leg else { return };
        let session = leg.session;
        let answer = match offer {
            None => Ok(leg.negotiation.offer()),
            Some(offer) => leg.negotiation.receive_offer(&offer).map_err(|refusal| refusal.status).map(|answer| {
                if !answer.refresh {
                    self.leg_apply(now, answer.media);
                }
                answer.sdp
            }),
        };
        self.sip(UaCommand::AnswerReinvite { session, answer });
    }

    fn leg_apply(&mut self, now: Instant, params: MediaParams) {
        let Some(leg) = &mut self.leg else { return };
        let Some(media) = &mut leg.media else { return };
        media.apply(now, params);
        if let Some(limits) = &mut leg.limits {
            limits.set_receiving(now, media.hears_caller());
        }
    }

    /// BYE or CANCEL, as its state asks, and its port is released.
    pub(super) fn close_leg(&mut self, now: Instant, reason: Option<Reason>) {
        if let Some(Wish::Asked { .. }) = self.leg_wish {
            self.leg_wish = Some(Wish::Dropped);
        }
        let Some(leg) = self.leg_gone(now) else { return };
        self.sip(UaCommand::Hangup { session: leg.session, reason });
        self.put(Output::CloseLeg);
    }

    /// Takes the leg out: its last report is left to send, its record is written.
    fn leg_gone(&mut self, now: Instant) -> Option<Box<Leg>> {
        let mut leg = self.leg.take()?;
        self.leg_goodbye = leg.media.as_mut().and_then(|media| media.goodbye(now));
        if let (Some(media), Some(answered), Some(record)) = (&leg.media, leg.answered, &mut self.record) {
            record.leg(now, answered, media);
        }
        Some(leg)
    }

    pub(super) fn leg_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Some(media) = self.leg.as_mut().and_then(|leg| leg.media.as_mut()) else { return };
        media.rtp.handle_rtp(now, from, datagram);
        let _ = media.moved_target();
    }

    /// What came of the leg: its keys; its voice goes nowhere before the legs are bridged.
    pub(super) fn leg_receive(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Bridged { .. } | Phase::Ended) {
            return;
        }
        let mut keys = Vec::new();
        let Some(media) = self.leg.as_mut().and_then(|leg| leg.media.as_mut()) else { return };
        let Media { rtp, uplink, params, passed, passed_lost, .. } = media;
        while let Some(received) = rtp.receiver.poll(now) {
            match received {
                Received::Digit { event, .. } => keys.extend(key_of_event(event)),
                Received::Audio { payload_type, payload, lost_before, .. } => {
                    if let Some(codec) = Media::codec_of(params, payload_type) {
                        *passed += u64::from(codec.ticks(payload));
                        *passed_lost += u64::from(lost_before);
                        uplink.overhear(codec, payload);
                    }
                }
                Received::ComfortNoise { .. } => {}
            }
        }
        let tones: Vec<char> = uplink.take_keys().collect();
        for key in keys {
            self.leg_key(now, Way::Rtp, key);
        }
        for key in tones {
            self.leg_key(now, Way::Tone, key);
        }
    }

    /// A key of the callee.
    pub(super) fn leg_key(&mut self, now: Instant, way: Way, key: char) {
        let Some(leg) = &mut self.leg else { return };
        if !leg.digits.press(now, way, key) {
            return;
        }
        match self.phase {
            Phase::Bridged { .. } => self.relay_key(key, super::bridge::Side::Caller),
            _ => self.callee_pressed(now, key),
        }
    }

    pub(super) fn leg_clock(&mut self, now: Instant) {
        if self.is_ended() {
            return;
        }
        if let Some(Wish::Asked { deadline, .. }) = &self.leg_wish
            && now >= *deadline
        {
            self.leg_wish = Some(Wish::Dropped);
            return self.leg_over(now, LegEnd::Refused(503));
        }
        if self.leg.as_ref().and_then(|leg| leg.deadline).is_some_and(|deadline| now >= deadline) {
            self.close_leg(now, Some(normal_clearing()));
            self.leg_over(now, LegEnd::Refused(408));
        }
    }

    pub(super) fn leg_timeout(&self) -> Option<Instant> {
        let asked = match &self.leg_wish {
            Some(Wish::Asked { deadline, .. }) => Some(*deadline),
            _ => None,
        };
        let leg = self.leg.as_ref();
        let media = leg.and_then(|leg| leg.media.as_ref());
        let limits = leg.and_then(|leg| leg.limits.as_ref()).filter(|_| matches!(self.phase, Phase::Bridged { .. }));
        let last_heard = media.and_then(|media| media.rtp.receiver.last_heard());
        [
            asked,
            leg.and_then(|leg| leg.deadline),
            media.and_then(Media::timeout),
            limits.and_then(|limits| limits.media_timeout(last_heard)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The callee answered.
    fn leg_answered(&mut self, now: Instant) {
        if self.transfer.is_some() {
            self.callee_answered(now);
        } else {
            self.move_to_leg(now);
        }
    }

    /// There is no leg, or no longer one.
    fn leg_over(&mut self, now: Instant, end: LegEnd) {
        if let Phase::Bridged { .. } = self.phase {
            self.bridge_over(now, end);
        } else if self.transfer.is_some() {
            self.callee_gone(now, end);
        } else {
            self.move_failed(now, end);
        }
    }
}
