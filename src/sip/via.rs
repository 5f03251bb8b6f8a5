//! The Via header (RFC 3261 §20.42, RFC 3581, RFC 5118).
//!
//! In: one Via value. Out: [`Via`], or its pieces for checks and for [`super::message::fill_received`].

use super::headers::Via;
use super::lexer::{self, is_lws, trim};
use super::uri::split_host_port;

/// The pieces of a value, as written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces<'a> {
    pub(crate) transport: &'a [u8],
    /// sent-by, trimmed.
    pub(crate) sent_by: &'a [u8],
    /// From the first `;`, or empty.
    pub(crate) params: &'a [u8],
}

/// Finds the pieces: `SIP / 2.0 / UDP  host : port ; params`. The version is not judged here.
pub(crate) fn pieces(value: &[u8]) -> Result<Pieces<'_>, &'static str> {
    let value = trim(value);
    let (name, rest) = lexer::cut(value, b'/').ok_or("no protocol")?;
    let (version, rest) = lexer::cut(rest, b'/').ok_or("no protocol version")?;
    let rest = lexer::trim_start(rest);
    let end = rest.iter().position(|b| is_lws(*b)).ok_or("no sent-by")?;
    let (transport, rest) = rest.split_at(end);
    let params_at = rest.iter().position(|b| *b == b';').unwrap_or(rest.len());
    let (sent_by, params) = rest.split_at(params_at);
    if !trim(name).eq_ignore_ascii_case(b"SIP") || !lexer::is_token(trim(version)) || !lexer::is_token(transport) {
        return Err("a protocol that is none");
    }
    Ok(Pieces { transport, sent_by: trim(sent_by), params })
}

/// Checks a value as [`Via::from_value`] reads it, without keeping a copy.
pub(crate) fn check(value: &[u8]) -> Result<(), &'static str> {
    let pieces = pieces(value)?;
    split_host_port(&sent_by_text(pieces.sent_by))?;
    super::address::check_params(pieces.params)
}

/// `host : port` without the white space that RFC 3261 §25.1 allows around the colon.
fn sent_by_text(sent_by: &[u8]) -> String {
    if sent_by.iter().any(|b| is_lws(*b)) && sent_by.contains(&b':') {
        let at = sent_by.iter().rposition(|b| *b == b':').unwrap_or(sent_by.len());
        let (host, port) = sent_by.split_at(at);
        return lexer::text(host) + ":" + &lexer::text(port.strip_prefix(b":").unwrap_or(port));
    }
    String::from_utf8_lossy(sent_by).into_owned()
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
}

impl Via {
    /// Reads one value, as it stands in a header.
    pub fn parse(value: &str) -> Result<Via, &'static str> {
        Via::from_value(value.as_bytes())
    }

    pub(crate) fn from_value(value: &[u8]) -> Result<Via, &'static str> {
        let pieces = pieces(value)?;
        super::address::check_params(pieces.params)?;
        let sent_by = sent_by_text(pieces.sent_by);
        let (host, port) = split_host_port(&sent_by)?;
        let mut via = Via {
            transport: lexer::text(pieces.transport),
            host: without_brackets(host).to_owned(),
            port,
            branch: None,
            received: None,
            rport: None,
            raw: lexer::text(value),
        };
        for (name, value) in lexer::params(pieces.params) {
            if name.eq_ignore_ascii_case(b"branch") {
                via.branch = value.map(lexer::unquoted);
            } else if name.eq_ignore_ascii_case(b"received") {
                via.received = value.map(|v| without_brackets(&lexer::unquoted(v)).to_owned());
            } else if name.eq_ignore_ascii_case(b"rport") {
                let port = value.and_then(lexer::digits).and_then(|n| u16::try_from(n).ok());
                via.rport = Some(port);
            }
        }
        Ok(via)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Via {
        Via::parse(value).unwrap_or_else(|e| panic!("{value}: {e}"))
    }

    /// PAR-04: the spacings of RFC 4475 §3.1.1.1.
    #[test]
    fn odd_spacing() {
        let via = read("SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ");
        assert_eq!((via.transport.as_str(), via.host.as_str(), via.port), ("TCP", "spindle.example.com", None));
        assert_eq!(via.branch.as_deref(), Some("z9hG4bK9ikj8"));
        let via = read("SIP  /   2.0\r\n /UDP\r\n    192.0.2.2 : 5070;branch=390skdjuw;rport");
        assert_eq!((via.host.as_str(), via.port, via.rport), ("192.0.2.2", Some(5070), Some(None)));
    }

    /// PAR-03: IPv6 sent-by, `received` with and without brackets.
    #[test]
    fn ipv6() {
        let via = read("SIP/2.0/UDP [2001:db8::9:1]:6050;received=[2001:db8::9:255];branch=z9hG4bKas3;rport=5060");
        assert_eq!((via.host.as_str(), via.port), ("2001:db8::9:1", Some(6050)));
        assert_eq!((via.received.as_deref(), via.rport), (Some("2001:db8::9:255"), Some(Some(5060))));
        assert_eq!(read("SIP/2.0/UDP [::1];received=2001:db8::9:255").received.as_deref(), Some("2001:db8::9:255"));
        assert_eq!(read("SIP/2.0/UDP [2001:db8::9] : 7").port, Some(7));
    }

    #[test]
    fn refused_vias() {
        for value in [
            "",
            ";",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ;branch=x",
            "SIP/2.0 h",
            "HTTP/1.1/TCP h",
            "SIP/2.0/UDP h:x",
            "SIP/2.0/UDP a b",
            "SIP/2.0/UDP h;x=\"y",
        ] {
            assert!(Via::parse(value).is_err(), "{value:?}");
            assert!(check(value.as_bytes()).is_err(), "{value:?}");
        }
    }
}
