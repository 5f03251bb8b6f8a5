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
    // A pause of ours: what comes a hundred times as fast as a stream is none; at a stream's pace nobody can tell.
    for _ in 0..50 {
        world.tick(20);
        assert_eq!(flood(&mut world, 0), 0);
    }
    for n in 100..110 {
        assert_eq!(world.audio(n).len(), 1, "and here is ours again");
        world.tick(20);
    }
    world.pause(100);
    world.ssrc = 0x2222;
    assert_eq!(world.audio(7_000).len(), 1);
    // The caller's SSRC with a guessed number does not bring it back to that number.
    world.ssrc = 0xABCD;
    assert_eq!(world.audio(30_000), []);
    for n in 110..120 {
        world.ssrc = 0xABCD;
        assert_eq!(world.audio(n).len(), 1, "ours again, {n}");
        assert_eq!(flood(&mut world, n * 100), 0);
        world.tick(20);
    }
}

/// A6: a stall of our own is nobody's pause: what waits in the socket when it is over, the flood first, takes nothing over before the caller's
/// packets among it were read, however long it was. A caller who is really gone makes way 20 ms later; on a machine that looks every 50 ms, after half a second.
#[test]
fn a_stall_is_no_pause() {
    for stall in [40, 60, 100, 300, 700, 5_000] {
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
    world.ssrc = 0x2222;
    let taken = (1..).find(|n| {
        world.tick(50);
        world.audio(*n).len() == 1
    });
    assert!(taken.is_some_and(|n| (10..=13).contains(&n)), "{taken:?}");
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

/// A6: the caller's SSRC and guessed sequence numbers, in a row, are what comes first after a stall, and go on: none of them is heard, and the
/// caller goes on where it was. A guess that got in while the caller paused makes way for it.
#[test]
fn a_guess_after_a_stall_or_in_a_pause_is_no_restart() {
    for (stall, gap) in [(40, 20_000), (100, 1_000), (700, 20_000), (700, 1_000)] {
        let mut world = World::new();
        let mut guess = gap;
        let flood = |world: &mut World, guess: &mut u16| {
            *guess += 50;
            (0..50).map(|n| world.audio_at(*guess + n, 3_000_000_000).len()).sum::<usize>()
        };
        for n in 0..10 {
            assert_eq!(world.audio(n).len(), 1);
            world.tick(20);
        }
        world.tick(stall);
        // The caller's own were pushed out of the socket for a while.
        for _ in 0..4 {
            assert_eq!(flood(&mut world, &mut guess), 0, "{stall} ms");
            world.tick(20);
        }
        for n in 10..30 {
            assert_eq!(flood(&mut world, &mut guess), 0, "{stall} ms, {n}");
            assert_eq!(world.audio(n).len(), 1, "{stall} ms");
            world.tick(20);
        }
        // In a pause nobody can tell, if it is a stream.
        world.pause(100);
        let passed = (0..20).map(|n| world.audio_at(guess + 100 + n, 3_000_000_000).len()).sum::<usize>();
        assert!(passed > 0);
        for n in 30..40 {
            assert_eq!(world.audio(n).len(), 1, "{n}");
            assert_eq!(flood(&mut world, &mut guess), 0, "{n}");
            world.tick(20);
        }
    }
}
