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
//! | `copy` | asks whether what the filter leaves is a copy of what was sent after all |
//! | `gate` | decides what is echo alone |
//! | `fade` | puts the line's own noise in its place |
//!
//! Until a line has shown how much it echoes, it is taken for a bad one (6 dB of return loss), so that the first words of a call are safe;
//! a line without echo is known as such within a second of the agent's speech, and a caller who speaks at the same time passes after a tenth of one:
//! what came then is no copy of what was sent. The guard sleeps when nothing was sent for 600 ms.

mod canceller;
mod copy;
mod delay;
mod fade;
mod gate;
mod history;

use canceller::{AROUND, Canceller, LATER, LEAD, MORE, MOVE, PIECE, Powers, SEEN, TAPS};
use copy::{KEPT, NEWEST, RINGS};
use delay::DelaySearch;
use fade::Passes;
use gate::{Gate, Heard, Verdict};
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
const EMPHASIS: f32 = 0.7;
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
    /// How much of what goes out is the canceller's.
    mix: f32,
    /// The last samples that came, pre-emphasised.
    seen: [f32; KEPT],
    /// What was sent around the delay, pre-emphasised, for the newest piece and for the one that is learned from; and where it ends.
    around: [f32; AROUND_NOW + MORE],
    around_end: u64,
}

/// For a piece and the [`LATER`] before it.
const AROUND_NOW: usize = TAPS + (LATER + 1) * PIECE;
/// What comes back of this is below the noise of G.711.
const SILENT: f32 = 16.0;

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
            mix: 0.0,
            seen: [0.0; KEPT],
            around: [0.0; AROUND_NOW + MORE],
            around_end: 0,
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
            self.last_near = frame.first().map_or(0.0, |first| f32::from(*first));
        }
        let mut wide = wide.chunks_mut(2 * PIECE);
        for piece in frame.chunks_mut(PIECE) {
            self.piece(at, piece);
            if let Some(wide) = wide.next() {
                self.piece_of_wide(wide);
            }
            at += piece.len() as u64;
        }
    }

    fn piece_of_wide(&mut self, wide: &mut [i16]) {
        match self.gate.fade.passes() {
            Passes::All => {}
            Passes::Nothing => self.gate.fade.comfort(wide),
            Passes::Part => {
                let length = wide.len();
                for (n, sample) in wide.iter_mut().enumerate() {
                    *sample = self.gate.fade.pass(f32::from(*sample), n, length);
                }
            }
        }
    }

    fn piece(&mut self, at: u64, piece: &mut [i16]) {
        let length = piece.len();
        let (mut near, mut sent) = ([0.0f32; PIECE], [0.0f32; PIECE]);
        for (to, from) in near.iter_mut().zip(piece.iter()) {
            *to = f32::from(*from);
        }
        self.history.read(at, &mut sent[..length]);
        self.levels.push(power(&sent[..length]));
        let sent_power = self.levels.around(self.delay.map(|delay| delay / PIECE));
        let near_power = power(&near[..length]);
        let (mut left, mut echo) = (near, [0.0f32; PIECE]);
        let mut cleaned = false;
        let mut flat = Powers { near: near_power, left: near_power, echo: 0.0 };
        if self.delay.is_some() {
            self.flatten(&near[..length], &mut left[..length]);
            self.follow(at, length);
            let window = self.around.get(AROUND_NOW - TAPS - length..).unwrap_or_default();
            if window.iter().all(|x| x.abs() < SILENT) {
                flat.near = power(&left[..length]);
                flat.left = flat.near;
            } else {
                flat = self.canceller.watch(window, &left[..length]);
                cleaned = self.gate.looks_closely(&flat);
            }
            if cleaned {
                flat.near = power(&left[..length]);
                self.canceller.run(window, &mut left[..length], &mut echo[..length]);
                (flat.left, flat.echo) = (power(&left[..length]), power(&echo[..length]));
            }
        }
        let heard = Heard { near: near_power, sent: sent_power, flat, cancels: self.delay.is_some() };
        let verdict = self.gate.judge(&heard);
        if let Some(found) = self.search.push(&sent[..length], &near[..length], verdict.search, self.delay) {
            self.found(found);
        }
        if verdict.stranger
            && self.delay.is_none()
            && let Some((copy, ratio)) = self.search.stranger()
        {
            self.gate.stranger(copy, ratio);
        }
        if let Some(bound) = self.search.take_bound().filter(|_| self.delay.is_none()) {
            self.gate.bound(bound);
        }
        self.follow_up(at, length, verdict);
        match self.gate.fade.passes() {
            Passes::All if !cleaned && self.mix == 0.0 => {}
            Passes::Nothing => {
                (self.mix, self.last_left) = (0.0, 0.0);
                self.gate.fade.comfort(piece);
            }
            _ => {
                // From the one to the other within a piece: a step would be a click.
                let (from, to) = (self.mix, if cleaned && self.gate.trusts_filter() { 1.0 } else { 0.0 });
                self.mix = to;
                let mut last = self.last_left;
                for (n, (out, (left, near))) in piece.iter_mut().zip(left.iter().zip(&near)).enumerate() {
                    // Without the emphasis again.
                    last = if cleaned { *left + EMPHASIS * last } else { *near };
                    let mix = from + (to - from) * (n + 1) as f32 / length as f32;
                    *out = self.gate.fade.pass(near + mix * (last - near), n, length);
                }
                self.last_left = last;
            }
        }
    }

    /// Pre-emphasis of what came; it is kept for later.
    fn flatten(&mut self, near: &[f32], flat: &mut [f32]) {
        let mut last = self.last_near;
        for (to, from) in flat.iter_mut().zip(near) {
            *to = from - EMPHASIS * last;
            last = *from;
        }
        self.last_near = last;
        self.seen.copy_within(near.len().., 0);
        let from = KEPT - near.len();
        self.seen[from..].copy_from_slice(flat);
    }

    /// What was sent around the delay, up to what the piece at `at` needs.
    fn follow(&mut self, at: u64, length: usize) {
        let Some(delay) = self.delay else { return };
        let end = at + (length + LEAD + 1) as u64;
        let end = end.saturating_sub(delay as u64);
        let new = end.saturating_sub(std::mem::replace(&mut self.around_end, end)) as usize;
        if (1..=PIECE).contains(&new) {
            self.around.copy_within(new..AROUND_NOW, 0);
        }
        let new = if new <= PIECE { new } else { AROUND_NOW };
        let mut fresh = [0.0f32; AROUND_NOW];
        let Some(fresh) = fresh.get_mut(..new) else { return };
        self.emphasised(end.saturating_sub(new as u64), fresh);
        if let Some(to) = self.around.get_mut(AROUND_NOW - new..AROUND_NOW) {
            to.copy_from_slice(fresh);
        }
    }

    fn follow_up(&mut self, at: u64, length: usize, verdict: Verdict) {
        let Some(delay) = self.delay else { return };
        let mut copy = verdict.copy;
        if verdict.ask {
            let mut around = [0.0f32; AROUND];
            let first = at + (length + LEAD + 1) as u64;
            self.emphasised(first.saturating_sub((delay + TAPS + SEEN + MOVE) as u64), &mut around);
            if let Some(by) = self.seen.last_chunk::<SEEN>().and_then(|seen| self.canceller.moved(&around, seen)) {
                self.moved(by);
                self.gate.moved();
                copy = false;
            }
        }
        if copy {
            let (share, wide, left) = self.copy_share(at + length as u64, delay);
            let elsewhere = self.gate.opens_at(share) && {
                let whole = copy::elsewhere::<KEPT>(&wide, &self.seen, &left);
                // A path that moved just now left the first half where it was.
                self.gate.elsewhere(whole.min(copy::elsewhere::<NEWEST>(&wide, &self.seen, &left)))
            };
            if !elsewhere {
                self.gate.copies(share);
            }
        }
        if let Some(stride) = self.gate.stride() {
            self.learn(stride);
        }
        if verdict.good {
            let by = self.canceller.centre();
            if by != 0 {
                self.moved(by);
            }
        }
        if verdict.lost {
            self.canceller.clear();
        }
    }

    /// How much of what the filter leaves of the last 50 ms, up to `end`, is a copy of what was sent; what was sent around that; and what is left.
    fn copy_share(&self, end: u64, delay: usize) -> (f32, [f32; copy::WIDE], [f32; KEPT]) {
        let mut wide = [0.0f32; copy::WIDE];
        let last = (end + (LEAD + MOVE) as u64).saturating_sub(delay as u64);
        self.emphasised(last.saturating_sub(wide.len() as u64), &mut wide);
        let (mut left, mut echo) = (self.seen, [0.0f32; KEPT]);
        let sent = wide.get(MOVE..MOVE + copy::SENT).unwrap_or_default();
        self.canceller.run(sent, &mut left, &mut echo);
        (copy::share(sent, &left, RINGS), wide, left)
    }

    fn moved(&mut self, by: i32) {
        self.delay = self.delay.map(|delay| delay.saturating_add_signed(by as isize));
        self.around_end = 0;
    }

    /// From the piece some pieces ago, when nothing but echo came since.
    fn learn(&mut self, stride: usize) {
        let Some(near) = self.seen.get(KEPT - (LATER + 1) * PIECE..).and_then(|seen| seen.first_chunk::<PIECE>())
        else {
            return;
        };
        self.canceller.learn(&self.around, near, self.gate.floor() / self.gate.gain(), stride);
    }

    /// What was sent from `number` on, pre-emphasised.
    fn emphasised(&self, number: u64, to: &mut [f32]) {
        let mut plain = [0.0f32; copy::WIDE + 1];
        let Some(plain) = plain.get_mut(..=to.len()) else { return };
        self.history.read(number.saturating_sub(1), plain);
        let Some(after) = plain.get(1..) else { return };
        for ((to, last), now) in to.iter_mut().zip(plain.iter()).zip(after) {
            *to = now - EMPHASIS * last;
        }
    }

    fn found(&mut self, delay: usize) {
        match self.delay {
            Some(known) if known.abs_diff(delay) < SAME => {}
            Some(_) => {
                // The path moved; its shape is that of the line.
                self.delay = Some(delay);
                self.around_end = 0;
                self.search.restart();
                self.gate.moved();
            }
            None => {
                self.delay = Some(delay);
                self.around_end = 0;
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
    let (wide, rest) = samples.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for samples in wide {
        for (sum, s) in sums.iter_mut().zip(samples) {
            *sum += s * s;
        }
    }
    (sums.iter().sum::<f32>() + rest.iter().map(|s| s * s).sum::<f32>()) / samples.len().max(1) as f32
}

#[cfg(test)]
mod tests;
