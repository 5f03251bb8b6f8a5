//! What happens to a message before the user agent sees it: gate, parsing, trunk, digest, admission.
//!
//! In: [`SipInput`]s of the transport. Out: requests and responses given to the user agent with their trunk; refusals that leave no state.

use super::super::gate::{Dropped, Gate};
use super::super::parties;
use super::super::trunks::Trunks;
use super::Signalling;
use super::challenges::Challenges;
use super::transport::{Arrival, Came, SipInput};
use crate::config::settings::UnknownSources;
use crate::net::clock;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::{Flow, TrunkId};
use crate::trunk::identify::{Facts, Identifier, Verdict};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Datagrams taken in one turn of the loop.
const BATCH: usize = 64;

/// The state before the user agent.
pub struct Front {
    gate: Gate,
    identifier: Identifier,
    challenges: Challenges,
    unknown: UnknownSources,
    /// Messages and connections of nobody we know.
    foreign: u64,
}

impl Front {
    pub fn new(now: Instant, trunks: &Trunks, unknown: UnknownSources, secret: [u8; 32]) -> Front {
        let strangers = trunks.have_strangers() || unknown == UnknownSources::Forbidden;
        Front {
            gate: Gate::new(now, trunks.shares(), strangers),
            identifier: trunks.identifier(),
            challenges: Challenges::new(trunks, secret),
            unknown,
            foreign: 0,
        }
    }

    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    /// The addresses that a trunk's targets have now.
    pub fn learn(&mut self, trunk: TrunkId, addresses: impl IntoIterator<Item = IpAddr>) {
        self.identifier.learn(trunk, addresses);
    }

    /// The source is a trunk's: it answered us there, or proved it.
    pub fn welcome(&mut self, now: Instant, source: IpAddr, trunk: TrunkId) {
        self.gate.welcome(now, source, usize::from(trunk.0));
    }

    fn dropped(&mut self, why: Dropped, source: SocketAddr, notes: &super::Notes) -> bool {
        match why {
            Dropped::Foreign => {
                self.foreign += 1;
                notes.foreign(source);
            }
            Dropped::Rate => notes.too_fast(source),
        }
        false
    }
}

impl Signalling {
    pub(super) fn input(&mut self, input: SipInput) {
        let now = clock::now();
        if let SipInput::Datagrams(socket) = input {
            return self.datagrams(now, socket);
        }
        let (front, notes) = (&mut self.front, &self.parts.notes);
        let admit = |source: SocketAddr| match front.gate.may_connect(now, source.ip()) {
            Ok(()) => true,
            Err(why) => front.dropped(why, source, notes),
        };
        let came = self.parts.transport.handle(now, input, &mut self.parts.user_agent, admit);
        let arrival = match came {
            Some(Came::Message(arrival)) => arrival,
            // The user agent has been told of lost flows.
            Some(Came::Lost(flows)) => return self.flows_lost(now, &flows),
            Some(Came::Pong(flow)) => return self.pong(now, flow),
            None => return,
        };
        match self.front.gate.admit(now, arrival.flow.remote.ip(), &arrival.bytes) {
            Ok(()) => self.arrived(now, arrival),
            Err(why) => drop(self.front.dropped(why, arrival.flow.remote, &self.parts.notes)),
        }
    }

    fn datagrams(&mut self, now: Instant, socket: usize) {
        for _ in 0..BATCH {
            let (front, notes) = (&mut self.front, &self.parts.notes);
            let admit = |source: SocketAddr, bytes: &[u8]| match front.gate.admit(now, source.ip(), bytes) {
                Ok(()) => true,
                Err(why) => front.dropped(why, source, notes),
            };
            match self.parts.transport.datagram(socket, admit) {
                Some(Some(arrival)) => self.arrived(now, arrival),
                // A keepalive, or a lot was thrown away: the others' turn.
                Some(None) | None => return,
            }
        }
    }

    fn arrived(&mut self, now: Instant, arrival: Arrival) {
        let flow = arrival.flow;
        let message = Message::parse(arrival.bytes, arrival.framing);
        let origin = match &message {
            Ok(request) if request.is_request() => match self.origin(now, flow, &arrival.names, request) {
                Some(origin) => origin,
                None => return self.after_refusal(),
            },
            Ok(_) => None,
            Err(_) => self.parts.trunks.by_source(flow.remote.ip()),
        };
        self.parts.user_agent.handle_message(now, flow, origin, message);
        // Before the next one is judged: the calls that this one began or ended count.
        self.drain();
    }

    fn after_refusal(&mut self) {
        self.drain();
        self.refusing = None;
    }

    /// The trunk of a request; `Some(None)`: of no trunk, which its dialog may know better. `None`: dealt with.
    fn origin(&mut self, now: Instant, flow: Flow, names: &[String], request: &Message) -> Option<Option<TrunkId>> {
        let facts = Facts { flow, certificate_names: names, opened_for: self.registered_by(flow) };
        match self.front.identifier.identify(&facts, request) {
            Verdict::Trunk(trunk) => {
                // Who comes by a connection is there: a peer known by its certificate is no stranger to the gate any more.
                if flow.transport.is_reliable() {
                    self.front.welcome(now, flow.remote.ip(), trunk);
                }
                self.admitted(now, trunk, flow, request).then_some(Some(trunk))
            }
            _ if is_of_a_call(request) => Some(None),
            Verdict::Challenge(trunks) => self.challenged(now, &trunks, flow, request),
            Verdict::Unknown => {
                self.front.foreign += 1;
                self.parts.notes.foreign(flow.remote);
                if self.front.unknown == UnknownSources::Forbidden {
                    self.refuse(NO_TRUNK, flow, request, 403, &[], "unknown_source");
                }
                None
            }
        }
    }

    fn challenged(
        &mut self,
        now: Instant,
        trunks: &[TrunkId],
        flow: Flow,
        request: &Message,
    ) -> Option<Option<TrunkId>> {
        use super::challenges::Proof;
        match self.front.challenges.check(now, flow.remote.ip(), request, trunks) {
            Proof::Of(trunk) => {
                self.front.welcome(now, flow.remote.ip(), trunk);
                self.admitted(now, trunk, flow, request).then_some(Some(trunk))
            }
            Proof::Ask { trunk, headers, wrong } => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.as_str())).collect();
                // A first question is no refusal and has no record: the INVITE that answers it has.
                let cause = if wrong { "bad_credentials" } else { NO_RECORD };
                self.refuse(trunk, flow, request, 401, &headers, cause);
                None
            }
            Proof::LockedOut => {
                self.parts.notes.locked_out(flow.remote);
                None
            }
        }
    }

    /// Whether a request of a trunk may go on; a new call that may not is refused here, and leaves nothing behind.
    fn admitted(&mut self, now: Instant, trunk: TrunkId, flow: Flow, request: &Message) -> bool {
        let is_new = request.method() == Method::Invite && !is_of_a_call(request);
        if !is_new || self.parts.user_agent.knows(request, flow.remote) {
            return true;
        }
        // A copy of a refused one is not asked about again: it would have two records.
        if self.parts.user_agent.refuse_again(flow, request) {
            return false;
        }
        let trunks = &self.parts.trunks;
        let caller = parties::caller_key(trunks, trunk, || parties::parties(trunks, trunk, request).caller);
        let Err((status, why)) = self.admission.admit(now, trunk, caller.as_deref(), self.load.shut()) else {
            return true;
        };
        let retry_after = why.retry_after().to_string();
        self.refuse(trunk, flow, request, status, &[(Name::RetryAfter, &retry_after)], why.label());
        false
    }

    fn refuse(
        &mut self,
        trunk: TrunkId,
        flow: Flow,
        request: &Message,
        status: u16,
        headers: &[(Name, &str)],
        cause: &'static str,
    ) {
        self.refusing = Some(cause);
        self.parts.user_agent.refuse(trunk, flow, request, status, headers);
    }
}

/// In records, the trunk of what has none.
const NO_TRUNK: TrunkId = TrunkId(u16::MAX);
/// The cause of a refusal that has no record.
pub(super) const NO_RECORD: &str = "";

/// ACK, CANCEL, or a request inside a dialog.
fn is_of_a_call(request: &Message) -> bool {
    matches!(request.method(), Method::Ack | Method::Cancel)
        || request.to().is_some_and(|to| to.is_ok_and(|to| to.tag().is_some()))
}
