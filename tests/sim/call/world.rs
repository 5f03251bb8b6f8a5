//! The world around one call, in virtual time.
//!
//! A step is 5 ms: what the network and the service have for the call is handed in, then the deadline if it is due, then
//! the outputs are drained, as a media worker does it.

use crate::peer::{Peer, Voice};
use crate::second_leg::{SecondLeg, leg_addr};
use crate::service::{Reply, Service};
use crate::talking::params::{self, call_params};
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use voxtrunk::call::{Call, CallEvent, CallParams, CallRecord, Input, Output};
use voxtrunk::codec::Codec;
use voxtrunk::config::dialplan::{
    AudioChoice, Dialplan, HttpMethod, HttpTool, Limits, NumberPattern, Tool, ToolKind, TransferTarget,
};
use voxtrunk::realtime::session::SessionFault;
use voxtrunk::realtime::{DialectKind, Greeting, Transcription};
use voxtrunk::rtp::receiver::SourcePolicy;
use voxtrunk::rtp::srtp::Srtp;
use voxtrunk::sip::offer_answer::{LocalMedia, LocalSrtp, Negotiation};
use voxtrunk::sip::user_agent::{SessionEnd, SessionId, UaCommand, UaEvent};
use voxtrunk::tools::http::ToolResult;
use voxtrunk::trunk::{CallerInfo, Trunk};

pub const STEP: Duration = Duration::from_millis(5);
pub const SESSION: SessionId = SessionId(7);

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
pub fn peer_addr() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 4000)
}

/// An offer of the peer: PCMU, PCMA, telephone-event; `version` of `o=`, a direction.
pub fn offer(payload_types: &str, version: u32, direction: &str) -> Bytes {
    Bytes::from(format!(
        "v=0\r\no=- 77 {version} IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP {payload_types}\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=ptime:20\r\na={direction}\r\n"
    ))
}

/// A dialplan with every kind of tool.
pub fn plan() -> Dialplan {
    let target = |name: &str, uri: &str| TransferTarget {
        name: name.into(),
        description: String::new(),
        uri: uri.into(),
        fallback: None,
        leg: None,
    };
    let tool = |name: &str, kind| Tool {
        name: name.into(),
        description: format!("{name}."),
        requires_verified_caller: false,
        kind,
    };
    Dialplan {
        numbers: vec![NumberPattern::Default],
        greeting: Greeting::Instructions("Greet the caller.".into()),
        voice: Some("marin".into()),
        transcription: Some(Transcription { model: "whisper-1".into(), language: None, prompt: None }),
        tools: vec![
            tool("hang_up", ToolKind::Hangup),
            tool(
                "transfer",
                ToolKind::Transfer {
                    targets: vec![target("sales", "sip:200@pbx.example"), target("desk", "sip:201@pbx.example")],
                },
            ),
            tool("send_dtmf", ToolKind::SendDtmf { max_digits: 8 }),
            tool(
                "lookup",
                ToolKind::Http(HttpTool {
                    method: HttpMethod::Get,
                    url: "https://crm.example/customers".into(),
                    headers: Vec::new(),
                    parameters: Vec::new(),
                    timeout: secs(5),
                    max_bytes: 4_096,
                    allow_private: false,
                }),
            ),
        ],
        limits: Limits { max_call: secs(3_600), caller_silence: None, ..Limits::default() },
        transcript: true,
        ..Dialplan::new("test", "You answer the telephone.")
    }
}

/// What a call is made of, before it rings.
pub struct Setup {
    pub plan: Dialplan,
    pub dialect: DialectKind,
    pub offer: Option<Bytes>,
    /// What the peer sends.
    pub codec: Codec,
    /// What we offer and take, best first.
    pub codecs: Vec<Codec>,
    /// When the WebSocket opens, or how it fails.
    pub connect: Result<Duration, (Duration, SessionFault)>,
    /// 200 to ACK; `None` = never.
    pub ack_after: Option<Duration>,
    pub policy: SourcePolicy,
    pub apology: Option<Arc<[i16]>>,
    pub caller_info: CallerInfo,
    pub trunk: Option<Arc<Trunk>>,
    /// Our side of SRTP, and the far end's offer/answer, which makes the offer.
    pub srtp: Option<(LocalSrtp, Negotiation)>,
}

impl Setup {
    pub fn with(mut self, change: impl FnOnce(&mut Setup)) -> Setup {
        change(&mut self);
        self
    }
    pub fn plan(mut self, change: impl FnOnce(&mut Dialplan)) -> Setup {
        change(&mut self.plan);
        self
    }
    pub fn preview(self) -> Setup {
        self.with(|s| s.dialect = DialectKind::Preview)
    }
    /// The INVITE arrives.
    pub fn ring(self) -> World {
        World::new(self)
    }
    /// The whole set-up, the greeting heard.
    pub fn talk(self) -> World {
        let mut world = self.ring();
        world.answered_within(ms(800));
        world.until("the greeting is over", secs(10), |w| w.noted(|e| *e == CallEvent::AgentStops));
        world
    }
}

pub struct World {
    pub now: Duration,
    base: Instant,
    pub call: Call,
    pub service: Service,
    pub peer: Peer,
    connect: Result<Duration, (Duration, SessionFault)>,
    ack_after: Option<Duration>,
    opens_at: Option<Duration>,
    pub socket_open: bool,
    ack_at: Option<Duration>,
    pub ack_sdp: Option<Bytes>,
    pub deadline: Option<Instant>,
    pub sip: Vec<(Duration, UaCommand)>,
    pub notes: Vec<(Duration, CallEvent)>,
    pub tools: Vec<(Duration, u64, Duration)>,
    pub closed_realtime: Option<Duration>,
    pub opened_realtime: u32,
    pub ended: Option<(Duration, CallRecord)>,
    pub keep_notes: bool,
    /// Where the caller's media is since a re-INVITE moved it.
    pub moved: Option<SocketAddr>,
    /// The SDP is random, and so is where media goes.
    pub any_target: bool,
    /// Packets of the call's own stream to neither the caller's SDP address nor where its packets come from.
    pub strays: u64,
    /// RTCP packets of both legs.
    pub reports: u32,
    /// The far end's side of SRTP.
    pub secure: Option<Negotiation>,
    /// Those of the call's own stream.
    pub rtcp: Vec<(Duration, SocketAddr, Vec<u8>)>,
    /// Where the caller's packets come from, if not from where its SDP says.
    pub caller_from: Option<SocketAddr>,
    pub leg: SecondLeg,
    /// The session of the caller's side, which may move.
    pub own: SessionId,
}

impl World {
    pub fn setup() -> Setup {
        Setup {
            plan: plan(),
            dialect: DialectKind::Ga,
            offer: Some(offer("0 8 101", 1, "sendrecv")),
            codec: Codec::Pcmu,
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            connect: Ok(ms(150)),
            ack_after: Some(ms(40)),
            policy: SourcePolicy::Strict,
            apology: None,
            caller_info: CallerInfo::default(),
            trunk: None,
            srtp: None,
        }
    }

    fn new(mut setup: Setup) -> World {
        let base = voxtrunk::net::clock::now();
        let mut service = Service::new(setup.dialect);
        service.g711 = setup.plan.audio == AudioChoice::G711;
        let mut secure = setup.srtp.take();
        if let Some((_, caller)) = &mut secure {
            setup.offer = Some(caller.offer());
        }
        let call = Call::new(base, params(&setup, secure.as_ref().map(|(ours, _)| ours.clone())));
        let mut world = World {
            now: Duration::ZERO,
            base,
            call,
            service,
            peer: Peer::new(setup.codec),
            connect: setup.connect,
            ack_after: setup.ack_after,
            opens_at: None,
            socket_open: false,
            ack_at: None,
            ack_sdp: None,
            deadline: None,
            sip: Vec::new(),
            notes: Vec::new(),
            tools: Vec::new(),
            closed_realtime: None,
            opened_realtime: 0,
            ended: None,
            keep_notes: true,
            moved: None,
            any_target: false,
            strays: 0,
            reports: 0,
            secure: secure.map(|(_, caller)| caller),
            rtcp: Vec::new(),
            caller_from: None,
            leg: SecondLeg::default(),
            own: SESSION,
        };
        world.drain();
        world
    }

    pub fn instant(&self) -> Instant {
        self.base + self.now
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.call.handle(self.base + self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        for _ in 0..10_000 {
            match self.call.poll_output(self.base + self.now) {
                Output::Rtp { to } => {
                    assert!(to == self.caller_addr() || self.any_target, "media goes to {to}, not to the peer");
                    self.strays += u64::from(to != self.caller_addr() && Some(to) != self.caller_from);
                    self.peer.receive(self.now, self.call.rtp_bytes());
                }
                Output::Sip(command) => {
                    assert!(self.ended.is_none(), "a command after the end: {command:?}");
                    if let (
                        UaCommand::Accept { sdp: answer, .. } | UaCommand::AnswerReinvite { answer: Ok(answer), .. },
                        Some(caller),
                    ) = (&command, &mut self.secure)
                    {
                        let media = caller.receive_answer(answer).expect("an answer");
                        let keys = media.srtp.expect("a protected stream");
                        match &mut self.peer.srtp {
                            Some(srtp) => assert!(srtp.set_keys(voxtrunk::net::clock::now(), &keys)),
                            none => *none = Srtp::new(&keys),
                        }
                    }
                    if let UaCommand::Accept { session, .. } = &command {
                        // The user agent ends a dialog that is replaced.
                        let before = std::mem::replace(&mut self.own, *session);
                        self.leg.ended.push(before);
                        self.ack_at = self.ack_after.map(|d| self.now + d);
                        self.peer.voice = Voice::Silent;
                        self.peer.next = self.now + ms(60);
                    }
                    self.sip.push((self.now, command));
                }
                Output::OpenLeg(request) => {
                    assert!(!self.leg.wanted && !self.leg.port, "a second leg beside another\n{self}");
                    self.leg.wanted = true;
                    self.leg.requests.push(request);
                }
                Output::LegRtp { to } => {
                    assert!(self.leg.port, "media of a leg without a port");
                    assert!(to == leg_addr() || self.any_target, "the leg's media goes to {to}");
                    self.leg.peer.receive(self.now, self.call.rtp_bytes());
                }
                Output::Rtcp { to } => {
                    assert!(self.ended.is_none(), "a report after the end");
                    self.reports += 1;
                    if let Some(srtp) = &mut self.peer.srtp {
                        srtp.unprotect_rtcp(voxtrunk::net::clock::now(), self.call.rtp_bytes()).expect("authentic");
                    }
                    self.rtcp.push((self.now, to, self.call.rtp_bytes().to_vec()));
                }
                Output::LegRtcp { .. } => self.reports += 1,
                Output::SwapLegs => {
                    assert!(self.leg.port, "nothing to swap with");
                    std::mem::swap(&mut self.peer, &mut self.leg.peer);
                    self.leg.swapped = true;
                    self.own = self.leg_session();
                }
                Output::CloseLeg => {
                    assert!(self.leg.port, "a leg closed that is not there\n{self}");
                    self.leg.port = false;
                }
                Output::OpenRealtime => {
                    self.opened_realtime += 1;
                    let delay = match &self.connect {
                        Ok(delay) | Err((delay, _)) => *delay,
                    };
                    self.opens_at = Some(self.now + delay);
                }
                Output::RealtimeText(text) => {
                    assert!(self.socket_open, "text on a closed socket");
                    self.service.receive(self.now, &text);
                }
                Output::CloseRealtime => {
                    assert!(self.closed_realtime.is_none(), "closed twice");
                    self.closed_realtime = Some(self.now);
                    (self.opens_at, self.socket_open) = (None, false);
                }
                Output::StartTool { id, timeout, .. } => self.tools.push((self.now, id, timeout)),
                Output::Note(event) => {
                    if self.keep_notes {
                        self.notes.push((self.now, event));
                    }
                }
                Output::Ended(record) => {
                    assert!(self.ended.is_none(), "ended twice");
                    self.ended = Some((self.now, *record));
                }
                Output::Timeout(at) => {
                    assert!(at.is_none_or(|at| at > self.instant()), "a deadline that stays due\n{self}");
                    self.deadline = at;
                    return;
                }
            }
        }
        panic!("poll_output never comes to Timeout: {self}");
    }

    /// 5 ms pass.
    pub fn step(&mut self) {
        self.now += STEP;
        if self.opens_at.is_some_and(|t| t <= self.now) {
            self.opens_at = None;
            match self.connect.clone() {
                Ok(_) => {
                    self.socket_open = true;
                    self.service.opened(self.now);
                    self.input(Input::RealtimeOpen);
                }
                Err((_, fault)) => self.input(Input::RealtimeFailed(fault)),
            }
        }
        if self.ack_at.is_some_and(|t| t <= self.now) {
            self.ack_at = None;
            let sdp = self.ack_sdp.clone();
            self.input(Input::Sip(UaEvent::Established { session: self.own, sdp }));
        }
        while self.peer.next <= self.now {
            self.peer.next += self.peer.interval;
            if let Some(packet) = self.peer.packet() {
                let from = self.caller_from.unwrap_or_else(|| self.caller_addr());
                self.input(Input::Rtp { from, datagram: &packet });
            }
        }
        while self.leg.port && self.leg.peer.next <= self.now {
            self.leg.peer.next += self.leg.peer.interval;
            if let Some(packet) = self.leg.peer.packet() {
                self.input(Input::LegRtp { from: leg_addr(), datagram: &packet });
            }
        }
        if self.socket_open {
            for text in self.service.due(self.now) {
                self.input(Input::RealtimeText(&text));
            }
        }
        if self.deadline.is_some_and(|t| t <= self.instant()) {
            self.input(Input::Timeout);
        }
    }

    pub fn run(&mut self, time: Duration) -> &mut World {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
        self
    }

    /// Steps until it holds; panics with the timeline when it does not within `limit`.
    pub fn until(&mut self, what: &str, limit: Duration, mut holds: impl FnMut(&World) -> bool) -> &mut World {
        let end = self.now + limit;
        while !holds(self) {
            assert!(self.now < end, "not within {limit:?}: {what}\n{self}");
            self.step();
        }
        self
    }

    // ---- what happens to the call

    pub fn answered_within(&mut self, limit: Duration) -> &mut World {
        self.until("200 OK", limit, |w| w.sip.iter().any(|(_, c)| matches!(c, UaCommand::Accept { .. })))
    }

    /// The agent answers by itself (the service's VAD asked it to).
    pub fn model_speaks(&mut self, length: u64) -> &mut World {
        let reply = Reply::Speech(length as u32, "one two three four five six seven eight nine ten");
        self.service.reply(self.now, reply);
        self.until("the agent speaks", secs(1), |w| w.peer.last_loud().is_some_and(|t| w.now - t < ms(10)))
    }

    /// A whole turn of the caller, answered with `length` ms of speech.
    pub fn caller_asks(&mut self, length: u32) -> &mut World {
        self.caller_begins().run(secs(1));
        self.caller_ends("What time is it?");
        self.service.reply(self.now + ms(300), Reply::Speech(length, "It is half past nine."));
        self
    }
    pub fn caller_begins(&mut self) -> &mut World {
        self.peer.voice = Voice::Tone;
        self.service.speech_started(self.now, true);
        self.run(STEP)
    }
    pub fn caller_ends(&mut self, text: &str) -> &mut World {
        self.peer.voice = Voice::Silent;
        self.service.speech_stopped(self.now, text);
        self.run(STEP)
    }

    pub fn presses(&mut self, key: u8) -> &mut World {
        for packet in self.peer.key(key) {
            self.input(Input::Rtp { from: peer_addr(), datagram: &packet });
            self.run(ms(20));
        }
        self
    }

    pub fn reinvite(&mut self, version: u32, direction: &str) -> &mut World {
        let offer = Some(offer("0 8 101", version, direction));
        self.input(Input::Sip(UaEvent::Reinvite { session: SESSION, offer }));
        self
    }

    pub fn caller_hangs_up(&mut self) -> &mut World {
        self.sip_end(SessionEnd::PeerBye { reason: Vec::new() })
    }
    pub fn sip_end(&mut self, end: SessionEnd) -> &mut World {
        self.input(Input::Sip(UaEvent::Ended { session: self.own, end }));
        self
    }

    /// The owner gives up on the connection.
    pub fn connect_fails(&mut self, fault: SessionFault) {
        self.opens_at = None;
        self.input(Input::RealtimeFailed(fault));
    }

    pub fn realtime_breaks(&mut self) -> &mut World {
        self.socket_open = false;
        self.input(Input::RealtimeClosed { code: Some(1006), reason: "gone" });
        self
    }

    pub fn tool_answers(&mut self, id: u64, output: &str) -> &mut World {
        self.input(Input::Tool { id, result: ToolResult { ok: true, output: output.to_owned() } });
        self
    }

    // ---- what is seen of it

    pub fn noted(&self, is: impl Fn(&CallEvent) -> bool) -> bool {
        self.notes.iter().any(|(_, e)| is(e))
    }
    pub fn note_at(&self, is: impl Fn(&CallEvent) -> bool) -> Option<Duration> {
        self.notes.iter().find(|(_, e)| is(e)).map(|(t, _)| *t)
    }
    pub fn warned(&self, label: &str) -> bool {
        self.noted(|e| matches!(e, CallEvent::Warning { label: l, .. } if *l == label))
    }
    pub fn command(&self, is: impl Fn(&UaCommand) -> bool) -> Option<Duration> {
        self.sip.iter().find(|(_, c)| is(c)).map(|(t, _)| *t)
    }
    pub fn bye_at(&self) -> Option<Duration> {
        self.command(|c| matches!(c, UaCommand::Hangup { .. }))
    }

    /// Runs to the end of the call, and gives its record.
    pub fn ends_within(&mut self, limit: Duration) -> &CallRecord {
        self.until("the call ends", limit, |w| w.ended.is_some());
        self.assert_over();
        &self.ended.as_ref().expect("it ended").1
    }

    /// Nothing outlives the call, and nothing moves it any more.
    fn assert_over(&mut self) {
        assert!(!self.socket_open, "the session outlives the call\n{self}");
        assert!(!self.leg.port, "the leg's port outlives the call\n{self}");
        assert_eq!(self.deadline, None);
        let (sip, packets) = (self.sip.len(), self.peer.packets);
        self.run(secs(1));
        assert_eq!((self.sip.len(), self.peer.packets), (sip, packets), "something after the end\n{self}");
    }

    /// The only truncation so far: the milliseconds the service was told.
    pub fn truncated_at(&self) -> u64 {
        let truncations = self.service.sent("conversation.item.truncate");
        assert_eq!(truncations.len(), 1, "one truncation\n{self}");
        truncations[0]["audio_end_ms"].as_u64().expect("audio_end_ms is a number")
    }
}

/// The timeline, for failures.
impl std::fmt::Display for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut lines: Vec<(Duration, String)> = Vec::new();
        lines.extend(self.notes.iter().map(|(t, e)| (*t, format!("note {e:?}"))));
        lines.extend(self.sip.iter().map(|(t, c)| (*t, format!("sip  {}", first_word(&format!("{c:?}"))))));
        lines.extend(self.service.received.iter().map(|(t, e)| (*t, format!("ws   {}", e["type"]))));
        if let Some((t, record)) = &self.ended {
            lines.push((*t, format!("END  {:?}", record.end)));
        }
        lines.sort_by_key(|l| l.0);
        writeln!(f, "timeline, now {:?}:", self.now)?;
        lines.iter().try_for_each(|(t, line)| writeln!(f, "{:>10.3} {line}", t.as_secs_f64()))
    }
}

fn first_word(text: &str) -> String {
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

pub fn local_media() -> LocalMedia {
    params::local_media(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 20_000)
}

fn params(setup: &Setup, srtp: Option<LocalSrtp>) -> CallParams {
    let local = LocalMedia { srtp, codecs: setup.codecs.clone(), ..local_media() };
    let mut params = call_params(SESSION, setup.plan.clone(), local);
    params.endpoint.dialect = setup.dialect;
    params.media.source = setup.policy;
    CallParams {
        caller_info: setup.caller_info.clone(),
        trunk: setup.trunk.clone(),
        source: SocketAddr::new(peer_addr().ip(), 5060),
        offer: setup.offer.clone(),
        apology: setup.apology.clone(),
        ..params
    }
}

/// Runs one call a seed, or that of `VOXTRUNK_FUZZ_SEED` alone; a failure names its seed.
pub fn each_seed(calls: u64, one_call: fn(u64)) {
    let first = std::env::var("VOXTRUNK_FUZZ_SEED").ok().and_then(|s| s.parse().ok());
    let seeds = first.map_or(0..calls, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| one_call(seed));
        assert!(outcome.is_ok(), "VOXTRUNK_FUZZ_SEED={seed}");
    }
}
