//! Whether this machine keeps up (S11): lateness of the media ticks, lateness of the signalling loop, CPU of the process.
//!
//! A gate that shut opens again only well below its limit, so that calls are not let in and refused by turns. Pure.

use std::time::{Duration, Instant};

/// Late media ticks of 1,000 that shut the gate, and that let it open.
const MEDIA_SHUT: u64 = 200;
const MEDIA_OPEN: u64 = 50;
/// A loop that is this late, in most of the last second, cannot take more work.
const LOOP_LATE: Duration = Duration::from_millis(200);
/// Weight of the newest observation is 1/8.
const SMOOTHING: u32 = 8;
const LOOP_SHUT: u32 = 600;
const LOOP_OPEN: u32 = 100;
/// Between two readings of the CPU clock.
const CPU_WINDOW: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Load {
    /// Percent of all cores; 100 and above: no gate ever shuts, whatever the load.
    max_cpu_percent: u32,
    cores: u32,
    read_at: Instant,
    cpu: Duration,
    cpu_percent: u32,
    /// Share of late loop turns, smoothed, of 1,000.
    loop_late: u32,
    shut: Option<&'static str>,
}

impl Load {
    /// `cpu`: what the process has used so far.
    pub fn new(now: Instant, cpu: Duration, cores: usize, max_cpu_percent: u32) -> Load {
        let cores = u32::try_from(cores).unwrap_or(u32::MAX).max(1);
        Load { max_cpu_percent, cores, read_at: now, cpu, cpu_percent: 0, loop_late: 0, shut: None }
    }

    /// One look, about every 100 ms. `media_late`: late ticks of 1,000 on the worst worker; `lag`: how late this look is.
    pub fn observe(&mut self, now: Instant, cpu: Duration, media_late: u64, lag: Duration) {
        let late = if lag > LOOP_LATE { 1000 } else { 0 };
        self.loop_late = (self.loop_late * (SMOOTHING - 1) + late) / SMOOTHING;
        let passed = now.saturating_duration_since(self.read_at);
        if passed >= CPU_WINDOW {
            let used = cpu.saturating_sub(self.cpu).as_micros() * 100;
            let had = passed.as_micros() * u128::from(self.cores);
            self.cpu_percent = u32::try_from(used / had.max(1)).unwrap_or(u32::MAX);
            (self.read_at, self.cpu) = (now, cpu);
        }
        let over = |value: u64, shut: u64, open: u64, name: &'static str| {
            let limit = if self.shut == Some(name) { open } else { shut };
            (value > limit).then_some(name)
        };
        let max = u64::from(self.max_cpu_percent);
        if max >= 100 {
            return;
        }
        self.shut = over(media_late, MEDIA_SHUT, MEDIA_OPEN, "overload_media")
            .or_else(|| over(self.loop_late.into(), LOOP_SHUT.into(), LOOP_OPEN.into(), "overload_signalling"))
            .or_else(|| over(self.cpu_percent.into(), max, max * 9 / 10, "overload_cpu"));
    }

    /// Why no new call is taken.
    pub fn shut(&self) -> Option<&'static str> {
        self.shut
    }
    pub fn cpu_percent(&self) -> u32 {
        self.cpu_percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    const TURN: Duration = Duration::from_millis(100);

    /// `turns` looks; returns what the gate says at the end.
    fn run(load: &mut Load, from: Instant, turns: u32, cpu_percent: u32, media: u64, lag: Duration) -> Instant {
        let mut now = from;
        let mut cpu = load.cpu;
        for _ in 0..turns {
            now += TURN;
            cpu += TURN * 2 * cpu_percent / 100;
            load.observe(now, cpu, media, lag);
        }
        now
    }

    /// S11: CPU above the limit shuts the gate, and only well below it opens again.
    #[test]
    fn cpu_shuts_the_gate() {
        let start = clock::now();
        let mut load = Load::new(start, Duration::ZERO, 2, 85);
        let now = run(&mut load, start, 20, 84, 0, Duration::ZERO);
        assert_eq!(load.shut(), None);
        let now = run(&mut load, now, 20, 90, 0, Duration::ZERO);
        assert_eq!((load.shut(), load.cpu_percent()), (Some("overload_cpu"), 90));
        let now = run(&mut load, now, 20, 80, 0, Duration::ZERO);
        assert_eq!(load.shut(), Some("overload_cpu"), "below the limit, but not by much");
        run(&mut load, now, 20, 70, 0, Duration::ZERO);
        assert_eq!(load.shut(), None);
        let mut never = Load::new(start, Duration::ZERO, 2, 100);
        run(&mut never, start, 30, 100, 500, Duration::from_secs(1));
        assert_eq!(never.shut(), None);
    }

    /// S11: so do late media ticks, and a signalling loop that is late again and again; one late turn does not.
    #[test]
    fn lateness_shuts_the_gate() {
        let start = clock::now();
        let mut load = Load::new(start, Duration::ZERO, 2, 85);
        let now = run(&mut load, start, 1, 10, 201, Duration::ZERO);
        assert_eq!(load.shut(), Some("overload_media"));
        let now = run(&mut load, now, 1, 10, 51, Duration::ZERO);
        assert_eq!(load.shut(), Some("overload_media"));
        let now = run(&mut load, now, 1, 10, 50, Duration::ZERO);
        assert_eq!(load.shut(), None);
        let now = run(&mut load, now, 2, 10, 0, Duration::from_millis(400));
        assert_eq!(load.shut(), None);
        let now = run(&mut load, now, 10, 10, 0, Duration::from_millis(201));
        assert_eq!(load.shut(), Some("overload_signalling"));
        run(&mut load, now, 20, 10, 0, Duration::from_millis(200));
        assert_eq!(load.shut(), None);
    }
}
