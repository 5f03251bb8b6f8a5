//! AES counter mode with HMAC-SHA1 (RFC 3711 §4.1.1, §4.2.1; RFC 6188): encrypted payload, then the tag over all of it.
//!
//! ```text
//! SRTP    header | payload, encrypted | tag                      tag over header, payload and the roll-over counter
//! SRTCP   8 octets | rest, encrypted | E, index | tag            tag over all before it
//! ```

use super::cipher::{Authenticator, HMAC_LEN, Keystream, is_tag};
use super::derivation::{Label, derive};
use super::transform::{ENCRYPTED, RTCP_CLEAR, RtpHeader};
use crate::srtp_key::{MasterKey, Suite};

/// Octets of an SRTCP tag, whatever the suite's tag for RTP is (RFC 4568 §6.2.2, RFC 6188 §4).
const RTCP_TAG: usize = 10;

/// One half's session keys: 90 octets.
struct Half {
    keystream: Keystream,
    authenticator: Authenticator,
    salt: [u8; 14],
    tag: u8,
}

impl Half {
    fn derive(master: &MasterKey, [encryption, authentication, salting]: [Label; 3], tag: u8) -> Option<Half> {
        let (mut key, mut authentication_key, mut salt) = ([0; 32], [0; HMAC_LEN], [0; 14]);
        let key = key.get_mut(..master.key().len())?;
        derive(master, encryption, key)?;
        derive(master, authentication, &mut authentication_key)?;
        derive(master, salting, &mut salt)?;
        let authenticator = Authenticator::new(&authentication_key);
        Some(Half { keystream: Keystream::new(key)?, authenticator, salt, tag })
    }

    /// Encrypts and decrypts.
    fn apply(&self, ssrc: u32, index: u64, octets: &mut [u8]) {
        // IV = salt * 2^16 XOR SSRC * 2^64 XOR index * 2^16.
        let words = (u128::from(ssrc) << 64) ^ (u128::from(index) << 16);
        let mut iv = words.to_be_bytes();
        iv.iter_mut().zip(self.salt).for_each(|(octet, salt)| *octet ^= salt);
        self.keystream.apply(&iv, octets);
    }
}

/// Session keys of one direction. Those of RTCP are elsewhere: what each RTP packet needs is in few lines of the cache.
pub(super) struct CounterMode {
    rtp: Half,
    rtcp: Box<Half>,
}

impl CounterMode {
    pub fn derive(suite: Suite, master: &MasterKey) -> Option<CounterMode> {
        let rtp = [Label::RtpEncryption, Label::RtpAuthentication, Label::RtpSalt];
        let rtcp = [Label::RtcpEncryption, Label::RtcpAuthentication, Label::RtcpSalt];
        let rtp_tag = match suite {
            Suite::AesCm128HmacSha1_32 | Suite::AesCm256HmacSha1_32 => 4,
            _ => 10,
        };
        Some(CounterMode {
            rtp: Half::derive(master, rtp, rtp_tag)?,
            rtcp: Box::new(Half::derive(master, rtcp, RTCP_TAG as u8)?),
        })
    }

    pub fn rtp_overhead(&self) -> usize {
        usize::from(self.rtp.tag)
    }

    pub fn seal_rtp(&self, header: RtpHeader, index: u64, packet: &mut Vec<u8>) -> bool {
        let Some(payload) = packet.get_mut(header.len..) else { return false };
        self.rtp.apply(header.ssrc, index, payload);
        let tag = self.rtp.authenticator.tag(packet, roll_over_counter(index));
        packet.extend_from_slice(tag.get(..self.rtp_overhead()).unwrap_or_default());
        true
    }

    pub fn open_rtp(&self, header: RtpHeader, index: u64, packet: &[u8], out: &mut Vec<u8>) -> bool {
        let Some((body, tag)) = split_tag(packet, self.rtp_overhead()) else { return false };
        if !is_tag(&self.rtp.authenticator.tag(body, roll_over_counter(index)), tag) {
            return false;
        }
        out.clear();
        out.extend_from_slice(body);
        let Some(payload) = out.get_mut(header.len..) else { return false };
        self.rtp.apply(header.ssrc, index, payload);
        true
    }

    pub fn seal_rtcp(&self, ssrc: u32, index: u32, packet: &mut Vec<u8>) -> bool {
        let Some(rest) = packet.get_mut(RTCP_CLEAR..) else { return false };
        self.rtcp.apply(ssrc, u64::from(index), rest);
        packet.extend_from_slice(&(index | ENCRYPTED).to_be_bytes());
        let tag = self.rtcp.authenticator.tag_alone(packet);
        packet.extend(tag.iter().take(RTCP_TAG));
        true
    }

    /// The word with `E` and the index. `None`: too short.
    pub fn rtcp_word(packet: &[u8]) -> Option<u32> {
        let (body, _) = split_tag(packet, RTCP_TAG)?;
        body.get(RTCP_CLEAR..)?.last_chunk().map(|word| u32::from_be_bytes(*word))
    }

    pub fn open_rtcp(&self, ssrc: u32, word: u32, packet: &[u8], out: &mut Vec<u8>) -> bool {
        let Some((body, tag)) = split_tag(packet, RTCP_TAG) else { return false };
        if !is_tag(&self.rtcp.authenticator.tag_alone(body), tag) {
            return false;
        }
        out.clear();
        out.extend_from_slice(body);
        out.truncate(body.len().saturating_sub(4));
        let Some(rest) = out.get_mut(RTCP_CLEAR..) else { return false };
        if word & ENCRYPTED != 0 {
            self.rtcp.apply(ssrc, u64::from(word & !ENCRYPTED), rest);
        }
        true
    }
}

fn roll_over_counter(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

fn split_tag(packet: &[u8], tag: usize) -> Option<(&[u8], &[u8])> {
    packet.split_at_checked(packet.len().checked_sub(tag)?)
}

#[cfg(test)]
mod tests;
