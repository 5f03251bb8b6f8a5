//! TLS to the Realtime service (door of crate rustls): ring, TLS 1.2 and 1.3, Mozilla's roots plus a private CA file.
//!
//! | file | concern |
//! |---|---|
//! | here | roots, versions, ciphers |
//! | `shake` | the handshake, by rustls |
//! | `session` | what follows it: payload, new keys, tickets, alerts |
//! | `record` | one record, in place |

mod record;
mod session;
mod shake;

/// Room for the front of a record.
pub(super) use record::FRONT;
pub(super) use session::Session;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Roots and protocol versions, made once a provider and shared by its calls.
#[derive(Clone, Debug)]
pub struct TlsConfig(Arc<ClientConfig>);

impl TlsConfig {
    /// `ca_file`: PEM with extra roots. The error names the file.
    pub fn new(ca_file: Option<&Path>) -> Result<TlsConfig, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = ca_file {
            let explain = |e: &dyn std::fmt::Display| format!("ca_file {}: {e}", path.display());
            let mut found = 0;
            for certificate in CertificateDer::pem_file_iter(path).map_err(|e| explain(&e))? {
                roots.add(certificate.map_err(|e| explain(&e))?).map_err(|e| explain(&e))?;
                found += 1;
            }
            if found == 0 {
                return Err(explain(&"no certificate in it (PEM, BEGIN CERTIFICATE)"));
            }
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A WebSocket is HTTP/1.1; some fronts pick h2 without this.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Records are sealed and opened in the worker's buffers: see `session`.
        config.enable_secret_extraction = true;
        Ok(TlsConfig(Arc::new(config)))
    }

    /// Shakes hands with `host`. The second value is payload that came before ours could go.
    pub(super) fn session(&self, host: &str, stream: &mut (impl Read + Write)) -> Result<(Session, Vec<u8>), String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|e| format!("{host}: {e}"))?;
        shake::shake(Arc::clone(&self.0), name, stream).map_err(|e| format!("{host}: {e}"))
    }
}

/// ring with AES-128-GCM in front: nobody breaks it, it is what RFC 8446 §9.1 makes everybody have, and it costs a third less than
/// AES-256-GCM. Whoever picks another one of ours gets it.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        !matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    });
    provider
}

#[cfg(test)]
mod peer;
#[cfg(test)]
mod tests;
