//! Random programs of messages, time, commands and broken flows against one user agent (TXN-12). The oracle is not "no panic" but:
//! no leak, no resurrected session, no entry after its last timer, nothing said twice, everything sent can be read.

use crate::kit::{SDP, TRUNK, addr, config, label, new_call, sdp, tcp, udp};
use crate::network::seeds;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use voxtrunk::sip::Flow;
use voxtrunk::sip::headers::{Name, Reason};
use voxtrunk::sip::message::{Builder, Framing, Message};
use voxtrunk::sip::session_timer::{Refresher, TimerMode};
use voxtrunk::sip::user_agent::{
    NewInvite, NewRequest, Reliable, RequestId, SessionId, UaCommand, UaConfig, UaCounts, UaEvent, UaOutput, UserAgent,
};

const METHODS: [&str; 13] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "UPDATE",
    "INFO",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "PRACK",
    "REGISTER",
    "FROB",
];
const STATUSES: [u16; 18] = [100, 180, 183, 183, 199, 200, 202, 299, 302, 401, 404, 408, 422, 481, 486, 487, 491, 503];
const CONTACTS: [&str; 4] =
    ["<sip:p@192.0.2.20>", "<sip:p@10.0.0.9:5070;transport=tcp>", "<tel:+15551234>", "<sip:p@host.example.com;ob>"];
const EXTRAS: [&str; 17] = [
    "",
    "",
    "Record-Route: <sip:192.0.2.31;lr>, <sip:p1.example.com>\r\n",
    "Require: 100rel\r\n",
    "Event: refer\r\nSubscription-State: active;expires=5\r\n",
    "Event: refer\r\nSubscription-State: terminated\r\n",
    "Reason: Q.850;cause=16\r\n",
    "Refer-Sub: false\r\n",
    "Content-Encoding: gzip\r\n",
    "Supported: timer, 100rel\r\nSession-Expires: 90\r\nAllow: INVITE, UPDATE\r\n",
    "Supported: timer\r\nSession-Expires: 120;refresher=uac\r\n",
    "Session-Expires: 100;refresher=uas\r\nAllow: INVITE, BYE\r\n",
    "Supported: timer\r\nSession-Expires: 20\r\n",
    "Refer-To: <sip:2001@192.0.2.20>\r\n",
    "Refer-To: <sip:2001@192.0.2.20>\r\nRefer-Sub: false\r\n",
    "P-Asserted-Identity: <sip:+15551@192.0.2.20>\r\n",
    "Replaces: c1;to-tag=x;from-tag=p1\r\n",
];
/// Of responses.
const SAID: [&[(&str, &str)]; 8] = [
    &[],
    &[],
    &[("Require", "100rel"), ("RSeq", "1")],
    &[("Require", "100rel"), ("RSeq", "2")],
    &[("Session-Expires", "90;refresher=uac"), ("Allow", "INVITE, UPDATE")],
    &[("Session-Expires", "100;refresher=uas")],
    &[("Min-SE", "200")],
    &[("Min-SE", "4000000000"), ("Retry-After", "1")],
];
const BODIES: [&str; 4] = ["", SDP, "SIP/2.0 200 OK", "SIP/2.0 180 Ringing"];

struct Program {
    seed: u64,
    rng: StdRng,
    ua: UserAgent,
    now: Instant,
    timeout: Option<Instant>,
    /// Heard and sent messages, to be answered, repeated, broken.
    heard: Vec<(Flow, Bytes)>,
    sent: Vec<(Flow, Message)>,
    /// Whether each session has ended.
    sessions: BTreeMap<SessionId, bool>,
    /// Whether each request of ours outside of dialogs has ended.
    requests: BTreeMap<u64, bool>,
    timeouts: u64,
}

impl Program {
    fn new(seed: u64) -> Program {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut config = UaConfig { seed, max_sessions: 5, max_transactions: 60, ..config() };
        for trunk in &mut config.trunks {
            trunk.reliable = *[Reliable::Off, Reliable::Supported, Reliable::Preferred].choose(&mut rng).expect("one");
            trunk.timer.mode = *[TimerMode::Off, TimerMode::Accept, TimerMode::Offer].choose(&mut rng).expect("one");
            trunk.timer.refresher = if rng.random() { Refresher::Us } else { Refresher::Peer };
            trunk.timer.expires = Duration::from_secs(90);
            (trunk.refer, trunk.replaces) = (rng.random(), rng.random());
        }
        Program {
            seed,
            rng,
            ua: UserAgent::new(config),
            now: voxtrunk::net::clock::now(),
            timeout: None,
            heard: Vec::new(),
            sent: Vec::new(),
            sessions: BTreeMap::new(),
            requests: BTreeMap::new(),
            timeouts: 0,
        }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *from.choose(&mut self.rng).expect("a choice")
    }

    fn flow(&mut self) -> Flow {
        let other = Flow { remote: addr("203.0.113.5:1111"), ..udp() };
        self.pick(&[udp(), udp(), tcp(), other])
    }

    fn drain(&mut self) {
        loop {
            match self.ua.poll_output() {
                UaOutput::Transmit { flow, bytes } => {
                    let message = match Message::parse(bytes.clone(), Framing::Datagram) {
                        Ok(message) => message,
                        Err(_) if bytes.starts_with(b"SIP/2.0 4") || bytes.starts_with(b"SIP/2.0 5") => continue,
                        Err(e) => panic!("seed {}: {e:?}\n{}", self.seed, String::from_utf8_lossy(&bytes)),
                    };
                    for name in [Name::Authorization, Name::ProxyAuthorization] {
                        assert!(message.value(&name).is_none(), "seed {}: AUT-04", self.seed);
                    }
                    if self.sent.len() == 40 {
                        self.sent.remove(0);
                    }
                    self.sent.push((flow, message));
                }
                UaOutput::Event(event) => self.told(&event),
                UaOutput::Timeout(at) => {
                    self.timeout = at;
                    break;
                }
            }
        }
        let counts = self.ua.counts();
        let live = self.sessions.values().filter(|ended| !**ended).count();
        assert_eq!(counts.sessions, live, "seed {}: sessions counted wrong", self.seed);
        assert!(counts.sessions <= 5 && counts.server_transactions <= 60, "seed {}: {counts:?}", self.seed);
        assert!(counts.timers > 0 || self.timeout.is_none());
    }

    fn told(&mut self, event: &UaEvent) {
        let (seed, text) = (self.seed, label(event));
        match event {
            UaEvent::IncomingCall { session, .. } => {
                assert!(self.sessions.insert(*session, false).is_none(), "seed {seed}: a session number twice");
            }
            UaEvent::Refused { .. } => {}
            UaEvent::Response { id, .. } => {
                assert_eq!(self.requests.insert(id.0, true), Some(false), "seed {seed}: {text} twice");
            }
            UaEvent::Ended { session, .. } => {
                assert_eq!(self.sessions.insert(*session, true), Some(false), "seed {seed}: {text}, {session:?}");
            }
            _ => {
                let session = event.session();
                assert_eq!(
                    session.and_then(|session| self.sessions.get(&session)),
                    Some(&false),
                    "seed {seed}: {text} of {session:?}"
                );
            }
        }
    }

    fn hear(&mut self, flow: Flow, bytes: Bytes) {
        if self.heard.len() == 40 {
            self.heard.remove(0);
        }
        self.heard.push((flow, bytes.clone()));
        let message = Message::parse(bytes, Framing::Datagram);
        let origin = self.rng.random_bool(0.9).then_some(TRUNK);
        self.ua.handle_message(self.now, flow, origin, message);
        self.drain();
    }

    /// Header lines of a request; some name what was sent: the RSeq of a response, a dialog to take over.
    fn extra(&mut self) -> String {
        let Some((_, message)) = self.sent.choose(&mut self.rng).cloned() else { return String::new() };
        match self.rng.random_range(0..10) {
            0 => {
                let tag = |name| message.address(&name).and_then(Result::ok).and_then(|a| a.tag().map(str::to_owned));
                let (from, to) = (tag(Name::From).unwrap_or_default(), tag(Name::To).unwrap_or_default());
                let (ours, theirs) = if message.is_request() { (from, to) } else { (to, from) };
                format!("Replaces: {};to-tag={ours};from-tag={theirs}\r\n", message.call_id().unwrap_or_default())
            }
            1..4 => {
                let reliable =
                    self.sent.iter().rev().find_map(|(_, m)| Some((m.value(&Name::RSeq)?, m.value(&Name::CSeq)?)));
                reliable.map(|(rseq, cseq)| format!("RAck: {rseq} {cseq}\r\n")).unwrap_or_default()
            }
            _ => self.pick(&EXTRAS).to_owned(),
        }
    }

    /// A request outside of any dialog, from small pools so that they collide.
    fn stray_request(&mut self) {
        let methods = ["INVITE", "INVITE", "INVITE", "CANCEL", "ACK"];
        let method = if self.rng.random_bool(0.8) { self.pick(&methods) } else { self.pick(&METHODS) };
        let (call, tag, branch) =
            (self.rng.random_range(0..6), self.rng.random_range(0..3), self.rng.random_range(0..12));
        let cookie = self.pick(&["z9hG4bK", "z9hG4bK", "z9hG4bK", ""]);
        let (cseq, flow) = (self.rng.random_range(1..4), self.flow());
        let from = format!("<sip:p@example.com>;tag=p{tag}");
        self.request(
            flow,
            method,
            "sip:4711@192.0.2.10",
            &format!("{cookie}{branch}"),
            &from,
            "<sip:a@b>",
            &format!("c{call}"),
            cseq,
        );
    }

    /// A request in a dialog of one of our messages: From and To as the peer has them.
    fn dialog_request(&mut self) {
        let Some((flow, message)) = self.sent.choose(&mut self.rng).cloned() else { return };
        let value = |name| message.value(&name).unwrap_or_default();
        let (mut from, mut to) = (value(Name::From), value(Name::To));
        if message.is_request() {
            std::mem::swap(&mut from, &mut to);
        }
        if self.rng.random_bool(0.1) {
            from = "<sip:x@y>;tag=x".into();
        }
        let method = self.pick(&METHODS);
        let number = message.cseq().and_then(Result::ok).map_or(1, |c| c.number);
        let cseq = match method {
            "ACK" | "CANCEL" => number,
            _ => number.saturating_add(self.rng.random_range(0..20)),
        };
        let branch = format!("z9hG4bKd{}", self.rng.random_range(0..40));
        self.request(flow, method, "sip:agent@192.0.2.10", &branch, &from, &to, &value(Name::CallId), cseq);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a request")]
    fn request(
        &mut self,
        flow: Flow,
        method: &str,
        uri: &str,
        branch: &str,
        from: &str,
        to: &str,
        call_id: &str,
        cseq: u32,
    ) {
        let (contact, extra, body) = (self.pick(&CONTACTS), self.extra(), self.pick(&BODIES));
        let kind = if body.is_empty() || self.rng.random_bool(0.05) { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.20;branch={branch}\r\nMax-Forwards: 70\r\nFrom: {from}\r\n\
             To: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: {contact}\r\n{extra}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.hear(flow, text.into());
    }

    fn response(&mut self) {
        let requests: Vec<_> = self.sent.iter().filter(|(_, m)| m.is_request()).cloned().collect();
        let Some((flow, request)) = requests.choose(&mut self.rng) else { return };
        let tag = self.pick(&["t1", "t2", "t3"]);
        let mut response = Builder::response(request, self.pick(&STATUSES), "", Some(tag));
        if self.rng.random_bool(0.8) {
            response = response.header(Name::Contact, self.pick(&CONTACTS));
        }
        if self.rng.random_bool(0.2) {
            response = response.header(Name::RecordRoute, "<sip:192.0.2.31;lr>");
        }
        for (name, value) in self.pick(&SAID) {
            response = response.header(Name::parse(name), value);
        }
        if self.rng.random_bool(0.5) {
            response = response.body("application/sdp", SDP);
        }
        let bytes = response.build().as_bytes().clone();
        let flow = Flow { conn: self.pick(&[0, 7]), ..*flow };
        self.hear(flow, bytes);
    }

    fn repeat(&mut self) {
        let Some((flow, bytes)) = self.heard.choose(&mut self.rng).cloned() else { return };
        self.hear(flow, bytes);
    }

    fn broken(&mut self) {
        let Some((flow, bytes)) = self.heard.choose(&mut self.rng).cloned() else { return };
        let mut bytes = bytes.to_vec();
        for _ in 0..self.rng.random_range(1..4) {
            let at = self.rng.random_range(0..bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = self.rng.random();
            }
        }
        let end = if self.rng.random_bool(0.2) { self.rng.random_range(0..=bytes.len()) } else { bytes.len() };
        bytes.truncate(end);
        let bytes = Bytes::from(bytes);
        let message = Message::parse(bytes, Framing::Datagram);
        self.ua.handle_message(self.now, flow, Some(TRUNK), message);
        self.drain();
    }

    fn command(&mut self) {
        if self.rng.random_bool(0.2) {
            let session = self.ua.new_session_id();
            self.sessions.insert(session, false);
            let (flow, sdp) = (self.flow(), self.rng.random_bool(0.6).then(sdp));
            let target = voxtrunk::sip::uri::Uri::parse("sip:t@192.0.2.20?x=y").expect("a URI");
            let from = "<sip:agent@192.0.2.10>".into();
            let call = NewInvite { target, from, ..new_call(session, flow, sdp) };
            self.ua.command(self.now, UaCommand::Invite(Box::new(call)));
            return self.drain();
        }
        if self.rng.random_bool(0.05) {
            return self.own_request();
        }
        let known: Vec<_> = self.sessions.keys().copied().collect();
        let session = known.choose(&mut self.rng).copied().unwrap_or(SessionId(9_999));
        let body = self.rng.random_bool(0.6).then(sdp);
        let status = self.rng.random_range(90..710);
        let refer_to = voxtrunk::sip::uri::Uri::parse("sip:x@192.0.2.9").expect("a URI");
        let reason = Some(Reason { protocol: "SIP".into(), cause: Some(200), text: None });
        let replaces = known.choose(&mut self.rng).copied().filter(|_| self.rng.random());
        let command = match self.rng.random_range(0..15) {
            0 => UaCommand::Ring { session },
            1 => UaCommand::Progress { session, status, sdp: body },
            2 | 3 => UaCommand::Accept { session, sdp: sdp() },
            4 => UaCommand::Reject { session, status, headers: vec![(Name::Warning, "399 a \"b\r\nc\"".into())] },
            5 | 6 => UaCommand::AnswerReinvite { session, answer: body.ok_or(status) },
            7 => UaCommand::Hangup { session, reason },
            8 => UaCommand::AnswerInAck { session, sdp: sdp() },
            9 => UaCommand::Reinvite { session, sdp: body },
            10 => UaCommand::Refer { session, refer_to, referred_by: None, replaces },
            11 => UaCommand::AnswerRefer { session, status: self.pick(&[202, 202, 603, 100]) },
            12 | 13 => UaCommand::NotifyRefer { session, status },
            _ => UaCommand::Info { session, content_type: "a/b".into(), body: vec![0, 13, 10, 255] },
        };
        self.ua.command(self.now, command);
        self.drain();
    }

    /// A request outside of dialogs, or what a registration got.
    fn own_request(&mut self) {
        let uri = voxtrunk::sip::uri::Uri::parse("sip:192.0.2.20").expect("a URI");
        let (id, flow) = (self.requests.len() as u64, self.flow());
        let command = match self.rng.random_bool(0.8) {
            false => UaCommand::ServiceRoute { trunk: TRUNK, routes: vec!["<sip:192.0.2.31;lr>".into()] },
            true => {
                self.requests.insert(id, false);
                UaCommand::Request(Box::new(NewRequest {
                    id: RequestId(id),
                    trunk: TRUNK,
                    flows: vec![flow; self.rng.random_range(1..3)],
                    method: self.pick(&["OPTIONS", "REGISTER"]).into(),
                    request_uri: uri,
                    from: "<sip:agent@192.0.2.10>".into(),
                    to: "<sip:192.0.2.20>".into(),
                    call_id: None,
                    cseq: None,
                    headers: Vec::new(),
                    body: None,
                }))
            }
        };
        self.ua.command(self.now, command);
        self.drain();
    }

    /// Lets time pass; the machine is called at its deadlines, or late.
    fn pass(&mut self, ms: u64, late: bool) {
        let until = self.now + Duration::from_millis(ms);
        if late {
            self.now = until;
        }
        while let Some(at) = self.timeout.filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.ua.handle_timeout(self.now);
            self.drain();
            self.timeouts += 1;
            assert!(self.timeouts < 100_000, "seed {}: timers without end", self.seed);
            assert!(self.timeout.is_none_or(|next| next > self.now), "seed {}: a timer in the past stays", self.seed);
        }
        self.now = until;
    }

    fn run(mut self) -> usize {
        for _ in 0..self.rng.random_range(10..150) {
            match self.rng.random_range(0..100) {
                0..20 => self.stray_request(),
                20..40 => self.dialog_request(),
                40..60 => self.response(),
                60..66 => self.repeat(),
                66..70 => self.broken(),
                70..90 => self.command(),
                90..99 => {
                    let (ms, late) = (self.pick(&[0, 10, 500, 4_000, 33_000, 70_000, 200_000]), self.rng.random());
                    self.pass(ms, late);
                }
                _ => {
                    let flow = self.flow();
                    self.ua.handle_transport_error(self.now, flow);
                    self.drain();
                }
            }
        }
        let live: Vec<_> = self.sessions.iter().filter(|(_, ended)| !**ended).map(|(id, _)| *id).collect();
        for session in live {
            self.ua.command(self.now, UaCommand::Hangup { session, reason: None });
            self.drain();
        }
        self.pass(300_000, false);
        assert!(self.sessions.values().all(|ended| *ended), "seed {}: a session without end", self.seed);
        assert!(self.requests.values().all(|ended| *ended), "seed {}: a request without end", self.seed);
        assert_eq!(self.ua.counts(), UaCounts::default(), "seed {}: something stays", self.seed);
        assert_eq!(self.timeout, None);
        self.sessions.len()
    }
}

/// TXN-12: no program of events leaves an entry, ends a session twice or brings one back.
#[test]
fn no_program_leaves_anything() {
    let mut sessions = 0;
    for seed in seeds(2_000) {
        sessions += Program::new(seed).run();
    }
    assert!(sessions > 1_000, "the programs must reach sessions: {sessions}");
}

/// The same seed gives the same bytes: no hidden randomness decides anything that can be seen.
#[test]
fn same_seed_same_bytes() {
    let trace = |seed| {
        let mut program = Program::new(seed);
        let mut all = Vec::new();
        for _ in 0..60 {
            match program.rng.random_range(0..4) {
                0 => program.stray_request(),
                1 => program.dialog_request(),
                2 => program.response(),
                _ => program.command(),
            }
            program.pass(700, false);
            all.extend(program.sent.drain(..).map(|(flow, message)| (flow, message.as_bytes().clone())));
        }
        all
    };
    for seed in 0..20 {
        assert!(trace(seed) == trace(seed), "seed {seed}");
    }
}
