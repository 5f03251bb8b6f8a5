//! From connect to close.

use super::*;

#[test]
fn created_then_update_then_updated_makes_ready() {
    let mut bench = Bench::connected(spec());
    assert!(bench.sent.is_empty(), "nothing before the server's first event");
    assert_eq!(bench.deadline, Some(bench.now + Duration::from_secs(5)));
    bench.server(json!({"type": "session.created", "session": {"type": "realtime", "id": "s", "expires_at": 1700}}));
    bench.server(json!({"type": "conversation.created", "conversation": {"id": "c"}}));
    assert_eq!(bench.sent_types(), ["session.update"]);
    assert!(bench.events.is_empty());
    bench.server(json!({"type": "session.updated", "session": {"type": "realtime", "id": "s"}}));
    let ready = AgentEvent::Ready { session_id: "s".to_owned(), expires_at_unix: Some(1700) };
    assert_eq!(bench.events, [ready]);
    bench.server(json!({"type": "session.updated", "session": {"id": "s"}}));
    assert_eq!((bench.events.len(), bench.deadline), (1, None), "ready once");
}

#[test]
fn conversation_created_alone_starts_the_session_too() {
    let mut bench = Bench::connected(spec());
    bench.server(json!({"type": "conversation.created", "conversation": {"id": "c"}}));
    assert_eq!(bench.sent_types(), ["session.update"]);
}

/// R4: no session.updated in time.
#[test]
fn ready_timeout_closes() {
    for created in [false, true] {
        let mut bench = Bench::connected(spec());
        if created {
            bench.server(json!({"type": "session.created"}));
        }
        bench.clear();
        bench.reach_deadline();
        assert_eq!(bench.events, [AgentEvent::Closed { fault: Some(SessionFault::Timeout) }]);
        assert!(bench.disconnected && bench.deadline.is_none());
    }
}

fn closed_by(bench: &Bench) -> &SessionFault {
    match bench.events.last() {
        Some(AgentEvent::Closed { fault: Some(fault) }) if bench.disconnected => fault,
        other => panic!("not closed: {other:?}"),
    }
}

/// R4: session.update refused, named or not.
#[test]
fn refused_update_is_fatal_and_tells_configuration_from_dialect() {
    for (code, param, label) in [
        ("invalid_value", "session.audio.output.voice", "realtime_bad_configuration"),
        ("unknown_parameter", "session.type", "realtime_wrong_dialect"),
        ("missing_required_parameter", "session.type", "realtime_wrong_dialect"),
        ("beta_api_shape_disabled", "", "realtime_wrong_dialect"),
    ] {
        for name_event in [false, true] {
            let mut bench = Bench::connected(spec());
            bench.server(json!({"type": "session.created"}));
            let event_id = if name_event { bench.sent[0]["event_id"].clone() } else { Value::Null };
            bench.server(json!({"type": "error",
                "error": {"code": code, "param": param, "message": "m", "event_id": event_id}}));
            assert_eq!(closed_by(&bench).label(), label, "{code}");
        }
    }
}

#[test]
fn an_error_before_session_created_is_fatal() {
    let mut bench = Bench::connected(spec());
    bench.server(json!({"type": "error", "error": "model_load_error: no such file"}));
    assert_eq!(closed_by(&bench), &SessionFault::Server("model_load_error: no such file".to_owned()));
}

#[test]
fn a_foreign_audio_format_in_the_echo_is_a_bad_configuration() {
    for format in [json!({"type": "audio/pcm", "rate": 24000}), json!("g711_alaw")] {
        let mut bench = Bench::connected(spec());
        bench.server(json!({"type": "session.created"}));
        bench.server(json!({"type": "session.updated", "session": {"audio": {"output": {"format": format}}}}));
        assert_eq!(closed_by(&bench).label(), "realtime_bad_configuration");
    }
}

#[test]
fn what_is_wanted_before_ready_is_done_at_ready_and_audio_is_dropped() {
    let mut bench = Bench::connected(spec());
    bench.intent(Intent::Greet(Greeting::Say("Hello".to_owned())));
    bench.session.audio(&[0x55; 160]);
    bench.server(json!({"type": "session.created"}));
    bench.server(json!({"type": "session.updated"}));
    assert_eq!(bench.sent_types(), ["session.update", "response.create"]);
    bench.session.audio(&[0x55; 160]);
    bench.drain();
    assert_eq!(bench.sent_types()[2..], ["input_audio_buffer.append"]);
}

/// R6: the length cap, by error or by close.
#[test]
fn expiry_ends_the_session_as_expired() {
    let mut bench = Bench::ready();
    bench.error("session_expired", &Value::Null);
    assert_eq!(closed_by(&bench), &SessionFault::Expired);
    let mut bench = Bench::ready();
    let reason = "Your session hit the maximum duration of 60 minutes.";
    bench.session.handle_close(bench.now, Some(1001), reason);
    bench.drain();
    assert_eq!(closed_by(&bench), &SessionFault::Expired);
}

/// R5: the socket broke; nothing follows the end.
#[test]
fn lost_socket_closes_once() {
    let mut bench = Bench::ready();
    bench.session.handle_close(bench.now, Some(1011), "oops");
    bench.session.handle_close(bench.now, None, "");
    bench.session.audio(&[1; 8]);
    bench.intent(Intent::Say("late".to_owned()));
    bench.server(json!({"type": "session.created"}));
    assert_eq!(bench.events.len(), 1);
    assert_eq!(closed_by(&bench), &SessionFault::Lost { code: Some(1011), reason: "oops".to_owned() });
    assert!(bench.sent.is_empty());
}

#[test]
fn close_intent_disconnects_without_fault() {
    let mut bench = Bench::ready();
    bench.intent(Intent::Close);
    assert_eq!(bench.events, [AgentEvent::Closed { fault: None }]);
    assert!(bench.disconnected);
}

/// R9: unknown types are told, five malformed messages in ten seconds end the session.
#[test]
fn malformed_events_end_the_session_only_when_they_come_thick() {
    let mut bench = Bench::ready();
    for _ in 0..20 {
        bench.session.handle_text(bench.now, "{\"type\":");
        bench.drain();
        bench.advance(Duration::from_secs(3));
    }
    assert!(bench.warnings().iter().all(|w| *w == "malformed_event") && !bench.disconnected);
    bench.server(json!({"type": "conversation.item.speaker", "x": 1}));
    assert_eq!(bench.warnings().last(), Some(&"unknown_event"));
    bench.advance(Duration::from_secs(10));
    for n in 1..=5 {
        assert!(!bench.disconnected, "after {n}");
        bench.session.handle_text(bench.now, "[]");
        bench.drain();
    }
    assert_eq!(closed_by(&bench).label(), "realtime_lost");
}
