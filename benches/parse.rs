//! Cost of the SIP message layer: an ordinary INVITE, typed reads, the 200 to it; and a table of the worst 64 KiB for each parser.
//!
//! The table is CPU time of one parse (the least of many), and the bench fails when a row is above a millisecond (A10).

#[path = "../tests/conformance/sip/worst.rs"]
mod worst;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group};
use std::hint::black_box;
use std::time::Duration;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::{Builder, Framing, Message};

const SDP: &str = "v=0\r\no=- 3907 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

/// 1.4 kB with 24 headers, as a trunk sends it.
fn invite() -> Bytes {
    let head = "INVITE sip:+493012345678@voice.example.com;user=phone;transport=udp SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK0cb0.6d3f1a7a6b2c5d4e;rport\r\n\
        Via: SIP/2.0/UDP 198.51.100.2:5060;branch=z9hG4bK77asjd88;received=198.51.100.2;rport=5060\r\n\
        Record-Route: <sip:192.0.2.7;lr;ftag=as58f4201b>\r\n\
        Max-Forwards: 68\r\n\
        From: \"Alice Example\" <sip:+498976543210@example.net;user=phone>;tag=as58f4201b\r\n\
        To: <sip:+493012345678@voice.example.com;user=phone>\r\n\
        Contact: <sip:+498976543210@198.51.100.2:5060;transport=udp>\r\n\
        Call-ID: 0cb06d3f1a7a6b2c5d4e77asjd88@198.51.100.2:5060\r\n\
        CSeq: 102 INVITE\r\n\
        User-Agent: Carrier SBC 9.2\r\n\
        Date: Sun, 22 Nov 2026 10:00:00 GMT\r\n\
        Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE, UPDATE\r\n\
        Supported: replaces, timer, 100rel\r\n\
        Session-Expires: 1800;refresher=uac\r\n\
        Min-SE: 90\r\n\
        P-Asserted-Identity: \"Alice Example\" <sip:+498976543210@example.net>\r\n\
        P-Asserted-Identity: <tel:+498976543210>\r\n\
        Diversion: <sip:+49301111@example.net>;reason=unconditional;counter=1\r\n\
        Privacy: none\r\n\
        Accept: application/sdp\r\n\
        X-Trunk-Id: 4711\r\n\
        Content-Type: application/sdp\r\n";
    Bytes::from(format!("{head}Content-Length: {}\r\n\r\n{SDP}", SDP.len()))
}

fn parse(bytes: &Bytes) -> Message {
    Message::parse(bytes.clone(), Framing::Datagram).expect("a good message")
}

fn benches(c: &mut Criterion) {
    let bytes = invite();
    let message = parse(&bytes);
    let mut group = c.benchmark_group("sip");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("parse_invite", |b| b.iter(|| parse(black_box(&bytes))));
    group.bench_function("typed_reads", |b| {
        b.iter(|| {
            let m = black_box(&message);
            let addresses = (m.from(), m.to(), m.contact(), m.addresses(&Name::PAssertedIdentity));
            (m.top_via(), addresses, m.cseq(), m.call_id(), m.request_uri(), m.sdp())
        })
    });
    group.bench_function("build_200", |b| {
        b.iter(|| {
            Builder::response(black_box(&message), 200, "", Some("t"))
                .header(Name::Contact, "<sip:192.0.2.1>")
                .body("application/sdp", SDP)
                .build()
        })
    });
    group.finish();
}

/// A10: 64 KiB of the worst input within this.
const LIMIT: Duration = Duration::from_millis(1);

/// Prints the table; `false` when a row is above the limit.
fn worst_table() -> bool {
    let mut slow = 0;
    println!("| parser | worst input | bytes | CPU time, µs |\n|---|---|---|---|");
    for input in worst::inputs(64 * 1024) {
        let bytes = Bytes::from(input.bytes);
        let time = worst::least_time(input.parser, &bytes, 40);
        let mark = if time > LIMIT { " **above 1 ms**" } else { "" };
        slow += usize::from(time > LIMIT);
        let micros = time.as_nanos() as f64 / 1000.0;
        println!("| {:?} | {} | {} | {micros:.0}{mark} |", input.parser, input.name, bytes.len());
    }
    slow == 0
}

criterion_group!(parse_benches, benches);

fn main() -> std::process::ExitCode {
    let within = worst_table();
    parse_benches();
    Criterion::default().configure_from_args().final_summary();
    if within { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
