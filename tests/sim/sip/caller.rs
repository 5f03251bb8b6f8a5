//! Caller: provisional responses, answers, CANCEL, forks, refusals.

use crate::kit::*;
use voxtrunk::sip::headers::{Name, Reason};
use voxtrunk::sip::user_agent::{NewInvite, SessionId, UaCommand};

fn hangup(bench: &mut Bench, session: SessionId) {
    bench.tell(UaCommand::Hangup { session, reason: None });
}

/// TRN-03, DLG-16: what an INVITE of ours carries.
#[test]
fn invite_headers() {
    let mut bench = Bench::new();
    bench.place(Some(SDP));
    let invite = bench.last();
    let via = invite.top_via().expect("Via").expect("ok");
    assert_eq!((via.rport, via.host.as_str(), via.port), (Some(None), "192.0.2.10", Some(5060)));
    assert!(via.branch.is_some_and(|b| b.starts_with("z9hG4bK")));
    assert_eq!(invite.max_forwards(), Some(Ok(70)));
    assert_eq!(invite.value(&Name::Contact).as_deref(), Some("<sip:agent@192.0.2.10:5060>"));
    assert_eq!(invite.value(&Name::Supported).as_deref(), Some("100rel, timer, norefersub"));
    assert!(invite.from().expect("From").expect("ok").tag().is_some());
    assert_eq!(invite.sdp(), Some(sdp()));
}

/// DLG-16: a call placed because of another one keeps counting down.
#[test]
fn max_forwards_of_the_owner() {
    let mut bench = Bench::new();
    let session = bench.ua.new_session_id();
    bench.tell(UaCommand::Invite(Box::new(NewInvite {
        headers: vec![(Name::MaxForwards, "12".into()), (Name::Subject, "x\r\nEvil: y".into())],
        ..new_call(session, udp(), None)
    })));
    let invite = bench.last();
    assert_eq!(invite.lines(&Name::MaxForwards), ["12"]);
    assert!(invite.value(&Name::Other("Evil".into())).is_none(), "PAR-11");
}

#[test]
fn full_call() {
    let mut bench = Bench::new();
    let session = bench.place(Some(SDP));
    let invite = bench.last();
    bench.at(10).hear(reply(&invite, 100, "", &[], ""));
    bench.at(20).hear(reply(&invite, 183, "bob", &[CONTACT], SDP));
    bench.at(1_000).hear(reply(&invite, 200, "bob", &[CONTACT], SDP));
    let ack = bench.last();
    assert_eq!(ack.request_uri().expect("a URI").expect("ok").as_str(), "sip:bob@192.0.2.20:5060");
    assert!(ack.body().is_empty());
    hangup(&mut bench, session);
    let bye = bench.last();
    assert_eq!(name(&bye), "BYE");
    bench.hear(reply(&bye, 200, "bob", &[], ""));
    assert_eq!(bench.told(), ["20 progress 183 sdp", "1000 answered sdp", "1000 ended: local"]);
    bench.expect_empty();
}

/// TXN-10: no CANCEL before a 1xx; then CANCEL with the INVITE's branch and CSeq, and the Reason; 487 ends the session.
#[test]
fn cancel_waits_for_a_provisional() {
    let mut bench = Bench::new();
    let session = bench.place(Some(SDP));
    let invite = bench.last();
    bench.at(100).tell(UaCommand::Hangup {
        session,
        reason: Some(Reason { protocol: "SIP".into(), cause: Some(200), text: None }),
    });
    assert_eq!(bench.log(), [""; 0]);
    bench.at(200).hear(reply(&invite, 100, "", &[], ""));
    let cancel = bench.last();
    assert_eq!(name(&cancel), "CANCEL");
    assert_eq!(cancel.top_via().expect("Via").expect("ok").branch, invite.top_via().expect("Via").expect("ok").branch);
    assert_eq!(cancel.value(&Name::Reason).as_deref(), Some("SIP;cause=200"));
    assert_eq!(cancel.cseq().expect("CSeq").expect("ok").number, invite.cseq().expect("CSeq").expect("ok").number);
    bench.hear(reply(&cancel, 200, "bob", &[], ""));
    bench.hear(reply(&invite, 180, "bob", &[CONTACT], ""));
    bench.hear(reply(&invite, 487, "bob", &[], ""));
    assert_eq!(bench.log(), ["200 ACK"]);
    assert_eq!(bench.told(), ["200 ended: local"]);
    bench.expect_empty();
}

/// TXN-10: a 2xx that crosses our CANCEL is acknowledged and then ended.
#[test]
fn crossing_2xx_is_acked_and_byed() {
    let mut bench = Bench::new();
    let session = bench.place(Some(SDP));
    let invite = bench.last();
    bench.hear(reply(&invite, 180, "bob", &[CONTACT], ""));
    bench.at(100);
    hangup(&mut bench, session);
    bench.at(150).hear(reply(&invite, 200, "bob", &[CONTACT], SDP));
    assert_eq!(bench.log(), ["100 CANCEL", "150 ACK", "150 BYE"]);
    bench.at(160).hear(reply(&invite, 200, "bob", &[CONTACT], SDP));
    assert_eq!(bench.log(), ["160 ACK"]);
    assert_eq!(bench.told(), ["0 progress 180", "150 ended: local"]);
    bench.expect_empty();
}

/// RFC 3261 §9.1: no final response after the CANCEL: over after 64*T1.
#[test]
fn cancel_without_final_response() {
    let mut bench = Bench::new();
    let session = bench.place(Some(SDP));
    let invite = bench.last();
    bench.hear(reply(&invite, 180, "bob", &[CONTACT], ""));
    bench.at(1_000);
    hangup(&mut bench, session);
    let cancel = bench.last();
    bench.hear(reply(&cancel, 200, "bob", &[], ""));
    bench.at(32_999);
    assert_eq!(bench.told(), ["0 progress 180"]);
    bench.at(33_000);
    assert_eq!(bench.told(), ["33000 ended: local"]);
    bench.expect_empty();
}

/// DLG-17: early dialogs of a fork; each further 2xx gets ACK and BYE, and copies of it the same ACK.
#[test]
fn forked_answers() {
    let mut bench = Bench::new();
    bench.place(Some(SDP));
    let invite = bench.last();
    for tag in ["a", "b", "c"] {
        bench.hear(reply(&invite, 180, tag, &[CONTACT], ""));
    }
    bench.hear(reply(&invite, 200, "b", &[CONTACT], SDP));
    bench.log();
    let other = reply(&invite, 200, "c", &[("Contact", "<sip:c@192.0.2.30>")], SDP);
    bench.at(100).hear(&other);
    let sent: Vec<_> = bench.sent.drain(..).collect();
    assert_eq!(sent.iter().map(|s| name(&s.message)).collect::<Vec<_>>(), ["ACK", "BYE"]);
    for s in &sent {
        assert_eq!(s.message.to().expect("To").expect("ok").tag(), Some("c"));
        assert_eq!(s.flow.remote, addr("192.0.2.30:5060"));
    }
    bench.at(200).hear(&other);
    assert_eq!(bench.log(), ["200 ACK"], "one BYE only");
    assert_eq!(bench.told().last().map(String::as_str), Some("0 answered sdp"));
    let counts = bench.after(40_000).ua.counts();
    assert_eq!(
        (counts.sessions, counts.client_transactions, counts.timers),
        (1, 0, 0),
        "the call goes on, nothing else"
    );
}

/// A late offer of ours: the ACK waits for the answer; copies of the 2xx too.
#[test]
fn answer_in_ack() {
    let mut bench = Bench::new();
    let session = bench.place(None);
    let invite = bench.last();
    let ok = reply(&invite, 200, "bob", &[CONTACT], SDP);
    bench.hear(&ok);
    bench.at(500).hear(&ok);
    assert_eq!(bench.log(), [""; 0]);
    bench.at(600).tell(UaCommand::AnswerInAck { session, sdp: sdp() });
    let ack = bench.last();
    assert_eq!((name(&ack).as_str(), ack.sdp()), ("ACK", Some(sdp())));
    bench.at(1_500).hear(&ok);
    assert_eq!(bench.last().as_bytes(), ack.as_bytes());
    assert_eq!(bench.told(), ["0 answered sdp"]);
}

/// The owner never answers the late offer: ACK, BYE, end.
#[test]
fn answer_in_ack_that_never_comes() {
    let mut bench = Bench::new();
    bench.place(None);
    let invite = bench.last();
    bench.hear(reply(&invite, 200, "bob", &[CONTACT], SDP));
    bench.at(32_000);
    assert_eq!(bench.log().get(..2), Some(["32000 ACK".to_owned(), "32000 BYE".to_owned()].as_slice()));
    assert_eq!(bench.told(), ["0 answered sdp", "32000 ended: local"]);
    bench.expect_empty();
}

/// AUT-04: no challenge is answered: neither of an INVITE nor of a BYE.
/// XFR-08: a redirection is not followed.
#[test]
fn challenges_and_redirections_are_refusals() {
    for status in [300, 302, 401, 407, 499, 606] {
        let mut bench = Bench::new();
        bench.place(Some(SDP));
        let invite = bench.last();
        let extra = [("WWW-Authenticate", "Digest realm=\"x\", nonce=\"y\""), ("Contact", "<sip:evil@example.com>")];
        bench.hear(reply(&invite, status, "bob", &extra, ""));
        assert_eq!(bench.log(), ["0 ACK"]);
        assert_eq!(bench.told(), [format!("0 ended: failed {status}")]);
        bench.expect_empty();
    }
    let mut bench = Bench::new();
    let (session, _) = answered(&mut bench);
    hangup(&mut bench, session);
    let bye = bench.last();
    bench.hear(reply(&bye, 401, "alice", &[("WWW-Authenticate", "Digest realm=\"x\", nonce=\"y\"")], ""));
    bench.after(60_000);
    assert_eq!(bench.log(), [""; 0]);
    bench.expect_empty();
}

/// PAR-17: responses for someone else, or with a second Via, are dropped.
#[test]
fn foreign_responses() {
    let mut bench = Bench::new();
    bench.place(Some(SDP));
    let invite = bench.last();
    let ok = String::from_utf8(reply(&invite, 200, "bob", &[CONTACT], SDP)).expect("text");
    bench.hear(ok.replacen("192.0.2.10", "192.0.2.99", 1));
    bench.hear(ok.replace("From:", "Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKx\r\nFrom:"));
    bench.hear(ok.replace("z9hG4bK", "z9hG4bK0"));
    assert_eq!((bench.log(), bench.told()), (vec![], vec![]));
    bench.hear(&ok);
    assert_eq!(bench.told(), ["0 answered sdp"]);
}

/// A transport that is not advertised is not used; too many sessions are refused.
#[test]
fn refused_before_sending() {
    let mut bench = Bench::new();
    bench.flow = voxtrunk::sip::Flow { transport: voxtrunk::sip::Transport::Tls, ..tcp() };
    bench.place(Some(SDP));
    assert_eq!((bench.log(), bench.told()), (vec![], vec!["0 ended: failed 503".to_owned()]));
    bench.flow = udp();
    for _ in 0..11 {
        bench.place(Some(SDP));
    }
    assert_eq!((bench.log().len(), bench.told().len()), (10, 1));
}
