//! Typed header values, read on demand from a [`super::message::Message`].
//!
//! The names' spellings are in `names`; what reads an address is in `address`, a Via in `via`.

use super::lexer;
use super::message::Method;
use super::uri::Uri;

/// Header names we know, in their long form; anything else is `Other` (kept as written, compared in any case).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    Via,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    MaxForwards,
    Route,
    RecordRoute,
    ContentType,
    ContentLength,
    ContentEncoding,
    ContentDisposition,
    Allow,
    Accept,
    Supported,
    Unsupported,
    Require,
    ProxyRequire,
    Expires,
    MinExpires,
    RetryAfter,
    Warning,
    Reason,
    ReferTo,
    ReferredBy,
    Replaces,
    Event,
    SubscriptionState,
    SessionExpires,
    MinSe,
    RSeq,
    RAck,
    Authorization,
    ProxyAuthorization,
    WwwAuthenticate,
    ProxyAuthenticate,
    PAssertedIdentity,
    PCalledPartyId,
    RemotePartyId,
    Privacy,
    Diversion,
    HistoryInfo,
    UserAgent,
    Server,
    Date,
    Subject,
    Other(Box<str>),
}

/// A header that is there but cannot be read: which one, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderError {
    pub name: Name,
    pub why: &'static str,
}

impl HeaderError {
    pub(crate) fn new(name: &Name, why: &'static str) -> HeaderError {
        HeaderError { name: name.clone(), why }
    }
}

impl std::fmt::Display for HeaderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

impl std::error::Error for HeaderError {}

/// One Via value (RFC 3261 §20.42).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, `TLS` … as written.
    pub transport: String,
    /// sent-by host, IPv6 without brackets.
    pub host: String,
    pub port: Option<u16>,
    pub branch: Option<String>,
    pub received: Option<String>,
    /// `None` absent, `Some(None)` flag without value, `Some(Some(p))` filled in.
    pub rport: Option<Option<u16>>,
    /// The whole value as written.
    pub raw: String,
}

/// name-addr or addr-spec with header parameters (From, To, Contact, Route, Refer-To …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// Display name, unquoted and unescaped.
    pub display: Option<String>,
    pub uri: Uri,
    /// Header parameters in order, names as written; value unquoted.
    pub params: Vec<(String, Option<String>)>,
}

impl NameAddr {
    /// A header parameter by name, any case.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_deref())
    }
    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&str> {
        self.param("tag").flatten()
    }
}

/// CSeq (RFC 3261 §20.16), number < 2^31.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    pub number: u32,
    pub method: Method,
}

impl CSeq {
    /// A number of 2^31 and above, or one that overflows, is an error (PAR-09).
    pub(crate) fn parse(value: &[u8]) -> Result<CSeq, &'static str> {
        let value = lexer::trim(value);
        let Some(at) = value.iter().position(|b| lexer::is_lws(*b)) else { return Err("no method") };
        let (number, method) = value.split_at(at);
        let method = lexer::trim(method);
        if !lexer::is_token(method) {
            return Err("a method that is no token");
        }
        let number = lexer::digits(number).ok_or("a number that is none")?;
        match u32::try_from(number) {
            Ok(number) if number < 1 << 31 => Ok(CSeq { number, method: Method::from_bytes(method) }),
            _ => Err("a number of 2^31 or more"),
        }
    }
}

impl std::fmt::Display for CSeq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// Reason (RFC 3326): `SIP;cause=200;text="…"`, `Q.850;cause=16`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub protocol: String,
    pub cause: Option<u16>,
    pub text: Option<String>,
}

impl Reason {
    /// One value of the list. `None` if it has no protocol; a cause that is no number is left out.
    pub(crate) fn parse(value: &[u8]) -> Option<Reason> {
        let mut pieces = lexer::params(value);
        let (protocol, None) = pieces.next()? else { return None };
        let mut reason = Reason { protocol: lexer::text(protocol), cause: None, text: None };
        for (name, value) in pieces {
            if name.eq_ignore_ascii_case(b"cause") {
                reason.cause = value.and_then(lexer::digits).and_then(|n| u16::try_from(n).ok());
            } else if name.eq_ignore_ascii_case(b"text") {
                reason.text = value.map(lexer::unquoted);
            }
        }
        Some(reason)
    }
}

/// The header value: `SIP;cause=200;text="Call completed elsewhere"`.
impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.protocol)?;
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        if let Some(text) = &self.text {
            write!(f, ";text={}", Quoted(text))?;
        }
        Ok(())
    }
}

/// Writes a text as a quoted string (RFC 3261 §25.1), escaping what must be.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write as _;
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\r' | '\n' | '\0' => f.write_char(' ')?,
                _ => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PAR-09: CSeq below 2^31, with its method.
    #[test]
    fn cseq() {
        assert_eq!(CSeq::parse(b" 0009\r\n INVITE"), Ok(CSeq { number: 9, method: Method::Invite }));
        assert_eq!(CSeq::parse(b"2147483647 bye").map(|c| c.method), Ok(Method::Other("bye".into())));
        for wrong in ["2147483648 BYE", "36893488147419103232 REGISTER", "1", "BYE", "-1 BYE", "1 B Y E", ""] {
            assert!(CSeq::parse(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    /// DLG-18: Reason is read leniently and written back.
    #[test]
    fn reason() {
        let reason = Reason::parse(br#"SIP ;cause=200 ; text="Call \"completed\" elsewhere""#).expect("a reason");
        assert_eq!((reason.protocol.as_str(), reason.cause), ("SIP", Some(200)));
        assert_eq!(reason.text.as_deref(), Some("Call \"completed\" elsewhere"));
        assert_eq!(reason.to_string(), r#"SIP;cause=200;text="Call \"completed\" elsewhere""#);
        assert_eq!(Reason::parse(b"Q.850;cause=x").map(|r| r.cause), Some(None));
        assert_eq!(Reason::parse(b";cause=1"), None);
        assert_eq!(Reason::parse(b""), None);
    }
}
