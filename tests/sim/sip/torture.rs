//! RFC 4475 at the user agent: what is sent for each file, over UDP, pinned row by row (tests/data/rfc4475/EXPECT.md).

use crate::kit::*;
use std::path::Path;
use voxtrunk::sip::user_agent::{UaCommand, UaCounts, UaEvent};

#[path = "../../conformance/rfc4475.rs"]
mod rfc4475;
use rfc4475::Outcome::{self, Call, Silence, Status};
use rfc4475::RFC4475;

fn outcome(bench: &mut Bench) -> Outcome {
    let called = bench.events.drain(..).any(|(_, event)| matches!(event, UaEvent::IncomingCall { .. }));
    let mut statuses: Vec<u16> = bench.sent.drain(..).filter_map(|s| s.message.status()).collect();
    statuses.extend(bench.echoed.drain(..).filter_map(|text| text.get(8..11)?.parse::<u16>().ok()));
    match (statuses.as_slice(), called) {
        ([], false) => Silence,
        ([100], true) => Call,
        ([status], false) => Status(*status),
        other => panic!("neither an answer, a call nor silence: {other:?}"),
    }
}

/// PAR-01, PAR-02: every file has its outcome, a refusal keeps no state, and the next OPTIONS is answered as ever.
#[test]
fn every_file_has_its_outcome() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rfc4475");
    let mut wrong = Vec::new();
    for (name, expected) in &RFC4475 {
        let bytes = std::fs::read(folder.join(format!("{name}.dat"))).expect("a file of the corpus");
        let mut bench = Bench::new();
        bench.hear(&bytes);
        let got = outcome(&mut bench);
        if got != *expected {
            wrong.push(format!("{name}: {got:?} instead of {expected:?}"));
        }
        if got != Call {
            assert_eq!(bench.ua.counts(), UaCounts::default(), "{name}");
        }
        bench.hear(Peer::new().request("OPTIONS", 1, "", ""));
        assert_eq!(bench.last().status(), Some(200), "after {name}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let files = std::fs::read_dir(&folder).expect("the corpus").filter_map(Result::ok);
    let count = files.filter(|f| f.path().extension().is_some_and(|e| e == "dat")).count();
    assert_eq!(count, RFC4475.len(), "every file of the corpus is listed");
}

/// PAR-08: a 2xx without the Contact that it must have still makes the call: its target is the INVITE's own.
#[test]
fn a_2xx_without_contact() {
    let mut bench = Bench::new();
    let session = bench.place(Some(SDP));
    let invite = bench.last();
    let target = |message: &voxtrunk::sip::message::Message| message.request_uri().expect("a request").expect("a URI");
    bench.hear(reply(&invite, 200, "bob", &[], SDP));
    let ack = bench.last();
    assert_eq!((name(&ack).as_str(), target(&ack)), ("ACK", target(&invite)));
    bench.tell(UaCommand::Hangup { session, reason: None });
    let bye = bench.last();
    assert_eq!((name(&bye).as_str(), target(&bye)), ("BYE", target(&invite)));
    bench.hear(reply(&bye, 200, "bob", &[], ""));
    bench.expect_empty();
}
