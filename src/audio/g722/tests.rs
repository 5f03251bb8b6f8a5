use super::*;
use std::f64::consts::TAU;

/// Delay through encoder and decoder, samples.
const DELAY: usize = 22;

fn round_trip(samples: &[i16]) -> Vec<i16> {
    let (mut octets, mut out) = (Vec::new(), Vec::new());
    Encoder::new().encode(samples, &mut octets);
    assert_eq!(octets.len(), samples.len() / 2);
    Decoder::new().decode(&octets, &mut out);
    out
}

fn sine(hz: f64, peak: f64, len: usize) -> Vec<i16> {
    (0..len).map(|n| ((TAU * hz * n as f64 / 16_000.0).sin() * peak) as i16).collect()
}

/// Signal to noise of what came out against what went in, dB, after the first 100 ms.
fn snr(said: &[i16], heard: &[i16]) -> f64 {
    let pairs = said.iter().zip(&heard[DELAY..]).skip(1_600);
    let (mut signal, mut noise) = (0.0, 1e-9);
    for (a, b) in pairs {
        signal += f64::from(*a).powi(2);
        noise += (f64::from(*a) - f64::from(*b)).powi(2);
    }
    10.0 * (signal / noise).log10()
}

fn rms(samples: &[i16]) -> f64 {
    (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}

/// Two seconds of triangles in both bands with noise, in four levels; of integers alone, so that it is the same everywhere.
fn vector() -> Vec<i16> {
    let mut random = 1u32;
    let triangle = |n: i32, period: i32| {
        let at = n % period;
        (if at * 2 < period { at } else { period - at }) * 4 * 1000 / period - 1000
    };
    (0..32_000)
        .map(|n| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = i32::from((random >> 16) as i16);
            let gain = [1, 4, 16, 30][(n / 8_000) as usize];
            let sum = gain * (triangle(n, 73) + triangle(n, 7) / 4) + noise / (64 / gain.min(16));
            sum.clamp(-32_768, 32_767) as i16
        })
        .collect()
}

fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// Bit for bit what SpanDSP 0.0.6 (the coder of baresip and FreeSWITCH) makes of the same samples and octets, in FNV-1a; of the decoder's
/// output the first 1.5 s, as SpanDSP lets louder samples wrap where we saturate.
#[test]
fn octets_and_samples_are_those_of_an_independent_coder() {
    let (mut octets, mut out) = (Vec::new(), Vec::new());
    Encoder::new().encode(&vector(), &mut octets);
    assert_eq!(fnv(octets.iter().copied()), 0x87D5_3D8F_A4B1_3E6A);
    Decoder::new().decode(&octets, &mut out);
    assert_eq!(fnv(out[..24_000].iter().flat_map(|sample| sample.to_le_bytes())), 0x85BB_9485_BE2B_FAE0);
}

/// Both bands are carried up to 7 kHz, the lower one better (6 bits against 2), and each at its level.
#[test]
fn both_bands_keep_their_level() {
    for (hz, least) in [
        (100.0, 28.0),
        (440.0, 28.0),
        (1_000.0, 28.0),
        (2_500.0, 25.0),
        (3_400.0, 20.0),
        (5_000.0, 9.0),
        (6_500.0, 9.0),
    ] {
        let said = sine(hz, 8_000.0, 32_000);
        let heard = round_trip(&said);
        assert!(snr(&said, &heard) > least, "{hz} Hz: {:.1} dB", snr(&said, &heard));
        let gain = 20.0 * (rms(&heard[1_600..]) / rms(&said[1_600..])).log10();
        assert!(gain.abs() < 0.7, "{hz} Hz: {gain:.2} dB");
    }
}

/// The delay is 22 samples, whatever the phase of the pairs.
#[test]
fn the_delay_is_that_of_the_filters() {
    let said = crate::audio::tone::voice_at(crate::audio::pcm::Rate::Hz16000, 2_000, 5);
    let heard = round_trip(&said);
    let best = (0..60)
        .max_by_key(|lag| said.iter().zip(&heard[*lag..]).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum::<i64>());
    assert_eq!(best, Some(DELAY));
}

/// Silence stays silence, and comes back after sound: no level builds up over minutes.
#[test]
fn nothing_builds_up() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let (mut octets, mut out) = (Vec::new(), Vec::new());
    for second in 0..180 {
        let loud = second % 2 == 0;
        let said = if loud { sine(700.0 + f64::from(second), 20_000.0, 16_000) } else { vec![0; 16_000] };
        octets.clear();
        out.clear();
        encoder.encode(&said, &mut octets);
        decoder.decode(&octets, &mut out);
        let level = rms(&out[8_000..]);
        assert!(if loud { (13_500.0..14_800.0).contains(&level) } else { level < 4.0 }, "second {second}: {level}");
        let mean = out[8_000..].iter().map(|s| i64::from(*s)).sum::<i64>() / 8_000;
        assert!(mean.abs() < 20, "second {second}: mean {mean}");
    }
}

/// A packet that is lost leaves the two sides' predictors apart; they meet again within a quarter of a second.
#[test]
fn a_lost_packet_is_forgotten() {
    let said = crate::audio::tone::voice_at(crate::audio::pcm::Rate::Hz16000, 4_000, 8);
    let mut octets = Vec::new();
    Encoder::new().encode(&said, &mut octets);
    let (mut whole, mut holed) = (Vec::new(), Vec::new());
    Decoder::new().decode(&octets, &mut whole);
    let mut decoder = Decoder::new();
    for (n, packet) in octets.chunks(160).enumerate() {
        match n {
            50 => holed.extend([0; 320]),
            _ => decoder.decode(packet, &mut holed),
        }
    }
    let from = 51 * 320 + 4_000;
    let error: Vec<i16> = whole[from..].iter().zip(&holed[from..]).map(|(a, b)| a.wrapping_sub(*b)).collect();
    assert!(rms(&error) < rms(&whole[from..]) / 50.0, "{} of {}", rms(&error), rms(&whole[from..]));
}

/// Any octets are audio; nothing panics or leaves 16 bits, and full scale does not wrap.
#[test]
fn hostile_octets_and_full_scale() {
    let mut random = 7u32;
    let octets: Vec<u8> = (0..200_000)
        .map(|n| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if n / 20_000 % 2 == 0 { (random >> 24) as u8 } else { [0x00, 0xFF, 0x3F, 0xC0][n / 40_000 % 4] }
        })
        .collect();
    let mut out = Vec::new();
    Decoder::new().decode(&octets, &mut out);
    assert_eq!(out.len(), 400_000);
    let square: Vec<i16> = (0..16_000).map(|n| if n / 20 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
    let heard = round_trip(&square);
    let flipped = square.iter().zip(&heard[DELAY..]).skip(200).filter(|(a, b)| (**a > 0) != (**b > 0)).count();
    assert!(flipped < 16_000 / 20 * 3, "{flipped} samples of the other sign");
    Encoder::new().encode(&[1], &mut Vec::new());
}
