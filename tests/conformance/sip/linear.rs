//! A10: the cost of the worst input grows in proportion to it.
//!
//! Each attack is built at n and at 2n bytes; the time of the larger must stay below three times that of the smaller (the
//! best of many runs each). Quadratic work would be four times, and at 64 KiB a hundred times the limit.

use crate::support::{datagram, read_all};
use std::time::Duration;
use voxtrunk::sip::framing::StreamCutter;
use voxtrunk::sip::offer_answer::{Codec, LocalMedia, Negotiation};
use voxtrunk::sip::uri::Uri;

const HEAD: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n";

/// `unit` repeated in header lines of at most 8 KiB, up to `size` bytes in all.
fn in_lines(prefix: &str, unit: &str, suffix: &str, size: usize) -> String {
    let mut text = HEAD.to_owned();
    while text.len() + 200 < size {
        let room = (size - text.len() - 100).min(8000) - prefix.len().min(100) - suffix.len();
        text += &format!("{prefix}{}{suffix}\r\n", unit.repeat((room / unit.len()).max(1)));
    }
    text + "\r\n"
}

fn body(content_type: &str, unit: &str, size: usize) -> String {
    format!("{HEAD}Content-Type: {content_type}\r\n\r\n{}", unit.repeat(size.saturating_sub(300) / unit.len()))
}

fn attacks(size: usize) -> Vec<(&'static str, String)> {
    vec![
        ("URI parameters", in_lines("Contact: <sip:a@b", ";a", ">", size)),
        ("URI parameters with values", in_lines("Contact: <sip:a@b", ";a=%41", ">", size)),
        ("header parameters", in_lines("Contact: <sip:a@b>", ";a=\"\\\"\"", "", size)),
        ("commas", in_lines("Contact: <sip:a@b>", ",<sip:a@b>", "", size)),
        ("empty values", in_lines("Route: ", ",", "", size)),
        ("open quotes", in_lines("Subject: ", "\"", "", size)),
        ("open angles", in_lines("Route: ", "<", "", size)),
        ("escapes", in_lines("Subject: \"", "\\\"", "", size)),
        ("folds", in_lines("Subject: a", "\r\n b", "", size)),
        ("blank folds", in_lines("Subject: a", "\r\n ", "", size)),
        ("white space", in_lines("Subject:", " ", "b", size)),
        ("colons in a Via", in_lines("X: [", ":", "]", size)),
        ("parts", body("multipart/mixed;boundary=x", "--x\r\n", size)),
        ("near boundaries", body(&format!("multipart/mixed;boundary={}", "-".repeat(70)), "-", size)),
        (
            "near boundary lines",
            body(&format!("multipart/mixed;boundary={}", "-".repeat(70)), &format!("{}\n", "-".repeat(71)), size),
        ),
        ("line ends first", "\r\n".repeat(size / 2)),
        ("body line ends", body("multipart/mixed;boundary=x", "\n", size)),
    ]
}

fn sdp_attacks(size: usize) -> Vec<(&'static str, String)> {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\n";
    let fill = |line: &str, tail: &str| format!("{head}{line}{}\r\n", tail.repeat(size / tail.len()));
    vec![
        ("formats", fill("m=audio 4000 RTP/AVP", " 0")),
        ("rtpmaps", fill("m=audio 4000 RTP/AVP 0 8", "\r\na=rtpmap:0 PCMU/8000")),
        ("fmtp", fill("m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 ", "1,")),
        ("attributes", fill("m=audio 4000 RTP/AVP 0", "\r\na=x")),
        ("media", fill("m=audio 4000 RTP/AVP 0", "\r\nm=audio 4000 RTP/AVP 0")),
        ("empty lines", fill("m=audio 4000 RTP/AVP 0", "\n")),
        ("spaces", fill("m=audio", " ")),
    ]
}

/// The least CPU time of this thread over several runs: what other threads and processes do hardly shows.
fn best(mut work: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..6 {
        let start = thread_cpu_time();
        work();
        best = best.min(thread_cpu_time().saturating_sub(start));
    }
    best
}

fn thread_cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

/// Below this a ratio says nothing.
const NOISE: Duration = Duration::from_micros(400);

fn check(name: &str, mut small: impl FnMut(), mut large: impl FnMut()) {
    // The machine may be busy with other things: one good pair of three decides.
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (small, large) = (best(&mut small), best(&mut large));
        if std::env::var_os("SIP_TIMES").is_some() {
            println!("{name}: {small:?} -> {large:?}");
        }
        if large <= small * 3 + NOISE {
            return;
        }
        seen.push((small, large));
    }
    panic!("{name}: twice the input took more than thrice the time: {seen:?}");
}

/// A10: messages, with every accessor.
#[test]
fn messages() {
    let (half, full) = (32 * 1024, 64 * 1024 - 64);
    for ((name, small), (_, large)) in attacks(half).into_iter().zip(attacks(full)) {
        assert!(large.len() <= 64 * 1024 && large.len() > 60_000, "{name}: {}", large.len());
        let work = |text: &str| match datagram(text.as_bytes()) {
            Ok(message) => read_all(&message),
            Err(failure) => failure.partial.map_or(0, |m| read_all(&m)),
        };
        check(name, || _ = work(&small), || _ = work(&large));
    }
}

/// A10, PAR-12: URI parameters, where a known parser takes seconds.
#[test]
fn uris() {
    for unit in [";a", ";a=b", "%41", ";a=%00", "@", ":"] {
        let uri =
            |n: usize| format!("sip:a{}@h{}", unit.repeat(n / unit.len()).replace('@', "x"), ";a=1".repeat(n / 4));
        let work = |text: &str| {
            let uri = Uri::parse(text).expect("a URI");
            let other = uri.clone();
            (uri.equivalent(&other), uri.number(), uri.user_decoded(), uri.param("zz").is_some())
        };
        let (small, large) = (uri(16_000), uri(32_000));
        check(unit, || _ = work(&small), || _ = work(&large));
    }
}

/// A10, SDP-16: session descriptions through offer/answer.
#[test]
fn session_descriptions() {
    let local = LocalMedia {
        addr: "192.0.2.9".parse().expect("an address"),
        port: 4000,
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        prefer_local_order: false,
        dtmf: true,
        ptime_ms: 20,
        session_id: 1,
    };
    for ((name, small), (_, large)) in sdp_attacks(31_000).into_iter().zip(sdp_attacks(62_000)) {
        let work = |text: &str| Negotiation::new(local.clone()).receive_offer(text.as_bytes()).is_ok();
        check(name, || _ = work(&small), || _ = work(&large));
    }
}

/// A10, PAR-06: a stream that comes byte by byte is scanned once.
#[test]
fn streams() {
    let feed = |n: usize| {
        let mut cutter = StreamCutter::new();
        for _ in 0..n / 2 {
            cutter.push(b"a");
            assert!(cutter.next_frame().is_none());
            cutter.push(b"\n");
            assert!(cutter.next_frame().is_none());
        }
    };
    check("byte by byte", || feed(32_000), || feed(64_000));
}
