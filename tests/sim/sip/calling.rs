//! The tries of our own INVITE: challenges, next flows, redirections, limits; and challenges in its dialog.

use crate::kit::*;
use voxtrunk::observe::pii::Pii;
use voxtrunk::sip::digest::Credentials;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::Message;
use voxtrunk::sip::session_timer::{TimerMode, TimerPolicy};
use voxtrunk::sip::uri::Uri;
use voxtrunk::sip::user_agent::{NewInvite, Redirects, SessionId, UaCommand, UaConfig};
use voxtrunk::sip::{Flow, Transport};

fn flow(host: u8) -> Flow {
    Flow { remote: addr(&format!("192.0.2.{host}:5060")), ..udp() }
}

fn with_credentials() -> UaConfig {
    let mut config = config();
    config.trunks[0].credentials = vec![Credentials { realm: None, user: "agent".into(), password: Pii("x".into()) }];
    config
}

fn following(hosts: &[&str]) -> UaConfig {
    let mut config = with_credentials();
    config.trunks[0].redirects = Redirects::Hosts(hosts.iter().map(|host| (*host).to_owned()).collect());
    config
}

fn place(bench: &mut Bench, flows: &[Flow]) -> SessionId {
    let session = bench.ua.new_session_id();
    let new = NewInvite { flows: flows.to_vec(), ..new_call(session, udp(), Some(sdp())) };
    bench.tell(UaCommand::Invite(Box::new(new)));
    session
}

fn hangup(bench: &mut Bench, session: SessionId) {
    bench.tell(UaCommand::Hangup { session, reason: None });
}

fn branch(message: &Message) -> String {
    message.top_via().expect("Via").expect("ok").branch.expect("a branch")
}
fn cseq(message: &Message) -> u32 {
    message.cseq().expect("CSeq").expect("ok").number
}
fn uri(message: &Message) -> String {
    message.request_uri().expect("a URI").expect("ok").to_string()
}
/// Where each message went: `ms method host`.
fn went(bench: &mut Bench) -> Vec<String> {
    let sent = bench.sent.drain(..);
    sent.map(|s| format!("{} {} {}", s.ms, name(&s.message), s.flow.remote.ip())).collect()
}

const CHALLENGE: (&str, &str) = ("Proxy-Authenticate", r#"Digest realm="r", nonce="n", qop="auth""#);

/// AUT-03: our INVITE and the requests of its dialog answer a challenge once each; the ACK goes first.
#[test]
fn challenges_of_our_own_call() {
    let mut bench = Bench::with(with_credentials(), udp());
    let session = bench.place(Some(SDP));
    let first = bench.last();
    bench.hear(reply(&first, 407, "p", &[CHALLENGE], ""));
    assert_eq!(bench.sent.iter().map(|s| name(&s.message)).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    let second = bench.last();
    assert_eq!((cseq(&second), second.call_id()), (cseq(&first) + 1, first.call_id()));
    assert_ne!(branch(&second), branch(&first));
    assert_eq!(second.from().expect("From").expect("ok").tag(), first.from().expect("From").expect("ok").tag());
    assert!(second.to().expect("To").expect("ok").tag().is_none());
    assert_eq!(second.sdp(), Some(sdp()));
    assert!(second.value(&Name::ProxyAuthorization).is_some_and(|line| line.contains("uri=\"sip:bob@192.0.2.20\"")));
    bench.hear(reply(&second, 200, "bob", &[CONTACT], SDP));
    assert_eq!(name(&bench.last()), "ACK");
    for (n, method) in ["INVITE", "INFO", "REFER", "BYE"].into_iter().enumerate() {
        match method {
            "INVITE" => bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) }),
            "INFO" => bench.tell(UaCommand::Info { session, content_type: "text/plain".into(), body: b"x".to_vec() }),
            "REFER" => bench.tell(UaCommand::Refer {
                session,
                refer_to: Uri::parse("sip:carol@192.0.2.20").expect("a URI"),
                referred_by: None,
                replaces: None,
            }),
            _ => hangup(&mut bench, session),
        }
        let asked = bench.last();
        assert_eq!(name(&asked), method);
        bench.hear(reply(&asked, 407, "bob", &[CHALLENGE], ""));
        let again = bench.last();
        assert_eq!((name(&again).as_str(), cseq(&again)), (method, cseq(&asked) + 1));
        let line = again.value(&Name::ProxyAuthorization).expect("an answer");
        assert!(line.contains(&format!("nc={:08x}", n + 2)), "{line}");
        bench.hear(reply(&again, 200, "bob", &[CONTACT], if method == "INVITE" { SDP } else { "" }));
        bench.sent.clear();
    }
    let told: Vec<String> = bench.told().iter().map(|told| told.replacen("0 ", "", 1)).collect();
    assert_eq!(told, ["answered sdp", "reinvite done 200 sdp", "refer accepted", "refer unknown", "ended: local"]);
    bench.expect_empty();
}

/// AUT-03: a second challenge of the same realm is a refusal, of the INVITE and of an INFO.
#[test]
fn refused_credentials() {
    let mut bench = Bench::with(with_credentials(), udp());
    bench.place(Some(SDP));
    for _ in 0..2 {
        let invite = bench.last();
        bench.hear(reply(&invite, 407, "p", &[CHALLENGE], ""));
    }
    assert_eq!(bench.log(), ["0 ACK"]);
    assert_eq!(bench.told(), ["0 ended: failed 407"]);
    bench.expect_empty();
    let mut bench = Bench::with(with_credentials(), udp());
    let (session, _) = called(&mut bench);
    hangup(&mut bench, session);
    for _ in 0..2 {
        let bye = bench.last();
        assert_eq!(name(&bye), "BYE");
        bench.hear(reply(&bye, 401, "bob", &[("WWW-Authenticate", CHALLENGE.1)], ""));
    }
    assert_eq!(bench.log(), [""; 0]);
    bench.expect_empty();
}

/// AUT-04, A3: no Authorization leaves for a challenge in the peer's call, nor for one of a host that only the peer named: the Contact
/// of our call's answer, or where a redirection led.
#[test]
fn no_digest_leaks() {
    let leaks = |bench: &Bench| {
        bench
            .sent
            .iter()
            .any(|s| [Name::Authorization, Name::ProxyAuthorization].iter().any(|name| s.message.value(name).is_some()))
    };
    let challenges = [("WWW-Authenticate", CHALLENGE.1), CHALLENGE];
    for status in [401, 407] {
        let mut bench = Bench::with(with_credentials(), udp());
        let (session, _) = answered(&mut bench);
        bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
        let reinvite = bench.last();
        bench.hear(reply(&reinvite, status, "alice", &challenges, ""));
        bench.tell(UaCommand::Info { session, content_type: "text/plain".into(), body: b"x".to_vec() });
        let info = bench.last();
        bench.hear(reply(&info, status, "alice", &challenges, ""));
        hangup(&mut bench, session);
        let bye = bench.last();
        bench.hear(reply(&bye, status, "alice", &challenges, ""));
        bench.after(60_000);
        assert!(!leaks(&bench) && bench.sent.is_empty(), "{:?}", bench.log());
        bench.expect_empty();

        let mut bench = Bench::with(with_credentials(), udp());
        let session = bench.place(Some(SDP));
        let invite = bench.last();
        bench.hear(reply(&invite, 200, "bob", &[("Contact", "<sip:evil@198.51.100.6:5060>")], SDP));
        hangup(&mut bench, session);
        let (bye, to) = bench.sent.pop().map(|s| (s.message, s.flow)).expect("a BYE");
        assert_eq!((name(&bye).as_str(), to.remote), ("BYE", addr("198.51.100.6:5060")));
        bench.sent.clear();
        bench.hear_on(to, reply(&bye, status, "bob", &challenges, ""));
        bench.after(60_000);
        assert!(!leaks(&bench) && bench.sent.is_empty());

        let mut bench = Bench::with(following(&["198.51.100.6"]), udp());
        bench.place(Some(SDP));
        let invite = bench.last();
        bench.hear(reply(&invite, 302, "p", &[("Contact", "<sip:evil@198.51.100.6>")], ""));
        let (invite, to) = bench.sent.pop().map(|s| (s.message, s.flow)).expect("an INVITE");
        assert_eq!(to.remote, addr("198.51.100.6:5060"));
        bench.hear_on(to, reply(&invite, status, "p", &challenges, ""));
        assert!(!leaks(&bench));
        assert_eq!(bench.told(), [format!("0 ended: failed {status}")]);
        bench.expect_empty();
    }
}

/// TXN-13: what each refusal of an INVITE leads to: how often it is sent in all, and with what.
#[test]
fn retry_rules() {
    type Row<'a> = (u16, &'a [(&'a str, &'a str)], usize, u64);
    let rows: [Row; 14] = [
        (401, &[("WWW-Authenticate", r#"Digest realm="r", nonce="n""#)], 2, 0),
        (407, &[CHALLENGE], 2, 0),
        (401, &[("WWW-Authenticate", r#"Basic realm="r""#)], 1, 0),
        (413, &[("Retry-After", "5")], 2, 5_000),
        (413, &[("Retry-After", "60")], 1, 0),
        (413, &[], 1, 0),
        (415, &[("Accept", "text/plain")], 1, 0),
        (420, &[("Unsupported", "timer, 100rel")], 2, 0),
        (420, &[("Unsupported", "nothing-of-ours")], 1, 0),
        (422, &[("Min-SE", "3600")], 2, 0),
        (486, &[("Retry-After", "1")], 1, 0),
        (491, &[], 2, 4_000),
        (503, &[("Retry-After", "1")], 1, 0),
        (600, &[], 1, 0),
    ];
    for (status, headers, tries, within) in rows {
        let mut config = with_credentials();
        config.trunks[0].timer = TimerPolicy { mode: TimerMode::Offer, ..TimerPolicy::default() };
        let mut bench = Bench::with(config, udp());
        bench.place(Some(SDP));
        let mut sent = vec![bench.last()];
        // The peer never changes its mind.
        while sent.len() < 10 {
            let last = sent.last().expect("one").clone();
            bench.hear(reply(&last, status, "p", headers, ""));
            bench.after(within);
            match bench.sent.pop().filter(|s| name(&s.message) == "INVITE") {
                Some(invite) => sent.push(invite.message),
                None => break,
            }
            bench.sent.clear();
        }
        assert_eq!(sent.len(), tries, "{status} {headers:?}");
        assert!(bench.told().last().is_some_and(|told| told.ends_with(&format!("failed {status}"))), "{status}");
        let last = sent.last().expect("one");
        assert_eq!(cseq(last), cseq(&sent[0]) + tries as u32 - 1);
        assert!(last.sdp().is_some());
        match status {
            420 if tries == 2 => {
                assert_eq!(last.value(&Name::Supported).as_deref(), Some("norefersub"));
                assert!(last.value(&Name::SessionExpires).is_none());
            }
            422 => {
                assert!(last.value(&Name::SessionExpires).is_some_and(|v| v.starts_with("3600")));
                assert_eq!(last.value(&Name::MinSe).as_deref(), Some("3600"));
            }
            _ => {}
        }
        bench.expect_empty();
    }
}

/// TXN-13: a re-INVITE that gets 500 with Retry-After is sent again after that; without, it is refused.
#[test]
fn reinvite_again_after_500() {
    let mut bench = Bench::with(with_credentials(), udp());
    let (session, _) = called(&mut bench);
    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
    let first = bench.last();
    bench.hear(reply(&first, 500, "bob", &[("Retry-After", "7")], ""));
    assert_eq!(bench.log(), ["0 ACK"]);
    bench.at(6_999);
    assert_eq!(bench.log(), [""; 0]);
    bench.at(7_000);
    let again = bench.last();
    bench.hear(reply(&again, 500, "bob", &[], ""));
    assert_eq!(bench.told(), ["7000 reinvite done 500"]);
}

/// TRN-13: an INVITE goes on to the next flow after a time-out, an error and a 503, with a new branch; not after it rang, and not
/// when the owner has hung up.
#[test]
fn next_flow() {
    let mut bench = Bench::with(with_credentials(), udp());
    place(&mut bench, &[flow(21), flow(22), flow(23), flow(24)]);
    let first = bench.last();
    bench.at(31_999).sent.clear();
    bench.at(32_000);
    let second = bench.last();
    assert_ne!(branch(&first), branch(&second));
    assert_eq!(first.call_id(), second.call_id());
    bench.broken(flow(22));
    let third = bench.last();
    bench.hear_on(flow(23), reply(&third, 503, "p", &[], ""));
    assert_eq!(went(&mut bench), ["32000 ACK 192.0.2.23", "32000 INVITE 192.0.2.24"]);
    bench.at(70_000);
    assert_eq!(bench.told(), ["64000 ended: failed 408"]);
    bench.expect_empty();

    let mut bench = Bench::with(with_credentials(), udp());
    place(&mut bench, &[flow(21), flow(22)]);
    let invite = bench.last();
    bench.hear_on(flow(21), reply(&invite, 180, "bob", &[], ""));
    bench.broken(flow(21));
    assert_eq!(bench.told(), ["0 progress 180", "0 ended: failed 503"]);
    bench.expect_empty();

    let mut bench = Bench::with(with_credentials(), udp());
    let session = place(&mut bench, &[flow(21), flow(22)]);
    hangup(&mut bench, session);
    bench.at(40_000);
    assert_eq!(bench.told(), ["32000 ended: local"]);
    bench.expect_empty();
}

/// TRN-12: an INVITE of more than 1300 bytes goes by TCP, Contact included, and by UDP when that fails.
#[test]
fn long_invite() {
    let mut bench = Bench::with(with_credentials(), udp());
    let session = bench.ua.new_session_id();
    let long = "x".repeat(1000);
    let new = NewInvite { headers: vec![(Name::Subject, long)], ..new_call(session, udp(), Some(sdp())) };
    bench.tell(UaCommand::Invite(Box::new(new)));
    let tcp = Flow { transport: Transport::Tcp, ..udp() };
    assert_eq!(bench.sent.last().map(|s| s.flow), Some(tcp));
    let invite = bench.last();
    assert_eq!(invite.top_via().expect("Via").expect("ok").transport, "TCP");
    assert_eq!(invite.value(&Name::Contact).as_deref(), Some("<sip:agent@192.0.2.10:5060;transport=tcp>"));
    bench.broken(tcp);
    assert_eq!(bench.sent.last().map(|s| s.flow), Some(udp()));
    let invite = bench.last();
    assert_eq!(invite.value(&Name::Contact).as_deref(), Some("<sip:agent@192.0.2.10:5060>"));
    bench.hear(reply(&invite, 486, "bob", &[], ""));
    assert_eq!(bench.told(), ["0 ended: failed 486"]);
    bench.expect_empty();
}

/// XFR-08, A15: only listed Contacts are followed: best q first, a name by the proxy that named it, a number too; each once.
#[test]
fn redirections() {
    let contacts = "<sip:evil@198.51.100.6>, <sip:b@pbx.example.com>;q=0.5, <sip:c@192.0.2.30:5070>;q=0.9, <tel:+4930123>;q=0.1, \
                    <sips:s@pbx.example.com>, <sip:bob@192.0.2.20>";
    let mut bench = Bench::with(following(&["PBX.example.com", "192.0.2.30", "192.0.2.20", "+4930123"]), udp());
    bench.place(Some(SDP));
    let first = bench.last();
    bench.hear(reply(&first, 302, "p", &[("Contact", contacts)], ""));
    let mut tried = Vec::new();
    while let Some(sent) = bench.sent.pop().filter(|s| name(&s.message) == "INVITE") {
        bench.sent.clear();
        tried.push(format!("{} {}", uri(&sent.message), sent.flow.remote));
        assert_eq!(sent.message.value(&Name::To), first.value(&Name::To));
        bench.hear_on(sent.flow, reply(&sent.message, 480, "p", &[], ""));
    }
    assert_eq!(
        tried,
        [
            "sip:c@192.0.2.30:5070 192.0.2.30:5070",
            "sip:b@pbx.example.com 192.0.2.30:5070",
            "tel:+4930123 192.0.2.30:5070"
        ]
    );
    assert_eq!(bench.told(), ["0 ended: failed 480"]);
    bench.expect_empty();

    for config in [with_credentials(), following(&["198.51.100.7"])] {
        let mut bench = Bench::with(config, udp());
        bench.place(Some(SDP));
        let first = bench.last();
        bench.hear(reply(&first, 302, "p", &[("Contact", contacts)], ""));
        assert_eq!((bench.log(), bench.told()), (vec!["0 ACK".into()], vec!["0 ended: failed 302".to_owned()]));
    }
}

/// XFR-08: redirections end at depth 3, and a circle at its first repetition.
#[test]
fn redirections_end() {
    for (name_of, tries) in [
        (&(|n: usize| format!("<sip:u{n}@pbx.example.com>")) as &dyn Fn(usize) -> String, 4),
        (&|n| format!("<sip:u{}@pbx.example.com>", n % 2), 3),
    ] {
        let mut bench = Bench::with(following(&["pbx.example.com"]), udp());
        bench.place(Some(SDP));
        let mut sent = 0;
        while let Some(invite) = bench.sent.pop().filter(|s| name(&s.message) == "INVITE") {
            bench.hear(reply(&invite.message, 302, "p", &[("Contact", &name_of(sent))], ""));
            sent += 1;
        }
        assert_eq!(sent, tries);
        assert_eq!(bench.told(), ["0 ended: failed 302"]);
        bench.expect_empty();
    }
}

const OTHER: &str =
    "v=0\r\no=- 2 2 IN IP4 192.0.2.20\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\nm=audio 4002 RTP/AVP 0\r\n";

/// EAR-05, DLG-17: early media of several early dialogs: the last new SDP counts, a repeated one of another dialog does not come
/// back by itself; a 199 gives the media back; an answer that stood in the provisional response only is found.
#[test]
fn early_dialogs() {
    let mut bench = Bench::new();
    bench.place(Some(SDP));
    let invite = bench.last();
    for (status, tag, body) in [
        (183, "a", SDP),
        (183, "a", SDP),
        (180, "b", ""),
        (183, "b", OTHER),
        (183, "a", SDP),
        (199, "b", ""),
        (199, "x", ""),
        (183, "c", OTHER),
        (199, "c", ""),
        (199, "a", ""),
    ] {
        bench.hear(reply(&invite, status, tag, &[CONTACT], body));
    }
    assert_eq!(
        bench.told(),
        [
            "0 progress 183 sdp",
            "0 progress 183 sdp",
            "0 progress 180",
            "0 progress 183 sdp",
            "0 progress 183",
            "0 progress 199 sdp",
            "0 progress 199",
            "0 progress 183 sdp",
            "0 progress 199 sdp",
            "0 progress 199",
        ]
    );
    bench.hear(reply(&invite, 183, "d", &[CONTACT], OTHER));
    bench.hear(reply(&invite, 200, "d", &[CONTACT], ""));
    assert_eq!(bench.told(), ["0 progress 183 sdp", "0 answered sdp"]);
    for n in 0..1000 {
        bench.hear(reply(&invite, 183, &format!("t{n}"), &[CONTACT], SDP));
    }
    assert_eq!(bench.told(), [""; 0], "forks after the answer are nothing");
}

/// TXN-10: the owner's limit: CANCEL after a 1xx, none before; the end says that nobody answered.
#[test]
fn ring_limit() {
    for provisional in [true, false] {
        let mut bench = Bench::new();
        let session = bench.ua.new_session_id();
        let new = NewInvite { ring_limit: std::time::Duration::from_secs(20), ..new_call(session, udp(), Some(sdp())) };
        bench.tell(UaCommand::Invite(Box::new(new)));
        let invite = bench.last();
        if provisional {
            bench.hear(reply(&invite, 180, "bob", &[CONTACT], ""));
        }
        bench.told();
        bench.at(19_999).sent.clear();
        bench.at(20_000);
        if provisional {
            let cancel = bench.last();
            assert_eq!(name(&cancel), "CANCEL");
            assert_eq!(cancel.value(&Name::Reason).as_deref(), Some("Q.850;cause=19;text=\"No answer\""));
            bench.hear(reply(&cancel, 200, "bob", &[], ""));
            bench.hear(reply(&invite, 487, "bob", &[], ""));
            assert_eq!(bench.told(), ["20000 ended: failed 408"]);
        } else {
            assert_eq!(bench.log(), [""; 0]);
            bench.at(32_000);
            assert_eq!(bench.told(), ["32000 ended: failed 408"]);
        }
        bench.expect_empty();
    }
    let mut bench = Bench::new();
    let session = bench.ua.new_session_id();
    let new = NewInvite { ring_limit: std::time::Duration::from_secs(20), ..new_call(session, udp(), Some(sdp())) };
    bench.tell(UaCommand::Invite(Box::new(new)));
    let invite = bench.last();
    bench.hear(reply(&invite, 200, "bob", &[CONTACT], SDP));
    bench.log();
    bench.at(200_000);
    assert_eq!((bench.log(), bench.told()), (vec![], vec!["0 answered sdp".to_owned()]), "answered in time");
}

/// The owner hangs up while the next try waits: there is nothing to cancel, and nothing is sent.
#[test]
fn hangup_between_tries() {
    for flow in [udp(), tcp()] {
        let mut bench = Bench::over(flow);
        let session = bench.place(Some(SDP));
        let invite = bench.last();
        bench.hear(reply(&invite, 491, "bob", &[], ""));
        bench.log();
        bench.at(1_000);
        hangup(&mut bench, session);
        bench.at(10_000);
        assert_eq!((bench.log(), bench.told()), (vec![], vec!["1000 ended: local".to_owned()]));
        bench.expect_empty();
        let mut bench = Bench::over(flow);
        bench.place(Some(SDP));
        let invite = bench.last();
        bench.hear(reply(&invite, 491, "bob", &[], ""));
        bench.at(4_001);
        let again = bench.last();
        bench.hear(reply(&again, 200, "bob", &[CONTACT], SDP));
        assert_eq!(bench.told().len(), 1, "answered at the second try");
    }
}
