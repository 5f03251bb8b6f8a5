//! Attended transfer in every order of events (XFR-05, XFR-03, S8).

use crate::peer::Voice;
use crate::world::{Setup, World, ms, secs};
use serde_json::json;
use voxtrunk::audio::tone;
use voxtrunk::call::end::Cause;
use voxtrunk::call::{CallEvent, Input};
use voxtrunk::config::dialplan::{Accept, LegPlan, ToolKind, TransferTarget};
use voxtrunk::observe::cdr::EndedBy;
use voxtrunk::sip::headers::{Name, Reason};
use voxtrunk::sip::user_agent::{ReferOutcome, SessionEnd, UaCommand, UaEvent};

pub fn leg_plan() -> LegPlan {
    LegPlan {
        refer: true,
        trunk: None,
        ring: secs(20),
        whisper: "Say who is calling.".into(),
        accept: Accept::Key('1'),
        accept_within: secs(10),
    }
}

fn targets(plan: &mut voxtrunk::config::dialplan::Dialplan) -> &mut Vec<TransferTarget> {
    plan.tools
        .iter_mut()
        .find_map(|tool| match &mut tool.kind {
            ToolKind::Transfer { targets } => Some(targets),
            _ => None,
        })
        .expect("a transfer tool")
}

/// The target "desk" has a second leg.
pub fn with_leg(leg: LegPlan) -> Setup {
    World::setup().plan(|p| {
        let desk = targets(p).iter_mut().find(|t| t.name == "desk").expect("a desk");
        desk.leg = Some(leg);
    })
}

/// The agent says a sentence and transfers; up to the wish for a leg.
pub fn called(setup: Setup) -> World {
    let mut world = setup.talk();
    world.service.speak_and_call(world.now, 1_000, "transfer", &json!({"target": "desk"}));
    world.until("a leg is wanted", secs(4), |w| w.leg.wanted);
    world
}

/// The target answered, and has heard the whisper.
pub fn whispered(setup: Setup, refer: bool) -> World {
    let mut world = called(setup);
    world.leg_ready(refer).run(secs(2));
    world.leg_answers();
    world.until("the whisper", secs(4), |w| w.leg.peer.last_loud().is_some());
    world.run(secs(2));
    world
}

fn outcome(world: &mut World, outcome: ReferOutcome) {
    world.input(Input::Sip(UaEvent::Refer { session: crate::world::SESSION, outcome }));
}

fn hung_up(world: &World, session: voxtrunk::sip::user_agent::SessionId) -> Option<Option<Reason>> {
    world.sip.iter().find_map(|(_, c)| match c {
        UaCommand::Hangup { session: s, reason } if *s == session => Some(reason.clone()),
        _ => None,
    })
}

/// DTM-06, XFR-05: a target without telephone-events takes the call by a tone; where events were negotiated a tone is sound.
#[test]
fn taken_by_a_tone() {
    for events in [false, true] {
        let mut world = called(with_leg(LegPlan { refer: false, ..leg_plan() }));
        world.leg_ready(false).run(secs(2));
        world.leg_answers_with(if events { "0 101" } else { "0" });
        world.until("the whisper", secs(4), |w| w.leg.peer.last_loud().is_some());
        world.run(secs(2));
        world.leg.peer.says.extend(tone::dtmf('1', 100).expect("a key"));
        world.run(secs(1));
        let bridged = world.transfer_outcomes().last() == Some(&"bridged");
        assert_eq!(bridged, !events, "{world}");
    }
}

/// XFR-05: the words are heard, the target is called with our offer, hears the agent alone and takes the call by key; then
/// REFER with the Replaces of that leg.
#[test]
fn taken_and_referred() {
    let mut world = called(with_leg(leg_plan()));
    let asked = world.now;
    assert!(asked > world.peer.last_loud().expect("it spoke"), "the words come first");
    assert_eq!(world.leg.requests[0].uri.as_str(), "sip:201@pbx.example");
    world.leg_ready(true);
    let invite = world.sip.iter().find_map(|(_, c)| if let UaCommand::Invite(i) = c { Some(i.clone()) } else { None });
    let invite = invite.expect("an INVITE");
    assert_eq!((invite.target.as_str(), invite.ring_limit), ("sip:201@pbx.example", secs(20)));
    assert!(invite.sdp.is_some_and(|sdp| String::from_utf8_lossy(&sdp).contains("m=audio 20010")));
    assert!(invite.headers.contains(&(Name::MaxForwards, "69".to_owned())));
    world.run(secs(5));
    let silence = world.peer.longest_silence(asked, world.now);
    assert!(silence <= secs(2), "the caller hears that something goes on: {silence:?}");
    // The caller talks on; none of it reaches the model while the target is spoken to.
    world.peer.voice = Voice::Tone;
    world.leg_answers();
    let answered = world.now;
    world.until("the whisper", secs(4), |w| w.leg.peer.last_loud().is_some());
    world.service.keep_audio = true;
    world.service.audio.clear();
    world.run(secs(2));
    assert!(world.service.audio.iter().all(|s| s.unsigned_abs() < 50), "the caller reached the model");
    assert_eq!(world.peer.speech_ms_since(answered + ms(40)), 0, "the caller heard the whisper");
    let said: Vec<_> = world.service.sent("response.create").into_iter().map(ToString::to_string).collect();
    assert!(said.last().is_some_and(|text| text.contains("Say who is calling.")), "{said:?}");
    world.leg_presses(1);
    let leg = world.leg_session();
    let refer = world.sip.iter().find_map(|(_, c)| match c {
        UaCommand::Refer { session, refer_to, replaces, .. } => {
            Some((*session, refer_to.as_str().to_owned(), *replaces))
        }
        _ => None,
    });
    assert_eq!(refer, Some((crate::world::SESSION, "sip:201@pbx.example".to_owned(), Some(leg))));
    outcome(&mut world, ReferOutcome::Accepted);
    // The telephone system takes the leg over before it says so.
    world.leg_ends(SessionEnd::PeerBye { reason: Vec::new() }).run(ms(200));
    assert!(world.ended.is_none());
    outcome(&mut world, ReferOutcome::Final(200));
    let record = world.ends_within(ms(0));
    assert_eq!(record.end.cause, Cause::Transferred);
    assert!(record.cdr.tools.iter().any(|t| t.name == "transfer" && t.ok));
    assert!(record.transcript.iter().any(|line| line.1 == "agent_to_target"));
    assert_eq!(world.transfer_outcomes(), ["calling", "answered", "taken", "sent", "accepted", "completed"]);
}

/// XFR-03, S8: busy, declined, no answer, unreachable, hung up, key never pressed: the caller is back with the agent, who
/// knows why.
#[test]
fn not_taken() {
    type Way = fn(&mut World) -> &mut World;
    fn failed(status: u16) -> SessionEnd {
        SessionEnd::Failed { status, reason: Vec::new() }
    }
    let cases: [(&str, Way, &str); 6] = [
        ("busy", |w| w.leg_ready(true).run(secs(1)).leg_ends(failed(486)), "busy"),
        ("declined", |w| w.leg_ready(true).leg_ends(failed(603)), "declined"),
        ("no_answer", |w| w.leg_ready(true).run(secs(20)).leg_ends(failed(487)), "did not answer"),
        ("unreachable", |w| w.leg_fails(503), "could not be reached"),
        (
            "hung_up",
            |w| w.leg_ready(true).leg_answers().run(ms(500)).leg_ends(SessionEnd::PeerBye { reason: Vec::new() }),
            "hung up",
        ),
        ("not_taken", |w| w.leg_ready(true).leg_answers().run(secs(15)), "did not take"),
    ];
    for (label, way, told) in cases {
        let mut world = called(with_leg(leg_plan()));
        way(&mut world);
        world.until("the model is told", secs(1), |w| w.told().is_some());
        assert!(
            world.told().is_some_and(|t| t.contains(told) && t.contains("still on the line")),
            "{:?}",
            world.told()
        );
        assert_eq!(world.transfer_outcomes().last(), Some(&label));
        assert!(!world.leg.port, "the port is released");
        let failed = world.note_at(|e| matches!(e, CallEvent::ToolDone { .. })).expect("a result");
        world.until("the agent goes on", secs(2), |w| w.peer.last_loud().is_some_and(|t| t > failed));
        // And hears the caller again.
        world.peer.voice = Voice::Tone;
        world.service.keep_audio = true;
        world.service.audio.clear();
        world.run(secs(1));
        assert!(world.service.audio.iter().any(|s| s.unsigned_abs() > 3_000), "{label}: the caller is not heard");
        assert!(world.ended.is_none());
    }
}

/// XFR-03: a target may name the next one; the model is told when the last one failed.
#[test]
fn fallback_target() {
    let setup = with_leg(leg_plan()).plan(|p| {
        targets(p).iter_mut().for_each(|t| t.fallback = (t.name == "desk").then(|| "sales".into()));
    });
    let mut world = called(setup);
    world.leg_fails(404).run(ms(200));
    let refer = world.sip.iter().find_map(|(_, c)| match c {
        UaCommand::Refer { refer_to, replaces, .. } => Some((refer_to.as_str().to_owned(), *replaces)),
        _ => None,
    });
    assert_eq!(refer, Some(("sip:200@pbx.example".to_owned(), None)), "the next one, blind");
    assert_eq!(world.told(), None, "not over yet");
    outcome(&mut world, ReferOutcome::Refused(603));
    let told = world.told().expect("told");
    assert!(told.contains("404") && told.contains("603"), "{told}");
}

/// Two targets that name each other end after the third attempt.
#[test]
fn fallbacks_in_a_ring() {
    let setup = World::setup().plan(|p| {
        for target in targets(p) {
            target.leg = Some(leg_plan());
            target.fallback = Some(if target.name == "desk" { "sales" } else { "desk" }.into());
        }
    });
    let mut world = called(setup);
    for _ in 0..2 {
        world.leg_fails(486);
        world.until("the next", secs(1), |w| w.leg.wanted);
    }
    world.leg_fails(486);
    assert!(world.told().is_some(), "{world}");
    assert_eq!(world.leg.requests.len(), 3);
}

/// `accept = "auto"`: who stays on the line takes the call.
#[test]
fn taken_by_staying() {
    let mut world = whispered(with_leg(LegPlan { accept: Accept::Auto, accept_within: secs(3), ..leg_plan() }), true);
    world.until("REFER", secs(4), |w| w.command(|c| matches!(c, UaCommand::Refer { replaces: Some(_), .. })).is_some());
}

/// Another key is not the key; the key during the words is, and cuts them.
#[test]
fn keys_of_the_target() {
    let mut world = called(with_leg(leg_plan()));
    world.service.replies.push_back(crate::service::Reply::Speech(8_000, "A long story."));
    world.leg_ready(true).leg_answers();
    world.until("the whisper", secs(4), |w| w.leg.peer.last_loud().is_some());
    world.run(secs(1)).leg_presses(5);
    assert!(world.command(|c| matches!(c, UaCommand::Refer { .. })).is_none());
    world.leg_presses(1);
    assert!(world.command(|c| matches!(c, UaCommand::Refer { .. })).is_some());
    let pressed = world.now;
    world.run(secs(2));
    assert!(world.leg.peer.last_loud().is_some_and(|t| t < pressed), "the words are cut");
    assert_eq!(world.peer.first_loud_since(pressed), None, "and are not for the caller");
}

/// DLG-18: the caller hangs up at every stage: the leg gets CANCEL or BYE with a Reason, its port is released, one record.
#[test]
fn caller_leaves() {
    for stage in 0..4 {
        let mut world = called(with_leg(leg_plan()));
        if stage > 0 {
            world.leg_ready(true).run(secs(1));
        }
        if stage > 1 {
            world.leg_answers().run(secs(1));
        }
        if stage > 2 {
            world.run(secs(2)).leg_presses(1);
        }
        let reason = vec![Reason { protocol: "Q.850".into(), cause: Some(16), text: Some("x; evil\r\n".into()) }];
        world.sip_end(SessionEnd::PeerBye { reason });
        let leg = hung_up(&world, world.leg_session());
        let record = world.ends_within(ms(0));
        assert_eq!((record.end.by, record.end.cause.clone()), (EndedBy::Caller, Cause::CallerBye), "stage {stage}");
        assert_eq!(record.cdr.peer_reason.as_deref(), Some("Q.850;cause=16"));
        if stage > 0 {
            assert_eq!(leg.flatten().and_then(|r| r.cause), Some(16), "stage {stage}");
        }
    }
}

/// A leg that is found after the caller has left, or after we stopped waiting for it, is given back at once.
#[test]
fn a_leg_that_comes_too_late() {
    let mut world = called(with_leg(leg_plan()));
    world.until("given up", secs(16), |w| w.told().is_some());
    world.leg_ready(true);
    assert!(!world.leg.port && world.command(|c| matches!(c, UaCommand::Invite(_))).is_none());
    world.run(secs(2));
    assert!(world.ended.is_none());
}

/// The Realtime side is lost while the target is spoken to: a tone in place of the words, and the transfer goes on.
#[test]
fn session_lost() {
    let mut world = called(with_leg(LegPlan { accept: Accept::Auto, accept_within: secs(2), ..leg_plan() }));
    world.leg_ready(true);
    world.realtime_breaks().run(secs(1));
    world.leg_answers();
    world.until("REFER", secs(10), |w| w.command(|c| matches!(c, UaCommand::Refer { .. })).is_some());
    assert!(world.leg.peer.last_loud().is_some(), "the tone");
    outcome(&mut world, ReferOutcome::Final(200));
    assert_eq!(world.ends_within(ms(0)).end.cause.label(), "realtime_lost");
}

/// What the service still answers to the caller when the target picks up is not said to the target.
#[test]
fn a_late_answer_is_not_for_the_target() {
    let mut world = called(with_leg(leg_plan()));
    world.leg_ready(true).run(secs(1));
    world.caller_begins().run(ms(500));
    world.leg_answers();
    world.caller_ends("Wait a moment");
    world.service.reply(world.now + ms(200), crate::service::Reply::Speech(3_000, "I am waiting."));
    world.until("the whisper", secs(6), |w| w.leg.peer.last_loud().is_some());
    world.run(secs(4));
    assert!((995..=1_005).contains(&world.leg.peer.speech_ms()), "{} ms\n{world}", world.leg.peer.speech_ms());
}

/// Hold and re-INVITE of the leg are answered; a REFER of it is not for it to send (A15).
#[test]
fn requests_of_the_leg() {
    let mut world = whispered(with_leg(leg_plan()), true);
    let sdp = crate::world::offer("0 101", 2, "sendonly");
    world.leg_event(|session| UaEvent::Reinvite { session, offer: Some(sdp) });
    let leg = world.leg_session();
    let answered = |c: &UaCommand| matches!(c, UaCommand::AnswerReinvite { session, answer: Ok(_) } if *session == leg);
    assert!(world.command(answered).is_some());
    let refer_to = voxtrunk::sip::uri::Uri::parse("sip:x@evil.example").expect("a URI");
    world.leg_event(|session| UaEvent::ReferRequested { session, refer_to, referred_by: None });
    assert!(world.command(|c| matches!(c, UaCommand::AnswerRefer { status: 603, .. })).is_some());
    assert!(!world.noted(|e| matches!(e, CallEvent::Hold(_))));
}
