//! Audio of one leg on its way to the other: a small jitter buffer between a receiver and an absolute packet clock.
//!
//! In: payloads in order, with what the network lost before them. Out: frames of any length at the other line's rate, always whole.
//! The two ends' clocks drift, and stalls heap up: delay that stays is taken out of pauses (`audio::standing`), what is far too much is dropped, what is missing is concealed (which fades to silence within 60 ms).

use crate::audio::codec::Decoder;
use crate::audio::conceal::Concealer;
use crate::audio::line::{FromLine, ToLine};
use crate::audio::pcm::Rate;
use crate::audio::standing::Standing;
use crate::codec::{Codec, TICKS_PER_MS};
use std::collections::VecDeque;

/// Gathered before it plays, at the beginning and after each gap.
const START_MS: usize = 40;
/// Most that waits; beyond, the oldest is dropped down to [`START_MS`].
const MOST_MS: usize = 140;
/// Longest loss that is filled; a longer one is a pause.
const MAX_FILL_MS: usize = 60;

/// See the module's map.
pub(super) struct Relay {
    rate: Rate,
    decoder: Decoder,
    /// Between two lines of different rates: up to 24 kHz and down again.
    convert: Option<(FromLine, ToLine)>,
    /// At `rate`.
    queue: VecDeque<i16>,
    playing: bool,
    /// Frames were concealed since the last payload: its loss is filled already.
    starved: bool,
    concealer: Concealer,
    standing: Standing,
    samples: Vec<i16>,
    wide: Vec<i16>,
}

impl Relay {
    /// `rate`: of the line that hears it.
    pub fn new(rate: Rate) -> Relay {
        Relay {
            rate,
            decoder: Decoder::new(),
            convert: None,
            queue: VecDeque::with_capacity(rate.samples(MOST_MS)),
            playing: false,
            starved: false,
            concealer: Concealer::new(rate),
            standing: Standing::new(rate, START_MS),
            samples: Vec::with_capacity(rate.samples(MOST_MS)),
            wide: Vec::new(),
        }
    }

    /// The line that hears it has another rate now. What waits is dropped: at most [`MOST_MS`], once.
    pub fn set_rate(&mut self, rate: Rate) {
        if rate != self.rate {
            (self.rate, self.convert, self.playing) = (rate, None, false);
            self.queue.clear();
            self.concealer.set_rate(rate);
            self.standing = Standing::new(rate, START_MS);
        }
    }

    /// One payload. `lost_before`: what the network lost right before it, in ticks of 1/8000 s.
    pub fn push(&mut self, codec: Codec, payload: &[u8], lost_before: u32) {
        let missing = (lost_before as usize).min(MAX_FILL_MS * TICKS_PER_MS as usize);
        if missing > 0 && self.playing && !std::mem::take(&mut self.starved) {
            self.samples.clear();
            self.concealer.conceal(missing * self.rate.per_ms() / TICKS_PER_MS as usize, &mut self.samples);
            self.queue.extend(&self.samples);
        }
        self.starved = false;
        self.decode(codec, payload);
        self.concealer.good(&mut self.samples);
        self.queue.extend(&self.samples);
        self.standing.pushed(self.samples.len());
        if self.queue.len() > self.rate.samples(MOST_MS) {
            let excess = self.queue.len() - self.rate.samples(START_MS);
            self.queue.drain(..excess);
        }
    }

    /// The payload → `samples`, at `rate`.
    fn decode(&mut self, codec: Codec, payload: &[u8]) {
        self.samples.clear();
        self.decoder.decode(codec, payload, &mut self.samples);
        if codec.rate() == self.rate {
            return;
        }
        let rate = self.rate;
        let make = || (FromLine::new(codec.rate(), Rate::Hz24000), ToLine::new(Rate::Hz24000, rate));
        let (up, down) = self.convert.get_or_insert_with(make);
        if up.line() != codec.rate() {
            up.set_line(codec.rate(), &[]);
        }
        self.wide.clear();
        up.process(&self.samples, &mut self.wide);
        self.samples.clear();
        down.process(&self.wide, &mut self.samples);
    }

    /// The next frame.
    pub fn fill(&mut self, frame: &mut [i16]) {
        self.playing |= self.queue.len() >= self.rate.samples(START_MS).max(frame.len());
        if self.playing {
            self.standing.trim(&mut self.queue);
        }
        let ready = if self.playing { frame.len().min(self.queue.len()) } else { 0 };
        for (to, from) in frame.iter_mut().zip(self.queue.drain(..ready)) {
            *to = from;
        }
        self.standing.played(frame.len(), ready, self.queue.len());
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
    use crate::audio::g711::Law;

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
        let (mut relay, loud) = (Relay::new(Rate::Hz8000), loud());
        let mut frame = [0; 160];
        relay.push(Codec::Pcmu, &loud, 0);
        relay.push(Codec::Pcmu, &loud, 0);
        for n in 0..100 {
            // Every tenth comes one frame late, together with the next.
            match n % 10 {
                8 => {}
                9 => (0..2).for_each(|_| relay.push(Codec::Pcmu, &loud, 0)),
                _ => relay.push(Codec::Pcmu, &loud, 0),
            }
            relay.fill(&mut frame);
            assert!(is_loud(&frame), "frame {n}");
        }
    }

    /// What is missing fades to silence; a flood is cut, so that the delay stays bounded.
    #[test]
    fn gaps_and_floods() {
        let (mut relay, loud) = (Relay::new(Rate::Hz8000), loud());
        let mut frame = [1; 160];
        relay.fill(&mut frame);
        assert_eq!(frame, [0; 160], "nothing came: silence");
        for _ in 0..500 {
            relay.push(Codec::Pcmu, &loud, 0);
        }
        assert!(relay.queue.len() <= Rate::Hz8000.samples(MOST_MS));
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

    /// After a stall of the network 120 ms wait, and the voice has no pause: within seconds it is 40 again.
    #[test]
    fn a_delay_does_not_stay() {
        let mut relay = Relay::new(Rate::Hz8000);
        let mut frame = [0; 160];
        let mut n = 0u32;
        let mut packet = || {
            let voice = (0..160).map(|_| {
                n += 1;
                ((f64::from(n) / 8_000.0 * 200.0 * std::f64::consts::TAU).sin() * 9_000.0) as i16
            });
            let (samples, mut payload): (Vec<i16>, Vec<u8>) = (voice.collect(), Vec::new());
            Law::Mu.encode(&samples, &mut payload);
            payload
        };
        (0..6).for_each(|_| relay.push(Codec::Pcmu, &packet(), 0));
        for _ in 0..500 {
            relay.push(Codec::Pcmu, &packet(), 0);
            relay.fill(&mut frame);
            assert!(frame.iter().any(|sample| sample.unsigned_abs() > 8_000), "a hole");
        }
        assert!(relay.queue.len() <= Rate::Hz8000.samples(START_MS + 15), "{} ms", relay.queue.len() / 8);
    }
}
