//! Speech through bad networks, judged by PESQ: what the model hears and what the caller hears, against two PJSIP telephones with their own
//! jitter buffers in the same conditions. docs/quality.md has the table and how to make it again.
//!
//! `VOXTRUNK_QUALITY=FILE` measures every condition with several seeds and writes the table there (about 11 minutes); without it a short
//! selection is held against the rule: no worse than telephone to telephone.

mod calls;
mod table;

use super::hearing::{of_two, round_trip};
use super::pjsip::ONE_AT_A_TIME;
use super::relay::Path as Network;
use super::support::{peer_python, program};
use calls::{Condition, Scores, Talk, baresip_to_us, judge, pjsip_to_us, speech, telephones};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::wav;

/// How much worse than telephone to telephone a condition may be, and how far below the ceiling a clean call, MOS.
const TOLERANCE: f64 = 0.1;
/// The same for the short selection, which has fewer seeds: other sounds are hit by the same losses.
const SHORT_TOLERANCE: f64 = 0.25;
/// The same where the way becomes longer: the pause that this makes stands elsewhere in the word (3.43 and 3.75 were measured, and 1.2 of a listener
/// who gives up).
const LONGER_TOLERANCE: f64 = 0.5;

fn network(loss: f64, jitter_ms: u64) -> Network {
    Network { loss, jitter: Duration::from_millis(jitter_ms), ..Network::default() }
}

fn plain(name: &'static str, network: Network) -> Condition {
    Condition { name, network, dtx: false, talk: Talk::AtOnce }
}

type Call<'a, T> = Box<dyn Fn() -> T + Send + Sync + 'a>;

/// Runs calls, so many at once: they are in real time and cost little.
fn all<T: Send>(at_once: usize, calls: &[Call<T>]) -> Vec<T> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            let worker = || {
                while let (number, Some(call)) = {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    (number, calls.get(number))
                } {
                    let result = call();
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
                }
            };
            std::thread::Builder::new().spawn_scoped(scope, worker).expect("a thread");
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// PESQ of `samples` through µ-law and nothing else.
fn ceiling(python: &Path, samples: &[i16]) -> f64 {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ceiling.wav");
    wav::write(&file, 8000, &[&round_trip(Law::Mu, samples)]).expect("written");
    judge(python, dir.path(), &[(samples, &file)])[0]
}

/// PJSIP's call and baresip's at the same time.
fn both(python: &Path, baresip: &Path, condition: Condition) -> [Scores; 2] {
    let calls: [Call<Scores>; 2] =
        [Box::new(|| pjsip_to_us(python, condition, 1)), Box::new(|| baresip_to_us(python, baresip, condition, 1))];
    let scores = all(2, &calls);
    [scores[0], scores[1]]
}

/// RTP-03, RTP-17: the model hears PJSIP and baresip as well as µ-law allows, and they hear the model so
#[test]
fn clean_calls_at_the_ceiling() {
    let (Some(python), Some(baresip)) = (peer_python(), program("baresip")) else { return };
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let speech = speech(Talk::AtOnce);
    let best = Scores { said: ceiling(&python, &speech.caller), heard: ceiling(&python, &speech.agent) };
    of_two(|| {
        let scores = both(&python, &baresip, plain("clean", network(0.0, 0)));
        let [pjsip, baresip] = scores.map(|s| (best.said - s.said, best.heard - s.heard));
        // PJSIP's own buffer holds nothing back: one packet of an unoptimised server that is late costs it a tenth.
        let fine = pjsip.0.max(baresip.0).max(baresip.1) <= TOLERANCE && pjsip.1 <= SHORT_TOLERANCE;
        fine.then_some(()).ok_or_else(|| format!("PJSIP, baresip: {scores:.2?}, ceiling {best:.2?}"))
    });
}

/// RTP-03, RTP-17: with a dialplan of defaults, so with echo guard and high-pass, the model hears PJSIP and baresip as well as µ-law allows
#[test]
fn all_defaults_at_the_ceiling() {
    let (Some(python), Some(baresip)) = (peer_python(), program("baresip")) else { return };
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let best = ceiling(&python, &speech(Talk::InTurns).caller);
    of_two(|| {
        let condition = Condition { talk: Talk::InTurns, ..plain("all defaults", network(0.0, 0)) };
        let scores = both(&python, &baresip, condition).map(|scores| scores.said);
        let fine = scores.iter().all(|score| *score >= best - TOLERANCE);
        fine.then_some(()).ok_or_else(|| format!("PJSIP, baresip: {scores:.2?}, ceiling {best:.2}"))
    });
}

/// RTP-04, S4: in a bad network the model hears the caller, and the caller the model, no worse than two telephones with adaptive jitter
/// buffers hear each other
#[test]
fn no_worse_than_telephones() {
    let Some(python) = peer_python() else { return };
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = std::env::var_os("VOXTRUNK_QUALITY") {
        return table::write(&python, Path::new(&file));
    }
    for condition in [plain("loss 5 %", network(0.05, 0)), plain("jitter 60 ms", network(0.0, 60))] {
        of_two(|| compare(&python, condition, SHORT_TOLERANCE));
    }
}

/// RTP-04, RTP-06: a way that is 400 ms longer from the fourth second on (another route, a full queue somewhere) costs the words of a moment,
/// not the rest of the call
#[test]
fn a_longer_way_is_followed() {
    let Some(python) = peer_python() else { return };
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let longer = Network { longer: Some((200, Duration::from_millis(400))), ..Network::default() };
    of_two(|| compare(&python, plain("400 ms longer", longer), LONGER_TOLERANCE));
}

/// Two calls of each kind at once; ours may be so much worse.
fn compare(python: &Path, condition: Condition, tolerance: f64) -> Result<(), String> {
    let mut calls: Vec<Call<Scores>> = Vec::new();
    for seed in 1..=2 {
        calls.push(Box::new(move || telephones(python, condition, seed)));
        calls.push(Box::new(move || pjsip_to_us(python, condition, seed)));
    }
    let scores = all(4, &calls);
    let difference = table::median(&table::differences(&[scores[0], scores[2]], &[scores[1], scores[3]]));
    let result = format!("{}: telephones, ours, twice: {scores:.2?}", condition.name);
    println!("{result}");
    let worst = difference.said.min(difference.heard);
    if worst >= -tolerance { Ok(()) } else { Err(result) }
}
