//! One packet made SRTP or SRTCP and back with the session keys of one direction, whatever the suite (RFC 3711 §3.1, §3.4).
//!
//! In: a packet and its index. Out: the transformed packet. Which index a packet has, and whether it is taken twice, is decided in
//! `context`. `open_*` copies into the caller's buffer, so that a packet may be tried again with another index.

use super::cipher::GCM_TAG;
use super::counter_mode::CounterMode;
use super::gcm::Gcm;
use crate::srtp_key::{MasterKey, Suite};

/// Octets of an RTCP packet that stay in the clear: its first header and SSRC.
pub(super) const RTCP_CLEAR: usize = 8;
/// The `E` bit before an SRTCP index: the packet is encrypted.
pub(super) const ENCRYPTED: u32 = 1 << 31;

/// Where an RTP packet's payload begins, and what its index and nonce are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RtpHeader {
    pub len: usize,
    pub ssrc: u32,
    pub sequence: u16,
}

impl RtpHeader {
    /// `None`: not RTP version 2, or shorter than it says (RFC 3550 §5.1).
    pub fn parse(packet: &[u8]) -> Option<RtpHeader> {
        let fixed: &[u8; 12] = packet.first_chunk()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut len = 12 + 4 * usize::from(fixed[0] & 0x0F);
        if fixed[0] & 0x10 != 0 {
            let extension: &[u8; 4] = packet.get(len..)?.first_chunk()?;
            len += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        }
        let ssrc = u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
        (len <= packet.len()).then_some(RtpHeader { len, ssrc, sequence: u16::from_be_bytes([fixed[2], fixed[3]]) })
    }
}

/// SSRC of an RTCP compound's first packet. `None`: not RTCP.
pub(super) fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let clear: &[u8; RTCP_CLEAR] = packet.first_chunk()?;
    (clear[0] >> 6 == 2).then(|| u32::from_be_bytes([clear[4], clear[5], clear[6], clear[7]]))
}

/// Session keys of one direction.
pub(super) enum SessionKeys {
    CounterMode(CounterMode),
    Gcm(Box<Gcm>),
}

impl SessionKeys {
    /// `None`: `master` is of another suite.
    pub fn derive(suite: Suite, master: &MasterKey) -> Option<SessionKeys> {
        match suite {
            _ if (master.key().len(), master.salt().len()) != (suite.key_len(), suite.salt_len()) => None,
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => Some(SessionKeys::Gcm(Box::new(Gcm::derive(master)?))),
            Suite::AesCm128HmacSha1_80
            | Suite::AesCm128HmacSha1_32
            | Suite::AesCm256HmacSha1_80
            | Suite::AesCm256HmacSha1_32 => CounterMode::derive(suite, master).map(SessionKeys::CounterMode),
        }
    }

    /// Octets that SRTP adds to a packet.
    pub fn rtp_overhead(&self) -> usize {
        match self {
            SessionKeys::CounterMode(keys) => keys.rtp_overhead(),
            SessionKeys::Gcm(_) => GCM_TAG,
        }
    }

    /// `false`: not to be sent.
    pub fn seal_rtp(&self, header: RtpHeader, index: u64, packet: &mut Vec<u8>) -> bool {
        match self {
            SessionKeys::CounterMode(keys) => keys.seal_rtp(header, index, packet),
            SessionKeys::Gcm(keys) => keys.seal_rtp(header, index, packet),
        }
    }

    /// `true`: authentic, and `out` is the packet as it was before it was protected. Else `out` means nothing.
    pub fn open_rtp(&self, header: RtpHeader, index: u64, packet: &[u8], out: &mut Vec<u8>) -> bool {
        match self {
            SessionKeys::CounterMode(keys) => keys.open_rtp(header, index, packet, out),
            SessionKeys::Gcm(keys) => keys.open_rtp(header, index, packet, out),
        }
    }

    /// As [`Self::seal_rtp`].
    pub fn seal_rtcp(&self, ssrc: u32, index: u32, packet: &mut Vec<u8>) -> bool {
        match self {
            SessionKeys::CounterMode(keys) => keys.seal_rtcp(ssrc, index, packet),
            SessionKeys::Gcm(keys) => keys.seal_rtcp(ssrc, index, packet),
        }
    }

    /// The word with `E` and the index, as the packet has it. `None`: too short.
    pub fn rtcp_word(&self, packet: &[u8]) -> Option<u32> {
        match self {
            SessionKeys::CounterMode(_) => CounterMode::rtcp_word(packet),
            SessionKeys::Gcm(_) => Gcm::rtcp_word(packet),
        }
    }

    /// As [`Self::open_rtp`]; `word` as [`Self::rtcp_word`] told it.
    pub fn open_rtcp(&self, ssrc: u32, word: u32, packet: &[u8], out: &mut Vec<u8>) -> bool {
        match self {
            SessionKeys::CounterMode(keys) => keys.open_rtcp(ssrc, word, packet, out),
            SessionKeys::Gcm(keys) => keys.open_rtcp(ssrc, word, packet, out),
        }
    }
}
