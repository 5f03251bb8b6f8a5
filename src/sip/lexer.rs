//! Cuts bytes into a start line, header lines and a body, and values into their pieces (RFC 3261 §7.3.1, §25.1).
//!
//! In: the bytes of one message. Out: an [`Index`] of spans; nothing is copied, unfolded or decoded here.
//! The value helpers ([`trim`], [`Split`], [`quoted_end`]) take a fold (CRLF and a blank) for white space, so that a
//! value never has to be unfolded before it is read; [`text`] unfolds for the outside.
//! Lines may end in a bare LF (seen in the field); a bare CR inside a line is refused, since some peers end lines there.

use super::headers::Name;
use std::borrow::Cow;

/// Largest message of either framing.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Most header lines of a message.
pub const MAX_HEADERS: usize = 128;
/// Longest header line with its folds, and longest start line.
pub const MAX_LINE: usize = 8 * 1024;
/// Most Via values of a message.
pub const MAX_VIAS: usize = 64;

/// A range of a message's bytes. Messages are capped at 64 KiB, so `u32` always suffices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Span {
        // Built messages may pass 64 KiB; one of 4 GiB cannot exist in memory we would give it.
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { start: clamp(start), end: clamp(end.max(start)) }
    }
    pub(crate) fn start(self) -> usize {
        self.start as usize
    }
    pub(crate) fn end(self) -> usize {
        self.end as usize
    }
    pub(crate) fn of(self, raw: &[u8]) -> &[u8] {
        raw.get(self.start()..self.end()).unwrap_or_default()
    }
    /// The part of `raw` without white space at both ends.
    fn trimmed(self, raw: &[u8]) -> Span {
        let bytes = self.of(raw);
        let lead = bytes.len() - trim_start(bytes).len();
        Span::new(self.start() + lead, self.start() + lead + trim(bytes).len())
    }
}

/// One header line, folds included.
#[derive(Clone, Debug)]
pub(crate) struct HeaderLine {
    /// `None` for a name that [`Name`] does not list.
    pub(crate) name: Option<Name>,
    pub(crate) name_span: Span,
    /// Trimmed; may hold folds.
    pub(crate) value: Span,
}

/// What is wrong with bytes: the status a request deserves, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) why: &'static str,
}

pub(crate) fn bad(why: &'static str) -> Fault {
    Fault { status: 400, why }
}

pub(crate) fn too_large(why: &'static str) -> Fault {
    Fault { status: 513, why }
}

/// Where everything is. Indexing goes on after a fault, so that a malformed request can be answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub(crate) start_line: Span,
    pub(crate) headers: Vec<HeaderLine>,
    /// Where the body begins.
    pub(crate) body: usize,
    pub(crate) fault: Option<Fault>,
}

/// Indexes one message in one pass.
pub(crate) fn index(raw: &[u8]) -> Index {
    let mut index = Index::default();
    // RFC 3261 §7.5: CRLFs before the start line are skipped.
    let mut at = raw.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(raw.len());
    let start = next_line(raw, at);
    index.start_line = Span::new(at, start.end);
    index.check_line(raw, index.start_line, &start);
    at = start.next;
    index.body = raw.len();
    while at < raw.len() {
        let line = next_line(raw, at);
        if line.end == at {
            index.body = line.next;
            break;
        }
        index.check_line(raw, Span::new(at, line.end), &line);
        if matches!(raw.get(at), Some(b' ' | b'\t')) {
            index.fold(line.end);
        } else if index.headers.len() == MAX_HEADERS {
            index.blame(too_large("more than 128 header lines"));
            break;
        } else {
            index.header(raw, Span::new(at, line.end));
        }
        at = line.next;
    }
    for header in &mut index.headers {
        header.value = header.value.trimmed(raw);
    }
    index
}

struct LineEnd {
    /// End of the content, without CRLF or LF.
    end: usize,
    /// Start of the next line.
    next: usize,
    terminated: bool,
}

fn next_line(raw: &[u8], at: usize) -> LineEnd {
    let rest = raw.get(at..).unwrap_or_default();
    match rest.iter().position(|b| *b == b'\n') {
        Some(n) => {
            let cr = n > 0 && rest.get(n - 1) == Some(&b'\r');
            LineEnd { end: at + n - usize::from(cr), next: at + n + 1, terminated: true }
        }
        None => LineEnd { end: raw.len(), next: raw.len(), terminated: false },
    }
}

impl Index {
    /// Keeps the first fault.
    fn blame(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn check_line(&mut self, raw: &[u8], line: Span, end: &LineEnd) {
        if line.of(raw).len() > MAX_LINE {
            self.blame(too_large("a line of more than 8 KiB"));
        }
        if line.of(raw).contains(&b'\r') {
            self.blame(bad("a bare CR in a line"));
        }
        if !end.terminated {
            self.blame(bad("the last line has no end"));
        }
    }

    fn fold(&mut self, end: usize) {
        let Some(last) = self.headers.last_mut() else {
            return self.blame(bad("a folded line before the first header"));
        };
        last.value = Span::new(last.value.start(), end);
        if end - last.name_span.start() > MAX_LINE {
            self.blame(too_large("a line of more than 8 KiB"));
        }
    }

    fn header(&mut self, raw: &[u8], line: Span) {
        let Some(colon) = line.of(raw).iter().position(|b| *b == b':') else {
            // Kept as a nameless line, so that a fold after it does not join the header before it.
            self.blame(bad("a header line without a colon"));
            self.headers.push(HeaderLine { name: None, name_span: Span::new(line.start(), line.start()), value: line });
            return;
        };
        let name_span = Span::new(line.start(), line.start() + colon).trimmed(raw);
        let name = name_span.of(raw);
        if !is_token(name) {
            self.blame(bad("a header name that is no token"));
        }
        self.headers.push(HeaderLine {
            name: Name::known(name),
            name_span,
            value: Span::new(line.start() + colon + 1, line.end()),
        });
    }
}

/// SP, HT, and CR LF, which stand only in folds once a message is indexed.
pub(crate) fn is_lws(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

pub(crate) fn trim_start(mut s: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = s {
        if !is_lws(*first) {
            break;
        }
        s = rest;
    }
    s
}

pub(crate) fn trim(s: &[u8]) -> &[u8] {
    let mut s = trim_start(s);
    while let [rest @ .., last] = s {
        if !is_lws(*last) {
            break;
        }
        s = rest;
    }
    s
}

/// RFC 3261 §25.1 `token` characters.
pub(crate) fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b)
}

pub(crate) fn is_token(s: &[u8]) -> bool {
    !s.is_empty() && s.iter().all(|b| is_token_byte(*b))
}

/// Splits `s` at the first `sep`.
pub(crate) fn cut(s: &[u8], sep: u8) -> Option<(&[u8], &[u8])> {
    let at = s.iter().position(|b| *b == sep)?;
    Some((s.get(..at)?, s.get(at + 1..)?))
}

/// `s` begins with `"`: the index just past the closing quote.
pub(crate) fn quoted_end(s: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (i, b) in s.iter().enumerate().skip(1) {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(i + 1),
            _ => {}
        }
    }
    None
}

/// Decimal digits as a number, saturating: an overlarge value is the largest we know (RFC 4475 §3.1.2.4).
pub(crate) fn digits(s: &[u8]) -> Option<u64> {
    if s.is_empty() || !s.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(s.iter().fold(0u64, |n, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0'))))
}

/// The pieces of a value between separators that stand outside quoted strings and angle brackets, untrimmed.
pub(crate) struct Split<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Split<'a> {
    pub(crate) fn new(value: &'a [u8], separator: u8) -> Split<'a> {
        Split { rest: Some(value), separator }
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        let s = self.rest?;
        let (mut quoted, mut escaped, mut angle) = (false, false, false);
        for (i, b) in s.iter().enumerate() {
            match b {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' if !angle => quoted = !quoted,
                _ if quoted => {}
                b'<' => angle = true,
                b'>' => angle = false,
                _ if *b == self.separator && !angle => {
                    self.rest = s.get(i + 1..);
                    return s.get(..i);
                }
                _ => {}
            }
        }
        self.rest = None;
        Some(s)
    }
}

/// The trimmed, non-empty values of a comma list.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    Split::new(value, b',').map(trim).filter(|v| !v.is_empty())
}

/// The parameters of `;name=value;flag`: trimmed, empty ones skipped, values as written (still quoted).
pub(crate) fn params(s: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    Split::new(s, b';').map(trim).filter(|p| !p.is_empty()).map(|p| match cut(p, b'=') {
        Some((name, value)) => (trim(name), Some(trim(value))),
        None => (p, None),
    })
}

/// A value with each fold as one space, trimmed.
pub(crate) fn unfolded(value: &[u8]) -> Cow<'_, [u8]> {
    let value = trim(value);
    if !value.iter().any(|b| matches!(b, b'\r' | b'\n')) {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.iter().position(|b| matches!(b, b'\r' | b'\n')) {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        while out.last().is_some_and(|b| is_lws(*b)) {
            out.pop();
        }
        out.push(b' ');
        rest = trim_start(after);
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// A value for the outside: unfolded, trimmed, lossy UTF-8.
pub(crate) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(&unfolded(value)).into_owned()
}

/// A token or quoted string for the outside: without its quotes and escapes, unfolded, lossy UTF-8.
pub(crate) fn unquoted(value: &[u8]) -> String {
    let value = trim(value);
    let Some(inner) = value.strip_prefix(b"\"") else { return text(value) };
    let inner = inner.strip_suffix(b"\"").unwrap_or(inner);
    if !inner.iter().any(|b| matches!(b, b'\\' | b'\r' | b'\n')) {
        return String::from_utf8_lossy(inner).into_owned();
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut escaped = false;
    for b in inner {
        match b {
            b'\\' if !escaped => escaped = true,
            b'\r' | b'\n' => escaped = false,
            _ => {
                out.push(*b);
                escaped = false;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(s: &str) -> Vec<String> {
        list(s.as_bytes()).map(|p| String::from_utf8_lossy(p).into_owned()).collect()
    }

    /// PAR-04: commas inside quotes and angle brackets do not split a list.
    #[test]
    fn lists_split_at_top_level_commas_only() {
        assert_eq!(
            pieces(r#""a,\",b" <sip:x,y@h> ;p="1,2" , <sip:z>,,c"#),
            [r#""a,\",b" <sip:x,y@h> ;p="1,2""#, "<sip:z>", "c"]
        );
        assert_eq!(pieces(""), Vec::<String>::new());
        assert_eq!(pieces("\"open, quote"), ["\"open, quote"]);
    }

    #[test]
    fn text_unfolds() {
        assert_eq!(text(b" a \r\n\t b\n c "), "a b c");
        assert_eq!(unquoted(br#" "Quoted \"x\" \\ y" "#), r#"Quoted "x" \ y"#);
        assert_eq!(unquoted(b"token"), "token");
    }

    #[test]
    fn a_bare_cr_and_a_nameless_line_are_faults() {
        assert_eq!(index(b"OPTIONS a SIP/2.0\r\nX: a\rVia: b\r\n\r\n").fault, Some(bad("a bare CR in a line")));
        assert_eq!(index(b"OPTIONS a SIP/2.0\r\nFoo bar\r\n\r\n").fault, Some(bad("a header line without a colon")));
        assert_eq!(index(b"OPTIONS a SIP/2.0\r\n x: 1\r\n\r\n").fault.map(|f| f.status), Some(400));
    }

    #[test]
    fn numbers_saturate_and_take_digits_only() {
        assert_eq!(digits(b"0068"), Some(68));
        assert_eq!(digits(b"99999999999999999999999"), Some(u64::MAX));
        assert_eq!(digits(b"-1"), None);
        assert_eq!(digits(b""), None);
    }
}
