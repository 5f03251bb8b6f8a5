//! When the next report is due (RFC 3550 §6.2, §6.3, A.7), for a session of two.
//!
//! With two members and any voice codec the interval by bandwidth is far below the least one, so the deterministic interval is always
//! the least one: 5 s, and half of that before the first report. It is randomised by 0.5-1.5 and, as the timer is reconsidered when it
//! runs out, divided by e - 3/2.

use std::time::{Duration, Instant};

/// The least interval.
const LEAST: Duration = Duration::from_secs(5);
/// e - 3/2 (RFC 3550 §6.3.1).
const COMPENSATION: f64 = 1.21828;

pub(super) struct Schedule {
    /// The report before (tp), and the next one (tn).
    last: Instant,
    next: Instant,
    initial: bool,
    random: SplitMix,
}

impl Schedule {
    pub fn new(now: Instant, seed: u64) -> Schedule {
        let mut schedule = Schedule { last: now, next: now, initial: true, random: SplitMix(seed) };
        schedule.next = now + schedule.interval();
        schedule
    }

    pub fn timeout(&self) -> Instant {
        self.next
    }

    /// Whether a report is to be sent now; then the next one is planned.
    pub fn is_due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        // Timer reconsideration (§6.3.6).
        let reconsidered = self.last + self.interval();
        if reconsidered > now {
            self.next = reconsidered;
            return false;
        }
        (self.last, self.initial) = (now, false);
        self.next = now + self.interval();
        true
    }

    fn interval(&mut self) -> Duration {
        let least = if self.initial { LEAST / 2 } else { LEAST };
        // 53 bits: the whole mantissa.
        let random = (self.random.next() >> 11) as f64 / (1u64 << 53) as f64;
        least.mul_f64((random + 0.5) / COMPENSATION)
    }
}

/// Numbers from a seed, for what must differ and need not be secret.
pub(super) struct SplitMix(pub u64);

impl SplitMix {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    /// RTP-13: the first report after 1.0-3.1 s and more by reconsideration, the others 5 s apart on average, 2-6.2 s each.
    #[test]
    fn five_seconds_on_average_and_never_in_step() {
        let start = clock::now();
        let (mut sum, mut count, mut firsts) = (Duration::ZERO, 0, Vec::new());
        for seed in 0..400 {
            let mut schedule = Schedule::new(start, seed);
            let mut sent = Vec::new();
            while sent.len() < 20 {
                let at = schedule.timeout();
                if schedule.is_due(at) {
                    sent.push(at);
                }
            }
            let first = sent[0] - start;
            assert!((1.02..3.08).contains(&first.as_secs_f64()), "seed {seed}: first after {first:?}");
            firsts.push(first);
            for pair in sent.windows(2) {
                let gap = pair[1] - pair[0];
                assert!((2.05..6.16).contains(&gap.as_secs_f64()), "seed {seed}: {gap:?}");
                sum += gap;
                count += 1;
            }
        }
        let mean = sum.as_secs_f64() / f64::from(count);
        assert!((4.8..5.2).contains(&mean), "mean {mean}");
        firsts.sort_unstable();
        firsts.dedup();
        assert!(firsts.len() > 390, "calls that begin together do not report together");
    }
}
