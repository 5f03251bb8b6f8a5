//! Numbers: `/proc` of the server, percentiles of what the callers heard, spread over the runs.

use super::Args;
use super::generator::Heard;
use std::fmt;

/// CPU and memory of a process at one time.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// utime + stime of all threads, ms.
    cpu_ms: f64,
    rss_kib: f64,
}

/// Clock ticks a second in `/proc/<pid>/stat`; fixed by the Linux ABI on every platform we run on.
const TICKS: f64 = 100.0;

impl Process {
    pub fn read(pid: u32) -> Result<Process, String> {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|e| format!("/proc/{pid}/{file}: {e}"))
        };
        let stat = read("stat")?;
        // The command name, in parentheses, may hold spaces.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(f64::NAN);
        let status = read("status")?;
        let rss = status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))
            .and_then(|l| l.split_whitespace().next()?.parse().ok());
        Ok(Process { cpu_ms: (ticks(11) + ticks(12)) * 1000.0 / TICKS, rss_kib: rss.unwrap_or(f64::NAN) })
    }
}

/// One run's numbers, in the order of [`NAMES`].
#[derive(Clone, Debug)]
pub struct Run(Vec<f64>);

/// Name and unit of each number.
pub const NAMES: [(&str, &str); 16] = [
    ("cpu", "ms/call-s"),
    ("rss", "KiB/call"),
    ("calls_up", ""),
    ("rtp_received", "packets"),
    ("rtp_loss", "%"),
    ("late_over_20ms", "%"),
    ("interarrival_p50", "ms"),
    ("interarrival_p99", "ms"),
    ("interarrival_p99.9", "ms"),
    ("interarrival_max", "ms"),
    ("mouth_to_ear_p50", "ms"),
    ("mouth_to_ear_p99", "ms"),
    ("setup_p50", "ms"),
    ("setup_p99", "ms"),
    ("barge_in_p50", "ms"),
    ("barge_in_p99", "ms"),
];

impl Run {
    pub fn of(
        args: &Args,
        before: Process,
        first: Process,
        last: Process,
        mut heard: Heard,
        mut stops_us: Vec<u32>,
    ) -> Run {
        let calls = args.calls as f64;
        let added = (args.calls.max(2) - 1) as f64;
        heard.interarrival_us.sort_unstable();
        heard.mouth_to_ear_us.sort_unstable();
        heard.setup_us.sort_unstable();
        stops_us.sort_unstable();
        let received = heard.received as f64;
        Run(vec![
            (last.cpu_ms - first.cpu_ms) / args.seconds as f64 / calls,
            (last.rss_kib - before.rss_kib) / added,
            heard.setup_us.len() as f64,
            received,
            100.0 * heard.lost as f64 / (received + heard.lost as f64).max(1.0),
            100.0 * heard.late as f64 / received.max(1.0),
            percentile(&heard.interarrival_us, 0.50),
            percentile(&heard.interarrival_us, 0.99),
            percentile(&heard.interarrival_us, 0.999),
            percentile(&heard.interarrival_us, 1.0),
            percentile(&heard.mouth_to_ear_us, 0.50),
            percentile(&heard.mouth_to_ear_us, 0.99),
            percentile(&heard.setup_us, 0.50),
            percentile(&heard.setup_us, 0.99),
            percentile(&stops_us, 0.50),
            percentile(&stops_us, 0.99),
        ])
    }
}

/// Of sorted microseconds, in ms; NaN of nothing.
fn percentile(sorted: &[u32], p: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * p).round() as usize).map_or(f64::NAN, |&us| f64::from(us) / 1000.0)
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((name, unit), value) in NAMES.iter().zip(&self.0) {
            write!(f, "{name} {value:.2}{}{unit}  ", if unit.is_empty() { "" } else { " " })?;
        }
        Ok(())
    }
}

/// Median, least, most; NaN of nothing.
fn spread(mut all: Vec<f64>) -> [f64; 3] {
    all.sort_by(f64::total_cmp);
    let at = |k: usize| all.get(k).copied().unwrap_or(f64::NAN);
    [at(all.len() / 2), at(0), at(all.len().saturating_sub(1))]
}

/// All runs: median and range of each number.
pub struct Summary {
    calls: usize,
    runs: Vec<Run>,
    /// Median, least, most, in the order of [`NAMES`].
    pub values: Vec<[f64; 3]>,
}

impl Summary {
    pub fn of(calls: usize, runs: &[Run]) -> Summary {
        let values =
            (0..NAMES.len()).map(|i| spread(runs.iter().filter_map(|r| r.0.get(i).copied()).collect())).collect();
        Summary { calls, runs: runs.to_vec(), values }
    }

    /// How much more each of these runs has of a number than the one of `other` before it, %: median, least, most.
    pub fn more_than(&self, other: &Summary, index: usize) -> [f64; 3] {
        let pairs = self
            .runs
            .iter()
            .zip(&other.runs)
            .filter_map(|(ours, theirs)| Some((ours.0.get(index)?, theirs.0.get(index)?)));
        spread(pairs.map(|(ours, theirs)| 100.0 * (ours / theirs - 1.0)).collect())
    }

    pub fn json(&self) -> serde_json::Value {
        let numbers: serde_json::Map<String, serde_json::Value> = NAMES
            .iter()
            .zip(&self.values)
            .map(|((name, unit), [median, min, max])| {
                ((*name).to_owned(), serde_json::json!({ "unit": unit, "median": median, "min": min, "max": max }))
            })
            .collect();
        serde_json::json!({ "calls": self.calls, "runs": self.runs.len(), "numbers": numbers })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} calls, {} run(s): median [least .. most]", self.calls, self.runs.len())?;
        for ((name, unit), [median, min, max]) in NAMES.iter().zip(&self.values) {
            writeln!(f, "  {name:<18} {median:>10.2} [{min:.2} .. {max:.2}] {unit}")?;
        }
        Ok(())
    }
}
