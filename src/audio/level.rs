//! Loudness towards the caller: a gain with a limiter, and noise in place of digital silence.
//!
//! In: a frame, how much of it is the agent's. Out: the same frame. The limiter has no look-ahead, so no delay: its gain falls with the first
//! sample that would be too loud, which therefore is not, and comes back within 100 ms. At 0 dB and without noise nothing is touched.

use super::comfort::ComfortNoise;
use super::pcm::{Rate, to_i16};
use super::scratch;

/// Peak that is never passed: 1 dB below full scale.
const CEILING: f32 = 29_204.0;
/// Time in which the limiter's gain comes back to within 1/e.
const RELEASE_MS: f32 = 50.0;

/// What a dialplan says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LevelParams {
    /// Gain of the agent's voice, dB.
    pub volume_db: f32,
    /// Level of the noise while the agent is silent, -dBov (50 to 80); `None`: digital silence.
    pub comfort_noise: Option<u8>,
}

/// The machine.
pub struct Level {
    params: LevelParams,
    /// `None` at 0 dB.
    gain: Option<f32>,
    /// The limiter's, 1 = it does nothing.
    limit: f32,
    noise: ComfortNoise,
}

impl Level {
    pub fn new(params: LevelParams) -> Level {
        let gain = (params.volume_db != 0.0).then(|| 10f32.powf(params.volume_db / 20.0));
        Level { params, gain, limit: 1.0, noise: ComfortNoise::new() }
    }

    /// `spoken` samples of the frame are the agent's, the rest is silence.
    pub fn apply(&mut self, rate: Rate, frame: &mut [i16], spoken: usize) {
        let (voice, silence) = frame.split_at_mut(spoken.min(frame.len()));
        if let Some(gain) = self.gain {
            let release = 1.0 / (RELEASE_MS * rate.per_ms() as f32);
            for sample in voice {
                let louder = f32::from(*sample) * gain;
                self.limit += (1.0 - self.limit) * release;
                if louder.abs() * self.limit > CEILING {
                    self.limit = CEILING / louder.abs();
                }
                *sample = to_i16(louder * self.limit);
            }
        }
        if let Some(level) = self.params.comfort_noise.filter(|_| !silence.is_empty()) {
            let mut made = scratch::lend();
            self.noise.fill(level, silence.len(), &mut made);
            silence.copy_from_slice(&made);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::tone;

    fn peak(samples: &[i16]) -> u16 {
        samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
    }

    fn dbov(samples: &[i16]) -> f64 {
        let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64;
        10.0 * (power / 32_768f64.powi(2)).log10()
    }

    fn with(params: LevelParams, samples: &[i16], spoken: usize) -> Vec<i16> {
        let (mut level, mut out) = (Level::new(params), samples.to_vec());
        for (n, frame) in out.chunks_mut(160).enumerate() {
            level.apply(Rate::Hz8000, frame, spoken.saturating_sub(n * 160).min(160));
        }
        out
    }

    /// Nothing asked for is nothing done, to the last bit.
    #[test]
    fn zero_is_the_identity() {
        let voice = tone::voice(2_000, 1);
        assert_eq!(with(LevelParams::default(), &voice, voice.len()), voice);
    }

    /// The gain is that asked for, where there is room for it.
    #[test]
    fn the_gain_is_exact_below_the_ceiling() {
        let voice: Vec<i16> = tone::voice(2_000, 1).iter().map(|sample| sample / 8).collect();
        for volume_db in [-20.0, -6.0, 6.0, 12.0] {
            let out = with(LevelParams { volume_db, comfort_noise: None }, &voice, voice.len());
            assert!((dbov(&out) - dbov(&voice) - f64::from(volume_db)).abs() < 0.1, "{volume_db}");
        }
    }

    /// No clipping: full scale with 12 dB more stays below the ceiling from its first sample on, and keeps its shape.
    #[test]
    fn the_limiter_neither_clips_nor_overshoots() {
        let loud: Vec<i16> = tone::dual(440.0, 440.0, 1_000, 1.0);
        let mut sudden = vec![0; 800];
        sudden.extend(loud.iter().skip(405));
        let out = with(LevelParams { volume_db: 12.0, comfort_noise: None }, &sudden, sudden.len());
        assert!(peak(&out) <= CEILING as u16, "{}", peak(&out));
        // Clipped, a sine of 440 Hz would stay at its peak; limited, it touches it.
        let flat = out[2_000..6_000].windows(3).filter(|w| w[0] == w[1] && w[1] == w[2] && w[0] != 0).count();
        assert_eq!(flat, 0);
        assert!(dbov(&out[2_000..6_000]) > -5.5, "{}", dbov(&out[2_000..6_000]));
        // What is soft again gets its gain back.
        let mut then = loud;
        then.extend(tone::dual(440.0, 440.0, 1_000, 0.05));
        let out = with(LevelParams { volume_db: 12.0, comfort_noise: None }, &then, then.len());
        let soft = dbov(&out[12_000..16_000]) - dbov(&then[12_000..16_000]);
        assert!((soft - 12.0).abs() < 0.2, "{soft}");
    }

    /// Silence has the level asked for; the agent's words have nothing added.
    #[test]
    fn noise_only_where_nobody_speaks() {
        let mut samples = tone::dual(440.0, 440.0, 100, 0.3);
        let words = samples.clone();
        samples.resize(16_000, 0);
        let out = with(LevelParams { volume_db: 0.0, comfort_noise: Some(65) }, &samples, words.len());
        assert_eq!(out[..words.len()], words);
        assert!((dbov(&out[words.len()..]) + 65.0).abs() < 1.0, "{}", dbov(&out[words.len()..]));
        assert!(peak(&out[words.len()..]) < 60);
    }
}
