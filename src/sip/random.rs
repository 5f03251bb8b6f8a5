//! The seeded generator of branches, tags, Call-IDs and back-offs (RFC 3261 §19.3); the only user of `rand` in `sip`.
//!
//! Hash maps of this layer use the standard library's keyed hasher (A11): its hidden randomness orders nothing that can be seen.

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use std::fmt::Write;
use std::time::Duration;

/// Cookie of RFC 3261 branches (§8.1.1.7).
pub(crate) const BRANCH_COOKIE: &str = "z9hG4bK";

/// A cryptographic generator, reproducible by its seed.
#[derive(Debug)]
pub(crate) struct Random {
    rng: StdRng,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random { rng: StdRng::seed_from_u64(seed) }
    }

    /// 64 random bits as 16 hex digits: tags, the variable part of branches.
    pub fn token(&mut self) -> String {
        hex(self.rng.next_u64())
    }

    /// A branch with the cookie and 128 random bits (a spoofed response must guess it).
    pub fn branch(&mut self) -> String {
        let mut branch = String::from(BRANCH_COOKIE);
        branch.push_str(&self.token());
        branch.push_str(&self.token());
        branch
    }

    /// A first CSeq number: below 2^16, so that it cannot run out (§8.1.1.5).
    pub fn cseq(&mut self) -> u32 {
        self.rng.random_range(1..=0xffff)
    }

    /// A multiple of 10 ms in `[from, to]` (§14.1).
    pub fn back_off(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(from_ms / 10..=to_ms / 10) * 10)
    }

    /// Seconds in `[0, most]` for Retry-After.
    pub fn seconds(&mut self, most: u32) -> u32 {
        self.rng.random_range(0..=most)
    }

    /// A number in `[0, most]`: weights (RFC 2782), shares of a back-off.
    pub fn up_to(&mut self, most: u32) -> u32 {
        self.rng.random_range(0..=most)
    }

    /// A secret of 64 bits.
    pub fn secret(&mut self) -> u64 {
        self.rng.next_u64()
    }
}

/// 16 hex digits.
pub(crate) fn hex(bits: u64) -> String {
    let mut text = String::with_capacity(16);
    let _ = write!(text, "{bits:016x}");
    text
}
