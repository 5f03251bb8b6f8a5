//! Reliable provisional responses and PRACK (RFC 3262), early UPDATE (RFC 3311): as callee and as caller.

use crate::dialogs::cseq;
use crate::kit::*;
use bytes::Bytes;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::Message;
use voxtrunk::sip::user_agent::{Reliable, SessionId, UaCommand, UaCounts};

const REQUIRED: &str = "Require: 100rel\r\n";
const SUPPORTED: &str = "Supported: 100rel\r\n";

struct Ringing {
    bench: Bench,
    session: SessionId,
    peer: Peer,
}

/// An INVITE with these header lines and this body, not answered yet.
fn ringing(reliable: Reliable, extra: &str, body: &str) -> Ringing {
    let mut bench = Bench::of_trunk(|trunk| trunk.reliable = reliable);
    let peer = Peer::new();
    bench.hear(peer.with_branch("INVITE", 1, "z9hG4bKinvite", extra, body));
    let session = incoming(&bench);
    bench.log();
    Ringing { bench, session, peer }
}

impl Ringing {
    fn progress(&mut self, status: u16, sdp: Option<Bytes>) {
        self.bench.tell(UaCommand::Progress { session: self.session, status, sdp });
    }
    fn accept(&mut self) {
        self.bench.tell(UaCommand::Accept { session: self.session, sdp: sdp() });
    }
    /// The last response, reliable or not; our tag is learned from it.
    fn response(&mut self) -> Message {
        let response = self.bench.last();
        self.peer.learn(&response);
        response
    }
    fn prack(&mut self, number: u32, rack: &str, body: &str) -> Option<u16> {
        let request = self.peer.request("PRACK", number, &format!("RAck: {rack}\r\n"), body);
        self.bench.hear(request);
        let answer = self.bench.sent.iter().find(|s| s.message.method().as_str() == "PRACK")?;
        answer.message.status()
    }
}

fn rseq(response: &Message) -> u32 {
    assert!(response.has_token(&Name::Require, "100rel"));
    response.value(&Name::RSeq).and_then(|rseq| rseq.parse().ok()).expect("RSeq")
}

/// EAR-01: which responses are reliable, by what the INVITE says and the trunk wants; never ignored.
#[test]
fn who_gets_reliable_responses() {
    for (reliable, extra, expected) in [
        (Reliable::Supported, REQUIRED, true),
        (Reliable::Supported, SUPPORTED, false),
        (Reliable::Supported, "", false),
        (Reliable::Preferred, REQUIRED, true),
        (Reliable::Preferred, SUPPORTED, true),
        (Reliable::Preferred, "", false),
        (Reliable::Off, SUPPORTED, false),
    ] {
        let mut call = ringing(reliable, extra, SDP);
        call.progress(180, None);
        let response = call.response();
        assert_eq!(response.value(&Name::RSeq).is_some(), expected, "{reliable:?} {extra}");
        assert_eq!(response.value(&Name::Require).is_some(), expected, "{reliable:?} {extra}");
        assert_eq!(response.has_token(&Name::Supported, "100rel"), reliable != Reliable::Off);
        assert_eq!(response.has_token(&Name::Allow, "PRACK"), reliable != Reliable::Off);
    }
    let mut bench = Bench::of_trunk(|trunk| trunk.reliable = Reliable::Off);
    bench.hear(Peer::new().with_branch("INVITE", 1, "z9hG4bKinvite", REQUIRED, SDP));
    let refusal = bench.last();
    assert_eq!((refusal.status(), refusal.value(&Name::Unsupported).as_deref()), (Some(420), Some("100rel")));
    assert_eq!(bench.ua.counts(), UaCounts::default());
}

/// EAR-01: repeated from T1, doubling without end at T2, until the PRACK; EAR-02: whose RAck must be right, else 481.
#[test]
fn repeated_until_prack() {
    let mut call = ringing(Reliable::Supported, REQUIRED, SDP);
    call.progress(180, None);
    let response = call.response();
    let rseq = rseq(&response);
    call.bench.at(16_000);
    let copies: Vec<_> = call.bench.sent.drain(..).map(|s| (s.ms, s.message)).collect();
    assert_eq!(copies.iter().map(|(ms, _)| *ms).collect::<Vec<_>>(), [500, 1_500, 3_500, 7_500, 15_500]);
    assert!(copies.iter().all(|(_, copy)| copy.as_bytes() == response.as_bytes()));
    for (number, wrong) in [
        (2, format!("{} 1 INVITE", rseq + 1)),
        (3, format!("{rseq} 2 INVITE")),
        (4, format!("{rseq} 1 UPDATE")),
        (5, format!("{rseq} INVITE")),
        (6, String::from("x")),
    ] {
        assert_eq!(call.prack(number, &wrong, ""), Some(481), "{wrong}");
        call.bench.sent.clear();
    }
    assert_eq!(call.prack(7, &format!("{rseq} 1 INVITE"), ""), Some(200));
    call.bench.sent.clear();
    assert_eq!(call.prack(8, &format!("{rseq} 1 INVITE"), ""), Some(481), "acknowledged already");
    call.bench.log();
    call.bench.at(59_000);
    assert_eq!(call.bench.log(), [""; 0]);
}

/// EAR-01: no PRACK within 64*T1: 5xx, and the end.
#[test]
fn never_acknowledged() {
    for transport in [udp(), tcp()] {
        let mut bench = Bench::over(transport);
        bench.hear(Peer::over(transport).with_branch("INVITE", 1, "z9hG4bKinvite", REQUIRED, SDP));
        let session = incoming(&bench);
        bench.tell(UaCommand::Ring { session });
        bench.log();
        bench.at(32_000);
        assert_eq!(
            bench.log()[..7],
            ["500 180", "1500 180", "3500 180", "7500 180", "15500 180", "31500 180", "32000 504"]
                .map(|s| format!("{s} INVITE"))
        );
        assert_eq!(bench.told(), ["0 incoming", "32000 ended: failed 408"]);
        bench.expect_empty();
    }
}

/// EAR-01: one at a time: the next one waits for the PRACK, RSeq rises by one; a 2xx does not wait when there was no SDP, and
/// the late PRACK is answered.
#[test]
fn one_at_a_time() {
    let mut call = ringing(Reliable::Preferred, SUPPORTED, SDP);
    call.progress(180, None);
    let first = rseq(&call.response());
    call.progress(183, None);
    call.progress(182, None);
    assert_eq!(call.bench.log(), [""; 0]);
    assert_eq!(call.prack(2, &format!("{first} 1 INVITE"), ""), Some(200));
    let second = call.response();
    assert_eq!((second.status(), rseq(&second)), (Some(183), first + 1));
    call.accept();
    let ok = call.response();
    assert_eq!(ok.status(), Some(200));
    assert_eq!(call.prack(3, &format!("{} 1 INVITE", first + 1), ""), Some(200));
    let ack = call.peer.request("ACK", 1, "", "");
    call.bench.hear(ack);
    call.bench.log();
    call.bench.at(40_000);
    assert_eq!(call.bench.log(), [""; 0]);
    assert_eq!(call.bench.told(), ["0 incoming", "0 established"]);
}

/// EAR-01, EAR-03: an answer in a reliable response: the 2xx waits for its PRACK and says the same again, whatever the owner says then.
#[test]
fn the_answer_is_acknowledged_first() {
    let mut call = ringing(Reliable::Supported, REQUIRED, SDP);
    let early = Bytes::from(SDP.replace("4000", "4002"));
    call.progress(183, Some(early.clone()));
    let response = call.response();
    assert_eq!(response.sdp(), Some(early.clone()));
    call.accept();
    assert_eq!(call.bench.log(), [""; 0], "the 200 waits");
    assert_eq!(call.prack(2, &format!("{} 1 INVITE", rseq(&response)), ""), Some(200));
    assert_eq!(call.bench.log(), ["0 200 PRACK", "0 200 INVITE"]);
    let mut call = ringing(Reliable::Supported, REQUIRED, SDP);
    call.progress(183, Some(early.clone()));
    let response = call.response();
    call.prack(2, &format!("{} 1 INVITE", rseq(&response)), "");
    call.accept();
    assert_eq!(call.bench.last().sdp(), Some(early));
}

/// EAR-01: CANCEL, refusal and hang-up do not wait for a PRACK.
#[test]
fn an_end_does_not_wait() {
    for end in 0..3 {
        let mut call = ringing(Reliable::Supported, REQUIRED, SDP);
        call.progress(183, Some(sdp()));
        call.bench.log();
        let (session, accept) = (call.session, call.session);
        call.bench.tell(UaCommand::Accept { session: accept, sdp: sdp() });
        let status = match end {
            0 => {
                let cancel = Peer::new().with_branch("CANCEL", 1, "z9hG4bKinvite", "", "");
                call.bench.hear(cancel);
                487
            }
            1 => {
                call.bench.tell(UaCommand::Reject { session, status: 486, headers: Vec::new() });
                486
            }
            _ => {
                call.bench.tell(UaCommand::Hangup { session, reason: None });
                480
            }
        };
        assert_eq!(call.bench.last().status(), Some(status));
        call.bench.expect_empty();
    }
}

/// EAR-02: an INVITE without offer: no reliable response before there is ours; the PRACK brings the answer, the 2xx has no SDP.
#[test]
fn our_offer_in_a_reliable_response() {
    let mut call = ringing(Reliable::Supported, REQUIRED, "");
    call.progress(180, None);
    assert_eq!(call.bench.log(), [""; 0], "100 Trying is all that can be said");
    call.progress(183, Some(sdp()));
    let response = call.response();
    assert_eq!(response.sdp(), Some(sdp()));
    assert_eq!(call.prack(2, &format!("{} 1 INVITE", rseq(&response)), SDP), Some(200));
    call.accept();
    let ok = call.response();
    assert_eq!((ok.status(), ok.sdp()), (Some(200), None));
    let ack = call.peer.request("ACK", 1, "", "");
    call.bench.hear(ack);
    assert_eq!(call.bench.told(), ["0 incoming", "0 established sdp"]);
    // Where it is only preferred, 180 goes the ordinary way.
    let mut call = ringing(Reliable::Preferred, SUPPORTED, "");
    call.progress(180, None);
    assert_eq!(call.response().value(&Name::RSeq), None);
}

/// EAR-02: an offer in the PRACK is answered in its 200 by the owner; EAR-04: so is one by UPDATE in the early dialog; the 2xx waits for
/// the answer and then brings no SDP.
#[test]
fn further_offers_before_the_answer() {
    for by_prack in [true, false] {
        let mut call = ringing(Reliable::Supported, REQUIRED, SDP);
        call.progress(183, Some(sdp()));
        let rack = format!("{} 1 INVITE", rseq(&call.response()));
        if by_prack {
            assert_eq!(call.prack(2, &rack, SDP), None);
        } else {
            let early = call.peer.request("UPDATE", 2, "", SDP);
            call.bench.hear(early);
            assert_eq!(call.bench.log(), ["0 500 UPDATE"], "ours is not acknowledged yet");
            assert_eq!(call.prack(3, &rack, ""), Some(200));
            let update = call.peer.request("UPDATE", 4, "", SDP);
            call.bench.hear(update);
        }
        call.bench.sent.clear();
        call.accept();
        assert_eq!(call.bench.log(), [""; 0]);
        let session = call.session;
        call.bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
        let sent: Vec<_> = call.bench.sent.drain(..).map(|s| (name(&s.message), s.message.sdp())).collect();
        let method = if by_prack { "200 PRACK" } else { "200 UPDATE" };
        assert_eq!(sent, [(method.to_owned(), Some(sdp())), ("200 INVITE".to_owned(), None)]);
        assert_eq!(call.bench.told(), ["0 incoming", "0 reinvite sdp"]);
    }
}

/// DLG-15: a reliable 180 that has its PRACK is said anew each minute, with the next RSeq.
#[test]
fn ringing_for_long() {
    let mut call = ringing(Reliable::Supported, REQUIRED, SDP);
    call.progress(180, None);
    let first = rseq(&call.response());
    call.prack(2, &format!("{first} 1 INVITE"), "");
    call.bench.sent.clear();
    call.bench.at(60_000);
    let again = call.response();
    assert_eq!((again.status(), rseq(&again)), (Some(180), first + 1));
}

/// EAR-06: P-Early-Media (RFC 5009) is accepted and ignored, sensible or not: what we send is the same octet by octet without it, what
/// early media is told of too, and we never send one.
#[test]
fn early_media_headers_are_ignored() {
    let headers = ["supported", "sendrecv, gated", "inactive", "sendonly, recvonly, supported, gated", "=;\"x, ,"];
    let callee = |extra: &str| {
        let mut call = ringing(Reliable::Supported, extra, SDP);
        let first: Vec<_> = call.bench.sent.drain(..).map(|s| s.message.as_bytes().to_vec()).collect();
        call.progress(180, None);
        call.progress(183, Some(sdp()));
        call.accept();
        (first, call.bench.sent.drain(..).map(|s| s.message.as_bytes().to_vec()).collect::<Vec<_>>())
    };
    let plain = callee("");
    assert_eq!(plain.1.len(), 3);
    for value in headers {
        assert_eq!(callee(&format!("P-Early-Media: {value}\r\n")), plain, "{value}");
    }
    let sent = plain.1.concat();
    assert!(!String::from_utf8_lossy(&sent).to_ascii_lowercase().contains("p-early-media"));

    let caller = |value: Option<&str>| {
        let mut bench = Bench::new();
        bench.place(Some(SDP));
        let invite = bench.last();
        assert!(!String::from_utf8_lossy(invite.as_bytes()).contains("P-Early-Media"));
        let mut extra = vec![CONTACT];
        extra.extend(value.map(|value| ("P-Early-Media", value)));
        bench.hear(reply(&invite, 183, "bob", &extra, SDP));
        bench.hear(reply(&invite, 180, "bob", &extra, ""));
        bench.hear(reply(&invite, 200, "bob", &extra, SDP));
        (bench.told(), bench.sent.drain(..).map(|s| s.message.as_bytes().to_vec()).collect::<Vec<_>>())
    };
    let plain = caller(None);
    assert_eq!(plain.0, ["0 progress 183 sdp", "0 progress 180", "0 answered sdp"]);
    for value in headers {
        assert_eq!(caller(Some(value)), plain, "{value}");
    }
}

/// As caller: each reliable response gets its PRACK once, in the order of RSeq and in its early dialog; the numbers go on in the dialog.
/// EAR-04: an UPDATE with an offer is asked about once our offer is answered there.
#[test]
fn a_caller_acknowledges() {
    let mut bench = Bench::new();
    let session = bench.place(Some(SDP));
    let invite = bench.last();
    assert!(invite.has_token(&Name::Supported, "100rel"));
    let response = |tag: &str, rseq: u32, body: &str| {
        let rseq = rseq.to_string();
        reply(&invite, 183, tag, &[CONTACT, ("Require", "100rel"), ("RSeq", &rseq)], body)
    };
    bench.hear(response("bob", 7, SDP));
    let first = bench.last();
    assert_eq!(name(&first), "PRACK");
    assert_eq!(first.value(&Name::RAck), Some(format!("7 {} INVITE", cseq(&invite))));
    assert_eq!(cseq(&first), cseq(&invite) + 1);
    assert_eq!(first.to().expect("To").expect("ok").tag(), Some("bob"));
    bench.hear(reply(&first, 200, "bob", &[], ""));
    bench.hear(response("bob", 7, SDP));
    bench.hear(response("bob", 9, ""));
    assert_eq!(bench.log(), [""; 0], "a copy, and one out of order");
    bench.hear(response("bob", 8, ""));
    bench.hear(response("other", 1, ""));
    let sent: Vec<_> = bench.sent.drain(..).map(|s| (name(&s.message), cseq(&s.message) - cseq(&invite))).collect();
    assert_eq!(sent, [("PRACK".to_owned(), 2), ("PRACK".to_owned(), 1)], "a CSeq space each");
    let mut peer = Peer {
        call_id: invite.call_id().expect("Call-ID"),
        from: "<sip:bob@192.0.2.20>;tag=bob".into(),
        to: invite.value(&Name::From).expect("From"),
        ..Peer::new()
    };
    bench.hear(peer.request("UPDATE", 1, "", SDP));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
    assert_eq!(bench.log(), ["0 200 UPDATE"]);
    bench.hear(reply(&invite, 200, "bob", &[CONTACT], ""));
    assert_eq!(bench.log(), ["0 ACK"]);
    bench.tell(UaCommand::Hangup { session, reason: None });
    assert_eq!(cseq(&bench.last()), cseq(&invite) + 3);
    assert_eq!(
        bench.told(),
        [
            "0 progress 183 sdp",
            "0 progress 183",
            "0 progress 183",
            "0 reinvite sdp",
            "0 answered sdp",
            "0 ended: local"
        ]
    );
    bench.expect_empty();
}

/// Without an offer we do not say that we can: the peer's would come before anybody answers.
#[test]
fn no_100rel_without_offer() {
    let mut bench = Bench::new();
    bench.place(None);
    let invite = bench.last();
    assert!(!invite.has_token(&Name::Supported, "100rel"));
    bench.hear(reply(&invite, 183, "bob", &[CONTACT, ("Require", "100rel"), ("RSeq", "1")], SDP));
    assert_eq!(bench.log(), [""; 0]);
}

/// A PRACK that is refused or never answered does not end the call: the INVITE goes on.
#[test]
fn a_prack_without_success() {
    for status in [Some(481), None] {
        let mut bench = Bench::new();
        bench.place(Some(SDP));
        let invite = bench.last();
        bench.hear(reply(&invite, 180, "bob", &[CONTACT, ("Require", "100rel"), ("RSeq", "1")], ""));
        let prack = bench.last();
        match status {
            Some(status) => bench.hear(reply(&prack, status, "bob", &[], "")),
            None => drop(bench.at(33_000)),
        }
        bench.log();
        bench.hear(reply(&invite, 200, "bob", &[CONTACT], SDP));
        assert_eq!(bench.log().last().map(|sent| sent.ends_with("ACK")), Some(true));
    }
}

/// EAR-03: SDP in an unreliable 18x is that of the 200 that follows.
#[test]
fn unreliable_early_media() {
    let mut call = ringing(Reliable::Supported, SUPPORTED, SDP);
    call.progress(183, Some(sdp()));
    let early = call.response();
    assert_eq!((early.value(&Name::RSeq), early.sdp()), (None, Some(sdp())));
    call.accept();
    assert_eq!(call.response().sdp(), early.sdp());
}
