//! Server VAD: voice scores (door of crate earshot) and the turn rules over them.
//!
//! In: samples of the input, any rate. Out: where speech starts and stops on the clock of received audio. A turn starts after
//! [`VOICED_FRAMES`] voiced frames in a row and stops after `silence_duration_ms` without one.

use super::polyphase::Polyphase;
pub use super::settings::TurnDetection;
use earshot::Detector;

const FRAME: usize = 256;
const FRAME_MS: u64 = 16;
const DETECTOR_HZ: u32 = 16_000;
/// 48 ms: a click is not a turn.
const VOICED_FRAMES: u64 = 3;
/// A score looks back over three windows of 48 ms: measured on our clips, it rises this late and falls this late.
const RISE_MS: u64 = 32;
const FALL_MS: u64 = 64;
/// Once in speech, the score may be this much lower and still count.
const HYSTERESIS: f32 = 0.15;

/// A border of a turn, in milliseconds of received audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// The onset, padding not included.
    Started { onset_ms: u64 },
    /// The moment of the decision, silence included.
    Stopped { end_ms: u64 },
}

/// The detector of one session.
pub struct Vad {
    detector: Box<Detector>,
    converter: Polyphase,
    converted: Vec<i16>,
    rules: TurnDetection,
    clock_ms: u64,
    voiced: u64,
    /// End of the last voiced frame, while in speech.
    speech: Option<u64>,
}

impl Vad {
    /// `clock_ms`: received audio so far.
    pub fn new(rules: TurnDetection, input_hz: u32, clock_ms: u64) -> Vad {
        Vad {
            detector: Box::default(),
            converter: Polyphase::between(input_hz, DETECTOR_HZ),
            converted: Vec::new(),
            rules,
            clock_ms,
            voiced: 0,
            speech: None,
        }
    }
    pub fn set_rules(&mut self, rules: TurnDetection) {
        self.rules = rules;
    }
    pub fn in_speech(&self) -> bool {
        self.speech.is_some()
    }
    /// Forgets a turn that has begun (the buffer was cleared or committed).
    pub fn forget_turn(&mut self) {
        self.speech = None;
        self.voiced = 0;
    }
    /// Listens; appends the borders found, in order.
    pub fn push(&mut self, samples: &[i16], borders: &mut Vec<Border>) {
        let mut converted = std::mem::take(&mut self.converted);
        self.converter.process(samples, &mut converted);
        let (frames, rest) = converted.as_chunks::<FRAME>();
        for frame in frames {
            let score = self.detector.predict_i16(frame);
            self.clock_ms += FRAME_MS;
            borders.extend(self.judge(score));
        }
        self.converted = rest.to_vec();
    }

    fn judge(&mut self, score: f32) -> Option<Border> {
        match &mut self.speech {
            None if score >= self.rules.threshold => {
                self.voiced += 1;
                (self.voiced >= VOICED_FRAMES).then(|| {
                    self.speech = Some(self.clock_ms);
                    Border::Started { onset_ms: self.clock_ms.saturating_sub(VOICED_FRAMES * FRAME_MS + RISE_MS) }
                })
            }
            None => {
                self.voiced = 0;
                None
            }
            Some(last_voiced_ms) if score >= self.rules.threshold - HYSTERESIS => {
                *last_voiced_ms = self.clock_ms;
                None
            }
            Some(last_voiced_ms) => {
                let silent_ms = (self.clock_ms + FALL_MS).saturating_sub(*last_voiced_ms);
                (silent_ms >= u64::from(self.rules.silence_duration_ms)).then(|| {
                    self.forget_turn();
                    Border::Stopped { end_ms: self.clock_ms }
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime_sim::speech;

    fn rules(silence_duration_ms: u32) -> TurnDetection {
        TurnDetection { silence_duration_ms, ..TurnDetection::default() }
    }

    /// Each caller line is one turn, from silence, with the asked pause after it, on both input rates.
    #[test]
    fn every_caller_line_is_one_turn_with_the_asked_pause() {
        for silence_duration_ms in [200, 500, 800] {
            for hz in [8_000, 24_000] {
                for line in speech::caller_lines() {
                    let mut audio = vec![0i16; 8_000];
                    audio.extend_from_slice(&line.samples);
                    audio.resize(audio.len() + 12_000, 0);
                    let mut input = Vec::new();
                    Polyphase::between(8_000, hz).process(&audio, &mut input);
                    let mut vad = Vad::new(rules(silence_duration_ms), hz, 0);
                    let mut borders = Vec::new();
                    for piece in input.chunks(hz as usize / 50) {
                        vad.push(piece, &mut borders);
                    }
                    let [Border::Started { onset_ms }, Border::Stopped { end_ms }] = borders[..] else {
                        panic!("{} at {hz} Hz, {silence_duration_ms} ms: {borders:?}", line.name);
                    };
                    let speech_end_ms = 1_000 + line.samples.len() as u64 / 8;
                    let paused_ms = end_ms as i64 - speech_end_ms as i64;
                    assert!((1_000..=1_060).contains(&onset_ms), "{} starts at {onset_ms}", line.name);
                    assert!(
                        paused_ms.abs_diff(i64::from(silence_duration_ms)) <= 60,
                        "{}: pause {paused_ms}",
                        line.name
                    );
                }
            }
        }
    }

    #[test]
    fn noise_and_silence_are_no_turn() {
        let mut seed = 1u32;
        let mut noise = Vec::new();
        for _ in 0..80_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.push(((seed >> 16) as i16) / 128); // about -47 dBFS
        }
        let mut borders = Vec::new();
        Vad::new(rules(500), 8_000, 0).push(&noise, &mut borders);
        assert_eq!(borders, []);
    }
}
