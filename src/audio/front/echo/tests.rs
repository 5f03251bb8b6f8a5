use super::*;
use crate::audio::tone;
use std::time::Duration;

/// A line's echo of what was sent: late by so many samples, with 8 ms of ringing, of this return loss.
fn echo(sent: &[i16], delay: usize, loss_db: f64) -> Vec<i16> {
    let response: Vec<f64> = (0..64).map(|n| f64::from(n * 7 % 11 - 5) * (-f64::from(n) / 16.0).exp()).collect();
    let size = response.iter().map(|h| h * h).sum::<f64>().sqrt();
    let gain = 10f64.powf(-loss_db / 20.0) / size;
    let at = |n: usize| f64::from(sent.get(n).copied().unwrap_or(0));
    (0..sent.len())
        .map(|n| {
            let sum = response.iter().enumerate().filter_map(|(tap, h)| Some(h * at(n.checked_sub(delay + tap)?)));
            (sum.sum::<f64>() * gain) as i16
        })
        .collect()
}

/// What the guard makes of what came.
fn guarded(sent: &[i16], came: &[i16]) -> Vec<i16> {
    let (mut guard, mut now, mut heard) = (EchoGuard::new(), crate::net::clock::now(), came.to_vec());
    for (sent, heard) in sent.chunks(160).zip(heard.chunks_mut(160)) {
        guard.sent(now, sent);
        now += Duration::from_millis(20);
        guard.process(now, heard);
    }
    heard
}

/// The loudest 20 ms, dBFS.
fn loudest(samples: &[i16]) -> f64 {
    let power = |frame: &[i16]| frame.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 160.0;
    10.0 * (samples.chunks(160).map(power).fold(1e-3, f64::max) / 32_768f64.powi(2)).log10()
}

/// The first word of a call is kept back on a line of any delay, the shortest too: what was sent and what came begin on one time line.
#[test]
fn the_echo_of_the_first_word_is_kept_back() {
    for delay_ms in [2, 10, 25, 60, 300] {
        let mut sent = vec![0; 80];
        sent.extend(tone::voice(1_200, 11));
        let came = echo(&sent, delay_ms * 8, 8.0);
        assert!(loudest(&came) > -30.0, "an echo that nobody would notice proves nothing");
        let heard = loudest(&guarded(&sent, &came));
        assert!(heard < -55.0, "{delay_ms} ms: {heard:.1} dBFS of the first word came through");
    }
}

/// Both speak from the first moment on, on a line without echo: a tenth of a second into the caller's first word it is known to be another voice,
/// and from then on nearly all of it passes.
#[test]
fn another_voice_passes_within_a_tenth_of_a_second() {
    let (mut spoken, mut passed, mut first) = (0, 0, Vec::new());
    for seed in 31..37 {
        let (sent, mut came) = (tone::voice(4_000, seed), vec![0; 320]);
        came.extend(tone::voice(3_960, seed + 100));
        let heard = guarded(&sent, &came);
        let power = |frame: &[i16]| frame.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 160.0;
        let frames = || came.chunks(160).zip(heard.chunks(160)).enumerate().filter(|(_, (came, _))| power(came) > 1e5);
        let begins = frames().next().map_or(0, |(n, _)| n);
        first.extend(frames().find(|(_, (came, heard))| came == heard).map(|(n, _)| 20 * (n - begins)));
        spoken += frames().filter(|(n, _)| *n > begins + 10).count();
        passed += frames().filter(|(n, (came, heard))| *n > begins + 10 && came == heard).count();
    }
    first.sort_unstable();
    assert!(first.len() == 6 && first[3] <= 140, "first heard after {first:?} ms");
    assert!(passed * 100 >= spoken * 85, "{passed} of {spoken} frames of speech");
}

/// What is asked whether it is a copy is what the filter leaves, and not what a filter a sample off would.
#[test]
fn the_question_sees_what_the_filter_leaves() {
    let sent = tone::voice(4_000, 41);
    let came = echo(&sent, 480, 10.0);
    let (mut guard, mut now, mut asked) = (EchoGuard::new(), crate::net::clock::now(), 0);
    for (n, (sent, came)) in sent.chunks(160).zip(came.chunks(160)).enumerate() {
        guard.sent(now, sent);
        now += Duration::from_millis(20);
        guard.process(now, &mut came.to_vec());
        let seen = power(&guard.seen);
        if n >= 150 && seen > 50_000.0 {
            let delay = guard.delay.expect("three seconds of echo");
            let end = guard.around_end + delay as u64 - (LEAD + 1) as u64;
            let (_, _, left) = guard.copy_share(end, delay);
            assert!(power(&left) < 0.2 * seen, "frame {n}: {:.2} of the echo is left", power(&left) / seen);
            asked += 1;
        }
    }
    assert!(asked > 10, "asked {asked} times");
}

/// A line nobody knows yet may return more, at some tones, than one of 6 dB does: what is louder than that is no other voice.
#[test]
fn a_first_word_louder_than_a_bad_line_returns_is_kept_back() {
    for seed in [11, 12, 13] {
        let mut sent = vec![0; 80];
        sent.extend(tone::voice(300, seed));
        let came = echo(&sent, 320, -2.0);
        let heard = loudest(&guarded(&sent, &came));
        assert!(heard < -55.0, "seed {seed}: {heard:.1} dBFS of the first word came through");
    }
}

/// A hiss is not asked whether it is a copy: what its low band shows of it is none, of whomever it is.
#[test]
fn a_hiss_is_not_asked_about() {
    let (voice, mut random) = (tone::voice(200, 51), 1u32);
    let mut noise = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 20) as f32 - 2_048.0
    };
    let (mut search, mut before) = (DelaySearch::new(), 0.0);
    let mut push = |search: &mut DelaySearch, hiss: bool| {
        for voice in voice.chunks_exact(PIECE) {
            let near: [f32; PIECE] = std::array::from_fn(|n| {
                let now = noise();
                let sharp = now - 0.9 * std::mem::replace(&mut before, now);
                if hiss { sharp } else { f32::from(voice[n]) }
            });
            search.push(&[1_000.0; PIECE], &near, false, None);
        }
    };
    push(&mut search, false);
    assert!(search.stranger().is_some(), "a voice");
    push(&mut search, true);
    assert!(search.stranger().is_none(), "a hiss");
}
