//! Binding: SIP's UDP socket and TCP listener on one address and port (RFC 3261 §18.2.1), for each address; TLS listeners of
//! their own; plain UDP sockets.

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;

/// SIP bursts: a whole second of set-ups may wait while the signalling task is away.
const SIP_BUFFER: usize = 4 << 20;
/// How often port 0 is tried until UDP and TCP have the same free port.
const PAIR_TRIES: usize = 64;
const BACKLOG: i32 = 1024;

/// DiffServ code points (RFC 4594 §2.3): media, and its signalling.
pub const DSCP_EF: u32 = 46;
const DSCP_CS3: u32 = 24;

/// Both listeners of one SIP address.
#[derive(Debug)]
pub struct SipListeners {
    pub udp: UdpSocket,
    pub tcp: TcpListener,
    /// The address both are bound to, port filled in.
    pub addr: SocketAddr,
}

/// All of SIP's sockets.
#[derive(Debug)]
pub struct SipSockets {
    /// One for each listen address, in their order; never empty.
    pub plain: Vec<SipListeners>,
    pub tls: Vec<TlsListener>,
}

/// The TLS listener of one address.
#[derive(Debug)]
pub struct TlsListener {
    pub tcp: TcpListener,
    /// Port filled in.
    pub addr: SocketAddr,
}

/// Binds UDP and TCP on each of `listen`, and TLS on each of `tls`. IPv6 sockets are for IPv6 only, so `[::]` and `0.0.0.0` may
/// have the same port. The error is a sentence for the operator.
pub fn bind_sip_all(listen: &[SocketAddr], tls: &[SocketAddr]) -> Result<SipSockets, String> {
    let plain = listen.iter().map(|addr| bind_sip(*addr)).collect::<Result<Vec<_>, _>>()?;
    if plain.is_empty() {
        return Err("cannot listen for SIP: sip.listen names no address; write one like \"192.0.2.10:5060\"".into());
    }
    let tls = tls.iter().map(|addr| bind_tls(*addr)).collect::<Result<_, _>>()?;
    Ok(SipSockets { plain, tls })
}

fn bind_tls(listen: SocketAddr) -> Result<TlsListener, String> {
    let bound = bind_tcp(listen).and_then(|tcp| Ok(TlsListener { addr: tcp.local_addr()?, tcp }));
    bound.map_err(|e| format!("cannot listen for SIP (TLS): {}", explain(listen, "sip.tls.listen", &e)))
}

/// Binds UDP and TCP; port 0 picks one that is free for both. Sockets are non-blocking.
///
/// The error is a sentence for the operator: the address, the reason, what to do.
pub fn bind_sip(listen: SocketAddr) -> Result<SipListeners, String> {
    let mut last = None;
    for _ in 0..if listen.port() == 0 { PAIR_TRIES } else { 1 } {
        match bind_pair(listen) {
            Ok(listeners) => return Ok(listeners),
            Err(failure) => last = Some(failure),
        }
    }
    let (transport, error) = last.unwrap_or(("UDP", io::ErrorKind::AddrInUse.into()));
    Err(format!("cannot listen for SIP ({transport}): {}", explain(listen, "sip.listen", &error)))
}

fn bind_pair(listen: SocketAddr) -> Result<SipListeners, (&'static str, io::Error)> {
    let udp = bind_udp(listen, Some(SIP_BUFFER)).map_err(|e| ("UDP", e))?;
    mark(&udp, DSCP_CS3);
    let addr = udp.local_addr().map_err(|e| ("UDP", e))?;
    let tcp = bind_tcp(addr).map_err(|e| ("TCP", e))?;
    Ok(SipListeners { udp, tcp, addr })
}

/// The listener of metrics and health, non-blocking. The error is a sentence for the operator.
pub fn bind_http(listen: SocketAddr) -> Result<TcpListener, String> {
    bind_tcp(listen).map_err(|e| format!("cannot listen for metrics: {}", explain(listen, "observe.listen", &e)))
}

fn explain(listen: SocketAddr, setting: &str, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program has the port (see `ss -lnp 'sport = :{}'`); stop it, or set {setting} to another port",
            listen.port()
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "no interface of this machine has that address; set {setting} to one of `ip addr` (a public one behind NAT is sip.advertise)"
            )
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE; use 5060 or above".to_string(),
        _ => format!("check {setting}"),
    };
    format!("{listen}: {error}; {advice}")
}

/// A non-blocking UDP socket; `buffer` is the receive buffer asked for, bytes (`None` = the system's).
pub fn bind_udp(addr: SocketAddr, buffer: Option<usize>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if let Some(buffer) = buffer {
        // Only a wish: the system caps it (net.core.rmem_max) and a smaller one still works.
        let _ = socket.set_recv_buffer_size(buffer);
    }
    own_family_only(&socket, addr)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// Peers then have one address and not two: `::ffff:192.0.2.1` would match no network of the settings.
fn own_family_only(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    if addr.is_ipv6() { socket.set_only_v6(true) } else { Ok(()) }
}

/// Marks what a socket sends (TRN-14). Only a wish: a network that does not look at it works all the same.
pub fn mark<S: AsFd>(socket: &S, dscp: u32) {
    let socket = SockRef::from(socket);
    // The code point stands in the upper six of the eight bits.
    let _ = match socket.domain() {
        Ok(Domain::IPV6) => socket.set_tclass_v6(dscp << 2),
        _ => socket.set_tos_v4(dscp << 2),
    };
}

fn bind_tcp(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the TIME_WAIT of old connections; a second listener is refused all the same.
    socket.set_reuse_address(true)?;
    own_family_only(&socket, addr)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    // Accepted connections inherit it.
    mark(&socket, DSCP_CS3);
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TRN-01: UDP and TCP share one port.
    #[test]
    fn port_zero_gives_one_port_for_both() {
        let a = bind_sip("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_eq!(a.udp.local_addr().unwrap(), a.tcp.local_addr().unwrap());
        assert_eq!(a.udp.local_addr().unwrap(), a.addr);
        assert_eq!(SockRef::from(&a.udp).tos_v4().unwrap(), DSCP_CS3 << 2, "TRN-14");
    }

    #[test]
    fn a_port_in_use_is_named_with_what_to_do() {
        let a = bind_sip("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = bind_sip(a.addr).unwrap_err();
        assert!(
            error.contains(&a.addr.to_string()) && error.contains("another program") && error.contains("sip.listen"),
            "{error}"
        );
    }

    /// TRN-01: several addresses, of both families, with TLS on a port of its own.
    #[test]
    fn all_addresses_are_bound() {
        let any = ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
        let sockets = bind_sip_all(&any, &any).unwrap();
        assert_eq!((sockets.plain.len(), sockets.tls.len()), (2, 2));
        assert!(sockets.plain[1].addr.is_ipv6() && sockets.tls[1].addr.is_ipv6());
        let both = format!("[::]:{}", sockets.tls[0].addr.port()).parse().unwrap();
        assert!(bind_sip_all(&[any[0]], &[both]).is_ok(), "IPv6 does not take IPv4's port");
        let error = bind_sip_all(&[any[0]], &[sockets.tls[0].addr]).unwrap_err();
        assert!(error.contains("(TLS)") && error.contains("sip.tls.listen"), "{error}");
        assert!(bind_sip_all(&[], &any).unwrap_err().contains("sip.listen"));
    }

    #[test]
    fn a_foreign_address_is_named() {
        let error = bind_sip("192.0.2.1:5060".parse().unwrap()).unwrap_err();
        assert!(error.contains("192.0.2.1:5060") && error.contains("sip.advertise"), "{error}");
    }
}
