//! The phone's SIP side: one UDP socket, or one TCP or TLS connection.

use crate::net::socket::{self, Stream};
use crate::net::tcp::TlsPeer;
use crate::sip::framing::{Frame, StreamCutter};
use crate::sip::message::Framing;
use crate::sip::resolve::Hop;
use crate::sip::{Flow, Transport};
use crate::trunk::TlsPolicy;
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

pub struct Wire {
    pub flow: Flow,
    kind: Kind,
}

enum Kind {
    Udp { socket: UdpSocket, buffer: Vec<u8> },
    Stream { stream: Box<dyn Stream>, cutter: StreamCutter, closed: bool },
}

impl Wire {
    /// Opens the way to the first hop that can be reached by the best one's transport: there is no way down from TLS. Returns
    /// further flows of the same socket. The error is a sentence.
    pub async fn open(hops: &[Hop], policy: TlsPolicy) -> Result<(Wire, Vec<Flow>), String> {
        let best = hops.first().ok_or("no address to call")?;
        let family = |h: &&Hop| best.transport.is_reliable() || h.addr.is_ipv4() == best.addr.is_ipv4();
        let mut hops = hops.iter().filter(|h| h.transport == best.transport).filter(family);
        if best.transport == Transport::Udp {
            let local_ip = socket::local_ip_towards(best.addr).await;
            let local_ip = local_ip.map_err(|e| format!("no way to {}: {e}", best.addr))?;
            let opened = socket::udp(SocketAddr::new(local_ip, 0)).await;
            let socket = opened.map_err(|e| format!("UDP socket on {local_ip}: {e}"))?;
            let local = socket.local_addr().map_err(|e| format!("UDP socket on {local_ip}: {e}"))?;
            let flow = |hop: &Hop| Flow { transport: Transport::Udp, local, remote: hop.addr, conn: 0 };
            let kind = Kind::Udp { socket, buffer: vec![0; 65_536] };
            return Ok((Wire { flow: flow(best), kind }, hops.skip(1).map(flow).collect()));
        }
        let policy = Arc::new(policy);
        let mut problem = String::new();
        loop {
            let Some(hop) = hops.next() else { return Err(problem) };
            let peer = TlsPeer { name: hop.name.clone(), policy: Arc::clone(&policy) };
            match socket::stream(hop.addr, Some(&peer).filter(|_| hop.transport == Transport::Tls)).await {
                Ok((local, stream)) => {
                    let flow = Flow { transport: hop.transport, local, remote: hop.addr, conn: 1 };
                    let kind = Kind::Stream { stream, cutter: StreamCutter::new(), closed: false };
                    return Ok((Wire { flow, kind }, Vec::new()));
                }
                Err(why) => problem = why,
            }
        }
    }

    pub async fn send(&mut self, flow: Flow, bytes: &[u8]) -> io::Result<()> {
        match &mut self.kind {
            Kind::Udp { socket, .. } => socket.send_to(bytes, flow.remote).await.map(|_| ()),
            Kind::Stream { stream, .. } => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Messages that came; cancel-safe. A closed stream is an error once and silent after.
    pub async fn receive(&mut self) -> io::Result<Vec<(Flow, Bytes, Framing)>> {
        match &mut self.kind {
            Kind::Udp { socket, buffer } => {
                let (length, from) = socket.recv_from(buffer).await?;
                let flow = Flow { remote: from, ..self.flow };
                let bytes = buffer.get(..length).unwrap_or_default();
                Ok(vec![(flow, Bytes::copy_from_slice(bytes), Framing::Datagram)])
            }
            Kind::Stream { closed: true, .. } => std::future::pending().await,
            Kind::Stream { stream, cutter, closed } => {
                let mut buffer = [0u8; 16_384];
                let length = match stream.read(&mut buffer).await {
                    Ok(length) if length > 0 => length,
                    Ok(_) | Err(_) => {
                        *closed = true;
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                };
                cutter.push(buffer.get(..length).unwrap_or_default());
                let mut messages = Vec::new();
                while let Some(item) = cutter.next_frame() {
                    match item {
                        Ok(Frame::Message(bytes)) => messages.push((self.flow, bytes, Framing::Stream)),
                        Ok(Frame::Ping) => {}
                        Err(_) => {
                            *closed = true;
                            return Err(io::ErrorKind::InvalidData.into());
                        }
                    }
                }
                Ok(messages)
            }
        }
    }
}
