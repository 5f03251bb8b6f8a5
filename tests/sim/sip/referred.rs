//! REFER of the peer (RFC 3515): default deny; where a trunk may send them, asked about, answered, and reported by NOTIFY.

use crate::kit::*;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::Message;
use voxtrunk::sip::user_agent::{SessionId, UaCommand, UaEvent};

const TO: &str = "Refer-To: <sip:2001@pbx.example.com>\r\nReferred-By: <sip:alice@192.0.2.20>\r\n";

/// An answered call of a trunk that may send REFER.
fn call() -> (Bench, SessionId, Peer) {
    let mut bench = Bench::of_trunk(|trunk| trunk.refer = true);
    let (session, peer) = answered(&mut bench);
    (bench, session, peer)
}

/// A NOTIFY: Event, Subscription-State, the first line of its body.
fn notify(message: &Message) -> (String, String, String) {
    assert_eq!(message.method().as_str(), "NOTIFY");
    assert_eq!(message.content_type().as_deref(), Some("message/sipfrag"));
    let body = String::from_utf8(message.body().to_vec()).expect("text");
    let value = |name| message.value(&name).expect("a header");
    (value(Name::Event), value(Name::SubscriptionState), body.trim_end().to_owned())
}

fn said(event: &str, state: &str, line: &str) -> (String, String, String) {
    (event.to_owned(), state.to_owned(), line.to_owned())
}

/// XFR-06: asked, accepted, 100 Trying at once, progress, and the final status ends the subscription.
#[test]
fn accepted() {
    let (mut bench, session, mut peer) = call();
    bench.hear(peer.request("REFER", 2, TO, ""));
    assert_eq!(bench.log(), [""; 0], "the owner thinks");
    let by = bench.events.iter().find_map(|(_, event)| match event {
        UaEvent::ReferRequested { refer_to, referred_by, .. } => Some((refer_to.to_string(), referred_by.clone())),
        _ => None,
    });
    assert_eq!(by, Some(("sip:2001@pbx.example.com".to_owned(), Some("<sip:alice@192.0.2.20>".to_owned()))));
    bench.at(1_000).tell(UaCommand::AnswerRefer { session, status: 202 });
    assert_eq!(name(&bench.sent[0].message), "202 REFER");
    assert!(bench.sent[0].message.value(&Name::Contact).is_some());
    assert_eq!(notify(&bench.sent[1].message), said("refer", "active;expires=180", "SIP/2.0 100 Trying"));
    let first = bench.last();
    bench.hear(reply(&first, 200, "alice", &[], ""));
    bench.at(11_000).tell(UaCommand::NotifyRefer { session, status: 180 });
    assert_eq!(notify(&bench.last()), said("refer", "active;expires=170", "SIP/2.0 180 Ringing"));
    bench.tell(UaCommand::NotifyRefer { session, status: 200 });
    let last = bench.last();
    assert_eq!(notify(&last), said("refer", "terminated;reason=noresource", "SIP/2.0 200 OK"));
    bench.tell(UaCommand::NotifyRefer { session, status: 200 });
    bench.tell(UaCommand::AnswerRefer { session, status: 202 });
    assert_eq!(bench.log(), [""; 0], "said once");
    // A second one is told apart by its CSeq (RFC 3515 §2.4.6).
    bench.hear(peer.request("REFER", 7, TO, ""));
    bench.tell(UaCommand::AnswerRefer { session, status: 202 });
    assert_eq!(notify(&bench.last()).0, "refer;id=7");
    bench.tell(UaCommand::Hangup { session, reason: None });
    bench.expect_empty();
}

/// XFR-06, A15: off, refused by the owner, to something that is no call, or while another one is open: nothing is placed, the call goes on.
#[test]
fn refused() {
    let mut off = Bench::new();
    let (_, mut peer) = answered(&mut off);
    off.told();
    off.hear(peer.request("REFER", 2, TO, ""));
    assert_eq!((off.log(), off.told().len()), (vec!["0 603 REFER".to_owned()], 0));
    for (status, sent) in [(403, 403), (603, 603), (100, 603), (999, 603)] {
        let (mut bench, session, mut peer) = call();
        bench.hear(peer.request("REFER", 2, TO, ""));
        bench.tell(UaCommand::AnswerRefer { session, status });
        bench.tell(UaCommand::NotifyRefer { session, status: 200 });
        assert_eq!(bench.log(), [format!("0 {sent} REFER")], "and no NOTIFY");
        bench.hear(peer.request("INFO", 3, "", ""));
        assert_eq!(bench.last().status(), Some(200));
    }
    for (extra, status) in [
        ("", 400),
        ("Refer-To: <<>>\r\n", 400),
        ("Refer-To: <https://example.com/>\r\n", 603),
        ("Refer-To: <sip:x@example.com;method=BYE>\r\n", 603),
    ] {
        let (mut bench, _, mut peer) = call();
        bench.told();
        bench.hear(peer.request("REFER", 2, extra, ""));
        assert_eq!((bench.log(), bench.told().len()), (vec![format!("0 {status} REFER")], 0), "{extra}");
    }
    let (mut bench, _, mut peer) = call();
    bench.hear(peer.request("REFER", 2, TO, ""));
    bench.hear(peer.request("REFER", 3, TO, ""));
    assert_eq!(bench.log(), ["0 491 REFER"]);
}

/// XFR-04: `Refer-Sub: false`: accepted with the same, and no NOTIFY at all.
#[test]
fn without_subscription() {
    let (mut bench, session, mut peer) = call();
    bench.hear(peer.request("REFER", 2, &format!("{TO}Refer-Sub: false\r\n"), ""));
    bench.tell(UaCommand::AnswerRefer { session, status: 202 });
    bench.tell(UaCommand::NotifyRefer { session, status: 200 });
    let accepted = bench.sent[0].message.clone();
    assert_eq!(bench.log(), ["0 202 REFER"]);
    assert_eq!(accepted.value(&Name::Other("Refer-Sub".into())).as_deref(), Some("false"));
}

/// An owner that never answers is a refusal in time; one that never says how it ended ends the subscription; a peer that
/// knows it no more hears nothing further, and the call goes on.
#[test]
fn silence() {
    let (mut bench, _, mut peer) = call();
    bench.hear(peer.request("REFER", 2, TO, ""));
    bench.at(60_000);
    assert_eq!(bench.log(), ["16000 603 REFER"]);

    let (mut bench, session, mut peer) = call();
    bench.hear(peer.request("REFER", 2, TO, ""));
    bench.tell(UaCommand::AnswerRefer { session, status: 202 });
    let first = bench.last();
    bench.hear(reply(&first, 200, "alice", &[], ""));
    bench.at(180_000);
    assert_eq!(notify(&bench.last()), said("refer", "terminated;reason=timeout", "SIP/2.0 100 Trying"));

    let (mut bench, session, mut peer) = call();
    bench.hear(peer.request("REFER", 2, TO, ""));
    bench.tell(UaCommand::AnswerRefer { session, status: 202 });
    let first = bench.last();
    bench.hear(reply(&first, 481, "alice", &[], ""));
    bench.told();
    bench.tell(UaCommand::NotifyRefer { session, status: 200 });
    assert_eq!((bench.log().len(), bench.told().len(), bench.ua.counts().sessions), (0, 0, 1));
}

/// The call ends while the owner thinks: the REFER is refused; what the owner says after is nothing.
#[test]
fn the_call_ends_first() {
    let (mut bench, session, mut peer) = call();
    bench.hear(peer.request("REFER", 2, TO, ""));
    bench.hear(peer.request("BYE", 3, "", ""));
    bench.tell(UaCommand::AnswerRefer { session, status: 202 });
    bench.tell(UaCommand::NotifyRefer { session, status: 200 });
    assert_eq!(bench.log(), ["0 200 BYE", "0 603 REFER"]);
    bench.expect_empty();
}
