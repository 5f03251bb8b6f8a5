//! The stream: header checks, order, loss, restarts, SSRC, payload types. Events are in `dtmf_tests`, networks and noise of any kind in
//! `robust_tests`, sources in `source::tests`.

use super::*;
use crate::net::clock;

const PEER: &str = "192.0.2.10:4000";
const WAIT: Duration = Duration::from_millis(60);

pub(super) fn peer() -> SocketAddr {
    PEER.parse().expect("an address")
}

pub(super) fn params() -> ReceiverParams {
    ReceiverParams {
        policy: SourcePolicy::Strict,
        sdp_remote: Some(peer()),
        allowed: vec![],
        audio_payload_types: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        dtmf_payload_type: Some(101),
        comfort_noise: Some(13),
        reorder_wait: WAIT,
    }
}

/// What came out, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Out {
    Audio { payload_type: u8, first: u8, timestamp: u32, lost_before: u32 },
    Digit(u8),
    Noise(u8),
}

/// A receiver with a clock, and a sender's state.
pub(super) struct World {
    pub receiver: Receiver,
    pub now: Instant,
    pub from: SocketAddr,
    pub ssrc: u32,
}

impl World {
    pub fn new() -> World {
        World { receiver: Receiver::new(params()), now: clock::now(), from: peer(), ssrc: 0xABCD }
    }
    pub fn tick(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }
    /// Nothing comes for so long; the machine looks all the time.
    pub fn pause(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.tick(20);
            self.drain();
        }
    }
    pub fn drain(&mut self) -> Vec<Out> {
        let mut all = Vec::new();
        while let Some(received) = self.receiver.poll(self.now) {
            all.push(match received {
                Received::Audio { payload_type, payload, timestamp, lost_before, .. } => {
                    Out::Audio { payload_type, first: payload[0], timestamp, lost_before }
                }
                Received::Digit { event, .. } => Out::Digit(event),
                Received::ComfortNoise { level } => Out::Noise(level),
            });
        }
        all
    }
    /// One packet; its payload's first byte is the lower half of the sequence number.
    pub fn packet(&mut self, payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<Out> {
        let mut datagram = Vec::new();
        let packet = Packet { payload_type, marker: false, sequence, timestamp, ssrc: self.ssrc, payload };
        packet::write(&packet, &mut datagram);
        self.receiver.handle_datagram(self.now, self.from, &datagram);
        self.drain()
    }
    /// Audio number `n` of a stream that begins at sequence 0, timestamp 0; 20 ms.
    pub fn audio(&mut self, n: u16) -> Vec<Out> {
        self.audio_at(n, u32::from(n) * 160)
    }
    pub fn audio_at(&mut self, sequence: u16, timestamp: u32) -> Vec<Out> {
        let mut payload = [0xFF; 160];
        payload[0] = sequence as u8;
        self.packet(0, sequence, timestamp, &payload)
    }
}

fn heard(sequence: u16, timestamp: u32, lost_before: u32) -> Out {
    Out::Audio { payload_type: 0, first: sequence as u8, timestamp, lost_before }
}

pub(super) fn nth(n: u16, lost_before: u32) -> Out {
    heard(n, u32::from(n) * 160, lost_before)
}

/// RTP-01: every broken header is dropped and counted by its cause.
#[test]
fn broken_headers_are_dropped_and_counted_by_cause() {
    let mut good = Vec::new();
    let packet = Packet { payload_type: 0, marker: false, sequence: 1, timestamp: 1, ssrc: 1, payload: &[1, 2, 3, 4] };
    packet::write(&packet, &mut good);
    let with = |changes: &[(usize, u8)]| {
        let mut bytes = good.clone();
        for (at, value) in changes {
            bytes[*at] = *value;
        }
        bytes
    };
    let mut long = good.clone();
    long.resize(packet::MAX_DATAGRAM + 1, 0);
    let cases = [
        (DropCause::TooShort, good[..11].to_vec()),
        (DropCause::TooShort, vec![]),
        (DropCause::Version, with(&[(0, 0x00)])),
        (DropCause::Version, with(&[(0, 0x40)])),
        (DropCause::Version, with(&[(0, 0xC0)])),
        (DropCause::Rtcp, with(&[(1, 200)])),
        (DropCause::Rtcp, with(&[(1, 201)])),
        (DropCause::Truncated, with(&[(0, 0x8F)])),
        (DropCause::Truncated, with(&[(0, 0x90), (14, 0xFF)])),
        (DropCause::Padding, with(&[(0, 0xA0), (15, 0)])),
        (DropCause::Padding, with(&[(0, 0xA0), (15, 5)])),
        (DropCause::Empty, good[..12].to_vec()),
        (DropCause::Empty, with(&[(0, 0xA0), (15, 4)])),
        (DropCause::TooLong, long),
        (DropCause::PayloadType, with(&[(1, 9)])),
        (DropCause::PayloadType, with(&[(1, 127)])),
    ];
    let mut world = World::new();
    for (cause, datagram) in &cases {
        let before = world.receiver.dropped(*cause);
        world.receiver.handle_datagram(world.now, peer(), datagram);
        assert_eq!(world.drain(), [], "{cause:?}");
        assert_eq!(world.receiver.dropped(*cause), before + 1, "{cause:?} {datagram:02x?}");
    }
    let stats = world.receiver.stats();
    assert_eq!((stats.packets, stats.malformed, stats.unknown_payload), (0, 14, 2));
    assert_eq!(world.receiver.last_packet(), None);
    // All causes are told apart by label.
    let labels: std::collections::HashSet<&str> = DropCause::ALL.iter().map(|cause| cause.label()).collect();
    assert_eq!(labels.len(), DropCause::ALL.len());
}

/// RTP-01: CSRC list, extension and padding are taken off.
#[test]
fn csrc_extension_and_padding_are_taken_off() {
    let mut datagram = vec![0x80 | 0x20 | 0x10 | 0x01, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 1];
    datagram.extend([1, 1, 1, 1]);
    datagram.extend([0xBE, 0xDE, 0, 1, 2, 2, 2, 2]);
    datagram.extend([0x55, 0x66, 0, 2]);
    let mut world = World::new();
    world.receiver.handle_datagram(world.now, peer(), &datagram);
    let received = world.receiver.poll(world.now);
    assert_eq!(
        received,
        Some(Received::Audio {
            payload_type: 0,
            payload: &[0x55, 0x66],
            timestamp: 9,
            lost_before: 0,
            paused_before: 0
        })
    );
}

/// RTP-04: packets in order come out at once.
#[test]
fn packets_in_order_pass_at_once() {
    let mut world = World::new();
    for n in 0..200 {
        assert_eq!(world.audio(n), [nth(n, 0)]);
        assert_eq!(world.receiver.timeout(), None);
        world.tick(20);
    }
    let stats = world.receiver.stats();
    assert_eq!((stats.packets, stats.bytes, stats.lost, stats.jitter_ms), (200, 32_000, 0, 0.0));
}

/// RTP-04: a hole is waited for, and filled when the packet comes in time.
#[test]
fn a_reordered_packet_fills_its_hole() {
    let mut world = World::new();
    world.audio(0);
    assert_eq!(world.audio(2), []);
    assert_eq!(world.receiver.timeout(), Some(world.now + WAIT));
    world.tick(20);
    assert_eq!(world.audio(3), []);
    world.tick(39);
    assert_eq!(world.drain(), []);
    assert_eq!(world.audio(1), [nth(1, 0), nth(2, 0), nth(3, 0)]);
    assert_eq!(world.receiver.timeout(), None);
    let stats = world.receiver.stats();
    assert_eq!((stats.reordered, stats.lost, stats.late), (1, 0, 0));
}

/// RTP-04: a hole that is not filled in time is a loss of as many samples; what comes after that is late; each hole has its own wait.
#[test]
fn a_hole_is_declared_lost_after_the_wait() {
    let mut world = World::new();
    world.audio(0);
    world.audio(3);
    world.tick(30);
    world.audio(5);
    world.tick(30);
    assert_eq!(world.drain(), [nth(3, 320)]);
    assert_eq!(world.receiver.timeout(), Some(world.now + Duration::from_millis(30)));
    assert_eq!(world.audio(2), []);
    assert_eq!(world.audio(2), []);
    // It came 60 ms after the one that overtook it: the next hole is given more.
    assert_eq!(world.receiver.reorder_wait(), Duration::from_millis(80));
    world.tick(49);
    assert_eq!(world.drain(), []);
    world.tick(1);
    assert_eq!(world.drain(), [nth(5, 160)]);
    let stats = world.receiver.stats();
    assert_eq!((stats.lost, stats.late, stats.duplicate), (3, 1, 1));
}

#[test]
fn duplicates_are_counted_and_dropped() {
    let mut world = World::new();
    for n in 0..10 {
        assert_eq!(world.audio(n).len(), 1);
        assert_eq!(world.audio(n), []);
        assert_eq!(world.audio(n.saturating_sub(3)), []);
        world.tick(20);
    }
    world.audio(11);
    assert_eq!(world.audio(11), []);
    assert_eq!(world.receiver.stats().duplicate, 21);
    assert_eq!(world.receiver.stats().late, 0);
}

/// RTP-02: sequence number and timestamp wrap without a trace, with a hole across the wrap too.
#[test]
fn sequence_and_timestamp_wrap() {
    let mut world = World::new();
    let start = (65_530u16, u32::MAX - 800);
    for n in 0..20u16 {
        if n == 6 {
            continue;
        }
        let (sequence, timestamp) = (start.0.wrapping_add(n), start.1.wrapping_add(u32::from(n) * 160));
        let out = world.audio_at(sequence, timestamp);
        if n < 6 {
            assert_eq!(out, [heard(sequence, timestamp, 0)]);
        }
        world.tick(20);
    }
    let stats = world.receiver.stats();
    assert_eq!((stats.lost, stats.late, stats.ssrc_changes), (1, 0, 0));
    // Bounded: nothing is left behind.
    assert_eq!(world.receiver.timeout(), None);
}

/// Silence suppression: the timestamp jumps, the sequence does not: no loss. With a loss inside the gap only the missing packet counts.
#[test]
fn a_dtx_gap_is_not_a_loss() {
    let mut world = World::new();
    world.audio_at(1, 0);
    world.tick(4000);
    assert_eq!(world.audio_at(2, 32_000), [heard(2, 32_000, 0)]);
    world.tick(4000);
    assert_eq!(world.audio_at(4, 64_000), []);
    world.tick(60);
    assert_eq!(world.drain(), [heard(4, 64_000, 160)]);
    assert_eq!(world.receiver.stats().lost, 1);
}

/// RTP-04: a jump ahead of more than 64 packets goes on at once; the loss is counted in full and reported up to 1 s.
#[test]
fn a_long_loss_goes_on_at_once() {
    let mut world = World::new();
    for n in 0..3 {
        world.audio(n);
    }
    world.pause(4000);
    assert_eq!(world.audio(203), [nth(203, 8000)]);
    assert_eq!(world.receiver.stats().lost, 200);
    world.tick(20);
    assert_eq!(world.audio(204), [nth(204, 0)]);
}

/// RTP-06: a sequence that starts again, near or far, with a timestamp that goes on or not, is followed within 60 ms.
#[test]
fn a_restarted_sequence_is_followed_within_60_ms() {
    for (sequence, timestamp) in [
        (40_000u16, 5_000_000u32),
        (40_000, 100 * 160),
        (0, 0),
        (60, 100 * 160),
        (60, 9_000_000),
        (60, 3_000_000_000),
        (30, 1 << 31),
        (65_000, 7),
    ] {
        let mut world = World::new();
        for n in 0..100 {
            world.audio(n);
            world.tick(20);
        }
        let mut silent_ms = 0;
        let mut n = 0u16;
        while world.audio_at(sequence.wrapping_add(n), timestamp.wrapping_add(u32::from(n) * 160)).is_empty() {
            n += 1;
            silent_ms += 20;
            world.tick(20);
            assert!(silent_ms <= 60, "{sequence} {timestamp}: silent for more than 60 ms");
        }
        // From there on nothing is missing.
        for n in n + 1..n + 50 {
            world.tick(20);
            let (sequence, timestamp) = (sequence.wrapping_add(n), timestamp.wrapping_add(u32::from(n) * 160));
            assert_eq!(world.audio_at(sequence, timestamp), [heard(sequence, timestamp, 0)]);
        }
    }
}

/// A short recording played in a loop under one SSRC: sequence and timestamp both go back a little, and nothing sticks.
#[test]
fn a_looped_recording_is_followed() {
    let mut world = World::new();
    for n in 0..50 {
        world.audio(n);
        world.tick(20);
    }
    let silent = (0..50).take_while(|n| {
        let out = world.audio(*n);
        world.tick(20);
        out.is_empty()
    });
    assert!(silent.count() <= 3);
}

/// RTP-06: one stray packet from anywhere in the sequence space does not disturb the stream.
#[test]
fn a_stray_sequence_number_does_not_disturb() {
    for stray in [20_000u16, 40_000, 65_500] {
        let mut world = World::new();
        for n in 0..100 {
            world.audio(n);
            world.tick(20);
        }
        assert_eq!(world.audio_at(stray, 77), []);
        assert_eq!(world.receiver.dropped(DropCause::Sequence), 1);
        assert_eq!(world.audio(100), [nth(100, 0)]);
    }
}

/// RTP-06: a new SSRC (transfer, music on hold, direct media) is followed within 60 ms.
#[test]
fn a_new_ssrc_is_followed_within_60_ms() {
    for ptime in [10u64, 20, 30, 60] {
        let mut world = World::new();
        let units = 8 * ptime as u32;
        let say = |world: &mut World, n: u16| {
            let mut payload = vec![0xFF; units as usize];
            payload[0] = n as u8;
            world.packet(0, n, u32::from(n) * units, &payload)
        };
        for n in 0..20 {
            say(&mut world, n);
            world.tick(ptime);
        }
        world.ssrc = 0x1111;
        let mut n = 5000;
        let mut silent = 0;
        while say(&mut world, n).is_empty() {
            n += 1;
            silent += ptime;
            world.tick(ptime);
            assert!(silent <= 60, "ptime {ptime}");
        }
        world.tick(ptime);
        assert_eq!(say(&mut world, n + 1).len(), 1);
        assert_eq!((world.receiver.stats().ssrc_changes, world.receiver.stats().lost), (1, 0));
    }
}

/// RTP-06: of two SSRCs at once the active one is kept.
#[test]
fn a_second_ssrc_at_once_is_ignored() {
    let mut world = World::new();
    for n in 0..100 {
        world.ssrc = 0xABCD;
        assert_eq!(world.audio(n), [nth(n, 0)]);
        world.tick(10);
        world.ssrc = 0x2222;
        assert_eq!(world.audio_at(n + 7000, 55), []);
        world.tick(10);
    }
    assert_eq!(world.receiver.stats().ssrc_changes, 0);
    assert_eq!(world.receiver.dropped(DropCause::Ssrc), 100);
}

/// RTP-07: the payload type may change with each packet, and any packet length goes.
#[test]
fn payload_types_and_lengths_may_change_per_packet() {
    let mut world = World::new();
    let mut timestamp = 0;
    for (n, len) in [160usize, 80, 240, 160, 480, 1, 800, 1488].into_iter().enumerate() {
        let payload_type = if n % 2 == 0 { 0 } else { 8 };
        let payload = vec![n as u8; len];
        let expected = Out::Audio { payload_type, first: n as u8, timestamp, lost_before: 0 };
        assert_eq!(world.packet(payload_type, n as u16, timestamp, &payload), [expected]);
        timestamp += len as u32;
        world.tick(20);
    }
    // Only what was negotiated: after an answer with PCMU alone, PCMA is unknown.
    world.receiver.set_params(ReceiverParams { audio_payload_types: vec![(0, Codec::Pcmu)], ..params() });
    assert_eq!(world.packet(8, 8, timestamp, &[1; 160]), []);
    assert_eq!(world.receiver.stats().unknown_payload, 1);
    assert_eq!(world.packet(0, 8, timestamp, &[8; 160]).len(), 1);
}

/// RTP-15: comfort noise comes as a level; without the negotiated type it is unknown.
#[test]
fn comfort_noise_is_a_level() {
    let mut world = World::new();
    world.audio(0);
    assert_eq!(world.packet(13, 1, 160, &[0x80 | 45, 1, 2]), [Out::Noise(45)]);
    assert_eq!(world.audio_at(2, 16_000), [heard(2, 16_000, 0)]);
    world.receiver.set_params(ReceiverParams { comfort_noise: None, ..params() });
    assert_eq!(world.packet(13, 3, 160, &[45]), []);
}

/// RFC 3550 A.8: of packets that are on time and 5 ms late in turn, every difference is 5 ms, and so is the estimate.
#[test]
fn jitter_follows_the_rfc() {
    let mut world = World::new();
    let start = world.now;
    for n in 0..2000u16 {
        world.now = start + Duration::from_millis(u64::from(n) * 20 + u64::from(n % 2) * 5);
        world.audio(n);
    }
    let jitter = world.receiver.stats().jitter_ms;
    assert!((jitter - 5.0).abs() < 0.01, "{jitter}");
    // A restarted timeline is not jitter.
    world.ssrc = 9;
    world.pause(100);
    world.audio_at(9, 4_000_000_000);
    world.tick(20);
    world.audio_at(10, 4_000_000_160);
    assert!(world.receiver.stats().jitter_ms < 5.0);
}

/// A8: packets above any stream's rate are dropped before they are looked at further, and the stream goes on afterwards.
#[test]
fn a_flood_is_cut_off() {
    let mut world = World::new();
    let heard: usize = (0..5000).map(|n| world.audio(n).len()).sum();
    assert_eq!(heard, 500);
    assert_eq!(world.receiver.dropped(DropCause::Flood), 4500);
    world.pause(40);
    assert_eq!(world.audio(5000).len() + world.audio(5001).len(), 1);
}

/// A payload type that is taken back by an answer is not played, even if its packet waits already.
#[test]
fn a_type_taken_back_is_not_played() {
    let mut world = World::new();
    world.audio(0);
    assert_eq!(world.packet(101, 2, 320, &[5, 0, 0, 160]), []);
    world.receiver.set_params(ReceiverParams { dtmf_payload_type: None, ..params() });
    world.tick(60);
    assert_eq!(world.drain(), []);
    assert_eq!(world.audio(3), [nth(3, 160)]);
}

/// RTP-11: a stream that began before we listened starts anywhere.
#[test]
fn the_first_packet_may_have_any_number() {
    for (sequence, timestamp) in [(0, 0), (65_535, u32::MAX), (30_000, 1 << 31)] {
        assert_eq!(World::new().audio_at(sequence, timestamp), [heard(sequence, timestamp, 0)]);
    }
}
