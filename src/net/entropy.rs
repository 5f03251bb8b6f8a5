//! The one place that asks the operating system for randomness; everything else gets a seed or a generator.

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// A generator that nobody can predict.
pub fn rng() -> StdRng {
    StdRng::from_os_rng()
}

/// 256 unpredictable bits, for keys.
pub fn secret() -> [u8; 32] {
    let mut secret = [0; 32];
    rng().fill_bytes(&mut secret);
    secret
}

/// 64 unpredictable bits.
pub fn seed() -> u64 {
    rng().next_u64()
}
