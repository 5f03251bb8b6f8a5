//! Audio of one leg on its way to the other: a small jitter buffer between a receiver and an absolute packet clock.
//!
//! In: payloads in order, with what the network lost before them. Out: frames of any length, always whole. The two ends' clocks
//! drift: what is too much is dropped, what is missing is concealed (which fades to silence within 60 ms).

use crate::audio::conceal::Concealer;
use crate::audio::g711::Law;
use crate::audio::pcm::PER_MS_8K;
use std::collections::VecDeque;

/// Gathered before it plays, at the beginning and after each gap.
const START: usize = 40 * PER_MS_8K;
/// Most that waits; beyond, the oldest is dropped down to [`START`].
const MOST: usize = 140 * PER_MS_8K;
/// Longest loss that is filled; a longer one is a pause.
const MAX_FILL: usize = 60 * PER_MS_8K;

/// See the module's map.
pub(super) struct Relay {
    queue: VecDeque<i16>,
    playing: bool,
    /// Frames were concealed since the last payload: its loss is filled already.
    starved: bool,
    concealer: Concealer,
    samples: Vec<i16>,
}

impl Relay {
    pub fn new() -> Relay {
        Relay {
            queue: VecDeque::with_capacity(MOST),
            playing: false,
            starved: false,
            concealer: Concealer::new(),
            samples: Vec::with_capacity(MOST),
        }
    }

    /// One payload. `lost_before`: samples the network lost right before it.
    pub fn push(&mut self, law: Law, payload: &[u8], lost_before: u32) {
        let missing = (lost_before as usize).min(MAX_FILL);
        if missing > 0 && self.playing && !std::mem::take(&mut self.starved) {
            self.samples.clear();
            self.concealer.conceal(missing, &mut self.samples);
            self.queue.extend(&self.samples);
        }
        self.starved = false;
        self.samples.clear();
        law.decode(payload, &mut self.samples);
        self.concealer.good(&mut self.samples);
        self.queue.extend(&self.samples);
        if self.queue.len() > MOST {
            let excess = self.queue.len() - START;
            self.queue.drain(..excess);
        }
    }

    /// The next frame.
    pub fn fill(&mut self, frame: &mut [i16]) {
        self.playing |= self.queue.len() >= START.max(frame.len());
        let ready = if self.playing { frame.len().min(self.queue.len()) } else { 0 };
        for (to, from) in frame.iter_mut().zip(self.queue.drain(..ready)) {
            *to = from;
        }
        let Some(rest) = frame.get_mut(ready..).filter(|rest| !rest.is_empty()) else { return };
        (self.playing, self.starved) = (false, true);
        self.samples.clear();
        self.concealer.conceal(rest.len(), &mut self.samples);
        rest.copy_from_slice(&self.samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loud() -> Vec<u8> {
        let samples: Vec<i16> = (0..160).map(|n| if n % 16 < 8 { 9_000 } else { -9_000 }).collect();
        let mut payload = Vec::new();
        Law::Mu.encode(&samples, &mut payload);
        payload
    }

    fn is_loud(frame: &[i16]) -> bool {
        frame.iter().all(|s| s.unsigned_abs() > 8_000)
    }

    /// Packets that come 30 ms late now and then are played without a gap.
    #[test]
    fn jitter_is_absorbed() {
        let (mut relay, loud) = (Relay::new(), loud());
        let mut frame = [0; 160];
        relay.push(Law::Mu, &loud, 0);
        relay.push(Law::Mu, &loud, 0);
        for n in 0..100 {
            // Every tenth comes one frame late, together with the next.
            match n % 10 {
                8 => {}
                9 => (0..2).for_each(|_| relay.push(Law::Mu, &loud, 0)),
                _ => relay.push(Law::Mu, &loud, 0),
            }
            relay.fill(&mut frame);
            assert!(is_loud(&frame), "frame {n}");
        }
    }

    /// What is missing fades to silence; a flood is cut, so that the delay stays bounded.
    #[test]
    fn gaps_and_floods() {
        let (mut relay, loud) = (Relay::new(), loud());
        let mut frame = [1; 160];
        relay.fill(&mut frame);
        assert_eq!(frame, [0; 160], "nothing came: silence");
        for _ in 0..500 {
            relay.push(Law::Mu, &loud, 0);
        }
        assert!(relay.queue.len() <= MOST);
        let mut played = 0;
        while played < 50 && {
            relay.fill(&mut frame);
            is_loud(&frame)
        } {
            played += 1;
        }
        assert!((1..=7).contains(&played), "{played} frames");
        (0..5).for_each(|_| relay.fill(&mut frame));
        assert_eq!(frame, [0; 160]);
    }
}
