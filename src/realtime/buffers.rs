//! Buffers of the two messages that come 50 times a second: the append going out, the audio coming in.
//!
//! They belong to whoever runs many sessions, and are lent to one for as long as it works: no session keeps any, and none is allocated.

/// A buffer above this size is not kept: a long reply came in one delta.
const KEPT: usize = 64 << 10;

/// See the module's map. Empty ones work as well; they grow.
#[derive(Debug, Default)]
pub struct Buffers {
    pub(super) text: String,
    pub(super) audio: Vec<u8>,
}

/// A buffer on its way back.
#[derive(Debug)]
pub enum Used {
    Text(String),
    Audio(Vec<u8>),
}

impl Buffers {
    /// Of both the larger ones.
    pub fn or(mut self, other: Buffers) -> Buffers {
        self.put(Used::Text(other.text));
        self.put(Used::Audio(other.audio));
        self
    }

    /// Keeps the larger one.
    pub fn put(&mut self, used: Used) {
        match used {
            Used::Text(text) if (self.text.capacity()..=KEPT).contains(&text.capacity()) => self.text = text,
            Used::Audio(audio) if (self.audio.capacity()..=KEPT).contains(&audio.capacity()) => self.audio = audio,
            _ => {}
        }
    }
}
