//! SRTP suites and master keys (RFC 3711 §4.3, RFC 4568 §6, RFC 6188, RFC 7714), as offer/answer and the packet layer both need them.
//!
//! Known to `sip` (which agrees on them), `rtp` (which uses them) and their owners; knows nothing of either. A key never prints.

use std::fmt;

/// What protects a stream: the names of RFC 4568 §6.2, RFC 6188 §4 and RFC 7714 §14.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    AeadAes256Gcm,
    AeadAes128Gcm,
    AesCm256HmacSha1_80,
    AesCm256HmacSha1_32,
    AesCm128HmacSha1_80,
    AesCm128HmacSha1_32,
}

impl Suite {
    pub const ALL: [Suite; 6] = [
        Suite::AeadAes256Gcm,
        Suite::AeadAes128Gcm,
        Suite::AesCm256HmacSha1_80,
        Suite::AesCm256HmacSha1_32,
        Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32,
    ];

    /// The name in `a=crypto`.
    pub fn name(self) -> &'static str {
        match self {
            Suite::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Suite::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Suite::AesCm256HmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Suite::AesCm256HmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }
    /// By its name, in any case.
    pub fn from_name(name: &str) -> Option<Suite> {
        Suite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))
    }
    /// Octets of the master key.
    pub fn key_len(self) -> usize {
        match self {
            Suite::AeadAes256Gcm | Suite::AesCm256HmacSha1_80 | Suite::AesCm256HmacSha1_32 => 32,
            _ => 16,
        }
    }
    /// Octets of the master salt.
    pub fn salt_len(self) -> usize {
        match self {
            Suite::AeadAes256Gcm | Suite::AeadAes128Gcm => 12,
            _ => 14,
        }
    }
}

/// Longest master key with its salt.
pub const LONGEST: usize = 46;

/// Master key and salt of one direction, in this order (RFC 4568 §6.1). Never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    octets: [u8; LONGEST],
    key_len: usize,
    salt_len: usize,
}

impl MasterKey {
    /// `None`: not as long as `suite` wants.
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Option<MasterKey> {
        let (key_len, salt_len) = (suite.key_len(), suite.salt_len());
        if key_and_salt.len() != key_len + salt_len {
            return None;
        }
        let mut octets = [0; LONGEST];
        octets.get_mut(..key_len + salt_len)?.copy_from_slice(key_and_salt);
        Some(MasterKey { octets, key_len, salt_len })
    }
    pub fn key(&self) -> &[u8] {
        &self.octets[..self.key_len]
    }
    pub fn salt(&self) -> &[u8] {
        &self.octets[self.key_len..self.key_len + self.salt_len]
    }
    /// Key, then salt: what `inline:` carries.
    pub fn key_and_salt(&self) -> &[u8] {
        &self.octets[..self.key_len + self.salt_len]
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// What one stream was agreed to use: a key for each direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpKeys {
    pub suite: Suite,
    /// Ours: what we send is protected with it.
    pub send: MasterKey,
    /// The peer's.
    pub receive: MasterKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_as_long_as_its_suite_wants_and_never_prints() {
        for suite in Suite::ALL {
            assert_eq!(Suite::from_name(&suite.name().to_ascii_lowercase()), Some(suite));
            let octets: Vec<u8> = (0..(suite.key_len() + suite.salt_len()) as u8).collect();
            let key = MasterKey::new(suite, &octets).expect("of the right length");
            assert_eq!((key.key(), key.salt()), octets.split_at(suite.key_len()), "{suite:?}");
            assert_eq!(key.key_and_salt(), octets);
            assert!(MasterKey::new(suite, &octets[1..]).is_none());
            assert_eq!(format!("{key:?}"), "MasterKey(…)");
        }
        assert_eq!(Suite::from_name("F8_128_HMAC_SHA1_80"), None);
    }
}
