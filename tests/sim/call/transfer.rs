//! Blind transfer (XFR-01 to XFR-03, S8).

use crate::world::{SESSION, World, ms, secs};
use serde_json::json;
use voxtrunk::call::end::Cause;
use voxtrunk::call::{CallEvent, Input};
use voxtrunk::sip::user_agent::{ReferOutcome, UaCommand, UaEvent};

/// The agent says a sentence and transfers to `target`; up to the REFER.
fn referred(target: &str) -> World {
    let mut world = World::setup().talk();
    world.service.speak_and_call(world.now, 2_000, "transfer", &json!({ "target": target }));
    world.until("REFER", secs(4), |w| w.command(|c| matches!(c, UaCommand::Refer { .. })).is_some());
    world
}

fn outcome(world: &mut World, outcome: ReferOutcome) {
    world.input(Input::Sip(UaEvent::Refer { session: SESSION, outcome }));
}

fn told(world: &World) -> Option<String> {
    let mut items = world.service.sent("conversation.item.create").into_iter();
    let output = items.rfind(|e| e["item"]["type"] == "function_call_output")?;
    Some(output["item"]["output"].as_str()?.to_owned())
}

fn outcomes(world: &World) -> Vec<&'static str> {
    let notes = world.notes.iter();
    notes.filter_map(|(_, e)| if let CallEvent::Transfer { outcome, .. } = e { Some(*outcome) } else { None }).collect()
}

/// XFR-01, XFR-02: the words are heard first, the URI is the list's, 202 is not success, the final 2xx is.
#[test]
fn transfer_succeeds() {
    let mut world = referred("sales");
    let refer = world.command(|c| matches!(c, UaCommand::Refer { .. })).expect("a REFER");
    assert!(refer > world.peer.last_loud().expect("it spoke"), "the words come first");
    let found = world.sip.iter().find_map(|(_, c)| match c {
        UaCommand::Refer { refer_to, referred_by, .. } => Some((refer_to.as_str().to_owned(), referred_by.clone())),
        _ => None,
    });
    let (to, by) = found.expect("a REFER");
    assert_eq!(to, "sip:200@pbx.example");
    assert_eq!(by.as_deref(), Some("<sip:+15551230001@198.51.100.1>"));
    outcome(&mut world, ReferOutcome::Accepted);
    outcome(&mut world, ReferOutcome::Progress(180));
    world.run(secs(3));
    assert!(world.ended.is_none());
    outcome(&mut world, ReferOutcome::Final(200));
    let record = world.ends_within(ms(0));
    assert_eq!((record.end.cause.clone(), record.cdr.cause.as_str()), (Cause::Transferred, "transferred"));
    assert!(record.cdr.tools.iter().any(|t| t.name == "transfer" && t.ok));
    assert!(world.bye_at().is_some());
    assert_eq!(outcomes(&world), ["sent", "accepted", "completed"]);
}

/// XFR-02, XFR-03, S8: refused, failed or unknown: the model gets the reason and the caller stays.
#[test]
fn transfer_fails() {
    for (way, result) in [
        (vec![ReferOutcome::Refused(603)], "603"),
        (vec![ReferOutcome::Accepted, ReferOutcome::Progress(100), ReferOutcome::Final(486)], "486"),
        (vec![ReferOutcome::Accepted, ReferOutcome::Unknown], "no outcome"),
        (vec![ReferOutcome::Refused(408)], "408"),
    ] {
        let mut world = referred("desk");
        let asked = world.now;
        for step in way {
            outcome(&mut world, step);
            world.run(ms(500));
        }
        assert!(told(&world).is_some_and(|t| t.contains(result) && t.contains("error")), "{:?}", told(&world));
        world.until("the agent goes on", secs(2), |w| w.peer.last_loud().is_some_and(|t| t > asked));
        world.run(secs(2));
        assert!(world.ended.is_none() && world.bye_at().is_none());
        // And once more, to the other one.
        world.service.speak_and_call(world.now, 500, "transfer", &json!({"target": "sales"}));
        world.until("a second REFER", secs(3), |w| {
            w.sip.iter().filter(|(_, c)| matches!(c, UaCommand::Refer { .. })).count() == 2
        });
    }
}

/// XFR-03: a user agent that never says anything does not keep the caller for ever.
#[test]
fn no_outcome_at_all() {
    let mut world = referred("desk");
    world.until("the model is told", secs(41), |w| told(w).is_some());
    let silence = world.peer.longest_silence(world.now - secs(30), world.now);
    assert!(silence <= secs(2), "the caller hears that something goes on: {silence:?}");
}

/// XFR-02: BYE after 202 is "handed over, outcome unknown"; BYE before it is the caller's.
#[test]
fn bye_before_the_last_notify() {
    let mut world = referred("sales");
    outcome(&mut world, ReferOutcome::Accepted);
    world.caller_hangs_up();
    assert_eq!(world.ends_within(ms(0)).end.cause, Cause::Transferred);
    assert_eq!(outcomes(&world).last(), Some(&"handed_over"));
    let mut world = referred("sales");
    world.caller_hangs_up();
    assert_eq!(world.ends_within(ms(0)).end.cause, Cause::CallerBye);
}

/// A16: a model that asks again and again gets three attempts.
#[test]
fn attempts_are_limited() {
    let mut world = World::setup().talk();
    for n in 1..=5 {
        world.service.reply(world.now, crate::service::Reply::Tool("transfer", json!({"target": "sales"})));
        world.run(secs(1));
        outcome(&mut world, ReferOutcome::Refused(603));
        world.run(secs(3));
        let refers = world.sip.iter().filter(|(_, c)| matches!(c, UaCommand::Refer { .. })).count();
        assert_eq!(refers, n.min(3), "{world}");
    }
    assert!(told(&world).is_some_and(|t| t.contains("too many")));
}

/// A hangup that the model asks for in the same breath does not tear down the transfer.
#[test]
fn hangup_while_transferring() {
    let mut world = referred("sales");
    world.service.reply(world.now, crate::service::Reply::Tool("hang_up", json!({})));
    world.run(secs(3));
    assert!(world.ended.is_none() && world.bye_at().is_none());
    outcome(&mut world, ReferOutcome::Final(200));
    assert_eq!(world.ends_within(ms(0)).end.cause, Cause::Transferred);
}

/// A telephone system that takes the caller's media away while it connects them has not lost the caller.
#[test]
fn media_stops_while_transferring() {
    let mut world = referred("sales");
    outcome(&mut world, ReferOutcome::Accepted);
    world.peer.voice = crate::peer::Voice::Off;
    world.run(secs(25));
    assert!(world.ended.is_none(), "{world}");
    outcome(&mut world, ReferOutcome::Final(200));
    assert_eq!(world.ends_within(ms(0)).end.cause, Cause::Transferred);
}

/// The Realtime side is lost while a transfer runs: it goes on, and its failure is the apology.
#[test]
fn session_lost_while_transferring() {
    for works in [true, false] {
        let mut world = referred("sales");
        outcome(&mut world, ReferOutcome::Accepted);
        world.realtime_breaks().run(secs(1));
        let from = world.now;
        outcome(&mut world, ReferOutcome::Final(if works { 200 } else { 486 }));
        assert_eq!(world.ends_within(secs(10)).end.cause.label(), "realtime_lost");
        assert_eq!(world.peer.first_loud_since(from).is_some(), !works);
    }
}
