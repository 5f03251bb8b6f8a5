//! RFC 4733 through the whole receiver, fed by our own sender and by hand.

use super::tests::{Out, World};
use crate::codec::Codec;
use crate::net::clock;
use crate::rtp::dtmf::{EventPayload, digit_of};
use crate::rtp::sender::Sender;
use proptest::prelude::*;
use std::time::Duration;

fn event(event: u8, end: bool, duration: u16) -> [u8; 4] {
    EventPayload { event, end, volume: 10, duration }.to_bytes()
}

/// All packets of `digits` and of the audio around them: (sent at, bytes, whether it is an event packet).
fn sent(digits: &str, start: u16) -> Vec<(u64, Vec<u8>, bool)> {
    let mut sender = Sender::new(0xABCD, start, 4_294_967_000);
    sender.set_format(Codec::Pcmu, 0, Some(101), 20);
    let mut all = Vec::new();
    let mut out = Vec::new();
    let mut at = 0;
    let frame = |sender: &mut Sender, out: &mut Vec<u8>, at: &mut u64, all: &mut Vec<_>| {
        let is_audio = sender.frame(&[0xFF; 160], out);
        all.push((*at, out.clone(), !is_audio));
        while sender.extra(out) {
            all.push((*at, out.clone(), true));
        }
        *at += 20;
    };
    for _ in 0..3 {
        frame(&mut sender, &mut out, &mut at, &mut all);
    }
    assert!(sender.send_digits(digits));
    while sender.is_sending_digits() {
        frame(&mut sender, &mut out, &mut at, &mut all);
    }
    for _ in 0..5 {
        frame(&mut sender, &mut out, &mut at, &mut all);
    }
    all
}

fn digits(out: &[Out]) -> String {
    out.iter().filter_map(|out| if let Out::Digit(event) = out { digit_of(*event) } else { None }).collect()
}

fn receive(world: &mut World, packets: &[(u64, Vec<u8>)]) -> Vec<Out> {
    let begin = world.now;
    let mut all = Vec::new();
    for (at, bytes) in packets {
        world.now = begin + Duration::from_millis(*at);
        all.extend(world.drain());
        world.receiver.handle_datagram(world.now, world.from, bytes);
        all.extend(world.drain());
    }
    world.tick(500);
    all.extend(world.drain());
    all
}

/// DTM-02: every digit comes once, in order, and the audio around it has no hole.
#[test]
fn all_digits_arrive_once() {
    let packets: Vec<_> = sent("0123456789*#ABCD", 65_500).into_iter().map(|(at, bytes, _)| (at, bytes)).collect();
    let mut world = World::new();
    let out = receive(&mut world, &packets);
    assert_eq!(digits(&out), "0123456789*#ABCD");
    assert!(out.iter().all(|out| !matches!(out, Out::Audio { lost_before: 1.., .. })));
    assert_eq!(world.receiver.stats().lost, 0);
}

/// DTM-02: a digit is told at its first packet, whichever that is: not at its end.
#[test]
fn a_digit_is_told_when_it_begins() {
    let mut world = World::new();
    world.audio(0);
    assert_eq!(world.packet(101, 1, 160, &event(5, false, 160)), [Out::Digit(5)]);
    assert_eq!(world.packet(101, 2, 160, &event(5, false, 320)), []);
    assert_eq!(world.packet(101, 3, 160, &event(5, true, 480)), []);
    // The same key again is a new event: another timestamp.
    assert_eq!(world.packet(101, 4, 960, &event(5, true, 160)), [Out::Digit(5)]);
}

/// DTM-02: out-of-range events and short payloads are ignored.
#[test]
fn events_that_are_not_digits_are_ignored() {
    let mut world = World::new();
    world.audio(0);
    for (n, number) in [16u8, 17, 36, 127, 255].into_iter().enumerate() {
        assert_eq!(world.packet(101, 1 + n as u16, 160 * (1 + n as u32), &event(number, false, 160)), []);
    }
    assert_eq!(world.packet(101, 6, 960, &[5, 0, 1]), []);
    assert_eq!(world.receiver.stats().malformed, 1);
    assert_eq!(world.audio(7).len(), 1);
}

/// DTM-02: RFC 4733 §2.5.1.3: a key held for more than 8 s comes in segments, and is one digit.
#[test]
fn a_held_key_of_several_segments_is_one_digit() {
    let mut sender = Sender::new(1, 0, 0);
    sender.set_format(Codec::Pcmu, 0, Some(101), 20);
    assert!(sender.send_event(9, 20_000));
    let (mut world, mut out, mut all) = (World::new(), Vec::new(), Vec::new());
    let mut packets = 0;
    while sender.is_sending_digits() {
        sender.frame(&[0xFF; 160], &mut out);
        world.receiver.handle_datagram(world.now, world.from, &out);
        all.extend(world.drain());
        world.tick(20);
        packets += 1;
    }
    assert!(packets > 1000);
    assert_eq!(digits(&all), "9");
}

/// DTM-02: a gateway that gives its events an SSRC of their own is understood where SRTP says who sends, and does not disturb the audio.
#[test]
fn events_with_an_ssrc_of_their_own_are_understood() {
    let mut world = World::new();
    world.receiver.set_authenticated(true);
    for n in 0..50 {
        world.ssrc = 0xABCD;
        assert_eq!(world.audio(n).len(), 1);
        world.ssrc = 0x9999;
        let out = world.packet(101, n, 8000, &event(3, n > 45, 160 * (n + 1)));
        assert_eq!(digits(&out), if n == 0 { "3" } else { "" });
        world.tick(20);
    }
    assert_eq!(world.receiver.stats().ssrc_changes, 0);
}

/// DTM-02, A6: in plain RTP such events count while the audio pauses for them, as most gateways do; beside the audio they may be anyone's.
#[test]
fn events_with_an_ssrc_of_their_own_count_in_a_pause() {
    let mut world = World::new();
    let mut heard = String::new();
    for n in 0..200u16 {
        let paused = (100..120).contains(&n);
        world.ssrc = 0xABCD;
        assert!(paused || world.audio(n).len() == 1, "{n}");
        world.ssrc = 0x9999;
        let timestamp = if paused { 9000 } else { 8000 };
        let out = world.packet(101, n, timestamp, &event(if paused { 5 } else { 3 }, false, 160));
        heard += &digits(&out);
        world.tick(20);
    }
    assert_eq!(heard, "5");
}

/// A packet that comes after its hole was given up still counts, if it is all that is left of a digit.
#[test]
fn a_late_packet_is_enough() {
    let mut world = World::new();
    world.audio(0);
    world.audio(4);
    world.tick(60);
    assert_eq!(world.drain().len(), 1);
    assert_eq!(world.packet(101, 2, 160, &event(7, false, 320)), [Out::Digit(7)]);
    assert_eq!(world.packet(101, 3, 160, &event(7, true, 480)), []);
}

proptest! {
    /// DTM-02: any loss pattern that leaves at least one packet of each event gives exactly one digit each, in order; duplicates
    /// and reordering within the wait change nothing.
    #[test]
    fn any_loss_that_leaves_a_packet_gives_one_digit(
        keys in "[0-9*#A-D]{1,6}",
        start in any::<u16>(),
        fates in proptest::collection::vec((any::<bool>(), any::<bool>(), 0u64..25), 120),
    ) {
        let all = sent(&keys, start);
        let begin = clock::now();
        let mut events: Vec<(u32, bool)> = Vec::new();
        let mut kept: Vec<(u64, Vec<u8>)> = Vec::new();
        for (n, (at, bytes, is_event)) in all.iter().enumerate() {
            let (keep, double, delay) = fates[n % fates.len()];
            let timestamp = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            if *is_event {
                match events.last_mut() {
                    Some((last, any)) if *last == timestamp => *any |= keep,
                    _ => events.push((timestamp, keep)),
                }
            }
            // The first audio packet always arrives: it begins the stream.
            if keep || n == 0 {
                kept.push((at + if n == 0 { 0 } else { delay }, bytes.clone()));
                if double {
                    kept.push((at + 25, bytes.clone()));
                }
            }
        }
        kept.sort();
        let expected: String = keys.chars().zip(&events).filter(|(_, (_, any))| *any).map(|(key, _)| key).collect();
        let mut world = World::new();
        world.now = begin;
        let out = receive(&mut world, &kept);
        prop_assert_eq!(digits(&out), expected);
    }
}
