//! How a call sounded: what a peer recorded against what was said, by PESQ (ITU-T P.862, PyPI package `pesq`) and by the waveform.

use super::support::{here, prioritise_thread, run};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::pcm::Rate;
use voxtrunk::audio::{quality, resample, wav};

/// How far below its ceiling an echo call may be, MOS: G.711 a second time and 8 to 24 kHz and back take 0.03.
pub const BELOW_CEILING: f64 = 0.05;
/// Below this the waveform was stretched somewhere, or coded by a wrong law: a clean call has 31 dB and more.
const CLEAN_SNR_DB: f64 = 28.0;

/// What [`hear`] found.
pub struct Heard {
    pub score: f64,
    /// PESQ of the best that could have come.
    pub ceiling: f64,
    pub report: quality::Report,
}

impl Heard {
    /// No more than `below` under the ceiling, and the waveform whole: nothing lost, put in, stretched or glued.
    pub fn clean(&self, who: &str, below: f64) -> Result<(), String> {
        let text = format!("{who}: PESQ {:.3} against a ceiling of {:.3}: {:?}", self.score, self.ceiling, self.report);
        println!("{text}");
        let whole =
            self.report.segmental_snr_db > CLEAN_SNR_DB && self.report.gaps.is_empty() && self.report.clicks.is_empty();
        if self.score >= self.ceiling - below && whole { Ok(()) } else { Err(text) }
    }
}

/// The machine was late by more than this: a jitter buffer that holds nothing back is missed by less.
const LATE: Duration = Duration::from_millis(10);
/// So many calls may be void for that.
const VOID: usize = 4;

/// One call is enough. A second is made when the first was not clean, and nothing else excuses a call but a machine that was late for a witness
/// who has no part in it: such a call says nothing of us, and is made again.
pub fn of_two(call: impl Fn() -> Result<(), String>) {
    let (mut faults, mut void) = (String::new(), 0);
    for attempt in 1.. {
        let witness = Witness::begin();
        let Err(fault) = call() else { return };
        let late = witness.end();
        println!("attempt {attempt}: the machine was late by {late:.1?}: {fault}");
        faults = format!("{faults}{fault} (the machine was late by {late:.1?})\n");
        if late > LATE && void < VOID {
            void += 1;
        } else if attempt - void == 2 {
            panic!("{faults}");
        }
    }
}

/// Sees how late the machine wakes a thread that has the priority of the programs and does nothing.
struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Witness {
    fn begin() -> Witness {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().spawn(move || {
            prioritise_thread(3);
            let (step, mut worst) = (Duration::from_millis(5), Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                let due = Instant::now() + step;
                // Nobody unparks it.
                std::thread::park_timeout(step);
                worst = worst.max(Instant::now().saturating_duration_since(due));
            }
            worst
        });
        Witness { stop, thread: thread.expect("a thread") }
    }

    fn end(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// PESQ of each recording against its reference: narrow band at 8 kHz, wide band (P.862.2) at 16 kHz.
pub fn pesq(python: &Path, pairs: &[(&Path, &Path)]) -> Vec<f64> {
    let mut command = Command::new(python);
    command.arg(here("peers/pesq_score.py"));
    for (reference, degraded) in pairs {
        command.arg(reference).arg(degraded);
    }
    let (ok, output) = run(&mut command, Duration::from_secs(120));
    assert!(ok, "{output}");
    let json = output.lines().find(|line| line.starts_with('{')).expect("scores");
    let scores: Value = serde_json::from_str(json).expect("JSON");
    scores["each"].as_array().expect("a list").iter().filter_map(Value::as_f64).collect()
}

/// Judges a recording of an echo call. `best`: what would have come of `said` if nothing but its coding had changed it.
pub fn hear(python: &Path, dir: &Path, rate: Rate, said: &[i16], recorded: &Path, best: &[i16]) -> Heard {
    let heard = wav::read_mono(recorded, rate).unwrap_or_else(|e| panic!("{}: {e}", recorded.display()));
    let narrow = |samples: &[i16]| resample::convert(samples, rate.hz(), 8_000).expect("both are rates");
    let report = quality::compare(&narrow(said), &narrow(&heard)).expect("speech came back");
    let start = (report.delay_ms.max(0.0) * f64::from(rate.hz()) / 1000.0) as usize;
    let cut: Vec<i16> = heard.iter().skip(start).copied().chain(std::iter::repeat(0)).take(said.len()).collect();
    let files = ["reference.wav", "cut.wav", "ceiling.wav"].map(|name| dir.join(name));
    for (file, samples) in files.iter().zip([said, &cut, best]) {
        wav::write(file, rate.hz(), &[samples]).expect("written");
    }
    let [reference, cut, ceiling] = &files;
    let scores = pesq(python, &[(reference, cut), (reference, ceiling)]);
    Heard { score: scores[0], ceiling: scores[1], report }
}

/// [`hear`] of a call in G.711.
pub fn hear_g711(python: &Path, dir: &Path, law: Law, said: &[i16], recorded: &Path) -> Heard {
    hear(python, dir, Rate::Hz8000, said, recorded, &round_trip(law, said))
}

/// G.711 there and back.
pub fn round_trip(law: Law, samples: &[i16]) -> Vec<i16> {
    let (mut codes, mut out) = (Vec::new(), Vec::new());
    law.encode(samples, &mut codes);
    law.decode(&codes, &mut out);
    out
}

/// Clips of a caller at 8 kHz, each between pauses of half a second.
pub fn clips(names: &[&str]) -> Vec<i16> {
    let mut samples = vec![0i16; 4000];
    for name in names {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/speech/caller/{name}.wav"));
        samples.extend(wav::read_8k_mono(&file).expect("a clip of ours"));
        samples.extend(vec![0; 4000]);
    }
    samples
}

/// What a caller says to hear it come back, and `said.wav` of it in `dir` with three seconds of silence for that.
pub fn speech(dir: &Path) -> Vec<i16> {
    let samples = clips(&["opening_hours", "book_appointment"]);
    let mut padded = samples.clone();
    padded.extend(vec![0; 24_000]);
    wav::write(&dir.join("said.wav"), 8000, &[&padded]).expect("written");
    samples
}
