//! The telephone's rate (8 or 16 kHz) ↔ 24 kHz (door of crate rubato).
//!
//! In: any number of 16-bit samples at one rate. Out: samples at the other rate, appended. At 8 kHz both directions are
//! `Fft::new_custom(8000, 24000, 40, 1, 1, Hann, FixedSync::Both)` and its mirror with 120: blocks of 5 ms, 2.5 ms of filter
//! delay each way, −0.26 dB at 3.4 kHz, ≥ 72 dB SNR, nothing allocated per block. (The crate's defaults cost 10 ms each way;
//! its `sub_chunks` is ignored for `Both`, so the block must be asked for by its length.)
//! Also [`convert`]: any rate to any rate at once, for files.

use audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

use super::pcm::{REALTIME_HZ, Rate};

/// Block of the resamplers, at any rate.
const BLOCK_MS: usize = 5;

/// One direction: a block of input, collected over calls, becomes a block of output.
struct Blocks {
    fft: Fft<f32>,
    /// One channel. A list of channels is copied as a block by rubato, a slice of frames sample by sample.
    input: [Vec<f32>; 1],
    /// Samples of `input` that are filled.
    filled: usize,
    output: [Vec<f32>; 1],
}

impl Blocks {
    fn new(from_hz: u32, to_hz: u32, block_in: usize) -> Blocks {
        let (from, to) = (from_hz as usize, to_hz as usize);
        let fft = Fft::new_custom(from, to, block_in, 1, 1, WindowFunction::Hann, FixedSync::Both)
            .expect("rates and block length are constants, or were checked by the caller");
        let (block_in, block_out) = (fft.input_frames_next(), fft.output_frames_next());
        Blocks { fft, input: [vec![0.0; block_in]], filled: 0, output: [vec![0.0; block_out]] }
    }

    fn push(&mut self, mut samples: &[i16], out: &mut Vec<i16>) {
        while !samples.is_empty() {
            let space = &mut self.input[0][self.filled..];
            let taken = space.len().min(samples.len());
            let (now, later) = samples.split_at(taken);
            for (to, from) in space.iter_mut().zip(now) {
                *to = f32::from(*from);
            }
            self.filled += taken;
            samples = later;
            if self.filled == self.input[0].len() {
                self.run(out);
            }
        }
    }

    /// Completes the block that is being collected with silence (a whole block of it when none is).
    fn push_silence(&mut self, out: &mut Vec<i16>) {
        self.input[0][self.filled..].fill(0.0);
        self.run(out);
    }

    fn run(&mut self, out: &mut Vec<i16>) {
        self.filled = 0;
        let (input_len, output_len) = (self.input[0].len(), self.output[0].len());
        let input = SequentialSliceOfVecs::new(&self.input, 1, input_len).expect("one channel as long as the list");
        let mut output =
            SequentialSliceOfVecs::new_mut(&mut self.output, 1, output_len).expect("one channel as long as the list");
        self.fft.process_into_buffer(&input, &mut output, None).expect("both buffers have the lengths asked for");
        out.extend(self.output[0].iter().map(|sample| to_i16(*sample)));
    }

    fn reset(&mut self) {
        self.filled = 0;
        self.fft.reset();
    }
}

/// Rounds (ties to even) and clamps: the filter may overshoot full scale, and must not wrap.
///
/// `round_ties_even` is a library call on the x86-64 baseline. Adding 1.5 · 2²³ leaves no bits for a fraction, so the addition itself rounds,
/// and the low 16 bits of the sum are the integer in two's complement: plain SSE2, several samples at once.
fn to_i16(sample: f32) -> i16 {
    const ROUNDER: f32 = 12_582_912.0;
    let clamped = sample.clamp(f32::from(i16::MIN), f32::from(i16::MAX));
    (clamped + ROUNDER).to_bits() as i16
}

/// The line's rate → 24 k. Takes any number of samples; what does not fill a 5 ms block waits for the next call.
/// A sample comes out 2.5 ms after the one that went in at the same position.
pub struct Upsampler {
    blocks: Blocks,
}

impl Upsampler {
    pub fn new(line: Rate) -> Upsampler {
        Upsampler { blocks: Blocks::new(line.hz(), REALTIME_HZ, line.samples(BLOCK_MS)) }
    }
    /// Appends as much time as `input` has (at 8 kHz three samples for one), less what waits (< 5 ms).
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        self.blocks.push(input, out);
    }
    /// Forgets everything (a new stream).
    pub fn reset(&mut self) {
        self.blocks.reset();
    }
}

/// 24 k → the line's rate, mirror of [`Upsampler`].
///
/// It works on segments: the filter's delay is taken off at the start of one and given back by [`Downsampler::flush`],
/// so that (at 8 kHz) a segment of `n` samples becomes `n / 3` (rounded up) and sample `k` of the input is at `k / 3` of the output. That is
/// what lets milliseconds counted on the telephone side be told to the model as its own.
pub struct Downsampler {
    blocks: Blocks,
    line: Rate,
    /// Samples given to [`Self::process`] since the segment began.
    taken: usize,
    /// Samples appended since the segment began.
    given: usize,
    /// Filter delay still to be dropped.
    lead: usize,
}

impl Downsampler {
    pub fn new(line: Rate) -> Downsampler {
        let blocks = Blocks::new(REALTIME_HZ, line.hz(), Rate::Hz24000.samples(BLOCK_MS));
        Downsampler { blocks, line, taken: 0, given: 0, lead: delay(line) }
    }
    /// Appends as much time as `input` has (at 8 kHz one sample for three), less what waits (< 7.5 ms: a block, and 2.5 ms of filter).
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        let from = out.len();
        self.taken += input.len();
        self.blocks.push(input, out);
        self.drop_lead(from, out);
    }
    /// Feeds silence until the last real sample is out (end of a segment); appends what came.
    /// The next sample then begins a new segment.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        let due = (self.taken * self.line.per_ms()).div_ceil(Rate::Hz24000.per_ms());
        while self.given < due {
            let from = out.len();
            self.blocks.push_silence(out);
            self.drop_lead(from, out);
        }
        out.truncate(out.len() - (self.given - due));
        self.reset();
    }
    /// Forgets everything (barge-in).
    pub fn reset(&mut self) {
        self.blocks.reset();
        (self.taken, self.given, self.lead) = (0, 0, delay(self.line));
    }

    fn drop_lead(&mut self, from: usize, out: &mut Vec<i16>) {
        let lead = self.lead.min(out.len() - from);
        out.drain(from..from + lead);
        self.lead -= lead;
        self.given += out.len() - from;
    }
}

/// Delay of the filter, 2.5 ms, in samples of the line.
fn delay(line: Rate) -> usize {
    line.samples(BLOCK_MS) / 2
}

/// Whole recordings: `from_hz` → `to_hz`, without delay, `len * to_hz / from_hz` samples (rounded up). Allocates; for files, not for calls.
/// Both rates must lie in 1,000–384,000; others give `None`.
pub fn convert(samples: &[i16], from_hz: u32, to_hz: u32) -> Option<Vec<i16>> {
    const RATES: std::ops::RangeInclusive<u32> = 1_000..=384_000;
    if !RATES.contains(&from_hz) || !RATES.contains(&to_hz) {
        return None;
    }
    if from_hz == to_hz {
        return Some(samples.to_vec());
    }
    // About 20 ms: steeper than a call's 5 ms, and delay does not matter here. Of an even number of shortest blocks, so that half a block,
    // which is the delay, is a whole number of samples at both rates.
    let (from, to) = (from_hz as usize, to_hz as usize);
    let unit = 2 * from / gcd(from, to);
    let mut blocks = Blocks::new(from_hz, to_hz, (from / 50).div_ceil(unit) * unit);
    let delay = blocks.fft.output_delay();
    let due = (samples.len() as u64 * u64::from(to_hz)).div_ceil(u64::from(from_hz)) as usize;
    let mut out = Vec::with_capacity(delay + due + blocks.output[0].len());
    blocks.push(samples, &mut out);
    while out.len() < delay + due {
        blocks.push_silence(&mut out);
    }
    out.drain(..delay);
    out.truncate(due);
    Some(out)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
