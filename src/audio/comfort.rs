//! Comfort noise (RFC 3389): what a line sounds like while its far end sends nothing.
//!
//! In: the level of a CN payload. Out: white noise of that level, at any rate. The spectral part of the payload is not used: a VAD does not
//! tell the difference, and a level is what most gateways send. Never louder than [`LOUDEST`], whatever a peer asks for.

use super::pcm::to_i16;

/// -dBov, the loudest noise made: the VAD of the Realtime service must not take it for a voice, nor a caller be screamed at.
pub const LOUDEST: u8 = 50;
/// From this level on there is digital silence: less than one step of 16 bits.
const SILENT: u8 = 90;

/// The generator.
pub struct ComfortNoise {
    /// State of a linear congruential generator: noise that is the same in each call does no harm.
    state: u32,
}

impl ComfortNoise {
    #[allow(clippy::new_without_default)]
    pub fn new() -> ComfortNoise {
        ComfortNoise { state: 0x3389 }
    }
    /// Appends `samples` of noise at `level`, -dBov (0-127, RFC 3389 §3).
    pub fn fill(&mut self, level: u8, samples: usize, out: &mut Vec<i16>) {
        if level >= SILENT {
            out.resize(out.len() + samples, 0);
            return;
        }
        // Uniform noise between ±peak has an RMS of peak / √3.
        let rms = 32_768.0 * 10f32.powf(-f32::from(level.max(LOUDEST)) / 20.0);
        let peak = rms * 3f32.sqrt();
        out.extend((0..samples).map(|_| {
            self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let unit = (self.state >> 8) as f32 / (1 << 23) as f32 - 1.0;
            to_i16(unit * peak)
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(samples: &[i16]) -> f64 {
        let rms = (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt();
        -20.0 * (rms / 32_768.0).log10()
    }

    /// RTP-15: the noise has the level asked for, and is never loud.
    #[test]
    fn noise_has_its_level() {
        let mut noise = ComfortNoise::new();
        for asked in [0, 30, 50, 55, 60, 70] {
            let mut out = Vec::new();
            noise.fill(asked, 80_000, &mut out);
            let wanted = f64::from(asked.max(LOUDEST));
            assert!((level(&out) - wanted).abs() < 0.5, "{asked}: {}", level(&out));
        }
        let mut out = Vec::new();
        noise.fill(127, 160, &mut out);
        assert_eq!(out, [0; 160]);
    }
}
