//! A conversation that moves: the caller's side of it is another dialog from now on, the agent goes on (XFR-06, XFR-07).
//!
//! Two ways. A new INVITE with Replaces, which the user agent found to be allowed: it is answered here, on the same port. An
//! inbound REFER of a trunk that lists the target (default deny, A15): the target is called, and when it answers the agent
//! speaks to it instead. The old dialog ends without ending the call.

use super::end::Cause;
use super::leg::{LegEnd, normal_clearing};
use super::machine::Call;
use super::{CallEvent, Output};
use crate::realtime::Intent;
use crate::sip::message::Message;
use crate::sip::offer_answer::{LocalMedia, LocalSrtp, Negotiation};
use crate::sip::uri::Uri;
use crate::sip::user_agent::{SessionId, UaCommand};
use crate::sip::{Flow, Transport};
use crate::trunk::CallerInfo;
use crate::trunk::caller::caller;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// What the model is told; the words of the one before are still in its memory.
const MOVED: &str = "The caller was transferred on their side: from now on this may be another person on another line. \
    Do not assume that they know what was said before.";
/// Longest ringing of a target that the peer referred us to.
const RING: Duration = Duration::from_secs(45);
/// Times a conversation may move.
const MOST_MOVES: u32 = 8;

impl Call {
    /// The caller's side sent an INVITE that takes this dialog over.
    pub(super) fn replaced(&mut self, now: Instant, session: SessionId, flow: Flow, invite: &Message) {
        if self.answered.is_none() || !self.may_move() {
            self.sip(UaCommand::Reject { session, status: 486, headers: Vec::new() });
            return;
        }
        let local = self.negotiation.local();
        // A session of its own: o= must not be that of the other dialog (RFC 3264 §5), and whoever is in this one must not know the
        // keys of that one. They go by TLS only, here too.
        let clear = flow.transport != Transport::Tls && !self.trunk.as_ref().is_some_and(|t| t.media.srtp_without_tls);
        let srtp = match &local.srtp {
            Some(srtp) if clear => srtp.require.then(LocalSrtp::impossible),
            srtp => srtp.as_ref().map(LocalSrtp::for_next_dialog),
        };
        let local = LocalMedia { session_id: local.session_id.wrapping_add(1) >> 1, srtp, ..local.clone() };
        let mut negotiation = Negotiation::new(local);
        let described = match invite.sdp() {
            None => negotiation.no_offer().map_or_else(|| Ok((negotiation.offer(), None)), Err),
            Some(offer) => negotiation.receive_offer(&offer).map(|answer| (answer.sdp, Some(answer.media))),
        };
        let (sdp, params) = match described {
            Ok(described) => described,
            Err(refusal) => {
                self.warn("replaces_refused", refusal.why);
                self.sip(UaCommand::Reject { session, status: refusal.status, headers: Vec::new() });
                return;
            }
        };
        self.id = session;
        self.source = flow.remote;
        self.negotiation = negotiation;
        self.answer_due = params.is_none();
        if let Some(media) = &mut self.media {
            media.set_signalling(flow.remote.ip());
        }
        self.sip(UaCommand::Accept { session, sdp });
        if let Some(params) = params {
            self.apply(now, params);
        }
        self.note_move(now, "replaced");
        self.identity_changed(now, invite);
    }

    /// The answer to our offer in the 200 of an INVITE with Replaces.
    pub(super) fn late_answer(&mut self, now: Instant, sdp: Option<Bytes>) {
        if !std::mem::take(&mut self.answer_due) {
            return;
        }
        match sdp.map(|sdp| self.negotiation.receive_answer(&sdp)) {
            Some(Ok(params)) => self.apply(now, params),
            other => {
                let refusal = other.and_then(Result::err);
                let cause = refusal.as_ref().map_or(Cause::NoCodec, Cause::from);
                self.warn("late_offer", refusal.map_or("no SDP in the ACK".to_owned(), |refusal| refusal.why));
                self.hang_up(now, super::CallEnd::new(crate::observe::cdr::EndedBy::Fault, cause));
            }
        }
    }

    /// The peer wants the agent to speak to somebody else.
    pub(super) fn refer_requested(&mut self, now: Instant, refer_to: Uri) {
        let session = self.id;
        let patterns = self.trunk.as_ref().map_or(&[][..], |trunk| &trunk.refer_to);
        let allowed = allows(patterns, &refer_to);
        let free = self.is_talking() && self.transfer.is_none() && self.moving.is_none() && self.leg_wish.is_none();
        let status = match (allowed, free && self.may_move()) {
            (false, _) => 603,
            (true, false) => 486,
            (true, true) => 202,
        };
        self.sip(UaCommand::AnswerRefer { session, status });
        if status != 202 {
            return self.warn("refer_refused", status.to_string());
        }
        self.moving = Some(session);
        self.open_leg(now, refer_to, None, RING);
    }

    pub(super) fn is_moving(&self) -> bool {
        self.moving.is_some()
    }

    fn may_move(&self) -> bool {
        self.moves < MOST_MOVES
    }

    /// The target answered: its leg is the call's own from now on.
    pub(super) fn move_to_leg(&mut self, now: Instant) {
        let Some(referrer) = self.moving.take() else {
            return self.close_leg(now, Some(normal_clearing()));
        };
        self.sip(UaCommand::NotifyRefer { session: referrer, status: 200 });
        if !self.is_talking() {
            return self.close_leg(now, Some(normal_clearing()));
        }
        self.interrupt(now);
        let Some(leg) = self.leg.take() else { return };
        self.put(Output::SwapLegs);
        self.put(Output::CloseLeg);
        self.sip(UaCommand::Hangup { session: referrer, reason: Some(normal_clearing()) });
        self.id = leg.session;
        self.negotiation = leg.negotiation;
        self.source.set_ip(leg.source);
        self.answer_due = false;
        self.caller_speaks = false;
        self.established = true;
        let mut before = std::mem::replace(&mut self.media, leg.media);
        self.leg_goodbye = before.as_mut().and_then(|media| media.goodbye(now));
        if let (Some(before), Some(record)) = (&before, &mut self.record) {
            record.left(before);
        }
        if let Some(media) = &mut self.media {
            media.uplink.start(now);
        }
        let receiving = self.media.as_ref().is_some_and(super::media::Media::hears_caller);
        if let Some(limits) = &mut self.limits {
            limits.set_receiving(now, false);
            limits.set_receiving(now, receiving);
        }
        self.note_move(now, "referred");
    }

    /// The target did not come: the peer is told, the conversation goes on as it was.
    pub(super) fn move_failed(&mut self, _now: Instant, end: LegEnd) {
        let Some(session) = self.moving.take() else { return };
        let status = match end {
            LegEnd::Refused(status) if (300..700).contains(&status) => status,
            _ => 480,
        };
        self.sip(UaCommand::NotifyRefer { session, status });
    }

    fn note_move(&mut self, now: Instant, how: &'static str) {
        self.moves += 1;
        if let Some(record) = &mut self.record {
            record.cdr.moves += 1;
        }
        self.note(CallEvent::Moved(how));
        self.intent(now, Intent::AddContext(MOVED.to_owned()));
    }

    /// The peer says that somebody else is on the line (RFC 4916, XFR-09), as far as its trunk is believed.
    pub(super) fn identity_changed(&mut self, now: Instant, request: &Message) {
        let Some(trunk) = self.trunk.clone() else { return };
        let info = caller(&trunk, request);
        if (&info.number, &info.name, info.withheld)
            == (&self.caller_info.number, &self.caller_info.name, self.caller_info.withheld)
        {
            return;
        }
        let number = info.number.clone();
        // What came with the INVITE (forwarding, headers) stays; whoever vouched for the first caller did not vouch for this one.
        self.caller_info = CallerInfo {
            number: info.number,
            name: info.name,
            withheld: info.withheld,
            attestation: info.attestation,
            ..std::mem::take(&mut self.caller_info)
        };
        if let Some(record) = &mut self.record {
            record.cdr.caller.clone_from(number.expose());
        }
        self.note(CallEvent::CallerChanged(number));
        self.intent(now, Intent::AddContext(MOVED.to_owned()));
        self.tell_caller_data(now);
    }

    /// Gives the model what the dialplan lists of the caller's data.
    pub(super) fn tell_caller_data(&mut self, now: Instant) {
        if let Some(data) = super::caller_data::block(&self.plan.caller_info, &self.caller_info) {
            self.intent(now, Intent::AddContext(data));
        }
    }
}

/// Whether one of the patterns (`sip:*@pbx.example.com`, `sip:2*@10.0.0.5`) fits the whole URI, without its parameters. A `*`
/// stands for any characters of the user part, and for nothing of the host. URI headers never pass: they would reach into
/// our INVITE.
pub(super) fn allows(patterns: &[String], uri: &Uri) -> bool {
    let text = uri.as_str();
    if text.contains(['?', '%', '<', '>', '"']) {
        return false;
    }
    let text = text.split(';').next().unwrap_or_default().to_ascii_lowercase();
    patterns.iter().any(|pattern| fits(&pattern.to_ascii_lowercase(), &text))
}

fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) else { return false };
    // What stands for the star is of the user part: an `@` in it would move the host.
    !rest.is_empty() && !rest.contains(['@', ':', '/'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// XFR-06, A15: the target of an inbound REFER must be listed; nothing else passes, however it is written.
    #[test]
    fn patterns() {
        let uri = |text: &str| Uri::parse(text).expect(text);
        let list = ["sip:*@pbx.example.com".to_owned(), "sip:2*@10.0.0.5".to_owned(), "tel:+4930*".to_owned()];
        for yes in
            ["sip:100@pbx.example.com", "SIP:100@PBX.example.com;user=phone", "sip:21@10.0.0.5", "tel:+4930123456"]
        {
            assert!(allows(&list, &uri(yes)), "{yes}");
        }
        for no in [
            "sip:100@pbx.example.com.evil.example",
            "sip:100@evil.example",
            "sip:31@10.0.0.5",
            "sips:100@pbx.example.com",
            "sip:pbx.example.com",
            "sip:+88299@pbx.example.com?Replaces=x",
            "sip:a%40b@pbx.example.com",
            "tel:+88212345",
            "tel:+4930",
        ] {
            assert!(!allows(&list, &uri(no)), "{no}");
        }
        assert!(!allows(&[], &uri("sip:100@pbx.example.com")), "no list, no REFER");
    }
}
