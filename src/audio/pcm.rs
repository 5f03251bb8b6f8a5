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
