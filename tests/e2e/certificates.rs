//! Certificates for servers and peers, made for each test; nothing of them is checked in.

#[path = "../support/authority.rs"]
mod authority;

pub use authority::Authority;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use voxtrunk::config::settings::{Settings, SipTls};

/// The name in the server's certificate.
pub const SERVER_NAME: &str = "sip.example.com";
/// The name in the certificate of a peer.
pub const PEER_NAME: &str = "pbx.example.com";

impl Authority {
    /// TLS on a free port of the address that SIP listens on.
    pub fn listen(&self, settings: &mut Settings) {
        let (certificate, key) = self.sign("server", SERVER_NAME);
        settings.sip.tls = Some(SipTls {
            listen: (settings.sip.listen.ip(), 0).into(),
            certificate,
            key,
            client_ca: None,
            require_client_certificate: false,
            alpn: false,
        });
    }

    /// A server of the other side, with a certificate for this name.
    pub fn acceptor(&self, name: &str) -> TlsAcceptor {
        let (certificate, key) = self.sign("acceptor", name);
        let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap());
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }

    /// A client that trusts this authority, with a certificate that `own` has signed.
    pub fn connector(&self, own: Option<&Authority>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.ca).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let (certificate, key) = authority.sign("peer", PEER_NAME);
                let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
                config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }
}
