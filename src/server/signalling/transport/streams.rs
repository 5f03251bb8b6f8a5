//! Stream connections of the signalling task: accepted or opened, reused by flow or by address and name, closed.
//!
//! In: accepted sockets, messages to send, what the connections' tasks tell. Out: messages, lost flows and pongs. The tasks end with this struct.

use super::super::super::notes::Notes;
use super::{Arrival, Came, SipInput};
use crate::net::connections::{ConnectionLimits, Connections, SendError};
pub use crate::net::tcp::TlsPeer;
use crate::net::tcp::{Line, StreamDeadlines, StreamEvent, accepted, dialled};
use crate::net::tls::SipTlsSides;
use crate::sip::message::Framing;
use crate::sip::user_agent::UserAgent;
use crate::sip::{Flow, Transport as Protocol};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Messages of all streams that may wait; beyond, TCP holds the peers up.
const STREAM_EVENTS: usize = 1024;
/// Addresses with a name for TLS: those that the trunks' targets resolve to. Beyond, all are forgotten and told again.
const MAX_TLS_PEERS: usize = 4096;
/// Connections that fail are warned of this often at most; the metric counts them all.
const WARN_EVERY: Duration = Duration::from_secs(1);

pub struct Streams {
    tls: SipTlsSides,
    tls_peers: HashMap<SocketAddr, TlsPeer>,
    connections: Connections,
    tasks: JoinSet<()>,
    events_in: mpsc::Sender<StreamEvent>,
    events: mpsc::Receiver<StreamEvent>,
    notes: Notes,
    quiet_until: Option<Instant>,
}

impl Streams {
    pub fn new(tls: SipTlsSides, notes: Notes) -> Streams {
        let (events_in, events) = mpsc::channel(STREAM_EVENTS);
        Streams {
            tls,
            tls_peers: HashMap::new(),
            connections: Connections::new(ConnectionLimits::default()),
            tasks: JoinSet::new(),
            events_in,
            events,
            notes,
            quiet_until: None,
        }
    }

    /// Cancel safe.
    pub async fn next(&mut self) -> SipInput {
        tokio::select! {
            event = self.events.recv() => event.map_or(SipInput::Nothing, SipInput::Stream),
            _ = self.tasks.join_next(), if !self.tasks.is_empty() => SipInput::Nothing,
        }
    }

    pub fn handle(&mut self, now: Instant, event: StreamEvent, agent: &mut UserAgent) -> Option<Came> {
        match event {
            StreamEvent::Secured { flow, names } => self.connections.secured(flow, names),
            StreamEvent::Message { flow, bytes } => {
                // A connection that was taken out meanwhile has nothing to say any more.
                let names = self.connections.heard(flow)?;
                return Some(Came::Message(Arrival { flow, bytes, framing: Framing::Stream, names }));
            }
            StreamEvent::Pong { flow } => return Some(Came::Pong(flow)),
            StreamEvent::Failed { flow, why } => self.failed(now, flow, &why),
            StreamEvent::Closed { flow } => return Some(Came::Lost(self.closed(now, flow, agent))),
        }
        None
    }

    /// The permit is taken before the handshake begins (TRN-09).
    pub fn accepted(&mut self, transport: Protocol, local: SocketAddr, stream: TcpStream, remote: SocketAddr) {
        let tls = match (transport, &self.tls.server) {
            (Protocol::Tls, None) => return,
            (Protocol::Tls, server) => server.clone(),
            _ => None,
        };
        match self.connections.accept(transport, local, remote) {
            Ok(admitted) => {
                if let Some(evicted) = admitted.evicted {
                    self.notes.silent_connection(evicted.remote);
                }
                let line = self.line(admitted.flow, admitted.queue);
                self.tasks.spawn(accepted(stream, line, tls));
            }
            Err(_) => self.notes.too_many_connections(remote),
        }
    }

    pub fn send(&mut self, now: Instant, flow: Flow, bytes: Bytes, agent: &mut UserAgent) {
        let name = self.name(flow);
        let sent = match self.connections.send(flow, name.as_deref(), bytes.clone()) {
            Err(SendError::Unknown) => self.dial(now, flow, bytes),
            sent => sent,
        };
        if sent.is_err() {
            self.closed(now, flow, agent);
            agent.handle_transport_error(now, flow);
        }
    }

    /// By the flow's own connection (the open one to its address, if it names none); `false`: it is gone, or the peer does not
    /// read.
    pub fn send_open(&mut self, flow: Flow, bytes: Bytes) -> bool {
        let name = self.name(flow);
        (flow.conn == 0 || self.connections.is_open(flow))
            && self.connections.send(flow, name.as_deref(), bytes).is_ok()
    }

    pub fn set_tls_peer(&mut self, remote: SocketAddr, peer: TlsPeer) {
        if self.tls_peers.len() >= MAX_TLS_PEERS && !self.tls_peers.contains_key(&remote) {
            self.tls_peers.clear();
        }
        self.tls_peers.insert(remote, peer);
    }

    pub fn len(&self) -> usize {
        self.connections.len()
    }

    fn dial(&mut self, now: Instant, flow: Flow, bytes: Bytes) -> Result<(), SendError> {
        let tls = match flow.transport {
            Protocol::Tls => match self.tls_peers.get(&flow.remote) {
                Some(peer) => Some((self.tls.client.clone(), peer.clone())),
                None => {
                    self.failed(
                        now,
                        flow,
                        "no name to check its certificate against: the peer must open the connection",
                    );
                    return Err(SendError::Unknown);
                }
            },
            _ => None,
        };
        let name = self.name(flow);
        let (opened, queue) = self.connections.dial(flow, name.as_deref()).map_err(|_| SendError::Unknown)?;
        let line = self.line(opened, queue);
        self.tasks.spawn(dialled(line, tls));
        self.connections.send(flow, name.as_deref(), bytes)
    }

    /// The name that the peer of a TLS flow must have.
    fn name(&self, flow: Flow) -> Option<String> {
        let peer = self.tls_peers.get(&flow.remote).filter(|_| flow.transport == Protocol::Tls)?;
        Some(peer.policy.server_name.clone().unwrap_or_else(|| peer.name.clone()))
    }

    /// Whoever fails a thousand handshakes a second does not fill the log.
    fn failed(&mut self, now: Instant, flow: Flow, why: &str) {
        let loud = self.quiet_until.is_none_or(|until| until <= now);
        if loud {
            self.quiet_until = Some(now + WARN_EVERY);
        }
        self.notes.stream_failed(flow, why, loud);
    }

    fn line(&self, flow: Flow, queue: mpsc::Receiver<Bytes>) -> Line {
        Line { flow, queue, events: self.events_in.clone(), deadlines: StreamDeadlines::default() }
    }

    pub fn close(&mut self, now: Instant, flow: Flow, agent: &mut UserAgent) {
        self.closed(now, flow, agent);
    }

    fn closed(&mut self, now: Instant, flow: Flow, agent: &mut UserAgent) -> Vec<Flow> {
        let lost = self.connections.remove(flow);
        for flow in &lost {
            agent.handle_transport_error(now, *flow);
        }
        lost
    }
}
