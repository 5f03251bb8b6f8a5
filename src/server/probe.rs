//! Whether a target is there: OPTIONS every so often, with hysteresis (DLG-12, S9). Pure.
//!
//! Any final answer but 408, 503 and 504 means that somebody is there, whatever they think of OPTIONS. Two failures in a row are
//! down, two answers in a row are up again; the first answer or failure ever decides at once. A target that is in doubt is asked more often.

use std::time::{Duration, Instant};

/// In a row.
const TO_TURN: u32 = 2;
/// While in doubt: this part of the interval, but not more often than every 2 s.
const HURRY: u32 = 4;
const LEAST: Duration = Duration::from_secs(2);

/// Whether an answer (408 = none) means that somebody is there who takes calls.
pub fn is_there(status: u16) -> bool {
    !matches!(status, 408 | 503 | 504)
}

#[derive(Clone, Debug)]
pub struct Probe {
    every: Duration,
    next: Instant,
    /// A request is on its way.
    asked: bool,
    up: Option<bool>,
    /// Answers in a row that say otherwise.
    against: u32,
    last: Option<(Instant, u16)>,
}

impl Probe {
    /// `spread`: 0..1000, so that many targets are not asked in one moment; the first is asked within a second.
    pub fn new(now: Instant, every: Duration, spread: u32) -> Probe {
        let first = Duration::from_secs(1).min(every) * (spread % 1000) / 1000;
        Probe { every, next: now + first, asked: false, up: None, against: 0, last: None }
    }

    /// Whether to ask now; the answer is due.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = !self.asked && now >= self.next;
        self.asked |= due;
        due
    }

    /// What came of it; 408 = nothing. Returns whether the target went up or down by it.
    pub fn answered(&mut self, now: Instant, status: u16) -> bool {
        let there = is_there(status);
        (self.asked, self.last) = (false, Some((now, status)));
        let before = self.up;
        match self.up {
            None => self.up = Some(there),
            Some(up) if up == there => self.against = 0,
            Some(_) => {
                self.against += 1;
                if self.against >= TO_TURN {
                    (self.up, self.against) = (Some(there), 0);
                }
            }
        }
        let in_doubt = self.against > 0 || self.up == Some(false);
        let wait = if in_doubt { (self.every / HURRY).max(LEAST).min(self.every) } else { self.every };
        self.next = now + wait;
        before != self.up
    }

    /// `None`: not asked yet.
    pub fn is_up(&self) -> Option<bool> {
        self.up
    }
    /// When the last answer came, and what it was.
    pub fn last(&self) -> Option<(Instant, u16)> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    const EVERY: Duration = Duration::from_secs(30);

    /// DLG-12, S9: one lost OPTIONS is not down, two are; two answers bring it back.
    #[test]
    fn a_target_goes_down_and_up_with_hysteresis() {
        let start = clock::now();
        let mut probe = Probe::new(start, EVERY, 500);
        assert!(!probe.is_due(start) && probe.is_due(start + Duration::from_millis(500)));
        assert!(!probe.is_due(start + EVERY), "one at a time");
        let mut now = start;
        let steps = [(200, true), (408, true), (200, true), (408, true), (408, false), (200, false), (404, true)];
        let mut turns = Vec::new();
        for (n, (status, up)) in steps.into_iter().enumerate() {
            if probe.answered(now, status) {
                turns.push(n);
            }
            assert_eq!(probe.is_up(), Some(up), "step {n}");
            let doubtful = n != 0 && (status == 408 || n == 5);
            let wait = if doubtful { Duration::from_millis(7500) } else { EVERY };
            assert!(!probe.is_due(now + wait - Duration::from_millis(1)), "step {n}");
            now += wait;
            assert!(probe.is_due(now), "step {n}");
        }
        assert_eq!(turns, [0, 4, 6]);
        assert_eq!(probe.last().map(|(_, status)| status), Some(404));
    }

    #[test]
    fn a_target_that_never_answered_is_down_at_once() {
        let now = clock::now();
        let mut probe = Probe::new(now, EVERY, 0);
        assert!(probe.is_due(now) && probe.answered(now, 503));
        assert_eq!(probe.is_up(), Some(false));
    }
}
