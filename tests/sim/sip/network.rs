//! Two user agents joined by a bad network, in virtual time: loss, delay, duplication, reordering; whole calls, cancel races,
//! reliable early media, session timers, re-INVITEs, INFO, REFER, hang-ups at any moment. The oracle is what every owner relies on: each session ends once, nothing
//! follows its end, both sides agree, nothing stays.

use crate::kit::{SDP, TRUNK, addr, config, label, new_call, sdp, trunk};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};
use voxtrunk::sip::message::{Framing, Message, Method};
use voxtrunk::sip::session_timer::{Refresher, TimerMode};
use voxtrunk::sip::user_agent::{
    NewInvite, ReferOutcome, Reliable, SessionEnd, SessionId, UaCommand, UaConfig, UaCounts, UaEvent, UaOutput,
    UaTrunk, UserAgent,
};
use voxtrunk::sip::{Flow, Transport};

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
struct Weather {
    transport: Transport,
    loss: f64,
    duplication: f64,
    most_delay_ms: u64,
}

enum Happening {
    Arrives { side: usize, bytes: Bytes },
    Does { side: usize, command: Box<UaCommand> },
}

/// What one owner has seen of one session.
#[derive(Default)]
struct Seen {
    events: Vec<String>,
    ended: Option<SessionEnd>,
    answered: bool,
    established: bool,
    hung_up: bool,
    refers: u32,
    refer_ends: u32,
    reinvites: u32,
    reinvite_ends: u32,
}

struct World {
    seed: u64,
    weather: Weather,
    rng: StdRng,
    t0: Instant,
    now: Instant,
    sides: [UserAgent; 2],
    timeouts: [Option<Instant>; 2],
    agenda: BinaryHeap<Reverse<(Instant, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    serial: u64,
    /// Last delivery per direction: a stream keeps its order.
    last_arrival: [Instant; 2],
    seen: BTreeMap<(usize, SessionId), Seen>,
    /// An owner never answered the offer of a 2xx: then the peer waits in vain for its ACK, whatever the network.
    answer_missing: bool,
    /// The owners have stopped acting.
    closing: bool,
}

impl World {
    fn new(seed: u64, weather: Weather) -> World {
        let t0 = voxtrunk::net::clock::now();
        let side = |n: u64| {
            let at = addr(if n == 0 { "192.0.2.10:5060" } else { "192.0.2.20:5060" });
            let advertised = vec![(Transport::Udp, at), (Transport::Tcp, at)];
            let mut trunk = UaTrunk { advertised, refer: true, replaces: true, ..trunk() };
            trunk.reliable = if (seed + n).is_multiple_of(3) { Reliable::Preferred } else { Reliable::Supported };
            trunk.timer.mode = if (seed + n).is_multiple_of(4) { TimerMode::Offer } else { TimerMode::Accept };
            trunk.timer.refresher = if (seed / 4 + n).is_multiple_of(2) { Refresher::Us } else { Refresher::Peer };
            trunk.timer.expires = Duration::from_secs(90);
            // Half of the refreshes by re-INVITE.
            trunk.methods.retain(|method| *method != Method::Update || seed.is_multiple_of(2));
            UserAgent::new(UaConfig { seed: seed * 2 + n, trunks: vec![trunk], ..config() })
        };
        World {
            seed,
            weather,
            rng: StdRng::seed_from_u64(seed),
            t0,
            now: t0,
            sides: [side(0), side(1)],
            timeouts: [None; 2],
            agenda: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            serial: 0,
            last_arrival: [t0; 2],
            seen: BTreeMap::new(),
            answer_missing: false,
            closing: false,
        }
    }

    fn flow(&self, side: usize) -> Flow {
        let (local, remote) = (addr("192.0.2.10:5060"), addr("192.0.2.20:5060"));
        let (local, remote) = if side == 0 { (local, remote) } else { (remote, local) };
        let conn = u64::from(self.weather.transport.is_reliable());
        Flow { transport: self.weather.transport, local, remote, conn }
    }

    fn plan(&mut self, after_ms: u64, happening: Happening) {
        self.serial += 1;
        self.agenda.push(Reverse((self.now + Duration::from_millis(after_ms), self.serial)));
        self.happenings.insert(self.serial, happening);
    }

    fn soon(&mut self, most_ms: u64, side: usize, command: UaCommand) {
        let after = self.rng.random_range(0..=most_ms);
        self.plan(after, Happening::Does { side, command: Box::new(command) });
    }

    fn seen(&mut self, side: usize, session: SessionId) -> &mut Seen {
        self.seen.entry((side, session)).or_default()
    }

    fn carry(&mut self, from: usize, bytes: Bytes) {
        let to = 1 - from;
        let Weather { transport, loss, duplication, most_delay_ms } = self.weather;
        let copies = match transport {
            Transport::Udp if self.rng.random_bool(loss) => 0,
            Transport::Udp if self.rng.random_bool(duplication) => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let mut at = self.now + Duration::from_millis(self.rng.random_range(1..=most_delay_ms));
            if transport.is_reliable() {
                at = at.max(self.last_arrival[to] + Duration::from_micros(1));
                self.last_arrival[to] = at;
            }
            self.serial += 1;
            self.agenda.push(Reverse((at, self.serial)));
            self.happenings.insert(self.serial, Happening::Arrives { side: to, bytes: bytes.clone() });
        }
    }

    fn drain(&mut self, side: usize) {
        loop {
            match self.sides[side].poll_output() {
                UaOutput::Transmit { flow, bytes } => {
                    assert_eq!(flow.remote, self.flow(side).remote, "seed {}: sent elsewhere", self.seed);
                    self.carry(side, bytes);
                }
                UaOutput::Event(event) => self.heard(side, event),
                UaOutput::Timeout(at) => {
                    self.timeouts[side] = at;
                    return;
                }
            }
        }
    }

    fn do_it(&mut self, side: usize, command: UaCommand) {
        match &command {
            UaCommand::Hangup { session, .. } => self.seen(side, *session).hung_up = true,
            UaCommand::Refer { session, .. } if self.seen(side, *session).ended.is_none() => {
                self.seen(side, *session).refers += 1;
            }
            UaCommand::Reinvite { session, .. } if self.seen(side, *session).ended.is_none() => {
                self.seen(side, *session).reinvites += 1;
            }
            _ => {}
        }
        self.sides[side].command(self.now, command);
        self.drain(side);
    }

    /// The owner of one side reacts.
    fn heard(&mut self, side: usize, event: UaEvent) {
        let (seed, text) = (self.seed, label(&event));
        // Refused calls have no session.
        let Some(session) = event.session() else { return };
        let seen = self.seen(side, session);
        assert!(seen.ended.is_none(), "seed {seed}: {text} after the end; {:?}", seen.events);
        seen.events.push(text);
        match event {
            UaEvent::IncomingCall { .. } => {
                assert_eq!(seen.events.len(), 1, "seed {seed}: two calls, one session");
                let answer = match self.rng.random_range(0..10) {
                    0 => UaCommand::Reject { session, status: 486, headers: Vec::new() },
                    1 => return self.soon(20_000, side, UaCommand::Hangup { session, reason: None }),
                    _ => UaCommand::Accept { session, sdp: sdp() },
                };
                let early = self.rng.random_bool(0.3);
                self.soon(100, side, UaCommand::Ring { session });
                if early {
                    self.soon(1_000, side, UaCommand::Progress { session, status: 183, sdp: Some(sdp()) });
                }
                self.soon(4_000, side, answer);
            }
            UaEvent::Answered { response, .. } => {
                seen.answered = true;
                assert_eq!(response.status(), Some(200));
                match self.rng.random_bool(0.95) {
                    true => self.soon(800, side, UaCommand::AnswerInAck { session, sdp: sdp() }),
                    false => self.answer_missing = true,
                }
                self.talk(side, session);
            }
            UaEvent::Established { .. } => {
                seen.established = true;
                self.talk(side, session);
            }
            UaEvent::Reinvite { .. } => {
                // An owner that refuses refreshes wants the call to end.
                let agrees = self.rng.random_bool(0.8) || self.seed.is_multiple_of(5);
                let answer = if agrees { Ok(sdp()) } else { Err(488) };
                let most = if self.rng.random_bool(0.5) { 0 } else { 2_000 };
                self.soon(most, side, UaCommand::AnswerReinvite { session, answer });
            }
            UaEvent::ReinviteDone { status, sdp: answer, .. } => {
                // A refresh of the session timer that was answered with other SDP than before is told unasked.
                let unasked = status == 200 && seen.reinvite_ends == seen.reinvites;
                seen.reinvite_ends += u32::from(!unasked);
                if answer.is_some() {
                    self.soon(100, side, UaCommand::AnswerInAck { session, sdp: sdp() });
                }
            }
            UaEvent::Refer { outcome, .. } => {
                if !matches!(outcome, ReferOutcome::Accepted | ReferOutcome::Progress(_)) {
                    seen.refer_ends += 1;
                }
            }
            UaEvent::ReferRequested { .. } => {
                let (status, outcome) = if self.rng.random_bool(0.7) { (202, 200) } else { (603, 486) };
                self.soon(1_000, side, UaCommand::AnswerRefer { session, status });
                self.soon(3_000, side, UaCommand::NotifyRefer { session, status: 180 });
                self.soon(9_000, side, UaCommand::NotifyRefer { session, status: outcome });
            }
            UaEvent::Ended { end, .. } => seen.ended = Some(end),
            UaEvent::Refused { .. }
            | UaEvent::Progress { .. }
            | UaEvent::ReinviteAck { .. }
            | UaEvent::Info { .. }
            | UaEvent::IdentityChanged { .. }
            | UaEvent::Response { .. } => {}
        }
    }

    /// What an owner does in a call that stands.
    fn talk(&mut self, side: usize, session: SessionId) {
        if self.closing {
            return;
        }
        for _ in 0..self.rng.random_range(0..4) {
            let command = match self.rng.random_range(0..4) {
                0 => UaCommand::Reinvite { session, sdp: Some(sdp()) },
                1 => UaCommand::Reinvite { session, sdp: None },
                2 => UaCommand::Info { session, content_type: "a/b".into(), body: b"x".to_vec() },
                _ => {
                    let mut others: Vec<_> = self.seen.keys().filter(|(s, _)| *s == side).map(|key| key.1).collect();
                    let replaces = others.pop().filter(|_| self.rng.random_bool(0.3));
                    UaCommand::Refer { session, refer_to: uri("sip:x@192.0.2.99"), referred_by: None, replaces }
                }
            };
            self.soon(8_000, side, command);
        }
        if self.rng.random_bool(0.7) {
            self.soon(10_000, side, UaCommand::Hangup { session, reason: None });
        }
    }

    fn place_calls(&mut self) {
        for _ in 0..self.rng.random_range(1..=3) {
            let side = self.rng.random_range(0..2usize);
            let session = self.sides[side].new_session_id();
            let sdp = self.rng.random_bool(0.7).then(|| Bytes::from_static(SDP.as_bytes()));
            let invite = UaCommand::Invite(Box::new(NewInvite {
                target: uri(if side == 0 { "sip:bob@192.0.2.20" } else { "sip:alice@192.0.2.10" }),
                from: "<sip:me@example.com>".into(),
                ..new_call(session, self.flow(side), sdp)
            }));
            self.seen(side, session);
            let start = self.rng.random_range(0..1_000);
            self.plan(start, Happening::Does { side, command: Box::new(invite) });
            if self.rng.random_bool(0.4) {
                let after = start + self.rng.random_range(0..6_000);
                self.plan(
                    after,
                    Happening::Does { side, command: Box::new(UaCommand::Hangup { session, reason: None }) },
                );
            }
        }
    }

    fn run_until(&mut self, ms: u64) {
        let end = self.t0 + Duration::from_millis(ms);
        for _ in 0..200_000 {
            let arrival = self.agenda.peek().map(|Reverse((at, _))| *at);
            let due = [arrival, self.timeouts[0], self.timeouts[1]].into_iter().flatten().min();
            let Some(due) = due.filter(|due| *due <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due);
            if arrival == Some(due) {
                let Some(Reverse((_, serial))) = self.agenda.pop() else { return };
                match self.happenings.remove(&serial) {
                    Some(Happening::Arrives { side, bytes }) => {
                        let framing =
                            if self.weather.transport.is_reliable() { Framing::Stream } else { Framing::Datagram };
                        let message = Message::parse(bytes, framing);
                        assert!(message.is_ok(), "seed {}: {message:?}", self.seed);
                        let flow = self.flow(side);
                        self.sides[side].handle_message(self.now, flow, Some(TRUNK), message);
                        self.drain(side);
                    }
                    Some(Happening::Does { side, command }) => self.do_it(side, *command),
                    None => {}
                }
            } else {
                let side = usize::from(self.timeouts[0] != Some(due));
                self.sides[side].handle_timeout(self.now);
                self.drain(side);
            }
        }
        panic!("seed {}: no end of happenings", self.seed);
    }

    fn play(mut self) -> World {
        self.place_calls();
        // Long enough for refreshes, in some.
        self.run_until(if self.seed.is_multiple_of(5) { 400_000 } else { 60_000 });
        self.closing = true;
        let live: Vec<_> = self.seen.iter().filter(|(_, seen)| seen.ended.is_none()).map(|(key, _)| *key).collect();
        for (side, session) in live {
            self.do_it(side, UaCommand::Hangup { session, reason: None });
        }
        self.run_until(800_000);
        self
    }

    fn judge(&self) {
        let seed = self.seed;
        for ((side, session), seen) in &self.seen {
            let who = || format!("seed {seed} side {side} {session:?}: {:?}", seen.events);
            assert!(seen.ended.is_some(), "never ended: {}", who());
            assert_eq!(seen.refers, seen.refer_ends, "one last word per REFER: {}", who());
            assert!(seen.reinvite_ends <= seen.reinvites, "{}", who());
            assert!(!(seen.answered && seen.established), "{}", who());
        }
        for (side, ua) in self.sides.iter().enumerate() {
            assert_eq!(ua.counts(), UaCounts::default(), "seed {seed} side {side}: something stays");
        }
        let all = |f: fn(&Seen) -> bool| self.seen.values().filter(|seen| f(seen)).count();
        // Who established got an ACK, so somebody was answered, or ended the call as it was answered.
        let acked = all(|s| s.answered) + all(|s| s.hung_up && !s.established);
        assert!(all(|s| s.established) <= acked, "seed {seed}: established without an answer");
        if self.weather.loss == 0.0 {
            for seen in self.seen.values() {
                let fault =
                    matches!(seen.ended, Some(SessionEnd::NoAck | SessionEnd::Failed { status: 408 | 503, .. }));
                assert!(!fault || self.answer_missing, "seed {seed}: {:?}", seen.events);
            }
        }
    }
}

fn uri(text: &str) -> voxtrunk::sip::uri::Uri {
    voxtrunk::sip::uri::Uri::parse(text).expect("a URI of the test")
}

/// More seeds with `SIM_SEEDS=100000`.
pub fn seeds(default: u64) -> std::ops::Range<u64> {
    let count = std::env::var("SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    0..count
}

fn play_all(weather: impl Fn(u64) -> Weather, count: u64) {
    let mut totals = [0usize; 3];
    for seed in seeds(count) {
        let world = World::new(seed, weather(seed)).play();
        world.judge();
        totals[0] += world.seen.len();
        totals[1] += world.seen.values().filter(|s| s.established).count();
        totals[2] += world.seen.values().filter(|s| s.reinvite_ends > 0).count();
    }
    // The runs must reach what they are there for.
    assert!(totals.iter().all(|n| *n > count as usize / 10), "{totals:?}");
}

/// TXN-12: a clear network: every call as its owners wish.
#[test]
fn clear_network() {
    play_all(|_| Weather { transport: Transport::Udp, loss: 0.0, duplication: 0.0, most_delay_ms: 20 }, 250);
}

/// TXN-12: reordering and duplication alone do no harm.
#[test]
fn reordering_network() {
    play_all(|_| Weather { transport: Transport::Udp, loss: 0.0, duplication: 0.3, most_delay_ms: 900 }, 500);
}

/// TXN-12, DLG-06: loss up to 60 %: calls may fail, but each once and cleanly.
#[test]
fn lossy_network() {
    let loss = |seed: u64| (seed % 7) as f64 * 0.1;
    play_all(
        |seed| Weather { transport: Transport::Udp, loss: loss(seed), duplication: 0.1, most_delay_ms: 400 },
        1_200,
    );
}

/// TXN-12: a stream: in order, nothing lost, timers A, E, G silent.
#[test]
fn stream() {
    play_all(|_| Weather { transport: Transport::Tcp, loss: 0.0, duplication: 0.0, most_delay_ms: 300 }, 250);
}
