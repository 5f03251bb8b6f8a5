//! RFC 3263 against scripted zones in virtual time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use voxtrunk::sip::Transport::{self, Tcp, Tls, Udp};
use voxtrunk::sip::resolve::{Answer, DnsFailure, Hop, Query, Record, ResolveError, Resolver, Step};
use voxtrunk::sip::uri::Uri;

/// A name server that is a table. What is not in it does not exist; `down`: nothing is answered.
struct Dns {
    resolver: Resolver,
    now: Instant,
    zone: HashMap<Query, Vec<Record>>,
    ttl: u64,
    down: bool,
    asked: Vec<String>,
}

impl Dns {
    fn new(seed: u64) -> Dns {
        let now = voxtrunk::net::clock::now();
        Dns { resolver: Resolver::new(seed), now, zone: HashMap::new(), ttl: 60, down: false, asked: Vec::new() }
    }
    fn naptr(mut self, name: &str, records: &[(u16, u16, &str, &str)]) -> Dns {
        let record = |&(order, preference, service, replacement): &(u16, u16, &str, &str)| Record::Naptr {
            order,
            preference,
            flags: "S".into(),
            service: service.into(),
            replacement: replacement.into(),
        };
        self.zone.insert(Query::Naptr(name.into()), records.iter().map(record).collect());
        self
    }
    fn srv(mut self, name: &str, records: &[(u16, u16, u16, &str)]) -> Dns {
        let record = |&(priority, weight, port, target): &(u16, u16, u16, &str)| Record::Srv {
            priority,
            weight,
            port,
            target: target.into(),
        };
        self.zone.insert(Query::Srv(name.into()), records.iter().map(record).collect());
        self
    }
    fn host(mut self, name: &str, ips: &[&str]) -> Dns {
        let record = |ip: &&str| Record::Address(ip.parse().expect("an address"));
        self.zone.insert(Query::Address(name.into()), ips.iter().map(record).collect());
        self
    }
    fn later(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
    }

    /// The whole lookup; each round of questions takes `secs_a_round`.
    fn slow(&mut self, uri: &str, transports: &[Transport], secs_a_round: u64) -> Result<Vec<Hop>, ResolveError> {
        let uri = Uri::parse(uri).expect("a URI");
        let mut lookup = self.resolver.start(self.now, &uri, transports)?;
        for _ in 0..4 {
            match self.resolver.step(self.now, &mut lookup) {
                Step::Ask(queries) => {
                    assert!(!queries.is_empty());
                    self.later(secs_a_round);
                    for query in queries {
                        self.asked.push(format!("{query:?}"));
                        let records = self.zone.get(&query).cloned().unwrap_or_default();
                        let answer = Answer { records, ttl: Duration::from_secs(self.ttl) };
                        let result = if self.down { Err(DnsFailure("timed out".into())) } else { Ok(answer) };
                        self.resolver.answer(self.now, query, result);
                    }
                }
                Step::Done { hops, .. } => return Ok(hops),
                Step::Failed(error) => return Err(error),
            }
        }
        panic!("a lookup without end");
    }
    fn hops(&mut self, uri: &str, transports: &[Transport]) -> Vec<String> {
        let hops = self.slow(uri, transports, 0).unwrap_or_else(|e| panic!("{uri}: {e}"));
        hops.iter().map(|hop| format!("{} {}", hop.transport.via_token(), hop.addr)).collect()
    }
    fn error(&mut self, uri: &str, transports: &[Transport]) -> ResolveError {
        self.slow(uri, transports, 0).expect_err("an error")
    }
    fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }
}

const ALL: [Transport; 3] = [Udp, Tcp, Tls];

/// TRN-13: an address, a port or a transport in the URI skip the steps that they decide (RFC 3263 §4.1, §4.2).
#[test]
fn explicit_parts_skip_steps() {
    let mut dns = Dns::new(1).host("pbx.example.com", &["192.0.2.1", "2001:db8::1"]);
    let rows: [(&str, &[&str], &[&str]); 10] = [
        ("sip:192.0.2.9", &["UDP 192.0.2.9:5060"], &[]),
        ("sip:[2001:db8::9]:5070;transport=TCP", &["TCP [2001:db8::9]:5070"], &[]),
        ("sip:192.0.2.9;transport=tls", &["TLS 192.0.2.9:5061"], &[]),
        ("sips:192.0.2.9", &["TLS 192.0.2.9:5061"], &[]),
        ("sips:192.0.2.9:5071;transport=tcp", &["TLS 192.0.2.9:5071"], &[]),
        (
            "sip:PBX.example.com.:5080",
            &["UDP 192.0.2.1:5080", "UDP [2001:db8::1]:5080"],
            &["Address(\"pbx.example.com\")"],
        ),
        ("sip:pbx.example.com:5080;transport=tcp", &["TCP 192.0.2.1:5080", "TCP [2001:db8::1]:5080"], &[]),
        (
            "sip:pbx.example.com;transport=tcp",
            &["TCP 192.0.2.1:5060", "TCP [2001:db8::1]:5060"],
            &["Srv(\"_sip._tcp.pbx.example.com\")"],
        ),
        (
            "sips:pbx.example.com",
            &["TLS 192.0.2.1:5061", "TLS [2001:db8::1]:5061"],
            &["Srv(\"_sips._tcp.pbx.example.com\")"],
        ),
        ("sip:x@example.com;maddr=192.0.2.7", &["UDP 192.0.2.7:5060"], &[]),
    ];
    for (uri, hops, asked) in rows {
        assert_eq!(dns.hops(uri, &ALL), hops, "{uri}");
        assert_eq!(dns.asked(), asked, "{uri}");
    }
}

/// TRN-13: NAPTR goes before SRV before A; order and preference; services that we do not have are passed over.
#[test]
fn naptr_then_srv_then_addresses() {
    let zone = || {
        Dns::new(1)
            .naptr(
                "example.com",
                &[
                    (100, 10, "SIP+D2T", "_sip._tcp.edge.example.net"),
                    (50, 50, "SIPS+D2T", "_sips._tcp.example.com"),
                    (50, 60, "sip+d2u", "_sip._udp.example.com."),
                    (10, 10, "SIP+D2S", "_sip._sctp.example.com"),
                    (10, 10, "E2U+sip", "x.example.com"),
                ],
            )
            .srv("_sips._tcp.example.com", &[(0, 0, 5061, "tls.example.com")])
            .srv("_sip._udp.example.com", &[(0, 0, 5062, "udp.example.com")])
            .srv("_sip._tcp.edge.example.net", &[(0, 0, 5063, "tcp.example.com")])
            .srv("_sip._tcp.example.com", &[(0, 0, 5064, "other.example.com")])
            .host("tls.example.com", &["192.0.2.1"])
            .host("udp.example.com", &["192.0.2.2"])
            .host("tcp.example.com", &["192.0.2.3"])
            .host("example.com", &["192.0.2.4"])
    };
    assert_eq!(zone().hops("sip:example.com", &ALL), ["TLS 192.0.2.1:5061", "UDP 192.0.2.2:5062"]);
    assert_eq!(zone().hops("sip:example.com", &[Tcp]), ["TCP 192.0.2.3:5063"]);
    assert_eq!(zone().hops("sips:example.com", &ALL), ["TLS 192.0.2.1:5061"]);
    let mut dns = zone();
    assert_eq!(dns.hops("sip:example.com;transport=udp", &ALL), ["UDP 192.0.2.2:5062"]);
    assert_eq!(
        dns.asked(),
        ["Srv(\"_sip._udp.example.com\")", "Address(\"udp.example.com\")"],
        "a transport makes NAPTR needless"
    );
    // Without NAPTR: the SRV sets of the transports in their order; without SRV: the name itself.
    let mut dns = zone().naptr("example.com", &[]);
    let hops = dns.hops("sip:example.com", &[Tcp, Udp]);
    assert_eq!(hops, ["UDP 192.0.2.2:5062"], "the TCP target has no address");
    let mut dns = Dns::new(1).host("example.com", &["192.0.2.4"]);
    assert_eq!(dns.hops("sip:example.com", &[Tcp, Udp]), ["TCP 192.0.2.4:5060"]);
    assert_eq!(dns.asked().len(), 4, "NAPTR, two SRV, one address");
}

/// TRN-13: SRV by priority, within one at random by weight; a target `.` is none.
#[test]
fn priorities_and_weights() {
    let mut first = HashMap::new();
    for seed in 0..1000 {
        let mut dns = Dns::new(seed)
            .srv(
                "_sip._udp.example.com",
                &[(20, 0, 5060, "c.example.com"), (10, 70, 5060, "a.example.com"), (10, 30, 5060, "b.example.com")],
            )
            .host("a.example.com", &["192.0.2.1"])
            .host("b.example.com", &["192.0.2.2"])
            .host("c.example.com", &["192.0.2.3"]);
        let hops = dns.hops("sip:example.com;transport=udp", &ALL);
        assert_eq!(hops[2], "UDP 192.0.2.3:5060", "the second priority comes last");
        *first.entry(hops[0].clone()).or_insert(0) += 1;
    }
    let a = first["UDP 192.0.2.1:5060"];
    assert!((650..750).contains(&a) && first.len() == 2, "70 of 100 go to a: {first:?}");
    let mut dns = Dns::new(1).srv("_sip._udp.example.com", &[(0, 0, 5060, ".")]).host("example.com", &["192.0.2.4"]);
    assert_eq!(dns.hops("sip:example.com;transport=udp", &ALL), ["UDP 192.0.2.4:5060"]);
}

/// TRN-07: `sips:` and `transport=tls` give TLS or nothing, whatever DNS says, and the certificate's name is the configured one.
#[test]
fn secure_targets_stay_secure() {
    let zone = || {
        Dns::new(1)
            .naptr(
                "example.com",
                &[(1, 1, "SIP+D2U", "_sip._udp.example.com"), (1, 2, "SIP+D2T", "_sip._tcp.example.com")],
            )
            .srv("_sip._udp.example.com", &[(0, 0, 5060, "evil.example.net")])
            .srv("_sip._tcp.example.com", &[(0, 0, 5060, "evil.example.net")])
            .srv("_sips._tcp.example.com", &[(0, 0, 5061, "evil.example.net")])
            .host("evil.example.net", &["198.51.100.1"])
    };
    for uri in ["sips:example.com", "sip:example.com;transport=tls", "sips:example.com;transport=tls"] {
        assert_eq!(zone().hops(uri, &ALL), ["TLS 198.51.100.1:5061"], "{uri}");
        let error = zone().error(uri, &[Udp, Tcp]);
        assert_eq!(error, ResolveError::NoTransport(uri.into()));
        assert!(error.to_string().contains("add it to the trunk's transports"));
        let hops = zone().slow(uri, &ALL, 0).expect("hops");
        assert_eq!(hops[0].name, "example.com");
    }
    assert!(matches!(zone().error("sips:example.com;transport=udp", &ALL), ResolveError::NoTransport(_)));
    assert_eq!(zone().hops("sip:example.com", &[Tls]), ["TLS 198.51.100.1:5061"], "a trunk with TLS only");
}

/// TRN-13: answers are used for their TTL and not longer; a TTL of 0 is good for the lookup that asked.
#[test]
fn ttl_is_obeyed() {
    let mut dns = Dns::new(1).host("example.com", &["192.0.2.1"]);
    assert_eq!(dns.hops("sip:example.com:5060", &ALL), ["UDP 192.0.2.1:5060"]);
    dns = dns.host("example.com", &["192.0.2.2"]);
    dns.later(59);
    assert_eq!(dns.hops("sip:example.com:5060", &ALL), ["UDP 192.0.2.1:5060"]);
    assert_eq!(dns.asked().len(), 1);
    dns.later(1);
    assert_eq!(dns.hops("sip:example.com:5060", &ALL), ["UDP 192.0.2.2:5060"]);
    dns.ttl = 0;
    dns = dns.srv("_sip._udp.a.example.com", &[(0, 0, 5060, "b.example.com")]).host("b.example.com", &["192.0.2.3"]);
    let hops = dns.slow("sip:a.example.com", &[Udp], 2).expect("hops though every answer is old when the next comes");
    assert_eq!(hops[0].addr.ip(), "192.0.2.3".parse::<IpAddr>().expect("an address"));
}

/// TRN-13: the last good addresses are kept when DNS fails; nothing at all is an error that says what to do.
#[test]
fn last_good_answer() {
    let mut dns = Dns::new(1)
        .srv("_sip._udp.example.com", &[(0, 0, 5062, "a.example.com")])
        .host("a.example.com", &["192.0.2.1"]);
    assert_eq!(dns.hops("sip:example.com", &[Udp]), ["UDP 192.0.2.1:5062"]);
    dns.down = true;
    for _ in 0..3 {
        dns.later(3600);
        assert_eq!(dns.hops("sip:example.com", &[Udp]), ["UDP 192.0.2.1:5062"]);
    }
    dns.asked();
    dns.later(29);
    dns.hops("sip:example.com", &[Udp]);
    assert_eq!(dns.asked(), ["Naptr(\"example.com\")"], "what is in use is not asked for each time");
    let error = dns.error("sip:never.example.com", &[Udp]);
    assert_eq!(error, ResolveError::Dns("never.example.com".into(), DnsFailure("timed out".into())));
    dns.down = false;
    dns.later(6);
    assert_eq!(dns.error("sip:never.example.com", &[Udp]), ResolveError::NoAddress("never.example.com".into()));
    // A name that is gone is gone: that is an answer.
    dns.zone.clear();
    dns.later(3600);
    assert_eq!(dns.error("sip:example.com", &[Udp]), ResolveError::NoAddress("example.com".into()));
}

/// A25: SRV and address bombs end in a few questions and hops; names that are none are not asked for; addresses that no host
/// has are left out.
#[test]
fn bombs_and_tricks() {
    let names: Vec<String> = (0..1000).map(|n| format!("h{n}.example.com")).collect();
    let records: Vec<_> = names.iter().enumerate().map(|(n, name)| (n as u16 % 3, 1, 5060, name.as_str())).collect();
    let ips: Vec<String> = (1..250).map(|n| format!("192.0.2.{n}")).collect();
    let ips: Vec<&str> = ips.iter().map(String::as_str).collect();
    let mut dns = Dns::new(1);
    for service in ["_sip._udp", "_sip._tcp", "_sips._tcp"] {
        dns = dns.srv(&format!("{service}.example.com"), &records);
    }
    for name in &names {
        dns = dns.host(name, &ips);
    }
    assert_eq!(dns.hops("sip:example.com", &ALL).len(), 16);
    assert!(dns.asked().len() <= 24);
    let long = format!("{}.example.com", "x".repeat(64));
    let mut dns = Dns::new(1)
        .srv(
            "_sip._udp.example.com",
            &[
                (0, 0, 5060, "bad name.example.com"),
                (0, 0, 5060, &long),
                (0, 0, 0, "a.example.com"),
                (0, 0, 5060, "198.51.100.9"),
                (0, 0, 5060, "A.Example.Com."),
            ],
        )
        .host("a.example.com", &["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "192.0.2.1"]);
    let mut hops = dns.hops("sip:example.com;transport=udp", &ALL);
    hops.sort();
    assert_eq!(hops, ["UDP 192.0.2.1:5060", "UDP 198.51.100.9:5060"]);
    for uri in [format!("sip:{long}"), "sip:a..b".into(), "tel:+4930123".into()] {
        assert_eq!(dns.error(&uri, &ALL), ResolveError::NoHost(uri.clone()));
    }
    // An answer of another kind than was asked for is none.
    let mut dns = Dns::new(1);
    dns.zone.insert(
        Query::Address("example.com".into()),
        vec![Record::Srv { priority: 0, weight: 0, port: 1, target: "x".into() }],
    );
    assert!(matches!(dns.error("sip:example.com:5060", &ALL), ResolveError::NoAddress(_)));
}
