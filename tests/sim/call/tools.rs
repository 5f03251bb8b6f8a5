//! What the model may do.

use crate::service::Reply;
use crate::world::{World, ms, secs};
use serde_json::{Value, json};
use voxtrunk::call::CallEvent;
use voxtrunk::call::end::Cause;

/// The outputs the model was given.
fn outputs(world: &World) -> Vec<Value> {
    let items = world.service.sent("conversation.item.create").into_iter().map(|e| &e["item"]);
    items.filter(|i| i["type"] == "function_call_output").map(|i| i["output"].clone()).collect()
}

fn calls_tool(world: &mut World, name: &'static str, arguments: Value) {
    world.service.reply(world.now, Reply::Tool(name, arguments));
    world.run(ms(50));
}

/// Invariant 6: BYE after the last sample of the goodbye, and not long after.
#[test]
fn hangs_up_when_the_goodbye_is_heard() {
    for setup in [World::setup(), World::setup().preview()] {
        let mut world = setup.talk();
        let said = world.now;
        world.service.speak_and_call(world.now, 3_000, "hang_up", &json!({}));
        assert_eq!(world.ends_within(secs(6)).end.cause, Cause::AgentHangup);
        let heard = world.peer.speech_ms_since(said);
        assert!((2_995..=3_005).contains(&heard), "{heard}\n{world}");
        let (bye, last) = (world.bye_at().expect("a BYE"), world.peer.last_loud().expect("speech"));
        assert!((ms(20)..=ms(400)).contains(&(bye - last)), "BYE {:?} after the last word", bye - last);
        let created = world.service.sent("response.create").len();
        assert_eq!(created, 1, "no answer to a hangup but the greeting");
    }
}

/// A caller who says goodbye over the goodbye does not cut it.
#[test]
fn last_words_are_not_cut() {
    let mut world = World::setup().talk();
    let said = world.now;
    world.service.speak_and_call(world.now, 3_000, "hang_up", &json!({}));
    world.run(secs(1));
    world.service.speech_started(world.now, false);
    world.run(ms(300)).caller_ends("Bye bye");
    world.service.reply(world.now + ms(100), Reply::Speech(2_000, "Anything else?"));
    world.ends_within(secs(5));
    let heard = world.peer.speech_ms_since(said);
    assert!((2_995..=3_005).contains(&heard), "{heard}\n{world}");
}

/// A hangup without a word is a hangup.
#[test]
fn hangs_up_at_once_when_nothing_was_said() {
    let mut world = World::setup().talk();
    world.run(secs(1));
    let asked = world.now;
    world.service.reply(world.now, Reply::Tool("hang_up", json!({})));
    world.ends_within(secs(1));
    assert!(world.bye_at().expect("a BYE") - asked <= ms(200));
}

/// An http tool: started once, its output given to the model, an answer follows; the CDR has it.
#[test]
fn http_tool() {
    let mut world = World::setup().talk();
    calls_tool(&mut world, "lookup", json!({}));
    let [(_, id, timeout)] = world.tools[..] else { panic!("one tool\n{world}") };
    assert_eq!(timeout, secs(5));
    world.run(ms(400));
    let asked = world.now;
    world.tool_answers(id, r#"{"name":"Ada"}"#);
    world.until("an answer", secs(2), |w| w.peer.last_loud().is_some_and(|t| t > asked));
    assert_eq!(outputs(&world), [json!(r#"{"name":"Ada"}"#)]);
    world.tool_answers(id, "again").run(secs(2));
    assert_eq!(outputs(&world).len(), 1, "a second result is dropped");
    assert!(world.warned("tool_late"));
    world.caller_hangs_up();
    let tool = &world.ends_within(ms(0)).cdr.tools[0];
    assert_eq!((tool.name.as_str(), tool.ok), ("lookup", true));
    assert!((400..=600).contains(&tool.ms), "{}", tool.ms);
}

/// R12: a tool that never answers gives the model an error; the caller is not left in silence meanwhile.
#[test]
fn tool_time_out() {
    let mut world = World::setup().talk();
    world.run(ms(200));
    let asked = world.now;
    calls_tool(&mut world, "lookup", json!({}));
    world.until("an error for the model", secs(7), |w| !outputs(w).is_empty());
    assert!(outputs(&world)[0].as_str().is_some_and(|o| o.contains("error")));
    world.until("an answer", secs(2), |w| w.peer.last_loud().is_some_and(|t| t > asked));
    let silence = world.peer.longest_silence(asked, world.now);
    assert!(silence <= secs(2), "{silence:?} of silence");
    assert!(world.noted(|e| matches!(e, CallEvent::ToolDone { ok: false, .. })));
}

/// A18, invariant 7: what policy refuses is answered by its reason, and nothing is started.
#[test]
fn refused_by_policy() {
    let mut world = World::setup().talk();
    for (name, arguments) in [
        ("transfer", json!({"target": "+88212345"})),
        ("send_dtmf", json!({"digits": "0123456789"})),
        ("format_disk", json!({})),
    ] {
        let before = outputs(&world).len();
        calls_tool(&mut world, name, arguments);
        world.until("a reason", secs(1), |w| outputs(w).len() == before + 1);
        assert!(outputs(&world)[before].as_str().is_some_and(|o| o.contains("error")), "{name}");
        world.run(secs(3));
    }
    assert!(world.tools.is_empty());
    assert_eq!(world.sip.len(), 2, "180 and 200 only");
}

/// At most eight tools run at once; the ninth is told so.
#[test]
fn too_many_tools() {
    let mut world = World::setup().talk();
    for _ in 0..9 {
        calls_tool(&mut world, "lookup", json!({}));
    }
    assert_eq!(world.tools.len(), 8);
    world.until("the ninth is refused", secs(1), |w| outputs(w).len() == 1);
    world.caller_hangs_up();
    assert_eq!(world.ends_within(ms(0)).cdr.tools.len(), 9, "each has its record");
}

/// Digits go out as RFC 4733 events, and the model hears when they are out.
#[test]
fn sends_digits() {
    let mut world = World::setup().talk();
    calls_tool(&mut world, "send_dtmf", json!({"digits": "42#"}));
    assert!(outputs(&world).is_empty(), "not sent yet");
    world.until("sent", secs(2), |w| !outputs(w).is_empty());
    let mut keys: Vec<(u32, u8)> =
        world.peer.got.iter().filter(|g| g.payload_type == 101).map(|g| (g.timestamp, g.payload[0])).collect();
    keys.dedup();
    assert_eq!(keys.iter().map(|k| k.1).collect::<Vec<_>>(), [4, 2, 11]);
    let ends = world.peer.got.iter().filter(|g| g.payload_type == 101 && g.payload[1] & 0x80 != 0).count();
    assert_eq!(ends, 9, "each end three times");
}

/// Digits take the place of audio, they do not swallow it.
#[test]
fn digits_do_not_swallow_words() {
    let mut world = World::setup().talk();
    let start = world.now;
    world.model_speaks(3_000).run(ms(500));
    world.service.reply(world.now + ms(200), Reply::Tool("send_dtmf", json!({"digits": "99"})));
    world.run(secs(6));
    let loud = world.peer.got.iter().filter(|g| g.at > start && g.is_loud()).count();
    assert!((199..=203).contains(&loud), "3,000 and 1,000 ms are 200 packets, not {loud}");
}

/// A tool that was asked for when the call ends is not run, and its late result is dropped.
#[test]
fn results_after_the_end() {
    let mut world = World::setup().talk();
    calls_tool(&mut world, "lookup", json!({}));
    let id = world.tools[0].1;
    world.caller_hangs_up();
    let cdr = &world.ends_within(ms(0)).cdr;
    assert_eq!((cdr.tools.len(), cdr.tools[0].ok), (1, false));
    world.tool_answers(id, "too late").run(secs(1));
}
