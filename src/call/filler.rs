//! A soft tone while the agent thinks (R7, R12; invariant 11: no more than 2 s of unexplained silence).
//!
//! The clock starts when the caller's turn ended, a tool runs or a greeting was asked for; agent speech stops it.

use crate::audio::pcm::Rate;
use std::time::{Duration, Instant};

/// Silence before the tone.
const PATIENCE: Duration = Duration::from_millis(1_700);
/// An answer that has not come by then is not coming: the caller speaks again, or the silence clock does.
const GIVE_UP: Duration = Duration::from_secs(60);
/// One blip and the pause after it.
const BLIP_MS: usize = 150;
const PERIOD_MS: usize = 1_500;
/// Peak, about -30 dBFS.
const PEAK: i32 = 1_000;

/// When the tone plays.
#[derive(Debug, Default)]
pub(super) struct Filler {
    owed_since: Option<Instant>,
}

impl Filler {
    /// `owed`: the agent owes the caller an answer and says nothing now. `endless`: what is waited for has a deadline of its own.
    /// Whether the tone plays now.
    pub fn update(&mut self, now: Instant, owed: bool, endless: bool) -> bool {
        self.owed_since = if owed { self.owed_since.or(Some(now)) } else { None };
        self.owed_since.is_some_and(|t| now >= t + PATIENCE && (endless || now < t + GIVE_UP))
    }
    pub fn timeout(&self, now: Instant) -> Option<Instant> {
        let since = self.owed_since?;
        [since + PATIENCE, since + GIVE_UP].into_iter().find(|t| *t > now)
    }
}

/// A short triangle at 400 Hz, again and again.
#[derive(Clone, Debug)]
pub(super) struct Tone {
    rate: Rate,
    position: usize,
}

impl Tone {
    pub fn new(rate: Rate) -> Tone {
        Tone { rate, position: 0 }
    }
    pub fn fill(&mut self, frame: &mut [i16]) {
        for sample in frame {
            *sample = if self.position < self.rate.samples(BLIP_MS) { self.blip() } else { 0 };
            self.position = (self.position + 1) % self.rate.samples(PERIOD_MS);
        }
    }

    fn blip(&self) -> i16 {
        // Half a period is 1.25 ms; 10 ms ramps at both ends, so that nothing clicks.
        let half = (self.rate.samples(10) / 8) as i32;
        let phase = self.position as i32 % (2 * half);
        let triangle = if phase < half { phase * 2 - (half - 1) } else { 3 * half - 1 - phase * 2 };
        let (ends, ramp) = (self.rate.samples(BLIP_MS) - 1 - self.position, self.rate.samples(10));
        let level = self.position.min(ends).min(ramp) as i32;
        (triangle * PEAK / (half - 1) * level / ramp as i32) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    /// R7: the tone begins before two seconds of silence are over, and is soft.
    #[test]
    fn tone_begins_in_time() {
        let start = clock::now();
        let mut filler = Filler::default();
        assert!(!filler.update(start, true, false));
        assert!(!filler.update(start + Duration::from_millis(1_600), true, false));
        let due = filler.timeout(start).expect("the clock runs");
        assert!(due < start + Duration::from_secs(2));
        assert!(filler.update(due, true, false));
        assert!(!filler.update(start + Duration::from_secs(3), false, false));
        assert_eq!(filler.timeout(start), None);
    }

    #[test]
    fn tone_is_soft_and_pauses() {
        for rate in [Rate::Hz8000, Rate::Hz16000, Rate::Hz24000] {
            let mut samples = vec![1i16; rate.samples(PERIOD_MS)];
            Tone::new(rate).fill(&mut samples);
            let (tone, pause) = samples.split_at(rate.samples(BLIP_MS));
            assert!(tone.iter().all(|s| i32::from(s.unsigned_abs()) <= PEAK));
            assert!(tone.iter().any(|s| s.unsigned_abs() > 800));
            assert!(pause.iter().all(|s| *s == 0));
            // 400 Hz: it crosses zero 800 times a second.
            let crossings = tone.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
            assert!((110..=125).contains(&crossings), "{rate:?}: {crossings}");
        }
    }
}
