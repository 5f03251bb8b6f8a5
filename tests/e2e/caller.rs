//! A raw caller: SIP as text over UDP, TCP or TLS, RTP as bytes. Shares nothing with the code under test but the ciphers of SRTP, which
//! vectors and other programs' calls judge.

use crate::certificates::{Authority, SERVER_NAME};
use crate::world::PATIENCE;
use base64_simd::STANDARD;
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::rustls::pki_types::ServerName;
use voxtrunk::rtp::srtp::Srtp;
use voxtrunk::srtp_key::{MasterKey, SrtpKeys, Suite};

static NEXT: AtomicU32 = AtomicU32::new(1);

enum Wire {
    Udp(UdpSocket),
    /// With the transport's name and what was read and is no whole message yet.
    Stream(Box<dyn Duplex>, &'static str, Vec<u8>),
}

pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

pub struct Caller {
    wire: Wire,
    pub rtp: UdpSocket,
    server: SocketAddr,
    local: SocketAddr,
    id: u32,
    number: String,
    to_tag: String,
    cseq: u32,
    invite: String,
    remote: Option<SocketAddr>,
    frame: u32,
    /// What protects our packets, after [`Caller::secure`].
    srtp: Option<Box<Srtp>>,
}

/// What came through the earpiece.
#[derive(Debug, Default)]
pub struct Heard {
    pub packets: usize,
    /// Loudest 20 ms, RMS of 16-bit samples.
    pub loudest: f64,
}

impl Caller {
    pub async fn udp(server: SocketAddr) -> Caller {
        Caller::udp_from(server.ip(), server).await
    }

    pub async fn udp_from(ip: IpAddr, server: SocketAddr) -> Caller {
        let socket = UdpSocket::bind((ip, 0)).await.unwrap();
        // TRN-03: what does not come from the address we talk to is not heard.
        socket.connect(server).await.unwrap();
        let local = socket.local_addr().unwrap();
        Caller::new(Wire::Udp(socket), local, server).await
    }

    pub async fn tcp(server: SocketAddr) -> Caller {
        let stream = connect(server.ip(), server).await;
        let local = stream.local_addr().unwrap();
        Caller::new(Wire::Stream(Box::new(stream), "TCP", Vec::new()), local, server).await
    }

    /// By TLS, to a server whose certificate is of this authority.
    pub async fn tls(server: SocketAddr, authority: &Authority) -> Caller {
        Caller::try_tls(server, authority, None).await.unwrap()
    }

    /// The same, with a certificate of our own; the error is the handshake's.
    pub async fn try_tls(
        server: SocketAddr,
        authority: &Authority,
        own: Option<&Authority>,
    ) -> std::io::Result<Caller> {
        let stream = connect(server.ip(), server).await;
        let local = stream.local_addr().unwrap();
        let name = ServerName::try_from(SERVER_NAME).unwrap();
        let stream = authority.connector(own).connect(name, stream).await?;
        Ok(Caller::new(Wire::Stream(Box::new(stream), "TLS", Vec::new()), local, server).await)
    }

    async fn new(wire: Wire, local: SocketAddr, server: SocketAddr) -> Caller {
        let rtp = UdpSocket::bind((local.ip(), 0)).await.unwrap();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let (number, to_tag, invite) = Default::default();
        Caller { wire, rtp, server, local, id, number, to_tag, cseq: 1, invite, remote: None, frame: 0, srtp: None }
    }

    /// The text of a request of this call; `branch` tells it from the others.
    pub fn request(&self, method: &str, cseq: u32, branch: &str, body: &str) -> String {
        let (server, local, id, number) = (self.server, self.local, self.id, &self.number);
        let transport = match &self.wire {
            Wire::Udp(_) => "UDP",
            Wire::Stream(_, name, _) => name,
        };
        let tag = if self.to_tag.is_empty() { String::new() } else { format!(";tag={}", self.to_tag) };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} sip:{number}@{server} SIP/2.0\r\nVia: SIP/2.0/{transport} {local};branch=z9hG4bK{id}{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: \"Test\" <sip:200@{local}>;tag=f{id}\r\nTo: <sip:{number}@{server}>{tag}\r\n\
             Call-ID: e2e-{id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:200@{local}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    pub async fn send(&mut self, text: &str) {
        match &mut self.wire {
            Wire::Udp(socket) => drop(socket.send_to(text.as_bytes(), self.server).await.unwrap()),
            Wire::Stream(stream, ..) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    }

    /// The next message, or `None` after `wait`.
    pub async fn next(&mut self, wait: Duration) -> Option<String> {
        timeout(wait, async {
            match &mut self.wire {
                Wire::Udp(socket) => {
                    let mut buffer = vec![0; 8192];
                    let n = socket.recv(&mut buffer).await.unwrap();
                    String::from_utf8_lossy(&buffer[..n]).into_owned()
                }
                Wire::Stream(stream, _, buffer) => loop {
                    if let Some(message) = cut(buffer) {
                        break message;
                    }
                    assert!(stream.read_buf(buffer).await.unwrap() > 0, "the server closed the connection");
                },
            }
        })
        .await
        .ok()
    }

    /// Sends an INVITE with an offer of PCMU and telephone-event.
    pub async fn invite(&mut self, number: &str) {
        self.invite_with(number, &self.offer("0 101")).await;
    }

    pub fn offer(&self, payload_types: &str) -> String {
        let rtp = self.rtp.local_addr().unwrap();
        let kind = if rtp.is_ipv4() { "IP4" } else { "IP6" };
        format!(
            "v=0\r\no=- {} 1 IN {kind} {}\r\ns=-\r\nc=IN {kind} {}\r\nt=0 0\r\nm=audio {} RTP/AVP {payload_types}\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n",
            self.id,
            rtp.ip(),
            rtp.ip(),
            rtp.port()
        )
    }

    /// An INVITE with these header lines besides its own.
    pub async fn invite_adding(&mut self, number: &str, lines: &str) {
        self.number = number.into();
        let text = self.request("INVITE", 1, "i", &self.offer("0 101"));
        self.invite = text.replacen("Contact:", &format!("{lines}Contact:"), 1);
        let text = self.invite.clone();
        self.send(&text).await;
    }

    /// An INVITE whose Request-URI has another user than To: one to the contact of a registration.
    pub async fn invite_to(&mut self, user: &str, number: &str) {
        self.number = number.into();
        let text = self.request("INVITE", 1, "i", &self.offer("0 101"));
        self.invite = text.replacen(number, user, 1);
        let text = self.invite.clone();
        self.send(&text).await;
    }

    pub async fn invite_with(&mut self, number: &str, sdp: &str) {
        self.number = number.into();
        self.invite = self.request("INVITE", 1, "i", sdp);
        let text = self.invite.clone();
        self.send(&text).await;
    }

    /// An INVITE with these header lines and this body.
    pub async fn invite_with_both(&mut self, number: &str, lines: &str, sdp: &str) {
        self.number = number.into();
        let text = self.request("INVITE", 1, "i", sdp);
        self.invite = text.replacen("Contact:", &format!("{lines}Contact:"), 1);
        let text = self.invite.clone();
        self.send(&text).await;
    }

    /// A new INVITE that answers this `WWW-Authenticate` line with SHA-256 (RFC 7616 §3.4).
    pub async fn invite_with_password(&mut self, number: &str, user: &str, password: &str, challenge: &str) {
        self.id = NEXT.fetch_add(1, Ordering::Relaxed);
        self.to_tag.clear();
        self.number = number.into();
        let param = |name: &str| {
            let from = challenge.split(&format!("{name}=\"")).nth(1).unwrap();
            from.split('"').next().unwrap()
        };
        let hash = |text: String| Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect::<String>();
        let (realm, nonce) = (param("realm"), param("nonce"));
        let uri = format!("sip:{number}@{}", self.server);
        let (secret, asked) = (hash(format!("{user}:{realm}:{password}")), hash(format!("INVITE:{uri}")));
        let response = hash(format!("{secret}:{nonce}:00000001:abcdef:auth:{asked}"));
        let line = format!(
            "Authorization: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"abcdef\", response=\"{response}\"\r\nContact:"
        );
        self.invite = self.request("INVITE", 1, "i", &self.offer("0 101")).replace("Contact:", &line);
        let text = self.invite.clone();
        self.send(&text).await;
    }

    /// The status and text of the final answer to our INVITE, acknowledged. Over UDP the INVITE is sent again each second.
    pub async fn answer(&mut self) -> (u16, String) {
        let deadline = Instant::now() + PATIENCE;
        let mut provisional = false;
        while Instant::now() < deadline {
            let Some(message) = self.next(Duration::from_secs(1)).await else {
                if !provisional && matches!(self.wire, Wire::Udp(_)) {
                    let text = self.invite.clone();
                    self.send(&text).await;
                }
                continue;
            };
            let status = status(&message);
            provisional |= status > 0;
            if status < 200 || !message.contains("INVITE\r\n") {
                continue;
            }
            self.to_tag = header(&message, "To").and_then(|t| t.split(";tag=").nth(1)).unwrap_or_default().to_owned();
            let port = message.split("m=audio ").nth(1).and_then(|m| m.split(' ').next()).and_then(|p| p.parse().ok());
            self.remote = port.map(|port: u16| SocketAddr::new(self.server.ip(), port));
            let ack = self.request("ACK", 1, if status < 300 { "a" } else { "i" }, "");
            self.send(&ack).await;
            return (status, message);
        }
        panic!("no final answer to INVITE {} in {PATIENCE:?}", self.number)
    }

    pub async fn call(&mut self, number: &str) -> u16 {
        self.invite(number).await;
        self.answer().await.0
    }

    pub async fn cancel(&mut self) {
        let text = self.request("CANCEL", 1, "i", "");
        self.send(&text).await;
    }

    /// Sends OPTIONS (of a caller without a call).
    pub async fn send_options(&mut self) {
        self.cseq += 1;
        self.number = "ping".into();
        let text = self.request("OPTIONS", self.cseq, &format!("o{}", self.cseq), "");
        self.send(&text).await;
    }

    /// Sends OPTIONS and returns its answer.
    pub async fn options(&mut self) -> String {
        self.send_options().await;
        self.next_with(" OPTIONS\r\n").await
    }

    /// The next message with `what` in it.
    pub async fn next_with(&mut self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(message) = self.next(Duration::from_millis(500)).await
                && message.contains(what)
            {
                return message;
            }
        }
        panic!("no message with {what:?} in {PATIENCE:?}")
    }

    /// Sends BYE and waits for its answer.
    pub async fn bye(&mut self) -> u16 {
        self.cseq += 1;
        let text = self.request("BYE", self.cseq, &format!("b{}", self.cseq), "");
        self.send(&text).await;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.next(Duration::from_millis(500)).await {
                Some(message) if status(&message) > 0 && message.contains("BYE\r\n") => return status(&message),
                Some(message) => drop(self.accept_bye(&message).await),
                None => self.send(&text).await,
            }
        }
        panic!("no answer to BYE")
    }

    async fn accept_bye(&mut self, message: &str) -> bool {
        if !message.starts_with("BYE ") {
            return message.starts_with("NOTIFY ") && {
                self.reply(message, "200 OK").await;
                false
            };
        }
        self.reply(message, "200 OK").await;
        true
    }

    /// Answers a request of the server.
    pub async fn reply(&mut self, message: &str, line: &str) {
        let keep = |name: &str| {
            message.lines().filter(|l| l.starts_with(name)).map(|l| format!("{l}\r\n")).collect::<String>()
        };
        let answer = format!(
            "SIP/2.0 {line}\r\n{}{}{}{}{}Content-Length: 0\r\n\r\n",
            keep("Via:"),
            keep("From:"),
            keep("To:"),
            keep("Call-ID:"),
            keep("CSeq:")
        );
        self.send(&answer).await;
    }

    /// One packet of an RFC 4733 event that is over.
    pub async fn send_event(&mut self, event: u8) {
        let Some(remote) = self.remote else { return };
        let mut packet = vec![0x80, 101];
        packet.extend((self.frame as u16).to_be_bytes());
        packet.extend((4_000_000 + u32::from(event)).to_be_bytes());
        packet.extend(self.id.to_be_bytes());
        packet.extend([event, 0x8A, 3, 0x20]);
        self.frame += 1;
        self.send_packet(packet, remote).await;
    }

    /// Replaces value of our dialog, as another caller writes it (RFC 3891 §6.1: the server's tag is the to-tag).
    pub fn replaces(&self) -> String {
        format!("e2e-{id};to-tag={};from-tag=f{id}", self.to_tag, id = self.id)
    }

    /// An INVITE with one more header.
    pub async fn invite_with_header(&mut self, number: &str, line: &str) {
        self.number = number.into();
        let text = self.request("INVITE", 1, "i", &self.offer("0 101"));
        self.invite = text.replacen("Contact:", &format!("{line}\r\nContact:"), 1);
        let text = self.invite.clone();
        self.send(&text).await;
    }

    /// NOTIFY with this status line as its body; its answer is awaited.
    pub async fn notify(&mut self, body: &str) {
        self.cseq += 1;
        let text = self.request("NOTIFY", self.cseq, &format!("n{}", self.cseq), body).replace(
            "Content-Type: application/sdp",
            "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag",
        );
        self.send(&text).await;
        self.next_with(" NOTIFY\r\n").await;
    }

    /// INFO with a key; its status.
    pub async fn info(&mut self, key: char) -> u16 {
        self.cseq += 1;
        let body = format!("Signal={key}\r\nDuration=100\r\n");
        let text = self.request("INFO", self.cseq, &format!("i{}", self.cseq), &body);
        self.send(&text.replace("application/sdp", "application/dtmf-relay")).await;
        status(&self.next_with(" INFO\r\n").await)
    }

    /// REFER in the dialog; its status.
    pub async fn refer(&mut self, to: &str) -> u16 {
        self.cseq += 1;
        let text = self.request("REFER", self.cseq, &format!("r{}", self.cseq), "");
        self.send(&text.replacen("Contact:", &format!("Refer-To: <{to}>\r\nContact:"), 1)).await;
        status(&self.next_with(" REFER\r\n").await)
    }

    /// Waits for the server's BYE, answers it and returns it. RTP silence goes out meanwhile if `talking`.
    pub async fn wait_for_bye(&mut self, talking: bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if talking {
                self.speak(&[0xFF; 160]).await;
            }
            if let Some(message) = self.next(Duration::from_millis(20)).await
                && self.accept_bye(&message).await
            {
                return message;
            }
        }
        panic!("no BYE in {PATIENCE:?}")
    }

    /// Sends one frame of µ-law.
    pub async fn speak(&mut self, payload: &[u8]) {
        let Some(remote) = self.remote else { return };
        let mut packet = vec![0x80, 0];
        packet.extend((self.frame as u16).to_be_bytes());
        packet.extend(self.frame.wrapping_mul(160).to_be_bytes());
        packet.extend(self.id.to_be_bytes());
        packet.extend(payload);
        self.frame += 1;
        self.send_packet(packet, remote).await;
    }

    async fn send_packet(&mut self, mut packet: Vec<u8>, remote: SocketAddr) {
        if let Some(srtp) = &mut self.srtp {
            srtp.protect_rtp(&mut packet).unwrap();
        }
        self.rtp.send_to(&packet, remote).await.unwrap();
    }

    /// The level of a datagram of the server's; `None`: no audio, or not protected as agreed on.
    fn level(&mut self, datagram: &[u8]) -> Option<f64> {
        let packet = match &mut self.srtp {
            Some(srtp) => srtp.unprotect_rtp(std::time::Instant::now(), datagram).ok()?,
            None => datagram,
        };
        packet.get(12..).filter(|payload| !payload.is_empty()).map(rms)
    }

    /// An offer of SRTP: `profile` and one line, of which `key` is key and salt.
    pub fn secure_offer(&self, profile: &str, tag: u32, suite: Suite, key: &[u8]) -> String {
        let line = format!("a=crypto:{tag} {} inline:{}\r\na=sendrecv", suite.name(), STANDARD.encode_to_string(key));
        self.offer("0 101").replace("RTP/AVP", profile).replace("a=sendrecv", &line)
    }

    /// Takes the key in the server's answer; `key` is ours. The server's line, without its key.
    pub fn secure(&mut self, answer: &str, suite: Suite, key: &[u8]) -> String {
        let line = answer.lines().find_map(|line| line.strip_prefix("a=crypto:")).expect("a key of the server");
        let (what, theirs) = line.split_once(" inline:").expect("a key");
        let theirs = STANDARD.decode_to_vec(theirs).expect("base64");
        let keys = [key, &theirs].map(|key| MasterKey::new(suite, key).expect("as long as its suite wants"));
        let [send, receive] = keys;
        self.srtp = Srtp::new(&SrtpKeys { suite, send, receive }).map(Box::new);
        what.to_owned()
    }

    /// Where the server hears us.
    pub fn remote(&self) -> SocketAddr {
        self.remote.expect("an answered call")
    }

    /// Our SSRC.
    pub fn ssrc(&self) -> u32 {
        self.id
    }

    /// Number of our next packet.
    pub fn next_sequence(&self) -> u16 {
        self.frame as u16
    }

    /// Sends silence and listens until `enough`, or until `longest` has passed.
    pub async fn listen(&mut self, longest: Duration, enough: impl Fn(&Heard) -> bool) -> Heard {
        let end = Instant::now() + longest;
        let mut heard = Heard::default();
        let mut next = Instant::now();
        let mut buffer = [0; 2048];
        while Instant::now() < end && !enough(&heard) {
            if Instant::now() >= next {
                next += Duration::from_millis(20);
                self.speak(&[0xFF; 160]).await;
            }
            if let Ok(Ok((n, _))) = timeout_at(next, self.rtp.recv_from(&mut buffer)).await
                && let Some(level) = self.level(&buffer[..n])
            {
                heard.packets += 1;
                heard.loudest = heard.loudest.max(level);
            }
        }
        heard
    }

    /// [`Caller::listen`] for `time`, and on until `least` packets came: on a busy machine this process is late, too, and what it has not yet
    /// read says nothing about the server. How long that was.
    pub async fn listen_for(&mut self, time: Duration, least: usize) -> (Heard, Duration) {
        let begin = Instant::now();
        let heard = self.listen(time + PATIENCE, |heard| heard.packets >= least && begin.elapsed() >= time).await;
        assert!(heard.packets >= least, "{} s: {heard:?}", begin.elapsed().as_secs());
        (heard, begin.elapsed())
    }

    /// The level (RMS) of the next packet.
    pub async fn packet(&mut self, deadline: Instant) -> Option<f64> {
        let mut buffer = [0; 2048];
        let (n, _) = timeout_at(deadline, self.rtp.recv_from(&mut buffer)).await.ok()?.ok()?;
        self.level(&buffer[..n])
    }
}

/// From this address, any port.
pub async fn connect(from: IpAddr, server: SocketAddr) -> TcpStream {
    let socket = if from.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

fn rms(payload: &[u8]) -> f64 {
    let sum: f64 = payload.iter().map(|&b| f64::from(decode(b)).powi(2)).sum();
    (sum / payload.len() as f64).sqrt()
}

/// µ-law to linear (G.711).
fn decode(byte: u8) -> i32 {
    let u = !byte;
    let magnitude = (((i32::from(u & 0x0F) << 3) + 0x84) << ((u & 0x70) >> 4)) - 0x84;
    if u & 0x80 == 0 { magnitude } else { -magnitude }
}

pub fn status(message: &str) -> u16 {
    message.strip_prefix("SIP/2.0 ").and_then(|m| m.get(..3)).and_then(|s| s.parse().ok()).unwrap_or(0)
}

pub fn header<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    message.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Takes one message off the front of a stream.
fn cut(buffer: &mut Vec<u8>) -> Option<String> {
    let text = String::from_utf8_lossy(buffer);
    let head = text.find("\r\n\r\n")? + 4;
    let length: usize = header(&text[..head], "Content-Length")?.parse().unwrap();
    if buffer.len() < head + length {
        return None;
    }
    let message: Vec<u8> = buffer.drain(..head + length).collect();
    Some(String::from_utf8_lossy(&message).into_owned())
}
