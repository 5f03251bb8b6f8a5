//! The objects inside server events: session, response, item, content part, usage, error.

use super::lenient;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use std::borrow::Cow;
use std::fmt;

/// `session` of `session.created` and `session.updated`, either shape.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SessionInfo<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub id: Cow<'a, str>,
    /// GA only: `realtime`.
    #[serde(borrow, rename = "type", deserialize_with = "lenient::text")]
    pub kind: Cow<'a, str>,
    /// Unix seconds; 0 = not told.
    #[serde(deserialize_with = "lenient::number64")]
    pub expires_at: u64,
    #[serde(borrow)]
    input_audio_format: Format<'a>,
    #[serde(borrow)]
    output_audio_format: Format<'a>,
    #[serde(borrow, deserialize_with = "lenient::object")]
    audio: AudioInfo<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AudioInfo<'a> {
    #[serde(borrow, deserialize_with = "lenient::object")]
    input: DirectionInfo<'a>,
    #[serde(borrow, deserialize_with = "lenient::object")]
    output: DirectionInfo<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DirectionInfo<'a> {
    #[serde(borrow)]
    format: Format<'a>,
}

impl<'a> SessionInfo<'a> {
    /// As echoed by the server; empty name = not told.
    pub fn input_format(&self) -> &Format<'a> {
        if self.audio.input.format.name.is_empty() { &self.input_audio_format } else { &self.audio.input.format }
    }
    pub fn output_format(&self) -> &Format<'a> {
        if self.audio.output.format.name.is_empty() { &self.output_audio_format } else { &self.audio.output.format }
    }
    /// The session has marks of GA.
    pub fn is_ga(&self) -> bool {
        !self.kind.is_empty() || !self.audio.input.format.name.is_empty() || !self.audio.output.format.name.is_empty()
    }
    /// The session has marks of the preview.
    pub fn is_preview(&self) -> bool {
        !self.input_audio_format.name.is_empty() || !self.output_audio_format.name.is_empty()
    }
}

/// An audio format: `"pcm16"` or `{"type":"audio/pcm","rate":24000}`.
#[derive(Debug, Default)]
pub struct Format<'a> {
    pub name: Cow<'a, str>,
    /// 0 = not told.
    pub rate: u32,
}

impl<'de: 'a, 'a> Deserialize<'de> for Format<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let named: NameOr<'de, FormatObject<'de>> = NameOr::deserialize(d)?;
        Ok(match named {
            NameOr::Name(name) => Format { name, rate: 0 },
            NameOr::Object(object) => Format { name: object.name, rate: object.rate },
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FormatObject<'a> {
    #[serde(borrow, rename = "type", deserialize_with = "lenient::text")]
    name: Cow<'a, str>,
    #[serde(deserialize_with = "lenient::number")]
    rate: u32,
}

/// `response` of `response.created` and `response.done`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResponseInfo<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub id: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub status: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::object")]
    pub status_details: StatusDetails<'a>,
    #[serde(borrow, deserialize_with = "lenient::list")]
    pub output: Vec<ItemInfo<'a>>,
    #[serde(deserialize_with = "lenient::object")]
    pub usage: UsageInfo,
    pub conversation_id: ConversationId,
}

/// Null means out of band; the oldest servers do not have the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConversationId {
    #[default]
    Absent,
    Null,
    Given,
}

impl<'de> Deserialize<'de> for ConversationId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(match Option::<IgnoredAny>::deserialize(d)? {
            None => ConversationId::Null,
            Some(_) => ConversationId::Given,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatusDetails<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub reason: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "error")]
    pub error: ErrorInfo<'a>,
}

/// An item, whoever made it. Audio inside is skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ItemInfo<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub id: Cow<'a, str>,
    #[serde(borrow, rename = "type", deserialize_with = "lenient::text")]
    pub kind: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub status: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub name: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub call_id: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::json_text")]
    pub arguments: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::list")]
    pub content: Vec<PartInfo<'a>>,
}

/// A content part; of an agent's audio only the transcript matters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PartInfo<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub transcript: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct UsageInfo {
    #[serde(deserialize_with = "lenient::number64")]
    pub total_tokens: u64,
    #[serde(deserialize_with = "lenient::number64")]
    pub input_tokens: u64,
    #[serde(deserialize_with = "lenient::number64")]
    pub output_tokens: u64,
    #[serde(deserialize_with = "lenient::object")]
    pub input_token_details: InputTokens,
    #[serde(deserialize_with = "lenient::object")]
    pub output_token_details: OutputTokens,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct InputTokens {
    #[serde(deserialize_with = "lenient::number64")]
    pub text_tokens: u64,
    #[serde(deserialize_with = "lenient::number64")]
    pub audio_tokens: u64,
    /// A part of the two above, not in addition to them.
    #[serde(deserialize_with = "lenient::number64")]
    pub cached_tokens: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct OutputTokens {
    #[serde(deserialize_with = "lenient::number64")]
    pub text_tokens: u64,
    #[serde(deserialize_with = "lenient::number64")]
    pub audio_tokens: u64,
}

/// `error` of an `error` event, of a failed response or transcription.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ErrorInfo<'a> {
    #[serde(borrow, rename = "type", deserialize_with = "lenient::text")]
    pub kind: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub code: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub message: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub param: Cow<'a, str>,
    /// Of the client event that is refused; often null.
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub event_id: Cow<'a, str>,
}

/// An error object, or a bare string as its message.
pub(super) fn error<'de, D: Deserializer<'de>>(d: D) -> Result<ErrorInfo<'de>, D::Error> {
    Ok(match NameOr::deserialize(d)? {
        NameOr::Name(message) => ErrorInfo { message, ..ErrorInfo::default() },
        NameOr::Object(error) => error,
    })
}

/// A string or an object; anything else is the empty string.
enum NameOr<'a, T> {
    Name(Cow<'a, str>),
    Object(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for NameOr<'de, T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = NameOr<'de, T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an object")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(NameOr::Name(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(NameOr::Name(Cow::Owned(v.to_owned())))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(NameOr::Name(Cow::Borrowed("")))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(NameOr::Name(Cow::Borrowed("")))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(NameOr::Name(Cow::Borrowed("")))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(NameOr::Name(Cow::Borrowed("")))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(NameOr::Name(Cow::Borrowed("")))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                IgnoredAny.visit_seq(seq).map(|_| NameOr::Name(Cow::Borrowed("")))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(NameOr::Object)
            }
        }
        d.deserialize_any(Either(std::marker::PhantomData))
    }
}
