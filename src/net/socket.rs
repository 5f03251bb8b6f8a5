//! Plain sockets for those who are no server: the test phone.

use super::tcp::TlsPeer;
use super::tls::TlsClient;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Attempts to find an even port among those the kernel hands out.
const TRIES: usize = 64;

/// A UDP socket on `addr`; port 0 = any.
#[expect(clippy::disallowed_methods, reason = "sockets are opened in net")]
pub async fn udp(addr: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::bind(addr).await
}

/// Two UDP sockets: RTP on an even port, RTCP on the next one (RFC 3550 §11).
pub async fn udp_pair(ip: IpAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    for _ in 0..TRIES {
        let rtp = udp(SocketAddr::new(ip, 0)).await?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 0
            && let Ok(rtcp) = udp(SocketAddr::new(ip, port + 1)).await
        {
            return Ok((rtp, rtcp));
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free pair of UDP ports found"))
}

/// A TCP connection.
#[expect(clippy::disallowed_methods, reason = "sockets are opened in net")]
pub async fn tcp(remote: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(remote).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// TCP or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// How long connecting and shaking hands may take together.
const STREAM_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection with its local address; with `peer` it is TLS to that peer and nobody else. The error is a sentence.
pub async fn stream(remote: SocketAddr, peer: Option<&TlsPeer>) -> Result<(SocketAddr, Box<dyn Stream>), String> {
    let opened = timeout(STREAM_TIMEOUT, async {
        let stream = tcp(remote).await.map_err(|e| format!("cannot connect to {remote}: {e}"))?;
        let local = stream.local_addr().map_err(|e| e.to_string())?;
        let stream: Box<dyn Stream> = match peer {
            None => Box::new(stream),
            Some(peer) => Box::new(TlsClient::default().connect(stream, &peer.name, &peer.policy).await?.0),
        };
        Ok((local, stream))
    });
    opened.await.unwrap_or_else(|_| Err(format!("cannot connect to {remote}: no answer in time")))
}

/// The local address the kernel would use towards `remote`.
pub async fn local_ip_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = if remote.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = udp(any).await?;
    socket.connect(remote).await?;
    Ok(socket.local_addr()?.ip())
}

/// A TCP listener; port 0 = any.
#[expect(clippy::disallowed_methods, reason = "sockets are opened in net")]
pub async fn tcp_listen(addr: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(addr).await
}
