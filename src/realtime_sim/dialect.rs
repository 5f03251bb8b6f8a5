//! The two dialects as the server speaks them: event and part names that differ (reference: GA and preview event unions).

/// Which words are spoken on a connection; chosen at the handshake, for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Ga,
    Preview,
}

/// Names that differ between the dialects.
#[derive(Debug)]
pub struct Names {
    pub audio_delta: &'static str,
    pub audio_done: &'static str,
    pub transcript_delta: &'static str,
    pub transcript_done: &'static str,
    pub text_delta: &'static str,
    pub text_done: &'static str,
    /// Content part types inside assistant items.
    pub item_audio: &'static str,
    pub item_text: &'static str,
}

static GA: Names = Names {
    audio_delta: "response.output_audio.delta",
    audio_done: "response.output_audio.done",
    transcript_delta: "response.output_audio_transcript.delta",
    transcript_done: "response.output_audio_transcript.done",
    text_delta: "response.output_text.delta",
    text_done: "response.output_text.done",
    item_audio: "output_audio",
    item_text: "output_text",
};

static PREVIEW: Names = Names {
    audio_delta: "response.audio.delta",
    audio_done: "response.audio.done",
    transcript_delta: "response.audio_transcript.delta",
    transcript_done: "response.audio_transcript.done",
    text_delta: "response.text.delta",
    text_done: "response.text.done",
    item_audio: "audio",
    item_text: "text",
};

impl Dialect {
    pub fn names(self) -> &'static Names {
        match self {
            Dialect::Ga => &GA,
            Dialect::Preview => &PREVIEW,
        }
    }
}
