//! SIP in and out: the UDP socket, the listener, the stream connections with their tasks.
//!
//! Out: [`Arrival`]s, unparsed. The gate is asked before a datagram is copied or a connection is set up, and by
//! [`super::front`] before a stream's message is parsed.

use super::super::notes::Notes;
use crate::net::clock;
use crate::net::connections::{ConnectionLimits, Connections, SendError};
use crate::net::listen::SipListeners;
use crate::net::tcp::{StreamDeadlines, StreamEvent, accepted, dialled};
use crate::net::udp::{Sent, SipUdp};
use crate::sip::message::Framing;
use crate::sip::user_agent::UserAgent;
use crate::sip::{Flow, Transport as Protocol};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Messages of all streams that may wait; beyond, TCP holds the peers up.
const STREAM_EVENTS: usize = 1024;
/// After `accept` failed (out of descriptors): it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What came.
pub enum SipInput {
    /// Datagrams may wait in the socket.
    Datagrams,
    Stream(StreamEvent),
    Accepted(TcpStream, SocketAddr),
    /// A connection's task ended, or nothing worth a word.
    Nothing,
}

/// One message as it came.
#[derive(Debug)]
pub struct Arrival {
    pub flow: Flow,
    pub bytes: Bytes,
    pub framing: Framing,
}

/// The sockets.
pub struct Transport {
    local: SocketAddr,
    udp: SipUdp,
    listener: TcpListener,
    connections: Connections,
    /// The tasks of the connections; they end with us.
    tasks: JoinSet<()>,
    events_in: mpsc::Sender<StreamEvent>,
    events: mpsc::Receiver<StreamEvent>,
    notes: Notes,
    accept_after: Instant,
}

impl Transport {
    /// Takes bound sockets. Needs a tokio runtime.
    pub fn new(listeners: SipListeners, notes: Notes) -> std::io::Result<Transport> {
        let (events_in, events) = mpsc::channel(STREAM_EVENTS);
        Ok(Transport {
            local: listeners.addr,
            udp: SipUdp::new(listeners.udp)?,
            listener: TcpListener::from_std(listeners.tcp)?,
            connections: Connections::new(listeners.addr, ConnectionLimits::default()),
            tasks: JoinSet::new(),
            events_in,
            events,
            notes,
            accept_after: clock::now(),
        })
    }

    /// Waits for the next input. Cancel safe.
    pub async fn next(&mut self) -> SipInput {
        tokio::select! {
            () = self.udp.readable() => SipInput::Datagrams,
            event = self.events.recv() => event.map_or(SipInput::Nothing, SipInput::Stream),
            accepted = accept(&self.listener, self.accept_after) => match accepted {
                Ok((stream, remote)) => SipInput::Accepted(stream, remote),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a SIP connection");
                    self.accept_after = clock::now() + ACCEPT_PAUSE;
                    SipInput::Nothing
                }
            },
            _ = self.tasks.join_next(), if !self.tasks.is_empty() => SipInput::Nothing,
        }
    }

    /// The next datagram that `admit` lets in; `None`: none waits. `Some(None)`: some were thrown away, come again.
    pub fn datagram(&mut self, admit: impl FnMut(SocketAddr, &[u8]) -> bool) -> Option<Option<Arrival>> {
        let local = self.local;
        let arrival = |(bytes, remote)| {
            let flow = Flow { transport: Protocol::Udp, local, remote, conn: 0 };
            Arrival { flow, bytes, framing: Framing::Datagram }
        };
        Some(self.udp.try_recv(admit)?.filter(|(bytes, _)| !is_keepalive(bytes)).map(arrival))
    }

    /// Does what an input other than datagrams asks for; `admit` decides on new connections.
    pub fn handle(
        &mut self,
        now: Instant,
        input: SipInput,
        agent: &mut UserAgent,
        mut admit: impl FnMut(SocketAddr) -> bool,
    ) -> Option<Arrival> {
        match input {
            SipInput::Stream(StreamEvent::Message { flow, bytes }) => {
                return Some(Arrival { flow, bytes, framing: Framing::Stream });
            }
            SipInput::Stream(StreamEvent::Closed { flow }) => self.closed(now, flow, agent),
            SipInput::Accepted(stream, remote) if admit(remote) => self.accepted(stream, remote),
            SipInput::Accepted(..) | SipInput::Datagrams | SipInput::Nothing => {}
        }
        None
    }

    fn accepted(&mut self, stream: TcpStream, remote: SocketAddr) {
        match self.connections.admit(remote) {
            Ok((flow, queue)) => {
                self.tasks.spawn(accepted(stream, flow, queue, self.events_in.clone(), StreamDeadlines::default()));
            }
            Err(_) => self.notes.too_many_connections(remote),
        }
    }

    /// Sends one message by its flow; a stream that is not open is opened.
    pub fn send(&mut self, now: Instant, flow: Flow, bytes: Bytes, agent: &mut UserAgent) {
        if flow.transport == Protocol::Udp {
            if self.udp.send(&bytes, flow.remote) == Sent::Failed {
                agent.handle_transport_error(now, flow);
            }
            return;
        }
        let sent = match self.connections.send(flow, bytes.clone()) {
            Err(SendError::Unknown) => self.dial(flow, bytes),
            sent => sent,
        };
        if sent.is_err() {
            self.closed(now, flow, agent);
            agent.handle_transport_error(now, flow);
        }
    }

    fn dial(&mut self, flow: Flow, bytes: Bytes) -> Result<(), SendError> {
        if flow.transport != Protocol::Tcp {
            return Err(SendError::Unknown);
        }
        let (opened, queue) = self.connections.admit(flow.remote).map_err(|_| SendError::Unknown)?;
        self.tasks.spawn(dialled(opened, queue, self.events_in.clone(), StreamDeadlines::default()));
        self.connections.send(flow, bytes)
    }

    fn closed(&mut self, now: Instant, flow: Flow, agent: &mut UserAgent) {
        for failed in self.connections.remove(flow) {
            agent.handle_transport_error(now, failed);
        }
    }

    pub fn connections(&self) -> usize {
        self.connections.len()
    }
}

async fn accept(listener: &TcpListener, not_before: Instant) -> std::io::Result<(TcpStream, SocketAddr)> {
    tokio::time::sleep_until(not_before.into()).await;
    listener.accept().await
}

/// TRN-05: empty datagrams, CRLFs and NULs keep a NAT binding open and mean nothing else.
fn is_keepalive(bytes: &[u8]) -> bool {
    bytes.len() <= 4 && bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TRN-05: what keeps a NAT binding open is no message; anything longer or with a word in it may be one.
    #[test]
    fn keepalives_are_no_messages() {
        for bytes in [&b""[..], b"\r\n", b"\r\n\r\n", b"\0\0\0\0", b"\0"] {
            assert!(is_keepalive(bytes), "{bytes:?}");
        }
        for bytes in [&b"BYE "[..], b"\r\n\r\nOPTIONS", b"\0\0\0\0\0"] {
            assert!(!is_keepalive(bytes), "{bytes:?}");
        }
    }
}
