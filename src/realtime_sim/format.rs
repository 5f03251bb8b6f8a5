//! The three audio formats of the API: names per dialect, sizes, and conversion to and from samples.

use super::dialect::Dialect;
use crate::audio::g711::Law;
use serde_json::{Value, json};

/// Audio on the wire, one byte per sample at 8 kHz or two (little endian) at 24 kHz, mono.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Pcm24k,
    Pcmu,
    Pcma,
}

impl Format {
    /// From a checked `format` value: `pcm16`, … (preview) or `{"type": "audio/pcm"}`, … (GA).
    pub fn from_value(value: &Value) -> Format {
        match value.as_str().or_else(|| value.get("type").and_then(Value::as_str)) {
            Some("g711_ulaw" | "audio/pcmu") => Format::Pcmu,
            Some("g711_alaw" | "audio/pcma") => Format::Pcma,
            _ => Format::Pcm24k,
        }
    }
    pub fn to_value(self, dialect: Dialect) -> Value {
        match (dialect, self) {
            (Dialect::Ga, Format::Pcm24k) => json!({"type": "audio/pcm", "rate": 24000}),
            (Dialect::Ga, Format::Pcmu) => json!({"type": "audio/pcmu"}),
            (Dialect::Ga, Format::Pcma) => json!({"type": "audio/pcma"}),
            (Dialect::Preview, Format::Pcm24k) => json!("pcm16"),
            (Dialect::Preview, Format::Pcmu) => json!("g711_ulaw"),
            (Dialect::Preview, Format::Pcma) => json!("g711_alaw"),
        }
    }
    pub fn hz(self) -> u32 {
        match self {
            Format::Pcm24k => 24_000,
            Format::Pcmu | Format::Pcma => 8_000,
        }
    }
    pub fn bytes_per_ms(self) -> usize {
        match self {
            Format::Pcm24k => 48,
            Format::Pcmu | Format::Pcma => 8,
        }
    }
    /// Appends the samples of `bytes` at [`Format::hz`]; an odd last byte of PCM is left out.
    pub fn decode(self, bytes: &[u8], out: &mut Vec<i16>) {
        match self {
            Format::Pcm24k => {
                out.extend(bytes.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)));
            }
            Format::Pcmu => Law::Mu.decode(bytes, out),
            Format::Pcma => Law::A.decode(bytes, out),
        }
    }
    /// Appends the bytes of `samples`, which are at [`Format::hz`].
    pub fn encode(self, samples: &[i16], out: &mut Vec<u8>) {
        match self {
            Format::Pcm24k => out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
            Format::Pcmu => Law::Mu.encode(samples, out),
            Format::Pcma => Law::A.encode(samples, out),
        }
    }
}
