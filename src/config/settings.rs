//! Server settings, checked. Defaults work: no file at all = loopback, embedded Realtime server, `dialplans/`.

mod providers;
mod read;

use super::ConfigError;
use super::document::{At, Table};
use super::fields::Problems;
use super::layers;
use super::secret::SecretRef;
pub use crate::cidr::Network;
use crate::realtime::Endpoint;
use crate::rtp::receiver::SourcePolicy;
use crate::sip::offer_answer::Codec;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
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
    /// Sources (networks) that may send requests; default loopback only. Others are dropped silently. The hosts of one entry
    /// may speak for one another in a dialog (A12).
    pub peers: Vec<Network>,
    /// `[sip.tls]`; `None`: nobody can call by TLS.
    pub tls: Option<SipTls>,
}

/// TLS for SIP (TRN-07, TRN-08). Files are PEM; they are read at the start and at each reload.
#[derive(Clone, Debug, PartialEq)]
pub struct SipTls {
    /// A port of its own, 5061 by custom.
    pub listen: SocketAddr,
    /// Our certificate, then those that signed it; and its key.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Authorities of the peers' certificates; `None`: none are asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a peer without a certificate is refused.
    pub require_client_certificate: bool,
    /// ALPN `sip`; off by default.
    pub alpn: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MediaSettings {
    /// Bind address of RTP sockets; default the SIP listen address.
    pub listen: Option<IpAddr>,
    /// Inclusive; even ports carry RTP. Default 20000–29999.
    pub port_min: u16,
    pub port_max: u16,
    /// Codecs in order of preference.
    pub codecs: Vec<Codec>,
    pub prefer_local_order: bool,
    pub ptime_ms: u32,
    pub source_policy: SourcePolicy,
    /// Networks media may come from besides the SDP address and the signalling source.
    pub networks: Vec<Network>,
    pub reorder_wait: Duration,
    /// Caller audio in one message to the Realtime service, ms. Default 20.
    pub append_ms: u32,
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

/// What `[[provider]]` is called when there is none.
pub const EMBEDDED: &str = "embedded";

/// Largest settings file, bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

impl Settings {
    /// Reads the file (if any), overlays `VOXTRUNK__SECTION__KEY`, checks everything; all problems at once.
    pub fn load(file: Option<&Path>) -> Result<Settings, Vec<ConfigError>> {
        Settings::load_with(file, layers::process_variables())
    }

    /// Like [`Settings::load`], with these variables instead of the process's.
    pub fn load_with(file: Option<&Path>, variables: HashMap<String, String>) -> Result<Settings, Vec<ConfigError>> {
        let (name, text) = match file {
            Some(path) => (path.display().to_string(), super::read_text(path, MAX_FILE_BYTES).map_err(|e| vec![e])?),
            None => ("settings".to_owned(), String::new()),
        };
        let table = layers::merge(&name, &text, variables)?;
        let problems = Problems::default();
        let mut settings = Settings::from_table(&problems, &name, table);
        settings.is_default = file.is_none();
        problems.finish(settings)
    }

    /// Reads a merged tree; complaints go to `problems`, and what was wrong has its default in the result.
    pub fn from_table(problems: &Problems, name: &str, table: Table) -> Settings {
        read::settings(problems, At::file(name), table)
    }

    /// The defaults, as `serve` without any file uses them.
    pub fn defaults() -> Settings {
        Settings {
            sip: SipSettings {
                listen: SocketAddr::from(([127, 0, 0, 1], 5060)),
                advertise: None,
                peers: vec![
                    Network { addr: IpAddr::from([127, 0, 0, 0]), prefix: 8 },
                    Network { addr: Ipv6Addr::LOCALHOST.into(), prefix: 128 },
                ],
                tls: None,
            },
            media: MediaSettings {
                listen: None,
                port_min: 20000,
                port_max: 29999,
                codecs: vec![Codec::Pcmu, Codec::Pcma],
                prefer_local_order: false,
                ptime_ms: 20,
                source_policy: SourcePolicy::Latch,
                networks: Vec::new(),
                reorder_wait: Duration::from_millis(60),
                append_ms: 20,
                port_quarantine: Duration::from_secs(30),
                workers: one_a_core(),
            },
            limits: LimitSettings { max_calls: 200, calls_per_second: 20, drain: Duration::from_secs(600) },
            observe: ObserveSettings {
                listen: Some(SocketAddr::from(([127, 0, 0, 1], 9090))),
                cdr: Some("cdr.jsonl".into()),
                transcripts: "transcripts".into(),
                log_format: LogFormat::Text,
            },
            dialplans: "dialplans".into(),
            providers: vec![providers::embedded()],
            default_provider: EMBEDDED.to_owned(),
            is_default: true,
        }
    }

    pub fn provider(&self, name: Option<&str>) -> Option<&Provider> {
        let name = name.unwrap_or(&self.default_provider);
        self.providers.iter().find(|p| p.name == name)
    }
}

fn one_a_core() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}
