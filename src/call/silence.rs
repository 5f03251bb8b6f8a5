//! A caller who says nothing: first a check-in, then goodbye.
//!
//! The clock runs only while it is the caller's turn: it begins anew when the agent has spoken, and stands still on hold.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silent {
    CheckIn,
    Goodbye,
}

/// See the module's map.
#[derive(Debug, Default)]
pub(super) struct SilenceClock {
    limit: Option<Duration>,
    since: Option<Instant>,
    checked_in: bool,
}

impl SilenceClock {
    pub fn new(limit: Option<Duration>) -> SilenceClock {
        SilenceClock { limit, ..SilenceClock::default() }
    }

    /// The caller spoke or pressed a key.
    pub fn heard(&mut self) {
        (self.since, self.checked_in) = (None, false);
    }

    /// `waiting`: it is the caller's turn now.
    pub fn update(&mut self, now: Instant, waiting: bool) -> Option<Silent> {
        if !waiting {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        if now < since + self.limit? {
            return None;
        }
        self.since = Some(now);
        Some(if std::mem::replace(&mut self.checked_in, true) { Silent::Goodbye } else { Silent::CheckIn })
    }

    pub fn timeout(&self) -> Option<Instant> {
        Some(self.since? + self.limit?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    #[test]
    fn check_in_then_goodbye() {
        let start = clock::now();
        let at = |s| start + Duration::from_secs(s);
        let mut clock = SilenceClock::new(Some(Duration::from_secs(10)));
        assert_eq!(clock.update(at(0), true), None);
        assert_eq!(clock.timeout(), Some(at(10)));
        assert_eq!(clock.update(at(10), true), Some(Silent::CheckIn));
        assert_eq!(clock.update(at(12), false), None, "the agent speaks");
        assert_eq!(clock.update(at(14), true), None);
        assert_eq!(clock.update(at(23), true), None);
        assert_eq!(clock.update(at(24), true), Some(Silent::Goodbye));
    }

    #[test]
    fn a_word_starts_over() {
        let start = clock::now();
        let at = |s| start + Duration::from_secs(s);
        let mut clock = SilenceClock::new(Some(Duration::from_secs(10)));
        clock.update(at(0), true);
        clock.update(at(10), true);
        clock.heard();
        clock.update(at(11), true);
        assert_eq!(clock.update(at(21), true), Some(Silent::CheckIn));
        let mut off = SilenceClock::new(None);
        assert_eq!(off.update(at(0), true), None);
        assert_eq!(off.update(at(9_999), true), None);
    }
}
