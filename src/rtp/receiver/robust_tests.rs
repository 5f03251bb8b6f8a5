//! Any network and any bytes.

use super::tests::{Out, World, peer};
use super::*;
use crate::net::clock;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

proptest! {
    /// RTP-04: whatever the network does within the window (loss, duplication, reordering), packets come out in order, at most
    /// once, unchanged; and received + lost is what was sent.
    #[test]
    fn any_network_gives_packets_in_order_and_once(
        fates in proptest::collection::vec((0u64..90, 0u8..10), 1..150),
        start in any::<u16>(),
    ) {
        let mut world = World::new();
        let begin = world.now;
        let mut arrivals: Vec<(u64, u16)> = Vec::new();
        for (n, (delay, fate)) in fates.iter().enumerate() {
            let sent = n as u64 * 20;
            // The first one arrives: it sets the stream's beginning.
            if n == 0 {
                arrivals.push((0, 0));
                continue;
            }
            if *fate == 0 { continue; }
            arrivals.push((sent + delay, n as u16));
            if *fate == 1 { arrivals.push((sent + delay / 2 + 7, n as u16)); }
        }
        arrivals.sort_unstable();
        let mut out = Vec::new();
        for (at, n) in arrivals {
            world.now = begin + Duration::from_millis(at);
            out.extend(world.drain());
            out.extend(world.audio_at(start.wrapping_add(n), u32::from(n) * 160));
        }
        world.tick(1000);
        out.extend(world.drain());
        let mut last: Option<u32> = None;
        let mut lost = 0;
        for packet in &out {
            let Out::Audio { timestamp, lost_before, first, .. } = packet else { panic!("{packet:?}") };
            let n = timestamp / 160;
            prop_assert_eq!(*first, start.wrapping_add(n as u16) as u8);
            prop_assert!(last.is_none_or(|last| n > last), "out of order: {} after {:?}", n, last);
            let missing = last.map_or(0, |last| n - last - 1);
            prop_assert_eq!(*lost_before, (missing * 160).min(8000));
            lost += missing;
            last = Some(n);
        }
        prop_assert_eq!(world.receiver.stats().lost, u64::from(lost));
        prop_assert_eq!(world.receiver.timeout(), None);
    }
}

/// RTP-01: two seconds of random and mutated datagrams: no panic, bounded memory, and the stream goes on afterwards.
#[test]
fn random_datagrams_never_panic() {
    let seed = clock::unix_ms();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    let mut good = Vec::new();
    let begin = clock::now();
    let mut datagrams = 0u64;
    while clock::now() - begin < Duration::from_secs(2) {
        for _ in 0..1000 {
            let payload_type = [0, 8, 13, 101, 9][rng.random_range(0..5)];
            let payload = vec![rng.random(); rng.random_range(0..200)];
            let packet = Packet {
                payload_type,
                marker: rng.random(),
                sequence: if rng.random_bool(0.7) { datagrams as u16 } else { rng.random() },
                timestamp: if rng.random_bool(0.7) { datagrams as u32 * 160 } else { rng.random() },
                ssrc: if rng.random_bool(0.9) { 1 } else { rng.random_range(0..4) },
                payload: &payload,
            };
            packet::write(&packet, &mut good);
            match rng.random_range(0..4) {
                0 => {
                    for _ in 0..rng.random_range(1..5) {
                        let at = rng.random_range(0..good.len());
                        good[at] = rng.random();
                    }
                }
                1 => good.truncate(rng.random_range(0..=good.len())),
                2 if rng.random_bool(0.1) => {
                    good = (0..rng.random_range(0..1600)).map(|_| rng.random()).collect();
                }
                _ => {}
            }
            world.receiver.handle_datagram(world.now, peer(), &good);
            let mut outputs = 0;
            while let Some(received) = world.receiver.poll(world.now) {
                outputs += 1;
                assert!(outputs <= 65, "seed {seed}: more came out than was kept");
                if let Received::Audio { payload, lost_before, .. } = received {
                    assert!(!payload.is_empty() && lost_before <= MAX_LOST, "seed {seed}");
                }
            }
            world.tick(rng.random_range(0..40));
            datagrams += 1;
        }
    }
    assert!(world.receiver.stats().packets > 100, "seed {seed}: the datagrams are all noise");
    // Whatever state it is in: a clean stream is followed.
    world.tick(1000);
    world.ssrc = 77;
    let followed = (0..10u16).map(|n| {
        world.tick(20);
        world.audio(n).len()
    });
    assert!(followed.sum::<usize>() >= 8, "seed {seed}");
}
