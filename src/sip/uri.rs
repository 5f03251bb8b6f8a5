//! `sip:`, `sips:` and `tel:` URIs (RFC 3261 §19.1, RFC 3966). Parameters are kept byte-exact.

/// A URI as it stood on the wire, with typed access.
///
/// Equality is that of the text; use [`Uri::equivalent`] for RFC 3261 §19.1.4.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    text: String,
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
        let _ = text;
        todo!()
    }
    /// The scheme, lower case.
    pub fn scheme(&self) -> &str {
        todo!()
    }
    /// The user part, still %-escaped, without password (`sip`), or the number as written (`tel`).
    pub fn user(&self) -> Option<&str> {
        todo!()
    }
    /// The user part with %-escapes decoded; `%00` stays in the string and never truncates it (PAR-12).
    pub fn user_decoded(&self) -> Option<String> {
        todo!()
    }
    /// Host without port; an IPv6 reference comes without brackets.
    pub fn host(&self) -> Option<&str> {
        todo!()
    }
    pub fn port(&self) -> Option<u16> {
        todo!()
    }
    /// Host as an IP address, if it is one.
    pub fn host_ip(&self) -> Option<std::net::IpAddr> {
        todo!()
    }
    /// A URI parameter by name, any case: `None` absent, `Some(None)` without value.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        let _ = name;
        todo!()
    }
    /// The part after `?`, if any (not allowed in a Request-URI).
    pub fn headers(&self) -> Option<&str> {
        todo!()
    }
    /// RFC 3261 §19.1.4 comparison.
    pub fn equivalent(&self, other: &Uri) -> bool {
        let _ = other;
        todo!()
    }
    /// The dialled or calling number: user part decoded, visual separators removed (`tel:` and `user=phone`, PAR-13).
    /// `None` when the result has characters outside `+0-9*#` … then the caller uses [`Uri::user_decoded`].
    pub fn number(&self) -> Option<String> {
        todo!()
    }
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
