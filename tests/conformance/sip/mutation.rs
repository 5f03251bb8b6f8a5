//! Seeded mutations of the corpora: no bytes may panic anything. `SIP_SEED` and `SIP_MUTATIONS` steer a longer run.

use crate::support::{Rng, SDP, corpus, invite, read_all, seed, with_crlf};
use bytes::Bytes;
use voxtrunk::sip::framing::StreamCutter;
use voxtrunk::sip::message::{Builder, Framing, Message, fill_received};
use voxtrunk::sip::offer_answer::{Codec, LocalMedia, Negotiation};
use voxtrunk::sip::refer::sipfrag_status;
use voxtrunk::sip::uri::Uri;

fn rounds(default: usize) -> usize {
    std::env::var("SIP_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

const PIECES: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"\"",
    b"\\",
    b"<",
    b">",
    b"@",
    b"[",
    b"]",
    b"%",
    b"=",
    b"?",
    b"/",
    b"\xff",
    b"4294967296",
    b"\r\n ",
    b"--",
];

/// Flips, inserts, deletes, doubles or swaps bytes, one to six times.
fn mutate(rng: &mut Rng, input: &[u8]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..1 + rng.below(6) {
        let at = rng.below(out.len() + 1);
        match rng.below(6) {
            0 if at < out.len() => out[at] = rng.next() as u8,
            1 => {
                let piece = rng.pick(&PIECES);
                out.splice(at..at, piece.iter().copied());
            }
            2 => {
                let end = (at + 1 + rng.below(20)).min(out.len());
                out.drain(at..end);
            }
            3 => {
                let end = (at + rng.below(60)).min(out.len());
                let copy = out[at..end].to_vec();
                out.splice(at..at, copy);
            }
            4 => out.truncate(at),
            _ if at < out.len() => {
                let other = rng.below(out.len());
                out.swap(at, other);
            }
            _ => {}
        }
    }
    out
}

fn messages() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = corpus("rfc4475").into_iter().map(|(_, bytes)| bytes).collect();
    all.extend(corpus("rfc5118").into_iter().map(|(_, bytes)| with_crlf(&bytes)));
    all.push(invite("Content-Type: application/sdp\r\nReason: SIP;cause=1;text=\"x\"\r\nSubscription-State: active;expires=9\r\n", SDP).into_bytes());
    all.push(
        invite("c: multipart/mixed;boundary=x\r\n", &format!("--x\r\nc: application/sdp\r\n\r\n{SDP}\r\n--x--\r\n"))
            .into_bytes(),
    );
    all
}

/// PAR-02, A10: any bytes through Message::parse, every accessor, fill_received, the response, and the parser again.
#[test]
fn messages_never_panic() {
    let (seed, messages) = (seed(), messages());
    println!("SIP_SEED={seed}");
    let mut rng = Rng(seed);
    let source = "[2001:db8::7]:5062".parse().expect("an address");
    let (mut accepted, mut answered) = (0, 0);
    for round in 0..rounds(25_000) {
        let bytes = Bytes::from(mutate(&mut rng, &messages[round % messages.len()]));
        let framing = if rng.below(4) == 0 { Framing::Stream } else { Framing::Datagram };
        let request = match Message::parse(bytes.clone(), framing) {
            Ok(message) => {
                accepted += 1;
                assert_eq!(message.as_bytes(), &bytes, "SIP_SEED={seed} round {round}");
                if message.is_request() {
                    assert!(
                        matches!(
                            (message.top_via(), message.from(), message.to(), message.cseq()),
                            (Some(Ok(_)), Some(Ok(_)), Some(Ok(_)), Some(Ok(_)))
                        ),
                        "SIP_SEED={seed} round {round}"
                    );
                    assert!(message.request_uri().is_some_and(|u| u.is_ok()) && message.call_id().is_some());
                }
                message
            }
            Err(failure) => match failure.partial {
                Some(partial) => partial,
                None => continue,
            },
        };
        read_all(&request);
        if request.is_request() {
            answered += 1;
            let filled = fill_received(&request, source);
            assert_eq!(filled.body(), request.body(), "SIP_SEED={seed} round {round}");
            let response = Builder::response(&filled, 400, "", Some("t")).build();
            read_all(&response);
            let breaks = response.as_bytes().iter().filter(|b| **b == b'\n').count();
            let vias = request.lines(&voxtrunk::sip::headers::Name::Via).len();
            assert_eq!(breaks, 7 + vias, "SIP_SEED={seed} round {round}: a line was smuggled in");
        }
    }
    assert!(accepted > 1000 && answered > 1000, "the mutations are too wild to test anything: {accepted}, {answered}");
}

fn local() -> LocalMedia {
    LocalMedia {
        addr: "192.0.2.9".parse().expect("an address"),
        port: 4000,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        prefer_local_order: false,
        dtmf: true,
        ptime_ms: 20,
        session_id: 42,
    }
}

/// SDP-16: any bytes as offer and as answer, in any order; our own bodies always read back.
#[test]
fn offer_answer_never_panics() {
    let seed = seed();
    println!("SIP_SEED={seed}");
    let mut rng = Rng(seed ^ 1);
    let video = "m=video 6000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=image 0 udptl t38\r\n";
    let bodies = [
        SDP.to_owned(),
        format!("{SDP}a=sendonly\r\na=ptime:30\r\na=maxptime:60\r\n"),
        format!("{SDP}{video}"),
        format!("{video}{SDP}").replace("v=0\r\n", ""),
        SDP.replace("192.0.2.1", "::1").replace("IP4", "IP6"),
    ];
    let mut taken = 0;
    for round in 0..rounds(15_000) {
        let mut negotiation = Negotiation::new(local());
        for _ in 0..3 {
            let pick = rng.below(bodies.len());
            let body = mutate(&mut rng, bodies[pick].as_bytes());
            let before = negotiation.current().cloned();
            match rng.below(3) {
                0 => match negotiation.receive_offer(&body) {
                    Ok(answer) => {
                        taken += 1;
                        let mut peer =
                            Negotiation::new(LocalMedia { addr: "192.0.2.1".parse().expect("an address"), ..local() });
                        peer.receive_offer(&answer.sdp)
                            .map(|_| ())
                            .unwrap_or_else(|e| assert_eq!(e.status, 488, "SIP_SEED={seed} round {round}: {}", e.why));
                    }
                    Err(refusal) => {
                        assert!(matches!(refusal.status, 400 | 488) && negotiation.current() == before.as_ref())
                    }
                },
                1 => {
                    let offer = negotiation.offer();
                    let mut peer =
                        Negotiation::new(LocalMedia { addr: "192.0.2.1".parse().expect("an address"), ..local() });
                    let answer = peer
                        .receive_offer(&offer)
                        .unwrap_or_else(|e| panic!("SIP_SEED={seed} round {round}: {}", e.why));
                    negotiation
                        .receive_answer(&answer.sdp)
                        .unwrap_or_else(|e| panic!("SIP_SEED={seed} round {round}: {}", e.why));
                }
                _ => {
                    negotiation.offer();
                    if negotiation.receive_answer(&body).is_err() {
                        assert_eq!(negotiation.current(), before.as_ref());
                    }
                }
            }
        }
    }
    assert!(taken > 1000, "the mutations are too wild to test anything: {taken}");
}

/// PAR-06: any bytes in any split through the cutter; what it cuts is never more than 64 KiB.
#[test]
fn streams_never_panic() {
    let (seed, messages) = (seed(), messages());
    println!("SIP_SEED={seed}");
    let mut rng = Rng(seed ^ 2);
    for round in 0..rounds(6000) {
        let mut cutter = StreamCutter::new();
        for _ in 0..3 {
            let bytes = mutate(&mut rng, &messages[round % messages.len()]);
            for chunk in bytes.chunks(1 + rng.below(700)) {
                cutter.push(chunk);
                let mut frames = 0;
                while let Some(Ok(_)) = cutter.next_frame() {
                    frames += 1;
                    assert!(frames <= chunk.len(), "SIP_SEED={seed} round {round}: frames out of nothing");
                }
            }
        }
    }
}

/// PAR-12, XFR-02: any text as a URI, any bytes as a sipfrag.
#[test]
fn uris_never_panic() {
    let seed = seed();
    println!("SIP_SEED={seed}");
    let mut rng = Rng(seed ^ 3);
    let uris = [
        "sip:a%00b:pw@[2001:db8::1]:5060;transport=udp;lr?x=y&z",
        "tel:+1-201-555-0123;phone-context=a;isub=1",
        "sips:h",
        "http://x/y?z#f",
        "sip:+1;npdi;rn=2@h;user=phone",
    ];
    for round in 0..rounds(30_000) {
        let bytes = mutate(&mut rng, uris[round % uris.len()].as_bytes());
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(uri) = Uri::parse(&text) {
            assert_eq!(uri.as_str(), text, "SIP_SEED={seed} round {round}");
            assert!(uri.equivalent(&uri.clone()), "SIP_SEED={seed} round {round}: {text}");
            let _ = (
                uri.number(),
                uri.user_decoded(),
                uri.host_ip(),
                uri.param("lr"),
                uri.number_param("isub"),
                uri.headers(),
            );
        }
        let _ = sipfrag_status(&bytes);
    }
}
