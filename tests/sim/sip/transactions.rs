//! Transactions: exact send times (RFC 3261 §17, RFC 6026), matching, the bounded store.

use crate::kit::*;
use voxtrunk::sip::user_agent::{SessionId, UaCommand, UaCounts};

const REFUSE: &str = "Content-Length: 0\r\n";

fn reject(bench: &mut Bench, session: SessionId, status: u16) {
    bench.tell(UaCommand::Reject { session, status, headers: Vec::new() });
}

/// TXN-01: INVITE client over UDP: A doubles, B gives up at 64*T1 with 408.
/// TXN-11: the time-out reaches the session once.
#[test]
fn invite_client_gives_up_after_64_t1() {
    let mut bench = Bench::new();
    bench.place(Some(SDP));
    bench.at(100_000);
    let times: Vec<_> = bench.sent.iter().map(|s| s.ms).collect();
    assert_eq!(times, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(bench.told(), ["32000 ended: failed 408"]);
    bench.expect_empty();
}

/// TXN-01: over a stream only B runs.
#[test]
fn invite_client_on_a_stream_sends_once() {
    let mut bench = Bench::over(tcp());
    bench.place(Some(SDP));
    bench.at(100_000);
    assert_eq!(bench.log(), ["0 INVITE"]);
    assert_eq!(bench.told(), ["32000 ended: failed 408"]);
    bench.expect_empty();
}

/// TXN-01: the ACK of a refusal has branch, Request-URI and CSeq of the INVITE and the To-tag of the response, and is sent for
/// each copy of the refusal until D.
#[test]
fn refusal_is_acknowledged_each_time() {
    let mut bench = Bench::new();
    bench.place(Some(SDP));
    let invite = bench.last();
    bench.at(300).hear(reply(&invite, 180, "bob", &[CONTACT], ""));
    bench.at(2_000);
    assert_eq!(bench.log(), [""; 0], "A stops with the first response");
    let busy = reply(&invite, 486, "bob", &[], "");
    bench.hear(&busy);
    let ack = bench.last();
    let branch = |m: &voxtrunk::sip::message::Message| m.top_via().expect("Via").expect("readable").branch;
    assert_eq!(branch(&ack), branch(&invite));
    assert_eq!(ack.to().expect("To").expect("readable").tag(), Some("bob"));
    assert_eq!(ack.cseq().expect("CSeq").expect("readable").number, invite.cseq().expect("CSeq").expect("ok").number);
    bench.at(33_900).hear(&busy);
    bench.at(34_100).hear(&busy);
    assert_eq!(bench.log(), ["33900 ACK"], "D ends at 32 s after the refusal");
    assert_eq!(bench.told(), ["300 progress 180", "2000 ended: failed 486"]);
    bench.expect_empty();
}

/// TXN-02: non-INVITE client over UDP: E doubles to T2, F gives up; K absorbs late copies.
#[test]
fn non_invite_client_times() {
    let mut bench = Bench::new();
    let (session, _) = answered(&mut bench);
    bench.tell(UaCommand::Hangup { session, reason: None });
    bench.at(100_000);
    let times: Vec<_> = bench.sent.drain(..).map(|s| s.ms).collect();
    assert_eq!(times, [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    assert_eq!(bench.told(), ["0 ended: local"]);
    bench.expect_empty();

    let mut bench = Bench::new();
    let (session, _) = answered(&mut bench);
    bench.tell(UaCommand::Hangup { session, reason: None });
    let bye = bench.last();
    bench.at(100).hear(reply(&bye, 100, "", &[], ""));
    bench.at(20_000);
    let times: Vec<_> = bench.sent.drain(..).map(|s| s.ms).collect();
    assert_eq!(times, [500, 4_500, 8_500, 12_500, 16_500], "in Proceeding E is T2");
    bench.hear(reply(&bye, 200, "", &[], ""));
    assert_eq!(bench.ua.counts().client_transactions, 1);
    bench.at(25_000);
    assert_eq!(bench.ua.counts().client_transactions, 0, "K is T4");
}

/// TXN-03: 100 at once; a copy of the INVITE gets the last response; a refusal is repeated by G until H.
#[test]
fn invite_server_repeats() {
    let mut bench = Bench::new();
    let peer = Peer::new();
    bench.hear(peer.invite());
    bench.at(50).hear(peer.invite());
    let session = incoming(&bench);
    bench.tell(UaCommand::Ring { session });
    bench.at(60).hear(peer.invite());
    bench.at(1_000);
    reject(&mut bench, session, 486);
    bench.at(100_000);
    assert_eq!(
        bench.log(),
        [
            "0 100 INVITE",
            "50 100 INVITE",
            "50 180 INVITE",
            "60 180 INVITE",
            "1000 486 INVITE",
            "1500 486 INVITE",
            "2500 486 INVITE",
            "4500 486 INVITE",
            "8500 486 INVITE",
            "12500 486 INVITE",
            "16500 486 INVITE",
            "20500 486 INVITE",
            "24500 486 INVITE",
            "28500 486 INVITE",
            "32500 486 INVITE",
        ]
    );
    assert_eq!(bench.told(), ["0 incoming", "1000 ended: local"]);
    bench.expect_empty();
}

/// TXN-03: the ACK of a refusal stops G; I absorbs its copies and is zero on a stream.
#[test]
fn acknowledged_refusal_is_quiet() {
    for (flow, left) in [(udp(), 1), (tcp(), 0)] {
        let mut bench = Bench::over(flow);
        let mut peer = Peer::over(flow);
        bench.hear(peer.invite());
        let session = incoming(&bench);
        reject(&mut bench, session, 404);
        peer.learn(&bench.last());
        let ack = peer.with_branch("ACK", 1, "z9hG4bKinvite", REFUSE.get(..0).unwrap_or_default(), "");
        bench.at(100).hear(&ack);
        bench.at(200).hear(&ack);
        bench
            .at(300)
            .hear(peer.with_branch("INVITE", 1, "z9hG4bKinvite", "", SDP).replace(&peer.to, "<sip:4711@192.0.2.10>"));
        assert_eq!(bench.ua.counts().server_transactions, left + usize::from(left == 0));
        bench.at(5_200);
        if left == 1 {
            assert_eq!(bench.log(), [""; 0]);
            assert_eq!(bench.ua.counts(), UaCounts::default(), "I is T4");
        }
    }
}

/// TXN-04: the response of a non-INVITE is repeated for copies until J; never a 1xx, never 408.
#[test]
fn non_invite_server_absorbs_until_j() {
    let mut bench = Bench::new();
    let (_, mut peer) = answered(&mut bench);
    let info = peer.request("INFO", 2, "", "");
    bench.hear(&info);
    bench.at(31_000).hear(&info);
    bench.at(32_500).hear(&info);
    assert_eq!(bench.log(), ["0 200 INFO", "31000 200 INFO", "32500 500 INFO"], "after J it is an old CSeq");
    assert_eq!(bench.told(), ["0 info  "]);
}

/// TXN-05: after the 2xx copies of the INVITE are absorbed for L: no second call, no copy of the 2xx by the transaction.
#[test]
fn accepted_absorbs_invite_copies() {
    let mut bench = Bench::new();
    let (_, peer) = answered(&mut bench);
    let invite = Peer { to: Peer::new().to, ..peer.clone() }.invite();
    for ms in [1, 1_000, 31_999] {
        bench.at(ms).hear(&invite);
    }
    assert_eq!(bench.log(), [""; 0]);
    assert_eq!(bench.told(), [""; 0]);
    assert_eq!(bench.at(32_000).ua.counts().server_transactions, 0, "L is 64*T1");
}

/// TXN-05: the client stays Accepted for M: copies of the 2xx get the same ACK again.
#[test]
fn copies_of_a_2xx_get_the_same_ack() {
    let mut bench = Bench::new();
    bench.place(Some(SDP));
    let invite = bench.last();
    let ok = reply(&invite, 200, "bob", &[CONTACT], SDP);
    bench.at(100).hear(&ok);
    let ack = bench.last();
    assert_ne!(ack.top_via().expect("Via").expect("ok").branch, invite.top_via().expect("Via").expect("ok").branch);
    bench.at(600).hear(&ok);
    assert_eq!(bench.last().as_bytes(), ack.as_bytes());
    assert_eq!(bench.told(), ["100 answered sdp"]);
    bench.at(32_099).hear(&ok);
    assert_eq!(bench.log(), ["32099 ACK"]);
    bench.at(32_101).hear(&ok);
    assert_eq!(bench.log(), [""; 0], "M is over");
    assert_eq!(bench.ua.counts().client_transactions, 0);
}

/// TXN-06: the 2xx is repeated from T1 to T2 on every transport; BYE at 64*T1.
#[test]
fn unacknowledged_2xx_ends_in_bye() {
    for flow in [udp(), tcp()] {
        let mut bench = Bench::over(flow);
        let peer = Peer::over(flow);
        bench.hear(peer.invite());
        let session = incoming(&bench);
        bench.tell(UaCommand::Accept { session, sdp: sdp() });
        bench.at(32_000);
        let oks: Vec<_> = bench.log();
        let mut expected: Vec<_> = [0u64, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
            .iter()
            .map(|ms| format!("{ms} 200 INVITE"))
            .collect();
        expected.insert(0, "0 100 INVITE".into());
        expected.push("32000 BYE".into());
        assert_eq!(oks, expected);
        assert_eq!(bench.told(), ["0 incoming", "32000 ended: no ack"]);
        bench.expect_empty();
    }
}

/// TXN-07: branch, sent-by and method make a transaction; each of them alone another one.
#[test]
fn matching_by_branch_sent_by_and_method() {
    let mut bench = Bench::new();
    let (_, peer) = answered(&mut bench);
    let other_host = Peer { via: "UDP 192.0.2.21:5060".into(), ..peer.clone() };
    bench.hear(peer.with_branch("INFO", 2, "z9hG4bKx", "", ""));
    bench.hear(peer.with_branch("INFO", 2, "Z9HG4BKX", "", ""));
    bench.hear(other_host.with_branch("INFO", 3, "z9hG4bKx", "", ""));
    bench.hear(peer.with_branch("OPTIONS", 4, "z9hG4bKx", "", ""));
    assert_eq!(bench.told(), ["0 info  ", "0 info  "]);
    assert_eq!(bench.log(), ["0 200 INFO", "0 200 INFO", "0 200 INFO", "0 200 OPTIONS"]);
}

/// TXN-07: RFC 2543 peers, and a branch that is the bare cookie: matched by the other fields, ACK included.
#[test]
fn matching_without_cookie() {
    for branch in ["1", "z9hG4bK"] {
        let mut bench = Bench::new();
        let mut peer = Peer::new();
        let invite = peer.with_branch("INVITE", 1, branch, "", SDP);
        bench.hear(&invite);
        bench.at(10).hear(&invite);
        assert_eq!(bench.log(), ["0 100 INVITE", "10 100 INVITE"], "a copy is no new call");
        let session = incoming(&bench);
        reject(&mut bench, session, 486);
        peer.learn(&bench.last());
        bench.at(20).hear(peer.with_branch("ACK", 1, branch, "", ""));
        bench.at(4_000);
        assert_eq!(bench.log(), [""; 0], "the ACK matched");
        let another = Peer { call_id: "another".into(), ..Peer::new() };
        bench.hear(another.with_branch("INVITE", 1, branch, "", SDP));
        assert_eq!(bench.told(), ["0 incoming", "10 ended: local", "4000 incoming"]);
    }
}

/// TXN-07: an RFC 2543 peer acknowledges a 2xx with the very Via of its INVITE.
#[test]
fn ack_of_a_2xx_without_cookie() {
    let mut bench = Bench::new();
    let mut peer = Peer::new();
    bench.hear(peer.with_branch("INVITE", 1, "1", "", SDP));
    let session = incoming(&bench);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    peer.learn(&bench.last());
    bench.at(10).hear(peer.with_branch("ACK", 1, "1", "", ""));
    bench.at(60_000);
    assert_eq!((bench.log(), bench.told()), (vec![], vec!["0 incoming".to_owned(), "10 established".to_owned()]));
}

/// TXN-08: the same INVITE by another path is merged: 482.
#[test]
fn merged_invite() {
    let mut bench = Bench::new();
    let peer = Peer::new();
    bench.hear(peer.invite());
    bench.hear(peer.with_branch("INVITE", 1, "z9hG4bKother", "", SDP));
    assert_eq!(bench.log(), ["0 100 INVITE", "0 482 INVITE"]);
    assert_eq!(bench.told(), ["0 incoming"]);
}

/// TXN-11, TRN-11: a broken flow fails its own transactions with 503, once, and no others.
#[test]
fn broken_flow_is_503() {
    let mut bench = Bench::new();
    bench.place(Some(SDP));
    bench.broken(voxtrunk::sip::Flow { remote: addr("192.0.2.99:5060"), ..udp() });
    assert_eq!(bench.told(), [""; 0]);
    bench.broken(udp());
    bench.broken(udp());
    assert_eq!(bench.told(), ["0 ended: failed 503"]);
    bench.expect_empty();
}

/// TXN-12: the store is bounded: new calls stop at three quarters with 503, requests in dialogs are dropped and counted when full.
#[test]
fn store_is_bounded() {
    let mut bench = Bench::with(
        voxtrunk::sip::user_agent::UaConfig { max_sessions: 1_000, max_transactions: 40, ..config() },
        udp(),
    );
    let (_, mut peer) = answered(&mut bench);
    for i in 0..40 {
        let other = Peer { call_id: format!("c{i}"), ..Peer::new() };
        bench.hear(other.with_branch("INVITE", 1, &format!("z9hG4bKc{i}"), "", SDP));
    }
    let log = bench.log();
    assert_eq!(log.iter().filter(|l| l.ends_with("100 INVITE")).count(), 29);
    assert_eq!(log.iter().filter(|l| l.ends_with("503 INVITE")).count(), 11);
    for cseq in 2..20 {
        bench.hear(peer.request("INFO", cseq, "", ""));
    }
    assert_eq!((bench.log().len(), bench.ua.dropped()), (10, 8));
}

/// DLG-14: more sessions than allowed: 503 with Retry-After, and no state for it.
#[test]
fn too_many_sessions() {
    let mut bench = Bench::with(voxtrunk::sip::user_agent::UaConfig { max_sessions: 1, ..config() }, udp());
    bench.hear(Peer::new().invite());
    let before = bench.ua.counts();
    bench.hear(Peer { call_id: "second".into(), ..Peer::new() }.with_branch("INVITE", 1, "z9hG4bKsecond", "", SDP));
    let refusal = bench.last();
    assert_eq!(refusal.status(), Some(503));
    assert!(matches!(refusal.seconds(&voxtrunk::sip::headers::Name::RetryAfter), Some(Ok(1..))));
    assert_eq!(bench.ua.counts(), before);
}
