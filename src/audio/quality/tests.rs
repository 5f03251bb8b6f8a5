use super::super::g711::Law;
use super::super::pcm::Rate;
use super::super::resample::{Downsampler, Upsampler};
use super::super::tone;
use super::*;

fn g711(law: Law, samples: &[i16]) -> Vec<i16> {
    let (mut codes, mut out) = (Vec::new(), Vec::new());
    law.encode(samples, &mut codes);
    law.decode(&codes, &mut out);
    out
}

fn delayed(samples: &[i16], by: usize) -> Vec<i16> {
    let mut out = vec![0; by];
    out.extend(samples);
    out
}

fn report(reference: &[i16], degraded: &[i16]) -> Report {
    compare(reference, degraded).expect("something to compare")
}

/// A loud place in the voice: a sample in the middle of the loudest 20 ms.
fn loud(samples: &[i16]) -> usize {
    let loudness = |at: usize| samples[at..at + 160].iter().map(|s| i64::from(s.unsigned_abs())).sum::<i64>();
    (1600..samples.len() - 1600).step_by(160).max_by_key(|at| loudness(*at)).expect("long enough")
}

#[test]
fn the_same_recording_is_perfect() {
    let voice = tone::voice(3000, 1);
    let report = report(&voice, &voice);
    assert_eq!((report.delay_ms, report.segmental_snr_db, report.correlation), (0.0, 60.0, 1.0));
    assert_eq!((report.level_db, report.gaps.len(), report.clicks.len()), (0.0, 0, 0));
    assert!(report.speech_ms > 1500);
}

#[test]
fn a_g711_round_trip_is_35_db_or_more() {
    for (law, seed) in [(Law::Mu, 1), (Law::A, 1), (Law::Mu, 2), (Law::A, 3)] {
        let voice = tone::voice(4000, seed);
        let report = report(&voice, &g711(law, &voice));
        assert!((34.5..42.0).contains(&report.segmental_snr_db), "{law:?} {report:?}");
        assert_eq!((report.delay_ms, report.gaps.len(), report.clicks.len()), (0.0, 0, 0), "{report:?}");
    }
}

#[test]
fn the_whole_chain_is_measured_with_its_delay() {
    let voice = tone::voice(4000, 5);
    let (mut wide, mut narrow) = (Vec::new(), Vec::new());
    Upsampler::new(Rate::Hz8000).process(&g711(Law::A, &voice), &mut wide);
    Downsampler::new(Rate::Hz8000).process(&wide, &mut narrow);
    let report = report(&voice, &g711(Law::A, &narrow));
    // Up adds 2.5 ms, down takes its own off.
    assert_eq!(report.delay_ms, 2.5);
    assert!(report.segmental_snr_db > 25.0, "{report:?}");
    assert_eq!((report.gaps.len(), report.clicks.len()), (0, 0), "{report:?}");
}

#[test]
fn a_shift_either_way_is_aligned() {
    let voice = tone::voice(4000, 2);
    for by in [1, 7, 160, 1234, 8000, 20_000] {
        let later = report(&voice, &delayed(&voice, by));
        assert_eq!((later.delay_ms, later.segmental_snr_db), (by as f64 / 8.0, 60.0));
        if by < 10_000 {
            let earlier = report(&delayed(&voice, by), &voice);
            assert_eq!((earlier.delay_ms, earlier.segmental_snr_db), (by as f64 / -8.0, 60.0));
        }
    }
}

#[test]
fn the_level_is_matched_and_told() {
    let voice = tone::voice(3000, 3);
    let half: Vec<i16> = voice.iter().map(|s| s / 2).collect();
    let report = report(&voice, &half);
    assert!((report.level_db + 6.02).abs() < 0.05, "{report:?}");
    assert!(report.segmental_snr_db > 50.0, "{report:?}");
}

#[test]
fn a_gap_of_20_ms_is_found_where_it_is() {
    let voice = tone::voice(4000, 4);
    let at = loud(&voice);
    let mut degraded = g711(Law::Mu, &delayed(&voice, 400));
    degraded[at + 400..at + 560].fill(0);
    let report = report(&voice, &degraded);
    assert_eq!(report.gaps.len(), 1, "{report:?}");
    assert!((report.gaps[0].ms - 20.0).abs() < 1.0, "{report:?}");
    assert!((report.gaps[0].at_ms - (at + 400) as f64 / 8.0).abs() < 1.0, "{report:?}");
    assert!(report.worst_snr_db < report.segmental_snr_db && report.segmental_snr_db > 33.0, "{report:?}");
}

#[test]
fn a_pause_of_the_voice_is_no_gap() {
    let voice = tone::voice(6000, 6);
    assert!(voice.windows(400).any(|window| window.iter().all(|s| *s == 0)), "the voice pauses");
    assert_eq!(report(&voice, &g711(Law::A, &voice)).gaps, []);
}

#[test]
fn a_click_is_found_where_it_is() {
    let voice = tone::voice(4000, 7);
    let at = loud(&voice);
    let mut degraded = voice.clone();
    degraded[at] = degraded[at].saturating_add(if degraded[at] > 0 { -12_000 } else { 12_000 });
    let report = report(&voice, &degraded);
    assert_eq!(report.clicks.len(), 1, "{report:?}");
    assert!((report.clicks[0].at_ms - at as f64 / 8.0).abs() < 0.5 && report.clicks[0].size > 10_000, "{report:?}");
    assert_eq!(report.border_clicks, 0);
}

#[test]
fn clicks_at_frame_borders_are_told_apart() {
    let voice = tone::voice(4000, 8);
    let mut degraded = voice.clone();
    // A filter that forgets its state at every fifth frame: the frame begins at zero.
    for frame in degraded.chunks_exact_mut(160).step_by(5) {
        frame[..2].fill(0);
    }
    let report = report(&voice, &degraded);
    assert!(report.border_clicks >= 4, "{report:?}");
    assert!(report.clicks.len() <= report.border_clicks + 2, "{report:?}");
}

#[test]
fn the_wrong_law_is_heard() {
    let voice = tone::voice(3000, 9);
    let (mut codes, mut wrong) = (Vec::new(), Vec::new());
    Law::Mu.encode(&voice, &mut codes);
    Law::A.decode(&codes, &mut wrong);
    let report = report(&voice, &wrong);
    assert!(report.segmental_snr_db < 20.0, "{report:?}");
}

#[test]
fn another_voice_is_not_like_it() {
    let report = report(&tone::voice(3000, 10), &tone::voice(3000, 11));
    assert!(report.correlation < 0.5 && report.segmental_snr_db < 5.0, "{report:?}");
}

#[test]
fn nothing_to_compare_is_none() {
    let voice = tone::voice(1000, 1);
    assert_eq!(compare(&[], &[]), None);
    assert_eq!(compare(&voice, &[]), None);
    assert_eq!(compare(&voice, &[0; 8000]), None);
    assert_eq!(compare(&[0; 8000], &voice), None);
    assert_eq!(compare(&voice[..100], &voice[..100]), None);
}

/// Words with pauses between them have broad envelopes: the fine search must reach far enough.
#[test]
fn words_with_pauses_are_aligned_at_any_delay() {
    let clip = include_bytes!("../../../assets/speech/caller/opening_hours.wav");
    let words = super::super::wav::decode_8k_mono("opening_hours", clip).expect("a clip of ours");
    let silence = vec![0; 4000];
    let said = [&silence[..], &words, &silence, &words[..9000], &silence, &silence].concat();
    for delay in (0..900).step_by(100) {
        let heard = &delayed(&g711(Law::Mu, &said), delay)[..said.len() - 1280];
        let report = report(&said, heard);
        assert_eq!(report.delay_ms, delay as f64 / 8.0);
        assert!(report.correlation > 0.99, "{delay}: {report:?}");
    }
}
