use super::*;
use crate::audio::tone;
use std::f64::consts::TAU;
use std::time::Duration;

fn only(high_pass: bool, gain_control: bool) -> FrontParams {
    FrontParams { high_pass, gain_control, echo_guard: EchoMode::Off }
}

fn sine(hz: f64, rate: Rate, ms: usize, peak: f64) -> Vec<i16> {
    (0..rate.samples(ms)).map(|n| ((TAU * hz * n as f64 / f64::from(rate.hz())).sin() * peak) as i16).collect()
}

fn level(samples: &[i16]) -> f64 {
    let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64;
    10.0 * (power.max(1e-3) / 32_768f64.powi(2)).log10()
}

fn through(front: &mut FrontEnd, rate: Rate, samples: &[i16]) -> Vec<i16> {
    let start = crate::net::clock::now();
    let mut out = samples.to_vec();
    for (n, frame) in out.chunks_mut(rate.samples(20)).enumerate() {
        front.process(start + Duration::from_millis(20 * n as u64), frame);
    }
    out
}

/// Hum and DC are 20 dB down and more, -3 dB lies at 100 Hz, speech from 250 Hz on is left as it is (±0.5 dB), at both rates.
#[test]
fn the_high_pass_takes_hum_and_leaves_speech() {
    for rate in [Rate::Hz8000, Rate::Hz16000] {
        let change = |hz: f64| {
            let tone = sine(hz, rate, 1_000, 10_000.0);
            let out = through(&mut FrontEnd::new(only(true, false), rate), rate, &tone);
            let half = tone.len() / 2;
            level(&out[half..]) - level(&tone[half..])
        };
        assert!(change(50.0) < -20.0 && change(60.0) < -20.0, "{} {}", change(50.0), change(60.0));
        assert!((-4.0..-2.0).contains(&change(100.0)), "{}", change(100.0));
        for hz in [250.0, 300.0, 500.0, 1_000.0, 2_000.0, 3_400.0] {
            assert!(change(hz).abs() < 0.5, "{hz} Hz: {} dB", change(hz));
        }
        let dc = through(&mut FrontEnd::new(only(true, false), rate), rate, &vec![4_000; rate.samples(1_000)]);
        assert!(dc[dc.len() / 2..].iter().all(|s| s.unsigned_abs() < 150), "DC stays");
    }
}

/// Speech of -32 and -12 dBFS comes to -20 ± 2 dBFS within some seconds, and no peak is clipped.
#[test]
fn gain_control_makes_the_level_even() {
    let voice = tone::voice(20_000, 3);
    for (scale, most_db) in [(0.2, 12.5), (0.4, 12.5), (1.0, 12.5), (2.0, 12.5)] {
        let said: Vec<i16> = voice.iter().map(|s| (f64::from(*s) * scale).clamp(-32_000.0, 32_000.0) as i16).collect();
        let out = through(&mut FrontEnd::new(only(false, true), Rate::Hz8000), Rate::Hz8000, &said);
        let speech = |samples: &[i16]| {
            let loud: Vec<i16> =
                samples.chunks(160).filter(|f| level(f) > level(samples) - 10.0).flatten().copied().collect();
            level(&loud)
        };
        let (before, after) = (speech(&said[80_000..]), speech(&out[80_000..]));
        let wanted = (-20.0 - before).clamp(-12.0, 12.0) + before;
        assert!((after - wanted).abs() < 2.5, "{scale}: {before:.1} became {after:.1}, wanted {wanted:.1}");
        assert!((after - before).abs() < most_db);
        assert!(out.iter().all(|s| s.unsigned_abs() <= 29_300), "a peak above the limiter");
    }
}

/// In a pause the gain holds: noise does not swell, however long nobody speaks.
#[test]
fn noise_is_not_pumped_up() {
    let mut seed = 7u32;
    let mut noise = |n: usize| -> Vec<i16> {
        (0..n)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((seed >> 16) as i16) / 256
            })
            .collect()
    };
    let mut front = FrontEnd::new(only(false, true), Rate::Hz8000);
    let said: Vec<i16> =
        tone::voice(8_000, 4).iter().zip(noise(64_000)).map(|(s, n)| (s / 4).saturating_add(n)).collect();
    through(&mut front, Rate::Hz8000, &said);
    let quiet = noise(8_000 * 30);
    let out = through(&mut front, Rate::Hz8000, &quiet);
    let (begin, end) = (level(&out[..8_000]), level(&out[out.len() - 8_000..]));
    assert!((begin - end).abs() < 0.5, "from {begin:.1} to {end:.1} dBFS");
    assert!(end - level(&quiet) < 12.5);
}

/// With everything off, and with a guard on a line nobody has spoken on, samples pass untouched.
#[test]
fn off_is_off() {
    let voice = tone::voice(1_000, 5);
    let guard = FrontParams { high_pass: false, gain_control: false, echo_guard: EchoMode::Auto };
    for params in [FrontParams::OFF, guard] {
        assert_eq!(through(&mut FrontEnd::new(params, Rate::Hz8000), Rate::Hz8000, &voice), voice);
    }
}
