//! What the session hears, by the clock of the wall: stalls, bursts, drift, pauses, rates. Speech through networks is in tests/sim/call/network.rs.

use super::*;
use crate::audio::tone;
use crate::net::clock;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn ticks(ms: i64) -> i64 {
    ms * TICKS_PER_MS as i64
}

struct Rig {
    uplink: Uplink,
    start: Instant,
    bytes: usize,
    longest_burst: usize,
    /// What was heard, as codes.
    heard: Vec<u8>,
    keep: bool,
}

impl Rig {
    fn new(format: AudioFormat) -> Rig {
        let start = clock::now();
        let mut uplink = Uplink::new(format, Rate::Hz8000, 20, ms(40));
        uplink.start(start);
        Rig { uplink, start, bytes: 0, longest_burst: 0, heard: Vec::new(), keep: false }
    }
    fn packet(&mut self, at: Duration, payload: &[u8]) {
        self.packet_after(at, payload, 0, 0);
    }
    fn packet_after(&mut self, at: Duration, payload: &[u8], lost: u32, paused: u32) {
        let (mut got, keep, heard) = (0, self.keep, &mut self.heard);
        self.uplink.audio(self.start + at, Codec::Pcmu, payload, lost, paused, &mut |b| {
            got += b.len();
            if keep {
                heard.extend_from_slice(b);
            }
        });
        self.bytes += got;
        self.longest_burst = self.longest_burst.max(got);
    }
    fn tick(&mut self, at: Duration) {
        let (mut got, keep, heard) = (0, self.keep, &mut self.heard);
        self.uplink.tick(self.start + at, &mut |b| {
            got += b.len();
            if keep {
                heard.extend_from_slice(b);
            }
        });
        self.bytes += got;
        self.longest_burst = self.longest_burst.max(got);
    }
    fn lag_ms(&self, at: Duration) -> i64 {
        at.as_millis() as i64 - self.bytes as i64 / 8
    }
    fn samples(&self) -> Vec<i16> {
        let mut samples = Vec::new();
        Law::Mu.decode(&self.heard, &mut samples);
        samples
    }
}

const LOUD: [u8; 160] = [0x20; 160];

/// S4, S6: with no packet at all the session's clock still follows the wall.
#[test]
fn silence_keeps_time_when_nothing_comes() {
    let mut rig = Rig::new(AudioFormat::Pcmu);
    for t in (0..60_000).step_by(5) {
        rig.tick(ms(t));
        assert!(rig.lag_ms(ms(t)) <= 105, "{t}: {}", rig.lag_ms(ms(t)));
    }
    assert!(rig.longest_burst <= 800);
}

/// RTP-04: what comes after a stall of the network, and within 200 ms, is heard; what is older is dropped, and the session's clock does not
/// grow.
#[test]
fn a_late_burst_is_heard_as_far_as_it_is_late() {
    for (stall, dropped) in [(100u64, 0), (180, 0), (300, ticks(100)), (600, ticks(400)), (3_000, ticks(2_800))] {
        let mut rig = Rig::new(AudioFormat::Pcmu);
        for t in (0..6_000).step_by(5) {
            rig.tick(ms(t));
            if t % 20 == 0 && !(1_000..1_000 + stall).contains(&t) {
                rig.packet(ms(t), &LOUD);
            }
            if t == 1_000 + stall {
                (0..stall / 20).for_each(|_| rig.packet(ms(t), &LOUD));
            }
            let lag = rig.lag_ms(ms(t));
            assert!((-210..=230).contains(&lag), "stall {stall}, {t}: {lag}");
        }
        let stats = rig.uplink.stats();
        assert!((stats.dropped as i64 - dropped).abs() <= ticks(20), "stall {stall}: {stats:?}");
    }
}

/// RTP-04, RTP-06: a way that is longer from now on by more than is waited for, or a peer whose clock stood still and goes on where it was: it is heard
/// again, from its first packet on.
#[test]
fn what_stays_late_is_heard() {
    for late in [220u64, 500, 5_000] {
        let mut rig = Rig::new(AudioFormat::Pcmu);
        for t in (0..10_000).step_by(5) {
            if t % 20 == 0 && !(1_000..1_000 + late).contains(&t) {
                rig.packet(ms(t), &LOUD);
            }
            rig.tick(ms(t));
            assert!((-30..=230).contains(&rig.lag_ms(ms(t))), "{late}, {t}: {}", rig.lag_ms(ms(t)));
        }
        let stats = rig.uplink.stats();
        assert_eq!(stats.dropped, 0, "{late}: {stats:?}");
    }
}

/// The same of a peer whose clock is slow beyond all reason (5 %): most of it is heard, for as long as it speaks.
#[test]
fn a_slow_peer_is_heard_to_the_end() {
    let mut rig = Rig::new(AudioFormat::Pcmu);
    let mut heard_before = 0;
    for second in 1..=60u64 {
        for t in second * 1_000 - 1_000..second * 1_000 {
            if t % 21 == 0 {
                rig.packet(ms(t), &LOUD);
            }
            if t % 5 == 0 {
                rig.tick(ms(t));
            }
        }
        let heard = rig.uplink.stats().audio - std::mem::replace(&mut heard_before, rig.uplink.stats().audio);
        assert!(heard as i64 >= ticks(800), "second {second}: {} ms", heard / 8);
    }
}

/// RTP-04: a network that was late once is waited for from then on: the same stall again costs nothing.
#[test]
fn a_stall_is_foreseen_the_second_time() {
    let mut rig = Rig::new(AudioFormat::Pcmu);
    let mut filled = Vec::new();
    for t in (0..10_000u64).step_by(5) {
        // Each second 160 ms pass without a packet, and then all of them come.
        let stalled = t % 1_000 >= 500 && t % 1_000 < 660;
        if t % 20 == 0 && !stalled {
            rig.packet(ms(t), &LOUD);
            if t % 1_000 == 660 {
                (0..8).for_each(|_| rig.packet(ms(t), &LOUD));
            }
        }
        rig.tick(ms(t));
        if t % 1_000 == 995 {
            filled.push(rig.uplink.stats().filled);
        }
    }
    assert!(filled[0] > 0 && filled[0] <= ticks(100) as u64, "{filled:?}");
    assert!(filled.iter().all(|n| *n == filled[0]), "{filled:?}");
    assert_eq!(rig.uplink.stats().dropped, 0);
}

/// RTP-05: a caller's clock 200 ppm off for an hour: no packet is dropped, none is invented, nobody hears where periods were taken out or put
/// in, and the session's clock stays within 110 ms of the wall's.
#[test]
fn an_hour_of_drift_is_not_heard() {
    // Speech and pauses, round and round.
    let voice = tone::voice(20_000, 5);
    let mut codes = Vec::new();
    Law::Mu.encode(&voice, &mut codes);
    let mut clean = Vec::new();
    Law::Mu.decode(&codes, &mut clean);
    let step_of = |samples: &[i16]| {
        samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or_default()
    };
    let silence_of =
        |samples: &[i16]| samples.split(|s| s.unsigned_abs() > 8).map(<[i16]>::len).max().unwrap_or_default();
    let (own_step, own_silence) = (step_of(&clean), silence_of(&clean));
    for interval_us in [19_996u64, 20_004] {
        let mut rig = Rig::new(AudioFormat::Pcmu);
        rig.keep = true;
        let (mut next, mut packets) = (0, codes.chunks_exact(160).cycle());
        for t in (0..3_600_000u64).step_by(5) {
            while next <= t * 1000 {
                rig.packet(ms(t), packets.next().expect("round and round"));
                next += interval_us;
            }
            rig.tick(ms(t));
            assert!(rig.lag_ms(ms(t)).abs() <= 110, "{interval_us}, {t}: {}", rig.lag_ms(ms(t)));
            if rig.heard.len() > 480_000 {
                let samples = rig.samples();
                let (step, silence) = (step_of(&samples), silence_of(&samples));
                assert!(step <= own_step * 5 / 4, "{interval_us}, {t}: step {step}, own {own_step}");
                assert!(silence <= own_silence + 240, "{interval_us}, {t}: silence {silence}, own {own_silence}");
                rig.heard.clear();
            }
        }
        let stats = rig.uplink.stats();
        assert_eq!((stats.dropped, stats.concealed, stats.skipped, stats.filled), (0, 0, 0, 0), "{stats:?}");
        let (less, more) = (stats.taken_out as i64, stats.put_in as i64);
        let drift = if interval_us < 20_000 { less - more } else { more - less };
        assert!((drift - ticks(720)).abs() <= ticks(120), "{interval_us}: {stats:?}");
    }
}

/// RTP-05: the same for a tone without any pause, in which a gap would be heard at once.
#[test]
fn drift_is_not_heard_in_a_tone() {
    for interval_us in [19_900u64, 20_100] {
        let mut rig = Rig::new(AudioFormat::Pcmu);
        rig.keep = true;
        let wave = |from: usize| -> Vec<i16> {
            let sine = |n: usize| (std::f64::consts::TAU * 313.0 * n as f64 / 8_000.0).sin();
            (from..from + 160).map(|n| (sine(n) * 8_000.0) as i16).collect()
        };
        let (mut next, mut at, mut payload) = (0, 0, Vec::new());
        for t in (0..60_000u64).step_by(5) {
            while next <= t * 1000 {
                payload.clear();
                Law::Mu.encode(&wave(at), &mut payload);
                rig.packet(ms(t), &payload);
                (next, at) = (next + interval_us, at + 160);
            }
            rig.tick(ms(t));
        }
        let samples = rig.samples();
        let own = (std::f64::consts::TAU * 313.0 / 8_000.0 * 8_000.0) as i32;
        let step = samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().expect("audio");
        assert!(step <= own * 6 / 5 + 256, "{interval_us}: step {step}, own {own}");
        // The level of each 10 ms is that of the tone: no gap, no dip.
        for (n, part) in samples.chunks_exact(80).enumerate().skip(1) {
            let rms = (part.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 80.0).sqrt();
            assert!((5_000.0..6_300.0).contains(&rms), "{interval_us}, {n}: {rms}");
        }
        let stats = rig.uplink.stats();
        assert_eq!((stats.dropped, stats.filled, stats.concealed), (0, 0, 0), "{stats:?}");
        assert!(stats.taken_out + stats.put_in >= ticks(150) as u64, "{stats:?}");
    }
}

/// A stall of the process: what waited in the socket is heard, and nothing is filled in its place.
#[test]
fn what_waited_in_the_socket_is_not_lost() {
    let mut rig = Rig::new(AudioFormat::Pcmu);
    for t in (0..1_000).step_by(5) {
        rig.tick(ms(t));
        if t % 20 == 0 {
            rig.packet(ms(t), &LOUD);
        }
    }
    // 400 ms later, the clock first.
    rig.tick(ms(1_400));
    for _ in 0..20 {
        rig.packet(ms(1_400), &LOUD);
        rig.tick(ms(1_400));
    }
    let stats = rig.uplink.stats();
    assert_eq!((stats.filled, stats.dropped, stats.skipped), (0, 0, 0), "{stats:?}");
    assert!(rig.lag_ms(ms(1_400)).abs() <= 20);
}

/// RTP-15: comfort noise fills the pause at its level from where it began, it is no loss, and the next word comes where it was said.
#[test]
fn comfort_noise_fills_a_pause() {
    let mut rig = Rig::new(AudioFormat::Pcmu);
    rig.keep = true;
    for t in (0..3_000u64).step_by(5) {
        if t % 20 == 0 && !(1_000..2_000).contains(&t) {
            rig.packet_after(ms(t), &LOUD, 0, if t == 2_000 { ticks(1_000) as u32 } else { 0 });
        }
        if t == 1_000 {
            rig.uplink.comfort_noise(55);
        }
        rig.tick(ms(t));
    }
    let samples = rig.samples();
    let rms = (samples[9_000..15_000].iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 6_000.0).sqrt();
    assert!((20.0..200.0).contains(&rms), "-55 dBov is 58: {rms}");
    let stats = rig.uplink.stats();
    assert_eq!((stats.concealed, stats.dropped), (0, 0), "{stats:?}");
    let first = samples.iter().skip(9_000).position(|s| s.unsigned_abs() > 4_000).map(|n| n + 9_000);
    assert!(first.is_some_and(|n| n.abs_diff(16_000) <= 320), "{first:?}");
}

/// A pause that nobody announced ends where it ended, whatever the stall clock did in it.
#[test]
fn words_stay_where_they_were_said() {
    let mut rig = Rig::new(AudioFormat::Pcmu);
    rig.keep = true;
    for t in (0..3_000u64).step_by(5) {
        if t % 20 == 0 && !(1_000..2_000).contains(&t) {
            rig.packet_after(ms(t), &LOUD, 0, if t == 2_000 { ticks(1_000) as u32 } else { 0 });
        }
        rig.tick(ms(t));
    }
    let samples = rig.samples();
    let first = samples.iter().skip(9_600).position(|s| s.unsigned_abs() > 4_000).map(|n| n + 9_600);
    assert!(first.is_some_and(|n| n.abs_diff(16_000) <= 320), "{first:?}");
}

/// G.711 goes through unchanged when the session speaks the caller's law.
#[test]
fn same_law_is_the_identity() {
    let start = clock::now();
    let mut uplink = Uplink::new(AudioFormat::Pcmu, Rate::Hz8000, 20, ms(40));
    uplink.start(start);
    let payload: Vec<u8> = (0..=255u8).filter(|b| *b != 0x7F).take(160).collect();
    let mut out = Vec::new();
    uplink.audio(start + ms(20), Codec::Pcmu, &payload, 0, 0, &mut |b| out.extend_from_slice(b));
    assert_eq!(out, payload);
}

/// A lost packet is concealed once: neither the network's count nor the stall clock fills it twice, and it counts as concealed whoever did.
#[test]
fn a_hole_is_filled_once() {
    for hole in [1u64, 2, 5, 8] {
        let mut rig = Rig::new(AudioFormat::Pcmu);
        for t in (0..2_000u64).step_by(5) {
            let n = t / 20;
            if t % 20 == 0 && !(20..20 + hole).contains(&n) {
                rig.packet_after(ms(t), &LOUD, if n == 20 + hole { hole as u32 * 160 } else { 0 }, 0);
            }
            rig.tick(ms(t));
        }
        let stats = rig.uplink.stats();
        assert_eq!((stats.concealed, stats.filled), (hole * 160, 0), "{hole}: {stats:?}");
        assert_eq!(rig.bytes, 100 * 160);
    }
}

/// PCM16 at 24 kHz has three samples, six bytes, for each code.
#[test]
fn upsampled_length() {
    let mut rig = Rig::new(AudioFormat::Pcm24k);
    for n in 0..50 {
        rig.packet(ms(20 * n), &[0xFF; 160]);
    }
    assert!((50 * 960 - 1920..=50 * 960).contains(&rig.bytes), "{}", rig.bytes);
}

/// After a bridge the session's clock begins anew.
#[test]
fn it_can_start_again() {
    let mut rig = Rig::new(AudioFormat::Pcmu);
    (0..50).for_each(|n| rig.packet(ms(20 * n), &LOUD));
    rig.uplink.stop();
    assert_eq!(rig.uplink.timeout(), None);
    rig.uplink.start(rig.start + ms(5_000));
    let before = rig.bytes;
    (0..50).for_each(|n| rig.packet(ms(5_000 + 20 * n), &LOUD));
    assert_eq!(rig.bytes - before, 50 * 160);
}

/// The first packet comes at any time after the start; what was filled before it does not stand in front of all that follows.
#[test]
fn no_rest_stays_in_front_of_the_packets() {
    for first in [1, 7, 13, 33, 55, 90] {
        let mut rig = Rig::new(AudioFormat::Pcmu);
        for t in (0..first).step_by(5) {
            rig.tick(ms(t));
        }
        for n in 0..20 {
            let before = rig.bytes;
            rig.packet(ms(first + 20 * n), &LOUD);
            assert!(rig.uplink.batch.is_empty(), "first at {first} ms, packet {n}: {} wait", rig.uplink.batch.len());
            assert!(rig.bytes >= before + 160, "first at {first} ms, packet {n}");
        }
    }
}

/// OVL-01: appends become longer and shorter in mid-call, and the audio in them stays the same.
#[test]
fn appends_change_their_length_and_nothing_else() {
    let mut uplink = Uplink::new(AudioFormat::Pcmu, Rate::Hz8000, 20, ms(40));
    let start = clock::now();
    uplink.start(start);
    let (mut sent, mut heard, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..30u8 {
        match n {
            10 => uplink.set_append_ms(40),
            21 => uplink.set_append_ms(20),
            _ => {}
        }
        let payload = [0x20 + n; 160];
        sent.extend_from_slice(&payload);
        uplink.audio(start + ms(20 * u64::from(n)), Codec::Pcmu, &payload, 0, 0, &mut |audio| {
            lengths.push(audio.len());
            heard.extend_from_slice(audio);
        });
    }
    assert_eq!(heard, sent);
    let expected: Vec<usize> = std::iter::repeat_n(160, 10).chain([320; 5]).chain([160; 10]).collect();
    assert_eq!(lengths, expected);
}
