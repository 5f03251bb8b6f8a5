//! The one event that comes 50 times a second, a piece of agent audio, read in one pass and without a copy.
//!
//! In: a WebSocket text. Out: the members of it that matter, borrowed. `None` for any other event, and for one that is written in an
//! unusual way (escapes, other types): [`super::decode`] reads them all, and says the same of what is read here.

/// A piece of agent audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioDelta<'a> {
    pub response_id: &'a str,
    pub item_id: &'a str,
    pub content_index: u32,
    /// Base64, not yet looked at.
    pub delta: &'a str,
}

/// See the module's map.
pub fn audio_delta(text: &str) -> Option<AudioDelta<'_>> {
    let mut reader = Reader(text);
    let mut event = AudioDelta::default();
    // Members that have been there: none may come twice.
    let mut seen = 0u8;
    reader.take('{')?;
    loop {
        let name = reader.string()?;
        reader.take(':')?;
        let member = match name {
            "type" => TYPE,
            "response_id" => 2,
            "item_id" => 4,
            "content_index" => 8,
            "delta" => DELTA,
            "event_id" | "output_index" => 0,
            _ => return None,
        };
        if seen & member != 0 {
            return None;
        }
        seen |= member;
        match name {
            "type" if !matches!(reader.string()?, "response.output_audio.delta" | "response.audio.delta") => {
                return None;
            }
            "response_id" => event.response_id = reader.string()?,
            "item_id" => event.item_id = reader.string()?,
            "content_index" => event.content_index = reader.number()?,
            "delta" => event.delta = reader.string()?,
            "event_id" => {
                reader.string()?;
            }
            "output_index" => {
                reader.number()?;
            }
            _ => {}
        }
        match reader.next()? {
            ',' => {}
            '}' => break,
            _ => return None,
        }
    }
    (seen & TYPE != 0 && seen & DELTA != 0 && reader.next().is_none()).then_some(event)
}

const TYPE: u8 = 1;
const DELTA: u8 = 16;

/// What is left of the text.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// The next character behind white space.
    fn next(&mut self) -> Option<char> {
        let mut rest = self.0.trim_start_matches([' ', '\t', '\n', '\r']).chars();
        let next = rest.next()?;
        self.0 = rest.as_str();
        Some(next)
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    /// A string that stands for itself.
    fn string(&mut self) -> Option<&'a str> {
        self.take('"')?;
        let (string, rest) = self.0.split_at_checked(plain_length(self.0.as_bytes())?)?;
        self.0 = rest.get(1..)?;
        Some(string)
    }

    /// Digits, without sign or fraction (what follows them would be neither `,` nor `}`).
    fn number(&mut self) -> Option<u32> {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at_checked(digits)?;
        // JSON has no leading zeros.
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        self.0 = rest;
        digits.parse().ok()
    }
}

/// Bytes up to the closing quote. `None`: an escape or a control character comes before it, or it never comes.
fn plain_length(text: &[u8]) -> Option<usize> {
    // No branch within a block (`|`, not `||`), so that the compiler takes vectors for it: a tenth of the instructions.
    let special = |byte: u8| (byte == b'"') | (byte == b'\\') | (byte < 0x20);
    let (blocks, _) = text.as_chunks::<32>();
    let plain = blocks.iter().take_while(|block| !block.iter().fold(false, |found, byte| found | special(*byte)));
    let plain = plain.count() * 32;
    let at = plain + text.get(plain..)?.iter().position(|byte| special(*byte))?;
    (text.get(at) == Some(&b'"')).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, decode};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_forms_are_read() {
        let tight = r#"{"type":"response.output_audio.delta","event_id":"e","response_id":"r","item_id":"i","output_index":0,"content_index":12,"delta":"AAAA"}"#;
        let spaced = r#" { "delta" : "AAAA", "content_index": 12 , "item_id": "i", "response_id": "r", "type": "response.audio.delta" } "#;
        for text in [tight, spaced] {
            let expected = AudioDelta { response_id: "r", item_id: "i", content_index: 12, delta: "AAAA" };
            assert_eq!(audio_delta(text), Some(expected), "{text}");
        }
        let long = "A/+1".repeat(1_000);
        let text = format!(r#"{{"type":"response.audio.delta","delta":"{long}"}}"#);
        assert_eq!(audio_delta(&text).map(|event| event.delta), Some(long.as_str()));
    }

    #[test]
    fn all_else_is_left_to_the_decoder() {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            r#"{"type":"response.audio.done"}"#,
            r#"{"type":"response.audio.delta"}"#,
            r#"{"type":"response.audio.delta","delta":"AA\/A"}"#,
            "{\"type\":\"response.audio.delta\",\"delta\":\"AA\nA\"}",
            r#"{"type":"response.audio.delta","delta":null}"#,
            r#"{"type":"response.audio.delta","delta":"AAAA","delta":"BBBB"}"#,
            r#"{"type":"response.audio.delta","delta":"AAAA","content_index":-1}"#,
            r#"{"type":"response.audio.delta","delta":"AAAA","content_index":1.5}"#,
            r#"{"type":"response.audio.delta","delta":"AAAA","content_index":01}"#,
            r#"{"type":"response.audio.delta","delta":"AAAA","content_index":99999999999}"#,
            r#"{"type":"response.audio.delta","delta":"AAAA","text":{}}"#,
            r#"{"type":"response.audio.delta","delta":"AAAA"} x"#,
            r#"{"type":"response.audio.delta","delta":"AAAA",}"#,
            r#"{"type":"response.audio.delta","delta":"AAAA"#,
        ] {
            assert_eq!(audio_delta(text), None, "{text}");
        }
    }

    proptest! {
        /// Whatever is read here, the decoder reads the same of it.
        #[test]
        fn the_decoder_agrees(
            members in prop::collection::vec(
                (
                    prop::sample::select(vec!["type", "response_id", "item_id", "content_index", "delta", "event_id", "output_index", "x"]),
                    prop::sample::select(vec![
                        r#""response.audio.delta""#, r#""response.output_audio.delta""#, r#""AAAA""#, r#""""#, r#""\u0041""#, "\"é\"", "0", "7", "07", "null", "{}",
                    ]),
                ),
                0..8,
            ),
            space in prop::sample::select(vec!["", " ", "\n\t"]),
            cut in 0usize..400,
        ) {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("{space}\"{name}\"{space}:{space}{value}")).collect();
            let text = format!("{{{}{space}}}", members.join(","));
            let text = text.get(..cut).unwrap_or(&text);
            if let Some(event) = audio_delta(text) {
                let all = decode(text).expect("the decoder reads it too");
                prop_assert_eq!(all.kind(), Kind::AudioDelta);
                prop_assert_eq!((all.response_id.as_ref(), all.item_id.as_ref()), (event.response_id, event.item_id));
                prop_assert_eq!((all.content_index, all.delta.as_ref()), (event.content_index, event.delta));
            }
        }
    }
}
