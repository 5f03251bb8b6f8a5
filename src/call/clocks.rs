//! What runs when: media with its own inputs; the slow clocks when something happened that they look at, or when one of them is due.
//!
//! A call that talks gets 150 inputs a second, and hardly one concerns its limits, tools or transfers. And each input concerns one way only: a
//! datagram the caller's audio, a delta the agent's, a timeout whatever is due. With hundreds of calls the time goes into fetching what is
//! looked at from memory, so a *plain* call ([`Call::media_input`]) looks at no more than that; any other input, and whatever it stirs,
//! runs everything ([`Call::advance`]).

use super::Input;
use super::link::Socket;
use super::machine::{Call, Phase};
use super::media::Media;
use std::time::{Duration, Instant};

/// The slow clocks run this often whatever happens.
const POLL: Duration = Duration::from_millis(100);
/// Runs after something happened: what one clock changes, those before it see in the next run.
const RUNS: u8 = 2;

/// When what runs next.
#[derive(Debug)]
pub(super) struct Clocks {
    /// Runs of the slow clocks that are owed.
    stirred: u8,
    /// Caller and agent talk, nothing else goes on, and all that follows holds.
    plain: bool,
    /// The downlink has not yet said that it has no (further) packet.
    sending: bool,
    poll_at: Option<Instant>,
    /// The earliest deadline of a slow clock, as of its last run.
    due: Option<Instant>,
    /// A hole in what came, or the stall clock.
    receive: Option<Instant>,
    frame: Option<Instant>,
    report: Option<Instant>,
    /// The filler's tone begins or ends; `None` while nothing is owed.
    pub filler: Option<Instant>,
}

impl Default for Clocks {
    fn default() -> Clocks {
        Clocks {
            stirred: RUNS,
            plain: false,
            sending: true,
            poll_at: None,
            due: None,
            receive: None,
            frame: None,
            report: None,
            filler: None,
        }
    }
}

fn passed(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

impl Clocks {
    /// Something happened that a slow clock may look at.
    pub fn stir(&mut self) {
        self.stirred = RUNS;
    }

    fn is_quiet(&self, now: Instant) -> bool {
        self.stirred == 0 && self.poll_at.is_some() && !passed(self.poll_at, now) && !passed(self.due, now)
    }

    /// Whether the downlink has to be asked.
    pub fn may_send(&self, now: Instant) -> bool {
        !self.plain || self.sending || passed(self.frame, now)
    }

    /// The downlink was asked; whether it gave something.
    pub fn asked(&mut self, gave: bool, next: Option<Instant>) {
        (self.sending, self.frame) = (gave, next);
    }

    pub fn may_report(&self, now: Instant) -> bool {
        !self.plain || passed(self.report, now)
    }

    pub fn reported(&mut self, next: Option<Instant>) {
        self.report = next;
    }

    /// The caller's audio was looked at.
    pub fn received(&mut self, media: &Media) {
        self.receive = [media.rtp.receiver.timeout(), media.uplink.timeout()].into_iter().flatten().min();
    }
}

impl Call {
    /// An input to a call that talks and does nothing else: only what it concerns is looked at. `false`: nothing was done, it is one for
    /// [`Call::handle`] as a whole.
    pub(super) fn media_input(&mut self, now: Instant, input: &Input<'_>) -> bool {
        if !self.clocks.plain || !self.clocks.is_quiet(now) || passed(self.session_timeout, now) {
            return false;
        }
        match *input {
            Input::Timeout => {}
            Input::Rtp { from, datagram } => {
                self.datagram(now, from, datagram);
                self.receive(now);
            }
            Input::RealtimeText(text) => {
                if !self.agent_delta(now, text) {
                    return false;
                }
            }
            _ => return false,
        }
        // Packets and reports leave in `poll_output`.
        if passed(self.clocks.receive, now) {
            self.receive(now);
        }
        if passed(self.clocks.filler, now) {
            self.filler_clock(now);
        }
        if self.clocks.stirred > 0 {
            self.advance(now);
        }
        true
    }

    /// A packet left, or its deadline passed.
    pub(super) fn frame_passed(&mut self, now: Instant) {
        if self.clocks.plain && self.clocks.is_quiet(now) { self.filler_clock(now) } else { self.advance(now) }
    }

    /// Runs everything that is due.
    pub(super) fn advance(&mut self, now: Instant) {
        self.realtime_clock(now);
        self.receive(now);
        self.leg_receive(now);
        self.relay(now);
        self.pump(now);
        self.clocks.plain = self.is_plain() && self.clocks.is_quiet(now);
        if self.clocks.plain {
            self.filler_clock(now);
            return self.note_deadlines();
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
        self.clocks.plain = self.is_plain() && self.clocks.is_quiet(now);
        self.note_deadlines();
    }

    /// Caller and agent talk, and nothing else is going on.
    fn is_plain(&self) -> bool {
        matches!(self.phase, Phase::Talking)
            && !matches!(self.socket, Socket::Opening { .. })
            && self.transfer.is_none()
            && self.leg.is_none()
            && self.leg_wish.is_none()
            && !self.tools.is_busy()
    }

    fn note_deadlines(&mut self) {
        self.clocks.sending = true;
        let Some(media) = &self.media else {
            (self.clocks.receive, self.clocks.frame, self.clocks.report) = (None, None, None);
            return;
        };
        self.clocks.received(media);
        self.clocks.frame = media.downlink.timeout();
        self.clocks.report = media.rtp.report_timeout();
    }

    pub(super) fn timeout(&self, now: Instant) -> Option<Instant> {
        if self.clocks.plain {
            let Clocks { due, receive, frame, report, filler, .. } = self.clocks;
            return [self.session_timeout, due, receive, frame, report, filler].into_iter().flatten().min();
        }
        let opening = match self.socket {
            Socket::Opening { deadline } => Some(deadline),
            _ => None,
        };
        let media = self.media.as_ref().and_then(Media::timeout);
        let slow = self.slow_timeout(now);
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
