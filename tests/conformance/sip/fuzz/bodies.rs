//! Bodies: multipart, SDP read and written, sipfrag.

use super::Fuzz;
use crate::support::{SDP, datagram};
use voxtrunk::sip::offer_answer::{Codec, LocalMedia, Negotiation};
use voxtrunk::sip::refer::sipfrag_status;

fn message(content_type: &[u8], body: &[u8]) -> Vec<u8> {
    let head = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nc: ";
    [head.as_bytes(), content_type, b"\r\n\r\n", body].concat()
}

/// PAR-14, A10: any multipart body: the SDP part found stands in it, and only a part that must be understood refuses it.
#[test]
fn multipart() {
    let nested = format!(
        "--x\r\nContent-Type: multipart/alternative;boundary=\"y z\"\r\n\r\n--y z\r\n\r\nhi\r\n--y z\r\nc: application/sdp\r\n\r\n{SDP}\r\n--y z--\r\n--x\r\n\
         Content-Type: application/isup;version=itu-t92+\r\nContent-Disposition: signal;handling=required\r\n\r\n\0\x01\r\n--x--\r\n"
    );
    let siprec = format!(
        "--x\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--x\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n\r\n<x/>\r\n--x--\r\n"
    );
    let corpus = vec![
        nested.into_bytes(),
        siprec.into_bytes(),
        b"--x\r\n\r\n\r\n--x--".to_vec(),
        b"--x\n\n--x\nc:a\n\nb\n--x--\n".to_vec(),
    ];
    let taken = Fuzz::new("multipart", corpus, 20_000).each(|body| {
        let Ok(m) = datagram(&message(b"multipart/mixed;boundary=x", body)) else { return false };
        let _ = m.unsupported_required_part();
        let Some(sdp) = m.sdp() else { return false };
        assert!(sdp.is_empty() || m.body().windows(sdp.len()).any(|w| w == &sdp[..]), "a part that is not in the body");
        true
    });
    assert!(taken > 300, "{taken}");
}

/// PAR-14: any Content-Type.
#[test]
fn content_types() {
    let corpus = [
        "multipart/mixed;boundary=x",
        "Multipart/Related ; start=\"<a>\" ; boundary=\"x\"",
        "application/sdp;charset=utf-8",
        "a/b;c",
    ];
    let corpus = corpus.iter().map(|c| c.as_bytes().to_vec()).collect();
    let body = format!("--x\r\nc: application/sdp\r\n\r\n{SDP}\r\n--x--\r\n");
    let taken =
        Fuzz::new("content types", corpus, 15_000).each(|value| match datagram(&message(value, body.as_bytes())) {
            Ok(m) => {
                let _ = (m.content_type(), m.unsupported_required_part());
                m.sdp().is_some()
            }
            Err(_) => false,
        });
    assert!(taken > 300, "{taken}");
}

/// XFR-02: any sipfrag.
#[test]
fn sipfrags() {
    let corpus = vec![
        b"SIP/2.0 200 OK\r\n".to_vec(),
        b"\r\nSIP/2.0 603 Declined\r\nTo: x\r\n".to_vec(),
        b"SIP/2.0 100".to_vec(),
    ];
    let taken = Fuzz::new("sipfrags", corpus, 20_000).each(|body| match sipfrag_status(body) {
        Some(status) => {
            assert!((100..700).contains(&status));
            true
        }
        None => false,
    });
    assert!(taken > 1_000, "{taken}");
}

/// SDP-16, SDP-01: any description as an offer: an answer has the offer's media in number and order, and another of us takes it.
#[test]
fn descriptions() {
    let webrtc = format!(
        "{SDP}a=mid:0\r\na=ice-ufrag:x\r\na=fingerprint:sha-256 00:11\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=rtpmap:96 VP8/90000\r\n\
         m=image 0 udptl t38\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
    );
    let avpf = SDP.replace("RTP/AVP", "RTP/AVPF").replace("0 101", "0 13 101 18 3")
        + "a=fmtp:101 0-16\r\na=fmtp:18 annexb=no\r\na=ptime:20\r\n";
    let v6 = SDP.replace("192.0.2.1", "2001:db8::1").replace("IP4", "IP6") + "a=sendonly\r\na=maxptime:40\r\n";
    let local = |addr: &str| LocalMedia {
        addr: addr.parse().expect("an address"),
        port: 4000,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        prefer_local_order: false,
        dtmf: true,
        ptime_ms: 20,
        session_id: 42,
        ..LocalMedia::default()
    };
    let corpus = [SDP, &webrtc, &avpf, &v6].iter().map(|s| s.as_bytes().to_vec()).collect();
    let count = |sdp: &[u8]| sdp.split(|b| *b == b'\n').filter(|line| line.starts_with(b"m=")).count();
    let taken = Fuzz::new("descriptions", corpus, 15_000).each(|body| {
        let mut answerer = Negotiation::new(local("192.0.2.9"));
        let Ok(answer) = answerer.receive_offer(body) else { return false };
        assert!((1..=32).contains(&count(&answer.sdp)));
        assert!(answer.sdp.len() < 64 * 1024, "an answer of {} bytes", answer.sdp.len());
        // What we wrote is read as it was meant, by one of us.
        let mut peer = Negotiation::new(local("192.0.2.1"));
        peer.receive_offer(&answer.sdp).is_ok()
            || answer.media.remote.is_none()
            || answer.media.direction != voxtrunk::sip::offer_answer::Direction::SendRecv
    });
    assert!(taken > 1_000, "{taken}");
}
