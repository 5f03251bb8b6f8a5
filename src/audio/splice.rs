//! A little less or a little more of the same audio: one pitch period taken out of a packet, or played twice, at a seam nobody hears.
//!
//! In: one packet's samples, how much may go or come. Out: the same packet, shorter or longer. This is how a clock that drifts (±200 ppm is
//! one period each 40 s) and a network that was late for a moment are made good without dropping or inventing a whole packet.
//! Overlap-add inside of the packet (the idea of WSOLA): nothing is delayed, nothing is allocated beyond the packet's own buffer.

use super::pcm::{PER_MS_8K, Rate};

/// Periods that may be taken out or repeated: 2.5 to 15 ms.
const SHORTEST_MS_TENTHS: usize = 25;
const LONGEST_MS: usize = 15;
/// The cross-fade, 4 ms.
const FADE_MS: usize = 4;
/// Below this peak (−44 dB of full scale) a seam is not heard wherever it lies.
const QUIET: u16 = 200;

/// How much a seam may be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seam {
    /// Only where nobody speaks.
    Quiet,
    /// Where the signal repeats itself, too.
    Unheard,
    /// Wherever it is heard least.
    Any,
}

impl Seam {
    /// The least likeness of what is laid over each other.
    fn likeness(self) -> Option<f32> {
        match self {
            Seam::Quiet => None,
            Seam::Unheard => Some(0.85),
            Seam::Any => Some(0.0),
        }
    }
}

/// Whether these samples are a pause in speech.
pub fn is_quiet(samples: &[i16]) -> bool {
    samples.iter().all(|sample| sample.unsigned_abs() < QUIET)
}

/// Takes at most `most` samples out: one period, or what there is of a pause. Returns how many; 0 = no place for such a seam.
pub fn shorten(rate: Rate, samples: &mut Vec<i16>, most: usize, seam: Seam) -> usize {
    let fade = FADE_MS * rate.per_ms();
    let Some((at, period)) = place(rate, samples, most, seam) else { return 0 };
    for n in 0..fade {
        samples[at + n] = blend(samples[at + n], samples[at + period + n], n, fade);
    }
    samples.drain(at + fade..at + period + fade);
    period
}

/// Puts at most `most` samples in: one period again. Returns how many; 0 = no place for such a seam.
pub fn lengthen(rate: Rate, samples: &mut Vec<i16>, most: usize, seam: Seam) -> usize {
    let fade = FADE_MS * rate.per_ms();
    let Some((at, period)) = place(rate, samples, most, seam) else { return 0 };
    // Up to the end of the period, then from what follows it back into what follows its beginning.
    let mut back = [0i16; FADE_MS * 48];
    for (n, sample) in back.iter_mut().enumerate().take(fade) {
        *sample = blend(samples[at + period + n], samples[at + n], n, fade);
    }
    let length = samples.len();
    samples.resize(length + period, 0);
    samples.copy_within(at + fade..length, at + period + fade);
    samples[at + period..at + period + fade].copy_from_slice(&back[..fade]);
    period
}

/// Where a seam is heard least, and the period there.
fn place(rate: Rate, samples: &[i16], most: usize, seam: Seam) -> Option<(usize, usize)> {
    let fade = FADE_MS * rate.per_ms();
    let room = samples.len().checked_sub(fade)?;
    // Whole samples at 8 kHz, so that time is counted in ticks of 1/8000 s without a rest.
    let whole = (rate.per_ms() / PER_MS_8K).max(1);
    let most = most - most % whole;
    if is_quiet(samples) {
        let period = most.min(room - room % whole);
        return (period > 0).then_some((0, period));
    }
    let least = seam.likeness()?;
    let shortest = SHORTEST_MS_TENTHS * rate.per_ms() / 10;
    let longest = (LONGEST_MS * rate.per_ms()).min(most).min(room);
    let mut best: Option<(f32, usize, usize)> = None;
    for period in (shortest..=longest).step_by(whole) {
        // Three places a packet; a voice changes little within one.
        for at in (0..=room - period).step_by((2 * fade).max(1)).take(3) {
            let likeness = likeness(&samples[at..at + fade], &samples[at + period..at + period + fade]);
            if best.is_none_or(|(best, ..)| likeness > best) {
                best = Some((likeness, at, period));
            }
        }
    }
    best.filter(|(likeness, ..)| *likeness >= least).map(|(_, at, period)| (at, period))
}

/// Normalised correlation, less where the levels differ: 1 = the same.
fn likeness(a: &[i16], b: &[i16]) -> f32 {
    let (mut cross, mut energy_a, mut energy_b) = (0i64, 0i64, 0i64);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (i64::from(*x), i64::from(*y));
        cross += x * y;
        energy_a += x * x;
        energy_b += y * y;
    }
    let energy = energy_a.max(energy_b);
    if energy == 0 { 1.0 } else { cross as f32 / energy as f32 }
}

/// From `a` to `b`, step `n` of `length`.
fn blend(a: i16, b: i16, n: usize, length: usize) -> i16 {
    let share = (n + 1) as f32 / (length + 1) as f32;
    // `as` saturates.
    (f32::from(a) * (1.0 - share) + f32::from(b) * share).round_ties_even() as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn sine(hz: f64, from: usize, length: usize) -> Vec<i16> {
        (from..from + length).map(|n| ((TAU * hz * n as f64 / 8000.0).sin() * 10_000.0) as i16).collect()
    }

    fn largest_step(samples: &[i16]) -> i32 {
        samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or_default()
    }

    /// RTP-05: a tone of any pitch loses or gains a period without a step that it does not have itself, and goes on in phase.
    #[test]
    fn a_tone_is_cut_where_nobody_hears_it() {
        for hz in [90.0, 131.0, 180.0, 233.0, 305.0, 400.0, 440.0, 1_000.0] {
            for length in [160, 240, 320] {
                let own = largest_step(&sine(hz, 0, 8_000));
                for change in [shorten as fn(Rate, &mut Vec<i16>, usize, Seam) -> usize, lengthen] {
                    let mut packet = sine(hz, 1_600, length);
                    let changed = change(Rate::Hz8000, &mut packet, 160, Seam::Unheard);
                    assert!(changed >= 20, "{hz} Hz: no place found");
                    assert_eq!(packet.len().abs_diff(length), changed);
                    let mut all = sine(hz, 0, 1_600);
                    all.extend(&packet);
                    all.extend(sine(hz, 1_600 + length, 800));
                    let step = largest_step(&all);
                    assert!(step <= own * 5 / 4 + 100, "{hz} Hz, {length}: step {step}, own {own}");
                }
            }
        }
    }

    /// A pause can be cut to what the fade needs, and be doubled.
    #[test]
    fn a_pause_gives_what_is_asked() {
        let pause: Vec<i16> = (0..160).map(|n| (n % 7 * 20) as i16 - 60).collect();
        for (most, changed) in [(10, 10), (100, 100), (500, 128)] {
            let mut packet = pause.clone();
            assert_eq!(shorten(Rate::Hz8000, &mut packet, most, Seam::Quiet), changed);
            assert_eq!(packet.len(), 160 - changed);
            let mut packet = pause.clone();
            assert_eq!(lengthen(Rate::Hz8000, &mut packet, most, Seam::Quiet), changed);
            assert_eq!(packet.len(), 160 + changed);
        }
        let mut packet = pause.clone();
        assert_eq!(shorten(Rate::Hz8000, &mut packet, 0, Seam::Any), 0);
        assert_eq!(packet, pause);
    }

    /// What does not repeat itself is left alone unless there is no choice; and no packet is too short, too long or too loud.
    #[test]
    fn noise_and_odd_packets() {
        let mut seed = 7u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as i16
        };
        let noise: Vec<i16> = (0..160).map(|_| random()).collect();
        let mut packet = noise.clone();
        assert_eq!(shorten(Rate::Hz8000, &mut packet, 160, Seam::Unheard), 0);
        assert_eq!(shorten(Rate::Hz8000, &mut packet, 160, Seam::Quiet), 0);
        assert_eq!(packet, noise);
        assert!(shorten(Rate::Hz8000, &mut packet, 160, Seam::Any) >= 20);
        for rate in [Rate::Hz8000, Rate::Hz16000, Rate::Hz24000] {
            for length in [0, 1, 31, 32, 33, 52, 80, 333, 1_600, 4_800] {
                for most in [0, 1, 40, 5_000] {
                    let mut packet: Vec<i16> = (0..length).map(|_| random()).collect();
                    let less = shorten(rate, &mut packet, most, Seam::Any);
                    assert_eq!(packet.len(), length - less);
                    let more = lengthen(rate, &mut packet, most, Seam::Any);
                    assert_eq!(packet.len(), length - less + more);
                    assert!(less <= most && more <= most);
                }
            }
        }
    }
}
