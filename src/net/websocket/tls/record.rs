//! One direction of TLS records, sealed and opened where they lie (door of `aead` of ring for TLS): RFC 8446 §5.2 and §5.3, RFC 5288
//! and RFC 7905 for TLS 1.2.
//!
//! ```text
//! 1.3            17 03 03 length | payload, kind, padding: encrypted | tag        associated: the five octets in front
//! 1.2 AES-GCM    kind 03 03 length | 8 octets of nonce | payload | tag            associated: number, kind, 03 03, length of the payload
//! 1.2 ChaCha20   kind 03 03 length | payload | tag                                the same
//! ```
//!
//! In: keys that rustls agreed on. Out: records. Nothing here allocates.
//!
//! A key is copied to the stack before it is used: every call comes with a cold one, and a copy fetches its nine lines of the cache side by
//! side, where sealing would wait for one after the other.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rustls::ConnectionTrafficSecrets;

/// Octets in front of what a record seals.
const HEADER: usize = 5;
/// Room that [`Half::seal`] may need in front of a payload.
pub const FRONT: usize = HEADER + EXPLICIT;
/// Most octets of payload in a record (RFC 8446 §5.1).
pub(super) const MAX_PAYLOAD: usize = 16 << 10;
/// Octets that a cipher may add to a payload: TLS 1.2 allows the most (RFC 5246 §6.2.3).
const MAX_GROWTH: usize = 2048;
const TAG: usize = 16;
/// What TLS 1.2 sends of a GCM nonce with each record (RFC 5288 §3).
const EXPLICIT: usize = 8;
/// Below the 2^24.5 records that one AES-GCM key may seal (RFC 8446 §5.5).
const GCM_RECORDS: u64 = 1 << 24;
/// Records that a key seals beyond that: the update to the next one, an alert.
const LAST_WORDS: u64 = 4;
const LEGACY_VERSION: [u8; 2] = [3, 3];

/// What a record carries (RFC 8446 §5.1).
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// Why a record was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its tag is wrong, or it is too short to have one.
    NotAuthentic,
    /// It is longer than a record may be.
    TooLong,
    /// What it says around its payload is no TLS.
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Tls13,
    Tls12Gcm,
    Tls12ChaCha,
}

/// Keys of one direction, and the number of its next record: what is looked at first stands in front of the key's 544 octets.
#[repr(C)]
pub(super) struct Half {
    number: u64,
    /// From this number on there should be a new key.
    end: u64,
    iv: [u8; NONCE_LEN],
    shape: Shape,
    key: LessSafeKey,
}

impl Half {
    /// The record numbers go on at `number`. `None`: secrets of a cipher that we did not offer.
    pub fn new(tls13: bool, (number, secrets): (u64, ConnectionTrafficSecrets)) -> Option<Half> {
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return None,
        };
        let chacha = matches!(secrets, ConnectionTrafficSecrets::Chacha20Poly1305 { .. });
        let shape = match (tls13, chacha) {
            (true, _) => Shape::Tls13,
            (false, true) => Shape::Tls12ChaCha,
            (false, false) => Shape::Tls12Gcm,
        };
        Some(Half {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).ok()?),
            iv: iv.as_ref().try_into().ok()?,
            number,
            shape,
            end: if chacha { u64::MAX - LAST_WORDS } else { GCM_RECORDS },
        })
    }

    /// The key may seal another record of payload.
    pub fn is_good(&self) -> bool {
        self.number < self.end
    }

    #[cfg(test)]
    pub fn wear_out(&mut self) {
        self.end = self.number;
    }

    /// RFC 8446 §5.3; RFC 5288 leaves the second part of GCM's to the sender.
    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        nonce
            .iter_mut()
            .skip(NONCE_LEN - 8)
            .zip(self.number.to_be_bytes())
            .for_each(|(octet, number)| *octet ^= number);
        nonce
    }

    /// What TLS 1.2 associates with a record (RFC 5246 §6.2.3.3).
    fn associated(&self, kind: u8, payload: usize) -> [u8; 13] {
        let ([a, b, c, d, e, f, g, h], [v, w], [x, y]) =
            (self.number.to_be_bytes(), LEGACY_VERSION, (payload as u16).to_be_bytes());
        [a, b, c, d, e, f, g, h, kind, v, w, x, y]
    }

    /// Makes the end of `buffer` from `at` on, at most [`MAX_PAYLOAD`] octets, one record of this `kind`, in place. Its header goes into
    /// the [`FRONT`] octets in front; returns where it begins. `None`: the key is worn out, or there is no such payload or front.
    pub fn seal(&mut self, kind: u8, at: usize, buffer: &mut Vec<u8>) -> Option<usize> {
        let length = buffer.len().checked_sub(at).filter(|length| *length <= MAX_PAYLOAD)?;
        if at < FRONT || self.number >= self.end.saturating_add(LAST_WORDS) {
            return None;
        }
        let key = self.key.clone();
        let nonce = self.nonce();
        let (outer, explicit, aad) = match self.shape {
            Shape::Tls13 => (APPLICATION_DATA, 0, None),
            Shape::Tls12Gcm => (kind, EXPLICIT, Some(self.associated(kind, length))),
            Shape::Tls12ChaCha => (kind, 0, Some(self.associated(kind, length))),
        };
        if self.shape == Shape::Tls13 {
            buffer.push(kind);
        }
        let sealed = (explicit + buffer.len() - at + TAG) as u16;
        let ([v, w], [x, y]) = (LEGACY_VERSION, sealed.to_be_bytes());
        let header = [outer, v, w, x, y];
        let (front, body) = buffer.split_at_mut_checked(at)?;
        let begin = at - explicit - HEADER;
        let sent = nonce.iter().skip(NONCE_LEN - explicit);
        front.get_mut(begin..)?.iter_mut().zip(header.iter().chain(sent)).for_each(|(to, from)| *to = *from);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad = aad.as_ref().map_or(header.as_slice(), |aad| aad.as_slice());
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), body).ok()?;
        buffer.extend_from_slice(tag.as_ref());
        self.number += 1;
        Some(begin)
    }

    /// Opens the record at `at` in `buffer`, which ends with it. Its kind and how long its payload is, which lies at the beginning
    /// of `buffer` then.
    pub fn open(&mut self, buffer: &mut [u8], at: usize) -> Result<(u8, usize), Fault> {
        let header: [u8; HEADER] = *buffer.get(at..).and_then(|record| record.first_chunk()).ok_or(Fault::Malformed)?;
        let [outer, ..] = header;
        let key = self.key.clone();
        let explicit = if self.shape == Shape::Tls12Gcm { EXPLICIT } else { 0 };
        let (begin, mut nonce) = (at + HEADER + explicit, self.nonce());
        let plain = buffer.len().checked_sub(begin + TAG).ok_or(Fault::NotAuthentic)?;
        let right = match self.shape {
            Shape::Tls13 => outer == APPLICATION_DATA,
            _ => header.get(1..3) == Some(LEGACY_VERSION.as_slice()),
        };
        if !right {
            return Err(Fault::Malformed);
        }
        if plain > MAX_PAYLOAD + usize::from(self.shape == Shape::Tls13) {
            return Err(Fault::TooLong);
        }
        let associated;
        let aad = match self.shape {
            Shape::Tls13 => header.as_slice(),
            _ => {
                if explicit > 0 {
                    let sent = buffer.get(at + HEADER..begin).unwrap_or_default();
                    nonce.iter_mut().skip(NONCE_LEN - EXPLICIT).zip(sent).for_each(|(octet, sent)| *octet = *sent);
                }
                associated = self.associated(outer, plain);
                associated.as_slice()
            }
        };
        let number = self.number.checked_add(1).ok_or(Fault::TooLong)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = key.open_within(nonce, Aad::from(aad), buffer, begin..).map_err(|_| Fault::NotAuthentic)?;
        self.number = number;
        if self.shape != Shape::Tls13 {
            return Ok((outer, opened.len()));
        }
        // §5.4: the kind is the last octet that is not zero.
        let length = opened.iter().rposition(|octet| *octet != 0).ok_or(Fault::Malformed)?;
        opened.get(length).map(|kind| (*kind, length)).ok_or(Fault::Malformed)
    }
}

/// Octets of the first record of `bytes`, its header included, which may not all have come yet. `None`: not even the header has.
/// `Err`: longer than any record may be, so nobody waits for its end.
pub(super) fn first(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let Some([_, _, _, high, low]) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
    let sealed = usize::from(u16::from_be_bytes([*high, *low]));
    if sealed > MAX_PAYLOAD + MAX_GROWTH { Err(Fault::TooLong) } else { Ok(Some(HEADER + sealed)) }
}
