//! The transactions that are alive: matching, timers, bytes, and the way back to the core.
//!
//! In: own requests, responses, request copies, ACKs, timers, broken flows. Out through [`Io`]: transmissions, timers, [`Notice`]s.
//! Bound: the caller asks [`Store::len`] before it lets a request in; own requests are bounded by the sessions. Every entry
//! has a running timer or an open session behind it, so nothing stays (TXN-12).

use super::client::ClientNonInvite;
use super::client_invite::ClientInvite;
use super::server::ServerNonInvite;
use super::server_invite::ServerInvite;
use super::{Action, ServerKey};
use crate::sip::dialog::peer_tag;
use crate::sip::headers::Name;
use crate::sip::message::{Builder, Message, Method};
use crate::sip::timers::{Owner, Timer, TimerTable, Times};
use crate::sip::user_agent::{SessionId, UaOutput};
use crate::sip::{Flow, Transport};
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

/// What the core sent a request for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Invite,
    Reinvite,
    Cancel,
    Bye,
    Info,
    Refer,
}

/// What the core must hear.
#[derive(Debug)]
pub(crate) enum Notice {
    Response {
        session: SessionId,
        purpose: Purpose,
        tx: u64,
        flow: Flow,
        message: Message,
    },
    /// No final response: 408 or 503 (§8.1.3.1).
    ClientFailed {
        session: SessionId,
        purpose: Purpose,
        tx: u64,
        status: u16,
    },
    /// The client transaction is forgotten.
    ClientGone {
        session: SessionId,
        purpose: Purpose,
        tx: u64,
    },
    /// The response of a server transaction could not be sent.
    ServerFailed {
        session: SessionId,
        tx: u64,
    },
    ServerGone {
        session: SessionId,
    },
}

/// What the store and the core write to.
#[derive(Debug, Default)]
pub(crate) struct Io {
    pub times: Times,
    pub timers: TimerTable,
    pub out: VecDeque<UaOutput>,
    pub notices: VecDeque<Notice>,
}

impl Io {
    pub fn send(&mut self, flow: Flow, bytes: Bytes) {
        self.out.push_back(UaOutput::Transmit { flow, bytes });
    }
}

#[derive(Debug)]
enum ClientMachine {
    Invite(ClientInvite),
    NonInvite(ClientNonInvite),
}

#[derive(Debug)]
struct ClientTransaction {
    machine: ClientMachine,
    branch: String,
    flow: Flow,
    request: Message,
    session: SessionId,
    purpose: Purpose,
}

#[derive(Debug)]
enum ServerMachine {
    Invite(ServerInvite),
    NonInvite(ServerNonInvite),
}

#[derive(Debug)]
struct ServerTransaction {
    machine: ServerMachine,
    key: ServerKey,
    merge: Option<MergeKey>,
    flow: Flow,
    last: Option<Bytes>,
    session: SessionId,
    to_tag: String,
}

/// From-tag, Call-ID and CSeq of a request outside a dialog (§8.2.2.2).
pub(crate) type MergeKey = (String, String, u32);

/// One flow as errors name it.
type Remote = (Transport, SocketAddr, u64);

fn remote(flow: Flow) -> Remote {
    (flow.transport, flow.remote, flow.conn)
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    clients: HashMap<u64, ClientTransaction>,
    servers: HashMap<u64, ServerTransaction>,
    by_branch: HashMap<(String, Method), u64>,
    by_key: HashMap<ServerKey, u64>,
    merged: HashMap<MergeKey, u64>,
    by_flow: HashMap<Remote, BTreeSet<Owner>>,
    serial: u64,
}

impl Store {
    pub fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }
    pub fn clients(&self) -> usize {
        self.clients.len()
    }
    pub fn servers(&self) -> usize {
        self.servers.len()
    }

    /// Whether every index is as empty as the transactions it points to.
    #[cfg(test)]
    pub fn is_clean(&self) -> bool {
        self.by_branch.len() == self.clients.len()
            && self.by_key.len() == self.servers.len()
            && self.merged.len() <= self.servers.len()
            && self.by_flow.values().map(BTreeSet::len).sum::<usize>() == self.len()
            && self.by_flow.values().all(|owners| !owners.is_empty())
    }

    fn index(&mut self, flow: Flow, owner: Owner) {
        self.by_flow.entry(remote(flow)).or_default().insert(owner);
    }

    fn unindex(&mut self, flow: Flow, owner: Owner) {
        if let Some(owners) = self.by_flow.get_mut(&remote(flow)) {
            owners.remove(&owner);
            if owners.is_empty() {
                self.by_flow.remove(&remote(flow));
            }
        }
    }
}

// Client side.
impl Store {
    /// Sends a request in a new client transaction. `branch` is that of its top Via.
    #[expect(clippy::too_many_arguments, reason = "one call site a kind of request; a struct would only rename them")]
    pub fn start(
        &mut self,
        io: &mut Io,
        now: Instant,
        flow: Flow,
        branch: String,
        request: Message,
        session: SessionId,
        purpose: Purpose,
    ) -> u64 {
        self.serial += 1;
        let (id, mut actions) = (self.serial, Vec::new());
        let reliable = flow.transport.is_reliable();
        let machine = match request.method() {
            Method::Invite => ClientMachine::Invite(ClientInvite::start(&io.times, reliable, &mut actions)),
            _ => ClientMachine::NonInvite(ClientNonInvite::start(&io.times, reliable, &mut actions)),
        };
        self.by_branch.insert((branch.clone(), request.method()), id);
        self.index(flow, Owner::Client(id));
        self.clients.insert(id, ClientTransaction { machine, branch, flow, request, session, purpose });
        self.run_client(io, now, id, actions, None);
        id
    }

    /// A response whose Via is ours. `false`: no transaction waits for it.
    pub fn response(&mut self, io: &mut Io, now: Instant, flow: Flow, message: &Message) -> bool {
        let (Some(Ok(via)), Some(Ok(cseq)), Some(status)) = (message.top_via(), message.cseq(), message.status())
        else {
            return false;
        };
        let Some(branch) = via.branch else { return false };
        let Some(&id) = self.by_branch.get(&(branch, cseq.method)) else { return false };
        let Some(tx) = self.clients.get_mut(&id) else { return false };
        if tx.flow.transport.is_reliable() && tx.flow.conn != flow.conn && tx.flow.transport == flow.transport {
            // The connection now has its number: further requests of the transaction (CANCEL, ACK) use it.
            let (old, owner) = (tx.flow, Owner::Client(id));
            tx.flow = flow;
            self.unindex(old, owner);
            self.index(flow, owner);
        }
        let Some(tx) = self.clients.get_mut(&id) else { return false };
        let (reliable, mut actions) = (tx.flow.transport.is_reliable(), Vec::new());
        match &mut tx.machine {
            ClientMachine::Invite(m) => m.response(&io.times, reliable, status, &mut actions),
            ClientMachine::NonInvite(m) => m.response(&io.times, reliable, status, &mut actions),
        }
        self.run_client(io, now, id, actions, Some((message, flow)));
        true
    }

    /// The request and flow of a live client transaction.
    pub fn request(&self, id: u64) -> Option<(&Message, Flow)> {
        self.clients.get(&id).map(|tx| (&tx.request, tx.flow))
    }

    /// Forgets a client transaction that will get no final response (§9.1).
    pub fn abandon(&mut self, io: &mut Io, now: Instant, id: u64) {
        self.run_client(io, now, id, vec![Action::Terminate], None);
    }

    fn run_client(
        &mut self,
        io: &mut Io,
        now: Instant,
        id: u64,
        actions: Vec<Action>,
        response: Option<(&Message, Flow)>,
    ) {
        for action in actions {
            let Some(tx) = self.clients.get(&id) else { return };
            let (session, purpose) = (tx.session, tx.purpose);
            match action {
                Action::Send => io.send(tx.flow, tx.request.as_bytes().clone()),
                Action::Ack => {
                    if let Some((message, _)) = response {
                        io.send(tx.flow, ack_of_refusal(&tx.request, message));
                    }
                }
                Action::PassUp => {
                    if let Some((message, flow)) = response {
                        io.notices.push_back(Notice::Response {
                            session,
                            purpose,
                            tx: id,
                            flow,
                            message: message.clone(),
                        });
                    }
                }
                Action::Start(timer, after) => io.timers.set(Owner::Client(id), timer, now + after),
                Action::Stop(timer) => io.timers.stop(Owner::Client(id), timer),
                Action::Fail(status) => io.notices.push_back(Notice::ClientFailed { session, purpose, tx: id, status }),
                Action::Terminate => self.forget_client(io, id),
            }
        }
    }

    fn forget_client(&mut self, io: &mut Io, id: u64) {
        let Some(tx) = self.clients.remove(&id) else { return };
        for timer in [Timer::A, Timer::B, Timer::D, Timer::E, Timer::F, Timer::K, Timer::M] {
            io.timers.stop(Owner::Client(id), timer);
        }
        self.unindex(tx.flow, Owner::Client(id));
        self.by_branch.remove(&(tx.branch, tx.request.method()));
        io.notices.push_back(Notice::ClientGone { session: tx.session, purpose: tx.purpose, tx: id });
    }
}

/// The ACK of a non-2xx: Request-URI, Via, From, Call-ID, Route of the INVITE, its To with the tag of the response
/// (§17.1.1.3).
fn ack_of_refusal(invite: &Message, response: &Message) -> Bytes {
    let uri = invite.request_uri().and_then(Result::ok).map(|u| u.to_string()).unwrap_or_default();
    let mut ack = Builder::request(&Method::Ack, &uri);
    if let Some(via) = invite.values(&Name::Via).into_iter().next() {
        ack = ack.header(Name::Via, via);
    }
    ack = ack.header(Name::MaxForwards, "70");
    let mut to = invite.value(&Name::To).unwrap_or_default();
    if let (Some(tag), false) = (peer_tag(response), has_tag(invite)) {
        to.push_str(&format!(";tag={tag}"));
    }
    ack = ack
        .header(Name::From, invite.value(&Name::From).unwrap_or_default())
        .header(Name::To, to)
        .header(Name::CallId, invite.value(&Name::CallId).unwrap_or_default());
    if let Some(Ok(cseq)) = invite.cseq() {
        ack = ack.header(Name::CSeq, format!("{} ACK", cseq.number));
    }
    for route in invite.values(&Name::Route) {
        ack = ack.header(Name::Route, route);
    }
    ack.build().as_bytes().clone()
}

fn has_tag(invite: &Message) -> bool {
    invite.to().is_some_and(|to| to.is_ok_and(|to| to.tag().is_some()))
}

// Server side.
impl Store {
    /// A new server transaction; `flow` is where its responses go, `to_tag` the tag they carry.
    pub fn serve(
        &mut self,
        key: ServerKey,
        merge: Option<MergeKey>,
        flow: Flow,
        session: SessionId,
        to_tag: String,
        invite: bool,
    ) -> u64 {
        self.serial += 1;
        let id = self.serial;
        let machine = match invite {
            true => ServerMachine::Invite(ServerInvite::Proceeding),
            false => ServerMachine::NonInvite(ServerNonInvite::Trying),
        };
        self.by_key.insert(key.clone(), id);
        if let Some(merge) = &merge {
            self.merged.insert(merge.clone(), id);
        }
        self.index(flow, Owner::Server(id));
        self.servers.insert(id, ServerTransaction { machine, key, merge, flow, last: None, session, to_tag });
        id
    }

    pub fn find(&self, key: &ServerKey) -> Option<u64> {
        self.by_key.get(key).copied()
    }

    /// Session and To-tag of a server transaction.
    pub fn served(&self, id: u64) -> Option<(SessionId, &str)> {
        self.servers.get(&id).map(|tx| (tx.session, tx.to_tag.as_str()))
    }

    /// Where the responses go.
    pub fn reply_flow(&self, id: u64) -> Option<Flow> {
        self.servers.get(&id).map(|tx| tx.flow)
    }

    pub fn is_merged(&self, merge: &MergeKey) -> bool {
        self.merged.contains_key(merge)
    }

    /// A copy of the request.
    pub fn repeated(&mut self, io: &mut Io, now: Instant, id: u64) {
        let Some(tx) = self.servers.get_mut(&id) else { return };
        let mut actions = Vec::new();
        match &mut tx.machine {
            ServerMachine::Invite(m) => m.request(&mut actions),
            ServerMachine::NonInvite(m) => m.request(&mut actions),
        }
        self.run_server(io, now, id, actions);
    }

    /// An ACK with the branch of this INVITE. `false`: it is for the core.
    pub fn acknowledged(&mut self, io: &mut Io, now: Instant, id: u64) -> bool {
        let Some(tx) = self.servers.get_mut(&id) else { return false };
        let (reliable, mut actions) = (tx.flow.transport.is_reliable(), Vec::new());
        let taken = match &mut tx.machine {
            ServerMachine::Invite(m) => m.ack(&io.times, reliable, &mut actions),
            ServerMachine::NonInvite(_) => false,
        };
        self.run_server(io, now, id, actions);
        taken
    }

    /// Sends a response if the machine still takes one.
    pub fn respond(&mut self, io: &mut Io, now: Instant, id: u64, status: u16, response: &Message) {
        let Some(tx) = self.servers.get_mut(&id) else { return };
        let (reliable, mut actions) = (tx.flow.transport.is_reliable(), Vec::new());
        let taken = match &mut tx.machine {
            ServerMachine::Invite(m) => m.respond(&io.times, reliable, status, &mut actions),
            ServerMachine::NonInvite(m) => m.respond(&io.times, reliable, &mut actions),
        };
        if taken {
            tx.last = Some(response.as_bytes().clone());
        }
        self.run_server(io, now, id, actions);
    }

    /// Sends the last response of a Proceeding INVITE again (the minute of §13.3.1.1).
    pub fn repeat_provisional(&mut self, io: &mut Io, id: u64) {
        if let Some(ServerTransaction {
            machine: ServerMachine::Invite(ServerInvite::Proceeding),
            flow,
            last: Some(last),
            ..
        }) = self.servers.get(&id)
        {
            io.send(*flow, last.clone());
        }
    }

    fn run_server(&mut self, io: &mut Io, now: Instant, id: u64, actions: Vec<Action>) {
        for action in actions {
            let Some(tx) = self.servers.get(&id) else { return };
            match action {
                Action::Send => {
                    if let Some(last) = &tx.last {
                        io.send(tx.flow, last.clone());
                    }
                }
                Action::Start(timer, after) => io.timers.set(Owner::Server(id), timer, now + after),
                Action::Stop(timer) => io.timers.stop(Owner::Server(id), timer),
                Action::Fail(_) => io.notices.push_back(Notice::ServerFailed { session: tx.session, tx: id }),
                Action::Terminate => self.forget_server(io, id),
                // Client actions.
                Action::Ack | Action::PassUp => {}
            }
        }
    }

    fn forget_server(&mut self, io: &mut Io, id: u64) {
        let Some(tx) = self.servers.remove(&id) else { return };
        for timer in [Timer::G, Timer::H, Timer::I, Timer::J, Timer::L] {
            io.timers.stop(Owner::Server(id), timer);
        }
        self.unindex(tx.flow, Owner::Server(id));
        self.by_key.remove(&tx.key);
        if let Some(merge) = tx.merge {
            self.merged.remove(&merge);
        }
        io.notices.push_back(Notice::ServerGone { session: tx.session });
    }
}

// Both sides.
impl Store {
    pub fn timer(&mut self, io: &mut Io, now: Instant, owner: Owner, timer: Timer) {
        let mut actions = Vec::new();
        match owner {
            Owner::Client(id) => {
                match self.clients.get_mut(&id).map(|tx| &mut tx.machine) {
                    Some(ClientMachine::Invite(m)) => m.timer(timer, &mut actions),
                    Some(ClientMachine::NonInvite(m)) => m.timer(&io.times, timer, &mut actions),
                    None => {}
                }
                self.run_client(io, now, id, actions, None);
            }
            Owner::Server(id) => {
                match self.servers.get_mut(&id).map(|tx| &mut tx.machine) {
                    Some(ServerMachine::Invite(m)) => m.timer(&io.times, timer, &mut actions),
                    Some(ServerMachine::NonInvite(m)) => m.timer(timer, &mut actions),
                    None => {}
                }
                self.run_server(io, now, id, actions);
            }
            Owner::Session(_) => {}
        }
    }

    /// The transactions of one flow fail; others, even on the same socket, do not (TRN-11).
    pub fn transport_error(&mut self, io: &mut Io, now: Instant, flow: Flow) {
        let Some(owners) = self.by_flow.get(&remote(flow)).cloned() else { return };
        for owner in owners {
            let mut actions = Vec::new();
            match owner {
                Owner::Client(id) => {
                    match self.clients.get_mut(&id).map(|tx| &mut tx.machine) {
                        Some(ClientMachine::Invite(m)) => m.transport_error(&mut actions),
                        Some(ClientMachine::NonInvite(m)) => m.transport_error(&mut actions),
                        None => {}
                    }
                    self.run_client(io, now, id, actions, None);
                }
                Owner::Server(id) => {
                    match self.servers.get_mut(&id).map(|tx| &mut tx.machine) {
                        Some(ServerMachine::Invite(m)) => m.transport_error(&mut actions),
                        Some(ServerMachine::NonInvite(m)) => m.transport_error(&mut actions),
                        None => {}
                    }
                    self.run_server(io, now, id, actions);
                }
                Owner::Session(_) => {}
            }
        }
    }
}
