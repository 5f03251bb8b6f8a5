//! Tones at 8 kHz: DTMF digits and the soft signals a caller hears when no voice can be played.
//!
//! In: frequencies, milliseconds, a level. Out: samples. Each tone fades in and out over 5 ms, so that it does not click. ITU-T Q.23.

use std::f64::consts::TAU;

use super::pcm::{PER_MS_8K, TELEPHONE_HZ};

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
    fn too_loud_is_full_scale() {
        assert!(dual(400.0, 400.0, 50, 9.0).contains(&i16::MAX));
    }
}
