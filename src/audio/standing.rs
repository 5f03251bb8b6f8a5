//! Delay that stays: audio that waits in a queue although it comes no faster than it goes (a stall of the process or of the network heaps it up,
//! and speech without a pause would keep it for the rest of the call).
//!
//! In: what comes into a queue and what goes out. Out: how much of the queue is of no use, and the queue shortened by it: silence first, then
//! single pitch periods at seams nobody hears (`splice`), never a word. A reply that comes faster than it plays is no standing delay: nothing
//! of it is touched.

use super::pcm::Rate;
use super::scratch;
use super::splice::{self, Seam};
use std::collections::VecDeque;

/// How long it looks before it believes: two windows in a row.
const WINDOW_MS: usize = 1_000;
const PROOF: u32 = 2;
/// What may wait falls to a part after so many windows in a row in which all of it was never needed.
const CALM: u32 = 5;
const CALM_PART: usize = 4;
/// In real time: between 80 and 125 % of what was played came in, in at least so many pieces, and the queue never ran dry.
const PIECES: u32 = 8;
/// What is looked at for a seam.
const PIECE_MS: usize = 40;
/// Most that goes at once, and how long nothing else goes after a seam in speech.
const MOST_MS: usize = 20;
const REST_MS: usize = 200;

/// No window yet.
const FRESH: (u32, usize) = (0, usize::MAX);

/// Watches one queue.
pub struct Standing {
    rate: Rate,
    /// What may wait: the jitter of what comes.
    keep: usize,
    came: usize,
    pieces: u32,
    went: usize,
    /// Least that waited in this window; `None` = it ran dry.
    least: Option<usize>,
    /// Windows in real time, in a row.
    live: u32,
    /// Of those since something was taken out: how many, and the least that waited.
    calm: (u32, usize),
    excess: usize,
    rest: usize,
}

impl Standing {
    /// `keep_ms`: what may wait.
    pub fn new(rate: Rate, keep_ms: usize) -> Standing {
        Standing {
            rate,
            keep: rate.samples(keep_ms),
            came: 0,
            pieces: 0,
            went: 0,
            least: Some(usize::MAX),
            live: 0,
            calm: FRESH,
            excess: 0,
            rest: 0,
        }
    }

    /// Samples came into the queue.
    pub fn pushed(&mut self, samples: usize) {
        self.came += samples;
        self.pieces += u32::from(samples > 0);
    }

    /// A frame went out, `spoken` of its `samples` from the queue; so much waits now.
    pub fn played(&mut self, samples: usize, spoken: usize, waiting: usize) {
        self.went += samples;
        self.rest = self.rest.saturating_sub(samples);
        self.least = if spoken < samples { None } else { self.least.map(|least| least.min(waiting)) };
        if self.went < self.rate.samples(WINDOW_MS) {
            return;
        }
        let in_real_time = (self.went * 4 / 5..=self.went * 5 / 4).contains(&self.came) && self.pieces >= PIECES;
        let least = self.least.filter(|_| in_real_time);
        self.live = least.map_or(0, |_| self.live.saturating_add(1));
        self.excess = least.filter(|_| self.live >= PROOF).map_or(0, |least| least.saturating_sub(self.keep));
        self.calm = least.map_or(FRESH, |least| (self.calm.0 + 1, self.calm.1.min(least)));
        if let (CALM.., least) = self.calm {
            self.excess = self.excess.max(least.saturating_sub(self.keep / CALM_PART));
            self.calm = FRESH;
        }
        (self.came, self.pieces, self.went, self.least) = (0, 0, 0, Some(usize::MAX));
    }

    /// Another speaker, or another stream: what was seen says nothing any more.
    pub fn reset(&mut self) {
        (self.came, self.pieces, self.went, self.least) = (0, 0, 0, Some(usize::MAX));
        (self.live, self.calm, self.excess) = (0, FRESH, 0);
    }

    /// Takes out of the front of `queue` what may go now; returns how many samples. Call before each frame.
    pub fn trim(&mut self, queue: &mut VecDeque<i16>) -> usize {
        let length = self.rate.samples(PIECE_MS);
        if self.excess == 0 || queue.len() < length {
            return 0;
        }
        let mut piece = scratch::lend();
        piece.extend(queue.range(..length));
        let quiet = splice::is_quiet(&piece);
        if !quiet && self.rest > 0 {
            return 0;
        }
        let most = self.excess.min(self.rate.samples(MOST_MS));
        let seam = if quiet { Seam::Quiet } else { Seam::Unheard };
        let taken = splice::shorten(self.rate, &mut piece, most, seam);
        if taken > 0 {
            queue.drain(..taken);
            queue.iter_mut().zip(piece.iter()).for_each(|(to, from)| *to = *from);
            self.excess -= taken;
            self.calm = FRESH;
            self.rest = if quiet { 0 } else { self.rate.samples(REST_MS) };
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::tone;

    const RATE: Rate = Rate::Hz8000;

    /// Plays `speech` through a queue in which 200 ms wait from the start; what waits at the end, and all that was played.
    fn through(speech: &[i16], burst: bool) -> (usize, Vec<i16>) {
        let (mut standing, mut queue, mut out) = (Standing::new(RATE, 40), VecDeque::new(), Vec::new());
        let mut pieces = speech.chunks(160);
        for piece in pieces.by_ref().take(10) {
            queue.extend(piece);
            standing.pushed(piece.len());
        }
        if burst {
            for piece in pieces.by_ref() {
                queue.extend(piece);
                standing.pushed(piece.len());
            }
        }
        while queue.len() >= 160 {
            if let Some(piece) = pieces.next() {
                queue.extend(piece);
                standing.pushed(piece.len());
            } else if !burst {
                break;
            }
            standing.trim(&mut queue);
            out.extend(queue.drain(..160));
            standing.played(160, 160, queue.len());
        }
        (queue.len(), out)
    }

    /// RTP-03: speech with pauses that comes in real time loses what waits of no use, all of it out of the pauses within seconds.
    #[test]
    fn a_standing_delay_goes_with_the_pauses() {
        let speech = tone::voice(12_000, 4);
        let (waits, out) = through(&speech, false);
        assert!((80..=200).contains(&waits), "{} ms wait", waits / 8);
        assert!(out.len() < speech.len());
    }

    /// A voice without any pause loses single periods, and nothing clicks.
    #[test]
    fn speech_without_a_pause_loses_it_too() {
        let step =
            |samples: &[i16]| samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0);
        let voice: Vec<i16> = (0..120_000)
            .map(|n| {
                let t = f64::from(n) / 8_000.0 * std::f64::consts::TAU;
                ((t * 150.0).sin() * 6_000.0 + (t * 300.0).sin() * 3_000.0) as i16
            })
            .collect();
        let (waits, out) = through(&voice, false);
        assert!((80..=200).contains(&waits), "{} ms wait", waits / 8);
        assert!(step(&out) <= step(&voice) * 5 / 4, "{} of {}", step(&out), step(&voice));
    }

    /// A reply that comes at once is played to the last sample.
    #[test]
    fn a_burst_is_left_alone() {
        let speech = tone::voice(12_000, 4);
        let (waits, out) = through(&speech, true);
        assert_eq!((waits, out), (0, speech));
    }
}
