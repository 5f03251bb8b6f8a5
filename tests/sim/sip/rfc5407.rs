//! DLG-20: the race conditions of RFC 5407 §3, one test a figure; every one ends in one clean state.
//!
//! | § | what comes | in state | test |
//! |---|---|---|---|
//! | 3.1.1 | INVITE copy | Moratorium | `invite_copy_in_moratorium` |
//! | 3.1.2 | CANCEL | Moratorium | `cancel_in_moratorium` |
//! | 3.1.3 | BYE of the early dialog | Moratorium | `early_bye_in_moratorium` |
//! | 3.1.4 | re-INVITE, ACK lost | Moratorium | `reinvite_in_moratorium` |
//! | 3.1.5 | re-INVITE, ACK with the answer lost | Moratorium | `reinvite_in_moratorium_of_a_late_offer` |
//! | 3.1.6 | BYE, ACK lost | Moratorium | `bye_in_moratorium` |
//! | 3.2.1 | BYE | Mortal | `bye_in_mortal` |
//! | 3.2.2 | re-INVITE | Mortal | `reinvite_in_mortal` |
//! | 3.2.3 | 2xx to our re-INVITE | Mortal | `ok_of_a_reinvite_in_mortal`, `ok_of_a_reinvite_after_the_peers_bye` |
//! | 3.2.4 | ACK | Mortal | `ack_in_mortal` |
//! | 3.3.1 | re-INVITEs cross | Established | `reinvites_cross` |
//! | 3.3.2 | UPDATE and re-INVITE cross | Established | `update_crosses_reinvite` |
//! | 3.3.3 | REFER | Mortal | `refer_in_mortal` |
//!
//! The tests without a section are neighbours of these that RFC 3261 decides.

use crate::kit::*;
use voxtrunk::sip::user_agent::{SessionId, UaCommand};

/// Accepted, not acknowledged yet (Moratorium); the peer knows our tag.
fn moratorium(offer: &str) -> (Bench, SessionId, Peer) {
    let mut bench = Bench::new();
    let mut peer = Peer::new();
    bench.hear(peer.with_branch("INVITE", 1, "z9hG4bKinvite", "", offer));
    let session = incoming(&bench);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    peer.learn(&bench.last());
    bench.told();
    (bench, session, peer)
}

/// We have sent BYE and wait for its response (Mortal).
fn mortal() -> (Bench, Peer) {
    let mut bench = Bench::new();
    let (session, peer) = answered(&mut bench);
    bench.tell(UaCommand::Hangup { session, reason: None });
    assert_eq!(bench.log(), ["0 BYE"]);
    bench.told();
    (bench, peer)
}

/// DLG-20: §3.1.1 INVITE copy after our 2xx: absorbed.
#[test]
fn invite_copy_in_moratorium() {
    let (mut bench, _, _) = moratorium(SDP);
    bench.at(100).hear(Peer::new().invite());
    assert_eq!((bench.log(), bench.told()), (vec![], vec![]));
}

/// DLG-20: §3.1.2 CANCEL after our 2xx: 200, the call stands.
#[test]
fn cancel_in_moratorium() {
    let (mut bench, _, mut peer) = moratorium(SDP);
    bench.at(100).hear(Peer::new().with_branch("CANCEL", 1, "z9hG4bKinvite", "", ""));
    bench.at(110).hear(peer.request("ACK", 1, "", ""));
    bench.at(120).hear(peer.request("BYE", 2, "", ""));
    assert_eq!(bench.log(), ["100 200 CANCEL", "120 200 BYE"]);
    assert_eq!(bench.told(), ["110 established", "120 ended: peer bye"]);
    bench.expect_empty();
}

/// DLG-20: §3.1.3 BYE of an early dialog crosses our 2xx: 200, no more 2xx; the ACK that still comes is ignored.
#[test]
fn early_bye_in_moratorium() {
    let (mut bench, _, mut peer) = moratorium(SDP);
    bench.at(100).hear(peer.request("BYE", 2, "", ""));
    bench.at(200).hear(peer.request("ACK", 1, "", ""));
    bench.at(50_000);
    assert_eq!(bench.log(), ["100 200 BYE"]);
    assert_eq!(bench.told(), ["100 ended: peer bye"]);
    bench.expect_empty();
}

/// BYE of an early dialog while it rings: 200, and 487 for the INVITE (RFC 3261 §15.1.2).
#[test]
fn early_bye_while_ringing() {
    let mut bench = Bench::new();
    let mut peer = Peer::new();
    bench.hear(peer.invite());
    let session = incoming(&bench);
    bench.tell(UaCommand::Ring { session });
    peer.learn(&bench.last());
    bench.hear(peer.request("BYE", 2, "", ""));
    assert_eq!(bench.log(), ["0 200 BYE", "0 487 INVITE"]);
    assert_eq!(bench.told(), ["0 incoming", "0 ended: peer bye"]);
    bench.expect_empty();
}

/// DLG-20: §3.1.4 lost ACK, then re-INVITE: it is answered, and stands for the ACK.
#[test]
fn reinvite_in_moratorium() {
    let (mut bench, session, mut peer) = moratorium(SDP);
    bench.at(100).hear(peer.request("INVITE", 2, "", SDP));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
    bench.at(110).hear(peer.request("ACK", 1, "", ""));
    bench.at(120).hear(peer.request("ACK", 2, "", ""));
    bench.at(60_000);
    assert_eq!(bench.log(), ["100 100 INVITE", "100 200 INVITE"]);
    assert_eq!(bench.told(), ["100 established", "100 reinvite sdp"]);
}

/// DLG-20: §3.1.5 the same after an offer in our 2xx: it is not answered yet, so 491.
#[test]
fn reinvite_in_moratorium_of_a_late_offer() {
    let (mut bench, _, mut peer) = moratorium("");
    bench.at(100).hear(peer.request("INVITE", 2, "", SDP));
    bench.at(110).hear(peer.request("ACK", 1, "", SDP));
    assert_eq!(bench.log(), ["100 491 INVITE"]);
    assert_eq!(bench.told(), ["110 established sdp"]);
}

/// DLG-20: §3.1.6 the ACK is lost and BYE comes: 200, no more 2xx.
#[test]
fn bye_in_moratorium() {
    let (mut bench, _, mut peer) = moratorium(SDP);
    bench.at(1_600).hear(peer.request("BYE", 2, "", ""));
    bench.at(50_000);
    assert_eq!(bench.log(), ["500 200 INVITE", "1500 200 INVITE", "1600 200 BYE"]);
    assert_eq!(bench.told(), ["1600 ended: peer bye"]);
    bench.expect_empty();
}

/// DLG-20: §3.2.1 BYEs cross: both are answered 200.
#[test]
fn bye_in_mortal() {
    let (mut bench, mut peer) = mortal();
    bench.at(100).hear(peer.request("BYE", 2, "", ""));
    assert_eq!(bench.log(), ["100 200 BYE"]);
    assert_eq!(bench.told(), [""; 0]);
    bench.expect_empty();
}

/// DLG-20: §3.2.2 a re-INVITE crosses our BYE: 481.
#[test]
fn reinvite_in_mortal() {
    let (mut bench, mut peer) = mortal();
    bench.at(100).hear(peer.request("INVITE", 2, "", SDP));
    assert_eq!(bench.log(), ["100 481 INVITE"]);
    assert_eq!(bench.told(), [""; 0]);
    bench.expect_empty();
}

/// DLG-20: §3.3.3 a REFER crosses our BYE: 481, also where the trunk may send them; nobody is asked.
#[test]
fn refer_in_mortal() {
    let mut bench = Bench::of_trunk(|trunk| trunk.refer = true);
    let (session, mut peer) = answered(&mut bench);
    bench.tell(UaCommand::Hangup { session, reason: None });
    bench.log();
    bench.told();
    bench.at(110).hear(peer.request("REFER", 3, "Refer-To: <sip:x@example.com>\r\n", ""));
    assert_eq!(bench.log(), ["110 481 REFER"]);
    assert_eq!(bench.told(), [""; 0]);
    bench.expect_empty();
}

/// DLG-20: §3.2.3 the 2xx to our re-INVITE crosses our BYE: it is acknowledged, each time.
#[test]
fn ok_of_a_reinvite_in_mortal() {
    let mut bench = Bench::new();
    let (session, _) = answered(&mut bench);
    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
    let reinvite = bench.last();
    bench.tell(UaCommand::Hangup { session, reason: None });
    let ok = reply(&reinvite, 200, "alice", &[CONTACT], SDP);
    bench.at(100).hear(&ok);
    bench.at(200).hear(&ok);
    assert_eq!(bench.log(), ["0 BYE", "100 ACK", "200 ACK"]);
    assert_eq!(bench.told(), ["0 ended: local"]);
    bench.expect_empty();
}

/// DLG-20: §3.2.3 with the peer's BYE.
#[test]
fn ok_of_a_reinvite_after_the_peers_bye() {
    let mut bench = Bench::new();
    let (session, mut peer) = answered(&mut bench);
    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
    let reinvite = bench.last();
    bench.at(10).hear(peer.request("BYE", 2, "", ""));
    bench.at(100).hear(reply(&reinvite, 200, "alice", &[CONTACT], SDP));
    assert_eq!(bench.log(), ["10 200 BYE", "100 ACK"]);
    assert_eq!(bench.told(), ["10 ended: peer bye"]);
    bench.expect_empty();
}

/// DLG-20: §3.2.4 the ACK comes after our BYE (sent at 64*T1): ignored.
#[test]
fn ack_in_mortal() {
    let (mut bench, _, mut peer) = moratorium(SDP);
    bench.at(32_010).hear(peer.request("ACK", 1, "", ""));
    assert_eq!(bench.log().last().map(String::as_str), Some("32000 BYE"));
    assert_eq!(bench.told(), ["32000 ended: no ack"]);
    bench.expect_empty();
}

/// DLG-20: §3.3.1 re-INVITEs cross: both 491, both try again.
#[test]
fn reinvites_cross() {
    let mut bench = Bench::new();
    let (session, mut peer) = called(&mut bench);
    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
    let ours = bench.last();
    bench.at(10).hear(peer.request("INVITE", 1, "", SDP));
    let refusal = bench.last();
    assert_eq!(refusal.status(), Some(491));
    bench.at(20).hear(reply(&ours, 491, "bob", &[], ""));
    assert_eq!(bench.log(), ["20 ACK"]);
    bench.at(1_000).hear(peer.request("INVITE", 2, "", SDP));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
    bench.at(1_100).hear(peer.request("ACK", 2, "", ""));
    bench.log();
    bench.at(4_100);
    let again = bench.sent.drain(..).find(|s| name(&s.message) == "INVITE").expect("the retry");
    assert!(again.ms >= 2_120, "{}", again.ms);
    bench.hear(reply(&again.message, 200, "bob", &[CONTACT], SDP));
    assert_eq!(bench.told(), ["1000 reinvite sdp", "4100 reinvite done 200 sdp"]);
}

/// DLG-20: §3.3.2 an UPDATE with an offer crosses our re-INVITE: 491.
#[test]
fn update_crosses_reinvite() {
    let mut bench = Bench::new();
    let (session, mut peer) = called(&mut bench);
    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
    let ours = bench.last();
    bench.at(10).hear(peer.request("UPDATE", 1, "", SDP));
    bench.at(20).hear(reply(&ours, 200, "bob", &[CONTACT], SDP));
    assert_eq!(bench.log(), ["10 491 UPDATE", "20 ACK"]);
    assert_eq!(bench.told(), ["20 reinvite done 200 sdp"]);
}

/// BYE of the callee overtakes its lost 2xx: 200, CANCEL for other forks, and a 2xx that comes late is ended.
#[test]
fn bye_before_the_2xx() {
    let mut bench = Bench::new();
    bench.place(Some(SDP));
    let invite = bench.last();
    bench.hear(reply(&invite, 180, "bob", &[CONTACT], ""));
    let mut peer = Peer {
        call_id: invite.call_id().expect("Call-ID"),
        from: "<sip:bob@192.0.2.20>;tag=bob".into(),
        to: invite.value(&voxtrunk::sip::headers::Name::From).expect("From"),
        ..Peer::new()
    };
    bench.at(100).hear(peer.request("BYE", 1, "", ""));
    bench.at(200).hear(reply(&invite, 200, "bob", &[CONTACT], SDP));
    bench.at(300).hear(reply(&invite, 200, "bob", &[CONTACT], SDP));
    assert_eq!(bench.log(), ["100 200 BYE", "100 CANCEL", "200 ACK", "200 BYE", "300 ACK"]);
    assert_eq!(bench.told(), ["0 progress 180", "100 ended: peer bye"]);
    bench.expect_empty();
}
