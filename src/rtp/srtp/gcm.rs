//! AES-GCM (RFC 7714): encrypted payload and tag in one.
//!
//! ```text
//! SRTP    header | payload, encrypted | tag                  associated: the header
//! SRTCP   8 octets | rest, encrypted | tag | E, index        associated: the 8 octets, then E and index
//! ```

use super::cipher::{Aead, GCM_TAG};
use super::derivation::{Label, derive};
use super::transform::{ENCRYPTED, RTCP_CLEAR, RtpHeader};
use crate::srtp_key::MasterKey;

/// One half's session keys.
pub(super) struct Half {
    aead: Aead,
    salt: [u8; 12],
}

impl Half {
    fn derive(master: &MasterKey, encryption: Label, salting: Label) -> Option<Half> {
        let (mut key, mut salt) = ([0; 32], [0; 12]);
        let key = key.get_mut(..master.key().len())?;
        derive(master, encryption, key)?;
        derive(master, salting, &mut salt)?;
        Half::new(key, salt)
    }

    pub fn new(key: &[u8], salt: [u8; 12]) -> Option<Half> {
        Some(Half { aead: Aead::new(key)?, salt })
    }

    /// §8.1 and §9.1: two octets of zero, SSRC and a 48-bit index, with the salt. An SRTCP index fills it from the right.
    fn nonce(&self, ssrc: u32, index: u64) -> [u8; 12] {
        let [_, _, index @ ..] = index.to_be_bytes();
        let mut nonce = self.salt;
        let words = [0, 0].into_iter().chain(ssrc.to_be_bytes()).chain(index);
        nonce.iter_mut().zip(words).for_each(|(octet, word)| *octet ^= word);
        nonce
    }
}

/// Session keys of one direction.
pub(super) struct Gcm {
    rtp: Half,
    rtcp: Half,
}

impl Gcm {
    pub fn derive(master: &MasterKey) -> Option<Gcm> {
        Some(Gcm {
            rtp: Half::derive(master, Label::RtpEncryption, Label::RtpSalt)?,
            rtcp: Half::derive(master, Label::RtcpEncryption, Label::RtcpSalt)?,
        })
    }

    #[cfg(test)]
    pub fn of(rtp: Half, rtcp: Half) -> Gcm {
        Gcm { rtp, rtcp }
    }

    pub fn seal_rtp(&self, header: RtpHeader, index: u64, packet: &mut Vec<u8>) -> bool {
        let Some((clear, payload)) = packet.split_at_mut_checked(header.len) else { return false };
        let Some(tag) = self.rtp.aead.seal(self.rtp.nonce(header.ssrc, index), clear, payload) else { return false };
        packet.extend_from_slice(&tag);
        true
    }

    pub fn open_rtp(&self, header: RtpHeader, index: u64, packet: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        out.extend_from_slice(packet);
        let Some((clear, payload)) = out.split_at_mut_checked(header.len) else { return false };
        let authentic = self.rtp.aead.open(self.rtp.nonce(header.ssrc, index), clear, payload);
        out.truncate(packet.len().saturating_sub(GCM_TAG));
        authentic
    }

    pub fn seal_rtcp(&self, ssrc: u32, index: u32, packet: &mut Vec<u8>) -> bool {
        let word = (index | ENCRYPTED).to_be_bytes();
        let Some((clear, rest)) = packet.split_at_mut_checked(RTCP_CLEAR) else { return false };
        let nonce = self.rtcp.nonce(ssrc, u64::from(index));
        let Some(tag) = self.rtcp.aead.seal(nonce, &associated(clear, word), rest) else { return false };
        packet.extend_from_slice(&tag);
        packet.extend_from_slice(&word);
        true
    }

    /// The word with `E` and the index. `None`: too short.
    pub fn rtcp_word(packet: &[u8]) -> Option<u32> {
        packet.get(RTCP_CLEAR + GCM_TAG..)?.last_chunk().map(|word| u32::from_be_bytes(*word))
    }

    pub fn open_rtcp(&self, ssrc: u32, word: u32, packet: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(body) = packet.len().checked_sub(4).and_then(|end| packet.get(..end)) else { return false };
        let nonce = self.rtcp.nonce(ssrc, u64::from(word & !ENCRYPTED));
        let Some((plain, tag)) = body.len().checked_sub(GCM_TAG).and_then(|end| body.split_at_checked(end)) else {
            return false;
        };
        out.clear();
        if word & ENCRYPTED != 0 {
            out.extend_from_slice(body);
            let Some((clear, rest)) = out.split_at_mut_checked(RTCP_CLEAR) else { return false };
            let authentic = self.rtcp.aead.open(nonce, &associated(clear, word.to_be_bytes()), rest);
            out.truncate(plain.len());
            return authentic;
        }
        // §9.3: everything is associated, nothing encrypted.
        out.extend_from_slice(plain);
        out.extend_from_slice(&word.to_be_bytes());
        let mut tag: [u8; GCM_TAG] = tag.try_into().unwrap_or_default();
        let authentic = self.rtcp.aead.open(nonce, out, &mut tag);
        out.truncate(plain.len());
        authentic
    }
}

fn associated(clear: &[u8], word: [u8; 4]) -> [u8; RTCP_CLEAR + 4] {
    let mut all = [0; RTCP_CLEAR + 4];
    all.iter_mut().zip(clear.iter().chain(&word)).for_each(|(to, from)| *to = *from);
    all
}

#[cfg(test)]
mod tests;
