//! Automatic gain: the caller's speech is brought to -20 dBFS, slowly, by at most 12 dB either way; peaks are limited.
//!
//! Only speech moves it: what stands 10 dB above the line's noise and above -50 dBFS. In pauses it holds, so that noise never swells.

/// -20 dBFS of speech, as RMS.
const TARGET: f32 = 3_277.0;
const MOST: f32 = 4.0;
const LEAST: f32 = 0.25;
/// Quieter is no speech: -50 dBFS.
const QUIET: f32 = 104.0;
/// Speech is this much (amplitude, 10 dB) above the noise.
const ABOVE: f32 = 3.2;
/// No peak above -1 dBFS.
const CEILING: f32 = 29_200.0;

/// See the module's map.
pub struct GainControl {
    rate_hz: f32,
    /// RMS of the noise, and of the speech.
    noise: f32,
    speech: f32,
    gain: f32,
    limit: f32,
}

impl GainControl {
    pub fn new(rate_hz: u32) -> GainControl {
        GainControl { rate_hz: rate_hz as f32, noise: QUIET, speech: TARGET, gain: 1.0, limit: 1.0 }
    }

    pub fn process(&mut self, frame: &mut [i16]) {
        let power = frame.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / frame.len().max(1) as f32;
        let (level, seconds) = (power.sqrt(), frame.len() as f32 / self.rate_hz);
        // The noise falls at once and rises 3 dB a second.
        self.noise = if level < self.noise { level.max(1.0) } else { self.noise * (1.0 + 0.41 * seconds) };
        let from = self.gain;
        if level > QUIET && level > self.noise * ABOVE {
            // Over a second and a half of speech; its loud parts count, its ends do not pull it down.
            let weight = if level > self.speech { 1.2 } else { 0.5 } * seconds;
            self.speech += (level - self.speech) * weight.min(1.0);
            let wanted = (TARGET / self.speech.max(1.0)).clamp(LEAST, MOST);
            // 3 dB a second up, 9 down.
            self.gain = wanted.clamp(from * (1.0 - 0.65 * seconds).max(0.1), from * (1.0 + 0.41 * seconds));
        }
        let step = (self.gain - from) / frame.len().max(1) as f32;
        let release = 1.0 - (-8.0 / self.rate_hz).exp();
        let mut gain = from;
        for sample in frame {
            gain += step;
            let out = f32::from(*sample) * gain;
            // At once when a peak comes, back within an eighth of a second.
            let limit = (CEILING / out.abs().max(1.0)).min(1.0);
            self.limit = if limit < self.limit { limit } else { self.limit + (1.0 - self.limit) * release };
            self.limit = self.limit.min(limit);
            *sample = (out * self.limit).clamp(-32_768.0, 32_767.0) as i16;
        }
    }
}
