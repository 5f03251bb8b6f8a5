//! The one place that asks the operating system for randomness; everything else gets a seed.

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// 64 unpredictable bits.
pub fn seed() -> u64 {
    StdRng::from_os_rng().next_u64()
}
