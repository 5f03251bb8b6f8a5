//! TLS of the running server: the files of `[sip.tls]`, their reload, and the warning before our certificate ends (S12).

use crate::config::settings::{Settings, SipTls};
use crate::net::clock;
use crate::net::tls::{ServerFiles, SipTlsSides, TlsClient, TlsServer};
use crate::sip::Transport;
use std::net::SocketAddr;
use std::time::Duration;

/// How often the end of our certificate is looked at.
const DAILY: Duration = Duration::from_secs(86_400);

/// Reads the files. The error is a sentence for the operator.
pub fn sides(settings: &Settings) -> Result<SipTlsSides, String> {
    let own = settings.sip.tls.as_ref();
    let client = TlsClient::new(own.map(|tls| (tls.certificate.clone(), tls.key.clone())));
    for trunk in settings.trunks.iter().filter(|trunk| trunk.transports.contains(&Transport::Tls)) {
        client.prepare(&trunk.tls).map_err(|why| format!("trunk \"{}\": {why}", trunk.name))?;
    }
    let server = own.map(|tls| TlsServer::load(files(tls))).transpose()?;
    Ok(SipTlsSides { server, client })
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

/// Where TLS listens: on one address, or, when that is the first of `sip.listen`, on all of them.
pub fn listen(settings: &Settings) -> Vec<SocketAddr> {
    let Some(tls) = &settings.sip.tls else { return Vec::new() };
    let everywhere = tls.listen.ip() == settings.sip.listen.ip();
    let further = settings.sip.listen_also.iter().filter(|_| everywhere);
    let mut all = vec![tls.listen];
    for further in further.map(|also| SocketAddr::new(also.ip(), tls.listen.port())) {
        if tls.listen.port() == 0 || !all.contains(&further) {
            all.push(further);
        }
    }
    all
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
