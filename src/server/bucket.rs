//! A token bucket that holds one second's worth (pure).

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// The bucket; full at first.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_second: u32,
    /// Time in which the tokens now in the bucket were filled; one token = 1 s / `per_second`.
    filled: Duration,
    last: Instant,
}

impl Bucket {
    /// `per_second` 0 counts as 1.
    pub fn new(now: Instant, per_second: u32) -> Bucket {
        Bucket { per_second: per_second.max(1), filled: SECOND, last: now }
    }

    pub fn take(&mut self, now: Instant) -> bool {
        self.take_above(now, Duration::ZERO)
    }

    /// Takes a token if the bucket then still holds what fills in `reserve`: who has no claim on the reserve leaves it to others.
    pub fn take_above(&mut self, now: Instant, reserve: Duration) -> bool {
        let one = SECOND / self.per_second;
        self.filled = (self.filled + now.saturating_duration_since(self.last)).min(SECOND);
        self.last = self.last.max(now);
        match self.filled.checked_sub(one) {
            Some(left) if left >= reserve => {
                self.filled = left;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    #[test]
    fn the_rate_holds_whatever_is_asked() {
        let start = clock::now();
        let mut bucket = Bucket::new(start, 20);
        let taken = (0..2000).filter(|i| bucket.take(start + Duration::from_millis(5) * *i)).count();
        assert!((219..=221).contains(&taken), "{taken}: one second's worth and 20 for each of ten seconds");
    }

    /// OVL-02: what may not touch the reserve never empties the bucket.
    #[test]
    fn the_reserve_is_left() {
        let now = clock::now();
        let mut bucket = Bucket::new(now, 10);
        let modest = (0..100).filter(|_| bucket.take_above(now, SECOND / 2)).count();
        let rest = (0..100).filter(|_| bucket.take(now)).count();
        assert_eq!((modest, rest), (5, 5));
    }
}
