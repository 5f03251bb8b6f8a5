//! 8 kHz ↔ 24 kHz (door of crate rubato): `Fft::new_custom(8000, 24000, 40, 1, 1, Hann, FixedSync::Both)` and its mirror.
//! 2.5 ms delay each way, −0.26 dB at 3.4 kHz, ≥ 72 dB SNR.

/// 8 k → 24 k. Takes any number of samples; what does not fill a 5 ms block waits for the next call.
pub struct Upsampler {}

impl Upsampler {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Upsampler {
        todo!()
    }
    /// Appends three samples for each one of `input`, less what waits (< 40).
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        let _ = (input, out);
        todo!()
    }
}

/// 24 k → 8 k, mirror of [`Upsampler`].
pub struct Downsampler {}

impl Downsampler {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Downsampler {
        todo!()
    }
    /// Appends one sample for each three of `input`, less what waits (< 120).
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        let _ = (input, out);
        todo!()
    }
    /// Feeds silence until the last real sample is out (end of a segment); appends what came.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        let _ = out;
        todo!()
    }
    /// Forgets everything (barge-in).
    pub fn reset(&mut self) {
        todo!()
    }
}
