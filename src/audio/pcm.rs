//! Sizes that everything agrees on, and the way from arithmetic to samples.

/// The telephone side.
pub const TELEPHONE_HZ: u32 = 8_000;
/// The Realtime side.
pub const REALTIME_HZ: u32 = 24_000;
/// One 20 ms frame at 8 kHz.
pub const FRAME_8K: usize = 160;
/// One 20 ms frame at 24 kHz.
pub const FRAME_24K: usize = 480;
/// Samples per millisecond at 8 kHz.
pub const PER_MS_8K: usize = 8;

/// Sample rate of one side of a call, with what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rate {
    /// G.711.
    Hz8000,
    /// G.722.
    Hz16000,
    /// The Realtime session.
    Hz24000,
}

impl Rate {
    pub fn hz(self) -> u32 {
        match self {
            Rate::Hz8000 => TELEPHONE_HZ,
            Rate::Hz16000 => 16_000,
            Rate::Hz24000 => REALTIME_HZ,
        }
    }
    /// Samples per millisecond.
    pub fn per_ms(self) -> usize {
        self.hz() as usize / 1000
    }
    /// Samples of `ms` milliseconds.
    pub fn samples(self, ms: usize) -> usize {
        ms * self.per_ms()
    }
}

/// Rounds (ties to even) and clamps: a filter may overshoot full scale, and must not wrap.
///
/// `round_ties_even` is a library call on the x86-64 baseline. Adding 1.5 · 2²³ leaves no bits for a fraction, so the addition itself rounds,
/// and the low 16 bits of the sum are the integer in two's complement: plain SSE2, several samples at once.
pub fn to_i16(sample: f32) -> i16 {
    const ROUNDER: f32 = 12_582_912.0;
    let clamped = sample.clamp(f32::from(i16::MIN), f32::from(i16::MAX));
    (clamped + ROUNDER).to_bits() as i16
}

/// [`to_i16`] for what was calculated with more digits.
pub fn f64_to_i16(sample: f64) -> i16 {
    const ROUNDER: f64 = 6_755_399_441_055_744.0;
    let clamped = sample.clamp(f64::from(i16::MIN), f64::from(i16::MAX));
    (clamped + ROUNDER).to_bits() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_nearest_and_clamped() {
        for eighths in -270_000..270_000 {
            let sample = eighths as f32 / 8.0;
            assert_eq!(to_i16(sample), sample.round_ties_even() as i16, "{sample}");
            assert_eq!(f64_to_i16(f64::from(sample)), sample.round_ties_even() as i16, "{sample}");
        }
        assert_eq!((to_i16(f32::INFINITY), to_i16(f32::NEG_INFINITY), to_i16(1e30)), (i16::MAX, i16::MIN, i16::MAX));
        assert_eq!((f64_to_i16(f64::INFINITY), f64_to_i16(-1e300)), (i16::MAX, i16::MIN));
    }
}
