//! Who writes the caller's address on packets of his own, but knows neither SSRC nor sequence number (A6).

use super::tests::{World, nth};
use crate::rtp::packet::DropCause;

/// RTP-06, A6: an SSRC that comes a hundred times as often as ours does not take over; one that got in while ours paused makes way for it.
#[test]
fn a_flood_of_another_ssrc_is_ignored() {
    let mut world = World::new();
    let flood = |world: &mut World, from: u16| {
        world.ssrc = 0x2222;
        let passed: usize = (0..100).map(|n| world.audio_at(from.wrapping_add(n), u32::from(n) * 160).len()).sum();
        world.ssrc = 0xABCD;
        passed
    };
    for n in 0..100 {
        assert_eq!(world.audio(n), [nth(n, 0)], "nothing is lost either");
        assert_eq!(flood(&mut world, n * 100), 0);
        world.tick(20);
    }
    assert_eq!((world.receiver.stats().packets, world.receiver.dropped(DropCause::Flood)), (100, 0));
    for _ in 0..5 {
        world.tick(20);
        world.drain();
    }
    assert!(flood(&mut world, 0) > 0, "in a pause nobody can tell");
    for n in 101..110 {
        assert_eq!(world.audio(n).len(), 1, "and here is ours again");
        assert_eq!(flood(&mut world, n * 100), 0);
        world.tick(20);
    }
}

/// A6: a stall of our own is nobody's pause: what waits in the socket when it is over, the flood first, takes nothing over before the caller's
/// packets among it were read. A caller who is really gone makes way 20 ms later; at once when it was gone for long.
#[test]
fn a_stall_is_no_pause() {
    for stall in [40, 60, 100, 300] {
        let mut world = World::new();
        for n in 0..10 {
            world.audio(n);
            world.tick(20);
        }
        world.tick(stall);
        world.ssrc = 0x2222;
        for n in 0..15 {
            assert_eq!(world.audio(7_000 + n), [], "{stall}");
            world.tick(if n % 5 == 4 { 5 } else { 0 });
        }
        world.ssrc = 0xABCD;
        assert_eq!(world.audio(10).len(), 1);
        assert_eq!(world.receiver.stats().ssrc_changes, 0);
        world.tick(stall);
        world.ssrc = 0x2222;
        assert_eq!(world.audio(8_000), []);
        world.tick(20);
        assert_eq!(world.audio(8_001).len(), 1);
    }
    // A machine that looks every 50 ms and reads the caller's packets now and then.
    let mut world = World::new();
    for n in 0..10 {
        world.ssrc = 0xABCD;
        assert_eq!(world.audio(n).len(), 1);
        for k in 0..3 {
            world.tick(50);
            world.ssrc = 0x2222;
            assert_eq!(world.audio(9_000 + 3 * n + k), []);
        }
    }
    let mut world = World::new();
    world.audio(0);
    world.tick(500);
    world.ssrc = 0x2222;
    assert_eq!(world.audio(0).len(), 1);
}

/// A6: sequence numbers out of range, in a row or not, do not take the stream over while it runs.
#[test]
fn guessed_sequence_numbers_are_ignored() {
    for step in [1u16, 7919] {
        let mut world = World::new();
        let mut guess = 30_000u16;
        for n in 0..100 {
            assert_eq!(world.audio(n), [nth(n, 0)], "step {step}");
            for _ in 0..3 {
                guess = guess.wrapping_add(step);
                // One that falls into the window is as good as a packet of the stream.
                if guess.wrapping_sub(n) > 64 {
                    assert_eq!(world.audio_at(guess, 3_000_000_000), [], "{guess} at {n}, step {step}");
                }
            }
            world.tick(20);
        }
        assert_eq!(world.receiver.stats().lost, 0);
    }
}
