//! RTP-04 and RTP-06: the wait follows the network, pauses and jumps of the clock are told from loss, nothing grows without bound.

use super::tests::{Out, World, params, peer};
use super::*;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A trace: delay of each 20 ms packet above the least one, ms; `None` = lost.
fn trace(name: &str) -> Vec<Option<u64>> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/jitter/{name}.txt"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let values = text.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    values.map(|value| value.parse().ok()).collect()
}

struct Outcome {
    heard: Vec<u32>,
    stats: ReceiverStats,
    /// Packets that came in order and were not given out at once.
    held_up: u64,
    longest_wait: Duration,
    shortest_wait: Duration,
}

/// Plays a trace through a receiver that is polled each 5 ms, as a media worker does.
fn play(delays: &[Option<u64>]) -> Outcome {
    let mut world = World::new();
    let begin = world.now;
    let mut arrivals: Vec<(u64, u16)> =
        delays.iter().enumerate().filter_map(|(n, delay)| Some((n as u64 * 20 + (*delay)?, n as u16))).collect();
    arrivals.sort_unstable();
    let (mut out, mut held_up) = (Vec::new(), 0);
    let mut waits = vec![world.receiver.reorder_wait()];
    let mut tick = 0;
    for (at, n) in arrivals {
        while tick < at {
            world.now = begin + ms(tick);
            out.extend(world.drain());
            tick += 5;
        }
        world.now = begin + ms(at);
        let next = match out.last() {
            Some(Out::Audio { timestamp, .. }) => timestamp / 160 + 1,
            _ => 0,
        };
        let given = world.audio(n);
        held_up += u64::from(u32::from(n) == next && given.is_empty());
        out.extend(given);
        waits.push(world.receiver.reorder_wait());
    }
    world.tick(1_000);
    out.extend(world.drain());
    let heard = out.iter().filter_map(|out| match out {
        Out::Audio { timestamp, .. } => Some(timestamp / 160),
        _ => None,
    });
    Outcome {
        heard: heard.collect(),
        stats: world.receiver.stats(),
        held_up,
        longest_wait: waits.iter().copied().max().unwrap_or_default(),
        shortest_wait: waits.iter().copied().min().unwrap_or_default(),
    }
}

/// RTP-04: on each trace packets come out once and in order, those in order at once, and of what came hardly anything is thrown away
/// once the wait has learned the network.
#[test]
fn traces_come_out_in_order_and_whole() {
    for (name, most_late) in [("wifi", 0), ("mobile", 0), ("two_paths", 8), ("congested", 25)] {
        let delays = trace(name);
        assert_eq!(delays.len(), 1_500, "{name}");
        let outcome = play(&delays);
        assert!(outcome.heard.windows(2).all(|pair| pair[0] < pair[1]), "{name}: out of order");
        assert_eq!(outcome.held_up, 0, "{name}");
        let came = delays.iter().flatten().count();
        let late = came - outcome.heard.len();
        assert!(late <= most_late, "{name}: {late} of {came} thrown away, {:?}", outcome.stats);
        assert_eq!(outcome.stats.late, late as u64, "{name}: {:?}", outcome.stats);
        let lost = delays.len() as u64 - outcome.heard.len() as u64;
        assert!(outcome.stats.lost.abs_diff(lost) <= 2, "{name}: {lost} lost, {:?}", outcome.stats);
        assert!(outcome.shortest_wait >= ms(20) && outcome.longest_wait <= ms(200), "{name}");
        assert_eq!((outcome.stats.duplicate, outcome.stats.overflow), (0, 0), "{name}");
    }
}

/// RTP-04: where nothing is overtaken the wait falls to 20 ms, so that a loss is concealed soon; where much is, it rises to what that needs.
#[test]
fn the_wait_follows_the_network() {
    let steady: Vec<Option<u64>> = (0..6_000).map(|n| (n % 50 != 49).then_some(n % 3)).collect();
    assert!(play(&steady).shortest_wait < ms(22));
    let two_paths = play(&trace("two_paths"));
    assert!((ms(60)..=ms(110)).contains(&two_paths.longest_wait), "{:?}", two_paths.longest_wait);
    // The configured beginning counts until the network is known.
    assert_eq!(Receiver::new(ReceiverParams { reorder_wait: ms(150), ..params() }).reorder_wait(), ms(150));
}

/// RTP-04: what a stall of up to a second held back comes out at once and whole when it comes.
#[test]
fn a_burst_after_a_stall_is_whole() {
    for stall in [200, 400, 1_000u64] {
        let delays: Vec<Option<u64>> =
            (0..300).map(|n| Some((2_000 + stall).saturating_sub(n * 20).min(stall))).collect();
        let delays: Vec<Option<u64>> =
            delays.iter().enumerate().map(|(n, d)| if n < 100 { Some(0) } else { *d }).collect();
        let outcome = play(&delays);
        assert_eq!((outcome.heard.len(), outcome.stats.lost, outcome.stats.late), (300, 0, 0), "{stall}");
    }
}

/// RTP-04: what comes behind a hole faster than the window holds pushes out the oldest, and each packet is counted as something.
#[test]
fn the_oldest_make_way_and_are_counted() {
    let mut world = World::new();
    world.audio(0);
    // Number 1 is missing; 90 packets come within its wait.
    let mut out = Vec::new();
    for n in 2..92 {
        out.extend(world.audio(n));
    }
    world.tick(300);
    out.extend(world.drain());
    let stats = world.receiver.stats();
    let heard: Vec<u32> =
        out.iter().map(|out| if let Out::Audio { timestamp, .. } = out { timestamp / 160 } else { 0 }).collect();
    assert_eq!(heard.last(), Some(&91));
    assert!(heard.windows(2).all(|pair| pair[0] + 1 == pair[1]), "the newest are whole: {heard:?}");
    assert_eq!(heard.len() as u64 + stats.overflow + stats.lost, 91, "{stats:?}");
    assert_eq!(stats.lost, 1);
    let Some(Out::Audio { lost_before, .. }) = out.first() else { panic!("{out:?}") };
    assert_eq!(u64::from(*lost_before), ((stats.overflow + 1) * 160).min(8_000));
}

fn gap(world: &mut World, sequence: u16, timestamp: u32) -> (u32, u32) {
    let mut datagram = Vec::new();
    let payload = &[0xFF; 160];
    let packet = Packet { payload_type: 0, marker: false, sequence, timestamp, ssrc: world.ssrc, payload };
    packet::write(&packet, &mut datagram);
    world.receiver.handle_datagram(world.now, peer(), &datagram);
    match world.receiver.poll(world.now) {
        Some(Received::Audio { lost_before, paused_before, .. }) => (lost_before, paused_before),
        other => panic!("{other:?}"),
    }
}

/// RTP-04: a gap by the sender's clock is a pause; a clock that jumps without time passing, or back, is none; nor is a loss.
#[test]
fn a_pause_is_told_from_a_jump_and_from_a_loss() {
    let mut world = World::new();
    assert_eq!(gap(&mut world, 1, 0), (0, 0));
    world.tick(20);
    assert_eq!(gap(&mut world, 2, 160), (0, 0));
    // Silence suppression: 4 s in which nothing was sent.
    world.tick(4_020);
    assert_eq!(gap(&mut world, 3, 320 + 32_000), (0, 32_000));
    // The clock jumps by a minute, by a day's worth, and back.
    let mut timestamp = 320 + 32_000 + 160;
    for (n, jump) in [480_000u32, 1 << 30, 0x8000_0001].into_iter().enumerate() {
        world.tick(20);
        timestamp = jump.wrapping_add(timestamp);
        assert_eq!(gap(&mut world, 4 + n as u16, timestamp), (0, 0), "{jump}");
        timestamp = timestamp.wrapping_add(160);
    }
    // Half a second late: the network's doing, not the sender's.
    world.tick(520);
    assert_eq!(gap(&mut world, 7, timestamp), (0, 0));
}

/// RTP-06: a stream that begins anew after a while (transfer, hold music) was silent for as long as nothing came.
#[test]
fn a_new_stream_after_a_pause_says_how_long_it_was_silent() {
    let mut world = World::new();
    for n in 0..10 {
        world.audio(n);
        world.tick(20);
    }
    world.pause(480);
    world.ssrc = 0x7777;
    assert_eq!(gap(&mut world, 900, 5), (0, 480 * 8));
    assert_eq!(world.receiver.stats().ssrc_changes, 1);
}
