//! Server settings, checked. Defaults work: no file at all = loopback, embedded Realtime server, `dialplans/`.

mod parts;
mod providers;
mod read;
mod sip;
mod trunks;

use super::ConfigError;
use super::document::{At, Table};
use super::fields::Problems;
use super::layers;
use super::secret::SecretRef;
pub use crate::cidr::Network;
use crate::realtime::Endpoint;
use crate::rtp::receiver::SourcePolicy;
use crate::sip::Transport;
use crate::sip::offer_answer::Codec;
use crate::srtp_key::Suite;
use crate::trunk::{SrtpPolicy, Trunk};
use std::collections::{BTreeMap, HashMap};
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
    /// `[[trunk]]`, in the order of the file, which is the order of the rules. Without the one of `sip.peers`: see
    /// [`Settings::all_trunks`].
    pub trunks: Vec<Trunk>,
    /// Where each field of each of them was written, for `explain`.
    pub trunk_origins: Vec<TrunkOrigins>,
    /// Secrets of trunks that could not be read, with why: a warning when checking, an error when starting.
    pub missing_secrets: Vec<String>,
    /// No file was given.
    pub is_default: bool,
}

/// Where the fields of one trunk come from; a field that is not there has its default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrunkOrigins {
    pub profile: Option<String>,
    /// Dotted path → `voxtrunk.toml:12`, or `profile asterisk`.
    pub fields: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SipSettings {
    /// UDP and TCP on the same address. Default 127.0.0.1:5060. Port 0 = any free one.
    pub listen: SocketAddr,
    /// Further addresses, when `sip.listen` is a list (IPv6 beside IPv4, several interfaces).
    pub listen_also: Vec<SocketAddr>,
    /// The address in Via, Contact and SDP. Default: the listen address; required if that is unspecified (0.0.0.0).
    pub advertise: Option<IpAddr>,
    /// The address of the other family, when `sip.advertise` is a list.
    pub advertise_also: Option<IpAddr>,
    /// `None`: nobody can call by TLS.
    pub tls: Option<SipTls>,
    /// The DNS server to ask; default those of the system.
    pub dns_server: Option<SocketAddr>,
    /// Sources (networks) that may send requests; default loopback only. Others are dropped silently. The hosts of one entry
    /// may speak for one another in a dialog (A12).
    pub peers: Vec<Network>,
    /// What requests of no trunk get (A1).
    pub unknown_sources: UnknownSources,
}

/// What a request that no trunk knows gets, whatever it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownSources {
    /// Nothing.
    #[default]
    Silent,
    /// 403.
    Forbidden,
}

impl SipSettings {
    /// Every address to listen on, UDP and TCP.
    pub fn listeners(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        std::iter::once(self.listen).chain(self.listen_also.iter().copied())
    }
    /// What others are told for a local address: `sip.advertise` of its family, else itself.
    pub fn advertised(&self, local: IpAddr) -> IpAddr {
        let same = |ip: &IpAddr| ip.is_ipv4() == local.is_ipv4();
        self.advertise.filter(same).or(self.advertise_also.filter(same)).unwrap_or(local)
    }
}

/// `[sip.tls]`: SIP over TLS (TRN-07, TRN-08). Files are PEM; they are read at the start and at each reload.
#[derive(Clone, Debug, PartialEq)]
pub struct SipTls {
    /// Default: the address of `sip.listen`, port 5061.
    pub listen: SocketAddr,
    /// Chain and key, PEM. Shown to peers, and to trunks that ask for a certificate.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Roots that peers' certificates are checked against (mTLS); `None`: they are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// A peer without a certificate of `client_ca` is refused; else it is a peer without names.
    pub require_client_certificate: bool,
    /// ALPN `sip`; off by default (TRN-08).
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
    /// SRTP by keys in SDP. Default `prefer`: wherever signalling is TLS.
    pub srtp: SrtpPolicy,
    /// Offered, best first.
    pub srtp_suites: Vec<Suite>,
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
    /// No new calls while the process uses more of all cores (S11), or media or signalling run late; 100 = none is
    /// refused for load.
    pub max_cpu_percent: u32,
    /// SIGTERM: how long running calls may go on.
    pub drain: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ObserveSettings {
    /// Metrics and health; default 127.0.0.1:9090, `None` = off.
    pub listen: Option<SocketAddr>,
    /// CDR file (JSON lines); default `cdr.jsonl`, `None` = off.
    pub cdr: Option<PathBuf>,
    /// Journal of dialogs, for BYEs after a crash; default `calls.journal`, `None` = off.
    pub journal: Option<PathBuf>,
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
                listen_also: Vec::new(),
                advertise: None,
                advertise_also: None,
                tls: None,
                dns_server: None,
                peers: vec![
                    Network { addr: IpAddr::from([127, 0, 0, 0]), prefix: 8 },
                    Network { addr: Ipv6Addr::LOCALHOST.into(), prefix: 128 },
                ],
                unknown_sources: UnknownSources::default(),
            },
            media: MediaSettings {
                listen: None,
                port_min: 20000,
                port_max: 29999,
                codecs: vec![Codec::Pcmu, Codec::Pcma],
                prefer_local_order: false,
                ptime_ms: 20,
                source_policy: SourcePolicy::Latch,
                srtp: SrtpPolicy::default(),
                srtp_suites: vec![
                    Suite::AeadAes256Gcm,
                    Suite::AesCm256HmacSha1_80,
                    Suite::AeadAes128Gcm,
                    Suite::AesCm128HmacSha1_80,
                ],
                networks: Vec::new(),
                reorder_wait: Duration::from_millis(60),
                append_ms: 20,
                port_quarantine: Duration::from_secs(30),
                workers: one_a_core(),
            },
            limits: LimitSettings {
                max_calls: 200,
                calls_per_second: 20,
                max_cpu_percent: 85,
                drain: Duration::from_secs(600),
            },
            observe: ObserveSettings {
                listen: Some(SocketAddr::from(([127, 0, 0, 1], 9090))),
                cdr: Some("cdr.jsonl".into()),
                journal: Some("calls.journal".into()),
                transcripts: "transcripts".into(),
                log_format: LogFormat::Text,
            },
            dialplans: "dialplans".into(),
            providers: vec![providers::embedded()],
            default_provider: EMBEDDED.to_owned(),
            trunks: Vec::new(),
            trunk_origins: Vec::new(),
            missing_secrets: Vec::new(),
            is_default: true,
        }
    }

    /// Every trunk in the order of the rules: `[[trunk]]`, then `sip.peers` as one named `peers` (if there are any). A trunk's
    /// place is its [`TrunkId`](crate::sip::TrunkId).
    pub fn all_trunks(&self) -> Vec<Trunk> {
        let mut trunks = self.trunks.clone();
        if !self.sip.peers.is_empty() {
            let mut transports = vec![Transport::Udp, Transport::Tcp];
            transports.extend(self.sip.tls.is_some().then_some(Transport::Tls));
            trunks.push(Trunk::peers(self.sip.peers.clone(), transports));
        }
        trunks
    }

    pub fn provider(&self, name: Option<&str>) -> Option<&Provider> {
        let name = name.unwrap_or(&self.default_provider);
        self.providers.iter().find(|p| p.name == name)
    }
}

fn one_a_core() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}
