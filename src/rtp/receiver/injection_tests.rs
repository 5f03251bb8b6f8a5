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
    world.tick(100);
    assert!(flood(&mut world, 0) > 0, "in a pause nobody can tell");
    for n in 101..110 {
        assert_eq!(world.audio(n).len(), 1, "and here is ours again");
        assert_eq!(flood(&mut world, n * 100), 0);
        world.tick(20);
    }
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
