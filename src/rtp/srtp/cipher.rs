//! The primitives of SRTP (door of crates aes, ctr and sha1, and of `aead` of ring): AES in counter mode, HMAC-SHA1, AES-GCM.
//!
//! In: keys, nonces and octets. Out: the same octets transformed in place, and tags. Nothing here knows of packets; nothing allocates.
//!
//! What is kept of a key is small, as every call comes with cold keys: to fetch them costs more than to compute with them. An AES key is
//! expanded for each packet (26 ns, and 16 octets to fetch in place of 176); of an HMAC key there are two hash states of 20 octets.

use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipherCore, consts::U16};
use aes::{Aes128Enc, Aes256Enc};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::block_api::compress;

/// Octets of a whole HMAC-SHA1 tag.
pub(super) const HMAC_LEN: usize = 20;
/// Octets of a GCM tag (RFC 7714 §13.2).
pub(super) const GCM_TAG: usize = 16;

/// AES in counter mode (RFC 3711 §4.1.1, RFC 6188 §2).
pub(super) enum Keystream {
    Aes128([u8; 16]),
    Aes256([u8; 32]),
}

impl Keystream {
    /// `None`: the key is neither 16 nor 32 octets long.
    pub fn new(key: &[u8]) -> Option<Keystream> {
        let short = key.try_into().map(Keystream::Aes128);
        short.or_else(|_| key.try_into().map(Keystream::Aes256)).ok()
    }

    /// Adds the key stream that begins at `iv` to `octets`: encrypts and decrypts. Its last 16 bits count the blocks.
    pub fn apply(&self, iv: &[u8; 16], octets: &mut [u8]) {
        match self {
            Keystream::Aes128(key) => apply(&Aes128Enc::new(key.into()), iv, octets),
            Keystream::Aes256(key) => apply(&Aes256Enc::new(key.into()), iv, octets),
        }
    }
}

fn apply<C: BlockCipherEncrypt<BlockSize = U16>>(key: &C, iv: &[u8; 16], octets: &mut [u8]) {
    CtrCore::<&C, Ctr128BE>::inner_iv_init(key, iv.into()).apply_keystream_partial(octets.into());
}

/// Octets of a block of SHA-1, and what its last one ends with: the length of all, in bits.
const BLOCK: usize = 64;
const LENGTH: usize = 8;
/// State of SHA-1 before its first block (RFC 3174 §6.1).
const START: HashState = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];

type HashState = [u32; 5];

/// HMAC-SHA1 (RFC 2104, RFC 3711 §4.2.1) with its key already hashed in. Only the padding is ours: crate hmac keeps 128 octets and takes
/// 50 ns more, of 180, for clearing and copying its buffers.
pub(super) struct Authenticator {
    inner: HashState,
    outer: HashState,
}

impl Authenticator {
    /// The key of SRTP's length.
    pub fn new(key: &[u8; HMAC_LEN]) -> Authenticator {
        let keyed = |pad: u8| {
            let (mut block, mut state) = ([pad; BLOCK], START);
            block.iter_mut().zip(key).for_each(|(to, key)| *to ^= key);
            compress(&mut state, &[block]);
            state
        };
        Authenticator { inner: keyed(0x36), outer: keyed(0x5C) }
    }

    /// The tag of `octets` and then `more`, whole; a suite uses its first octets.
    pub fn tag(&self, octets: &[u8], more: [u8; 4]) -> [u8; HMAC_LEN] {
        self.finish(octets, &more)
    }

    /// The tag of `octets` alone.
    pub fn tag_alone(&self, octets: &[u8]) -> [u8; HMAC_LEN] {
        self.finish(octets, &[])
    }

    /// `more`: four octets at most.
    #[inline]
    fn finish(&self, octets: &[u8], more: &[u8]) -> [u8; HMAC_LEN] {
        let mut state = self.inner;
        let (blocks, rest) = octets.as_chunks::<BLOCK>();
        compress(&mut state, blocks);
        // What is left of a block, four octets more, the end mark and the length are two blocks at most.
        let mut last = [0; 2 * BLOCK];
        let filled = rest.len() + more.len();
        let end = if filled < BLOCK - LENGTH { BLOCK } else { 2 * BLOCK };
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()..filled].copy_from_slice(more);
        last[filled] = 0x80;
        put_length(&mut last[..end], octets.len() + more.len());
        compress(&mut state, last[..end].as_chunks::<BLOCK>().0);

        let mut hash = [0; BLOCK];
        write(state, &mut hash);
        hash[HMAC_LEN] = 0x80;
        put_length(&mut hash, HMAC_LEN);
        let (mut state, mut tag) = (self.outer, [0; HMAC_LEN]);
        compress(&mut state, &[hash]);
        write(state, &mut tag);
        tag
    }
}

/// Whether `tag` is the beginning of `right`. Takes as long for a wrong one as for the right one.
pub(super) fn is_tag(right: &[u8; HMAC_LEN], tag: &[u8]) -> bool {
    let difference = right.iter().zip(tag).fold(0, |sum, (a, b)| sum | (a ^ b));
    !tag.is_empty() && tag.len() <= HMAC_LEN && std::hint::black_box(difference) == 0
}

/// Ends the last block with the length of a message behind the block of the key, in bits.
fn put_length(blocks: &mut [u8], octets: usize) {
    let bits = (BLOCK as u64 + octets as u64) * 8;
    if let Some(end) = blocks.last_chunk_mut::<LENGTH>() {
        *end = bits.to_be_bytes();
    }
}

fn write(state: HashState, to: &mut [u8]) {
    to.as_chunks_mut::<4>().0.iter_mut().zip(state).for_each(|(to, word)| *to = word.to_be_bytes());
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

#[cfg(test)]
mod tests;
