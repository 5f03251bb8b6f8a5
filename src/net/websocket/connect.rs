//! Opening the WebSocket: name, TCP, TLS, HTTP upgrade, all before one deadline, and what each failure means.
//!
//! In: a [`Target`] (URL, headers, where the key goes). Out: a [`RealtimeSocket`] for a media worker, or a
//! [`SessionFault`] that says who is to blame. The key is read and put in here and nowhere else.

use super::RealtimeSocket;
use super::head::Head;
use super::short::Short;
use super::stream::Stream;
use super::tls::TlsConfig;
use crate::config::secret::SecretRef;
use crate::net::clock;
use crate::realtime::session::SessionFault;
use crate::realtime::{Handshake, KeyHeader};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tungstenite::client::{ClientRequestBuilder, client_with_config};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, http};

/// Most of an error body that is kept for the log.
const MAX_ERROR_BODY: usize = 300;
/// Each address of a name gets its share of the time, but no less than this.
const MIN_PER_ADDRESS: Duration = Duration::from_millis(250);

/// Where to connect to and how.
#[derive(Clone, Debug)]
pub struct Target {
    pub handshake: Handshake,
    pub key: Option<SecretRef>,
    pub tls: TlsConfig,
    pub timeout: Duration,
}

/// Host, port and scheme of a URL.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
    tls: bool,
}

fn place(url: &str) -> Result<Place, String> {
    let uri: http::Uri = url.parse().map_err(|e| format!("{url}: {e}"))?;
    let tls = match uri.scheme_str() {
        Some("wss") => true,
        Some("ws") => false,
        _ => return Err(format!("{url}: expected ws:// or wss://")),
    };
    let host = uri.host().ok_or_else(|| format!("{url}: no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Place { host, port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }), tls })
}

/// Opens the WebSocket. Blocking work runs in tokio's blocking pool and ends by itself at the deadline.
pub async fn connect(target: Target) -> Result<RealtimeSocket, SessionFault> {
    let deadline = clock::now() + target.timeout;
    let place = place(&target.handshake.url).map_err(SessionFault::Connect)?;
    let lookup = tokio::net::lookup_host((place.host.as_str(), place.port));
    let addresses: Vec<SocketAddr> = match tokio::time::timeout(target.timeout, lookup).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(e)) => return Err(SessionFault::Connect(format!("name {}: {e}", place.host))),
        Err(_) => return Err(SessionFault::Connect(format!("name {}: no answer in time", place.host))),
    };
    tokio::task::spawn_blocking(move || open(&target, &place, &addresses, deadline))
        .await
        .unwrap_or_else(|e| Err(SessionFault::Connect(e.to_string())))
}

fn open(
    target: &Target,
    place: &Place,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<RealtimeSocket, SessionFault> {
    let request = request(target)?;
    let socket =
        dial(addresses, deadline).map_err(|e| SessionFault::Connect(format!("{}:{}: {e}", place.host, place.port)))?;
    // 20 ms of audio must not wait for the ACK of the last 20 ms.
    socket.set_nodelay(true).map_err(|e| SessionFault::Connect(e.to_string()))?;
    let short = Short::until(socket, deadline);
    let stream = if place.tls {
        Stream::tls(&target.tls, &place.host, short).map_err(SessionFault::Connect)?
    } else {
        Stream::plain(short)
    };
    // Only the handshake goes through tungstenite's own buffers.
    let config = WebSocketConfig::default().read_buffer_size(256);
    let (ws, _response) = client_with_config(request, Head::new(stream), Some(config)).map_err(|e| match e {
        HandshakeError::Failure(error) => fault(error, &place.host),
        HandshakeError::Interrupted(_) => SessionFault::Connect(format!("{}: no answer in time", place.host)),
    })?;
    let (stream, rest) = ws.into_inner().into_parts();
    stream.socket.socket().set_nonblocking(true).map_err(|e| SessionFault::Connect(e.to_string()))?;
    Ok(RealtimeSocket::new(stream, rest))
}

fn dial(addresses: &[SocketAddr], deadline: Instant) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::new(ErrorKind::NotFound, "the name has no address");
    for (i, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(clock::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        let share = (left / (addresses.len() - i) as u32).max(MIN_PER_ADDRESS).min(left);
        match TcpStream::connect_timeout(address, share) {
            Ok(socket) => return Ok(socket),
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn request(target: &Target) -> Result<ClientRequestBuilder, SessionFault> {
    let uri =
        target.handshake.url.parse().map_err(|e| SessionFault::Connect(format!("{}: {e}", target.handshake.url)))?;
    let mut request = ClientRequestBuilder::new(uri);
    for (name, value) in &target.handshake.headers {
        request = request.with_header(name, value);
    }
    if let (Some(reference), false) = (&target.key, target.handshake.key == KeyHeader::None) {
        // Read at each connect, so that a rotated key counts from the next call on.
        let key = reference.resolve().map_err(SessionFault::Unauthorised)?;
        request = match target.handshake.key {
            KeyHeader::Bearer => request.with_header("Authorization", format!("Bearer {}", key.expose())),
            KeyHeader::ApiKey => request.with_header("api-key", key.expose()),
            KeyHeader::None => request,
        };
    }
    Ok(request)
}

/// What a failed handshake means. An HTTP status is the service's own verdict; all else is the way to it.
fn fault(error: Error, host: &str) -> SessionFault {
    let response = match error {
        Error::Http(response) => response,
        // A key or header with bytes that HTTP forbids: say so without showing it.
        Error::HttpFormat(_) => return SessionFault::Connect(format!("{host}: a header value is not valid HTTP")),
        other => return SessionFault::Connect(format!("{host}: {other}")),
    };
    let status = response.status();
    let body: String = response
        .body()
        .as_deref()
        .map(|b| String::from_utf8_lossy(b).chars().filter(|c| !c.is_control()).take(MAX_ERROR_BODY).collect())
        .unwrap_or_default();
    let why = format!("HTTP {status} {body}").trim_end().to_owned();
    match status.as_u16() {
        401 | 403 => SessionFault::Unauthorised(why),
        404 => SessionFault::NotFound(why),
        429 => SessionFault::RateLimited(why),
        _ => SessionFault::Connect(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::websocket::Incoming;
    use crate::net::websocket::frames::Inbox;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;

    /// A server that reads one request, hands it out, and answers by `answer`.
    #[expect(clippy::disallowed_methods, reason = "the other end of a test connection")]
    fn service(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/v1/realtime?model=m", listener.local_addr().unwrap());
        let (seen, requests) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0] as char);
            }
            let _ = stream.write_all(&answer(&request));
            let _ = seen.send(request);
            // Held open until the client goes.
            let _ = stream.read(&mut [0; 64]);
        });
        (url, requests)
    }

    fn target(url: &str) -> Target {
        Target {
            handshake: Handshake {
                url: url.into(),
                headers: vec![("OpenAI-Beta".into(), "realtime=v1".into())],
                key: KeyHeader::Bearer,
            },
            key: None,
            tls: TlsConfig::new(None).unwrap(),
            timeout: Duration::from_secs(5),
        }
    }

    fn refusing(status: &'static str) -> String {
        service(move |_| format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno").into_bytes()).0
    }

    /// R2: the status of the refusal says whose fault it is.
    #[tokio::test]
    async fn statuses_become_faults() {
        type Check = fn(&SessionFault) -> bool;
        let cases: [(&str, Check); 5] = [
            ("401 Unauthorized", |f| matches!(f, SessionFault::Unauthorised(why) if why.contains("401"))),
            ("403 Forbidden", |f| matches!(f, SessionFault::Unauthorised(_))),
            ("404 Not Found", |f| matches!(f, SessionFault::NotFound(_))),
            ("429 Too Many Requests", |f| matches!(f, SessionFault::RateLimited(_))),
            ("500 Internal Server Error", |f| matches!(f, SessionFault::Connect(why) if why.contains("500"))),
        ];
        for (status, is_right) in cases {
            let fault = connect(target(&refusing(status))).await.unwrap_err();
            assert!(is_right(&fault), "{status}: {fault:?}");
        }
    }

    /// The key goes into its header and nowhere else; our headers go along; what follows the 101 at once is not lost.
    #[tokio::test]
    async fn the_key_is_put_in_at_the_handshake() {
        let (url, requests) = service(|request| {
            let key = request.lines().find_map(|l| l.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            // One unmasked text frame of two bytes, in the same segment.
            [head.as_bytes(), &[0x81, 2], b"hi"].concat()
        });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, "s3cret\n").unwrap();
        let target = Target { key: Some(SecretRef::File(path)), ..target(&url) };
        assert!(!format!("{target:?}").contains("s3cret"));
        let mut socket = connect(target).await.unwrap();
        let request = requests.recv().unwrap();
        let has = |line: &str| request.lines().any(|l| l.eq_ignore_ascii_case(line));
        assert!(request.starts_with("GET /v1/realtime?model=m HTTP/1.1\r\n"), "{request}");
        assert!(has("Authorization: Bearer s3cret"), "{request}");
        assert!(has("OpenAI-Beta: realtime=v1"), "{request}");
        let mut inbox = Inbox::default();
        socket.begin_round(&mut inbox);
        assert_eq!(socket.read(&mut inbox), Incoming::Text("hi"), "the first message was lost");
        assert_eq!(socket.read(&mut inbox), Incoming::Empty);
    }

    /// R1: each way of not connecting is a `Connect` fault with the place in it, before the deadline.
    #[tokio::test]
    async fn what_cannot_be_reached_is_said() {
        let (silent, _requests) = service(|_| Vec::new());
        let mut silent = target(&silent);
        silent.timeout = Duration::from_millis(200);
        let gone = crate::net::listen::bind_sip("127.0.0.1:0".parse().unwrap()).unwrap().addr;
        for target in
            [silent, target(&format!("ws://{gone}/")), target("ws://does-not-exist.invalid/"), target("http://x/")]
        {
            let url = target.handshake.url.clone();
            let fault = connect(target).await.unwrap_err();
            assert!(matches!(&fault, SessionFault::Connect(why) if !why.is_empty()), "{url}: {fault:?}");
        }
    }

    #[test]
    fn places_have_their_default_ports() {
        let place = |url| super::place(url).map(|p| (p.host, p.port, p.tls));
        assert_eq!(place("wss://api.openai.com/v1").unwrap(), ("api.openai.com".into(), 443, true));
        assert_eq!(place("ws://[::1]:8080/").unwrap(), ("::1".into(), 8080, false));
        assert!(place("ftp://x/").is_err());
    }
}
