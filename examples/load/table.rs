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

/// Calls and workers of the columns.
const COLUMNS: [(usize, usize); 5] = [(20, 1), (100, 1), (400, 1), (500, 1), (800, 2)];
/// What the flood sends, and among how many calls.
const FLOOD: usize = 100_000;
const FLOODED: usize = 100;

/// One setting: plain and protected, run in turns, so that both have the same hour; and the kernel's part.
struct Column {
    args: [Args; 2],
    summaries: [Result<Summary, String>; 2],
    floor: Option<f64>,
}

/// Runs and prints it.
pub fn table(args: &Args) -> Result<(), String> {
    let repeats = args.repeats.max(1);
    let mut columns = Vec::new();
    for (calls, workers) in COLUMNS {
        child::pin(1..2)?;
        let args = [false, true].map(|both| Args {
            calls,
            workers,
            tls: both,
            srtp: both,
            pin: true,
            repeats: 1,
            ..args.clone()
        });
        columns.push(column(args, repeats)?);
    }
    for (protected, title) in ["Plain:", "With TLS (wss) and SRTP:"].iter().enumerate() {
        println!("\n{title}\n");
        print(&columns, protected);
    }
    flood(args)
}

fn column(args: [Args; 2], repeats: usize) -> Result<Column, String> {
    let floor = if args[0].workers == 1 { floor::run(&args[0]).ok() } else { None };
    let mut results = [Ok(Vec::new()), Ok(Vec::new())];
    for _ in 0..repeats {
        for (args, result) in args.iter().zip(&mut results) {
            eprintln!(
                "{} calls, {} worker(s){}",
                args.calls,
                args.workers,
                if args.tls { ", TLS and SRTP" } else { "" }
            );
            match (runs(args), &mut *result) {
                (Ok(run), Ok(runs)) => runs.extend(run),
                (Err(error), Ok(_)) => *result = Err(error),
                (_, Err(_)) => {}
            }
        }
    }
    let summaries = results.map(|runs| runs.map(|runs| Summary::of(args[0].calls, &runs)));
    Ok(Column { args, summaries, floor })
}

fn print(columns: &[Column], protected: usize) {
    let heads: Vec<String> = columns
        .iter()
        .map(|Column { args: [args, _], .. }| {
            format!("{}{}", args.calls, if args.workers > 1 { ", 2 workers" } else { "" })
        })
        .collect();
    println!("| | target | {} |", heads.join(" | "));
    println!("|---|---|{}", "---|".repeat(columns.len()));
    let row = |name: &str, target: &str, cell: &dyn Fn(&Column) -> String| {
        println!("| {name} | {target} | {} |", columns.iter().map(cell).collect::<Vec<_>>().join(" | "));
    };
    row("the kernel alone (`--floor`), ms/call-s", "", &|column| {
        column.floor.map_or("–".into(), |ms| format!("{ms:.2}"))
    });
    for (index, (name, unit)) in NAMES.iter().enumerate() {
        let target = TARGETS.iter().find(|(of, ..)| of == name);
        let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
        row(&format!("{name}{unit}"), target.map_or("", |(_, words, _)| words), &|column| match &column.summaries
            [protected]
        {
            Ok(summary) => cell(summary.values[index], target.and_then(|(_, _, most)| most(&column.args[protected]))),
            Err(error) => error.replace('|', "/"),
        });
        if index == 0 && protected == 1 {
            row("more CPU than plain, %", "≤ 15", &|column| match &column.summaries {
                [Ok(plain), Ok(both)] => {
                    cell(both.more_than(plain, index), (column.args[1].workers == 1).then_some(15.0))
                }
                _ => "–".into(),
            });
        }
    }
}

/// A8: the pace of calls whose neighbour is flooded, and without the flood, in turns.
fn flood(args: &Args) -> Result<(), String> {
    println!(
        "\n| {FLOODED} calls, packets a second to one of them | {} |",
        ["p99", "p99.9", "max", "lost, %"].join(" | ")
    );
    println!("|---|---|---|---|---|");
    child::pin(1..2)?;
    let both =
        [0, FLOOD].map(|flood| Args { calls: FLOODED, workers: 1, pin: true, flood, repeats: 1, ..args.clone() });
    let mut results = [Vec::new(), Vec::new()];
    for _ in 0..args.repeats.max(1) {
        for (args, result) in both.iter().zip(&mut results) {
            result.extend(runs(args)?);
        }
    }
    for (args, runs) in both.iter().zip(&results) {
        let summary = Summary::of(FLOODED, runs);
        let of = |name: &str| {
            let index = NAMES.iter().position(|(of, _)| *of == name);
            index.map_or("–".into(), |index| cell(summary.values[index], None))
        };
        let cells = ["interarrival_p99", "interarrival_p99.9", "interarrival_max", "rtp_loss"].map(of);
        println!("| {} | {} |", args.flood, cells.join(" | "));
    }
    Ok(())
}

fn cell([median, least, most]: [f64; 3], target: Option<f64>) -> String {
    let text = if least < most { format!("{median:.2} [{least:.2} .. {most:.2}]") } else { format!("{median:.2}") };
    if target.is_some_and(|target| median.is_nan() || median > target) { format!("**{text}, missed**") } else { text }
}
