//! Handshakes between both sides over loopback, with certificates made for the test.

use super::test_authority::Authority;
use super::*;
use crate::net::listen::{TlsListener, bind_sip_all};
use crate::net::socket;
use crate::net::tcp::{Line, StreamDeadlines, StreamEvent, accepted};
use crate::sip::{Flow, Transport};
use crate::trunk::TlsPolicy;
use bytes::Bytes;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(20);
const LOCAL: &str = "127.0.0.1:0";

type Outcome = Result<Vec<String>, String>;

/// One handshake and one byte each way: what the server and the client say.
async fn meet(server: &TlsServer, name: &str, policy: &TlsPolicy) -> (Outcome, Outcome) {
    let TlsListener { tcp, addr } =
        bind_sip_all(&[LOCAL.parse().unwrap()], &[LOCAL.parse().unwrap()]).unwrap().tls.remove(0);
    let listener = tokio::net::TcpListener::from_std(tcp).unwrap();
    let serving = async {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut stream, names) = server.accept(stream).await?;
        stream.write_all(b"!").await.map_err(|e| e.to_string())?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map_err(|e| e.to_string())?;
        Ok(names)
    };
    let client = TlsClient::default();
    let calling = async {
        let stream = socket::tcp(addr).await.unwrap();
        let (mut stream, names) = client.connect(stream, name, policy).await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map_err(|e| e.to_string())?;
        stream.write_all(b"!").await.map_err(|e| e.to_string())?;
        Ok(names)
    };
    timeout(LONG, async { tokio::join!(serving, calling) }).await.expect("a handshake in time")
}

/// TRN-07: a private authority's certificate of the right name is taken, whatever name DNS gave; one of another name, an expired
/// one, one that nobody we trust has signed are not, and each refusal says what to do.
#[tokio::test]
async fn the_peer_must_be_who_was_configured() {
    let authority = Authority::new();
    let good = TlsServer::load(authority.server("good", "sip.example.com", 2090)).unwrap();
    let expired = TlsServer::load(authority.server("expired", "sip.example.com", 2021)).unwrap();
    let policy = authority.policy();
    let (there, here) = meet(&good, "sip.example.com", &policy).await;
    assert_eq!((there, here), (Ok(Vec::new()), Ok(vec!["sip.example.com".to_owned()])));
    let renamed = TlsPolicy { server_name: Some("sip.example.com".into()), ..policy.clone() };
    assert!(meet(&good, "192.0.2.1", &renamed).await.1.is_ok(), "the configured name counts");
    for (server, name, policy, expected) in [
        (&good, "other.example.com", &policy, "server_name"),
        (&good, "127.0.0.1", &policy, "server_name"),
        (&expired, "sip.example.com", &policy, "expired"),
        (&good, "sip.example.com", &TlsPolicy::default(), "ca_file"),
        (&good, "no name", &policy, "server_name"),
    ] {
        let why = meet(server, name, policy).await.1.unwrap_err();
        assert!(why.contains(expected), "{name}: {why}");
    }
}

/// TRN-08: client certificates are asked for, required or not; their names are told. ALPN is a matter of both.
#[tokio::test]
async fn client_certificates_and_alpn() {
    let authority = Authority::new();
    let asking = |require, alpn| {
        let files = authority.server("server", "sip.example.com", 2090);
        let client_ca = Some(authority.ca.clone());
        TlsServer::load(ServerFiles { client_ca, require_client_certificate: require, alpn, ..files }).unwrap()
    };
    let own = TlsPolicy { certificate: Some(authority.sign("pbx", "pbx.example.com")), ..authority.policy() };
    let names = Ok(vec!["pbx.example.com".to_owned()]);
    let name = "sip.example.com";
    assert_eq!(meet(&asking(true, false), name, &own).await.0, names);
    assert_eq!(meet(&asking(false, false), name, &own).await.0, names);
    assert_eq!(meet(&asking(false, false), name, &authority.policy()).await.0, Ok(Vec::new()));
    let (there, here) = meet(&asking(true, false), name, &authority.policy()).await;
    assert!(there.is_err() && here.is_err(), "{there:?} {here:?}");
    // A certificate of somebody else's authority is no better than none, and not taken for none.
    let foreign = Authority::new().sign("pbx", "pbx.example.com");
    let foreign = TlsPolicy { certificate: Some(foreign), ..authority.policy() };
    assert!(meet(&asking(false, false), name, &foreign).await.0.is_err());
    for (there, here) in [(false, false), (false, true), (true, false), (true, true)] {
        let policy = TlsPolicy { alpn: here, ..authority.policy() };
        assert!(meet(&asking(false, there), name, &policy).await.1.is_ok(), "ALPN {there} {here}");
    }
}

/// TRN-08, S12: new files count for new handshakes; files that are no good leave the old ones in use and say so.
#[tokio::test]
async fn certificates_are_reloaded() {
    let authority = Authority::new();
    let server = TlsServer::load(authority.server("s", "old.example.com", 2090)).unwrap();
    let sides = SipTlsSides { server: Some(server.clone()), client: TlsClient::default() };
    sides.client.prepare(&authority.policy()).unwrap();
    assert!(meet(&server, "old.example.com", &authority.policy()).await.1.is_ok());
    let (certificate, key) = authority.sign("s", "new.example.com");
    sides.reload().unwrap();
    assert!(meet(&server, "new.example.com", &authority.policy()).await.1.is_ok());
    let (_, other_key) = authority.sign("other", "new.example.com");
    let own_key = std::fs::read(&key).unwrap();
    std::fs::copy(other_key, &key).unwrap();
    let problems = sides.reload().unwrap_err();
    assert!(problems[0].contains("the key must be the one") && problems[0].contains("stays in use"), "{problems:?}");
    std::fs::write(&key, "no key").unwrap();
    assert!(sides.reload().unwrap_err()[0].contains("s.key"));
    std::fs::write(&key, own_key).unwrap();
    std::fs::remove_file(&certificate).unwrap();
    std::fs::write(&authority.ca, "").unwrap();
    assert_eq!(sides.reload().unwrap_err().len(), 2);
    let kept = TlsPolicy { ca_file: Some(authority.path().join("none.pem")), ..authority.policy() };
    assert!(sides.client.prepare(&kept).unwrap_err().contains("none.pem"));
    assert!(sides.client.prepare(&authority.policy()).is_ok(), "what was read before is still there");
}

/// S12: the warning of the certificate that is in use.
#[test]
fn our_certificate_is_watched() {
    let authority = Authority::new();
    let server = TlsServer::load(authority.server("s", "sip.example.com", 2030)).unwrap();
    let at = |unix_secs: u64| server.expiry_warning(unix_secs * 1000);
    let end = 1_893_456_000;
    assert_eq!(at(end - 20 * 86_400), None);
    assert!(at(end - 3 * 86_400).unwrap().contains("3 day(s)"));
    assert!(at(end + 1).unwrap().contains("has expired"));
    assert_eq!(SipTlsSides::default().expiry_warning(end * 1000), None);
}

/// A served TLS connection with a peer that has not begun to shake hands; its events and write queue.
async fn waiting(handshake: Duration) -> (TcpStream, mpsc::Receiver<StreamEvent>, mpsc::Sender<Bytes>) {
    let authority = Authority::new();
    let server = TlsServer::load(authority.server("s", "sip.example.com", 2090)).unwrap();
    let sockets = bind_sip_all(&[LOCAL.parse().unwrap()], &[]).unwrap().plain.remove(0);
    let listener = tokio::net::TcpListener::from_std(sockets.tcp).unwrap();
    let peer = socket::tcp(sockets.addr).await.unwrap();
    let (stream, remote) = listener.accept().await.unwrap();
    let flow = Flow { transport: Transport::Tls, local: sockets.addr, remote, conn: 1 };
    let (events_in, events) = mpsc::channel(8);
    let (writes, queue) = mpsc::channel(8);
    let deadlines = StreamDeadlines { handshake, ..StreamDeadlines::default() };
    #[expect(clippy::disallowed_methods, reason = "in production signalling spawns it")]
    tokio::spawn(accepted(stream, Line { flow, queue, events: events_in, deadlines }, Some(server)));
    (peer, events, writes)
}

async fn next(events: &mut mpsc::Receiver<StreamEvent>) -> StreamEvent {
    timeout(LONG, events.recv()).await.expect("an event in time").expect("an event")
}

/// TRN-09: a handshake that does not end in time is given up, and one that has to make room for others at once.
#[tokio::test]
async fn a_handshake_has_a_deadline() {
    let (mut peer, mut events, _writes) = waiting(Duration::from_millis(50)).await;
    peer.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    assert!(matches!(next(&mut events).await, StreamEvent::Failed { why, .. } if why.contains("in time")));
    assert!(matches!(next(&mut events).await, StreamEvent::Closed { .. }));
    let (_peer, mut events, writes) = waiting(LONG).await;
    drop(writes);
    assert!(matches!(next(&mut events).await, StreamEvent::Closed { .. }));
    let (mut peer, mut events, _writes) = waiting(LONG).await;
    peer.write_all(b"OPTIONS sip:x SIP/2.0\r\n\r\n").await.unwrap();
    assert!(matches!(next(&mut events).await, StreamEvent::Failed { .. }), "plain SIP is no handshake");
}
