//! Caller → model: what the session hears, and that its clock is that of the wall.

use crate::peer::Voice;
use crate::world::{World, ms, secs};
use std::time::Duration;
use voxtrunk::codec::Codec;
use voxtrunk::config::dialplan::AudioChoice;

fn lag(world: &World, since: Duration) -> i64 {
    (world.now - since).as_millis() as i64 - world.service.received_audio().as_millis() as i64
}

/// Audio reaches the session in batches, in real time.
#[test]
fn caller_audio_in_real_time() {
    let mut world = World::setup().talk();
    let answered = world.service.received.iter().find(|(_, e)| e["type"] == "response.create").expect("talking").0;
    for _ in 0..200 {
        world.run(ms(50));
        assert!((-100..=200).contains(&lag(&world, answered)), "{} ms", lag(&world, answered));
    }
    let per_append = world.service.audio_bytes / world.service.appends;
    assert_eq!(per_append, 960, "20 ms of PCM16 at 24 kHz");
}

/// What the caller says is what the session hears: a tone comes as a tone, three samples for one, at its level.
#[test]
fn the_tone_arrives() {
    let mut world = World::setup().talk();
    world.service.keep_audio = true;
    world.peer.voice = Voice::Tone;
    world.run(secs(2));
    let audio = &world.service.audio[12_000..36_000];
    let peak = audio.iter().map(|s| s.unsigned_abs()).max().expect("audio");
    assert!((9_000..=11_000).contains(&peak), "{peak}");
    let rises = audio.windows(2).filter(|w| w[0] < 0 && w[1] >= 0).count();
    assert!((498..=502).contains(&rises), "500 Hz, not {rises}");
}

/// S4, S6: when packets stop (DTX, loss) the session hears silence in real time, so its VAD ends the turn.
#[test]
fn stall_clock() {
    let mut world = World::setup().talk();
    world.peer.voice = Voice::Tone;
    world.run(secs(2));
    let (bytes, since) = (world.service.audio_bytes, world.now);
    world.peer.voice = Voice::Off;
    world.service.keep_audio = true;
    for _ in 0..100 {
        world.run(ms(100));
        let got = (world.service.audio_bytes - bytes) / 48;
        let passed = (world.now - since).as_millis() as u64;
        assert!(passed.abs_diff(got) <= 100, "{got} ms of audio in {passed} ms");
    }
    let audio = &world.service.audio;
    assert!(audio[audio.len() / 2..].iter().all(|s| s.unsigned_abs() < 50), "silence after the concealment");
    world.peer.voice = Voice::Tone;
    world.run(secs(1));
    let got = (world.service.audio_bytes - bytes) / 48;
    assert!(11_000u64.abs_diff(got) <= 100, "{got}");
}

/// Loss is concealed: as much audio as time, and the CDR says how much.
#[test]
fn loss_is_concealed() {
    let mut world = World::setup().talk();
    world.peer.voice = Voice::Tone;
    world.peer.lose_every = Some(10);
    let (bytes, since) = (world.service.audio_bytes, world.now);
    world.run(secs(20));
    let got = (world.service.audio_bytes - bytes) / 48;
    let passed = (world.now - since).as_millis() as u64;
    assert!(passed.abs_diff(got) <= 100, "{got} ms of audio in {passed} ms");
    world.caller_hangs_up();
    let cdr = &world.ends_within(ms(0)).cdr;
    assert!((90..=110).contains(&cdr.rtp.lost), "{cdr:?}");
    assert!((1_600..=2_200).contains(&cdr.rtp.concealed_ms), "{cdr:?}");
}

/// A burst after a stall of the network does not push the session's clock ahead.
#[test]
fn late_burst_is_dropped() {
    let mut world = World::setup().talk();
    world.peer.voice = Voice::Tone;
    world.run(secs(1));
    let (bytes, since) = (world.service.audio_bytes, world.now);
    let mut late = Vec::new();
    for _ in 0..25 {
        late.extend(world.peer.packet());
        world.peer.next = world.now + ms(1_000);
        world.run(ms(20));
    }
    for packet in &late {
        world.input(voxtrunk::call::Input::Rtp { from: crate::world::peer_addr(), datagram: packet });
    }
    world.peer.next = world.now + ms(20);
    world.run(secs(2));
    let got = (world.service.audio_bytes - bytes) / 48;
    let passed = (world.now - since).as_millis() as u64;
    assert!(passed.abs_diff(got) <= 100, "{got} ms of audio in {passed} ms");
}

/// `audio = "g711"`: the caller's codes go through as they are, and a peer that changes the law per packet is transcoded.
#[test]
fn g711_goes_through() {
    let mut world = World::setup().plan(|p| p.audio = AudioChoice::G711).talk();
    let per_append = world.service.audio_bytes / world.service.appends;
    assert_eq!(per_append, 160);
    world.run(secs(1));
    assert!((995..=1_005).contains(&world.peer.speech_ms()), "{}", world.peer.speech_ms());
    world.peer.codec = Codec::Pcma;
    world.peer.voice = Voice::Tone;
    let bytes = world.service.audio_bytes;
    world.run(secs(1));
    assert!((world.service.audio_bytes - bytes).abs_diff(8_000) <= 800);
}

/// A6: packets of a stranger reach neither the session nor the digits.
#[test]
fn strangers_are_not_heard() {
    let mut world = World::setup().talk();
    world.peer.voice = Voice::Off;
    world.run(ms(200));
    world.service.keep_audio = true;
    let stranger = "203.0.113.66:4000".parse().expect("an address");
    for n in 0..200u16 {
        let loud = crate::peer::rtp(0, n, u32::from(n) * 160, &[0x20; 160]);
        world.input(voxtrunk::call::Input::Rtp { from: stranger, datagram: &loud });
        let key = crate::peer::rtp(101, n, 99, &[5, 0x8A, 3, 0x20]);
        world.input(voxtrunk::call::Input::Rtp { from: stranger, datagram: &key });
        world.run(ms(20));
    }
    assert!(world.service.audio.iter().all(|s| s.unsigned_abs() < 50));
    world.caller_hangs_up();
    let cdr = &world.ends_within(ms(0)).cdr;
    assert_eq!((cdr.dtmf_digits, cdr.rtp.refused_source), (0, 400));
}
