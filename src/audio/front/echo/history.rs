//! What was sent, on one time line with what comes: sample numbers of 8 kHz since the first packet.
//!
//! Both streams are even by nature, their moments are not: a stream goes on where it was, unless it is off by far.

use std::time::Instant;

/// 750 ms: the longest delay, the filter and the jitter of what comes.
const LENGTH: usize = 6_000;
/// Moved down to its last [`LENGTH`] samples when full, so that what is read lies in one piece.
const BUFFER: usize = LENGTH + 2_000;
/// A frame this far from where it belongs (50 ms) begins anew there.
const GAP: u64 = 400;
/// What comes is late by the network's jitter; beyond 150 ms its clock is set again.
const SLIP: u64 = 1_200;
/// A sample of speech, and not of silence's noise.
const LOUD: u16 = 64;

/// See the module's map.
pub struct History {
    base: Option<Instant>,
    /// The newest last; at least [`LENGTH`].
    samples: Vec<i16>,
    /// Number of the next sample to be sent.
    head: u64,
    /// The same of what comes.
    near: Option<u64>,
    spoke: Option<u64>,
}

impl History {
    pub fn new() -> History {
        let mut samples = Vec::with_capacity(BUFFER);
        samples.resize(LENGTH, 0);
        // Numbers begin at `LENGTH`, behind the silence that is there already: what is kept must not reach below zero.
        History { base: None, samples, head: LENGTH as u64, near: None, spoke: None }
    }

    fn number(&mut self, now: Instant) -> u64 {
        // Not zero: what came before the first packet has a place, too.
        let base = *self.base.get_or_insert(now);
        (now.saturating_duration_since(base).as_micros() / 125) as u64 + LENGTH as u64
    }

    pub fn sent(&mut self, now: Instant, frame: &[i16]) {
        let at = self.number(now);
        if at > self.head + GAP {
            let mut gap = (at - self.head).min(LENGTH as u64) as usize;
            while gap > 0 {
                let silence = [0; 160];
                let piece = &silence[..gap.min(160)];
                self.put(piece);
                gap -= piece.len();
            }
            self.head = at;
        }
        for piece in frame.chunks(BUFFER - LENGTH) {
            self.put(piece);
        }
        self.head += frame.len() as u64;
        if frame.iter().any(|s| s.unsigned_abs() > LOUD) {
            self.spoke = Some(self.head);
        }
    }

    /// At most `BUFFER - LENGTH` samples.
    fn put(&mut self, samples: &[i16]) {
        if self.samples.len() + samples.len() > BUFFER {
            let from = self.samples.len() - LENGTH;
            self.samples.copy_within(from.., 0);
            self.samples.truncate(LENGTH);
        }
        self.samples.extend_from_slice(samples);
    }

    /// The number of the first of `length` samples that came at `now`.
    pub fn arrived(&mut self, now: Instant, length: usize) -> u64 {
        let end = self.number(now);
        let length = length as u64;
        let begin = match self.near {
            Some(near) if (near + length).abs_diff(end) <= SLIP => near,
            _ => end.saturating_sub(length),
        };
        self.near = Some(begin + length);
        begin
    }

    pub fn spoke_within(&self, at: u64, samples: u64) -> bool {
        self.spoke.is_some_and(|spoke| at < spoke + samples)
    }

    /// Samples from `number` on; zero where there are none (any more, or yet).
    pub fn read(&self, number: u64, to: &mut [f32]) {
        let oldest = self.head.saturating_sub(self.samples.len() as u64);
        let first = number.saturating_sub(oldest) as usize;
        let (before, to) = to.split_at_mut((oldest.saturating_sub(number) as usize).min(to.len()));
        before.fill(0.0);
        let there = self.samples.get(first..).unwrap_or_default();
        let count = there.len().min(to.len());
        let (to, after) = to.split_at_mut(count);
        for (to, from) in to.iter_mut().zip(there) {
            *to = f32::from(*from);
        }
        after.fill(0.0);
    }
}

/// Pieces (5 ms) whose level is kept: 640 ms.
const PIECES: usize = 128;
/// Pieces around the delay in which its echo may lie: the path moves by 40 ms, and a hybrid rings.
const BEFORE: usize = 9;
const AFTER: usize = 10;
/// Delays (in pieces) that are looked at while none is known: 512 ms.
const LONGEST: usize = 102;

/// The level of what was sent, piece by piece, on the time line of what comes.
pub struct Levels {
    ring: [f32; PIECES],
    next: usize,
    /// The highest of the last [`LONGEST`], and how many pieces ago it was.
    most: f32,
    ago: usize,
}

impl Levels {
    pub fn new() -> Levels {
        Levels { ring: [0.0; PIECES], next: 0, most: 0.0, ago: 0 }
    }
    pub fn clear(&mut self) {
        *self = Levels::new();
    }
    pub fn push(&mut self, power: f32) {
        if let Some(slot) = self.ring.get_mut(self.next) {
            *slot = power;
        }
        self.next = (self.next + 1) % PIECES;
        self.ago += 1;
        if power >= self.most {
            (self.most, self.ago) = (power, 0);
        } else if self.ago > LONGEST {
            (self.most, self.ago) =
                (0..=LONGEST).map(|ago| (self.at(ago), ago)).fold((0.0, 0), |a, b| if b.0 > a.0 { b } else { a });
        }
    }
    fn at(&self, ago: usize) -> f32 {
        self.ring.get((self.next + 2 * PIECES - 1 - ago) % PIECES).copied().unwrap_or(0.0)
    }
    /// The highest level whose echo may come now. `delay` in pieces.
    pub fn around(&self, delay: Option<usize>) -> f32 {
        let Some(delay) = delay else { return self.most };
        (delay.saturating_sub(BEFORE)..=(delay + AFTER).min(PIECES - 1)).map(|ago| self.at(ago)).fold(0.0, f32::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first packet's samples lie at the moment it went out, and silence before them.
    #[test]
    fn the_time_line_begins_with_the_first_packet() {
        let (mut history, now) = (History::new(), crate::net::clock::now());
        history.sent(now, &[1_000; 160]);
        let at = history.arrived(now + std::time::Duration::from_millis(20), 160);
        let mut read = [0.0; 162];
        history.read(at - 1, &mut read);
        assert_eq!((read[0], read[1], read[160], read[161]), (0.0, 1_000.0, 1_000.0, 0.0));
        assert!(history.spoke_within(at, 1));
    }
}
