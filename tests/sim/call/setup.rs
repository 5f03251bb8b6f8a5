//! From the INVITE to the first word.

use crate::peer::Voice;
use crate::world::{SESSION, World, ms, offer, secs};
use voxtrunk::call::CallEvent;
use voxtrunk::call::end::Cause;
use voxtrunk::codec::Codec;
use voxtrunk::config::dialplan::AnswerPolicy;
use voxtrunk::observe::cdr::EndedBy;
use voxtrunk::realtime::Greeting;
use voxtrunk::rtp::receiver::SourcePolicy;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::user_agent::{SessionEnd, UaCommand, UaEvent};

/// The whole of a small call, in both dialects: ring, session, 200, ACK, greeting, a turn, BYE, one complete CDR.
#[test]
fn a_small_call() {
    for setup in [World::setup(), World::setup().preview()] {
        let mut world = setup.talk();
        world.caller_asks(2_000);
        world.until("the answer is heard", secs(5), |w| w.peer.speech_ms_since(secs(2)) >= 1_990);
        world.run(ms(500)).caller_hangs_up();
        let record = world.ends_within(ms(5));
        assert_eq!(record.end.cause, Cause::CallerBye);
        let cdr = &record.cdr;
        assert_eq!((cdr.sip_status, cdr.ended_by, cdr.cause.as_str()), (200, Some(EndedBy::Caller), "caller_bye"));
        assert_eq!((cdr.codec.as_deref(), cdr.realtime_session.as_deref()), (Some("PCMU"), Some("sess_1")));
        assert_eq!(
            (cdr.call.as_str(), cdr.caller.as_str(), cdr.dialled.as_str()),
            ("c1", "+15551230009", "+15551230001")
        );
        assert!(cdr.rtp.received > 100 && cdr.rtp_sent > 100 && cdr.rtp.lost == 0, "{cdr:?}");
        assert_eq!(cdr.turns.len(), 1, "the answer; the greeting has no latency");
        let latency = cdr.turns[0].first_rtp_ms.expect("the answer has a latency");
        assert!((300..=350).contains(&latency), "{latency}");
        assert!(cdr.turns[0].first_delta_ms <= Some(latency));
        assert_eq!(cdr.tokens.responses, 2);
        assert!(cdr.setup_ms.is_some_and(|t| (200..300).contains(&t)) && cdr.talk_ms > 4_000, "{cdr:?}");
        let said: Vec<(&str, &str)> = record.transcript.iter().map(|(_, who, t)| (*who, t.expose().as_str())).collect();
        assert_eq!(said, [("agent", "All right."), ("caller", "What time is it?"), ("agent", "It is half past nine.")]);
    }
}

/// The 180 goes out at once, the 200 when the session is configured, and the whole greeting is heard.
#[test]
fn greeting_is_heard_to_the_last_sample() {
    let mut world = World::setup().ring();
    assert!(matches!(world.sip[0].1, UaCommand::Ring { session: SESSION }));
    assert_eq!(world.opened_realtime, 1);
    world.answered_within(ms(300));
    assert!(world.noted(|e| matches!(e, CallEvent::RealtimeReady { .. })));
    world.run(secs(3));
    let heard = world.peer.speech_ms();
    assert!((995..=1_005).contains(&heard), "1,000 ms were spoken, {heard} heard\n{world}");
    let created = &world.service.received.iter().find(|(_, e)| e["type"] == "response.create").expect("a greeting");
    let ack = world.note_at(|e| matches!(e, CallEvent::Answered { .. })).expect("answered") + ms(40);
    assert!(created.0 >= ack, "the greeting waits for the ACK");
}

/// S1: the first packet of the caller proves the path as well as the ACK does.
#[test]
fn greeting_goes_at_the_first_packet_when_the_ack_is_late() {
    let mut world = World::setup().with(|s| s.ack_after = Some(secs(5))).ring();
    world.answered_within(ms(300));
    world.until("the greeting", ms(800), |w| w.peer.last_loud().is_some());
}

/// S1: without any ACK or packet nothing is said, and the call ends with its cause.
#[test]
fn no_ack_and_no_packet_means_no_greeting() {
    let mut world = World::setup().with(|s| s.ack_after = None).ring();
    world.answered_within(ms(300));
    world.peer.voice = crate::peer::Voice::Off;
    world.run(secs(20));
    assert!(world.service.sent("response.create").is_empty());
    assert!(world.peer.packets > 900, "silence flows all the same");
    world.sip_end(SessionEnd::NoAck);
    assert_eq!(world.ends_within(ms(5)).end.cause, Cause::NoAck);
}

/// The caller may be the first to speak.
#[test]
fn no_greeting_when_the_dialplan_has_none() {
    let mut world = World::setup().plan(|p| p.greeting = Greeting::None).ring();
    world.answered_within(ms(300)).run(secs(3));
    assert!(world.service.sent("response.create").is_empty());
    world.caller_asks(1_000);
    world.until("an answer", secs(2), |w| w.peer.last_loud().is_some());
}

/// `answer = "at_once"`: the 200 does not wait for the session, the greeting does.
#[test]
fn answer_at_once() {
    let mut world = World::setup().plan(|p| p.answer = AnswerPolicy::AtOnce).ring();
    assert!(world.command(|c| matches!(c, UaCommand::Accept { .. })).is_some_and(|t| t.is_zero()));
    world.run(secs(2));
    let heard = world.peer.speech_ms();
    assert!((995..=1_005).contains(&heard), "{heard}\n{world}");
}

/// RTP-03: packets flow from the caller's first one on, 10 ms behind it, 20 ms apart from the first, one stream, also while nothing is said.
#[test]
fn silence_flows_from_the_callers_first_packet_on() {
    let mut world = World::setup().talk();
    world.run(secs(20));
    world.peer.assert_one_stream();
    assert!(world.peer.irregular.is_empty(), "{:?}", world.peer.irregular);
    let answered = world.command(|c| matches!(c, UaCommand::Accept { .. })).expect("answered");
    // It sends its first packet 60 ms after the 200.
    let first = &world.peer.got[0];
    assert_eq!((first.at - answered, first.marker), (ms(70), true));
}

/// RTP-03, S1: a caller who sends nothing hears all the same, 60 ms after its ACK; without an ACK 200 ms after the 200, whatever the policy, as
/// long as it is known where to. One that comes later moves the packets behind its own, once.
#[test]
fn silence_flows_to_a_silent_caller() {
    for policy in [SourcePolicy::Strict, SourcePolicy::Latch, SourcePolicy::Nat] {
        for (ack, expected) in [(Some(ms(40)), ms(100)), (Some(ms(160)), ms(200)), (None, ms(200))] {
            let mut world = World::setup().with(|s| (s.ack_after, s.policy) = (ack, policy)).ring();
            world.answered_within(ms(300));
            world.peer.voice = Voice::Off;
            world.run(secs(2));
            let answered = world.command(|c| matches!(c, UaCommand::Accept { .. })).expect("answered");
            let first = &world.peer.got[0];
            assert_eq!((first.at - answered, first.marker), (expected, true), "{policy:?} {ack:?}");
            assert!(world.peer.irregular.is_empty(), "{:?}", world.peer.irregular);
            world.peer.voice = Voice::Silent;
            world.run(secs(1));
            world.peer.assert_one_stream();
            assert!(world.peer.irregular.len() <= 1, "{:?}", world.peer.irregular);
        }
    }
}

/// RTP-03: after a stall of the process nothing comes in a burst; the timestamps stay true and no word is lost.
#[test]
fn no_burst_after_a_stall() {
    let mut world = World::setup().talk();
    let start = world.now;
    world.model_speaks(3_000).run(ms(500));
    world.now += ms(333);
    let before = world.peer.got.len();
    world.run(ms(5));
    assert!(world.peer.got.len() - before <= 2, "a burst of {}", world.peer.got.len() - before);
    world.run(secs(5));
    for pair in world.peer.got.windows(2) {
        let clock = (pair[1].at - pair[0].at).as_millis() as i64 * 8;
        let stamps = i64::from(pair[1].timestamp.wrapping_sub(pair[0].timestamp));
        assert!((clock - stamps).abs() <= 160, "at {:?}: {clock} against {stamps}", pair[1].at);
    }
    let loud: usize = world.peer.got.iter().filter(|g| g.at > start && g.is_loud()).count();
    assert!((149..=152).contains(&loud), "3,000 ms are 150 packets, not {loud}");
}

/// DLG-14: an offer without our codecs is a 488 with a Warning; no session is opened for it.
#[test]
fn no_common_codec() {
    let mut world = World::setup().with(|s| s.offer = Some(offer("3 18", 1, "sendrecv"))).ring();
    let (end, status) = {
        let record = world.ends_within(ms(0));
        (record.end.cause.clone(), record.cdr.sip_status)
    };
    assert_eq!((end, status), (Cause::NoCodec, 488));
    assert_eq!(world.opened_realtime, 0);
    let [(_, UaCommand::Reject { status: 488, headers, .. })] = &world.sip[..] else { panic!("{world}") };
    assert!(headers.iter().any(|(n, v)| *n == Name::Warning && v.starts_with("305 198.51.100.1 \"")), "{headers:?}");
}

/// The caller's law is answered in the caller's law.
#[test]
fn a_law_call() {
    let setup = World::setup().with(|s| {
        s.offer = Some(offer("8 101", 1, "sendrecv"));
        s.codec = Codec::Pcma;
    });
    let mut world = setup.talk();
    world.run(secs(1));
    assert!(world.peer.got.iter().all(|g| g.payload_type == 8));
    assert!((995..=1_005).contains(&world.peer.speech_ms()), "{}", world.peer.speech_ms());
}

/// A late offer: ours in the 200, theirs in the ACK; the greeting is whole.
#[test]
fn late_offer() {
    let mut world = World::setup().with(|s| s.offer = None).ring();
    world.ack_sdp = Some(offer("8 101", 1, "sendrecv"));
    world.peer.codec = Codec::Pcma;
    world.answered_within(ms(300));
    let (_, UaCommand::Accept { sdp, .. }) = world.sip.last().expect("an answer") else { panic!("{world}") };
    assert!(String::from_utf8_lossy(sdp).contains("m=audio 20000 RTP/AVP 0 8"), "our offer");
    assert_eq!(world.peer.packets, 0, "nobody knows where to yet");
    world.run(secs(3));
    assert!((995..=1_005).contains(&world.peer.speech_ms()), "{}\n{world}", world.peer.speech_ms());
    assert!(world.noted(|e| *e == CallEvent::Answered { codec: "PCMA" }));
}

/// A late offer that is never answered is a BYE.
#[test]
fn late_offer_without_an_answer() {
    for sdp in [None, Some(offer("18", 1, "sendrecv")), Some(bytes::Bytes::from_static(b"rubbish"))] {
        let mut world = World::setup().with(|s| s.offer = None).ring();
        world.ack_sdp = sdp;
        world.answered_within(ms(300));
        assert_eq!(world.ends_within(ms(100)).end.cause, Cause::NoCodec);
        assert!(world.bye_at().is_some());
    }
}

/// DLG-13: CANCEL while the session is being set up tears that down too, at any moment.
#[test]
fn cancel_during_set_up() {
    for after in [0, 5, 100, 150, 155, 170, 180, 200, 220] {
        let mut world = World::setup().ring();
        world.run(ms(after));
        world.sip_end(SessionEnd::PeerCancel { reason: Vec::new() });
        let record = world.ends_within(ms(0));
        assert_eq!((record.end.cause.clone(), record.cdr.sip_status), (Cause::CallerCancel, 487), "after {after} ms");
        assert_eq!(record.cdr.answered_unix_ms, None);
        assert!(world.closed_realtime.is_some(), "after {after} ms");
    }
}

/// BYE in each state ends the call once, with one cause.
#[test]
fn bye_in_each_state() {
    for after in [230, 250, 300, 500, 700, 900, 1_500, 2_500] {
        let mut world = World::setup().ring();
        world.run(ms(after)).caller_hangs_up();
        assert_eq!(world.ends_within(ms(0)).end.cause, Cause::CallerBye, "after {after} ms");
        assert!(world.closed_realtime.is_some());
        assert!(world.bye_at().is_none(), "no BYE against a BYE");
    }
}

/// What comes after the end moves nothing.
#[test]
fn nothing_follows_the_end() {
    let mut world = World::setup().talk();
    world.caller_hangs_up();
    world.ends_within(ms(0));
    world.input(voxtrunk::call::Input::Sip(UaEvent::Established { session: SESSION, sdp: None }));
    world.reinvite(9, "sendrecv").caller_hangs_up();
    world.run(secs(1));
    assert_eq!(world.ended.as_ref().map(|(_, r)| r.end.cause.clone()), Some(Cause::CallerBye));
}
