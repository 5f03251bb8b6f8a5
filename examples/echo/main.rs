//! The echo guard, judged: how often an agent interrupts itself, and how soon a real caller is heard.
//!
//! `cargo run --release --example echo [-- --minutes 4]`
//!
//! The agent's pre-rendered sentences go over synthetic lines (`line`: hybrid, delay, jumps, noise, G.711) and come back to the voice
//! detector of the embedded Realtime server, with its default threshold. CPU is that of this thread alone.
#![allow(clippy::disallowed_methods, reason = "a bench is its own world: it has a clock")]

#[path = "../../tests/support/echo_line.rs"]
mod line;

use clap::Parser;
use line::{LINES, Random, decibels};
use std::time::{Duration, Instant};
use voxtrunk::audio::front::{EchoMode, FrontEnd, FrontParams};
use voxtrunk::audio::pcm::Rate;
use voxtrunk::realtime_sim::speech;
use voxtrunk::realtime_sim::vad::{Border, TurnDetection, Vad};

/// Judges the echo guard on synthetic lines.
#[derive(Debug, Parser)]
struct Args {
    /// Length of each line's call.
    #[arg(long, default_value_t = 2)]
    minutes: usize,
    /// Other hybrids, noise, pauses and order of the sentences.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Only this echo return loss, dB.
    #[arg(long)]
    loss: Option<f64>,
}

const FRAME: usize = 160;
fn main() {
    let args = Args::parse();
    let minutes = args.minutes.max(1);
    let agent = conversation(minutes, args.seed);
    let (caller, onsets) = interruptions(agent.len(), args.seed);
    println!(
        "| echo return loss | guard | false interruptions | barge-ins: caller over echo 0 / +5 / +10 dB: late (of) | CPU, ms per call-second |"
    );
    println!("|---|---|---|---|---|");
    let of_line = |n: usize| args.seed * LINES.len() as u64 + n as u64;
    for loss_db in [6.0, 12.0, 18.0, 24.0, 30.0].into_iter().filter(|db| args.loss.is_none_or(|loss| loss == *db)) {
        for guard in [EchoMode::Off, EchoMode::Auto] {
            let (mut starts, mut cpu) = (0, 0.0);
            for (n, line) in LINES.iter().enumerate() {
                let echo = line.echo(&agent, loss_db, of_line(n));
                let (heard, seconds) = through(guard, &agent, &line.carry(&echo, &[], of_line(n)));
                starts += turns(&heard).len();
                cpu += seconds;
            }
            let late = [0.0, 5.0, 10.0].map(|over_db| {
                let loud = decibels(over_db - loss_db);
                let words: Vec<i16> = caller.iter().map(|s| (f64::from(*s) * loud) as i16).collect();
                let (mut late, mut all) = (0, 0);
                for (n, line) in LINES.iter().enumerate() {
                    let echo = line.echo(&agent, loss_db, of_line(n));
                    let (heard, _) = through(guard, &agent, &line.carry(&echo, &words, of_line(n)));
                    let alone = turns(&line.carry(&vec![0.0; echo.len()], &words, of_line(n)));
                    let found = turns(&heard);
                    let noticed = |starts: &[f64], onset: f64| {
                        starts.iter().copied().find(|start| (onset..onset + 2.5).contains(start))
                    };
                    for onset in &onsets {
                        let Some(alone) = noticed(&alone, *onset) else { continue };
                        all += 1;
                        late += usize::from(noticed(&found, *onset).is_none_or(|found| found - alone > 0.15));
                    }
                }
                format!("{late} ({all})")
            });
            let length = (minutes * LINES.len()) as f64;
            let name = if guard == EchoMode::Auto { "auto" } else { "off" };
            println!(
                "| {loss_db} dB | {name} | {starts} in {length} min | {} | {:.2} |",
                late.join(", "),
                cpu * 1_000.0 / length / 60.0
            );
        }
    }
}

/// Sentences with pauses; the agent speaks two thirds of the time.
fn conversation(minutes: usize, seed: u64) -> Vec<i16> {
    let lines: Vec<_> = speech::agent_lines().iter().filter(|line| line.samples.len() > 10_000).collect();
    let (mut samples, mut random) = (vec![0; 4_000], Random::new(99 + seed));
    for n in 0.. {
        samples.extend_from_slice(&lines[(n + 5 * seed as usize) % lines.len()].samples);
        let pause = if n % 4 == 0 { 2.0 + 2.0 * random.share() } else { 0.15 + 0.5 * random.share() };
        samples.resize(samples.len() + (pause * 8_000.0) as usize, 0);
        if samples.len() >= minutes * 480_000 {
            break;
        }
    }
    samples.truncate(minutes * 480_000);
    samples
}

/// The caller cuts in every seven to eight seconds; when, in seconds.
fn interruptions(length: usize, seed: u64) -> (Vec<i16>, Vec<f64>) {
    let (mut samples, mut onsets, mut random) = (vec![0; length], Vec::new(), Random::new(7 + seed));
    let mut at = 40_000;
    for line in speech::caller_lines().iter().cycle() {
        let Some(place) = samples.get_mut(at..at + line.samples.len()) else { break };
        place.copy_from_slice(&line.samples);
        onsets.push(at as f64 / 8_000.0);
        at += 56_000 + (random.share() * 8_000.0) as usize;
    }
    (samples, onsets)
}

/// What the model hears, and the CPU seconds it took.
fn through(guard: EchoMode, agent: &[i16], line: &[i16]) -> (Vec<i16>, f64) {
    let mut front = FrontEnd::new(FrontParams { echo_guard: guard, ..FrontParams::OFF }, Rate::Hz8000);
    let (begin, mut heard) = (Instant::now(), line.to_vec());
    let before = cpu_seconds();
    for (n, (sent, frame)) in agent.chunks_exact(FRAME).zip(heard.chunks_exact_mut(FRAME)).enumerate() {
        let now = begin + Duration::from_millis(20 * n as u64);
        front.sent(now, Rate::Hz8000, sent);
        front.process(now + Duration::from_millis(20), frame);
    }
    (heard, cpu_seconds() - before)
}

/// When turns of the caller began, in seconds.
fn turns(heard: &[i16]) -> Vec<f64> {
    let (mut vad, mut borders, mut starts) = (Vad::new(TurnDetection::default(), 8_000, 0), Vec::new(), Vec::new());
    for (n, frame) in heard.chunks(FRAME).enumerate() {
        vad.push(frame, &mut borders);
        let begun = borders.drain(..).filter(|border| matches!(border, Border::Started { .. })).count();
        starts.extend(std::iter::repeat_n((n + 1) as f64 * 0.02, begun));
    }
    starts
}

/// Of this thread, as the kernel counts them; zero where it does not.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}
