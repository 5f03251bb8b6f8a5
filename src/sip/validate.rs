//! What makes bytes an acceptable message (RFC 3261 §8.1.1, §18.3, RFC 4475): PAR-05, -08, -09, -10, -16.
//!
//! In: an indexed message. Out: the length of its body, or the first [`Fault`].

use super::headers::{CSeq, Name};
use super::lexer::{self, Fault, MAX_VIAS, Span, bad, too_large};
use super::message::{Framing, Message, Method, Start};
use super::{address, multipart, uri, via};

/// Most values of Route, and of Record-Route: a path is no longer than its Vias.
const MAX_ROUTES: usize = MAX_VIAS;

/// Reads the start line. A broken one still gives the method and URI as far as they can be told.
pub(crate) fn start_line(raw: &[u8], line: Span) -> (Start, Option<Fault>) {
    let text = line.of(raw);
    let (first, rest) = lexer::cut(text, b' ').unwrap_or((text, b""));
    let rest_at = line.end() - rest.len();
    if first.get(..4).is_some_and(|p| p.eq_ignore_ascii_case(b"SIP/")) {
        let (code, reason) = lexer::cut(rest, b' ').unwrap_or((rest, b""));
        let reason = Span::new(line.end() - reason.len(), line.end());
        let status = lexer::digits(code).filter(|n| code.len() == 3 && (100..700).contains(n));
        let status = status.and_then(|n| u16::try_from(n).ok());
        let fault = if !first.eq_ignore_ascii_case(b"SIP/2.0") {
            Some(Fault { status: 505, why: "a version other than SIP/2.0" })
        } else {
            status.is_none().then(|| bad("a status code that is none"))
        };
        return (Start::Response { status: status.unwrap_or(0), reason }, fault);
    }
    let (uri, version) = lexer::cut(rest, b' ').unwrap_or((rest, b""));
    let start = Start::Request {
        method: Span::new(line.start(), line.start() + first.len()),
        uri: Span::new(rest_at, rest_at + uri.len()),
    };
    (start, request_line_fault(first, uri, version))
}

fn request_line_fault(method: &[u8], uri: &[u8], version: &[u8]) -> Option<Fault> {
    if !lexer::is_token(method) {
        return Some(bad("a method that is no token"));
    }
    if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        let digits = version.get(..4).filter(|p| p.eq_ignore_ascii_case(b"SIP/")).and_then(|_| version.get(4..));
        let other_version = digits.is_some_and(|d| !d.is_empty() && d.iter().all(|b| b.is_ascii_digit() || *b == b'.'));
        return Some(match other_version {
            true => Fault { status: 505, why: "a version other than SIP/2.0" },
            false => bad("a request line that is not METHOD URI SIP/2.0"),
        });
    }
    match uri::check(&String::from_utf8_lossy(uri)) {
        Err(e) => Some(bad(e.0)),
        Ok(parts) if parts.has_headers() => Some(bad("headers in the Request-URI")),
        Ok(_) => None,
    }
}

/// Whether a failed request can be answered: the five headers a response copies are there.
pub(crate) fn is_answerable(message: &Message) -> bool {
    let there = |name: &Name| message.raw_lines(name).next().is_some_and(|v| !v.is_empty());
    message.is_request() && [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq].iter().all(there)
}

/// Judges everything but the start line. `Ok` is the length of the body.
pub(crate) fn message(message: &Message, framing: Framing) -> Result<usize, Fault> {
    single_values(message)?;
    let need = |name: &Name, why| message.raw_lines(name).next().filter(|v| !v.is_empty()).ok_or(bad(why));
    need(&Name::Via, "no Via")?;
    let from = need(&Name::From, "no From")?;
    let to = need(&Name::To, "no To")?;
    let call_id = need(&Name::CallId, "no Call-ID")?;
    let cseq = CSeq::parse(need(&Name::CSeq, "no CSeq")?).map_err(|_| bad("CSeq"))?;
    if call_id.iter().any(|b| lexer::is_lws(*b)) {
        return Err(bad("white space in Call-ID"));
    }
    let body_len = body_length(message, framing)?;
    for name in [Name::Route, Name::RecordRoute] {
        if message.raw_values(&name).nth(MAX_ROUTES).is_some() {
            return Err(too_large("more than 64 Route or Record-Route values"));
        }
    }
    if message.is_request() {
        vias(message)?;
        address::check(from).map_err(|_| bad("From"))?;
        address::check(to).map_err(|_| bad("To"))?;
        let method = message.method();
        if cseq.method != method {
            return Err(bad("the method of CSeq is not that of the request line"));
        }
        contacts(message, &method)?;
        if matches!(message.max_forwards(), Some(Err(_))) {
            return Err(bad("Max-Forwards"));
        }
    } else if message.raw_values(&Name::Via).nth(MAX_VIAS).is_some() {
        return Err(too_large("more than 64 Via values"));
    }
    if let Some(content_type) = message.raw_lines(&Name::ContentType).next() {
        let body = message.map().body.of(message.as_bytes()).get(..body_len).unwrap_or_default();
        multipart::check(content_type, body)?;
    }
    Ok(body_len)
}

/// PAR-10: a single-value header stands once.
fn single_values(message: &Message) -> Result<(), Fault> {
    let mut seen: Vec<&Name> = Vec::with_capacity(16);
    for name in message.map().headers.iter().filter_map(|line| line.name.as_ref()).filter(|n| n.is_single_value()) {
        if seen.contains(&name) {
            return Err(bad("a single-value header stands twice"));
        }
        seen.push(name);
    }
    Ok(())
}

fn vias(message: &Message) -> Result<(), Fault> {
    for (i, value) in message.raw_values(&Name::Via).enumerate() {
        if i == MAX_VIAS {
            return Err(too_large("more than 64 Via values"));
        }
        via::check(value).map_err(|_| bad("Via"))?;
    }
    message.raw_values(&Name::Via).next().map(|_| ()).ok_or(bad("Via"))
}

fn contacts(message: &Message, method: &Method) -> Result<(), Fault> {
    let mut any = false;
    for value in message.raw_values(&Name::Contact) {
        any = true;
        if value != b"*" || *method != Method::Register {
            address::check(value).map_err(|_| bad("Contact"))?;
        }
    }
    // RFC 3261 §8.1.1.8. A peer without the magic cookie is of RFC 2543, where Contact was optional (RFC 4475 §3.4.1).
    let cookie = || matches!(message.top_via(), Some(Ok(via)) if via.branch.as_deref().is_some_and(|b| b.starts_with("z9hG4bK")));
    let new_dialog = || matches!(message.to(), Some(Ok(to)) if to.tag().is_none());
    if !any && *method == Method::Invite && cookie() && new_dialog() {
        return Err(bad("no Contact in INVITE"));
    }
    Ok(())
}

/// PAR-05, PAR-06: how much of what follows the head is the body.
fn body_length(message: &Message, framing: Framing) -> Result<usize, Fault> {
    let there = message.map().body.of(message.as_bytes()).len();
    let Some(value) = message.raw_lines(&Name::ContentLength).next() else {
        return match framing {
            Framing::Datagram => Ok(there),
            Framing::Stream => Err(bad("no Content-Length on a stream")),
        };
    };
    match lexer::digits(value).and_then(|n| usize::try_from(n).ok()) {
        None => Err(bad("Content-Length")),
        Some(n) if n > there => Err(bad("Content-Length beyond the message")),
        Some(n) => Ok(n),
    }
}
