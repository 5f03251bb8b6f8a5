//! A raw target of transfers: it takes one call by UDP, as text, with SRTP if it is offered RTP/SAVP, and shares nothing with the code under
//! test but the ciphers of SRTP.

use crate::caller::{Caller, header, status};
use crate::peer::Seen;
use crate::world::PATIENCE;
use base64_simd::STANDARD;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout, timeout_at};
use voxtrunk::rtp::srtp::Srtp;
use voxtrunk::srtp_key::{MasterKey, SrtpKeys, Suite};

pub struct Callee {
    sip: UdpSocket,
    rtp: UdpSocket,
    server: Option<SocketAddr>,
    media: Option<SocketAddr>,
    /// Headers of the INVITE that make up the dialog.
    pub from: String,
    pub call_id: String,
    cseq: u32,
    sequence: u16,
    srtp: Option<Box<Srtp>>,
    seen: Seen,
}

/// Key and salt that we send with.
const KEY: [u8; 30] = [0xC3; 30];
/// Our tag.
pub const TAG: &str = "callee-1";

impl Callee {
    pub async fn at(ip: IpAddr) -> Callee {
        Callee {
            sip: UdpSocket::bind((ip, 0)).await.unwrap(),
            rtp: UdpSocket::bind((ip, 0)).await.unwrap(),
            server: None,
            media: None,
            from: String::new(),
            call_id: String::new(),
            cseq: 0,
            sequence: 0,
            srtp: None,
            seen: Seen::default(),
        }
    }

    pub fn uri(&self) -> String {
        format!("sip:300@{}", self.sip.local_addr().unwrap())
    }

    /// The next request of this method; others and responses are passed over, and what is sent again gets its answer again.
    pub async fn request(&mut self, method: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 8192];
        loop {
            let received = timeout_at(deadline, self.sip.recv_from(&mut buffer)).await;
            let (n, from) = received.unwrap_or_else(|_| panic!("no {method} in {PATIENCE:?}")).unwrap();
            self.server = Some(from);
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if status(&text) != 0 {
                continue;
            }
            match self.seen.again(&text) {
                None if text.starts_with(&format!("{method} ")) => return text,
                Some(answer) if !answer.is_empty() => drop(self.sip.send_to(answer.as_bytes(), from).await.unwrap()),
                _ => {}
            }
        }
    }

    pub async fn respond(&mut self, request: &str, line: &str, sdp: &str) {
        let keep: String = request
            .lines()
            .filter(|l| ["Via:", "From:", "Call-ID:", "CSeq:", "Record-Route:"].iter().any(|name| l.starts_with(name)))
            .map(|l| format!("{l}\r\n"))
            .collect();
        let to = header(request, "To").unwrap();
        let to = if to.contains(";tag=") { to.to_owned() } else { format!("{to};tag={TAG}") };
        let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let contact = self.sip.local_addr().unwrap();
        let text = format!(
            "SIP/2.0 {line}\r\n{keep}To: {to}\r\nContact: <sip:300@{contact}>\r\n{kind}Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        self.seen.answered(request, &text);
        self.sip.send_to(text.as_bytes(), self.server.unwrap()).await.unwrap();
    }

    /// Takes the INVITE, rings.
    pub async fn ring(&mut self) -> String {
        let invite = self.request("INVITE").await;
        self.from = header(&invite, "From").unwrap().to_owned();
        self.call_id = header(&invite, "Call-ID").unwrap().to_owned();
        let port = invite.split("m=audio ").nth(1).and_then(|m| m.split(' ').next()).and_then(|p| p.parse().ok());
        self.media = port.map(|port: u16| SocketAddr::new(self.server.unwrap().ip(), port));
        self.respond(&invite, "180 Ringing", "").await;
        invite
    }

    /// Answers it, and waits for the ACK.
    pub async fn answer(&mut self, invite: &str) {
        let rtp = self.rtp.local_addr().unwrap();
        let (profile, crypto) = self.secure(invite);
        let sdp = format!(
            "v=0\r\no=- 5 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} {profile} 0 101\r\n\
             a=rtpmap:101 telephone-event/8000\r\n{crypto}a=sendrecv\r\n",
            rtp.port(),
            ip = rtp.ip()
        );
        self.respond(invite, "200 OK", &sdp).await;
        self.request("ACK").await;
    }

    /// Of an offer of RTP/SAVP the line of the suite that everybody has; the profile and the line of the answer.
    fn secure(&mut self, invite: &str) -> (&'static str, String) {
        if !invite.contains(" RTP/SAVP ") {
            return ("RTP/AVP", String::new());
        }
        let suite = Suite::AesCm128HmacSha1_80;
        let mut lines = invite.lines().filter_map(|line| line.strip_prefix("a=crypto:"));
        let line = lines.find(|line| line.contains(suite.name())).expect("the suite is offered");
        let (what, theirs) = line.split_once(" inline:").expect("a key");
        let theirs = STANDARD.decode_to_vec(theirs).expect("base64");
        let [send, receive] = [&KEY[..], &theirs].map(|key| MasterKey::new(suite, key).expect("its length"));
        self.srtp = Srtp::new(&SrtpKeys { suite, send, receive }).map(Box::new);
        ("RTP/SAVP", format!("a=crypto:{what} inline:{}\r\n", STANDARD.encode_to_string(KEY)))
    }

    async fn send(&mut self, mut packet: Vec<u8>) {
        if let Some(srtp) = &mut self.srtp {
            srtp.protect_rtp(&mut packet).unwrap();
        }
        self.rtp.send_to(&packet, self.media.unwrap()).await.unwrap();
    }

    async fn packet(&mut self, payload_type: u8, payload: &[u8]) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = vec![0x80, payload_type];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend((u32::from(self.sequence) * 160).to_be_bytes());
        packet.extend(7u32.to_be_bytes());
        packet.extend(payload);
        self.send(packet).await;
    }

    /// The key 1, as one RFC 4733 event.
    pub async fn press_one(&mut self) {
        for _ in 0..3 {
            let timestamp = 4_000_000u32;
            self.sequence = self.sequence.wrapping_add(1);
            let mut packet = vec![0x80, 101];
            packet.extend(self.sequence.to_be_bytes());
            packet.extend(timestamp.to_be_bytes());
            packet.extend(7u32.to_be_bytes());
            packet.extend([1, 0x8A, 3, 0x20]);
            self.send(packet).await;
        }
    }

    /// Speaks loudly, and listens: the loudest µ-law amplitude heard, once it is above `enough` or `longest` is over.
    pub async fn talk(&mut self, longest: Duration, enough: u8) -> u8 {
        let end = Instant::now() + longest;
        let (mut loudest, mut next) = (0, Instant::now());
        let mut buffer = [0; 2048];
        while Instant::now() < end && loudest < enough {
            if Instant::now() >= next {
                next += Duration::from_millis(20);
                self.packet(0, &LOUD).await;
            }
            if let Ok(Ok((n, _))) = timeout_at(next, self.rtp.recv_from(&mut buffer)).await {
                let datagram = buffer.get(..n).unwrap_or_default();
                let packet = match &mut self.srtp {
                    Some(srtp) => srtp.unprotect_rtp(std::time::Instant::now(), datagram).unwrap_or_default(),
                    None => datagram,
                };
                let payload = packet.get(12..).unwrap_or_default();
                loudest = payload.iter().map(|b| !b & 0x7F).max().unwrap_or(0).max(loudest);
            }
        }
        loudest
    }

    /// A request of ours in the dialog, which `invite` made.
    pub async fn bye(&mut self, invite: &str) {
        self.cseq += 1;
        let contact = header(invite, "Contact").and_then(|c| c.split(['<', '>']).nth(1)).unwrap();
        let to = header(invite, "To").unwrap();
        let text = format!(
            "BYE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKcb{}\r\nMax-Forwards: 70\r\n\
             From: {to};tag={TAG}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} BYE\r\nContent-Length: 0\r\n\r\n",
            self.cseq,
            self.from,
            self.call_id,
            self.cseq,
            local = self.sip.local_addr().unwrap(),
        );
        let mut buffer = vec![0; 8192];
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.sip.send_to(text.as_bytes(), self.server.unwrap()).await.unwrap();
            if let Ok(Ok((n, _))) = timeout(Duration::from_millis(500), self.sip.recv_from(&mut buffer)).await
                && String::from_utf8_lossy(&buffer[..n]).starts_with("SIP/2.0 200")
            {
                return;
            }
        }
        panic!("no answer to our BYE");
    }

    /// Waits for BYE or CANCEL, and answers it.
    pub async fn ended(&mut self, method: &str) -> String {
        let request = self.request(method).await;
        self.respond(&request, "200 OK", "").await;
        request
    }
}

/// One frame, all of it loud: alternating signs.
pub const LOUD: [u8; 160] = {
    let mut frame = [0x10; 160];
    let mut n = 0;
    while n < 160 {
        frame[n] = if n % 16 < 8 { 0x10 } else { 0x90 };
        n += 1;
    }
    frame
};

/// Loud enough to be speech or [`LOUD`], not the soft waiting tone.
pub const SPEECH: u8 = 0x50;

impl Caller {
    /// One key, as an RFC 4733 event.
    pub async fn press(&mut self, event: u8) {
        for _ in 0..3 {
            self.send_event(event).await;
        }
    }
}
