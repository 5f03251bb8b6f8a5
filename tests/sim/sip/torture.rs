//! RFC 4475 at the user agent: what is sent for each file, over UDP, pinned row by row (tests/data/rfc4475/EXPECT.md).

use crate::kit::*;
use std::path::Path;
use voxtrunk::sip::user_agent::{UaCommand, UaCounts, UaEvent};

/// What must come back.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Outcome {
    /// This status and no state.
    Status(u16),
    /// 100 and a new call.
    Call,
    Silence,
}
use Outcome::{Call, Silence, Status};

const FILES: &[(&str, Outcome)] = &[
    ("wsinv", Status(481)),
    ("intmeth", Status(501)),
    ("esc01", Call),
    ("escnull", Status(405)),
    ("esc02", Status(501)),
    ("lwsdisp", Status(200)),
    ("longreq", Call),
    ("dblreq", Status(405)),
    ("semiuri", Status(200)),
    ("transports", Status(200)),
    ("mpart01", Status(405)),
    ("unreason", Silence),
    ("noreason", Silence),
    ("badinv01", Status(400)),
    ("clerr", Status(400)),
    ("ncl", Status(400)),
    ("scalar02", Status(400)),
    ("scalarlg", Silence),
    ("quotbal", Status(400)),
    ("ltgtruri", Status(400)),
    ("lwsruri", Status(400)),
    ("lwsstart", Status(400)),
    ("trws", Status(400)),
    ("escruri", Status(400)),
    ("baddate", Call),
    ("regbadct", Status(400)),
    ("badaspec", Status(400)),
    ("baddn", Status(400)),
    ("badvers", Status(505)),
    ("mismatch01", Status(400)),
    ("mismatch02", Status(400)),
    ("bigcode", Silence),
    ("badbranch", Status(200)),
    ("insuf", Silence),
    ("unkscm", Status(416)),
    ("novelsc", Status(416)),
    ("unksm2", Status(405)),
    ("bext01", Status(420)),
    ("invut", Status(415)),
    ("regaut01", Status(405)),
    ("multi01", Status(400)),
    ("mcl01", Status(400)),
    ("bcast", Silence),
    ("zeromf", Status(200)),
    ("cparam01", Status(405)),
    ("cparam02", Status(405)),
    ("regescrt", Status(405)),
    ("sdp01", Status(406)),
    ("inv2543", Call),
    ("test", Silence),
];

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
    for (name, expected) in FILES {
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
    assert_eq!(count, FILES.len(), "every file of the corpus is listed");
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
