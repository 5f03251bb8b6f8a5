//! How late the echo comes: correlation of what came back with what was sent, at 2 kHz, over 0 to 512 ms.
//!
//! Speech repeats itself (pitch), so both streams are differentiated first, and a place counts only after it won several
//! times in a row. Runs only while the echo path is unknown or in doubt: it is the dearest part of the guard.

use super::canceller::PIECE;
use super::copy;

/// 8 kHz samples to one of ours.
pub const DOWN: usize = 4;
/// Delays that are looked at, ours: 512 ms.
const LAGS: usize = 1_024;
/// Newest samples in which another voice is told from an echo: 100 ms.
const NEWEST: usize = 200;
/// Share of its power that a voice has in the low band.
const VOICE: f32 = 0.25;
/// What is kept of what was sent, at least.
const KEPT: usize = LAGS + NEWEST;
const BUFFER: usize = KEPT + 512;
/// Samples of a piece.
const BLOCK: usize = PIECE / DOWN;
/// Delays of most lines: 300 ms.
const SOON: usize = 600;
const WIDE: usize = 8;
/// Share of the correlation that is kept from one look to the next (50 ms).
const KEEP: f32 = 0.94;
/// Samples between two looks.
const LOOK: usize = 100;
const BLOCKS: usize = LAGS / LOOK + 2;
/// Looks in a row that must agree, within [`NEAR`].
const AGREE: u32 = 3;
const NEAR: usize = 3;
/// The same for a place more than [`REACH`] (25 ms) from what was known.
const AGREE_FAR: u32 = 8;
const REACH: usize = 50;
/// Correlation coefficient of an echo; between strangers, 512 ms of lags stay below 0.15.
const LEAST: f32 = 0.2;
/// Looks (0.8 s) without an echo after which what came is believed to be another voice.
const STRANGERS: u32 = 16;
/// An echo that rings has so much more power than its strongest place shows (6 dB).
const RINGS: f32 = 4.0;

/// See the module's map.
pub struct DelaySearch {
    /// What was sent, oldest first, up to the newest near sample.
    sent: Vec<f32>,
    /// Index `LAGS - 1 - lag`.
    correlation: Vec<f32>,
    /// The newest of what came, oldest first.
    newest: [f32; NEWEST],
    /// Power of the same, piece by piece: as it came, and of the low band that is looked at.
    whole: [f32; NEWEST / BLOCK],
    low: [f32; NEWEST / BLOCK],
    near_power: f32,
    /// Of the block of [`LOOK`] samples that is being gathered, and of those before it, as [`DelaySearch::push`] went by.
    block: f32,
    blocks: [f32; BLOCKS],
    /// Power of what was sent that many blocks ago, forgotten as the correlation is.
    sent_power: [f32; BLOCKS],
    looked: usize,
    best: usize,
    agreed: u32,
    /// Looks in a row that found no echo in what came, and the highest coefficient in them.
    strange: u32,
    coefficient: f32,
    /// Echo for power sent, at most.
    bound: Option<f32>,
    last_sent: f32,
    last_near: f32,
}

impl DelaySearch {
    pub fn new() -> DelaySearch {
        let mut sent = Vec::with_capacity(BUFFER + BLOCK);
        sent.resize(KEPT, 0.0);
        DelaySearch {
            sent,
            correlation: vec![0.0; LAGS],
            newest: [0.0; NEWEST],
            whole: [0.0; NEWEST / BLOCK],
            low: [0.0; NEWEST / BLOCK],
            near_power: 0.0,
            block: 0.0,
            blocks: [0.0; BLOCKS],
            sent_power: [0.0; BLOCKS],
            looked: 0,
            best: 0,
            agreed: 0,
            strange: 0,
            coefficient: 0.0,
            bound: None,
            last_sent: 0.0,
            last_near: 0.0,
        }
    }

    /// Forgets what was learned, not what was sent.
    pub fn restart(&mut self) {
        self.correlation.fill(0.0);
        self.sent_power.fill(0.0);
        (self.near_power, self.agreed) = (0.0, 0);
        (self.strange, self.coefficient) = (0, 0.0);
    }

    /// Nothing was sent for long.
    pub fn pause(&mut self) {
        self.sent.clear();
        self.sent.resize(KEPT, 0.0);
        (self.last_sent, self.last_near) = (0.0, 0.0);
    }

    /// How much of what was sent can be in what came: two people speak at once, and the line does not echo, or less than this.
    pub fn take_bound(&mut self) -> Option<f32> {
        self.bound.take()
    }

    /// Both streams of the same time, 8 kHz, at most [`PIECE`] samples. `search`: also looks. The delay in 8 kHz samples, when found.
    pub fn push(&mut self, sent: &[f32], near: &[f32], search: bool, known: Option<usize>) -> Option<usize> {
        if self.sent.len() + BLOCK > BUFFER {
            let from = self.sent.len() - KEPT;
            self.sent.copy_within(from.., 0);
            self.sent.truncate(KEPT);
        }
        let mut came = [0.0; BLOCK];
        let mut count = 0;
        self.whole.rotate_left(1);
        self.low.rotate_left(1);
        let (mut whole, mut low) = (0.0, 0.0);
        for ((sent, near), came) in sent.as_chunks::<DOWN>().0.iter().zip(near.as_chunks::<DOWN>().0).zip(&mut came) {
            let (x, y) = (sent.iter().sum::<f32>() * 0.25, near.iter().sum::<f32>() * 0.25);
            let dx = x - 0.7 * self.last_sent;
            *came = y - 0.7 * self.last_near;
            (self.last_sent, self.last_near) = (x, y);
            whole += near.iter().map(|y| y * y).sum::<f32>();
            low += y * y * DOWN as f32;
            self.sent.push(dx);
            self.block += dx * dx;
            count += 1;
        }
        (self.whole[NEWEST / BLOCK - 1], self.low[NEWEST / BLOCK - 1]) = (whole, low);
        self.newest.copy_within(count.., 0);
        if let (Some(to), Some(came)) = (self.newest.get_mut(NEWEST - count..), came.get(..count)) {
            to.copy_from_slice(came);
        }
        if search {
            self.near_power += came.iter().map(|y| y * y).sum::<f32>();
            self.correlate(count, &came);
        }
        self.looked += count;
        if self.looked < LOOK {
            return None;
        }
        self.looked = 0;
        self.blocks.rotate_right(1);
        self.blocks[0] = std::mem::take(&mut self.block);
        if search { self.look(known.map(|delay| delay / DOWN)) } else { None }
    }

    /// Of the last 100 ms of what came: how much is a copy of what was sent, however late, and how much came for what was sent within
    /// 300 ms before; both as shares of power. None of a hiss: its low band, which is looked at, holds little but what the others left in it, and that is
    /// no copy of anything.
    pub fn stranger(&self) -> Option<(f32, f32)> {
        if self.low.iter().sum::<f32>() < VOICE * self.whole.iter().sum::<f32>() {
            return None;
        }
        let sent = self.sent.get(self.sent.len().checked_sub(KEPT - 1)?..)?;
        let copy = copy::share::<NEWEST>(sent, &self.newest, copy::RINGS);
        let came = self.newest.iter().map(|y| y * y).sum::<f32>();
        let sent = sent.get(sent.len().checked_sub(NEWEST + SOON)?..)?;
        let sent = sent.iter().map(|x| x * x).sum::<f32>() * NEWEST as f32 / sent.len() as f32;
        Some((copy, came / sent.max(1.0)))
    }

    /// Adds the newest `count` samples to every lag's sum.
    fn correlate(&mut self, count: usize, came: &[f32; BLOCK]) {
        // Of the first sample; those beyond `count` are zero, and so is what they add.
        let Some(first) = (self.sent.len() + 1).checked_sub(count + LAGS) else { return };
        self.sent.resize(self.sent.len() + BLOCK, 0.0);
        let (sums, _) = self.correlation.as_chunks_mut::<WIDE>();
        for (n, sums) in sums.iter_mut().enumerate() {
            let Some(sent) = self.sent.get(first + n * WIDE..).and_then(|sent| sent.first_chunk::<{ WIDE + BLOCK }>())
            else {
                break;
            };
            let mut all = *sums;
            for (late, came) in came.iter().enumerate() {
                for (lane, sum) in all.iter_mut().enumerate() {
                    *sum += sent[late + lane] * came;
                }
            }
            *sums = all;
        }
        self.sent.truncate(self.sent.len() - BLOCK);
    }

    fn look(&mut self, known: Option<usize>) -> Option<usize> {
        let (mut lag, mut most) = (0, 0.0f32);
        let (mut near_lag, mut near_most) = (0, 0.0f32);
        for (at, sum) in self.correlation.iter_mut().enumerate() {
            let (here, size) = (LAGS - 1 - at, sum.abs());
            if size > most {
                (lag, most) = (here, size);
            }
            if size > near_most && known.is_some_and(|known| known.abs_diff(here) <= REACH) {
                (near_lag, near_most) = (here, size);
            }
            *sum *= KEEP;
        }
        // A line's delay moves by a little; far away there is more likely another word that sounds the same.
        let far = known.is_some() && near_most < 0.6 * most;
        if known.is_some() && !far {
            (lag, most) = (near_lag, near_most);
        }
        let agree = if far { AGREE_FAR } else { AGREE };
        for (sum, block) in self.sent_power.iter_mut().zip(&self.blocks) {
            *sum = *sum * KEEP + block;
        }
        let ago = lag / LOOK;
        let sent = self.sent_power.iter().skip(ago).take(2).fold(0.0, |most: f32, power| most.max(*power));
        let scale = (self.near_power * sent).sqrt();
        self.judge_strangers(most / scale.max(1.0), self.near_power / sent.max(1.0));
        self.near_power *= KEEP;
        let same = lag.abs_diff(self.best) <= NEAR;
        self.best = lag;
        if most < LEAST * scale || scale < 1.0 {
            self.agreed = 0;
            return None;
        }
        self.agreed = if same { self.agreed + 1 } else { 0 };
        (self.agreed >= agree).then_some(lag * DOWN)
    }

    /// `coefficient`: of the strongest place. `ratio`: power that came for power sent. The share of what came that is echo is the square of
    /// the coefficient.
    fn judge_strangers(&mut self, coefficient: f32, ratio: f32) {
        if coefficient >= LEAST {
            (self.strange, self.coefficient) = (0, 0.0);
            return;
        }
        self.coefficient = self.coefficient.max(coefficient);
        self.strange += 1;
        if self.strange >= STRANGERS {
            self.bound = Some(RINGS * self.coefficient * self.coefficient * ratio);
            (self.strange, self.coefficient) = (STRANGERS / 2, coefficient);
        }
    }
}
