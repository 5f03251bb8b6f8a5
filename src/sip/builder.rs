//! Writes messages (RFC 3261 §7, §8.2.6), and fills in the top Via of a received one (§18.2.1, RFC 3581 §4).
//!
//! In: names and values from anywhere. Out: a [`Message`] in which no value could start a line of its own (PAR-11).

use super::headers::Name;
use super::lexer::{self, Span};
use super::message::{Message, Method};
use super::via;
use std::net::{IpAddr, SocketAddr};

/// Longest value we write; a longer one is cut, so that the line stays below what parsers (ours too) take.
const MAX_VALUE: usize = 8000;

/// Builds one message. Values are checked: CR, LF and NUL in any value make [`Builder::build`] replace them by a space
/// (PAR-11), so no text from config, a tool, the model or a peer can start a new line. A value of more than 8000 bytes is cut.
#[derive(Clone, Debug)]
pub struct Builder {
    out: Vec<u8>,
    body: Option<(String, Vec<u8>)>,
}

impl Builder {
    /// The request line. Characters that cannot stand in it are %-escaped in the URI and become `-` in the method.
    pub fn request(method: &Method, uri: &str) -> Builder {
        let mut out = Vec::with_capacity(1024);
        push_token(&mut out, method.as_str());
        out.push(b' ');
        push_uri(&mut out, uri);
        out.extend_from_slice(b" SIP/2.0\r\n");
        Builder { out, body: None }
    }

    /// Start line, every Via, From, To (with `to_tag` when given and the request's To has none), Call-ID, CSeq of the request, in the
    /// request's own bytes (RFC 3261 §8.2.6), folds joined. Record-Route is copied for 101–299, Timestamp for 100.
    /// `reason` empty = the standard phrase. A header that stands twice where one is allowed is copied once.
    pub fn response(request: &Message, status: u16, reason: &str, to_tag: Option<&str>) -> Builder {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(format!("SIP/2.0 {:03} ", status.clamp(100, 699)).as_bytes());
        push_value(&mut out, if reason.is_empty() { standard_phrase(status) } else { reason }.as_bytes());
        out.extend_from_slice(b"\r\n");
        for via in request.raw_lines(&Name::Via) {
            copy_line(&mut out, &Name::Via, via);
        }
        if (101..300).contains(&status) {
            for value in request.raw_lines(&Name::RecordRoute) {
                copy_line(&mut out, &Name::RecordRoute, value);
            }
        }
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            let Some(value) = request.raw_lines(&name).next() else { continue };
            match to_tag.filter(|_| name == Name::To && !has_tag(value)) {
                None => copy_line(&mut out, &name, value),
                Some(tag) => {
                    let mut value = value.to_vec();
                    value.extend_from_slice(b";tag=");
                    push_token(&mut value, tag);
                    copy_line(&mut out, &name, &value);
                }
            }
        }
        let timestamp = Name::Other("Timestamp".into());
        if status == 100
            && let Some(value) = request.raw_lines(&timestamp).next()
        {
            copy_line(&mut out, &timestamp, value);
        }
        Builder { out, body: None }
    }

    /// Adds one header line. Content-Type and Content-Length are [`Builder::build`]'s and ignored here.
    #[must_use]
    pub fn header(mut self, name: Name, value: impl AsRef<str>) -> Builder {
        let name = Name::parse(name.as_str());
        if !matches!(name, Name::ContentLength | Name::ContentType) {
            push_token(&mut self.out, name.as_str());
            self.out.extend_from_slice(b": ");
            push_value(&mut self.out, value.as_ref().as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
        self
    }

    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Builder {
        self.body = Some((content_type.into(), body.into()));
        self
    }

    /// Adds Content-Type and Content-Length and yields the message. What it yields always parses, if the five mandatory
    /// headers were given values that can be read.
    pub fn build(self) -> Message {
        let (mut out, body) = (self.out, self.body);
        if let Some((content_type, _)) = &body {
            out.extend_from_slice(b"Content-Type: ");
            push_value(&mut out, content_type.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        let body = body.map(|(_, body)| body).unwrap_or_default();
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend_from_slice(&body);
        Message::from_own(out)
    }
}

fn copy_line(out: &mut Vec<u8>, name: &Name, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    // A received value holds CR and LF only as folds, which go here; a NUL may stand in a quoted pair and is the peer's own.
    out.extend_from_slice(&lexer::unfolded(value));
    out.extend_from_slice(b"\r\n");
}

/// Whether a To value has a tag, also one that cannot be read otherwise.
fn has_tag(to: &[u8]) -> bool {
    let params = to.iter().rposition(|b| *b == b'>').map_or(to, |at| to.split_at(at).1);
    lexer::params(params).skip(1).any(|(name, _)| name.eq_ignore_ascii_case(b"tag"))
}

fn push_value(out: &mut Vec<u8>, value: &[u8]) {
    let mut end = value.len().min(MAX_VALUE);
    // Not in the middle of a UTF-8 character.
    while end > 0 && end < value.len() && value.get(end).is_some_and(|b| b & 0xc0 == 0x80) {
        end -= 1;
    }
    let value = value.split_at(end).0;
    out.extend(value.iter().map(|b| if matches!(b, b'\r' | b'\n' | 0) { b' ' } else { *b }));
}

fn push_token(out: &mut Vec<u8>, token: &str) {
    let token = token.as_bytes();
    let token = token.split_at(token.len().min(MAX_VALUE)).0;
    out.extend(token.iter().map(|b| if lexer::is_token_byte(*b) { *b } else { b'-' }));
    if token.is_empty() {
        out.push(b'-');
    }
}

fn push_uri(out: &mut Vec<u8>, uri: &str) {
    let uri = uri.as_bytes();
    for b in uri.split_at(uri.len().min(MAX_VALUE)).0 {
        if *b <= b' ' || *b >= 0x7f || matches!(b, b'<' | b'>' | b'"') {
            out.extend_from_slice(format!("%{b:02X}").as_bytes());
        } else {
            out.push(*b);
        }
    }
}

/// Reason phrases of RFC 3261 §21 and of the extensions we send.
pub fn standard_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => match status / 100 {
            1 => "Session Progress",
            2 => "OK",
            3 => "Redirected",
            4 => "Bad Request",
            5 => "Server Internal Error",
            _ => "Decline",
        },
    }
}

/// Replaces the top Via's `received` and `rport` by where the request came from (RFC 3261 §18.2.1, RFC 3581 §4), keeping all else.
///
/// `received` is there afterwards if sent-by is not the source address or `rport` was asked for; one that came with the request
/// is never believed. A message whose top Via cannot be read comes back as it was.
pub fn fill_received(request: &Message, source: SocketAddr) -> Message {
    let Some(value) = request.raw_values(&Name::Via).next() else { return request.clone() };
    let Ok(pieces) = via::pieces(value) else { return request.clone() };
    let Some(Ok(via)) = request.top_via() else { return request.clone() };
    let source_ip = source.ip().to_canonical();
    let same_host = super::uri::parse_ip(&via.host).map(|ip: IpAddr| ip.to_canonical()) == Some(source_ip);

    let mut new = value.split_at(value.len() - pieces.params.len()).0.to_vec();
    for param in lexer::Split::new(pieces.params, b';').skip(1) {
        let name = lexer::cut(param, b'=').map_or(param, |(name, _)| name);
        let name = lexer::trim(name);
        if name.eq_ignore_ascii_case(b"received") {
            continue;
        }
        if name.eq_ignore_ascii_case(b"rport") {
            new.extend_from_slice(format!(";rport={}", source.port()).as_bytes());
        } else {
            new.push(b';');
            new.extend_from_slice(param);
        }
    }
    if via.rport.is_some() || !same_host {
        new.extend_from_slice(format!(";received={source_ip}").as_bytes());
    }
    if new == value {
        return request.clone();
    }
    let raw = request.as_bytes();
    // `value` is a slice of `raw`.
    let Some(start) = (value.as_ptr() as usize).checked_sub(raw.as_ptr() as usize) else { return request.clone() };
    request.with_replaced(Span::new(start, start + value.len()), &new)
}
