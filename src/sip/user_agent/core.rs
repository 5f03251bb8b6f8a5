//! What every session shares: configuration, random numbers, transactions, timers, outputs, and the headers we write.

use super::refusals::Refusals;
use super::types::{UaConfig, UaEvent, UaOutput, UaTrunk};
use crate::sip::dialog::Dialog;
use crate::sip::digest;
use crate::sip::headers::{Name, Reason};
use crate::sip::message::{Builder, Message, Method};
use crate::sip::random::{Random, hex};
use crate::sip::timers::{Owner, Timer};
use crate::sip::transaction::{Io, Store, reply_flow};
use crate::sip::user_agent::SessionId;
use crate::sip::{Flow, Transport, TrunkId};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Bodies we take in an INVITE.
pub(crate) const ACCEPT: &str = "application/sdp";

#[derive(Debug)]
pub(crate) struct Core {
    pub config: UaConfig,
    pub random: Random,
    pub io: Io,
    pub store: Store,
    /// Key of the To-tags of stateless responses.
    secret: u64,
    /// Sessions that have not ended.
    pub live: usize,
    /// OVL-04: the peers are to send their calls elsewhere.
    pub draining: bool,
    /// Requests dropped because a store was full.
    pub dropped: u64,
    /// Sessions that another one has taken over: they get their BYE next (RFC 3891).
    pub replaced: Vec<SessionId>,
    /// Counts of the nonces that our requests were challenged with.
    pub digest: digest::client::Client,
    /// Hosts that asked to be left alone (503 with Retry-After), and until when.
    pub busy: VecDeque<(SocketAddr, Instant)>,
    /// Preloaded Route of a trunk's requests (RFC 3608).
    pub routes: HashMap<TrunkId, Vec<String>>,
    /// The calls refused last.
    refusals: Refusals,
}

impl Core {
    pub fn new(config: UaConfig) -> Core {
        let mut random = Random::new(config.seed);
        let secret = random.secret();
        Core {
            config,
            random,
            io: Io::default(),
            store: Store::default(),
            secret,
            live: 0,
            draining: false,
            dropped: 0,
            replaced: Vec::new(),
            digest: digest::client::Client::default(),
            busy: VecDeque::new(),
            routes: HashMap::new(),
            refusals: Refusals::default(),
        }
    }

    pub fn event(&mut self, event: UaEvent) {
        self.io.out.push_back(UaOutput::Event(event));
    }

    pub fn start(&mut self, now: Instant, session: SessionId, timer: Timer, after: Duration) {
        self.io.timers.set(Owner::Session(session), timer, now + after);
    }

    pub fn stop(&mut self, session: SessionId, timer: Timer) {
        self.io.timers.stop(Owner::Session(session), timer);
    }

    pub fn is_running(&self, session: SessionId, timer: Timer) -> bool {
        self.io.timers.is_running(Owner::Session(session), timer)
    }

    /// The trunk's settings. An owner that names a trunk it never configured gets the first one's.
    pub fn trunk(&self, trunk: TrunkId) -> &UaTrunk {
        let trunks = &self.config.trunks;
        trunks.get(usize::from(trunk.0)).or_else(|| trunks.first()).expect("UaConfig::trunks is never empty")
    }

    /// The advertised address for a flow: of its transport; that of its local socket before another of its family, by port if a
    /// NAT changes the address. `None`: transport not in use.
    pub fn advertised(&self, trunk: TrunkId, flow: Flow) -> Option<SocketAddr> {
        let of_transport = self.trunk(trunk).advertised.iter().filter(|(t, _)| *t == flow.transport).map(|(_, a)| *a);
        let fits = |a: &SocketAddr| {
            let family = a.is_ipv4() == flow.remote.is_ipv4();
            (family, *a == flow.local, family && a.port() == flow.local.port())
        };
        // The first of those that fit best.
        of_transport.rev().max_by_key(fits)
    }

    /// `host:port` of Via and Contact.
    fn own_address(&self, trunk: TrunkId, flow: Flow) -> String {
        let address = self.advertised(trunk, flow).unwrap_or(flow.local);
        match &self.trunk(trunk).advertised_host {
            Some(host) => format!("{host}:{}", address.port()),
            None => address.to_string(),
        }
    }

    /// Whether a response's Via names us.
    pub fn is_our_via(&self, host: &str, flow: Flow) -> bool {
        let Ok(ip) = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>() else {
            let names =
                |trunk: &UaTrunk| trunk.advertised_host.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(host));
            return self.config.trunks.iter().any(names);
        };
        flow.local.ip() == ip || self.config.trunks.iter().any(|t| t.advertised.iter().any(|(_, a)| a.ip() == ip))
    }

    pub fn contact(&self, trunk: TrunkId, flow: Flow) -> String {
        let (user, at) = (&self.trunk(trunk).contact_user, self.own_address(trunk, flow));
        let transport = match flow.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        };
        match user.as_str() {
            "" => format!("<sip:{at}{transport}>"),
            user => format!("<sip:{user}@{at}{transport}>"),
        }
    }

    /// A new branch and the Via with it.
    pub fn via(&mut self, trunk: TrunkId, flow: Flow) -> (String, String) {
        let branch = self.random.branch();
        let via =
            format!("SIP/2.0/{} {};branch={branch};rport", flow.transport.via_token(), self.own_address(trunk, flow));
        (branch, via)
    }

    /// An in-dialog request up to its own headers: branch, flow, builder (RFC 3261 §12.2.1.1).
    pub fn in_dialog(&mut self, dialog: &Dialog, method: &Method, cseq: u32) -> (String, Flow, Builder) {
        let target = dialog.target();
        let (branch, via) = self.via(dialog.trunk, target.flow);
        let mut request =
            Builder::request(method, &target.request_uri).header(Name::Via, via).header(Name::MaxForwards, "70");
        for route in target.routes {
            request = request.header(Name::Route, route);
        }
        request = request
            .header(Name::From, dialog.from())
            .header(Name::To, dialog.to())
            .header(Name::CallId, &dialog.call_id)
            .header(Name::CSeq, format!("{cseq} {}", method.as_str()));
        (branch, target.flow, request)
    }

    /// The ACK of a 2xx: a request of its own on the route set (§13.2.2.4).
    pub fn ack(&mut self, dialog: &Dialog, cseq: u32, sdp: Option<&Bytes>) -> (Flow, Bytes) {
        let (_, flow, mut ack) = self.in_dialog(dialog, &Method::Ack, cseq);
        if let Some(sdp) = sdp {
            ack = ack.body(ACCEPT, sdp.to_vec());
        }
        (flow, ack.build().as_bytes().clone())
    }

    /// A response with our capabilities and Contact (2xx of INVITE, UPDATE, OPTIONS).
    pub fn capable(&self, trunk: TrunkId, request: &Message, status: u16, to_tag: &str, flow: Flow) -> Builder {
        Builder::response(request, status, "", Some(to_tag))
            .header(Name::Contact, self.contact(trunk, flow))
            .header(Name::Allow, self.allow(trunk))
            .header(Name::Accept, ACCEPT)
            .header(Name::Supported, self.supported(trunk))
    }

    /// Sends a response in its transaction.
    pub fn respond(&mut self, now: Instant, tx: u64, status: u16, response: Builder) -> Bytes {
        let message = response.build();
        self.store.respond(&mut self.io, now, tx, status, &message);
        message.as_bytes().clone()
    }

    /// Answers without a transaction (§8.2.7): a copy of the request gets the same bytes again, a flood costs no memory.
    pub fn respond_stateless(
        &mut self,
        trunk: TrunkId,
        flow: Flow,
        request: &Message,
        status: u16,
        headers: &[(Name, &str)],
    ) {
        if request.method() == Method::Ack {
            return;
        }
        let mut response = Builder::response(request, status, "", Some(&self.stateless_tag(request)));
        for (name, value) in headers {
            response = response.header(name.clone(), value);
        }
        let bytes = response.build().as_bytes().clone();
        let new_call = request.method() == Method::Invite
            && !request.to().is_some_and(|to| to.is_ok_and(|to| to.tag().is_some()))
            && status != 482;
        if new_call && self.refuse_again(flow, request) {
            return;
        }
        self.io.send(reply_flow(flow, request), bytes.clone());
        // OVL-08: the owner is told of each refused call once.
        if new_call && self.refusals.remember(self.stateless_hash(request), bytes) {
            self.event(UaEvent::Refused { trunk, flow, invite: request.clone(), status });
        }
    }

    /// A copy of a call that was refused without a session gets its refusal again.
    pub fn refuse_again(&mut self, flow: Flow, invite: &Message) -> bool {
        let Some(bytes) = self.refusals.response(self.stateless_hash(invite)) else { return false };
        self.io.send(reply_flow(flow, invite), bytes);
        true
    }

    /// A To-tag that only we can make, the same for each copy of a request.
    pub fn stateless_tag(&self, request: &Message) -> String {
        hex(self.stateless_hash(request))
    }

    fn stateless_hash(&self, request: &Message) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.secret.hash(&mut hasher);
        request.call_id().hash(&mut hasher);
        request.value(&Name::From).hash(&mut hasher);
        request.value(&Name::CSeq).hash(&mut hasher);
        if let Some(Ok(via)) = request.top_via() {
            (via.host, via.port, via.branch).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// A Reason header value (RFC 3326).
pub(crate) fn reason_value(reason: &Reason) -> String {
    let mut value = reason.protocol.clone();
    if let Some(cause) = reason.cause {
        value.push_str(&format!(";cause={cause}"));
    }
    if let Some(text) = &reason.text {
        value.push_str(&format!(";text=\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    }
    value
}
