//! The echo guard on lines of examples/echo, at 8 and 16 kHz: what the service's VAD hears of the agent, and of a caller over it (R14).

#[path = "../../support/echo_line.rs"]
mod line;

use line::{LINES, decibels};
use std::time::Duration;
use voxtrunk::audio::front::{EchoMode, FrontEnd, FrontParams};
use voxtrunk::audio::pcm::Rate;
use voxtrunk::audio::resample;
use voxtrunk::net::clock;
use voxtrunk::realtime_sim::speech;
use voxtrunk::realtime_sim::vad::{Border, TurnDetection, Vad};

const SECONDS: usize = 18;
/// When the caller cuts in.
const CUTS_IN: usize = 15;
const LOSS_DB: f64 = 12.0;

fn agent() -> Vec<i16> {
    let lines = speech::agent_lines().iter().filter(|line| line.samples.len() > 20_000);
    lines.flat_map(|line| line.samples.iter().copied().chain([0; 2_400])).take(SECONDS * 8_000).collect()
}

/// A caller of this level over the echo's, dB.
fn caller(over_db: f64) -> Vec<i16> {
    let clip = speech::caller_lines().iter().find(|line| line.name == "interruption").expect("the clip");
    let loud = decibels(over_db - LOSS_DB);
    std::iter::repeat_n(0, CUTS_IN * 8_000)
        .chain(clip.samples.iter().map(|s| (f64::from(*s) * loud) as i16))
        .take(SECONDS * 8_000)
        .collect()
}

/// When turns of the caller begin, seconds, for a service that hears `came` (8 kHz) by a line of `rate`.
fn turns(rate: Rate, guard: EchoMode, sent: &[i16], came: &[i16]) -> Vec<f64> {
    let convert = |samples: &[i16]| match rate {
        Rate::Hz8000 => samples.to_vec(),
        rate => resample::convert(samples, 8_000, rate.hz()).expect("whole ratios"),
    };
    let (sent, mut heard) = (convert(sent), convert(came));
    let mut front = FrontEnd::new(FrontParams { echo_guard: guard, ..FrontParams::OFF }, rate);
    let (mut vad, mut borders) = (Vad::new(TurnDetection::default(), rate.hz(), 0), Vec::new());
    let (mut now, mut starts, frame) = (clock::now(), Vec::new(), rate.samples(20));
    for (n, (sent, heard)) in sent.chunks_exact(frame).zip(heard.chunks_exact_mut(frame)).enumerate() {
        front.sent(now, rate, sent);
        now += Duration::from_millis(20);
        front.process(now, heard);
        vad.push(heard, &mut borders);
        let begun = borders.drain(..).filter(|border| matches!(border, Border::Started { .. })).count();
        starts.extend(std::iter::repeat_n((n + 1) as f64 * 0.02, begun));
    }
    starts
}

/// R14: a quarter of a minute of agent speech at 12 dB of return loss, on a line that stands still and on one whose delay jumps, narrow and wide:
/// without the guard the agent is interrupted by itself, with it never, and a caller over the echo is heard as soon as on a line without one.
#[test]
fn echo_is_kept_back_and_the_caller_is_heard() {
    let (agent, words) = (agent(), caller(10.0));
    for (line, seed) in [(&LINES[1], 51), (&LINES[3], 52)] {
        let echo = line.echo(&agent, LOSS_DB, seed);
        let (alone, with_words) = (line.carry(&echo, &[], seed), line.carry(&echo, &words, seed));
        let quiet = line.carry(&vec![0.0; echo.len()], &words, seed);
        for rate in [Rate::Hz8000, Rate::Hz16000] {
            let what = format!("{rate:?}, delay {} ms, seed {seed}", line.delay_ms);
            let unguarded = turns(rate, EchoMode::Off, &agent, &alone);
            assert!(!unguarded.is_empty(), "{what}: an echo that nobody would notice proves nothing");
            let starts = turns(rate, EchoMode::Auto, &agent, &with_words);
            let [noticed] = turns(rate, EchoMode::Off, &agent, &quiet)[..] else { panic!("{what}: one turn") };
            let [start] = starts[..] else { panic!("{what}: one turn at {noticed}, not at {starts:?}") };
            assert!((start - noticed).abs() <= 0.15, "{what}: heard at {start}, without echo at {noticed}");
        }
    }
}

/// R14: two people who speak at once from the first second on, on a line without echo: what comes is no copy of what was sent, so after two
/// seconds nearly all of the caller's words pass.
#[test]
fn a_caller_who_speaks_over_the_greeting_is_heard() {
    let rate = Rate::Hz8000;
    let agent = agent();
    let lines = speech::caller_lines().iter().filter(|line| line.samples.len() > 12_000);
    let words: Vec<i16> = lines.flat_map(|line| line.samples.iter().copied().chain([0; 1_600])).collect();
    for level_db in [0.0, -6.0] {
        let said = words.iter().cycle().map(|s| (f64::from(*s) * decibels(level_db)) as i16).take(agent.len());
        let came = LINES[0].carry(&vec![0.0; agent.len()], &said.collect::<Vec<_>>(), 61);
        let mut front = FrontEnd::new(FrontParams { echo_guard: EchoMode::Auto, ..FrontParams::OFF }, rate);
        let (mut now, mut spoken, mut passed) = (clock::now(), 0, 0);
        for (n, (sent, came)) in agent.chunks_exact(160).zip(came.chunks_exact(160)).enumerate() {
            front.sent(now, rate, sent);
            now += Duration::from_millis(20);
            let mut heard = came.to_vec();
            front.process(now, &mut heard);
            let power = |samples: &[i16]| samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 160.0;
            // -40 dBFS and more is speech here.
            if n >= 100 && power(came) > 100_000.0 {
                spoken += 1;
                passed += usize::from(heard == came);
            }
        }
        // The gate opens 15 ms into a word.
        assert!(spoken > 200 && passed * 100 >= spoken * 85, "{level_db} dB: {passed} of {spoken} frames of speech");
    }
}
