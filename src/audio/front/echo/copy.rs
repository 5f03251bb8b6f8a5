//! The deciding question when the filter says "caller": is what it leaves a copy of what was sent all the same?
//!
//! In: 50 ms of what was left, and what was sent around the delay. Out: the share that a few taps explain, whichever they are (orthogonal
//! matching pursuit). A filter knows nothing of tones that were rare so far (a long "mm" after bright vowels) and learns nothing from them as long as
//! they are taken for the caller; but a few taps do explain such a tone, whole. Another voice they explain badly: on the lines of
//! examples/echo echo alone gave 0.6 to 0.8, callers below 0.5, most below 0.3.

use super::canceller::{MOVE, TAPS};
use std::ops::Range;

/// What is compared: 50 ms. Shorter, and voices of the same pitch are too much alike.
pub const KEPT: usize = 400;
/// What was sent, for that.
pub const SENT: usize = TAPS - 1 + KEPT;
/// The same, and [`MOVE`] either way.
pub const WIDE: usize = SENT + 2 * MOVE;
/// The newest of what is compared: 30 ms.
pub const NEWEST: usize = 240;
/// Two for each of two tones.
const STEPS: usize = 4;
/// Power per sample below which a place of what was sent is silence.
const QUIET: f32 = 12.0;
/// Places either way of the strongest in which the others of one path lie: 6 ms; 24 ms at 2 kHz.
pub const RINGS: usize = 48;
const LANES: usize = 8;

/// 0 to 1. `sent`: the samples of so many places before those of `left`, then as many as it has. `near`: so far from the strongest place the others are
/// looked for.
pub fn share<const N: usize>(sent: &[f32], left: &[f32; N], near: usize) -> f32 {
    let all = dot(left, left).max(1.0);
    let mut left = *left;
    // What was sent at the places chosen so far, made orthogonal to each other.
    let mut chosen = [[0.0f32; N]; STEPS];
    // A line's taps lie together: after the first, only its neighbours are looked at.
    let mut places = 0..usize::MAX;
    for n in 0..STEPS {
        let Some((at, mut fresh)) = strongest(sent, &left, &places) else { break };
        if n == 0 {
            places = at.saturating_sub(near)..at.saturating_add(near + 1);
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

/// Whether the filter is at the wrong place, of the newest `N` samples: what a few taps leave of what came, wherever they are, as a share of what the
/// filter leaves and a few taps of its own do not explain. `seen` came, `left` is what the filter leaves of it.
pub fn elsewhere<const N: usize>(sent: &[f32; WIDE], seen: &[f32; KEPT], left: &[f32; KEPT]) -> f32 {
    let (Some(seen), Some(left)) = (seen.last_chunk::<N>(), left.last_chunk::<N>()) else { return 1.0 };
    let (Some(all), Some(own)) = (sent.get(KEPT - N..), sent.get(MOVE + KEPT - N..MOVE + SENT)) else { return 1.0 };
    // A path that moved within these has two places.
    let free = (1.0 - share(all, seen, all.len())) * dot(seen, seen);
    free / ((1.0 - share(own, left, RINGS)) * dot(left, left)).max(1.0)
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
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for n in 0..LANES {
            sums[n] += a[n] * b[n];
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::tone;

    /// What a path of 3 ms gives back of what was sent so far on.
    fn echo<const N: usize>(sent: &[f32], at: usize) -> [f32; N] {
        let path = |tap: usize| (tap as f32 * 0.7).sin() * (-(tap as f32) / 6.0).exp();
        std::array::from_fn(|n| (0..24).map(|tap| path(tap) * sent[n + at - tap]).sum())
    }

    fn voice<const N: usize>(from: usize, seed: u64) -> [f32; N] {
        let samples = tone::voice(2_000, seed);
        std::array::from_fn(|n| f32::from(samples[from + n]))
    }

    /// What an unknown path makes of what was sent is a copy; another voice is none, wherever one looks.
    #[test]
    fn an_echo_is_a_copy_and_another_voice_is_none() {
        for from in (1_000..9_000).step_by(1_000) {
            let sent: [f32; SENT] = voice(from, 21);
            let echo: [f32; KEPT] = echo(&sent, 100);
            let (same, other) = (share(&sent, &echo, RINGS), share(&sent, &voice::<KEPT>(from, 22), RINGS));
            assert!(same > 0.6, "at {from}: an echo is a copy of {same:.2}");
            assert!(other < 0.5, "at {from}: another voice is a copy of {other:.2}");
        }
    }

    /// A path that moved, before what is compared or in the midst of it, is found elsewhere; the right one is not, with a caller over its echo.
    #[test]
    fn a_moved_path_is_found_elsewhere() {
        let mut callers = Vec::new();
        for from in (1_000..9_000).step_by(1_000) {
            let sent: [f32; WIDE] = voice(from, 21);
            let here: [f32; KEPT] = echo(&sent, MOVE + 100);
            for by in [-200isize, -15, 15, 120, 250] {
                let moved: [f32; KEPT] = echo(&sent, (MOVE + 100).saturating_add_signed(by));
                for when in [0, KEPT - NEWEST] {
                    let seen: [f32; KEPT] = std::array::from_fn(|n| if n < when { here[n] } else { moved[n] });
                    let left = std::array::from_fn(|n| seen[n] - here[n]);
                    let least = elsewhere::<KEPT>(&sent, &seen, &left).min(elsewhere::<NEWEST>(&sent, &seen, &left));
                    assert!(least < 0.6, "at {from}, by {by} after {when}: {least:.2}");
                }
            }
            let caller: [f32; KEPT] = voice(from, 22);
            let seen = std::array::from_fn(|n| here[n] + caller[n]);
            let left = std::array::from_fn(|n| caller[n] + 0.1 * here[n]);
            let least = elsewhere::<KEPT>(&sent, &seen, &left).min(elsewhere::<NEWEST>(&sent, &seen, &left));
            callers.push(least);
        }
        // These voices are but two tones and pulses; two of eight happen to be alike.
        callers.sort_unstable_by(f32::total_cmp);
        assert!(callers[2] > 0.6, "callers over the echo: {callers:.2?}");
    }
}
