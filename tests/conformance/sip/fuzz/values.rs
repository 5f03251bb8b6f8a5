//! Header values: URIs, addresses, Via, and every header that is read, through a message that carries it.

use super::Fuzz;
use crate::support::{datagram, invite, read_all};
use voxtrunk::sip::headers::{Name, NameAddr, Via};
use voxtrunk::sip::uri::Uri;

fn corpus(values: &[&str]) -> Vec<Vec<u8>> {
    values.iter().map(|v| v.as_bytes().to_vec()).collect()
}

const URIS: [&str; 9] = [
    "sip:a%00b:pw@[2001:db8::1]:5060;transport=udp;lr?x=y&z",
    "tel:+1-201-555-0123;phone-context=a;isub=1",
    "sips:h",
    "http://x/y?z#f",
    "sip:+1;npdi;rn=2@h;user=phone",
    "sip:alice;day=tuesday@atlanta.com;method=INVITE?Subject=project%20x",
    "sip:%61lice@h:65535;maddr=192.0.2.1;ttl=15",
    "tel:7042;phone-context=example.com",
    "sip:+49.30(123)-45@h;user=phone",
];

/// PAR-12, A10: any text as a URI: kept as it came, equal to itself, and what is read of it reads again.
#[test]
fn uris() {
    let taken = Fuzz::new("uris", corpus(&URIS), 30_000).each(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(uri) = Uri::parse(&text) else { return false };
        assert_eq!(uri.as_str(), text);
        assert!(uri.equivalent(&uri.clone()));
        if let Some(number) = uri.number() {
            assert!(number.bytes().all(|b| b"+0123456789*#".contains(&b)), "{number}");
            let again = Uri::parse(&format!("tel:{number}")).ok().and_then(|uri| uri.number());
            // `#` must be escaped in a tel: URI; it is not a number then.
            assert!(number.contains('#') || again.as_ref() == Some(&number), "{number}");
        }
        let _ = (uri.user_decoded(), uri.host_ip(), uri.param("lr"), uri.number_param("isub"), uri.headers());
        true
    });
    assert!(taken > 1_000, "{taken}");
}

/// PAR-04, PAR-11, A10: any text as an address; one that reads is written so that it reads back alike.
#[test]
fn addresses() {
    let values = [
        "\"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8",
        "token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam=\"x;y\";TAG=z",
        "sip:+19725552222@gw1.example.net;unknownparam",
        "<sip:a@h>;+sip.instance=\"<urn:uuid:0;x,y>\";expires=60;q=0.7",
        "\"a,b\" <tel:+1-201-555-0123;phone-context=\"x\">;tag=1",
        "<sip:a@b?Replaces=1%40h%3Bto-tag%3D2%3Bfrom-tag%3D3>",
    ];
    let taken = Fuzz::new("addresses", corpus(&values), 30_000).each(|bytes| {
        let Ok(address) = NameAddr::parse(&String::from_utf8_lossy(bytes)) else { return false };
        let written = address.to_string();
        let again = NameAddr::parse(&written).unwrap_or_else(|e| panic!("{e}: {written}"));
        // What could begin a line is a space in what we write (PAR-11).
        let plain = |text: Option<&str>| text.map(|t| t.replace(['\r', '\n', '\0'], " "));
        assert_eq!((&again.uri, plain(again.tag())), (&address.uri, plain(address.tag())), "{written}");
        true
    });
    assert!(taken > 1_000, "{taken}");
}

/// PAR-04, A10: any text as a Via.
#[test]
fn vias() {
    let values = [
        "SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ;received=192.0.2.1;rport=5060",
        "SIP/2.0/UDP [2001:db8::9:1]:6050;received=[2001:db8::9:255];branch=z9hG4bKas3;rport",
        "SIP/2.0/UDP h;ttl=16;maddr=224.0.0.1;branch=z9hG4bK.\"x\"",
    ];
    let taken = Fuzz::new("vias", corpus(&values), 20_000).each(|bytes| {
        let Ok(via) = Via::parse(&String::from_utf8_lossy(bytes)) else { return false };
        let again = Via::parse(&via.raw).unwrap_or_else(|e| panic!("{e}: {:?}", via.raw));
        assert_eq!((&again.host, again.port, &again.branch), (&via.host, via.port, &via.branch));
        true
    });
    assert!(taken > 1_000, "{taken}");
}

/// Header lines that are read somewhere, as peers write them.
const HEADERS: [&str; 18] = [
    "Session-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\nSupported: timer, 100rel, replaces\r\n",
    "Require: 100rel\r\nRSeq: 1\r\nRAck: 776656 1 INVITE\r\n",
    "Replaces: 425928@bobster.example.org;to-tag=7743;from-tag=6472;early-only\r\n",
    "Refer-To: <sip:dave@denver.example.org?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994>\r\n",
    "Reason: SIP ;cause=200 ;text=\"Call completed elsewhere\", Q.850;cause=16;text=\"Terminated\"\r\n",
    "Diversion: <sip:+49301111@example.net>;reason=unconditional;counter=1;privacy=off\r\n",
    "History-Info: <sip:UserA@ims.example.com>;index=1, <sip:UserB@example.com?Reason=SIP%3Bcause%3D302>;index=1.1\r\n",
    "WWW-Authenticate: Digest realm=\"a\\\"b\", nonce=\"84a4\", algorithm=SHA-256, qop=\"auth,auth-int\", opaque=\"5ccc\", stale=FALSE\r\n",
    "Authorization: Digest username=\"bob\", realm=\"b\", nonce=\"ea9c\", uri=\"sip:a\", response=\"6629\", nc=00000001, cnonce=\"0a4f\", qop=auth\r\n",
    "Event: refer;id=1\r\nSubscription-State: active;expires=60;reason=\"x\"\r\n",
    "Contact: <sip:a@h>;expires=3600;q=0.7, \"B\" <sips:b@h;transport=tcp>\r\nExpires: 3600\r\n",
    "P-Asserted-Identity: \"Alice\" <sip:+4989@h;user=phone>, <tel:+4989>\r\nPrivacy: id;critical\r\n",
    "Route: <sip:p1;lr>,<sip:p2>\r\nRecord-Route: <sip:p1;lr>\r\n,<sip:p3;lr=on>\r\n",
    "Warning: 305 h \"Incompatible media format\"\r\nRetry-After: 18000 (lunch);duration=3600\r\n",
    "Remote-Party-ID: \"A\" <sip:1@h>;party=calling;screen=yes;privacy=off\r\nP-Called-Party-ID: <sip:2@h>\r\n",
    "Accept: application/sdp;level=1, text/*;q=0.3\r\nContent-Encoding: identity\r\nContent-Disposition: session;handling=optional\r\n",
    "Identity: \"x\"\r\nDate: Sat, 13 Nov 2010 23:29:00 GMT\r\nMIME-Version: 1.0\r\n",
    "Path: <sip:p;lr;ob>\r\nService-Route: <sip:s;lr>\r\nFlow-Timer: 120\r\nMin-Expires: 60\r\n",
];

/// PAR-02, A10: any value in any header that is read.
#[test]
fn headers() {
    let corpus = HEADERS.iter().map(|h| h.as_bytes().to_vec()).collect();
    let names = [
        Name::Supported,
        Name::Require,
        Name::SessionExpires,
        Name::MinSe,
        Name::RSeq,
        Name::RAck,
        Name::Replaces,
        Name::RetryAfter,
    ];
    let taken = Fuzz::new("headers", corpus, 20_000).each(|bytes| {
        let text = invite("", "");
        let (before, after) = text.split_once("Content-Length").expect("it is there");
        let message = [before.as_bytes(), bytes, b"Content-Length", after.as_bytes()].concat();
        let (message, good) = match datagram(&message) {
            Ok(message) => (message, true),
            Err(failure) => match failure.partial {
                Some(partial) => (partial, false),
                None => return false,
            },
        };
        read_all(&message);
        for name in &names {
            let _ =
                (message.has_token(name, "timer"), message.seconds(name), message.address(name), message.lines(name));
        }
        let _ = (message.subscription_state(), message.session_expires(), message.replaces());
        let _ = (crate::worst::of_a_trunk(&message), crate::worst::digest(&message));
        good
    });
    assert!(taken > 1_000, "{taken}");
}
