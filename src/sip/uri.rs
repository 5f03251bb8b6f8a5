//! `sip:`, `sips:` and `tel:` URIs (RFC 3261 §19.1, RFC 3966). Parameters are kept byte-exact.
//!
//! In: text. Out: the same text with typed access. Comparison and %-decoding are in `uri_compare`.

use super::uri_compare;
use std::net::IpAddr;

/// A URI as it stood on the wire, with typed access.
///
/// Equality is that of the text; use [`Uri::equivalent`] for RFC 3261 §19.1.4.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    text: String,
    parts: Parts,
}

/// Byte offsets into the text; each part is a function of the text alone, so the derived equality is that of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Parts {
    kind: Kind,
    scheme_end: usize,
    user: Option<(usize, usize)>,
    host: Option<(usize, usize)>,
    port: Option<u16>,
    /// Past the first `;`.
    params: Option<(usize, usize)>,
    /// Past the `?`.
    headers: Option<usize>,
}

impl Parts {
    pub(super) fn has_headers(self) -> bool {
        self.headers.is_some()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Kind {
    Sip,
    Sips,
    Tel,
    #[default]
    Other,
}

/// Why a URI could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriError(pub &'static str);

impl std::fmt::Display for UriError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
impl std::error::Error for UriError {}

impl std::fmt::Display for Uri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Uri {
    /// Parses any URI with a scheme; `sip`, `sips` and `tel` are checked fully, other schemes only for syntax.
    pub fn parse(text: &str) -> Result<Uri, UriError> {
        Ok(Uri { parts: check(text)?, text: text.to_owned() })
    }
    /// The scheme, lower case for those we know; another one is as written.
    pub fn scheme(&self) -> &str {
        match self.parts.kind {
            Kind::Sip => "sip",
            Kind::Sips => "sips",
            Kind::Tel => "tel",
            Kind::Other => self.text.get(..self.parts.scheme_end).unwrap_or_default(),
        }
    }
    /// The user part, still %-escaped, without password (`sip`), or the number as written (`tel`).
    pub fn user(&self) -> Option<&str> {
        let userinfo = self.userinfo()?;
        Some(userinfo.split_once(':').map_or(userinfo, |(user, _)| user))
    }
    pub(super) fn userinfo(&self) -> Option<&str> {
        self.slice(self.parts.user)
    }
    /// The user part with %-escapes decoded; `%00` stays in the string and never truncates it (PAR-12).
    pub fn user_decoded(&self) -> Option<String> {
        self.user().map(uri_compare::decode)
    }
    /// Host without port; an IPv6 reference comes without brackets.
    pub fn host(&self) -> Option<&str> {
        let host = self.slice(self.parts.host)?;
        Some(host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host))
    }
    pub fn port(&self) -> Option<u16> {
        self.parts.port
    }
    /// Host as an IP address, if it is one.
    pub fn host_ip(&self) -> Option<IpAddr> {
        parse_ip(self.host()?)
    }
    /// A URI parameter by name, any case: `None` absent, `Some(None)` without value.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }
    /// Every URI parameter in order, as written.
    pub fn params(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        split_params(self.slice(self.parts.params).unwrap_or_default())
    }
    /// The part after `?`, if any (not allowed in a Request-URI).
    pub fn headers(&self) -> Option<&str> {
        self.text.get(self.parts.headers?..)
    }
    /// RFC 3261 §19.1.4 comparison; `tel` by RFC 3966 §4; other schemes by their text.
    pub fn equivalent(&self, other: &Uri) -> bool {
        uri_compare::equivalent(self, other)
    }
    /// Whether the scheme is `sip` or `sips`.
    pub fn is_sip(&self) -> bool {
        matches!(self.parts.kind, Kind::Sip | Kind::Sips)
    }
    fn is_phone(&self) -> bool {
        let user_phone = || self.param("user").flatten().is_some_and(|v| v.eq_ignore_ascii_case("phone"));
        self.parts.kind == Kind::Tel || (self.is_sip() && user_phone())
    }
    /// The dialled or calling number: user part decoded, visual separators removed (`tel:` and `user=phone`, PAR-13).
    /// `None` when the result has characters outside `+0-9*#` … then the caller uses [`Uri::user_decoded`].
    ///
    /// Parameters of the number (`;phone-context`, `;isub`, `;npdi`, `;rn`) are no part of it: see [`Uri::number_param`].
    pub fn number(&self) -> Option<String> {
        let user = self.user()?;
        let digits = uri_compare::decode(user.split_once(';').map_or(user, |(number, _)| number));
        let mut number = String::with_capacity(digits.len());
        for c in digits.chars() {
            match c {
                '0'..='9' | '*' | '#' => number.push(c),
                '+' if number.is_empty() => number.push(c),
                '-' | '.' | '(' | ')' if self.is_phone() => {}
                _ => return None,
            }
        }
        number.contains(|c: char| c != '+').then_some(number)
    }
    /// A parameter of the number itself (RFC 3966 §3): of the `tel:` URI, or of the user part of a `sip:` URI.
    pub fn number_param(&self, name: &str) -> Option<Option<&str>> {
        let (_, params) = match self.parts.kind {
            Kind::Tel => ("", self.slice(self.parts.params)?),
            _ => self.user()?.split_once(';')?,
        };
        split_params(params).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }
    pub fn as_str(&self) -> &str {
        &self.text
    }
    fn slice(&self, range: Option<(usize, usize)>) -> Option<&str> {
        let (start, end) = range?;
        self.text.get(start..end)
    }
}

/// An address as it stands in URIs, Via and SDP. `:::` is what an early ABNF allowed before an IPv4 tail (RFC 5118 §4.4).
pub(super) fn parse_ip(host: &str) -> Option<IpAddr> {
    host.parse().ok().or_else(|| host.contains(":::").then(|| host.replacen(":::", "::", 1).parse().ok()).flatten())
}

fn split_params(params: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    params.split(';').filter(|p| !p.is_empty()).map(|p| match p.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (p, None),
    })
}

/// Checks a URI without copying it.
pub(super) fn check(text: &str) -> Result<Parts, UriError> {
    if text.bytes().any(|b| b <= b' ' || b == 0x7f || matches!(b, b'<' | b'>' | b'"')) {
        return Err(UriError("a space, a control character or <>\" in a URI"));
    }
    let Some((scheme, rest)) = text.split_once(':') else { return Err(UriError("no scheme")) };
    let first_is_letter = scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if !first_is_letter || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
        return Err(UriError("a scheme that is none"));
    }
    let mut parts = Parts { scheme_end: scheme.len(), ..Parts::default() };
    if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
        parts.kind = if scheme.len() == 3 { Kind::Sip } else { Kind::Sips };
        check_sip(text, &mut parts)?;
    } else if scheme.eq_ignore_ascii_case("tel") {
        parts.kind = Kind::Tel;
        check_tel(text, &mut parts)?;
    } else if rest.is_empty() {
        return Err(UriError("nothing after the scheme"));
    }
    Ok(parts)
}

fn check_sip(text: &str, parts: &mut Parts) -> Result<(), UriError> {
    let bytes = text.as_bytes();
    let find = |from: usize, what: &[u8]| {
        bytes.get(from..).unwrap_or_default().iter().position(|b| what.contains(b)).map(|n| from + n)
    };
    let mut at = parts.scheme_end + 1;
    // The user part may hold `;`, `?` and `/`, so the `@` decides first (RFC 4475 §3.1.1.9). Without one before the headers there is no user.
    if let Some(end) = find(at, b"@") {
        if end > at {
            parts.user = Some((at, end));
        }
        at = end + 1;
    }
    let end = find(at, b";?").unwrap_or(text.len());
    let (host, port) = split_host_port(text.get(at..end).unwrap_or_default()).map_err(UriError)?;
    parts.host = Some((at, at + host.len()));
    parts.port = port;
    if bytes.get(end) == Some(&b';') {
        let stop = find(end, b"?").unwrap_or(text.len());
        parts.params = Some((end + 1, stop));
    }
    parts.headers = find(end, b"?").map(|n| n + 1);
    Ok(())
}

/// `host[:port]`, IPv6 in brackets (kept). Underscores are seen in the field and let through.
pub(super) fn split_host_port(s: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = if let Some(inner) = s.strip_prefix('[') {
        let Some(close) = inner.find(']') else { return Err("an IPv6 address that does not end") };
        let (host, rest) = (inner.get(..close).unwrap_or_default(), inner.get(close + 1..).unwrap_or_default());
        let colons = host.bytes().filter(|b| *b == b':').count();
        if colons < 2 || !host.bytes().all(|b| b.is_ascii_hexdigit() || b":.".contains(&b)) {
            return Err("an IPv6 address that is none");
        }
        let port =
            if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or("junk after an IPv6 address")?) };
        (s.get(..close + 2).unwrap_or_default(), port)
    } else {
        let (host, port) = s.split_once(':').map_or((s, None), |(h, p)| (h, Some(p)));
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)) {
            return Err("a host that is none");
        }
        (host, port)
    };
    let Some(port) = port else { return Ok((host, None)) };
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err("a port that is no number");
    }
    port.parse().map(|p| (host, Some(p))).map_err(|_| "a port out of range")
}

fn check_tel(text: &str, parts: &mut Parts) -> Result<(), UriError> {
    let start = parts.scheme_end + 1;
    let rest = text.get(start..).unwrap_or_default();
    let number = rest.split_once(';').map_or(rest, |(n, _)| n);
    let plausible = |c: char| c.is_ascii_hexdigit() || "*#-.()+%".contains(c);
    if !number.contains(|c: char| c.is_ascii_hexdigit() || c == '*' || c == '#') || !number.chars().all(plausible) {
        return Err(UriError("a telephone number that is none"));
    }
    parts.user = Some((start, start + number.len()));
    if number.len() < rest.len() {
        parts.params = Some((start + number.len() + 1, text.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// PAR-12: an escaped user part is decoded for matching, `%00` never truncates.
    #[test]
    fn user_parts_are_decoded_whole() {
        assert_eq!(uri("sip:null-%00-null@example.com").user_decoded().as_deref(), Some("null-\0-null"));
        assert_eq!(
            uri("sip:sips%3Auser%40example.com@example.net").user_decoded().as_deref(),
            Some("sips:user@example.com")
        );
        assert_eq!(uri("sip:sips%3Auser%40example.com@example.net").scheme(), "sip");
        assert_eq!(uri("sip:%Z%4@h").user_decoded().as_deref(), Some("%Z%4"));
    }

    #[test]
    fn parts_of_a_sip_uri() {
        let u = uri("SIPS:alice;day=tuesday:pw@[2001:db8::1]:5061;transport=TLS;lr?Subject=x&a=b");
        assert_eq!(
            (u.scheme(), u.user(), u.host(), u.port()),
            ("sips", Some("alice;day=tuesday"), Some("2001:db8::1"), Some(5061))
        );
        assert_eq!(u.param("Transport"), Some(Some("TLS")));
        assert_eq!((u.param("lr"), u.param("maddr")), (Some(None), None));
        assert_eq!(u.headers(), Some("Subject=x&a=b"));
        assert_eq!(u.host_ip(), "2001:db8::1".parse().ok());
        assert_eq!(uri("sip:h?x=a").headers(), Some("x=a"));
        assert_eq!(uri("sip:[2001:db8:::192.0.2.1]").host_ip(), "2001:db8::192.0.2.1".parse().ok());
    }

    #[test]
    fn refused_uris() {
        for text in [
            "",
            "sip:",
            "sip:@",
            "alan@example.com",
            "sip:a b@h",
            "sip:2001:db8::10",
            "<sip:a@h>",
            "sip:a@h:99999",
            "sip:a@h:",
            "sip:a@[::1",
            "sip:a@[::1]x",
            "tel:",
            "tel:abc;x",
            "tel:hello",
            ":x",
            "1sip:x",
            "sip:a@b@c",
            "sip:a@h\0",
            "http:",
            "sip:a@;x",
        ] {
            let expected_ok = text == "tel:abc;x";
            assert_eq!(Uri::parse(text).is_ok(), expected_ok, "{text:?}");
        }
    }

    /// PAR-13: tel and user=phone give one number; its parameters are kept apart.
    #[test]
    fn numbers() {
        let rows = [
            ("tel:+1-201-555-0123", Some("+12015550123")),
            ("tel:+1(201)555.0123;phone-context=example.com;isub=7", Some("+12015550123")),
            ("tel:*21%23", Some("*21#")),
            ("sip:+1-201-555-0123@gw;user=phone", Some("+12015550123")),
            ("sip:+12015550123;npdi;rn=+12015550000@gw;user=phone", Some("+12015550123")),
            ("sip:+12015550123@gw", Some("+12015550123")),
            ("sip:%2B12015550123@gw", Some("+12015550123")),
            ("sip:1-201@gw", None),
            ("sip:alice@gw", None),
            ("sip:gw", None),
            ("sip:+@gw", None),
            ("sip:12%0034@gw;user=phone", None),
        ];
        for (text, number) in rows {
            assert_eq!(uri(text).number().as_deref(), number, "{text}");
        }
        let ported = uri("sip:+12015550123;npdi;rn=+12015550000@gw;user=phone");
        assert_eq!((ported.number_param("npdi"), ported.number_param("RN")), (Some(None), Some(Some("+12015550000"))));
        assert_eq!(uri("tel:7042;phone-context=+1-914-555").number_param("phone-context"), Some(Some("+1-914-555")));
    }
}
