//! Sizes that everything agrees on.

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
