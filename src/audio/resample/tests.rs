use super::*;
use proptest::prelude::*;
use std::f64::consts::TAU;

fn sine(hz: f64, rate: u32, amplitude: f64, len: usize) -> Vec<i16> {
    (0..len).map(|n| ((TAU * hz * n as f64 / f64::from(rate)).sin() * amplitude).round() as i16).collect()
}

/// Amplitude of one frequency, and what is left without it (rms), away from the borders.
fn measure(samples: &[i16], hz: f64, rate: u32) -> (f64, f64) {
    let middle = &samples[samples.len() / 8..samples.len() * 7 / 8];
    let (mut sin_sin, mut sin_cos, mut cos_cos, mut sin_x, mut cos_x) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, x) in middle.iter().enumerate() {
        let (sin, cos) = (TAU * hz * n as f64 / f64::from(rate)).sin_cos();
        sin_sin += sin * sin;
        sin_cos += sin * cos;
        cos_cos += cos * cos;
        sin_x += sin * f64::from(*x);
        cos_x += cos * f64::from(*x);
    }
    // Least squares of a sine and a cosine.
    let det = sin_sin * cos_cos - sin_cos * sin_cos;
    let a = (sin_x * cos_cos - cos_x * sin_cos) / det;
    let b = (cos_x * sin_sin - sin_x * sin_cos) / det;
    let rest: f64 = middle
        .iter()
        .enumerate()
        .map(|(n, x)| {
            let (sin, cos) = (TAU * hz * n as f64 / f64::from(rate)).sin_cos();
            (f64::from(*x) - a * sin - b * cos).powi(2)
        })
        .sum();
    (a.hypot(b), (rest / middle.len() as f64).sqrt())
}

fn db(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}

fn up(input: &[i16]) -> Vec<i16> {
    let mut out = Vec::new();
    Upsampler::new(Rate::Hz8000).process(input, &mut out);
    out
}

fn down(input: &[i16]) -> Vec<i16> {
    let mut out = Vec::new();
    let mut downsampler = Downsampler::new(Rate::Hz8000);
    downsampler.process(input, &mut out);
    downsampler.flush(&mut out);
    out
}

/// RTP-17: pass band to 3.4 kHz within ±0.5 dB, both ways; everything that is not the tone at least 60 dB below it.
#[test]
fn the_pass_band_is_flat_to_3400_hz() {
    for hz in [100.0, 217.0, 300.0, 613.0, 1004.0, 1811.0, 2503.0, 3001.0, 3217.0, 3391.0, 3400.0] {
        let (level, rest) = measure(&up(&sine(hz, 8000, 16_000.0, 8000)), hz, 24_000);
        assert!(db(level / 16_000.0).abs() <= 0.5, "up {hz} Hz: {} dB", db(level / 16_000.0));
        assert!(db(rest / (level / 2f64.sqrt())) <= -60.0, "up {hz} Hz: rest {} dB", db(rest / level));
        let (level, rest) = measure(&down(&sine(hz, 24_000, 16_000.0, 24_000)), hz, 8000);
        assert!(db(level / 16_000.0).abs() <= 0.5, "down {hz} Hz: {} dB", db(level / 16_000.0));
        assert!(db(rest / (level / 2f64.sqrt())) <= -60.0, "down {hz} Hz: rest {} dB", db(rest / level));
    }
}

/// RTP-17: what lies above the telephone band is 60 dB down or more after 24 k → 8 k. Between 4.0 and 4.3 kHz is the filter's slope.
#[test]
fn aliases_are_60_db_down() {
    for hz in [4600.0, 5000.0, 6200.0, 7000.0, 7900.0, 8100.0, 9300.0, 11_000.0, 11_900.0] {
        let out = down(&sine(hz, 24_000, 16_000.0, 24_000));
        let alias = (hz - (hz / 8000.0).round() * 8000.0).abs();
        let (level, _) = measure(&out, alias, 8000);
        assert!(db(level / 16_000.0) <= -60.0, "{hz} Hz comes back at {alias} Hz with {} dB", db(level / 16_000.0));
    }
    let (level, _) = measure(&down(&sine(4300.0, 24_000, 16_000.0, 24_000)), 3700.0, 8000);
    assert!(db(level / 16_000.0) <= -60.0, "4300 Hz: {} dB", db(level / 16_000.0));
}

/// The energy centre of an impulse, in samples.
fn centre(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|x| f64::from(*x).powi(2)).sum();
    samples.iter().enumerate().map(|(n, x)| n as f64 * f64::from(*x).powi(2)).sum::<f64>() / energy
}

/// RTP-17: the delay of the filter is 2.5 ms each way, below 5 ms. Downwards it is taken off again, and has to be waited for: the samples
/// that are out after a whole number of blocks are 2.5 ms fewer than those that are in.
#[test]
fn the_delay_is_2500_us_each_way() {
    let mut impulse = vec![0; 800];
    impulse[400] = 20_000;
    let delay_ms = centre(&up(&impulse)) / 24.0 - 400.0 / 8.0;
    assert!((delay_ms - 2.5).abs() < 0.1, "{delay_ms} ms");
    let mut impulse = vec![0; 2400];
    impulse[1200..1203].fill(20_000);
    let delay_ms = centre(&down(&impulse)) / 8.0 - 1201.0 / 24.0;
    assert!(delay_ms.abs() < 0.1, "{delay_ms} ms");
    let mut out = Vec::new();
    Downsampler::new(Rate::Hz8000).process(&impulse, &mut out);
    assert_eq!(800 - out.len(), 20);
}

/// RTP-17: full scale is clamped, it never wraps: a square wave's overshoot keeps its sign.
#[test]
fn full_scale_does_not_wrap() {
    let square = |period: usize, len: usize| -> Vec<i16> {
        (0..len).map(|n| if (n / period).is_multiple_of(2) { i16::MAX } else { i16::MIN }).collect()
    };
    for (out, period, delay) in [(up(&square(40, 4000)), 120, 60), (down(&square(120, 12_000)), 40, 0)] {
        let edge = period / 8;
        for (n, sample) in out.iter().enumerate().skip(2 * period) {
            let place = (n - delay) % (2 * period);
            if (edge..period - edge).contains(&place) {
                assert!(*sample > 20_000, "{n}: {sample}");
            } else if (period + edge..2 * period - edge).contains(&place) {
                assert!(*sample < -20_000, "{n}: {sample}");
            }
        }
    }
}

/// RTP-17: a segment of 24 kHz audio has exactly a third of its samples at 8 kHz, its end included, whatever its length.
#[test]
fn flush_gives_the_tail() {
    for len in [1, 2, 3, 59, 60, 61, 119, 120, 121, 180, 479, 480, 481, 5000, 24_000] {
        let input = sine(700.0, 24_000, 12_000.0, len);
        let out = down(&input);
        assert_eq!(out.len(), len.div_ceil(3), "{len}");
        if len >= 480 {
            let ideal = sine(700.0, 8000, 12_000.0, out.len());
            let tail = out.len() - 30..out.len() - 10;
            let worst = tail.map(|n| (i32::from(out[n]) - i32::from(ideal[n])).abs()).max();
            assert!(worst.is_some_and(|worst| worst < 700), "{len}: {worst:?}");
        }
    }
    // A flush without audio gives nothing.
    let mut out = Vec::new();
    Downsampler::new(Rate::Hz8000).flush(&mut out);
    assert!(out.is_empty());
}

#[test]
fn nothing_of_a_segment_is_left_after_flush_or_reset() {
    let mut downsampler = Downsampler::new(Rate::Hz8000);
    let mut out = Vec::new();
    for ending in [Downsampler::flush as fn(&mut Downsampler, &mut Vec<i16>), |d, _| d.reset()] {
        downsampler.process(&[20_000; 500], &mut out);
        ending(&mut downsampler, &mut out);
        out.clear();
        downsampler.process(&[0; 480], &mut out);
        downsampler.flush(&mut out);
        assert_eq!(out, [0; 160]);
    }
    let mut upsampler = Upsampler::new(Rate::Hz8000);
    upsampler.process(&[20_000; 333], &mut out);
    upsampler.reset();
    out.clear();
    upsampler.process(&[0; 160], &mut out);
    assert_eq!(out, [0; 480]);
}

#[test]
fn rates_out_of_range_are_refused_and_equal_ones_copied() {
    assert_eq!(convert(&[1, 2], 999, 8000), None);
    assert_eq!(convert(&[1, 2], 8000, 0), None);
    assert_eq!(convert(&[1, 2], 8000, 8000), Some(vec![1, 2]));
    assert_eq!(convert(&[], 44_100, 8000), Some(vec![]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// RTP-17: no state is lost between chunks: any chunking gives the same samples.
    #[test]
    fn any_chunking_gives_the_same_output(
        input in proptest::collection::vec(any::<i16>(), 0..3000),
        cuts in proptest::collection::vec(1usize..700, 1..40),
    ) {
        let (mut upsampler, mut downsampler) = (Upsampler::new(Rate::Hz8000), Downsampler::new(Rate::Hz8000));
        let (mut up_out, mut down_out) = (Vec::new(), Vec::new());
        let mut rest = &input[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            upsampler.process(now, &mut up_out);
            downsampler.process(now, &mut down_out);
            rest = later;
        }
        downsampler.flush(&mut down_out);
        prop_assert_eq!(up_out, up(&input));
        prop_assert_eq!(down_out, down(&input));
    }
}

/// The thread's one engine gives each call the very samples that an engine of its own would, however the calls take turns and
/// whatever they push.
#[test]
fn a_shared_engine_gives_what_an_own_one_gives() {
    let mut pieces = (1u64..).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) as usize);
    for way in [Way::Up8, Way::Up16, Way::Down8, Way::Down16] {
        let block = way.rates().0.samples(BLOCK_MS);
        let voices: Vec<Vec<i16>> = (0..5u32)
            .map(|call| {
                let seed = (0..12_000u32).map(|n| (n + call * 77).wrapping_mul(2_654_435_761 + 2 * call) >> 16);
                // With pauses of digital silence, which need no transform.
                let paused = |n: usize| n / (700 + 130 * call as usize) % 3 == 1;
                seed.enumerate().map(|(n, noise)| if paused(n) { 0 } else { noise as u16 as i16 }).collect()
            })
            .collect();
        let mut calls: Vec<(Blocks, Vec<i16>, &[i16])> =
            voices.iter().map(|voice| (Blocks::new(way), Vec::new(), voice.as_slice())).collect();
        while calls.iter().any(|(.., rest)| !rest.is_empty()) {
            for (blocks, out, rest) in &mut calls {
                let taken = (pieces.next().unwrap() % (4 * block)).min(rest.len());
                let (now, later) = rest.split_at(taken);
                blocks.push(now, out);
                *rest = later;
            }
        }
        for (voice, (mut blocks, mut out, _)) in voices.iter().zip(calls) {
            blocks.push_silence(&mut out);
            let (mut engine, mut own) = (way.engine(), Vec::new());
            for block in voice.chunks(block) {
                engine.run_into((block, &[]), &mut own);
            }
            if voice.len().is_multiple_of(block) {
                engine.run_into((&[], &[]), &mut own);
            }
            assert!(out == own, "{way:?}");
        }
    }
}

/// RTP-17: 8 kHz both ways gives what rubato's resampler gives: what differs is 60 dB below a signal up to 3 kHz, and 40 dB below one up to
/// 3.4 kHz, where rubato's filter falls by a quarter of a decibel and ours does not.
#[test]
fn the_polyphase_filter_is_heard_as_rubatos() {
    for (most_hz, least_db) in [(3_000.0, 60.0), (3_400.0, 40.0)] {
        for (way, rate) in [(Way::Up8, 8_000), (Way::Down8, 24_000)] {
            let (from, to) = way.rates();
            let tones = (1..=20).map(|n| sine(most_hz * f64::from(n) / 20.0, rate, 1_400.0, from.samples(1_000)));
            let signal = tones.fold(vec![0; from.samples(1_000)], |mut sum, tone| {
                sum.iter_mut().zip(tone).for_each(|(sum, sample)| *sum += sample);
                sum
            });
            let [ours, rubatos] =
                [way.engine(), Engine::new(from.hz(), to.hz(), from.samples(BLOCK_MS))].map(|mut engine| {
                    let mut out = Vec::new();
                    signal.chunks(from.samples(BLOCK_MS)).for_each(|block| engine.run_into((block, &[]), &mut out));
                    out.split_off(to.samples(10))
                });
            let power = |samples: &mut dyn Iterator<Item = i16>| samples.map(|s| f64::from(s).powi(2)).sum::<f64>();
            let rest = power(&mut ours.iter().zip(&rubatos).map(|(a, b)| a - b));
            let snr = 10.0 * (power(&mut rubatos.iter().copied()) / rest).log10();
            assert!(snr >= least_db, "{way:?} up to {most_hz} Hz: {snr} dB");
        }
    }
}

/// A line at the session's own rate passes through, at once and unchanged.
#[test]
fn the_same_rate_passes_through() {
    let (mut out, voice) = (Vec::new(), sine(1000.0, 24_000, 9_000.0, 1_001));
    Upsampler::new(Rate::Hz24000).process(&voice, &mut out);
    let mut downsampler = Downsampler::new(Rate::Hz24000);
    downsampler.process(&voice, &mut out);
    downsampler.flush(&mut out);
    assert!(out == [voice.clone(), voice].concat());
}
