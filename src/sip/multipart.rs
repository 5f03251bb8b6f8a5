//! Multipart bodies (RFC 2046 §5.1, RFC 5621): finds the SDP part, and parts that must be understood.
//!
//! In: a Content-Type value and a body. Limits: 16 parts in all, 3 levels, a boundary of 70 characters.

use super::headers::Name;
use super::lexer::{self, Fault, MAX_LINE, bad, too_large};

/// Most parts of a body, all levels together.
pub const MAX_PARTS: usize = 16;
/// Most levels of multipart in multipart.
const MAX_LEVELS: usize = 3;
/// RFC 2046 §5.1.1.
const MAX_BOUNDARY: usize = 70;

/// One part that is no multipart itself.
struct Part<'a> {
    media_type: String,
    /// `Content-Disposition: …;handling=required`.
    required: bool,
    body: &'a [u8],
}

/// `type/subtype` in lower case of a Content-Type value.
pub(crate) fn media_type(content_type: &[u8]) -> String {
    let end = content_type.iter().position(|b| *b == b';').unwrap_or(content_type.len());
    let mut text = lexer::text(content_type.split_at(end).0);
    text.retain(|c| !c.is_whitespace());
    text.make_ascii_lowercase();
    text
}

fn is_multipart(media_type: &str) -> bool {
    media_type.starts_with("multipart/")
}

/// Refuses a body with too many parts or levels.
pub(crate) fn check(content_type: &[u8], body: &[u8]) -> Result<(), Fault> {
    parts(content_type, body).map(|_| ())
}

/// The body itself if it is SDP, else the first SDP part.
pub(crate) fn find_sdp<'a>(content_type: &[u8], body: &'a [u8]) -> Option<&'a [u8]> {
    if body.is_empty() {
        return None;
    }
    parts(content_type, body).ok()?.into_iter().find(|p| p.media_type == "application/sdp").map(|p| p.body)
}

/// The media type of a part with `handling=required` that we do not read.
pub(crate) fn unsupported_required(content_type: &[u8], body: &[u8]) -> Option<String> {
    if !is_multipart(&media_type(content_type)) {
        return None;
    }
    let unread = |p: &Part<'_>| p.required && p.media_type != "application/sdp";
    parts(content_type, body).ok()?.into_iter().find(unread).map(|p| p.media_type)
}

/// The leaf parts in order.
fn parts<'a>(content_type: &[u8], body: &'a [u8]) -> Result<Vec<Part<'a>>, Fault> {
    let mut found = Vec::new();
    collect(content_type, body, false, 0, &mut found)?;
    Ok(found)
}

fn collect<'a>(
    content_type: &[u8],
    body: &'a [u8],
    required: bool,
    level: usize,
    found: &mut Vec<Part<'a>>,
) -> Result<(), Fault> {
    let media_type = media_type(content_type);
    if !is_multipart(&media_type) {
        if found.len() == MAX_PARTS {
            return Err(too_large("more than 16 parts"));
        }
        found.push(Part { media_type, required, body });
        return Ok(());
    }
    if level == MAX_LEVELS {
        return Err(too_large("more than 3 levels of multipart"));
    }
    let boundary = boundary(content_type).ok_or(bad("a multipart body without a boundary"))?;
    for part in sections(body, boundary.as_bytes()).take(MAX_PARTS + 1) {
        // A part is a list of header lines and a body: the lexer reads it behind a start line of its own.
        let (head, rest) = head_of(part);
        collect(&head.content_type, rest, head.required, level + 1, found)?;
    }
    Ok(())
}

fn boundary(content_type: &[u8]) -> Option<String> {
    let (_, boundary) = lexer::params(content_type).skip(1).find(|(name, _)| name.eq_ignore_ascii_case(b"boundary"))?;
    let boundary = lexer::unquoted(boundary?);
    (1..=MAX_BOUNDARY).contains(&boundary.len()).then_some(boundary)
}

/// What stands between delimiter lines, without the line ends that belong to them.
fn sections<'a>(body: &'a [u8], boundary: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut at = 0;
    // Start of the current part, once the first delimiter was seen.
    let mut open: Option<usize> = None;
    std::iter::from_fn(move || {
        while let Some(rest) = body.get(at..).filter(|r| !r.is_empty()) {
            let line_at = at;
            let len = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |n| n + 1);
            at += len;
            let line = lexer::trim(rest.split_at(len).0);
            let Some(tail) = line.strip_prefix(b"--").and_then(|l| l.strip_prefix(boundary)) else { continue };
            let closing = tail == b"--";
            if !closing && !tail.is_empty() {
                continue;
            }
            let part = open.map(|start| strip_line_end(body.get(start..line_at).unwrap_or_default()));
            open = (!closing).then_some(at);
            if closing {
                at = body.len();
            }
            if part.is_some() {
                return part;
            }
        }
        // A body that was cut before its closing delimiter still ends its last part.
        open.take().map(|start| body.get(start..).unwrap_or_default())
    })
}

fn strip_line_end(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

struct Head {
    content_type: Vec<u8>,
    required: bool,
}

/// Splits a part into what its headers say and its body. Without Content-Type it is text/plain (RFC 2046 §5.2).
fn head_of(part: &[u8]) -> (Head, &[u8]) {
    let mut head = Head { content_type: b"text/plain".to_vec(), required: false };
    // With folds; what goes on beyond the longest line is left out.
    let mut lines: Vec<(Option<Name>, Vec<u8>)> = Vec::new();
    let mut rest = part;
    while !rest.is_empty() && lines.len() < MAX_PARTS {
        let len = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |n| n + 1);
        let (line, tail) = rest.split_at(len);
        rest = tail;
        if lexer::trim(line).is_empty() {
            break;
        }
        match (line.first(), lines.last_mut(), lexer::cut(line, b':')) {
            (Some(b' ' | b'\t'), Some((_, value)), _) if value.len() + line.len() <= MAX_LINE => {
                value.extend_from_slice(line)
            }
            (Some(b' ' | b'\t'), Some(_), _) => {}
            (_, _, Some((name, value))) => {
                lines.push((Name::known(lexer::trim(name)), value.get(..MAX_LINE).unwrap_or(value).to_vec()));
            }
            _ => {}
        }
    }
    for (name, value) in lines {
        match name {
            Some(Name::ContentType) => head.content_type = lexer::trim(&value).to_vec(),
            Some(Name::ContentDisposition) => {
                let required = |(name, value): (&[u8], Option<&[u8]>)| {
                    name.eq_ignore_ascii_case(b"handling") && value.is_some_and(|v| v.eq_ignore_ascii_case(b"required"))
                };
                head.required = lexer::params(&value).skip(1).any(required);
            }
            _ => {}
        }
    }
    (head, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n";

    fn siprec(disposition: &str) -> String {
        format!(
            "preamble\r\n--b x\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session{disposition}\r\n\r\n<r/>\r\n\
             --b x \r\nc : Application/SDP ; charset=utf-8\r\n\r\n{SDP}\r\n--b x--\r\n--b x\r\nepilogue"
        )
    }

    /// PAR-14: the SDP part is found; an unknown part counts only with handling=required.
    #[test]
    fn sdp_part_and_required_parts() {
        let content_type = b"multipart/mixed; boundary=\"b x\"";
        let body = siprec("");
        assert_eq!(find_sdp(content_type, body.as_bytes()), Some(SDP.as_bytes()));
        assert_eq!(unsupported_required(content_type, body.as_bytes()), None);
        let body = siprec(" ; Handling = REQUIRED");
        assert_eq!(unsupported_required(content_type, body.as_bytes()).as_deref(), Some("application/rs-metadata+xml"));
        assert_eq!(unsupported_required(content_type, siprec(";handling=optional").as_bytes()), None);
        assert_eq!(find_sdp(b"application/SDP", SDP.as_bytes()), Some(SDP.as_bytes()));
        assert_eq!(find_sdp(b"application/sdp", b""), None);
        assert_eq!(find_sdp(b"text/plain", SDP.as_bytes()), None);
    }

    /// PAR-14: an empty part and a body cut before the closing delimiter.
    #[test]
    fn empty_part_and_missing_end() {
        let content_type = b"multipart/mixed;boundary=x";
        assert_eq!(
            find_sdp(content_type, b"--x\r\n\r\n--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"),
            Some(&b"v=0\r\n"[..])
        );
        assert_eq!(find_sdp(content_type, b"--x--\r\n"), None);
        assert_eq!(find_sdp(content_type, b"no delimiter"), None);
    }

    fn nested(levels: usize) -> (String, String) {
        let (mut content_type, mut body) = ("application/sdp".to_owned(), "v=0".to_owned());
        for level in 0..levels {
            body = format!("--b{level}\r\nContent-Type: {content_type}\r\n\r\n{body}\r\n--b{level}--\r\n");
            content_type = format!("multipart/mixed;boundary=b{level}");
        }
        (content_type, body)
    }

    /// PAR-07: 16 parts and 3 levels are the limit.
    #[test]
    fn parts_and_levels_are_capped() {
        let many = |n: usize| "--x\r\n\r\nhello\r\n".repeat(n) + "--x--\r\n";
        assert_eq!(check(b"multipart/mixed;boundary=x", many(16).as_bytes()), Ok(()));
        assert_eq!(check(b"multipart/mixed;boundary=x", many(17).as_bytes()).map_err(|f| f.status), Err(513));
        let (content_type, body) = nested(3);
        assert_eq!(find_sdp(content_type.as_bytes(), body.as_bytes()), Some(&b"v=0"[..]));
        let (content_type, body) = nested(4);
        assert_eq!(check(content_type.as_bytes(), body.as_bytes()).map_err(|f| f.status), Err(513));
        assert_eq!(check(b"multipart/mixed", b"").map_err(|f| f.status), Err(400));
        assert_eq!(
            check(format!("multipart/mixed;boundary={}", "b".repeat(71)).as_bytes(), b"").map_err(|f| f.status),
            Err(400)
        );
    }
}
