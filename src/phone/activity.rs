//! When somebody speaks, judged by level: frames above −45 dBFS, with a hang-over that bridges the pauses between words.

/// Mean square of −45 dBFS (full scale sine = 0 dBFS is left aside: 32768² · 10^−4.5).
const SPEECH_MEAN_SQUARE: i64 = 33_900;
/// Pauses shorter than this belong to the speech around them.
pub const HANGOVER_MS: u32 = 300;

/// Whether a frame is loud enough to be speech.
pub fn is_loud(frame: &[i16]) -> bool {
    let energy: i64 = frame.iter().map(|&s| i64::from(s) * i64::from(s)).sum();
    energy > SPEECH_MEAN_SQUARE * frame.len() as i64
}

/// Live detector: one call per frame.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// Milliseconds since the current speech began; `None` = silence.
    speaking_ms: Option<u32>,
    quiet_ms: u32,
    /// Speech was heard at least once.
    heard: bool,
}

/// What changed with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Started,
    Stopped,
}

impl Activity {
    /// Takes a frame of `ms` milliseconds.
    pub fn frame(&mut self, frame: &[i16], ms: u32) -> Option<Change> {
        if is_loud(frame) {
            self.quiet_ms = 0;
            self.heard = true;
            match &mut self.speaking_ms {
                Some(so_far) => *so_far += ms,
                None => {
                    self.speaking_ms = Some(ms);
                    return Some(Change::Started);
                }
            }
            return None;
        }
        self.quiet_ms = self.quiet_ms.saturating_add(ms);
        if let Some(so_far) = &mut self.speaking_ms {
            *so_far += ms;
            if self.quiet_ms >= HANGOVER_MS {
                self.speaking_ms = None;
                return Some(Change::Stopped);
            }
        }
        None
    }

    /// How long the current speech has lasted, ms.
    pub fn speaking_ms(&self) -> Option<u32> {
        self.speaking_ms
    }

    /// How long it has been quiet, ms; 0 while nobody has spoken yet.
    pub fn quiet_after_speech_ms(&self) -> u32 {
        if self.heard { self.quiet_ms } else { 0 }
    }
}

/// Stretches of speech in a recording, as `(start, end)` in ms, pauses up to `bridge_ms` bridged.
pub fn stretches(samples: &[i16], samples_per_ms: usize, bridge_ms: u32) -> Vec<(u32, u32)> {
    const FRAME_MS: usize = 10;
    let mut found: Vec<(u32, u32)> = Vec::new();
    for (index, frame) in samples.chunks(FRAME_MS * samples_per_ms).enumerate() {
        if !is_loud(frame) {
            continue;
        }
        let start = (index * FRAME_MS) as u32;
        let end = start + FRAME_MS as u32;
        match found.last_mut() {
            Some(last) if start - last.1 <= bridge_ms => last.1 = end,
            _ => found.push((start, end)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(ms: usize) -> Vec<i16> {
        (0..ms * 8).map(|i| ((i as f32 * 0.6).sin() * 6000.0) as i16).collect()
    }

    #[test]
    fn speech_is_reported_once_and_short_pauses_are_bridged() {
        let mut activity = Activity::default();
        let (loud, quiet) = (tone(20), vec![0; 160]);
        assert_eq!(activity.frame(&loud, 20), Some(Change::Started));
        for _ in 0..(HANGOVER_MS / 20 - 1) {
            assert_eq!(activity.frame(&quiet, 20), None);
        }
        assert_eq!(activity.frame(&loud, 20), None, "a pause below the hang-over is part of the speech");
        for _ in 0..(HANGOVER_MS / 20 - 1) {
            assert_eq!(activity.frame(&quiet, 20), None);
        }
        assert_eq!(activity.frame(&quiet, 20), Some(Change::Stopped));
        assert_eq!(activity.speaking_ms(), None);
        assert_eq!(activity.quiet_after_speech_ms(), HANGOVER_MS);
    }

    #[test]
    fn stretches_name_start_and_end() {
        let mut track = vec![0; 800 * 8];
        track.extend(tone(500));
        track.extend(vec![0; 100 * 8]);
        track.extend(tone(200));
        track.extend(vec![0; 1000 * 8]);
        track.extend(tone(50));
        assert_eq!(stretches(&track, 8, 200), vec![(800, 1600), (2600, 2650)]);
    }

    #[test]
    fn faint_noise_is_silence() {
        let noise: Vec<i16> = (0..160).map(|i| if i % 2 == 0 { 90 } else { -90 }).collect();
        assert!(!is_loud(&noise));
    }
}
