//! The lossless SIP message: bytes with spans (RFC 3261 §7, §25).
//!
//! Order, unknown headers, folding, compact names and non-UTF-8 bytes are kept; limits are checked before allocation;
//! parsing is linear in the input. A malformed request still yields a [`Message`] in [`ParseFailure::partial`] when there
//! is enough of it (Via, From, To, Call-ID, CSeq) to send its 400.
//!
//! `lexer` cuts the bytes, `validate` judges them, the accessors here read values when asked. `builder` writes.

pub use super::builder::{Builder, fill_received};
pub use super::method::Method;

use super::headers::{CSeq, HeaderError, Name, NameAddr, Reason, Via};
use super::lexer::{self, HeaderLine, Index, MAX_MESSAGE, MAX_VIAS, Span};
use super::uri::{Uri, UriError};
use super::{multipart, validate};
use bytes::Bytes;
use std::sync::Arc;

/// How the bytes were cut out of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One datagram: no Content-Length = body to the end; bytes beyond it are ignored (RFC 3261 §18.3).
    Datagram,
    /// One frame of a stream, already cut by `framing`.
    Stream,
}

/// A parsed message. Cheap to clone (the bytes are shared).
#[derive(Clone, Debug)]
pub struct Message {
    raw: Bytes,
    map: Arc<Map>,
}

/// Where everything is in the bytes.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) start: Start,
    pub(crate) headers: Vec<HeaderLine>,
    pub(crate) body: Span,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    Request { method: Span, uri: Span },
    Response { status: u16, reason: Span },
}

/// Why bytes are no message, and what may be answered.
#[derive(Clone, Debug)]
pub struct ParseFailure {
    /// The status a request deserves (400, 505, 513 …); ignored when `partial` is `None` or a response.
    pub status: u16,
    pub why: &'static str,
    /// What could be read, when it suffices to send the response. Only Via, From, To, Call-ID and CSeq are sure to be
    /// there, and any of them may be the broken one: its typed accessor then errs, [`Builder::response`] copies it.
    pub partial: Option<Message>,
}

impl Message {
    /// Parses and validates one message. Mandatory headers, CSeq, single-value headers and Content-Length are checked
    /// here (PAR-05, -08, -09, -10), so that all of Via, From, To, Call-ID and CSeq of an `Ok` request are readable.
    /// Of a response only CSeq is checked beyond presence.
    pub fn parse(bytes: Bytes, framing: Framing) -> Result<Message, ParseFailure> {
        if bytes.len() > MAX_MESSAGE {
            return Err(ParseFailure { status: 513, why: "more than 64 KiB", partial: None });
        }
        let Index { start_line, headers, body, fault } = lexer::index(&bytes);
        let body = Span::new(body, bytes.len());
        let (start, start_fault) = validate::start_line(&bytes, start_line);
        let mut message = Message { raw: bytes, map: Arc::new(Map { start, headers, body }) };
        let verdict = match start_fault.or(fault) {
            Some(fault) => Err(fault),
            None => validate::message(&message, framing),
        };
        match verdict {
            Ok(body_len) => {
                if let Some(map) = Arc::get_mut(&mut message.map) {
                    map.body = Span::new(body.start(), body.start() + body_len);
                }
                Ok(message)
            }
            Err(fault) => {
                let partial = validate::is_answerable(&message).then_some(message);
                Err(ParseFailure { status: fault.status, why: fault.why, partial })
            }
        }
    }

    /// For bytes of our own making (the builder's), which need no judging.
    pub(crate) fn from_own(raw: Vec<u8>) -> Message {
        let Index { start_line, headers, body, .. } = lexer::index(&raw);
        let (start, _) = validate::start_line(&raw, start_line);
        let body = Span::new(body, raw.len());
        Message { raw: raw.into(), map: Arc::new(Map { start, headers, body }) }
    }

    /// A copy with one range of the head replaced.
    pub(crate) fn with_replaced(&self, range: Span, by: &[u8]) -> Message {
        let mut raw = Vec::with_capacity(self.raw.len() + by.len());
        raw.extend_from_slice(self.raw.get(..range.start()).unwrap_or_default());
        raw.extend_from_slice(by);
        raw.extend_from_slice(self.raw.get(range.end()..self.map.body.end()).unwrap_or_default());
        Message::from_own(raw)
    }

    pub(crate) fn map(&self) -> &Map {
        &self.map
    }

    pub fn is_request(&self) -> bool {
        matches!(self.map.start, Start::Request { .. })
    }
    /// Of the request line; of CSeq for a response.
    pub fn method(&self) -> Method {
        match self.map.start {
            Start::Request { method, .. } => Method::from_bytes(method.of(&self.raw)),
            Start::Response { .. } => match self.cseq() {
                Some(Ok(cseq)) => cseq.method,
                _ => Method::Other("".into()),
            },
        }
    }
    /// The Request-URI; `None` for a response.
    pub fn request_uri(&self) -> Option<Result<Uri, UriError>> {
        match self.map.start {
            Start::Request { uri, .. } => Some(Uri::parse(&String::from_utf8_lossy(uri.of(&self.raw)))),
            Start::Response { .. } => None,
        }
    }
    /// Status code; `None` for a request.
    pub fn status(&self) -> Option<u16> {
        match self.map.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(status),
        }
    }
    /// Reason phrase of a response, lossy UTF-8.
    pub fn reason_phrase(&self) -> Option<String> {
        match self.map.start {
            Start::Request { .. } => None,
            Start::Response { reason, .. } => Some(lexer::text(reason.of(&self.raw))),
        }
    }
    pub fn body(&self) -> &[u8] {
        self.map.body.of(&self.raw)
    }
    /// The body as a cheap slice of the message's bytes.
    pub fn body_bytes(&self) -> Bytes {
        self.raw.slice_ref(self.body())
    }
    /// The bytes as received or built.
    pub fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    /// The raw values (trimmed, folds kept) of a header's lines, in order.
    pub(crate) fn raw_lines<'a>(&'a self, name: &Name) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.header_lines(name).map(|line| line.value.of(&self.raw))
    }
    pub(crate) fn header_lines<'a>(&'a self, name: &Name) -> impl Iterator<Item = &'a HeaderLine> + use<'a> {
        let wanted = match name {
            Name::Other(text) => Name::known(text.as_bytes()).unwrap_or_else(|| name.clone()),
            _ => name.clone(),
        };
        self.map.headers.iter().filter(move |line| match (&line.name, &wanted) {
            (None, Name::Other(text)) => line.name_span.of(&self.raw).eq_ignore_ascii_case(text.as_bytes()),
            (Some(known), wanted) => known == wanted,
            _ => false,
        })
    }
    /// The raw values of a list header, split at top-level commas over all its lines; empty ones are skipped.
    pub(crate) fn raw_values<'a>(&'a self, name: &Name) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.raw_lines(name).flat_map(lexer::list)
    }

    /// Values of a header in order: unfolded, trimmed, lossy UTF-8, one entry a header line (not split at commas).
    pub fn lines(&self, name: &Name) -> Vec<String> {
        self.raw_lines(name).map(lexer::text).collect()
    }
    /// Values of a list header in order, split at top-level commas over all its lines (PAR-04).
    pub fn values(&self, name: &Name) -> Vec<String> {
        self.raw_values(name).map(lexer::text).collect()
    }
    /// Whether a list header has this token, any case (`Supported: timer`).
    pub fn has_token(&self, name: &Name, token: &str) -> bool {
        self.raw_values(name).any(|value| value.eq_ignore_ascii_case(token.as_bytes()))
    }
    /// First value of a single-value header.
    pub fn value(&self, name: &Name) -> Option<String> {
        self.raw_lines(name).next().map(lexer::text)
    }
    /// Every header in order: name as written, value unfolded, lossy UTF-8.
    pub fn headers(&self) -> impl Iterator<Item = (String, String)> {
        self.map
            .headers
            .iter()
            .map(|line| (lexer::text(line.name_span.of(&self.raw)), lexer::text(line.value.of(&self.raw))))
    }

    pub fn top_via(&self) -> Option<Result<Via, HeaderError>> {
        let value = self.raw_values(&Name::Via).next()?;
        Some(Via::from_value(value).map_err(|why| HeaderError::new(&Name::Via, why)))
    }
    /// Every Via in order; at most 64.
    pub fn vias(&self) -> Result<Vec<Via>, HeaderError> {
        let read = |value| Via::from_value(value).map_err(|why| HeaderError::new(&Name::Via, why));
        self.raw_values(&Name::Via).take(MAX_VIAS).map(read).collect()
    }
    pub fn from(&self) -> Option<Result<NameAddr, HeaderError>> {
        self.address(&Name::From)
    }
    pub fn to(&self) -> Option<Result<NameAddr, HeaderError>> {
        self.address(&Name::To)
    }
    /// A single-value header with one address: From, To, Refer-To, Referred-By …
    pub fn address(&self, name: &Name) -> Option<Result<NameAddr, HeaderError>> {
        let value = self.raw_lines(name).next()?;
        Some(NameAddr::from_value(value).map_err(|why| HeaderError::new(name, why)))
    }
    pub fn call_id(&self) -> Option<String> {
        self.value(&Name::CallId)
    }
    pub fn cseq(&self) -> Option<Result<CSeq, HeaderError>> {
        let value = self.raw_lines(&Name::CSeq).next()?;
        Some(CSeq::parse(value).map_err(|why| HeaderError::new(&Name::CSeq, why)))
    }
    /// First Contact; `*` is an error.
    pub fn contact(&self) -> Option<Result<NameAddr, HeaderError>> {
        let value = self.raw_values(&Name::Contact).next()?;
        Some(NameAddr::from_value(value).map_err(|why| HeaderError::new(&Name::Contact, why)))
    }
    /// Route, Record-Route, P-Asserted-Identity, Diversion …: a list of name-addr.
    pub fn addresses(&self, name: &Name) -> Result<Vec<NameAddr>, HeaderError> {
        let read = |value| NameAddr::from_value(value).map_err(|why| HeaderError::new(name, why));
        self.raw_values(name).map(read).collect()
    }
    pub fn max_forwards(&self) -> Option<Result<u32, HeaderError>> {
        let value = self.raw_lines(&Name::MaxForwards).next()?;
        Some(number(value).ok_or_else(|| HeaderError::new(&Name::MaxForwards, "a number that is none")))
    }
    /// `type/subtype`, lower case, without parameters.
    pub fn content_type(&self) -> Option<String> {
        self.raw_lines(&Name::ContentType).next().map(multipart::media_type)
    }
    /// The SDP body: the body itself for `application/sdp`, or the first SDP part of a multipart body (PAR-14).
    pub fn sdp(&self) -> Option<Bytes> {
        let content_type = self.raw_lines(&Name::ContentType).next()?;
        multipart::find_sdp(content_type, self.body()).map(|sdp| self.raw.slice_ref(sdp))
    }
    /// The media type of a multipart part with `handling=required` that we do not read: the request deserves 415 (PAR-14).
    pub fn unsupported_required_part(&self) -> Option<String> {
        let content_type = self.raw_lines(&Name::ContentType).next()?;
        multipart::unsupported_required(content_type, self.body())
    }
    /// Every Reason header value that can be read (RFC 3326).
    pub fn reasons(&self) -> Vec<Reason> {
        self.raw_values(&Name::Reason).filter_map(Reason::parse).collect()
    }
    /// Delta-seconds of a header (Expires, Retry-After, Min-SE …); parameters and comments ignored. An overlarge number
    /// is `u32::MAX`.
    pub fn seconds(&self, name: &Name) -> Option<Result<u32, HeaderError>> {
        let value = self.raw_lines(name).next()?;
        let end = value.iter().position(|b| matches!(b, b';' | b'(') || lexer::is_lws(*b)).unwrap_or(value.len());
        let (digits, _) = value.split_at(end);
        Some(number(digits).ok_or_else(|| HeaderError::new(name, "seconds that are no number")))
    }
}

/// Saturates: an overlarge value counts as the largest (RFC 4475 §3.1.2.4).
fn number(value: &[u8]) -> Option<u32> {
    lexer::digits(value).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}
