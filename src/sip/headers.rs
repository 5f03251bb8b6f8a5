//! Typed header values, read on demand from a [`super::message::Message`].

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
    pub method: super::message::Method,
}

/// Reason (RFC 3326): `SIP;cause=200;text="…"`, `Q.850;cause=16`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub protocol: String,
    pub cause: Option<u16>,
    pub text: Option<String>,
}
