//! The pre-rendered speech: every line's words and its 8 kHz samples, embedded in the binary (assets/speech).

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// One line that can be spoken.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: String,
    pub text: String,
    /// 8 kHz.
    pub samples: Arc<[i16]>,
}

static TEXTS: &str = include_str!("../../assets/speech/lines.toml");

macro_rules! clips {
    ($side:literal: $($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("../../assets/speech/", $side, "/", $name, ".wav")) as &[u8])),*]
    };
}

static AGENT: &[(&str, &[u8])] = clips!("agent":
    "greeting" "hours" "long_explanation" "go_ahead" "look_up" "appointment_confirmed" "anything_else" "lookup_failed"
    "goodbye" "still_there" "line_busy" "apology" "connecting" "fallback" "you_pressed" "digit_0" "digit_1" "digit_2"
    "digit_3" "digit_4" "digit_5" "digit_6" "digit_7" "digit_8" "digit_9" "digit_star" "digit_pound");
static CALLER: &[(&str, &[u8])] = clips!("caller":
    "opening_hours" "interruption" "book_appointment" "thats_all");

static LINES: LazyLock<[Vec<Line>; 2]> = LazyLock::new(|| {
    let texts: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(TEXTS).unwrap_or_default();
    [("agent", AGENT), ("caller", CALLER)].map(|(side, clips)| {
        let text = |name: &str| texts.get(side).and_then(|lines| lines.get(name)).cloned().unwrap_or_default();
        let line = |&(name, wav): &(&str, &[u8])| Line { name: name.into(), text: text(name), samples: samples(wav) };
        clips.iter().map(line).collect()
    })
});

/// What the agent can say.
pub fn agent_lines() -> &'static [Line] {
    &LINES[0]
}
/// What the scripted caller of tests and of the demo says.
pub fn caller_lines() -> &'static [Line] {
    &LINES[1]
}

/// Our own clips are canonical: a 44 byte header, then 16 bit samples (a test holds it).
fn samples(wav: &[u8]) -> Arc<[i16]> {
    let (pairs, _) = wav.get(44..).unwrap_or_default().as_chunks::<2>();
    pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header fields, length, level and words of every clip; every line of lines.toml has its clip.
    #[test]
    fn the_clips_are_what_the_table_says() {
        let texts: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(TEXTS).unwrap();
        for (side, clips, lines) in [("agent", AGENT, agent_lines()), ("caller", CALLER, caller_lines())] {
            assert_eq!(texts[side].len(), clips.len(), "{side}: lines.toml and the clips differ");
            for ((name, wav), line) in clips.iter().zip(lines) {
                assert_eq!(&wav[..4], b"RIFF", "{name}");
                assert_eq!(wav[20..24], [1, 0, 1, 0], "{name}: PCM, mono");
                assert_eq!(wav[24..28], 8_000u32.to_le_bytes(), "{name}: 8 kHz");
                assert_eq!(&wav[36..40], b"data", "{name}");
                assert_eq!(texts[side][*name], line.text);
                assert!(line.samples.len() > 2_000, "{name} is too short");
                let power = line.samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / line.samples.len() as f64;
                let dbfs = 10.0 * (power / 32768f64.powi(2)).log10();
                assert!((-24.0..=-18.0).contains(&dbfs), "{name}: {dbfs:.1} dBFS");
            }
        }
    }
}
