//! SIP over UDP: one socket for receiving and for all sending (RFC 3581 §3: requests leave from the listening port).

use bytes::Bytes;
use socket2::SockRef;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tokio::net::UdpSocket;

/// The largest datagram.
const MAX_DATAGRAM: usize = 65_535;
/// Refused datagrams in one read: a flood is thrown away fast, and other work still gets its turn.
const PASSED_OVER: usize = 256;

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

    /// Ready when a datagram may be there.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        // An error of the socket itself shows at the read.
        self.socket.poll_recv_ready(context).map(|_| ())
    }

    /// The next datagram, `None` when there is none now. `admit` decides by the source and a look at the bytes before they are
    /// copied; what it says no to is passed over, at most [`PASSED_OVER`] of them: then it is `Some(None)`, come again.
    pub fn try_recv(
        &mut self,
        mut admit: impl FnMut(SocketAddr, &[u8]) -> bool,
    ) -> Option<Option<(Bytes, SocketAddr)>> {
        let mut left = PASSED_OVER;
        loop {
            match self.socket.try_recv_from(&mut self.buffer) {
                Ok((n, from)) => {
                    let bytes = self.buffer.get(..n).unwrap_or_default();
                    if admit(from, bytes) {
                        return Some(Some((Bytes::copy_from_slice(bytes), from)));
                    }
                    left -= 1;
                    if left == 0 {
                        return Some(None);
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return None,
                // A peer's ICMP error: it belongs to one datagram, not to the socket.
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => {}
                Err(_) => return None,
            }
        }
    }

    pub fn send(&self, bytes: &[u8], to: SocketAddr) -> Sent {
        // Not through tokio: it would have to have seen the socket writable before, and the first datagrams would be lost.
        match SockRef::from(&self.socket).send_to(bytes, &to.into()) {
            Ok(_) => Sent::Yes,
            Err(e) if e.kind() == ErrorKind::WouldBlock => Sent::Dropped,
            Err(_) => Sent::Failed,
        }
    }
}
