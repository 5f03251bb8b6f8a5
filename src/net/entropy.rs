//! The one place that asks the operating system for randomness; everything else gets a seed or a generator.

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use std::cell::RefCell;

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

thread_local! {
    static MASKS: RefCell<StdRng> = RefCell::new(rng());
}

/// The mask of one WebSocket frame (RFC 6455 §5.3): new and unpredictable each time, without asking the system each time.
pub fn mask() -> [u8; 4] {
    MASKS.with_borrow_mut(|masks| masks.next_u32().to_ne_bytes())
}
