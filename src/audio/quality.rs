//! How good a recording is against what was played, both 8 kHz: delay, level, segmental SNR, gaps, clicks.
//!
//! In: the reference and the degraded recording. Out: a [`Report`]. For tests and for judging calls with other implementations; it is no
//! PESQ, but it hears what goes wrong on a trunk: a wrong law, frames that are lost, doubled or late, a codec run twice, clipping.
//! The delay is found by cross-correlation of envelopes (4 ms), then of samples; so the reference must not be periodic (a plain tone
//! has no delay). [`crate::audio::tone::voice`] makes a fitting one. Allocates; not for the path of a call.

mod align;
mod faults;

pub use faults::{Click, Gap};

use super::pcm::PER_MS_8K;

/// Part that is judged at once: 20 ms.
const SEGMENT: usize = 20 * PER_MS_8K;
/// A segment's SNR is clamped to this range, so that one perfect or one lost segment does not decide the mean.
const SNR_RANGE: (f64, f64) = (-10.0, 60.0);
/// A segment this far below the loudest one is not speech.
const SPEECH_RANGE_DB: f64 = 35.0;

/// What [`compare`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The degraded recording is this much later than the reference (negative: earlier).
    pub delay_ms: f64,
    /// Its level against the reference.
    pub level_db: f64,
    /// Likeness after alignment, -1 to 1; below about 0.5 the two have nothing to do with each other, and the rest means little.
    pub correlation: f64,
    /// Mean over the speech segments, each clamped to -10 … 60 dB, after alignment and level match. G.711: 36-38 dB.
    pub segmental_snr_db: f64,
    /// The worst tenth of the speech segments.
    pub worst_snr_db: f64,
    /// Digital silence inside of speech.
    pub gaps: Vec<Gap>,
    /// Jumps that the reference does not have.
    pub clicks: Vec<Click>,
    /// How many clicks lie on one common 20 ms grid: the trace of frames glued together wrongly.
    pub border_clicks: usize,
    /// Milliseconds of reference speech that the comparison covers.
    pub speech_ms: u32,
}

/// [`compare_within`] 3 s of delay.
pub fn compare(reference: &[i16], degraded: &[i16]) -> Option<Report> {
    compare_within(reference, degraded, 3_000)
}

/// Compares the two; the delay is searched within ±`max_delay_ms`.
/// `None` when there is nothing to compare: no speech in the reference, silence in the degraded one, or both shorter than 20 ms.
pub fn compare_within(reference: &[i16], degraded: &[i16], max_delay_ms: u32) -> Option<Report> {
    let delay = align::delay(reference, degraded, max_delay_ms as usize * PER_MS_8K)?;
    let (from, to) = align::overlap(reference, degraded, delay);
    let (energy, cross, other) = from.iter().zip(to).fold((0.0, 0.0, 0.0), |(energy, cross, other), (r, d)| {
        let (r, d) = (f64::from(*r), f64::from(*d));
        (energy + r * r, cross + r * d, other + d * d)
    });
    if energy == 0.0 || other == 0.0 {
        return None;
    }
    let speech: Vec<(&[i16], &[i16])> = (from.chunks_exact(SEGMENT).zip(to.chunks_exact(SEGMENT)).zip(speech(from)))
        .filter_map(|(pair, speech)| speech.then_some(pair))
        .collect();
    // The median, so that a few lost segments do not bend the level of all. A polarity that is turned round is not heard; the gain keeps its
    // sign, so that it is not a difference here either.
    let gain = median(speech.iter().map(|(r, d)| segment_gain(r, d)).collect())?;
    let mut snr: Vec<f64> = speech.iter().map(|(r, d)| segment_snr(r, d, gain)).collect();
    snr.sort_by(f64::total_cmp);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let clicks = faults::clicks(from, to, gain);
    // Positions are told on the degraded recording's own clock.
    let start = usize::try_from(delay).unwrap_or(0);
    Some(Report {
        delay_ms: delay as f64 / PER_MS_8K as f64,
        level_db: 20.0 * gain.abs().log10(),
        correlation: cross / (energy * other).sqrt(),
        segmental_snr_db: mean(&snr),
        worst_snr_db: mean(&snr[..snr.len().div_ceil(10)]),
        gaps: faults::gaps(from, to, start),
        border_clicks: faults::on_one_grid(&clicks, SEGMENT),
        clicks: clicks.into_iter().map(|(at, size)| Click { at_ms: faults::ms(start + at), size }).collect(),
        speech_ms: (snr.len() * SEGMENT / PER_MS_8K) as u32,
    })
}

/// Which 20 ms segments are speech: within 35 dB of the loudest.
fn speech(samples: &[i16]) -> Vec<bool> {
    let energy: Vec<f64> =
        samples.chunks_exact(SEGMENT).map(|segment| segment.iter().map(|s| f64::from(*s).powi(2)).sum()).collect();
    let loudest = energy.iter().copied().fold(0.0, f64::max);
    energy.into_iter().map(|energy| energy > 0.0 && energy >= loudest * 10f64.powf(-SPEECH_RANGE_DB / 10.0)).collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn segment_gain(reference: &[i16], degraded: &[i16]) -> f64 {
    let (cross, energy) = reference.iter().zip(degraded).fold((0.0, 0.0), |(cross, energy), (r, d)| {
        (cross + f64::from(*r) * f64::from(*d), energy + f64::from(*r).powi(2))
    });
    cross / energy
}

fn segment_snr(reference: &[i16], degraded: &[i16], gain: f64) -> f64 {
    let (mut signal, mut noise) = (0.0, 0.0);
    for (r, d) in reference.iter().zip(degraded) {
        let wanted = gain * f64::from(*r);
        signal += wanted * wanted;
        noise += (f64::from(*d) - wanted).powi(2);
    }
    (10.0 * (signal / noise.max(f64::MIN_POSITIVE)).log10()).clamp(SNR_RANGE.0, SNR_RANGE.1)
}

#[cfg(test)]
mod tests;
