//! One-way audio: the cause within seconds, the caller is told, the call ends in time (S3, S5, RTP-10).

use crate::peer::{Voice, rtp};
use crate::service::Reply;
use crate::srtp::caller;
use crate::world::{World, ms, peer_addr, secs};
use std::net::SocketAddr;
use voxtrunk::call::end::Cause;
use voxtrunk::call::{CallEvent, Input};
use voxtrunk::rtp::receiver::SourcePolicy;
use voxtrunk::sip::offer_answer::LocalSrtp;
use voxtrunk::srtp_key::Suite;

fn stranger() -> SocketAddr {
    "203.0.113.9:4321".parse().expect("an address")
}

/// Cause and time of the first verdict.
fn verdict(world: &World) -> Option<(&'static str, String, std::time::Duration)> {
    world.notes.iter().find_map(|(at, event)| match event {
        CallEvent::OneWayAudio { cause, why } => Some((*cause, why.clone(), *at)),
        _ => None,
    })
}

/// S3: no packet at all: the cause at 3 s, the prompt at 8 s, silence keeps flowing, BYE at 30 s and a little, all of it in the record.
#[test]
fn nothing_comes_from_the_start() {
    let mut world = World::setup().ring();
    world.answered_within(ms(800));
    let answered = world.now;
    world.peer.voice = Voice::Off;
    world.run(ms(3_100));
    let (cause, why, at) = verdict(&world).expect("a verdict");
    assert_eq!((cause, at - answered), ("no_packet", secs(3)), "{why}");
    assert!(why.contains("we told the peer to send to 198.51.100.1:20000"), "{why}");
    world.service.replies.push_back(Reply::Speech(1_500, "I cannot hear you."));
    world.run(secs(8));
    let said = world.service.sent("response.create");
    let prompts = said.iter().filter(|event| event.to_string().contains("cannot hear the caller")).count();
    assert_eq!(prompts, 1, "{world}");
    let packets = world.peer.packets;
    world.run(secs(10));
    assert!(world.peer.packets.abs_diff(packets + 500) <= 2, "the caller still hears us");
    world.service.replies.push_back(Reply::Speech(1_000, "Goodbye."));
    let record = world.ends_within(secs(20));
    assert_eq!(record.end.cause, Cause::NoMedia);
    let verdict = record.cdr.media_verdict.clone().expect("in the record");
    assert_eq!((verdict.cause, verdict.at_ms, verdict.audio_after_ms), ("no_packet", 3_000, None));
    assert!((29_000..36_000).contains(&record.cdr.talk_ms), "{}", record.cdr.talk_ms);
}

/// S3: the SDP is wrong: the packets' source is named. Here `latch` may not learn it; with `nat` the call is fine.
#[test]
fn the_sdp_says_another_address() {
    for policy in [SourcePolicy::Latch, SourcePolicy::Nat] {
        let mut world = World::setup().with(|s| s.policy = policy).ring();
        (world.caller_from, world.any_target) = (Some(stranger()), true);
        world.answered_within(ms(800)).run(secs(5));
        if policy == SourcePolicy::Nat {
            assert_eq!(verdict(&world), None);
            let moved = |e: &CallEvent| *e == CallEvent::MediaSource { addr: stranger(), moved: true };
            assert!(world.noted(moved), "{world}");
            continue;
        }
        let (cause, why, _) = verdict(&world).expect("a verdict");
        assert_eq!(cause, "source_refused");
        let names = "the peer's SDP says 192.0.2.10:4000, packets come from 203.0.113.9:4321";
        assert!(why.starts_with(names) && why.contains("source_policy = \"nat\""), "{why}");
        let refused = world.notes.iter().filter(|(_, e)| *e == CallEvent::SourceRefused { addr: stranger() }).count();
        assert_eq!(refused, 1, "once, not for each packet");
        // S5: the one the SDP names is played as soon as it comes.
        world.caller_from = None;
        world.run(secs(1));
        world.caller_hangs_up();
        let (_, record) = world.ended.as_ref().expect("ended");
        let after = record.cdr.media_verdict.as_ref().and_then(|verdict| verdict.audio_after_ms).expect("it came");
        assert!((4_000..6_000).contains(&after), "{after}");
        assert!(record.cdr.rtp.refused_source > 200);
    }
}

/// S3: only RTCP comes; a codec that was not agreed on.
#[test]
fn what_comes_is_no_audio_of_ours() {
    let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    let mut g729 = vec![0x80, 18, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    g729.extend_from_slice(&[0; 20]);
    for (is_rtcp, datagram, expected) in [(true, report.to_vec(), "only_rtcp"), (false, g729, "payload_type")] {
        let mut world = World::setup().ring();
        world.answered_within(ms(800));
        world.peer.voice = Voice::Off;
        world.run(secs(1));
        world.input(match is_rtcp {
            true => Input::Rtcp { from: SocketAddr::new(peer_addr().ip(), 4001), datagram: &datagram },
            false => Input::Rtp { from: peer_addr(), datagram: &datagram },
        });
        world.run(secs(3));
        assert_eq!(verdict(&world).map(|v| v.0), Some(expected), "{world}");
    }
}

/// S3, RTP-10: keys alone are not audio: the cause is named at 3 s, the caller is told at 8 s, the call ends at 30 s, and each key counts.
#[test]
fn keys_alone_are_not_heard() {
    let mut world = World::setup().ring();
    world.answered_within(ms(800));
    let answered = world.now;
    world.peer.voice = Voice::Off;
    world.run(secs(1)).presses(5).run(ms(1_500));
    assert_eq!(verdict(&world), None);
    for key in 0..8 {
        world.presses(key).run(secs(1));
    }
    let (cause, why, at) = verdict(&world).expect("a verdict");
    assert_eq!((cause, at - answered), ("only_keys", secs(3)), "{why}");
    let said = world.service.sent("response.create");
    assert_eq!(said.iter().filter(|event| event.to_string().contains("cannot hear the caller")).count(), 1, "{world}");
    for key in 0..16 {
        world.presses(key).run(secs(1));
    }
    world.service.replies.push_back(Reply::Speech(1_000, "Goodbye."));
    let record = world.ends_within(secs(20));
    assert_eq!((record.end.cause.clone(), record.cdr.dtmf_digits), (Cause::NoMedia, 25));
    assert!((29_000..36_000).contains(&record.cdr.talk_ms), "{}", record.cdr.talk_ms);
}

/// S3: once the caller was heard, keys in a pause of its packets (DTX) show that the line is not dead.
#[test]
fn keys_in_a_pause_keep_the_call() {
    let mut world = World::setup().talk();
    world.run(secs(5));
    world.peer.voice = Voice::Off;
    for key in 0..8 {
        world.run(secs(5)).presses(key);
    }
    assert!(world.ended.is_none() && verdict(&world).is_none(), "{world}");
}

/// A pause in the middle is judged after 8 s, not on hold; a call with audio has no verdict.
#[test]
fn silence_later_and_on_hold() {
    let mut world = World::setup().talk();
    world.run(secs(20));
    world.reinvite(2, "sendonly");
    world.peer.voice = Voice::Off;
    world.run(secs(60));
    assert_eq!(verdict(&world), None, "{world}");
    world.peer.voice = Voice::Silent;
    world.reinvite(3, "sendrecv").run(secs(5));
    world.peer.voice = Voice::Off;
    let silent = world.now;
    world.run(secs(9));
    let (cause, _, at) = verdict(&world).expect("a verdict");
    assert_eq!(cause, "no_packet");
    assert!((at - silent).abs_diff(secs(8)) <= ms(30), "{:?}", at - silent);
}

/// S3: SRTP was agreed on and what comes is not: whose it is cannot be known, so that the keys are named.
#[test]
fn what_comes_does_not_fit_the_keys() {
    let suite = Suite::AesCm128HmacSha1_80;
    let ours = LocalSrtp::new(true, &Suite::ALL, [9; 32]);
    let mut world = World::setup().with(|s| s.srtp = Some((ours, caller(&[suite], 1, 1)))).ring();
    world.answered_within(ms(800));
    world.peer.voice = Voice::Off;
    for n in 0..100 {
        world.input(Input::Rtp { from: peer_addr(), datagram: &rtp(0, n, u32::from(n) * 160, &[0xFF; 160]) });
        world.run(ms(20));
    }
    world.run(secs(2));
    let (cause, why, _) = verdict(&world).expect("a verdict");
    assert_eq!(cause, "srtp_keys");
    assert!(why.contains("100 packets, the last from 192.0.2.10:4000, fail SRTP authentication"), "{why}");
}

/// Reports of a host that may not send, and nothing else: the address is named.
#[test]
fn only_reports_of_a_stranger() {
    let mut world = World::setup().ring();
    world.answered_within(ms(800));
    world.peer.voice = Voice::Off;
    world.input(Input::Rtcp { from: stranger(), datagram: &[0x80, 201, 0, 1, 0, 0, 0, 9] });
    world.run(secs(4));
    let (cause, why, _) = verdict(&world).expect("a verdict");
    assert_eq!(cause, "only_rtcp");
    assert!(why.contains("203.0.113.9:4321"), "{why}");
}
