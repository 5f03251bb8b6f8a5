//! Every condition, several seeds, all kinds of calls, as a table in Markdown.
//!
//! With one seed all kinds of calls lose the same words (`relay`): what counts is the median of the differences, seed by seed.

use super::calls::{Condition, Scores, Talk, baresip_to_us, pjsip_to_us, speech, telephones};
use super::{Call, Network, TOLERANCE, all, ceiling, network, plain};
use crate::support::program;
use std::fmt::Write;
use std::path::Path;

fn conditions() -> Vec<Condition> {
    let clean = network(0.0, 0);
    let mut conditions = vec![
        plain("clean", clean),
        plain("loss 2 %", network(0.02, 0)),
        plain("loss 5 %", network(0.05, 0)),
        plain("loss 10 %", network(0.10, 0)),
        plain("jitter 20 ms", network(0.0, 20)),
        plain("jitter 60 ms", network(0.0, 60)),
        plain("jitter 120 ms", network(0.0, 120)),
        plain("loss 2 %, jitter 60 ms", network(0.02, 60)),
        plain("loss 5 %, jitter 120 ms", network(0.05, 120)),
        plain("5 % overtaken", Network { reorder: 0.05, ..clean }),
        plain("5 % doubled", Network { duplicate: 0.05, ..clean }),
        Condition { dtx: true, ..plain("DTX", clean) },
        Condition { dtx: true, ..plain("DTX, loss 5 %, jitter 60 ms", network(0.05, 60)) },
    ];
    for (name, network, talk) in [
        ("all defaults, in turns: clean", clean, Talk::InTurns),
        ("all defaults, in turns: loss 5 %", network(0.05, 0), Talk::InTurns),
        ("all defaults, in turns: jitter 60 ms", network(0.0, 60), Talk::InTurns),
        ("all defaults, both at once: clean", clean, Talk::AtOnceGuarded),
        ("no high-pass: clean", clean, Talk::AtOnceBare),
    ] {
        conditions.push(Condition { talk, ..plain(name, network) });
    }
    conditions
}

/// The median of each direction: a busy machine stalls a telephone's clock now and then, and that call says nothing about the network.
pub fn median(scores: &[Scores]) -> Scores {
    let of = |pick: fn(&Scores) -> f64| {
        let mut values: Vec<f64> = scores.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        let upper = values.len() / 2;
        let lower = (values.len().max(1) - 1) / 2;
        (values.get(lower).copied().unwrap_or_default() + values.get(upper).copied().unwrap_or_default()) / 2.0
    };
    Scores { said: of(|scores| scores.said), heard: of(|scores| scores.heard) }
}

/// Where chance says which sounds are hit, calls scatter by tenths: so many times the seeds.
const BY_CHANCE: usize = 3;

fn seeds_of(condition: Condition, seeds: usize) -> usize {
    let by_chance = condition.network.loss > 0.0 || condition.network.reorder > 0.0;
    if by_chance { BY_CHANCE * seeds } else { seeds }
}

/// Ours less the telephones', of each seed, in order of seeds.
pub fn differences(phones: &[Scores], ours: &[Scores]) -> Vec<Scores> {
    let pairs = phones.iter().zip(ours);
    pairs.map(|(a, b)| Scores { said: b.said - a.said, heard: b.heard - a.heard }).collect()
}

fn cell(score: f64) -> String {
    if score == 0.0 { "–".to_owned() } else { format!("{score:.2}") }
}

/// Fails, once all is written, when a condition is worse than the rule allows.
pub fn write(python: &Path, file: &Path) {
    let number =
        |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seeds, at_once) = (number("VOXTRUNK_QUALITY_SEEDS", 3), number("VOXTRUNK_QUALITY_AT_ONCE", 10));
    let only = std::env::var("VOXTRUNK_QUALITY_ONLY").unwrap_or_default();
    let baresip = program("baresip").expect("baresip");
    let speech = speech(Talk::AtOnce);
    let mut text = format!(
        "| condition | PJSIP → PJSIP | PJSIP → model | baresip → model | PJSIP → PJSIP, back | model → PJSIP | model → baresip | seed by seed, to model, to PJSIP |\n\
         |---|---|---|---|---|---|---|---|\n| ceiling of µ-law | {0:.2} | {0:.2} | {0:.2} | {1:.2} | {1:.2} | {1:.2} | – |\n",
        ceiling(python, &speech.caller),
        ceiling(python, &speech.agent)
    );
    let mut worse = Vec::new();
    for condition in conditions().into_iter().filter(|condition| condition.name.contains(&only)) {
        let mut calls: Vec<Call<Scores>> = Vec::new();
        for seed in 1..=seeds_of(condition, seeds) as u64 {
            let baresip = &baresip;
            calls.push(Box::new(move || match condition.talk {
                Talk::AtOnce => telephones(python, condition, seed),
                // What is done to the caller's voice by us does not touch two telephones.
                _ => Scores::default(),
            }));
            calls.push(Box::new(move || pjsip_to_us(python, condition, seed)));
            calls.push(Box::new(move || match condition.dtx || seed > seeds as u64 {
                // baresip has no DTX, and is not compared.
                true => Scores::default(),
                false => baresip_to_us(python, baresip, condition, seed),
            }));
        }
        let scores = all(at_once, &calls);
        let kind = |kind: usize| scores.iter().skip(kind).step_by(3).copied().collect::<Vec<_>>();
        let differences = differences(&kind(0), &kind(1));
        let made = |n: usize| kind(n).into_iter().filter(|scores| scores.said > 0.0).collect::<Vec<_>>();
        let [phones, ours, baresips] = [0, 1, 2].map(|n| median(&made(n)));
        let compared = condition.talk == Talk::AtOnce;
        let difference = median(&differences);
        let last =
            if compared { format!("{:+.2}, {:+.2}", difference.said, difference.heard) } else { "–".to_owned() };
        let row = format!(
            "| {} | {} | {} | {} | {} | {} | {} | {last} |",
            condition.name,
            cell(phones.said),
            cell(ours.said),
            cell(baresips.said),
            cell(phones.heard),
            cell(ours.heard),
            cell(baresips.heard)
        );
        println!("{row}\n  {differences:.2?}");
        let _ = writeln!(text, "{row}");
        if compared && difference.said.min(difference.heard) < -TOLERANCE {
            worse.push(row);
        }
        std::fs::write(file, &text).expect("the table is written");
    }
    assert!(worse.is_empty(), "worse than telephone to telephone by more than {TOLERANCE}:\n{}", worse.join("\n"));
}
