//! Loss concealment at the line's rate: repeats the last pitch period and fades to silence within 60 ms (G.711 Appendix I idea).
//!
//! In: good audio as it comes, and how much is missing. Out: replacement for what is missing; the good audio after it, cross-faded.
//! Other than Appendix I nothing is delayed: the seam to the past is closed by a decaying offset in place of a late overlap.
//! Lengths below are in samples at 8 kHz; at another rate each counts `scale` times.

use super::pcm::{PER_MS_8K, Rate, to_i16};

/// Pitch searched: 5-15 ms (200-67 Hz); a higher voice is found at a multiple of its period.
const MIN_LAG: usize = 40;
const MAX_LAG: usize = 120;
/// Window that is compared, 7.5 ms: of 20 ms the older part is another sound already (PESQ at 10 % loss: +0.1 against 20 ms).
const COMPARED: usize = 60;
/// What is remembered, 35 ms: more than is compared, for a change of rate.
const HISTORY: usize = 280;
/// Full level until here (10 ms), silence from [`FADE_END`] on (60 ms).
const FADE_BEGIN: usize = 80;
const FADE_END: usize = 480;
/// Cross-fade back to good audio: 1 ms, and 2 ms more per 10 ms lost, up to 3 ms: longer ones spoil more good audio than they smooth.
const MIN_OVERLAP: usize = 8;
const MAX_OVERLAP: usize = 24;

/// The machine.
pub struct Concealer {
    rate: Rate,
    scale: usize,
    /// The last 35 ms given out.
    history: Vec<i16>,
    /// The pitch period that is being repeated: the first `lag` values.
    period: Vec<f32>,
    lag: usize,
    /// Step between the last real sample and the one that fits before the period; decays over a quarter period.
    offset: f32,
    /// Samples synthesised since the loss began.
    lost: usize,
    /// Cross-fade still to do: how long it is, and how much of it is done. Length 0 = none.
    overlap: usize,
    overlapped: usize,
}

impl Concealer {
    pub fn new(rate: Rate) -> Concealer {
        let scale = rate.per_ms() / PER_MS_8K;
        Concealer {
            rate,
            scale,
            history: vec![0; HISTORY * scale],
            period: vec![0.0; MAX_LAG * scale],
            lag: MIN_LAG * scale,
            offset: 0.0,
            lost: 0,
            overlap: 0,
            overlapped: 0,
        }
    }
    pub fn rate(&self) -> Rate {
        self.rate
    }
    /// The last 35 ms given out.
    pub fn recent(&self) -> &[i16] {
        &self.history
    }
    /// Goes on at another rate, with the same past: only such a change allocates.
    pub fn set_rate(&mut self, rate: Rate) {
        if rate == self.rate {
            return;
        }
        let mut next = Concealer::new(rate);
        interpolate(&self.history, &mut next.history);
        *self = next;
    }
    /// Good audio, changed in place only right after a loss (cross-fade).
    pub fn good(&mut self, samples: &mut [i16]) {
        if self.lost > 0 && self.overlap == 0 {
            self.overlap = (MIN_OVERLAP * self.scale + self.lost / 5).min(MAX_OVERLAP * self.scale);
            self.overlapped = 0;
        }
        for sample in samples.iter_mut().take(self.overlap - self.overlapped) {
            self.overlapped += 1;
            let share = self.overlapped as f32 / (self.overlap + 1) as f32;
            let synthetic = self.next_synthetic();
            *sample = to_i16(f32::from(*sample) * share + synthetic * (1.0 - share));
        }
        if self.overlapped == self.overlap {
            (self.lost, self.overlap, self.overlapped) = (0, 0, 0);
        }
        self.remember(samples);
    }
    /// Appends `samples` of replacement.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        if samples == 0 {
            return;
        }
        // A loss during the cross-fade goes on with the same period, or with a new one once real audio is under it.
        if self.lost == 0 || self.overlap > 0 {
            self.analyse();
        }
        let from = out.len();
        for _ in 0..samples {
            out.push(to_i16(self.next_synthetic()));
        }
        // Longer than the fade is silence: the history need not see more than its own length.
        let tail = out.len() - samples.min(self.history.len());
        self.remember(&out[tail.max(from)..]);
    }

    /// Finds the pitch and prepares the period: its end is blended into what came before its beginning, so that it repeats without a step.
    fn analyse(&mut self) {
        (self.lost, self.overlap, self.overlapped) = (0, 0, 0);
        self.lag = pitch(&self.history, self.scale);
        let length = self.history.len();
        let last = length - 1;
        let at = |index: usize| f32::from(self.history[index]);
        let quarter = self.lag / 4;
        for n in 0..self.lag {
            self.period[n] = at(length - self.lag + n);
        }
        for n in 0..quarter {
            let share = (n + 1) as f32 / quarter as f32;
            let index = self.lag - quarter + n;
            let before = at(length - self.lag - quarter + n);
            self.period[index] = self.period[index] * (1.0 - share) + before * share;
        }
        self.offset = at(last) - at(last - self.lag);
    }

    fn next_synthetic(&mut self) -> f32 {
        let n = self.lost;
        self.lost = self.lost.saturating_add(1);
        let (fade_begin, fade_end) = (FADE_BEGIN * self.scale, FADE_END * self.scale);
        if n >= fade_end {
            return 0.0;
        }
        let quarter = self.lag / 4;
        let offset = if n < quarter { self.offset * (quarter - n) as f32 / (quarter + 1) as f32 } else { 0.0 };
        let gain = if n < fade_begin { 1.0 } else { (fade_end - n) as f32 / (fade_end - fade_begin) as f32 };
        (self.period[n % self.lag] + offset) * gain
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = self.history.len();
        let new = &samples[samples.len().saturating_sub(length)..];
        self.history.copy_within(new.len().., 0);
        self.history[length - new.len()..].copy_from_slice(new);
    }
}

/// The lag with the highest normalised correlation over the last 7.5 ms. Looks at every `scale`-th sample: as fine, and as cheap, as at 8 kHz.
fn pitch(history: &[i16], scale: usize) -> usize {
    let from = history.len() - COMPARED * scale;
    let recent = &history[from..];
    let mut best = (MIN_LAG * scale, 0.0f32);
    for lag in (MIN_LAG..=MAX_LAG).map(|lag| lag * scale) {
        let earlier = &history[from - lag..history.len() - lag];
        let (mut cross, mut energy) = (0i64, 0i64);
        for (a, b) in recent.iter().zip(earlier).step_by(scale) {
            cross += i64::from(*a) * i64::from(*b);
            energy += i64::from(*b) * i64::from(*b);
        }
        let score = if energy > 0 { cross as f32 / (energy as f32).sqrt() } else { 0.0 };
        if score > best.1 {
            best = (lag, score);
        }
    }
    best.0
}

/// The same time in another number of samples, by straight lines; both end at the same instant. Good enough for the past.
fn interpolate(from: &[i16], to: &mut [i16]) {
    let (n, m) = (from.len(), to.len());
    for (index, out) in to.iter_mut().enumerate() {
        // From the end, so that the newest sample stays the newest.
        let back = (m - 1 - index) as f32 * n as f32 / m as f32;
        let (whole, part) = (back as usize, back.fract());
        let at = |steps: usize| f32::from(from[(n - 1).saturating_sub(steps)]);
        *out = (at(whole) * (1.0 - part) + at(whole + 1) * part) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn sine(hz: f64, from: usize, len: usize) -> Vec<i16> {
        (from..from + len).map(|n| ((TAU * hz * n as f64 / 8000.0).sin() * 10_000.0) as i16).collect()
    }

    fn largest_step(samples: &[i16]) -> i32 {
        samples.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
    }

    fn rms(samples: &[i16]) -> f64 {
        (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
    }

    /// Good audio up to `lost_at`, a loss, good audio again; all that was given out.
    fn with_loss(hz: f64, lost_at: usize, lost: usize) -> Vec<i16> {
        let mut concealer = Concealer::new(Rate::Hz8000);
        let mut all = Vec::new();
        for at in (0..lost_at).step_by(160) {
            let mut frame = sine(hz, at, 160);
            concealer.good(&mut frame);
            all.extend(frame);
        }
        concealer.conceal(lost, &mut all);
        for at in (lost_at + lost..lost_at + lost + 480).step_by(160) {
            let mut frame = sine(hz, at, 160);
            concealer.good(&mut frame);
            all.extend(frame);
        }
        all
    }

    /// RTP-04: no click at either border of a loss, at any pitch and phase: no step much larger than the sine's own.
    #[test]
    fn a_loss_does_not_click() {
        for tenths in 700..4000 {
            if tenths % 37 != 0 {
                continue;
            }
            let hz = f64::from(tenths) / 10.0;
            for lost in [160, 320, 480, 800] {
                let own = largest_step(&sine(hz, 0, 800));
                let step = largest_step(&with_loss(hz, 1600, lost));
                assert!(step <= own * 3 / 2 + 200, "{hz} Hz, {lost} lost: step {step}, own {own}");
            }
        }
    }

    /// RTP-04: the first 10 ms keep the level, then it falls, and after 60 ms there is silence.
    #[test]
    fn a_loss_fades_to_silence_within_60_ms() {
        let all = with_loss(180.0, 1600, 1600);
        let level = rms(&all[1200..1600]);
        let energy: Vec<f64> = all[1600..3200].chunks(80).map(rms).collect();
        assert!((0.9..1.1).contains(&(energy[0] / level)), "{energy:?}");
        assert!(energy[..7].windows(2).skip(1).all(|pair| pair[1] < pair[0]), "{energy:?}");
        assert!(all[1600 + FADE_END..3200].iter().all(|sample| *sample == 0));
    }

    #[test]
    fn a_periodic_signal_goes_on_almost_unchanged() {
        let all = with_loss(200.0, 1600, 80);
        let clean = sine(200.0, 0, all.len());
        let worst = all.iter().zip(&clean).map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).max();
        // The overlap to the good audio lies in the fade, at 90 % of the level in its middle.
        assert!(worst.is_some_and(|worst| worst < 500), "{worst:?}");
    }

    #[test]
    fn good_audio_is_not_touched_without_a_loss() {
        let mut concealer = Concealer::new(Rate::Hz8000);
        let mut frame = sine(300.0, 0, 160);
        concealer.good(&mut frame);
        assert_eq!(frame, sine(300.0, 0, 160));
    }

    #[test]
    fn good_audio_comes_back_within_3_ms() {
        let all = with_loss(300.0, 1600, 800);
        assert_eq!(all[2400 + MAX_OVERLAP..], sine(300.0, 2400 + MAX_OVERLAP, 480 - MAX_OVERLAP));
    }

    #[test]
    fn nothing_lost_changes_nothing() {
        let mut concealer = Concealer::new(Rate::Hz8000);
        let mut out = Vec::new();
        for at in [0, 160, 320] {
            let mut frame = sine(300.0, at, 160);
            concealer.conceal(0, &mut out);
            concealer.good(&mut frame);
            assert_eq!(frame, sine(300.0, at, 160));
        }
        assert!(out.is_empty());
    }

    #[test]
    fn a_loss_before_any_audio_is_silence() {
        let mut out = Vec::new();
        Concealer::new(Rate::Hz8000).conceal(500, &mut out);
        assert_eq!(out, [0; 500]);
    }

    #[test]
    fn losses_in_a_row_and_short_pieces_keep_going() {
        let mut concealer = Concealer::new(Rate::Hz8000);
        let mut all = Vec::new();
        for n in 0..200 {
            let mut piece = sine(220.0, n * 17, 17);
            if n % 3 == 1 {
                concealer.conceal(17, &mut all);
            } else {
                concealer.good(&mut piece);
                all.extend(piece);
            }
        }
        assert_eq!(all.len(), 200 * 17);
        assert!(largest_step(&all) < 4000, "{}", largest_step(&all));
    }

    #[test]
    fn full_scale_does_not_wrap() {
        let mut concealer = Concealer::new(Rate::Hz8000);
        let mut square: Vec<i16> = (0..320).map(|n| if n / 25 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        concealer.good(&mut square);
        let mut out = Vec::new();
        concealer.conceal(100, &mut out);
        // A wrap would put a sample of the wrong sign into the middle of a half period.
        assert!(out[30..80].windows(3).all(|w| !(w[0] > 20_000 && w[1] < -20_000 && w[2] > 20_000)), "{out:?}");
        assert!(rms(&out) > 20_000.0);
    }

    /// RTP-04: at a wideband line's rate a loss is filled as at 8 kHz: same time, same fade, no click.
    #[test]
    fn other_rates_conceal_alike() {
        for rate in [Rate::Hz16000, Rate::Hz24000] {
            let wave = |from: usize, ms: usize| -> Vec<i16> {
                let hz = f64::from(rate.hz());
                let len = rate.samples(ms);
                (from..from + len).map(|n| ((TAU * 180.0 * n as f64 / hz).sin() * 10_000.0) as i16).collect()
            };
            let mut concealer = Concealer::new(rate);
            let mut all = wave(0, 200);
            concealer.good(&mut all);
            concealer.conceal(rate.samples(100), &mut all);
            let mut back = wave(all.len(), 40);
            concealer.good(&mut back);
            all.extend(&back);
            let ms = |from: usize, to: usize| rms(&all[rate.samples(from)..rate.samples(to)]);
            assert!((0.9..1.1).contains(&(ms(200, 210) / ms(190, 200))), "{rate:?}");
            assert!(all[rate.samples(260)..rate.samples(300)].iter().all(|sample| *sample == 0), "{rate:?}");
            let own = largest_step(&wave(0, 100));
            assert!(largest_step(&all) <= own * 3 / 2 + 100, "{rate:?}: {} of {own}", largest_step(&all));
        }
    }

    /// A change of rate keeps the past: a loss right after it goes on with the voice that was there.
    #[test]
    fn a_change_of_rate_keeps_the_past() {
        let mut concealer = Concealer::new(Rate::Hz8000);
        concealer.good(&mut sine(200.0, 0, 320));
        concealer.set_rate(Rate::Hz16000);
        let mut out = Vec::new();
        concealer.conceal(160, &mut out);
        let expected: Vec<i16> =
            (640..800).map(|n| ((TAU * 200.0 * f64::from(n) / 16_000.0).sin() * 10_000.0) as i16).collect();
        let worst = out.iter().zip(&expected).map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).max();
        assert!(worst.is_some_and(|worst| worst < 800), "{worst:?}");
    }
}
