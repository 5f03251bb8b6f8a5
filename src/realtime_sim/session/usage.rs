//! Token accounting: what `response.done` reports as usage, so that the numbers add up.

use super::super::dialect::Dialect;
use super::Session;
use serde_json::{Value, json};

/// Tokens of a response, as counted for `usage`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tokens {
    pub input_text: u64,
    pub input_audio: u64,
    pub cached_text: u64,
    pub cached_audio: u64,
    pub output_text: u64,
    /// Milliseconds sent; one token per 50.
    pub output_audio_ms: u64,
}

impl Tokens {
    pub fn output(&self) -> u64 {
        self.output_text + self.output_audio_ms.div_ceil(50)
    }
}

impl Session {
    pub(super) fn input_tokens(&self) -> Tokens {
        let items = self.conversation.items();
        let user = |user: bool| {
            let of = items.iter().filter(move |item| (item.value["role"] == "user") == user);
            of.map(|item| u64::from(item.audio_ms)).sum::<u64>()
        };
        let words: u64 = items.iter().map(|item| text_tokens(&item.text())).sum();
        let tools = self.settings.tools().iter().map(|tool| text_tokens(&tool.to_string())).sum::<u64>();
        let input_text = text_tokens(self.settings.instructions()) + words + tools;
        let input_audio = user(true).div_ceil(100) + user(false).div_ceil(50);
        let (cached_text, cached_audio) = (self.cached.0.min(input_text), self.cached.1.min(input_audio));
        Tokens { input_text, input_audio, cached_text, cached_audio, ..Tokens::default() }
    }

    pub(super) fn usage(&self, tokens: Tokens) -> Value {
        let input = tokens.input_text + tokens.input_audio;
        let mut usage = json!({
            "total_tokens": input + tokens.output(), "input_tokens": input, "output_tokens": tokens.output(),
            "input_token_details": {
                "text_tokens": tokens.input_text, "audio_tokens": tokens.input_audio,
                "cached_tokens": tokens.cached_text + tokens.cached_audio,
            },
            "output_token_details": {
                "text_tokens": tokens.output_text, "audio_tokens": tokens.output_audio_ms.div_ceil(50),
            },
        });
        if self.dialect == Dialect::Ga {
            let cached =
                json!({"text_tokens": tokens.cached_text, "audio_tokens": tokens.cached_audio, "image_tokens": 0});
            usage["input_token_details"]["image_tokens"] = json!(0);
            usage["input_token_details"]["cached_tokens_details"] = cached;
        }
        usage
    }
}

/// About four letters a token, as a tokenizer would roughly find.
pub(super) fn text_tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}
