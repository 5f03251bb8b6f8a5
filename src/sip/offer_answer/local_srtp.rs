//! Our side of SDES (RFC 4568): whether SRTP is a must, which suites, and a key of ours for each.
//!
//! In: one secret of 256 bits a dialog, from the owner's generator. Out: master keys, made of it by HMAC-SHA-256 as HKDF-Expand does
//! (RFC 5869 §2.3), so that pure code has as many as it needs and none tells another: a peer that knows one of our keys knows nothing of
//! the next.

use crate::sip::digest::hmac_sha256;
use crate::srtp_key::{LONGEST, MasterKey, Suite};
use std::fmt;

/// What may be offered and taken. Cheap to clone; never prints its secret.
#[derive(Clone)]
pub struct LocalSrtp {
    /// A stream without SRTP is refused; else SRTP is preferred.
    pub require: bool,
    /// Offered, best first. Empty: there are no keys to give away (the signalling is not TLS), and `require` refuses everything.
    suites: Vec<Suite>,
    secret: [u8; 32],
    /// Dialogs of one call: a peer of one must not know the keys of another.
    dialog: u32,
    /// Grows with each new set of keys within a dialog.
    generation: u32,
}

impl LocalSrtp {
    /// `suites`: best first. `secret`: of a generator that nobody can predict, for one dialog.
    pub fn new(require: bool, suites: &[Suite], secret: [u8; 32]) -> LocalSrtp {
        LocalSrtp { require, suites: suites.to_vec(), secret, dialog: 0, generation: 0 }
    }

    /// SRTP is a must, and there can be none.
    pub fn impossible() -> LocalSrtp {
        LocalSrtp::new(true, &[], [0; 32])
    }

    pub fn suites(&self) -> &[Suite] {
        &self.suites
    }

    /// Fresh keys for a dialog that takes this one over.
    #[must_use]
    pub fn for_next_dialog(&self) -> LocalSrtp {
        LocalSrtp { dialog: self.dialog.wrapping_add(1), generation: 0, ..self.clone() }
    }

    /// Fresh keys within the dialog.
    #[must_use]
    pub(super) fn renewed(&self) -> LocalSrtp {
        LocalSrtp { generation: self.generation.wrapping_add(1), ..self.clone() }
    }

    /// What a peer may choose: what we offer, and of its suites with a long tag also the one with a short tag.
    pub(super) fn takes(&self, suite: Suite) -> bool {
        let long = match suite {
            Suite::AesCm256HmacSha1_32 => Suite::AesCm256HmacSha1_80,
            Suite::AesCm128HmacSha1_32 => Suite::AesCm128HmacSha1_80,
            other => other,
        };
        self.suites.contains(&suite) || self.suites.contains(&long)
    }

    /// Our key of this generation.
    pub(super) fn key(&self, suite: Suite) -> Option<MasterKey> {
        let (dialog, generation) = (self.dialog.to_be_bytes(), self.generation.to_be_bytes());
        let block = |n: u8| hmac_sha256(&self.secret, &[b"sdes", suite.name().as_bytes(), &dialog, &generation, &[n]]);
        let mut octets = [0; 64];
        octets[..32].copy_from_slice(&block(1));
        octets[32..].copy_from_slice(&block(2));
        let len = (suite.key_len() + suite.salt_len()).min(LONGEST);
        MasterKey::new(suite, octets.get(..len)?)
    }
}

impl fmt::Debug for LocalSrtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSrtp")
            .field("require", &self.require)
            .field("suites", &self.suites)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SRT-01: no key of ours is used twice: not for another suite, dialog, generation or call.
    #[test]
    fn every_key_is_another_one() {
        let calls = [1, 2].map(|n| LocalSrtp::new(true, &Suite::ALL, [n; 32]));
        let sets = calls.iter().flat_map(|call| [call.clone(), call.renewed(), call.for_next_dialog()]);
        let sets: Vec<LocalSrtp> = sets.collect();
        let keys: Vec<Vec<u8>> = sets
            .iter()
            .flat_map(|set| Suite::ALL.map(|suite| set.key(suite).expect("right length").key_and_salt().to_vec()))
            .collect();
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].iter().any(|other| other[..12] == key[..12]), "{i}");
        }
        assert_eq!(sets[0].key(Suite::AeadAes256Gcm), calls[0].key(Suite::AeadAes256Gcm), "a key stays as it is");
    }

    #[test]
    fn short_tags_are_taken_with_their_long_ones_and_nothing_prints() {
        let ours = LocalSrtp::new(false, &[Suite::AesCm128HmacSha1_80], [7; 32]);
        assert!(ours.takes(Suite::AesCm128HmacSha1_80) && ours.takes(Suite::AesCm128HmacSha1_32));
        assert!(!ours.takes(Suite::AesCm256HmacSha1_32) && !ours.takes(Suite::AeadAes128Gcm));
        let short = LocalSrtp::new(false, &[Suite::AesCm128HmacSha1_32], [7; 32]);
        assert!(!short.takes(Suite::AesCm128HmacSha1_80));
        assert!(!Suite::ALL.iter().any(|suite| LocalSrtp::impossible().takes(*suite)));
        assert_eq!(format!("{ours:?}"), "LocalSrtp { require: false, suites: [AesCm128HmacSha1_80], .. }");
    }
}
