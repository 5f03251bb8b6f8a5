//! The session timer of a dialog (RFC 4028): negotiated in each INVITE and UPDATE, refreshed or watched. TIM-01 to TIM-05.
//!
//! A refresh is an UPDATE without SDP where the peer allows UPDATE, else a re-INVITE with the SDP that we sent last, unchanged. The owner is
//! not asked. One that a re-INVITE of ours or a glare keeps waiting goes its way as any re-INVITE does (`reinvite`).

use super::{Phase, Session, causes};
use crate::sip::Flow;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::session_timer::{self, Agreed, Answer};
use crate::sip::timers::Timer;
use crate::sip::transaction::Purpose;
use crate::sip::user_agent::SessionEnd;
use crate::sip::user_agent::core::Core;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// A refused refresh, or one that finds a re-INVITE under way, is tried again after this part of the interval.
const AGAIN: u32 = 16;
/// A peer that goes on raising its Min-SE is not followed for ever.
const MOST_RAISES: u8 = 4;

#[derive(Debug, Default)]
pub(super) struct Refresh {
    agreed: Option<Agreed>,
    /// The largest Min-SE of a 422 to our requests.
    raised: u32,
    raises: u8,
    /// Allow of the peer names UPDATE.
    updates: bool,
    /// Client transaction of an UPDATE of ours.
    update: Option<u64>,
    /// The SDP that we sent last and that holds.
    pub local_sdp: Option<Bytes>,
    /// The peer's last answer to an offer of ours.
    pub answer: Option<Bytes>,
}

// What the requests and responses say.
impl Session {
    /// Allow of any message of the peer.
    pub(super) fn learn_allow(&mut self, message: &Message) {
        if message.value(&Name::Allow).is_some() {
            self.refresh.updates = message.has_token(&Name::Allow, "UPDATE");
        }
    }

    /// The Min-SE of the 422 that the peer's INVITE or UPDATE deserves.
    pub(super) fn interval_too_small(&self, core: &Core, request: &Message) -> Option<u32> {
        match session_timer::answer(&core.trunk(self.trunk).timer, request, self.refresh.agreed) {
            Answer::TooSmall(min_se) => Some(min_se),
            Answer::Off | Answer::On { .. } => None,
        }
    }

    /// Headers of the 2xx to the peer's INVITE or UPDATE; the timer starts anew.
    pub(super) fn agree_timer(&mut self, core: &mut Core, now: Instant, request: &Message) -> Vec<(Name, String)> {
        self.learn_allow(request);
        let answer = session_timer::answer(&core.trunk(self.trunk).timer, request, self.refresh.agreed);
        self.refresh.agreed = match answer {
            Answer::On { agreed, .. } => Some(agreed),
            Answer::Off | Answer::TooSmall(_) => None,
        };
        self.run_timer(core, now);
        answer.headers()
    }

    /// Headers of a re-INVITE or UPDATE of ours.
    pub(super) fn ask_timer(&self, core: &Core) -> Vec<(Name, String)> {
        session_timer::ask(&core.trunk(self.trunk).timer, self.refresh.agreed, self.refresh.raised)
    }

    /// The 2xx to an INVITE or UPDATE of ours.
    pub(super) fn timer_agreed(&mut self, core: &mut Core, now: Instant, response: &Message) {
        self.learn_allow(response);
        self.refresh.raises = 0;
        self.refresh.agreed = session_timer::agreed(&core.trunk(self.trunk).timer, response, self.refresh.agreed);
        self.run_timer(core, now);
    }

    /// A 422 to a request of ours. `true`: it is to be sent again.
    pub(super) fn timer_raised(&mut self, refusal: &Message) -> bool {
        let raised = session_timer::raised(refusal, self.refresh.raised);
        let Some(min_se) = raised.filter(|_| self.refresh.raises < MOST_RAISES) else { return false };
        self.refresh.raises += 1;
        self.refresh.raised = min_se;
        true
    }

    fn run_timer(&mut self, core: &mut Core, now: Instant) {
        core.stop(self.id, Timer::Refresh);
        core.stop(self.id, Timer::SessionExpiry);
        let Some(agreed) = self.refresh.agreed.filter(|_| !matches!(self.phase, Phase::Mortal)) else { return };
        core.start(now, self.id, Timer::SessionExpiry, agreed.expires_after());
        if agreed.refresher == session_timer::Refresher::Us {
            core.start(now, self.id, Timer::Refresh, agreed.refresh_after());
        }
    }
}

// The timers.
impl Session {
    /// Half the interval has passed, or a refresh is to be tried again.
    pub(super) fn refresh_due(&mut self, core: &mut Core, now: Instant) {
        // What is under way refreshes as well, when it succeeds.
        let under_way = self.own_reinvite.is_some() || self.refresh.update.is_some();
        if under_way || !matches!(self.phase, Phase::Established) {
            return self.refresh_again(core, now);
        }
        match self.refresh.updates {
            true => self.send_update(core, now),
            false => self.refresh_by_reinvite(core, now),
        }
    }

    fn refresh_again(&self, core: &mut Core, now: Instant) {
        if let Some(agreed) = self.refresh.agreed {
            let after = Duration::from_secs(agreed.secs.into()) / AGAIN;
            core.start(now, self.id, Timer::Refresh, after);
        }
    }

    fn send_update(&mut self, core: &mut Core, now: Instant) {
        let Some(dialog) = &self.dialog else { return };
        let mut headers = vec![
            (Name::Contact, core.contact(self.trunk, dialog.flow)),
            (Name::Allow, core.allow(self.trunk)),
            (Name::Supported, core.supported(self.trunk)),
        ];
        headers.extend(self.ask_timer(core));
        let sent = self.send(core, now, Method::Update, Purpose::Update, &headers, None);
        self.refresh.update = sent.map(|(tx, _)| tx);
    }

    /// An UPDATE of ours goes on in another transaction.
    pub(super) fn update_goes_on(&mut self, old: u64, new: u64) {
        if self.refresh.update == Some(old) {
            self.refresh.update = Some(new);
        }
    }

    pub(super) fn update_response(&mut self, core: &mut Core, now: Instant, flow: Flow, message: &Message, tx: u64) {
        let Some(status @ 200..) = message.status() else { return };
        if self.refresh.update.take_if(|update| *update == tx).is_none() || matches!(self.phase, Phase::Mortal) {
            return;
        }
        match status {
            200..=299 => {
                if let Some(dialog) = &mut self.dialog {
                    dialog.refresh(message, flow);
                }
                self.timer_agreed(core, now, message);
            }
            408 | 481 => self.lost_peer(core, now, status, message.reasons()),
            422 if self.timer_raised(message) => self.send_update(core, now),
            // It said otherwise in Allow, or UPDATE is not for this.
            405 | 420 | 501 => {
                self.refresh.updates = false;
                self.refresh_due(core, now);
            }
            _ => self.refresh_again(core, now),
        }
    }

    /// A re-INVITE of ours that was to refresh was refused; the timer goes on.
    pub(super) fn refresh_refused(&self, core: &mut Core, now: Instant) {
        if self.refresh.agreed.is_some_and(|agreed| agreed.refresher == session_timer::Refresher::Us) {
            self.refresh_again(core, now);
        }
    }

    /// Nobody refreshed in time (§10).
    pub(super) fn session_expired(&mut self, core: &mut Core, now: Instant) {
        let reason = causes::session_expired();
        self.ack_without_answer(core, now);
        self.bye(core, now, Some(&reason));
        self.finish(core, now, SessionEnd::Failed { status: 408, reason: vec![reason] });
    }
}
