//! What we write: nothing that was put in can start a line of its own, and it all reads back.

use crate::support::{SDP, datagram, good, invite, read_all};
use proptest::prelude::*;
use voxtrunk::sip::headers::{Name, NameAddr, Quoted, Reason};
use voxtrunk::sip::message::{Builder, Message, Method};
use voxtrunk::sip::uri::Uri;

fn base(method: &Method, uri: &str) -> Builder {
    Builder::request(method, uri)
        .header(Name::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport")
        .header(Name::From, "<sip:a@b>;tag=1")
        .header(Name::To, "<sip:c@d>")
        .header(Name::CallId, "1@b")
        .header(Name::CSeq, format!("1 {method}"))
        .header(Name::Contact, "<sip:a@192.0.2.1>")
}

/// The header lines as a parser that knows nothing sees them.
fn lines(message: &Message) -> Vec<String> {
    let text = String::from_utf8_lossy(message.as_bytes()).into_owned();
    let (head, _) = text.split_once("\r\n\r\n").expect("a blank line");
    head.split(['\r', '\n']).filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

/// TXN-09, DLG-02: a response copies Via, From, To, Call-ID and CSeq in the request's own bytes.
#[test]
fn a_response_copies_the_request() {
    let request = good(&invite(
        "v:  SIP/2.0/UDP  lower ;branch=2 , SIP/2.0/TCP last\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\nTimestamp: 54\r\n",
        SDP,
    ));
    for (status, record_routes, timestamp) in [(100, 0, 1), (180, 1, 0), (200, 1, 0), (302, 0, 0), (486, 0, 0)] {
        let response = Builder::response(&request, status, "", Some("us")).header(Name::Server, "x").build();
        let again = datagram(response.as_bytes()).expect("it parses");
        assert_eq!(again.lines(&Name::Via), request.lines(&Name::Via));
        assert_eq!(
            (again.lines(&Name::From), again.call_id(), again.cseq()),
            (request.lines(&Name::From), request.call_id(), request.cseq())
        );
        assert_eq!(again.lines(&Name::To), ["<sip:+4930123456@pbx.example.com>;tag=us"]);
        assert_eq!(again.lines(&Name::RecordRoute).len(), record_routes, "{status}");
        assert_eq!(again.lines(&Name::Other("Timestamp".into())).len(), timestamp, "{status}");
        assert_eq!(again.lines(&Name::ContentLength), ["0"]);
    }
    assert_eq!(Builder::response(&request, 486, "", None).build().reason_phrase().as_deref(), Some("Busy Here"));
    assert_eq!(
        Builder::response(&request, 486, "Nobody\r\nVia: x", None).build().reason_phrase().as_deref(),
        Some("Nobody  Via: x")
    );
    assert_eq!(
        Builder::response(&request, 180, "", None).build().lines(&Name::To),
        ["<sip:+4930123456@pbx.example.com>"]
    );
}

/// DLG-02: the To tag is added only if there is none.
#[test]
fn a_to_tag_is_added_once() {
    for (to, expected) in [
        ("<sip:c@d>;tag=theirs", "<sip:c@d>;tag=theirs"),
        ("sip:c@d ; TAG = theirs", "sip:c@d ; TAG = theirs"),
        ("sip:c@d;user=phone", "sip:c@d;user=phone;tag=us"),
        ("<sip:c@d;tag=uri>", "<sip:c@d;tag=uri>;tag=us"),
        ("\"a;tag=b\" <sip:c@d>", "\"a;tag=b\" <sip:c@d>;tag=us"),
    ] {
        let request = good(&invite("", "").replace("<sip:+4930123456@pbx.example.com>", to));
        assert_eq!(Builder::response(&request, 200, "", Some("us")).build().lines(&Name::To), [expected]);
    }
}

/// PAR-11: a body is framed by its own length; a header cannot say otherwise.
#[test]
fn content_headers_are_the_builders() {
    let message = base(&Method::Info, "sip:c@d")
        .header(Name::ContentLength, "7")
        .header(Name::Other("content-length".into()), "8")
        .header(Name::Other("c".into()), "text/evil")
        .body("application/dtmf-relay\r\nX: y", &b"Signal=5\r\n\r\n\0\xff"[..])
        .build();
    let again = datagram(message.as_bytes()).expect("it parses");
    assert_eq!(again.lines(&Name::ContentLength), ["14"]);
    assert_eq!(again.lines(&Name::ContentType), ["application/dtmf-relay  X: y"]);
    assert_eq!(again.body(), b"Signal=5\r\n\r\n\0\xff");
}

/// PAR-11: a value of more than a line is cut at a character.
#[test]
fn long_values_are_cut() {
    let message = base(&Method::Bye, "sip:c@d").header(Name::Subject, "é".repeat(9000)).build();
    let subject = datagram(message.as_bytes()).expect("it parses").value(&Name::Subject).expect("it is there");
    assert_eq!(subject, "é".repeat(4000));
}

fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\r\n\t\0 :;,<>\"\\\\@a-c]{0,24}",
        Just("x\r\nRoute: <sip:evil@h>\r\n\r\nINVITE sip:x SIP/2.0\r\n".to_owned()),
        Just("\n Via: y\r".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    /// PAR-11: no input to any builder function starts a line, and what was built parses again.
    #[test]
    fn no_input_starts_a_line(
        method in nasty(), uri in nasty(), name in nasty(), value in nasty(), display in nasty(), text in nasty(),
        reason in nasty(), tag in nasty(), content_type in nasty(), body in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let from = NameAddr { display: Some(display), uri: Uri::parse("sip:a@b").expect("a URI"), params: vec![("tag".into(), Some(text.clone()))] };
        let why = Reason { protocol: "SIP".into(), cause: Some(200), text: Some(text) };
        // A URI that is one keeps its meaning; anything else is made harmless.
        let target = if Uri::parse(&uri).is_ok() { uri.clone() } else { format!("sip:{}", Quoted(&uri)) };
        let message = base(&Method::Bye, "sip:c@d").header(Name::Other(name.clone().into()), &value).header(Name::Reason, why.to_string())
            .header(Name::ReferredBy, from.to_string()).body(&content_type, body.clone()).build();
        prop_assert_eq!(lines(&message).len(), 12 - usize::from(matches!(Name::parse(&name), Name::ContentLength | Name::ContentType)));
        prop_assert_eq!(message.body(), &body[..]);
        prop_assert!(!message.as_bytes()[..message.as_bytes().len() - body.len()].contains(&0));
        let single = ["via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "contact", "m", "b", "max-forwards"].iter().any(|n| name.trim().eq_ignore_ascii_case(n));
        if !single && !content_type.contains("multipart") {
            let again = datagram(message.as_bytes()).map_err(|e| TestCaseError::fail(e.why))?;
            prop_assert_eq!(again.reasons().len(), 1);
            prop_assert!(again.address(&Name::ReferredBy).expect("it is there").is_ok());
            read_all(&again);
        }
        let request = Builder::request(&Method::Other(method.into()), &target).header(Name::Via, &value).header(Name::From, &value)
            .header(Name::To, &value).header(Name::CallId, &value).header(Name::CSeq, &value).build();
        prop_assert_eq!(lines(&request).len(), 7);
        prop_assert_eq!(lines(&request)[0].split(' ').count(), 3, "{:?}", lines(&request)[0]);
        let response = Builder::response(&request, 486, &reason, Some(&tag)).build();
        prop_assert!(lines(&response).len() <= 7);
        prop_assert!(lines(&response)[0].starts_with("SIP/2.0 486 "));
    }

    /// PAR-11: addresses and reasons read back as they were.
    #[test]
    fn values_read_back(display in "[^\r\n\0]{0,30}", text in "[^\r\n\0]{1,30}") {
        let address = NameAddr { display: Some(display), uri: Uri::parse("sip:a@b;lr").expect("a URI"), params: vec![("note".into(), Some(text.clone()))] };
        prop_assert_eq!(NameAddr::parse(&address.to_string()), Ok(address));
        let why = Reason { protocol: "Q.850".into(), cause: Some(16), text: Some(text) };
        let message = base(&Method::Bye, "sip:c@d").header(Name::Reason, why.to_string()).build();
        prop_assert_eq!(message.reasons(), vec![why]);
    }
}
