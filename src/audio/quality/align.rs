//! The delay between two recordings: coarse on envelopes, fine on samples.

use super::super::pcm::PER_MS_8K;

/// One envelope value: 4 ms.
const HOP: usize = 4 * PER_MS_8K;
/// The fine search around the coarse result: the envelope's peak is as broad as a syllable, and may be off by several hops.
const FINE: isize = 16 * HOP as isize;
/// Samples that the fine search looks at, from where the reference is loudest.
const FINE_WINDOW: usize = 2000 * PER_MS_8K;
/// An overlap shorter than this proves nothing.
const MIN_OVERLAP: usize = 20 * PER_MS_8K;

/// Samples that `degraded` is later than `reference`.
pub(super) fn delay(reference: &[i16], degraded: &[i16], max: usize) -> Option<isize> {
    let (coarse_reference, coarse_degraded) = (envelope(reference), envelope(degraded));
    let max_hops = (max / HOP) as isize;
    let coarse = best(-max_hops..=max_hops, |hops| {
        let (r, d) = overlap(&coarse_reference, &coarse_degraded, hops);
        (r.len() * HOP >= MIN_OVERLAP).then(|| likeness(r.iter().copied().zip(d.iter().copied())))
    })?;
    let coarse = coarse * HOP as isize;
    let from = loudest(overlap(reference, degraded, coarse).0);
    best(coarse - FINE..=coarse + FINE, |delay| {
        let (r, d) = overlap(reference, degraded, delay);
        if r.len() < MIN_OVERLAP {
            return None;
        }
        let from = from.min(r.len() - MIN_OVERLAP);
        let to = (from + FINE_WINDOW).min(r.len());
        let pairs = r[from..to].iter().zip(&d[from..to]).map(|(r, d)| (f64::from(*r), f64::from(*d)));
        Some(likeness(pairs))
    })
}

/// The parts that lie over each other when `degraded` is `delay` later; equally long.
pub(super) fn overlap<'a, T>(reference: &'a [T], degraded: &'a [T], delay: isize) -> (&'a [T], &'a [T]) {
    let skip = delay.unsigned_abs();
    let (reference, degraded) = if delay >= 0 {
        (reference, degraded.get(skip..).unwrap_or_default())
    } else {
        (reference.get(skip..).unwrap_or_default(), degraded)
    };
    let len = reference.len().min(degraded.len());
    (&reference[..len], &degraded[..len])
}

/// Mean magnitude of each hop, less the mean of all, so that silence over silence does not count as likeness.
fn envelope(samples: &[i16]) -> Vec<f64> {
    let mut hops: Vec<f64> = samples
        .chunks_exact(HOP)
        .map(|hop| hop.iter().map(|s| f64::from(s.unsigned_abs())).sum::<f64>() / HOP as f64)
        .collect();
    let mean = hops.iter().sum::<f64>() / hops.len().max(1) as f64;
    hops.iter_mut().for_each(|hop| *hop -= mean);
    hops
}

/// Correlation that prefers a long overlap: the cross product over the root of the energies, as a score.
fn likeness(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut cross, mut a, mut b, mut len) = (0.0, 0.0, 0.0, 0.0f64);
    for (x, y) in pairs {
        cross += x * y;
        a += x * x;
        b += y * y;
        len += 1.0;
    }
    if a == 0.0 || b == 0.0 { 0.0 } else { cross / (a * b).sqrt() * len.sqrt() }
}

/// The candidate with the highest score above zero.
fn best(candidates: impl Iterator<Item = isize>, score: impl Fn(isize) -> Option<f64>) -> Option<isize> {
    let mut best: Option<(isize, f64)> = None;
    for candidate in candidates {
        if let Some(score) = score(candidate)
            && score > best.map_or(0.0, |(_, best)| best)
        {
            best = Some((candidate, score));
        }
    }
    best.map(|(candidate, _)| candidate)
}

/// Where the loudest [`FINE_WINDOW`] begins (in steps of 100 ms).
fn loudest(samples: &[i16]) -> usize {
    let step = 100 * PER_MS_8K;
    let blocks: Vec<f64> =
        samples.chunks(step).map(|block| block.iter().map(|s| f64::from(*s).powi(2)).sum()).collect();
    let window = (FINE_WINDOW / step).min(blocks.len());
    let sums = blocks.windows(window.max(1)).map(|blocks| blocks.iter().sum::<f64>());
    sums.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(block, _)| block * step)
}
