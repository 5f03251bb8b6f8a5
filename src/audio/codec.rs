//! Payloads ↔ samples at the line's rate, by [`Codec`]: the one place that knows which coder a codec is.
//!
//! In: payloads, or frames of one packet. Out: samples, or the payload, appended. No allocation per frame.

use super::g711::Law;
use super::pcm::Rate;
use crate::codec::Codec;

/// The law of a G.711 codec.
fn law(codec: Codec) -> Law {
    match codec {
        Codec::Pcmu => Law::Mu,
        Codec::Pcma => Law::A,
    }
}

/// The receiving side of one stream. The codec may change with every packet (RTP-07).
pub struct Decoder {}

impl Decoder {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Decoder {
        Decoder {}
    }
    /// Appends the samples of one payload, at `codec.rate()`.
    pub fn decode(&mut self, codec: Codec, payload: &[u8], out: &mut Vec<i16>) {
        law(codec).decode(payload, out);
    }
}

/// The sending side of one stream, for one codec.
pub enum Encoder {
    G711(Codec, Law),
}

impl Encoder {
    pub fn new(codec: Codec) -> Encoder {
        Encoder::G711(codec, law(codec))
    }
    pub fn codec(&self) -> Codec {
        match self {
            Encoder::G711(codec, _) => *codec,
        }
    }
    /// Rate of the samples it takes.
    pub fn rate(&self) -> Rate {
        self.codec().rate()
    }
    /// Appends the payload of one packet: `samples` at [`Self::rate`], 10, 20, 30, 40 or 60 ms of them.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        match self {
            Encoder::G711(_, law) => law.encode(samples, out),
        }
    }
}
