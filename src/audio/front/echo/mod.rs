//! The echo guard: what comes back of the agent's own voice is kept from the model, so that its VAD hears the caller only.
//!
//! In: the samples that went out on RTP, and the caller's samples on their way to the model. Out: the same samples, echo taken out
//! where they are echo, cleaned of it where the caller speaks at the same time.
//!
//! | file | does |
//! |---|---|
//! | `history` | what was sent, on one time line with what comes |
//! | `delay` | finds how late the echo is (only while unknown or in doubt) |
//! | `canceller` | subtracts it, sample by sample (only where there is an echo) |
//! | `gate` | decides what is echo alone, and puts the line's own noise in its place |
//!
//! Until a line has shown how much it echoes, it is taken for a bad one (6 dB of return loss), so that the first words of a call are safe;
//! a line without echo is known as such within a second of the agent's speech. The guard sleeps when nothing was sent for 600 ms.

mod canceller;
mod delay;
mod gate;
mod history;

use canceller::{AROUND, Canceller, LEAD, MOVE, PIECE, SEEN, TAPS};
use delay::DelaySearch;
use gate::{Gate, Heard};
use history::{History, Levels};
use std::time::Instant;

/// What was learned of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EchoPath {
    /// From sending a sample to its echo, network included.
    pub delay_ms: u32,
    /// Echo return loss.
    pub loss_db: f32,
}

/// 600 ms: no echo comes later.
const SLEEP: u64 = 4_800;
/// Pre-emphasis.
const EMPHASIS: f32 = 0.9;
/// Delays (8 kHz samples) that differ by less are the same.
const SAME: usize = 48;

/// The guard of one line, at 8 kHz.
pub struct EchoGuard {
    history: History,
    levels: Levels,
    search: DelaySearch,
    canceller: Canceller,
    gate: Gate,
    delay: Option<usize>,
    awake: bool,
    last_near: f32,
    last_left: f32,
    last_echo: f32,
    /// How much of what goes out is the canceller's.
    mix: f32,
    /// The last samples that came, pre-emphasised.
    seen: [f32; SEEN],
}

impl EchoGuard {
    pub fn new() -> EchoGuard {
        EchoGuard {
            history: History::new(),
            levels: Levels::new(),
            search: DelaySearch::new(),
            canceller: Canceller::new(),
            gate: Gate::new(),
            delay: None,
            awake: false,
            last_near: 0.0,
            last_left: 0.0,
            last_echo: 0.0,
            mix: 0.0,
            seen: [0.0; SEEN],
        }
    }

    /// Samples that went out at `now`.
    pub fn sent(&mut self, now: Instant, frame: &[i16]) {
        self.history.sent(now, frame);
    }

    /// The echo that was found.
    pub fn path(&self) -> Option<EchoPath> {
        let delay = self.delay?;
        Some(EchoPath { delay_ms: (delay / 8) as u32, loss_db: -10.0 * self.gate.gain().max(1e-9).log10() })
    }

    /// Samples that came, in place.
    pub fn process(&mut self, now: Instant, frame: &mut [i16]) {
        self.run(now, frame, &mut []);
    }

    /// A line of 16 kHz: judged by `narrow`, the same at 8 kHz; `wide` passes the gate (nothing is subtracted from it).
    pub fn process_wide(&mut self, now: Instant, narrow: &mut [i16], wide: &mut [i16]) {
        self.run(now, narrow, wide);
    }

    fn run(&mut self, now: Instant, frame: &mut [i16], wide: &mut [i16]) {
        let mut at = self.history.arrived(now, frame.len());
        if !self.history.spoke_within(at, SLEEP) {
            self.awake = false;
            self.gate.rest(frame);
            return;
        }
        if !std::mem::replace(&mut self.awake, true) {
            self.levels.clear();
            self.search.pause();
            let last = frame.first().map_or(0.0, |first| f32::from(*first));
            (self.last_near, self.last_left, self.last_echo) = (last, last, 0.0);
        }
        let mut wide = wide.chunks_mut(2 * PIECE);
        for piece in frame.chunks_mut(PIECE) {
            self.piece(at, piece);
            if let Some(wide) = wide.next() {
                let length = wide.len();
                for (n, sample) in wide.iter_mut().enumerate() {
                    *sample = self.gate.pass(f32::from(*sample), n, length);
                }
            }
            at += piece.len() as u64;
        }
    }

    fn piece(&mut self, at: u64, piece: &mut [i16]) {
        let length = piece.len();
        let (mut near, mut sent, mut left, mut echo) =
            ([0.0f32; PIECE], [0.0f32; PIECE], [0.0f32; PIECE], [0.0f32; PIECE]);
        for (to, from) in near.iter_mut().zip(piece.iter()) {
            *to = f32::from(*from);
        }
        self.history.read(at, &mut sent[..length]);
        self.levels.push(power(&sent[..length]));
        let mut last = self.last_near;
        for (to, from) in left.iter_mut().zip(&near[..length]) {
            *to = from - EMPHASIS * last;
            last = *from;
        }
        self.last_near = last;
        self.seen.copy_within(length.., 0);
        self.seen[SEEN - length..].copy_from_slice(&left[..length]);
        let sent_power = self.levels.around(self.delay.map(|delay| delay / PIECE));
        let near_power = power(&near[..length]);
        if let Some(delay) = self.delay {
            let mut window = [0.0f32; TAPS + PIECE];
            self.emphasised((at + LEAD as u64 + 1).saturating_sub((delay + TAPS) as u64), &mut window);
            let stride = self.gate.stride();
            self.canceller.run(&window, &mut left[..length], &mut echo[..length], self.gate.floor() * 0.2, stride);
        }
        // Without the emphasis again.
        let (mut last, mut last_echo) = (self.last_left, self.last_echo);
        for (left, echo) in left[..length].iter_mut().zip(&mut echo[..length]) {
            last = *left + EMPHASIS * last;
            last_echo = *echo + EMPHASIS * last_echo;
            (*left, *echo) = (last, last_echo);
        }
        (self.last_left, self.last_echo) = (last, last_echo);
        let heard = Heard {
            near: near_power,
            sent: sent_power,
            left: power(&left[..length]),
            echo: power(&echo[..length]),
            cancels: self.delay.is_some(),
        };
        let verdict = self.gate.judge(&heard);
        if let (true, Some(delay)) = (verdict.ask, self.delay) {
            let mut around = [0.0f32; AROUND];
            let first = at + (length + LEAD + 1) as u64;
            self.emphasised(first.saturating_sub((delay + TAPS + SEEN + MOVE) as u64), &mut around);
            if let Some(by) = self.canceller.moved(&around, &self.seen) {
                self.delay = Some(delay.saturating_add_signed(by as isize));
                self.gate.moved();
            }
        }
        if verdict.good {
            self.canceller.keep();
        }
        if verdict.worse {
            self.canceller.go_back();
        }
        if let Some(found) = self.search.push(&sent[..length], &near[..length], verdict.search, self.delay) {
            self.found(found);
        }
        // From the one to the other within a piece: a step would be a click.
        let (from, to) = (self.mix, if self.gate.trusts_filter() { 1.0 } else { 0.0 });
        self.mix = to;
        for (n, (out, (left, near))) in piece.iter_mut().zip(left.iter().zip(&near)).enumerate() {
            let mix = from + (to - from) * (n + 1) as f32 / length as f32;
            *out = self.gate.pass(near + mix * (left - near), n, length);
        }
    }

    /// What was sent from `number` on, pre-emphasised.
    fn emphasised(&self, number: u64, to: &mut [f32]) {
        let mut last = [0.0f32; 1];
        self.history.read(number.saturating_sub(1), &mut last);
        self.history.read(number, to);
        let mut last = last[0];
        for sample in to {
            let now = *sample;
            *sample -= EMPHASIS * last;
            last = now;
        }
    }

    fn found(&mut self, delay: usize) {
        match self.delay {
            Some(known) if known.abs_diff(delay) < SAME => {}
            Some(_) => {
                // The path moved; its shape is that of the line.
                self.delay = Some(delay);
                self.search.restart();
                self.gate.moved();
            }
            None => {
                self.delay = Some(delay);
                self.canceller.clear();
                self.search.restart();
                self.gate.found();
            }
        }
    }
}

impl Default for EchoGuard {
    fn default() -> EchoGuard {
        EchoGuard::new()
    }
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32
}
