//! Buffers of the two messages that come 50 times a second: the append going out, the audio coming in.
//!
//! They belong to whoever runs many sessions, and are lent to one for as long as it works: no session keeps any, and none is allocated.

/// A buffer above this size is not kept: a long reply came in one delta.
const KEPT: usize = 64 << 10;

/// See the module's map. Empty ones work as well; they grow. Lending is the move of one pointer.
#[derive(Debug, Default)]
pub struct Buffers(Option<Box<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    text: String,
    audio: Vec<u8>,
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
        match (&self.0, other.0) {
            (None, other) => Buffers(other),
            (Some(_), None) => self,
            (Some(_), Some(other)) => {
                self.put(Used::Text(other.text));
                self.put(Used::Audio(other.audio));
                self
            }
        }
    }

    /// Keeps the larger one.
    pub fn put(&mut self, used: Used) {
        let kept = self.0.get_or_insert_default();
        match used {
            Used::Text(text) if (kept.text.capacity()..=KEPT).contains(&text.capacity()) => kept.text = text,
            Used::Audio(audio) if (kept.audio.capacity()..=KEPT).contains(&audio.capacity()) => kept.audio = audio,
            _ => {}
        }
    }

    pub(super) fn take_text(&mut self) -> String {
        self.0.as_mut().map(|kept| std::mem::take(&mut kept.text)).unwrap_or_default()
    }

    pub(super) fn take_audio(&mut self) -> Vec<u8> {
        self.0.as_mut().map(|kept| std::mem::take(&mut kept.audio)).unwrap_or_default()
    }
}
