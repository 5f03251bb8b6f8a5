//! Payloads ↔ samples at the line's rate, by [`Codec`]: the one place that knows which coder a codec is.
//!
//! In: payloads, or frames of one packet. Out: samples, or the payload, appended. No allocation per frame.

use super::g711::Law;
use super::g722;
use super::pcm::Rate;
use crate::codec::Codec;

/// The receiving side of one stream. The codec may change with every packet (RTP-07): each goes on with the state it had.
pub struct Decoder {
    /// Made with the first packet of it: most calls have none.
    g722: Option<Box<g722::Decoder>>,
}

impl Decoder {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Decoder {
        Decoder { g722: None }
    }
    /// Appends the samples of one payload, at `codec.rate()`.
    pub fn decode(&mut self, codec: Codec, payload: &[u8], out: &mut Vec<i16>) {
        match codec {
            Codec::Pcmu => Law::Mu.decode(payload, out),
            Codec::Pcma => Law::A.decode(payload, out),
            Codec::G722 => self.g722.get_or_insert_with(|| Box::new(g722::Decoder::new())).decode(payload, out),
        }
    }
}

/// The sending side of one stream, for one codec.
pub enum Encoder {
    G711(Codec, Law),
    G722(Box<g722::Encoder>),
}

impl Encoder {
    pub fn new(codec: Codec) -> Encoder {
        match codec {
            Codec::Pcmu => Encoder::G711(codec, Law::Mu),
            Codec::Pcma => Encoder::G711(codec, Law::A),
            Codec::G722 => Encoder::G722(Box::new(g722::Encoder::new())),
        }
    }
    pub fn codec(&self) -> Codec {
        match self {
            Encoder::G711(codec, _) => *codec,
            Encoder::G722(_) => Codec::G722,
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
            Encoder::G722(encoder) => encoder.encode(samples, out),
        }
    }
}
