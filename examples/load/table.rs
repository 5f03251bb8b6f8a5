//! The table of docs/performance.md: every setting, median [least .. most], the target beside it, a miss in bold.

use super::measure::{NAMES, Summary};
use super::{Args, child, floor, runs};

/// What must hold: a number's name, the words of the target, and the most it may be at so many calls on so many workers.
type Target = (&'static str, &'static str, fn(&Args) -> Option<f64>);

const TARGETS: [Target; 10] = [
    ("cpu", "≤ 2.0 at 100, ≤ 1.5 at 400", |a| match a.calls {
        100 => Some(2.0 * protected(a)),
        400.. => Some(1.5 * protected(a)),
        _ => None,
    }),
    ("rss", "≤ 64 plain, ≤ 100 with TLS", |a| Some(if a.tls { 100.0 } else { 64.0 })),
    ("rtp_loss", "lost + late < 1", |_| Some(1.0)),
    ("late_over_20ms", "lost + late < 1; 0 at 400", |a| Some(if a.calls == 400 { 0.0 } else { 1.0 })),
    ("interarrival_p50", "", |_| None),
    ("interarrival_p99", "≤ 21 at 400", |a| (a.calls == 400).then_some(21.0)),
    ("interarrival_max", "≤ 40 at 400", |a| (a.calls == 400).then_some(40.0)),
    ("mouth_to_ear_p50", "≤ 20 at 20, ≤ 32 at 400", |a| match a.calls {
        20 => Some(20.0),
        400 => Some(32.0),
        _ => None,
    }),
    ("setup_p50", "≤ 2 at 100, answered at once", |a| (a.calls == 100 && !a.when_ready).then_some(2.0)),
    ("barge_in_p99", "≤ 25 at 400", |a| (a.calls == 400).then_some(25.0)),
];

/// TLS and SRTP may cost 15 % more.
fn protected(args: &Args) -> f64 {
    if args.tls || args.srtp { 1.15 } else { 1.0 }
}

/// Runs and prints it.
pub fn table(args: &Args) -> Result<(), String> {
    for protected in [false, true] {
        let mut columns = Vec::new();
        for (calls, workers) in [(20, 1), (100, 1), (400, 1), (500, 1), (800, 2)] {
            child::pin(1..2)?;
            let args = Args { calls, workers, tls: protected, srtp: protected, pin: true, ..args.clone() };
            eprintln!("{calls} calls, {workers} worker(s){}", if protected { ", TLS and SRTP" } else { "" });
            // Before each column: the same hour's.
            let floor = if workers == 1 { floor::run(&args).ok() } else { None };
            let summary = runs(&args).map(|runs| Summary::of(calls, &runs));
            columns.push((args, summary, floor));
        }
        println!("\n{}\n", if protected { "With TLS (wss) and SRTP:" } else { "Plain:" });
        let heads: Vec<String> = columns
            .iter()
            .map(|(args, ..)| format!("{}{}", args.calls, if args.workers > 1 { ", 2 workers" } else { "" }))
            .collect();
        println!("| | target | {} |", heads.join(" | "));
        println!("|---|---|{}", "---|".repeat(columns.len()));
        let floors: Vec<String> =
            columns.iter().map(|(.., floor)| floor.map_or("–".into(), |ms| format!("{ms:.2}"))).collect();
        println!("| the kernel alone (`--floor`), ms/call-s | | {} |", floors.join(" | "));
        for (index, (name, unit)) in NAMES.iter().enumerate() {
            let target = TARGETS.iter().find(|(of, ..)| of == name);
            let cells: Vec<String> = columns
                .iter()
                .map(|(args, summary, _)| match summary {
                    Ok(summary) => cell(summary.values[index], target.and_then(|(_, _, most)| most(args))),
                    Err(error) => error.replace('|', "/"),
                })
                .collect();
            let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
            println!("| {name}{unit} | {} | {} |", target.map_or("", |(_, words, _)| words), cells.join(" | "));
        }
    }
    Ok(())
}

fn cell([median, least, most]: [f64; 3], target: Option<f64>) -> String {
    let text = format!("{median:.2} [{least:.2} .. {most:.2}]");
    if target.is_some_and(|target| median.is_nan() || median > target) { format!("**{text}, missed**") } else { text }
}
