//! The door against a small scripted DNS server on loopback.

use super::*;
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::Record as Entry;
use hickory_resolver::proto::rr::rdata::{A, AAAA, NAPTR, SRV};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Answers by `zone`, until the test ends: `None` keeps silent.
fn server(zone: impl Fn(&str, RecordType) -> Option<Result<Vec<RData>, ResponseCode>> + Send + 'static) -> SocketAddr {
    let socket = crate::net::listen::bind_udp("127.0.0.1:0".parse().unwrap(), None).unwrap();
    socket.set_nonblocking(false).unwrap();
    let addr = socket.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the DNS server of a test")]
    std::thread::spawn(move || serve(&socket, zone));
    addr
}

fn serve(socket: &UdpSocket, zone: impl Fn(&str, RecordType) -> Option<Result<Vec<RData>, ResponseCode>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let request = Message::from_vec(&buffer[..length]).unwrap();
        let query = request.queries[0].clone();
        let name = query.name().clone();
        let Some(found) = zone(&text(&name), query.query_type()) else { continue };
        let mut response = Message::response(request.metadata.id, request.metadata.op_code);
        response.add_query(query);
        match found {
            Ok(records) => {
                for (n, data) in records.into_iter().enumerate() {
                    response.add_answer(Entry::from_rdata(name.clone(), 300 - n as u32, data));
                }
            }
            Err(code) => response.metadata.response_code = code,
        }
        socket.send_to(&response.to_vec().unwrap(), from).unwrap();
    }
}

fn name(text: &str) -> Name {
    Name::from_utf8(text).unwrap()
}

const FOUR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const SIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

fn zone(asked: &str, kind: RecordType) -> Option<Result<Vec<RData>, ResponseCode>> {
    Some(match (asked, kind) {
        ("example.com", RecordType::NAPTR) => {
            let [flags, service] = [b"s".to_vec(), b"SIPS+D2T".to_vec()].map(Vec::into_boxed_slice);
            let target = name("_sips._tcp.example.com.");
            Ok(vec![RData::NAPTR(NAPTR::new(10, 20, flags, service, Box::default(), target))])
        }
        ("_sips._tcp.example.com", RecordType::SRV) => Ok(vec![
            RData::SRV(SRV::new(1, 50, 5061, name("SBC1.example.com."))),
            RData::SRV(SRV::new(2, 0, 5062, name("sbc2.example.com."))),
        ]),
        ("both.example.com" | "four.example.com" | "half.example.com", RecordType::A) => Ok(vec![RData::A(A(FOUR))]),
        ("both.example.com", RecordType::AAAA) => Ok(vec![RData::AAAA(AAAA(SIX))]),
        ("half.example.com" | "broken.example.com", _) => Err(ResponseCode::ServFail),
        ("silent.example.com", _) => return None,
        ("four.example.com", _) => Ok(Vec::new()),
        _ => Err(ResponseCode::NXDomain),
    })
}

/// TRN-13: each kind of record comes as it stands in the zone, with the shortest time to live.
#[tokio::test]
async fn records_are_read() {
    let dns = Dns::new(Some(server(zone))).unwrap();
    let naptr = dns.lookup(Query::Naptr("example.com".into())).await.unwrap();
    let replacement = "_sips._tcp.example.com".to_owned();
    let (flags, service) = ("s".into(), "SIPS+D2T".into());
    assert_eq!(naptr.records, [Record::Naptr { order: 10, preference: 20, flags, service, replacement }]);
    let srv = dns.lookup(Query::Srv("_sips._tcp.example.com".into())).await.unwrap();
    let record = |priority, weight, port, target: &str| Record::Srv { priority, weight, port, target: target.into() };
    assert_eq!(srv.records, [record(1, 50, 5061, "sbc1.example.com"), record(2, 0, 5062, "sbc2.example.com")]);
    assert_eq!(srv.ttl, Duration::from_secs(299));
    for (name, expected) in [
        ("both.example.com", vec![IpAddr::from(SIX), FOUR.into()]),
        ("four.example.com", vec![FOUR.into()]),
        // One family's failure does not hide the other's addresses.
        ("half.example.com", vec![FOUR.into()]),
    ] {
        let answer = dns.lookup(Query::Address(name.into())).await.unwrap();
        assert_eq!(answer.records, expected.into_iter().map(Record::Address).collect::<Vec<_>>(), "{name}");
        assert_eq!(answer.ttl, Duration::from_secs(300), "{name}");
    }
}

/// "No such record" is an answer; a server that fails, is silent or is not there is none.
#[tokio::test]
async fn no_record_and_no_answer_are_two_things() {
    let dns = Dns::new(Some(server(zone))).unwrap();
    for query in [Query::Srv("none.example.com".into()), Query::Address("none.example.com".into())] {
        assert_eq!(dns.lookup(query.clone()).await, Ok(Answer { records: Vec::new(), ttl: NEGATIVE_TTL }), "{query:?}");
    }
    for name in ["broken.example.com", "silent.example.com", "not a name.."] {
        let failure = dns.lookup(Query::Address(name.into())).await;
        assert!(failure.is_err(), "{name}: {failure:?}");
    }
    let gone = crate::net::listen::bind_udp("127.0.0.1:0".parse().unwrap(), None).unwrap().local_addr().unwrap();
    assert!(Dns::new(Some(gone)).unwrap().lookup(Query::Srv("example.com".into())).await.is_err());
}
