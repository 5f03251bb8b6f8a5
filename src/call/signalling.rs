//! SIP events of the call: set-up, answer, re-INVITE and hold, INFO, the end (SDP-07, SDP-08, DLG-11, DLG-13).

use super::digits::{Way, key_of_info};
use super::end::Cause;
use super::limits::LimitClock;
use super::machine::{Call, Phase};
use super::media::Media;
use super::{CallEnd, CallEvent};
use crate::config::dialplan::{AnswerPolicy, OnResume};
use crate::observe::cdr::EndedBy;
use crate::realtime::Intent;
use crate::sip::headers::Name;
use crate::sip::offer_answer::{MediaParams, Refusal};
use crate::sip::user_agent::{SessionEnd, UaCommand, UaEvent};
use crate::trunk::DtmfWay;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// What the model is told when the caller is back.
const RESUMED: &str = "The caller had put the call on hold and is back now.";
const WELCOME_BACK: &str =
    "The caller has just come back from hold. Say in a few words that you are still there, and go on.";
/// Retry-After of our 503, s: about the time a provider needs to recover from a short outage.
const RETRY_AFTER: &str = "10";

impl Call {
    /// The INVITE: offer/answer, then ring and connect at once.
    pub(super) fn begin(&mut self, now: Instant, offer: Option<Bytes>, connect_timeout: Duration) {
        match offer {
            Some(offer) => match self.negotiation.receive_offer(&offer) {
                Ok(answer) => {
                    self.format = self.plan.audio.format(answer.media.codec);
                    self.local_sdp = answer.sdp;
                    self.apply(now, answer.media);
                }
                Err(refusal) => return self.refuse(now, &refusal),
            },
            None => match self.negotiation.no_offer() {
                Some(refusal) => return self.refuse(now, &refusal),
                None => self.local_sdp = self.negotiation.offer(),
            },
        }
        self.sip(UaCommand::Ring { session: self.id });
        self.note(CallEvent::Ringing);
        self.open_realtime(now, connect_timeout);
        if self.plan.answer == AnswerPolicy::AtOnce {
            self.answer(now);
        }
    }

    /// 488 (or 400) with the Warning that says why (RFC 3261 §20.43).
    fn refuse(&mut self, now: Instant, refusal: &Refusal) {
        let host = self.negotiation.local().addr;
        let why = refusal.why.replace(['"', '\\'], "'");
        self.reject(refusal.status, vec![(Name::Warning, format!("305 {host} \"{why}\""))]);
        self.warn("offer_refused", why);
        self.over(now, CallEnd::new(EndedBy::Fault, Cause::from(refusal)));
    }

    /// Refuses the INVITE. The end must follow.
    pub(super) fn reject(&mut self, status: u16, mut headers: Vec<(Name, String)>) {
        if status == 503 {
            headers.push((Name::RetryAfter, RETRY_AFTER.to_owned()));
        }
        if let Some(record) = &mut self.record {
            record.cdr.sip_status = status;
        }
        self.sip(UaCommand::Reject { session: self.id, status, headers });
    }

    /// 200 OK. Frames flow from now on (RTP-03).
    pub(super) fn answer(&mut self, now: Instant) {
        if self.answered.is_some() {
            return;
        }
        self.answered = Some(now);
        self.phase = Phase::Talking;
        let mut limits = LimitClock::new(now, &self.plan.limits);
        limits.set_receiving(now, self.media.as_ref().is_none_or(Media::hears_caller));
        self.limits = Some(limits);
        if let Some(record) = &mut self.record {
            record.answered(now);
        }
        let sdp = self.local_sdp.clone();
        self.sip(UaCommand::Accept { session: self.id, sdp });
        if self.media.is_some() {
            self.media_flows(now);
        }
    }

    /// Answered, and the stream is agreed on.
    fn media_flows(&mut self, now: Instant) {
        let Some(media) = &mut self.media else { return };
        media.start_behind(now, self.wall_clock);
        if self.ready {
            media.uplink.start(now);
        }
        let codec = media.params.codec.name();
        self.note(CallEvent::Answered { codec });
    }

    /// To the dialog it belongs to; what an earlier dialog of this call still tells is of no interest.
    pub(super) fn sip_event(&mut self, now: Instant, event: UaEvent) {
        let own = self.id;
        match event {
            UaEvent::IncomingCall { session, flow, invite, replaces, .. } if replaces == Some(own) => {
                self.replaced(now, session, flow, &invite);
            }
            UaEvent::IncomingCall { session, .. } => {
                self.sip(UaCommand::Reject { session, status: 481, headers: Vec::new() });
            }
            event if event.session() == Some(own) => self.own_event(now, event),
            event if self.leg.as_ref().is_some_and(|leg| event.session() == Some(leg.session)) => {
                self.leg_event(now, event);
            }
            _ => {}
        }
    }

    fn own_event(&mut self, now: Instant, event: UaEvent) {
        match event {
            UaEvent::Established { sdp, .. } => self.acknowledged(now, sdp),
            UaEvent::Reinvite { offer, .. } => self.reinvite(now, offer),
            UaEvent::ReinviteAck { sdp, .. } => {
                // Without an answer the session stays as it was (DLG-11).
                match sdp.map(|sdp| self.negotiation.receive_answer(&sdp)) {
                    Some(Ok(media)) => self.apply(now, media),
                    Some(Err(refusal)) => self.warn("reinvite_answer", refusal.why),
                    None => self.warn("reinvite_answer", "no SDP in the ACK"),
                }
            }
            UaEvent::Info { content_type, body, .. } => {
                if let Some(key) = key_of_info(&content_type, &body) {
                    if self.is_bridged() {
                        return self.relay_key(key, super::bridge::Side::Callee);
                    }
                    self.pressed(now, Way::Info, key);
                }
            }
            UaEvent::Refer { outcome, .. } => self.refer_outcome(now, outcome),
            UaEvent::Ended { end, .. } => self.sip_ended(now, end),
            UaEvent::ReferRequested { refer_to, .. } => self.refer_requested(now, refer_to),
            UaEvent::IdentityChanged { request, .. } => self.identity_changed(now, &request),
            // Of calls we place, or of no call yet.
            UaEvent::IncomingCall { .. }
            | UaEvent::Refused { .. }
            | UaEvent::Progress { .. }
            | UaEvent::Answered { .. }
            | UaEvent::ReinviteDone { .. }
            | UaEvent::Response { .. } => {}
        }
    }

    fn acknowledged(&mut self, now: Instant, sdp: Option<Bytes>) {
        if self.answered.is_none() {
            return;
        }
        if self.answer_due {
            return self.late_answer(now, sdp);
        }
        if self.media.is_none() {
            // The answer to our offer in the 200 belongs into the ACK (RFC 3264 §4).
            match sdp.map(|sdp| self.negotiation.receive_answer(&sdp)) {
                Some(Ok(media)) => {
                    self.apply(now, media);
                    self.media_flows(now);
                }
                other => {
                    let refusal = other.and_then(Result::err);
                    let cause = refusal.as_ref().map_or(Cause::NoCodec, Cause::from);
                    self.warn("late_offer", refusal.map_or("no SDP in the ACK".to_owned(), |refusal| refusal.why));
                    return self.hang_up(now, CallEnd::new(EndedBy::Fault, cause));
                }
            }
        }
        if let Some(media) = &mut self.media {
            media.downlink.acknowledged(now);
        }
        self.established = true;
    }

    fn reinvite(&mut self, now: Instant, offer: Option<Bytes>) {
        let answer = match offer {
            None => Ok(self.negotiation.offer()),
            Some(offer) => match self.negotiation.receive_offer(&offer) {
                Ok(answer) => {
                    if !answer.refresh {
                        self.apply(now, answer.media);
                    }
                    Ok(answer.sdp)
                }
                Err(refusal) => {
                    self.warn("reinvite_refused", refusal.why);
                    Err(refusal.status)
                }
            },
        };
        self.sip(UaCommand::AnswerReinvite { session: self.id, answer });
    }

    /// Sets the stream to what was agreed on; hold and resume follow from the direction.
    pub(super) fn apply(&mut self, now: Instant, params: MediaParams) {
        let held = self.on_hold();
        match &mut self.media {
            Some(media) => media.apply(now, params),
            None => {
                let mut media = Media::new(params, &self.policy, self.source.ip(), self.format, self.seed);
                media.downlink.set_level(self.plan.level);
                let dtmf = self.trunk.as_ref().map_or(DtmfWay::Auto, |trunk| trunk.media.dtmf);
                media.set_up(self.plan.front, dtmf);
                self.media = Some(media);
            }
        }
        let receiving = self.media.as_ref().is_some_and(Media::hears_caller);
        if let Some(limits) = &mut self.limits {
            limits.set_receiving(now, receiving);
        }
        match (held, self.on_hold()) {
            (false, true) => self.hold(now),
            (true, false) => self.resume(now),
            _ => {}
        }
    }

    /// SDP-08: no audio to the peer, none of its hold music to the model, the agent's turn is cancelled, clocks stand.
    fn hold(&mut self, now: Instant) {
        self.interrupt(now);
        self.caller_speaks = false;
        self.note(CallEvent::Hold(true));
    }

    fn resume(&mut self, now: Instant) {
        // SDP-08: what the model learns is the number's own choice.
        let heard = self.is_talking() && self.transfer.is_none();
        match self.plan.on_resume {
            OnResume::Speak if heard => {
                self.intent(now, Intent::Say(WELCOME_BACK.to_owned()));
                self.turns.expect_answer(now);
            }
            OnResume::Tell | OnResume::Speak => {
                self.intent(now, Intent::AddContext(RESUMED.to_owned()));
            }
            OnResume::Silent => {}
        }
        self.note(CallEvent::Hold(false));
    }

    fn sip_ended(&mut self, now: Instant, end: SessionEnd) {
        if let (
            SessionEnd::PeerBye { reason } | SessionEnd::PeerCancel { reason } | SessionEnd::Failed { reason, .. },
            Some(record),
        ) = (&end, &mut self.record)
        {
            record.ended_for(reason);
        }
        let end = match end {
            SessionEnd::PeerBye { .. } if self.is_bridged() => CallEnd::new(EndedBy::Caller, Cause::Bridged),
            SessionEnd::PeerBye { .. } => match self.handed_over(now) {
                Some(end) => end,
                None => CallEnd::new(EndedBy::Caller, Cause::CallerBye),
            },
            SessionEnd::PeerCancel { .. } => CallEnd::new(EndedBy::Caller, Cause::CallerCancel),
            SessionEnd::NoAck => CallEnd::new(EndedBy::Fault, Cause::NoAck),
            SessionEnd::Failed { status, .. } => CallEnd::new(EndedBy::Fault, Cause::SipFailed(status)),
            // Not by a command of this call: the user agent itself was told to stop.
            SessionEnd::Local => CallEnd::new(EndedBy::Operator, Cause::Shutdown),
        };
        self.over(now, end);
    }
}
