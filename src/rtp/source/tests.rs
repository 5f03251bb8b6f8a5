use super::*;
use crate::codec::Codec;
use crate::net::clock;

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

const SDP: &str = "198.51.100.1:4000";
/// Same host as the SDP address, another port.
const NATTED: &str = "198.51.100.1:61000";
/// The signalling source: allowed.
const SIGNALLING: &str = "198.51.100.9:30000";
const ATTACKER: &str = "203.0.113.66:6666";

struct World {
    source: Source,
    now: Instant,
    sequence: u16,
}

impl World {
    fn new(policy: SourcePolicy) -> World {
        World { source: Source::new(&params(policy, SDP)), now: clock::now(), sequence: 65_533 }
    }
    /// One good packet in order, 20 ms after the last one.
    fn packet(&mut self, from: &str) -> Verdict {
        self.now += Duration::from_millis(20);
        self.sequence = self.sequence.wrapping_add(1);
        self.source.check(self.now, addr(from), 1, self.sequence)
    }
    fn packets(&mut self, from: &str, count: usize) -> Vec<bool> {
        (0..count).map(|_| self.packet(from) != Verdict::Refuse).collect()
    }
    fn target(&self) -> SocketAddr {
        self.source.target().expect("a target")
    }
}

fn params(policy: SourcePolicy, sdp: &str) -> ReceiverParams {
    ReceiverParams {
        policy,
        sdp_remote: Some(addr(sdp)),
        allowed: vec![addr(SIGNALLING).ip().into()],
        audio_payload_types: vec![(0, Codec::Pcmu)],
        dtmf_payload_type: None,
        comfort_noise: None,
        reorder_wait: Duration::ZERO,
    }
}

/// RTP-08: strict takes the SDP address and nothing else, ever.
#[test]
fn strict_takes_the_sdp_address_only() {
    let mut world = World::new(SourcePolicy::Strict);
    for from in [NATTED, SIGNALLING, ATTACKER] {
        assert_eq!(world.packets(from, 100), [false; 100]);
        assert_eq!(world.target(), addr(SDP));
    }
    assert_eq!(world.packet(SDP), Verdict::Play);
    world.now += Duration::from_secs(60);
    assert_eq!(world.packets(ATTACKER, 10), [false; 10]);
}

/// RTP-08, RTP-09: latch learns an allowed address with its fifth good packet, and sends to it only then.
#[test]
fn latch_learns_with_the_fifth_good_packet() {
    for from in [NATTED, SIGNALLING] {
        let mut world = World::new(SourcePolicy::Latch);
        assert_eq!(world.packets(from, 4), [false; 4]);
        assert_eq!(world.target(), addr(SDP));
        assert_eq!(world.packet(from), Verdict::PlayNewSource);
        assert_eq!(world.target(), addr(from));
        assert_eq!(world.packet(from), Verdict::Play);
        assert_eq!(world.source.changes(), 1);
    }
}

/// RTP-08: a media network is a range: any host in it may prove itself, its neighbours may not.
#[test]
fn latch_learns_from_a_media_network() {
    let network = Network::parse("192.0.2.64/26").expect("a network");
    let world = || {
        let mut params = params(SourcePolicy::Latch, SDP);
        params.allowed.push(network);
        World { source: Source::new(&params), now: clock::now(), sequence: 0 }
    };
    for inside in ["192.0.2.64:4000", "192.0.2.99:4000", "192.0.2.127:9", "[::ffff:192.0.2.80]:4000"] {
        let mut world = world();
        assert_eq!(world.packets(inside, 5), [false, false, false, false, true], "{inside}");
        assert_eq!(world.target(), addr(inside));
    }
    for outside in ["192.0.2.63:4000", "192.0.2.128:4000", "198.51.101.64:4000", "[2001:db8::1]:4000"] {
        let mut world = world();
        assert_eq!(world.packets(outside, 100), [false; 100], "{outside}");
        assert_eq!(world.target(), addr(SDP));
    }
}

/// RTP-08: the packets must be good ones: in order, of one SSRC, without long pauses.
#[test]
fn a_proof_is_five_packets_in_order() {
    let mut world = World::new(SourcePolicy::Latch);
    for n in 0..50 {
        world.sequence = world.sequence.wrapping_add(n % 4);
        if n % 4 == 3 {
            continue;
        }
        assert_eq!(world.packet(NATTED), Verdict::Refuse);
    }
    let mut world = World::new(SourcePolicy::Latch);
    for ssrc in 0..50 {
        world.sequence += 0;
        world.now += Duration::from_millis(20);
        assert_eq!(world.source.check(world.now, addr(NATTED), ssrc, ssrc as u16), Verdict::Refuse);
    }
    let mut world = World::new(SourcePolicy::Latch);
    for _ in 0..20 {
        world.now += CANDIDATE_TIMEOUT;
        assert_eq!(world.packet(NATTED), Verdict::Refuse);
    }
}

/// RTP-08, RTP-09, A5: an address outside of the allowed set is never played and never sent to, whatever it sends and when.
#[test]
fn latch_never_learns_a_foreign_address() {
    let mut world = World::new(SourcePolicy::Latch);
    assert_eq!(world.packets(ATTACKER, 1000), [false; 1000]);
    assert_eq!(world.target(), addr(SDP));
    world.packets(NATTED, 5);
    assert_eq!(world.packets(ATTACKER, 1000), [false; 1000]);
    world.now += Duration::from_secs(3600);
    assert_eq!(world.packets(ATTACKER, 1000), [false; 1000]);
    assert_eq!(world.target(), addr(NATTED));
}

/// RTP-08, S5: another allowed address takes over only after 500 ms of silence of the present one, and the first one wins back at once.
#[test]
fn another_source_needs_the_silence_of_the_first() {
    let mut world = World::new(SourcePolicy::Latch);
    world.packets(NATTED, 5);
    // Both at once: the first stays.
    for _ in 0..50 {
        world.now += Duration::from_millis(1);
        world.source.check(world.now, addr(SIGNALLING), 2, world.sequence);
        assert_eq!(world.packet(NATTED), Verdict::Play);
    }
    // The first one falls silent: the other proves itself meanwhile and is taken after 500 ms.
    let heard = world.packets(SIGNALLING, 25);
    assert_eq!(heard.iter().filter(|heard| !**heard).count(), 24);
    assert!(heard[24]);
    assert_eq!(world.target(), addr(SIGNALLING));
    // And back, with one packet.
    assert_eq!(world.packet(NATTED), Verdict::PlayNewSource);
    assert_eq!(world.target(), addr(NATTED));
    assert_eq!(world.packet(SIGNALLING), Verdict::Refuse);
    assert_eq!(world.source.changes(), 3);
}

/// RTP-08: the SDP address is named by signalling: it is taken at once and never flaps with another one.
#[test]
fn the_sdp_address_is_taken_at_once() {
    let mut world = World::new(SourcePolicy::Latch);
    assert_eq!(world.packet(SDP), Verdict::Play);
    assert_eq!(world.source.changes(), 0);
    let mut world = World::new(SourcePolicy::Latch);
    world.packets(NATTED, 10);
    assert_eq!(world.packet(SDP), Verdict::PlayNewSource);
    for _ in 0..20 {
        assert_eq!(world.packet(NATTED), Verdict::Refuse);
        assert_eq!(world.packet(SDP), Verdict::Play);
    }
}

/// RTP-08: a re-INVITE with a new SDP address learns afresh; a refresh with the same one changes nothing.
#[test]
fn a_new_sdp_address_learns_afresh() {
    let mut world = World::new(SourcePolicy::Latch);
    world.packets(NATTED, 5);
    world.source.set_params(&params(SourcePolicy::Latch, SDP));
    assert_eq!(world.target(), addr(NATTED));
    assert_eq!(world.packet(NATTED), Verdict::Play);
    let moved = "198.51.100.77:5000";
    world.source.set_params(&params(SourcePolicy::Latch, moved));
    assert_eq!(world.target(), addr(moved));
    assert_eq!(world.packet(NATTED), Verdict::Refuse);
    assert_eq!(world.packet(moved), Verdict::Play);
}

/// RTP-08: nat learns any address, once; afterwards only ones that have a name (here: the same host behind a new NAT binding).
#[test]
fn nat_learns_any_address_once() {
    let first = "192.0.2.50:1000";
    let mut world = World::new(SourcePolicy::Nat);
    assert_eq!(world.packets(first, 5), [false, false, false, false, true]);
    assert_eq!(world.target(), addr(first));
    world.now += Duration::from_secs(60);
    assert_eq!(world.packets(ATTACKER, 100), [false; 100]);
    assert_eq!(world.packets("192.0.2.50:2000", 5), [false, false, false, false, true]);
}

/// A5: a spray from many addresses cannot keep the real one from proving itself.
#[test]
fn a_spray_does_not_keep_a_real_source_out() {
    let mut world = World::new(SourcePolicy::Nat);
    let mut heard = false;
    for n in 0..40u16 {
        for port in 0..50 {
            let sprayed = SocketAddr::new(addr(ATTACKER).ip(), 10_000 + n * 50 + port);
            assert_eq!(world.source.check(world.now, sprayed, 7, port), Verdict::Refuse);
        }
        heard |= world.packet(NATTED) != Verdict::Refuse;
    }
    assert!(heard);
}

#[test]
fn mapped_ipv6_is_the_same_host() {
    let mut world = World::new(SourcePolicy::Strict);
    assert_eq!(world.packet("[::ffff:198.51.100.1]:4000"), Verdict::Play);
    let mut world = World::new(SourcePolicy::Latch);
    assert_eq!(world.packets("[::ffff:198.51.100.9]:5", 5), [false, false, false, false, true]);
}

/// RTP-08: a hold does not forget what was learned: the same address afterwards is the same source.
#[test]
fn a_hold_keeps_the_source() {
    let mut world = World::new(SourcePolicy::Latch);
    world.packets(NATTED, 5);
    world.source.set_params(&params(SourcePolicy::Latch, "0.0.0.0:4000"));
    assert_eq!(world.source.target(), None);
    // Music on hold may still come.
    assert_eq!(world.packet(NATTED), Verdict::Play);
    world.source.set_params(&params(SourcePolicy::Latch, SDP));
    assert_eq!(world.target(), addr(NATTED));
}

/// A hold address (`0.0.0.0`, port 0) is no target.
#[test]
fn a_hold_address_is_no_target() {
    for hold in ["0.0.0.0:4000", "[::]:4000", "198.51.100.1:0"] {
        assert_eq!(Source::new(&params(SourcePolicy::Latch, hold)).target(), None);
    }
}
