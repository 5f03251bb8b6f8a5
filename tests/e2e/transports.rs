//! The ways in: UDP, TCP and TLS, over IPv4 and IPv6; what a stream may and may not do.

use crate::caller::{Caller, Duplex, connect, header};
use crate::certificates::{Authority, PEER_NAME, SERVER_NAME};
use crate::world::{World, own_ip, plan};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use voxtrunk::config::settings::Network;
use voxtrunk::sip::Transport;
use voxtrunk::trunk::{Identify, Trunk};

const LONG: Duration = Duration::from_secs(20);
const OPTIONS: &str = "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bKo1\r\nMax-Forwards: 70\r\n\
    From: <sip:a@b>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: t1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

/// A call with the greeting heard and a BYE answered; returns the 200.
async fn call(caller: &mut Caller) -> String {
    caller.invite("1000").await;
    let (status, ok) = caller.answer().await;
    assert_eq!(status, 200, "{ok}");
    assert!(caller.listen(LONG, |h| h.loudest > 500.0).await.loudest > 500.0, "the greeting");
    assert_eq!(caller.bye().await, 200);
    ok
}

/// A connection with the handshake done.
async fn secure(at: SocketAddr, authority: &Authority, own: Option<&Authority>) -> Box<dyn Duplex> {
    let stream = connect(at.ip(), at).await;
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    Box::new(authority.connector(own).connect(name, stream).await.unwrap())
}

/// Whether OPTIONS gets an answer; else the connection ends without a byte.
async fn is_answered(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> bool {
    let _ = stream.write_all(OPTIONS.as_bytes()).await;
    let _ = stream.flush().await;
    let mut answer = [0; 12];
    match timeout(LONG, stream.read_exact(&mut answer)).await.expect("an answer or an end in time") {
        Ok(_) => answer.starts_with(b"SIP/2.0 200"),
        Err(_) => false,
    }
}

/// TRN-01, TRN-03, TRN-10: two interfaces and IPv6, UDP, TCP and TLS on each. Each address answers from its own socket (the
/// caller's is connected to it) and calls itself so in Contact and SDP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_address_speaks_for_itself() {
    let authority = Authority::new();
    let second = own_ip();
    let world = World::new(vec![plan("1000", "")], |s| {
        let third = IpAddr::V6(Ipv6Addr::LOCALHOST);
        s.sip.listen_also = vec![(second, 0).into(), (third, 0).into()];
        s.sip.peers.extend([Network::from(second), Network::from(third)]);
        authority.listen(s);
    })
    .await;
    let listening = world.server.listening().to_vec();
    assert_eq!(listening.len(), 9, "{listening:?}");
    for (transport, at) in listening {
        let mut caller = match transport {
            Transport::Udp => Caller::udp(at).await,
            Transport::Tcp => Caller::tcp(at).await,
            Transport::Tls => Caller::tls(at, &authority).await,
        };
        let ok = call(&mut caller).await;
        let contact = header(&ok, "Contact").unwrap();
        assert!(contact.contains(&format!("@{at}")), "{transport:?}: {contact}");
        let family = if at.is_ipv4() { "IP4" } else { "IP6" };
        assert!(ok.contains(&format!("\r\nc=IN {family} {}\r\n", at.ip())), "{ok}");
    }
    assert_eq!(world.stop().await.len(), 9);
}

/// TRN-08, S12: a call by TLS lives on while the certificate is replaced; new connections get the new one. Files that are no good
/// change nothing, and the reload says which and why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_drops_no_call() {
    let authority = Authority::new();
    let world = World::new(vec![plan("1000", "")], |s| authority.listen(s)).await;
    let at = world.sip_tls();
    let mut running = Caller::tls(at, &authority).await;
    assert_eq!(running.call("1000").await, 200);

    let (certificate, key) = authority.sign("server", "other.example.com");
    // The book of a test has no files: reload complains of that alone.
    let _ = world.server.reload().await;
    assert!(Caller::try_tls(at, &authority, None).await.is_err(), "the new certificate is for another name");
    let (other, _) = authority.sign("other", SERVER_NAME);
    std::fs::copy(other, &certificate).unwrap();
    let problems = world.server.reload().await.unwrap_err().join("\n");
    assert!(problems.contains("the key must be the one") && problems.contains("stays in use"), "{problems}");
    std::fs::write(&key, "").unwrap();
    let problems = world.server.reload().await.unwrap_err().join("\n");
    assert!(problems.contains("server.key"), "{problems}");
    authority.sign("server", SERVER_NAME);
    let _ = world.server.reload().await;
    call(&mut Caller::tls(at, &authority).await).await;

    assert!(running.listen(LONG, |h| h.packets > 10).await.packets > 10, "the call goes on");
    assert_eq!(running.bye().await, 200);
    assert_eq!(world.stop().await.len(), 2);
}

/// TRN-08: who must show a certificate and has none, or one of a foreign authority, gets nothing; with one a call goes through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_without_certificate_gets_nothing() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    let world = World::new(vec![plan("1000", "")], |s| {
        authority.listen(s);
        let tls = s.sip.tls.as_mut().unwrap();
        tls.client_ca = Some(authority.ca.clone());
        tls.require_client_certificate = true;
    })
    .await;
    let at = world.sip_tls();
    // In TLS 1.3 the client is done before the server has judged it.
    assert!(!is_answered(&mut secure(at, &authority, None).await).await);
    assert!(!is_answered(&mut secure(at, &authority, Some(&foreign)).await).await);
    assert!(is_answered(&mut secure(at, &authority, Some(&authority)).await).await, "{PEER_NAME}");
    call(&mut Caller::try_tls(at, &authority, Some(&authority)).await.unwrap()).await;
    assert_eq!(world.stop().await.len(), 1);
}

/// TRN-07: nobody gets SIP out of the TLS port without TLS, nor out of the plain port with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_and_tls_do_not_mix() {
    let authority = Authority::new();
    let world = World::new(vec![plan("1000", "")], |s| authority.listen(s)).await;
    assert!(!is_answered(&mut connect(world.sip().ip(), world.sip_tls()).await).await);
    let stream = connect(world.sip().ip(), world.sip()).await;
    let shaken = authority.connector(None).connect(ServerName::try_from(SERVER_NAME).unwrap(), stream);
    // The plain port waits for a message; ours are closed at its deadline or when we give up.
    assert!(!matches!(timeout(Duration::from_millis(300), shaken).await, Ok(Ok(_))));
    assert!(is_answered(&mut secure(world.sip_tls(), &authority, None).await).await);
    world.stop().await;
}

/// PAR-06, PAR-07: by TCP as by TLS a message comes in any pieces, two in one piece are two, keepalives are answered, and what
/// cannot be cut or is too long closes the connection without an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_cut_by_length() {
    let authority = Authority::new();
    let world = World::new(vec![plan("1000", "")], |s| authority.listen(s)).await;
    for tls in [false, true] {
        let open = async || -> Box<dyn Duplex> {
            if tls {
                secure(world.sip_tls(), &authority, None).await
            } else {
                Box::new(connect(world.sip().ip(), world.sip()).await)
            }
        };
        let mut stream = open().await;
        stream.write_all(b"\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        let mut pong = [0; 2];
        timeout(LONG, stream.read_exact(&mut pong)).await.unwrap().unwrap();
        assert_eq!(&pong, b"\r\n");
        let two = [OPTIONS, &OPTIONS.replace("CSeq: 1", "CSeq: 2").replace("bKo1", "bKo2")].concat();
        for byte in two.as_bytes() {
            stream.write_all(&[*byte]).await.unwrap();
            stream.flush().await.unwrap();
        }
        let mut answers = Vec::new();
        while String::from_utf8_lossy(&answers).matches("SIP/2.0 200 ").count() < 2 {
            assert!(timeout(LONG, stream.read_buf(&mut answers)).await.unwrap().unwrap() > 0);
        }
        let long = OPTIONS.replace("Call-ID", &format!("X: {}\r\nCall-ID", "x".repeat(8000)));
        let rows = [
            OPTIONS.replace("Content-Length: 0\r\n", ""),
            OPTIONS.replace("Content-Length: 0", "Content-Length: -1"),
            OPTIONS.replace("Content-Length: 0", "Content-Length: 65536"),
            "x".repeat(70_000),
            OPTIONS.replace("Call-ID", &format!("{}Call-ID", "X: 1\r\n".repeat(20_000))),
        ];
        for row in rows {
            let mut stream = open().await;
            // The server may have closed it before all is written.
            let _ = stream.write_all(row.as_bytes()).await;
            let _ = stream.flush().await;
            let mut answer = Vec::new();
            let _ = timeout(LONG, stream.read_to_end(&mut answer)).await.expect("closed in time");
            assert!(answer.is_empty(), "{:?} to {:.60}", String::from_utf8_lossy(&answer), row);
        }
        let mut stream = open().await;
        stream.write_all(long.as_bytes()).await.unwrap();
        assert!(is_answered(&mut stream).await, "8,000 bytes in a line are allowed");
    }
    world.until("no connections", |c| c.connections == 0).await;
    world.stop().await;
}

/// A9, TRN-09: thousands of connections to the TLS port that never finish a handshake, and to the plain port that never bring a
/// message, from many addresses; a call by TLS goes through all the same, and the table stays small.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connections_do_not_keep_calls_out() {
    let authority = Authority::new();
    let world = World::new(vec![plan("1000", "")], |s| {
        s.sip.peers = vec![Network::parse("127.0.0.0/8").unwrap()];
        authority.listen(s);
    })
    .await;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    // Each holds a descriptor here, and one in the server until it has to go; other tests need some too.
    let wanted = usize::try_from(limit / 3).unwrap().clamp(300, 6000);
    let mut held: Vec<TcpStream> = Vec::with_capacity(wanted);
    for n in 0..wanted {
        // 200 from each address, below the cap of one.
        let from = IpAddr::from([127, 33, (std::process::id() % 250) as u8, 1 + (n / 200) as u8]);
        let mut stream = connect(from, if n % 4 == 3 { world.sip() } else { world.sip_tls() }).await;
        // A third has begun a handshake (record header of a ClientHello), or a message.
        match n % 3 {
            0 => drop(stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await),
            1 => drop(stream.write_all(b"OPTIONS sip:").await),
            _ => {}
        }
        held.push(stream);
    }
    call(&mut Caller::tls(world.sip_tls(), &authority).await).await;
    let counts = world.server.counts().await;
    assert!(counts.connections <= 1025, "{} of {wanted} half-open connections are held", counts.connections);
    eprintln!("{wanted} half-open connections, {} held by the server", counts.connections);
    drop(held);
    world.until("all gone", |c| c.connections == 0).await;
    assert_eq!(world.stop().await.len(), 1);
}

/// TRN-12, PAR-07: an INVITE of 60 KiB in one datagram is a call; one with more headers than anybody
/// reads is refused, and neither costs anybody else anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invite_of_60_kib_is_a_call() {
    let world = World::simple().await;
    let mut caller = Caller::udp(world.sip()).await;
    let filler = "X-Filler: 0123456789\r\n".repeat(100) + &format!("X-Long: {}\r\n", "x".repeat(8000)).repeat(7);
    caller.invite_adding("1000", &filler).await;
    assert_eq!(caller.answer().await.0, 200);
    assert_eq!(caller.bye().await, 200);
    let mut greedy = Caller::udp(world.sip()).await;
    greedy.invite_adding("1000", &"X-Filler: 0\r\n".repeat(200)).await;
    let (status, _) = greedy.answer().await;
    assert!((400..600).contains(&status), "{status}");
    call(&mut Caller::udp(world.sip()).await).await;
    world.stop().await;
}

/// TRN-08, AUT-01: a trunk that is known by the name in its certificate, wherever it calls from: with that name a call is the
/// trunk's, without a certificate nothing is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_is_known_by_its_certificate() {
    let authority = Authority::new();
    let world = World::new(vec![plan("1000", "")], |s| {
        authority.listen(s);
        s.sip.tls.as_mut().unwrap().client_ca = Some(authority.ca.clone());
        s.sip.peers = vec![Network::from(own_ip())];
        let identify = Identify { certificate_names: vec![PEER_NAME.into()], ..Identify::default() };
        s.trunks = vec![Trunk { identify, transports: vec![Transport::Tls], ..Trunk::new("carrier") }];
    })
    .await;
    call(&mut Caller::try_tls(world.sip_tls(), &authority, Some(&authority)).await.unwrap()).await;
    let mut carrier = Caller::try_tls(world.sip_tls(), &authority, Some(&authority)).await.unwrap();
    // It has the budget of a trunk from now on, not that of a stranger.
    for _ in 0..40 {
        let answer = carrier.options().await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    }
    let mut nobody = Caller::tls(world.sip_tls(), &authority).await;
    nobody.invite("1000").await;
    assert_eq!(nobody.next(Duration::from_millis(500)).await, None);
    let records = world.stop().await;
    assert_eq!((records.len(), records[0]["trunk"].as_str()), (1, Some("carrier")), "{records:?}");
}
