//! Ordered rules: which trunk a request is of (AUT-01). No match: the request is dropped, whoever was dialled (A1).
//!
//! In: the flow, the names of its certificate, the message. Out: exactly one trunk, or those that may be proved by digest, or nothing.
//! The order: the user of a registering trunk's Contact (AUT-06), the connection that a trunk registered by, then the rules of the
//! settings from the first to the last; a digest user is asked for only where nothing else fits. The number that was dialled decides
//! nothing here.

use super::{Trunk, TrunkKind};
use crate::cidr::Network;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::{Flow, Transport, TrunkId};
use std::net::IpAddr;

/// What is known of the sender besides the message.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub flow: Flow,
    /// DNS names of the verified certificate of a TLS peer; none without one.
    pub certificate_names: &'a [String],
    /// The trunk that this connection was opened for by us (a registration's flow).
    pub opened_for: Option<TrunkId>,
}

/// Whose request it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Trunk(TrunkId),
    /// Nobody's yet; it may become one of these by digest (401).
    Challenge(Vec<TrunkId>),
    /// Nobody's: drop it.
    Unknown,
}

/// The rules of all trunks.
#[derive(Clone, Debug)]
pub struct Identifier {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    sources: Vec<Network>,
    /// Addresses of the targets, for a trunk without `sources`.
    learned: Vec<IpAddr>,
    ports: Vec<u16>,
    transports: Vec<Transport>,
    names: Vec<String>,
    contact_user: Option<String>,
    by_digest: bool,
}

impl Rule {
    fn source(&self, ip: IpAddr) -> bool {
        if !self.sources.is_empty() {
            return self.sources.iter().any(|network| network.contains(ip));
        }
        !self.names.is_empty() || self.learned.contains(&ip.to_canonical())
    }
    fn port(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(&port)
    }
    fn certificate(&self, facts: &Facts<'_>) -> bool {
        let named = |name: &String| facts.certificate_names.iter().any(|n| n.eq_ignore_ascii_case(name));
        self.names.is_empty() || (facts.flow.transport == Transport::Tls && self.names.iter().any(named))
    }
    fn fits(&self, facts: &Facts<'_>) -> bool {
        self.transports.contains(&facts.flow.transport)
            && self.source(facts.flow.remote.ip())
            && self.port(facts.flow.remote.port())
            && self.certificate(facts)
    }
}

impl Identifier {
    /// Trunks and the users of our Contacts on them, both in the order of the settings.
    pub fn new(trunks: &[Trunk], contact_users: &[String]) -> Identifier {
        let users = contact_users.iter().map(Some).chain(std::iter::repeat(None));
        let rules = trunks.iter().zip(users).map(|(trunk, user)| rule(trunk, user)).collect();
        Identifier { rules }
    }

    /// The addresses that a trunk's targets have now; they are its sources if the settings name none. Replaces what was there.
    pub fn learn(&mut self, trunk: TrunkId, addresses: impl IntoIterator<Item = IpAddr>) {
        if let Some(rule) = self.rules.get_mut(usize::from(trunk.0)) {
            rule.learned = addresses.into_iter().map(|ip| ip.to_canonical()).collect();
        }
    }

    /// Whether anything from this address can be a trunk's at all: the test before a byte is parsed.
    pub fn may_speak(&self, transport: Transport, ip: IpAddr) -> bool {
        self.rules.iter().any(|rule| rule.transports.contains(&transport) && (rule.by_digest || rule.source(ip)))
    }

    /// The trunk of a message.
    pub fn identify(&self, facts: &Facts<'_>, message: &Message) -> Verdict {
        let opened_for = facts.opened_for.filter(|id| usize::from(id.0) < self.rules.len());
        let dialled = message.request_uri().and_then(Result::ok).and_then(|uri| uri.user_decoded());
        if let Some(user) = dialled {
            let contact =
                |rule: &Rule| rule.contact_user.as_ref() == Some(&user) && (opened_for.is_some() || rule.fits(facts));
            if let Some(id) = self.position(contact) {
                return Verdict::Trunk(id);
            }
        }
        if let Some(id) = opened_for.or_else(|| self.position(|rule| rule.fits(facts))) {
            return Verdict::Trunk(id);
        }
        if !can_be_challenged(message) {
            return Verdict::Unknown;
        }
        let asked = |rule: &Rule| rule.by_digest && rule.transports.contains(&facts.flow.transport);
        let asked: Vec<TrunkId> =
            self.rules.iter().enumerate().filter(|(_, rule)| asked(rule)).filter_map(|(n, _)| id(n)).collect();
        if asked.is_empty() { Verdict::Unknown } else { Verdict::Challenge(asked) }
    }

    fn position(&self, fits: impl Fn(&Rule) -> bool) -> Option<TrunkId> {
        self.rules.iter().position(fits).and_then(id)
    }
}

fn id(place: usize) -> Option<TrunkId> {
    u16::try_from(place).ok().map(TrunkId)
}

fn rule(trunk: &Trunk, user: Option<&String>) -> Rule {
    let registers = matches!(trunk.kind, TrunkKind::Register(_));
    Rule {
        sources: trunk.identify.sources.clone(),
        learned: trunk.targets.iter().filter_map(|target| target.host_ip()).map(|ip| ip.to_canonical()).collect(),
        ports: trunk.identify.ports.clone(),
        transports: trunk.transports.clone(),
        names: trunk.identify.certificate_names.clone(),
        contact_user: user.filter(|user| registers && !user.is_empty()).cloned(),
        by_digest: trunk.identify.user.is_some(),
    }
}

/// A 401 makes sense for what begins something: ACK and CANCEL cannot be challenged (RFC 3261 §22.1), a response not at all, and
/// in-dialog requests are known by their dialog.
fn can_be_challenged(message: &Message) -> bool {
    let in_dialog = message.to().and_then(Result::ok).is_some_and(|to| to.tag().is_some());
    message.is_request() && !in_dialog && !matches!(message.method(), Method::Ack | Method::Cancel) && {
        // What has no Call-ID is answered to nobody.
        message.value(&Name::CallId).is_some()
    }
}

#[cfg(test)]
mod tests;
