//! RTP bleed at full length (A5): a minute of 5,000 packets a second at one call's port. What the sockets do with it is in `tests/e2e`.

use crate::peer::{Voice, rtp_of, tone};
use crate::srtp::caller;
use crate::world::{STEP, World, ms, peer_addr, secs};
use std::net::SocketAddr;
use std::time::Duration;
use voxtrunk::audio::codec::Encoder;
use voxtrunk::call::{CallEvent, Input};
use voxtrunk::codec::Codec;
use voxtrunk::rtp::receiver::SourcePolicy;
use voxtrunk::sip::offer_answer::LocalSrtp;
use voxtrunk::srtp_key::Suite;

const MINUTE: Duration = Duration::from_secs(60);
const PER_STEP: u64 = 5_000 * STEP.as_millis() as u64 / 1_000;
const SOURCES: u64 = 4;

/// Four sockets of one host. Each numbers what it sends to a port in order, as a stream would; four packets of five are a loud tone, the
/// fifth a key.
struct Attacker {
    tone: Vec<u8>,
    sent: u64,
}

impl Attacker {
    fn new() -> Attacker {
        let samples: Vec<i16> = (0..160).map(|n| tone(n, 8_000)).collect();
        let mut payload = Vec::new();
        Encoder::new(Codec::Pcmu).encode(&samples, &mut payload);
        Attacker { tone: payload, sent: 0 }
    }

    fn addr(source: u64) -> SocketAddr {
        SocketAddr::from(([203, 0, 113, 66], 6_000 + source as u16))
    }

    fn sends(&mut self, world: &mut World) {
        let (source, n) = (self.sent % SOURCES, self.sent / SOURCES);
        let (ssrc, sequence, timestamp) = (0x0BAD_0000 + source as u32, n as u16, n as u32 * 160);
        let datagram = match n % 5 {
            4 => rtp_of(ssrc, 101, sequence, timestamp, &[(n % 12) as u8, 0x8A, 3, 0x20]),
            _ => rtp_of(ssrc, 0, sequence, timestamp, &self.tone),
        };
        self.sent += 1;
        world.input(Input::Rtp { from: Attacker::addr(source), datagram: &datagram });
    }

    /// The whole minute.
    fn sprays(&mut self, world: &mut World) {
        let end = world.now + MINUTE;
        while world.now < end {
            for _ in 0..PER_STEP {
                self.sends(world);
            }
            world.step();
        }
    }
}

/// Nothing went to the attacker, nothing of it was heard, and the caller's own words are.
fn unharmed(mut world: World, refused: u64) {
    let loud = world.service.audio.iter().filter(|s| s.unsigned_abs() > 1_500).count();
    assert_eq!((world.strays, loud), (0, 0), "packets to the attacker, samples of it");
    world.service.audio.clear();
    world.peer.voice = Voice::Tone;
    world.run(secs(2));
    let loud = world.service.audio.iter().filter(|s| s.unsigned_abs() > 1_500).count();
    assert!(loud > 35_000, "{loud} loud samples of 48000 of the caller");
    world.peer.assert_one_stream();
    let moved = |addr| world.noted(|e| matches!(e, CallEvent::MediaSource { addr: a, .. } if *a == addr));
    assert!((0..SOURCES).all(|source| !moved(Attacker::addr(source))), "{world}");
    world.caller_hangs_up();
    let cdr = &world.ends_within(ms(0)).cdr;
    let dropped = cdr.rtp.refused_source + cdr.rtp.srtp_failed;
    assert_eq!((cdr.dtmf_digits, dropped), (0, refused), "{:?}", cdr.rtp);
}

/// A call whose caller sends silence, from `from` where that is not what its SDP says; what the session hears is kept.
fn call(policy: SourcePolicy, from: Option<SocketAddr>, suite: Option<Suite>) -> World {
    let srtp = suite.map(|suite| (LocalSrtp::new(true, &Suite::ALL, [9; 32]), caller(&[suite], 1, 1)));
    let mut world = World::setup().with(|s| (s.policy, s.srtp) = (policy, srtp)).ring();
    (world.caller_from, world.any_target) = (from, true);
    world.service.keep_audio = true;
    world.answered_within(ms(800));
    world
}

/// A5: strict, the whole minute from the answer on.
#[test]
fn a_minute_under_strict() {
    let (mut world, mut attacker) = (call(SourcePolicy::Strict, None, None), Attacker::new());
    attacker.sprays(&mut world);
    unharmed(world, 300_000);
}

/// A5: latch with its allowed set, while the caller is heard from another port than its SDP says, which has to be learned meanwhile.
#[test]
fn a_minute_under_latch() {
    let from = SocketAddr::new(peer_addr().ip(), 61_000);
    let (mut world, mut attacker) = (call(SourcePolicy::Latch, Some(from), None), Attacker::new());
    attacker.sprays(&mut world);
    assert!(world.noted(|e| *e == CallEvent::MediaSource { addr: from, moved: true }), "{world}");
    unharmed(world, 300_000 + 4);
}

/// A5: nat. Learning is open for the whole minute, as the caller is silent: of a spray over 10,000 ports each gets a packet in two seconds,
/// which proves nothing. Then the caller comes, is learned, and the whole 5,000 a second go to its port.
#[test]
fn a_minute_under_nat() {
    let from: SocketAddr = "198.51.100.77:40000".parse().expect("an address");
    let (mut world, mut attacker) = (call(SourcePolicy::Nat, Some(from), None), Attacker::new());
    world.peer.voice = Voice::Off;
    for _ in 0..12 {
        attacker.sends(&mut world);
        world.run(secs(2));
    }
    assert_eq!((world.strays, attacker.sent), (0, 12));
    world.peer.voice = Voice::Silent;
    world.run(secs(1));
    assert!(world.noted(|e| *e == CallEvent::MediaSource { addr: from, moved: true }), "{world}");
    attacker.sprays(&mut world);
    unharmed(world, 300_000 + 12 + 4);
}

/// A5, SRT-03: SRTP under nat, from the answer on: without the key nobody proves anything, at whatever rate.
#[test]
fn a_minute_under_srtp() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut world, mut attacker) = (call(SourcePolicy::Nat, None, Some(suite)), Attacker::new());
    attacker.sprays(&mut world);
    // What is too short to have a tag is in no counter of SRTP: the keys, each fifth.
    unharmed(world, 240_000);
}
