//! One call of an hour in virtual time: a session timer of 90 s, holds by the peer, 2 % of all SIP lost. It ends when the caller hangs up, not before.

use crate::kit::{SDP, TRUNK, addr, config, label, new_call, trunk};
use crate::network::seeds;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::{Duration, Instant};
use voxtrunk::sip::message::{Framing, Message, Method};
use voxtrunk::sip::session_timer::{Refresher, TimerMode};
use voxtrunk::sip::user_agent::{
    NewInvite, SessionEnd, SessionId, UaCommand, UaConfig, UaCounts, UaEvent, UaOutput, UaTrunk, UserAgent,
};
use voxtrunk::sip::{Flow, Transport};

const HOUR: Duration = Duration::from_secs(3600);
const HOLDS: u32 = 40;
const LOSS: f64 = 0.02;

/// The side that calls and holds; the other one is the server.
const CALLER: usize = 0;

struct Call {
    seed: u64,
    rng: StdRng,
    t0: Instant,
    now: Instant,
    sides: [UserAgent; 2],
    timeouts: [Option<Instant>; 2],
    sessions: [Option<SessionId>; 2],
    under_way: BinaryHeap<Reverse<(Instant, u64)>>,
    arriving: BTreeMap<u64, (usize, Bytes)>,
    serial: u64,
    /// What each owner was told.
    told: [Vec<String>; 2],
    ended: [Option<SessionEnd>; 2],
    /// CSeq of the UPDATEs and re-INVITEs of each side.
    refreshes: [BTreeSet<u32>; 2],
    /// The side that refreshes.
    refresher: usize,
    lost: u32,
    version: u32,
}

impl Call {
    /// `refresher`: who of the two refreshes, seen from the server.
    fn new(seed: u64, refresher: Refresher, updates: bool) -> Call {
        let t0 = voxtrunk::net::clock::now();
        let side = |n: u64| {
            let at = addr(if n == 0 { "192.0.2.20:5060" } else { "192.0.2.10:5060" });
            let mut own = UaTrunk { advertised: vec![(Transport::Udp, at)], ..trunk() };
            own.timer.mode = TimerMode::Offer;
            own.timer.expires = Duration::from_secs(90);
            let ours = (refresher == Refresher::Us) == (n == 1);
            own.timer.refresher = if ours { Refresher::Us } else { Refresher::Peer };
            own.methods.retain(|method| updates || *method != Method::Update);
            UserAgent::new(UaConfig { seed: seed * 2 + n, trunks: vec![own], ..config() })
        };
        Call {
            seed,
            rng: StdRng::seed_from_u64(seed),
            t0,
            now: t0,
            sides: [side(0), side(1)],
            timeouts: [None; 2],
            sessions: [None; 2],
            under_way: BinaryHeap::new(),
            arriving: BTreeMap::new(),
            serial: 0,
            told: [Vec::new(), Vec::new()],
            ended: [None, None],
            refreshes: [BTreeSet::new(), BTreeSet::new()],
            refresher: usize::from(refresher == Refresher::Us),
            lost: 0,
            version: 1,
        }
    }

    fn flow(side: usize) -> Flow {
        let (local, remote) = (addr("192.0.2.20:5060"), addr("192.0.2.10:5060"));
        let (local, remote) = if side == CALLER { (local, remote) } else { (remote, local) };
        Flow { transport: Transport::Udp, local, remote, conn: 0 }
    }

    fn sdp(&mut self, held: bool) -> Bytes {
        self.version += 1;
        let direction = if held { "a=sendonly\r\n" } else { "" };
        Bytes::from(SDP.replace("o=- 1 1", &format!("o=- 1 {}", self.version)) + direction)
    }

    fn carry(&mut self, from: usize, bytes: Bytes) {
        let message = Message::parse(bytes.clone(), Framing::Datagram).expect("what we send can be read");
        let inside = message.to().is_some_and(|to| to.is_ok_and(|to| to.tag().is_some()));
        if message.is_request() && inside && matches!(message.method(), Method::Update | Method::Invite) {
            let cseq = message.cseq().expect("CSeq").expect("a readable CSeq");
            self.refreshes[from].insert(cseq.number);
        }
        if self.rng.random_bool(LOSS) {
            self.lost += 1;
            return;
        }
        self.serial += 1;
        let at = self.now + Duration::from_millis(self.rng.random_range(5..60));
        self.under_way.push(Reverse((at, self.serial)));
        self.arriving.insert(self.serial, (1 - from, bytes));
    }

    fn command(&mut self, side: usize, command: UaCommand) {
        self.sides[side].command(self.now, command);
        self.drain(side);
    }

    fn drain(&mut self, side: usize) {
        loop {
            match self.sides[side].poll_output() {
                UaOutput::Transmit { bytes, .. } => self.carry(side, bytes),
                UaOutput::Event(event) => self.heard(side, event),
                UaOutput::Timeout(at) => {
                    self.timeouts[side] = at;
                    return;
                }
            }
        }
    }

    fn heard(&mut self, side: usize, event: UaEvent) {
        self.told[side].push(format!("{} {}", (self.now - self.t0).as_millis(), label(&event)));
        match event {
            UaEvent::IncomingCall { session, .. } => {
                self.sessions[side] = Some(session);
                let sdp = self.sdp(false);
                self.command(side, UaCommand::Accept { session, sdp });
            }
            UaEvent::Reinvite { session, offer } => {
                assert!(offer.is_some());
                let answer = Ok(self.sdp(false));
                self.command(side, UaCommand::AnswerReinvite { session, answer });
            }
            UaEvent::Ended { end, .. } => self.ended[side] = Some(end),
            _ => {}
        }
    }

    fn run_until(&mut self, after: Duration) {
        let end = self.t0 + after;
        loop {
            let arrival = self.under_way.peek().map(|Reverse((at, _))| *at);
            let due = [arrival, self.timeouts[0], self.timeouts[1]].into_iter().flatten().min();
            let Some(due) = due.filter(|due| *due <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due);
            if arrival == Some(due) {
                let Some(Reverse((_, serial))) = self.under_way.pop() else { return };
                let Some((side, bytes)) = self.arriving.remove(&serial) else { continue };
                let message = Message::parse(bytes, Framing::Datagram);
                self.sides[side].handle_message(self.now, Call::flow(side), Some(TRUNK), message);
                self.drain(side);
            } else {
                let side = usize::from(self.timeouts[0] != Some(due));
                self.sides[side].handle_timeout(self.now);
                self.drain(side);
            }
        }
    }

    /// How many messages were lost.
    fn play(mut self) -> u32 {
        let seed = self.seed;
        let session = self.sides[CALLER].new_session_id();
        self.sessions[CALLER] = Some(session);
        let target = voxtrunk::sip::uri::Uri::parse("sip:4711@192.0.2.10").expect("a URI");
        let sdp = Some(self.sdp(false));
        let call = NewInvite { target, ..new_call(session, Call::flow(CALLER), sdp) };
        self.command(CALLER, UaCommand::Invite(Box::new(call)));
        // Each hold is one re-INVITE, each resume another: at times that do not fit the timer's.
        for hold in 0..HOLDS {
            self.run_until(HOUR / (HOLDS + 1) * (hold + 1));
            for held in [true, false] {
                let sdp = Some(self.sdp(held));
                self.command(CALLER, UaCommand::Reinvite { session, sdp });
                let later = self.now - self.t0 + Duration::from_millis(self.rng.random_range(3_000..30_000));
                self.run_until(later);
            }
        }
        self.run_until(HOUR);
        assert_eq!(self.ended, [None, None], "seed {seed}: {:?}", self.told);
        self.command(CALLER, UaCommand::Hangup { session, reason: None });
        self.run_until(HOUR + Duration::from_secs(200));
        assert_eq!(self.ended[CALLER], Some(SessionEnd::Local), "seed {seed}");
        assert!(matches!(self.ended[1], Some(SessionEnd::PeerBye { .. })), "seed {seed}: {:?}", self.ended);
        let holds = |side: usize, what: &str| self.told[side].iter().filter(|told| told.ends_with(what)).count();
        assert!(holds(1, "reinvite sdp") >= 2 * HOLDS as usize, "seed {seed}: every hold and resume arrived");
        assert_eq!(self.sides[0].counts(), UaCounts::default(), "seed {seed}");
        assert_eq!(self.sides[1].counts(), UaCounts::default(), "seed {seed}");
        // The call does not live on holds alone: between two there is time for a refresh, at least in most cases.
        let holds = if self.refresher == CALLER { 2 * HOLDS as usize } else { 0 };
        let refreshes = self.refreshes[self.refresher].len() - holds;
        assert!(refreshes > HOLDS as usize / 2, "seed {seed}: {refreshes} refreshes");
        self.lost
    }
}

/// TIM-02, TIM-03, TIM-05: the server refreshes, by UPDATE and by re-INVITE.
#[test]
fn the_server_refreshes_for_an_hour() {
    let lost: u32 = seeds(20).map(|seed| Call::new(seed, Refresher::Us, seed % 2 == 0).play()).sum();
    assert!(lost > 20, "the network was good");
}

/// TIM-02, TIM-03, TIM-05: the caller refreshes, by UPDATE and by re-INVITE.
#[test]
fn the_caller_refreshes_for_an_hour() {
    let lost: u32 = seeds(20).map(|seed| Call::new(seed, Refresher::Peer, seed % 2 == 0).play()).sum();
    assert!(lost > 20, "the network was good");
}
