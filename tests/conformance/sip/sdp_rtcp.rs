//! Where RTCP goes, as SDP says it: rtcp-mux (RFC 5761 §5.1.1) and `a=rtcp` (RFC 3605).

use std::net::SocketAddr;
use voxtrunk::sip::offer_answer::{LocalMedia, MediaParams, Negotiation};

fn negotiation() -> Negotiation {
    Negotiation::new(LocalMedia { addr: [192, 0, 2, 9].into(), port: 30_000, session_id: 1, ..LocalMedia::default() })
}

fn offer(lines: &str) -> String {
    format!(
        "v=0\r\no=- 77 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n{lines}"
    )
}

fn taken(lines: &str) -> (String, MediaParams) {
    let answer = negotiation().receive_offer(offer(lines).as_bytes()).expect("an offer that can be taken");
    (String::from_utf8(answer.sdp.to_vec()).expect("UTF-8"), answer.media)
}

fn addr(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

/// RTP-14: rtcp-mux is answered when it was offered, and only then; we do not offer it, and an answer cannot bring it in.
#[test]
fn mux_only_if_offered() {
    let (sdp, media) = taken("a=rtcp-mux\r\na=rtcp:4007\r\n");
    assert!(sdp.contains("\r\na=rtcp-mux\r\n"), "{sdp}");
    assert_eq!((media.rtcp_mux, media.remote_rtcp), (true, addr("192.0.2.1:4000")));
    let (sdp, media) = taken("");
    assert!(!sdp.contains("mux"), "{sdp}");
    assert_eq!((media.rtcp_mux, media.remote_rtcp), (false, addr("192.0.2.1:4001")));
    let mut negotiation = negotiation();
    let ours = negotiation.offer();
    assert!(!String::from_utf8_lossy(&ours).contains("mux"));
    let media = negotiation.receive_answer(offer("a=rtcp-mux\r\n").as_bytes()).expect("an answer");
    assert_eq!((media.rtcp_mux, media.remote_rtcp), (false, addr("192.0.2.1:4001")));
}

/// RTP-13: the port, or port and address, of `a=rtcp`; what cannot be read does not count; nobody is sent reports at no address.
#[test]
fn the_rtcp_attribute() {
    for (line, expected) in [
        ("a=rtcp:53020", addr("192.0.2.1:53020")),
        ("a=rtcp:53020 IN IP4 198.51.100.7", addr("198.51.100.7:53020")),
        ("a=RTCP: 53020  IN IP4  198.51.100.7 ", addr("198.51.100.7:53020")),
        ("a=rtcp:0", addr("192.0.2.1:4001")),
        ("a=rtcp:99999", addr("192.0.2.1:4001")),
        ("a=rtcp:53020 IN IP4 rtcp.example", addr("192.0.2.1:4001")),
        ("a=rtcp:9 IN IP4 0.0.0.0", None),
        ("a=rtcp:5000 IN IP4 224.0.0.1", None),
        ("a=rtcp:5000 IN IP6 2001:db8::1", None),
    ] {
        assert_eq!(taken(&format!("{line}\r\n")).1.remote_rtcp, expected, "{line}");
    }
}
