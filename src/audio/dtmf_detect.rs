//! DTMF keys in the audio itself, for lines that send no telephone-events (ITU-T Q.23, Q.24).
//!
//! In: samples at 8 or 16 kHz. Out: keys, once each, when their tone has lasted long enough. Eight Goertzel filters over blocks of 13 ms; a
//! block is a key when one row and one column stand out, match each other in level, and hold nearly all of its power (speech never does
//! for long), and its tones have no second harmonics (a voice has). Two such blocks in a row are a key, two without end it.

use super::pcm::Rate;

/// 13.1 ms: the filters are 76 Hz wide, so tones off by 1.5 % are found.
const BLOCK: usize = 105;
const RATE_HZ: f32 = 8_000.0;
const TONES_HZ: [f32; 8] = [697.0, 770.0, 852.0, 941.0, 1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [[char; 4]; 4] = [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
/// Least power of a tone (amplitude squared): -39 dBFS each.
const LEAST: f32 = 130_000.0;
/// A row may be 11 dB above its column, a column 7 dB above its row: Q.24 asks for 8 and 4, and a tone that is off comes out weaker.
const ROW_ABOVE: f32 = 12.6;
const COLUMN_ABOVE: f32 = 5.0;
/// The second of a group is 6 dB below the first.
const APART: f32 = 4.0;
/// Share of a block's power in its two tones; surely, and only with more blocks of it.
const SURE: f32 = 0.82;
const PERHAPS: f32 = 0.62;
/// A second harmonic is 15 dB below its tone.
const HARMONIC: f32 = 0.03;
/// What a filter hears of the other tone, 17 dB below it.
const LEAK: f32 = 0.02;
/// Harmonics this near to a tone of the key (Hz) cannot be told from it.
const TOO_NEAR_HZ: f32 = 110.0;

/// See the module's map.
pub struct DtmfDetector {
    block: [f32; BLOCK],
    filled: usize,
    /// The key of the last blocks, how often in a row, and its sureness.
    seen: Option<char>,
    times: u32,
    surely: u32,
    /// The key that was told and is still held, and blocks without it.
    held: Option<char>,
    missed: u32,
}

impl Default for DtmfDetector {
    fn default() -> DtmfDetector {
        DtmfDetector::new()
    }
}

impl DtmfDetector {
    pub fn new() -> DtmfDetector {
        DtmfDetector { block: [0.0; BLOCK], filled: 0, seen: None, times: 0, surely: 0, held: None, missed: 0 }
    }

    /// Listens; `key` is told each new key. Allocates nothing.
    pub fn process(&mut self, rate: Rate, samples: &[i16], key: &mut dyn FnMut(char)) {
        let every = rate.per_ms() / Rate::Hz8000.per_ms();
        for group in samples.chunks_exact(every) {
            let sum: f32 = group.iter().map(|s| f32::from(*s)).sum();
            if let Some(slot) = self.block.get_mut(self.filled) {
                *slot = sum / every as f32;
            }
            self.filled += 1;
            if self.filled == BLOCK {
                self.filled = 0;
                let found = judge(&self.block);
                self.follow(found, key);
            }
        }
    }

    /// A key is held now: what comes is its tone.
    pub fn is_tone(&self) -> bool {
        self.held.is_some()
    }

    fn follow(&mut self, found: Option<(char, bool)>, key: &mut dyn FnMut(char)) {
        let now = found.map(|(key, _)| key);
        if now.is_some() && now == self.seen {
            self.times += 1;
        } else {
            (self.seen, self.times, self.surely) = (now, u32::from(now.is_some()), 0);
        }
        self.surely += u32::from(found.is_some_and(|(_, sure)| sure));
        if let Some(held) = self.held {
            self.missed = if now == Some(held) { 0 } else { self.missed + 1 };
            if self.missed >= 2 {
                self.held = None;
            }
        }
        let long = self.times >= 2 && (self.surely >= 2 || self.times >= 3);
        if let (true, None, Some(new)) = (long, self.held, now) {
            (self.held, self.missed) = (Some(new), 0);
            key(new);
        }
    }
}

/// The key of a block, and whether surely.
fn judge(block: &[f32; BLOCK]) -> Option<(char, bool)> {
    let power: f32 = block.iter().map(|s| s * s).sum::<f32>() / BLOCK as f32;
    if power < LEAST {
        return None;
    }
    let tones = goertzel(block, &TONES_HZ);
    let (row, row_power) = loudest(&tones[..4])?;
    let (column, column_power) = loudest(&tones[4..])?;
    // `goertzel` gives the amplitude squared; a sine's power is half of it.
    let share = (row_power + column_power) / 2.0 / power;
    let level = row_power > LEAST && column_power > LEAST;
    let twist = row_power < column_power * ROW_ABOVE && column_power < row_power * COLUMN_ABOVE;
    if !level || !twist || share < PERHAPS {
        return None;
    }
    let (row_hz, column_hz) = (*TONES_HZ.get(row)?, *TONES_HZ.get(4 + column)?);
    let harmonics = [2.0 * row_hz, 2.0 * column_hz];
    let [of_row, of_column] = goertzel(block, &harmonics);
    let tells = |hz: f32| (hz - column_hz).abs() > TOO_NEAR_HZ && (hz - row_hz).abs() > TOO_NEAR_HZ;
    if (tells(harmonics[0]) && of_row > row_power * HARMONIC + column_power * LEAK)
        || of_column > column_power * HARMONIC * 2.0
    {
        return None;
    }
    Some((*KEYS.get(row)?.get(column)?, share > SURE))
}

/// The one that stands out.
fn loudest(powers: &[f32]) -> Option<(usize, f32)> {
    let (at, most) = powers.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let apart = powers.iter().enumerate().all(|(n, power)| n == at || power * APART < most);
    apart.then_some((at, most))
}

/// Amplitude squared of some frequencies, side by side.
fn goertzel<const N: usize>(block: &[f32; BLOCK], tones_hz: &[f32; N]) -> [f32; N] {
    let turn = tones_hz.map(|hz| 2.0 * (std::f32::consts::TAU * hz / RATE_HZ).cos());
    let (mut one, mut two) = ([0.0f32; N], [0.0f32; N]);
    for sample in block {
        for ((one, two), turn) in one.iter_mut().zip(&mut two).zip(&turn) {
            let new = sample + turn * *one - *two;
            (*two, *one) = (*one, new);
        }
    }
    let mut out = [0.0; N];
    for (((out, one), two), turn) in out.iter_mut().zip(one).zip(two).zip(turn) {
        let scale = 2.0 / BLOCK as f32;
        *out = (one * one + two * two - turn * one * two) * scale * scale;
    }
    out
}

#[cfg(test)]
mod tests;
