//! What runs when: media after every input; the slow clocks when something happened that they look at, or when one of them is due.
//!
//! A call that talks gets 150 inputs a second, and hardly one concerns its limits, tools or transfers: looking at them each time took more
//! time than the audio.

use super::link::Socket;
use super::machine::{Call, Phase};
use super::media::Media;
use std::time::{Duration, Instant};

/// The slow clocks run this often whatever happens.
const POLL: Duration = Duration::from_millis(100);
/// Runs after something happened: what one clock changes, those before it see in the next run.
const RUNS: u8 = 2;

/// When the slow clocks run next.
#[derive(Debug)]
pub(super) struct Clocks {
    /// Runs that are owed.
    stirred: u8,
    poll_at: Option<Instant>,
    /// The earliest deadline of a slow clock, as of its last run.
    due: Option<Instant>,
    /// The last input was media and nothing else: `due` still holds.
    plain: bool,
}

impl Default for Clocks {
    fn default() -> Clocks {
        Clocks { stirred: RUNS, poll_at: None, due: None, plain: false }
    }
}

impl Clocks {
    /// Something happened that a slow clock may look at.
    pub fn stir(&mut self) {
        self.stirred = RUNS;
    }

    fn is_quiet(&self, now: Instant) -> bool {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        self.stirred == 0 && self.poll_at.is_some() && !passed(self.poll_at) && !passed(self.due)
    }
}

impl Call {
    /// Runs everything that is due.
    pub(super) fn advance(&mut self, now: Instant) {
        self.realtime_clock(now);
        self.receive(now);
        self.leg_receive(now);
        self.relay(now);
        self.pump(now);
        self.clocks.plain = self.is_plain() && self.clocks.is_quiet(now);
        if self.clocks.plain {
            return self.filler_clock(now);
        }
        self.clocks.stirred = self.clocks.stirred.saturating_sub(1);
        self.greet(now);
        self.digit_clock(now);
        self.tool_clock(now);
        self.limit_clock(now);
        self.silence_clock(now);
        self.leg_clock(now);
        self.transfer_clock(now);
        self.bridge_clock(now);
        self.one_way_clock(now);
        self.farewell_clock(now);
        self.filler_clock(now);
        self.pump(now);
        self.clocks.poll_at = Some(now + POLL);
        self.clocks.due = self.slow_timeout(now);
    }

    /// Caller and agent talk, and nothing else is going on.
    fn is_plain(&self) -> bool {
        matches!(self.phase, Phase::Talking)
            && self.transfer.is_none()
            && self.leg.is_none()
            && self.leg_wish.is_none()
            && !self.tools.is_busy()
    }

    pub(super) fn timeout(&self, now: Instant) -> Option<Instant> {
        let opening = match self.socket {
            Socket::Opening { deadline } => Some(deadline),
            _ => None,
        };
        let slow = if self.clocks.plain { self.clocks.due } else { self.slow_timeout(now) };
        let media = self.media.as_ref().and_then(Media::timeout);
        [opening, self.session_timeout, media, slow, self.filler.timeout(now)].into_iter().flatten().min()
    }

    fn slow_timeout(&self, now: Instant) -> Option<Instant> {
        let last_heard = self.media.as_ref().and_then(|m| m.rtp.receiver.last_heard());
        [
            self.digits.timeout().filter(|_| self.takes_digits()),
            self.tools.timeout(),
            self.limits.as_ref().and_then(|l| l.timeout(last_heard)),
            self.silence.timeout(),
            self.transfer_timeout(now),
            self.leg_timeout(),
            self.farewell_timeout(now),
            self.one_way_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
