//! Caller and callee joined here: audio and keys both ways, the agent gone, the limits still holding (XFR-05).
//!
//! Each side's receiver feeds the other side's downlink through a `relay`, on that side's own packet clock. Who holds is
//! silence to the other; who hangs up ends both.

use super::CallEnd;
use super::digits::key_of_event;
use super::downlink::Downlink;
use super::end::Cause;
use super::leg::LegEnd;
use super::machine::{Call, Phase};
use super::media::Media;
use crate::observe::cdr::EndedBy;
use crate::rtp::receiver::Received;
use crate::sip::user_agent::UaCommand;
use std::time::Instant;

/// Whom something goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Caller,
    Callee,
}

impl Call {
    /// Both are here: the agent leaves, they hear each other.
    pub(super) fn bridge(&mut self, now: Instant) {
        self.interrupt(now);
        // `transferred` tells the session, which is then closed.
        self.transferred(now, "bridged");
        self.pump(now);
        if self.is_ended() {
            return;
        }
        self.leave_session(now);
        self.phase = Phase::Bridged { since: now };
        if let Some(media) = &mut self.media {
            media.uplink.stop();
            media.downlink.bridge();
        }
        if let Some(leg) = &mut self.leg {
            if let Some(media) = &mut leg.media {
                media.downlink.bridge();
            }
            if let Some(limits) = &mut leg.limits {
                let receiving = leg.media.as_ref().is_some_and(Media::hears_caller);
                limits.set_receiving(now, false);
                limits.set_receiving(now, receiving);
            }
        }
    }

    /// The agent's work is done: its tokens are counted, its connection is closed.
    fn leave_session(&mut self, now: Instant) {
        self.abandon_tools(now);
        self.close_socket();
        if let (Some(session), Some(record)) = (self.session.take(), &mut self.record) {
            record.cdr.tokens = session.usage().into();
        }
        (self.ready, self.response_active, self.caller_speaks) = (false, false, false);
        self.session_timeout = None;
    }

    /// What came from either side goes to the other.
    pub(super) fn relay(&mut self, now: Instant) {
        if !self.is_bridged() {
            return;
        }
        let Some(caller) = &mut self.media else { return };
        let Some(callee) = self.leg.as_mut().and_then(|leg| leg.media.as_mut()) else { return };
        let to_callee = forward(now, caller, &mut callee.downlink);
        let to_caller = forward(now, callee, &mut caller.downlink);
        for key in to_callee {
            self.relay_key(key, Side::Callee);
        }
        for key in to_caller {
            self.relay_key(key, Side::Caller);
        }
    }

    /// A key as RFC 4733 event, else by INFO (DTM-01).
    pub(super) fn relay_key(&mut self, key: char, to: Side) {
        let (session, media) = match to {
            Side::Caller => (Some(self.id), self.media.as_mut()),
            Side::Callee => match &mut self.leg {
                Some(leg) => (Some(leg.session), leg.media.as_mut()),
                None => (None, None),
            },
        };
        let mut text = [0; 4];
        if media.is_some_and(|media| media.downlink.send_digits(key.encode_utf8(&mut text))) {
            return;
        }
        if let Some(session) = session {
            let body = format!("Signal={key}\r\nDuration=100\r\n").into_bytes();
            self.sip(UaCommand::Info { session, content_type: "application/dtmf-relay".to_owned(), body });
        }
    }

    /// The callee is gone: so is the call.
    pub(super) fn bridge_over(&mut self, now: Instant, end: LegEnd) {
        let end = match end {
            LegEnd::HungUp => CallEnd::new(EndedBy::Target, Cause::Bridged),
            LegEnd::Broken(status) | LegEnd::Refused(status) => CallEnd::new(EndedBy::Fault, Cause::SipFailed(status)),
        };
        self.hang_up(now, end);
    }

    /// The callee's line is dead (RTP-10). The caller's is watched by `limit_clock`.
    pub(super) fn bridge_clock(&mut self, now: Instant) {
        if !self.is_bridged() {
            return;
        }
        let Some(leg) = &mut self.leg else { return };
        let last_heard = leg.media.as_ref().and_then(|media| media.rtp.receiver.last_heard());
        if leg.limits.as_mut().is_some_and(|limits| limits.media_is_due(now, last_heard)) {
            self.hang_up(now, CallEnd::new(EndedBy::Fault, Cause::NoMedia));
        }
    }
}

/// Audio of `from` into `to`; its keys are given back.
fn forward(now: Instant, from: &mut Media, to: &mut Downlink) -> Vec<char> {
    // Hold music of one side is not for the other (SDP-08).
    let hears = from.hears_caller();
    let Media { rtp, params, passed, passed_lost, .. } = from;
    let mut keys = Vec::new();
    while let Some(received) = rtp.receiver.poll(now) {
        match received {
            Received::Audio { payload_type, payload, lost_before, .. } if hears => {
                if let Some(codec) = Media::codec_of(params, payload_type) {
                    *passed += u64::from(codec.ticks(payload));
                    *passed_lost += u64::from(lost_before);
                    to.relay(codec, payload, lost_before);
                }
            }
            Received::Digit { event, .. } => keys.extend(key_of_event(event)),
            Received::Audio { .. } | Received::ComfortNoise { .. } => {}
        }
    }
    keys
}
