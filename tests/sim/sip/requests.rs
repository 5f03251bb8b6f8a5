//! Our requests outside of dialogs: REGISTER and OPTIONS with digest, over several flows, by UDP and TCP.

use crate::kit::*;
use voxtrunk::observe::pii::Pii;
use voxtrunk::sip::digest::Credentials;
use voxtrunk::sip::digest::server::{Denied, DigestServer};
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::{Message, Method};
use voxtrunk::sip::uri::Uri;
use voxtrunk::sip::user_agent::{NewRequest, RequestId, UaCommand, UaConfig, UaCounts, UaEvent};
use voxtrunk::sip::{Flow, Transport, TrunkId};

fn flow(host: u8) -> Flow {
    Flow { remote: addr(&format!("192.0.2.{host}:5060")), ..udp() }
}

fn register(flows: &[Flow]) -> NewRequest {
    NewRequest {
        id: RequestId(1),
        trunk: TRUNK,
        flows: flows.to_vec(),
        method: Method::Register,
        request_uri: Uri::parse("sip:example.com").expect("a URI"),
        from: "<sip:agent@example.com>".into(),
        to: "<sip:agent@example.com>".into(),
        call_id: Some("reg-1".into()),
        cseq: Some(10),
        headers: vec![(Name::Expires, "600".into())],
        body: None,
    }
}

fn credentials(password: &str) -> Credentials {
    Credentials { realm: None, user: "agent".into(), password: Pii(password.into()) }
}

fn bench(password: &str) -> Bench {
    let mut config = config();
    config.trunks[0].credentials = vec![credentials(password)];
    Bench::with(config, udp())
}

fn tell(bench: &mut Bench, request: NewRequest) {
    bench.tell(UaCommand::Request(Box::new(request)));
}

fn branch(message: &Message) -> String {
    message.top_via().expect("Via").expect("ok").branch.expect("a branch")
}
fn cseq(message: &Message) -> u32 {
    message.cseq().expect("CSeq").expect("ok").number
}
/// The remote host's last number and the method of what was sent.
fn tries(bench: &mut Bench) -> Vec<String> {
    let sent = bench.sent.drain(..);
    sent.map(|s| format!("{} {} {}", s.ms, s.flow.transport.via_token(), s.flow.remote.ip())).collect()
}

/// AUT-06: a REGISTER carries the trunk's Contact; one answer is told once.
#[test]
fn a_register() {
    let mut bench = bench("secret");
    tell(&mut bench, register(&[udp()]));
    let sent = bench.last();
    assert_eq!(sent.request_uri().expect("a URI").expect("ok").as_str(), "sip:example.com");
    assert_eq!(sent.value(&Name::Contact).as_deref(), Some("<sip:agent@192.0.2.10:5060>"));
    assert_eq!((cseq(&sent), sent.call_id().as_deref()), (10, Some("reg-1")));
    assert!(sent.from().expect("From").expect("ok").tag().is_some());
    assert!(sent.to().expect("To").expect("ok").tag().is_none());
    assert_eq!(bench.ua.counts().requests, 1);
    bench.hear(reply(&sent, 100, "", &[], ""));
    let ok = reply(&sent, 200, "x", &[], "");
    bench.at(10).hear(&ok);
    bench.at(20).hear(&ok);
    assert_eq!(bench.told(), ["10 response 1 200"]);
    bench.expect_empty();
}

/// AUT-03: a challenge is answered once, as a new request: new branch, CSeq + 1, same Call-ID and From-tag; a digest server of ours
/// takes it. AUT-02: it takes the trunk's password only.
#[test]
fn challenged() {
    for (password, end) in [("secret", "response 1 200"), ("wrong", "response 1 401")] {
        let mut bench = bench(password);
        let mut server = DigestServer::new([1; 32], "example.com");
        let (now, source) = (voxtrunk::net::clock::now(), udp().local.ip());
        tell(&mut bench, register(&[udp()]));
        for n in 0..3 {
            let Some(sent) = bench.sent.pop() else { break };
            let sent = sent.message;
            assert_eq!((cseq(&sent), sent.call_id().as_deref()), (10 + n, Some("reg-1")));
            match server.verify(now, source, &sent, &[credentials("secret")]) {
                Ok(user) => {
                    assert_eq!(user, 0);
                    bench.hear(reply(&sent, 200, "x", &[], ""));
                }
                Err(Denied::Challenge { stale }) => {
                    let challenge = server.challenge(now, source, stale);
                    let lines: Vec<_> = challenge.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                    bench.hear(reply(&sent, 401, "x", &lines, ""));
                }
                Err(Denied::LockedOut) => panic!("locked out"),
            }
        }
        assert_eq!(bench.told(), [format!("0 {end}")]);
        bench.expect_empty();
    }
}

/// AUT-03: a stale nonce is answered with the new one; the proxy's and the registrar's challenges both.
#[test]
fn stale_and_two_realms() {
    let mut bench = bench("secret");
    tell(&mut bench, register(&[udp()]));
    let mut branches = Vec::new();
    for (status, name, value) in [
        (407, "Proxy-Authenticate", r#"Digest realm="edge", nonce="e1", qop="auth""#),
        (401, "WWW-Authenticate", r#"Digest realm="core", nonce="c1", algorithm=SHA-256"#),
        (401, "WWW-Authenticate", r#"Digest realm="core", nonce="c2", algorithm=SHA-256, stale=true"#),
    ] {
        let sent = bench.last();
        branches.push(branch(&sent));
        bench.hear(reply(&sent, status, "x", &[(name, value)], ""));
    }
    let sent = bench.last();
    branches.push(branch(&sent));
    let proxy = sent.lines(&Name::ProxyAuthorization);
    let core = sent.lines(&Name::Authorization);
    assert_eq!((proxy.len(), core.len()), (1, 1));
    assert!(proxy[0].contains("nonce=\"e1\"") && proxy[0].contains("nc=00000003"), "{proxy:?}");
    assert!(core[0].contains("nonce=\"c2\"") && core[0].contains("uri=\"sip:example.com\""), "{core:?}");
    branches.dedup();
    assert_eq!((branches.len(), cseq(&sent)), (4, 13));
}

/// AUT-04: credentials are those of the request's own trunk and realm.
#[test]
fn credentials_of_other_trunks_stay() {
    let mut config = config();
    config.trunks[0].credentials = vec![credentials("secret")];
    config.trunks.push(trunk());
    config.trunks.push(trunk());
    config.trunks[2].credentials = vec![Credentials { realm: Some("core".into()), ..credentials("secret") }];
    for (trunk, realm, answered) in [(0, "x", true), (1, "x", false), (2, "x", false), (2, "core", true)] {
        let mut bench = Bench::with(UaConfig { ..config.clone() }, udp());
        tell(&mut bench, NewRequest { trunk: TrunkId(trunk), ..register(&[udp()]) });
        let sent = bench.last();
        let challenge = format!(r#"Digest realm="{realm}", nonce="n""#);
        bench.hear(reply(&sent, 401, "x", &[("WWW-Authenticate", &challenge)], ""));
        assert_eq!(bench.told().is_empty(), answered, "trunk {trunk}, realm {realm}");
        assert_eq!(bench.sent.len(), usize::from(answered));
    }
}

/// TRN-13, AUT-05: after a time-out, a transport error and a 503 the next flow is tried with a new branch; the last one's failure is told.
#[test]
fn next_flow() {
    let mut bench = bench("secret");
    tell(&mut bench, register(&[flow(21), flow(22), flow(23), flow(24)]));
    let first = bench.last();
    bench.at(31_999).sent.clear();
    bench.at(32_000);
    let second = bench.last();
    assert_ne!(branch(&first), branch(&second));
    assert!(cseq(&second) > cseq(&first));
    bench.broken(flow(22));
    let third = bench.last();
    bench.hear_on(flow(23), reply(&third, 503, "x", &[("Retry-After", "120")], ""));
    assert_eq!(tries(&mut bench), ["32000 UDP 192.0.2.24"]);
    bench.at(64_000);
    assert_eq!(bench.told(), ["64000 response 1 408"]);
    // A late answer to the first try changes nothing.
    bench.hear_on(flow(21), reply(&first, 200, "x", &[], ""));
    assert_eq!(bench.told(), [""; 0]);
    bench.sent.clear();
    // RFC 3261 section 21.5.4: who said 503 with Retry-After comes last until then.
    tell(&mut bench, register(&[flow(23), flow(24)]));
    assert_eq!(tries(&mut bench), ["64000 UDP 192.0.2.24"]);
    bench.at(152_001).sent.clear();
    tell(&mut bench, register(&[flow(23), flow(24)]));
    assert_eq!(tries(&mut bench), ["152001 UDP 192.0.2.23"]);
    bench.expect_empty();
}

/// TRN-13: challenges and flows together: another server's challenge is another challenge.
#[test]
fn challenged_by_each_server() {
    let mut bench = bench("secret");
    tell(&mut bench, register(&[flow(21), flow(22)]));
    let challenge = |n: u8| format!(r#"Digest realm="core", nonce="n{n}""#);
    let sent = bench.last();
    bench.hear_on(flow(21), reply(&sent, 401, "x", &[("WWW-Authenticate", &challenge(1))], ""));
    let sent = bench.last();
    bench.hear_on(flow(21), reply(&sent, 503, "x", &[], ""));
    let sent = bench.last();
    assert!(sent.lines(&Name::Authorization).is_empty(), "the first server's nonce is not for the second");
    bench.hear_on(flow(22), reply(&sent, 401, "x", &[("WWW-Authenticate", &challenge(2))], ""));
    let sent = bench.last();
    assert!(sent.lines(&Name::Authorization)[0].contains("n2"));
    bench.hear_on(flow(22), reply(&sent, 200, "x", &[], ""));
    assert_eq!(bench.told(), ["0 response 1 200"]);
}

/// TRN-12: more than 1300 bytes go by TCP where the trunk has it, with the Via and Contact of TCP, and by UDP when that fails;
/// never by TCP where it has none.
#[test]
fn long_requests() {
    let long = || NewRequest { headers: vec![(Name::Subject, "x".repeat(1300))], ..register(&[flow(21), flow(22)]) };
    let mut bench = bench("secret");
    tell(&mut bench, long());
    let sent = bench.last();
    assert_eq!(sent.top_via().expect("Via").expect("ok").transport, "TCP");
    assert_eq!(sent.value(&Name::Contact).as_deref(), Some("<sip:agent@192.0.2.10:5060;transport=tcp>"));
    let tcp = |host| Flow { transport: Transport::Tcp, ..flow(host) };
    bench.broken(tcp(21));
    assert_eq!(bench.last().top_via().expect("Via").expect("ok").transport, "UDP");
    bench.at(10).broken(flow(21));
    bench.at(20).broken(tcp(22));
    bench.at(30).broken(flow(22));
    assert_eq!(tries(&mut bench), ["10 TCP 192.0.2.22", "20 UDP 192.0.2.22"]);
    assert_eq!(bench.told(), ["30 response 1 503"]);
    bench.expect_empty();

    // A 503 of the host over TCP is not asked again over UDP.
    let mut bench = crate::requests::bench("secret");
    tell(&mut bench, long());
    let sent = bench.last();
    bench.hear_on(tcp(21), reply(&sent, 503, "x", &[], ""));
    assert_eq!(tries(&mut bench), ["0 TCP 192.0.2.22"]);

    let mut only_udp = config();
    only_udp.trunks[0].advertised.retain(|(transport, _)| *transport == Transport::Udp);
    let mut bench = Bench::with(only_udp, udp());
    tell(&mut bench, long());
    assert_eq!(tries(&mut bench), ["0 UDP 192.0.2.21"]);
    tell(&mut bench, register(&[Flow { transport: Transport::Tls, ..udp() }]));
    assert_eq!(
        bench.told(),
        ["0 response 1 503"],
        "TRN-07: a transport that the trunk has not is not replaced by another"
    );
}

/// AUT-07: what a registration got as Service-Route is the preloaded Route of other requests, and replaced by the next.
#[test]
fn service_route() {
    let mut bench = bench("secret");
    let options = || NewRequest { id: RequestId(2), method: Method::Options, ..register(&[udp()]) };
    let set = |bench: &mut Bench, routes: &[&str]| {
        let routes = routes.iter().map(|route| (*route).to_owned()).collect();
        bench.tell(UaCommand::ServiceRoute { trunk: TRUNK, routes });
    };
    set(&mut bench, &["<sip:a.example.com;lr>", "nonsense", "<sip:b.example.com;lr>"]);
    tell(&mut bench, options());
    assert_eq!(bench.last().values(&Name::Route), ["<sip:a.example.com;lr>", "<sip:b.example.com;lr>"]);
    tell(&mut bench, register(&[udp()]));
    assert!(bench.last().values(&Name::Route).is_empty());
    bench.place(Some(SDP));
    assert_eq!(bench.last().values(&Name::Route), ["<sip:a.example.com;lr>", "<sip:b.example.com;lr>"]);
    set(&mut bench, &["<sip:c.example.com;lr>"]);
    tell(&mut bench, options());
    assert_eq!(bench.last().values(&Name::Route), ["<sip:c.example.com;lr>"]);
    set(&mut bench, &[]);
    tell(&mut bench, options());
    assert!(bench.last().values(&Name::Route).is_empty());
}

/// TXN-12: any number of requests ends, each once, and more than the cap at once.
#[test]
fn many_requests() {
    let mut bench = bench("secret");
    for n in 0..1100 {
        tell(&mut bench, NewRequest { id: RequestId(n), ..register(&[flow(21), flow(22)]) });
    }
    assert_eq!(bench.told().len(), 76, "beyond the cap");
    assert_eq!(bench.ua.counts().requests, 1024);
    bench.after(70_000);
    let ended = bench.events.iter().filter(|(_, event)| matches!(event, UaEvent::Response { status: 408, .. })).count();
    assert_eq!((ended, bench.ua.counts()), (1024, UaCounts::default()));
}
