//! The primitives of SRTP (door of crates aes, ctr and sha1, with hmac, and of `aead` of ring): AES in counter mode, HMAC-SHA1, AES-GCM.
//!
//! In: keys, nonces and octets. Out: the same octets transformed in place, and tags. Nothing here knows of packets; nothing allocates.

use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipherCore, consts::U16};
use aes::{Aes128Enc, Aes256Enc};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;

/// Octets of a whole HMAC-SHA1 tag.
pub(super) const HMAC_LEN: usize = 20;
/// Octets of a GCM tag (RFC 7714 §13.2).
pub(super) const GCM_TAG: usize = 16;

/// AES in counter mode (RFC 3711 §4.1.1, RFC 6188 §2).
pub(super) enum Keystream {
    Aes128(Aes128Enc),
    Aes256(Aes256Enc),
}

impl Keystream {
    /// `None`: the key is neither 16 nor 32 octets long.
    pub fn new(key: &[u8]) -> Option<Keystream> {
        match key.len() {
            16 => Aes128Enc::new_from_slice(key).ok().map(Keystream::Aes128),
            32 => Aes256Enc::new_from_slice(key).ok().map(Keystream::Aes256),
            _ => None,
        }
    }

    /// Adds the key stream that begins at `iv` to `octets`: encrypts and decrypts. Its last 16 bits count the blocks.
    pub fn apply(&self, iv: &[u8; 16], octets: &mut [u8]) {
        match self {
            Keystream::Aes128(key) => apply(key, iv, octets),
            Keystream::Aes256(key) => apply(key, iv, octets),
        }
    }
}

fn apply<C: BlockCipherEncrypt<BlockSize = U16>>(key: &C, iv: &[u8; 16], octets: &mut [u8]) {
    CtrCore::<&C, Ctr128BE>::inner_iv_init(key, iv.into()).apply_keystream_partial(octets.into());
}

/// HMAC-SHA1 (RFC 3711 §4.2.1) with its key already hashed in.
pub(super) struct Authenticator(Hmac<Sha1>);

impl Authenticator {
    /// A key of any length is good.
    pub fn new(key: &[u8]) -> Option<Authenticator> {
        Hmac::new_from_slice(key).ok().map(Authenticator)
    }

    /// The tag of `octets` and then `more`, whole; a suite uses its first octets.
    pub fn tag(&self, octets: &[u8], more: &[u8]) -> [u8; HMAC_LEN] {
        let mut context = self.0.clone();
        context.update(octets);
        context.update(more);
        context.finalize().into_bytes().into()
    }

    /// Whether `tag` is the beginning of that tag. Takes as long for a wrong one as for the right one.
    pub fn verify(&self, octets: &[u8], more: &[u8], tag: &[u8]) -> bool {
        let right = self.tag(octets, more);
        let difference = right.iter().zip(tag).fold(0, |sum, (a, b)| sum | (a ^ b));
        !tag.is_empty() && tag.len() <= HMAC_LEN && std::hint::black_box(difference) == 0
    }
}

/// AES-GCM (RFC 7714).
pub(super) struct Aead(LessSafeKey);

impl Aead {
    /// `None`: the key is neither 16 nor 32 octets long.
    pub fn new(key: &[u8]) -> Option<Aead> {
        let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
        UnboundKey::new(algorithm, key).ok().map(|key| Aead(LessSafeKey::new(key)))
    }

    /// Encrypts `octets` in place. The owner never uses a nonce twice. `None`: more octets than the algorithm allows.
    pub fn seal(&self, nonce: [u8; 12], aad: &[u8], octets: &mut [u8]) -> Option<[u8; GCM_TAG]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), octets).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Decrypts `octets`, whose last 16 are the tag, in place. `false`: not authentic, and what `octets` are now means nothing.
    pub fn open(&self, nonce: [u8; 12], aad: &[u8], octets: &mut [u8]) -> bool {
        self.0.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), octets).is_ok()
    }
}
