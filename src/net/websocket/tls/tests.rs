use super::*;
use crate::net::clock;
use crate::net::websocket::connect::{Target, connect};
use crate::net::websocket::frames::Inbox;
use crate::net::websocket::{Incoming, RealtimeSocket};
use crate::realtime::session::SessionFault;
use crate::realtime::{Handshake, KeyHeader};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::net::TcpListener;
use std::time::Duration;
use tungstenite::Message;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");
/// More than one round of reads takes.
const LONG: usize = 400_000;

/// A TLS WebSocket server for one connection: says "hello", then a long text, then echoes one message and closes.
#[expect(clippy::disallowed_methods, reason = "the other end of a test connection")]
fn service() -> u16 {
    let certificates =
        CertificateDer::pem_file_iter(format!("{DATA}/server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(format!("{DATA}/server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let tls = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
        // A client that does not trust us goes away here.
        let Ok(mut ws) = tungstenite::accept(tls) else { return };
        ws.send(Message::text("hello")).unwrap();
        ws.send(Message::text("x".repeat(LONG))).unwrap();
        let echo = ws.read().unwrap();
        ws.send(echo).unwrap();
        let _ = ws.close(None);
        while ws.read().is_ok() {}
    });
    port
}

fn target(host: &str, ca: bool) -> Target {
    let ca_file = Path::new(DATA).join("ca.pem");
    Target {
        handshake: Handshake {
            url: format!("wss://{host}:{}/v1/realtime", service()),
            headers: Vec::new(),
            key: KeyHeader::None,
        },
        key: None,
        tls: TlsConfig::new(ca.then_some(ca_file.as_path())).unwrap(),
        timeout: Duration::from_secs(20),
    }
}

/// Polls as a media worker does, one round after another. `None`: closed.
fn next(socket: &mut RealtimeSocket, inbox: &mut Inbox) -> Option<String> {
    let deadline = clock::now() + Duration::from_secs(20);
    while clock::now() < deadline {
        socket.begin_round(inbox);
        let said = match socket.read(inbox) {
            Incoming::Text(text) => Some(Some(text.to_owned())),
            Incoming::Closed { .. } => Some(None),
            Incoming::Empty => None,
        };
        socket.end_round(inbox);
        match said {
            Some(said) => return said,
            None => std::thread::yield_now(),
        }
    }
    panic!("nothing came in time")
}

/// The polled socket under TLS: every message whole and in order, over as many rounds as it takes.
#[tokio::test]
async fn messages_come_whole_over_tls() {
    let (mut socket, mut inbox) = (connect(target("localhost", true)).await.unwrap(), Inbox::default());
    assert_eq!(next(&mut socket, &mut inbox).as_deref(), Some("hello"));
    assert_eq!(next(&mut socket, &mut inbox).map(|text| text.len()), Some(LONG));
    socket.write(&"y".repeat(LONG), &mut Vec::new()).unwrap();
    while !socket.flush().unwrap() {
        std::thread::yield_now();
    }
    assert!(!socket.is_dirty());
    assert_eq!(next(&mut socket, &mut inbox), Some("y".repeat(LONG)));
    assert_eq!(next(&mut socket, &mut inbox), None);
}

/// TRN-07's rule for this side too: a certificate that nobody vouches for, or of another name, is refused.
#[tokio::test]
async fn a_foreign_certificate_is_refused() {
    for (host, ca) in [("localhost", false), ("127.0.0.2", true)] {
        let fault = connect(target(host, ca)).await.unwrap_err();
        assert!(matches!(&fault, SessionFault::Connect(why) if why.contains("certificate")), "{host}: {fault:?}");
    }
}

#[test]
fn a_bad_ca_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    assert!(TlsConfig::new(Some(&path)).unwrap_err().contains("ca.pem"));
    std::fs::write(&path, "nothing").unwrap();
    assert!(TlsConfig::new(Some(&path)).unwrap_err().contains("no certificate"));
    assert!(TlsConfig::new(None).is_ok());
}
