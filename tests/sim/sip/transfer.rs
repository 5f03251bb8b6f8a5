//! Our REFER: every order of its response, NOTIFYs, BYE and silence (RFC 3515).

use crate::kit::*;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::Message;
use voxtrunk::sip::user_agent::{SessionId, UaCommand};

struct Transfer {
    bench: Bench,
    session: SessionId,
    peer: Peer,
    refer: Message,
    cseq: u32,
}

fn transfer() -> Transfer {
    let mut bench = Bench::new();
    let (session, peer) = answered(&mut bench);
    refer(&mut bench, session);
    let refer = bench.last();
    Transfer { bench, session, peer, refer, cseq: 1 }
}

fn refer(bench: &mut Bench, session: SessionId) {
    bench.tell(UaCommand::Refer {
        session,
        refer_to: voxtrunk::sip::uri::Uri::parse("sip:+15551234@trunk.example.com").expect("a URI"),
        referred_by: Some("<sip:agent@192.0.2.10>".into()),
        replaces: None,
    });
}

impl Transfer {
    fn respond(&mut self, status: u16, extra: &[(&str, &str)]) {
        let response = reply(&self.refer, status, "alice", extra, "");
        self.bench.hear(response);
    }
    fn notify(&mut self, state: &str, line: &str) -> Option<u16> {
        self.notify_event("refer", state, line)
    }
    fn notify_event(&mut self, event: &str, state: &str, line: &str) -> Option<u16> {
        self.cseq += 1;
        let extra = format!("Event: {event}\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag\r\n");
        let request = self.peer.request("NOTIFY", self.cseq, &extra, line);
        self.bench.hear(request);
        self.bench.last().status()
    }
    fn told(&mut self) -> Vec<String> {
        self.bench.told()
    }
}

/// XFR-01: Refer-To, Referred-By and Contact.
#[test]
fn refer_headers() {
    let transfer = transfer();
    let value = |name| transfer.refer.value(&name);
    assert_eq!(value(Name::ReferTo).as_deref(), Some("<sip:+15551234@trunk.example.com>"));
    assert_eq!(value(Name::ReferredBy).as_deref(), Some("<sip:agent@192.0.2.10>"));
    assert_eq!(value(Name::Contact).as_deref(), Some("<sip:agent@192.0.2.10:5060>"));
}

/// XFR-02: 202 is no success; the final NOTIFY is. A later terminating NOTIFY is answered and says nothing.
#[test]
fn success_is_a_final_notify() {
    let mut t = transfer();
    t.respond(202, &[]);
    assert_eq!(t.notify("active;expires=60", "SIP/2.0 100 Trying\r\n"), Some(200));
    assert_eq!(t.notify("active;expires=60", "SIP/2.0 180 Ringing"), Some(200));
    assert_eq!(t.notify("active;expires=60", "SIP/2.0 200 OK"), Some(200));
    assert_eq!(t.notify("terminated;reason=noresource", "SIP/2.0 200 OK"), Some(200));
    t.bench.at(200_000);
    assert_eq!(t.told(), ["0 refer accepted", "0 refer progress 100", "0 refer progress 180", "0 refer final 200"]);
    t.bench.tell(UaCommand::Hangup { session: t.session, reason: None });
    assert_eq!(t.told(), ["200000 ended: local"]);
    t.bench.expect_empty();
}

/// XFR-02: the target refuses: the caller stays.
#[test]
fn failure_is_a_final_notify() {
    let mut t = transfer();
    t.respond(202, &[]);
    t.notify("terminated;reason=noresource", "SIP/2.0 486 Busy Here");
    assert_eq!(t.told(), ["0 refer accepted", "0 refer final 486"]);
    assert_eq!(t.bench.ua.counts().sessions, 1);
}

/// XFR-02: NOTIFY before the 202: the final word is told once and the 202 is no news after it.
#[test]
fn notify_overtakes_the_202() {
    let mut t = transfer();
    t.notify("active", "SIP/2.0 100 Trying");
    t.respond(202, &[]);
    t.notify("terminated", "SIP/2.0 200 OK");
    assert_eq!(t.told(), ["0 refer progress 100", "0 refer accepted", "0 refer final 200"]);
    let mut t = transfer();
    t.notify("terminated", "SIP/2.0 603 Decline");
    t.respond(202, &[]);
    t.bench.at(100_000);
    assert_eq!(t.told(), ["0 refer final 603"]);
}

/// XFR-02: BYE before the last NOTIFY: outcome unknown, then the end; a NOTIFY after it has no dialog.
#[test]
fn bye_before_the_last_notify() {
    let mut t = transfer();
    t.respond(202, &[]);
    t.notify("active", "SIP/2.0 100 Trying");
    let bye = t.peer.request("BYE", 50, "", "");
    t.bench.hear(bye);
    assert_eq!(t.told(), ["0 refer accepted", "0 refer progress 100", "0 refer unknown", "0 ended: peer bye"]);
    t.cseq = 60;
    assert_eq!(t.notify("terminated", "SIP/2.0 200 OK"), Some(481));
    assert_eq!(t.told(), [""; 0]);
}

/// XFR-03: refused, or never answered.
#[test]
fn refused_refer() {
    for status in [403, 405, 501, 603] {
        let mut t = transfer();
        t.respond(status, &[]);
        assert_eq!(t.told(), [format!("0 refer refused {status}")]);
        assert_eq!(t.bench.ua.counts().sessions, 1);
    }
    let mut t = transfer();
    t.bench.at(32_000);
    assert_eq!(t.told(), ["32000 refer refused 408", "32000 ended: failed 408"]);
    t.bench.expect_empty();
}

/// XFR-03: 30 s without NOTIFY; then as long as the subscription says, within bounds.
#[test]
fn silent_subscription() {
    let mut t = transfer();
    t.bench.at(1_000);
    t.respond(202, &[]);
    t.bench.at(100_000);
    assert_eq!(t.told(), ["1000 refer accepted", "31000 refer unknown"]);
    for (state, ms) in [
        ("active;expires=90", 90_000),
        ("active;expires=1", 30_000),
        ("active;expires=9999", 180_000),
        ("active", 60_000),
    ] {
        let mut t = transfer();
        t.respond(202, &[]);
        t.notify(state, "SIP/2.0 180 Ringing");
        t.bench.at(200_000);
        assert_eq!(t.told().last(), Some(&format!("{ms} refer unknown")), "{state}");
    }
}

/// The subscription ends without a final status.
#[test]
fn subscription_without_result() {
    for (line, progress) in [("SIP/2.0 100 Trying", 0), ("", 0), ("garbage", 0)] {
        let mut t = transfer();
        t.respond(202, &[]);
        t.notify("terminated;reason=timeout", line);
        assert_eq!(t.told().len(), 2 + progress, "{line}");
    }
}

/// XFR-04: `Refer-Sub: false`: accepted, and nobody will tell how it ends.
#[test]
fn no_subscription() {
    let mut t = transfer();
    t.respond(200, &[("Refer-Sub", "false")]);
    assert_eq!(t.told(), ["0 refer accepted", "0 refer unknown"]);
    assert_eq!(
        t.bench.ua.counts().timers,
        t.bench.ua.counts().client_transactions + t.bench.ua.counts().server_transactions
    );
}

/// Only NOTIFYs of our REFER count: package and `id` (the CSeq of the REFER).
#[test]
fn notify_of_something_else() {
    let mut t = transfer();
    t.respond(202, &[]);
    let id = t.refer.cseq().expect("CSeq").expect("ok").number;
    assert_eq!(t.notify_event("presence", "active", ""), Some(489));
    assert_eq!(t.notify_event(&format!("refer;id={}", id + 1), "terminated", "SIP/2.0 200 OK"), Some(481));
    assert_eq!(t.notify_event(&format!("refer;id={id}"), "terminated", "SIP/2.0 200 OK"), Some(200));
    assert_eq!(t.told(), ["0 refer accepted", "0 refer final 200"]);
}

/// One REFER at a time; another one after the last word about the first.
#[test]
fn second_refer() {
    let mut t = transfer();
    refer(&mut t.bench, t.session);
    assert_eq!(t.told(), ["0 refer refused 491"]);
    t.respond(503, &[]);
    refer(&mut t.bench, t.session);
    t.refer = t.bench.last();
    t.respond(202, &[]);
    t.notify("terminated", "SIP/2.0 200 OK");
    assert_eq!(t.told(), ["0 refer refused 503", "0 refer accepted", "0 refer final 200"]);
}

/// XFR-06: a REFER of the peer is declined, and the call goes on.
#[test]
fn refer_of_the_peer() {
    let mut bench = Bench::new();
    let (_, mut peer) = answered(&mut bench);
    bench.hear(peer.request("REFER", 2, "Refer-To: <sip:+882999@premium.example.com>\r\n", ""));
    assert_eq!(bench.log(), ["0 603 REFER"]);
    assert_eq!((bench.told().len(), bench.ua.counts().sessions), (0, 1));
}
