//! Trunks: who a request comes from, which number was dialled, who calls, and what each trunk may do. Pure policy over
//! checked settings (`config::settings` reads `[[trunk]]` into the types here).
//!
//! | file | role |
//! |---|---|
//! | `identify` | ordered rules: a request → exactly one trunk, a challenge, or nothing (AUT-01, A1) |
//! | `dialled` | the ordered places of the dialled number (AUT-09) |
//! | `numbers` | E.164 by country, prefixes and internal length (AUT-11) |
//! | `forwarding` | Diversion and History-Info (AUT-09, AUT-10) |
//! | `caller` | who calls: PAI, RPID, From; Privacy; attestation; User-to-User (AUT-08, AUT-12 to AUT-14) |
//! | `profile` | ready-made trunks of carriers and PBXs |
//!
//! In: a [`Message`](crate::sip::message::Message) and the flow's facts. Out: [`TrunkId`](crate::sip::TrunkId), numbers, [`CallerInfo`].

pub mod caller;
pub mod dialled;
mod forwarding;
pub mod identify;
pub mod numbers;
pub mod profile;
#[cfg(test)]
mod testing;

use crate::cidr::Network;
use crate::rtp::receiver::SourcePolicy;
use crate::sip::Transport;
use crate::sip::digest::Credentials;
use crate::sip::message::Method;
use crate::sip::offer_answer::Codec;
use crate::sip::session_timer::TimerPolicy;
use crate::sip::uri::Uri;
use crate::sip::user_agent::{Redirects, Reliable, WhileDraining};
use crate::srtp_key::Suite;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use caller::CallerInfo;
pub use dialled::{Dialled, DialledFrom};
pub use identify::{Facts, Identifier, Verdict};
pub use numbers::NumberRules;

/// One trunk, checked. The order of the settings is the order of the rules; `sip.peers` is the last one, named `peers`.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// For logs, metrics, call records, `voxtrunk trunks`.
    pub name: String,
    pub kind: TrunkKind,
    pub identify: Identify,
    /// Where our requests go: `sip:host[:port][;transport=…]`, tried in order, each resolved by RFC 3263. Empty: takes calls only.
    pub targets: Vec<Uri>,
    /// Transports it may use, both ways.
    pub transports: Vec<Transport>,
    /// For challenges to what we send it (INVITE, REGISTER, OPTIONS), and to nobody else (AUT-04).
    pub credentials: Vec<Credentials>,
    /// The address in Via, Contact and SDP, when it is not `sip.advertise` (TRN-10).
    pub advertise: Option<IpAddr>,
    /// A name instead of it in Via and Contact (Teams).
    pub advertise_host: Option<String>,
    pub tls: TlsPolicy,
    pub options: OptionsPolicy,
    pub media: TrunkMedia,
    pub timer: TimerPolicy,
    pub reliable: Reliable,
    pub limits: TrunkLimits,
    /// Besides INVITE, ACK, CANCEL and BYE.
    pub methods: Vec<Method>,
    /// Identity headers that are believed, best first (AUT-08). Empty: From only.
    pub trusted: Vec<IdentityHeader>,
    /// Where the dialled number stands, first hit wins.
    pub dialled: Vec<DialledFrom>,
    pub numbers: NumberRules,
    /// Headers of the INVITE that dialplan, prompt and tools may see (AUT-14), by name.
    pub headers_in: Vec<String>,
    /// Added to our INVITEs.
    pub headers_out: Vec<(String, String)>,
    /// Where inbound REFER may send a call, as URI patterns (`sip:*@pbx.example.com`, `sip:2*@10.0.0.5`); empty: 603 (XFR-06).
    pub refer_to: Vec<String>,
    pub redirects: Redirects,
    /// INVITE with Replaces (XFR-07).
    pub replaces: bool,
    /// Whether the peer takes REFER; without it a transfer is bridged here.
    pub transfers_by_refer: bool,
    /// Callers (normalised numbers, prefixes ending in `*`, or `anonymous`) that are refused with 603.
    pub blocked: Vec<String>,
}

/// The name of the trunk that `sip.peers` makes.
pub const PEERS: &str = "peers";

impl Trunk {
    /// A static trunk with every default, known by nothing yet.
    pub fn new(name: &str) -> Trunk {
        Trunk {
            name: name.to_owned(),
            kind: TrunkKind::Static,
            identify: Identify::default(),
            targets: Vec::new(),
            transports: vec![Transport::Udp, Transport::Tcp],
            credentials: Vec::new(),
            advertise: None,
            advertise_host: None,
            tls: TlsPolicy::default(),
            options: OptionsPolicy::default(),
            media: TrunkMedia::default(),
            timer: TimerPolicy::default(),
            reliable: Reliable::default(),
            limits: TrunkLimits::default(),
            methods: vec![Method::Options, Method::Info, Method::Update, Method::Prack, Method::Refer, Method::Notify],
            trusted: Vec::new(),
            dialled: vec![DialledFrom::RequestUri, DialledFrom::To],
            numbers: NumberRules::default(),
            headers_in: Vec::new(),
            headers_out: Vec::new(),
            refer_to: Vec::new(),
            redirects: Redirects::default(),
            replaces: false,
            transfers_by_refer: true,
            blocked: Vec::new(),
        }
    }

    /// What `sip.peers` means: whoever is in these networks, by any transport the server listens on.
    pub fn peers(networks: Vec<Network>, transports: Vec<Transport>) -> Trunk {
        let identify = Identify { sources: networks, ..Identify::default() };
        // Nobody registered with them: what the Request-URI does not say, To does not say either.
        Trunk { identify, transports, dialled: vec![DialledFrom::RequestUri], ..Trunk::new(PEERS) }
    }

    /// Whether it registers with its targets.
    pub fn registers(&self) -> bool {
        matches!(self.kind, TrunkKind::Register(_))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum TrunkKind {
    Static,
    Register(Box<Registration>),
}

/// What REGISTER needs; the registrar is the trunk's targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// Address of record, like `sip:4930123@sip.example.com`.
    pub aor: Uri,
    /// Asked for; default 600 s.
    pub expires: Duration,
    /// Keepalive on the flow (TRN-06).
    pub keepalive: bool,
}

/// How a request is known to be this trunk's. All that are given must hold, but for `user`, which also admits from elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identify {
    /// Empty: the addresses of the targets, as they resolve ([`identify::Identifier::learn`]).
    pub sources: Vec<Network>,
    /// Source ports; empty: any.
    pub ports: Vec<u16>,
    /// A name of the peer's TLS certificate (mTLS); empty: none asked for.
    pub certificate_names: Vec<String>,
    /// The peer proves itself by digest (we challenge).
    pub user: Option<DigestUser>,
}

/// A user that peers prove to be (AUT-02).
#[derive(Clone, Debug, PartialEq)]
pub struct DigestUser {
    pub realm: String,
    pub credentials: Credentials,
}

/// TLS towards the trunk and from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsPolicy {
    /// Name that the peer's certificate must have; default: the host of the target.
    pub server_name: Option<String>,
    /// PEM with the roots of a private authority, instead of Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// Our certificate towards it (mTLS); default: that of `[sip.tls]`, if the peer asks.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// ALPN `sip`; off by default (TRN-08).
    pub alpn: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionsPolicy {
    /// How often we ask each target whether it is there; `None`: never.
    pub every: Option<Duration>,
    pub while_draining: WhileDraining,
}

/// What differs from `[media]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrunkMedia {
    pub codecs: Option<Vec<Codec>>,
    pub prefer_local_order: Option<bool>,
    pub ptime_ms: Option<u32>,
    pub source_policy: Option<SourcePolicy>,
    pub networks: Option<Vec<Network>>,
    pub srtp: Option<SrtpPolicy>,
    pub srtp_suites: Option<Vec<Suite>>,
    /// SDES keys may travel by UDP and TCP, where everyone on the way can read them (SRT-01).
    pub srtp_without_tls: bool,
    pub dtmf: DtmfWay,
}

/// How keys go to a trunk, and whether tones in its audio are keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DtmfWay {
    /// Events (RFC 4733) where they are negotiated, else tones both ways.
    #[default]
    Auto,
    /// Events or nothing.
    Rfc4733,
    /// By INFO (application/dtmf-relay).
    Info,
    /// As tones, and listened for always.
    Inband,
}

impl DtmfWay {
    pub const NAMES: [(&'static str, DtmfWay); 4] =
        [("auto", DtmfWay::Auto), ("rfc4733", DtmfWay::Rfc4733), ("info", DtmfWay::Info), ("inband", DtmfWay::Inband)];

    /// As in the settings.
    pub fn name(self) -> &'static str {
        DtmfWay::NAMES.into_iter().find(|(_, way)| *way == self).map_or("", |(name, _)| name)
    }
}

/// What is done about SRTP with keys in SDP (SRT-02). Keys travel by TLS only, unless the trunk says that they may go without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SrtpPolicy {
    /// Plain RTP only; RTP/SAVP is 488.
    Off,
    /// SRTP where the peer has it and the keys may travel, else plain.
    #[default]
    Prefer,
    /// A stream without SRTP is 488.
    Require,
}

impl SrtpPolicy {
    pub const NAMES: [(&'static str, SrtpPolicy); 3] =
        [("off", SrtpPolicy::Off), ("prefer", SrtpPolicy::Prefer), ("require", SrtpPolicy::Require)];

    /// As in the settings.
    pub fn name(self) -> &'static str {
        SrtpPolicy::NAMES.into_iter().find(|(_, policy)| *policy == self).map_or("", |(name, _)| name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrunkLimits {
    /// Calls at once and new calls a second; `None`: only those of `[limits]`.
    pub max_calls: Option<usize>,
    pub calls_per_second: Option<u32>,
    /// Calls at once of one caller: 486 beyond (DLG-14).
    pub calls_per_caller: Option<usize>,
    /// What an INVITE beyond gets: 503 with Retry-After, 486 or 480 (OVL-01).
    pub refusal: u16,
}

impl Default for TrunkLimits {
    fn default() -> TrunkLimits {
        TrunkLimits { max_calls: None, calls_per_second: None, calls_per_caller: None, refusal: 503 }
    }
}

/// A header that says who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityHeader {
    PAssertedIdentity,
    RemotePartyId,
}
