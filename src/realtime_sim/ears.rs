//! The input audio buffer of a session: what was received, its clock, what is held for a commit, and the VAD over it.

use super::format::Format;
use super::settings::{Settings, TurnDetection};
use super::shape::Refused;
use super::vad::{Border, Vad};

/// Audio held for one turn. A client that does its own turn taking must commit before; under VAD the oldest goes.
const MOST_HELD: usize = 32 << 20;
/// Audio held while nobody speaks, for a manual commit beside the VAD.
const QUIET_MS: u64 = 5_000;
/// `commit` needs this much.
const LEAST_COMMIT_MS: u64 = 100;

/// The buffer. All times are milliseconds of audio received since the session began.
pub struct Ears {
    format: Format,
    /// Clock at the last change of format, and bytes since.
    base_ms: u64,
    received: u64,
    held: Vec<u8>,
    vad: Option<Vad>,
    prefix_padding_ms: u64,
    samples: Vec<i16>,
    /// A lone first byte of a PCM sample.
    odd: Option<u8>,
}

impl Ears {
    pub fn new(settings: &Settings) -> Ears {
        let mut ears = Ears {
            format: settings.input_format(),
            base_ms: 0,
            received: 0,
            held: Vec::new(),
            vad: None,
            prefix_padding_ms: 0,
            samples: Vec::new(),
            odd: None,
        };
        ears.configure(settings.input_format(), settings.turn_detection());
        ears
    }
    /// Takes over changed settings; a new format drops what is held.
    pub fn configure(&mut self, format: Format, rules: Option<TurnDetection>) {
        if format != self.format {
            self.base_ms = self.clock_ms();
            (self.received, self.odd, self.vad, self.format) = (0, None, None, format);
            self.held.clear();
        }
        self.prefix_padding_ms = rules.map_or(0, |rules| u64::from(rules.prefix_padding_ms));
        let clock_ms = self.clock_ms();
        match (&mut self.vad, rules) {
            (Some(vad), Some(rules)) => vad.set_rules(rules),
            (vad, Some(rules)) => *vad = Some(Vad::new(rules, format.hz(), clock_ms)),
            (vad, None) => *vad = None,
        }
    }
    pub fn clock_ms(&self) -> u64 {
        self.base_ms + self.received / self.format.bytes_per_ms() as u64
    }
    pub fn in_speech(&self) -> bool {
        self.vad.as_ref().is_some_and(Vad::in_speech)
    }
    /// Takes audio in; appends the borders of turns it brought. A start's `onset_ms` includes the padding then.
    pub fn append(&mut self, audio: &[u8], borders: &mut Vec<Border>) -> Result<(), Refused> {
        if self.held.len() + audio.len() > MOST_HELD {
            if self.vad.is_none() {
                return Err(Refused::new("invalid_value", "The input audio buffer is full. Commit or clear it."));
            }
            self.held.drain(..self.held.len() / 4 * 2);
        }
        let held_before_ms = self.held_from_ms();
        self.received += audio.len() as u64;
        self.held.extend_from_slice(audio);
        let Some(vad) = &mut self.vad else { return Ok(()) };
        self.samples.clear();
        let mut audio = audio;
        if self.format == Format::Pcm24k {
            if let (Some(low), Some((high, rest))) = (self.odd, audio.split_first()) {
                self.samples.push(i16::from_le_bytes([low, *high]));
                (self.odd, audio) = (None, rest);
            }
            if audio.len() % 2 == 1 {
                self.odd = audio.last().copied();
            }
        }
        self.format.decode(audio, &mut self.samples);
        let first = borders.len();
        vad.push(&self.samples, borders);
        for border in borders.iter_mut().skip(first) {
            if let Border::Started { onset_ms } = border {
                *onset_ms = onset_ms.saturating_sub(self.prefix_padding_ms).max(held_before_ms);
            }
        }
        if !vad.in_speech() && borders.len() == first {
            let most = QUIET_MS as usize * self.format.bytes_per_ms();
            if self.held.len() > 2 * most {
                self.held.drain(..self.held.len() - most);
            }
        }
        Ok(())
    }
    /// Takes a turn out: the audio between two moments. What came before is gone, what came after stays.
    pub fn take(&mut self, from_ms: u64, to_ms: u64) -> Vec<u8> {
        let start = self.held_from_ms();
        let bytes = |ms: u64| (ms.saturating_sub(start) as usize * self.format.bytes_per_ms()).min(self.held.len());
        let (from, to) = (bytes(from_ms), bytes(to_ms));
        let mut taken: Vec<u8> = self.held.drain(..to.max(from)).collect();
        taken.drain(..from);
        taken
    }
    /// A manual commit: everything held.
    pub fn commit(&mut self) -> Result<Vec<u8>, Refused> {
        let ms = self.held.len() as u64 / self.format.bytes_per_ms() as u64;
        if ms < LEAST_COMMIT_MS {
            let message = format!(
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has {ms}.00ms of audio."
            );
            return Err(Refused::new("input_audio_buffer_commit_empty", message));
        }
        if let Some(vad) = &mut self.vad {
            vad.forget_turn();
        }
        Ok(std::mem::take(&mut self.held))
    }
    pub fn clear(&mut self) {
        self.held.clear();
        if let Some(vad) = &mut self.vad {
            vad.forget_turn();
        }
    }

    fn held_from_ms(&self) -> u64 {
        self.base_ms + self.received.saturating_sub(self.held.len() as u64) / self.format.bytes_per_ms() as u64
    }
}
