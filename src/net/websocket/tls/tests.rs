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

/// A stream that gives these bytes, over and over if it is endless, at most `piece` at once, and takes everything.
struct Script<'a> {
    bytes: &'a [u8],
    given: usize,
    endless: bool,
    piece: usize,
}

impl Read for Script<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.given == self.bytes.len() && self.endless {
            self.given = 0;
        }
        let n = buffer.len().min(self.bytes.len() - self.given).min(self.piece);
        buffer[..n].copy_from_slice(&self.bytes[self.given..self.given + n]);
        self.given += n;
        Ok(n)
    }
}

impl Write for Script<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A peer whose records come in single octets.
struct Dripping(peer::Peer);

impl Read for Dripping {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(&mut buffer[..1])
    }
}

impl Write for Dripping {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A service with every cipher takes AES-128-GCM; one with others gets what it has, however its records come.
#[test]
fn any_cipher_will_do_and_the_cheapest_goes_first() {
    let mut all = peer::Peer::new(peer::serving(&peer::SUITES));
    peer::trusting().session("localhost", &mut all).unwrap();
    assert_eq!(all.server.negotiated_cipher_suite(), Some(peer::TLS13));
    for suite in peer::SUITES {
        let mut dripping = Dripping(peer::Peer::new(peer::serving(&[suite])));
        peer::trusting().session("localhost", &mut dripping).unwrap();
        assert_eq!(dripping.0.server.negotiated_cipher_suite(), Some(suite));
    }
}

/// A26: whose certificate we do not take is told so before we go.
#[test]
fn a_refused_service_is_told_why() {
    for suite in [peer::TLS13, peer::TLS12] {
        let mut refused = peer::Peer::new(peer::serving(&[suite]));
        let why = TlsConfig::new(None).unwrap().session("localhost", &mut refused).map(|_| ()).unwrap_err();
        assert!(why.contains("certificate"), "{why}");
        assert!(matches!(refused.broken, Some(rustls::Error::AlertReceived(_))), "{suite:?}: {:?}", refused.broken);
    }
}

/// A26: what is no handshake, breaks off, or never ends is an error with the name of the service, and takes no more than some memory.
#[test]
fn what_is_no_handshake_is_refused() {
    // The beginning of a certificate of 16 MiB, and of one record after another with a piece of it.
    let endless = [&[22, 3, 3, 0x40, 0, 11, 255, 255, 255][..], &[0; 16_380]].concat();
    let scripts: [(&[u8], bool); 5] = [
        (b"", false),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", false),
        (&[22, 3, 3, 0, 4, 2, 0, 0, 9], false),
        (&[21, 3, 3, 0, 2, 2, 40], false),
        (&endless, true),
    ];
    for (bytes, endless) in scripts {
        for piece in [1, usize::MAX] {
            let mut script = Script { bytes, given: 0, endless, piece };
            let why = peer::trusting().session("localhost", &mut script).map(|_| ()).unwrap_err();
            assert!(why.starts_with("localhost: ") && why.len() > 20, "{why}");
        }
    }
}

proptest::proptest! {
    /// Whatever is changed in the server's side of a handshake: an error, or the handshake was not touched; never a panic.
    #[test]
    fn a_changed_handshake_is_no_panic(at in 0usize..1_200, bit in 0u8..8, tls13 in proptest::prelude::any::<bool>()) {
        struct Changing { peer: peer::Peer, at: usize, bit: u8 }
        impl Read for Changing {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let n = self.peer.read(buffer)?;
                if let Some(octet) = buffer[..n].get_mut(self.at) {
                    *octet ^= 1 << self.bit;
                }
                self.at = if self.at < n { usize::MAX } else { self.at - n };
                Ok(n)
            }
        }
        impl Write for Changing {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.peer.write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let suite = if tls13 { peer::TLS13 } else { peer::TLS12 };
        let mut changing = Changing { peer: peer::Peer::new(peer::serving(&[suite])), at, bit };
        let shaken = peer::trusting().session("localhost", &mut changing);
        proptest::prop_assert!(shaken.is_err() || changing.peer.broken.is_none());
    }
}
