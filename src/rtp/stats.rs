//! What reports say of a stream: interarrival jitter (RFC 3550 §6.4.1, A.8), sequence numbers (A.1, A.3); and the ceiling on its packet rate.

use std::time::{Duration, Instant};

/// A transit time that jumps by more than this, in seconds, is a new timeline, not jitter.
const NEW_TIMELINE: f64 = 1.0;

/// The running estimate.
#[derive(Default)]
pub(super) struct Jitter {
    last: Option<(Instant, u32)>,
    /// In seconds.
    estimate: f64,
    /// Timestamp units a millisecond, of the last packet.
    per_ms: u32,
}

impl Jitter {
    /// `per_ms`: timestamp units a millisecond.
    pub fn packet(&mut self, now: Instant, timestamp: u32, per_ms: u32) {
        if let Some((then, before)) = self.last {
            let elapsed = now.saturating_duration_since(then).as_secs_f64();
            let advanced = f64::from(timestamp.wrapping_sub(before) as i32) / f64::from(per_ms.max(1)) / 1000.0;
            let difference = (elapsed - advanced).abs();
            if difference < NEW_TIMELINE {
                self.estimate += (difference - self.estimate) / 16.0;
            }
        }
        (self.last, self.per_ms) = (Some((now, timestamp)), per_ms);
    }
    /// A new stream begins: its timeline has nothing to do with the old one.
    pub fn restart(&mut self) {
        self.last = None;
    }
    pub fn estimate(&self) -> Duration {
        Duration::from_secs_f64(self.estimate)
    }
    /// In timestamp units, as reports have it.
    pub fn units(&self) -> u32 {
        (self.estimate * 1000.0 * f64::from(self.per_ms)) as u32
    }
}

/// What came of one SSRC, as a report needs it (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    pub ssrc: u32,
    /// First and highest sequence number, cycles in the upper half.
    pub first: u32,
    pub highest: u32,
    /// Packets, late and duplicate ones included.
    pub received: u32,
    /// In timestamp units.
    pub jitter: u32,
}

/// Sequence numbers of the present SSRC.
#[derive(Default)]
pub(super) struct Sequences {
    /// First and highest one.
    seen: Option<(u32, u32)>,
    received: u32,
}

impl Sequences {
    pub fn packet(&mut self, sequence: u16) {
        self.received = self.received.wrapping_add(1);
        let Some((_, highest)) = &mut self.seen else {
            self.seen = Some((u32::from(sequence), u32::from(sequence)));
            return;
        };
        let ahead = sequence.wrapping_sub(*highest as u16);
        if ahead <= i16::MAX as u16 {
            *highest = highest.wrapping_add(u32::from(ahead));
        }
    }
    /// A new SSRC, or a sequence that was begun anew.
    pub fn restart(&mut self) {
        *self = Sequences::default();
    }
    pub fn reception(&self, ssrc: u32, jitter: u32) -> Option<Reception> {
        let (first, highest) = self.seen?;
        Some(Reception { ssrc, first, highest, received: self.received, jitter })
    }
}

/// Packets a second that a stream may have: 10 ms packets, all sent twice, and room.
const RATE: f64 = 250.0;
/// Packets at once: what a stall of two seconds heaps up.
const BURST: f64 = 500.0;

/// Token bucket.
pub(super) struct Ceiling {
    tokens: f64,
    since: Option<Instant>,
}

impl Ceiling {
    pub fn new() -> Ceiling {
        Ceiling { tokens: BURST, since: None }
    }
    /// Whether one more packet is allowed.
    pub fn packet(&mut self, now: Instant) -> bool {
        let passed = self.since.replace(now).map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.tokens = (self.tokens + passed.as_secs_f64() * RATE).min(BURST);
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        allowed
    }
    /// A packet that was allowed turned out to be none of the stream's.
    pub fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(BURST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    /// RFC 3550 A.8: packets that come 2 ms early and late in turn have a jitter of 4 ms, in the units of whatever clock they have.
    #[test]
    fn jitter_in_units_of_the_codecs_clock() {
        for (per_ms, expected) in [(8, 32), (48, 192)] {
            let (start, mut jitter) = (clock::now(), Jitter::default());
            for n in 0..200u64 {
                let at = start + Duration::from_millis(20 * n + 4 * (n % 2));
                jitter.packet(at, (20 * n) as u32 * per_ms, per_ms);
            }
            assert!(jitter.units().abs_diff(expected) <= 1, "{}", jitter.units());
            assert!(jitter.estimate().abs_diff(Duration::from_millis(4)) < Duration::from_micros(50));
        }
    }

    /// RFC 3550 A.1, A.3: cycles of the sequence number, and what came of how many.
    #[test]
    fn sequence_numbers_are_extended() {
        let mut sequences = Sequences::default();
        assert_eq!(sequences.reception(1, 0), None);
        for sequence in [65_533, 65_534, 0, 65_535, 1, 1, 4] {
            sequences.packet(sequence);
        }
        let reception = sequences.reception(1, 0).expect("packets came");
        assert_eq!((reception.first, reception.highest, reception.received), (65_533, 65_540, 7));
    }
}
