//! Interarrival jitter (RFC 3550 §6.4.1, A.8).

use std::time::{Duration, Instant};

/// The clock of the timestamps.
const CLOCK_HZ: f64 = 8000.0;
/// A transit time that jumps by more than this is a new timeline, not jitter.
const NEW_TIMELINE: f64 = CLOCK_HZ;

/// The running estimate.
#[derive(Default)]
pub(super) struct Jitter {
    last: Option<(Instant, u32)>,
    /// In timestamp units.
    estimate: f64,
}

impl Jitter {
    pub fn packet(&mut self, now: Instant, timestamp: u32) {
        if let Some((then, before)) = self.last {
            let elapsed = now.saturating_duration_since(then).as_secs_f64() * CLOCK_HZ;
            let advanced = f64::from(timestamp.wrapping_sub(before) as i32);
            let difference = (elapsed - advanced).abs();
            if difference < NEW_TIMELINE {
                self.estimate += (difference - self.estimate) / 16.0;
            }
        }
        self.last = Some((now, timestamp));
    }
    /// A new stream begins: its timeline has nothing to do with the old one.
    pub fn restart(&mut self) {
        self.last = None;
    }
    pub fn estimate(&self) -> Duration {
        Duration::from_secs_f64(self.estimate / CLOCK_HZ)
    }
}
