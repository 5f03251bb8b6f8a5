//! Timers: the letters of RFC 3261 table 4 and RFC 6026 §8.4, the core's own ones, and one table of absolute deadlines.
//!
//! In: `set` and `stop` of `(owner, timer)`. Out: `pop_due(now)` in deadline order, `next()`. O(log n) each; a stopped timer
//! leaves nothing behind, so the table's length is the number of running timers (leak test).

use super::user_agent::SessionId;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// The three base times (RFC 3261 table 4).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub t1: Duration,
    pub t2: Duration,
    pub t4: Duration,
}

impl Default for Times {
    fn default() -> Times {
        Times { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Times {
    /// 64*T1: timers B, D, F, H, J, L, M, and how long the core waits for an ACK or for the final response to a CANCEL.
    pub fn t1_64(&self) -> Duration {
        self.t1 * 64
    }
}

/// Every timer there is. C belongs to proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// INVITE retransmission (UDP).
    A,
    /// INVITE transaction time-out.
    B,
    /// Wait for response copies after a non-2xx (UDP).
    D,
    /// Non-INVITE retransmission (UDP).
    E,
    /// Non-INVITE transaction time-out.
    F,
    /// Non-2xx final retransmission (UDP).
    G,
    /// Wait for the ACK of a non-2xx.
    H,
    /// Wait for ACK copies (UDP).
    I,
    /// Wait for request copies (UDP).
    J,
    /// Wait for response copies (UDP).
    K,
    /// Server: wait for INVITE copies after a 2xx (RFC 6026).
    L,
    /// Client: wait for further 2xx (RFC 6026).
    M,
    /// Core: repeat a 2xx until its ACK (RFC 3261 §13.3.1.4).
    OkRepeat,
    /// Core: no ACK for a 2xx (RFC 3261 §13.3.1.4).
    OkLimit,
    /// Core: repeat the last 18x each minute (RFC 3261 §13.3.1.1).
    RingRepeat,
    /// Core: back-off after 491 (RFC 3261 §14.1).
    Glare,
    /// Core: an own re-INVITE that got a 1xx and nothing more.
    ReinviteLimit,
    /// Core: no final response after our CANCEL or BYE (RFC 3261 §9.1).
    CancelLimit,
    /// Core: the owner gave no answer for the ACK of a late offer.
    AnswerLimit,
    /// Core: no NOTIFY for our REFER.
    ReferNotify,
    /// Core: the owner gave no answer to a REFER of the peer.
    ReferAnswer,
    /// Core: the subscription of a REFER of the peer ends.
    ReferSubscription,
    /// Core: our refresh of the session is due (RFC 4028 §7.4).
    Refresh,
    /// Core: nobody refreshed the session (RFC 4028 §10).
    SessionExpiry,
    /// Core: repeat a reliable provisional response until its PRACK (RFC 3262 §3).
    ReliableRepeat,
    /// Core: no PRACK for it.
    ReliableLimit,
    /// Core: our call was not answered for as long as its owner wants to wait.
    RingLimit,
    /// Core: the next try of our INVITE is due (RFC 3261 §8.1.3.5).
    InviteAgain,
}

/// Every timer of the core, so that an ending session can stop them all.
pub(crate) const SESSION_TIMERS: [Timer; 16] = [
    Timer::RingLimit,
    Timer::InviteAgain,
    Timer::OkRepeat,
    Timer::OkLimit,
    Timer::RingRepeat,
    Timer::Glare,
    Timer::ReinviteLimit,
    Timer::CancelLimit,
    Timer::AnswerLimit,
    Timer::ReferNotify,
    Timer::ReferAnswer,
    Timer::ReferSubscription,
    Timer::Refresh,
    Timer::SessionExpiry,
    Timer::ReliableRepeat,
    Timer::ReliableLimit,
];

/// Whose timer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Owner {
    Client(u64),
    Server(u64),
    Session(SessionId),
}

/// The running timers.
#[derive(Debug, Default)]
pub(crate) struct TimerTable {
    /// `serial` keeps timers of one instant in the order they were set.
    due: BTreeSet<(Instant, u64, Owner, Timer)>,
    running: HashMap<(Owner, Timer), (Instant, u64)>,
    serial: u64,
}

impl TimerTable {
    /// Starts or restarts a timer.
    pub fn set(&mut self, owner: Owner, timer: Timer, at: Instant) {
        self.stop(owner, timer);
        self.serial += 1;
        self.due.insert((at, self.serial, owner, timer));
        self.running.insert((owner, timer), (at, self.serial));
    }

    pub fn stop(&mut self, owner: Owner, timer: Timer) {
        if let Some((at, serial)) = self.running.remove(&(owner, timer)) {
            self.due.remove(&(at, serial, owner, timer));
        }
    }

    pub fn is_running(&self, owner: Owner, timer: Timer) -> bool {
        self.running.contains_key(&(owner, timer))
    }

    /// Takes the first timer whose deadline is not after `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Owner, Timer)> {
        let &(at, _, owner, timer) = self.due.first()?;
        if at > now {
            return None;
        }
        self.stop(owner, timer);
        Some((owner, timer))
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.due.first().map(|d| d.0)
    }

    pub fn len(&self) -> usize {
        self.due.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_order_restart_and_stop() {
        let t0 = crate::net::clock::now();
        let at = |ms| t0 + Duration::from_millis(ms);
        let mut table = TimerTable::default();
        table.set(Owner::Client(1), Timer::A, at(30));
        table.set(Owner::Client(1), Timer::B, at(10));
        table.set(Owner::Server(1), Timer::G, at(10));
        table.set(Owner::Client(1), Timer::A, at(20));
        table.set(Owner::Server(2), Timer::H, at(5));
        table.stop(Owner::Server(2), Timer::H);
        assert_eq!((table.len(), table.next()), (3, Some(at(10))));
        assert_eq!(table.pop_due(at(9)), None);
        let fired: Vec<_> = std::iter::from_fn(|| table.pop_due(at(25))).collect();
        assert_eq!(fired, [(Owner::Client(1), Timer::B), (Owner::Server(1), Timer::G), (Owner::Client(1), Timer::A)]);
        assert_eq!((table.len(), table.next(), table.running.len()), (0, None, 0));
    }
}
