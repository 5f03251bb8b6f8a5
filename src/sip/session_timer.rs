//! Session timers (RFC 4028): what both sides ask for, who refreshes, and when.
//!
//! In: a trunk's [`TimerPolicy`], requests and responses with Session-Expires, Min-SE, Supported. Out: what was [`Agreed`], the
//! headers that say so, a refusal (422). The running timers are `invite_session::refresh`'s.

use super::headers::{HeaderError, Name};
use super::lexer;
use super::message::Message;
use std::time::Duration;

/// The smallest interval there is, seconds (§4).
const MIN_SE: u32 = 90;
/// Below this many seconds we do not refresh, whatever a 2xx says.
const SHORTEST_REFRESHED: u32 = 10;
/// What a party that does not refresh leaves the other at most to come through (§10), seconds.
const GRACE: u32 = 32;

/// What a trunk wants of session timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerPolicy {
    pub mode: TimerMode,
    /// Session-Expires that we ask for where we ask.
    pub expires: Duration,
    /// Smallest that we take: 422 below. Never under 90 s.
    pub min_se: Duration,
    /// Whom we want to refresh, where it is ours to choose.
    pub refresher: Refresher,
}

impl Default for TimerPolicy {
    fn default() -> TimerPolicy {
        TimerPolicy {
            mode: TimerMode::Accept,
            expires: Duration::from_secs(1800),
            min_se: Duration::from_secs(90),
            refresher: Refresher::Peer,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerMode {
    /// Not in Supported; what is asked for is ignored.
    Off,
    /// Done when the peer asks for it.
    Accept,
    /// Asked for by us too, in 2xx (of a peer that supports it, or alone) and in our INVITEs.
    Offer,
}

/// Seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    Us,
    Peer,
}

/// Session-Expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    pub secs: u32,
    pub refresher: Option<Role>,
}

/// A refresher as Session-Expires names it: by the roles in the transaction that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Uac,
    Uas,
}

impl SessionExpires {
    fn from_value(value: &[u8]) -> Result<SessionExpires, &'static str> {
        let mut pieces = lexer::params(value);
        let Some((secs, None)) = pieces.next() else { return Err("no interval") };
        let secs = lexer::digits(secs).ok_or("an interval that is no number")?;
        let mut read = SessionExpires { secs: u32::try_from(secs).unwrap_or(u32::MAX), refresher: None };
        for (_, value) in pieces.filter(|(name, _)| name.eq_ignore_ascii_case(b"refresher")) {
            read.refresher = match value {
                Some(role) if role.eq_ignore_ascii_case(b"uac") => Some(Role::Uac),
                Some(role) if role.eq_ignore_ascii_case(b"uas") => Some(Role::Uas),
                _ => None,
            };
        }
        Ok(read)
    }
}

impl Message {
    pub fn session_expires(&self) -> Option<Result<SessionExpires, HeaderError>> {
        let value = self.raw_lines(&Name::SessionExpires).next()?;
        Some(SessionExpires::from_value(value).map_err(|why| HeaderError::new(&Name::SessionExpires, why)))
    }

    /// Whether the sender does `timer`.
    fn does_timer(&self) -> bool {
        self.has_token(&Name::Supported, "timer") || self.has_token(&Name::Require, "timer")
    }
}

/// A session timer that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub secs: u32,
    pub refresher: Refresher,
}

impl Agreed {
    /// When the refresher sends its refresh: half the interval (§7.4).
    pub fn refresh_after(self) -> Duration {
        Duration::from_secs(self.secs.into()) / 2
    }

    /// When the session is over without a refresh (§10).
    pub fn expires_after(self) -> Duration {
        let left = match self.refresher {
            Refresher::Us => 0,
            Refresher::Peer => GRACE.min(self.secs / 3),
        };
        Duration::from_secs((self.secs - left).into())
    }
}

/// What a UAS does about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The 2xx says nothing.
    Off,
    /// 422 with this Min-SE.
    TooSmall(u32),
    /// `require`: the peer does `timer` and has to go by the 2xx.
    On { agreed: Agreed, require: bool },
}

impl Answer {
    /// Headers of the 2xx.
    pub fn headers(self) -> Vec<(Name, String)> {
        let Answer::On { agreed: Agreed { secs, refresher }, require } = self else { return Vec::new() };
        let role = match refresher {
            Refresher::Us => "uas",
            Refresher::Peer => "uac",
        };
        let mut headers = vec![(Name::SessionExpires, format!("{secs};refresher={role}"))];
        if require {
            headers.push((Name::Require, "timer".to_owned()));
        }
        headers
    }
}

fn min_se(policy: &TimerPolicy) -> u32 {
    seconds(policy.min_se).max(MIN_SE)
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// UAS (§9): what the 2xx to this INVITE or UPDATE says. `running`: the timer of the dialog so far.
pub(crate) fn answer(policy: &TimerPolicy, request: &Message, running: Option<Agreed>) -> Answer {
    if policy.mode == TimerMode::Off {
        return Answer::Off;
    }
    let (least, does_timer) = (min_se(policy), request.does_timer());
    let Some(Ok(asked)) = request.session_expires() else {
        let floor = request.seconds(&Name::MinSe).and_then(Result::ok).unwrap_or(0).max(least);
        return unasked(policy, running, does_timer, floor);
    };
    if asked.secs < least {
        // Who does not do `timer` cannot be told 422.
        return if does_timer { Answer::TooSmall(least) } else { Answer::Off };
    }
    // Table 2 of §9.
    let refresher = match asked.refresher {
        _ if !does_timer => Refresher::Us,
        Some(Role::Uac) => Refresher::Peer,
        Some(Role::Uas) => Refresher::Us,
        None => running.map_or(policy.refresher, |running| running.refresher),
    };
    Answer::On { agreed: Agreed { secs: asked.secs, refresher }, require: does_timer }
}

/// The request asks for no timer. One that runs goes on where the peer can be told so, or where the refreshes are ours: an UPDATE of
/// the caller's name does not mean that the timer ends.
fn unasked(policy: &TimerPolicy, running: Option<Agreed>, does_timer: bool, floor: u32) -> Answer {
    let agreed = match running {
        Some(running) if does_timer || running.refresher == Refresher::Us => running,
        None if policy.mode == TimerMode::Offer => Agreed {
            secs: seconds(policy.expires),
            refresher: if does_timer { policy.refresher } else { Refresher::Us },
        },
        _ => return Answer::Off,
    };
    Answer::On { agreed: Agreed { secs: agreed.secs.max(floor), ..agreed }, require: does_timer }
}

/// UAC (§7.1, §7.4): the headers of an INVITE or UPDATE of ours. `running`: the timer of the dialog so far; `raised`: the largest
/// Min-SE of a 422 so far, 0 if none.
pub(crate) fn ask(policy: &TimerPolicy, running: Option<Agreed>, raised: u32) -> Vec<(Name, String)> {
    let asked = match (running, policy.mode) {
        (_, TimerMode::Off) => return Vec::new(),
        (Some(running), _) => Some(running),
        (None, TimerMode::Offer) => Some(Agreed { secs: seconds(policy.expires), refresher: policy.refresher }),
        (None, TimerMode::Accept) => None,
    };
    let (least, mut headers) = (min_se(policy).max(raised), Vec::new());
    if let Some(Agreed { secs, refresher }) = asked {
        let role = match refresher {
            Refresher::Us => "uac",
            Refresher::Peer => "uas",
        };
        headers.push((Name::SessionExpires, format!("{};refresher={role}", secs.max(least))));
    }
    if least > MIN_SE {
        headers.push((Name::MinSe, least.to_string()));
    }
    headers
}

/// UAC: Min-SE of a 422, if it asks for more than what was `raised` before; then the request is to be sent again (§7.3).
pub(crate) fn raised(refusal: &Message, raised: u32) -> Option<u32> {
    refusal.seconds(&Name::MinSe).and_then(Result::ok).filter(|min| *min > raised)
}

/// UAC (§7.2): what the 2xx to our request made of it. Without Session-Expires we go on alone where we wanted a timer.
pub(crate) fn agreed(policy: &TimerPolicy, response: &Message, running: Option<Agreed>) -> Option<Agreed> {
    if policy.mode == TimerMode::Off {
        return None;
    }
    match response.session_expires() {
        Some(Ok(SessionExpires { secs, refresher: Some(Role::Uas) })) => {
            Some(Agreed { secs: secs.max(MIN_SE), refresher: Refresher::Peer })
        }
        Some(Ok(SessionExpires { secs, .. })) => {
            Some(Agreed { secs: secs.max(SHORTEST_REFRESHED), refresher: Refresher::Us })
        }
        _ if policy.mode == TimerMode::Offer => {
            let secs = running.map_or(seconds(policy.expires), |running| running.secs);
            Some(Agreed { secs, refresher: Refresher::Us })
        }
        _ => running.filter(|running| running.refresher == Refresher::Us),
    }
}

#[cfg(test)]
mod tests;
