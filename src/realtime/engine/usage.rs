//! Tokens, summed over a session.

use crate::realtime::Usage;
use crate::realtime::wire::UsageInfo;

/// Adds the usage of one response. Cached tokens are a part of the input and are not added to it; without details the
/// whole counts as text. The transcription of the caller has its own meter and is not in here.
pub(super) fn add(sum: &mut Usage, usage: &UsageInfo) {
    let (input, output) = (&usage.input_token_details, &usage.output_token_details);
    let text = |text: u64, audio: u64, whole: u64| if text == 0 && audio == 0 { whole } else { text };
    let total = if usage.total_tokens > 0 {
        usage.total_tokens
    } else {
        usage.input_tokens.saturating_add(usage.output_tokens)
    };
    let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
    add(&mut sum.input_text, text(input.text_tokens, input.audio_tokens, usage.input_tokens));
    add(&mut sum.input_audio, input.audio_tokens);
    add(&mut sum.cached, input.cached_tokens);
    add(&mut sum.output_text, text(output.text_tokens, output.audio_tokens, usage.output_tokens));
    add(&mut sum.output_audio, output.audio_tokens);
    add(&mut sum.total, total);
    sum.responses = sum.responses.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::wire;

    #[test]
    fn sums_details_and_takes_the_whole_where_there_are_none() {
        let mut sum = Usage::default();
        for usage in [
            r#"{"total_tokens":100,"input_tokens":60,"output_tokens":40,
                "input_token_details":{"text_tokens":50,"audio_tokens":10,"cached_tokens":32},
                "output_token_details":{"text_tokens":8,"audio_tokens":32}}"#,
            r#"{"input_tokens":5,"output_tokens":7,"input_token_details":null}"#,
            "null",
        ] {
            let text = format!(r#"{{"type":"response.done","response":{{"usage":{usage}}}}}"#);
            add(&mut sum, &wire::decode(&text).expect("event").response.usage);
        }
        let expected = Usage {
            input_text: 55,
            input_audio: 10,
            cached: 32,
            output_text: 15,
            output_audio: 32,
            total: 112,
            responses: 3,
        };
        assert_eq!(sum, expected);
    }
}
