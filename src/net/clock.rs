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

/// What all threads of this process have used of the CPUs.
pub fn process_cpu() -> Duration {
    cpu_time(rustix::time::ClockId::ProcessCPUTime)
}

/// What this thread has used of the CPUs.
pub fn thread_cpu() -> Duration {
    cpu_time(rustix::time::ClockId::ThreadCPUTime)
}

fn cpu_time(clock: rustix::time::ClockId) -> Duration {
    let used = rustix::time::clock_gettime(clock);
    Duration::new(used.tv_sec.try_into().unwrap_or(0), used.tv_nsec.try_into().unwrap_or(0))
}

/// Sleeps to an absolute instant (the media worker's tick); returns at once when it has passed.
#[expect(clippy::disallowed_methods, reason = "the media worker's tick is the one thread that sleeps")]
pub fn sleep_until(when: Instant) {
    let wait = when.saturating_duration_since(now());
    if !wait.is_zero() {
        std::thread::sleep(wait);
    }
}
