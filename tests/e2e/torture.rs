//! RFC 4475 and RFC 5118 against the running server: every file over UDP, TCP and TLS, on streams in pieces of every size.
//!
//! Outcomes are those of tests/data/rfc4475/EXPECT.md; where a row differs, the table says why. After each file the same
//! source asks OPTIONS and is answered.

use crate::caller::connect;
use crate::certificates::{Authority, SERVER_NAME};
use crate::world::World;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use voxtrunk::config::dialplan::Dialplan;
use voxtrunk::sip::framing::{Frame, StreamCutter};

const LONG: Duration = Duration::from_secs(20);

#[path = "../conformance/rfc4475.rs"]
mod rfc4475;
use rfc4475::Outcome::{self, Call, Closed, Silence, Status, Waits};
use rfc4475::RFC4475;

const RFC5118: [(&str, Outcome); 12] = [
    // Its SDP has IPv6 addresses, and this server is reached over IPv4.
    ("ipv4-mapped-ipv6", Status(488)),
    ("ipv6-bad", Status(400)),
    ("ipv6-bug-abnf-3-colons", Status(200)),
    ("ipv6-correct-abnf-2-colons", Status(200)),
    ("ipv6-good", Status(405)),
    // Announces 268 bytes of body and has 251.
    ("ipv6-in-sdp", Status(400)),
    ("mult-ip-in-header", Status(481)),
    ("mult-ip-in-sdp", Call),
    ("port-ambiguous", Status(405)),
    ("port-unambiguous", Status(405)),
    ("via-received-param-no-delim", Status(200)),
    ("via-received-param-with-delim", Status(481)),
];

/// What differs where there are numbers.
fn at_the_server(name: &str, at_the_user_agent: Outcome) -> Outcome {
    match name {
        // Its user part is `sips:user@example.com`, which is no number: the catch-all plan is for numbers (A19; EXPECT: accepted).
        "esc01" => Status(404),
        _ => at_the_user_agent,
    }
}

/// What differs on a stream.
fn on_a_stream(name: &str, over_udp: Outcome) -> Outcome {
    match name {
        // Two, or a broken, or no Content-Length.
        "ncl" | "mcl01" | "inv2543" | "ipv6-bug-abnf-3-colons" | "ipv6-correct-abnf-2-colons" => Closed,
        "clerr" | "baddn" | "ipv6-in-sdp" => Waits,
        _ => over_udp,
    }
}

/// Name, bytes and outcome over UDP of every file.
fn files() -> Vec<(&'static str, Vec<u8>, Outcome)> {
    let read = |folder: &str, name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder).join(format!("{name}.dat"));
        std::fs::read(path).unwrap()
    };
    // The archive of RFC 5118 has bare LF where its text has CRLF.
    let crlf =
        |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace("\r\n", "\n").replace('\n', "\r\n").into_bytes();
    let old = RFC4475.into_iter().map(|(name, outcome)| (name, read("rfc4475", name), at_the_server(name, outcome)));
    let new = RFC5118.into_iter().map(|(name, outcome)| (name, crlf(read("rfc5118", name)), outcome));
    old.chain(new).collect()
}

async fn world(authority: &Authority) -> World {
    let text = "instructions = \"Be short.\"\ngreeting = { say = \"Hello and welcome.\" }\nanswer = \"at_once\"\n";
    let plan = Dialplan::parse(Path::new("default.toml"), text).unwrap();
    World::new(vec![plan], |settings| authority.listen(settings)).await
}

/// An ordinary request of our own; its answer tells that what came before it was dealt with.
fn options(n: usize, transport: &str) -> String {
    format!(
        "OPTIONS sip:x@example.com SIP/2.0\r\nVia: SIP/2.0/{transport} 192.0.2.1;rport;branch=z9hG4bKprobe{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:probe@example.com>;tag=1\r\nTo: <sip:x@example.com>\r\nCall-ID: probe{n}@192.0.2.1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

fn is_probe(message: &str) -> bool {
    message.contains("\r\nCall-ID: probe")
}

fn status(message: &str) -> u16 {
    let code = message.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    code.unwrap_or_else(|| panic!("not a response: {message}"))
}

fn outcome(statuses: &[u16]) -> Outcome {
    let trying = statuses.contains(&100);
    match statuses.iter().find(|status| **status != 100) {
        None if trying => Call,
        None => Silence,
        Some(180 | 200) if trying => Call,
        Some(status) => Status(*status),
    }
}

/// The first message of a stream, with what comes before it; a second one would be another message (RFC 3261 §18.3).
fn first_message(bytes: &[u8]) -> &[u8] {
    let mut cutter = StreamCutter::new();
    cutter.push(bytes);
    let line_ends = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    std::iter::from_fn(|| cutter.next_frame())
        .take(3)
        .find_map(|frame| match frame {
            Ok(Frame::Message(first)) => bytes.get(..line_ends + first.len()),
            _ => None,
        })
        .unwrap_or(bytes)
}

/// The port of the top Via: where a response goes when no `rport` was asked for (RFC 3261 §18.2.2).
fn via_port(bytes: &[u8]) -> u16 {
    let message =
        voxtrunk::sip::message::Message::parse(bytes.to_vec().into(), voxtrunk::sip::message::Framing::Datagram);
    let message = message.ok().or_else(|| message_of_failure(bytes));
    message.and_then(|m| m.top_via()).and_then(Result::ok).and_then(|via| via.port).unwrap_or(5060)
}

fn message_of_failure(bytes: &[u8]) -> Option<voxtrunk::sip::message::Message> {
    voxtrunk::sip::message::Message::parse(bytes.to_vec().into(), voxtrunk::sip::message::Framing::Datagram)
        .err()?
        .partial
}

/// PAR-01, PAR-02, PAR-03: every file in one datagram.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_udp() {
    let authority = Authority::new();
    let world = world(&authority).await;
    let mut wrong = Vec::new();
    for (n, (name, bytes, expected)) in files().into_iter().enumerate() {
        let port = via_port(&bytes);
        let socket =
            UdpSocket::bind((world.sip().ip(), port)).await.unwrap_or_else(|e| panic!("{name}: port {port}: {e}"));
        let probe = UdpSocket::bind((world.sip().ip(), 0)).await.unwrap();
        socket.send_to(&bytes, world.sip()).await.unwrap();
        probe.send_to(options(n, "UDP").as_bytes(), world.sip()).await.unwrap();
        let mut buffer = vec![0; 65_536];
        let (len, _) = timeout(LONG, probe.recv_from(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(status(std::str::from_utf8(&buffer[..len]).unwrap()), 200, "OPTIONS after {name}");
        // What was sent before the answer to the probe is there. The socket is asked itself: tokio may not have heard of it yet.
        let socket = socket.into_std().unwrap();
        let mut statuses = Vec::new();
        while let Ok((len, _)) = socket.recv_from(&mut buffer) {
            statuses.push(status(&String::from_utf8_lossy(&buffer[..len])));
        }
        let got = outcome(&statuses);
        if got != expected {
            wrong.push(format!("{name}: {got:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    world.stop().await;
}

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

async fn open(at: SocketAddr, tls: Option<&Authority>) -> Box<dyn Duplex> {
    let stream = connect(at.ip(), at).await;
    stream.set_nodelay(true).unwrap();
    match tls {
        None => Box::new(stream),
        Some(authority) => {
            let name = ServerName::try_from(SERVER_NAME).unwrap();
            Box::new(authority.connector(None).connect(name, stream).await.unwrap())
        }
    }
}

/// Reads messages until one `is_last`, the end of the stream, or silence of this long.
async fn read_until(
    stream: &mut Box<dyn Duplex>,
    wait: Duration,
    is_last: impl Fn(&str) -> bool,
) -> (Vec<String>, bool) {
    let (mut cutter, mut out, mut buffer) = (StreamCutter::new(), Vec::new(), vec![0; 65_536]);
    loop {
        match timeout(wait, stream.read(&mut buffer)).await {
            Err(_) => return (out, false),
            Ok(Ok(0) | Err(_)) => return (out, true),
            Ok(Ok(len)) => cutter.push(&buffer[..len]),
        }
        while let Some(frame) = cutter.next_frame() {
            let Ok(Frame::Message(bytes)) = frame else { continue };
            out.push(String::from_utf8_lossy(&bytes).into_owned());
            if is_last(&out[out.len() - 1]) {
                return (out, false);
            }
        }
    }
}

/// One file on a connection of its own, in pieces of `piece` bytes, and our OPTIONS behind it.
async fn on_stream(at: SocketAddr, tls: Option<&Authority>, bytes: &[u8], piece: usize, expected: Outcome) -> Outcome {
    let transport = if tls.is_some() { "TLS" } else { "TCP" };
    let mut stream = open(at, tls).await;
    for piece in bytes.chunks(piece) {
        if stream.write_all(piece).await.is_err() || stream.flush().await.is_err() {
            break;
        }
    }
    // A file that ends in the middle of a message would swallow the probe: it goes by another connection.
    if expected == Waits {
        let mut other = open(at, tls).await;
        other.write_all(options(piece, transport).as_bytes()).await.unwrap();
        let (answers, _) = read_until(&mut other, LONG, is_probe).await;
        assert_eq!(answers.iter().map(|a| status(a)).collect::<Vec<_>>(), [200]);
        let (answers, closed) = read_until(&mut stream, Duration::from_millis(50), |_| false).await;
        return if answers.is_empty() && !closed { Waits } else { Closed };
    }
    let _ = stream.write_all(options(piece, transport).as_bytes()).await;
    let _ = stream.flush().await;
    let (answers, closed) = read_until(&mut stream, LONG, is_probe).await;
    if closed {
        assert!(answers.is_empty(), "{answers:?}");
        return Closed;
    }
    assert!(
        answers.last().is_some_and(|last| is_probe(last) && status(last) == 200),
        "no answer to the probe: {answers:?}"
    );
    let statuses: Vec<u16> = answers.iter().filter(|a| !is_probe(a)).map(|a| status(a)).collect();
    outcome(&statuses)
}

/// Whole, and again in pieces of 1 to 97 bytes against another server (the first one knows the calls).
async fn over_streams(tls: bool) {
    let authority = Authority::new();
    let mut wrong = Vec::new();
    for in_pieces in [false, true] {
        let world = world(&authority).await;
        let (at, tls) = if tls { (world.sip_tls(), Some(&authority)) } else { (world.sip(), None) };
        for (n, (name, bytes, over_udp)) in files().into_iter().enumerate() {
            let expected = on_a_stream(name, over_udp);
            let bytes = first_message(&bytes);
            let piece = if in_pieces { 1 + n * 7 % 97 } else { bytes.len() };
            let got = on_stream(at, tls, bytes, piece, expected).await;
            if got != expected {
                wrong.push(format!("{name} in pieces of {piece}: {got:?} instead of {expected:?}"));
            }
        }
        world.stop().await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// PAR-01, PAR-02, PAR-03, PAR-06: every file on a TCP connection, whole and in pieces.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp() {
    over_streams(false).await;
}

/// PAR-01, PAR-02, PAR-03, PAR-06: every file on a TLS connection, whole and in pieces.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls() {
    over_streams(true).await;
}
