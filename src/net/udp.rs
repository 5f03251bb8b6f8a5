//! SIP over UDP: one socket for receiving and for all sending (RFC 3581 §3: requests leave from the listening port).

use bytes::Bytes;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use tokio::net::UdpSocket;

/// The largest datagram.
const MAX_DATAGRAM: usize = 65_535;

/// What became of a datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Yes,
    /// The socket is full: lost like any datagram, the retransmission timers answer for it.
    Dropped,
    /// The system refused it (no route, too large): the transaction fails, the socket goes on (TRN-11).
    Failed,
}

/// The socket.
pub struct SipUdp {
    socket: UdpSocket,
    buffer: Box<[u8]>,
}

impl SipUdp {
    /// Takes a bound, non-blocking socket. Needs a tokio runtime.
    pub fn new(socket: std::net::UdpSocket) -> io::Result<SipUdp> {
        Ok(SipUdp { socket: UdpSocket::from_std(socket)?, buffer: vec![0; MAX_DATAGRAM].into() })
    }

    /// Waits until a datagram may be there.
    pub async fn readable(&self) {
        // An error of the socket itself shows at the read.
        let _ = self.socket.readable().await;
    }

    /// The next datagram, `None` when there is none now. `admit` decides by the source before the bytes are copied;
    /// a refused one comes back as `Err(source)`.
    pub fn try_recv(&mut self, admit: impl Fn(SocketAddr) -> bool) -> Option<Result<(Bytes, SocketAddr), SocketAddr>> {
        loop {
            match self.socket.try_recv_from(&mut self.buffer) {
                Ok((n, from)) if admit(from) => return Some(Ok((Bytes::copy_from_slice(&self.buffer[..n]), from))),
                Ok((_, from)) => return Some(Err(from)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return None,
                // A peer's ICMP error: it belongs to one datagram, not to the socket.
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => {}
                Err(_) => return None,
            }
        }
    }

    pub fn send(&self, bytes: &[u8], to: SocketAddr) -> Sent {
        match self.socket.try_send_to(bytes, to) {
            Ok(_) => Sent::Yes,
            Err(e) if e.kind() == ErrorKind::WouldBlock => Sent::Dropped,
            Err(_) => Sent::Failed,
        }
    }
}
