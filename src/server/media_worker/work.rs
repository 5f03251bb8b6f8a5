//! How busy a worker is, and whether its calls must save.
//!
//! In: when each tick began and was done. Out: the share of each window in which it worked; *thrifty* or not. Thrifty calls send appends that
//! are twice as long: fewer messages are most of what can be saved (a fifth of a call's CPU, for 20 ms of delay).

use std::time::{Duration, Instant};

/// Thrifty above this share, per mille.
const FROM: u64 = 800;
/// Not any more below this one.
const UNTIL: u64 = 500;

/// See the module's map.
#[derive(Debug)]
pub struct Work {
    worked: Duration,
    since: Instant,
    thrifty: bool,
}

impl Work {
    pub fn new(now: Instant) -> Work {
        Work { worked: Duration::ZERO, since: now, thrifty: false }
    }

    /// One tick's work.
    pub fn add(&mut self, began: Instant, done: Instant) {
        self.worked += done.saturating_duration_since(began);
    }

    /// Ends a window: the share of it that was work, per mille, and whether calls must save, if that has changed.
    pub fn close(&mut self, now: Instant) -> (u64, Option<bool>) {
        let passed = now.saturating_duration_since(self.since).as_micros().max(1);
        let busy = (self.worked.as_micros() * 1000 / passed) as u64;
        (self.worked, self.since) = (Duration::ZERO, now);
        let thrifty = busy > if self.thrifty { UNTIL } else { FROM };
        let changed = std::mem::replace(&mut self.thrifty, thrifty) != thrifty;
        (busy, changed.then_some(thrifty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OVL-01: work that grows makes calls save before it is too much, and what they save does not end it at once.
    #[test]
    fn thrift_has_hysteresis() {
        let mut now = crate::net::clock::now();
        let mut work = Work::new(now);
        let mut second = |busy_ms: u64| {
            for _ in 0..200 {
                work.add(now, now + Duration::from_micros(busy_ms * 5));
                now += Duration::from_millis(5);
            }
            work.close(now)
        };
        assert_eq!(second(790), (790, None));
        assert_eq!(second(850), (850, Some(true)));
        assert_eq!(second(700), (700, None));
        assert_eq!(second(510), (510, None));
        assert_eq!(second(450), (450, Some(false)));
        assert_eq!(second(790), (790, None));
    }
}
