//! The lossless SIP message: bytes with spans (RFC 3261 §7, §25).
//!
//! Order, unknown headers, folding, compact names and non-UTF-8 bytes are kept; limits are checked before allocation;
//! parsing is linear in the input. A malformed request still yields a [`Message`] in [`ParseFailure::partial`] when there
//! is enough of it (Via, From, To, Call-ID, CSeq) to send its 400.

use super::headers::{CSeq, HeaderError, Name, NameAddr, Reason, Via};
use super::uri::Uri;
use bytes::Bytes;

/// RFC 3261 methods and extensions we know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Prack,
    Update,
    Info,
    Refer,
    Notify,
    Subscribe,
    Message,
    Publish,
    Other(Box<str>),
}

impl Method {
    pub fn as_str(&self) -> &str {
        match self {
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Options => "OPTIONS",
            Method::Register => "REGISTER",
            Method::Prack => "PRACK",
            Method::Update => "UPDATE",
            Method::Info => "INFO",
            Method::Refer => "REFER",
            Method::Notify => "NOTIFY",
            Method::Subscribe => "SUBSCRIBE",
            Method::Message => "MESSAGE",
            Method::Publish => "PUBLISH",
            Method::Other(s) => s,
        }
    }
}

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
}

/// Why bytes are no message, and what may be answered.
#[derive(Clone, Debug)]
pub struct ParseFailure {
    /// The status a request deserves (400, 505, 513 …); ignored when `partial` is `None` or a response.
    pub status: u16,
    pub why: &'static str,
    /// What could be read, when it suffices to send the response.
    pub partial: Option<Message>,
}

impl Message {
    /// Parses and validates one message. Mandatory headers, CSeq, single-value headers and Content-Length are checked
    /// here (PAR-05, -08, -09, -10), so that all of Via, From, To, Call-ID and CSeq of an `Ok` request are readable.
    pub fn parse(bytes: Bytes, framing: Framing) -> Result<Message, ParseFailure> {
        let _ = (bytes, framing);
        todo!()
    }
    pub fn is_request(&self) -> bool {
        todo!()
    }
    /// Of the request line; of CSeq for a response.
    pub fn method(&self) -> Method {
        todo!()
    }
    /// The Request-URI; `None` for a response.
    pub fn request_uri(&self) -> Option<Result<Uri, super::uri::UriError>> {
        todo!()
    }
    /// Status code; `None` for a request.
    pub fn status(&self) -> Option<u16> {
        todo!()
    }
    /// Reason phrase of a response, lossy UTF-8.
    pub fn reason_phrase(&self) -> Option<String> {
        todo!()
    }
    pub fn body(&self) -> &[u8] {
        todo!()
    }
    /// The body as a cheap slice of the message's bytes.
    pub fn body_bytes(&self) -> Bytes {
        todo!()
    }
    /// The bytes as received or built.
    pub fn as_bytes(&self) -> &Bytes {
        &self.raw
    }
    /// Values of a header in order: unfolded, trimmed, lossy UTF-8, one entry a header line (not split at commas).
    pub fn lines(&self, name: &Name) -> Vec<String> {
        let _ = name;
        todo!()
    }
    /// Values of a list header in order, split at top-level commas over all its lines (PAR-04).
    pub fn values(&self, name: &Name) -> Vec<String> {
        let _ = name;
        todo!()
    }
    /// First value of a single-value header.
    pub fn value(&self, name: &Name) -> Option<String> {
        let _ = name;
        todo!()
    }
    pub fn top_via(&self) -> Option<Result<Via, HeaderError>> {
        todo!()
    }
    /// Every Via in order; at most 64.
    pub fn vias(&self) -> Result<Vec<Via>, HeaderError> {
        todo!()
    }
    pub fn from(&self) -> Option<Result<NameAddr, HeaderError>> {
        todo!()
    }
    pub fn to(&self) -> Option<Result<NameAddr, HeaderError>> {
        todo!()
    }
    pub fn call_id(&self) -> Option<String> {
        todo!()
    }
    pub fn cseq(&self) -> Option<Result<CSeq, HeaderError>> {
        todo!()
    }
    /// First Contact; `*` is an error.
    pub fn contact(&self) -> Option<Result<NameAddr, HeaderError>> {
        todo!()
    }
    /// Route, Record-Route, P-Asserted-Identity, Diversion …: a list of name-addr.
    pub fn addresses(&self, name: &Name) -> Result<Vec<NameAddr>, HeaderError> {
        let _ = name;
        todo!()
    }
    pub fn max_forwards(&self) -> Option<Result<u32, HeaderError>> {
        todo!()
    }
    /// `type/subtype`, lower case, without parameters.
    pub fn content_type(&self) -> Option<String> {
        todo!()
    }
    /// The SDP body: the body itself for `application/sdp`, or the first SDP part of a multipart body (PAR-14).
    pub fn sdp(&self) -> Option<Bytes> {
        todo!()
    }
    /// Every Reason header value that can be read (RFC 3326).
    pub fn reasons(&self) -> Vec<Reason> {
        todo!()
    }
    /// Delta-seconds of a header (Expires, Retry-After, Min-SE …); parameters and comments ignored.
    pub fn seconds(&self, name: &Name) -> Option<Result<u32, HeaderError>> {
        let _ = name;
        todo!()
    }
}

/// Builds one message. Values are checked: CR, LF and NUL in any value make [`Builder::build`] replace them by a space
/// (PAR-11), so no text from config, a tool, the model or a peer can start a new line.
#[derive(Clone, Debug)]
pub struct Builder {
    out: Vec<u8>,
    body: Option<(String, Vec<u8>)>,
}

impl Builder {
    pub fn request(method: &Method, uri: &str) -> Builder {
        let _ = (method, uri);
        todo!()
    }
    /// Start line, every Via, From, To (with `to_tag` when given and the request's To has none), Call-ID, CSeq of the request, in the
    /// request's own bytes (RFC 3261 §8.2.6). Record-Route is copied for 101–299. `reason` empty = the standard phrase.
    pub fn response(request: &Message, status: u16, reason: &str, to_tag: Option<&str>) -> Builder {
        let _ = (request, status, reason, to_tag);
        todo!()
    }
    /// Adds one header line.
    #[must_use]
    pub fn header(self, name: Name, value: impl AsRef<str>) -> Builder {
        let _ = (name, value.as_ref());
        todo!()
    }
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Builder {
        self.body = Some((content_type.into(), body.into()));
        self
    }
    /// Adds Content-Type and Content-Length and yields the message; what it yields always parses.
    pub fn build(self) -> Message {
        todo!()
    }
}

/// Replaces the top Via's `received` and `rport` by where the request came from (RFC 3261 §18.2.1, RFC 3581 §4), keeping all else.
pub fn fill_received(request: &Message, source: std::net::SocketAddr) -> Message {
    let _ = (request, source);
    todo!()
}
