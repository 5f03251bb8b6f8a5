//! Lenient decoding of server events: one flat struct for all of them, names of both dialects for the same meaning.
//!
//! In: one WebSocket text. Out: a [`ServerEvent`] that borrows from it. Unknown fields are skipped, missing, null and
//! wrongly typed ones read as empty, so that no provider's quirk ends a call; only text that is no JSON object is an
//! error. `Cow` fields (never `Option<Cow>`, which serde always copies) keep a delta where it is until it is decoded.

mod delta;
mod kind;
mod lenient;
mod parts;

pub use delta::{AudioDelta, audio_delta};
pub use kind::Kind;
pub use parts::{
    ConversationId, ErrorInfo, Format, InputTokens, ItemInfo, OutputTokens, PartInfo, ResponseInfo, SessionInfo,
    StatusDetails, UsageInfo,
};

use serde::Deserialize;
use std::borrow::Cow;

/// Any server event. Which fields mean something follows from [`ServerEvent::kind`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServerEvent<'a> {
    #[serde(borrow, rename = "type", deserialize_with = "lenient::text")]
    pub name: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub response_id: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub item_id: Cow<'a, str>,
    #[serde(deserialize_with = "lenient::number")]
    pub content_index: u32,
    /// Base64 audio or a piece of text.
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub delta: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub transcript: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub text: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub call_id: Cow<'a, str>,
    /// Of the function; beta's `arguments.done` has none.
    #[serde(borrow, rename = "name", deserialize_with = "lenient::text")]
    pub function: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::json_text")]
    pub arguments: Cow<'a, str>,
    #[serde(deserialize_with = "lenient::number")]
    pub audio_start_ms: u32,
    #[serde(deserialize_with = "lenient::number")]
    pub audio_end_ms: u32,
    #[serde(borrow, deserialize_with = "lenient::object")]
    pub session: SessionInfo<'a>,
    #[serde(borrow, deserialize_with = "lenient::object")]
    pub response: ResponseInfo<'a>,
    #[serde(borrow, deserialize_with = "lenient::object")]
    pub item: ItemInfo<'a>,
    #[serde(borrow, deserialize_with = "lenient::object")]
    pub part: PartInfo<'a>,
    /// Object, or (vLLM) a string.
    #[serde(borrow, deserialize_with = "parts::error")]
    pub error: ErrorInfo<'a>,
    /// Some servers put the members of `error` beside `type`.
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub code: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub message: Cow<'a, str>,
}

impl ServerEvent<'_> {
    pub fn kind(&self) -> Kind {
        Kind::of(&self.name)
    }
}

/// Decodes one text message. The error says where the text stops being JSON.
pub fn decode(text: &str) -> Result<ServerEvent<'_>, serde_json::Error> {
    // serde would take an array for a struct; an event is an object.
    if !text.trim_start().starts_with('{') {
        return Err(serde::de::Error::custom("not a JSON object"));
    }
    let mut event: ServerEvent<'_> = serde_json::from_str(text)?;
    if event.error.message.is_empty() && event.error.code.is_empty() {
        event.error.message = std::mem::take(&mut event.message);
        event.error.code = std::mem::take(&mut event.code);
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_is_borrowed_not_copied() {
        let text = r#"{"type":"response.output_audio.delta","response_id":"r","item_id":"i","content_index":1,"delta":"AAAA"}"#;
        let event = decode(text).expect("event");
        assert_eq!(event.kind(), Kind::AudioDelta);
        assert!(matches!(event.delta, Cow::Borrowed("AAAA")) && matches!(event.item_id, Cow::Borrowed("i")));
        assert_eq!(event.content_index, 1);
    }

    #[test]
    fn nulls_wrong_types_and_unknown_fields_read_as_empty() {
        let event = decode(
            r#" {"type":"response.done","x":[{}],"item_id":null,"delta":7,"content_index":"z","audio_start_ms":12.9,
               "audio_end_ms":-4,"session":null,"item":[1,{"a":2}],"part":"p",
               "response":{"id":null,"status":3,"output":{"a":1},"usage":[],"status_details":"x"}}"#,
        )
        .expect("event");
        assert_eq!((event.item_id.as_ref(), event.delta.as_ref(), event.content_index), ("", "7", 0));
        assert_eq!((event.audio_start_ms, event.audio_end_ms), (12, 0));
        assert_eq!((event.response.status.as_ref(), event.response.output.len()), ("3", 0));
        assert_eq!(event.response.conversation_id, ConversationId::Absent);
    }

    #[test]
    fn error_may_be_an_object_a_string_or_flat() {
        let object =
            decode(r#"{"type":"error","error":{"code":"c","message":"m","event_id":"e","param":"p"}}"#).expect("1");
        assert_eq!((object.error.code.as_ref(), object.error.event_id.as_ref()), ("c", "e"));
        let string = decode(r#"{"type":"error","error":"no model"}"#).expect("2");
        assert_eq!(string.error.message, "no model");
        let flat = decode(r#"{"type":"error","code":"x","message":"y"}"#).expect("3");
        assert_eq!((flat.error.code.as_ref(), flat.error.message.as_ref()), ("x", "y"));
        assert_eq!(decode(r#"{"type":"error","error":null}"#).expect("4").kind(), Kind::Error);
    }

    #[test]
    fn only_what_is_no_json_object_is_refused() {
        for bad in ["", "x", "[]", "5", "null", r#"{"type":"a""#, r#"{"type":"a"} x"#, "\u{0}", &"[".repeat(100_000)] {
            assert!(decode(bad).is_err(), "{bad:.20}");
        }
        // Skipping takes no stack; what is kept is bounded.
        let deep = |field| format!(r#"{{"{field}":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(decode(&deep("x")).is_ok() && decode(&deep("arguments")).is_err());
        assert_eq!(decode("{}").expect("no type").kind(), Kind::Unknown);
    }

    #[test]
    fn long_lists_are_cut() {
        let items = vec![r#"{"id":"i"}"#; 1000].join(",");
        let text = format!(r#"{{"type":"response.done","response":{{"output":[{items}]}}}}"#);
        assert_eq!(decode(&text).expect("event").response.output.len(), lenient::MAX_LIST);
    }

    #[test]
    fn both_shapes_of_a_session_give_the_formats() {
        let ga = decode(
            r#"{"type":"session.updated","session":{"type":"realtime","id":"s","expires_at":17.0,
               "audio":{"input":{"format":{"type":"audio/pcm","rate":24000}},"output":{"format":{"type":"audio/pcmu"}}}}}"#,
        )
        .expect("ga");
        assert_eq!(ga.session.input_format().name, "audio/pcm");
        assert_eq!((ga.session.input_format().rate, ga.session.output_format().name.as_ref()), (24_000, "audio/pcmu"));
        assert_eq!((ga.session.expires_at, ga.session.is_ga(), ga.session.is_preview()), (17, true, false));
        let beta =
            r#"{"type":"session.updated","session":{"input_audio_format":"pcm16","output_audio_format":"g711_alaw"}}"#;
        let beta = decode(beta).expect("beta");
        assert_eq!(beta.session.output_format().name, "g711_alaw");
        assert!(beta.session.is_preview() && !beta.session.is_ga());
    }
}
