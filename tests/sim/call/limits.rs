//! Clocks that end a call: cap, silence, no media.

use crate::peer::Voice;
use crate::service::Reply;
use crate::world::{World, ms, secs};
use voxtrunk::call::CallEvent;
use voxtrunk::call::end::Cause;
use voxtrunk::sip::user_agent::UaCommand;

/// A20: the goodbye is heard before the cap, then BYE.
#[test]
fn longest_call() {
    let mut world = World::setup().plan(|p| p.limits.max_call = secs(120)).talk();
    world.service.replies.push_back(Reply::Speech(2_000, "I have to go."));
    world.until("goodbye", secs(110), |w| w.noted(|e| *e == CallEvent::Goodbye));
    let said = world.now;
    world.ends_within(secs(15));
    let heard = world.peer.speech_ms_since(said);
    assert!((1_995..=2_005).contains(&heard), "{heard}\n{world}");
    assert_eq!(world.ended.as_ref().map(|(_, r)| r.end.cause.clone()), Some(Cause::MaxCall));
}

/// The cap itself is hard, also when the service never says goodbye.
#[test]
fn the_cap_is_hard() {
    let mut world = World::setup().plan(|p| p.limits.max_call = secs(120)).talk();
    world.service.replies.push_back(Reply::Speech(60_000, "Let me tell you a story."));
    world.ends_within(secs(120));
    let (at, record) = world.ended.as_ref().expect("ended");
    assert_eq!(record.end.cause, Cause::MaxCall);
    assert!(record.cdr.talk_ms <= 120_010, "{} {at:?}", record.cdr.talk_ms);
}

/// A silent caller: check-in, then goodbye, both heard; a word starts it over.
#[test]
fn silent_caller() {
    let mut world = World::setup().plan(|p| p.limits.caller_silence = Some(secs(10))).talk();
    let quiet = world.now;
    world.service.replies.push_back(Reply::Speech(1_000, "Are you still there?"));
    world.until("check-in", secs(11), |w| w.noted(|e| *e == CallEvent::CheckIn));
    assert!(world.now - quiet >= ms(9_900), "{:?}", world.now - quiet);
    world.run(secs(3));
    world.caller_asks(1_000);
    world.run(secs(5));
    let checks = |w: &World| w.notes.iter().filter(|(_, e)| *e == CallEvent::CheckIn).count();
    world.until("a second check-in", secs(12), |w| checks(w) == 2);
    world.service.replies.push_back(Reply::Speech(1_500, "Goodbye then."));
    world.service.replies.push_back(Reply::Speech(1_500, "Goodbye then."));
    world.until("goodbye", secs(15), |w| w.noted(|e| *e == CallEvent::Goodbye));
    let said = world.now;
    assert_eq!(world.ends_within(secs(15)).end.cause, Cause::CallerSilent);
    let heard = world.peer.speech_ms_since(said);
    assert!((1_495..=1_505).contains(&heard), "{heard}\n{world}");
}

/// The clock of the caller's silence stands while the agent speaks.
#[test]
fn a_long_answer_is_no_silence() {
    let mut world = World::setup().plan(|p| p.limits.caller_silence = Some(secs(5))).talk();
    world.caller_asks(20_000);
    world.run(secs(20));
    assert!(!world.noted(|e| *e == CallEvent::CheckIn), "{world}");
}

/// RTP-10, S2: no packet for 15 s: a prompt is said, then BYE with a Reason.
#[test]
fn media_stops() {
    let mut world = World::setup().talk();
    world.run(secs(5));
    world.peer.voice = Voice::Off;
    let stopped = world.now;
    world.service.replies.push_back(Reply::Speech(1_000, "I cannot hear you."));
    assert_eq!(world.ends_within(secs(25)).end.cause, Cause::NoMedia);
    let bye = world.bye_at().expect("a BYE");
    assert!((secs(15)..secs(19)).contains(&(bye - stopped)), "{:?}", bye - stopped);
    assert!(world.peer.speech_ms_since(stopped) >= 995, "the prompt is heard");
    let (_, UaCommand::Hangup { reason: Some(reason), .. }) = world.sip.last().expect("a BYE") else {
        panic!("{world}")
    };
    assert_eq!(reason.protocol, "Q.850");
}

/// RTP-10: no packet at all: 30 s after the answer.
#[test]
fn media_never_starts() {
    let mut world = World::setup().ring();
    world.answered_within(ms(300));
    world.peer.voice = Voice::Off;
    let answered = world.now;
    assert_eq!(world.ends_within(secs(40)).end.cause, Cause::NoMedia);
    assert!(world.bye_at().expect("a BYE") - answered >= secs(30));
}

/// P3: the operator's wish ends a call at once: BYE when answered, 503 before.
#[test]
fn shutdown() {
    let end = || voxtrunk::call::CallEnd { by: voxtrunk::observe::cdr::EndedBy::Operator, cause: Cause::Shutdown };
    let mut world = World::setup().talk();
    world.input(voxtrunk::call::Input::Close(end()));
    assert_eq!(world.ends_within(ms(0)).end, end());
    assert!(world.bye_at().is_some());
    let mut world = World::setup().ring();
    world.input(voxtrunk::call::Input::Close(end()));
    assert_eq!(world.ends_within(ms(0)).cdr.sip_status, 503);
    assert!(world.command(|c| matches!(c, UaCommand::Reject { status: 503, .. })).is_some());
}

/// Invariant 11: a goodbye that is slow to come is announced by the waiting tone, and bounded.
#[test]
fn slow_goodbye() {
    let mut world = World::setup().plan(|p| p.limits.max_call = secs(120)).talk();
    world.service.think = secs(4);
    world.service.replies.push_back(Reply::Speech(1_000, "Goodbye."));
    world.until("goodbye", secs(110), |w| w.noted(|e| *e == CallEvent::Goodbye));
    let said = world.now;
    world.ends_within(secs(15));
    let bye = world.bye_at().expect("a BYE");
    assert!(world.peer.longest_silence(said, bye) <= secs(2));
    assert!(world.peer.speech_ms_since(said) >= 995);
}
