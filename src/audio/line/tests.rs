use super::*;
use std::f64::consts::TAU;

const RATES: [Rate; 3] = [Rate::Hz8000, Rate::Hz16000, Rate::Hz24000];

/// A 440 Hz sine of 10,000 at a rate, beginning at `from_ms`.
fn sine(rate: Rate, from_ms: usize, ms: usize) -> Vec<i16> {
    let (from, len) = (rate.samples(from_ms), rate.samples(ms));
    (from..from + len).map(|n| ((TAU * 440.0 * n as f64 / f64::from(rate.hz())).sin() * 10_000.0) as i16).collect()
}

fn largest_step(samples: &[i16]) -> i32 {
    samples.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
}

/// Largest difference to a sine of 440 Hz at 10,000 with a delay of `delay` samples.
fn worst(samples: &[i16], rate: Rate, delay: f64) -> f64 {
    let at = |n: usize| (TAU * 440.0 * (n as f64 - delay) / f64::from(rate.hz())).sin() * 10_000.0;
    samples.iter().enumerate().map(|(n, s)| (f64::from(*s) - at(n)).abs()).fold(0.0, f64::max)
}

/// Any line to either session: as much time comes out as went in, at the level it had.
#[test]
fn the_time_of_the_caller_is_kept() {
    for line in RATES {
        for session in [Rate::Hz24000, Rate::Hz8000] {
            let mut from_line = FromLine::new(line, session);
            let mut out = Vec::new();
            for ms in (0..1000).step_by(20) {
                from_line.process(&sine(line, ms, 20), &mut out);
            }
            let missing = session.samples(1000) - out.len();
            assert!(missing <= session.samples(15), "{line:?} to {session:?}: {missing} samples wait");
            let level = out[session.samples(100)..].iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
            assert!((9_900..10_100).contains(&level), "{line:?} to {session:?}: level {level}");
        }
    }
}

/// RTP-07: the caller's codec changes between rates with every fourth packet: no click, and at most 8 ms lost or given twice at a change.
#[test]
fn a_change_of_the_callers_rate_does_not_click() {
    let own = largest_step(&sine(Rate::Hz24000, 0, 100));
    for (a, b) in [(Rate::Hz8000, Rate::Hz16000), (Rate::Hz16000, Rate::Hz8000)] {
        let mut from_line = FromLine::new(a, Rate::Hz24000);
        let mut out = Vec::new();
        for packet in 0..50 {
            let line = if packet / 4 % 2 == 0 { a } else { b };
            let at = packet * 20;
            from_line.set_line(line, &sine(line, at.max(40) - 40, at.min(40)));
            from_line.process(&sine(line, at, 20), &mut out);
        }
        assert_eq!(out.len(), Rate::Hz24000.samples(1000), "nothing is lost");
        assert!(largest_step(&out[120..]) <= own * 6 / 5, "{a:?}, {b:?}: step {}", largest_step(&out[120..]));
        let error = worst(&out[480..], Rate::Hz24000, 60.0 - 480.0);
        assert!(error < 300.0, "{a:?}, {b:?}: {error}");
    }
}

/// A segment has its time exactly at every line's rate, whatever the deltas are cut into, and no delay.
#[test]
fn a_segment_has_its_time_exactly() {
    for session in [Rate::Hz24000, Rate::Hz8000] {
        for line in RATES {
            let mut to_line = ToLine::new(session, line);
            for (segment, piece) in [(0, 333), (1, 1), (2, 4_000)] {
                let said = sine(session, 0, 333);
                let mut out = Vec::new();
                said.chunks(piece).for_each(|piece| to_line.process(piece, &mut out));
                to_line.flush(&mut out);
                assert_eq!(out.len(), line.samples(333), "{session:?} to {line:?}, segment {segment}");
                let middle = &out[line.samples(20)..line.samples(300)];
                let error = worst(middle, line, -(line.samples(20) as f64));
                assert!(error < 250.0, "{session:?} to {line:?}, segment {segment}: {error}");
            }
        }
    }
}

/// The line's rate changes in the middle of a word: all of its time comes out, without a click at the seam.
#[test]
fn a_change_of_the_line_keeps_the_segment_whole() {
    for (a, b) in [(Rate::Hz8000, Rate::Hz16000), (Rate::Hz16000, Rate::Hz8000)] {
        let mut to_line = ToLine::new(Rate::Hz24000, a);
        let said = sine(Rate::Hz24000, 0, 500);
        let (first, second) = said.split_at(Rate::Hz24000.samples(203) + 7);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        to_line.process(first, &mut before);
        to_line.set_line(b);
        to_line.process(second, &mut after);
        to_line.flush(&mut after);
        let ms = before.len() as f64 / a.per_ms() as f64 + after.len() as f64 / b.per_ms() as f64;
        assert!((ms - 500.0).abs() < 0.2, "{a:?} to {b:?}: {ms} ms");
        let at = before.len() as f64 * b.per_ms() as f64 / a.per_ms() as f64;
        let error = worst(&after[..b.samples(200)], b, -at);
        assert!(error < 300.0, "{a:?} to {b:?}: {error}");
    }
}

/// After barge-in the next segment begins as the first one did.
#[test]
fn a_reset_leaves_nothing_behind() {
    let mut to_line = ToLine::new(Rate::Hz24000, Rate::Hz16000);
    let said = sine(Rate::Hz24000, 0, 100);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    to_line.process(&said, &mut first);
    to_line.flush(&mut first);
    to_line.process(&said[..777], &mut Vec::new());
    to_line.reset();
    to_line.process(&said, &mut second);
    to_line.flush(&mut second);
    assert_eq!(first, second);
}
