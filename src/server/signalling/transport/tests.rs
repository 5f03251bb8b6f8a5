//! Two transports that talk to each other over loopback: one dials, one listens.

use super::*;
use crate::net::listen::bind_sip_all;
use crate::net::tcp::PING;
use crate::net::tls::test_authority::Authority;
use crate::net::tls::{TlsClient, TlsServer};
use crate::sip::user_agent::{UaConfig, UaTrunk};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(20);
const NAME: &str = "sip.example.com";
const OPTIONS: &[u8] = b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n";

struct Side {
    transport: Transport,
    agent: UserAgent,
}

impl Side {
    fn new(tls: SipTlsSides) -> Side {
        let any = "127.0.0.1:0".parse().unwrap();
        let listen: &[SocketAddr] = if tls.server.is_some() { &[any] } else { &[] };
        let transport = Transport::new(bind_sip_all(&[any], listen).unwrap(), tls, Notes::default()).unwrap();
        let trunks = vec![UaTrunk::new(Vec::new(), Vec::new(), "x")];
        let agent = UserAgent::new(UaConfig { seed: 1, trunks, max_sessions: 1, max_transactions: 9 });
        Side { transport, agent }
    }

    /// Lets whatever happens happen until something comes.
    async fn came(&mut self) -> Came {
        timeout(LONG, async {
            loop {
                let input = self.transport.next().await;
                if let Some(came) = self.transport.handle(clock::now(), input, &mut self.agent, |_| true) {
                    return came;
                }
            }
        })
        .await
        .expect("something comes in time")
    }

    fn send(&mut self, flow: Flow, bytes: &'static [u8]) {
        self.transport.send(clock::now(), flow, Bytes::from_static(bytes), &mut self.agent);
    }
}

/// A side that listens with a certificate for [`NAME`], a side that dials, and the flow there.
fn sides(authority: &Authority) -> (Side, Side, Flow) {
    let server = TlsServer::load(authority.server("s", NAME, 2090)).unwrap();
    let there = Side::new(SipTlsSides { server: Some(server), client: TlsClient::default() });
    let here = Side::new(SipTlsSides::default());
    let listener = there.transport.listeners.iter().find(|l| l.transport == Protocol::Tls).unwrap();
    let flow =
        Flow { transport: Protocol::Tls, local: here.transport.datagrams[0].local, remote: listener.local, conn: 0 };
    (there, here, flow)
}

fn peer(name: &str, authority: &Authority) -> TlsPeer {
    TlsPeer { name: name.into(), policy: Arc::new(authority.policy()) }
}

/// TRN-07, TRN-04: a message to a TLS peer opens a connection, checked by the name that was configured; the next one takes it
/// again, the answer comes by it, and each side is told the names of the other's certificate.
#[tokio::test]
async fn one_connection_carries_both_ways() {
    let authority = Authority::new();
    let (mut there, mut here, flow) = sides(&authority);
    here.transport.set_tls_peer(flow.remote, peer(NAME, &authority));
    here.send(flow, OPTIONS);
    here.send(flow, OPTIONS);
    let mut back = None;
    for _ in 0..2 {
        let (came, _) = tokio::join!(there.came(), here.transport_turns());
        let Came::Message(arrival) = came else { panic!("{came:?}") };
        assert_eq!((arrival.bytes.as_ref(), arrival.names.len()), (OPTIONS, 0));
        back = Some(arrival.flow);
    }
    there.send(back.unwrap(), OPTIONS);
    let Came::Message(arrival) = here.came().await else { panic!("no message") };
    assert_eq!(*arrival.names, [NAME.to_owned()]);
    assert_eq!((here.transport.connections(), there.transport.connections()), (1, 1));

    // TRN-06: our keepalive by this flow, the peer's pong.
    assert!(here.transport.send_raw(arrival.flow, Bytes::from_static(PING)));
    assert!(matches!(here.came().await, Came::Pong(flow) if flow == arrival.flow));
    // The peer goes away: each flow that used the connection is lost, and keepalives say so.
    drop(there);
    let Came::Lost(lost) = here.came().await else { panic!("not lost") };
    assert_eq!(lost, [arrival.flow, flow]);
    assert!(!here.transport.send_raw(arrival.flow, Bytes::from_static(PING)));
}

impl Side {
    /// One turn, if there is one soon: the dialling side has nothing to wait for but its own handshake.
    async fn transport_turns(&mut self) {
        if let Ok(input) = timeout(Duration::from_millis(20), self.transport.next()).await {
            self.transport.handle(clock::now(), input, &mut self.agent, |_| true);
        }
    }
}

/// TRN-07: no name, a wrong name, an authority that we do not trust, a port without TLS: the flow is lost and nothing was said in
/// plain words.
#[tokio::test]
async fn nothing_goes_to_somebody_else() {
    let authority = Authority::new();
    let (mut there, mut here, flow) = sides(&authority);
    here.send(flow, OPTIONS);
    assert_eq!(here.transport.connections(), 0, "nobody knows who should be there");
    for peer in [peer("other.example.com", &authority), peer(NAME, &Authority::new())] {
        here.transport.set_tls_peer(flow.remote, peer);
        here.send(flow, OPTIONS);
        let (lost, refused) = tokio::join!(here.came(), there.came());
        assert!(matches!(&lost, Came::Lost(flows) if flows.contains(&flow)), "{lost:?}");
        assert!(matches!(refused, Came::Lost(_)), "{refused:?}");
    }
    let plain = crate::net::listen::bind_sip("127.0.0.1:0".parse().unwrap()).unwrap().tcp;
    let plain = TcpListener::from_std(plain).unwrap();
    let flow = Flow { remote: plain.local_addr().unwrap(), ..flow };
    here.transport.set_tls_peer(flow.remote, peer(NAME, &authority));
    here.send(flow, OPTIONS);
    let heard = async {
        let (mut stream, _) = plain.accept().await.unwrap();
        let mut first = [0; 3];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"SIP/2.0 200 OK\r\n\r\n").await.unwrap();
        first
    };
    let (lost, first) = tokio::join!(here.came(), heard);
    assert!(matches!(&lost, Came::Lost(flows) if flows.contains(&flow)), "{lost:?}");
    assert_eq!(first, [0x16, 3, 1], "a handshake record, no SIP");
}

/// TRN-11: what the system refuses to send fails its own flow; the socket goes on.
#[tokio::test]
async fn a_datagram_that_cannot_go_fails_alone() {
    let mut here = Side::new(SipTlsSides::default());
    let local = here.transport.datagrams[0].local;
    let flow = |remote: &str| Flow { transport: Protocol::Udp, local, remote: remote.parse().unwrap(), conn: 0 };
    let too_big = vec![b'x'; 70_000];
    assert_eq!(here.transport.send_datagram(flow("127.0.0.1:9"), &too_big), Sent::Failed);
    assert_eq!(here.transport.send_datagram(flow("[::1]:9"), OPTIONS), Sent::Failed, "no socket of that family");
    // A closed port answers by ICMP; the next datagrams come and go as ever.
    let closed = crate::net::listen::bind_udp("127.0.0.1:0".parse().unwrap(), None).unwrap().local_addr().unwrap();
    for _ in 0..3 {
        assert_eq!(here.transport.send_datagram(flow(&closed.to_string()), OPTIONS), Sent::Yes);
    }
    assert_eq!(here.transport.send_datagram(flow(&local.to_string()), OPTIONS), Sent::Yes);
    let arrival = timeout(LONG, async {
        loop {
            if let SipInput::Datagrams(n) = here.transport.next().await
                && let Some(Some(arrival)) = here.transport.datagram(n, |_, _| true)
            {
                return arrival;
            }
        }
    });
    assert_eq!(arrival.await.expect("a datagram in time").bytes, OPTIONS);
}

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

#[test]
fn no_busy_socket_hides_another() {
    let ready = |turn| first_ready(&[true, false, true], turn, |r| if *r { Poll::Ready(()) } else { Poll::Pending });
    assert_eq!(ready(0), Poll::Ready((0, ())));
    assert_eq!(ready(1), Poll::Ready((2, ())));
    assert_eq!(ready(3), Poll::Ready((0, ())));
    assert_eq!(first_ready(&[], 1, |(): &()| Poll::Ready(())), Poll::Pending);
}
