//! Our side towards peers that we connect to: the name their certificate must have (RFC 5922 §7), authorities, our own
//! certificate. Nothing here falls back to a plain connection (TRN-07).

use super::certificate::{self, authorities, chain_and_key};
use super::{ALPN, provider};
use crate::trunk::TlsPolicy;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Certificate and key, PEM files.
type Files = (PathBuf, PathBuf);

/// Makes what a handshake needs once per policy; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TlsClient(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Shown to peers that ask for a certificate when their policy has none.
    own: Option<Files>,
    /// As many as the settings have different policies.
    made: Mutex<Vec<(Sources, Arc<ClientConfig>)>>,
}

/// What a configuration is made of.
#[derive(Clone, Debug, PartialEq)]
struct Sources {
    ca: Option<PathBuf>,
    own: Option<Files>,
    alpn: bool,
}

impl TlsClient {
    /// `own`: the certificate of `[sip.tls]`.
    pub fn new(own: Option<Files>) -> TlsClient {
        TlsClient(Arc::new(Inner { own, made: Mutex::default() }))
    }

    /// Reads the files of a policy, so that a bad one is known at the start. The error is a sentence for the operator.
    pub fn prepare(&self, policy: &TlsPolicy) -> Result<(), String> {
        self.config(policy).map(|_| ())
    }

    /// Reads all files again; returns what is wrong. A policy whose files are no good keeps what it had.
    pub(super) fn reload(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (files, config) in self.made().iter_mut() {
            match make(files) {
                Ok(new) => *config = new,
                Err(why) => problems.push(format!("{why}; what was read before stays in use")),
            }
        }
        problems
    }

    /// Shakes hands with the peer that must be `name` (a DNS name, sent as SNI, or an address); returns the DNS names of its
    /// certificate. The caller sets the deadline.
    pub(in crate::net) async fn connect(
        &self,
        stream: TcpStream,
        name: &str,
        policy: &TlsPolicy,
    ) -> Result<(TlsStream<TcpStream>, Vec<String>), String> {
        let name = policy.server_name.as_deref().unwrap_or(name);
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let server_name = ServerName::try_from(bare.to_owned())
            .map_err(|_| format!("{name:?} is no name that a certificate can have: set the trunk's tls server_name"))?;
        let connector = TlsConnector::from(self.config(policy)?);
        let stream = connector.connect(server_name, stream).await.map_err(|e| explain(name, &e))?;
        let names = certificate::dns_names(stream.get_ref().1.peer_certificates());
        Ok((stream, names))
    }

    fn config(&self, policy: &TlsPolicy) -> Result<Arc<ClientConfig>, String> {
        let own = policy.certificate.clone().or_else(|| self.0.own.clone());
        let files = Sources { ca: policy.ca_file.clone(), own, alpn: policy.alpn };
        if let Some((_, config)) = self.made().iter().find(|(made, _)| *made == files) {
            return Ok(Arc::clone(config));
        }
        let config = make(&files)?;
        self.made().push((files, Arc::clone(&config)));
        Ok(config)
    }

    fn made(&self) -> MutexGuard<'_, Vec<(Sources, Arc<ClientConfig>)>> {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn explain(name: &str, error: &std::io::Error) -> String {
    let text = error.to_string();
    let advice = if text.contains("CaUsedAsEndEntity") {
        "it shows the certificate of an authority as its own (openssl's `req -x509` makes those); sign one for the server with \
         it, or make it with `-addext basicConstraints=critical,CA:FALSE`"
    } else if text.contains("UnknownIssuer") {
        "nobody we trust has signed its certificate; give the authority's certificate as the trunk's tls ca_file"
    } else if text.contains("NotValidForName") || text.contains("not valid for name") {
        "its certificate is for another name; set the trunk's tls server_name to one that it has, if that is the peer"
    } else if text.contains("xpired") {
        "its certificate has expired (or this machine's clock is wrong)"
    } else if text.contains("CertificateRequired") || text.contains("certificate required") {
        "it wants a certificate of ours; set the trunk's tls certificate and key"
    } else {
        "is there a TLS port at that address?"
    };
    format!("TLS with {name}: {text}; {advice}")
}

fn make(files: &Sources) -> Result<Arc<ClientConfig>, String> {
    let roots = match &files.ca {
        Some(path) => authorities(path).map_err(|e| format!("tls ca_file: {e}"))?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS: {e}"))?
        .with_root_certificates(roots);
    let mut config = match &files.own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let (chain, key_der) = chain_and_key(certificate, key).map_err(|e| format!("tls certificate: {e}"))?;
            builder.with_client_auth_cert(chain, key_der).map_err(|e| {
                format!(
                    "tls certificate: {} with {}: {e}; they do not belong together",
                    certificate.display(),
                    key.display()
                )
            })?
        }
    };
    if files.alpn {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    Ok(Arc::new(config))
}
