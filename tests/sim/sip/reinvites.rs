//! re-INVITE and UPDATE, both ways: target refresh, glare and back-off, answers, refusals.

use crate::dialogs::{cseq, info, uri};
use crate::kit::*;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::user_agent::UaCommand;

/// DLG-07: Contact of a re-INVITE, of an UPDATE and of the 2xx to our re-INVITE move the target.
/// DLG-11: a refused re-INVITE changes nothing.
#[test]
fn target_refresh() {
    let mut bench = Bench::new();
    let (session, mut peer) = answered(&mut bench);
    let target = |bench: &mut Bench| uri(&info(bench, session));
    peer.contact = "<sip:alice@198.51.100.1>".into();
    bench.hear(peer.request("INVITE", 2, "", SDP));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Err(488) });
    assert_eq!(bench.last().status(), Some(488));
    assert_eq!(target(&mut bench), "sip:alice@192.0.2.20:5060");
    bench.hear(peer.request("INVITE", 3, "", SDP));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
    bench.hear(peer.request("ACK", 3, "", ""));
    assert_eq!(target(&mut bench), "sip:alice@198.51.100.1");
    peer.contact = "<sip:alice@198.51.100.2>".into();
    bench.hear(peer.request("UPDATE", 4, "", ""));
    assert_eq!(target(&mut bench), "sip:alice@198.51.100.2");
    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
    let reinvite = bench.last();
    bench.hear(reply(&reinvite, 200, "alice", &[("Contact", "<sip:alice@198.51.100.3>")], SDP));
    assert_eq!(uri(&bench.last()), "sip:alice@198.51.100.3", "the ACK goes to the new target");
    assert_eq!(bench.told().len(), 3);
}

/// A re-INVITE with and without SDP, its 2xx repeated until the ACK; ReinviteAck only for our offer.
#[test]
fn reinvite_of_the_peer() {
    let mut bench = Bench::new();
    let (session, mut peer) = answered(&mut bench);
    bench.at(100).hear(peer.request("INVITE", 2, "", SDP));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
    bench.at(700).hear(peer.request("ACK", 2, "", ""));
    bench.at(1_000).hear(peer.request("INVITE", 3, "", ""));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
    assert_eq!(bench.sent.last().and_then(|s| s.message.sdp()), Some(sdp()));
    bench.at(1_100).hear(peer.request("ACK", 3, "", SDP));
    bench.at(60_000);
    assert_eq!(
        bench.log(),
        ["100 100 INVITE", "100 200 INVITE", "600 200 INVITE", "1000 100 INVITE", "1000 200 INVITE"]
    );
    assert_eq!(bench.told(), ["100 reinvite sdp", "1000 reinvite", "1100 reinvite ack sdp"]);
}

/// A re-INVITE whose 2xx is never acknowledged ends the call like the first.
#[test]
fn unacknowledged_reinvite() {
    let mut bench = Bench::new();
    let (session, mut peer) = answered(&mut bench);
    bench.hear(peer.request("INVITE", 2, "", SDP));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
    bench.at(40_000);
    assert_eq!(bench.told(), ["0 reinvite sdp", "32000 ended: no ack"]);
    bench.expect_empty();
}

/// DLG-10, S7: theirs while ours is pending: 491; theirs while theirs is unanswered: 500 with Retry-After 0–10.
#[test]
fn glare_of_theirs() {
    let mut bench = Bench::new();
    let (session, mut peer) = answered(&mut bench);
    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
    for method in ["INVITE", "UPDATE"] {
        let number = if method == "INVITE" { 2 } else { 3 };
        bench.hear(peer.request(method, number, "", SDP));
        assert_eq!(bench.last().status(), Some(491), "{method}");
    }
    let mut bench = Bench::new();
    let (_, mut peer) = answered(&mut bench);
    bench.hear(peer.request("INVITE", 2, "", SDP));
    for (method, number) in [("INVITE", 3), ("UPDATE", 4)] {
        bench.hear(peer.request(method, number, "", SDP));
        let refusal = bench.last();
        assert_eq!(refusal.status(), Some(500), "{method}");
        assert!(matches!(refusal.seconds(&Name::RetryAfter), Some(Ok(0..=10))));
    }
    assert_eq!(bench.told(), ["0 reinvite sdp"]);
}

/// DLG-10, S7: our back-off after 491: 2.1–4.0 s as owner of the Call-ID, 0–2.0 s otherwise; a new CSeq; given up in the end.
#[test]
fn back_off_of_ours() {
    for seed in 0..20 {
        for own in [true, false] {
            let mut bench = Bench::with(voxtrunk::sip::user_agent::UaConfig { seed, ..config() }, udp());
            let (session, _) = if own { called(&mut bench) } else { answered(&mut bench) };
            bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
            let first = bench.last();
            bench.hear(reply(&first, 491, "", &[], ""));
            bench.log();
            bench.at(4_100);
            let retry = bench.sent.first().expect("a retry");
            let range = if own { 2_100..=4_000 } else { 0..=2_000 };
            assert!(range.contains(&retry.ms), "seed {seed}: {} ms", retry.ms);
            assert_eq!(cseq(&retry.message), cseq(&first) + 1);
            assert_eq!(retry.message.sdp(), Some(sdp()));
            for _ in 0..10 {
                let Some(again) = bench.sent.pop().filter(|s| name(&s.message) == "INVITE") else { break };
                bench.hear(reply(&again.message, 491, "", &[], ""));
                bench.sent.clear();
                bench.after(4_100);
            }
            assert!(bench.told().iter().any(|t| t.ends_with("reinvite done 491")), "seed {seed}");
        }
    }
}

/// Our re-INVITE: done with the answer, or with the refusal; one at a time; it waits for the peer's.
#[test]
fn reinvite_of_ours() {
    let mut bench = Bench::new();
    let (session, mut peer) = answered(&mut bench);
    bench.hear(peer.request("INVITE", 2, "", SDP));
    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
    assert_eq!(bench.log(), ["0 100 INVITE"], "ours waits");
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
    assert_eq!(bench.log(), ["0 200 INVITE"], "still, for the ACK");
    bench.at(50).hear(peer.request("ACK", 2, "", ""));
    let reinvite = bench.last();
    bench.hear(reply(&reinvite, 100, "", &[], ""));
    let ok = reply(&reinvite, 200, "alice", &[CONTACT], SDP);
    bench.at(60).hear(&ok);
    bench.at(70).hear(&ok);
    assert_eq!(bench.log(), ["60 ACK", "70 ACK"]);
    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
    let reinvite = bench.last();
    bench.hear(reply(&reinvite, 488, "alice", &[], ""));
    assert_eq!(bench.log(), ["70 ACK"]);
    assert_eq!(
        bench.told(),
        ["0 reinvite sdp", "0 reinvite done 491", "60 reinvite done 200 sdp", "70 reinvite done 488"]
    );
}

/// Our re-INVITE without SDP: the answer goes into the ACK.
#[test]
fn reinvite_of_ours_without_sdp() {
    let mut bench = Bench::new();
    let (session, _) = answered(&mut bench);
    bench.tell(UaCommand::Reinvite { session, sdp: None });
    let reinvite = bench.last();
    bench.hear(reply(&reinvite, 200, "alice", &[CONTACT], SDP));
    assert_eq!(bench.log(), [""; 0]);
    bench.tell(UaCommand::AnswerInAck { session, sdp: sdp() });
    assert_eq!(bench.last().sdp(), Some(sdp()));
}

/// A peer that says 100 to a re-INVITE and nothing more is lost after a minute.
#[test]
fn reinvite_without_end() {
    let mut bench = Bench::new();
    let (session, _) = answered(&mut bench);
    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
    let reinvite = bench.last();
    bench.at(1_000).hear(reply(&reinvite, 100, "", &[], ""));
    bench.at(61_000);
    assert_eq!(bench.told(), ["61000 ended: failed 408"]);
    bench.expect_empty();
}

/// EAR-04: UPDATE without SDP is a refresh, also before the answer; with SDP the owner is asked, or 500 before the answer.
#[test]
fn update() {
    let mut bench = Bench::new();
    let mut peer = Peer::new();
    bench.hear(peer.invite());
    let session = incoming(&bench);
    bench.tell(UaCommand::Ring { session });
    peer.learn(&bench.last());
    bench.hear(peer.request("UPDATE", 2, "", ""));
    bench.hear(peer.request("UPDATE", 3, "", SDP));
    assert_eq!(bench.log(), ["0 200 UPDATE", "0 500 UPDATE"]);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    bench.hear(peer.request("ACK", 1, "", ""));
    bench.hear(peer.request("UPDATE", 4, "", SDP));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
    bench.at(60_000);
    assert_eq!(bench.log(), ["0 200 INVITE", "0 200 UPDATE"]);
    assert_eq!(bench.told(), ["0 incoming", "0 established", "0 reinvite sdp"]);
}

/// EAR-04: as caller, an UPDATE with SDP in an early dialog meets our open offer: 491.
#[test]
fn update_of_the_callee() {
    let mut bench = Bench::new();
    bench.place(Some(SDP));
    let invite = bench.last();
    bench.hear(reply(&invite, 183, "bob", &[CONTACT], SDP));
    bench.told();
    let mut peer = Peer {
        call_id: invite.call_id().expect("Call-ID"),
        from: "<sip:bob@192.0.2.20>;tag=bob".into(),
        to: invite.value(&Name::From).expect("From"),
        ..Peer::new()
    };
    bench.hear(peer.request("UPDATE", 1, "", ""));
    bench.hear(peer.request("UPDATE", 2, "", SDP));
    peer.from = "<sip:bob@192.0.2.20>;tag=other".into();
    bench.hear(peer.request("UPDATE", 3, "", SDP));
    assert_eq!(bench.log(), ["0 200 UPDATE", "0 491 UPDATE", "0 481 UPDATE"]);
    assert_eq!(bench.told(), [""; 0]);
}
