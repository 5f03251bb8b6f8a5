//! SRTP in a call: keys from offer and answer, what a stranger's packets do (nothing), and keys that change in the call.

use crate::peer::{Voice, rtp};
use crate::world::{World, local_media, ms, peer_addr, secs};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use voxtrunk::call::Input;
use voxtrunk::rtp::receiver::SourcePolicy;
use voxtrunk::sip::offer_answer::{LocalMedia, LocalSrtp, Negotiation};
use voxtrunk::sip::user_agent::UaEvent;
use voxtrunk::srtp_key::Suite;

/// The far end's offer/answer with its keys.
pub fn caller(suites: &[Suite], secret: u8, session_id: u64) -> Negotiation {
    let srtp = Some(LocalSrtp::new(true, suites, [secret; 32]));
    Negotiation::new(LocalMedia { addr: peer_addr().ip(), port: peer_addr().port(), session_id, srtp, ..local_media() })
}

fn talk(suite: Suite, policy: SourcePolicy) -> World {
    let ours = LocalSrtp::new(true, &Suite::ALL, [9; 32]);
    World::setup().with(|s| (s.srtp, s.policy) = (Some((ours, caller(&[suite], 1, 1))), policy)).talk()
}

/// SRT-01, SRT-06: each suite carries a call both ways; the record names it.
#[test]
fn each_suite_carries_a_call() {
    for suite in Suite::ALL {
        let mut world = talk(suite, SourcePolicy::Latch);
        assert!((995..=1_005).contains(&world.peer.speech_ms()), "{suite:?}: {} ms", world.peer.speech_ms());
        world.service.keep_audio = true;
        world.peer.voice = Voice::Tone;
        world.run(secs(2));
        let loud = world.service.audio.iter().filter(|s| s.unsigned_abs() > 1_500).count();
        assert!(loud > 35_000, "{suite:?}: {loud} loud samples of 48000");
        world.peer.assert_one_stream();
        world.caller_hangs_up();
        let cdr = &world.ends_within(ms(0)).cdr;
        assert_eq!((cdr.srtp, cdr.rtp.srtp_failed, cdr.rtp.srtp_replayed), (Some(suite.name()), 0, 0));
    }
}

/// The `n`-th packet of somebody who sees every packet of the stream and has no key.
fn bad(rng: &mut StdRng, n: u32, seen: &[u8]) -> Vec<u8> {
    let mut packet = seen.to_vec();
    match n % 8 {
        // What was on the wire, again.
        0 => {}
        // Loud audio in the clear, in the stream's own sequence and out of it; a key press.
        1 => packet = rtp(0, u16::from_be_bytes([seen[2], seen[3]]).wrapping_add(1), n, &[0x20; 160]),
        2 => packet = rtp(0, rng.random(), rng.random(), &[0x20; 170]),
        3 => packet = rtp(101, rng.random(), 99, &[5, 0x8A, 3, 0x20]),
        // Noise with its header.
        4 => rng.fill_bytes(&mut packet[12..]),
        5 => packet.truncate(rng.random_range(0..seen.len())),
        6 => rng.fill_bytes(&mut packet),
        _ => {
            let at = rng.random_range(0..packet.len());
            packet[at] ^= 1 << rng.random_range(0..8);
        }
    }
    packet
}

/// A7, SRT-03: 10,000 bad packets from everywhere, the peer's own address included, into a call that takes any source: each is counted,
/// none is heard, nothing is sent anywhere else (the world insists), no packet of the call is late or lost, and the call goes on.
#[test]
fn bad_packets_are_counted_and_nothing_else() {
    let seed = 7;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = talk(Suite::AesCm128HmacSha1_80, SourcePolicy::Nat);
    world.service.keep_audio = true;
    world.peer.voice = Voice::Silent;
    for n in 0..10_000u32 {
        let mut seen = world.peer.packet().expect("a packet");
        let forged = bad(&mut rng, n, &seen);
        let from = if n % 3 == 0 { peer_addr() } else { ([203, 0, 113, (n % 250) as u8], 4_000).into() };
        // A replay is one only after the packet.
        if n % 8 == 0 {
            world.input(Input::Rtp { from: peer_addr(), datagram: &seen });
            seen.clear();
        }
        world.input(Input::Rtp { from, datagram: &forged });
        if !seen.is_empty() {
            world.input(Input::Rtp { from: peer_addr(), datagram: &seen });
        }
        world.peer.next = world.now + secs(1);
        world.run(ms(20));
    }
    assert!(world.service.audio.iter().all(|s| s.unsigned_abs() < 50), "seed {seed}: noise reached the model");
    assert!(world.service.audio.len().abs_diff(10_000 * 480) < 48_000, "{}", world.service.audio.len());
    world.caller_hangs_up();
    let cdr = &world.ends_within(ms(0)).cdr;
    assert_eq!((cdr.cause.as_str(), cdr.dtmf_digits), ("caller_bye", 0));
    let rtp = cdr.rtp;
    // The rest is too short to be SRTP (a key press in the clear is), or no RTP at all.
    assert!((7_300..7_800).contains(&(rtp.srtp_failed + rtp.srtp_replayed)), "seed {seed}: {rtp:?}");
    // Those that were on the wire before, and a few that were made up with a sequence number that was.
    assert!((1_250..1_270).contains(&rtp.srtp_replayed), "seed {seed}: {rtp:?}");
    assert_eq!((rtp.lost, rtp.late, rtp.duplicate, rtp.refused_source, rtp.concealed_ms), (0, 0, 0, 0, 0), "{rtp:?}");
}

/// SRT-03: bad packets do not keep a dead call alive.
#[test]
fn bad_packets_do_not_count_as_media() {
    let mut world = talk(Suite::AeadAes128Gcm, SourcePolicy::Nat);
    world.peer.voice = Voice::Off;
    let began = world.now;
    for n in 0..1_000u16 {
        if world.ended.is_some() {
            break;
        }
        world.input(Input::Rtp { from: peer_addr(), datagram: &rtp(0, n, u32::from(n) * 160, &[0x20; 160]) });
        world.run(ms(20));
    }
    let (ended, record) = world.ended.as_ref().expect("the call is over");
    assert_eq!(record.cdr.cause, "no_media");
    assert!((secs(14)..secs(17)).contains(&(*ended - began)), "{:?}", *ended - began);
}

/// SRT-04, SDP-10: refreshes with the same keys, then new keys by re-INVITE, of the same suite and of another: not a packet is lost,
/// and our stream goes on.
#[test]
fn keys_change_in_the_call() {
    let mut world = talk(Suite::AesCm128HmacSha1_80, SourcePolicy::Latch);
    world.service.keep_audio = true;
    world.peer.voice = Voice::Tone;
    let mut version = 1;
    for (secret, suite) in [
        (1, Suite::AesCm128HmacSha1_80),
        (2, Suite::AesCm128HmacSha1_80),
        (3, Suite::AeadAes256Gcm),
        (3, Suite::AeadAes256Gcm),
        (1, Suite::AesCm128HmacSha1_80),
    ] {
        world.run(ms(500));
        version += 1;
        let mut next = caller(&[suite], secret, version);
        let offer = Some(next.offer());
        world.secure = Some(next);
        world.input(Input::Sip(UaEvent::Reinvite { session: world.own, offer }));
    }
    world.run(ms(500));
    let audio = &world.service.audio;
    let quiet = audio.chunks(480).filter(|frame| frame.iter().all(|s| s.unsigned_abs() < 1_500)).count();
    assert!(quiet <= 3 && audio.len() > 48_000, "{quiet} quiet frames in {} samples", audio.len());
    world.peer.assert_one_stream();
    world.caller_hangs_up();
    let cdr = &world.ends_within(ms(0)).cdr;
    assert_eq!((cdr.srtp, cdr.rtp.lost), (Some("AES_CM_128_HMAC_SHA1_80"), 0));
    assert_eq!((cdr.rtp.srtp_failed, cdr.rtp.srtp_replayed, cdr.rtp.concealed_ms), (0, 0, 0));
}
