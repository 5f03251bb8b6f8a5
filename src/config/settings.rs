//! Server settings, checked. Defaults work: no file at all = loopback, embedded Realtime server, `dialplans/`.

use super::ConfigError;
use super::secret::SecretRef;
use crate::realtime::Endpoint;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything `serve` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub sip: SipSettings,
    pub media: MediaSettings,
    pub limits: LimitSettings,
    pub observe: ObserveSettings,
    pub dialplans: PathBuf,
    /// `[[provider]]`, by name; never empty: without any there is one named `embedded`.
    pub providers: Vec<Provider>,
    /// The provider of dialplans that name none: the first listed, else `embedded`.
    pub default_provider: String,
    /// No file was given.
    pub is_default: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SipSettings {
    /// UDP and TCP on the same address. Default 127.0.0.1:5060. Port 0 = any free one.
    pub listen: SocketAddr,
    /// The address in Via, Contact and SDP. Default: the listen address; required if that is unspecified (0.0.0.0).
    pub advertise: Option<IpAddr>,
    /// Sources (networks) that may send requests; default loopback only. Others are dropped silently.
    pub peers: Vec<Network>,
}

/// A CIDR network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub addr: IpAddr,
    pub prefix: u8,
}

impl Network {
    /// `10.0.0.0/8`, `192.0.2.7`, `2001:db8::/32`.
    pub fn parse(text: &str) -> Result<Network, String> {
        let _ = text;
        todo!()
    }
    pub fn contains(&self, ip: IpAddr) -> bool {
        let _ = ip;
        todo!()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MediaSettings {
    /// Bind address of RTP sockets; default the SIP listen address.
    pub listen: Option<IpAddr>,
    /// Inclusive; even ports carry RTP. Default 20000–29999.
    pub port_min: u16,
    pub port_max: u16,
    /// Codecs in order of preference.
    pub codecs: Vec<crate::sip::offer_answer::Codec>,
    pub prefer_local_order: bool,
    pub ptime_ms: u32,
    pub source_policy: crate::rtp::receiver::SourcePolicy,
    /// Networks media may come from besides the SDP address and the signalling source.
    pub networks: Vec<Network>,
    pub reorder_wait: Duration,
    /// A freed port stays unused this long (default 30 s).
    pub port_quarantine: Duration,
    /// Media worker threads; default one a core.
    pub workers: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LimitSettings {
    pub max_calls: usize,
    pub calls_per_second: u32,
    /// SIGTERM: how long running calls may go on.
    pub drain: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ObserveSettings {
    /// Metrics and health; default 127.0.0.1:9090, `None` = off.
    pub listen: Option<SocketAddr>,
    /// CDR file (JSON lines); default `cdr.jsonl`, `None` = off.
    pub cdr: Option<PathBuf>,
    /// Transcript directory for numbers that switch transcripts on.
    pub transcripts: PathBuf,
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// One `[[provider]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    pub name: String,
    pub endpoint: Endpoint,
    /// `None` for `embedded` and for a compatible server without key.
    pub key: Option<SecretRef>,
    pub connect_timeout: Duration,
    pub ready_timeout: Duration,
    /// Extra root certificates (PEM), for a private CA.
    pub ca_file: Option<PathBuf>,
}

impl Settings {
    /// Reads the file (if any), overlays `VOXTRUNK__SECTION__KEY`, checks everything; all problems at once.
    pub fn load(file: Option<&Path>) -> Result<Settings, Vec<ConfigError>> {
        let _ = file;
        todo!()
    }
    /// The defaults, as `serve` without any file uses them.
    pub fn defaults() -> Settings {
        todo!()
    }
    pub fn provider(&self, name: Option<&str>) -> Option<&Provider> {
        let name = name.unwrap_or(&self.default_provider);
        self.providers.iter().find(|p| p.name == name)
    }
}
