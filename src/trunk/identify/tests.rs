use super::super::testing::{invite, request};
use super::super::{DigestUser, Identify, Registration};
use super::*;
use crate::observe::pii::Pii;
use crate::sip::digest::Credentials;
use crate::sip::uri::Uri;
use std::net::SocketAddr;
use std::time::Duration;

fn flow(transport: Transport, remote: &str) -> Flow {
    let remote: SocketAddr = remote.parse().expect(remote);
    Flow { transport, local: "192.0.2.10:5060".parse().expect("an address"), remote, conn: 0 }
}

fn facts(transport: Transport, remote: &str) -> Facts<'static> {
    Facts { flow: flow(transport, remote), certificate_names: &[], opened_for: None }
}

fn trunk(name: &str, sources: &[&str]) -> Trunk {
    let sources = sources.iter().map(|text| Network::parse(text).expect(text)).collect();
    Trunk { identify: Identify { sources, ..Identify::default() }, ..Trunk::new(name) }
}

fn registering(name: &str, target: &str) -> Trunk {
    let registration = Registration {
        aor: Uri::parse("sip:4930123@example.com").expect("a URI"),
        expires: Duration::from_secs(600),
        keepalive: true,
    };
    let targets = vec![Uri::parse(target).expect(target)];
    Trunk { kind: TrunkKind::Register(Box::new(registration)), targets, ..Trunk::new(name) }
}

fn by_digest(name: &str) -> Trunk {
    let credentials = Credentials { realm: None, user: "u".into(), password: Pii("p".into()) };
    let user = Some(DigestUser { realm: "voxtrunk".into(), credentials });
    Trunk { identify: Identify { user, ..Identify::default() }, ..Trunk::new(name) }
}

fn is(id: u16) -> Verdict {
    Verdict::Trunk(TrunkId(id))
}

/// AUT-01: address, network, port and transport, in the shapes of Asterisk's identify tests (match by ip, by subnet, by port, the
/// first of several, none).
#[test]
fn a_request_is_of_exactly_one_trunk() {
    let mut by_port = trunk("by-port", &["192.0.2.20"]);
    by_port.identify.ports = vec![5080];
    let mut by_tcp = trunk("by-tcp", &["192.0.2.20"]);
    by_tcp.transports = vec![Transport::Tcp];
    let trunks = [
        by_port,
        by_tcp,
        trunk("one-address", &["192.0.2.20"]),
        trunk("network", &["198.51.100.0/24", "2001:db8::/64"]),
        trunk("wider", &["198.51.0.0/16"]),
    ];
    let rules = Identifier::new(&trunks, &[]);
    let call = invite("sip:100@192.0.2.10", &[]);
    let rows = [
        (Transport::Udp, "192.0.2.20:5080", is(0)),
        (Transport::Tcp, "192.0.2.20:5080", is(0)),
        (Transport::Tcp, "192.0.2.20:40000", is(1)),
        (Transport::Udp, "192.0.2.20:40000", is(2)),
        (Transport::Udp, "[::ffff:192.0.2.20]:5060", is(2)),
        (Transport::Udp, "198.51.100.7:5060", is(3)),
        (Transport::Udp, "[2001:db8::7]:5060", is(3)),
        (Transport::Udp, "198.51.99.7:5060", is(4)),
        (Transport::Udp, "203.0.113.1:5060", Verdict::Unknown),
        // No trunk may use TLS: nothing of it is anybody's (no downgrade the other way round).
        (Transport::Tls, "192.0.2.20:5061", Verdict::Unknown),
    ];
    for (transport, remote, verdict) in rows {
        assert_eq!(rules.identify(&facts(transport, remote), &call), verdict, "{transport:?} {remote}");
        let ip = remote.parse::<SocketAddr>().expect(remote).ip();
        assert_eq!(rules.may_speak(transport, ip), verdict != Verdict::Unknown, "{transport:?} {remote}");
    }
}

/// AUT-01: a name of the verified certificate, in any case; never by another transport, never by part of a name.
#[test]
fn certificates_name_trunks() {
    let mut secure = trunk("secure", &[]);
    secure.transports = vec![Transport::Tls];
    secure.identify.certificate_names = vec!["pbx.example.com".into()];
    let rules = Identifier::new(&[secure], &[]);
    let call = invite("sip:100@192.0.2.10", &[]);
    let verdict = |transport, names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        rules.identify(
            &Facts { flow: flow(transport, "203.0.113.9:5061"), certificate_names: &names, opened_for: None },
            &call,
        )
    };
    assert_eq!(verdict(Transport::Tls, &["x.example.com", "PBX.Example.Com"]), is(0));
    for names in [&["example.com"][..], &["evil-pbx.example.com"], &["*.example.com"], &[]] {
        assert_eq!(verdict(Transport::Tls, names), Verdict::Unknown, "{names:?}");
    }
    assert_eq!(verdict(Transport::Tcp, &["pbx.example.com"]), Verdict::Unknown);
    let anywhere = "203.0.113.9".parse().expect("an address");
    assert!(rules.may_speak(Transport::Tls, anywhere) && !rules.may_speak(Transport::Udp, anywhere));
}

/// AUT-06: the user of our Contact tells two registrations with one carrier apart; a stranger who knows it is still a stranger.
#[test]
fn contact_users_tell_registrations_apart() {
    let trunks = [registering("first", "sip:192.0.2.30"), registering("second", "sip:192.0.2.30")];
    let rules = Identifier::new(&trunks, &["c1a7".into(), "c2b8".into()]);
    let from = |remote| facts(Transport::Udp, remote);
    assert_eq!(rules.identify(&from("192.0.2.30:5060"), &invite("sip:c2b8@192.0.2.10", &[])), is(1));
    assert_eq!(rules.identify(&from("192.0.2.30:5060"), &invite("sip:c1a7@192.0.2.10;rinstance=1", &[])), is(0));
    // The number instead of our Contact: the order decides.
    assert_eq!(rules.identify(&from("192.0.2.30:5060"), &invite("sip:+4930123@192.0.2.10", &[])), is(0));
    assert_eq!(rules.identify(&from("203.0.113.1:5060"), &invite("sip:c2b8@192.0.2.10", &[])), Verdict::Unknown);
}

/// AUT-01: what comes by the connection that a registration opened is the carrier's; targets by name count once they resolve.
#[test]
fn registered_flows_and_resolved_targets() {
    let trunks = [registering("first", "sip:sip.example.com"), registering("second", "sip:sip.example.com")];
    let mut rules = Identifier::new(&trunks, &["c1a7".into(), "c2b8".into()]);
    let call = invite("sip:+4930123@192.0.2.10", &[]);
    let stranger = facts(Transport::Tcp, "192.0.2.31:5060");
    assert_eq!(rules.identify(&stranger, &call), Verdict::Unknown);
    let opened = Facts { opened_for: Some(TrunkId(1)), ..stranger };
    assert_eq!(rules.identify(&opened, &call), is(1));
    assert_eq!(
        rules.identify(&opened, &invite("sip:c1a7@192.0.2.10", &[])),
        is(0),
        "one connection, two registrations"
    );
    assert_eq!(rules.identify(&Facts { opened_for: Some(TrunkId(9)), ..stranger }, &call), Verdict::Unknown);

    rules.learn(TrunkId(1), ["192.0.2.31".parse().expect("an address")]);
    rules.learn(TrunkId(9), ["192.0.2.99".parse().expect("an address")]);
    assert_eq!(rules.identify(&stranger, &call), is(1));
    rules.learn(TrunkId(1), []);
    assert_eq!(rules.identify(&stranger, &call), Verdict::Unknown);
}

/// AUT-01: a digest user admits from elsewhere, after everything else; what cannot be challenged is nobody's.
#[test]
fn digest_users_are_asked_last() {
    let trunks = [by_digest("roaming"), trunk("pbx", &["192.0.2.20"]), by_digest("other")];
    let rules = Identifier::new(&trunks, &[]);
    let call = invite("sip:100@192.0.2.10", &[]);
    assert_eq!(rules.identify(&facts(Transport::Udp, "192.0.2.20:5060"), &call), is(1));
    let elsewhere = facts(Transport::Udp, "203.0.113.1:5060");
    assert_eq!(rules.identify(&elsewhere, &call), Verdict::Challenge(vec![TrunkId(0), TrunkId(2)]));
    assert!(rules.may_speak(Transport::Udp, "203.0.113.1".parse().expect("an address")));
    let in_dialog = request("BYE", "sip:100@192.0.2.10", &["To: <sip:100@192.0.2.10>;tag=b2"]);
    for message in [request("ACK", "sip:100@192.0.2.10", &[]), request("CANCEL", "sip:100@192.0.2.10", &[]), in_dialog]
    {
        assert_eq!(rules.identify(&elsewhere, &message), Verdict::Unknown, "{}", message.method());
    }
}

/// A1: whether a number exists decides nothing: the verdict is the same whoever is dialled, and by any method.
#[test]
fn the_dialled_number_decides_nothing() {
    let rules = Identifier::new(
        &[trunk("pbx", &["192.0.2.20"]), registering("carrier", "sip:192.0.2.30")],
        &["voxtrunk".into(), "c1a7".into()],
    );
    for method in ["INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE"] {
        for uri in
            ["sip:100@192.0.2.10", "sip:999@192.0.2.10", "sip:192.0.2.10", "sip:c1a7@192.0.2.10", "tel:+1", "x:y"]
        {
            let verdict = rules.identify(&facts(Transport::Udp, "203.0.113.1:5060"), &request(method, uri, &[]));
            assert_eq!(verdict, Verdict::Unknown, "{method} {uri}");
        }
    }
}
