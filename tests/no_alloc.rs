//! The media path of a call allocates nothing per packet once it is warm, and a message beyond a limit is refused before memory is
//! taken for it.
//!
//! A counting global allocator needs `unsafe impl GlobalAlloc`: this test crate is the one place where `unsafe` is allowed; it only
//! counts and hands on to the system's allocator. Counts are per thread, so that the test harness does not disturb.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use voxtrunk::audio::codec::{Decoder, Encoder};
use voxtrunk::audio::conceal::Concealer;
use voxtrunk::audio::front::FrontParams;
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::line::{FromLine, ToLine};
use voxtrunk::audio::pcm::{FRAME_8K, FRAME_24K, Rate};
use voxtrunk::audio::playout::Playout;
use voxtrunk::audio::resample::{Downsampler, Upsampler};
use voxtrunk::audio::tone;
use voxtrunk::call::{Call, Input, Output};
use voxtrunk::codec::Codec;
use voxtrunk::net::clock;
use voxtrunk::realtime::buffers::{Buffers, Used};
use voxtrunk::rtp::receiver::{Received, Receiver, ReceiverParams, SourcePolicy};
use voxtrunk::rtp::sender::Sender;

mod session;
mod talking;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: usize) {
    // A thread that is ending has no counter any more; nothing is measured there.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    let _ = BYTES.try_with(|sum| sum.set(sum.get() + bytes));
}

// SAFETY: every call goes to `System` with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        unsafe { System.realloc(ptr, layout, new_size) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `work` runs.
fn allocations(mut work: impl FnMut()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4000))
}

fn receiver() -> Receiver {
    Receiver::new(ReceiverParams {
        policy: SourcePolicy::Latch,
        sdp_remote: Some(peer()),
        allowed: vec![],
        audio_payload_types: vec![(0, Codec::Pcmu)],
        dtmf_payload_type: Some(101),
        comfort_noise: Some(13),
        reorder_wait: Duration::from_millis(60),
    })
}

#[test]
fn the_counter_counts() {
    let mut kept = Vec::new();
    assert_eq!(allocations(|| kept.push(vec![1u8; 100])), 2);
    assert_eq!(allocations(|| kept[0][0] = 2), 0);
}

/// Caller → model: datagram → receiver → G.711 → concealment → 24 kHz, with losses, reordering, duplicates and digits.
#[test]
fn caller_to_model_allocates_nothing_per_packet() {
    let mut sender = Sender::new(1, 65_000, 7);
    sender.set_format(Codec::Pcmu, 0, Some(101), 20);
    let mut datagrams: Vec<Vec<u8>> = Vec::new();
    for n in 0..4000 {
        if n % 200 == 0 {
            assert!(sender.send_digits("17#"));
        }
        let mut out = Vec::new();
        sender.frame(&[n as u8; FRAME_8K], &mut out);
        datagrams.push(out);
        let mut extra = Vec::new();
        while sender.extra(&mut extra) {
            datagrams.push(extra.clone());
        }
    }
    // Losses of one and of three in a row, neighbours exchanged, duplicates.
    let mut n = 0;
    datagrams.retain(|_| {
        n += 1;
        n % 40 != 0 && !(1000..1003).contains(&(n % 1500))
    });
    for at in (25..datagrams.len() - 1).step_by(50) {
        datagrams.swap(at, at + 1);
    }
    for at in (0..datagrams.len()).step_by(77).rev() {
        let copy = datagrams[at].clone();
        datagrams.insert(at, copy);
    }

    let (mut receiver, mut concealer, mut upsampler) =
        (receiver(), Concealer::new(Rate::Hz8000), Upsampler::new(Rate::Hz8000));
    let (mut narrow, mut wide) = (Vec::new(), Vec::new());
    let mut now = clock::now();
    let (mut frames, mut digits, mut lost) = (0u32, 0u32, 0u32);
    let mut run = |datagrams: &[Vec<u8>]| {
        for datagram in datagrams {
            now += Duration::from_millis(20);
            receiver.handle_datagram(now, peer(), datagram);
            while let Some(received) = receiver.poll(now) {
                match received {
                    Received::Audio { payload, lost_before, .. } => {
                        narrow.clear();
                        wide.clear();
                        concealer.conceal(lost_before as usize, &mut narrow);
                        let good = narrow.len();
                        Law::Mu.decode(payload, &mut narrow);
                        concealer.good(&mut narrow[good..]);
                        upsampler.process(&narrow, &mut wide);
                        frames += 1;
                        lost += lost_before;
                    }
                    Received::Digit { .. } => digits += 1,
                    Received::ComfortNoise { .. } => {}
                }
            }
        }
    };
    let (warm_up, measured) = datagrams.split_at(2000);
    run(warm_up);
    assert_eq!(allocations(|| run(measured)), 0);
    // The path was really taken, with everything on it.
    assert!(frames > 3000 && digits >= 55 && lost > 5000, "{frames} frames, {digits} digits, {lost} lost");
}

/// A wideband call both ways: G.722, its rate ↔ 24 kHz, play-out; once every filter and coder is made.
#[test]
fn a_wideband_call_allocates_nothing_per_packet() {
    let (line, session) = (Rate::Hz16000, Rate::Hz24000);
    let speech = tone::voice_at(session, 1_000, 3);
    let (mut encoder, mut decoder) = (Encoder::new(Codec::G722), Decoder::new());
    let (mut to_line, mut from_line) = (ToLine::new(session, line), FromLine::new(line, session));
    let (mut playout, mut concealer) = (Playout::new(line), Concealer::new(line));
    let (mut wide, mut codes, mut heard, mut back) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut frame = vec![0; line.samples(20)];
    let mut samples = 0;
    let mut run = |segments: std::ops::Range<u64>| {
        for segment in segments {
            for delta in speech.chunks(FRAME_24K * 5) {
                wide.clear();
                to_line.process(delta, &mut wide);
                playout.push(segment, &wide);
            }
            wide.clear();
            to_line.flush(&mut wide);
            playout.push(segment, &wide);
            playout.end(segment);
            while !playout.is_idle() {
                playout.next_frame(&mut frame);
                codes.clear();
                heard.clear();
                back.clear();
                encoder.encode(&frame, &mut codes);
                decoder.decode(Codec::G722, &codes, &mut heard);
                concealer.good(&mut heard);
                from_line.process(&heard, &mut back);
                samples += back.len();
            }
        }
    };
    run(0..70);
    assert_eq!(allocations(|| run(70..90)), 0);
    assert!(samples > 89 * 24_000, "{samples}");
}

/// Model → caller: 24 kHz → 8 kHz → play-out → G.711 → RTP, over many segments, a barge-in in some, digits now and then.
#[test]
fn model_to_caller_allocates_nothing_per_packet() {
    let speech: Vec<i16> = tone::voice(400, 1).into_iter().flat_map(|sample| [sample; 3]).collect();
    let (mut downsampler, mut playout, mut sender) =
        (Downsampler::new(Rate::Hz8000), Playout::new(Rate::Hz8000), Sender::new(1, 2, 3));
    sender.set_format(Codec::Pcma, 8, Some(101), 20);
    let (mut narrow, mut codes, mut packet) = (Vec::new(), Vec::new(), Vec::new());
    let mut frame = [0; FRAME_8K];
    let (mut packets, mut spoken) = (0u64, 0usize);
    let mut run = |segments: std::ops::Range<u64>| {
        for segment in segments {
            // Faster than real time: the whole segment first, as a model does.
            for delta in speech.chunks(FRAME_24K * 5) {
                narrow.clear();
                downsampler.process(delta, &mut narrow);
                playout.push(segment, &narrow);
            }
            narrow.clear();
            downsampler.flush(&mut narrow);
            playout.push(segment, &narrow);
            playout.end(segment);
            if segment % 5 == 0 {
                sender.send_digits("9");
            }
            while !playout.is_idle() {
                let played = playout.next_frame(&mut frame);
                codes.clear();
                Law::A.encode(&frame, &mut codes);
                if sender.frame(&codes, &mut packet) {
                    spoken += played.samples;
                } else {
                    playout.unsend();
                }
                packets += 1;
                while sender.extra(&mut packet) {
                    packets += 1;
                }
            }
        }
    };
    // Until the ledger is full of old segments: it is reused from then on.
    run(0..100);
    assert_eq!(allocations(|| run(100..200)), 0);
    assert_eq!(spoken, 200 * 3200);
    assert!(packets > 4000, "{packets}");
}

/// RTP-13: two sessions with reports both ways, by mux and by a port of their own; strangers and noise among what comes.
#[test]
fn a_session_with_reports_allocates_nothing_per_packet() {
    use voxtrunk::rtp::rtcp::WallClock;
    use voxtrunk::rtp::session::{Port, RtpSession, SessionParams};
    for rtcp_mux in [true, false] {
        let rtcp = SocketAddr::new(peer().ip(), if rtcp_mux { 4000 } else { 4001 });
        let params = || SessionParams {
            receiver: ReceiverParams {
                policy: SourcePolicy::Latch,
                sdp_remote: Some(peer()),
                allowed: vec![],
                audio_payload_types: vec![(0, Codec::Pcmu)],
                dtmf_payload_type: None,
                comfort_noise: None,
                reorder_wait: Duration::from_millis(60),
            },
            srtp: None,
            rtcp_mux,
            rtcp_remote: Some(rtcp),
        };
        let mut now = clock::now();
        let mut ends =
            [(RtpSession::new(params()), Sender::new(1, 2, 3)), (RtpSession::new(params()), Sender::new(4, 5, 6))];
        for (n, (session, _)) in ends.iter_mut().enumerate() {
            session.start_reports(now, WallClock { at: now, unix_ms: 1_800_000_000_000 }, n as u64);
        }
        let (mut packet, stranger) = (Vec::new(), SocketAddr::from(([203, 0, 113, 9], 1)));
        let mut run = |frames: u32| {
            for n in 0..frames {
                now += Duration::from_millis(20);
                for from in 0..2 {
                    let [a, b] = &mut ends;
                    let (one, other) = if from == 0 { (a, b) } else { (b, a) };
                    one.1.frame(&[n as u8; FRAME_8K], &mut packet);
                    assert!(one.0.protect(&mut packet));
                    other.0.handle_rtp(now, peer(), &packet);
                    other.0.handle_rtp(now, stranger, &packet);
                    while other.0.receiver.poll(now).is_some() {}
                    match one.0.poll_rtcp(now, &one.1, Some(now), &mut packet) {
                        Some((Port::Rtp, _)) => other.0.handle_rtp(now, rtcp, &packet),
                        Some((Port::Rtcp, _)) => other.0.handle_rtcp(now, rtcp, &packet),
                        None => {}
                    }
                }
            }
        };
        run(1_000);
        assert_eq!(allocations(|| run(5_000)), 0);
        for (session, _) in &ends {
            let reports = session.reports();
            assert!(reports.sent > 15 && reports.received > 15 && reports.round_trip.is_some(), "{reports:?}");
        }
    }
}

/// SRTP and SRTCP of every suite, with replays and forgeries among the packets.
#[test]
fn srtp_allocates_nothing_per_packet() {
    use voxtrunk::rtp::srtp::Srtp;
    use voxtrunk::srtp_key::{MasterKey, SrtpKeys, Suite};
    for suite in Suite::ALL {
        let key = MasterKey::new(suite, &vec![5; suite.key_len() + suite.salt_len()]).expect("a key of that length");
        let keys = SrtpKeys { suite, send: key.clone(), receive: key };
        let (mut one, mut other) = (Srtp::new(&keys).expect("good keys"), Srtp::new(&keys).expect("good keys"));
        let (now, mut sender, mut packet) = (clock::now(), Sender::new(1, 65_000, 7), Vec::new());
        let report = [&[0x81, 201, 0, 7, 0, 0, 0, 1][..], &[3; 24]].concat();
        let (mut taken, mut refused) = (0, 0);
        let mut run = |packets: u32| {
            for n in 0..packets {
                sender.frame(&[n as u8; FRAME_8K], &mut packet);
                one.protect_rtp(&mut packet).expect("protected");
                taken += u32::from(other.unprotect_rtp(now, &packet).is_ok());
                refused += u32::from(other.unprotect_rtp(now, &packet).is_err());
                packet[20] ^= 1;
                packet[3] ^= 0x40;
                refused += u32::from(other.unprotect_rtp(now, &packet).is_err());
                packet.clear();
                packet.extend_from_slice(&report);
                one.protect_rtcp(&mut packet).expect("protected");
                taken += u32::from(other.unprotect_rtcp(now, &packet).is_ok());
                other.done();
            }
        };
        run(10);
        assert_eq!(allocations(|| run(2_000)), 0, "{suite:?}");
        assert_eq!((taken, refused), (4_020, 4_020));
    }
}

/// A session over TLS 1.3, 1.2 and none, on real sockets: 20 ms out and 20 ms in, sealed, opened, framed and masked.
#[test]
fn a_realtime_session_allocates_nothing_per_message() {
    for tls in [Some(&rustls::version::TLS13), Some(&rustls::version::TLS12), None] {
        let mut session = session::Session::open(tls);
        let mut octets = 0;
        let mut run = |messages: u32| (0..messages).for_each(|_| octets += session.exchange());
        run(50);
        assert_eq!(allocations(|| run(500)), 0, "{tls:?}");
        assert_eq!(octets, 550 * session::DELTA);
    }
}

/// A whole call, both ways, as a media worker runs it: datagrams and deltas in, appends and packets out. All of [`Call`]: receiver, 24 kHz,
/// JSON and base64 both ways, engine, play-out, sender, clocks.
#[test]
fn a_talking_call_allocates_nothing_per_packet() {
    let start = clock::now();
    let mut call = talking::call(start, FrontParams::default());
    let mut buffers = Buffers::default();
    let (mut packets, mut appended, mut notes) = (0u32, 0usize, 0u32);
    let mut input = |call: &mut Call, now, input: Input<'_>| {
        let unused = call.lend(std::mem::take(&mut buffers));
        call.handle(now, input);
        loop {
            match call.poll_output(now) {
                Output::Timeout(_) => break,
                Output::Rtp { to } => packets += u32::from(to == peer() && call.rtp_bytes().len() == 172),
                Output::RealtimeText(text) => {
                    appended += text.len();
                    call.reuse(Used::Text(text));
                }
                Output::Note(_) => notes += 1,
                _ => {}
            }
        }
        buffers = call.lend(Buffers::default()).or(unused);
    };
    for event in talking::SESSION {
        input(&mut call, start, Input::RealtimeText(event));
    }
    let mut sender = Sender::new(1, 65_000, 7);
    let speech: Vec<u8> = tone::voice(20, 1).into_iter().flat_map(|s| [s; 3]).flat_map(i16::to_le_bytes).collect();
    let delta = talking::delta(&speech);
    let mut codes = Vec::new();
    Law::Mu.encode(&tone::voice(20, 2), &mut codes);
    let mut datagram = Vec::new();
    let mut run = |frames: std::ops::Range<u64>| {
        for frame in frames {
            let now = start + Duration::from_millis(20 * frame);
            sender.frame(&codes, &mut datagram);
            input(&mut call, now, Input::Rtp { from: peer(), datagram: &datagram });
            input(&mut call, now + Duration::from_millis(5), Input::RealtimeText(&delta));
            for tick in [5, 10, 15] {
                input(&mut call, now + Duration::from_millis(tick), Input::Timeout);
            }
        }
    };
    // Until each buffer has had its largest content.
    run(0..500);
    // Four seconds: a report of RTCP falls into them now and then, and is no packet of audio.
    let asked = allocations(|| run(500..700));
    assert!(packets >= 695 && appended > 690 * 1_300 && notes > 0, "{packets} packets, {appended} bytes");
    assert_eq!(asked, 0, "in 200 frames");
}

/// Bytes that this thread asks for while `work` runs, all together.
fn bytes_asked_for(work: impl FnOnce()) -> usize {
    let before = BYTES.with(Cell::get);
    work();
    BYTES.with(Cell::get) - before
}

/// PAR-07: each limit, one beyond it, in a datagram and on a stream (TLS hands the same bytes to the same cutter): refused, with no
/// more memory asked for than a small multiple of what came, and none for what was only announced.
#[test]
fn limits_come_before_memory() {
    use voxtrunk::sip::framing::StreamCutter;
    use voxtrunk::sip::message::{Framing, Message};
    let message = |headers: &str, body: &str| {
        format!(
            "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:a@b>\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let parts = format!("{}--x--\r\n", "--x\r\n\r\na\r\n".repeat(17));
    let rows = [
        ("headers", message(&"X: y\r\n".repeat(122), "")),
        ("a line", message(&format!("X: {}\r\n", "y".repeat(8 * 1024)), "")),
        ("a folded line", message(&format!("X: y\r\n{}", " y\r\n".repeat(2_100)), "")),
        ("Vias", message(&"Via: SIP/2.0/UDP h\r\n".repeat(64), "")),
        ("Vias in a list", message(&format!("Via: SIP/2.0/UDP h{}\r\n", ",SIP/2.0/UDP h".repeat(64)), "")),
        ("Record-Routes", message(&format!("Record-Route: <sip:a;lr>{}\r\n", ",<sip:a;lr>".repeat(64)), "")),
        ("parts", message("Content-Type: multipart/mixed;boundary=x\r\n", &parts)),
        ("parameters", message(&format!("Contact: <sip:a@b>{}\r\n", ";p".repeat(257)), "")),
    ];
    for (name, text) in rows {
        let expected = if name == "parameters" { 400 } else { 513 };
        let bytes = bytes::Bytes::from(text.clone());
        for framing in [Framing::Datagram, Framing::Stream] {
            let mut status = 0;
            let asked = bytes_asked_for(|| {
                status = match framing {
                    Framing::Datagram => Message::parse(bytes.clone(), framing).map_or_else(|e| e.status, |_| 200),
                    Framing::Stream => {
                        let mut cutter = StreamCutter::new();
                        cutter.push(&bytes);
                        match cutter.next_frame() {
                            Some(Ok(voxtrunk::sip::framing::Frame::Message(frame))) => {
                                Message::parse(frame, framing).map_or_else(|e| e.status, |_| 200)
                            }
                            _ => 0,
                        }
                    }
                };
            });
            // A stream whose Content-Length comes too late to be read is closed.
            let closed = framing == Framing::Stream && status == 0;
            assert!(status == expected || closed, "{name} {framing:?}: {status}");
            assert!(asked < 4 * text.len() + 64 * 1024, "{name} {framing:?}: {asked} bytes for {}", text.len());
        }
    }
    // What is only announced costs nothing, and what does not end is cut off.
    let announced = bytes_asked_for(|| {
        let mut cutter = StreamCutter::new();
        cutter.push(b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 4294967295\r\n\r\n");
        assert!(matches!(cutter.next_frame(), Some(Err(_))));
    });
    assert!(announced < 8 * 1024, "{announced}");
    let endless = bytes_asked_for(|| {
        let mut cutter = StreamCutter::new();
        for _ in 0..1_000 {
            cutter.push(&[b'a'; 1_000]);
            let _ = cutter.next_frame();
        }
    });
    assert!(endless < 512 * 1024, "{endless} bytes for a line that never ends");
    assert_eq!(
        Message::parse(vec![b'a'; 64 * 1024 + 1].into(), Framing::Datagram).map_or_else(|e| e.status, |_| 0),
        513
    );
    let media = format!("v=0\r\nc=IN IP4 192.0.2.1\r\n{}", "m=audio 4000 RTP/AVP 0\r\n".repeat(33));
    let asked = bytes_asked_for(|| {
        let local = voxtrunk::sip::offer_answer::LocalMedia {
            addr: std::net::IpAddr::from([192, 0, 2, 9]),
            port: 4000,
            codecs: vec![voxtrunk::sip::offer_answer::Codec::Pcmu],
            prefer_local_order: false,
            dtmf: true,
            ptime_ms: 20,
            session_id: 1,
            ..voxtrunk::sip::offer_answer::LocalMedia::default()
        };
        let refused = voxtrunk::sip::offer_answer::Negotiation::new(local).receive_offer(media.as_bytes());
        assert!(refused.is_err_and(|e| e.why.contains("32 media")));
    });
    assert!(asked < 64 * 1024, "{asked} bytes for 33 media");
}
