//! What was sent, on one time line with what comes: sample numbers of 8 kHz since the first packet.
//!
//! Both streams are even by nature, their moments are not: a stream goes on where it was, unless it is off by far.

use super::canceller::PIECE;
use std::time::Instant;

/// 750 ms: the longest delay, the filter and the jitter of what comes.
const LENGTH: usize = 6_000;
/// A frame this far from where it belongs (50 ms) begins anew there.
const GAP: u64 = 400;
/// What comes is late by the network's jitter; beyond 150 ms its clock is set again.
const SLIP: u64 = 1_200;
/// A sample of speech, and not of silence's noise.
const LOUD: u16 = 64;

/// See the module's map.
pub struct History {
    base: Option<Instant>,
    samples: Vec<i16>,
    /// Number of the next sample to be sent.
    head: u64,
    /// The same of what comes.
    near: Option<u64>,
    spoke: Option<u64>,
}

impl History {
    pub fn new() -> History {
        History { base: None, samples: vec![0; LENGTH], head: 0, near: None, spoke: None }
    }

    fn number(&mut self, now: Instant) -> u64 {
        // Not zero: what came before the first packet has a place, too.
        let base = *self.base.get_or_insert(now);
        (now.saturating_duration_since(base).as_micros() / 125) as u64 + LENGTH as u64
    }

    pub fn sent(&mut self, now: Instant, frame: &[i16]) {
        let at = self.number(now);
        if at > self.head + GAP {
            let gap = (at - self.head).min(LENGTH as u64);
            for n in 0..gap {
                self.put(at - gap + n, 0);
            }
            self.head = at;
        }
        for sample in frame {
            self.put(self.head, *sample);
            self.head += 1;
        }
        if frame.iter().any(|s| s.unsigned_abs() > LOUD) {
            self.spoke = Some(self.head);
        }
    }

    fn put(&mut self, number: u64, sample: i16) {
        if let Some(slot) = self.samples.get_mut((number % LENGTH as u64) as usize) {
            *slot = sample;
        }
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
        let oldest = self.head.saturating_sub(LENGTH as u64);
        let mut slot = (number % LENGTH as u64) as usize;
        for (n, to) in to.iter_mut().enumerate() {
            let number = number + n as u64;
            let there = number >= oldest && number < self.head;
            *to = self.samples.get(slot).filter(|_| there).map_or(0.0, |s| f32::from(*s));
            slot = if slot + 1 == LENGTH { 0 } else { slot + 1 };
        }
    }
}

/// Pieces (5 ms) whose level is kept: 640 ms.
const PIECES: usize = 128;
/// Pieces around the delay in which its echo may lie: the path moves by 20 ms, and a hybrid rings.
const BEFORE: usize = 9;
const AFTER: usize = 10;
/// Delays that are looked at while none is known.
const LONGEST: usize = 512 * 8 / PIECE;

/// The level of what was sent, piece by piece, on the time line of what comes.
pub struct Levels {
    ring: [f32; PIECES],
    next: usize,
}

impl Levels {
    pub fn new() -> Levels {
        Levels { ring: [0.0; PIECES], next: 0 }
    }
    pub fn clear(&mut self) {
        self.ring.fill(0.0);
    }
    pub fn push(&mut self, power: f32) {
        if let Some(slot) = self.ring.get_mut(self.next) {
            *slot = power;
        }
        self.next = (self.next + 1) % PIECES;
    }
    /// The highest level whose echo may come now. `delay` in pieces.
    pub fn around(&self, delay: Option<usize>) -> f32 {
        let (from, to) = delay.map_or((0, LONGEST), |delay| (delay.saturating_sub(BEFORE), delay + AFTER));
        let ago = |n: usize| self.ring.get((self.next + 2 * PIECES - 1 - n) % PIECES).copied().unwrap_or(0.0);
        (from..=to.min(PIECES - 1)).map(ago).fold(0.0, f32::max)
    }
}
