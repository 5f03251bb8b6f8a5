//! TLS to the Realtime service (door of crate rustls): ring, TLS 1.2 and 1.3, Mozilla's roots plus a private CA file.

use super::short::Short;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

pub type TlsStream = StreamOwned<ClientConnection, Short<TcpStream>>;

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
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A WebSocket is HTTP/1.1; some fronts pick h2 without this.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConfig(Arc::new(config)))
    }

    /// A session that shakes hands at its first write.
    pub(super) fn session(&self, host: &str, socket: Short<TcpStream>) -> Result<TlsStream, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|e| format!("{host}: {e}"))?;
        let connection = ClientConnection::new(Arc::clone(&self.0), name).map_err(|e| e.to_string())?;
        Ok(StreamOwned::new(connection, socket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_ca_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        assert!(TlsConfig::new(Some(&path)).unwrap_err().contains("ca.pem"));
        std::fs::write(&path, "nothing").unwrap();
        assert!(TlsConfig::new(Some(&path)).unwrap_err().contains("no certificate"));
        assert!(TlsConfig::new(None).is_ok());
    }
}
