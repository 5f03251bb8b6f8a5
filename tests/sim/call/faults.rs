//! The Realtime side fails (R1 to R7, invariant 11).

use crate::peer::Voice;
use crate::service::{Opening, Reply};
use crate::world::{SESSION, Setup, World, ms, secs};
use voxtrunk::call::end::Cause;
use voxtrunk::call::{CallEvent, Input};
use voxtrunk::config::dialplan::{AnswerPolicy, Fallback};
use voxtrunk::observe::cdr::EndedBy;
use voxtrunk::realtime::session::SessionFault;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::user_agent::{ReferOutcome, UaCommand, UaEvent};

fn refused_at_connect(fault: SessionFault) -> Setup {
    World::setup().with(|s| s.connect = Err((ms(300), fault)))
}

/// R1, R2, DLG-14: 503 with Retry-After for an outage, 480 for what is wrong with this number only.
#[test]
fn reject_before_the_answer() {
    let text = || "x".to_owned();
    for (fault, status) in [
        (SessionFault::Connect(text()), 503),
        (SessionFault::RateLimited(text()), 503),
        (SessionFault::Timeout, 503),
        (SessionFault::Unauthorised(text()), 480),
        (SessionFault::NotFound(text()), 480),
    ] {
        let mut world = refused_at_connect(fault.clone()).ring();
        let record = world.ends_within(ms(310));
        assert_eq!((record.cdr.sip_status, record.cdr.cause.as_str()), (status, fault.label()));
        assert_eq!((record.end.by, &record.end.cause), (EndedBy::Fault, &Cause::Realtime(fault)));
        let Some((_, UaCommand::Reject { status: sent, headers, .. })) = world.sip.last() else { panic!("{world}") };
        assert_eq!((*sent, headers.iter().any(|(n, _)| *n == Name::RetryAfter)), (status, status == 503));
        assert_eq!(world.closed_realtime, None, "there is nothing to close");
    }
}

/// R4: a refused configuration, a mute server, a lost connection: each ends in the fallback, within the deadline.
#[test]
fn session_fails_before_the_answer() {
    let mut world = World::setup().ring();
    world.service.opening = Opening::Refused;
    let record = world.ends_within(secs(1));
    assert_eq!((record.cdr.sip_status, record.cdr.cause.as_str()), (480, "realtime_bad_configuration"));
    let mut world = World::setup().ring();
    world.service.opening = Opening::Mute;
    assert_eq!(world.ends_within(secs(7)).end.cause, Cause::Realtime(SessionFault::Timeout));
    let mut world = World::setup().ring();
    world.run(ms(180)).realtime_breaks();
    assert_eq!(world.ends_within(ms(10)).cdr.cause, "realtime_lost");
}

/// R1: an owner that never answers does not keep the call ringing.
#[test]
fn connect_never_answers() {
    let mut world = World::setup().with(|s| s.connect = Ok(secs(3_600))).ring();
    assert_eq!(world.ends_within(secs(6)).end.cause, Cause::Realtime(SessionFault::Timeout));
    assert!(world.closed_realtime.is_some());
}

/// The apology: answered, heard whole, then BYE; never before the caller can hear it.
#[test]
fn apology_before_the_answer() {
    let apology = Fallback::Apology { wav: None };
    let mut world = refused_at_connect(SessionFault::Timeout).plan(|p| p.fallback = apology).ring();
    world.answered_within(ms(310));
    let record = world.ends_within(secs(10));
    assert_eq!((record.cdr.sip_status, record.end.cause.clone()), (200, Cause::Realtime(SessionFault::Timeout)));
    assert!(world.peer.speech_ms() >= 500, "{} ms\n{world}", world.peer.speech_ms());
    assert!(world.bye_at().expect("a BYE") > world.peer.last_loud().expect("an apology"));
    assert!(world.noted(|e| *e == CallEvent::Fallback("apology")));
}

/// The dialplan's own apology is played to its last sample.
#[test]
fn own_apology() {
    let clip: Vec<i16> = (0..16_000).map(|n| crate::peer::tone(n, 8_000)).collect();
    let mut world = refused_at_connect(SessionFault::Timeout)
        .with(|s| s.apology = Some(clip.into()))
        .plan(|p| p.fallback = Fallback::Apology { wav: None })
        .ring();
    world.ends_within(secs(10));
    let heard = world.peer.speech_ms();
    assert!((1_995..=2_005).contains(&heard), "{heard}");
}

/// The call is answered, then transferred; with an apology when that fails, too.
#[test]
fn transfer_before_the_answer() {
    for works in [true, false] {
        let mut world = refused_at_connect(SessionFault::Timeout)
            .plan(|p| p.fallback = Fallback::Transfer { target: "sales".into() })
            .ring();
        world.answered_within(ms(310));
        world.until("REFER", ms(200), |w| w.command(|c| matches!(c, UaCommand::Refer { .. })).is_some());
        let outcome = if works { ReferOutcome::Final(200) } else { ReferOutcome::Refused(405) };
        world.input(Input::Sip(UaEvent::Refer { session: SESSION, outcome }));
        let record = world.ends_within(secs(10));
        assert_eq!(record.end.cause, Cause::Realtime(SessionFault::Timeout));
        assert_eq!(world.peer.speech_ms() >= 500, !works, "an apology only when the transfer failed");
    }
}

/// A fallback to a name that is not in the list is an apology, not a REFER.
#[test]
fn transfer_to_nowhere() {
    let mut world = refused_at_connect(SessionFault::Timeout)
        .plan(|p| p.fallback = Fallback::Transfer { target: "nobody".into() })
        .ring();
    world.ends_within(secs(10));
    assert!(world.command(|c| matches!(c, UaCommand::Refer { .. })).is_none());
    assert!(world.peer.speech_ms() >= 500);
}

/// R5: the connection is lost in the call: what is queued is heard, then the apology, no silence of 2 s, then BYE.
#[test]
fn lost_in_the_call() {
    for fallback in [Fallback::Reject, Fallback::Apology { wav: None }] {
        let mut world = World::setup().plan(|p| p.fallback = fallback).talk();
        let start = world.now;
        world.model_speaks(3_000).run(ms(1_000));
        world.realtime_breaks();
        let lost = world.now;
        assert_eq!(world.ends_within(secs(10)).cdr.cause, "realtime_lost");
        let bye = world.bye_at().expect("a BYE");
        assert!(world.peer.speech_ms_since(start) >= 3_500, "{}", world.peer.speech_ms_since(start));
        assert!(world.peer.longest_silence(lost, bye) <= secs(2));
    }
}

/// R5: lost while nobody speaks: the apology comes at once.
#[test]
fn lost_in_a_pause() {
    let mut world = World::setup().talk();
    world.run(secs(2)).realtime_breaks();
    let lost = world.now;
    world.ends_within(secs(5));
    let first = world.peer.first_loud_since(lost).expect("an apology");
    assert!(first - lost <= ms(100), "{:?}", first - lost);
}

/// R6: the session's own end is the fallback, too, with its cause.
#[test]
fn session_expires() {
    let mut world = World::setup().talk();
    let expired = serde_json::json!({"type": "error", "error": {"type": "invalid_request_error",
        "code": "session_expired", "message": "Your session hit the maximum duration of 60 minutes."}});
    world.service.at(world.now, expired);
    world.run(ms(20));
    world.socket_open = false;
    world.input(Input::RealtimeClosed {
        code: Some(1001),
        reason: "Your session hit the maximum duration of 60 minutes.",
    });
    assert_eq!(world.ends_within(secs(5)).cdr.cause, "realtime_expired");
}

/// Lost with a transfer as the fallback: the caller is handed over.
#[test]
fn lost_then_transferred() {
    let mut world = World::setup().plan(|p| p.fallback = Fallback::Transfer { target: "desk".into() }).talk();
    world.realtime_breaks();
    world.until("REFER", secs(1), |w| w.command(|c| matches!(c, UaCommand::Refer { .. })).is_some());
    let outcome = ReferOutcome::Accepted;
    world.input(Input::Sip(UaEvent::Refer { session: SESSION, outcome }));
    let from = world.now;
    world.run(secs(10));
    assert!(world.peer.longest_silence(from, world.now) <= secs(2), "a tone while the caller waits");
    world.caller_hangs_up();
    assert_eq!(world.ends_within(ms(0)).end.cause.label(), "realtime_lost");
}

/// Lost during the last words: what is queued is heard, the end keeps its own cause.
#[test]
fn lost_during_the_goodbye() {
    let mut world = World::setup().talk();
    let said = world.now;
    world.service.speak_and_call(world.now, 3_000, "hang_up", &serde_json::json!({}));
    world.run(secs(1)).realtime_breaks();
    assert_eq!(world.ends_within(secs(4)).end.cause, Cause::AgentHangup);
    assert!(world.peer.speech_ms_since(said) >= 2_995);
}

/// Fails after an answer at once: the caller hears why.
#[test]
fn at_once_then_failed() {
    let mut world = refused_at_connect(SessionFault::Timeout).plan(|p| p.answer = AnswerPolicy::AtOnce).ring();
    world.ends_within(secs(10));
    assert!(world.peer.speech_ms() >= 500);
    assert!(world.command(|c| matches!(c, UaCommand::Reject { .. })).is_none());
}

/// R3: one failed response is tried again, the second in a row is the fallback.
#[test]
fn failed_responses() {
    let mut world = World::setup().talk();
    world.run(ms(500));
    let asked = world.now;
    world.service.reply(world.now, Reply::Fail);
    world.until("a second try is heard", secs(2), |w| w.peer.last_loud().is_some_and(|t| t > asked));
    world.run(secs(3));
    assert!(world.ended.is_none());
    world.service.replies.push_back(Reply::Fail);
    world.service.reply(world.now, Reply::Fail);
    assert_eq!(world.ends_within(secs(10)).cdr.cause, "realtime_server_error");
}

/// R7, invariant 11: a model that thinks for ten seconds is covered by a soft tone, which ends when it speaks.
#[test]
fn slow_model() {
    let mut world = World::setup().talk();
    world.caller_begins().run(secs(1));
    world.caller_ends("A hard question");
    let asked = world.now;
    world.service.reply(world.now + secs(10), Reply::Speech(1_000, "Forty-two."));
    world.run(secs(13));
    assert!(world.peer.longest_silence(asked, asked + secs(11)) <= secs(2), "{world}");
    let heard = world.peer.speech_ms_since(asked);
    assert!((995..=1_005).contains(&heard), "{heard}");
    let late = world.peer.got.iter().filter(|g| g.at > asked + secs(11) + ms(300));
    assert!(late.flat_map(|g| &g.samples).all(|s| s.unsigned_abs() < 50), "the tone ends with the wait");
}

/// Nobody answers a caller who says nothing: no tone while it is the caller's turn.
#[test]
fn no_tone_in_the_callers_turn() {
    let mut world = World::setup().talk();
    let from = world.now + ms(100);
    world.peer.voice = Voice::Silent;
    world.run(secs(10));
    assert!(world.peer.got.iter().filter(|g| g.at > from).all(|g| g.samples.iter().all(|s| s.unsigned_abs() < 50)));
}

/// R9: rubbish on the socket harms nothing.
#[test]
fn rubbish_events() {
    let mut world = World::setup().talk();
    for text in ["", "{", "[]", "null", r#"{"type":7}"#, r#"{"type":"unheard.of"}"#, r#"{"type":"response.done"}"#] {
        world.input(Input::RealtimeText(text));
        world.run(secs(3));
    }
    assert!(world.ended.is_none(), "{world}");
    world.model_speaks(500);
}
