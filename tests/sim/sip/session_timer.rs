//! Session timers in a dialog (RFC 4028): negotiated as callee and as caller, refreshed, watched, and crossing other requests.

use crate::dialogs::info;
use crate::kit::*;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::Message;
use voxtrunk::sip::session_timer::{Refresher, TimerMode};
use voxtrunk::sip::user_agent::{SessionId, UaCommand};

const UPDATE: &str = "Allow: INVITE, ACK, BYE, UPDATE\r\n";

/// A bench whose trunk has this policy.
fn bench(mode: TimerMode, refresher: Refresher) -> Bench {
    Bench::of_trunk(|trunk| (trunk.timer.mode, trunk.timer.refresher) = (mode, refresher))
}

/// An answered call whose INVITE had these header lines; the 200.
fn answered_with(bench: &mut Bench, extra: &str) -> (SessionId, Peer, Message) {
    let mut peer = Peer::new();
    bench.hear(peer.with_branch("INVITE", 1, "z9hG4bKinvite", extra, SDP));
    let session = incoming(bench);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    let ok = bench.last();
    peer.learn(&ok);
    bench.hear(peer.request("ACK", 1, "", ""));
    bench.told();
    (session, peer, ok)
}

fn value(message: &Message, name: Name) -> Option<String> {
    message.value(&name)
}

/// A call of ours that got this 200.
fn called_with(bench: &mut Bench, extra: &[(&str, &str)]) -> (SessionId, Peer, Message) {
    let session = bench.place(Some(SDP));
    let invite = bench.last();
    bench.hear(reply(&invite, 200, "bob", &[&[CONTACT], extra].concat(), SDP));
    bench.log();
    bench.told();
    let peer = Peer {
        call_id: invite.call_id().expect("Call-ID"),
        from: "<sip:bob@192.0.2.20>;tag=bob".into(),
        to: value(&invite, Name::From).expect("From"),
        uri: "sip:agent@192.0.2.10:5060".into(),
        ..Peer::new()
    };
    (session, peer, invite)
}

/// TIM-01: what is asked for is echoed with a refresher; `Supported: timer`; `Require: timer` to who does it.
#[test]
fn a_callee_echoes() {
    for (extra, expires, require) in [
        ("Supported: timer\r\nSession-Expires: 1800\r\n", Some("1800;refresher=uac"), Some("timer")),
        ("Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n", Some("90;refresher=uas"), Some("timer")),
        ("k: timer\r\nx: 300;refresher=uac\r\nMin-SE: 90\r\n", Some("300;refresher=uac"), Some("timer")),
        ("Session-Expires: 600\r\n", Some("600;refresher=uas"), None),
        ("Supported: timer\r\n", None, None),
        ("", None, None),
    ] {
        let mut bench = bench(TimerMode::Accept, Refresher::Peer);
        let (_, _, ok) = answered_with(&mut bench, extra);
        assert_eq!(value(&ok, Name::SessionExpires).as_deref(), expires, "{extra}");
        assert_eq!(value(&ok, Name::Require).as_deref(), require, "{extra}");
        assert!(ok.has_token(&Name::Supported, "timer"));
        assert_eq!(bench.ua.counts().timers > 1, expires.is_some(), "{extra}: L of the INVITE, and the session's own");
    }
    let mut bench = bench(TimerMode::Off, Refresher::Peer);
    let (_, _, ok) = answered_with(&mut bench, "Supported: timer\r\nSession-Expires: 1800\r\n");
    assert_eq!((value(&ok, Name::SessionExpires), ok.has_token(&Name::Supported, "timer")), (None, false));
}

/// TIM-01: below the minimum: 422 with Min-SE for INVITE, re-INVITE and UPDATE; the call and its timer go on.
#[test]
fn too_small_is_422() {
    let small = "Supported: timer\r\nSession-Expires: 60\r\n";
    let mut bench = bench(TimerMode::Accept, Refresher::Peer);
    bench.hear(Peer::new().with_branch("INVITE", 1, "z9hG4bKsmall", small, SDP));
    let refusal = bench.last();
    assert_eq!((refusal.status(), value(&refusal, Name::MinSe).as_deref()), (Some(422), Some("90")));
    assert_eq!(bench.told(), ["0 refused 422"]);
    let (_, mut peer, _) = answered_with(&mut bench, "Supported: timer\r\nSession-Expires: 120;refresher=uac\r\n");
    for (method, number) in [("INVITE", 2), ("UPDATE", 3)] {
        bench.hear(peer.request(method, number, small, SDP));
        let refusal = bench.last();
        assert_eq!((refusal.status(), value(&refusal, Name::MinSe).as_deref()), (Some(422), Some("90")), "{method}");
    }
    assert_eq!(bench.told(), [""; 0]);
    bench.at(88_000);
    assert_eq!(bench.told(), ["88000 ended: failed 408"], "the first interval still runs");
}

/// TIM-02: the refresher sends UPDATE without SDP at half the interval, each time, where the peer allows it.
#[test]
fn refresh_by_update() {
    let mut bench = bench(TimerMode::Accept, Refresher::Us);
    let (_, _, _) = answered_with(&mut bench, &format!("{UPDATE}Supported: timer\r\nSession-Expires: 90\r\n"));
    for round in 1..=5u64 {
        bench.at(round * 45_000);
        let update = bench.sent.pop().expect("a refresh");
        assert_eq!((update.ms, name(&update.message).as_str()), (round * 45_000, "UPDATE"));
        assert!(update.message.body().is_empty());
        assert_eq!(value(&update.message, Name::SessionExpires).as_deref(), Some("90;refresher=uac"));
        assert!(update.message.has_token(&Name::Supported, "timer"));
        let expires = [("Session-Expires", "90;refresher=uac"), CONTACT];
        bench.hear(reply(&update.message, 200, "alice", &expires, ""));
    }
    assert_eq!(bench.told(), [""; 0], "the owner is not asked");
    // Unanswered: timer F is sooner than the end of the interval.
    bench.at(5 * 45_000 + 45_000 + 32_000);
    assert_eq!(bench.told(), ["302000 ended: failed 408"]);
    let bye = bench.last();
    assert_eq!(value(&bye, Name::Reason).as_deref(), Some("Q.850;cause=102;text=\"No response\""));
    bench.expect_empty();
}

/// TIM-02: without UPDATE in Allow a re-INVITE with the SDP sent last, byte for byte: its version does not rise.
#[test]
fn refresh_by_reinvite() {
    let mut bench = bench(TimerMode::Accept, Refresher::Us);
    let timer = "Allow: INVITE, ACK, BYE\r\nSupported: timer\r\nSession-Expires: 90\r\n";
    let (session, mut peer, ok) = answered_with(&mut bench, timer);
    bench.at(45_000);
    let first = bench.last();
    assert_eq!((name(&first).as_str(), first.sdp()), ("INVITE", ok.sdp()));
    let expires = [CONTACT, ("Session-Expires", "90;refresher=uac")];
    bench.hear(reply(&first, 200, "alice", &expires, SDP));
    assert_eq!(bench.log(), ["45000 ACK"]);
    assert_eq!(bench.told(), ["45000 reinvite done 200 sdp"], "the first answer to an offer of ours is news");
    bench.at(90_000);
    let second = bench.last();
    bench.hear(reply(&second, 200, "alice", &expires, SDP));
    assert_eq!(bench.told(), [""; 0], "the same answer again is none");
    // A hold of the peer changes what holds, and refreshes.
    bench.at(100_000);
    bench.log();
    bench.hear(peer.request("INVITE", 2, timer, SDP));
    let held = bytes::Bytes::from(SDP.replace("o=- 1 1", "o=- 1 2"));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(held.clone()) });
    assert_eq!(value(&bench.last(), Name::SessionExpires).as_deref(), Some("90;refresher=uas"));
    bench.hear(peer.request("ACK", 2, "", ""));
    bench.at(144_999);
    assert_eq!(bench.log(), [""; 0]);
    bench.at(145_000);
    assert_eq!(bench.last().sdp(), Some(held));
}

/// TIM-02: 481 ends the call at once; a peer that refuses UPDATE gets a re-INVITE; other refusals are tried again until the interval ends.
#[test]
fn refused_refreshes() {
    let start = || {
        let mut bench = bench(TimerMode::Accept, Refresher::Us);
        answered_with(&mut bench, &format!("{UPDATE}Supported: timer\r\nSession-Expires: 160\r\n"));
        bench.at(80_000);
        let update = bench.last();
        (bench, update)
    };
    let (mut bench, update) = start();
    bench.hear(reply(&update, 481, "alice", &[], ""));
    assert_eq!(bench.told(), ["80000 ended: failed 481"]);
    bench.expect_empty();
    for status in [405, 501] {
        let (mut bench, update) = start();
        bench.hear(reply(&update, status, "alice", &[], ""));
        assert_eq!(bench.log(), ["80000 INVITE"], "{status}");
    }
    let (mut bench, update) = start();
    bench.hear(reply(&update, 500, "alice", &[], ""));
    bench.at(90_000);
    let again = bench.last();
    assert_eq!(name(&again), "UPDATE");
    bench.hear(reply(&again, 200, "alice", &[("Session-Expires", "160;refresher=uac")], ""));
    bench.at(170_000);
    assert_eq!(bench.log(), ["170000 UPDATE"]);
    let (mut bench, mut update) = start();
    for _ in 0..7 {
        bench.hear(reply(&update, 500, "alice", &[], ""));
        bench.after(10_000);
        update = bench.last();
    }
    bench.hear(reply(&update, 500, "alice", &[], ""));
    bench.at(170_000);
    assert_eq!(bench.told(), ["160000 ended: failed 408"], "nobody refreshed");
}

/// TIM-04: 422 to our refresh: at once again with the larger interval, and Min-SE from then on.
#[test]
fn a_refresh_is_raised() {
    let mut bench = bench(TimerMode::Accept, Refresher::Us);
    answered_with(&mut bench, &format!("{UPDATE}Supported: timer\r\nSession-Expires: 90\r\n"));
    bench.at(45_000);
    let update = bench.last();
    bench.hear(reply(&update, 422, "alice", &[("Min-SE", "300")], ""));
    let raised = bench.last();
    assert_eq!(value(&raised, Name::SessionExpires).as_deref(), Some("300;refresher=uac"));
    assert_eq!(value(&raised, Name::MinSe).as_deref(), Some("300"));
    bench.hear(reply(&raised, 200, "alice", &[("Session-Expires", "300;refresher=uac")], ""));
    bench.at(195_000);
    assert_eq!(bench.log(), ["195000 UPDATE"]);
}

/// TIM-03, S2: the other one refreshes: without it BYE with Reason at expiry minus min(32 s, interval/3); each refresh starts anew.
#[test]
fn nobody_refreshes() {
    for (secs, end) in [(90, 60_000), (1_800, 1_768_000)] {
        let mut bench = bench(TimerMode::Accept, Refresher::Peer);
        answered_with(&mut bench, &format!("Supported: timer\r\nSession-Expires: {secs};refresher=uac\r\n"));
        bench.at(end - 1);
        assert_eq!((bench.log().len(), bench.told().len()), (0, 0));
        bench.at(end);
        let bye = bench.last();
        assert_eq!(value(&bye, Name::Reason).as_deref(), Some("Q.850;cause=102;text=\"Session timer expired\""));
        assert_eq!(bench.told(), [format!("{end} ended: failed 408")]);
        bench.expect_empty();
    }
    let mut bench = bench(TimerMode::Accept, Refresher::Peer);
    let timer = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
    let (session, mut peer, _) = answered_with(&mut bench, timer);
    for round in 1..20u64 {
        bench.at(round * 45_000);
        let (method, number) =
            (if round % 2 == 0 { "INVITE" } else { "UPDATE" }, u32::try_from(round).expect("small") + 1);
        bench.hear(peer.request(method, number, timer, if method == "INVITE" { SDP } else { "" }));
        bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
        let ok = bench.last();
        assert_eq!(ok.status(), Some(200));
        assert_eq!(value(&ok, Name::SessionExpires).as_deref(), Some("90;refresher=uac"));
        if method == "INVITE" {
            bench.hear(peer.request("ACK", number, "", ""));
        }
    }
    bench.told();
    bench.at(19 * 45_000 + 60_000);
    assert_eq!(bench.told(), ["915000 ended: failed 408"]);
}

/// TIM-04: as caller: asked for with `Offer`; who the 200 names refreshes; a 200 without Session-Expires: off, or we refresh alone.
#[test]
fn a_caller_asks() {
    for (mode, asked) in
        [(TimerMode::Off, None), (TimerMode::Accept, None), (TimerMode::Offer, Some("1800;refresher=uas"))]
    {
        let mut bench = bench(mode, Refresher::Peer);
        bench.place(Some(SDP));
        let invite = bench.last();
        assert_eq!(value(&invite, Name::SessionExpires).as_deref(), asked);
        assert_eq!(invite.has_token(&Name::Supported, "timer"), mode != TimerMode::Off);
    }
    let allow = ("Allow", "INVITE, BYE, UPDATE");
    let mut peer_refreshes = bench(TimerMode::Offer, Refresher::Peer);
    called_with(&mut peer_refreshes, &[allow, ("Session-Expires", "600;refresher=uas")]);
    peer_refreshes.at(568_000);
    assert_eq!(peer_refreshes.told(), ["568000 ended: failed 408"]);
    for (mode, header, sent) in [
        (TimerMode::Offer, Some("600;refresher=uac"), vec!["300000 UPDATE"]),
        (TimerMode::Accept, Some("600;refresher=uac"), vec!["300000 UPDATE"]),
        (TimerMode::Offer, None, vec!["900000 UPDATE"]),
        (TimerMode::Accept, None, vec![]),
        (TimerMode::Off, Some("600;refresher=uac"), vec![]),
    ] {
        let mut bench = bench(mode, Refresher::Peer);
        let expires = header.map(|header| ("Session-Expires", header));
        called_with(&mut bench, &[vec![allow], expires.into_iter().collect()].concat());
        bench.at(sent
            .first()
            .map_or(4_000_000, |first: &&str| first.split(' ').next().and_then(|ms| ms.parse().ok()).expect("ms")));
        assert_eq!(bench.log(), sent, "{mode:?} {header:?}");
    }
}

/// TIM-05: a refresh that is due while a re-INVITE of ours is open waits; that one's 200 refreshes; refused, the refresh comes later.
#[test]
fn a_refresh_meets_our_reinvite() {
    let start = || {
        let mut bench = bench(TimerMode::Accept, Refresher::Us);
        let (session, ..) = answered_with(&mut bench, "Supported: timer\r\nSession-Expires: 160\r\n");
        bench.at(79_000);
        bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
        let reinvite = bench.last();
        assert_eq!(value(&reinvite, Name::SessionExpires).as_deref(), Some("160;refresher=uac"));
        bench.hear(reply(&reinvite, 100, "", &[], ""));
        bench.at(81_000);
        assert_eq!(bench.log(), [""; 0], "the refresh waits");
        (bench, reinvite)
    };
    let (mut bench, reinvite) = start();
    bench.hear(reply(&reinvite, 200, "alice", &[CONTACT, ("Session-Expires", "160;refresher=uac")], SDP));
    bench.log();
    bench.at(160_999);
    assert_eq!(bench.log(), [""; 0]);
    bench.at(161_000);
    assert_eq!(bench.log(), ["161000 INVITE"]);
    let (mut bench, reinvite) = start();
    bench.hear(reply(&reinvite, 488, "alice", &[], ""));
    assert_eq!(bench.told(), ["81000 reinvite done 488"]);
    bench.log();
    bench.at(91_000);
    assert_eq!(bench.log(), ["91000 INVITE"]);
}

/// TIM-05: glare: a refresh by re-INVITE backs off after 491 and comes again; the peer's re-INVITE in between is served and refreshes.
#[test]
fn a_refresh_meets_a_hold() {
    let mut bench = bench(TimerMode::Accept, Refresher::Us);
    let timer = "Supported: timer\r\nSession-Expires: 160\r\n";
    let (session, mut peer, _) = answered_with(&mut bench, timer);
    bench.at(80_000);
    let refresh = bench.last();
    bench.hear(peer.request("INVITE", 2, timer, SDP));
    assert_eq!(bench.last().status(), Some(491));
    bench.hear(reply(&refresh, 491, "alice", &[], ""));
    bench.log();
    bench.at(82_010);
    let again = bench.last();
    assert_eq!((name(&again).as_str(), again.sdp()), ("INVITE", Some(sdp())));
    bench.hear(reply(&again, 200, "alice", &[CONTACT, ("Session-Expires", "160;refresher=uac")], SDP));
    bench.told();
    // Due while the owner thinks about the peer's hold: UPDATE has no SDP and would cross nothing, a re-INVITE waits.
    bench.at(162_000).hear(peer.request("INVITE", 3, timer, SDP));
    bench.log();
    bench.at(165_000);
    assert_eq!(bench.log(), [""; 0]);
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
    bench.hear(peer.request("ACK", 3, "", ""));
    assert_eq!(bench.log(), ["165000 200 INVITE", "165000 INVITE"], "then it goes its way");
}

/// TIM-05: a wish of the owner that comes during a refresh waits for its end; a REFER does not touch the timer.
#[test]
fn the_owner_meets_a_refresh() {
    let mut bench = bench(TimerMode::Accept, Refresher::Us);
    let (session, ..) = answered_with(&mut bench, "Supported: timer\r\nSession-Expires: 160\r\n");
    bench.at(80_000);
    let refresh = bench.last();
    let held = bytes::Bytes::from(SDP.replace("o=- 1 1", "o=- 1 2"));
    bench.tell(UaCommand::Reinvite { session, sdp: Some(held.clone()) });
    assert_eq!((bench.log().len(), bench.told().len()), (0, 0));
    bench.hear(reply(&refresh, 200, "alice", &[CONTACT, ("Session-Expires", "160;refresher=uac")], SDP));
    let own = bench.last();
    assert_eq!((name(&own).as_str(), own.sdp()), ("INVITE", Some(held)));
    bench.hear(reply(&own, 488, "alice", &[], ""));
    assert_eq!(bench.told(), ["80000 reinvite done 200 sdp", "80000 reinvite done 488"]);
    let refer_to = voxtrunk::sip::uri::Uri::parse("sip:x@192.0.2.9").expect("a URI");
    bench.tell(UaCommand::Refer { session, refer_to, referred_by: None, replaces: None });
    let refer = bench.last();
    bench.hear(reply(&refer, 202, "alice", &[], ""));
    bench.at(90_000);
    assert_eq!(bench.log(), ["90000 INVITE"], "the refused re-INVITE left the refresh to come again");
}

/// TIM-03: a call without a timer has none: an hour of silence ends nothing. DLG-18: our BYE has a reason all the same.
#[test]
fn no_timer_no_end() {
    let mut bench = Bench::new();
    let (session, _) = answered(&mut bench);
    bench.at(3_600_000);
    assert_eq!(bench.told(), [""; 0]);
    let request = info(&mut bench, session);
    bench.hear(reply(&request, 200, "alice", &[], ""));
    bench.tell(UaCommand::Hangup { session, reason: None });
    assert_eq!(value(&bench.last(), Name::Reason).as_deref(), Some("Q.850;cause=16;text=\"Normal call clearing\""));
}

/// TIM-04: 422 to our INVITE: once more with the larger interval and Min-SE; a peer that never has enough is not followed for ever.
#[test]
fn an_invite_is_raised() {
    let mut bench = bench(TimerMode::Offer, Refresher::Us);
    bench.place(Some(SDP));
    let mut invite = bench.last();
    let first = invite.clone();
    for min_se in ["3600", "4000"] {
        bench.hear(reply(&invite, 422, "bob", &[("Min-SE", min_se)], ""));
        invite = bench.last();
        assert_eq!(name(&invite), "INVITE");
        assert_eq!(value(&invite, Name::SessionExpires), Some(format!("{min_se};refresher=uac")));
        assert_eq!(value(&invite, Name::MinSe).as_deref(), Some(min_se));
        assert_eq!((invite.call_id(), invite.sdp()), (first.call_id(), first.sdp()));
    }
    let expires = [CONTACT, ("Session-Expires", "4000;refresher=uac"), ("Allow", "UPDATE")];
    bench.hear(reply(&invite, 200, "bob", &expires, SDP));
    bench.log();
    bench.at(2_000_000);
    assert_eq!(bench.log(), ["2000000 UPDATE"]);

    let mut greedy = self::bench(TimerMode::Offer, Refresher::Us);
    greedy.place(Some(SDP));
    for more in 1..100 {
        let invite = greedy.last();
        if name(&invite) != "INVITE" {
            break;
        }
        greedy.hear(reply(&invite, 422, "bob", &[("Min-SE", &(2_000 + more).to_string())], ""));
    }
    assert_eq!(greedy.told(), ["0 ended: failed 422"]);
    greedy.expect_empty();
}
