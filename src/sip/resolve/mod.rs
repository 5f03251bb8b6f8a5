//! Where a request goes (RFC 3263 §4, RFC 2782): a pure machine that asks for DNS records and gives addresses in order.
//!
//! ```text
//! let mut lookup = resolver.start(now, &uri, &transports)?;
//! loop {
//!     match resolver.step(now, &mut lookup) {
//!         Step::Ask(queries) => for query in queries { resolver.answer(now, query, dns(query)) },
//!         Step::Done { hops, .. } => break hops,
//!         Step::Failed(error) => return Err(error),
//!     }
//! }
//! ```
//!
//! `target`: what the URI leaves open. `cache`: answers by TTL, the last good one when DNS fails. `order`: NAPTR and SRV order.
//! Caps (A25): records of an answer, targets of a set, questions of a lookup, hops. A lookup ends after three rounds at most.

mod cache;
mod order;
mod target;

use super::Transport;
use super::random::Random;
use super::uri::Uri;
use cache::{Cache, Known};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use target::Target;

/// Records of one answer that are looked at; addresses of one name; targets of one SRV set; hops of one lookup.
const MOST_RECORDS: usize = 64;
const MOST_ADDRESSES: usize = 8;
const MOST_TARGETS: usize = 8;
const MOST_HOPS: usize = 16;
/// Questions of one lookup; further ones count as answered by nothing.
const MOST_QUERIES: usize = 24;

/// One DNS question. Names are without the final dot, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Query {
    Naptr(String),
    Srv(String),
    /// A and AAAA.
    Address(String),
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Naptr { order: u16, preference: u16, flags: String, service: String, replacement: String },
    Srv { priority: u16, weight: u16, port: u16, target: String },
    Address(IpAddr),
}

/// An answer; no records = the name exists without such records, or does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub records: Vec<Record>,
    /// The shortest of the records.
    pub ttl: Duration,
}

/// The servers did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsFailure(pub String);

/// One address to try.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    pub transport: Transport,
    pub addr: SocketAddr,
    /// The name that was configured, for SNI and the certificate (never one that DNS gave, RFC 5922 §4).
    pub name: String,
}

/// Why there is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// The URI has no host that can be asked for, or is neither `sip:` nor `sips:`.
    NoHost(String),
    /// The URI wants a transport that the trunk does not have (`sips:` and `transport=tls` want TLS and nothing else).
    NoTransport(String),
    /// DNS has no address for the name.
    NoAddress(String),
    /// DNS does not answer, and never did for this name.
    Dns(String, DnsFailure),
}

impl std::fmt::Display for ResolveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ResolveError::NoHost(uri) => write!(f, "{uri:?} has no host name or address: write sip:host[:port]"),
            ResolveError::NoTransport(uri) => {
                write!(f, "{uri:?} wants a transport that is not in use: add it to the trunk's transports")
            }
            ResolveError::NoAddress(name) => {
                write!(f, "DNS has no SRV, A or AAAA record for {name}: check the name, or write its address")
            }
            ResolveError::Dns(name, DnsFailure(why)) => {
                write!(f, "DNS did not answer for {name} ({why}): check the name server, or write the address")
            }
        }
    }
}
impl std::error::Error for ResolveError {}

/// What a lookup wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask these, give each to [`Resolver::answer`], then step again. Never empty.
    Ask(Vec<Query>),
    /// Best first, never empty. `good_for`: until then DNS would say the same.
    Done {
        hops: Vec<Hop>,
        good_for: Duration,
    },
    Failed(ResolveError),
}

/// One name on its way to addresses.
#[derive(Clone, Debug)]
pub struct Lookup {
    target: Target,
    started: Instant,
    /// What was used, so that a short TTL or another lookup changes nothing on the way.
    seen: BTreeMap<Query, Known>,
    missing: Vec<Query>,
    good_until: Option<Instant>,
}

/// The cache and the dice of SRV weights.
#[derive(Debug)]
pub struct Resolver {
    random: Random,
    cache: Cache,
}

impl Resolver {
    pub fn new(seed: u64) -> Resolver {
        Resolver { random: Random::new(seed), cache: Cache::default() }
    }

    /// Begins a lookup. `transports`: those in use towards it, best first; they decide where neither URI nor DNS does.
    ///
    /// # Errors
    /// A URI without a host, or with a transport that is not in use.
    pub fn start(&self, now: Instant, uri: &Uri, transports: &[Transport]) -> Result<Lookup, ResolveError> {
        let target = Target::of(uri, transports)?;
        Ok(Lookup { target, started: now, seen: BTreeMap::new(), missing: Vec::new(), good_until: None })
    }

    /// Goes on with what is known.
    pub fn step(&mut self, now: Instant, lookup: &mut Lookup) -> Step {
        lookup.missing.clear();
        let mut hops = self.hops(now, lookup);
        if !lookup.missing.is_empty() {
            return Step::Ask(lookup.missing.clone());
        }
        order::dedup(&mut hops);
        hops.truncate(MOST_HOPS);
        if !hops.is_empty() {
            let good_for = lookup.good_until.map_or(Duration::MAX, |at| at.saturating_duration_since(now));
            return Step::Done { hops, good_for };
        }
        let name = lookup.target.host.clone();
        let failure = lookup.seen.values().find_map(|known| known.failure.clone());
        Step::Failed(match failure {
            Some(failure) => ResolveError::Dns(name, failure),
            None => ResolveError::NoAddress(name),
        })
    }

    /// The answer to a question, or that there was none. Kept for its TTL; after a failure the last good answer stays in use.
    pub fn answer(&mut self, now: Instant, query: Query, answer: Result<Answer, DnsFailure>) {
        self.cache.put(now, query, answer);
    }

    /// §4.1 and §4.2; what is not known yet goes into `missing`.
    fn hops(&mut self, now: Instant, lookup: &mut Lookup) -> Vec<Hop> {
        let target = lookup.target.clone();
        let transport = target.transport.or_else(|| target.usable.first().copied());
        let Some(transport) = transport else { return Vec::new() };
        let host = target.host.as_str();
        if let Some(ip) = target.ip {
            let port = target.port.unwrap_or(default_port(transport));
            return vec![Hop { transport, addr: SocketAddr::new(ip, port), name: target.name }];
        }
        if let Some(port) = target.port {
            return self.addresses(now, lookup, host, transport, port);
        }
        let services: Vec<(Transport, String)> = match target.transport {
            Some(transport) => vec![(transport, order::srv_name(transport, host))],
            None => {
                let Some(known) = self.known(now, lookup, Query::Naptr(host.to_owned())) else { return Vec::new() };
                let services = order::naptr(&known.records, &target.usable);
                match services.is_empty() {
                    true => target.usable.iter().map(|t| (*t, order::srv_name(*t, host))).collect(),
                    false => services,
                }
            }
        };
        let mut hops = Vec::new();
        let mut any = false;
        for (transport, name) in services {
            let Some(known) = self.known(now, lookup, Query::Srv(name)) else { continue };
            for record in known.records {
                if let Record::Srv { port, target, .. } = record {
                    any = true;
                    hops.extend(self.addresses(now, lookup, &target, transport, port));
                }
            }
        }
        if any || !lookup.missing.is_empty() {
            return hops;
        }
        self.addresses(now, lookup, host, transport, default_port(transport))
    }

    fn addresses(
        &mut self,
        now: Instant,
        lookup: &mut Lookup,
        host: &str,
        transport: Transport,
        port: u16,
    ) -> Vec<Hop> {
        let hop = |ip| Hop { transport, addr: SocketAddr::new(ip, port), name: lookup.target.name.clone() };
        if let Ok(ip) = host.parse() {
            return vec![hop(ip)];
        }
        let Some(known) = self.known(now, lookup, Query::Address(host.to_owned())) else { return Vec::new() };
        let ips = known.records.iter().filter_map(|record| match record {
            Record::Address(ip) => Some(*ip),
            _ => None,
        });
        ips.map(|ip| Hop { transport, addr: SocketAddr::new(ip, port), name: lookup.target.name.clone() }).collect()
    }

    /// What is known of a question; `None`: it has to be asked first.
    fn known(&mut self, now: Instant, lookup: &mut Lookup, query: Query) -> Option<Known> {
        if let Some(known) = lookup.seen.get(&query) {
            return Some(known.clone());
        }
        if lookup.seen.len() + lookup.missing.len() >= MOST_QUERIES {
            return Some(Known::default());
        }
        match self.cache.get(now, lookup.started, &query) {
            Some((mut known, until)) => {
                if let Query::Srv(_) = query {
                    order::srv(&mut known.records, &mut self.random);
                }
                lookup.good_until = Some(lookup.good_until.map_or(until, |at| at.min(until)));
                lookup.seen.insert(query, known.clone());
                Some(known)
            }
            None => {
                if !lookup.missing.contains(&query) {
                    lookup.missing.push(query);
                }
                None
            }
        }
    }
}

fn default_port(transport: Transport) -> u16 {
    if transport == Transport::Tls { 5061 } else { 5060 }
}
