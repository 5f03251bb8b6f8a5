use super::*;
use crate::net::clock;
use crate::sip::offer_answer::Direction;

fn downlink() -> Downlink {
    let media = MediaParams {
        remote: None,
        codec: Codec::Pcmu,
        send_payload_type: 0,
        receive: vec![(0, Codec::Pcmu)],
        dtmf_send: Some(101),
        dtmf_receive: Some(101),
        comfort_noise: false,
        ptime_ms: 20,
        direction: Direction::SendRecv,
        srtp: None,
        rtcp_mux: false,
        remote_rtcp: None,
    };
    Downlink::new(Sender::new(1, 2, 3), AudioFormat::Pcm24k, &media)
}

/// Payloads of one second.
fn play(downlink: &mut Downlink) -> Vec<u8> {
    let start = clock::now();
    downlink.start(start);
    let mut out = Vec::new();
    let mut all = Vec::new();
    for n in 0..50 {
        assert_ne!(downlink.poll(start + Duration::from_millis(20 * n), true, &mut out), Frame::None);
        all.extend_from_slice(&out[12..]);
    }
    all
}

/// A delta may split anywhere, also within a sample.
#[test]
fn odd_splits_are_the_same_audio() {
    let audio: Vec<u8> = (0..24_000i32).flat_map(|n| ((n * 37 % 9_000) as i16 - 4_500).to_le_bytes()).collect();
    let (mut whole, mut split) = (downlink(), downlink());
    assert!(whole.push(1, &audio));
    for piece in audio.chunks(333) {
        assert!(split.push(1, piece));
    }
    whole.end(1);
    split.end(1);
    assert_eq!(play(&mut whole), play(&mut split));
}

/// RTP-03: packets leave 10 ms behind the caller's, on one absolute clock, whatever jitters later; time that is left out is told by the
/// timestamps.
#[test]
fn deadlines_stand_behind_the_callers() {
    let start = clock::now();
    let at = |ms| start + Duration::from_millis(ms);
    for (first, expected) in [(0, 10), (3, 13), (10, 20), (14, 24), (19, 29)] {
        let (mut downlink, mut out) = (downlink(), Vec::new());
        downlink.start(start);
        assert!(matches!(downlink.poll(at(0), true, &mut out), Frame::Packet(_)));
        downlink.align(at(first));
        assert_eq!(downlink.timeout(), Some(at(expected)), "{first}");
        assert_eq!(downlink.poll(at(expected - 1), true, &mut out), Frame::None);
        assert!(matches!(downlink.poll(at(expected), true, &mut out), Frame::Packet(_)));
        assert_eq!(u64::from(u32::from_be_bytes([out[4], out[5], out[6], out[7]])), 3 + 8 * expected.max(20));
        downlink.align(at(expected + 3));
        assert_eq!(downlink.timeout(), Some(at(expected + 20)));
    }
}

/// The agent's words get their gain, the silence after them its noise; the ledger counts the words alone.
#[test]
fn level_and_noise() {
    let mut downlink = downlink();
    downlink.set_level(LevelParams { volume_db: 6.0, comfort_noise: Some(55) });
    downlink.push_clip(1, &[2_000; 1_600]);
    let mut heard = Vec::new();
    Law::Mu.decode(&play(&mut downlink), &mut heard);
    assert!(heard[..1_600].iter().all(|sample| (3_800..4_200).contains(sample)), "{:?}", &heard[..5]);
    assert!(heard[1_600..].iter().any(|sample| sample.unsigned_abs() > 40));
    assert!(heard[1_600..].iter().all(|sample| sample.unsigned_abs() < 200));
    assert_eq!(downlink.heard(1).map(|heard| (heard.heard_ms, heard.received_ms)), Some((200, 200)));
}

/// RTP-03: a missed deadline is skipped, not caught up; without a target nothing is taken from the queue.
#[test]
fn deadlines_are_absolute() {
    let start = clock::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut downlink = downlink();
    downlink.push_clip(7, &[1_000; 1_600]);
    let mut out = Vec::new();
    downlink.start(start);
    assert_eq!(downlink.poll(at(0), false, &mut out), Frame::Skipped);
    assert_eq!(downlink.queued_ms(), 200);
    assert!(matches!(downlink.poll(at(23), true, &mut out), Frame::Packet(_)));
    assert_eq!(downlink.poll(at(39), true, &mut out), Frame::None, "the next is due at 40, not at 43");
    assert!(matches!(downlink.poll(at(145), true, &mut out), Frame::Packet(_)));
    assert_eq!(downlink.poll(at(145), true, &mut out), Frame::None);
    assert_eq!((downlink.queued_ms(), downlink.timeout()), (160, Some(at(160))));
    let timestamp = u32::from_be_bytes([out[4], out[5], out[6], out[7]]);
    assert_eq!(timestamp, 3 + 7 * 160);
}

/// RTP-03: the first packet stands behind the caller's first one, marked and with the first timestamp, whenever that comes; what follows keeps
/// to the frame.
#[test]
fn the_first_packet_waits_for_the_callers() {
    let start = clock::now();
    let at = |ms| start + Duration::from_millis(ms);
    for (ack, first) in [(0, 0), (1, 20), (40, 41), (150, 189)] {
        let (mut downlink, mut out) = (downlink(), Vec::new());
        downlink.push_clip(7, &[1_000; 1_600]);
        downlink.start_behind(at(0));
        downlink.acknowledged(at(ack));
        assert_eq!(downlink.poll(at(first), true, &mut out), Frame::None, "{first}");
        downlink.align(at(first));
        assert_eq!(downlink.timeout(), Some(at(first + 10)));
        downlink.acknowledged(at(first + 1));
        for n in 0..10 {
            let due = first + 10 + 20 * n;
            assert_eq!(downlink.poll(at(due - 1), true, &mut out), Frame::None, "{first}: {n}");
            assert!(matches!(downlink.poll(at(due), true, &mut out), Frame::Packet(_)), "{first}: {n}");
            let expected = (n == 0, 3 + 160 * n as u32, 2 + n as u16);
            assert_eq!(header(&out), expected, "{first}: {n}");
        }
        assert_eq!(downlink.heard(7).map(|heard| (heard.heard_ms, heard.received_ms)), Some((200, 200)));
    }
}

/// RTP-03: who sends nothing hears all the same, 60 ms after its ACK, or 200 ms after the answer when no ACK comes; its first packet moves the
/// deadlines then, once.
#[test]
fn a_silent_caller_hears() {
    let start = clock::now();
    let at = |ms| start + Duration::from_millis(ms);
    for (ack, expected) in [(Some(0), 60), (Some(90), 150), (Some(180), 200), (None, 200)] {
        let (mut downlink, mut out) = (downlink(), Vec::new());
        downlink.push_clip(7, &[1_000; 1_600]);
        downlink.start_behind(at(0));
        if let Some(ack) = ack {
            downlink.acknowledged(at(ack));
        }
        assert_eq!(downlink.poll(at(expected - 1), true, &mut out), Frame::None, "{ack:?}");
        assert_eq!(downlink.queued_ms(), 200, "nothing is taken before it is sent");
        assert!(matches!(downlink.poll(at(expected), true, &mut out), Frame::Packet(_)), "{ack:?}");
        assert_eq!(header(&out), (true, 3, 2));
        // An ACK that comes again changes nothing.
        downlink.acknowledged(at(expected + 1));
        assert_eq!(downlink.timeout(), Some(at(expected + 20)));
        downlink.align(at(expected + 13));
        assert_eq!(downlink.timeout(), Some(at(expected + 23)));
        assert!(matches!(downlink.poll(at(expected + 23), true, &mut out), Frame::Packet(_)));
        assert_eq!(header(&out), (true, 3 + 8 * 23, 3));
        assert_eq!(downlink.queued_ms(), 160);
    }
}

/// What a service that speaks in real time says, 20 ms at a time, a message before each packet but for the `late` one, which comes after it;
/// `early` messages come before the first packet. The samples that the caller hears.
fn in_real_time(early: usize, late: Option<usize>) -> Vec<i16> {
    let audio: Vec<u8> = [8_000i16; 24 * 20 * 30].into_iter().flat_map(i16::to_le_bytes).collect();
    let mut messages = audio.chunks(960);
    let start = clock::now();
    let (mut downlink, mut out, mut heard) = (downlink(), Vec::new(), Vec::new());
    downlink.start(start);
    for message in messages.by_ref().take(early.saturating_sub(1)) {
        assert!(downlink.push(1, message));
    }
    for n in 0..25 {
        let due = match late {
            Some(late) if n == late => 0,
            Some(late) if n == late + 1 => 2,
            _ => 1,
        };
        for message in messages.by_ref().take(due) {
            assert!(downlink.push(1, message));
        }
        assert!(matches!(
            downlink.poll(start + Duration::from_millis(20 * n as u64), true, &mut out),
            Frame::Packet(_)
        ));
        Law::Mu.decode(&out[12..], &mut heard);
    }
    heard
}

/// Lengths of silence between the first loud sample and the last.
fn holes(heard: &[i16]) -> Vec<usize> {
    let loud = |sample: &i16| sample.unsigned_abs() > 1_000;
    let first = heard.iter().position(loud).unwrap_or(0);
    let words = heard[first..].split(loud).map(<[i16]>::len).filter(|silence| *silence > 0);
    words.collect()
}

/// RTP-03: of a first piece of 20 ms the filter keeps 2.5 ms back: the packet has them before the word, not in it, and there is no hole later.
#[test]
fn a_word_that_comes_in_real_time_has_no_hole() {
    for early in [1, 2, 3] {
        assert_eq!(holes(&in_real_time(early, None)), [0; 0], "{early}");
    }
}

/// A service that is a message ahead has 17.5 ms waiting here (the filter keeps 2.5 ms). A message that is 20 ms late then makes a hole of 2.5 ms,
/// once: nothing is lost, and from there on one such message is waited for.
#[test]
fn a_late_message_puts_in_what_was_missing() {
    let heard = in_real_time(2, Some(10));
    assert_eq!(holes(&heard), [20]);
    assert_eq!(holes(&in_real_time(3, Some(10))), [0; 0]);
}

/// Marker, timestamp and sequence number.
fn header(packet: &[u8]) -> (bool, u32, u16) {
    let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
    (packet[1] & 0x80 != 0, timestamp, u16::from_be_bytes([packet[2], packet[3]]))
}
