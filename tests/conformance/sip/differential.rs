//! The same message read by three parsers: ours, rsip 0.4 and sipx-sip 1.0 (dev-dependencies, no code of ours uses them).
//!
//! Where two accept a message and can read its five headers, they must read the same values. The lists of what each
//! refuses are pinned, so that they stay true where the documentation quotes them.

use crate::support::{Rng, SDP, corpus, datagram, seed, with_crlf};
use bytes::Bytes;
use voxtrunk::sip::uri::Uri;

/// What a transaction and a dialog are found by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Values {
    method: String,
    /// Empty for a response.
    uri: String,
    call_id: String,
    cseq: u32,
    from_tag: Option<String>,
    to_tag: Option<String>,
    branch: Option<String>,
}

fn ours(bytes: &[u8]) -> Option<Values> {
    let m = datagram(bytes).ok()?;
    let cseq = m.cseq()?.ok()?;
    Some(Values {
        method: m.method().as_str().to_owned(),
        uri: m.request_uri().map_or(Ok(String::new()), |u| u.map(|u| u.to_string())).ok()?,
        call_id: m.call_id()?,
        cseq: cseq.number,
        from_tag: m.from()?.ok()?.tag().map(str::to_owned),
        to_tag: m.to()?.ok()?.tag().map(str::to_owned),
        branch: m.top_via()?.ok()?.branch,
    })
}

fn rsip(bytes: &[u8]) -> Option<Values> {
    use rsip::headers::{ToTypedHeader, UntypedHeader};
    use rsip::message::HeadersExt;
    let m = rsip::SipMessage::try_from(bytes).ok()?;
    let cseq = m.cseq_header().ok()?;
    let (method, uri) = match &m {
        rsip::SipMessage::Request(r) => (r.method.to_string(), r.uri.to_string()),
        rsip::SipMessage::Response(_) => (cseq.method().ok()?.to_string(), String::new()),
    };
    Some(Values {
        method,
        uri,
        call_id: m.call_id_header().ok()?.value().to_owned(),
        cseq: cseq.seq().ok()?,
        from_tag: m.from_header().ok()?.tag().ok()?.map(|t| t.value().to_owned()),
        to_tag: m.to_header().ok()?.tag().ok()?.map(|t| t.value().to_owned()),
        branch: m.via_header().ok()?.typed().ok()?.branch().map(|b| b.value().to_owned()),
    })
}

fn sipx(bytes: &[u8]) -> Option<Values> {
    use sipx_sip::headers::{From, To};
    use sipx_sip::{CSeq, CallId, Limits, Message, Via, parse_datagram};
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    let m = parse_datagram(Bytes::copy_from_slice(bytes), &Limits::datagram()).ok()?;
    let headers = m.headers();
    let cseq = headers.typed::<CSeq>()?.ok()?;
    let (method, uri) = match &m {
        Message::Request(r) => (text(r.method.as_bytes()), text(&r.uri.to_bytes())),
        Message::Response(_) => (text(cseq.method.as_bytes()), String::new()),
    };
    Some(Values {
        method,
        uri,
        call_id: text(&headers.typed::<CallId>()?.ok()?.0),
        cseq: cseq.sequence,
        from_tag: headers.typed::<From>()?.ok()?.tag().map(text),
        to_tag: headers.typed::<To>()?.ok()?.tag().map(text),
        branch: headers.typed::<Via>()?.ok()?.branch().map(text),
    })
}

/// Equal, but for the URI: rsip writes `transport=udp` back as `UDP`, so that is compared as RFC 3261 §19.1.4 has it.
fn agree(ours: &Values, theirs: &Values) -> bool {
    let equivalent = match (Uri::parse(&ours.uri), Uri::parse(&theirs.uri)) {
        (Ok(a), Ok(b)) => a.equivalent(&b),
        _ => ours.uri == theirs.uri,
    };
    equivalent && Values { uri: String::new(), ..ours.clone() } == Values { uri: String::new(), ..theirs.clone() }
}

fn files() -> Vec<(String, Vec<u8>)> {
    let mut all = corpus("rfc4475");
    all.extend(corpus("rfc5118").into_iter().map(|(name, bytes)| (name, with_crlf(&bytes))));
    all
}

type Parser = fn(&[u8]) -> Option<Values>;

/// Messages of the corpora that `parser` cannot read and ours can, sorted by name.
fn refused_by(parser: Parser) -> Vec<String> {
    let missed =
        |(name, bytes): (String, Vec<u8>)| (ours(&bytes).is_some() && parser(&bytes).is_none()).then_some(name);
    files().into_iter().filter_map(missed).collect()
}

/// PAR-01, PAR-03: on the corpora all that two parsers can read has the same values.
#[test]
fn corpora_agree() {
    for (name, bytes) in files() {
        let Some(mine) = ours(&bytes) else { continue };
        for (who, theirs) in [("rsip", rsip(&bytes)), ("sipx-sip", sipx(&bytes))] {
            if let Some(theirs) = theirs {
                assert!(agree(&mine, &theirs), "{who} and {name}:\n{mine:?}\n{theirs:?}");
            }
        }
    }
}

/// What rsip 0.4 cannot read of the corpora although it is acceptable.
#[test]
fn refused_by_rsip() {
    assert_eq!(refused_by(rsip), RSIP_REFUSES);
}

/// What sipx-sip 1.0 cannot read of the corpora although we take it.
#[test]
fn refused_by_sipx() {
    assert_eq!(refused_by(sipx), SIPX_REFUSES);
}

/// Folds, compact names, odd methods and schemes, IPv6 in Via and From.
const RSIP_REFUSES: [&str; 19] = [
    "dblreq",
    "esc01",
    "esc02",
    "intmeth",
    "longreq",
    "semiuri",
    "unkscm",
    "unksm2",
    "wsinv",
    "ipv4-mapped-ipv6",
    "ipv6-bug-abnf-3-colons",
    "ipv6-correct-abnf-2-colons",
    "ipv6-good",
    "mult-ip-in-header",
    "mult-ip-in-sdp",
    "port-ambiguous",
    "port-unambiguous",
    "via-received-param-no-delim",
    "via-received-param-with-delim",
];
/// Two files of the archive end without a blank line; we take a datagram that ends after a whole header line.
const SIPX_REFUSES: [&str; 2] = ["ipv6-bug-abnf-3-colons", "ipv6-correct-abnf-2-colons"];

/// Ordinary messages as trunks and phones send them, by a seeded generator.
fn ordinary(rng: &mut Rng) -> Vec<u8> {
    let hosts =
        ["192.0.2.1", "pbx.example.com", "198.51.100.7:5062", "sbc-1.carrier.example.net:5061", "[2001:db8::1]:5060"];
    let users = ["+4930123456", "alice", "100", "bob%20b", "*21%23", "user;phone-context=x"];
    let uri = |rng: &mut Rng| {
        let params = rng.pick(&["", ";transport=udp", ";user=phone", ";transport=TCP;lr", ";ob"]);
        format!("{}:{}@{}{params}", rng.pick(&["sip", "sips"]), rng.pick(&users), rng.pick(&hosts))
    };
    let token = |rng: &mut Rng| format!("{:x}", rng.next());
    let address = |rng: &mut Rng| match rng.below(4) {
        0 => format!("<{}>", uri(rng)),
        1 => format!("\"Alice \\\"A\\\" Smith\" <{}>", uri(rng)),
        2 => format!("Bob <{}>", uri(rng)),
        _ => format!("\"\" <{}>", uri(rng)),
    };
    let method = rng.pick(&[
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "REGISTER",
        "INFO",
        "REFER",
        "NOTIFY",
        "UPDATE",
        "PRACK",
        "MESSAGE",
        "SUBSCRIBE",
    ]);
    let start = match rng.below(3) {
        0 => format!("SIP/2.0 {} {}", 100 + rng.below(600), rng.pick(&["OK", "Ringing", "Not Found", ""])),
        _ => format!("{method} {} SIP/2.0", uri(rng)),
    };
    let mut headers = vec![
        format!(
            "Via: SIP/2.0/{} {};branch=z9hG4bK{};rport",
            rng.pick(&["UDP", "TCP", "TLS"]),
            rng.pick(&hosts),
            token(rng)
        ),
        format!("From: {};tag={}", address(rng), token(rng)),
        format!(
            "To: {}{}",
            address(rng),
            if rng.below(2) == 0 { format!(";tag={}", token(rng)) } else { String::new() }
        ),
        format!("Call-ID: {}@{}", token(rng), "example.com"),
        format!("CSeq: {} {method}", rng.next() as u32 >> 1),
        format!("Contact: <{}>", uri(rng)),
        format!("Max-Forwards: {}", rng.below(71)),
        "Supported: timer, 100rel".to_owned(),
        format!("User-Agent: agent/{}", token(rng)),
    ];
    for at in (1..headers.len()).rev() {
        let other = rng.below(at + 1);
        headers.swap(at, other);
    }
    let body = if rng.below(2) == 0 { SDP } else { "" };
    format!("{start}\r\n{}\r\nContent-Length: {}\r\n\r\n{body}", headers.join("\r\n"), body.len()).into_bytes()
}

/// PAR-01: on ordinary messages nothing is refused by us, and all three read the same.
#[test]
fn ordinary_messages_agree() {
    let seed = seed();
    println!("SIP_SEED={seed}");
    let mut rng = Rng(seed ^ 9);
    let (mut by_rsip, mut by_sipx) = (0, 0);
    for round in 0..4000 {
        let bytes = ordinary(&mut rng);
        let text = String::from_utf8_lossy(&bytes);
        let mine = ours(&bytes).unwrap_or_else(|| panic!("SIP_SEED={seed} round {round}: refused\n{text}"));
        for (who, theirs, read) in [("rsip", rsip(&bytes), &mut by_rsip), ("sipx-sip", sipx(&bytes), &mut by_sipx)] {
            if let Some(theirs) = theirs {
                *read += 1;
                assert!(agree(&mine, &theirs), "SIP_SEED={seed} round {round}: {who}\n{mine:?}\n{theirs:?}\n{text}");
            }
        }
    }
    println!("of 4000 ordinary messages rsip read {by_rsip}, sipx-sip {by_sipx}");
    assert!(by_rsip > 1000 && by_sipx > 3000, "too few to compare: {by_rsip}, {by_sipx}");
}
