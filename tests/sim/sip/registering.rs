//! The registration machine against a scripted registrar, in virtual time.

use crate::kit::{TRUNK, tcp, udp};
use bytes::Bytes;
use std::time::{Duration, Instant};
use voxtrunk::sip::Flow;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::{Framing, Message};
use voxtrunk::sip::registration::{Registration, RegistrationConfig, RegistrationOutput, RegistrationState};
use voxtrunk::sip::uri::Uri;
use voxtrunk::sip::user_agent::{NewRequest, RequestId};

struct Bench {
    machine: Registration,
    t0: Instant,
    now: Instant,
    timeout: Option<Instant>,
    /// `ms what`.
    log: Vec<String>,
    request: Option<NewRequest>,
    routes: Option<Vec<String>>,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        let t0 = voxtrunk::net::clock::now();
        let config = RegistrationConfig {
            id: RequestId(7),
            trunk: TRUNK,
            aor: Uri::parse("sip:4930123@sip.example.com").expect("a URI"),
            contact_user: "vt-5ec2e7".into(),
            expires: Duration::from_secs(600),
            keepalive: true,
            seed,
        };
        let machine = Registration::new(t0, config);
        Bench { machine, t0, now: t0, timeout: None, log: Vec::new(), request: None, routes: None }
    }
    /// Started and registered at 0 ms.
    fn registered(seed: u64, flow: Flow, extra: &str) -> Bench {
        let mut bench = Bench::new(seed);
        bench.machine.start(bench.now);
        bench.drain();
        bench.ok(flow, extra);
        bench.log.clear();
        bench
    }

    fn secs(&self) -> f64 {
        (self.now - self.t0).as_secs_f64()
    }
    fn drain(&mut self) {
        let secs = self.secs();
        loop {
            let told = match self.machine.poll_output() {
                RegistrationOutput::Request(request) => {
                    let expires = request.headers.iter().find(|(name, _)| *name == Name::Expires).map(|(_, v)| v);
                    let told = format!("register {}", expires.expect("Expires"));
                    self.request = Some(*request);
                    told
                }
                RegistrationOutput::Ping { bytes, .. } => {
                    assert_eq!(bytes, b"\r\n\r\n");
                    "ping".into()
                }
                RegistrationOutput::Close { .. } => "close".into(),
                RegistrationOutput::ServiceRoute(routes) => {
                    self.routes = Some(routes);
                    continue;
                }
                RegistrationOutput::Changed(state) => state.label().into(),
                RegistrationOutput::Timeout(at) => {
                    self.timeout = at;
                    return;
                }
            };
            self.log.push(format!("{secs:.0} {told}"));
        }
    }
    fn at(&mut self, secs: f64) -> &mut Bench {
        let until = self.t0 + Duration::from_secs_f64(secs);
        while let Some(at) = self.timeout.filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now);
            self.drain();
            assert!(self.timeout.is_none_or(|next| next > self.now), "a timer in the past stays");
        }
        self.now = until;
        self
    }
    fn after(&mut self, secs: f64) -> &mut Bench {
        let until = self.secs() + secs;
        self.at(until)
    }
    /// Runs to the next request and takes it.
    fn next_request(&mut self) -> NewRequest {
        self.request = None;
        for _ in 0..10_000 {
            if let Some(request) = &self.request {
                return request.clone();
            }
            let at = self.timeout.expect("something is due");
            self.at((at - self.t0).as_secs_f64() + 1e-6);
        }
        panic!("no request");
    }
    fn answer(&mut self, flow: Flow, status: u16, extra: &str) {
        let request = self.request.as_ref().expect("a request is under way");
        let text = format!(
            "SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP 192.0.2.10\r\nFrom: {}\r\nTo: {};tag=x\r\nCall-ID: {}\r\n\
             CSeq: {} REGISTER\r\n{extra}Content-Length: 0\r\n\r\n",
            request.from,
            request.to,
            request.call_id.as_deref().expect("Call-ID"),
            request.cseq.expect("CSeq"),
        );
        let message = Message::parse(Bytes::from(text), Framing::Stream).expect("a response of the test");
        self.machine.response(self.now, flow, status, Some(&message));
        self.drain();
    }
    /// 200 for 600 s, with further header lines.
    fn ok(&mut self, flow: Flow, extra: &str) {
        let contact = "Contact: <sip:vt-5ec2e7@192.0.2.10:5060>;expires=600\r\n";
        self.answer(flow, 200, &format!("{contact}{extra}"));
    }
    fn fail(&mut self, status: u16) {
        self.machine.response(self.now, udp(), status, None);
        self.drain();
    }
    fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
    fn state(&self) -> RegistrationState {
        self.machine.status().state
    }
}

/// AUT-05: the request of a registration, its refresh at 80 % of what was granted (not of what was asked for), with the same
/// Call-ID and a higher CSeq, and the end of it at a stop.
#[test]
fn life_of_a_registration() {
    let mut bench = Bench::new(1);
    bench.machine.start(bench.now);
    bench.drain();
    let first = bench.request.clone().expect("a request");
    assert_eq!((first.request_uri.as_str(), first.flows.len()), ("sip:sip.example.com", 0));
    assert_eq!((first.from.as_str(), first.to.as_str()), ("<sip:4930123@sip.example.com>", first.from.as_str()));
    assert!(first.headers.contains(&(Name::Supported, "path".into())), "AUT-07");
    bench.at(1.0).answer(udp(), 200, "Contact: <sip:vt-5ec2e7@192.0.2.10>;expires=300\r\nExpires: 900\r\n");
    assert_eq!(bench.log(), ["0 registering", "0 register 600", "1 registered"]);
    let second = bench.next_request();
    assert!((bench.secs() - 241.0).abs() < 0.1, "80 % of 300 s: {}", bench.secs());
    assert_eq!(second.call_id, first.call_id);
    assert!(second.cseq > first.cseq);
    assert_eq!(second.flows, [udp()], "the flow in use");
    bench.ok(udp(), "");
    bench.after(10.0);
    bench.log();
    bench.machine.stop(bench.now);
    bench.drain();
    let log: Vec<String> = bench.log().iter().filter_map(|l| l.split_once(' ').map(|(_, l)| l.to_owned())).collect();
    assert_eq!(log, ["leaving", "register 0"]);
    bench.answer(udp(), 200, "");
    assert_eq!(bench.state(), RegistrationState::Gone);
    assert_eq!(bench.timeout, None);
}

/// AUT-05: the granted expiry: of our Contact among others, of one that was rewritten, of the header, of nobody.
#[test]
fn granted_expiry() {
    let rows = [
        ("Contact: <sip:old@1.2.3.4>;expires=9999, <sip:vt-5ec2e7@192.0.2.10>;EXPIRES=120\r\n", Some(120)),
        ("Contact: <sip:rewritten@203.0.113.1:4711>;expires=200\r\n", Some(200)),
        ("Contact: <sip:vt-5ec2e7@x>\r\nExpires: 150\r\n", Some(150)),
        ("Expires: 130\r\n", Some(130)),
        ("", Some(600)),
        ("Contact: <sip:vt-5ec2e7@x>;expires=99999999999999\r\n", Some(86_400)),
        ("Contact: <sip:vt-5ec2e7@x>;expires=20\r\n", Some(20)),
        ("Contact: <sip:a@x>;expires=60, <sip:b@x>;expires=60\r\n", None),
        ("Contact: <sip:vt-5ec2e7@x>;expires=0\r\n", None),
    ];
    for (extra, granted) in rows {
        let mut bench = Bench::new(1);
        bench.machine.start(bench.now);
        bench.drain();
        bench.answer(udp(), 200, extra);
        let until = bench.machine.status().until.map(|at| (at - bench.now).as_secs());
        assert_eq!(until, granted, "{extra}");
        if let Some(granted) = granted {
            bench.next_request();
            let at = bench.secs() / granted as f64;
            assert!((0.5..=0.81).contains(&at) || granted == 86_400, "{extra}: {at}");
        } else {
            assert_eq!(bench.state(), RegistrationState::Failed);
        }
    }
}

/// AUT-05, TXN-13: 423 raises the interval and asks again at once; a registrar that is never content is a failure.
#[test]
fn interval_too_brief() {
    let mut bench = Bench::new(1);
    bench.machine.start(bench.now);
    bench.drain();
    bench.answer(udp(), 423, "Min-Expires: 1800\r\n");
    assert_eq!(bench.log(), ["0 registering", "0 register 600", "0 register 1800"]);
    bench.answer(udp(), 423, "Min-Expires: 1800\r\n");
    assert_eq!(bench.log(), ["0 failed"], "no more than before");
    let mut bench = Bench::new(1);
    bench.machine.start(bench.now);
    bench.drain();
    for n in 1..10 {
        if bench.state() == RegistrationState::Registering {
            bench.answer(udp(), 423, &format!("Min-Expires: {}\r\n", 1000 + n));
        }
    }
    assert_eq!(bench.log().iter().filter(|l| l.contains("register ")).count(), 4);
}

/// AUT-05, S9: failures are tried again after 30 s to 30 min, jittered, doubling; a Retry-After is obeyed; a refusal is not
/// knocked at more often than each five minutes; the state says what to do.
#[test]
fn back_off() {
    let mut firsts = Vec::new();
    for seed in 0..50 {
        let mut bench = Bench::new(seed);
        bench.machine.start(bench.now);
        bench.drain();
        let mut waits = Vec::new();
        for _ in 0..10 {
            let before = bench.secs();
            bench.fail(503);
            bench.next_request();
            waits.push(bench.secs() - before);
        }
        for (n, wait) in waits.iter().enumerate() {
            let most = (30.0 * 2f64.powi(n as i32 + 1)).min(1800.0);
            assert!((most / 2.0 - 0.1..=most + 0.1).contains(wait), "seed {seed}: failure {n} waits {wait}");
        }
        firsts.push(waits[0] as u64);
        assert_eq!(bench.state(), RegistrationState::Failed);
        assert!(bench.machine.status().trouble.as_ref().is_some_and(|t| t.contains("503")));
    }
    firsts.sort_unstable();
    firsts.dedup();
    assert!(firsts.len() > 10, "jittered: {firsts:?}");

    let mut bench = Bench::new(1);
    bench.machine.start(bench.now);
    bench.drain();
    bench.answer(udp(), 503, "Retry-After: 120 (maintenance)\r\n");
    bench.next_request();
    assert!((bench.secs() - 120.0).abs() < 0.1);
    for (status, hint) in [(401, "password"), (403, "account"), (404, "aor")] {
        let before = bench.secs();
        bench.fail(status);
        assert!(bench.machine.status().trouble.as_ref().is_some_and(|t| t.contains(hint)), "{status}");
        bench.next_request();
        assert!(bench.secs() - before >= 299.9, "{status}");
    }
    bench.machine.unreachable(bench.now, "no address");
    bench.drain();
    assert_eq!(bench.machine.status().trouble.as_deref(), Some("no address"));
    bench.next_request();
}

/// AUT-05: one failed refresh is not "down": the binding stands until it expires, and is tried again before.
#[test]
fn a_failed_refresh_is_not_down() {
    let mut bench = Bench::registered(1, udp(), "");
    bench.next_request();
    bench.after(32.0).fail(408);
    assert_eq!(bench.state(), RegistrationState::Registered);
    bench.next_request();
    assert!(bench.secs() < 600.0, "while there is time: {}", bench.secs());
    bench.ok(udp(), "");
    assert_eq!(bench.machine.status().failures, 0);
    assert!(!bench.log().iter().any(|l| l.contains("failed")));
    // Never answered again: down at the expiry.
    let expiry = bench.secs() + 600.0;
    while bench.state() == RegistrationState::Registered {
        bench.next_request();
        bench.after(32.0).fail(408);
    }
    let failed = bench.log().iter().find(|l| l.contains("failed")).cloned().expect("failed");
    let at: f64 = failed.split(' ').next().and_then(|s| s.parse().ok()).expect("seconds");
    assert!((at - expiry).abs() < 2.0, "{failed}, expiry {expiry}");
}

/// AUT-07: Path is offered and kept; Service-Route is taken, and replaced at each 2xx, also by nothing.
#[test]
fn path_and_service_route() {
    let extra = "Path: <sip:edge1.example.com;lr>, <sip:edge2.example.com;lr>\r\n\
                 Service-Route: <sip:a.example.com;lr>,\r\n <sip:b.example.com;lr>\r\n";
    let mut bench = Bench::registered(1, udp(), extra);
    assert_eq!(bench.machine.status().path, ["<sip:edge1.example.com;lr>", "<sip:edge2.example.com;lr>"]);
    let routes = bench.routes.take().expect("a Service-Route");
    assert_eq!(routes, ["<sip:a.example.com;lr>", "<sip:b.example.com;lr>"]);
    bench.next_request();
    bench.ok(udp(), "Service-Route: <sip:c.example.com;lr>\r\n");
    assert_eq!(bench.routes.take(), Some(vec!["<sip:c.example.com;lr>".to_owned()]));
    bench.next_request();
    bench.ok(udp(), "");
    assert_eq!(bench.routes.take(), Some(Vec::new()));
    assert!(bench.machine.status().path.is_empty());
}

fn pings(bench: &mut Bench, secs: f64) -> Vec<f64> {
    bench.after(secs);
    let log = bench.log();
    log.iter().filter(|l| l.ends_with(" ping")).filter_map(|l| l.split(' ').next()?.parse().ok()).collect()
}

/// TRN-06: UDP pings each 24 to 29 s, without a pong; not when they are switched off.
#[test]
fn datagram_keepalive() {
    let mut bench = Bench::registered(3, udp(), "");
    let at = pings(&mut bench, 470.0);
    let gaps: Vec<f64> = at.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(gaps.len() >= 15 && gaps.iter().all(|gap| (23.0..=30.0).contains(gap)), "{gaps:?}");
    assert_eq!(bench.state(), RegistrationState::Registered);
}

/// TRN-06: on a stream a ping each 95 to 120 s; a pong within 10 s, or the flow is dead: it is closed and registered anew by
/// another one, and that with back-off.
#[test]
fn stream_keepalive() {
    let mut bench = Bench::registered(3, tcp(), "Supported: outbound\r\n");
    for _ in 0..2 {
        let before = bench.secs();
        while !bench.log.iter().any(|l| l.ends_with(" ping")) {
            bench.after(1.0);
        }
        assert!((94.0..=122.0).contains(&(bench.secs() - before)), "{}", bench.secs() - before);
        bench.log.clear();
        bench.after(5.0);
        bench.machine.pong(tcp());
        bench.drain();
    }
    while !bench.log.iter().any(|l| l.ends_with(" ping")) {
        bench.after(1.0);
    }
    bench.log.clear();
    bench.after(10.1);
    assert!(bench.log().iter().any(|l| l.ends_with(" close")));
    let before = bench.secs();
    let again = bench.next_request();
    assert!(again.flows.is_empty(), "any flow but the dead one");
    assert!((0.5..=5.5).contains(&(bench.secs() - before)));
    for _ in 0..2 {
        let before = bench.secs();
        bench.fail(503);
        assert_eq!(bench.state(), RegistrationState::Failed, "nothing reaches us any more");
        bench.next_request();
        assert!(bench.secs() - before >= 29.0);
    }
    let other = Flow { conn: 9, ..tcp() };
    bench.ok(other, "");
    assert_eq!(bench.state(), RegistrationState::Registered);
    // The old connection's end is no news now.
    bench.machine.flow_lost(bench.now, tcp());
    assert_eq!(bench.machine.status().flow, Some(other));
}

/// TRN-06: a registrar that does not know pings is asked by one REGISTER, and then only kept open.
#[test]
fn a_peer_without_pongs() {
    let mut bench = Bench::registered(3, tcp(), "");
    bench.next_request();
    assert!((104.0..=131.0).contains(&bench.secs()), "the pong stayed out: {}", bench.secs());
    bench.ok(tcp(), "");
    bench.log();
    let at = pings(&mut bench, 440.0);
    assert!(at.len() >= 3, "{at:?}");
    assert_eq!(bench.state(), RegistrationState::Registered);
    assert!(!bench.log().iter().any(|l| l.contains("close")));
}

/// TRN-06, S9: a lost connection is registered anew within seconds; a loss while a request is under way is not forgotten.
#[test]
fn lost_flow() {
    let mut bench = Bench::registered(3, tcp(), "");
    bench.after(50.0);
    bench.machine.flow_lost(bench.now, tcp());
    bench.drain();
    bench.next_request();
    assert!(bench.secs() < 56.0);
    let other = Flow { conn: 9, ..tcp() };
    bench.ok(other, "");
    bench.next_request();
    bench.machine.flow_lost(bench.now, other);
    bench.drain();
    bench.ok(Flow { conn: 10, ..tcp() }, "");
    let before = bench.secs();
    bench.next_request();
    assert!(bench.secs() - before < 6.0);
}

/// AUT-05: a stop while a request is under way waits for it; without a binding there is nothing to remove.
#[test]
fn stops() {
    let mut bench = Bench::new(1);
    bench.machine.start(bench.now);
    bench.drain();
    bench.machine.stop(bench.now);
    bench.drain();
    bench.ok(udp(), "");
    assert_eq!(bench.log(), ["0 registering", "0 register 600", "0 leaving", "0 register 0"]);
    bench.fail(408);
    assert_eq!(bench.state(), RegistrationState::Gone);
    let mut bench = Bench::new(1);
    bench.machine.start(bench.now);
    bench.drain();
    bench.fail(503);
    bench.machine.stop(bench.now);
    bench.drain();
    bench.after(4000.0);
    assert_eq!(bench.log(), ["0 registering", "0 register 600", "0 failed", "0 gone"]);
}

/// No order of inputs leaves the machine without a next step, or with two requests at once.
#[test]
fn any_order() {
    for seed in 0..300u64 {
        let mut bench = Bench::new(seed);
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        bench.machine.start(bench.now);
        bench.drain();
        let (mut sent, mut ended) = (bench.log().iter().filter(|l| l.contains("register ")).count(), 0);
        for step in 0..200 {
            let under_way = sent > ended;
            let flow = Flow { conn: roll(3), ..if roll(2) == 0 { udp() } else { tcp() } };
            let what = roll(9);
            ended += usize::from(under_way && what <= 4);
            match what {
                0 | 1 if under_way => bench.ok(flow, ""),
                2 if under_way => bench.fail([408, 503, 401, 500][roll(4) as usize]),
                3 if under_way => bench.answer(flow, 423, &format!("Min-Expires: {}\r\n", roll(2000))),
                4 if under_way => bench.machine.unreachable(bench.now, "x"),
                5 => bench.machine.flow_lost(bench.now, flow),
                6 => bench.machine.pong(flow),
                7 if step > 190 => bench.machine.stop(bench.now),
                _ => {
                    bench.after(what as f64 * 20.0);
                }
            }
            bench.drain();
            sent += bench.log().iter().filter(|l| l.contains("register ")).count();
            assert!(sent <= ended + 1, "seed {seed}: two at once");
            let waits = sent > ended || bench.timeout.is_some() || bench.state() == RegistrationState::Gone;
            assert!(waits, "seed {seed}: nothing follows in {:?}", bench.state());
        }
    }
}
