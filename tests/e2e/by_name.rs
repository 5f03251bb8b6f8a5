//! `voxtrunk call` as a library: the phone finds the server by DNS, and calls it by TLS, or not at all.

use crate::certificates::{Authority, SERVER_NAME};
use crate::world::{PATIENCE, World, own_ip, plan};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::timeout;
use voxtrunk::config::settings::Network;
use voxtrunk::observe::pii::Pii;
use voxtrunk::phone::{CallOptions, Report, Step, place_call};
use voxtrunk::sip::Transport;
use voxtrunk::sip::digest::Credentials;
use voxtrunk::sip::uri::Uri;
use voxtrunk::trunk::{DigestUser, Identify, OptionsPolicy, TlsPolicy, Trunk};

fn name(text: &str) -> Name {
    Name::from_utf8(text).unwrap()
}

/// A DNS server that says of `sip.example.com`: TLS at `tls`, found by NAPTR and SRV.
async fn dns(tls: SocketAddr) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let IpAddr::V4(ip) = tls.ip() else { unreachable!("own_ip is IPv4") };
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let request = Message::from_vec(&buffer[..length]).unwrap();
            let query = request.queries[0].clone();
            let asked = query.name().clone();
            let found = match (asked.to_ascii().to_ascii_lowercase().trim_end_matches('.'), query.query_type()) {
                (SERVER_NAME, RecordType::NAPTR) => {
                    let [flags, service] = [b"s".to_vec(), b"SIPS+D2T".to_vec()].map(Vec::into_boxed_slice);
                    let to = name("_sips._tcp.example.com.");
                    Some(RData::NAPTR(NAPTR::new(1, 1, flags, service, Box::default(), to)))
                }
                ("_sips._tcp.example.com" | "_sips._tcp.sip.example.com", RecordType::SRV) => {
                    Some(RData::SRV(SRV::new(1, 1, tls.port(), name("sbc7.example.net."))))
                }
                ("sbc7.example.net", RecordType::A) => Some(RData::A(A(ip))),
                _ => None,
            };
            let mut response = Message::response(request.metadata.id, request.metadata.op_code);
            response.add_query(query);
            match found {
                Some(data) => drop(response.add_answer(Record::from_rdata(asked, 60, data))),
                None => response.metadata.response_code = ResponseCode::NXDomain,
            }
            socket.send_to(&response.to_vec().unwrap(), from).await.unwrap();
        }
    });
    at
}

async fn call(target: String, tls: TlsPolicy, dns_server: Option<SocketAddr>) -> Result<Report, String> {
    let wait = Step::AwaitAgentSilence { ms: 300, timeout: Duration::from_secs(10) };
    let hangup_after = Some(Duration::from_secs(2));
    let options = CallOptions { tls, dns_server, steps: vec![wait], hangup_after, ..CallOptions::new(target) };
    place_call(options, std::future::pending(), |_| {}).await.map(|(report, _)| report)
}

async fn world(authority: &Authority) -> World {
    World::new(vec![plan("1000", "")], |s| {
        s.sip.peers = vec![Network::parse("127.0.0.0/8").unwrap()];
        authority.listen(s);
    })
    .await
}

/// TRN-13, TRN-07: the phone asks NAPTR, SRV and A, and checks the certificate for the name that was dialled, which is neither the
/// SRV target nor the address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_phone_finds_the_server_by_name() {
    let authority = Authority::new();
    let world = world(&authority).await;
    let dns = dns(world.sip_tls()).await;
    let policy = TlsPolicy { ca_file: Some(authority.ca.clone()), ..TlsPolicy::default() };
    for target in [format!("sip:1000@{SERVER_NAME}"), format!("sip:1000@{SERVER_NAME};transport=tls")] {
        let report = call(target, policy.clone(), Some(dns)).await.unwrap();
        assert!(report.answered_ms.is_some() && report.trouble.is_none(), "{report:?}");
    }
    let why = call("sip:1000@nowhere.example.com".into(), policy, Some(dns)).await.unwrap_err();
    assert!(why.contains("nowhere.example.com") && why.contains("DNS"), "{why}");
    assert_eq!(world.stop().await.len(), 2);
}

/// TRN-07: a name or authority that is wrong ends the call before it begins, with what to do; the name can be given apart from the
/// address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_phone_calls_nobody_else() {
    let authority = Authority::new();
    let world = world(&authority).await;
    let target = format!("sip:1000@{};transport=tls", world.sip_tls());
    let policy = TlsPolicy { ca_file: Some(authority.ca.clone()), ..TlsPolicy::default() };
    let named = TlsPolicy { server_name: Some(SERVER_NAME.into()), ..policy.clone() };
    let report = call(target.clone(), named.clone(), None).await.unwrap();
    assert!(report.answered_ms.is_some(), "{report:?}");
    let other = TlsPolicy { server_name: Some("other.example.com".into()), ..policy.clone() };
    let strange = TlsPolicy { ca_file: Some(Authority::new().ca.clone()), ..named.clone() };
    for (policy, advice) in [(policy, "server_name"), (other, "server_name"), (strange, "ca_file")] {
        let why = call(target.clone(), policy, None).await.unwrap_err();
        assert!(why.contains(advice), "{why}");
    }
    let plain = format!("sip:1000@{};transport=tls", world.sip());
    assert!(call(plain, named, None).await.is_err(), "the plain port has no TLS");
    assert_eq!(world.stop().await.len(), 1);
}

/// AUT-02, AUT-03: a trunk that is known by a password: the phone that has it gets through, another does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_phone_proves_its_user() {
    let credentials =
        |password: &str| Credentials { realm: None, user: "alice".into(), password: Pii(password.into()) };
    let world = World::new(vec![plan("1000", "")], |s| {
        s.sip.peers = vec![Network::from(own_ip())];
        let user = DigestUser { realm: "voxtrunk".into(), credentials: credentials("open sesame") };
        let identify = Identify { user: Some(user), ..Identify::default() };
        s.trunks = vec![Trunk { identify, ..Trunk::new("roaming") }];
    })
    .await;
    let target = format!("sip:1000@{}", world.sip());
    for (password, answered) in [("open sesame", true), ("sesame", false)] {
        let options = CallOptions {
            credentials: Some(credentials(password)),
            hangup_after: Some(Duration::from_secs(1)),
            ..CallOptions::new(target.clone())
        };
        let (report, _) = place_call(options, std::future::pending(), |_| {}).await.unwrap();
        assert_eq!(report.answered_ms.is_some(), answered, "{report:?}");
        assert!(answered || report.sip_status == 401, "{report:?}");
    }
    world.stop().await;
}

/// TRN-07, DLG-12: a trunk whose target is a name with TLS: the server finds it by DNS, sends the name as SNI, checks it, and only
/// then asks by OPTIONS. A peer with a certificate for another name hears nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_asks_a_target_by_tls() {
    let authority = Authority::new();
    for (certificate, asked) in [(SERVER_NAME, true), ("other.example.com", false)] {
        let peer = TcpListener::bind((own_ip(), 0)).await.unwrap();
        let dns = dns(peer.local_addr().unwrap()).await;
        let world = World::new(vec![plan("1000", "")], |s| {
            s.sip.dns_server = Some(dns);
            let options = OptionsPolicy { every: Some(Duration::from_secs(1)), ..OptionsPolicy::default() };
            s.trunks = vec![Trunk {
                targets: vec![Uri::parse(&format!("sip:{SERVER_NAME};transport=tls")).unwrap()],
                transports: vec![Transport::Tls],
                tls: TlsPolicy { ca_file: Some(authority.ca.clone()), ..TlsPolicy::default() },
                options,
                ..Trunk::new("carrier")
            }];
        })
        .await;
        let acceptor = authority.acceptor(certificate);
        let heard = async {
            let (stream, _) = peer.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.ok()?;
            assert_eq!(stream.get_ref().1.server_name(), Some(SERVER_NAME), "SNI");
            let mut first = [0; 12];
            stream.read_exact(&mut first).await.ok()?;
            Some(first)
        };
        let heard = timeout(PATIENCE, heard).await.expect("the server connects in time");
        assert_eq!(heard.as_ref().map(|first| first.starts_with(b"OPTIONS sip:")), asked.then_some(true), "{heard:?}");
        world.stop().await;
    }
}
