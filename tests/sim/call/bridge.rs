//! Two legs bridged here (XFR-05): audio and keys both ways, hold, limits, and one end for both.

use crate::attended::{leg_plan, whispered, with_leg};
use crate::peer::Voice;
use crate::second_leg::leg_addr;
use crate::world::{SESSION, World, ms, offer, secs};
use voxtrunk::call::Input;
use voxtrunk::call::end::Cause;
use voxtrunk::config::dialplan::LegPlan;
use voxtrunk::observe::cdr::EndedBy;
use voxtrunk::sip::user_agent::{ReferOutcome, SessionEnd, UaCommand, UaEvent};

fn bridged() -> World {
    let mut world = whispered(with_leg(LegPlan { refer: false, ..leg_plan() }), true);
    world.leg_presses(1);
    assert_eq!(world.transfer_outcomes().last(), Some(&"bridged"), "{world}");
    world
}

/// XFR-05: when the trunk refuses REFER, cannot do it, or the number does not want it, the legs are bridged here.
#[test]
fn ways_to_the_bridge() {
    for status in [403, 405, 420, 501, 603] {
        let mut world = whispered(with_leg(leg_plan()), true);
        world.leg_presses(1);
        world.input(Input::Sip(UaEvent::Refer { session: SESSION, outcome: ReferOutcome::Refused(status) }));
        assert_eq!(world.transfer_outcomes().last(), Some(&"bridged"), "{status}");
        assert!(!world.socket_open, "the agent left");
        world.leg_ends(SessionEnd::PeerBye { reason: Vec::new() });
        assert_eq!(world.ends_within(ms(0)).end.cause, Cause::Bridged);
    }
    let mut world = whispered(with_leg(leg_plan()), false);
    world.leg_presses(1);
    assert_eq!(world.transfer_outcomes().last(), Some(&"bridged"));
    assert!(world.command(|c| matches!(c, UaCommand::Refer { .. })).is_none());
    let mut world = bridged();
    assert!(world.command(|c| matches!(c, UaCommand::Refer { .. })).is_none());
    world.caller_hangs_up();
    world.ends_within(ms(0));
}

/// Both hear each other, without gaps, on an even clock; who speaks is not heard by themselves.
#[test]
fn audio_both_ways() {
    let mut world = bridged();
    world.run(ms(300));
    world.peer.voice = Voice::Tone;
    let from = world.now;
    world.run(secs(3));
    let loud = world.leg.peer.got.iter().filter(|g| g.at > from + ms(200) && g.is_loud()).count();
    let all = world.leg.peer.got.iter().filter(|g| g.at > from + ms(200)).count();
    assert_eq!(loud, all, "the target hears the caller");
    let delay = world.leg.peer.first_loud_since(from).expect("heard") - from;
    assert!(delay <= ms(80), "{delay:?}");
    assert_eq!(world.peer.first_loud_since(from), None, "an echo");
    world.peer.voice = Voice::Silent;
    world.leg.peer.voice = Voice::Tone;
    world.run(ms(300));
    let from = world.now;
    world.run(secs(1));
    assert!(
        world.peer.got.iter().filter(|g| g.at > from).all(super::peer::Got::is_loud),
        "the caller hears the target"
    );
    for peer in [&world.peer, &world.leg.peer] {
        peer.assert_one_stream();
        peer.assert_even_clock();
    }
}

/// RTP-18: the second leg's stream has figures of its own in the record, beside those of the caller's, which they leave alone.
#[test]
fn the_legs_figures_are_in_the_record() {
    let mut world = bridged();
    (world.peer.voice, world.leg.peer.voice) = (Voice::Tone, Voice::Tone);
    world.leg.peer.lose_every = Some(10);
    world.run(secs(30));
    world.leg_ends(SessionEnd::PeerBye { reason: Vec::new() });
    let cdr = &world.ends_within(ms(0)).cdr;
    let [leg] = cdr.legs.as_slice() else { panic!("one leg: {cdr:#?}") };
    assert_eq!((leg.codec, leg.srtp, cdr.rtp.lost), ("PCMU", None, 0));
    let since = leg.answered_ms + leg.talk_ms;
    assert!(since.abs_diff(cdr.talk_ms) <= 10 && leg.talk_ms > 30_000, "{since} of {} ms", cdr.talk_ms);
    let expected = leg.rtp.received + leg.rtp.lost;
    assert!(expected.abs_diff(leg.talk_ms / 20) <= 10, "{:?}", leg.rtp);
    assert!(leg.rtp.lost.abs_diff(150) <= 3, "one in ten of 30 s: {:?}", leg.rtp);
    assert!(leg.rtp_sent.abs_diff(leg.talk_ms / 20) <= 10, "{}", leg.rtp_sent);
    assert!((leg.rtp.concealed_ms / 20).abs_diff(leg.rtp.lost) <= 1, "{:?}", leg.rtp);
    let quality =
        |quality: &voxtrunk::rtp::quality::Quality| (quality.mos.expect("rated"), quality.loss_percent.expect("rated"));
    let (bad, good) = (quality(&leg.quality), quality(&cdr.quality));
    assert!(bad.0 < 3.5 && (9.0..11.0).contains(&bad.1) && good.0 > 4.2 && good.1 < 0.1, "{bad:?}, {good:?}");
    assert!(
        leg.quality.rtcp_sent > 3 && leg.quality.concealed_percent.is_some_and(|p| (9.0..11.0).contains(&p)),
        "{:?}",
        leg.quality
    );
    assert!(cdr.quality.concealed_percent.is_some_and(|p| p < 0.1), "{:?}", cdr.quality);
}

/// Keys go through: as events where the other side takes them.
#[test]
fn keys_both_ways() {
    let mut world = bridged();
    world.run(ms(500));
    world.presses(7).run(secs(1));
    let event = |g: &&super::peer::Got| g.payload_type == 101;
    assert_eq!(world.leg.peer.got.iter().rfind(event).map(|g| g.payload[0]), Some(7));
    world.leg_presses(4).run(secs(1));
    assert_eq!(world.peer.got.iter().rfind(event).map(|g| g.payload[0]), Some(4));
    let session = SESSION;
    world.input(Input::Sip(UaEvent::Info { session, content_type: "application/dtmf".into(), body: "9".into() }));
    world.run(secs(1));
    assert_eq!(world.leg.peer.got.iter().rfind(event).map(|g| g.payload[0]), Some(9));
}

/// SDP-08: one side holds: it gets nothing, its music is not for the other, who hears silence and keeps their packets.
#[test]
fn hold_of_one_side() {
    let mut world = bridged();
    world.run(ms(500));
    world.reinvite(2, "sendonly");
    world.peer.voice = Voice::Tone;
    world.run(ms(500));
    let (held, from) = (world.peer.packets, world.now);
    world.run(secs(60));
    assert_eq!(world.peer.packets, held, "nothing is sent to who holds");
    assert_eq!(world.leg.peer.first_loud_since(from), None, "hold music");
    let sent = world.leg.peer.got.iter().filter(|g| g.at > from).count();
    assert!((2_995..=3_005).contains(&sent), "{sent}");
    assert!(world.ended.is_none());
    world.reinvite(3, "sendrecv").run(secs(1));
    assert!(world.leg.peer.last_loud().is_some_and(|t| t > from), "heard again");
}

/// Either side's BYE ends both, with a Reason, and the record says how long they talked.
#[test]
fn one_end_for_both() {
    let mut world = bridged();
    world.run(secs(5)).caller_hangs_up();
    let leg = world.leg_session();
    let bye = |c: &UaCommand| matches!(c, UaCommand::Hangup { session, reason: Some(r) } if *session == leg && r.cause == Some(16));
    assert!(world.command(bye).is_some(), "{world}");
    let record = world.ends_within(ms(0));
    assert_eq!((record.end.by, record.cdr.cause.as_str()), (EndedBy::Caller, "bridged"));
    assert!(record.cdr.bridged_ms.is_some_and(|ms| (5_000..5_300).contains(&ms)), "{:?}", record.cdr.bridged_ms);
    assert!(record.cdr.tokens.responses > 0, "what the agent used is still counted");

    let mut world = bridged();
    world.run(secs(1)).leg_ends(SessionEnd::PeerBye { reason: Vec::new() });
    let bye =
        |c: &UaCommand| matches!(c, UaCommand::Hangup { session: SESSION, reason: Some(r) } if r.cause == Some(16));
    assert!(world.command(bye).is_some());
    assert_eq!(world.ends_within(ms(0)).end.by, EndedBy::Target);

    // DLG-06: the leg's dialog fails.
    let mut world = bridged();
    world.run(secs(1)).leg_ends(SessionEnd::Failed { status: 481, reason: Vec::new() });
    assert_eq!(world.ends_within(ms(0)).end.cause, Cause::SipFailed(481));
}

/// The limits still hold: the longest call, and a line that is dead on either side.
#[test]
fn limits_of_a_bridge() {
    let setup = with_leg(LegPlan { refer: false, ..leg_plan() }).plan(|p| p.limits.max_call = secs(60));
    let mut world = whispered(setup, true);
    world.leg_presses(1).run(secs(20));
    assert!(world.ended.is_none());
    assert_eq!(world.ends_within(secs(60)).end.cause, Cause::MaxCall);
    for leg in [true, false] {
        let mut world = bridged();
        let silent = if leg { &mut world.leg.peer } else { &mut world.peer };
        silent.voice = Voice::Off;
        world.run(secs(10));
        assert!(world.ended.is_none());
        assert_eq!(world.ends_within(secs(6)).end.cause, Cause::NoMedia);
    }
}

/// What the service still sends after the agent left is nothing to the bridge; media of strangers is not relayed.
#[test]
fn nothing_else_is_heard() {
    let mut world = bridged();
    world.run(ms(500));
    let from = world.now;
    world.input(Input::RealtimeText(r#"{"type":"response.done","response":{"id":"x","status":"completed"}}"#));
    world.input(Input::RealtimeClosed { code: Some(1000), reason: "" });
    let mut stranger = super::peer::Peer::new(voxtrunk::codec::Codec::Pcmu);
    stranger.voice = Voice::Tone;
    for _ in 0..50 {
        let packet = stranger.packet().expect("a packet");
        let mut other = leg_addr();
        other.set_port(9);
        world.input(Input::LegRtp { from: other, datagram: &packet });
        world.run(ms(20));
    }
    assert_eq!(world.peer.first_loud_since(from), None);
    world.reinvite(2, "sendrecv");
    let again = String::from_utf8_lossy(&offer("0 8 101", 3, "sendrecv")).replace("192.0.2.10", "192.0.2.20");
    world.leg_event(|session| UaEvent::Reinvite { session, offer: Some(again.into()) });
    world.run(secs(1));
    assert!(world.ended.is_none());
}
