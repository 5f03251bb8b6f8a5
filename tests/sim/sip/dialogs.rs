//! Dialogs: route sets, CSeq, next hop, BYE, other requests, the end by failing requests.

use crate::kit::*;
use voxtrunk::cidr::Network;
use voxtrunk::sip::headers::{Name, Reason};
use voxtrunk::sip::message::Message;
use voxtrunk::sip::user_agent::{SessionEnd, SessionId, UaCommand, UaConfig, UaEvent, UaTrunk};
use voxtrunk::sip::{Flow, Transport};

pub fn cseq(message: &Message) -> u32 {
    message.cseq().expect("CSeq").expect("ok").number
}
pub fn uri(message: &Message) -> String {
    message.request_uri().expect("a request").expect("ok").to_string()
}
fn bye(bench: &mut Bench, session: SessionId) -> Sent {
    bench.tell(UaCommand::Hangup { session, reason: None });
    let at = bench.sent.iter().position(|s| name(&s.message) == "BYE").expect("a BYE");
    bench.sent.swap_remove(at)
}
pub fn info(bench: &mut Bench, session: SessionId) -> Message {
    bench.tell(UaCommand::Info { session, content_type: "application/dtmf-relay".into(), body: b"Signal=1".to_vec() });
    bench.last()
}

/// An answered call of a peer with this Contact and these Record-Routes, from this flow.
fn answered_by(flow: Flow, contact: &str, routes: &str) -> (Bench, SessionId, Peer) {
    let mut bench = Bench::over(flow);
    let mut peer = Peer { contact: contact.into(), ..Peer::over(flow) };
    bench.hear(peer.with_branch("INVITE", 1, "z9hG4bKinvite", routes, SDP));
    let session = incoming(&bench);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    peer.learn(&bench.last());
    bench.hear(peer.request("ACK", 1, "", ""));
    (bench, session, peer)
}

fn from(ip: &str) -> Flow {
    Flow { remote: addr(&format!("{ip}:5062")), ..udp() }
}

/// A12: with all tags right, a request from a host that has nothing to do with the dialog is 481 and changes nothing.
#[test]
fn a_spoofed_request_is_of_no_dialog() {
    let trunks = ["192.0.2.0/26", "192.0.2.64/26"].map(|n| Network::parse(n).expect("a network")).to_vec();
    for trunks in [Vec::new(), trunks] {
        let mut bench =
            Bench::with(UaConfig { trunks: vec![UaTrunk { networks: trunks, ..trunk() }], ..config() }, udp());
        let (session, mut peer) = answered(&mut bench);
        bench.told();
        for source in [from("192.0.2.66"), Flow { transport: Transport::Tcp, conn: 3, ..from("192.0.2.66") }] {
            for method in ["BYE", "INVITE", "UPDATE", "INFO", "OPTIONS", "NOTIFY", "REFER"] {
                bench.hear_on(source, peer.request(method, 4_000_000, "", ""));
                let refused = bench.sent.pop().expect("an answer");
                assert_eq!((refused.message.status(), refused.flow.remote), (Some(481), source.remote), "{method}");
            }
        }
        assert!(bench.told().is_empty());
        bench.hear(peer.request("INFO", 2, "", ""));
        assert_eq!(bench.last().status(), Some(200), "the CSeq was not taken");
        assert_eq!(bye(&mut bench, session).flow, udp(), "nor the flow");
    }
}

/// A12: an ACK or a CANCEL from elsewhere is not that of the call.
#[test]
fn a_spoofed_ack_or_cancel_is_of_no_dialog() {
    let mut bench = Bench::new();
    let mut peer = Peer::new();
    bench.hear(peer.invite());
    let session = incoming(&bench);
    bench.hear_on(from("192.0.2.66"), peer.with_branch("CANCEL", 1, "z9hG4bKinvite", "", ""));
    assert_eq!(bench.last().status(), Some(481));
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    peer.learn(&bench.last());
    bench.told();
    let ack = peer.request("ACK", 1, "", "");
    bench.hear_on(from("192.0.2.66"), &ack);
    assert!(bench.told().is_empty());
    bench.hear(&ack);
    assert_eq!(bench.told(), ["0 established"]);
}

/// A12: what may speak besides the host of the INVITE: its Contact, each proxy of the route set, another host of its trunk.
#[test]
fn requests_may_come_from_hosts_that_belong_to_the_dialog() {
    let routes = "Record-Route: <sip:192.0.2.31:5070;lr>, <sip:203.0.113.5;lr>\r\n";
    for source in ["192.0.2.20", "198.51.100.9", "192.0.2.31", "203.0.113.5"] {
        let (mut bench, _, mut peer) = answered_by(udp(), "<sip:alice@198.51.100.9:5066>", routes);
        bench.hear_on(from(source), peer.request("BYE", 2, "", ""));
        assert_eq!(bench.last().status(), Some(200), "{source}");
        assert_eq!(bench.told().last().map(String::as_str), Some("0 ended: peer bye"));
    }
    let trunks = ["192.0.2.0/26", "192.0.2.64/26"].map(|n| Network::parse(n).expect("a network")).to_vec();
    for (source, status) in [("192.0.2.21", 200), ("192.0.2.66", 481)] {
        let mut bench =
            Bench::with(UaConfig { trunks: vec![UaTrunk { networks: trunks.clone(), ..trunk() }], ..config() }, udp());
        let (_, mut peer) = answered(&mut bench);
        bench.hear_on(from(source), peer.request("BYE", 2, "", ""));
        assert_eq!(bench.last().status(), Some(status), "{source}");
    }
}

/// DLG-03: callee: the route set is Record-Route in order; loose routing keeps the Contact as Request-URI.
#[test]
fn loose_routes_of_a_callee() {
    let routes = "Record-Route: <sip:192.0.2.31:5070;lr>, <sip:p1.example.com;lr>\r\n";
    let (mut bench, session, _) = answered_by(udp(), "<sip:alice@198.51.100.9:5066;ob>", routes);
    let bye = bye(&mut bench, session);
    assert_eq!(uri(&bye.message), "sip:alice@198.51.100.9:5066;ob");
    assert_eq!(bye.message.values(&Name::Route), ["<sip:192.0.2.31:5070;lr>", "<sip:p1.example.com;lr>"]);
    assert_eq!(bye.flow.remote, addr("192.0.2.31:5070"), "UDP: to the first Route");
}

/// DLG-03: strict routing: the first Route becomes the Request-URI, the Contact the last Route.
#[test]
fn strict_routes_of_a_callee() {
    let routes = "Record-Route: <sip:192.0.2.31:5070>\r\nRecord-Route: <sip:p1.example.com;lr>\r\n";
    let (mut bench, session, _) = answered_by(udp(), "<sip:alice@198.51.100.9:5066>", routes);
    let bye = bye(&mut bench, session);
    assert_eq!(uri(&bye.message), "sip:192.0.2.31:5070");
    assert_eq!(bye.message.values(&Name::Route), ["<sip:p1.example.com;lr>", "<sip:alice@198.51.100.9:5066>"]);
    assert_eq!(bye.flow.remote, addr("192.0.2.31:5070"));
}

/// DLG-03: caller: the route set is the Record-Route of the 2xx turned round, in the ACK and after.
#[test]
fn routes_of_a_caller() {
    let mut bench = Bench::new();
    let session = bench.place(Some(SDP));
    let invite = bench.last();
    let ok =
        reply(&invite, 200, "bob", &[CONTACT, ("Record-Route", "<sip:far.example.com;lr>,<sip:192.0.2.31;lr>")], SDP);
    bench.hear(ok);
    let ack = bench.sent.pop().expect("the ACK");
    let bye = bye(&mut bench, session);
    for sent in [&ack, &bye] {
        assert_eq!(sent.message.values(&Name::Route), ["<sip:192.0.2.31;lr>", "<sip:far.example.com;lr>"]);
        assert_eq!(sent.flow.remote, addr("192.0.2.31:5060"));
    }
    assert_eq!((cseq(&ack.message), cseq(&bye.message)), (cseq(&invite), cseq(&invite) + 1));
}

/// Next hop over UDP: the Contact if it is an address; the source if the Contact is a name, of another transport, or private
/// while the packets come from elsewhere.
#[test]
fn next_hop_over_udp() {
    let public = Flow { remote: addr("203.0.113.7:1024"), ..udp() };
    for (flow, contact, hop) in [
        (udp(), "<sip:alice@198.51.100.9>", "198.51.100.9:5060"),
        (udp(), "<sip:alice@host.example.com:5070>", "192.0.2.20:5060"),
        (udp(), "<sip:alice@198.51.100.9;transport=tcp>", "192.0.2.20:5060"),
        (udp(), "<sips:alice@198.51.100.9>", "192.0.2.20:5060"),
        (public, "<sip:alice@10.0.0.5:5060>", "203.0.113.7:1024"),
        (public, "<sip:alice@203.0.113.7:5080>", "203.0.113.7:5080"),
        (Flow { remote: addr("10.0.0.1:5060"), ..udp() }, "<sip:alice@10.0.0.1:5080>", "10.0.0.1:5080"),
    ] {
        let (mut bench, session, _) = answered_by(flow, contact, "");
        assert_eq!(bye(&mut bench, session).flow.remote, addr(hop), "{contact}");
    }
}

/// A proxy that left the path is no NAT: its truthful Via stands above the caller's.
#[test]
fn private_contact_behind_a_proxy() {
    let flow = Flow { remote: addr("10.0.0.1:5060"), ..udp() };
    let mut bench = Bench::over(flow);
    let mut peer = Peer { contact: "<sip:alice@10.0.0.5:5070>".into(), via: "UDP 10.0.0.1:5060".into(), ..Peer::new() };
    bench.hear(peer.with_branch("INVITE", 1, "z9hG4bKi", "Via: SIP/2.0/UDP 10.0.0.5:5070;branch=z9hG4bKa\r\n", SDP));
    let session = incoming(&bench);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    peer.learn(&bench.last());
    bench.hear(peer.request("ACK", 1, "", ""));
    assert_eq!(bye(&mut bench, session).flow.remote, addr("10.0.0.5:5070"));
}

/// TRN-04: on a stream: the same connection; another one if the peer came back by it; the Contact when it is gone.
#[test]
fn next_hop_on_a_stream() {
    let (mut bench, session, mut peer) = answered_by(tcp(), "<sip:alice@192.0.2.20:5060;transport=tcp>", "");
    info(&mut bench, session);
    let again = Flow { remote: addr("192.0.2.20:40001"), conn: 8, ..tcp() };
    bench.hear_on(again, peer.request("INFO", 2, "", ""));
    bench.log();
    bench.tell(UaCommand::Info { session, content_type: "a/b".into(), body: Vec::new() });
    assert_eq!(bench.sent.pop().expect("INFO").flow, again);
    bench.broken(tcp());
    assert_eq!(
        bench.told().last().map(String::as_str),
        Some("0 ended: failed 503"),
        "the first INFO was under way on it"
    );

    let (mut bench, session, _) = answered_by(tcp(), "<sip:alice@192.0.2.20:5070;transport=tcp>", "");
    bench.broken(tcp());
    bench.told();
    let bye = bye(&mut bench, session);
    assert_eq!((bye.flow.remote, bye.flow.conn), (addr("192.0.2.20:5070"), 0));
}

/// The connection of an own call gets its number with the first response; CANCEL, ACK and BYE use it.
#[test]
fn own_call_over_a_stream() {
    let fresh = Flow { remote: addr("192.0.2.20:5060"), conn: 0, ..tcp() };
    let open = Flow { conn: 9, ..fresh };
    let mut bench = Bench::over(fresh);
    let session = bench.place(Some(SDP));
    let invite = bench.last();
    bench.hear_on(open, reply(&invite, 180, "bob", &[CONTACT], ""));
    bench.hear_on(open, reply(&invite, 200, "bob", &[CONTACT], SDP));
    assert_eq!(bench.sent.pop().expect("ACK").flow, open);
    assert_eq!(bye(&mut bench, session).flow, open);
}

/// DLG-04: a lower or equal CSeq is 500, a gap is fine, ours rises by one.
#[test]
fn cseq_rules() {
    let mut bench = Bench::new();
    let (session, mut peer) = answered(&mut bench);
    for (number, status) in [(7, 200), (6, 500), (7, 500), (8, 200)] {
        bench.hear(peer.request("INFO", number, "", ""));
        assert_eq!(bench.last().status(), Some(status), "CSeq {number}");
    }
    let (first, second) = (info(&mut bench, session), info(&mut bench, session));
    assert_eq!(cseq(&second), cseq(&first) + 1);
}

/// DLG-05: another tag of the peer is another dialog.
#[test]
fn tags_must_match() {
    let mut bench = Bench::new();
    let (_, peer) = answered(&mut bench);
    let mut stranger = Peer { from: peer.from.replace("tag=alice", "tag=mallory"), ..peer };
    bench.hear(stranger.request("BYE", 2, "", ""));
    assert_eq!(bench.last().status(), Some(481));
    assert_eq!(bench.told(), [""; 0]);
}

/// DLG-06: 408, 481 or no answer at all to a request in the dialog ends it, once; 481 needs no BYE.
#[test]
fn failed_requests_end_the_dialog() {
    for (status, sent) in [(481, vec![]), (408, vec!["100 BYE"])] {
        let mut bench = Bench::new();
        let (session, _) = answered(&mut bench);
        let request = info(&mut bench, session);
        bench.at(100).hear(reply(&request, status, "alice", &[], ""));
        assert_eq!(bench.log(), sent);
        assert_eq!(bench.told(), [format!("100 ended: failed {status}")]);
        bench.expect_empty();
    }
    let mut bench = Bench::new();
    let (session, _) = answered(&mut bench);
    info(&mut bench, session);
    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
    bench.at(100_000);
    assert_eq!(bench.told(), ["32000 ended: failed 408"], "two time-outs, one end");
    bench.expect_empty();
    let mut bench = Bench::new();
    let (session, _) = answered(&mut bench);
    let request = info(&mut bench, session);
    bench.hear(reply(&request, 415, "alice", &[], ""));
    assert_eq!(bench.told(), [""; 0], "any other refusal is of the INFO only");
}

/// DLG-08: BYE is answered at once, a pending re-INVITE of the peer gets 487.
/// DLG-18: Reason is read and sent.
#[test]
fn bye_of_the_peer() {
    let mut bench = Bench::new();
    let (_, mut peer) = answered(&mut bench);
    bench.hear(peer.request("INVITE", 2, "", SDP));
    bench.hear(peer.request("BYE", 3, "Reason: Q.850;cause=16;text=\"Normal\", SIP;cause=200\r\n", ""));
    assert_eq!(bench.log(), ["0 100 INVITE", "0 200 BYE", "0 487 INVITE"]);
    let reason = bench.events.iter().find_map(|(_, event)| match event {
        UaEvent::Ended { end: SessionEnd::PeerBye { reason }, .. } => Some(reason.clone()),
        _ => None,
    });
    let read = |protocol: &str, cause, text: Option<&str>| Reason {
        protocol: protocol.into(),
        cause: Some(cause),
        text: text.map(str::to_owned),
    };
    assert_eq!(reason, Some(vec![read("Q.850", 16, Some("Normal")), read("SIP", 200, None)]));
    bench.expect_empty();

    let mut bench = Bench::new();
    let (session, _) = answered(&mut bench);
    bench.tell(UaCommand::Hangup { session, reason: Some(read("SIP", 503, Some("no agent"))) });
    assert_eq!(bench.last().value(&Name::Reason).as_deref(), Some("SIP;cause=503;text=\"no agent\""));
}

/// DLG-09: as callee no BYE before the ACK; the wish waits for it, or for 64*T1.
#[test]
fn hangup_before_the_ack_waits() {
    let start = || {
        let mut bench = Bench::new();
        let mut peer = Peer::new();
        bench.hear(peer.invite());
        let session = incoming(&bench);
        bench.tell(UaCommand::Accept { session, sdp: sdp() });
        peer.learn(&bench.last());
        bench.at(100).tell(UaCommand::Hangup { session, reason: None });
        assert_eq!(bench.log(), [""; 0]);
        (bench, peer)
    };
    let (mut bench, mut peer) = start();
    bench.at(200).hear(peer.request("ACK", 1, "", ""));
    assert_eq!(bench.log(), ["200 BYE"]);
    assert_eq!(bench.told(), ["0 incoming", "200 ended: local"]);
    bench.expect_empty();
    let (mut bench, _) = start();
    bench.at(32_000);
    assert_eq!(bench.log().last().map(String::as_str), Some("32000 BYE"));
    assert_eq!(bench.told(), ["0 incoming", "32000 ended: local"]);
    bench.expect_empty();
}

/// `Require` in a dialog is refused too, but never of a BYE.
#[test]
fn require_in_a_dialog() {
    let mut bench = Bench::new();
    let (_, mut peer) = answered(&mut bench);
    bench.hear(peer.request("INFO", 2, "Require: x\r\n", ""));
    bench.hear(peer.request("BYE", 3, "Require: x\r\n", ""));
    assert_eq!(bench.log(), ["0 420 INFO", "0 200 BYE"]);
}

/// DLG-19 inside of a dialog, and an INFO without body.
#[test]
fn other_requests_in_a_dialog() {
    let mut bench = Bench::new();
    let (_, mut peer) = answered(&mut bench);
    bench.hear(peer.request("SUBSCRIBE", 2, "Event: refer\r\n", ""));
    bench.hear(peer.request("NOTIFY", 3, "Event: refer\r\nSubscription-State: active\r\n", ""));
    bench.hear(peer.request("INFO", 4, "Content-Type: application/dtmf-relay\r\n", "Signal=5"));
    bench.hear(peer.request("INFO", 5, "", ""));
    bench.hear(peer.request("FROB", 6, "", ""));
    assert_eq!(bench.log(), ["0 489 SUBSCRIBE", "0 481 NOTIFY", "0 200 INFO", "0 200 INFO", "0 501 FROB"]);
    assert_eq!(bench.told(), ["0 info application/dtmf-relay Signal=5", "0 info  "]);
}

/// One peer cannot take the transaction store of the others.
#[test]
fn one_dialog_cannot_fill_the_store() {
    let mut bench = Bench::with(UaConfig { max_transactions: 10_000, ..config() }, udp());
    let (_, mut peer) = answered(&mut bench);
    for number in 2..1_000 {
        bench.hear(peer.request("INFO", number, "", ""));
    }
    assert!(bench.ua.counts().server_transactions <= 128);
    bench.log();
    bench.hear(peer.request("BYE", 1_000, "", ""));
    assert_eq!(bench.log(), ["0 200 BYE"], "the call can always be ended");
    bench.expect_empty();
}

/// The Contact names its transport.
#[test]
fn contact_of_a_stream() {
    let mut bench = Bench::over(tcp());
    bench.place(Some(SDP));
    let invite = bench.sent.pop().expect("INVITE");
    assert_eq!(invite.message.value(&Name::Contact).as_deref(), Some("<sip:agent@192.0.2.10:5060;transport=tcp>"));
    assert_eq!(invite.message.top_via().expect("Via").expect("ok").transport, "TCP");
    assert_eq!(invite.flow.transport, Transport::Tcp);
}
