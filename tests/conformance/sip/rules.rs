//! One test per rule of parsing.

use crate::support::{Rng, SDP, datagram, good, invite, refused, seed};
use bytes::Bytes;
use proptest::prelude::*;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::{Framing, Message, fill_received};

/// PAR-04, PAR-18: every spelling of one message gives one value, and a strip list by name sees them all.
#[test]
fn all_spellings_are_one_message() {
    let plain = good(&invite("Supported: timer\r\nSupported: 100rel\r\nX-Secret: s\r\n", SDP));
    let spellings = [
        ("Via", "v"),
        ("From", "F"),
        ("To", "t"),
        ("Call-ID", "I"),
        ("Contact", "m"),
        ("Supported", "k"),
        ("Content-Length", "L"),
    ];
    let mut rng = Rng(seed());
    for round in 0..500 {
        let text = invite("Supported: timer\r\nSupported: 100rel\r\nX-Secret: s\r\n", SDP);
        let (head, body) = text.split_once("\r\n\r\n").expect("a blank line");
        let mut lines: Vec<String> = Vec::new();
        for (number, line) in head.split("\r\n").enumerate() {
            if number == 0 {
                lines.push(line.to_owned());
                continue;
            }
            let (long, value) = line.split_once(": ").expect("a header");
            let mut name = long.to_owned();
            if let Some((_, compact)) = spellings.iter().find(|(n, _)| *n == long).filter(|_| rng.below(2) == 0) {
                name = (*compact).to_owned();
            }
            if rng.below(2) == 0 {
                name = name.to_uppercase();
            }
            let before = rng.pick(&["", " ", "\t", "  "]);
            let after = rng.pick(&["", " ", "\t ", "\r\n ", " \r\n\t \r\n "]);
            // Only where the grammar has white space.
            let value = if rng.below(2) == 0 && long != "Call-ID" {
                value.replace(';', "\r\n ;\t").replace("SIP/2.0/UDP ", "SIP / 2.0 /\r\n UDP\t ")
            } else {
                value.to_owned()
            };
            lines.push(format!("{name}{before}:{after}{value}"));
        }
        let one_line = |lines: &mut Vec<String>| {
            if let Some(at) = lines.iter().position(|l| l.ends_with("100rel")).filter(|_| round % 2 == 0) {
                lines.remove(at);
                let at = lines.iter().position(|l| l.ends_with("timer")).expect("the other line");
                lines[at].push_str("\r\n , 100rel");
            }
        };
        one_line(&mut lines);
        let odd = format!("{}\r\n\r\n{body}", lines.join("\r\n"));
        let m = good(&odd);
        assert_eq!(m.as_bytes(), odd.as_bytes());
        assert_eq!(m.values(&Name::Supported), plain.values(&Name::Supported), "{odd}");
        assert_eq!(
            (m.from(), m.to(), m.cseq(), m.call_id(), m.contact()),
            (plain.from(), plain.to(), plain.cseq(), plain.call_id(), plain.contact()),
            "{odd}"
        );
        let via = |m: &Message| m.top_via().expect("Via").map(|v| (v.transport, v.host, v.port, v.branch, v.rport));
        assert_eq!(via(&m), via(&plain), "{odd}");
        assert_eq!(m.lines(&Name::Other("x-sEcret".into())), ["s"], "{odd}");
        assert_eq!((m.sdp(), m.max_forwards()), (plain.sdp(), plain.max_forwards()));
    }
}

/// PAR-05: Content-Length of a datagram.
#[test]
fn content_length_of_a_datagram() {
    let text = invite("", SDP);
    let with = |value: &str| text.replace(&format!("Content-Length: {}", SDP.len()), value);
    assert_eq!(good(&with("X: 1")).body(), SDP.as_bytes(), "absent: to the end");
    assert_eq!(good(&with("Content-Length: 5")).body(), &SDP.as_bytes()[..5], "beyond: ignored");
    assert_eq!(good(&with("Content-Length: 0")).body(), b"");
    for value in [
        "Content-Length: 9999",
        "Content-Length: -1",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999999",
    ] {
        assert_eq!(refused(&with(value)), 400, "{value}");
    }
    let response = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\nContent-Length: 5\r\n\r\nabc";
    assert!(datagram(response.as_bytes()).expect_err("discarded").partial.is_none());
}

/// PAR-06: a stream frame must say its length.
#[test]
fn content_length_on_a_stream() {
    let text = invite("", SDP);
    let parse = |text: &str| Message::parse(Bytes::copy_from_slice(text.as_bytes()), Framing::Stream);
    assert_eq!(parse(&text).expect("good").body(), SDP.as_bytes());
    assert_eq!(parse(&text.replace("Content-Length", "X-Length")).expect_err("refused").status, 400);
}

/// PAR-07: limits of a datagram.
#[test]
fn limits() {
    let headers = |n: usize| "X-A: b\r\n".repeat(n);
    // Eight headers are in the message already.
    good(&invite(&headers(120), ""));
    assert_eq!(refused(&invite(&headers(121), "")), 513);
    let line = |n: usize| format!("X-A: {}\r\n", "b".repeat(n - 5));
    good(&invite(&line(8192), ""));
    assert_eq!(refused(&invite(&line(8193), "")), 513);
    assert_eq!(refused(&invite(&format!("X-A: b\r\n {}\r\n", "c".repeat(8190)), "")), 513, "folds count");
    let vias = |n: usize| format!("Via: {}\r\n", vec!["SIP/2.0/UDP h"; n].join(","));
    good(&invite(&vias(63), ""));
    assert_eq!(refused(&invite(&vias(64), "")), 513);
    let full = invite("", "");
    good(&invite("", &"x".repeat(65536 - full.len() - 4)));
    let failure = datagram(invite("", &"x".repeat(65536)).as_bytes()).expect_err("refused");
    assert_eq!((failure.status, failure.partial.is_none()), (513, true));
    let failure = datagram(invite(&headers(200), "").as_bytes()).expect_err("refused");
    assert!(failure.partial.is_some(), "the head that was read suffices for a 513");
}

/// PAR-08: each mandatory header is needed; without one of the five there is nothing to answer with.
#[test]
fn mandatory_headers() {
    for name in ["Via", "From", "To", "Call-ID", "CSeq", "Contact"] {
        let text = invite("", SDP);
        let without: String = text.split_inclusive("\r\n").filter(|l| !l.starts_with(&format!("{name}:"))).collect();
        let failure = datagram(without.as_bytes()).expect_err(name);
        assert_eq!(failure.status, 400, "{name}");
        assert_eq!(failure.partial.is_some(), name == "Contact", "{name}");
        let empty = text.replace(&format!("{name}: "), &format!("{name}:\r\nX-{name}: "));
        assert!(datagram(empty.as_bytes()).is_err(), "empty {name}");
    }
    let in_dialog = invite("", SDP)
        .replace("To: <sip:+4930123456@pbx.example.com>", "To: <sip:a@b>;tag=t")
        .replace("Contact: <sip:alice@192.0.2.7>\r\n", "");
    good(&in_dialog);
}

/// PAR-09: CSeq.
#[test]
fn cseq() {
    for value in ["2147483648 INVITE", "1 BYE", "1 invite", "INVITE", "1", "x INVITE", "99999999999999999999 INVITE"] {
        assert_eq!(refused(&invite("", "").replace("CSeq: 1 INVITE", &format!("CSeq: {value}"))), 400, "{value}");
    }
    good(&invite("", "").replace("CSeq: 1 INVITE", "CSeq: 2147483647 INVITE"));
}

/// PAR-10: a single-value header that stands twice.
#[test]
fn single_value_headers() {
    let twice = [
        "Content-Length: 0\r\n",
        "l: 0\r\n",
        "From: <sip:a@b>;tag=f1\r\n",
        "t: <sip:a@b>\r\n",
        "Call-ID: 1@192.0.2.7\r\n",
        "CSeq: 1 INVITE\r\n",
        "Max-Forwards: 70\r\n",
        "Expires: 1\r\nExpires: 1\r\n",
        "c: a/b\r\nContent-Type: a/b\r\n",
        "x: 90\r\nSession-Expires: 90\r\n",
        "Refer-To: <sip:a@b>\r\nr: <sip:a@b>\r\n",
    ];
    for headers in twice {
        let failure = datagram(invite(headers, "").as_bytes()).expect_err(headers);
        assert_eq!((failure.status, failure.partial.is_some()), (400, true), "{headers}");
    }
    good(&invite("User-Agent: a\r\nUser-Agent: b\r\nX-A: 1\r\nX-A: 2\r\nAllow: A\r\nAllow: B\r\n", ""));
}

/// PAR-16: another version.
#[test]
fn versions() {
    let with = |v: &str| invite("", "").replacen("SIP/2.0\r\n", &format!("{v}\r\n"), 1);
    for version in ["SIP/3.0", "SIP/2.1", "sip/7", "SIP/1.0"] {
        assert_eq!(refused(&with(version)), 505, "{version}");
    }
    for version in ["HTTP/1.1", "SIP/", "SIP/x", "", "SIP/2.0 x", "SIP/2.0 "] {
        assert_eq!(refused(&with(version)), 400, "{version}");
    }
    good(&with("sip/2.0"));
}

/// PAR-17: responses: any 1xx to 6xx, empty or non-UTF-8 reason.
#[test]
fn responses() {
    let with = |start: &[u8]| {
        [start, b"\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 7 BYE\r\n\r\n"].concat()
    };
    for (start, status, reason) in [
        ("SIP/2.0 299 ", 299, ""),
        ("SIP/2.0 486", 486, ""),
        ("sip/2.0 100 a  b", 100, "a  b"),
        ("SIP/2.0 699 x", 699, "x"),
    ] {
        let m = datagram(&with(start.as_bytes())).expect(start);
        assert_eq!(
            (m.status(), m.reason_phrase().as_deref(), m.method().as_str()),
            (Some(status), Some(reason), "BYE")
        );
        assert!(m.request_uri().is_none() && !m.is_request());
    }
    assert_eq!(
        datagram(&with(b"SIP/2.0 200 caf\xe9")).expect("Latin-1").reason_phrase().as_deref(),
        Some("caf\u{fffd}")
    );
    for start in [
        "SIP/2.0 99 x",
        "SIP/2.0 700 x",
        "SIP/2.0 0200 x",
        "SIP/2.0 2x0 x",
        "SIP/2.0",
        "SIP/3.0 200 OK",
        "SIP/2.0  200 OK",
    ] {
        assert!(datagram(&with(start.as_bytes())).expect_err(start).partial.is_none(), "{start}");
    }
}

/// PAR-04: bytes that are no UTF-8 disturb nothing but the text they stand in.
#[test]
fn latin1_is_kept() {
    let text = invite("Subject: caf_\r\nSupported: timer\r\n", "b_dy");
    let bytes: Vec<u8> = text.bytes().map(|b| if b == b'_' { 0xe9 } else { b }).collect();
    let m = datagram(&bytes).expect("good");
    assert_eq!(m.as_bytes(), &bytes);
    assert_eq!(m.value(&Name::Subject).as_deref(), Some("caf\u{fffd}"));
    assert!(m.has_token(&Name::Supported, "TIMER"));
    assert_eq!(m.body(), b"b\xe9dy");
}

/// PAR-07, PAR-18: what other parsers end lines at, or join, is refused.
#[test]
fn smuggling() {
    for headers in ["X-A: b\rRoute: <sip:evil>\r\n", "Foo\r\n", "X A: b\r\n", ": b\r\n", "X\0: b\r\n"] {
        assert_eq!(refused(&invite(headers, "")), 400, "{headers:?}");
    }
    let folded_start = invite("", "").replacen("SIP/2.0\r\n", "SIP/2.0\r\n Via: x\r\n", 1);
    assert_eq!(refused(&folded_start), 400);
    assert!(datagram(b"").is_err() && datagram(b"\r\n\r\n").is_err() && datagram(&[0; 4]).is_err());
    good(&format!("\r\n\r\n{}", invite("", "")));
}

/// PAR-12: Request-URIs that are none.
#[test]
fn request_uris() {
    for uri in ["<sip:a@b>", "sip:a@b;lr c", "sip:a@b?x=y", "sip:", "a@b", "\"sip:a@b\"", "", " sip:a@b"] {
        assert_eq!(
            refused(&invite("", "").replace("sip:+4930123456@pbx.example.com;user=phone SIP", &format!("{uri} SIP"))),
            400,
            "{uri:?}"
        );
    }
    good(
        &invite("", "")
            .replace("sip:+4930123456@pbx.example.com;user=phone SIP", "tel:+4930123456;phone-context=x SIP"),
    );
}

/// PAR-14: SDP in multipart, and 415 for a part that must be understood.
#[test]
fn multipart_bodies() {
    let body = format!(
        "--x\r\nContent-Type: application/isup;version=nxv3\r\nContent-Disposition: signal;handling=optional\r\n\r\n\0\u{1}\r\n--x\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--x--\r\n"
    );
    let m = good(&invite("Content-Type: Multipart/Mixed;boundary=x\r\n", &body));
    assert_eq!(m.content_type().as_deref(), Some("multipart/mixed"));
    assert_eq!((m.sdp().as_deref(), m.unsupported_required_part()), (Some(SDP.as_bytes()), None));
    let m = good(&invite("c: multipart/mixed;boundary=\"x\"\r\n", &body.replace("optional", "required")));
    assert_eq!(m.unsupported_required_part().as_deref(), Some("application/isup"));
    let many = "--x\r\n\r\n\r\n".repeat(17);
    assert_eq!(refused(&invite("c: multipart/mixed;boundary=x\r\n", &many)), 513);
}

/// TRN-02: `received` and `rport` tell where the request came from; what it claimed is not believed.
#[test]
fn received_and_rport() {
    let with = |via: &str| {
        invite("Via: SIP/2.0/UDP lower;branch=2;rport;received=9.9.9.9\r\n", SDP)
            .replace("SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKabc;rport", via)
    };
    let fill = |via: &str, source: &str| {
        let before = good(&with(via));
        let after = fill_received(&before, source.parse().expect("an address"));
        let (vias, rest) = (after.lines(&Name::Via), good(std::str::from_utf8(after.as_bytes()).expect("text")));
        assert_eq!((rest.body(), rest.sdp(), vias.len()), (before.body(), before.sdp(), 2));
        assert_eq!(vias[1], "SIP/2.0/UDP lower;branch=2;rport;received=9.9.9.9");
        vias[0].clone()
    };
    assert_eq!(fill("SIP/2.0/UDP 192.0.2.7;branch=1", "192.0.2.7:5062"), "SIP/2.0/UDP 192.0.2.7;branch=1");
    assert_eq!(
        fill("SIP/2.0/UDP 192.0.2.7;rport;branch=1", "192.0.2.7:5062"),
        "SIP/2.0/UDP 192.0.2.7;rport=5062;branch=1;received=192.0.2.7"
    );
    assert_eq!(
        fill("SIP/2.0/UDP 10.0.0.1;branch=1", "192.0.2.7:5062"),
        "SIP/2.0/UDP 10.0.0.1;branch=1;received=192.0.2.7"
    );
    assert_eq!(
        fill("SIP/2.0/UDP h ; received = 1.1.1.1 ;rport = 7; x=\"a;b\"", "[2001:db8::1]:9"),
        "SIP/2.0/UDP h ;rport=9; x=\"a;b\";received=2001:db8::1"
    );
    assert_eq!(fill("SIP/2.0/TLS [2001:db8:0::1]:5061", "[2001:db8::1]:9"), "SIP/2.0/TLS [2001:db8:0::1]:5061");
    assert_eq!(fill("SIP/2.0/UDP 192.0.2.7", "[::ffff:192.0.2.7]:9"), "SIP/2.0/UDP 192.0.2.7");
    let joined = good(&invite("", "").replace(";rport\r\n", ";rport , SIP/2.0/UDP b;branch=3\r\n"));
    let after = fill_received(&joined, "198.51.100.1:7".parse().expect("an address"));
    assert_eq!(
        after.values(&Name::Via),
        ["SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKabc;rport=7;received=198.51.100.1", "SIP/2.0/UDP b;branch=3"]
    );
}

/// TIM-01, AUT-05: seconds with parameters and comments; overlarge counts as the largest.
#[test]
fn seconds() {
    let m = good(&invite(
        "Session-Expires: 1800;refresher=uac\r\nRetry-After: 18 (in a meeting);duration=3\r\nMin-SE:90\r\nExpires: 99999999999999\r\nMin-Expires: x\r\n",
        "",
    ));
    assert_eq!(m.seconds(&Name::SessionExpires), Some(Ok(1800)));
    assert_eq!(m.seconds(&Name::RetryAfter), Some(Ok(18)));
    assert_eq!(m.seconds(&Name::MinSe), Some(Ok(90)));
    assert_eq!(m.seconds(&Name::Expires), Some(Ok(u32::MAX)));
    assert!(matches!(m.seconds(&Name::MinExpires), Some(Err(_))));
    assert_eq!(m.seconds(&Name::Date), None);
}

/// DLG-18: Reason values over several lines.
#[test]
fn reasons() {
    let m = good(&invite(
        "Reason: Q.850;cause=16;text=\"Terminated\", SIP ;cause=200\r\nreason: X;cause=none\r\nReason: ;\r\n",
        "",
    ));
    let read: Vec<_> = m.reasons().into_iter().map(|r| (r.protocol, r.cause, r.text)).collect();
    assert_eq!(
        read,
        [
            ("Q.850".into(), Some(16), Some("Terminated".into())),
            ("SIP".into(), Some(200), None),
            ("X".into(), None, None)
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// PAR-01: whatever parses is kept byte for byte, unknown headers in order.
    #[test]
    fn unknown_headers_keep_order(values in prop::collection::vec("[ -~\u{e9}]{0,30}", 0..20)) {
        let headers: String = values.iter().map(|v| format!("X-Any: {v}\r\n")).collect();
        let text = invite(&headers, "");
        let m = good(&text);
        prop_assert_eq!(m.as_bytes(), text.as_bytes());
        let expected: Vec<String> = values.iter().map(|v| v.trim_matches(' ').to_owned()).collect();
        prop_assert_eq!(m.lines(&Name::Other("x-any".into())), expected);
    }
}
