//! Tones at 8 kHz: DTMF digits and the soft signals a caller hears when no voice can be played.
//!
//! In: frequencies, milliseconds, a level. Out: samples. Each tone fades in and out over 5 ms, so that it does not click. ITU-T Q.23.

use std::f64::consts::TAU;

use super::pcm::{PER_MS_8K, Rate, TELEPHONE_HZ};

/// Two sines of equal level; give the same frequency twice for one. `level` is the peak of the sum, 0.0-1.0 of full scale.
pub fn dual(hz1: f64, hz2: f64, ms: u32, level: f64) -> Vec<i16> {
    let len = ms as usize * PER_MS_8K;
    let fade = (5 * PER_MS_8K).min(len / 2);
    let peak = level.clamp(0.0, 1.0) * f64::from(i16::MAX);
    let sine = |hz: f64, n: usize| (TAU * hz * n as f64 / f64::from(TELEPHONE_HZ)).sin();
    (0..len)
        .map(|n| {
            let edge = n.min(len - 1 - n);
            let gain = if edge < fade { edge as f64 / fade as f64 } else { 1.0 };
            ((sine(hz1, n) + sine(hz2, n)) / 2.0 * peak * gain).round() as i16
        })
        .collect()
}

/// Silence.
pub fn pause(ms: u32) -> Vec<i16> {
    vec![0; ms as usize * PER_MS_8K]
}

/// The tone of a DTMF digit (`0`-`9`, `*`, `#`, `A`-`D`, either case) at −9 dB of full scale; `None` for anything else.
pub fn dtmf(digit: char, ms: u32) -> Option<Vec<i16>> {
    const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
    const COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
    let key = "123A456B789C*0#D".find(digit.to_ascii_uppercase())?;
    Some(dual(*ROWS.get(key / 4)?, *COLUMNS.get(key % 4)?, ms, 0.35))
}

/// "Sorry": three falling notes, soft, 0.7 s. Played when the agent fails and no recorded prompt is there.
pub fn apology() -> Vec<i16> {
    [660.0, 550.0, 440.0].into_iter().flat_map(|hz| [dual(hz, hz * 1.5, 180, 0.15), pause(60)]).flatten().collect()
}

/// "I am here, go on": one short rising pair, soft, 0.2 s.
pub fn attention() -> Vec<i16> {
    [520.0, 660.0].into_iter().flat_map(|hz| dual(hz, hz, 100, 0.12)).collect()
}

/// A test voice: syllables of harmonics with moving pitch, level and colour, pauses between words. The same `seed` gives the same voice.
/// It has what a real voice has for measuring (delay is unambiguous, silence and speech take turns, the band is full), and needs no file.
pub fn voice(ms: u32, seed: u64) -> Vec<i16> {
    voice_at(Rate::Hz8000, ms, seed)
}

/// The same at another rate, with harmonics up to 41 % of it: wideband has what narrowband leaves out.
pub fn voice_at(rate: Rate, ms: u32, seed: u64) -> Vec<i16> {
    let len = rate.samples(ms as usize);
    let mut random = Random(seed ^ 0x9E37_79B9_7F4A_7C15);
    let mut samples = Vec::with_capacity(len);
    while samples.len() < len {
        for _ in 0..2 + random.below(3) {
            syllable(&mut random, rate, &mut samples);
        }
        samples.extend(std::iter::repeat_n(0, rate.samples(60 + random.below(120))));
    }
    samples.truncate(len);
    samples
}

/// One vowel with a gliding pitch and two formants, 120-250 ms.
fn syllable(random: &mut Random, rate: Rate, samples: &mut Vec<i16>) {
    let len = rate.samples(120 + random.below(130));
    let highest = f64::from(rate.hz()) * 0.4125;
    let between = |random: &mut Random, low: f64, high: f64| low + (high - low) * random.below(1000) as f64 / 1000.0;
    let (pitch, glide) = (between(random, 100.0, 220.0), between(random, -0.15, 0.15));
    let (formant1, formant2) = (between(random, 300.0, 800.0), between(random, 1000.0, 2500.0));
    let peak = between(random, 6_000.0, 14_000.0);
    let near = |hz: f64, formant: f64, width: f64| (-((hz - formant) / width).powi(2)).exp();
    // A phase of its own for each harmonic: all in step would be a buzzer's pulses.
    let phases: [f64; 32] = std::array::from_fn(|_| between(random, 0.0, TAU));
    // Wideband has more harmonics than that: there they repeat.
    let phases = phases.iter().cycle().take(phases.len() * rate.per_ms() / PER_MS_8K);
    let mut phase = 0.0;
    for n in 0..len {
        let place = n as f64 / len as f64;
        let hz = pitch * (1.0 + glide * place);
        phase += TAU * hz / f64::from(rate.hz());
        let mut sum = 0.0;
        let mut weights = 0.0;
        for (harmonic, own) in (1..).zip(phases.clone()).take_while(|(harmonic, _)| f64::from(*harmonic) * hz < highest)
        {
            let at = f64::from(harmonic) * hz;
            let weight = near(at, formant1, 200.0) + 0.15 * near(at, formant2, 300.0) + 0.01;
            sum += weight * (phase * f64::from(harmonic) + own).sin();
            weights += weight;
        }
        let breath = (random.below(2000) as f64 - 1000.0) / 1000.0 * 0.01;
        let envelope = (std::f64::consts::PI * place).sin().powf(0.7);
        samples.push(((sum / weights * 2.0 + breath).clamp(-1.0, 1.0) * envelope * peak).round() as i16);
    }
}

/// xorshift64*: the voice must not change with a crate's version.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Power of one frequency (Goertzel), relative to the whole.
    fn share(samples: &[i16], hz: f64) -> f64 {
        let angle = TAU * hz / f64::from(TELEPHONE_HZ);
        let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            let sample = f64::from(*sample);
            re += sample * (angle * n as f64).cos();
            im += sample * (angle * n as f64).sin();
            power += sample * sample;
        }
        2.0 * (re * re + im * im) / (power * samples.len() as f64)
    }

    #[test]
    fn digits_are_the_two_frequencies_of_q_23() {
        for (digit, row, column) in
            [('1', 697.0, 1209.0), ('0', 941.0, 1336.0), ('#', 941.0, 1477.0), ('d', 941.0, 1633.0)]
        {
            let tone = dtmf(digit, 100).expect("a digit");
            assert_eq!(tone.len(), 800);
            assert!((0.4..0.6).contains(&share(&tone, row)), "{digit}: {}", share(&tone, row));
            assert!((0.4..0.6).contains(&share(&tone, column)), "{digit}: {}", share(&tone, column));
        }
        assert_eq!(dtmf('x', 100), None);
    }

    #[test]
    fn tones_begin_and_end_at_zero_and_keep_their_level() {
        for tone in [apology(), attention(), dual(440.0, 440.0, 100, 0.5)] {
            assert_eq!((tone[0], tone[tone.len() - 1]), (0, 0));
        }
        let peak = dual(440.0, 440.0, 100, 0.5).into_iter().map(i16::unsigned_abs).max();
        assert!(peak.is_some_and(|peak| (16_200..=16_384).contains(&peak)), "{peak:?}");
        assert!(dual(440.0, 440.0, 0, 0.5).is_empty());
    }

    #[test]
    fn the_test_voice_speaks_and_pauses_and_is_repeatable() {
        let a = voice(3000, 1);
        assert_eq!(a.len(), 24_000);
        assert_eq!(a, voice(3000, 1));
        assert_ne!(a, voice(3000, 2));
        let silent = a.iter().filter(|sample| **sample == 0).count();
        assert!((1000..16_000).contains(&silent), "{silent}");
        let peak = a.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(peak.is_some_and(|peak| (3_000..15_000).contains(&peak)), "{peak:?}");
    }

    #[test]
    fn too_loud_is_full_scale() {
        assert!(dual(400.0, 400.0, 50, 9.0).contains(&i16::MAX));
    }
}
