//! A Realtime session on real sockets, for tests and benches of what a message costs: a service that answers each append with a delta, in a
//! thread of its own, and our socket, polled as a media worker polls it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tungstenite::Message;
use voxtrunk::net::websocket::connect::{Target, connect};
use voxtrunk::net::websocket::frames::Inbox;
use voxtrunk::net::websocket::tls::TlsConfig;
use voxtrunk::net::websocket::{Incoming, RealtimeSocket};
use voxtrunk::realtime::{Handshake, KeyHeader};

/// Octets of an append and of a delta of 20 ms.
pub const APPEND: usize = 1_340;
pub const DELTA: usize = 1_440;
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");
const PATIENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// Our end.
pub struct Session {
    socket: RealtimeSocket,
    inbox: Inbox,
    scratch: Vec<u8>,
    append: String,
}

impl Session {
    /// Connects to a service of its own. `None`: without TLS.
    #[allow(clippy::disallowed_methods, reason = "the other end of a test connection")]
    pub fn open(tls: Option<&'static SupportedProtocolVersion>) -> Session {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        std::thread::spawn(move || {
            let (socket, _) = listener.accept().expect("a client");
            socket.set_nodelay(true).expect("an open socket");
            match tls.map(server) {
                None => serve(socket),
                Some(config) => serve(StreamOwned::new(ServerConnection::new(config).expect("a server"), socket)),
            }
        });
        let scheme = if tls.is_some() { "wss" } else { "ws" };
        let target = Target {
            handshake: Handshake {
                url: format!("{scheme}://localhost:{port}/"),
                headers: Vec::new(),
                key: KeyHeader::None,
            },
            key: None,
            tls: TlsConfig::new(Some(&Path::new(DATA).join("ca.pem"))).expect("an authority"),
            timeout: Duration::from_secs(30),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let socket = runtime.block_on(connect(target)).expect("a session");
        Session { socket, inbox: Inbox::default(), scratch: Vec::new(), append: "a".repeat(APPEND) }
    }

    /// One append out, and its delta in; octets of the delta.
    pub fn exchange(&mut self) -> usize {
        self.socket.write(&self.append, &mut self.scratch).expect("a socket that takes it");
        let mut heard = 0;
        while heard < DELTA {
            let mut readable = [PollFd::new(&self.socket, PollFlags::IN)];
            assert_eq!(poll(&mut readable, Some(&PATIENCE)), Ok(1), "no delta came in time");
            self.socket.begin_round(&mut self.inbox);
            loop {
                match self.socket.read(&mut self.inbox) {
                    Incoming::Text(text) => heard += text.len(),
                    Incoming::Empty => break,
                    Incoming::Closed { reason, .. } => panic!("{reason}"),
                }
            }
            self.socket.end_round(&mut self.inbox);
        }
        heard
    }
}

fn server(version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
    let certificates = CertificateDer::pem_file_iter(format!("{DATA}/server.pem"))
        .expect("a certificate")
        .map(|certificate| certificate.expect("a certificate"))
        .collect();
    let key = PrivateKeyDer::from_pem_file(format!("{DATA}/server.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .expect("key and certificate that belong together");
    Arc::new(config)
}

fn serve(stream: impl Read + Write) {
    let mut service = tungstenite::accept(stream).expect("an upgrade");
    let delta = Message::text("d".repeat(DELTA));
    // Until the client goes.
    while service.read().is_ok_and(|message| message.is_text()) && service.send(delta.clone()).is_ok() {}
}
