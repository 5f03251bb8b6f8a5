//! Our side towards peers that connect: certificate, client certificates (mTLS), reload for new handshakes.

use super::certificate::{self, authorities, chain_and_key};
use super::{ALPN, provider};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The files of `[sip.tls]`.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    /// PEM: our certificate, then those that signed it.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// PEM with the authorities of client certificates; `None`: none are asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a peer without one is refused.
    pub require_client_certificate: bool,
    /// Offer ALPN `sip`, and refuse peers that offer something else only. Off: whatever they offer is ignored (TRN-08).
    pub alpn: bool,
}

/// Shared by the transport and whoever reloads it; cheap to clone.
#[derive(Clone, Debug)]
pub struct TlsServer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: ServerFiles,
    current: RwLock<Current>,
}

#[derive(Clone, Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// Unix seconds; `None` when the certificate does not say so in a way that we understand.
    not_after: Option<i64>,
}

impl TlsServer {
    /// Reads the files. The error is a sentence for the operator.
    pub fn load(files: ServerFiles) -> Result<TlsServer, String> {
        let current = RwLock::new(read(&files)?);
        Ok(TlsServer(Arc::new(Inner { files, current })))
    }

    /// Reads the files again, for new handshakes. When they are no good the old ones stay, and the error says why.
    pub fn reload(&self) -> Result<(), String> {
        let new = read(&self.0.files).map_err(|why| format!("{why}; the old TLS certificate stays in use"))?;
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// A sentence when the certificate ends within two weeks, or has ended.
    pub fn expiry_warning(&self, unix_ms: u64) -> Option<String> {
        let now = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
        certificate::expiry_warning(&self.0.files.certificate, self.current().not_after?, now)
    }

    fn current(&self) -> Current {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shakes hands; the names are those of the peer's certificate, none if it has none. The caller sets the deadline.
    pub(in crate::net) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, Vec<String>), String> {
        let stream = TlsAcceptor::from(self.current().config).accept(stream).await.map_err(|e| e.to_string())?;
        let names = certificate::dns_names(stream.get_ref().1.peer_certificates());
        Ok((stream, names))
    }
}

fn read(files: &ServerFiles) -> Result<Current, String> {
    let (chain, key) = chain_and_key(&files.certificate, &files.key).map_err(|e| format!("sip.tls: {e}"))?;
    let not_after = chain.first().and_then(|own| certificate::not_after(own));
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS: {e}"))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = authorities(path).map_err(|e| format!("sip.tls.client_ca: {e}"))?;
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
            let verifier = if files.require_client_certificate { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(
                verifier.build().map_err(|e| format!("sip.tls.client_ca: {}: {e}", path.display()))?,
            )
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|e| {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        format!("sip.tls: {certificate} with {key}: {e}; the key must be the one the certificate was made for")
    })?;
    if files.alpn {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    Ok(Current { config: Arc::new(config), not_after })
}
