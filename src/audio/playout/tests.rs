use super::super::pcm::FRAME_8K;
use super::*;
use proptest::prelude::*;

fn frame(playout: &mut Playout) -> (Played, Vec<i16>) {
    let mut frame = vec![77; FRAME_8K];
    let played = playout.next_frame(&mut frame);
    (played, frame)
}

fn heard(segment: Segment, heard_ms: u32, received_ms: u32) -> Heard {
    Heard { segment, heard_ms, received_ms }
}

#[test]
fn an_empty_queue_gives_silence_and_is_idle() {
    let mut playout = Playout::new(Rate::Hz8000);
    let (played, samples) = frame(&mut playout);
    assert_eq!(played, Played::default());
    assert_eq!(samples, [0; FRAME_8K]);
    assert!(playout.is_idle());
}

#[test]
fn a_segment_is_reported_at_its_first_and_last_sample() {
    let mut playout = Playout::new(Rate::Hz8000);
    assert_eq!(playout.push(7, &[1; 200]), 200);
    playout.end(7);
    let (played, samples) = frame(&mut playout);
    assert_eq!(played, Played { segment: Some(7), samples: 160, started: Some(7), finished: None });
    assert_eq!(samples, [1; FRAME_8K]);
    assert_eq!(playout.heard(7), Some(heard(7, 20, 25)));
    let (played, samples) = frame(&mut playout);
    assert_eq!(played, Played { segment: Some(7), samples: 40, started: None, finished: Some(7) });
    assert_eq!(samples[..40], [1; 40]);
    assert_eq!(samples[40..], [0; 120]);
    assert_eq!(playout.heard(7), Some(heard(7, 25, 25)));
    assert!(playout.is_idle());
}

/// What begins and is less than a frame has its silence before it, so that what follows follows without a hole; what ends has it behind.
#[test]
fn a_short_beginning_stands_at_the_end_of_its_frame() {
    let mut playout = Playout::new(Rate::Hz8000);
    for segment in [1, 2] {
        playout.push(segment, &[1; 140]);
        for _ in 0..2 {
            let (played, samples) = frame(&mut playout);
            assert_eq!((played.started, played.samples, playout.before()), (Some(segment), 140, 20));
            assert_eq!((&samples[..20], &samples[20..]), (&[0; 20][..], &[1; 140][..]));
            // An event took its place.
            playout.unsend();
        }
        frame(&mut playout);
        playout.push(segment, &[2; 160]);
        assert_eq!((frame(&mut playout).1, playout.before()), (vec![2; 160], 0));
        playout.push(segment, &[3; 100]);
        let samples = frame(&mut playout).1;
        assert_eq!((&samples[..100], &samples[100..]), (&[3; 100][..], &[0; 60][..]));
        playout.push(segment, &[4; 60]);
        playout.end(segment);
        let samples = frame(&mut playout).1;
        assert_eq!((&samples[..60], &samples[60..]), (&[4; 60][..], &[0; 100][..]));
        assert_eq!(playout.heard(segment), Some(heard(segment, 57, 57)));
    }
}

#[test]
fn a_last_sample_at_the_frame_border_finishes_in_that_frame() {
    let mut playout = Playout::new(Rate::Hz8000);
    playout.push(1, &[1; FRAME_8K]);
    playout.end(1);
    assert_eq!(frame(&mut playout).0.finished, Some(1));
}

#[test]
fn two_segments_meet_in_a_frame_without_a_gap() {
    let mut playout = Playout::new(Rate::Hz8000);
    playout.push(1, &[1; 260]);
    playout.push(2, &[2; 300]);
    playout.end(1);
    frame(&mut playout);
    let (played, samples) = frame(&mut playout);
    assert_eq!(played, Played { segment: Some(2), samples: 160, started: Some(2), finished: Some(1) });
    assert_eq!((&samples[..100], &samples[100..]), (&[1; 100][..], &[2; 60][..]));
}

#[test]
fn pushes_that_interleave_play_in_the_order_of_the_first_push() {
    let mut playout = Playout::new(Rate::Hz8000);
    playout.push(1, &[1; 100]);
    playout.push(2, &[2; 160]);
    playout.push(1, &[1; 60]);
    playout.end(1);
    assert_eq!(frame(&mut playout).1, [1; FRAME_8K]);
    assert_eq!(frame(&mut playout).1, [2; FRAME_8K]);
}

#[test]
fn a_segment_without_audio_finishes_in_its_turn() {
    let mut playout = Playout::new(Rate::Hz8000);
    playout.push(1, &[1; 200]);
    playout.end(2);
    playout.end(1);
    assert!(!playout.is_idle());
    assert_eq!(frame(&mut playout).0.finished, None);
    assert_eq!(frame(&mut playout).0.finished, Some(1));
    // Not idle before the report is out.
    assert!(!playout.is_idle());
    assert_eq!(frame(&mut playout).0.finished, Some(2));
    assert!(playout.is_idle());
    assert_eq!(playout.heard(2), Some(heard(2, 0, 0)));
}

#[test]
fn an_open_segment_that_is_drained_is_not_finished() {
    let mut playout = Playout::new(Rate::Hz8000);
    playout.push(1, &[1; 100]);
    assert_eq!(frame(&mut playout).0.samples, 100);
    assert_eq!(frame(&mut playout).0, Played::default());
    assert!(!playout.is_idle());
    playout.push(1, &[1; 10]);
    playout.end(1);
    assert_eq!(frame(&mut playout).0, Played { segment: Some(1), samples: 10, started: None, finished: Some(1) });
}

#[test]
fn a_segment_whose_end_never_comes_holds_the_next_one_at_most_500_ms() {
    let mut playout = Playout::new(Rate::Hz8000);
    playout.push(1, &[1; FRAME_8K]);
    playout.push(2, &[2; 2 * FRAME_8K]);
    playout.end(2);
    assert_eq!(frame(&mut playout).0.segment, Some(1));
    let silent = (0..100).take_while(|_| frame(&mut playout).0.segment.is_none()).count();
    assert_eq!(silent, 25);
    // The first one keeps its right to speak, behind the second.
    playout.push(1, &[1; FRAME_8K]);
    assert_eq!(frame(&mut playout).0.segment, Some(2));
    assert_eq!(frame(&mut playout).0.segment, Some(1));
}

#[test]
fn unsend_takes_the_booking_back_and_gives_the_same_frame_again() {
    let mut playout = Playout::new(Rate::Hz8000);
    let samples: Vec<i16> = (0..400).collect();
    playout.push(1, &samples[..200]);
    playout.push(2, &samples[200..]);
    playout.end(1);
    playout.end(2);
    for _ in 0..3 {
        let first = frame(&mut playout);
        playout.unsend();
        playout.unsend();
        assert_eq!(playout.queued, 400 - playout.sent_total());
        assert_eq!(frame(&mut playout), first);
    }
    assert!(playout.is_idle());
    // The end is taken back too.
    playout.unsend();
    assert!(!playout.is_idle());
    assert_eq!(playout.heard(2), Some(heard(2, 15, 25)));
    assert_eq!(frame(&mut playout).0.finished, Some(2));
}

#[test]
fn unsend_gives_back_two_segments_that_both_ended_in_the_frame() {
    let mut playout = Playout::new(Rate::Hz8000);
    playout.push(1, &[1; 170]);
    playout.push(2, &[2; 20]);
    playout.end(1);
    playout.end(2);
    frame(&mut playout);
    let last = frame(&mut playout);
    assert_eq!(last.0, Played { segment: Some(2), samples: 30, started: Some(2), finished: Some(1) });
    playout.unsend();
    assert_eq!(playout.queued, 30);
    assert_eq!(frame(&mut playout), last);
    assert_eq!(frame(&mut playout).0, Played { finished: Some(2), ..Played::default() });
}

#[test]
fn flush_reports_what_was_heard_and_quarantines_late_audio() {
    let mut playout = Playout::new(Rate::Hz8000);
    playout.push(1, &[1; 1000]);
    playout.push(2, &[2; 800]);
    playout.end(2);
    for _ in 0..3 {
        frame(&mut playout);
    }
    assert_eq!(playout.flush(), [heard(1, 60, 125), heard(2, 0, 100)]);
    assert!(playout.is_idle());
    assert_eq!(playout.push(1, &[1; 500]), 0);
    assert_eq!(playout.push(2, &[1; 500]), 0);
    playout.end(1);
    playout.unsend();
    assert_eq!(frame(&mut playout).0, Played::default());
    assert_eq!(playout.heard(1), Some(heard(1, 60, 125)));
    assert_eq!(playout.refused_samples(), 1000);
    // The next segment is not concerned.
    assert_eq!(playout.push(3, &[3; 10]), 10);
    assert_eq!(frame(&mut playout).0.started, Some(3));
}

#[test]
fn flush_leaves_out_what_was_heard_to_its_end() {
    let mut playout = Playout::new(Rate::Hz8000);
    playout.push(1, &[1; 160]);
    playout.end(1);
    frame(&mut playout);
    assert_eq!(playout.flush(), []);
    // Open and all played: the model may still be speaking, so it counts as cut.
    playout.push(2, &[2; 160]);
    frame(&mut playout);
    assert_eq!(playout.flush(), [heard(2, 20, 20)]);
}

#[test]
fn audio_of_a_segment_refused_before_its_first_push_is_ignored() {
    let mut playout = Playout::new(Rate::Hz8000);
    playout.refuse(5);
    assert_eq!(playout.push(5, &[1; 160]), 0);
    assert!(playout.is_idle());
    playout.push(6, &[1; 320]);
    frame(&mut playout);
    playout.refuse(6);
    assert_eq!(frame(&mut playout).0, Played::default());
    assert_eq!(playout.queued_ms(), 0);
}

#[test]
fn the_queue_is_bounded_to_180_s() {
    let mut playout = Playout::new(Rate::Hz8000);
    let second = vec![1; 8000];
    for _ in 0..180 {
        assert_eq!(playout.push(1, &second), 8000);
    }
    assert_eq!(playout.push(1, &second), 0);
    assert_eq!(playout.queued_ms(), 180_000);
    assert_eq!(playout.heard(1), Some(heard(1, 0, 180_000)));
    frame(&mut playout);
    assert_eq!(playout.push(1, &second), 160);
    playout.flush();
    assert!(playout.spare.iter().all(|buffer| buffer.capacity() <= 2 * SPARE_CAPACITY));
}

#[test]
fn the_number_of_segments_is_bounded() {
    let mut playout = Playout::new(Rate::Hz8000);
    for segment in 0..200 {
        playout.push(segment, &[1]);
    }
    assert_eq!(playout.ledger.len(), MAX_SEGMENTS);
    assert_eq!(playout.queued, MAX_SEGMENTS);
    playout.flush();
    assert_eq!(playout.push(1000, &[1]), 1);
    // The last 32 stay known.
    assert!((33..64).all(|segment| playout.heard(segment).is_some()));
}

impl Playout {
    fn sent_total(&self) -> usize {
        self.ledger.iter().map(|entry| entry.sent).sum()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(Segment, usize),
    End(Segment),
    Refuse(Segment),
    Frame(usize),
    Unsend,
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..12u64, 0..700usize).prop_map(|(segment, count)| Step::Push(segment, count)),
        2 => (0..12u64).prop_map(Step::End),
        1 => (0..12u64).prop_map(Step::Refuse),
        8 => prop_oneof![Just(80usize), Just(160), Just(240), Just(480)].prop_map(Step::Frame),
        2 => Just(Step::Unsend),
        1 => Just(Step::Flush),
    ]
}

proptest! {
    /// Heard means sent: in any order of calls the ledger books exactly the speech samples of the frames that were sent, each
    /// sample is sent once and in order, nothing is heard above what was received, and each segment starts and finishes at most once.
    #[test]
    fn the_ledger_books_exactly_what_was_sent(steps in proptest::collection::vec(step(), 1..120)) {
        let mut playout = Playout::new(Rate::Hz8000);
        let mut pushed = [0usize; 12];
        let mut sent: Vec<i16> = Vec::new();
        let mut reports: Vec<(&str, Segment)> = Vec::new();
        // What the last frame added, for unsend.
        let mut last: Option<(usize, usize)> = None;
        let mut samples = Vec::new();
        for step in &steps {
            match *step {
                Step::Push(segment, count) => {
                    // A sample names its segment and its place in it.
                    let at = pushed[segment as usize];
                    samples.clear();
                    samples.extend((at..at + count).map(|n| (segment * 2000 + (n % 2000) as u64) as i16 + 1));
                    pushed[segment as usize] += playout.push(segment, &samples);
                }
                Step::End(segment) => playout.end(segment),
                Step::Refuse(segment) => { playout.refuse(segment); last = None; }
                Step::Frame(len) => {
                    let mut frame = vec![99; len];
                    let played = playout.next_frame(&mut frame);
                    last = Some((sent.len(), reports.len()));
                    // All of its silence is on one side of the speech.
                    frame.rotate_left(playout.before());
                    prop_assert!(frame[played.samples..].iter().all(|sample| *sample == 0));
                    prop_assert_eq!(played.segment.is_some(), played.samples > 0);
                    sent.extend(&frame[..played.samples]);
                    reports.extend(played.started.map(|segment| ("started", segment)));
                    reports.extend(played.finished.map(|segment| ("finished", segment)));
                }
                Step::Unsend => {
                    playout.unsend();
                    if let Some((speech, told)) = last.take() {
                        sent.truncate(speech);
                        reports.truncate(told);
                    }
                }
                Step::Flush => {
                    for cut in playout.flush() {
                        prop_assert!(cut.heard_ms <= cut.received_ms);
                    }
                    last = None;
                }
            }
            prop_assert_eq!(playout.sent_total(), sent.len(), "booked and sent differ after {:?}", step);
            prop_assert_eq!(playout.queued, playout.ledger.iter().map(|entry| entry.queued.len()).sum::<usize>());
        }
        for segment in 0..12u64 {
            let of_it: Vec<i16> = sent.iter().copied().filter(|s| (i64::from(*s) - 1) / 2000 == segment as i64).collect();
            let expected: Vec<i16> = (0..of_it.len()).map(|n| (segment * 2000 + (n % 2000) as u64) as i16 + 1).collect();
            prop_assert_eq!(of_it, expected, "samples of segment {} lost, doubled or out of order", segment);
            prop_assert!(reports.iter().filter(|report| **report == ("started", segment)).count() <= 1);
            prop_assert!(reports.iter().filter(|report| **report == ("finished", segment)).count() <= 1);
        }
    }
}

/// The line's rate changes in mid-word (another codec by re-INVITE): what waits and what was heard keep their milliseconds.
#[test]
fn another_rate_keeps_the_ledger_and_the_queue() {
    for (from, to) in [(Rate::Hz8000, Rate::Hz16000), (Rate::Hz16000, Rate::Hz8000), (Rate::Hz8000, Rate::Hz24000)] {
        let mut playout = Playout::new(from);
        playout.push(1, &vec![1_000; from.samples(500)]);
        playout.push(2, &vec![2_000; from.samples(300)]);
        playout.end(1);
        let mut frame = vec![0; from.samples(20)];
        (0..5).for_each(|_| assert_eq!(playout.next_frame(&mut frame).samples, frame.len()));
        playout.set_rate(to);
        assert_eq!(playout.heard(1), Some(heard(1, 100, 500)));
        assert_eq!(playout.heard(2), Some(heard(2, 0, 300)));
        assert_eq!(playout.queued_ms(), 700);
        // Nothing of before can be taken back.
        playout.unsend();
        let mut frame = vec![0; to.samples(20)];
        assert_eq!(playout.next_frame(&mut frame).samples, to.samples(20));
        assert!(
            frame.iter().all(|sample| (900..1_100).contains(sample)),
            "no step where the old rate ended: {frame:?}"
        );
        assert_eq!(playout.heard(1), Some(heard(1, 120, 500)));
        playout.push(2, &vec![2_000; to.samples(100)]);
        playout.end(2);
        while !playout.is_idle() {
            playout.next_frame(&mut frame);
        }
        assert_eq!(playout.heard(1), Some(heard(1, 500, 500)));
        assert_eq!(playout.heard(2), Some(heard(2, 400, 400)));
    }
}

/// RTP-03: a service that speaks in real time, without a pause, and has fallen 200 ms behind by a stall: the delay goes, no sample is counted
/// twice, and what was skipped is counted apart.
#[test]
fn a_standing_delay_goes_and_the_ledger_stays_exact() {
    let mut playout = Playout::new(Rate::Hz8000);
    let voice: Vec<i16> = (0..160_000)
        .map(|n| ((f64::from(n) / 8_000.0 * 200.0 * std::f64::consts::TAU).sin() * 9_000.0) as i16)
        .collect();
    let mut pieces = voice.chunks(FRAME_8K);
    for piece in pieces.by_ref().take(10) {
        playout.push(1, piece);
    }
    let mut sent = 0;
    for piece in pieces {
        playout.push(1, piece);
        sent += frame(&mut playout).0.samples;
    }
    assert!((10..=30).contains(&playout.queued_ms()), "{} ms wait", playout.queued_ms());
    let skipped = playout.skipped_samples() as usize;
    assert_eq!(sent + skipped + playout.queued, voice.len());
    assert_eq!(playout.heard(1), Some(heard(1, ((sent + skipped) / 8) as u32, 20_000)));
    playout.end(1);
    while !playout.is_idle() {
        frame(&mut playout);
    }
    assert_eq!(playout.heard(1), Some(heard(1, 20_000, 20_000)));
}

/// Agent speech that comes faster than it plays is never shortened, nor are its pauses.
#[test]
fn a_reply_in_advance_is_played_whole() {
    let mut playout = Playout::new(Rate::Hz8000);
    let speech = crate::audio::tone::voice(10_000, 3);
    for (n, delta) in speech.chunks(1_600).enumerate() {
        playout.push(1, delta);
        if n % 2 == 0 {
            frame(&mut playout);
        }
    }
    playout.end(1);
    while !playout.is_idle() {
        frame(&mut playout);
    }
    assert_eq!((playout.skipped_samples(), playout.heard(1)), (0, Some(heard(1, 10_000, 10_000))));
}
