//! Our REFER and the NOTIFYs of its subscription (RFC 3515, 4488, 6665). A 202 is no success (XFR-02).

use super::{Phase, Session};
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::refer::{SubscriptionState, sipfrag_status};
use crate::sip::timers::Timer;
use crate::sip::transaction::Purpose;
use crate::sip::user_agent::core::Core;
use crate::sip::user_agent::{ReferOutcome, UaEvent};
use std::time::{Duration, Instant};

/// XFR-03: so long without the first NOTIFY.
const FIRST_NOTIFY: Duration = Duration::from_secs(30);
/// Bounds of the wait for the next one, from the subscription's `expires` (a target may ring for long).
const NEXT_NOTIFY_SECS: (u32, u32) = (30, 180);
const NEXT_NOTIFY_DEFAULT_SECS: u32 = 60;

/// The last REFER of the session.
#[derive(Debug)]
pub(super) struct Refer {
    cseq: u32,
    /// The final outcome was told; late NOTIFYs are only answered.
    done: bool,
    /// A NOTIFY came: the REFER's own 2xx is no news any more.
    notified: bool,
}

impl Session {
    /// Sends a REFER with this Refer-To. One at a time.
    pub fn refer(&mut self, core: &mut Core, now: Instant, refer_to: &str, referred_by: Option<&str>) {
        let busy = self.refer.as_ref().is_some_and(|refer| !refer.done);
        match self.phase {
            Phase::Mortal => return,
            Phase::Established if !busy => {}
            _ => return self.tell_refer(core, ReferOutcome::Refused(491)),
        }
        let mut headers = vec![(Name::ReferTo, refer_to.to_owned())];
        if let Some(by) = referred_by {
            headers.push((Name::ReferredBy, by.to_owned()));
        }
        if let Some(dialog) = &self.dialog {
            headers.push((Name::Contact, core.contact(self.trunk, dialog.flow)));
        }
        if let Some((_, cseq)) = self.send(core, now, Method::Refer, Purpose::Refer, &headers, None) {
            self.refer = Some(Refer { cseq, done: false, notified: false });
        }
    }

    /// A REFER that cannot be sent.
    pub fn refuse_own_refer(&self, core: &mut Core, status: u16) {
        if !matches!(self.phase, Phase::Mortal) {
            self.tell_refer(core, ReferOutcome::Refused(status));
        }
    }

    /// Our REFER goes on as another request: its number names the subscription (RFC 3515 §2.4.6).
    pub(super) fn refer_goes_on(&mut self, old: u32, new: u32) {
        if let Some(refer) = self.refer.as_mut().filter(|refer| refer.cseq == old) {
            refer.cseq = new;
        }
    }

    fn tell_refer(&self, core: &mut Core, outcome: ReferOutcome) {
        core.event(UaEvent::Refer { session: self.id, outcome });
    }

    /// The last word about the REFER, once.
    fn close_refer(&mut self, core: &mut Core, outcome: ReferOutcome) {
        if let Some(refer) = self.refer.as_mut().filter(|refer| !refer.done) {
            refer.done = true;
            core.stop(self.id, Timer::ReferNotify);
            self.tell_refer(core, outcome);
        }
    }

    pub(super) fn refer_response(&mut self, core: &mut Core, now: Instant, message: &Message, status: u16) {
        let open = self.refer.as_ref().is_some_and(|refer| {
            !refer.done && message.cseq().is_some_and(|c| c.is_ok_and(|c| c.number == refer.cseq))
        });
        match status {
            100..=199 => {}
            200..=299 if open => {
                let notified = self.refer.as_ref().is_some_and(|refer| refer.notified);
                self.tell_refer(core, ReferOutcome::Accepted);
                let no_subscription = message
                    .value(&Name::Other("Refer-Sub".into()))
                    .is_some_and(|v| v.trim().eq_ignore_ascii_case("false"));
                if no_subscription {
                    self.close_refer(core, ReferOutcome::Unknown);
                } else if !notified {
                    core.start(now, self.id, Timer::ReferNotify, FIRST_NOTIFY);
                }
            }
            200..=299 => {}
            _ => {
                if open {
                    self.refer_refused(core, status);
                }
                if matches!(status, 408 | 481) {
                    self.lost_peer(core, now, status, message.reasons());
                }
            }
        }
    }

    pub(super) fn refer_refused(&mut self, core: &mut Core, status: u16) {
        self.close_refer(core, ReferOutcome::Refused(status));
    }

    pub(super) fn refer_overdue(&mut self, core: &mut Core) {
        self.close_refer(core, ReferOutcome::Unknown);
    }

    /// The session ends before the last NOTIFY.
    pub(super) fn unknown_refer(&mut self, core: &mut Core) {
        self.close_refer(core, ReferOutcome::Unknown);
    }

    pub(super) fn peer_notify(&mut self, core: &mut Core, now: Instant, tx: u64, notify: &Message) {
        let event = notify.value(&Name::Event).unwrap_or_default();
        let mut parts = event.split(';').map(str::trim);
        if !parts.next().is_some_and(|package| package.eq_ignore_ascii_case("refer")) {
            return self.reply(core, now, tx, notify, 489, &[(Name::Other("Allow-Events".into()), "refer".into())]);
        }
        let id = parts.find_map(|part| part.strip_prefix("id=")).map(str::to_owned);
        let Some(refer) = self.refer.as_mut().filter(|refer| id.is_none_or(|id| id.parse() == Ok(refer.cseq))) else {
            return self.reply(core, now, tx, notify, 481, &[]);
        };
        refer.notified = true;
        let done = refer.done;
        self.reply(core, now, tx, notify, 200, &[]);
        if done {
            return;
        }
        let state = notify.subscription_state().and_then(Result::ok);
        let over = state.as_ref().is_some_and(SubscriptionState::is_terminated);
        match sipfrag_status(notify.body()) {
            Some(status @ 200..) => return self.close_refer(core, ReferOutcome::Final(status)),
            Some(status) if !over => self.tell_refer(core, ReferOutcome::Progress(status)),
            _ => {}
        }
        if over {
            return self.close_refer(core, ReferOutcome::Unknown);
        }
        let expires = state.and_then(|state| state.expires).unwrap_or(NEXT_NOTIFY_DEFAULT_SECS);
        let wait = u64::from(expires.clamp(NEXT_NOTIFY_SECS.0, NEXT_NOTIFY_SECS.1));
        core.start(now, self.id, Timer::ReferNotify, Duration::from_secs(wait));
    }
}
