//! `input_audio_buffer.append`, the event that is sent 10 to 50 times a second in every call.
//!
//! Written by hand into one exactly sized string (a tenth of the cost of a JSON serialiser). It carries no `event_id`:
//! the service never acknowledges an append, and 50 ids a second would push everything else out of the id memory.

use crate::base64;

const PREFIX: &str = r#"{"type":"input_audio_buffer.append","audio":""#;
const SUFFIX: &str = "\"}";

/// One event with `audio` in the session's format; the same in both dialects. At most one allocation, none when `text` (cleared first) has
/// the room.
pub fn append_event(audio: &[u8], mut text: String) -> String {
    text.clear();
    text.reserve_exact(PREFIX.len() + base64::encoded_len(audio.len()) + SUFFIX.len());
    text.push_str(PREFIX);
    base64::encode_append(audio, &mut text);
    text.push_str(SUFFIX);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_json_of_exactly_the_reserved_size() {
        for len in [0, 1, 2, 3, 160, 960, 4800] {
            let audio = vec![0x5A; len];
            let text = append_event(&audio, String::new());
            assert_eq!(text.len(), text.capacity(), "{len}");
            let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(json["type"], "input_audio_buffer.append");
            let mut back = Vec::new();
            base64::decode_append(json["audio"].as_str().expect("text"), &mut back).expect("base64");
            assert_eq!(back, audio);
        }
    }
}
