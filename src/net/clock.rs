//! The one file that reads the clock (clippy.toml holds it).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic now.
#[expect(clippy::disallowed_methods, reason = "the clock lives here")]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall clock, Unix milliseconds; for records only, never for timers.
#[expect(clippy::disallowed_methods, reason = "the clock lives here")]
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64
}
