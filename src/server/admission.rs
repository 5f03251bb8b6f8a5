//! Whether a new call may come in (OVL-01): draining, calls in all, calls a second, lateness of the media workers.
//!
//! Pure: takes `now` and what the caller knows. A refusal costs no state.

use super::bucket::Bucket;
use std::time::Instant;

/// More than this share of late ticks and the machine is full, whatever the limits say (S11).
const MAX_LATE_PERMILLE: u64 = 200;

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Draining,
    MaxCalls,
    Rate,
    Overload,
}

impl Refused {
    /// Cause in CDR and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Refused::Draining => "draining",
            Refused::MaxCalls => "max_calls",
            Refused::Rate => "calls_per_second",
            Refused::Overload => "overload",
        }
    }
    /// When the PBX may try again, seconds.
    pub fn retry_after(self) -> u32 {
        match self {
            Refused::Draining => 60,
            Refused::MaxCalls | Refused::Overload => 5,
            Refused::Rate => 1,
        }
    }
}

/// The gate.
#[derive(Debug)]
pub struct Admission {
    max_calls: usize,
    bucket: Bucket,
    draining: bool,
}

impl Admission {
    pub fn new(now: Instant, max_calls: usize, calls_per_second: u32) -> Admission {
        Admission { max_calls, bucket: Bucket::new(now, calls_per_second), draining: false }
    }

    /// No new call from now on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    pub fn admit(&mut self, now: Instant, calls: usize, late_permille: u64) -> Result<(), Refused> {
        if self.draining {
            return Err(Refused::Draining);
        }
        if calls >= self.max_calls {
            return Err(Refused::MaxCalls);
        }
        if late_permille > MAX_LATE_PERMILLE {
            return Err(Refused::Overload);
        }
        if self.bucket.take(now) { Ok(()) } else { Err(Refused::Rate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;
    use std::time::Duration;

    /// OVL-01: calls in all, rate, lateness, drain; each with its own cause.
    #[test]
    fn each_limit_refuses_by_its_name() {
        let now = clock::now();
        let mut gate = Admission::new(now, 10, 2);
        assert_eq!(gate.admit(now, 10, 0), Err(Refused::MaxCalls));
        assert_eq!(gate.admit(now, 0, 201), Err(Refused::Overload));
        assert_eq!(gate.admit(now, 9, 200), Ok(()));
        assert_eq!(gate.admit(now, 0, 0), Ok(()));
        assert_eq!(gate.admit(now, 0, 0), Err(Refused::Rate));
        assert_eq!(gate.admit(now + Duration::from_millis(500), 0, 0), Ok(()));
        gate.drain();
        assert_eq!(gate.admit(now + Duration::from_secs(9), 0, 0), Err(Refused::Draining));
    }

    /// A refused call takes no token: ten times the rate still lets the rate through.
    #[test]
    fn the_rate_holds_under_ten_times_the_load() {
        let start = clock::now();
        let mut gate = Admission::new(start, usize::MAX, 20);
        let admitted = (0..2000).filter(|i| gate.admit(start + Duration::from_millis(5) * *i, 0, 0).is_ok()).count();
        assert!((219..=221).contains(&admitted), "{admitted}: one second's worth and 20 for each of ten seconds");
    }
}
