//! REFER of the peer, where the trunk may send them: the owner decides, the peer hears how it goes (RFC 3515, 4488, 6665). XFR-06.

use super::{Phase, Session};
use crate::sip::builder::standard_phrase;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::timers::Timer;
use crate::sip::transaction::Purpose;
use crate::sip::user_agent::UaEvent;
use crate::sip::user_agent::core::Core;
use std::time::{Duration, Instant};

/// The owner's time to answer: well within the peer's timer F.
const ANSWER_LIMIT: Duration = Duration::from_secs(16);
/// How long the subscription lasts without a final status.
const SUBSCRIPTION: Duration = Duration::from_secs(180);

/// The last REFER of the peer.
#[derive(Debug)]
pub(super) struct Referred {
    /// Its CSeq when it was not the first one: the `id` of its NOTIFYs (RFC 3515 §2.4.6).
    id: Option<u32>,
    /// The peer wants NOTIFYs (RFC 4488).
    subscribed: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The owner thinks.
    Asked {
        tx: u64,
        request: Box<Message>,
    },
    /// Accepted; the subscription lasts until then.
    Trying {
        until: Instant,
    },
    Over,
}

impl Session {
    pub(super) fn peer_refer(&mut self, core: &mut Core, now: Instant, tx: u64, request: &Message) {
        // A15: default deny.
        if !core.trunk(self.trunk).refer || !matches!(self.phase, Phase::Established) {
            return self.reply(core, now, tx, request, 603, &[]);
        }
        let Some(Ok(to)) = request.address(&Name::ReferTo) else {
            return self.reply(core, now, tx, request, 400, &[]);
        };
        let invites = to.uri.param("method").flatten().is_none_or(|method| method.eq_ignore_ascii_case("INVITE"));
        if !matches!(to.uri.scheme(), "sip" | "sips" | "tel") || !invites {
            return self.reply(core, now, tx, request, 603, &[]);
        }
        if self.referred.as_ref().is_some_and(|referred| !matches!(referred.state, State::Over)) {
            return self.reply(core, now, tx, request, 491, &[]);
        }
        let subscribed = !request.value(&refer_sub()).is_some_and(|sub| sub.trim().eq_ignore_ascii_case("false"));
        let cseq = request.cseq().and_then(Result::ok).map(|cseq| cseq.number);
        let state = State::Asked { tx, request: Box::new(request.clone()) };
        self.referred = Some(Referred { id: cseq.filter(|_| self.referred.is_some()), subscribed, state });
        core.start(now, self.id, Timer::ReferAnswer, ANSWER_LIMIT);
        let referred_by = request.value(&Name::ReferredBy);
        core.event(UaEvent::ReferRequested { session: self.id, refer_to: to.uri, referred_by });
    }

    /// The owner's answer.
    pub fn answer_refer(&mut self, core: &mut Core, now: Instant, status: u16) {
        let Some(referred) = &mut self.referred else { return };
        let until = now + SUBSCRIPTION;
        let accepted = (200..300).contains(&status);
        let next = if accepted { State::Trying { until } } else { State::Over };
        let (tx, request) = match std::mem::replace(&mut referred.state, next) {
            State::Asked { tx, request } => (tx, request),
            other => {
                referred.state = other;
                return;
            }
        };
        let subscribed = referred.subscribed;
        core.stop(self.id, Timer::ReferAnswer);
        if !accepted {
            let status = if (300..=699).contains(&status) { status } else { 603 };
            return self.reply(core, now, tx, &request, status, &[]);
        }
        let mut headers = Vec::new();
        if let Some(dialog) = &self.dialog {
            headers.push((Name::Contact, core.contact(self.trunk, dialog.flow)));
        }
        if !subscribed {
            headers.push((refer_sub(), "false".to_owned()));
        }
        self.reply(core, now, tx, &request, 202, &headers);
        if subscribed {
            core.start(now, self.id, Timer::ReferSubscription, SUBSCRIPTION);
        }
        self.notify_refer(core, now, 100);
    }

    /// How the referred call goes; a final status ends the subscription.
    pub fn notify_refer(&mut self, core: &mut Core, now: Instant, status: u16) {
        let Some(Referred { id, subscribed, state }) = &mut self.referred else { return };
        let (State::Trying { until }, 100..=699) = (&*state, status) else { return };
        let left = until.saturating_duration_since(now).as_secs();
        let id = id.map(|id| format!(";id={id}")).unwrap_or_default();
        let subscription = match status {
            ..200 => format!("active;expires={left}"),
            _ => "terminated;reason=noresource".to_owned(),
        };
        if status >= 200 {
            *state = State::Over;
            core.stop(self.id, Timer::ReferSubscription);
        }
        if *subscribed {
            self.send_notify(core, now, &id, subscription, status);
        }
    }

    fn send_notify(&mut self, core: &mut Core, now: Instant, id: &str, subscription: String, status: u16) {
        let Some(dialog) = &self.dialog else { return };
        let headers = [
            (Name::Contact, core.contact(self.trunk, dialog.flow)),
            (Name::Event, format!("refer{id}")),
            (Name::SubscriptionState, subscription),
        ];
        let fragment = format!("SIP/2.0 {status} {}\r\n", standard_phrase(status));
        let body = Some(("message/sipfrag;version=2.0", fragment.into_bytes()));
        self.send(core, now, Method::Notify, Purpose::Notify, &headers, body);
    }

    /// The peer knows no such subscription (any more), or is silent: the call itself is not touched (RFC 6665 §4.2.2).
    pub(super) fn notify_failed(&mut self, core: &mut Core) {
        if let Some(referred) = self.referred.as_mut().filter(|r| matches!(r.state, State::Trying { .. })) {
            referred.state = State::Over;
            core.stop(self.id, Timer::ReferSubscription);
        }
    }

    /// The owner never said how it ended.
    pub(super) fn subscription_over(&mut self, core: &mut Core, now: Instant) {
        let Some(referred) = self.referred.as_mut().filter(|r| matches!(r.state, State::Trying { .. })) else { return };
        referred.state = State::Over;
        let id = referred.id.map(|id| format!(";id={id}")).unwrap_or_default();
        self.send_notify(core, now, &id, "terminated;reason=timeout".to_owned(), 100);
    }

    /// The session ends while the owner thinks.
    pub(super) fn refuse_refer(&mut self, core: &mut Core, now: Instant) {
        if let Some(Referred { state: State::Asked { tx, request }, .. }) = self.referred.take() {
            self.reply(core, now, tx, &request, 603, &[]);
        }
    }
}

fn refer_sub() -> Name {
    Name::Other("Refer-Sub".into())
}
