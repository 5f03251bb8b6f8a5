//! The one writer of response.create (reference 10.7).

use super::*;

fn create_id(bench: &Bench) -> Value {
    let created = bench.sent.iter().rev().find(|e| e["type"] == "response.create").expect("response.create");
    created["event_id"].clone()
}

fn creates(bench: &Bench) -> usize {
    bench.sent.iter().filter(|e| e["type"] == "response.create").count()
}

#[test]
fn greeting_forms() {
    let mut bench = Bench::ready();
    bench.intent(Intent::Greet(Greeting::Say("Hello!".to_owned())));
    assert_eq!(bench.sent[0]["response"]["input"], json!([]));
    let mut bench = Bench::ready();
    bench.intent(Intent::Greet(Greeting::Instructions("Greet in French.".to_owned())));
    assert_eq!(bench.sent[0]["response"]["instructions"], "You are Ann.\n\nGreet in French.");
    let mut bench = Bench::ready();
    bench.intent(Intent::Greet(Greeting::None));
    assert!(bench.sent.is_empty());
}

#[test]
fn a_second_wish_waits_for_response_done() {
    let mut bench = Bench::ready();
    bench.intent(Intent::Say("one".to_owned()));
    bench.intent(Intent::Say("two".to_owned()));
    assert_eq!(creates(&bench), 1, "requested");
    bench.created("r1");
    assert_eq!(creates(&bench), 1, "active");
    bench.done("r1", "completed");
    assert_eq!(creates(&bench), 2);
}

#[test]
fn only_one_wish_is_pending_and_the_last_instruction_wins() {
    let mut bench = Bench::ready();
    bench.created("vad");
    bench.intent(Intent::Say("check in".to_owned()));
    bench.intent(Intent::Say("goodbye".to_owned()));
    bench.intent(Intent::Digits("1".to_owned()));
    bench.done("vad", "completed");
    assert_eq!(bench.warnings(), ["say_superseded"]);
    assert_eq!(creates(&bench), 1);
    assert_eq!(bench.sent.last().expect("create")["response"]["instructions"], "You are Ann.\n\ngoodbye");
    bench.created("r2");
    bench.done("r2", "completed");
    assert_eq!(creates(&bench), 1, "the digits were in the conversation of the goodbye");
}

/// R10: the server's VAD came first; the wish waits for the end of that response, and is given up at the third refusal.
#[test]
fn already_active_requeues_the_wish() {
    let mut bench = Bench::ready();
    let command = bench.intent(Intent::Say("hello".to_owned()));
    let rejected = |e: &AgentEvent| matches!(e, AgentEvent::Rejected { command: Some(c), .. } if *c == command);
    for n in 1..=3 {
        assert_eq!(creates(&bench), n);
        bench.created(&format!("vad{n}"));
        let event_id = create_id(&bench);
        bench.error("conversation_already_has_active_response", &event_id);
        assert_eq!(creates(&bench), n, "not before response.done");
        assert_eq!(bench.events.iter().any(rejected), n == 3);
        bench.done(&format!("vad{n}"), "completed");
    }
    assert_eq!(creates(&bench), 3, "given up");
    assert_eq!(bench.warnings(), ["already_has_active_response"; 2]);
}

/// The response that was taken for ours was the VAD's and is over when the refusal of ours arrives.
#[test]
fn a_refusal_that_comes_late_still_finds_its_wish() {
    let mut bench = Bench::ready();
    bench.speech_started("u");
    bench.speech_stopped("u");
    bench.intent(Intent::Say("hello".to_owned()));
    let event_id = create_id(&bench);
    bench.created("vad");
    bench.done("vad", "completed");
    bench.intent(Intent::Say("more".to_owned()));
    assert_eq!(creates(&bench), 1, "a refusal may still come");
    bench.created("vad2");
    bench.error("conversation_already_has_active_response", &event_id);
    bench.done("vad2", "completed");
    assert_eq!(creates(&bench), 2);
    assert_eq!(bench.sent.last().expect("create")["response"]["instructions"], "You are Ann.\n\nmore");

    let mut bench = Bench::ready();
    bench.speech_started("u");
    bench.intent(Intent::Say("hello".to_owned()));
    bench.created("r");
    bench.done("r", "completed");
    bench.intent(Intent::Say("more".to_owned()));
    bench.reach_deadline();
    assert_eq!(creates(&bench), 2, "none came");
}

#[test]
fn refusal_before_any_sign_of_the_other_response_asks_again_after_its_end_or_soon() {
    let mut bench = Bench::ready();
    bench.intent(Intent::Say("hello".to_owned()));
    let event_id = create_id(&bench);
    bench.error("conversation_already_has_active_response", &event_id);
    assert_eq!(creates(&bench), 1);
    bench.reach_deadline();
    assert_eq!(creates(&bench), 2);

    let mut bench = Bench::ready();
    bench.intent(Intent::Say("hello".to_owned()));
    // The oldest servers give no code and no event id.
    bench.server(json!({"type": "error", "error": {"message": "Conversation already has an active response"}}));
    bench.done("unheard", "completed");
    assert_eq!(creates(&bench), 2);
}

#[test]
fn an_error_that_names_our_create_frees_the_slot() {
    let mut bench = Bench::ready();
    let command = bench.intent(Intent::Say("hello".to_owned()));
    let event_id = create_id(&bench);
    bench.error("rate_limit_exceeded", &event_id);
    let rejected = AgentEvent::Rejected {
        command: Some(command),
        code: Some("rate_limit_exceeded".to_owned()),
        message: "rate_limit_exceeded: no".to_owned(),
    };
    let failed = Some(SessionFault::RateLimited("rate_limit_exceeded: no".to_owned()));
    assert_eq!(bench.events, [rejected, AgentEvent::ResponseEnded { spoke: false, failed }]);
    bench.intent(Intent::Say("again".to_owned()));
    assert_eq!(creates(&bench), 2);
}

#[test]
fn an_unanswered_create_frees_the_slot_at_its_deadline() {
    let mut bench = Bench::ready();
    bench.intent(Intent::Say("hello".to_owned()));
    bench.intent(Intent::Say("goodbye".to_owned()));
    bench.reach_deadline();
    assert_eq!(bench.warnings(), ["response_create_unanswered"]);
    assert_eq!(creates(&bench), 2);
}

#[test]
fn a_response_without_its_done_ends_at_its_deadline() {
    let mut bench = Bench::ready();
    bench.created("r");
    bench.audio("r", "i", 100);
    bench.clear();
    bench.reach_deadline();
    let segment = SegmentId(1);
    assert!(bench.events.contains(&AgentEvent::SegmentEnded { segment, outcome: SegmentOutcome::Failed }));
    assert!(matches!(bench.events.last(), Some(AgentEvent::ResponseEnded { spoke: true, failed: Some(_) })));
    assert_eq!(bench.deadline, None);
}

#[test]
fn a_response_overtaken_by_the_next_one_is_over_and_has_not_failed() {
    let mut bench = Bench::ready();
    bench.created("r1");
    bench.audio("r1", "i1", 100);
    bench.clear();
    bench.created("r2");
    let ended = AgentEvent::SegmentEnded { segment: SegmentId(1), outcome: SegmentOutcome::Completed };
    let over = AgentEvent::ResponseEnded { spoke: true, failed: None };
    assert_eq!(bench.warnings(), ["response_done_missing"]);
    assert_eq!(bench.events[1..], [ended, over, AgentEvent::ResponseStarted]);
    bench.done("r1", "completed");
    assert_eq!(bench.events.len(), 4, "its late end is no news");
}

#[test]
fn repeated_created_and_done_do_not_free_the_slot_of_another_response() {
    let mut bench = Bench::ready();
    bench.created("r1");
    bench.done("r1", "completed");
    bench.intent(Intent::Say("x".to_owned()));
    bench.done("r1", "completed");
    bench.created("r1");
    bench.intent(Intent::Say("y".to_owned()));
    assert_eq!(creates(&bench), 1);
}

#[test]
fn an_out_of_band_response_is_left_alone() {
    let mut bench = Bench::ready();
    bench.created("main");
    bench.server(json!({"type": "response.created", "response": {"id": "side", "conversation_id": null}}));
    bench.clear();
    bench.audio("side", "j", 20);
    assert!(bench.events.is_empty());
    bench.done("side", "completed");
    bench.audio("main", "i", 20);
    assert!(bench.events.iter().any(|e| matches!(e, AgentEvent::Audio { .. })));
    bench.done("main", "completed");
    assert!(matches!(bench.events.last(), Some(AgentEvent::ResponseEnded { spoke: true, failed: None })));
}

#[test]
fn an_answer_is_left_to_the_vad_while_the_caller_speaks_and_falls_due_if_none_comes() {
    let mut bench = Bench::ready();
    bench.speech_started("u1");
    bench.intent(Intent::Digits("12#".to_owned()));
    assert_eq!(creates(&bench), 0);
    bench.speech_stopped("u1");
    assert_eq!(creates(&bench), 0);
    bench.reach_deadline();
    assert_eq!(creates(&bench), 1);
}

/// A refusal that may still come is waited for only once: while the VAD holds an answer, the deadline is the VAD's.
#[test]
fn a_held_answer_leaves_no_deadline_in_the_past() {
    let mut bench = Bench::ready();
    bench.speech_started("u1");
    bench.intent(Intent::Say("hello".to_owned()));
    bench.created("r");
    bench.done("r", "completed");
    bench.speech_stopped("u1");
    // Nothing is pending, so nobody calls when the wait for a refusal ends.
    bench.now += Duration::from_secs(2);
    bench.speech_started("u2");
    bench.intent(Intent::Digits("12#".to_owned()));
    assert_eq!(creates(&bench), 1);
    assert_eq!(bench.deadline, Some(bench.now + Duration::from_secs(30)), "the longest speech");
    for _ in 0..3 {
        bench.advance(Duration::from_secs(5));
        assert!(bench.deadline.is_some_and(|at| at > bench.now), "left due");
    }
    bench.reach_deadline();
    assert_eq!(creates(&bench), 2);
    assert!(bench.deadline.is_some_and(|at| at > bench.now));
}

#[test]
fn an_instruction_is_not_held_back_by_speech() {
    let mut bench = Bench::ready();
    bench.speech_started("u1");
    bench.intent(Intent::Say("goodbye".to_owned()));
    assert_eq!(creates(&bench), 1);
}

#[test]
fn a_vad_response_answers_what_the_server_had_shown() {
    for shown in [true, false] {
        let mut bench = Bench::ready();
        bench.speech_started("u1");
        bench.intent(Intent::Digits("1".to_owned()));
        let item = bench.sent[0]["item"].clone();
        if shown {
            bench.server(json!({"type": "conversation.item.added", "item": item}));
        }
        bench.speech_stopped("u1");
        bench.created("vad");
        bench.done("vad", "completed");
        assert_eq!(creates(&bench), usize::from(!shown), "shown: {shown}");
    }
}

/// R3: inference failures come as a failed response, without an error event.
#[test]
fn a_failed_response_is_told_with_its_fault() {
    let mut bench = Bench::ready();
    bench.created("r");
    bench.server(json!({"type": "response.done", "response": {"id": "r", "status": "failed", "output": null,
        "status_details": {"type": "failed", "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "slow"}}}}));
    let failed = Some(SessionFault::RateLimited("rate_limit_exceeded: slow".to_owned()));
    assert_eq!(bench.events.last(), Some(&AgentEvent::ResponseEnded { spoke: false, failed }));
    let command = bench.intent(Intent::Respond);
    assert_eq!((creates(&bench), command.0 > 0), (1, true), "the call may ask again");
}
