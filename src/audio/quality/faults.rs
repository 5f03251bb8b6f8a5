//! Gaps and clicks in an aligned recording.

use super::super::pcm::PER_MS_8K;

/// Digital silence inside of speech.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// Where it begins in the degraded recording.
    pub at_ms: f64,
    pub ms: f64,
}

/// A jump from one sample to the next that the reference does not have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Click {
    /// Where it is in the degraded recording.
    pub at_ms: f64,
    /// Height of the jump.
    pub size: u16,
}

/// What counts as digital silence: both laws' smallest codes.
const SILENCE: u16 = 8;
/// Shorter runs happen in clean speech.
const MIN_GAP: usize = 8 * PER_MS_8K;
/// The reference is judged in windows of this length: 4 ms; below this mean magnitude it is silent itself.
const WINDOW: usize = 4 * PER_MS_8K;
const AUDIBLE: f64 = 64.0;
/// A click is higher than this, not much below the steepest step of the voice itself in the 20 ms around it, …
const MIN_CLICK: f64 = 800.0;
const STEEPEST_FACTOR: f64 = 0.8;
/// … and this many times the mean step of the difference there.
const CLICK_FACTOR: f64 = 8.0;
/// Clicks closer together are one, the highest.
const SAME_CLICK: usize = 2 * PER_MS_8K;

pub(super) fn ms(samples: usize) -> f64 {
    samples as f64 / PER_MS_8K as f64
}

/// Runs of digital silence while the reference is audible; silence at their ends that the reference shares is not counted.
pub(super) fn gaps(reference: &[i16], degraded: &[i16], start: usize) -> Vec<Gap> {
    let audible: Vec<bool> = reference
        .chunks(WINDOW)
        .map(|window| window.iter().map(|s| f64::from(s.unsigned_abs())).sum::<f64>() / window.len() as f64 >= AUDIBLE)
        .collect();
    let mut gaps = Vec::new();
    let mut run: Option<usize> = None;
    let missing = |n: usize| degraded[n].unsigned_abs() <= SILENCE && audible[n / WINDOW];
    for n in 0..=degraded.len() {
        if n < degraded.len() && missing(n) {
            run.get_or_insert(n);
        } else if let Some(from) = run.take()
            && n - from >= MIN_GAP
        {
            gaps.push(Gap { at_ms: ms(start + from), ms: ms(n - from) });
        }
    }
    gaps
}

/// Places (in samples) and heights where the difference of the two jumps.
pub(super) fn clicks(reference: &[i16], degraded: &[i16], gain: f64) -> Vec<(usize, u16)> {
    let difference: Vec<f64> =
        reference.iter().zip(degraded).map(|(r, d)| f64::from(*d) - gain * f64::from(*r)).collect();
    let jumps: Vec<f64> = difference.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    // The recording's own step matters too: where it is smooth, a jump of the difference is the reference's.
    let own = |n: usize| (f64::from(degraded[n + 1]) - f64::from(degraded[n])).abs();
    let steepest = |from: usize, to: usize| {
        let steps = reference[from..to].windows(2).map(|pair| f64::from(pair[0]) - f64::from(pair[1]));
        steps.fold(0.0, |steepest: f64, step| steepest.max(step.abs())) * gain.abs()
    };
    let around = 10 * PER_MS_8K;
    let mut clicks: Vec<(usize, u16)> = Vec::new();
    for (n, jump) in jumps.iter().enumerate() {
        if *jump < MIN_CLICK || own(n) < MIN_CLICK {
            continue;
        }
        let (from, to) = (n.saturating_sub(around), (n + around).min(jumps.len()));
        // Without the click itself and its neighbours: one wrong sample is two jumps.
        let near = jumps[n.saturating_sub(2)..(n + 3).min(jumps.len())].iter().sum::<f64>();
        let mean = (jumps[from..to].iter().sum::<f64>() - near).max(0.0) / (to - from) as f64;
        if *jump < CLICK_FACTOR * mean || *jump < STEEPEST_FACTOR * steepest(from, to) {
            continue;
        }
        let size = jump.min(f64::from(u16::MAX)) as u16;
        match clicks.last_mut() {
            Some(last) if n + 1 - last.0 < SAME_CLICK => {
                if size > last.1 {
                    *last = (n + 1, size);
                }
            }
            _ => clicks.push((n + 1, size)),
        }
    }
    clicks
}

/// The largest number of clicks whose places agree modulo `grid`, within two samples; a single one is no grid.
pub(super) fn on_one_grid(clicks: &[(usize, u16)], grid: usize) -> usize {
    let near = |a: usize, b: usize| {
        let distance = (a % grid).abs_diff(b % grid);
        distance.min(grid - distance) <= 2
    };
    let most = clicks.iter().map(|(a, _)| clicks.iter().filter(|(b, _)| near(*a, *b)).count()).max().unwrap_or(0);
    if most > 1 { most } else { 0 }
}
