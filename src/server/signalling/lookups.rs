//! Names → addresses: drives `sip::resolve` with questions to `net::dns`. The tasks that ask are ours and end with us.

use super::Signalling;
use super::ways::Purpose;
use crate::net::clock;
use crate::net::dns::Dns;
use crate::net::tcp::TlsPeer;
use crate::sip::resolve::{Answer, DnsFailure, Hop, Lookup, Query, Resolver, Step};
use crate::sip::uri::Uri;
use crate::sip::{Flow, Transport, TrunkId};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Lookups at once; one more is told that there is no room.
const LOOKUPS: usize = 1024;
/// Questions on their way; further ones wait for a place.
const QUESTIONS: usize = 64;

type Answered = (Query, Result<Answer, DnsFailure>);

struct Waiting {
    purpose: Purpose,
    trunk: TrunkId,
    lookup: Lookup,
}

pub struct Lookups {
    dns: Dns,
    resolver: Resolver,
    waiting: Vec<Waiting>,
    asking: JoinSet<Answered>,
    asked: HashSet<Query>,
}

impl Lookups {
    pub fn new(dns: Dns, seed: u64) -> Lookups {
        Lookups {
            dns,
            resolver: Resolver::new(seed),
            waiting: Vec::new(),
            asking: JoinSet::new(),
            asked: HashSet::new(),
        }
    }

    /// The next answer of DNS. Cancel safe; never comes while nothing is asked.
    pub async fn next(&mut self) -> Option<Answered> {
        match self.asking.join_next().await {
            Some(Ok(answered)) => Some(answered),
            Some(Err(_)) => None,
            None => std::future::pending().await,
        }
    }

    /// Asks what is missing, as far as there is room; every answer is followed by another look.
    fn ask(&mut self, queries: Vec<Query>) {
        for query in queries {
            if self.asking.len() >= QUESTIONS || !self.asked.insert(query.clone()) {
                continue;
            }
            let dns = self.dns.clone();
            self.asking.spawn(async move {
                let answer = dns.lookup(query.clone()).await;
                (query, answer)
            });
        }
    }
}

impl Signalling {
    /// Looks up where `uri` is for a trunk; ends in [`Signalling::looked_up`], maybe before this returns.
    pub(super) fn look_up(&mut self, now: Instant, purpose: Purpose, trunk: TrunkId, uri: &Uri) {
        let transports = self.parts.trunks.get(trunk).map(|ready| ready.trunk.transports.clone()).unwrap_or_default();
        let lookup = match self.lookups.resolver.start(now, uri, &transports) {
            Ok(_) if self.lookups.waiting.len() >= LOOKUPS => {
                return self.looked_up(now, purpose, Err("too many names are being looked up: try again".into()));
            }
            Ok(lookup) => lookup,
            Err(why) => return self.looked_up(now, purpose, Err(why.to_string())),
        };
        self.lookups.waiting.push(Waiting { purpose, trunk, lookup });
        self.step_lookups(now);
    }

    pub(super) fn dns_answered(&mut self, answered: Option<Answered>) {
        let now = clock::now();
        match answered {
            Some((query, answer)) => {
                self.lookups.asked.remove(&query);
                self.lookups.resolver.answer(now, query, answer);
            }
            // A question panicked, and which one is not known: all may be asked again.
            None => self.lookups.asked.clear(),
        }
        self.step_lookups(now);
    }

    fn step_lookups(&mut self, now: Instant) {
        for mut waiting in std::mem::take(&mut self.lookups.waiting) {
            match self.lookups.resolver.step(now, &mut waiting.lookup) {
                Step::Ask(queries) => {
                    self.lookups.ask(queries);
                    self.lookups.waiting.push(waiting);
                }
                Step::Done { hops, good_for } => {
                    let flows = self.flows_of(now, waiting.trunk, &hops);
                    let found = if flows.is_empty() {
                        Err("no socket of ours reaches its address: see sip.listen and the trunk's transports".into())
                    } else {
                        Ok((flows, good_for))
                    };
                    self.looked_up(now, waiting.purpose, found);
                }
                Step::Failed(why) => self.looked_up(now, waiting.purpose, Err(why.to_string())),
            }
        }
    }

    /// Addresses as flows from the right socket. TLS peers are noted with the name they have to prove; the sources may speak.
    fn flows_of(&mut self, now: Instant, trunk: TrunkId, hops: &[Hop]) -> Vec<Flow> {
        let Some(ready) = self.parts.trunks.get(trunk) else { return Vec::new() };
        let policy = Arc::clone(&ready.tls);
        let mut flows = Vec::new();
        for hop in hops {
            let Some(local) = self.parts.transport.local_towards(hop.transport, hop.addr) else { continue };
            if hop.transport == Transport::Tls {
                let name = policy.server_name.clone().unwrap_or_else(|| hop.name.clone());
                self.parts.transport.set_tls_peer(hop.addr, TlsPeer { name, policy: Arc::clone(&policy) });
            }
            self.front.welcome(now, hop.addr.ip(), trunk);
            flows.push(Flow { transport: hop.transport, local, remote: hop.addr, conn: 0 });
        }
        flows
    }

    fn looked_up(&mut self, now: Instant, purpose: Purpose, found: Result<(Vec<Flow>, Duration), String>) {
        match purpose {
            Purpose::Target(id) => {
                if let Err(why) = &found {
                    self.parts.notes.target_unknown(self.parts.trunks.name(id.trunk), why);
                }
                let spread = rand::Rng::random::<u32>(&mut self.parts.random) % 1000;
                self.targets.resolved(now, id, found, spread);
                let addresses = self.targets.flows(id.trunk).into_iter().map(|flow| flow.remote.ip());
                self.front.learn(id.trunk, addresses);
                self.registrations_retry(now, id.trunk);
            }
            Purpose::Leg(leg) => self.leg_looked_up(now, leg, found),
        }
    }
}
