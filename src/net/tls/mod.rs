//! TLS for SIP (RFC 3261 §26.3, RFC 5922): the door of tokio-rustls and webpki, with ring, TLS 1.2 and 1.3.
//!
//! | file | role |
//! |---|---|
//! | `server` | our certificate towards peers that connect, their certificates, reload |
//! | `client` | the name a peer's certificate must have, private authorities, our certificate towards it |
//! | `certificate` | PEM files; names and the end of validity of a certificate |
//!
//! In: files of the settings, TCP streams. Out: TLS streams with the DNS names of the peer's verified certificate.

pub mod certificate;
mod client;
mod server;

pub use client::TlsClient;
pub use server::{ServerFiles, TlsServer};

use rustls::crypto::CryptoProvider;
use std::sync::Arc;

/// Both directions, for the SIP transport and for whoever reloads them.
#[derive(Clone, Debug, Default)]
pub struct SipTlsSides {
    /// `None`: no TLS listener.
    pub server: Option<TlsServer>,
    pub client: TlsClient,
}

impl SipTlsSides {
    /// Reads every certificate, key and authority again, for new handshakes; established connections go on. What cannot be
    /// read stays as it was and is named.
    pub fn reload(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        if let Some(server) = &self.server {
            problems.extend(server.reload().err());
        }
        problems.extend(self.client.reload());
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// A sentence about our certificate when it ends within two weeks, or has ended (S12).
    pub fn expiry_warning(&self, unix_ms: u64) -> Option<String> {
        self.server.as_ref()?.expiry_warning(unix_ms)
    }
}

/// The protocol name of SIP (RFC 7301 registry).
const ALPN: &[u8] = b"sip";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
pub(crate) mod test_authority;
#[cfg(test)]
mod tests;
