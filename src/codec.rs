//! Audio codecs as offer/answer, RTP and the audio path all need to know them: names, payload types, clocks, rates.
//!
//! Known to `sip` (which agrees on one), `rtp` (whose timestamps count by its clock), `audio` (which decodes and encodes it) and their owners;
//! knows only the sizes of `audio::pcm`. RFC 3551 §4.5 and table 4.

use crate::audio::pcm::Rate;

/// Ticks of the receive path a millisecond, whatever the codec: 1/8000 s.
pub const TICKS_PER_MS: u32 = 8;

/// How speech is written in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s: wideband.
    G722,
}

impl Codec {
    /// Static payload type (RFC 3551 table 4).
    pub fn static_payload_type(self) -> u8 {
        match self {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
            Codec::G722 => 9,
        }
    }
    /// Encoding name of rtpmap.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::G722 => "G722",
        }
    }
    /// RTP timestamp units a millisecond: the clock of its rtpmap, which need not be the rate of its audio.
    pub fn clock_per_ms(self) -> u32 {
        match self {
            // RFC 3551 §4.5.2: G722/8000 by an old mistake, though its audio is at 16 kHz.
            Codec::Pcmu | Codec::Pcma | Codec::G722 => 8,
        }
    }
    /// Rate of the samples it is decoded to and encoded from.
    pub fn rate(self) -> Rate {
        match self {
            Codec::Pcmu | Codec::Pcma => Rate::Hz8000,
            Codec::G722 => Rate::Hz16000,
        }
    }
    /// How long a payload lasts, in ticks of 1/8000 s.
    pub fn ticks(self, payload: &[u8]) -> u32 {
        match self {
            // 64 kbit/s: an octet a tick.
            Codec::Pcmu | Codec::Pcma | Codec::G722 => payload.len() as u32,
        }
    }
}
