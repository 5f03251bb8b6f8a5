//! Both ends of a stream: order, loss, roll-over, replay, change of keys, bad packets. Seeds are in every message of a failure.

use super::*;
use crate::net::clock;
use crate::rtp::packet::{self, Packet};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// Keys of the two ends of one stream.
fn pair(suite: Suite, seed: u64) -> (SrtpKeys, SrtpKeys) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut key = || {
        let mut octets = vec![0; suite.key_len() + suite.salt_len()];
        rng.fill_bytes(&mut octets);
        MasterKey::new(suite, &octets).expect("as long as the suite wants")
    };
    let (a, b) = (key(), key());
    (SrtpKeys { suite, send: a.clone(), receive: b.clone() }, SrtpKeys { suite, send: b, receive: a })
}

fn ends(suite: Suite, seed: u64) -> (Srtp, Srtp) {
    let (ours, theirs) = pair(suite, seed);
    (Srtp::new(&ours).expect("good keys"), Srtp::new(&theirs).expect("good keys"))
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let timestamp = u32::from(sequence).wrapping_mul(160);
    packet::write(&Packet { payload_type: 0, marker: false, sequence, timestamp, ssrc, payload }, &mut out);
    out
}

fn protected(srtp: &mut Srtp, plain: &[u8]) -> Vec<u8> {
    let mut packet = plain.to_vec();
    srtp.protect_rtp(&mut packet).expect("protected");
    packet
}

/// A receiver report, or any packet of that shape.
fn rtcp(ssrc: u32, rest: &[u8]) -> Vec<u8> {
    [&[0x81, 201, 0, 7][..], &ssrc.to_be_bytes(), rest].concat()
}

/// SRT-01, SRT-05, SRT-06: every suite, both kinds of packet, both directions.
#[test]
fn what_one_end_protects_the_other_opens() {
    for suite in Suite::ALL {
        let (mut a, mut b) = ends(suite, 1);
        let now = clock::now();
        for n in 0..300u16 {
            let plain = rtp(7, 65_400u16.wrapping_add(n), &[n as u8; 160]);
            let packet = protected(&mut a, &plain);
            assert_eq!(packet[..12], plain[..12]);
            assert_ne!(packet[12..172], plain[12..]);
            assert_eq!(b.unprotect_rtp(now, &packet), Ok(&plain[..]), "{suite:?} {n}");
            let report = rtcp(9, &[n as u8; 24]);
            let mut packet = report.clone();
            b.protect_rtcp(&mut packet).expect("protected");
            assert_eq!(packet.len(), report.len() + 4 + if suite.salt_len() == 12 { 16 } else { 10 });
            assert_eq!(a.unprotect_rtcp(now, &packet), Ok(&report[..]), "{suite:?} {n}");
            assert_eq!(a.unprotect_rtcp(now, &packet), Err(Failure::Replayed));
        }
        assert_eq!((b.stats(), a.stats()), (SrtpStats::default(), SrtpStats { replayed: 300, ..SrtpStats::default() }));
    }
}

/// CSRCs and an extension stay in the clear and are authenticated; padding is encrypted.
#[test]
fn a_long_header_stays_in_the_clear() {
    let plain = hex("b2000001 00000000 00000007 00000011 00000022 bede0002 0102030405060708 aabbccddeeff 00000003");
    for suite in Suite::ALL {
        let (mut a, mut b) = ends(suite, 2);
        let now = clock::now();
        let packet = protected(&mut a, &plain);
        assert_eq!(packet[..32], plain[..32]);
        assert_ne!(packet[32..42], plain[32..]);
        for at in 0..packet.len() {
            let mut forged = packet.clone();
            forged[at] ^= 4;
            assert!(b.unprotect_rtp(now, &forged).is_err(), "{suite:?}: octet {at} changed");
        }
        assert_eq!(b.unprotect_rtp(now, &packet), Ok(&plain[..]));
    }
}

/// SRT-04: more than three rolls, in which a call of an hour and more ends, with the packets around each roll lost, late and repeated.
#[test]
fn the_counter_goes_on_through_rolls() {
    let (mut a, mut b) = ends(Suite::AesCm128HmacSha1_80, 3);
    let now = clock::now();
    let mut late = None;
    let mut taken = 0;
    for n in 0..200_000u32 {
        let sequence = (n + 65_000) as u16;
        let plain = rtp(7, sequence, &n.to_be_bytes());
        let packet = protected(&mut a, &plain);
        match sequence {
            // Lost around the roll; one of them comes 40 packets late, in the next roll, and then once more.
            65_530 => late = Some((packet, plain)),
            65_531..=65_535 | 0..=3 => {}
            34 => {
                if let Some((packet, plain)) = late.take() {
                    assert_eq!(b.unprotect_rtp(now, &packet), Ok(&plain[..]));
                    assert_eq!(b.unprotect_rtp(now, &packet), Err(Failure::Replayed));
                }
            }
            _ => {
                assert_eq!(b.unprotect_rtp(now, &packet), Ok(&plain[..]), "packet {n}");
                taken += 1;
            }
        }
    }
    assert!(taken > 199_900);
    assert_eq!(b.stats().failed, 0);
}

/// SRT-04: a loss of 2^15 packets, and of nearly a whole roll, wherever it begins.
#[test]
fn a_long_loss_does_not_lose_the_counter() {
    for first in [0u32, 1, 20_000, 32_767, 32_768, 40_000, 65_535] {
        for lost in [1u32 << 15, (1 << 15) - 1, (1 << 15) + 1, 50_000, 65_000] {
            let (mut a, mut b) = ends(Suite::AesCm128HmacSha1_80, 4);
            let now = clock::now();
            assert!(b.unprotect_rtp(now, &protected(&mut a, &rtp(7, first as u16, b"audio"))).is_ok());
            a.send.wear(7, u64::from(first + lost), 0);
            for n in first + lost + 1..first + lost + 200 {
                let packet = protected(&mut a, &rtp(7, n as u16, &n.to_be_bytes()));
                assert!(b.unprotect_rtp(now, &packet).is_ok(), "{lost} lost after {first}: packet {n}");
            }
        }
    }
}

/// SRT-04: the first packets are lost, and with them the roll of a sequence that began near its end.
#[test]
fn a_roll_before_the_first_packet_is_found() {
    let (mut a, mut b) = ends(Suite::AeadAes128Gcm, 5);
    let now = clock::now();
    for n in 65_530u32..65_800 {
        let plain = rtp(7, n as u16, &n.to_be_bytes());
        let packet = protected(&mut a, &plain);
        if n > 65_540 {
            assert_eq!(b.unprotect_rtp(now, &packet), Ok(&plain[..]), "packet {n}");
        }
    }
}

/// SRT-04: each SSRC has a counter of its own, and one that comes back goes on where it was.
#[test]
fn each_ssrc_has_its_counter() {
    let (mut a, mut b) = ends(Suite::AesCm256HmacSha1_32, 6);
    let now = clock::now();
    for (ssrc, from, to) in [(7, 65_000, 66_000), (8, 100, 300), (7, 66_000, 67_000), (9, 1, 5)] {
        for n in from..to {
            let plain = rtp(ssrc, n as u16, b"audio");
            let packet = protected(&mut a, &plain);
            assert_eq!(b.unprotect_rtp(now, &packet), Ok(&plain[..]), "{n} of {ssrc}");
            assert_eq!(b.unprotect_rtp(now, &packet), Err(Failure::Replayed));
        }
    }
}

/// SRT-03, SRT-04: SSRCs of a stranger push nothing out; those of the peer push out what was not heard for longest.
#[test]
fn an_unauthenticated_ssrc_takes_no_room() {
    let (mut a, mut b) = ends(Suite::AesCm128HmacSha1_80, 7);
    let (mut stranger, _) = ends(Suite::AesCm128HmacSha1_80, 8);
    let now = clock::now();
    let first = protected(&mut a, &rtp(7, 1, b"audio"));
    assert!(b.unprotect_rtp(now, &first).is_ok());
    for n in 0..1_000 {
        let forged = protected(&mut stranger, &rtp(1_000 + n, 2, b"noise"));
        assert_eq!(b.unprotect_rtp(now, &forged), Err(Failure::NotAuthentic));
    }
    assert_eq!(b.unprotect_rtp(now, &first), Err(Failure::Replayed), "7 is still known");
    for n in 1..context::STREAMS as u32 {
        assert!(b.unprotect_rtp(now, &protected(&mut a, &rtp(7 + n, 1, b"audio"))).is_ok());
    }
    assert_eq!(b.unprotect_rtp(now, &first), Err(Failure::Replayed), "and with as many as there is room for");
}

/// SRT-03: 10,000 bad packets of every kind: none is taken, every one is counted, and the stream goes on as if they had not been.
#[test]
fn bad_packets_only_count() {
    for suite in Suite::ALL {
        let seed = 9;
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut a, mut b) = ends(suite, seed);
        let now = clock::now();
        let mut before = protected(&mut a, &rtp(7, 0, &[1; 160]));
        assert!(b.unprotect_rtp(now, &before).is_ok());
        for n in 1..=1_000u16 {
            let plain = rtp(7, n, &[n as u8; 160]);
            let good = protected(&mut a, &plain);
            for kind in 0..10 {
                let mut bad = good.clone();
                match kind {
                    0 => bad = before.clone(),
                    1 => bad = plain.clone(),
                    2 => bad = rtp(rng.random(), n, &[0; 160]),
                    3 => bad = rtp(7, n.wrapping_add(rng.random()), &[0; 160]),
                    4 => bad.truncate(rng.random_range(0..good.len())),
                    5 => bad.push(0),
                    6 => rng.fill_bytes(&mut bad),
                    7 => rng.fill_bytes(&mut bad[12..]),
                    _ => {
                        let at = rng.random_range(0..bad.len());
                        bad[at] ^= 1 << rng.random_range(0..8);
                    }
                }
                assert!(b.unprotect_rtp(now, &bad).is_err(), "{suite:?}, seed {seed}, packet {n}, kind {kind}");
                assert!(b.unprotect_rtcp(now, &bad).is_err());
            }
            assert_eq!(b.unprotect_rtp(now, &good), Ok(&plain[..]), "{suite:?}, seed {seed}, packet {n}");
            before = good;
        }
        let stats = b.stats();
        assert_eq!(stats.failed + stats.replayed + stats.malformed, 20_000);
        assert!(stats.replayed >= 1_000 && stats.failed > 10_000 && stats.malformed > 500, "{stats:?}");
    }
}

/// SRT-04: an offer/answer with the same keys (refresh, hold) leaves counters and windows as they were.
#[test]
fn the_same_keys_keep_the_counters() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (ours, theirs) = pair(suite, 10);
    let (mut a, mut b) = ends(suite, 10);
    let now = clock::now();
    let mut last = Vec::new();
    for n in 65_000..70_000u32 {
        if n % 500 == 0 {
            assert!(a.set_keys(now, &ours) && b.set_keys(now, &theirs));
            if !last.is_empty() {
                assert_eq!(b.unprotect_rtp(now, &last), Err(Failure::Replayed));
            }
        }
        let plain = rtp(7, n as u16, b"audio");
        last = protected(&mut a, &plain);
        assert_eq!(b.unprotect_rtp(now, &last), Ok(&plain[..]), "packet {n}");
    }
}

/// SRT-04, SDP-10: a new key is used at once, the old one of the peer is taken for 500 ms and no longer; nothing is lost between.
#[test]
fn the_old_key_is_taken_for_half_a_second() {
    for (old, new) in [
        (Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_80),
        (Suite::AesCm128HmacSha1_32, Suite::AeadAes256Gcm),
        (Suite::AeadAes128Gcm, Suite::AesCm256HmacSha1_80),
    ] {
        let (mut a, mut b) = ends(old, 11);
        let (ours, theirs) = pair(new, 12);
        let now = clock::now();
        let packets: Vec<_> = (0..30).map(|n| rtp(7, 100 + n, &[n as u8; 160])).collect();
        let with_old: Vec<_> = packets[..20].iter().map(|plain| protected(&mut a, plain)).collect();
        for n in 0..10 {
            assert_eq!(b.unprotect_rtp(now, &with_old[n]), Ok(&packets[n][..]));
        }
        assert!(b.set_keys(now, &theirs) && a.set_keys(now, &ours));
        let at = |ms| now + Duration::from_millis(ms);
        assert_eq!(b.unprotect_rtp(at(1), &with_old[5]), Err(Failure::NotAuthentic), "a replay under the old key");
        assert_eq!(b.unprotect_rtp(at(20), &with_old[10]), Ok(&packets[10][..]));
        let with_new: Vec<_> = packets[20..].iter().map(|plain| protected(&mut a, plain)).collect();
        assert_eq!(b.unprotect_rtp(at(40), &with_new[0]), Ok(&packets[20][..]));
        assert_eq!(b.unprotect_rtp(at(499), &with_old[11]), Ok(&packets[11][..]));
        assert_eq!(b.unprotect_rtp(at(500), &with_old[12]), Err(Failure::NotAuthentic));
        assert_eq!(b.unprotect_rtp(at(520), &with_new[1]), Ok(&packets[21][..]));
        assert_eq!(b.suite(), new);
    }
}

/// SRT-04: after a roll, a peer with a new key begins at 0 again or goes on; both are understood.
#[test]
fn a_new_key_after_a_roll() {
    let suite = Suite::AesCm128HmacSha1_80;
    for goes_on in [false, true] {
        let (mut a, mut b) = ends(suite, 13);
        let (ours, theirs) = pair(suite, 14);
        let now = clock::now();
        for n in [60_000u32, 90_000, 120_000, 150_000, 180_000, 199_999] {
            a.send.wear(7, u64::from(n) - 1, 0);
            let packet = protected(&mut a, &rtp(7, n as u16, b"audio"));
            assert!(b.unprotect_rtp(now, &packet).is_ok());
        }
        b.set_keys(now, &theirs);
        if goes_on {
            a.set_keys(now, &ours);
            a.send.wear(7, 199_999, 0);
        } else {
            a = Srtp::new(&ours).expect("good keys");
        }
        for n in 200_000..270_000u32 {
            let packet = protected(&mut a, &rtp(7, n as u16, b"audio"));
            assert!(b.unprotect_rtp(now, &packet).is_ok(), "packet {n}, goes on: {goes_on}");
        }
    }
}

/// SRT-04: a key that comes back (offers that pick one suite, then another, then the first) never protects an index twice.
#[test]
fn a_key_that_comes_back_goes_on() {
    let suite = Suite::AeadAes128Gcm;
    let (first, first_peer) = pair(suite, 15);
    let (second, second_peer) = pair(suite, 16);
    let (mut a, mut b) = ends(suite, 15);
    let now = clock::now();
    let early = protected(&mut a, &rtp(7, 10, b"audio"));
    assert!(b.unprotect_rtp(now, &early).is_ok());
    for n in [20_000u32, 40_000, 60_000, 69_999] {
        a.send.wear(7, u64::from(n) - 1, 0);
        let packet = protected(&mut a, &rtp(7, n as u16, b"audio"));
        assert!(b.unprotect_rtp(now, &packet).is_ok());
    }
    assert!(a.set_keys(now, &second) && b.set_keys(now, &second_peer));
    assert!(b.unprotect_rtp(now, &protected(&mut a, &rtp(7, 70_000u32 as u16, b"audio"))).is_ok());
    assert!(a.set_keys(now, &first) && b.set_keys(now, &first_peer));
    assert_eq!(b.unprotect_rtp(now, &early), Err(Failure::NotAuthentic), "an index of the roll before");
    let again = protected(&mut a, &rtp(7, 70_001u32 as u16, b"audio"));
    assert!(b.unprotect_rtp(now, &again).is_ok());
    let mut used = rtp(7, 70_001u32 as u16, b"other");
    assert_eq!(a.protect_rtp(&mut used), Err(Failure::Replayed), "one nonce, one packet");
}

/// SRT-04: a key is worn out after 2^48 packets, or 2^31 reports; then nothing is sent with it.
#[test]
fn a_worn_out_key_protects_nothing() {
    let (mut a, mut b) = ends(Suite::AesCm128HmacSha1_80, 17);
    let now = clock::now();
    a.send.wear(7, (1 << 48) - 2, (1 << 31) - 1);
    b.receive.wear(7, (1 << 48) - 2, 0);
    let last = protected(&mut a, &rtp(7, 65_535, b"audio"));
    assert!(b.unprotect_rtp(now, &last).is_ok());
    assert_eq!(a.protect_rtp(&mut rtp(7, 0, b"audio")), Err(Failure::KeyWornOut));
    assert_eq!(b.unprotect_rtp(now, &last), Err(Failure::Replayed));
    let mut report = rtcp(7, &[0; 24]);
    a.protect_rtcp(&mut report).expect("the last one");
    assert!(b.unprotect_rtcp(now, &report).is_ok());
    assert_eq!(a.protect_rtcp(&mut rtcp(7, &[0; 24])), Err(Failure::KeyWornOut));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// SRT-04: any order, loss and duplication within the window opens to exactly what was sent, each once.
    #[test]
    fn order_loss_and_duplicates(seed: u64, start: u16, suite in 0..Suite::ALL.len(), spread in 0..60usize) {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut a, mut b) = ends(Suite::ALL[suite], seed);
        let now = clock::now();
        let plain: Vec<_> = (0..300u16).map(|n| rtp(7, start.wrapping_add(n), &n.to_be_bytes())).collect();
        let sent: Vec<_> = plain.iter().enumerate().map(|(n, p)| (n, protected(&mut a, p))).collect();
        // The first one comes first: before it there is no window.
        let mut order: Vec<(usize, usize)> = (1..sent.len()).flat_map(|n| {
            let copies = [1, 1, 1, 0, 2, 3][rng.random_range(0..6usize)];
            (0..copies).map(|_| (n + rng.random_range(0..=spread), n)).collect::<Vec<_>>()
        }).collect();
        order.sort_unstable();
        let mut taken = vec![false; sent.len()];
        for n in std::iter::once(0).chain(order.into_iter().map(|(_, n)| n)) {
            let opened = b.unprotect_rtp(now, &sent[n].1);
            if std::mem::replace(&mut taken[n], true) {
                prop_assert_eq!(opened, Err(Failure::Replayed));
            } else {
                prop_assert_eq!(opened, Ok(&plain[n][..]));
            }
        }
        prop_assert_eq!(b.stats().failed, 0);
    }

    /// SRT-03: octets that nobody protected are never authentic and never a panic.
    #[test]
    fn random_octets(octets in prop::collection::vec(any::<u8>(), 0..300), suite in 0..Suite::ALL.len()) {
        let (mut a, mut b) = ends(Suite::ALL[suite], 18);
        let now = clock::now();
        prop_assert!(b.unprotect_rtp(now, &octets).is_err());
        prop_assert!(b.unprotect_rtcp(now, &octets).is_err());
        let mut looks_right = octets.clone();
        if let Some(first) = looks_right.first_mut() {
            *first = 0x80 | *first & 0x3F;
        }
        prop_assert!(b.unprotect_rtp(now, &looks_right).is_err());
        prop_assert!(b.unprotect_rtcp(now, &looks_right).is_err());
        // What cannot be protected is said to be, what can comes back.
        let mut packet = looks_right.clone();
        if a.protect_rtp(&mut packet).is_ok() {
            prop_assert_eq!(b.unprotect_rtp(now, &packet), Ok(&looks_right[..]));
        }
        let mut packet = looks_right.clone();
        if a.protect_rtcp(&mut packet).is_ok() {
            prop_assert_eq!(b.unprotect_rtcp(now, &packet), Ok(&looks_right[..]));
        }
    }
}
