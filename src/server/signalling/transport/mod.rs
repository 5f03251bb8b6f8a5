//! SIP in and out: the UDP sockets, the listeners, the stream connections with their tasks.
//!
//! | file | role |
//! |---|---|
//! | `mod` | waits for input, gives out [`Arrival`]s, unparsed; sends by the flow |
//! | `streams` | TCP and TLS connections: accepted, opened, reused, closed |
//!
//! The gate is asked before a datagram is copied or a connection is set up, and by [`super::front`] before a stream's message is
//! parsed.

mod streams;

use super::super::notes::Notes;
use crate::net::clock;
use crate::net::listen::SipSockets;
use crate::net::tcp::StreamEvent;
use crate::net::tls::SipTlsSides;
use crate::net::udp::{Sent, SipUdp};
use crate::sip::message::Framing;
use crate::sip::user_agent::UserAgent;
use crate::sip::{Flow, Transport as Protocol};
use bytes::Bytes;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use streams::Streams;
pub use streams::TlsPeer;
use tokio::net::{TcpListener, TcpStream};

/// After `accept` failed (out of descriptors): it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What came.
pub enum SipInput {
    /// Datagrams may wait in the socket of this number.
    Datagrams(usize),
    Stream(StreamEvent),
    /// By the listener of this number.
    Accepted(usize, TcpStream, SocketAddr),
    /// A connection's task ended, or nothing worth a word.
    Nothing,
}

/// One message as it came.
#[derive(Debug)]
pub struct Arrival {
    pub flow: Flow,
    pub bytes: Bytes,
    pub framing: Framing,
    /// DNS names of the TLS peer's certificate, verified; empty for everybody else.
    pub names: Arc<[String]>,
}

/// What an input was about.
#[derive(Debug)]
pub enum Came {
    Message(Arrival),
    /// The peer answered a keepalive of ours ([`Transport::send_raw`]); streams only.
    Pong(Flow),
    /// A connection is gone, and these flows with it; the user agent knows.
    Lost(Vec<Flow>),
}

struct Datagrams {
    local: SocketAddr,
    udp: SipUdp,
}

struct Listener {
    local: SocketAddr,
    transport: Protocol,
    tcp: TcpListener,
}

/// The sockets.
pub struct Transport {
    datagrams: Vec<Datagrams>,
    listeners: Vec<Listener>,
    /// Where the next look for a ready socket begins, so that a busy one does not hide the others.
    turn: usize,
    streams: Streams,
    accept_after: Instant,
}

impl Transport {
    /// Takes bound sockets. Needs a tokio runtime.
    pub fn new(sockets: SipSockets, tls: SipTlsSides, notes: Notes) -> std::io::Result<Transport> {
        let (mut datagrams, mut listeners) = (Vec::new(), Vec::new());
        for plain in sockets.plain {
            let local = plain.addr;
            datagrams.push(Datagrams { local, udp: SipUdp::new(plain.udp)? });
            listeners.push(Listener { local, transport: Protocol::Tcp, tcp: TcpListener::from_std(plain.tcp)? });
        }
        for tls in sockets.tls {
            let tcp = TcpListener::from_std(tls.tcp)?;
            listeners.push(Listener { local: tls.addr, transport: Protocol::Tls, tcp });
        }
        Ok(Transport { datagrams, listeners, turn: 0, streams: Streams::new(tls, notes), accept_after: clock::now() })
    }

    /// Waits for the next input. Cancel safe.
    pub async fn next(&mut self) -> SipInput {
        let (datagrams, turn) = (&self.datagrams, self.turn);
        let readable = poll_fn(|cx| first_ready(datagrams, turn, |d| d.udp.poll_readable(cx)));
        tokio::select! {
            (n, ()) = readable => {
                self.turn = n + 1;
                SipInput::Datagrams(n)
            }
            event = self.streams.next() => event,
            (n, accepted) = accept(&self.listeners, turn, self.accept_after) => match accepted {
                Ok((stream, remote)) => SipInput::Accepted(n, stream, remote),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a SIP connection; is the limit of open files (ulimit -n) too low?");
                    self.accept_after = clock::now() + ACCEPT_PAUSE;
                    SipInput::Nothing
                }
            },
        }
    }

    /// The next datagram of a socket that `admit` lets in; `None`: none waits. `Some(None)`: some were thrown away, come again.
    pub fn datagram(&mut self, socket: usize, admit: impl FnMut(SocketAddr, &[u8]) -> bool) -> Option<Option<Arrival>> {
        let Datagrams { local, udp } = self.datagrams.get_mut(socket)?;
        let arrival = |(bytes, remote)| {
            let flow = Flow { transport: Protocol::Udp, local: *local, remote, conn: 0 };
            Arrival { flow, bytes, framing: Framing::Datagram, names: Arc::default() }
        };
        Some(udp.try_recv(admit)?.filter(|(bytes, _)| !is_keepalive(bytes)).map(arrival))
    }

    /// Does what an input other than datagrams asks for; `admit` decides on new connections.
    pub fn handle(
        &mut self,
        now: Instant,
        input: SipInput,
        agent: &mut UserAgent,
        mut admit: impl FnMut(SocketAddr) -> bool,
    ) -> Option<Came> {
        match input {
            SipInput::Stream(event) => return self.streams.handle(now, event, agent),
            SipInput::Accepted(listener, stream, remote) if admit(remote) => {
                let Listener { transport, local, .. } = self.listeners.get(listener)?;
                self.streams.accepted(*transport, *local, stream, remote);
            }
            SipInput::Accepted(..) | SipInput::Datagrams(_) | SipInput::Nothing => {}
        }
        None
    }

    /// Sends one message by its flow; a stream that is not open is opened. TLS to an address that [`Transport::set_tls_peer`]
    /// has no name for fails: nothing ever goes out plain instead (TRN-07).
    pub fn send(&mut self, now: Instant, flow: Flow, bytes: Bytes, agent: &mut UserAgent) {
        if flow.transport != Protocol::Udp {
            self.streams.send(now, flow, bytes, agent);
        } else if self.send_datagram(flow, &bytes) == Sent::Failed {
            agent.handle_transport_error(now, flow);
        }
    }

    /// Sends a keepalive (double CRLF) by an open flow; `false`: there is none, nothing was opened. The answer on a stream is
    /// [`Came::Pong`].
    pub fn send_raw(&mut self, flow: Flow, bytes: Bytes) -> bool {
        match flow.transport {
            Protocol::Udp => self.send_datagram(flow, &bytes) != Sent::Failed,
            _ => self.streams.send_open(flow, bytes),
        }
    }

    /// By the socket of the flow's local address (TRN-03); by the first of the family when there is none like it.
    fn send_datagram(&self, flow: Flow, bytes: &[u8]) -> Sent {
        let own = self.datagrams.iter().find(|d| d.local == flow.local);
        let other = || self.datagrams.iter().find(|d| d.local.is_ipv4() == flow.remote.is_ipv4());
        own.or_else(other).map_or(Sent::Failed, |d| d.udp.send(bytes, flow.remote))
    }

    /// The local address that a request of ours to `remote` leaves from, when no flow says so: a listener of the transport and
    /// family; for streams that we can only open, of the plain one.
    pub fn local_towards(&self, transport: Protocol, remote: SocketAddr) -> Option<SocketAddr> {
        let family = |local: &SocketAddr| local.is_ipv4() == remote.is_ipv4();
        let listening = self.listeners.iter().filter(|l| l.transport == transport).map(|l| l.local).find(family);
        listening.or_else(|| self.datagrams.iter().map(|d| d.local).find(family))
    }

    /// Who the TLS peer at this address must be. Told by whoever resolved the name, before the first message to it.
    pub fn set_tls_peer(&mut self, remote: SocketAddr, peer: TlsPeer) {
        self.streams.set_tls_peer(remote, peer);
    }

    /// Closes a connection that is of no use any more.
    pub fn close(&mut self, now: Instant, flow: Flow, agent: &mut UserAgent) {
        self.streams.close(now, flow, agent);
    }

    pub fn connections(&self) -> usize {
        self.streams.len()
    }
}

async fn accept(
    listeners: &[Listener],
    turn: usize,
    not_before: Instant,
) -> (usize, std::io::Result<(TcpStream, SocketAddr)>) {
    tokio::time::sleep_until(not_before.into()).await;
    poll_fn(|cx: &mut Context<'_>| first_ready(listeners, turn, |l| l.tcp.poll_accept(cx))).await
}

/// The first of all that is ready, beginning at `turn`. Each that is not is asked, so that each wakes us.
fn first_ready<S, T>(all: &[S], turn: usize, mut poll: impl FnMut(&S) -> Poll<T>) -> Poll<(usize, T)> {
    for step in 0..all.len() {
        let n = (turn + step) % all.len();
        if let Some(Poll::Ready(ready)) = all.get(n).map(&mut poll) {
            return Poll::Ready((n, ready));
        }
    }
    Poll::Pending
}

/// TRN-05: empty datagrams, CRLFs and NULs keep a NAT binding open and mean nothing else.
fn is_keepalive(bytes: &[u8]) -> bool {
    bytes.len() <= 4 && bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0))
}

#[cfg(test)]
mod tests;
