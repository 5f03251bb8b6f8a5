//! Hold and resume (SDP-07, SDP-08, S6), and other re-INVITEs.

use crate::peer::Voice;
use crate::world::{SESSION, World, ms, offer, secs};
use voxtrunk::call::{CallEvent, Input};
use voxtrunk::sip::user_agent::{UaCommand, UaEvent};

fn answers(world: &World) -> Vec<Result<String, u16>> {
    let text = |sdp: &bytes::Bytes| String::from_utf8_lossy(sdp).into_owned();
    let found = world.sip.iter().filter_map(|(_, c)| match c {
        UaCommand::AnswerReinvite { answer, .. } => Some(answer.as_ref().map(text).map_err(|e| *e)),
        _ => None,
    });
    found.collect()
}

/// SDP-08: no audio to the peer, the agent's turn cancelled, hold music not heard by the model, clocks stand, the model
/// is told at the resume.
#[test]
fn hold_and_resume() {
    let mut world = World::setup().plan(|p| p.limits.caller_silence = Some(secs(5))).talk();
    let start = world.now;
    world.model_speaks(8_000).run(ms(1_000));
    world.reinvite(2, "sendonly");
    assert!(answers(&world)[0].as_ref().is_ok_and(|sdp| sdp.contains("a=recvonly")), "{:?}", answers(&world));
    let (held, packets) = (world.now, world.peer.packets);
    let told = world.truncated_at();
    assert!(told.abs_diff(u64::from(world.peer.speech_ms_since(start))) <= 20, "{told}");
    world.peer.voice = Voice::Tone;
    world.run(ms(200));
    world.service.keep_audio = true;
    let bytes = world.service.audio_bytes;
    world.run(secs(40));
    assert_eq!(world.peer.packets, packets, "nothing is sent on hold");
    assert!(world.service.audio.iter().all(|s| s.unsigned_abs() < 50), "hold music reached the model");
    assert!(((world.service.audio_bytes - bytes) / 48).abs_diff(40_000) <= 100, "silence in real time");
    assert!(!world.noted(|e| *e == CallEvent::CheckIn), "the silence clock stands\n{world}");
    world.peer.voice = Voice::Silent;
    world.reinvite(3, "sendrecv").run(secs(1));
    assert!(world.peer.packets > packets + 45);
    assert!(world.peer.last_loud().expect("it spoke") <= held, "the cancelled turn is not resumed");
    let first = &world.peer.got[packets as usize];
    assert!(first.marker, "the first packet after the pause is marked");
    let items = world.service.sent("conversation.item.create");
    assert!(items.last().expect("a note to the model").to_string().contains("hold"), "{items:?}");
    let notes: Vec<bool> =
        world.notes.iter().filter_map(|(_, e)| if let CallEvent::Hold(h) = e { Some(*h) } else { None }).collect();
    assert_eq!(notes, [true, false]);
    world.model_speaks(1_000);
}

/// SDP-07: `inactive` and `c=0.0.0.0` are hold, too; RTP-10: no time-out meanwhile.
#[test]
fn other_ways_to_hold() {
    let zero =
        String::from_utf8_lossy(&offer("0 8 101", 2, "sendrecv")).replace("c=IN IP4 192.0.2.10", "c=IN IP4 0.0.0.0");
    for held in [offer("0 8 101", 2, "inactive"), zero.into()] {
        let mut world = World::setup().talk();
        world.input(Input::Sip(UaEvent::Reinvite { session: SESSION, offer: Some(held) }));
        world.peer.voice = Voice::Off;
        let packets = world.peer.packets;
        world.run(secs(120));
        assert_eq!(world.peer.packets, packets);
        assert!(world.ended.is_none(), "{world}");
        world.peer.voice = Voice::Silent;
        world.reinvite(3, "sendrecv").run(secs(1));
        assert!(world.peer.packets > packets);
    }
}

/// A response that begins while the caller is on hold is not played later.
#[test]
fn an_answer_on_hold_is_not_kept() {
    let mut world = World::setup().talk();
    let start = world.now;
    world.reinvite(2, "sendonly");
    world.service.reply(world.now, crate::service::Reply::Speech(3_000, "Nobody hears this."));
    world.run(secs(5));
    world.reinvite(3, "sendrecv").run(secs(5));
    assert_eq!(world.peer.speech_ms_since(start + ms(20)), 0, "{world}");
    world.caller_hangs_up();
    let record = world.ends_within(ms(0));
    assert!(record.transcript.iter().all(|l| !l.2.expose().contains("Nobody")));
}

/// DLG-11, S7: a refused re-INVITE leaves the call as it was, and is counted; one that fits is taken afterwards.
#[test]
fn a_bad_reinvite_changes_nothing() {
    let mut world = World::setup().talk();
    for bad in [offer("18", 5, "sendrecv"), bytes::Bytes::from_static(b"v=0")] {
        world.input(Input::Sip(UaEvent::Reinvite { session: SESSION, offer: Some(bad) }));
        assert!(answers(&world).last().is_some_and(Result::is_err));
    }
    let packets = world.peer.packets;
    world.model_speaks(1_000).run(secs(1));
    assert!(world.peer.packets > packets + 45);
    world.peer.assert_one_stream();
    let refused = |e: &CallEvent| matches!(e, CallEvent::Warning { label: "reinvite_refused", .. });
    assert_eq!(world.notes.iter().filter(|(_, e)| refused(e)).count(), 2);
    world.reinvite(6, "sendonly").run(ms(100));
    assert!(answers(&world).last().is_some_and(Result::is_ok) && world.noted(|e| *e == CallEvent::Hold(true)));
}

/// An empty re-INVITE is answered with our offer; its answer comes in the ACK.
#[test]
fn an_empty_reinvite() {
    let mut world = World::setup().talk();
    world.input(Input::Sip(UaEvent::Reinvite { session: SESSION, offer: None }));
    assert!(answers(&world)[0].as_ref().is_ok_and(|sdp| sdp.contains("m=audio 20000")));
    let sdp = Some(offer("8 101", 2, "sendrecv"));
    world.input(Input::Sip(UaEvent::ReinviteAck { session: SESSION, sdp }));
    world.run(secs(1));
    assert_eq!(world.peer.got.last().map(|g| g.payload_type), Some(8), "the new codec");
    world.peer.assert_one_stream();
    world.input(Input::Sip(UaEvent::Reinvite { session: SESSION, offer: None }));
    world.input(Input::Sip(UaEvent::ReinviteAck { session: SESSION, sdp: None }));
    world.run(secs(1));
    assert!(world.ended.is_none());
}

/// An INVITE that is on hold from the start: no greeting and no time-out before the resume, the whole greeting after it.
#[test]
fn on_hold_from_the_start() {
    let mut world = World::setup().with(|s| s.offer = Some(offer("0 8 101", 1, "inactive"))).ring();
    world.answered_within(ms(300));
    world.peer.voice = Voice::Off;
    world.run(secs(60));
    assert!(world.ended.is_none() && world.service.sent("response.create").is_empty(), "{world}");
    world.peer.voice = Voice::Silent;
    world.reinvite(2, "sendrecv").run(secs(3));
    assert!((995..=1_005).contains(&world.peer.speech_ms()), "{}", world.peer.speech_ms());
}
