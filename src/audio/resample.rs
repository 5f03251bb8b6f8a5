//! The telephone's rate (8 or 16 kHz) ↔ 24 kHz (door of crate rubato).
//!
//! In: any number of 16-bit samples at one rate. Out: samples at the other rate, appended. Everything goes by blocks of 5 ms, with 2.5 ms
//! of filter delay each way and nothing allocated per block. 16 kHz is rubato's
//! `Fft::new_custom(16000, 24000, 80, 1, 1, Hann, FixedSync::Both)` and its mirror with 120. (The crate's defaults cost 10 ms each way; its
//! `sub_chunks` is ignored for `Both`, so the block must be asked for by its length.) 8 kHz, of which a server has hundreds at a time, is
//! [`polyphase`], which costs half of that and is held against rubato by the tests.
//! The engines are shared by all calls of a thread; a call keeps its last 5 ms of input.
//! Also [`convert`]: any rate to any rate at once, for files.

mod polyphase;

use audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};
use std::cell::RefCell;

use polyphase::{Down, Up};

use super::pcm::{Rate, to_i16};

/// Block of the resamplers, at any rate.
const BLOCK_MS: usize = 5;

/// What turns a block at one rate into one at the other.
enum Filter {
    /// rubato's, with its tables, spectra and scratch: 10 to 20 KiB. One channel: a list of channels is copied as a block by rubato, a slice
    /// of frames sample by sample.
    Fft(Box<Fft<f32>>, [Vec<f32>; 1]),
    Up(Box<Up>),
    Down(Box<Down>),
}

/// A filter and its block of input.
///
/// Each is done with a block after the next one (overlap-add, or taps of 5 ms). So an engine that is given a stream's block before last stands
/// where it stood after it, whatever it did for other streams in between.
struct Engine {
    filter: Filter,
    input: [Vec<f32>; 1],
    /// Samples of a block of output.
    block_out: usize,
}

impl Engine {
    fn new(from_hz: u32, to_hz: u32, block_in: usize) -> Engine {
        let (from, to) = (from_hz as usize, to_hz as usize);
        let fft = Fft::new_custom(from, to, block_in, 1, 1, WindowFunction::Hann, FixedSync::Both)
            .expect("rates and block length are constants, or were checked by the caller");
        let (block_in, block_out) = (fft.input_frames_next(), fft.output_frames_next());
        Engine { filter: Filter::Fft(Box::new(fft), [vec![0.0; block_out]]), input: [vec![0.0; block_in]], block_out }
    }
    fn up() -> Engine {
        Engine { filter: Filter::Up(Box::new(Up::new())), input: [vec![0.0; Up::BLOCK]], block_out: Down::BLOCK }
    }
    fn down() -> Engine {
        Engine { filter: Filter::Down(Box::new(Down::new())), input: [vec![0.0; Down::BLOCK]], block_out: Up::BLOCK }
    }

    /// Takes one block; what is missing of it is silence.
    fn take(&mut self, (first, then): Block<'_>) {
        let [input] = &mut self.input;
        let length = input.len();
        let (ours, rest) = input.split_at_mut(first.len().min(length));
        let (theirs, rest) = rest.split_at_mut(then.len().min(length - ours.len()));
        widen(first, ours);
        widen(then, theirs);
        rest.fill(0.0);
    }

    /// Stands as it stood after `block`.
    fn recall(&mut self, block: Block<'_>) {
        self.take(block);
        match &mut self.filter {
            Filter::Fft(fft, _) if is_silent(block) => fft.reset(),
            Filter::Fft(fft, output) => transform(fft, &self.input, output),
            Filter::Up(up) => up.recall(whole(&self.input)),
            Filter::Down(down) => down.recall(whole(&self.input)),
        }
    }

    /// Runs one block, and appends what came out.
    fn run_into(&mut self, block: Block<'_>, out: &mut Vec<i16>) {
        self.take(block);
        match &mut self.filter {
            Filter::Fft(fft, output) => {
                transform(fft, &self.input, output);
                out.extend(output[0].iter().map(|sample| to_i16(*sample)));
            }
            Filter::Up(up) => out.extend_from_slice(&up.run(whole(&self.input))),
            Filter::Down(down) => out.extend_from_slice(&down.run(whole(&self.input))),
        }
    }
}

/// One block of rubato's.
fn transform(fft: &mut Fft<f32>, input: &[Vec<f32>; 1], output: &mut [Vec<f32>; 1]) {
    let (input_len, output_len) = (input[0].len(), output[0].len());
    let input = SequentialSliceOfVecs::new(input, 1, input_len).expect("one channel as long as the list");
    let mut output = SequentialSliceOfVecs::new_mut(output, 1, output_len).expect("one channel as long as the list");
    fft.process_into_buffer(&input, &mut output, None).expect("both buffers have the lengths asked for");
}

/// The input of an engine, which is as long as its filter's block.
fn whole<const N: usize>([input]: &[Vec<f32>; 1]) -> &[f32; N] {
    input.first_chunk().expect("made with the filter's length")
}

/// A block of input in two pieces: what waited for it, and what came.
type Block<'a> = (&'a [i16], &'a [i16]);

fn is_silent((first, then): Block<'_>) -> bool {
    let any = |samples: &[i16]| samples.iter().fold(0, |any, sample| any | sample);
    any(first) | any(then) == 0
}

/// A loop of its own, so that it is compiled to several samples at once.
fn widen(from: &[i16], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = f32::from(*from));
}

/// The way between a line and the Realtime session; 24 kHz lines need none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up8,
    Up16,
    Down8,
    Down16,
}

thread_local! {
    /// One engine a way, shared by all calls of a thread: 400 calls with engines of their own would find none of them in the cache.
    /// What comes out depends on the call's own samples only.
    static ENGINES: [RefCell<Option<Engine>>; 4] = const { [const { RefCell::new(None) }; 4] };
}

impl Way {
    fn up(line: Rate) -> Option<Way> {
        match line {
            Rate::Hz8000 => Some(Way::Up8),
            Rate::Hz16000 => Some(Way::Up16),
            Rate::Hz24000 => None,
        }
    }
    fn down(line: Rate) -> Option<Way> {
        match line {
            Rate::Hz8000 => Some(Way::Down8),
            Rate::Hz16000 => Some(Way::Down16),
            Rate::Hz24000 => None,
        }
    }
    fn rates(self) -> (Rate, Rate) {
        match self {
            Way::Up8 => (Rate::Hz8000, Rate::Hz24000),
            Way::Up16 => (Rate::Hz16000, Rate::Hz24000),
            Way::Down8 => (Rate::Hz24000, Rate::Hz8000),
            Way::Down16 => (Rate::Hz24000, Rate::Hz16000),
        }
    }
    fn engine(self) -> Engine {
        let (from, to) = self.rates();
        match self {
            Way::Up8 => Engine::up(),
            Way::Down8 => Engine::down(),
            Way::Up16 | Way::Down16 => Engine::new(from.hz(), to.hz(), from.samples(BLOCK_MS)),
        }
    }
    fn with_engine(self, work: impl FnOnce(&mut Engine)) {
        ENGINES.with(|engines| work(engines[self as usize].borrow_mut().get_or_insert_with(|| self.engine())));
    }
}

/// One direction of one call: its last whole block, and what waits to become the next one.
struct Blocks {
    way: Way,
    /// Samples of a block of input.
    block: usize,
    /// `block` samples, then fewer than `block`. It begins with silence, as an engine does.
    held: Vec<i16>,
}

impl Blocks {
    fn new(way: Way) -> Blocks {
        let block = way.rates().0.samples(BLOCK_MS);
        let mut held = Vec::with_capacity(2 * block);
        held.resize(block, 0);
        Blocks { way, block, held }
    }

    fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        let waiting = self.held.len() - self.block;
        let Some((head, rest)) = samples.split_at_checked(self.block - waiting) else {
            return self.held.extend_from_slice(samples);
        };
        let (before, waiting) = self.held.split_at(self.block);
        self.way.with_engine(|engine| {
            let mut last = (before, &[][..]);
            let mut recalled = false;
            let blocks = rest.chunks_exact(self.block).map(|block| (block, &[][..]));
            for block in std::iter::once((waiting, head)).chain(blocks) {
                // Silence after silence is silence: nothing to transform.
                if is_silent(block) && is_silent(last) {
                    recalled = false;
                    out.resize(out.len() + engine.block_out, 0);
                } else {
                    if !recalled {
                        engine.recall(last);
                    }
                    recalled = true;
                    engine.run_into(block, out);
                }
                last = block;
            }
        });
        let blocks = rest.len() / self.block * self.block;
        match blocks.checked_sub(self.block) {
            Some(last) => {
                self.held.clear();
                self.held.extend_from_slice(&rest[last..]);
            }
            None => {
                self.held.drain(..self.block);
                self.held.extend_from_slice(samples);
            }
        }
    }

    /// Completes the block that is being collected with silence (a whole block of it when none is).
    fn push_silence(&mut self, out: &mut Vec<i16>) {
        const SILENCE: [i16; 24 * BLOCK_MS] = [0; 24 * BLOCK_MS];
        let missing = 2 * self.block - self.held.len();
        self.push(&SILENCE[..missing], out);
    }

    fn reset(&mut self) {
        self.held.clear();
        self.held.resize(self.block, 0);
    }
}

/// The line's rate → 24 k. Takes any number of samples; what does not fill a 5 ms block waits for the next call.
/// A sample comes out 2.5 ms after the one that went in at the same position (at once when the line has 24 kHz).
pub struct Upsampler {
    line: Rate,
    /// `None`: the rates are the same.
    blocks: Option<Blocks>,
}

impl Upsampler {
    pub fn new(line: Rate) -> Upsampler {
        Upsampler { line, blocks: Way::up(line).map(Blocks::new) }
    }
    pub fn line(&self) -> Rate {
        self.line
    }
    /// Samples that wait for their block.
    pub fn waiting(&self) -> usize {
        self.blocks.as_ref().map_or(0, |blocks| blocks.held.len() - blocks.block)
    }
    /// Appends as much time as `input` has (at 8 kHz three samples for one), less what waits (< 5 ms).
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        match &mut self.blocks {
            Some(blocks) => blocks.push(input, out),
            None => out.extend_from_slice(input),
        }
    }
    /// Appends what waits and what is in the filter, and then silence (10 ms in all); the next sample begins a new stream.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        if let Some(blocks) = &mut self.blocks {
            blocks.push_silence(out);
            blocks.push_silence(out);
            blocks.reset();
        }
    }
    /// Forgets everything (a new stream).
    pub fn reset(&mut self) {
        if let Some(blocks) = &mut self.blocks {
            blocks.reset();
        }
    }
}

/// 24 k → the line's rate, mirror of [`Upsampler`].
///
/// It works on segments: the filter's delay is taken off at the start of one and given back by [`Downsampler::flush`],
/// so that (at 8 kHz) a segment of `n` samples becomes `n / 3` (rounded up) and sample `k` of the input is at `k / 3` of the output. That is
/// what lets milliseconds counted on the telephone side be told to the model as its own.
pub struct Downsampler {
    /// `None`: the rates are the same.
    blocks: Option<Blocks>,
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
        Downsampler { blocks: Way::down(line).map(Blocks::new), line, taken: 0, given: 0, lead: delay(line) }
    }
    /// Appends as much time as `input` has (at 8 kHz one sample for three), less what waits (< 7.5 ms: a block, and 2.5 ms of filter).
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        let Some(blocks) = &mut self.blocks else { return out.extend_from_slice(input) };
        let from = out.len();
        self.taken += input.len();
        blocks.push(input, out);
        self.drop_lead(from, out);
    }
    /// Feeds silence until the last real sample is out (end of a segment); appends what came.
    /// The next sample then begins a new segment.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        let due = (self.taken * self.line.per_ms()).div_ceil(Rate::Hz24000.per_ms());
        while self.given < due {
            let from = out.len();
            // Without a filter nothing is ever owed.
            let Some(blocks) = &mut self.blocks else { break };
            blocks.push_silence(out);
            self.drop_lead(from, out);
        }
        out.truncate(out.len() - self.given.saturating_sub(due));
        self.reset();
    }
    /// Goes on at another rate, also in the middle of a segment. Between two filters nothing is lost: their blocks are the same.
    pub fn set_line(&mut self, line: Rate) {
        let scaled = |samples: usize| samples * line.per_ms() / self.line.per_ms();
        (self.given, self.lead) = (scaled(self.given), scaled(self.lead));
        match (Way::down(line), &mut self.blocks) {
            (Some(way), Some(blocks)) => blocks.way = way,
            (way, blocks) => *blocks = way.map(Blocks::new),
        }
        self.line = line;
    }
    /// Forgets everything (barge-in).
    pub fn reset(&mut self) {
        if let Some(blocks) = &mut self.blocks {
            blocks.reset();
        }
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
    let mut engine = Engine::new(from_hz, to_hz, (from / 50).div_ceil(unit) * unit);
    let (delay, block) = (engine.block_out / 2, engine.input[0].len());
    let due = (samples.len() as u64 * u64::from(to_hz)).div_ceil(u64::from(from_hz)) as usize;
    let mut out = Vec::with_capacity(delay + due + engine.block_out);
    for block in samples.chunks(block) {
        engine.run_into((block, &[]), &mut out);
    }
    while out.len() < delay + due {
        engine.run_into((&[], &[]), &mut out);
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
