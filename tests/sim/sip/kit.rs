//! One user agent on a bench in virtual time, and a peer whose messages are written by hand.

use bytes::Bytes;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use voxtrunk::sip::message::{Builder, Framing, Message};
use voxtrunk::sip::user_agent::{
    NewInvite, ReferOutcome, SessionEnd, SessionId, UaCommand, UaConfig, UaCounts, UaEvent, UaOutput, UaTrunk,
    UserAgent,
};
use voxtrunk::sip::{Flow, Transport, TrunkId};

pub const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.20\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

pub fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address of the test")
}

pub fn udp() -> Flow {
    Flow { transport: Transport::Udp, local: addr("192.0.2.10:5060"), remote: addr("192.0.2.20:5060"), conn: 0 }
}

pub fn tcp() -> Flow {
    Flow { transport: Transport::Tcp, remote: addr("192.0.2.20:40000"), conn: 7, ..udp() }
}

pub fn trunk() -> UaTrunk {
    let at = addr("192.0.2.10:5060");
    UaTrunk::new(Vec::new(), vec![(Transport::Udp, at), (Transport::Tcp, at)], "agent")
}

/// The trunk of every message and call, where a test does not say otherwise.
pub const TRUNK: TrunkId = TrunkId(0);

/// A call to be placed.
pub fn new_call(session: SessionId, flow: Flow, sdp: Option<Bytes>) -> NewInvite {
    NewInvite {
        session,
        trunk: TRUNK,
        flows: vec![flow],
        target: voxtrunk::sip::uri::Uri::parse("sip:bob@192.0.2.20").expect("a URI of the test"),
        from: "\"Agent\" <sip:agent@192.0.2.10>".into(),
        sdp,
        headers: Vec::new(),
        ring_limit: Duration::from_secs(3600),
    }
}

pub fn config() -> UaConfig {
    UaConfig { seed: 1, trunks: vec![trunk()], max_sessions: 10, max_transactions: 100 }
}

pub struct Sent {
    pub ms: u64,
    pub flow: Flow,
    pub message: Message,
}

pub struct Bench {
    pub ua: UserAgent,
    t0: Instant,
    now: Instant,
    timeout: Option<Instant>,
    pub flow: Flow,
    pub sent: Vec<Sent>,
    /// Refusals of requests so broken that their copied headers do not parse.
    pub echoed: Vec<String>,
    pub events: Vec<(u64, UaEvent)>,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(config(), udp())
    }
    pub fn over(flow: Flow) -> Bench {
        Bench::with(config(), flow)
    }
    pub fn with(config: UaConfig, flow: Flow) -> Bench {
        let t0 = voxtrunk::net::clock::now();
        let (sent, echoed, events) = (Vec::new(), Vec::new(), Vec::new());
        Bench { ua: UserAgent::new(config), t0, now: t0, timeout: None, flow, sent, echoed, events }
    }

    /// A bench whose trunk differs from the default.
    pub fn of_trunk(change: impl FnOnce(&mut UaTrunk)) -> Bench {
        let mut own = trunk();
        change(&mut own);
        Bench::with(UaConfig { trunks: vec![own], ..config() }, udp())
    }

    fn drain(&mut self) {
        let ms = self.ms();
        loop {
            match self.ua.poll_output() {
                UaOutput::Transmit { flow, bytes } => {
                    let framing = if flow.transport == Transport::Udp { Framing::Datagram } else { Framing::Stream };
                    match Message::parse(bytes.clone(), framing) {
                        Ok(message) => self.sent.push(Sent { ms, flow, message }),
                        Err(e) => {
                            // A refusal copies what was wrong with the request (RFC 3261 §8.2.6); anything else must parse.
                            let text = String::from_utf8_lossy(&bytes).into_owned();
                            assert!(text.starts_with("SIP/2.0 4") || text.starts_with("SIP/2.0 5"), "{e:?}\n{text}");
                            self.echoed.push(text);
                        }
                    }
                }
                UaOutput::Event(event) => self.events.push((ms, event)),
                UaOutput::Timeout(at) => {
                    self.timeout = at;
                    return;
                }
            }
        }
    }

    pub fn ms(&self) -> u64 {
        (self.now - self.t0).as_millis() as u64
    }

    /// Runs the clock to an absolute time.
    pub fn at(&mut self, ms: u64) -> &mut Bench {
        let until = self.t0 + Duration::from_millis(ms);
        while let Some(at) = self.timeout.filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.ua.handle_timeout(self.now);
            self.drain();
            assert!(self.timeout.is_none_or(|next| next > self.now), "a timer in the past stays");
        }
        self.now = until;
        self
    }
    pub fn after(&mut self, ms: u64) -> &mut Bench {
        let until = self.ms() + ms;
        self.at(until)
    }

    pub fn hear(&mut self, text: impl AsRef<[u8]>) {
        self.hear_on(self.flow, text);
    }
    pub fn hear_on(&mut self, flow: Flow, text: impl AsRef<[u8]>) {
        self.hear_of(Some(TRUNK), flow, text);
    }
    /// A message that the owner's rules give to this trunk, or to none.
    pub fn hear_of(&mut self, origin: Option<TrunkId>, flow: Flow, text: impl AsRef<[u8]>) {
        let framing = if flow.transport == Transport::Udp { Framing::Datagram } else { Framing::Stream };
        let message = Message::parse(Bytes::copy_from_slice(text.as_ref()), framing);
        self.ua.handle_message(self.now, flow, origin, message);
        self.drain();
    }
    pub fn broken(&mut self, flow: Flow) {
        self.ua.handle_transport_error(self.now, flow);
        self.drain();
    }
    pub fn tell(&mut self, command: UaCommand) {
        self.ua.command(self.now, command);
        self.drain();
    }

    /// What was sent since the last look, as `ms method` or `ms status method`.
    pub fn log(&mut self) -> Vec<String> {
        self.sent.drain(..).map(|s| format!("{} {}", s.ms, name(&s.message))).collect()
    }
    /// The last message sent, taken away with all before it.
    pub fn last(&mut self) -> Message {
        let last = self.sent.pop().expect("something was sent").message;
        self.sent.clear();
        last
    }
    /// What was told since the last look, as `ms event`.
    pub fn told(&mut self) -> Vec<String> {
        self.events.drain(..).map(|(ms, event)| format!("{ms} {}", label(&event))).collect()
    }
    /// Runs until the last timer and expects nothing to be left (TXN-12).
    #[track_caller]
    pub fn expect_empty(&mut self) {
        self.after(200_000);
        assert_eq!(self.ua.counts(), UaCounts::default(), "something stays after its last timer");
    }
    /// A call placed by us; its INVITE is the last thing sent.
    pub fn place(&mut self, sdp: Option<&str>) -> SessionId {
        let session = self.ua.new_session_id();
        let sdp = sdp.map(|sdp| Bytes::copy_from_slice(sdp.as_bytes()));
        self.tell(UaCommand::Invite(Box::new(new_call(session, self.flow, sdp))));
        session
    }
}

pub fn sdp() -> Bytes {
    Bytes::from_static(SDP.as_bytes())
}

pub fn name(message: &Message) -> String {
    match message.status() {
        Some(status) => format!("{status} {}", message.method().as_str()),
        None => message.method().as_str().to_owned(),
    }
}

pub fn label(event: &UaEvent) -> String {
    let with = |sdp: &Option<Bytes>| if sdp.is_some() { " sdp" } else { "" };
    match event {
        UaEvent::IncomingCall { .. } => "incoming".into(),
        UaEvent::Refused { status, .. } => format!("refused {status}"),
        UaEvent::Progress { status, sdp, .. } => format!("progress {status}{}", with(sdp)),
        UaEvent::Answered { sdp, .. } => format!("answered{}", with(sdp)),
        UaEvent::Established { sdp, .. } => format!("established{}", with(sdp)),
        UaEvent::Reinvite { offer, .. } => format!("reinvite{}", with(offer)),
        UaEvent::ReinviteAck { sdp, .. } => format!("reinvite ack{}", with(sdp)),
        UaEvent::ReinviteDone { status, sdp, .. } => format!("reinvite done {status}{}", with(sdp)),
        UaEvent::ReferRequested { refer_to, .. } => format!("refer requested {refer_to}"),
        UaEvent::IdentityChanged { .. } => "identity changed".into(),
        UaEvent::Response { id, status, .. } => format!("response {} {status}", id.0),
        UaEvent::Info { content_type, body, .. } => format!("info {content_type} {}", String::from_utf8_lossy(body)),
        UaEvent::Refer { outcome, .. } => match outcome {
            ReferOutcome::Accepted => "refer accepted".into(),
            ReferOutcome::Progress(status) => format!("refer progress {status}"),
            ReferOutcome::Final(status) => format!("refer final {status}"),
            ReferOutcome::Refused(status) => format!("refer refused {status}"),
            ReferOutcome::Unknown => "refer unknown".into(),
        },
        UaEvent::Ended { end, .. } => match end {
            SessionEnd::PeerBye { .. } => "ended: peer bye".into(),
            SessionEnd::PeerCancel { .. } => "ended: peer cancel".into(),
            SessionEnd::Local => "ended: local".into(),
            SessionEnd::NoAck => "ended: no ack".into(),
            SessionEnd::Failed { status, .. } => format!("ended: failed {status}"),
        },
    }
}

/// A peer that calls us. `to_tag` is ours once known.
#[derive(Clone)]
pub struct Peer {
    pub call_id: String,
    pub from: String,
    pub to: String,
    pub contact: String,
    pub via: String,
    pub uri: String,
    pub branches: u32,
}

impl Peer {
    pub fn new() -> Peer {
        Peer {
            call_id: "call@192.0.2.20".into(),
            from: "<sip:alice@192.0.2.20>;tag=alice".into(),
            to: "<sip:4711@192.0.2.10>".into(),
            contact: "<sip:alice@192.0.2.20:5060>".into(),
            via: "UDP 192.0.2.20:5060".into(),
            uri: "sip:4711@192.0.2.10".into(),
            branches: 0,
        }
    }
    pub fn over(flow: Flow) -> Peer {
        Peer { via: format!("{} 192.0.2.20:5060", flow.transport.via_token()), ..Peer::new() }
    }

    /// A request with a given branch; `extra` are whole header lines.
    pub fn with_branch(&self, method: &str, cseq: u32, branch: &str, extra: &str, body: &str) -> String {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/{};branch={branch};rport\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} {method}\r\nContact: {}\r\n{extra}{}Content-Length: {}\r\n\r\n{body}",
            self.uri,
            self.via,
            self.from,
            self.to,
            self.call_id,
            self.contact,
            if extra.contains("Content-Type:") { "" } else { kind },
            body.len()
        )
    }
    /// A request with a branch of its own.
    pub fn request(&mut self, method: &str, cseq: u32, extra: &str, body: &str) -> String {
        self.branches += 1;
        self.with_branch(method, cseq, &format!("z9hG4bKnew{}", self.branches), extra, body)
    }
    /// The INVITE: CSeq 1, branch `z9hG4bKinvite`.
    pub fn invite(&self) -> String {
        self.with_branch("INVITE", 1, "z9hG4bKinvite", "", SDP)
    }
    /// Learns our tag from a response.
    pub fn learn(&mut self, response: &Message) {
        let to = response.to().expect("To").expect("a readable To");
        self.to = format!("<sip:4711@192.0.2.10>;tag={}", to.tag().expect("our tag"));
    }
}

/// A response to a request of ours.
pub fn reply(request: &Message, status: u16, to_tag: &str, extra: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut response = Builder::response(request, status, "", Some(to_tag));
    for (name, value) in extra {
        response = response.header(voxtrunk::sip::headers::Name::Other((*name).into()), value);
    }
    if !body.is_empty() {
        response = response.body("application/sdp", body);
    }
    response.build().as_bytes().to_vec()
}

pub const CONTACT: (&str, &str) = ("Contact", "<sip:bob@192.0.2.20:5060>");

/// A call we have answered, its ACK received; the peer knows our tag. All at 0 ms.
pub fn answered(bench: &mut Bench) -> (SessionId, Peer) {
    let mut peer = Peer::over(bench.flow);
    bench.hear(peer.invite());
    let session = incoming(bench);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    peer.learn(&bench.last());
    bench.hear(peer.request("ACK", 1, "", ""));
    assert!(bench.told().last().is_some_and(|told| told.ends_with("established")));
    (session, peer)
}

/// A call of ours that was answered; gives the peer's view of it: From and To turned.
pub fn called(bench: &mut Bench) -> (SessionId, Peer) {
    let session = bench.place(Some(SDP));
    let invite = bench.last();
    bench.hear(reply(&invite, 200, "bob", &[CONTACT], SDP));
    assert_eq!(name(&bench.last()), "ACK");
    bench.told();
    let from = invite.value(&voxtrunk::sip::headers::Name::From).expect("From");
    let mut peer = Peer::over(bench.flow);
    peer.call_id = invite.call_id().expect("Call-ID");
    peer.from = "<sip:bob@192.0.2.20>;tag=bob".into();
    peer.to = from;
    peer.uri = "sip:agent@192.0.2.10:5060".into();
    peer.contact = "<sip:bob@192.0.2.20:5060>".into();
    (session, peer)
}

/// The session of the last incoming call.
pub fn incoming(bench: &Bench) -> SessionId {
    bench
        .events
        .iter()
        .rev()
        .find_map(|(_, event)| match event {
            UaEvent::IncomingCall { session, .. } => Some(*session),
            _ => None,
        })
        .expect("an incoming call")
}
