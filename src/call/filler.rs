//! A soft tone while the agent thinks (R7, R12; invariant 11: no more than 2 s of unexplained silence).
//!
//! The clock starts when the caller's turn ended, a tool runs or a greeting was asked for; agent speech stops it.

use std::time::{Duration, Instant};

/// Silence before the tone.
const PATIENCE: Duration = Duration::from_millis(1_700);
/// An answer that has not come by then is not coming: the caller speaks again, or the silence clock does.
const GIVE_UP: Duration = Duration::from_secs(60);
/// One blip and the pause after it, samples at 8 kHz.
const BLIP: usize = 1_200;
const PERIOD: usize = 12_000;
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
#[derive(Clone, Debug, Default)]
pub(super) struct Tone {
    position: usize,
}

impl Tone {
    pub fn fill(&mut self, frame: &mut [i16]) {
        for sample in frame {
            *sample = if self.position < BLIP { blip(self.position) } else { 0 };
            self.position = (self.position + 1) % PERIOD;
        }
    }
}

fn blip(position: usize) -> i16 {
    // 20 samples a period; 10 ms ramps at both ends, so that nothing clicks.
    let phase = (position % 20) as i32;
    let triangle = if phase < 10 { phase * 2 - 9 } else { 29 - phase * 2 };
    let ramp = position.min(BLIP - 1 - position).min(80) as i32;
    (triangle * PEAK / 9 * ramp / 80) as i16
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
        let mut samples = vec![1i16; PERIOD];
        Tone::default().fill(&mut samples);
        assert!(samples.iter().all(|s| i32::from(s.unsigned_abs()) <= PEAK));
        assert!(samples[..BLIP].iter().any(|s| s.unsigned_abs() > 800));
        assert!(samples[BLIP..].iter().all(|s| *s == 0));
    }
}
