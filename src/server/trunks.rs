//! The trunks of the settings as the running server uses them: what the user agent, the gate and a call are told of each.

use super::gate::Share;
use crate::config::settings::{MediaSettings, Settings};
use crate::rtp::receiver::SourcePolicy;
use crate::sip::headers::Name;
use crate::sip::offer_answer::{LocalMedia, LocalSrtp};
use crate::sip::uri::Uri;
use crate::sip::user_agent::UaTrunk;
use crate::sip::{Flow, Transport, TrunkId};
use crate::trunk::identify::Identifier;
use crate::trunk::{SrtpPolicy, TlsPolicy, Trunk, TrunkKind, TrunkLimits, TrunkMedia};
use rand::Rng;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// User of our Contact on a static trunk.
const CONTACT_USER: &str = "voxtrunk";

/// Where we listen: one address a transport and family.
pub type Listening = Vec<(Transport, SocketAddr)>;

/// All of them, by [`TrunkId`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Trunks {
    list: Arc<[ReadyTrunk]>,
    settings: Arc<Settings>,
    listening: Arc<Listening>,
}

/// One trunk.
#[derive(Debug)]
pub struct ReadyTrunk {
    pub trunk: Arc<Trunk>,
    /// AUT-06: random where we register.
    pub contact_user: String,
    pub tls: Arc<TlsPolicy>,
}

impl Trunks {
    pub fn new(settings: &Arc<Settings>, listening: Listening, random: &mut impl Rng) -> Trunks {
        let ready = |trunk: &Trunk| ReadyTrunk {
            trunk: Arc::new(trunk.clone()),
            tls: Arc::new(trunk.tls.clone()),
            contact_user: match trunk.kind {
                TrunkKind::Static => CONTACT_USER.to_owned(),
                TrunkKind::Register(_) => format!("{:016x}", random.random::<u64>()),
            },
        };
        Trunks {
            list: settings.all_trunks().iter().map(ready).collect(),
            settings: Arc::clone(settings),
            listening: Arc::new(listening),
        }
    }

    pub fn get(&self, trunk: TrunkId) -> Option<&ReadyTrunk> {
        self.list.get(usize::from(trunk.0))
    }
    /// The first trunk whose networks have this address.
    pub fn by_source(&self, ip: IpAddr) -> Option<TrunkId> {
        let has = |ready: &ReadyTrunk| ready.trunk.identify.sources.iter().any(|network| network.contains(ip));
        self.all().find(|(_, ready)| has(ready)).map(|(id, _)| id)
    }
    /// The rules by which a request is a trunk's.
    pub fn identifier(&self) -> Identifier {
        let trunks: Vec<Trunk> = self.list.iter().map(|ready| Trunk::clone(&ready.trunk)).collect();
        Identifier::new(&trunks, &self.contact_users())
    }
    pub fn name(&self, trunk: TrunkId) -> &str {
        self.get(trunk).map_or("", |ready| &ready.trunk.name)
    }
    pub fn by_name(&self, name: &str) -> Option<TrunkId> {
        self.ids().find(|id| self.name(*id) == name)
    }
    pub fn ids(&self) -> impl Iterator<Item = TrunkId> + use<> {
        (0..self.list.len()).map(|n| TrunkId(n as u16))
    }
    pub fn all(&self) -> impl Iterator<Item = (TrunkId, &ReadyTrunk)> {
        self.ids().zip(self.list.iter())
    }
    pub fn contact_users(&self) -> Vec<String> {
        self.list.iter().map(|ready| ready.contact_user.clone()).collect()
    }
    pub fn limits(&self) -> Vec<TrunkLimits> {
        self.list.iter().map(|ready| ready.trunk.limits).collect()
    }

    /// What the gate keeps for each.
    pub fn shares(&self) -> Vec<Share> {
        let rate = |ready: &ReadyTrunk| ready.trunk.limits.calls_per_second;
        let share = |ready: &ReadyTrunk| Share {
            networks: ready.trunk.identify.sources.clone(),
            calls_per_second: rate(ready).unwrap_or(self.settings.limits.calls_per_second),
        };
        self.list.iter().map(share).collect()
    }

    /// Whether a trunk may show itself by more than its address.
    pub fn have_strangers(&self) -> bool {
        self.list.iter().any(|ready| {
            let identify = &ready.trunk.identify;
            let by_certificate = identify.sources.is_empty() && !identify.certificate_names.is_empty();
            identify.user.is_some() || by_certificate
        })
    }

    /// The address we are known by on a trunk, for Via, Contact and SDP (TRN-10).
    fn known_as(&self, trunk: &Trunk, bound: IpAddr) -> IpAddr {
        let same_family = |ip: &IpAddr| ip.is_ipv4() == bound.is_ipv4();
        trunk.advertise.filter(same_family).unwrap_or_else(|| self.settings.sip.advertised(bound))
    }

    pub fn user_agent(&self) -> Vec<UaTrunk> {
        self.list.iter().map(|ready| self.ua_trunk(ready)).collect()
    }

    fn ua_trunk(&self, ready: &ReadyTrunk) -> UaTrunk {
        let trunk = &ready.trunk;
        let used = self.listening.iter().filter(|(transport, _)| trunk.transports.contains(transport));
        let advertised =
            used.map(|(transport, at)| (*transport, SocketAddr::new(self.known_as(trunk, at.ip()), at.port())));
        let targets = trunk.targets.iter().filter_map(Uri::host_ip).map(Into::into);
        UaTrunk {
            advertised_host: trunk.advertise_host.clone(),
            methods: trunk.methods.clone(),
            timer: trunk.timer,
            reliable: trunk.reliable,
            while_draining: trunk.options.while_draining,
            credentials: trunk.credentials.clone(),
            redirects: trunk.redirects.clone(),
            replaces: trunk.replaces,
            refer: !trunk.refer_to.is_empty(),
            headers: trunk.headers_out.iter().map(|(name, value)| (Name::parse(name), value.clone())).collect(),
            ..UaTrunk::new(
                trunk.identify.sources.iter().copied().chain(targets).collect(),
                advertised.collect(),
                &ready.contact_user,
            )
        }
    }

    /// Host and port that we are known by towards a flow.
    pub fn own_host(&self, trunk: TrunkId, flow: Flow) -> String {
        let Some(ready) = self.get(trunk) else { return flow.local.to_string() };
        match &ready.trunk.advertise_host {
            Some(host) => host.clone(),
            None => SocketAddr::new(self.known_as(&ready.trunk, flow.local.ip()), flow.local.port()).to_string(),
        }
    }

    /// Where media that goes with signalling on this flow is bound: `media.listen`, if it can be reached from there.
    pub fn media_ip(&self, flow: Flow) -> IpAddr {
        let same_family = |ip: &IpAddr| ip.is_ipv4() == flow.local.is_ipv4();
        self.settings.media.listen.filter(same_family).unwrap_or_else(|| flow.local.ip())
    }

    /// Our end of a stream that answers, or goes along with, signalling on this flow. `secret`: for SRTP keys, of this dialog only.
    pub fn local_media(&self, trunk: TrunkId, flow: Flow, port: u16, session_id: u64, secret: [u8; 32]) -> LocalMedia {
        let (media, own) = (&self.settings.media, self.get(trunk).map(|ready| &ready.trunk));
        let bound = self.media_ip(flow);
        let of = own.map(|trunk| &trunk.media);
        LocalMedia {
            addr: own.map_or(bound, |trunk| self.known_as(trunk, bound)),
            port,
            codecs: of.and_then(|of| of.codecs.clone()).unwrap_or_else(|| media.codecs.clone()),
            prefer_local_order: of.and_then(|of| of.prefer_local_order).unwrap_or(media.prefer_local_order),
            dtmf: true,
            ptime_ms: of.and_then(|of| of.ptime_ms).unwrap_or(media.ptime_ms),
            session_id,
            srtp: self.local_srtp(of, flow.transport, secret),
        }
    }

    /// SRTP is a must on the trunk, and its keys may not travel by this flow.
    pub fn cannot_offer(&self, trunk: TrunkId, flow: Flow) -> bool {
        let own = self.get(trunk).map(|ready| &ready.trunk.media);
        let local = self.local_srtp(own, flow.transport, [0; 32]);
        local.is_some_and(|local| local.suites().is_empty())
    }

    /// What SDES may do where signalling goes by this transport (SRT-01, SRT-02).
    fn local_srtp(&self, own: Option<&TrunkMedia>, transport: Transport, secret: [u8; 32]) -> Option<LocalSrtp> {
        let media = &self.settings.media;
        let policy = own.and_then(|own| own.srtp).unwrap_or(media.srtp);
        let may_travel = transport == Transport::Tls || own.is_some_and(|own| own.srtp_without_tls);
        let suites = own.and_then(|own| own.srtp_suites.as_ref()).unwrap_or(&media.srtp_suites);
        match (policy, may_travel) {
            (SrtpPolicy::Off, _) | (SrtpPolicy::Prefer, false) => None,
            (SrtpPolicy::Require, false) => Some(LocalSrtp::impossible()),
            (policy, true) => Some(LocalSrtp::new(policy == SrtpPolicy::Require, suites, secret)),
        }
    }

    /// From where media may come on a trunk.
    pub fn media_sources(&self, trunk: TrunkId) -> (SourcePolicy, Vec<crate::cidr::Network>) {
        let MediaSettings { source_policy, networks, .. } = &self.settings.media;
        let of = self.get(trunk).map(|ready| &ready.trunk.media);
        let policy = of.and_then(|of| of.source_policy).unwrap_or(*source_policy);
        (policy, of.and_then(|of| of.networks.clone()).unwrap_or_else(|| networks.clone()))
    }
}
