//! The Realtime service of the bench: one thread that looks at its sockets every 0.5 ms, plain or TLS, and speaks as much of the protocol
//! as an echo needs. Much cheaper than the embedded server, so that 500 calls fit on the other core, and never woken by the server's sends,
//! as if they came by a network card.
//!
//! It also plays the barge-in: a session says a second of loud tone at once, is heard, and a moment later sends `speech_started`; the callers
//! tell when its last loud packet came.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use voxtrunk::net::epoll::{self, Epoll};

const NAP: Duration = Duration::from_micros(500);
/// Between two interruptions.
const PAUSE: Duration = Duration::from_millis(60);
/// The loud tone is heard by then, or the test of this session is given up.
const HEARD_BY: Duration = Duration::from_millis(500);
const APPEND: &[u8] = br#"{"type":"input_audio_buffer.append","audio":""#;
/// Files of the tests: a certificate for "localhost".
const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");

/// What the service and the callers tell each other about interruptions.
#[derive(Default)]
pub struct BargeIn {
    /// Callers leave their markers out, the service interrupts.
    pub running: AtomicBool,
    /// When a loud packet came last, µs since `start`; 0 = none since it was reset.
    pub loud_us: AtomicU64,
}

/// The running service.
pub struct Service {
    pub url: String,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<Vec<u32>>>,
}

impl Service {
    pub fn start(tls: bool, g711: bool, start: Instant, barge_in: Arc<BargeIn>) -> Result<Service, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("service: {e}"))?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        listener.set_nonblocking(true).map_err(|e| e.to_string())?;
        let tls = if tls { Some(tls_config()?) } else { None };
        let url = if tls.is_some() { format!("wss://localhost:{port}") } else { format!("ws://127.0.0.1:{port}") };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let fd = epoll::create().map_err(|e| e.to_string())?;
        let thread = std::thread::spawn(move || {
            let epoll = Epoll::new(fd);
            let _ = epoll.add(&listener, u64::MAX);
            Shop {
                listener,
                tls,
                epoll,
                sessions: Vec::new(),
                start,
                barge_in,
                cut: None,
                next: 0,
                g711,
                stops_us: Vec::new(),
            }
            .run(&stopped)
        });
        Ok(Service { url, stop, thread: Some(thread) })
    }

    /// How long each interrupted session was still heard, µs.
    pub fn stop(mut self) -> Vec<u32> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn tls_config() -> Result<Arc<ServerConfig>, String> {
    let file = |name: &str| format!("{TLS}/{name}");
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file("server.pem")).map_err(|e| e.to_string())?.collect();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).map_err(|e| e.to_string())?;
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_single_cert(certificates.map_err(|e| e.to_string())?, key)
        .map(Arc::new)
        .map_err(|e| e.to_string())
}

/// The file with the certificate's authority, for the server under test.
pub fn ca_file() -> std::path::PathBuf {
    std::path::Path::new(TLS).join("ca.pem")
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Plain(s) => s.read(buffer),
            Stream::Tls(s) => s.read(buffer),
        }
    }
    /// The client reads, so little waits here for long.
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let written = match self {
                Stream::Plain(s) => s.write(bytes),
                Stream::Tls(s) => s.write(bytes).and_then(|n| s.flush().map(|()| n)),
            };
            match written {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_micros(100)),
                Err(_) => return,
            }
        }
    }
}

struct Session {
    stream: Stream,
    inbox: Vec<u8>,
    upgraded: bool,
    /// The response that is open, by number.
    response: Option<u64>,
    responses: u64,
    /// It was cut: what it hears starts no new response before this.
    quiet_until: Option<Instant>,
    /// Turns of its caller.
    turns: u32,
}

/// An interruption under way.
struct Cut {
    session: usize,
    began: Instant,
    /// When `speech_started` went, or is to go.
    at: Option<(Instant, bool)>,
}

struct Shop {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    epoll: Epoll,
    sessions: Vec<Option<Session>>,
    start: Instant,
    barge_in: Arc<BargeIn>,
    cut: Option<Cut>,
    next: usize,
    g711: bool,
    stops_us: Vec<u32>,
}

impl Shop {
    fn run(mut self, stop: &AtomicBool) -> Vec<u32> {
        let (mut tokens, mut scratch, mut out) = (Vec::new(), vec![0; 64 << 10], Vec::new());
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(NAP);
            if self.epoll.ready(&mut tokens).is_err() {
                break;
            }
            for &token in &tokens {
                if token == u64::MAX {
                    self.accept();
                } else {
                    self.read(token as usize, &mut scratch, &mut out);
                }
            }
            if self.barge_in.running.load(Ordering::Relaxed) {
                self.interrupt(&mut out);
            }
        }
        self.stops_us
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            let _ = socket.set_nodelay(true);
            let _ = socket.set_nonblocking(true);
            let _ = self.epoll.add(socket.as_fd(), self.sessions.len() as u64);
            let stream = match &self.tls {
                None => Stream::Plain(socket),
                Some(config) => match ServerConnection::new(Arc::clone(config)) {
                    Ok(connection) => Stream::Tls(Box::new(StreamOwned::new(connection, socket))),
                    Err(_) => continue,
                },
            };
            let session = Session {
                stream,
                inbox: Vec::new(),
                upgraded: false,
                response: None,
                responses: 0,
                quiet_until: None,
                turns: 0,
            };
            self.sessions.push(Some(session));
        }
    }

    fn read(&mut self, index: usize, scratch: &mut [u8], out: &mut Vec<u8>) {
        let Some(Some(session)) = self.sessions.get_mut(index) else { return };
        loop {
            match session.stream.read(scratch) {
                Ok(0) => break self.sessions[index] = None,
                Ok(n) => {
                    session.inbox.extend_from_slice(&scratch[..n]);
                    let tls = matches!(session.stream, Stream::Tls(_));
                    if n < scratch.len() && !tls {
                        break session.work(out);
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break session.work(out),
                Err(_) => break self.sessions[index] = None,
            }
        }
    }

    /// One interruption after another, each of the next session.
    fn interrupt(&mut self, out: &mut Vec<u8>) {
        let now = Instant::now();
        let us = |at: Instant| at.saturating_duration_since(self.start).as_micros() as u64;
        let loud_us = self.barge_in.loud_us.load(Ordering::Relaxed);
        let Some(cut) = &mut self.cut else {
            self.next = (self.next + 1) % self.sessions.len().max(1);
            let Some(Some(session)) = self.sessions.get_mut(self.next) else { return };
            self.barge_in.loud_us.store(0, Ordering::Relaxed);
            session.say(&loud(self.g711), out);
            self.cut = Some(Cut { session: self.next, began: now, at: None });
            return;
        };
        let Some(Some(session)) = self.sessions.get_mut(cut.session) else { return self.cut = None };
        match cut.at {
            // A moment later, which is never the same against the 20 ms clock.
            None if loud_us > 0 => {
                let moment =
                    Duration::from_millis(40) + Duration::from_micros(self.stops_us.len() as u64 * 7_300 % 20_000);
                cut.at = Some((now + moment, false));
            }
            None if now > cut.began + HEARD_BY => self.cut = None,
            None => {}
            Some((at, false)) if now >= at => {
                cut.at = Some((now, true));
                session.turns += 1;
                session.turn("started", "start", out);
                session.quiet_until = Some(now + PAUSE);
            }
            Some((at, true)) if now >= at + PAUSE => {
                session.turn("stopped", "end", out);
                self.stops_us.push(loud_us.saturating_sub(us(at)) as u32);
                self.cut = None;
            }
            Some(_) => {}
        }
    }
}

/// A second of a tone at -6 dBFS, in base64.
fn loud(g711: bool) -> String {
    let sample = |n: usize| if (n / 12).is_multiple_of(2) { 12_000i16 } else { -12_000 };
    let audio: Vec<u8> = if g711 {
        (0..8_000).map(|n: usize| if (n / 4).is_multiple_of(2) { 0x90 } else { 0x10 }).collect()
    } else {
        (0..24_000).flat_map(|n| sample(n).to_le_bytes()).collect()
    };
    base64_simd::STANDARD.encode_to_string(audio)
}

impl Session {
    fn work(&mut self, out: &mut Vec<u8>) {
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut taken = 0;
        if !self.upgraded {
            let Some(head) = inbox.windows(4).position(|w| w == b"\r\n\r\n") else { return self.inbox = inbox };
            taken = head + 4;
            self.upgrade(&String::from_utf8_lossy(&inbox[..head]), out);
        }
        while let Some((payload, opcode, mask)) = frame(&inbox[taken..]) {
            let payload = taken + payload.start..taken + payload.end;
            taken = payload.end;
            let Some(bytes) = inbox.get_mut(payload) else { break };
            let wide: [u8; 16] = std::array::from_fn(|i| mask[i % 4]);
            for block in bytes.chunks_mut(16) {
                block.iter_mut().zip(wide).for_each(|(byte, mask)| *byte ^= mask);
            }
            match opcode {
                1 => self.message(bytes, out),
                8 => {
                    out.clear();
                    out.extend_from_slice(&[0x88, 2, 0x03, 0xE8]);
                    self.stream.write(out);
                }
                _ => {}
            }
        }
        inbox.drain(..taken);
        self.inbox = inbox;
    }

    fn upgrade(&mut self, head: &str, out: &mut Vec<u8>) {
        let key =
            head.lines().find_map(|l| l.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case("sec-websocket-key")));
        let accept = tungstenite::handshake::derive_accept_key(key.map_or("", |(_, v)| v).trim().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.stream.write(answer.as_bytes());
        self.upgraded = true;
        let created = r#"{"type":"session.created","event_id":"e","session":{"id":"s","type":"realtime","object":"realtime.session"}}"#;
        text(&mut self.stream, &[created.as_bytes()], out);
    }

    fn message(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if let Some(audio) = bytes.strip_prefix(APPEND) {
            if self.quiet_until.is_none_or(|until| Instant::now() >= until) {
                self.quiet_until = None;
                let end = audio.len().saturating_sub(2);
                let audio = std::str::from_utf8(&audio[..end]).unwrap_or_default();
                self.say(audio, out);
            }
            return;
        }
        let Ok(event) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
        match event["type"].as_str() {
            Some("session.update") => {
                let mut session = event["session"].clone();
                session["id"] = "s".into();
                let updated = serde_json::json!({"type": "session.updated", "event_id": "e", "session": session});
                text(&mut self.stream, &[updated.to_string().as_bytes()], out);
            }
            Some("response.cancel") => {
                if let Some(number) = self.response.take() {
                    let done = format!(
                        r#"{{"type":"response.done","event_id":"e","response":{{"id":"r{number}","object":"realtime.response","status":"cancelled","status_details":{{"type":"cancelled","reason":"turn_detected"}},"output":[]}}}}"#
                    );
                    text(&mut self.stream, &[done.as_bytes()], out);
                }
            }
            _ => {}
        }
    }

    /// A border of the caller's speech.
    fn turn(&mut self, border: &str, at: &str, out: &mut Vec<u8>) {
        let n = self.turns;
        let event = format!(
            r#"{{"type":"input_audio_buffer.speech_{border}","event_id":"e","audio_{at}_ms":{n},"item_id":"u{n}"}}"#
        );
        text(&mut self.stream, &[event.as_bytes()], out);
    }

    /// One delta, of a new response when none is open.
    fn say(&mut self, audio: &str, out: &mut Vec<u8>) {
        let number = self.response.unwrap_or_else(|| {
            self.responses += 1;
            let n = self.responses;
            for event in [
                format!(r#"{{"type":"response.created","event_id":"e","response":{{"id":"r{n}","object":"realtime.response","status":"in_progress","output":[]}}}}"#),
                format!(
                    r#"{{"type":"response.output_item.added","event_id":"e","response_id":"r{n}","output_index":0,"item":{{"id":"i{n}","object":"realtime.item","type":"message","status":"in_progress","role":"assistant","content":[]}}}}"#
                ),
            ] {
                text(&mut self.stream, &[event.as_bytes()], out);
            }
            n
        });
        self.response = Some(number);
        // As long as the service's own: three ids and two indices in front of the audio.
        let head = format!(
            r#"{{"type":"response.output_audio.delta","event_id":"event_0123456789abcdefghijk","response_id":"r{number}","item_id":"i{number}","output_index":0,"content_index":0,"delta":""#
        );
        text(&mut self.stream, &[head.as_bytes(), audio.as_bytes(), b"\"}"], out);
    }
}

/// One unmasked text frame.
fn text(stream: &mut Stream, parts: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|p| p.len()).sum();
    out.clear();
    out.push(0x81);
    match length {
        0..=125 => out.push(length as u8),
        126..=65_535 => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    stream.write(out);
}

/// A client's frame that is there whole: its payload, opcode and mask.
fn frame(bytes: &[u8]) -> Option<(std::ops::Range<usize>, u8, [u8; 4])> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (length, at) = match second & 0x7F {
        126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        n => (u64::from(n), 2),
    };
    let mask: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    let payload = at + 4..at + 4 + length as usize;
    (payload.end <= bytes.len()).then_some((payload, first & 0x0F, mask))
}
