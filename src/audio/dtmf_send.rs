//! DTMF keys as tones in the audio, for a line that takes no telephone-events (ITU-T Q.23).
//!
//! In: keys. Out: frames that replace the audio while one is pressed: 100 ms of tone, 80 ms of silence, at any rate.

use super::pcm::Rate;
use std::collections::VecDeque;
use std::f32::consts::TAU;

const ROWS_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS_HZ: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: &str = "123A456B789C*0#D";
const TONE_MS: usize = 100;
const GAP_MS: usize = 80;
/// What a `,` waits.
const PAUSE_MS: usize = 1_000;
/// Amplitude of each tone: -12 dBFS, about -9 dBm0.
const LEVEL: f32 = 8_230.0;
/// Keys that may wait.
const MOST: usize = 64;

/// What is being sent.
#[derive(Clone, Copy, Debug)]
enum Part {
    Tone { row_hz: f32, column_hz: f32, ms: usize },
    Pause { ms: usize },
}

/// See the module's map.
#[derive(Debug, Default)]
pub struct DtmfTones {
    parts: VecDeque<Part>,
    /// Samples of the first part that are out.
    position: usize,
}

impl DtmfTones {
    /// Queues keys (`0-9*#A-Da-d`, `,` = 1 s pause, others are ignored). `false`: more than 64 would wait, none was taken.
    pub fn send(&mut self, keys: &str) -> bool {
        let part = |key: char| match (key, KEYS.find(key.to_ascii_uppercase())) {
            (',', _) => Some(Part::Pause { ms: PAUSE_MS }),
            (_, Some(at)) => {
                Some(Part::Tone { row_hz: *ROWS_HZ.get(at / 4)?, column_hz: *COLUMNS_HZ.get(at % 4)?, ms: TONE_MS })
            }
            (_, None) => None,
        };
        if self.parts.len() / 2 + keys.chars().filter_map(part).count() > MOST {
            return false;
        }
        for part in keys.chars().filter_map(part) {
            self.parts.push_back(part);
            if let Part::Tone { .. } = part {
                self.parts.push_back(Part::Pause { ms: GAP_MS });
            }
        }
        true
    }

    pub fn is_sending(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Fills the frame, if a key is being sent; what of it is left over is silence.
    pub fn fill(&mut self, rate: Rate, frame: &mut [i16]) -> bool {
        if self.parts.is_empty() {
            return false;
        }
        let fade = rate.samples(5) as f32;
        for sample in frame {
            let Some(part) = self.parts.front() else {
                *sample = 0;
                continue;
            };
            let (value, ms) = match *part {
                Part::Pause { ms } => (0.0, ms),
                Part::Tone { row_hz, column_hz, ms } => {
                    let t = self.position as f32 / rate.hz() as f32;
                    let edge = self.position.min(rate.samples(ms) - self.position) as f32;
                    let sum = (TAU * row_hz * t).sin() + (TAU * column_hz * t).sin();
                    (sum * LEVEL * (edge / fade).min(1.0), ms)
                }
            };
            *sample = value as i16;
            self.position += 1;
            if self.position >= rate.samples(ms) {
                self.position = 0;
                self.parts.pop_front();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::dtmf_detect::DtmfDetector;

    /// Every key is heard by a detector, once and in order, at both rates.
    #[test]
    fn every_key_is_heard() {
        for rate in [Rate::Hz8000, Rate::Hz16000] {
            let mut tones = DtmfTones::default();
            assert!(tones.send("0123456789,*#abcdx"));
            let (mut detector, mut keys) = (DtmfDetector::new(), String::new());
            let mut frame = vec![0; rate.samples(20)];
            while tones.fill(rate, &mut frame) {
                detector.process(rate, &frame, &mut |key| keys.push(key));
            }
            assert_eq!(keys, "0123456789*#ABCD");
        }
    }

    /// What does not fit is refused whole.
    #[test]
    fn the_queue_is_bounded() {
        let mut tones = DtmfTones::default();
        assert!(tones.send(&"1".repeat(64)));
        assert!(!tones.send("2"));
        assert!(DtmfTones::default().send("") && !DtmfTones::default().is_sending());
    }
}
