//! The deciding question when the filter says "caller": is what it leaves a copy of what was sent all the same?
//!
//! In: 50 ms of what was left, and what was sent around the delay. Out: the share that a few taps explain, whichever they are (orthogonal
//! matching pursuit). A filter knows nothing of tones that were rare so far (a long "mm" after bright vowels) and learns nothing from them as long as
//! they are taken for the caller; but a few taps do explain such a tone, whole. Another voice they explain badly: on the lines of
//! examples/echo echo alone gave 0.6 to 0.8, callers below 0.5, most below 0.3.

use super::canceller::TAPS;
use std::ops::Range;

/// What is compared: 50 ms. Shorter, and voices of the same pitch are too much alike.
pub const KEPT: usize = 400;
/// What was sent, for that.
pub const SENT: usize = TAPS - 1 + KEPT;
/// Two for each of two tones.
const STEPS: usize = 4;
/// Power per sample below which a place of what was sent is silence.
const QUIET: f32 = 12.0;
/// Places either way of the strongest in which the others lie: 24 ms at 2 kHz.
const RINGS: usize = 48;
const WIDE: usize = 8;

/// 0 to 1. `sent`: the samples of so many places before those of `left`, then as many as it has.
pub fn share<const N: usize>(sent: &[f32], left: &[f32; N]) -> f32 {
    let all = dot(left, left).max(1.0);
    let mut left = *left;
    // What was sent at the places chosen so far, made orthogonal to each other.
    let mut chosen = [[0.0f32; N]; STEPS];
    // A line's taps lie together: after the first, only its neighbours are looked at.
    let mut places = 0..usize::MAX;
    for n in 0..STEPS {
        let Some((at, mut fresh)) = strongest(sent, &left, &places) else { break };
        if n == 0 {
            places = at.saturating_sub(RINGS)..at.saturating_add(RINGS + 1);
        }
        for earlier in chosen.iter().take(n) {
            take(&mut fresh, earlier);
        }
        let size = dot(&fresh, &fresh).sqrt();
        if size < 1.0 {
            break;
        }
        fresh.iter_mut().for_each(|x| *x /= size);
        take(&mut left, &fresh);
        if let Some(place) = chosen.get_mut(n) {
            *place = fresh;
        }
    }
    1.0 - dot(&left, &left) / all
}

/// What was sent at that place, of `places`, that explains most; and which it is.
fn strongest<const N: usize>(sent: &[f32], left: &[f32; N], places: &Range<usize>) -> Option<(usize, [f32; N])> {
    let sent = sent.get(places.start..)?;
    let mut power = sent.iter().take(N).map(|x| x * x).sum::<f32>();
    let (mut best, mut most) = (None, 0.0f32);
    for (at, window) in sent.windows(N).take(places.len()).enumerate() {
        let product = dot(window, left);
        let share = product * product / (power + QUIET * N as f32);
        if share > most {
            (best, most) = (window.first_chunk::<N>().map(|window| (places.start + at, *window)), share);
        }
        let at_end = |n: usize| sent.get(n).map_or(0.0, |x| x * x);
        power = (power + at_end(at + N) - at_end(at)).max(0.0);
    }
    best
}

/// Takes of `from` what is along `unit`.
fn take<const N: usize>(from: &mut [f32; N], unit: &[f32; N]) {
    let share = dot(from, unit);
    from.iter_mut().zip(unit).for_each(|(x, y)| *x -= share * y);
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; WIDE];
    for (a, b) in a.as_chunks::<WIDE>().0.iter().zip(b.as_chunks::<WIDE>().0) {
        for n in 0..WIDE {
            sums[n] += a[n] * b[n];
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::tone;

    fn voice<const N: usize>(from: usize, seed: u64) -> [f32; N] {
        let samples = tone::voice(2_000, seed);
        std::array::from_fn(|n| f32::from(samples[from + n]))
    }

    /// What an unknown path makes of what was sent is a copy; another voice is none, wherever one looks.
    #[test]
    fn an_echo_is_a_copy_and_another_voice_is_none() {
        for from in (1_000..9_000).step_by(1_000) {
            let sent: [f32; SENT] = voice(from, 21);
            let path = |tap: usize| (tap as f32 * 0.7).sin() * (-(tap as f32) / 6.0).exp();
            let echo: [f32; KEPT] = std::array::from_fn(|n| (0..24).map(|tap| path(tap) * sent[n + 100 - tap]).sum());
            let (same, other) = (share(&sent, &echo), share(&sent, &voice::<KEPT>(from, 22)));
            assert!(same > 0.6, "at {from}: an echo is a copy of {same:.2}");
            assert!(other < 0.5, "at {from}: another voice is a copy of {other:.2}");
        }
    }
}
