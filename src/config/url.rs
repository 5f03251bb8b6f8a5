//! The URLs that configuration may contain, and URL templates with `{parameter}` (RFC 3986 syntax, a strict subset).
//!
//! Deliberately smaller than what HTTP libraries take: no user info, no fragment, no dot segments, ASCII only. So nothing
//! in a checked URL is read differently by the library that opens it.

use std::net::{IpAddr, Ipv6Addr};

/// A URL in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url<'t> {
    /// Lower case in the text already.
    pub scheme: &'t str,
    pub host: Host<'t>,
    pub port: Option<u16>,
    /// With its `/`, or empty. May hold `{parameters}`.
    pub path: &'t str,
    /// Without the `?`.
    pub query: Option<&'t str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host<'t> {
    Name(&'t str),
    Ip(IpAddr),
}

impl<'t> Url<'t> {
    /// Splits `text`. The error says what is wrong, without the field.
    pub fn parse(text: &'t str) -> Result<Url<'t>, String> {
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic() || "\"<>\\^`|".contains(*c)) {
            return Err(format!("contains {bad:?}, which must be percent-encoded in a URL"));
        }
        if text.contains('#') {
            return Err("has a fragment (#…): remove it".into());
        }
        let (scheme, rest) = text.split_once("://").ok_or("is not a URL: write scheme://host/path")?;
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_lowercase()) {
            return Err("has no valid scheme: write it in lower case, like https://".into());
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.contains('@') {
            return Err("contains user:password@, which is not allowed: use a header with a secret reference".into());
        }
        if authority.contains(['{', '}', '%']) {
            return Err("must have a fixed host: parameters may stand in path and query only".into());
        }
        let (host, port) = split_authority(authority)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        if path.split('/').any(is_dot_segment) {
            return Err("contains a \".\" or \"..\" segment: write the path it leads to".into());
        }
        Ok(Url { scheme, host, port, path, query })
    }

    /// `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        match self.host {
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
            Host::Ip(ip) => ip.to_canonical().is_loopback(),
        }
    }
}

fn split_authority(authority: &str) -> Result<(Host<'_>, Option<u16>), String> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or("has a \"[\" without \"]\"")?;
        let address: Ipv6Addr = address.parse().map_err(|_| "has no valid IPv6 address between [ and ]")?;
        let port = match rest {
            "" => None,
            _ => Some(rest.strip_prefix(':').ok_or("has something other than a port after \"]\"")?),
        };
        (Host::Ip(address.into()), port)
    } else {
        let (name, port) = match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        };
        (parse_host(name)?, port)
    };
    let port = match port {
        None => None,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Some(port),
            _ => return Err(format!("has no valid port: \"{digits}\"")),
        },
    };
    Ok((host, port))
}

/// A DNS name or IPv4 address. Names that an HTTP library would read as a number (`0x7f.1`, `2130706433`) are refused.
fn parse_host(name: &str) -> Result<Host<'_>, String> {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(Host::Ip(ip));
    }
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let bare = name.strip_suffix('.').unwrap_or(name);
    let last = bare.rsplit('.').next().unwrap_or("");
    let numeric = last.bytes().next().is_some_and(|b| b.is_ascii_digit());
    if bare.len() > 253 || !bare.split('.').all(label_ok) || numeric {
        return Err(format!("has no valid host: \"{}\"", super::fields::shorten(name)));
    }
    Ok(Host::Name(name))
}

/// Whether URL libraries take the segment for `.` or `..` (WHATWG URL: percent-encoded dots too).
pub fn is_dot_segment(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// A piece of a URL template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'t> {
    Literal(&'t str),
    Parameter(&'t str),
}

/// Splits `text{name}text…`. Names are letters, digits and `_`.
pub fn template(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let (literal, from_brace) = rest.split_at(open);
        let inside = from_brace.strip_prefix('{').ok_or("has a \"}\" without \"{\"")?;
        let (name, after) = inside.split_once('}').ok_or("has a \"{\" without \"}\"")?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(format!("has a \"{{{name}}}\" that is not the name of a parameter"));
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        parts.push(Part::Parameter(name));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_urls_split() {
        let url = Url::parse("https://api.example.com:8443/v1/{id}?day={day}").expect("valid");
        assert_eq!((url.scheme, url.port, url.path), ("https", Some(8443), "/v1/{id}"));
        assert_eq!((url.host, url.query), (Host::Name("api.example.com"), Some("day={day}")));
        assert!(Url::parse("ws://127.0.0.1:9000").expect("valid").is_loopback());
        assert!(Url::parse("ws://[::1]:9000/x").expect("valid").is_loopback());
        assert!(Url::parse("ws://localhost/x").expect("valid").is_loopback());
        assert!(!Url::parse("ws://localhost.example.com/x").expect("valid").is_loopback());
    }

    #[test]
    fn odd_urls_are_refused() {
        let odd = [
            "",
            "api.example.com",
            "https:/x",
            "HTTPS://x",
            "https://",
            "https://u:p@h/",
            "https://h/#f",
            "https://h /x",
            "https://h/\r\nx",
            "https://ex{a}mple/",
            "https://h/../x",
            "https://h/%2e%2E/x",
            "https://h/a/.",
            "https://h:0/",
            "https://h:99999/",
            "https://h:+1/",
            "https://[::1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://h\\x",
            "https://a..b/",
            "https://-a/",
            "https://é.example/",
        ];
        for text in odd {
            assert!(Url::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn templates_split() {
        let parts = template("/a/{b}{c}?d={e}").expect("valid");
        use Part::{Literal, Parameter};
        assert_eq!(parts, [Literal("/a/"), Parameter("b"), Parameter("c"), Literal("?d="), Parameter("e")]);
        for bad in ["{", "}", "{}", "{a b}", "{{a}}", "a}b"] {
            assert!(template(bad).is_err(), "{bad}");
        }
    }
}
