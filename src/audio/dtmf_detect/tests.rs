use super::*;
use crate::audio::g711::Law;
use crate::audio::tone;
use crate::realtime_sim::speech;
use std::f64::consts::TAU;

const ALL: &str = "0123456789*#ABCD";

fn heard(samples: &[i16]) -> String {
    let mut keys = String::new();
    let mut detector = DtmfDetector::new();
    for frame in samples.chunks(160) {
        detector.process(Rate::Hz8000, frame, &mut |key| keys.push(key));
    }
    keys
}

/// A line: noise of some RMS, and G.711.
fn line(samples: &[i16], noise: f64, seed: u32) -> Vec<i16> {
    let mut seed = seed;
    let noisy: Vec<i16> = samples
        .iter()
        .map(|s| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Uniform: its RMS is its peak by √3.
            let n = (f64::from(seed >> 8) / f64::from(1u32 << 23) - 1.0) * noise * 1.732;
            (f64::from(*s) + n).clamp(-32_000.0, 32_000.0) as i16
        })
        .collect();
    let (mut payload, mut out) = (Vec::new(), Vec::new());
    Law::A.encode(&noisy, &mut payload);
    Law::A.decode(&payload, &mut out);
    out
}

/// A key with its row at `row_db` and its column at `column_db` (dBFS), both off by `off`.
fn press(key: char, ms: usize, row_db: f64, column_db: f64, off: f64) -> Vec<i16> {
    let place = KEYS.iter().flatten().position(|k| *k == key).expect("a key");
    let (row, column) = (f64::from(TONES_HZ[place / 4]) * off, f64::from(TONES_HZ[4 + place % 4]) * off);
    let peak = |db: f64| 32_767.0 * 10f64.powf(db / 20.0);
    (0..ms * 8)
        .map(|n| {
            let t = n as f64 / 8_000.0;
            ((TAU * row * t).sin() * peak(row_db) + (TAU * column * t).sin() * peak(column_db)) as i16
        })
        .collect()
}

fn all(ms: usize, gap_ms: u32, row_db: f64, column_db: f64, off: f64, noise: f64) -> String {
    // Blocks and tones shift against each other by the odd first pause.
    (0..7u32)
        .map(|shift| {
            let mut samples = vec![0; 800 + 15 * shift as usize];
            for key in ALL.chars() {
                samples.extend(press(key, ms, row_db, column_db, off));
                samples.extend(tone::pause(gap_ms));
            }
            let found = heard(&line(&samples, noise, shift + 1));
            if found == ALL { String::new() } else { found }
        })
        .collect()
}

/// DTM-06: every key of 40 ms and more, from -30 to -3 dBFS, is told once.
#[test]
fn every_key_is_told_once() {
    for (ms, gap) in [(40, 40), (50, 50), (100, 60), (500, 80)] {
        for db in [-9.0, -20.0, -28.0] {
            assert_eq!(all(ms, gap, db, db, 1.0, 3.0), "", "{ms} ms at {db} dBFS");
        }
    }
}

/// DTM-06: Q.24's twist, deviation of ±1.5 %, and noise 15 dB below the tones.
#[test]
fn twist_deviation_and_noise() {
    for (row_db, column_db) in [(-10.0, -18.0), (-14.0, -10.0), (-20.0, -20.0)] {
        for off in [0.985, 0.99, 1.0, 1.01, 1.015] {
            assert_eq!(all(60, 60, row_db, column_db, off, 3.0), "", "{row_db}/{column_db} dBFS, off {off}");
        }
    }
    // Two tones of -20 dBFS are 4,600 RMS; 15 dB below is 820.
    assert_eq!(all(60, 60, -17.0, -17.0, 1.0, 600.0), "", "in noise");
}

/// DTM-06: too short, too far off, one tone alone, and too uneven are no keys.
#[test]
fn what_is_no_key() {
    let pressed = |ms, row_db, column_db, off| heard(&line(&press('5', ms, row_db, column_db, off), 3.0, 1));
    assert_eq!(pressed(20, -10.0, -10.0, 1.0), "", "20 ms");
    assert_eq!(pressed(200, -10.0, -40.0, 1.0), "", "a row alone");
    assert_eq!(pressed(200, -40.0, -10.0, 1.0), "", "a column alone");
    assert_eq!(pressed(200, -8.0, -22.0, 1.0), "", "14 dB of twist");
    assert_eq!(pressed(200, -20.0, -8.0, 1.0), "", "12 dB of reverse twist");
    assert_eq!(pressed(200, -10.0, -10.0, 1.045), "", "4.5 % off");
    assert_eq!(heard(&tone::dual(425.0, 425.0, 2_000, 0.3)), "", "ring-back");
    assert_eq!(heard(&tone::dual(350.0, 440.0, 2_000, 0.3)), "", "dial tone");
    assert_eq!(heard(&tone::dual(480.0, 620.0, 2_000, 0.3)), "", "busy");
}

/// DTM-06: a break of 10 ms within a key is not a second one; 40 ms are.
#[test]
fn breaks_within_a_key() {
    let twice = |gap: u32| {
        let mut samples = press('7', 60, -12.0, -12.0, 1.0);
        samples.extend(tone::pause(gap));
        samples.extend(press('7', 60, -12.0, -12.0, 1.0));
        heard(&line(&samples, 3.0, 1))
    };
    assert_eq!(twice(5), "7");
    assert_eq!(twice(45), "77");
}

/// DTM-06, talk-off: every clip at five speeds and both laws, and twenty minutes of the test voice, hold no key.
#[test]
fn speech_is_no_key() {
    let mut minutes = 0.0;
    for clip in speech::agent_lines().iter().chain(speech::caller_lines()) {
        for speed in [0.8, 0.9, 1.0, 1.12, 1.25] {
            let length = (clip.samples.len() as f64 / speed) as usize;
            let at = |n: usize| clip.samples.get((n as f64 * speed) as usize).copied().unwrap_or(0);
            let samples: Vec<i16> = (0..length).map(at).collect();
            minutes += length as f64 / 480_000.0;
            assert_eq!(heard(&line(&samples, 5.0, 9)), "", "{} at {speed}", clip.name);
        }
    }
    assert!(minutes > 5.0, "{minutes}");
    for seed in 0..20 {
        assert_eq!(heard(&tone::voice(60_000, seed)), "", "voice {seed}");
    }
}
