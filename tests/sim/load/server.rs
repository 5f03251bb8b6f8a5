//! The server's side, as `server` does it: admission, number, RTP port, call; the Realtime service of each call; records.

use crate::net::{call_number, server_addr, site_addr, site_of};
use crate::params::{call_params, local_media};
use crate::service::{Opening, Reply, Service};
use crate::world::{Due, World, trunk_of};
use rand::Rng;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use voxtrunk::call::{Call, CallParams, CallRecord, Input, Output};
use voxtrunk::config::dialplan::Dialplan;
use voxtrunk::realtime::DialectKind;
use voxtrunk::realtime::session::SessionFault;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::Message;
use voxtrunk::sip::user_agent::{SessionId, UaCommand, UaEvent};
use voxtrunk::tools::http::ToolResult;

const PLAN: &str = r#"
numbers = ["4711"]
instructions = "You answer the telephone."
greeting = { say = "Hello." }

[limits]
max_call_minutes = 1

[[tool]]
kind = "hangup"
name = "hang_up"

[[tool]]
kind = "transfer"
name = "transfer"

[[tool.target]]
name = "sales"
description = "Sales."
uri = "sip:200@pbx.example"

[[tool]]
kind = "http"
name = "lookup"
description = "Looks something up."
method = "GET"
url = "https://crm.example/customers"
"#;

/// The plan with G.711 or PCM16 towards the service.
pub fn plan(audio: &str) -> Arc<Dialplan> {
    let text = format!("audio = \"{audio}\"\n{PLAN}");
    Arc::new(Dialplan::parse(Path::new("load.toml"), &text).unwrap_or_else(|problems| panic!("{problems:?}")))
}

/// The even ports of a small range, each of one call at a time.
pub struct Ports {
    free: Vec<u16>,
    pub used: BTreeSet<u16>,
}

impl Ports {
    pub fn new(count: u16) -> Ports {
        Ports { free: (0..count).map(|n| 20_000 + 2 * n).collect(), used: BTreeSet::new() }
    }
    fn take(&mut self) -> Option<u16> {
        let port = self.free.pop()?;
        assert!(self.used.insert(port), "a port given twice");
        Some(port)
    }
    fn release(&mut self, port: u16) {
        assert!(self.used.remove(&port), "a port released twice");
        self.free.push(port);
    }
}

/// A call that has not ended on both sides.
pub struct Live {
    pub call: Call,
    number: u32,
    cseq: u32,
    port: u16,
    /// Where its caller wants media.
    media: SocketAddr,
    service: Service,
    /// How the connection to the service goes.
    connect: Result<u64, SessionFault>,
    socket: bool,
    /// The deadline that is on the agenda.
    tick: Option<std::time::Instant>,
    call_runs: bool,
    session_runs: bool,
}

/// Where call `number` takes its media, at its site.
pub fn media_of(number: u32, site: usize) -> SocketAddr {
    SocketAddr::new(site_addr(site).ip(), 10_000 + 2 * (number % 20_000) as u16)
}

impl World {
    pub fn server_hears(&mut self, event: UaEvent) {
        match event {
            UaEvent::IncomingCall { session, flow, invite, .. } => {
                self.incoming(session, site_of(flow.remote), &invite)
            }
            UaEvent::Refused { invite, status, .. } => {
                let (number, cseq) = key(&invite);
                self.record(number, cseq, &format!("refused {status}"));
            }
            event => {
                let Some(session) = event.session() else { panic!("{}: {event:?}", self.told()) };
                let ended = matches!(event, UaEvent::Ended { .. });
                self.input_within(session, Input::Sip(event));
                if ended && let Some(live) = self.calls.get_mut(&session) {
                    assert!(std::mem::take(&mut live.session_runs), "a session ended twice");
                    self.forget(session);
                }
            }
        }
    }

    fn incoming(&mut self, session: SessionId, site: usize, invite: &Message) {
        let (number, cseq) = key(invite);
        let status = match self.admit(invite) {
            Ok(port) => return self.accept(session, site, invite, port),
            Err(status) => status,
        };
        self.record(number, cseq, &format!("rejected {status}"));
        let headers = if status == 503 { vec![(Name::RetryAfter, "5".to_owned())] } else { Vec::new() };
        // Not through `command`: this is within the drain of the server's user agent already.
        let now = self.now;
        self.server.ua.command(now, UaCommand::Reject { session, status, headers });
    }

    fn admit(&mut self, invite: &Message) -> Result<u16, u16> {
        let dialled = invite.request_uri().and_then(Result::ok).and_then(|uri| uri.number());
        if dialled.as_deref() != Some("4711") {
            return Err(404);
        }
        self.ports.take().ok_or(503)
    }

    fn accept(&mut self, session: SessionId, site: usize, invite: &Message, port: u16) {
        let (number, cseq) = key(invite);
        // Converting the rate is most of what a call costs, and not what this simulation is about.
        let g711 = self.rng.random_bool(0.95);
        let local = local_media(server_addr().ip(), port);
        let plan = Arc::clone(&self.plans[usize::from(g711)]);
        let mut params = call_params(session, plan, local);
        params.record.call = format!("c{number}");
        params.record.sip_call_id = invite.call_id().unwrap_or_default();
        params.record.dialled = "4711".into();
        let params = CallParams { source: site_addr(site), offer: invite.sdp(), seed: self.rng.random(), ..params };
        let (mut service, mut connect) = (Service::new(DialectKind::Ga), Ok(self.rng.random_range(20..400)));
        service.g711 = g711;
        service.replies.push_back(Reply::Speech(200, "Hello."));
        match self.rng.random_range(0..100) {
            0..4 => connect = Err(SessionFault::Connect("refused".into())),
            4..6 => connect = Err(SessionFault::RateLimited("later".into())),
            6..8 => service.opening = Opening::Refused,
            8..10 => service.opening = Opening::Mute,
            10..14 => self.soon(4_000, Due::SocketBreaks(session)),
            14..19 => service.replies.push_front(Reply::Tool("hang_up", json!({}))),
            19..25 => service.replies.push_front(Reply::Tool("transfer", json!({"target": "sales"}))),
            25..28 => service.replies.push_front(Reply::Tool("lookup", json!({}))),
            28..30 => service.replies.push_front(Reply::Fail),
            _ => {}
        }
        let live = Live {
            call: Call::new(self.now, params),
            number,
            cseq,
            port,
            media: media_of(number, site),
            service,
            connect,
            socket: false,
            tick: None,
            call_runs: true,
            session_runs: true,
        };
        self.admission.started(trunk_of(site), None);
        assert!(self.calls.insert(session, live).is_none(), "{}: a session id used twice", self.told());
        self.count("calls");
        self.drain_call(session);
    }

    /// Takes what a call wants down to its deadline.
    pub fn drain_call(&mut self, session: SessionId) {
        let (now, elapsed) = (self.now, self.now - self.t0);
        for _ in 0..10_000 {
            let Some(live) = self.calls.get_mut(&session) else { return };
            match live.call.poll_output(now) {
                Output::Rtp { to } => {
                    assert_eq!(to, live.media, "the audio of call {} goes to somebody else", live.number);
                    self.count("packets sent");
                }
                Output::Sip(command) => self.server.ua.command(now, command),
                Output::OpenLeg(_) => live.call.handle(now, Input::LegFailed { status: 503 }),
                Output::Rtcp { .. } => self.count("reports sent"),
                leg @ (Output::LegRtp { .. } | Output::LegRtcp { .. } | Output::SwapLegs | Output::CloseLeg) => {
                    panic!("no second leg: {leg:?}")
                }
                Output::OpenRealtime => {
                    let delay = *live.connect.as_ref().unwrap_or(&300);
                    self.after(delay, Due::Socket(session));
                }
                Output::RealtimeText(text) => {
                    assert!(live.socket, "text on a closed socket");
                    live.service.receive(elapsed, &text);
                    self.expect_text(session);
                }
                Output::CloseRealtime => live.socket = false,
                Output::StartTool { id, .. } => self.soon(800, Due::Tool(session, id)),
                Output::Note(_) => {}
                Output::Ended(record) => self.call_ended(session, &record),
                Output::Timeout(at) => {
                    assert!(at.is_none_or(|at| at > now), "a deadline that stays due");
                    if live.tick != at {
                        live.tick = at;
                        if let Some(at) = at {
                            self.agenda.add(at, Due::Tick(session));
                        }
                    }
                    return;
                }
            }
        }
        panic!("{}: a call without end of outputs", self.told());
    }

    fn call_ended(&mut self, session: SessionId, record: &CallRecord) {
        let Some(live) = self.calls.get_mut(&session) else { return };
        assert!(std::mem::take(&mut live.call_runs), "a call ended twice");
        assert!(!live.socket, "the Realtime session outlives its call");
        let (port, number, cseq) = (live.port, live.number, live.cseq);
        self.admission.ended(trunk_of(site_of(live.media)), None);
        self.ports.release(port);
        self.record(number, cseq, record.end.cause.label());
        self.forget(session);
    }

    fn record(&mut self, number: u32, cseq: u32, cause: &str) {
        let told = self.told();
        let count = self.invites.get_mut(&(number, cseq));
        *count.unwrap_or_else(|| panic!("{told}: a record without an INVITE: call {number}")) += 1;
        self.count(&format!("record: {cause}"));
    }

    /// Drops a call that is over on both sides.
    fn forget(&mut self, session: SessionId) {
        if self.calls.get(&session).is_some_and(|live| !live.call_runs && !live.session_runs) {
            self.calls.remove(&session);
        }
    }

    pub fn tick(&mut self, session: SessionId) {
        let now = self.now;
        let Some(live) = self.calls.get_mut(&session).filter(|live| live.tick == Some(now)) else { return };
        live.tick = None;
        self.input(session, Input::Timeout);
    }

    pub fn socket_opens(&mut self, session: SessionId) {
        let elapsed = self.now - self.t0;
        let Some(live) = self.calls.get_mut(&session).filter(|live| live.call_runs) else { return };
        match live.connect.clone() {
            Ok(_) => {
                live.socket = true;
                live.service.opened(elapsed);
                self.input(session, Input::RealtimeOpen);
                self.expect_text(session);
            }
            Err(fault) => self.input(session, Input::RealtimeFailed(fault)),
        }
    }

    fn expect_text(&mut self, session: SessionId) {
        let Some(at) = self.calls.get(&session).and_then(|live| live.service.next_due()) else { return };
        self.agenda.add((self.t0 + at).max(self.now), Due::Text(session));
    }

    pub fn service_speaks(&mut self, session: SessionId) {
        let elapsed = self.now - self.t0;
        let Some(live) = self.calls.get_mut(&session).filter(|live| live.socket) else { return };
        let texts = live.service.due(elapsed);
        for text in &texts {
            if self.calls.get(&session).is_some_and(|live| live.socket) {
                self.input(session, Input::RealtimeText(text));
            }
        }
        if !texts.is_empty() {
            self.expect_text(session);
        }
    }

    pub fn socket_breaks(&mut self, session: SessionId) {
        let Some(live) = self.calls.get_mut(&session).filter(|live| live.socket) else { return };
        live.socket = false;
        self.count("sockets broken");
        self.input(session, Input::RealtimeClosed { code: Some(1006), reason: "gone" });
    }

    pub fn tool_answers(&mut self, session: SessionId, id: u64) {
        self.input(session, Input::Tool { id, result: ToolResult { ok: true, output: "{}".into() } });
    }

    /// A datagram at the port of a call.
    pub fn media_arrives(&mut self, number: u32, from: SocketAddr, datagram: &[u8]) {
        let session = self.calls.iter().find(|(_, live)| live.number == number && live.call_runs).map(|(id, _)| *id);
        if let Some(session) = session {
            self.count("packets received");
            self.input(session, Input::Rtp { from, datagram });
        }
    }
}

/// Call number and CSeq of an INVITE.
fn key(invite: &Message) -> (u32, u32) {
    let number = call_number(invite.as_bytes()).expect("every caller is a number");
    (number, invite.cseq().expect("CSeq").expect("a readable CSeq").number)
}
