//! Mutations of the corpora through the whole message layer and through offer/answer (see `fuzz` for seed and length of a run).

use crate::fuzz::{Fuzz, mutate};
use crate::support::{SDP, corpus, invite, read_all, with_crlf};
use bytes::Bytes;
use voxtrunk::sip::framing::{Frame, FrameError, StreamCutter};
use voxtrunk::sip::message::{Builder, Framing, Message, fill_received};
use voxtrunk::sip::offer_answer::{Codec, LocalMedia, Negotiation};

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
    let source = "[2001:db8::7]:5062".parse().expect("an address");
    let (mut answered, mut stream) = (0, 0u32);
    let accepted = Fuzz::new("messages", messages(), 20_000).each(|bytes| {
        let bytes = Bytes::copy_from_slice(bytes);
        stream += 1;
        let framing = if stream.is_multiple_of(4) { Framing::Stream } else { Framing::Datagram };
        let (request, accepted) = match Message::parse(bytes.clone(), framing) {
            Ok(message) => (message, true),
            Err(failure) => match failure.partial {
                Some(partial) => (partial, false),
                None => return false,
            },
        };
        if accepted {
            assert_eq!(request.as_bytes(), &bytes);
        }
        if accepted && request.is_request() {
            let read = (request.top_via(), request.from(), request.to(), request.cseq());
            assert!(matches!(read, (Some(Ok(_)), Some(Ok(_)), Some(Ok(_)), Some(Ok(_)))), "{read:?}");
            assert!(request.request_uri().is_some_and(|u| u.is_ok()) && request.call_id().is_some());
        }
        read_all(&request);
        if request.is_request() {
            answered += 1;
            let filled = fill_received(&request, source);
            assert_eq!(filled.body(), request.body());
            let response = Builder::response(&filled, 400, "", Some("t")).build();
            read_all(&response);
            let breaks = response.as_bytes().iter().filter(|b| **b == b'\n').count();
            let vias = request.lines(&voxtrunk::sip::headers::Name::Via).len();
            assert_eq!(breaks, 7 + vias, "a line was smuggled in");
        }
        accepted
    });
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
        ..LocalMedia::default()
    }
}

fn peer() -> Negotiation {
    Negotiation::new(LocalMedia { addr: "192.0.2.1".parse().expect("an address"), ..local() })
}

/// SDP-16: any bytes as offer and as answer, in any order; our own bodies always read back.
#[test]
fn offer_answer_never_panics() {
    let video = "m=video 6000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=image 0 udptl t38\r\n";
    let bodies = [
        SDP.to_owned(),
        format!("{SDP}a=sendonly\r\na=ptime:30\r\na=maxptime:60\r\n"),
        format!("{SDP}{video}"),
        format!("{video}{SDP}").replace("v=0\r\n", ""),
        SDP.replace("192.0.2.1", "::1").replace("IP4", "IP6"),
    ];
    let mut fuzz = Fuzz::new("offer/answer", bodies.iter().map(|b| b.clone().into_bytes()).collect(), 15_000);
    let mut taken = 0;
    while let Some(first) = fuzz.next() {
        let pick = fuzz.rng.below(bodies.len());
        let second = mutate(&mut fuzz.rng, bodies[pick].as_bytes(), &first);
        let order = fuzz.rng.next();
        taken += fuzz.run(&first, || exchange(&[&first, &second, &first], order));
    }
    assert!(taken > 1000, "the mutations are too wild to test anything: {taken}");
}

/// Each body as an offer, as an answer, or left out for an exchange with one of us. How many offers were taken.
fn exchange(bodies: &[&[u8]], mut order: u64) -> usize {
    let mut negotiation = Negotiation::new(local());
    let mut taken = 0;
    for body in bodies {
        let before = negotiation.current().cloned();
        match order % 3 {
            0 => match negotiation.receive_offer(body) {
                Ok(answer) => {
                    taken += 1;
                    if let Err(e) = peer().receive_offer(&answer.sdp) {
                        assert_eq!(e.status, 488, "{}", e.why);
                    }
                }
                Err(refusal) => {
                    assert!(matches!(refusal.status, 400 | 488) && negotiation.current() == before.as_ref())
                }
            },
            1 => {
                let offer = negotiation.offer();
                let answer = peer().receive_offer(&offer).unwrap_or_else(|e| panic!("{}", e.why));
                negotiation.receive_answer(&answer.sdp).unwrap_or_else(|e| panic!("{}", e.why));
            }
            _ => {
                negotiation.offer();
                if negotiation.receive_answer(body).is_err() {
                    assert_eq!(negotiation.current(), before.as_ref());
                }
            }
        }
        order /= 3;
    }
    taken
}

/// PAR-06: any bytes in any split through the cutter; what it cuts is never more than 64 KiB, and does not depend on the split.
#[test]
fn streams_never_panic() {
    let mut fuzz = Fuzz::new("streams", messages(), 6_000);
    while let Some(mut bytes) = fuzz.next() {
        bytes.extend(fuzz.next().unwrap_or_default());
        let (few, many) = (1 + fuzz.rng.below(9), 1 + fuzz.rng.below(900));
        fuzz.run(&bytes, || {
            let whole = frames(&bytes, bytes.len().max(1));
            assert_eq!(frames(&bytes, many), whole);
            assert_eq!(frames(&bytes, few), whole);
        });
    }
}

/// The lengths of the frames of a stream that comes in chunks, `None` for a ping; the last one may be the failure.
fn frames(bytes: &[u8], chunk: usize) -> Vec<Result<Option<usize>, FrameError>> {
    let mut cutter = StreamCutter::new();
    let mut out = Vec::new();
    for chunk in bytes.chunks(chunk) {
        cutter.push(chunk);
        while let Some(frame) = cutter.next_frame() {
            let failed = frame.is_err();
            out.push(frame.map(|frame| match frame {
                Frame::Ping => None,
                Frame::Message(bytes) => Some(bytes.len()),
            }));
            assert!(out.len() <= bytes.len(), "frames out of nothing");
            if failed {
                return out;
            }
        }
    }
    out
}
