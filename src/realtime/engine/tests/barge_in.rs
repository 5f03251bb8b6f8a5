//! Barge-in (R14; reference 10.2).

use super::*;

const SEGMENT: SegmentId = SegmentId(1);

fn interrupt(bench: &mut Bench, heard_ms: u32) {
    bench.intent(Intent::Interrupt { segment: SEGMENT, heard_ms });
}

/// 1000 ms of item `i`, still being generated.
fn speaking() -> Bench {
    let mut bench = Bench::ready();
    bench.created("r");
    bench.audio("r", "i", 1000);
    bench.clear();
    bench
}

/// R14: cancel by name, truncate at what was heard, drop the rest.
#[test]
fn interrupt_while_generating_cancels_truncates_and_quarantines() {
    let mut bench = speaking();
    bench.speech_started("u");
    interrupt(&mut bench, 340);
    assert_eq!(bench.sent_types(), ["response.cancel", "conversation.item.truncate"]);
    assert_eq!(bench.sent[0]["response_id"], "r");
    assert_eq!((&bench.sent[1]["item_id"], &bench.sent[1]["audio_end_ms"]), (&json!("i"), &json!(340)));
    let ended = AgentEvent::SegmentEnded { segment: SEGMENT, outcome: SegmentOutcome::Interrupted };
    assert_eq!(bench.events.last(), Some(&ended));
    bench.clear();
    bench.audio("r", "i", 500);
    bench.audio("r", "i2", 500);
    assert!(bench.events.is_empty(), "late deltas are dropped");
    bench.done("r", "cancelled");
    bench.audio("r", "i", 500);
    assert!(!bench.events.iter().any(|e| matches!(e, AgentEvent::Audio { .. } | AgentEvent::SegmentEnded { .. })));
    assert!(matches!(bench.events.last(), Some(AgentEvent::ResponseEnded { spoke: true, failed: None })));
}

#[test]
fn truncation_is_never_above_what_was_received() {
    let mut bench = speaking();
    interrupt(&mut bench, 99_000);
    assert_eq!(bench.sent[1]["audio_end_ms"], 1000);
}

#[test]
fn everything_heard_and_nothing_more_to_come_sends_nothing() {
    let mut bench = speaking();
    bench.audio_done("r", "i");
    bench.done("r", "completed");
    bench.clear();
    interrupt(&mut bench, 1000);
    assert!(bench.sent.is_empty());
}

#[test]
fn a_response_that_is_long_done_is_truncated_without_cancel() {
    let mut bench = speaking();
    bench.done("r", "completed");
    bench.clear();
    interrupt(&mut bench, 500);
    assert_eq!(bench.sent_types(), ["conversation.item.truncate"]);
    bench.clear();
    interrupt(&mut bench, 400);
    assert!(bench.sent.is_empty(), "once for each segment");
}

#[test]
fn nothing_heard_deletes_the_item() {
    let mut bench = speaking();
    interrupt(&mut bench, 0);
    assert_eq!(bench.sent_types(), ["response.cancel", "conversation.item.delete"]);
    assert_eq!(bench.sent[1]["item_id"], "i");
}

#[test]
fn an_item_with_another_part_that_spoke_is_not_deleted() {
    let mut bench = speaking();
    bench.server(json!({"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "content_index": 1,
        "delta": "AAAAAAAAAAAAAAAA"}));
    bench.clear();
    bench.intent(Intent::Interrupt { segment: SegmentId(2), heard_ms: 0 });
    let truncate = &bench.sent[1];
    assert_eq!((&truncate["content_index"], &truncate["audio_end_ms"]), (&json!(1), &json!(0)));
}

/// R10: the server cancelled by itself and won the race.
#[test]
fn cancel_not_active_is_benign_and_frees_the_slot_even_without_done() {
    let mut bench = speaking();
    interrupt(&mut bench, 200);
    let event_id = bench.sent[0]["event_id"].clone();
    bench.intent(Intent::Say("sorry".to_owned()));
    bench.clear();
    bench.error("response_cancel_not_active", &event_id);
    assert_eq!(bench.warnings(), ["cancel_not_active"]);
    assert!(bench.sent.is_empty());
    bench.reach_deadline();
    assert_eq!(bench.sent_types(), ["response.create"]);
}

#[test]
fn the_server_cancelling_by_itself_ends_the_segment_as_interrupted() {
    let mut bench = speaking();
    bench.server(json!({"type": "response.done", "response": {"id": "r", "status": "cancelled",
        "status_details": {"type": "cancelled", "reason": "turn_detected"}}}));
    let ended = AgentEvent::SegmentEnded { segment: SEGMENT, outcome: SegmentOutcome::Interrupted };
    assert!(bench.events.contains(&ended));
    interrupt(&mut bench, 300);
    assert_eq!(bench.sent_types(), ["conversation.item.truncate"]);
}

/// A cancel before `response.created` would leave an orphan that speaks.
#[test]
fn a_requested_response_is_cancelled_when_it_begins() {
    let mut bench = speaking();
    bench.done("r", "completed");
    bench.intent(Intent::Say("more".to_owned()));
    bench.speech_started("u");
    bench.clear();
    interrupt(&mut bench, 500);
    assert_eq!(bench.sent_types(), ["conversation.item.truncate"]);
    bench.created("r2");
    assert_eq!(bench.sent_types()[1..], ["response.cancel"]);
    assert_eq!(bench.sent[1]["response_id"], "r2");
    bench.clear();
    bench.audio("r2", "i2", 20);
    assert!(bench.events.is_empty());
}

#[test]
fn a_late_interrupt_does_not_cancel_the_answer_to_the_next_turn() {
    let mut bench = speaking();
    bench.done("r", "completed");
    bench.speech_started("u");
    bench.speech_stopped("u");
    bench.created("answer");
    bench.clear();
    interrupt(&mut bench, 700);
    assert_eq!(bench.sent_types(), ["conversation.item.truncate"]);
}

#[test]
fn an_unknown_segment_harms_nothing() {
    let mut bench = Bench::ready();
    bench.intent(Intent::Interrupt { segment: SegmentId(77), heard_ms: 5 });
    assert!(bench.sent.is_empty());
    assert_eq!(bench.warnings(), ["interrupt_of_unknown_segment"]);
}

#[test]
fn refused_truncation_is_a_warning() {
    let mut bench = speaking();
    interrupt(&mut bench, 500);
    let event_id = bench.sent[1]["event_id"].clone();
    bench.clear();
    bench.error("invalid_value", &event_id);
    assert_eq!(bench.warnings(), ["truncate_refused"]);
}

/// R11: an endless response is cut.
#[test]
fn a_response_of_more_than_three_minutes_is_cancelled() {
    let mut bench = Bench::ready();
    bench.created("r");
    for _ in 0..19 {
        bench.audio("r", "i", 10_000);
    }
    assert_eq!(bench.sent_types(), ["response.cancel"]);
    let is_audio = |e: &&AgentEvent| matches!(e, AgentEvent::Audio { .. });
    assert_eq!((bench.events.iter().filter(is_audio).count(), bench.warnings()), (19, vec!["response_too_long"]));
    bench.audio("r", "i", 10_000);
    assert_eq!(bench.events.iter().filter(is_audio).count(), 19);
}
