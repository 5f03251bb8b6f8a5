//! What a URI says of its next hop (RFC 3263 §4.1, RFC 5630 §3.1.4), and which transports are left to choose from.

use super::{ResolveError, Transport};
use crate::sip::uri::Uri;
use std::net::IpAddr;

#[derive(Clone, Debug)]
pub(super) struct Target {
    /// As written, for the certificate.
    pub name: String,
    /// Whom to ask for: `maddr` if there is one, lower case, without the final dot.
    pub host: String,
    pub ip: Option<IpAddr>,
    pub port: Option<u16>,
    /// Fixed by the URI: NAPTR has nothing to choose then.
    pub transport: Option<Transport>,
    /// What may be chosen, best first. Of a secure target only TLS (TRN-07).
    pub usable: Vec<Transport>,
}

impl Target {
    pub fn of(uri: &Uri, transports: &[Transport]) -> Result<Target, ResolveError> {
        let no_host = || ResolveError::NoHost(uri.to_string());
        let no_transport = || ResolveError::NoTransport(uri.to_string());
        if !uri.is_sip() {
            return Err(no_host());
        }
        let name = uri.host().ok_or_else(no_host)?;
        let host = uri.param("maddr").flatten().unwrap_or(name);
        let host = dns_name(host.trim_start_matches('[').trim_end_matches(']')).ok_or_else(no_host)?;
        let secure = uri.scheme() == "sips";
        let named = uri.param("transport").flatten().map(str::to_ascii_lowercase);
        let wanted = match (named.as_deref(), secure) {
            (None, false) => None,
            (None | Some("tcp" | "tls"), true) | (Some("tls"), false) => Some(Transport::Tls),
            (Some("udp"), false) => Some(Transport::Udp),
            (Some("tcp"), false) => Some(Transport::Tcp),
            _ => return Err(no_transport()),
        };
        let usable: Vec<_> = transports.iter().copied().filter(|t| wanted.is_none_or(|wanted| wanted == *t)).collect();
        if usable.is_empty() {
            return Err(no_transport());
        }
        let ip = host.parse().ok();
        Ok(Target { name: name.to_owned(), host, ip, port: uri.port(), transport: wanted, usable })
    }
}

/// A name as it is asked for: lower case, no final dot; `None` for what DNS cannot hold. An address stays as it is.
pub(super) fn dns_name(name: &str) -> Option<String> {
    if name.parse::<IpAddr>().is_ok() {
        return Some(name.to_owned());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    (name.len() <= 253 && name.split('.').all(label)).then(|| name.to_ascii_lowercase())
}
