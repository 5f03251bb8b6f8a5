//! TLS of the running server: the files of `[sip.tls]`, their reload, and the warning before our certificate ends (S12).

use crate::config::settings::{Settings, SipTls};
use crate::net::clock;
use crate::net::tls::{ServerFiles, SipTlsSides, TlsClient, TlsServer};
use std::net::SocketAddr;
use std::time::Duration;

/// How often the end of our certificate is looked at.
const DAILY: Duration = Duration::from_secs(86_400);

/// Reads the files. The error is a sentence for the operator.
pub fn sides(settings: &Settings) -> Result<SipTlsSides, String> {
    let Some(tls) = &settings.sip.tls else { return Ok(SipTlsSides::default()) };
    let client = TlsClient::new(Some((tls.certificate.clone(), tls.key.clone())));
    Ok(SipTlsSides { server: Some(TlsServer::load(files(tls))?), client })
}

fn files(tls: &SipTls) -> ServerFiles {
    ServerFiles {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
        require_client_certificate: tls.require_client_certificate,
        alpn: tls.alpn,
    }
}

/// Where TLS listens.
pub fn listen(settings: &Settings) -> Vec<SocketAddr> {
    settings.sip.tls.iter().map(|tls| tls.listen).collect()
}

/// Warns at the start and daily while our certificate is about to end. Runs until it is dropped.
pub async fn watch_expiry(sides: SipTlsSides) {
    loop {
        if let Some(warning) = sides.expiry_warning(clock::unix_ms()) {
            tracing::warn!("{warning}");
        }
        tokio::time::sleep(DAILY).await;
    }
}
