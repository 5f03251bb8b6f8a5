//! How long a call may last, and how long without media (RTP-10, S2, A20).

use crate::config::dialplan::Limits;
use std::time::{Duration, Instant};

/// The goodbye begins this long before the cap, so that the cap itself can be hard.
const GOODBYE_LEAD: Duration = Duration::from_secs(15);

/// What a limit asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Say goodbye; the call ends at the cap at the latest.
    Goodbye,
    /// The cap.
    End,
    /// Nothing was heard for too long.
    NoMedia,
}

/// The clocks of one answered call.
#[derive(Debug)]
pub(super) struct LimitClock {
    answered: Instant,
    max_call: Duration,
    no_media_start: Duration,
    no_media: Duration,
    /// The media clock counts from here at the earliest (answer, resume); `None` = paused.
    media_from: Option<Instant>,
    said_goodbye: bool,
}

impl LimitClock {
    pub fn new(answered: Instant, limits: &Limits) -> LimitClock {
        LimitClock {
            answered,
            max_call: limits.max_call,
            no_media_start: limits.no_media_start,
            no_media: limits.no_media,
            media_from: Some(answered),
            said_goodbye: false,
        }
    }

    /// Hold, or a direction that receives nothing, stops the media clock; it begins anew afterwards.
    pub fn set_receiving(&mut self, now: Instant, receiving: bool) {
        if receiving {
            self.media_from.get_or_insert(now);
        } else {
            self.media_from = None;
        }
    }

    /// The hard end.
    pub fn cap(&self) -> Instant {
        self.answered + self.max_call
    }

    fn goodbye_at(&self) -> Instant {
        self.cap() - GOODBYE_LEAD.min(self.max_call / 4)
    }

    /// Since when media is owed: the answer, or the resume. `None` on hold.
    pub fn media_from(&self) -> Option<Instant> {
        self.media_from
    }

    fn media_deadline(&self, last_heard: Option<Instant>) -> Option<Instant> {
        let from = self.media_from?;
        Some(match last_heard {
            None => from + self.no_media_start,
            Some(last) => last.max(from) + self.no_media,
        })
    }

    pub fn due(&mut self, now: Instant, last_heard: Option<Instant>) -> Option<Due> {
        if now >= self.cap() {
            return Some(Due::End);
        }
        if !self.said_goodbye && now >= self.goodbye_at() {
            self.said_goodbye = true;
            return Some(Due::Goodbye);
        }
        if self.media_deadline(last_heard)? <= now {
            self.media_from = None;
            return Some(Due::NoMedia);
        }
        None
    }

    /// The media clock alone: whether nothing came for too long.
    pub fn media_is_due(&mut self, now: Instant, last_heard: Option<Instant>) -> bool {
        self.media_deadline(last_heard).is_some_and(|at| at <= now)
    }

    pub fn media_timeout(&self, last_heard: Option<Instant>) -> Option<Instant> {
        self.media_deadline(last_heard)
    }

    pub fn timeout(&self, last_heard: Option<Instant>) -> Option<Instant> {
        let cap = if self.said_goodbye { self.cap() } else { self.goodbye_at() };
        self.media_deadline(last_heard).map_or(Some(cap), |media| Some(cap.min(media)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    fn limits() -> Limits {
        Limits {
            max_call: Duration::from_secs(100),
            no_media_start: Duration::from_secs(30),
            no_media: Duration::from_secs(15),
            caller_silence: None,
            check_in: String::new(),
            goodbye: String::new(),
        }
    }

    #[test]
    fn goodbye_comes_before_the_cap() {
        let start = clock::now();
        let at = |s| start + Duration::from_secs(s);
        let mut clock = LimitClock::new(start, &limits());
        assert_eq!(clock.due(at(84), Some(at(84))), None);
        assert_eq!(clock.due(at(85), Some(at(85))), Some(Due::Goodbye));
        assert_eq!(clock.due(at(86), Some(at(86))), None);
        assert_eq!(clock.due(at(100), Some(at(100))), Some(Due::End));
    }

    /// RTP-10: 30 s after answer, 15 s later, hold excluded.
    #[test]
    fn media_clock_excludes_hold() {
        let start = clock::now();
        let at = |s| start + Duration::from_secs(s);
        let mut clock = LimitClock::new(start, &limits());
        assert_eq!(clock.due(at(29), None), None);
        assert_eq!(clock.timeout(None), Some(at(30)));
        assert_eq!(clock.due(at(30), None), Some(Due::NoMedia));
        let mut clock = LimitClock::new(start, &limits());
        clock.set_receiving(at(2), false);
        assert_eq!(clock.due(at(60), Some(at(1))), None);
        clock.set_receiving(at(60), true);
        assert_eq!(clock.due(at(74), Some(at(1))), None);
        assert_eq!(clock.due(at(75), Some(at(1))), Some(Due::NoMedia));
    }
}
