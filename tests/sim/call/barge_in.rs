//! The caller cuts in (R14): silent at once, and the service told what was really heard.

use crate::world::{World, ms, secs};
use voxtrunk::call::CallEvent;
use voxtrunk::realtime::TurnDetection;

fn barge_in_note(world: &World) -> (u32, u64) {
    let found = world.notes.iter().find_map(|(_, e)| match e {
        CallEvent::BargeIn { heard_ms, stop_ms } => Some((*heard_ms, *stop_ms)),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no barge-in\n{world}"))
}

/// R14, G6: the agent is silent in the next frame, and `audio_end_ms` is what is in the packets that were sent.
#[test]
fn caller_cuts_in() {
    for setup in [World::setup(), World::setup().preview()] {
        let mut world = setup.talk();
        let start = world.now;
        world.model_speaks(5_000).run(ms(1_340));
        let cut = world.now;
        world.caller_begins().run(secs(2));
        let last = world.peer.last_loud().expect("it spoke");
        assert!(last <= cut + ms(5), "loud {:?} after the cut\n{world}", last - cut);
        let sent = u64::from(world.peer.speech_ms_since(start));
        assert!((1_300..=1_380).contains(&sent), "{sent}");
        let told = world.truncated_at();
        assert!(told.abs_diff(sent) <= 20, "told {told}, sent {sent}");
        let (heard_ms, stop_ms) = barge_in_note(&world);
        assert!(u64::from(heard_ms).abs_diff(told) <= 1 && stop_ms <= 60, "{heard_ms} {stop_ms}");
        world.caller_hangs_up();
        let record = world.ends_within(ms(0));
        assert_eq!(record.cdr.barge_ins, 1);
        let turn = record.cdr.turns.last().expect("a turn");
        assert_eq!(turn.interrupted_at_ms, Some(heard_ms));
        let cut_text = &record.transcript.iter().rev().find(|l| l.1 == "agent").expect("words").2;
        assert!(cut_text.expose().ends_with('…') && cut_text.expose().len() < 25, "{}", cut_text.expose());
    }
}

/// Deltas of the cancelled response that still arrive are dropped.
#[test]
fn late_deltas_are_dropped() {
    let mut world = World::setup().talk();
    world.model_speaks(20_000).run(ms(200));
    // The service's VAD event arrives, but what it generates goes on for a while.
    world.service.speech_started(world.now, false);
    world.run(ms(5));
    let cut = world.now;
    world.run(secs(5));
    assert!(world.peer.last_loud().expect("it spoke") <= cut, "late deltas were played\n{world}");
}

/// A caller who speaks after the agent has finished interrupts nothing.
#[test]
fn nothing_to_cut() {
    let mut world = World::setup().talk();
    world.run(ms(500));
    world.caller_begins().run(secs(1));
    assert!(world.service.sent("conversation.item.truncate").is_empty());
    assert!(!world.noted(|e| matches!(e, CallEvent::BargeIn { .. })));
}

/// Of an answer that is made but not heard, nothing was heard: no truncation above zero, and no word in the transcript.
#[test]
fn cut_before_the_first_packet() {
    let mut world = World::setup().talk();
    world.caller_asks(3_000);
    world.until("audio arrives", secs(1), |w| w.noted(|e| matches!(e, CallEvent::AgentSpeaks { latency_ms: Some(_) })));
    world.run(ms(5));
    world.caller_begins().run(secs(2));
    let told = world.service.sent("conversation.item.truncate").iter().filter_map(|e| e["audio_end_ms"].as_u64()).max();
    assert!(told.unwrap_or(0) <= 40, "{told:?}");
}

/// `interrupt_response = false`: the agent finishes.
#[test]
fn no_barge_in_when_the_dialplan_says_so() {
    let mut world = World::setup()
        .plan(|p| {
            if let TurnDetection::ServerVad { interrupt_response, .. } = &mut p.turn_detection {
                *interrupt_response = false;
            }
        })
        .talk();
    let start = world.now;
    world.model_speaks(3_000).run(ms(500));
    world.service.speech_started(world.now, false);
    world.run(secs(5));
    let heard = world.peer.speech_ms_since(start);
    assert!((2_995..=3_005).contains(&heard), "{heard}");
    assert!(world.service.sent("conversation.item.truncate").is_empty());
}

/// The agent can speak again after it was cut.
#[test]
fn the_next_answer_is_heard() {
    let mut world = World::setup().talk();
    world.model_speaks(5_000).run(ms(800));
    world.caller_asks(1_000);
    let asked = world.now;
    world.run(secs(3));
    let heard = world.peer.speech_ms_since(asked);
    assert!((995..=1_005).contains(&heard), "{heard}\n{world}");
}

/// DTM-07: a key stops the agent as speech does; the entry goes to the model in one go and is answered.
#[test]
fn a_key_cuts_in() {
    let mut world = World::setup().talk();
    let start = world.now;
    world.model_speaks(5_000).run(ms(1_000));
    let cut = world.now;
    world.presses(1).presses(2).presses(3);
    assert!(world.peer.last_loud().expect("it spoke") <= cut + ms(5));
    let told = world.truncated_at();
    assert!(told.abs_diff(u64::from(world.peer.speech_ms_since(start))) <= 20, "{told}");
    world.run(secs(2));
    let items = world.service.sent("conversation.item.create");
    let text = items.last().expect("an item").to_string();
    assert!(text.contains("123"), "{text}");
    world.until("an answer", secs(2), |w| w.peer.last_loud().is_some_and(|t| t > cut + secs(1)));
    world.caller_hangs_up();
    let record = world.ends_within(ms(0));
    assert_eq!(record.cdr.dtmf_digits, 3);
    assert!(!format!("{:?}", world.notes).contains("123"), "DTM-05: no digit in a note");
}

/// DTM-04: INFO and RFC 4733 for one key are one key.
#[test]
fn a_key_by_both_ways() {
    use voxtrunk::sip::user_agent::UaEvent;
    let mut world = World::setup().talk();
    world.presses(5);
    let info = UaEvent::Info {
        session: crate::world::SESSION,
        content_type: "application/dtmf-relay".into(),
        body: bytes::Bytes::from_static(b"Signal=5\r\nDuration=100\r\n"),
    };
    world.input(voxtrunk::call::Input::Sip(info));
    world.run(secs(2)).caller_hangs_up();
    assert_eq!(world.ends_within(ms(0)).cdr.dtmf_digits, 1);
}
