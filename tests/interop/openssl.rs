//! TLS of the Realtime client with OpenSSL's: payload both ways, keys that either side changes, both versions, the end.

use crate::support::{Running, program};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use voxtrunk::net::websocket::connect::{Target, connect};
use voxtrunk::net::websocket::frames::Inbox;
use voxtrunk::net::websocket::tls::TlsConfig;
use voxtrunk::net::websocket::{Incoming, RealtimeSocket};
use voxtrunk::realtime::{Handshake, KeyHeader};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");
const PATIENCE: Duration = Duration::from_secs(30);

/// `openssl s_server` for one connection: what we write is what it sends, but for lines that begin with a command.
struct Server {
    _process: Running,
    stdin: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// What it printed: its own words, and what it received.
    said: Vec<u8>,
}

impl Server {
    fn start(openssl: &Path, version: &str) -> (Server, u16) {
        let file = |name: &str| format!("{DATA}/{name}");
        let mut process = Command::new(openssl)
            .args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1", version, "-cert", &file("server.pem")])
            .args(["-key", &file("server.key")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts");
        let stdin = process.stdin.take().expect("its stdin");
        let mut stdout = BufReader::new(process.stdout.take().expect("its stdout"));
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(n @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut server = Server { _process: Running(process), stdin, output, said: Vec::new() };
        let port = server.until("a port", |said| {
            let line = said.lines().find(|line| line.starts_with("ACCEPT "))?;
            said.contains(&format!("{line}\n")).then(|| line.rsplit(':').next()?.parse().ok())?
        });
        (server, port)
    }

    /// Waits until what it printed means something; that is forgotten then.
    fn until<T>(&mut self, what: &str, mut found: impl FnMut(&str) -> Option<T>) -> T {
        self.until_bytes(what, |bytes| found(&String::from_utf8_lossy(bytes)))
    }

    fn until_bytes<T>(&mut self, what: &str, mut found: impl FnMut(&[u8]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(&self.said) {
                self.said.clear();
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(more) => self.said.extend_from_slice(&more),
                Err(_) => panic!("openssl: {what} did not come: {}", String::from_utf8_lossy(&self.said)),
            }
        }
    }

    fn upgrade(&mut self) {
        let key = self.until("a request", |said| {
            let request = &said[said.find("GET /")?..];
            let head = &request[..request.find("\r\n\r\n")?];
            head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ").map(str::to_owned))
        });
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.write(answer.as_bytes());
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stdin.write_all(bytes).and_then(|()| self.stdin.flush()).expect("openssl reads");
    }

    /// Sends a text message of fewer than 126 octets.
    fn say(&mut self, text: &str) {
        self.write(&[&[0x81, text.len() as u8], text.as_bytes()].concat());
    }

    /// Waits until it has received this text in a masked frame of fewer than 126 octets.
    fn hears(&mut self, text: &str) {
        self.until_bytes(text, |said| {
            said.windows(6 + text.len()).find(|frame| {
                let payload = frame[6..].iter().zip(frame[2..6].iter().cycle()).map(|(octet, mask)| octet ^ mask);
                frame[0] == 0x81 && frame[1] == 0x80 | text.len() as u8 && payload.eq(text.bytes())
            })?;
            Some(())
        });
    }
}

/// Waits until something comes and reads a round of it.
fn round(socket: &mut RealtimeSocket, inbox: &mut Inbox) -> Option<String> {
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&patience)), Ok(1), "nothing came in time");
    socket.begin_round(inbox);
    let text = match socket.read(inbox) {
        Incoming::Text(text) => Some(text.to_owned()),
        Incoming::Empty => None,
        Incoming::Closed { reason, .. } => Some(format!("closed: {reason}")),
    };
    socket.end_round(inbox);
    text
}

fn said(socket: &mut RealtimeSocket, inbox: &mut Inbox) -> String {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(text) = round(socket, inbox) {
            return text;
        }
    }
    panic!("no message came")
}

/// A session in which OpenSSL changes its keys (`k`), and asks that we change ours too (`K`).
#[test]
fn openssl_changes_keys_in_a_session() {
    let Some(openssl) = program("openssl") else { return };
    for version in ["-tls1_3", "-tls1_2"] {
        let (mut server, port) = Server::start(&openssl, version);
        let target = Target {
            handshake: Handshake { url: format!("wss://localhost:{port}/"), headers: vec![], key: KeyHeader::None },
            key: None,
            tls: TlsConfig::new(Some(&Path::new(DATA).join("ca.pem"))).expect("an authority"),
            timeout: PATIENCE,
        };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let connecting = runtime.spawn(connect(target));
        server.upgrade();
        let mut socket = runtime.block_on(connecting).expect("no panic").expect("a session");
        let (mut inbox, mut scratch) = (Inbox::default(), Vec::new());
        for (n, command) in ["", "k\n", "K\n", "K\n", "k\n"].into_iter().enumerate() {
            if version == "-tls1_3" && !command.is_empty() {
                server.write(command.as_bytes());
                // Its new key is a record without payload.
                assert_eq!(round(&mut socket, &mut inbox), None);
            }
            server.say(&format!("question {n}"));
            assert_eq!(said(&mut socket, &mut inbox), format!("question {n}"), "{version} {command:?}");
            for answer in ["first", "second"] {
                let answer = format!("{answer} answer {n}");
                socket.write(&answer, &mut scratch).expect("it goes out");
                server.hears(&answer);
            }
        }
        server.write(b"Q\n");
        assert!(said(&mut socket, &mut inbox).starts_with("closed: "), "{version}");
    }
}
