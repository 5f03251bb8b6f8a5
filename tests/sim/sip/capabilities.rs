//! What differs by trunk and by source: Allow and Supported, OPTIONS while no call can be taken, requests of no trunk; who the peer says it
//! is; reasons of our BYEs and CANCELs; tags and Contacts.

use crate::kit::*;
use std::collections::BTreeSet;
use voxtrunk::cidr::Network;
use voxtrunk::sip::Flow;
use voxtrunk::sip::headers::{Name, Reason};
use voxtrunk::sip::message::Method;
use voxtrunk::sip::session_timer::TimerMode;
use voxtrunk::sip::user_agent::{Reliable, UaCommand, UaConfig, UaCounts, UaEvent, UaTrunk, WhileDraining};

/// Allow says what is taken, Supported what is on; what is not in Allow is 405, in a dialog too.
#[test]
fn methods_and_options_of_a_trunk() {
    let mut bench = Bench::of_trunk(|trunk| {
        trunk.methods = vec![Method::Info, Method::Message];
        trunk.reliable = Reliable::Off;
        trunk.timer.mode = TimerMode::Off;
        trunk.replaces = true;
    });
    let (_, mut peer) = answered(&mut bench);
    for (method, number) in [("UPDATE", 2), ("REFER", 3), ("OPTIONS", 4), ("NOTIFY", 5), ("PRACK", 6), ("MESSAGE", 7)] {
        bench.hear(peer.request(method, number, "", ""));
        let refusal = bench.last();
        assert_eq!(refusal.status(), Some(405), "{method}");
        assert_eq!(refusal.value(&Name::Allow).as_deref(), Some("INVITE, ACK, CANCEL, BYE, INFO"));
    }
    bench.hear(peer.request("INFO", 8, "", ""));
    assert_eq!(bench.last().status(), Some(200));
    let place = bench.place(Some(SDP));
    let invite = bench.last();
    assert_eq!(invite.value(&Name::Allow).as_deref(), Some("INVITE, ACK, CANCEL, BYE, INFO"));
    assert_eq!(invite.value(&Name::Supported).as_deref(), Some("replaces, norefersub"));
    bench.tell(UaCommand::Hangup { session: place, reason: None });
}

/// DLG-12: while draining or full, as the trunk wants it: 503, nothing, or 200; in a dialog always 200.
#[test]
fn options_while_no_call_can_be_taken() {
    for (policy, status) in
        [(WhileDraining::Unavailable, Some(503)), (WhileDraining::Silent, None), (WhileDraining::Ok, Some(200))]
    {
        let own = UaTrunk { while_draining: policy, ..trunk() };
        let mut bench = Bench::with(UaConfig { trunks: vec![own], max_sessions: 1, ..config() }, udp());
        let ping = |bench: &mut Bench, draining| {
            bench.ua.set_draining(draining);
            let mut peer = Peer { call_id: "ping".into(), ..Peer::new() };
            bench.hear(peer.request("OPTIONS", 1, "", ""));
            bench.sent.pop().map(|sent| sent.message)
        };
        assert_eq!(ping(&mut bench, false).and_then(|m| m.status()), Some(200));
        let draining = ping(&mut bench, true);
        assert_eq!(draining.as_ref().and_then(|m| m.status()), status, "{policy:?}");
        if status == Some(503) {
            assert!(draining.is_some_and(|m| m.value(&Name::RetryAfter).is_some()));
        }
        let (_, mut peer) = answered(&mut bench);
        assert_eq!(ping(&mut bench, false).and_then(|m| m.status()), status, "full: {policy:?}");
        bench.hear(peer.request("OPTIONS", 2, "", ""));
        assert_eq!(bench.last().status(), Some(200));
    }
}

/// A1: a request of no trunk gets no answer, whatever it is and whatever stands in it, and leaves nothing.
#[test]
fn requests_of_no_trunk_are_silent() {
    let stranger = Flow { remote: addr("203.0.113.66:5060"), ..udp() };
    let mut bench = Bench::new();
    for method in ["INVITE", "OPTIONS", "REGISTER", "BYE", "CANCEL", "ACK", "SUBSCRIBE", "MESSAGE", "FROB", "PRACK"] {
        for extra in ["", "Require: x\r\n", "Replaces: a;to-tag=b;from-tag=c\r\n"] {
            for to in ["<sip:4711@192.0.2.10>", "<sip:4711@192.0.2.10>;tag=x"] {
                let mut peer = Peer { to: to.into(), ..Peer::new() };
                bench.hear_of(None, stranger, peer.request(method, 1, extra, ""));
            }
        }
    }
    bench.hear_of(None, stranger, "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.66\r\n\r\n");
    bench.hear_of(None, stranger, Peer { uri: "soap.beep://x".into(), ..Peer::new() }.request("INVITE", 1, "", ""));
    assert_eq!((bench.log().len(), bench.told().len(), bench.echoed.len()), (0, 0, 0));
    assert_eq!(bench.ua.counts(), UaCounts::default());
}

/// A12: a request of no trunk in a dialog: taken where the dialog knows its source, as its Contact; else silent, with all tags right.
#[test]
fn requests_of_no_trunk_in_a_dialog() {
    let contact = Flow { remote: addr("198.51.100.9:5060"), ..udp() };
    let stranger = Flow { remote: addr("203.0.113.66:5060"), ..udp() };
    let mut bench = Bench::new();
    let mut peer = Peer { contact: "<sip:alice@198.51.100.9>".into(), ..Peer::new() };
    bench.hear(peer.invite());
    let session = incoming(&bench);
    bench.hear_of(None, stranger, peer.with_branch("CANCEL", 1, "z9hG4bKinvite", "", ""));
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    peer.learn(&bench.last());
    let ack = peer.request("ACK", 1, "", "");
    bench.hear_of(None, stranger, &ack);
    assert_eq!(bench.told(), ["0 incoming"]);
    bench.hear_of(None, contact, &ack);
    assert_eq!(bench.told(), ["0 established"]);
    for method in ["BYE", "INVITE", "UPDATE", "INFO", "OPTIONS", "REFER", "FROB"] {
        bench.hear_of(None, stranger, peer.request(method, 4_000_000, "Require: x\r\n", ""));
    }
    assert_eq!((bench.log().len(), bench.told().len()), (0, 0));
    bench.hear_of(None, contact, peer.request("INFO", 2, "", ""));
    bench.hear_of(None, contact, peer.request("FROB", 3, "", ""));
    bench.hear_of(None, contact, peer.request("BYE", 4, "", ""));
    assert_eq!(bench.log(), ["0 200 INFO", "0 501 FROB", "0 200 BYE"]);
    assert!(bench.told().last().is_some_and(|told| told == "0 ended: peer bye"));
}

/// XFR-09: another P-Asserted-Identity or Remote-Party-ID in a re-INVITE or UPDATE is told, after the answer; the same one is not, nor is one
/// in a request that was refused.
#[test]
fn another_identity() {
    let mut bench = Bench::new();
    let mut peer = Peer::new();
    let alice = "P-Asserted-Identity: \"Alice\" <sip:+15551@192.0.2.20>\r\n";
    bench.hear(peer.with_branch("INVITE", 1, "z9hG4bKinvite", alice, SDP));
    let session = incoming(&bench);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    peer.learn(&bench.last());
    bench.hear(peer.request("ACK", 1, "", ""));
    bench.told();
    let bob = "P-Asserted-Identity:  \"Bob\"  <sip:+15552@192.0.2.20>\r\n";
    for (number, method, extra, body, told) in [
        (2, "UPDATE", alice, "", vec![]),
        (3, "UPDATE", "", "", vec![]),
        (4, "UPDATE", bob, "", vec!["0 identity changed"]),
        (5, "UPDATE", bob, "", vec![]),
        (6, "INVITE", alice, SDP, vec!["0 reinvite sdp", "0 identity changed"]),
        (7, "UPDATE", "Remote-Party-ID: <sip:+15553@192.0.2.20>;party=calling\r\n", "", vec!["0 identity changed"]),
    ] {
        bench.hear(peer.request(method, number, extra, body));
        bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
        assert_eq!(bench.last().status(), Some(200));
        if method == "INVITE" {
            bench.hear(peer.request("ACK", number, "", ""));
        }
        assert_eq!(bench.told(), told, "CSeq {number}");
    }
    bench.hear(peer.request("INVITE", 8, alice, SDP));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Err(488) });
    assert_eq!(bench.told(), ["0 reinvite sdp"]);
}

/// XFR-09: the event carries the request, for the owner to judge.
#[test]
fn the_identity_is_the_owners_to_judge() {
    let mut bench = Bench::new();
    let (_, mut peer) = called(&mut bench);
    bench.hear(peer.request("UPDATE", 1, "P-Asserted-Identity: <sip:+15559@192.0.2.20>\r\n", ""));
    let request = bench.events.iter().find_map(|(_, event)| match event {
        UaEvent::IdentityChanged { request, .. } => request.value(&Name::PAssertedIdentity),
        _ => None,
    });
    assert_eq!(request.as_deref(), Some("<sip:+15559@192.0.2.20>"));
}

/// DLG-18: every BYE and CANCEL of ours says why: the owner's reason, or ours by what happened.
#[test]
fn every_bye_and_cancel_has_a_reason() {
    let reason = |bench: &mut Bench, method: &str| {
        let at = bench.sent.iter().position(|s| name(&s.message) == method).expect("a BYE or CANCEL");
        bench.sent.swap_remove(at).message.value(&Name::Reason).expect("a Reason")
    };
    let mut bench = Bench::new();
    let (session, _) = answered(&mut bench);
    bench.tell(UaCommand::Hangup { session, reason: None });
    assert_eq!(reason(&mut bench, "BYE"), "Q.850;cause=16;text=\"Normal call clearing\"");
    let (session, _) = called(&mut bench);
    let own = Reason { protocol: "Q.850".into(), cause: Some(31), text: None };
    bench.tell(UaCommand::Hangup { session, reason: Some(own) });
    assert_eq!(reason(&mut bench, "BYE"), "Q.850;cause=31");

    let mut bench = Bench::new();
    bench.hear(Peer::new().invite());
    let session = incoming(&bench);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    bench.at(32_000);
    assert_eq!(reason(&mut bench, "BYE"), "Q.850;cause=102;text=\"No ACK\"");

    let mut bench = Bench::new();
    let session = bench.place(Some(SDP));
    let invite = bench.last();
    bench.hear(reply(&invite, 180, "bob", &[CONTACT], ""));
    bench.tell(UaCommand::Hangup { session, reason: None });
    assert_eq!(reason(&mut bench, "CANCEL"), "Q.850;cause=16;text=\"Normal call clearing\"");

    let mut bench = Bench::new();
    bench.place(Some(SDP));
    let invite = bench.last();
    bench.hear(reply(&invite, 200, "bob", &[CONTACT], SDP));
    bench.hear(reply(&invite, 200, "fork", &[CONTACT], SDP));
    assert_eq!(reason(&mut bench, "BYE"), "SIP;cause=200;text=\"Call completed elsewhere\"");
}

/// DLG-02: tags of 64 bits from the seeded cryptographic generator, never twice; 18x and 2xx carry them, the Record-Route in order, and the
/// advertised Contact.
#[test]
fn tags_routes_and_contacts() {
    let mut tags = BTreeSet::new();
    let own = UaTrunk { networks: vec![Network::parse("192.0.2.0/24").expect("a network")], ..trunk() };
    let mut bench =
        Bench::with(UaConfig { trunks: vec![own], max_sessions: 500, max_transactions: 5_000, ..config() }, udp());
    let routes =
        "Record-Route: <sip:192.0.2.31;lr>\r\nRecord-Route: <sip:a.example.com;lr>, <sip:b.example.com;lr>\r\n";
    for n in 0..200 {
        let mut peer = Peer { call_id: format!("call-{n}"), ..Peer::new() };
        bench.hear(peer.with_branch("INVITE", 1, &format!("z9hG4bKinvite{n}"), routes, SDP));
        let session = incoming(&bench);
        bench.tell(UaCommand::Ring { session });
        bench.tell(UaCommand::Accept { session, sdp: sdp() });
        let of_call: BTreeSet<_> = bench.sent[1..]
            .iter()
            .map(|s| s.message.to().expect("To").expect("ok").tag().expect("a tag").to_owned())
            .collect();
        assert_eq!((bench.sent.len(), of_call.len()), (3, 1), "one tag a call");
        for sent in &bench.sent[1..] {
            let route = ["<sip:192.0.2.31;lr>", "<sip:a.example.com;lr>", "<sip:b.example.com;lr>"];
            assert_eq!(sent.message.values(&Name::RecordRoute), route);
            assert_eq!(sent.message.value(&Name::Contact).as_deref(), Some("<sip:agent@192.0.2.10:5060>"));
        }
        tags.extend(of_call);
        peer.learn(&bench.last());
        bench.hear(peer.request("BYE", 2, "", ""));
        bench.sent.clear();
    }
    assert_eq!(tags.len(), 200);
    assert!(tags.iter().all(|tag| tag.len() == 16 && tag.chars().all(|c| c.is_ascii_hexdigit())));
}
