//! Offer/answer (RFC 3264): one test per rule.

use std::net::IpAddr;
use voxtrunk::sip::offer_answer::{Answer, Codec, Direction, LocalMedia, MediaParams, Negotiation, Refusal};

fn local() -> LocalMedia {
    LocalMedia {
        addr: "192.0.2.9".parse().expect("an address"),
        port: 30000,
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        prefer_local_order: false,
        dtmf: true,
        ptime_ms: 20,
        session_id: 4711,
        ..LocalMedia::default()
    }
}

fn us() -> Negotiation {
    Negotiation::new(local())
}

/// A session with the given media part; `version` is that of `o=`.
fn sdp(version: u32, media: &str) -> String {
    format!("v=0\r\no=- 77 {version} IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{media}")
}

const AUDIO: &str = "m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n";

fn answer(offer: &str) -> Answer {
    us().receive_offer(offer.as_bytes()).unwrap_or_else(|e| panic!("{}: {offer}", e.why))
}

fn refused(offer: &str) -> Refusal {
    us().receive_offer(offer.as_bytes()).map(|a| panic!("taken: {offer}\n{a:?}")).unwrap_err()
}

fn text(sdp: &[u8]) -> String {
    String::from_utf8(sdp.to_vec()).expect("we write UTF-8")
}

fn lines<'a>(sdp: &'a str, key: &str) -> Vec<&'a str> {
    sdp.lines().filter_map(|l| l.strip_prefix(key)).collect()
}

fn version(sdp: &[u8]) -> u64 {
    let text = text(sdp);
    lines(&text, "o=")[0].split(' ').nth(2).and_then(|v| v.parse().ok()).expect("a version")
}

/// SDP-05: the whole answer to an ordinary offer, byte for byte.
#[test]
fn an_ordinary_answer() {
    let answer = answer(&sdp(1, AUDIO));
    assert_eq!(
        text(&answer.sdp),
        "v=0\r\no=- 4711 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8 101\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
    );
    assert_eq!(
        answer.media,
        MediaParams {
            remote: "192.0.2.1:4000".parse().ok(),
            codec: Codec::Pcma,
            send_payload_type: 8,
            receive: vec![(8, Codec::Pcma)],
            dtmf_send: Some(101),
            dtmf_receive: Some(101),
            comfort_noise: false,
            ptime_ms: 20,
            direction: Direction::SendRecv,
            srtp: None,
            rtcp_mux: false,
            remote_rtcp: "192.0.2.1:4001".parse().ok(),
        }
    );
    assert!(!answer.refresh);
}

/// SDP-03: same m-lines in the same order; what is not wanted has port 0; a second audio is refused.
#[test]
fn m_lines_are_mirrored() {
    let offer = sdp(
        1,
        &format!(
            "m=Video 6000 RTP/AVP 96 97\r\n{AUDIO}m=audio 4002 RTP/AVP 0\r\nm=image 4004 udptl t38\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nm=text 5 RTP/AVP 98\r\n"
        ),
    );
    let sdp = text(&answer(&offer).sdp);
    assert_eq!(
        lines(&sdp, "m="),
        [
            "Video 0 RTP/AVP 96",
            "audio 30000 RTP/AVP 8 101",
            "audio 0 RTP/AVP 0",
            "image 0 udptl t38",
            "application 0 UDP/DTLS/SCTP webrtc-datachannel",
            "text 0 RTP/AVP 98"
        ]
    );
}

/// SDP-03: the first audio that can be taken is taken, as where SAVP and AVP are both offered.
#[test]
fn the_first_audio_that_fits() {
    let sdp = text(&answer(&sdp(1, &format!("m=audio 4000 RTP/SAVP 8\r\nm=audio 4002 RTP/AVP 18\r\n{AUDIO}"))).sdp);
    assert_eq!(lines(&sdp, "m="), ["audio 0 RTP/SAVP 8", "audio 0 RTP/AVP 18", "audio 30000 RTP/AVP 8 101"]);
}

/// SDP-05: the offerer's order, unless ours is set to win.
#[test]
fn codec_order() {
    let offer = sdp(1, "m=audio 4000 RTP/AVP 18 8 0\r\n");
    assert_eq!(answer(&offer).media.codec, Codec::Pcma);
    let mut ours = Negotiation::new(LocalMedia { prefer_local_order: true, ..local() });
    assert_eq!(ours.receive_offer(offer.as_bytes()).expect("taken").media.codec, Codec::Pcmu);
    let mut only = Negotiation::new(LocalMedia { codecs: vec![Codec::Pcmu], ..local() });
    assert_eq!(only.receive_offer(offer.as_bytes()).expect("taken").media.codec, Codec::Pcmu);
    // G.722 only where it is listed, by its static number or a dynamic one, answered with the offer's own (RFC 3551 §4.5.2: clock 8000).
    let wide =
        sdp(1, "m=audio 4000 RTP/AVP 96 9 0 101\r\na=rtpmap:96 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\n");
    assert_eq!(answer(&wide).media.codec, Codec::Pcmu);
    let mut ours = Negotiation::new(LocalMedia { codecs: vec![Codec::Pcmu, Codec::G722], ..local() });
    let answer = ours.receive_offer(wide.as_bytes()).expect("taken");
    assert_eq!((answer.media.codec, answer.media.send_payload_type), (Codec::G722, 96));
    assert!(text(&answer.sdp).contains("m=audio 30000 RTP/AVP 96 101\r\n"), "{}", text(&answer.sdp));
    assert!(text(&answer.sdp).contains("a=rtpmap:96 G722/8000\r\n"), "{}", text(&answer.sdp));
    let mut no_dtmf = Negotiation::new(LocalMedia { dtmf: false, ..local() });
    let answer = no_dtmf.receive_offer(sdp(1, AUDIO).as_bytes()).expect("taken");
    assert_eq!((answer.media.dtmf_send, text(&answer.sdp).contains("telephone-event")), (None, false));
}

/// SDP-06, DTM-03: we answer with the offer's own numbers; telephone-event at any number, 8000 Hz only.
#[test]
fn payload_numbers_of_an_offer() {
    let media = answer(&sdp(
        1,
        "m=audio 4000 RTP/AVP 111 112 100\r\na=rtpmap:111 pcmu/8000/1\r\na=rtpmap:112 telephone-event/48000\r\na=rtpmap:100 telephone-event/8000\r\na=fmtp:100 0-15\r\n",
    ));
    assert_eq!(
        (media.media.send_payload_type, &media.media.receive[..], media.media.dtmf_send),
        (111, &[(111, Codec::Pcmu)][..], Some(100))
    );
    let sdp = text(&media.sdp);
    assert_eq!(lines(&sdp, "m="), ["audio 30000 RTP/AVP 111 100"]);
    assert!(sdp.contains("a=rtpmap:111 PCMU/8000\r\n") && sdp.contains("a=fmtp:100 0-15\r\n"));
}

/// SDP-06: our offer's numbers towards us, the answer's towards the peer.
#[test]
fn payload_numbers_of_an_answer() {
    let mut n = us();
    let offer = text(&n.offer());
    assert_eq!(lines(&offer, "m="), ["audio 30000 RTP/AVP 0 8 101"]);
    let media = n
        .receive_answer(sdp(1, "m=audio 4000 RTP/AVP 97 98 13\r\na=rtpmap:97 PCMA/8000\r\na=rtpmap:98 telephone-event/8000\r\na=ptime:30\r\n").as_bytes())
        .expect("taken");
    assert_eq!(
        (media.codec, media.send_payload_type, media.dtmf_send, media.dtmf_receive),
        (Codec::Pcma, 97, Some(98), Some(101))
    );
    assert_eq!(media.receive, [(0, Codec::Pcmu), (8, Codec::Pcma)]);
    assert_eq!((media.ptime_ms, media.comfort_noise), (30, true));
    assert_eq!(n.current(), Some(&media));
}

/// SDP-06: a payload type used twice in an offer is 488.
#[test]
fn a_payload_type_used_twice() {
    assert_eq!(refused(&sdp(1, "m=audio 4000 RTP/AVP 0 8 0\r\n")).status, 488);
    assert_eq!(
        refused(&sdp(1, "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMU/8000\r\na=rtpmap:96 PCMA/8000\r\n")).status,
        488
    );
}

/// SDP-07: directions, at session and media level, and the old hold address.
#[test]
fn directions() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let rows = [
        ("", "", "", SendRecv),
        ("", "", "a=sendonly\r\n", RecvOnly),
        ("", "", "a=recvonly\r\n", SendOnly),
        ("", "", "a=inactive\r\n", Inactive),
        ("", "a=inactive\r\n", "", Inactive),
        ("", "a=inactive\r\n", "a=sendrecv\r\n", SendRecv),
        ("", "a=sendonly\r\n", "a=recvonly\r\n", SendOnly),
        ("c=IN IP4 0.0.0.0\r\n", "", "", RecvOnly),
        ("c=IN IP4 0.0.0.0\r\n", "", "a=sendonly\r\n", RecvOnly),
        ("c=IN IP4 0.0.0.0\r\n", "", "a=inactive\r\n", Inactive),
        ("c=IN IP4 0.0.0.0\r\n", "", "a=recvonly\r\n", Inactive),
        ("c=IN IP6 ::\r\n", "", "", RecvOnly),
    ];
    for (media_host, session, media, direction) in rows {
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{session}m=audio 4000 RTP/AVP 0\r\n{media_host}{media}"
        );
        let answer = answer(&offer);
        assert_eq!(answer.media.direction, direction, "{offer}");
        assert_eq!(answer.media.remote.is_none(), !media_host.is_empty(), "{offer}");
        let attribute = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"]
            [[SendRecv, SendOnly, RecvOnly, Inactive].iter().position(|d| *d == direction).expect("one of four")];
        assert!(text(&answer.sdp).contains(attribute), "{offer}");
    }
}

/// SDP-07: our own hold, as offerer and as answerer, and the resume.
#[test]
fn hold_from_our_side() {
    let mut n = us();
    n.receive_offer(sdp(1, AUDIO).as_bytes()).expect("taken");
    n.set_hold(true);
    let offer = text(&n.offer());
    assert!(offer.contains("a=sendonly"), "{offer}");
    let held = n.receive_answer(sdp(2, &format!("{AUDIO}a=recvonly\r\n")).as_bytes()).expect("taken");
    assert_eq!(held.direction, Direction::SendOnly);
    assert_eq!(
        n.receive_offer(sdp(3, AUDIO).as_bytes()).expect("taken").media.direction,
        Direction::SendOnly,
        "still held"
    );
    assert_eq!(
        n.receive_offer(sdp(4, &format!("{AUDIO}a=sendonly\r\n")).as_bytes()).expect("taken").media.direction,
        Direction::Inactive,
        "both hold"
    );
    n.set_hold(false);
    assert!(text(&n.offer()).contains("a=sendrecv"));
    assert_eq!(n.receive_answer(sdp(5, AUDIO).as_bytes()).expect("taken").direction, Direction::SendRecv);
    n.offer();
    let one_way =
        n.receive_answer(sdp(6, &format!("{AUDIO}a=sendrecv\r\nc=IN IP4 0.0.0.0\r\n")).as_bytes()).expect("taken");
    assert_eq!((one_way.direction, one_way.remote), (Direction::RecvOnly, None));
}

/// SDP-09: `o=` keeps its id, its version grows only on change; a repeated offer is a refresh.
#[test]
fn versions_and_refresh() {
    let mut n = us();
    let first = n.receive_offer(sdp(1, AUDIO).as_bytes()).expect("taken");
    let again = n.receive_offer(sdp(1, AUDIO).as_bytes()).expect("taken");
    assert!(!first.refresh && again.refresh);
    assert_eq!(again.sdp, first.sdp);
    let held = n.receive_offer(sdp(2, &format!("{AUDIO}a=sendonly\r\n")).as_bytes()).expect("taken");
    assert!(!held.refresh);
    assert_eq!((version(&first.sdp), version(&held.sdp)), (1, 2));
    assert!(text(&held.sdp).contains("o=- 4711 2 "));
    // New version, same content: no refresh by the letter, but nothing of ours changes.
    let bumped = n.receive_offer(sdp(3, &format!("{AUDIO}a=sendonly\r\n")).as_bytes()).expect("taken");
    assert_eq!((bumped.refresh, version(&bumped.sdp), &bumped.media), (false, 2, &held.media));
    // The same version with other media is seen in the field, and is a change.
    let moved = n.receive_offer(sdp(3, &AUDIO.replace("4000", "5000")).as_bytes()).expect("taken");
    assert_eq!((moved.refresh, moved.media.remote), (false, "192.0.2.1:5000".parse().ok()));
    // Our own repeated offers keep their version, too (TIM-02).
    let (a, b) = (n.offer(), n.offer());
    assert_eq!(a, b);
}

/// SDP-01, SDP-02: late offer and full offer in mid-call, m-lines and numbers kept.
#[test]
fn late_and_full_offers() {
    let mut n = us();
    let late = text(&n.offer());
    assert_eq!(lines(&late, "m="), ["audio 30000 RTP/AVP 0 8 101"]);
    n.receive_answer(sdp(1, "m=audio 4000 RTP/AVP 8\r\n").as_bytes()).expect("taken");
    assert_eq!(text(&n.offer()), late, "the full offer again, unchanged");
    let mut n = us();
    n.receive_offer(
        sdp(1, &format!("m=video 6000 RTP/AVP 96\r\n{}", AUDIO.replace("101", "96").replace("RTP/AVP", "RTP/AVPF")))
            .as_bytes(),
    )
    .expect("taken");
    let full = text(&n.offer());
    assert_eq!(lines(&full, "m="), ["video 0 RTP/AVP 96", "audio 30000 RTP/AVPF 0 8 96"]);
    let media =
        n.receive_answer(sdp(2, "m=video 0 RTP/AVP 96\r\nm=audio 4002 RTP/AVPF 0\r\n").as_bytes()).expect("taken");
    assert_eq!(
        (media.codec, media.remote, media.dtmf_send, media.dtmf_receive),
        (Codec::Pcmu, "192.0.2.1:4002".parse().ok(), None, None)
    );
}

/// DLG-11: what is refused leaves the session as it was.
#[test]
fn refusals_change_nothing() {
    let mut n = us();
    assert_eq!(n.receive_answer(sdp(1, AUDIO).as_bytes()).unwrap_err().status, 400, "an answer without an offer");
    n.receive_offer(sdp(1, AUDIO).as_bytes()).expect("taken");
    let before = n.current().cloned();
    for media in ["m=audio 4000 RTP/AVP 18\r\n", "m=image 4000 udptl t38\r\n", "m=audio 4000 RTP/SAVP 0\r\n", ""] {
        assert_eq!(n.receive_offer(sdp(2, media).as_bytes()).unwrap_err().status, 488, "{media}");
    }
    n.offer();
    for media in ["m=audio 0 RTP/AVP 0\r\n", "m=audio 4000 RTP/AVP 18\r\n", "m=video 4000 RTP/AVP 0\r\n"] {
        assert_eq!(n.receive_answer(sdp(2, media).as_bytes()).unwrap_err().status, 488, "{media}");
    }
    assert_eq!(n.current(), before.as_ref());
    assert!(n.receive_offer(sdp(1, AUDIO).as_bytes()).expect("taken").refresh, "the last good version still counts");
}

/// SDP-11: ptime and maxptime.
#[test]
fn packet_lengths() {
    for (attributes, ms) in [
        ("", 20),
        ("a=ptime:30\r\n", 30),
        ("a=ptime:10\r\n", 10),
        ("a=ptime:60\r\na=maxptime:150\r\n", 60),
        ("a=ptime:40\r\na=maxptime:30\r\n", 30),
        ("a=maxptime:10\r\n", 10),
        ("a=ptime:20.0\r\n", 20),
        ("a=ptime:0\r\n", 20),
        ("a=ptime:99999999999999999999\r\n", 20),
        ("a=ptime:-20\r\n", 20),
    ] {
        let answer = answer(&sdp(1, &format!("{AUDIO}{attributes}")));
        assert_eq!(answer.media.ptime_ms, ms, "{attributes}");
        assert!(text(&answer.sdp).contains(&format!("a=ptime:{ms}\r\n")));
    }
}

/// SDP-12, SDP-13, SDP-14: what is refused, and that it says why.
#[test]
fn refused_offers() {
    let rows = [
        (sdp(1, "m=audio 4000 RTP/AVP 18 96\r\na=rtpmap:96 opus/48000/2\r\n"), 488, "codec"),
        (sdp(1, "m=image 4000 udptl t38\r\n"), 488, "T.38"),
        (sdp(1, "m=audio 0 RTP/AVP 0\r\nm=image 4000 udptl t38\r\n"), 488, "switched off"),
        (sdp(1, "m=audio 4000 RTP/SAVP 0\r\n"), 488, "SRTP"),
        (sdp(1, "m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n"), 488, "SRTP"),
        (sdp(1, "m=audio 4000 TCP/FOO 0\r\n"), 488, "RTP/AVP"),
        (sdp(1, "m=video 4000 RTP/AVP 96\r\n"), 488, "no audio"),
        (sdp(1, ""), 488, "no audio"),
        (sdp(1, AUDIO).replace("c=IN IP4 192.0.2.1\r\n", ""), 488, "c="),
        (sdp(1, AUDIO).replace("c=IN IP4 192.0.2.1", "c=IN IP6 2001:db8::1"), 488, "IP version"),
        (sdp(1, AUDIO).replace("c=IN IP4 192.0.2.1", "c=IN IP4 224.2.1.1/127"), 488, "one host"),
        (sdp(1, "m=audio x RTP/AVP 0\r\n"), 400, "m="),
        (sdp(1, "m=audio 99999 RTP/AVP 0\r\n"), 400, "m="),
        (sdp(1, "m=audio\r\n"), 400, "m="),
        (String::new(), 400, "v=0"),
        ("<audio/>".to_owned(), 400, "v=0"),
        (sdp(1, &"m=audio 4000 RTP/AVP 0\r\n".repeat(33)), 400, "32 media"),
        (sdp(1, &format!("{AUDIO}{}", "a=x\r\n".repeat(1024))), 400, "1024 lines"),
        (sdp(1, &format!("m=audio 4000 RTP/AVP{}\r\n", " 77".repeat(200))), 488, "128 formats"),
    ];
    for (offer, status, why) in rows {
        let refusal = refused(&offer);
        assert_eq!(refusal.status, status, "{offer}: {}", refusal.why);
        assert!(refusal.why.contains(why), "{offer}: {}", refusal.why);
    }
}

/// SDP-14: AVPF is answered with the same profile, in its own spelling.
#[test]
fn avpf() {
    let sdp = text(&answer(&sdp(1, "m=audio 4000 rtp/avpf 0\r\na=rtcp-fb:* nack\r\n")).sdp);
    assert_eq!(lines(&sdp, "m="), ["audio 30000 rtp/avpf 0"]);
    assert!(!sdp.contains("rtcp-fb"));
}

/// SDP-15: what a browser's gateway adds is ignored.
#[test]
fn a_webrtc_gateways_offer() {
    let offer = sdp(
        1,
        "a=group:BUNDLE 0\r\na=msid-semantic: WMS x\r\na=ice-lite\r\na=extmap-allow-mixed\r\n\
         m=audio 4000 RTP/AVPF 111 0 126\r\nc=IN IP4 192.0.2.5\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=candidate:1 1 udp 2113937151 192.168.1.5 51000 typ host\r\n\
         a=ice-ufrag:x\r\na=ice-pwd:y\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\na=rtcp-mux\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtcp-fb:111 transport-cc\r\na=rtpmap:126 telephone-event/8000\r\na=ssrc:1 cname:x\r\n",
    );
    let answer = answer(&offer);
    assert_eq!(
        (answer.media.codec, answer.media.remote, answer.media.dtmf_send),
        (Codec::Pcmu, "192.0.2.5:4000".parse().ok(), Some(126))
    );
    let sdp = text(&answer.sdp);
    for word in ["ice", "candidate", "BUNDLE", "extmap", "opus", "rtcp:", "mid", "ssrc"] {
        assert!(!sdp.contains(word), "{word} in {sdp}");
    }
    assert!(sdp.contains("a=rtcp-mux\r\n"), "it was offered: {sdp}");
}

/// SDP-16: what is tolerated.
#[test]
fn odd_bodies() {
    let ok = |offer: &str| answer(offer).media;
    let plain = ok(&sdp(1, AUDIO));
    for (what, offer) in [
        ("LF only", sdp(1, AUDIO).replace("\r\n", "\n")),
        ("no s= and t=", sdp(1, AUDIO).replace("s=-\r\nt=0 0\r\n", "").replace("t=0 0\r\n", "")),
        ("no o=", sdp(1, AUDIO).replace("o=- 77 1 IN IP4 192.0.2.1\r\n", "")),
        ("odd o=", sdp(1, AUDIO).replace("77 1", "-5 99999999999999999999999")),
        ("port with number", sdp(1, &AUDIO.replace("4000", "4000/2"))),
        ("TTL", sdp(1, AUDIO).replace("c=IN IP4 192.0.2.1", "c=IN IP4 192.0.2.1/127")),
        (
            "spaces",
            sdp(
                1,
                &AUDIO
                    .replace("m=audio 4000 RTP/AVP 8", "m=audio  4000  RTP/AVP  8 ")
                    .replace("a=rtpmap:101 ", "a=rtpmap:101  "),
            ),
        ),
        ("no last line end", sdp(1, AUDIO).trim_end().to_owned()),
        ("bad lines", sdp(1, &format!("b=AS\r\nx\r\n=\r\ny=1\r\n\r\nk=\r\nz=q\r\n{AUDIO}i=x\r\nb=x\r\n"))),
        ("two c=", sdp(1, AUDIO).replace("t=0 0\r\n", "c=IN IP4 203.0.113.1\r\n")),
        ("mapped", sdp(1, AUDIO).replace("c=IN IP4 192.0.2.1", "c=IN IP6 ::ffff:192.0.2.1")),
    ] {
        assert_eq!(ok(&offer), plain, "{what}");
    }
    let named = ok(&sdp(1, AUDIO).replace("c=IN IP4 192.0.2.1", "c=IN IP4 media.example.com"));
    assert_eq!((named.remote, named.direction), (None, Direction::SendRecv));
    let six = LocalMedia { addr: "2001:db8::9".parse::<IpAddr>().expect("an address"), ..local() };
    let answer = Negotiation::new(six)
        .receive_offer(sdp(1, AUDIO).replace("c=IN IP4 192.0.2.1", "c=IN IP6 2001:db8::1").as_bytes())
        .expect("taken");
    assert_eq!(answer.media.remote, "[2001:db8::1]:4000".parse().ok());
    assert!(text(&answer.sdp).contains("c=IN IP6 2001:db8::9\r\n"));
}

/// SDP-07, SDP-09: a mid-call offer that switches audio off pauses it; the next one brings it back.
#[test]
fn audio_switched_off_in_mid_call() {
    assert_eq!(refused(&sdp(1, "m=audio 0 RTP/AVP 0\r\n")).status, 488, "not as the first offer");
    let mut n = us();
    n.receive_offer(sdp(1, AUDIO).as_bytes()).expect("taken");
    let off = n.receive_offer(sdp(2, "m=audio 0 RTP/AVP 8\r\n").as_bytes()).expect("taken");
    assert_eq!((off.media.direction, off.media.remote), (Direction::Inactive, None));
    assert_eq!(lines(&text(&off.sdp), "m="), ["audio 0 RTP/AVP 8"]);
    let on = n.receive_offer(sdp(3, AUDIO).as_bytes()).expect("taken");
    assert_eq!((on.media.direction, on.media.remote), (Direction::SendRecv, "192.0.2.1:4000".parse().ok()));
}

/// SDP-03: RFC 4475's and RFC 5118's bodies.
#[test]
fn bodies_of_the_torture_messages() {
    let with_video = answer(&sdp(1, "m=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC\r\n"));
    assert_eq!(lines(&text(&with_video.sdp), "m="), ["audio 30000 RTP/AVP 0", "video 0 RTP/AVP 31"]);
    assert_eq!(
        refused(&sdp(1, "m=audio 6000 RTP/AVP 2\r\na=rtpmap:2 G726-32/8000\r\nm=video 6024 RTP/AVP 107\r\n")).status,
        488
    );
    let mixed = answer(
        "v=0\r\no=bob 280744730 28977631 IN IP4 host.example.com\r\ns=\r\nt=0 0\r\nm=audio 22334 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\nm=video 6024 RTP/AVP 107\r\nc=IN IP6 2001:db8::1\r\na=rtpmap:107 H263-1998/90000\r\n",
    );
    assert_eq!(mixed.media.remote, "192.0.2.1:22334".parse().ok());
}
