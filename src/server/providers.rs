//! The providers as calls use them: embedded ones with their address filled in, TLS roots loaded.

use crate::config::secret::SecretRef;
use crate::config::settings::{Provider, Settings};
use crate::net::websocket::connect::Target;
use crate::net::websocket::tls::TlsConfig;
use crate::realtime::{Endpoint, ProviderKind, handshake};
use crate::realtime_sim::{Sim, SimConfig, SimMode};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// One provider, ready to use.
#[derive(Clone, Debug)]
pub struct ReadyProvider {
    pub name: String,
    pub endpoint: Endpoint,
    pub connect_timeout: Duration,
    pub ready_timeout: Duration,
    key: Option<SecretRef>,
    tls: TlsConfig,
}

impl ReadyProvider {
    /// The endpoint with a dialplan's model put in.
    pub fn endpoint(&self, model: Option<&str>) -> Endpoint {
        let mut endpoint = self.endpoint.clone();
        if let Some(model) = model {
            endpoint.model = model.to_owned();
        }
        endpoint
    }

    pub fn target(&self, endpoint: &Endpoint) -> Target {
        Target {
            handshake: handshake(endpoint),
            key: self.key.clone(),
            tls: self.tls.clone(),
            timeout: self.connect_timeout,
        }
    }
}

/// All of them, and the embedded server if one of them needs it.
pub struct Providers {
    by_name: HashMap<String, ReadyProvider>,
    default: String,
}

impl Providers {
    /// Starts the embedded Realtime server when a provider of kind embedded is listed.
    pub async fn start(settings: &Settings) -> Result<(Providers, Option<Sim>), String> {
        let mut sim = None;
        let mut by_name = HashMap::new();
        for provider in &settings.providers {
            let mut endpoint = provider.endpoint.clone();
            if endpoint.kind == ProviderKind::Embedded {
                endpoint.url = match &sim {
                    Some(sim) => Sim::url(sim),
                    None => sim.insert(start_sim().await?).url(),
                };
            }
            by_name.insert(provider.name.clone(), ready(provider, endpoint)?);
        }
        Ok((Providers { by_name, default: settings.default_provider.clone() }, sim))
    }

    pub fn get(&self, name: Option<&str>) -> Option<&ReadyProvider> {
        self.by_name.get(name.unwrap_or(&self.default))
    }
}

async fn start_sim() -> Result<Sim, String> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Sim::start(SimConfig { listen, mode: SimMode::Scripted { scenario: None } }).await
}

fn ready(provider: &Provider, endpoint: Endpoint) -> Result<ReadyProvider, String> {
    let tls = TlsConfig::new(provider.ca_file.as_deref()).map_err(|e| format!("provider {}: {e}", provider.name))?;
    Ok(ReadyProvider {
        name: provider.name.clone(),
        endpoint,
        connect_timeout: provider.connect_timeout,
        ready_timeout: provider.ready_timeout,
        key: provider.key.clone(),
        tls,
    })
}
