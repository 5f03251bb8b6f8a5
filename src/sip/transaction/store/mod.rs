//! The transactions that are alive: matching, timers, bytes, and the way back to the core.
//!
//! In: own requests, responses, request copies, ACKs, timers, broken flows. Out through [`Io`]: transmissions, timers, [`Notice`]s.
//! Bound: the caller asks [`Store::len`] before it lets a request in; own requests are bounded by the sessions. Every entry
//! has a running timer or an open session behind it, so nothing stays (TXN-12).

mod clients;
mod servers;

use super::ServerKey;
use super::client::ClientNonInvite;
use super::client_invite::ClientInvite;
use super::server::ServerNonInvite;
use super::server_invite::ServerInvite;
use crate::sip::message::{Message, Method};
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
    Notify,
    Prack,
    Update,
    /// Outside of dialogs; `session` is then the number of the request (`out_of_dialog`).
    Standalone,
}

/// The request of a client transaction and where it went, for another try: the transaction itself may be gone by then.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub request: Message,
    pub flow: Flow,
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
        sent: Box<Sent>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::headers::Name;
    use crate::sip::message::Builder;
    use std::time::Duration;

    fn request(method: &Method, branch: &str) -> Message {
        Builder::request(method, "sip:a@192.0.2.1")
            .header(Name::Via, format!("SIP/2.0/UDP 192.0.2.2:5060;branch={branch}"))
            .header(Name::From, "<sip:b@192.0.2.2>;tag=1")
            .header(Name::To, "<sip:a@192.0.2.1>")
            .header(Name::CallId, "c")
            .header(Name::CSeq, format!("1 {}", method.as_str()))
            .build()
    }

    /// TXN-12: whatever ends a transaction (last timer, broken flow, abandoned) takes its timers and every index with it.
    #[test]
    fn no_index_outlives_its_transaction() {
        let t0 = crate::net::clock::now();
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let session = SessionId(1);
        for transport in [Transport::Udp, Transport::Tcp] {
            for end in 0..3 {
                let (mut store, mut io) = (Store::default(), Io::default());
                let flow = |n: u64| Flow {
                    transport,
                    local: at("192.0.2.1:5060"),
                    remote: at(if n.is_multiple_of(2) { "192.0.2.2:5060" } else { "192.0.2.3:5060" }),
                    conn: n % 2,
                };
                for n in 0..20 {
                    let method = if n % 3 == 0 { Method::Invite } else { Method::Bye };
                    let message = request(&method, &format!("z9hG4bK{n}"));
                    let invite = method == Method::Invite;
                    let key = ServerKey::of(&message).expect("a key");
                    let merge = invite.then(|| ("c".to_owned(), n.to_string(), 1));
                    let tx = store.serve(key, merge, flow(n), session, "t".into(), invite);
                    let response = Builder::response(&message, 486, "", Some("t")).build();
                    store.respond(&mut io, t0, tx, 486, &response);
                    let purpose = if invite { Purpose::Invite } else { Purpose::Bye };
                    let tx = store.start(&mut io, t0, flow(n), format!("z9hG4bK{n}"), message, session, purpose);
                    assert!(store.is_clean());
                    if n % 4 == 0 {
                        store.response(&mut io, t0, Flow { conn: 9, ..flow(n) }, &response);
                        assert!(store.is_clean(), "a stream that got its number");
                    }
                    if end == 2 {
                        store.abandon(&mut io, t0, tx);
                        assert!(store.is_clean());
                    }
                }
                if end == 1 {
                    for conn in [0, 1, 9] {
                        store.transport_error(&mut io, t0, Flow { conn, ..flow(conn % 2) });
                        store.transport_error(&mut io, t0, Flow { conn, ..flow(conn + 1) });
                        assert!(store.is_clean());
                    }
                }
                let mut now = t0;
                while let Some(next) = io.timers.next() {
                    now = now.max(next);
                    while let Some((owner, timer)) = io.timers.pop_due(now) {
                        store.timer(&mut io, now, owner, timer);
                    }
                    assert!(store.is_clean());
                    assert!(now - t0 < Duration::from_secs(100), "timers without end");
                }
                assert_eq!((store.len(), io.timers.len(), store.by_flow.len(), store.merged.len()), (0, 0, 0, 0));
            }
        }
    }
}
