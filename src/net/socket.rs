//! Plain sockets for those who are no server: the test phone.

use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::{TcpStream, UdpSocket};

/// Attempts to find an even port among those the kernel hands out.
const TRIES: usize = 64;

/// A UDP socket on `addr`; port 0 = any.
#[expect(clippy::disallowed_methods, reason = "sockets are opened in net")]
pub async fn udp(addr: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::bind(addr).await
}

/// A UDP socket on an even port, as RTP wants it (RFC 3550 §11).
pub async fn udp_even(ip: IpAddr) -> io::Result<UdpSocket> {
    for _ in 0..TRIES {
        let socket = udp(SocketAddr::new(ip, 0)).await?;
        if socket.local_addr()?.port() % 2 == 0 {
            return Ok(socket);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free even UDP port found"))
}

/// A TCP connection.
#[expect(clippy::disallowed_methods, reason = "sockets are opened in net")]
pub async fn tcp(remote: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(remote).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
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
