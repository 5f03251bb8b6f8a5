//! Every order of SIP events that a user agent may give.

use crate::world::{SESSION, World, ms, offer, secs};
use voxtrunk::call::Input;
use voxtrunk::call::end::Cause;
use voxtrunk::sip::user_agent::{SessionEnd, UaCommand, UaEvent};

/// SDP-09: a refresh re-INVITE (session timer) changes nothing in the stream.
#[test]
fn a_refresh_changes_nothing() {
    let mut world = World::setup().talk();
    world.model_speaks(3_000).run(ms(500));
    world.reinvite(1, "sendrecv").run(secs(5));
    world.peer.assert_one_stream();
    world.peer.assert_even_clock();
}

/// SDP-10: a change of codec and packet length keeps SSRC, sequence and timestamps.
#[test]
fn a_new_codec_in_the_call() {
    let mut world = World::setup().talk();
    let sdp = String::from_utf8_lossy(&offer("8 101", 2, "sendrecv")).replace("a=ptime:20", "a=ptime:40");
    world.input(Input::Sip(UaEvent::Reinvite { session: SESSION, offer: Some(sdp.into()) }));
    world.run(secs(1));
    world.peer.assert_one_stream();
    let last = world.peer.got.last().expect("packets");
    assert_eq!((last.payload_type, last.samples.len()), (8, 320));
    let pair: Vec<_> = world.peer.got.iter().rev().take(2).collect();
    assert_eq!(pair[0].timestamp.wrapping_sub(pair[1].timestamp), 320);
    assert_eq!(pair[0].at - pair[1].at, ms(40));
}

/// SDP-11: a peer that moves is followed, and the old address is no longer served.
#[test]
fn media_moves_to_another_port() {
    let mut world = World::setup().talk();
    let sdp = String::from_utf8_lossy(&offer("0 8 101", 2, "sendrecv")).replace("m=audio 4000", "m=audio 4002");
    let now = world.instant();
    world.call.handle(now, Input::Sip(UaEvent::Reinvite { session: SESSION, offer: Some(sdp.into()) }));
    let mut targets = Vec::new();
    for n in 1..=10u32 {
        let now = now + ms(20) * n;
        world.call.handle(now, Input::Timeout);
        loop {
            match world.call.poll_output(now) {
                voxtrunk::call::Output::Rtp { to } => targets.push(to.port()),
                voxtrunk::call::Output::Timeout(_) => break,
                _ => {}
            }
        }
    }
    assert!(targets.len() >= 9 && targets.iter().all(|p| *p == 4002), "{targets:?}");
}

/// S2: our own BYE is the last command, whatever the peer sends at the same time; each end, that of an expired session timer (408) among
/// them, has its cause and takes the Realtime session along.
#[test]
fn ends_by_the_peer() {
    let failed = SessionEnd::Failed { status: 408, reason: Vec::new() };
    for (end, cause) in [
        (failed, Cause::SipFailed(408)),
        (SessionEnd::NoAck, Cause::NoAck),
        (SessionEnd::Local, Cause::Shutdown),
        (SessionEnd::PeerBye { reason: Vec::new() }, Cause::CallerBye),
    ] {
        let mut world = World::setup().talk();
        world.sip_end(end);
        assert_eq!(world.ends_within(ms(0)).end.cause, cause);
        assert!(world.command(|c| matches!(c, UaCommand::Hangup { .. })).is_none());
    }
}

/// An ACK twice, an ACK before the 200, a stray ReinviteAck: ignored.
#[test]
fn stray_events() {
    let mut world = World::setup().ring();
    world.input(Input::Sip(UaEvent::Established { session: SESSION, sdp: None }));
    world.input(Input::Sip(UaEvent::ReinviteAck { session: SESSION, sdp: None }));
    world.answered_within(ms(400)).run(secs(1));
    world.input(Input::Sip(UaEvent::Established { session: SESSION, sdp: None }));
    world.input(Input::RealtimeOpen);
    world.input(Input::Tool { id: 99, result: voxtrunk::tools::http::ToolResult { ok: true, output: "x".into() } });
    world.run(secs(3));
    assert!((995..=1_005).contains(&world.peer.speech_ms()), "{}", world.peer.speech_ms());
}
