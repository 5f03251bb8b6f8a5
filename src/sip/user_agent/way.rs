//! How a request of ours goes out, and goes out again: the flows it may take (RFC 3263 §4.3, RFC 3261 §18.1.1), preloaded Route, the
//! answer to a challenge (AUT-03, AUT-04), and the same request as a new one (RFC 3261 §8.1.3.5).

use super::core::Core;
use crate::sip::digest::client::{Answered, Asked};
use crate::sip::headers::{Name, NameAddr};
use crate::sip::message::{Builder, Message};
use crate::sip::transaction::Sent;
use crate::sip::{Flow, Transport, TrunkId};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Most flows of one request.
const MOST_FLOWS: usize = 16;
/// RFC 3261 §18.1.1: longer requests go by a transport with congestion control.
const MOST_BYTES_UDP: usize = 1300;
/// Busy hosts that are remembered, and for how long at most.
const MOST_BUSY: usize = 256;
const LONGEST_BUSY: Duration = Duration::from_secs(600);
const MOST_ROUTES: usize = 16;

/// The flows of one request: the one in use and those that are left.
#[derive(Debug)]
pub(crate) struct Way {
    flow: Flow,
    left: VecDeque<Flow>,
    /// The flow in use stays as it is, however long the request.
    fixed: bool,
    /// Hosts that the owner named: whose challenges may be answered.
    pub hosts: Vec<IpAddr>,
}

impl Way {
    /// `None`: no flow of a transport that the trunk has. Hosts that asked to be left alone come last.
    pub fn new(core: &Core, now: Instant, trunk: TrunkId, flows: &[Flow]) -> Option<Way> {
        let usable = flows.iter().copied().filter(|flow| core.advertised(trunk, *flow).is_some()).take(MOST_FLOWS);
        let (busy, free): (VecDeque<Flow>, VecDeque<Flow>) = usable.partition(|flow| core.is_busy(now, *flow));
        let mut left: VecDeque<Flow> = free.into_iter().chain(busy).collect();
        let hosts = left.iter().map(|flow| flow.remote.ip()).collect();
        let flow = left.pop_front()?;
        Some(Way { flow, left, fixed: false, hosts })
    }

    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// For a request of so many bytes. `true`: it goes by another flow (TCP) now, and has to be written for that one; UDP is what
    /// it falls back to.
    pub fn fit(&mut self, core: &Core, trunk: TrunkId, bytes: usize) -> bool {
        if bytes <= MOST_BYTES_UDP || self.flow.transport != Transport::Udp || self.fixed {
            return false;
        }
        let tcp = Flow { transport: Transport::Tcp, conn: 0, ..self.flow };
        if core.advertised(trunk, tcp).is_none_or(|at| at.is_ipv4() != tcp.remote.is_ipv4()) {
            return false;
        }
        self.left.push_front(std::mem::replace(&mut self.flow, tcp));
        true
    }

    /// Goes on to the next flow. `busy`: the host itself said 503, its other transports will not do better. `false`: none is left.
    pub fn next(&mut self, busy: bool) -> bool {
        let last = self.flow;
        if busy {
            self.left.retain(|flow| flow.remote != last.remote);
        }
        let Some(next) = self.left.pop_front() else { return false };
        // TCP was tried and did not do.
        self.fixed = last.transport == Transport::Tcp && next.remote == last.remote;
        self.flow = next;
        true
    }

    /// Takes another way altogether (a redirection); what is left of the old one is forgotten. The hosts stay.
    pub fn turn(&mut self, flow: Flow) {
        self.flow = flow;
        self.left.clear();
        self.fixed = false;
    }
}

impl Core {
    fn is_busy(&self, now: Instant, flow: Flow) -> bool {
        self.busy.iter().any(|(remote, until)| *remote == flow.remote && *until > now)
    }

    /// A 503: with Retry-After the host is tried last until then (RFC 3261 §21.5.4).
    pub fn note_busy(&mut self, now: Instant, flow: Flow, response: &Message) {
        let Some(Ok(secs)) = response.seconds(&Name::RetryAfter) else { return };
        self.busy.retain(|(remote, until)| *until > now && *remote != flow.remote);
        if self.busy.len() >= MOST_BUSY {
            self.busy.pop_front();
        }
        self.busy.push_back((flow.remote, now + Duration::from_secs(secs.into()).min(LONGEST_BUSY)));
    }

    /// Replaces a trunk's preloaded Route; values that cannot be read are left out.
    pub fn preload(&mut self, trunk: TrunkId, routes: Vec<String>) {
        let good = routes.into_iter().filter(|route| NameAddr::parse(route).is_ok()).take(MOST_ROUTES).collect();
        self.routes.insert(trunk, good);
    }

    /// Adds the preloaded Route.
    pub fn routed(&self, trunk: TrunkId, request: Builder) -> Builder {
        let routes = self.routes.get(&trunk).into_iter().flatten();
        routes.fold(request, |request, route| request.header(Name::Route, route))
    }

    /// The lines that answer a 401 or 407 to a request of ours. `None`: not to this host (AUT-04), or nothing to answer with.
    ///
    /// `hosts`: where the owner sent the request, or the call that it is of. A host that only the peer named (Contact, a redirection)
    /// is asked nothing and told nothing.
    pub fn authorize(
        &mut self,
        trunk: TrunkId,
        hosts: &[IpAddr],
        answered: &mut Answered,
        response: &Message,
        sent: &Sent,
    ) -> Option<Vec<(Name, String)>> {
        let own = self.trunk(trunk);
        let ip = sent.flow.remote.ip();
        let same = |host: &IpAddr| host.to_canonical() == ip.to_canonical();
        if !hosts.iter().any(same) && !own.networks.iter().any(|network| network.contains(ip)) {
            return None;
        }
        let credentials = own.credentials.clone();
        let (uri, method) = (sent.request.request_uri()?.ok()?, sent.request.method());
        let asked = Asked { method: method.as_str(), uri: uri.as_str(), body: sent.request.body() };
        self.digest.answer(answered, &credentials, response, asked, &mut self.random)
    }

    /// The same request as a new one for `flow`: new branch, CSeq, Via; `changes` replace all lines of their names (an empty value:
    /// none is left). Gives the branch too.
    pub fn again(
        &mut self,
        trunk: TrunkId,
        flow: Flow,
        request: &Message,
        (uri, cseq): (Option<&str>, u32),
        changes: &[(Name, String)],
    ) -> (String, Message) {
        let (branch, via) = self.via(trunk, flow);
        let method = request.method();
        let old = request.request_uri().and_then(Result::ok).map(|uri| uri.to_string()).unwrap_or_default();
        let mut new = Builder::request(&method, uri.unwrap_or(&old)).header(Name::Via, via);
        for (name, value) in request.headers() {
            let name = Name::parse(&name);
            match name {
                Name::Via => {}
                Name::CSeq => new = new.header(name, format!("{cseq} {}", method.as_str())),
                _ if changes.iter().any(|(changed, _)| *changed == name) => {}
                _ => new = new.header(name, value),
            }
        }
        for (name, value) in changes.iter().filter(|(_, value)| !value.is_empty()) {
            new = new.header(name.clone(), value);
        }
        if let Some(content_type) = request.value(&Name::ContentType) {
            new = new.body(&content_type, request.body().to_vec());
        }
        (branch, new.build())
    }
}
