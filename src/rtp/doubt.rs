//! Whether a silent stream is silent (A6): who did not look, or who is flooded, cannot know.
//!
//! In: each look at the socket, each packet of ours and of others. Out: whether packets of ours may still be on their way to us, so that nothing
//! else may take the stream over yet. Pure.

use std::time::{Duration, Instant};

/// After a gap this much longer than a packet nobody looked (a stalled machine): what came meanwhile is still being read for `READING`.
const STALL: Duration = Duration::from_millis(10);
const READING: Duration = Duration::from_millis(20);
/// A machine that stalls again and again is not waited for any longer once ours has been silent for this long.
const SURELY: Duration = Duration::from_millis(500);
/// Of others while ours is silent: a stream has so many packets in a second at most, and so many more may have waited. What comes faster is
/// a flood, whose packets may have pushed ours out of the socket's buffer.
const STREAM_PER_SECOND: u128 = 100;
const STREAM_WAITING: u32 = 16;
/// So long a flood keeps others out.
const FLOOD_HOLDS: Duration = Duration::from_secs(2);

/// See the module's map.
#[derive(Default)]
pub(super) struct Doubt {
    /// When a packet or the owner's clock was here last.
    looked: Option<Instant>,
    /// Until when, since our last packet, nobody is called silent.
    until: Option<Instant>,
    /// Packets of others since.
    others: u32,
}

impl Doubt {
    /// Somebody looks. `packet`: the length of one; `last`: when our SSRC's last one came.
    pub fn look(&mut self, now: Instant, packet: Duration, last: Option<Instant>) {
        let Some(before) = self.looked.replace(now) else { return };
        let stalled = now.saturating_duration_since(before) > packet + STALL;
        if stalled && last.is_none_or(|last| self.until.is_none() || before.saturating_duration_since(last) < SURELY) {
            self.until = Some(now + READING);
        }
    }

    /// A packet that is not ours, or may not be.
    pub fn other(&mut self) {
        self.others = self.others.saturating_add(1);
    }

    /// A packet of ours, in order.
    pub fn ours(&mut self) {
        (self.until, self.others) = (None, 0);
    }

    /// Whether packets of ours, of which the last one came at `last`, may still be on their way: what a stall left is being read, or there is a
    /// flood.
    pub fn holds(&self, now: Instant, last: Instant) -> bool {
        self.until.is_some_and(|until| now < until) || (self.others > STREAM_WAITING && self.is_flooded(now, last))
    }

    fn is_flooded(&self, now: Instant, last: Instant) -> bool {
        // Of what came during a stall only that counts which was read since.
        let reading = self.until.and_then(|until| until.checked_sub(READING));
        let passed = now.saturating_duration_since(reading.map_or(last, |reading| reading.max(last)));
        let others = u128::from(self.others.saturating_sub(STREAM_WAITING));
        passed < FLOOD_HOLDS && others * 1_000 > passed.as_millis() * STREAM_PER_SECOND
    }
}
