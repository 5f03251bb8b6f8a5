//! How long a hole in the sequence is waited for: as long as the network was seen to need, 20 to 200 ms (RTP-04).
//!
//! In: how late each packet came that others had overtaken. Out: the wait. It rises at once to what 95 % of those of the last 8 s needed,
//! and falls slowly: a loss is then concealed a little too late for a while, where the other error would throw away audio that did come.

use std::time::{Duration, Instant};

/// The bounds of the wait.
pub(super) const SHORTEST: Duration = Duration::from_millis(20);
pub(super) const LONGEST: Duration = Duration::from_millis(200);
/// What is added to the lateness that was measured: half a packet, since the next one is rarely exactly as late.
const HEADROOM: Duration = Duration::from_millis(10);
/// Lateness is counted in classes of this width.
const CLASS: Duration = Duration::from_millis(10);
const CLASSES: usize = 20;
/// The memory: four slots of 2 s.
const SLOT: Duration = Duration::from_secs(2);
const SLOTS: usize = 4;
/// The share of overtaken packets that the wait is to carry, in percent.
const CARRIED: u32 = 95;
/// Each 2 s the wait falls by this part of what it is too long: half of it in 10 s.
const FALL: u32 = 8;

/// The estimate of one stream.
pub(super) struct Patience {
    wait: Duration,
    /// Overtaken packets by slot and class of lateness.
    seen: [[u16; CLASSES]; SLOTS],
    slot: usize,
    since: Option<Instant>,
}

impl Patience {
    /// Begins with this wait.
    pub fn new(wait: Duration) -> Patience {
        Patience { wait: wait.clamp(SHORTEST, LONGEST), seen: [[0; CLASSES]; SLOTS], slot: 0, since: None }
    }

    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// Time goes on; called for each packet.
    pub fn pass(&mut self, now: Instant) {
        let since = self.since.get_or_insert(now);
        // After a long silence of the stream all slots are old.
        for _ in 0..=SLOTS {
            if now.saturating_duration_since(*since) < SLOT {
                return;
            }
            *since += SLOT;
            self.slot = (self.slot + 1) % SLOTS;
            self.seen[self.slot] = [0; CLASSES];
            let needed = needed(&self.seen).unwrap_or(SHORTEST);
            self.wait -= self.wait.saturating_sub(needed) / FALL;
        }
        self.since = Some(now);
    }

    /// A packet came `by` after the first one that overtook it. What is later than the longest wait proves nothing: no wait would have
    /// saved it.
    pub fn late(&mut self, by: Duration) {
        if by > LONGEST {
            return;
        }
        let class = (by.as_micros() / CLASS.as_micros()) as usize;
        if let Some(count) = self.seen[self.slot].get_mut(class.min(CLASSES - 1)) {
            *count = count.saturating_add(1);
        }
        self.wait = self.wait.max(needed(&self.seen).unwrap_or(SHORTEST));
    }
}

/// The wait that would have carried [`CARRIED`] of what was seen; `None`: nothing was overtaken.
fn needed(seen: &[[u16; CLASSES]; SLOTS]) -> Option<Duration> {
    let of_class = |class: usize| seen.iter().map(|slot| u32::from(slot[class])).sum::<u32>();
    let all: u32 = (0..CLASSES).map(of_class).sum();
    if all == 0 {
        return None;
    }
    let wanted = (all * CARRIED).div_ceil(100);
    let mut carried = 0;
    let class = (0..CLASSES).find(|class| {
        carried += of_class(*class);
        carried >= wanted
    })?;
    Some((CLASS * (class as u32 + 1) + HEADROOM).clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// RTP-04: it begins as configured, within its bounds.
    #[test]
    fn it_begins_as_configured() {
        for (configured, wait) in [(0, 20), (60, 60), (150, 150), (900, 200)] {
            assert_eq!(Patience::new(ms(configured)).wait(), ms(wait));
        }
    }

    /// RTP-04: one late packet is enough to wait longer, and a minute without any brings the shortest wait back.
    #[test]
    fn it_rises_at_once_and_falls_slowly() {
        let now = clock::now();
        let mut patience = Patience::new(ms(60));
        patience.pass(now);
        patience.late(ms(95));
        assert_eq!(patience.wait(), ms(110));
        for n in 0..400u64 {
            patience.pass(now + ms(20 * n));
        }
        assert!(patience.wait() >= ms(105), "as long as it is remembered: {:?}", patience.wait());
        for n in 400..4_000u64 {
            patience.pass(now + ms(20 * n));
        }
        assert!((ms(20)..ms(25)).contains(&patience.wait()), "{:?}", patience.wait());
    }

    /// RTP-04: one packet of thirty that is much later than the others does not make everything wait.
    #[test]
    fn outliers_do_not_decide() {
        let now = clock::now();
        let mut patience = Patience::new(ms(20));
        patience.pass(now);
        for n in 0..60 {
            patience.late(ms(if n % 30 == 29 { 190 } else { 25 }));
        }
        assert_eq!(patience.wait(), ms(40));
        patience.late(ms(700));
        assert_eq!(patience.wait(), ms(40), "what no wait can save does not count");
    }

    #[test]
    fn a_stream_that_was_silent_for_an_hour_begins_afresh() {
        let now = clock::now();
        let mut patience = Patience::new(ms(60));
        patience.pass(now);
        patience.late(ms(190));
        patience.pass(now + Duration::from_secs(3_600));
        assert!(patience.wait() < ms(200));
        assert_eq!(needed(&patience.seen), None);
    }
}
