//! Callee: the order of checks, refusals, CANCEL, ringing, answers.

use crate::kit::*;
use voxtrunk::sip::headers::{Name, Reason};
use voxtrunk::sip::user_agent::{SessionEnd, UaCommand, UaCounts, UaEvent};

/// One refused request: status, a header that must be there, and no state afterwards.
#[track_caller]
fn refused(request: String, status: u16, header: Option<(Name, &str)>) {
    let mut bench = Bench::new();
    bench.hear(&request);
    let response = bench.last();
    assert_eq!(response.status(), Some(status));
    if let Some((name, value)) = header {
        assert_eq!(response.value(&name).as_deref(), Some(value));
    }
    assert!(response.to().expect("To").expect("ok").tag().is_some(), "a final response has a To-tag");
    // OVL-08: the owner is told of a refused call, once, and of nothing else.
    let new_call = request.starts_with("INVITE") && status != 482;
    let told = bench.told();
    assert_eq!(told.len(), usize::from(new_call), "{told:?}");
    assert!(told.iter().all(|told| told.ends_with(&format!("refused {status}"))), "{told:?}");
    assert_eq!(bench.ua.counts(), UaCounts::default(), "a refusal costs no state");
    // The same bytes again get the same answer (RFC 3261 §8.2.7).
    bench.hear(&request);
    assert_eq!(bench.last().as_bytes(), response.as_bytes());
    assert_eq!(bench.told(), [""; 0]);
}

const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY, PRACK";

/// DLG-01, PAR-15, EAR-01, OVL-08: each check, and that an earlier one wins over a later one.
#[test]
fn order_of_checks() {
    let mut peer = Peer::new();
    refused(peer.request("FROB", 1, "Require: x\r\n", ""), 501, Some((Name::Allow, ALLOW)));
    refused(peer.request("REGISTER", 1, "Require: x\r\n", ""), 405, Some((Name::Allow, ALLOW)));
    let mut odd = Peer { uri: "soap.beep://192.0.2.10".into(), ..Peer::new() };
    refused(odd.request("INVITE", 1, "Require: x\r\n", SDP), 416, None);
    let bad = "Require: timer, 100rel, one, Two\r\nContent-Type: text/odd\r\n";
    refused(peer.request("INVITE", 1, bad, "x"), 420, Some((Name::Unsupported, "one, Two")));
    let odd_body = "Content-Type: text/odd\r\nAccept: text/odd\r\n";
    refused(peer.request("INVITE", 1, odd_body, "x"), 415, Some((Name::Accept, "application/sdp")));
    refused(peer.request("INVITE", 1, "Content-Encoding: gzip\r\n", SDP), 415, Some((Name::Accept, "application/sdp")));
    refused(peer.request("INVITE", 1, "Accept: text/odd\r\n", SDP), 406, None);
}

/// A multipart body with SDP is taken; an odd body that is optional too.
#[test]
fn tolerated_bodies() {
    let multipart = format!("--b\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--b--\r\n");
    let extra = "Content-Type: multipart/mixed;boundary=b\r\n";
    for (extra, body) in [
        (extra, multipart.as_str()),
        ("Content-Type: text/odd\r\nContent-Disposition: render; handling=optional\r\n", "x"),
    ] {
        let mut bench = Bench::new();
        bench.hear(Peer::new().request("INVITE", 1, extra, body));
        assert_eq!(bench.told(), ["0 incoming"]);
    }
}

/// DLG-05, DLG-19, XFR-06: what comes outside of any dialog.
#[test]
fn outside_of_dialogs() {
    let mut peer = Peer::new();
    for method in ["BYE", "INFO", "UPDATE", "NOTIFY"] {
        refused(peer.request(method, 1, "", ""), 481, None);
    }
    refused(peer.request("SUBSCRIBE", 1, "Event: presence\r\n", ""), 489, None);
    for method in ["MESSAGE", "PUBLISH"] {
        refused(peer.request(method, 1, "", ""), 405, Some((Name::Allow, ALLOW)));
    }
    refused(peer.request("REFER", 1, "Refer-To: <sip:x@example.com>\r\n", ""), 603, None);
    let mut peer = Peer { to: "<sip:4711@192.0.2.10>;tag=gone".into(), ..Peer::new() };
    for method in ["BYE", "INFO", "UPDATE", "REFER", "NOTIFY", "INVITE", "OPTIONS", "SUBSCRIBE"] {
        refused_with_tag(peer.request(method, 1, "", ""));
    }
    let mut bench = Bench::new();
    bench.hear(peer.request("ACK", 1, "", ""));
    bench.hear(peer.request("CANCEL", 1, "", ""));
    assert_eq!(bench.log(), ["0 481 CANCEL"], "the ACK is dropped");
}

#[track_caller]
fn refused_with_tag(request: String) {
    let mut bench = Bench::new();
    bench.hear(&request);
    assert_eq!(bench.last().status(), Some(481));
    assert_eq!(bench.ua.counts(), UaCounts::default());
}

/// DLG-12: OPTIONS outside and inside of a dialog: 200 with Allow, Accept, Supported.
#[test]
fn options() {
    let mut bench = Bench::new();
    bench.hear(Peer::new().request("OPTIONS", 1, "", ""));
    let outside = bench.last();
    let (_, mut peer) = answered(&mut bench);
    bench.hear(peer.request("OPTIONS", 2, "", ""));
    for response in [outside, bench.last()] {
        assert_eq!(response.status(), Some(200));
        for (name, value) in
            [(Name::Allow, ALLOW), (Name::Accept, "application/sdp"), (Name::Supported, "100rel, timer, norefersub")]
        {
            assert_eq!(response.value(&name).as_deref(), Some(value));
        }
    }
}

/// DLG-12, OVL-04: while draining, OPTIONS from outside is 503 with Retry-After, also repeated; a running call's OPTIONS and a
/// call that the owner still takes are not touched.
#[test]
fn options_while_draining() {
    let mut bench = Bench::new();
    let (_, mut peer) = answered(&mut bench);
    bench.ua.set_draining(true);
    let ping = Peer { call_id: "ping".into(), ..Peer::new() }.request("OPTIONS", 1, "", "");
    for _ in 0..2 {
        bench.hear(&ping);
        let refused = bench.last();
        assert_eq!(refused.status(), Some(503));
        assert!(refused.value(&Name::RetryAfter).is_some_and(|s| s.parse::<u32>().is_ok_and(|s| s > 0)));
    }
    bench.hear(peer.request("OPTIONS", 2, "", ""));
    assert_eq!(bench.last().status(), Some(200));
    bench.ua.set_draining(false);
    bench.hear(&ping);
    assert_eq!(bench.last().status(), Some(200));
    assert!(bench.told().is_empty(), "OPTIONS is no call");
}

/// PAR-08, PAR-16: what is no proper request gets its status, what is no proper response nothing.
#[test]
fn malformed() {
    let mut bench = Bench::new();
    bench.hear(Peer::new().invite().replace("CSeq: 1", "CSeq: 4294967296"));
    bench.hear(Peer::new().request("OPTIONS", 1, "", "").replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"));
    bench.hear("SIP/2.0 999 x\r\n\r\n");
    bench.hear("garbage");
    bench.hear("");
    let statuses: Vec<_> = bench.sent.drain(..).filter_map(|s| s.message.status()).collect();
    assert_eq!(statuses, [505]);
    assert!(bench.echoed.len() == 1 && bench.echoed.iter().all(|text| text.starts_with("SIP/2.0 400 ")));
    assert_eq!(bench.ua.counts(), UaCounts::default());
}

/// DLG-02: one random To-tag for all responses of a call, Record-Route copied in order, Contact as advertised.
#[test]
fn responses_make_a_dialog() {
    let mut bench = Bench::new();
    let routes = "Record-Route: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>\r\n";
    bench.hear(Peer::new().with_branch("INVITE", 1, "z9hG4bKinvite", routes, SDP));
    let session = incoming(&bench);
    bench.tell(UaCommand::Ring { session });
    bench.tell(UaCommand::Progress { session, status: 183, sdp: Some(sdp()) });
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    let sent: Vec<_> = bench.sent.drain(..).map(|s| s.message).collect();
    let tags: Vec<_> = sent.iter().map(|m| m.to().expect("To").expect("ok").tag().map(str::to_owned)).collect();
    assert_eq!(sent.iter().filter_map(|m| m.status()).collect::<Vec<_>>(), [100, 180, 183, 200]);
    assert_eq!(tags.first(), Some(&None), "100 has no tag");
    assert!(tags.get(1).is_some_and(|t| t.as_ref().is_some_and(|t| t.len() >= 8)));
    for response in sent.iter().skip(1) {
        assert_eq!(response.to().expect("To").expect("ok").tag(), tags.get(1).and_then(|t| t.as_deref()));
        assert_eq!(response.values(&Name::RecordRoute), ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"]);
        assert_eq!(response.value(&Name::Contact).as_deref(), Some("<sip:agent@192.0.2.10:5060>"));
    }
    let bodies: Vec<_> = sent.iter().map(|m| !m.body().is_empty()).collect();
    assert_eq!(bodies, [false, false, true, true]);
}

/// DLG-15: the last 18x is repeated each minute until the answer.
#[test]
fn ringing_is_repeated_each_minute() {
    let mut bench = Bench::new();
    bench.hear(Peer::new().invite());
    let session = incoming(&bench);
    bench.at(10).tell(UaCommand::Ring { session });
    bench.at(100_000).tell(UaCommand::Progress { session, status: 183, sdp: Some(sdp()) });
    bench.at(170_000).tell(UaCommand::Reject { session, status: 480, headers: Vec::new() });
    bench.at(170_100);
    let log = bench.log();
    assert_eq!(
        log,
        [
            "0 100 INVITE",
            "10 180 INVITE",
            "60010 180 INVITE",
            "100000 183 INVITE",
            "160000 183 INVITE",
            "170000 480 INVITE"
        ]
    );
}

/// TXN-09: CANCEL before the final response: 200 and 487 with one To-tag; its Reason is read (DLG-18).
#[test]
fn cancel_before_the_answer() {
    let mut bench = Bench::new();
    let peer = Peer::new();
    bench.hear(peer.invite());
    let session = incoming(&bench);
    bench.tell(UaCommand::Ring { session });
    let ringing = bench.last();
    let cancel =
        peer.with_branch("CANCEL", 1, "z9hG4bKinvite", "Reason: SIP;cause=200;text=\"completed elsewhere\"\r\n", "");
    bench.at(1_000).hear(&cancel);
    bench.hear(&cancel);
    let tag = |m: &voxtrunk::sip::message::Message| m.to().expect("To").expect("ok").tag().map(str::to_owned);
    assert!(bench.sent.iter().all(|s| tag(&s.message) == tag(&ringing)));
    assert_eq!(bench.log(), ["1000 200 CANCEL", "1000 487 INVITE", "1000 200 CANCEL"]);
    let end = bench.events.iter().find_map(|(_, event)| match event {
        UaEvent::Ended { end, .. } => Some(end.clone()),
        _ => None,
    });
    let reason = Reason { protocol: "SIP".into(), cause: Some(200), text: Some("completed elsewhere".into()) };
    assert_eq!(end, Some(SessionEnd::PeerCancel { reason: vec![reason] }));
    assert_eq!(bench.told(), ["0 incoming", "1000 ended: peer cancel"]);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    assert_eq!(bench.log(), [""; 0], "too late to answer");
    bench.expect_empty();
}

/// TXN-09: CANCEL after the 2xx has no effect, after a refusal too; without its INVITE it is 481.
#[test]
fn cancel_after_the_final_response() {
    let mut bench = Bench::new();
    let (_, peer) = answered(&mut bench);
    let cancel = Peer { to: Peer::new().to, ..peer }.with_branch("CANCEL", 1, "z9hG4bKinvite", "", "");
    bench.at(10).hear(&cancel);
    assert_eq!(bench.log(), ["10 200 CANCEL"]);
    assert_eq!(bench.told(), [""; 0]);
    bench.at(40_000).hear(Peer::new().with_branch("CANCEL", 1, "z9hG4bKinvite", "", ""));
    assert_eq!(bench.log(), ["40000 481 CANCEL"], "its transaction is gone");

    let mut bench = Bench::new();
    bench.hear(Peer::new().invite());
    let session = incoming(&bench);
    bench.tell(UaCommand::Reject { session, status: 486, headers: vec![(Name::RetryAfter, "5".into())] });
    assert_eq!(bench.last().value(&Name::RetryAfter).as_deref(), Some("5"));
    bench.at(10).hear(Peer::new().with_branch("CANCEL", 1, "z9hG4bKinvite", "", ""));
    assert_eq!(bench.log(), ["10 200 CANCEL"]);
    assert_eq!(bench.told(), ["0 incoming", "0 ended: local"]);
}

/// A late offer: our 2xx carries the offer, the ACK the answer (SDP-01).
#[test]
fn late_offer() {
    let mut bench = Bench::new();
    let mut peer = Peer::new();
    bench.hear(peer.with_branch("INVITE", 1, "z9hG4bKinvite", "", ""));
    let session = incoming(&bench);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    peer.learn(&bench.last());
    bench.hear(peer.request("ACK", 1, "", SDP));
    bench.hear(peer.request("ACK", 1, "", SDP));
    assert_eq!(bench.told(), ["0 incoming", "0 established sdp"]);
}

/// TRN-02: responses over UDP go to the source port with `rport`, else to the port of sent-by; on a stream back the same way.
#[test]
fn responses_go_back_by_the_flow() {
    let from = voxtrunk::sip::Flow { remote: addr("203.0.113.7:1024"), ..udp() };
    for (flow, request, to) in [
        (from, Peer::new().request("OPTIONS", 1, "", ""), "203.0.113.7:1024"),
        (from, Peer::new().request("OPTIONS", 1, "", "").replace(";rport", ""), "203.0.113.7:5060"),
        (tcp(), Peer::over(tcp()).request("OPTIONS", 1, "", "").replace(";rport", ""), "192.0.2.20:40000"),
    ] {
        let mut bench = Bench::new();
        bench.hear_on(flow, request);
        let sent = bench.sent.pop().expect("a response");
        assert_eq!((sent.flow.remote, sent.flow.conn), (addr(to), flow.conn));
        let via = sent.message.top_via().expect("Via").expect("ok");
        assert_eq!(via.received.is_some(), flow == from || via.rport.is_some());
    }
}

/// A refusal by hanging up, with its Reason (DLG-18).
#[test]
fn hangup_before_the_answer_refuses() {
    let mut bench = Bench::new();
    bench.hear(Peer::new().invite());
    let session = incoming(&bench);
    let reason = Reason { protocol: "Q.850".into(), cause: Some(41), text: Some("say \"no\"".into()) };
    bench.tell(UaCommand::Hangup { session, reason: Some(reason) });
    let refusal = bench.last();
    assert_eq!(refusal.status(), Some(480));
    assert_eq!(refusal.value(&Name::Reason).as_deref(), Some("Q.850;cause=41;text=\"say \\\"no\\\"\""));
    assert_eq!(bench.told(), ["0 incoming", "0 ended: local"]);
    bench.expect_empty();
}

/// The INVITE came by a connection that broke before the answer: over, once.
#[test]
fn broken_connection_before_the_answer() {
    let mut bench = Bench::over(tcp());
    bench.hear(Peer::over(tcp()).invite());
    bench.broken(tcp());
    assert_eq!(bench.told(), ["0 incoming", "0 ended: failed 503"]);
    bench.expect_empty();
}
