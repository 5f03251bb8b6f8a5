use super::*;

/// A packet, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    payload_type: u8,
    marker: bool,
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
}

fn sender() -> Sender {
    let mut sender = Sender::new(0x1234_5678, 65_534, u32::MAX - 159);
    sender.set_format(Codec::Pcmu, 0, Some(101), 20);
    sender
}

/// All packets of one interval.
fn interval(sender: &mut Sender) -> Vec<Sent> {
    let mut out = Vec::new();
    let mut all = Vec::new();
    let is_audio = sender.frame(&[0x55; 160], &mut out);
    loop {
        let packet = packet::parse(&out).expect("our own packet");
        assert_eq!(packet.ssrc, 0x1234_5678);
        assert_eq!(all.is_empty() && is_audio, packet.payload_type != 101);
        all.push(Sent {
            payload_type: packet.payload_type,
            marker: packet.marker,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            payload: packet.payload.to_vec(),
        });
        if !sender.extra(&mut out) {
            return all;
        }
    }
}

fn event(sent: &Sent) -> EventPayload {
    EventPayload::parse(&sent.payload).expect("an event")
}

/// RTP-02: sequence number and timestamp wrap; the SSRC stays; RTP-16: only the first packet is marked.
#[test]
fn audio_is_continuous_across_the_wraps() {
    let mut sender = sender();
    for n in 0..400u32 {
        let sent = interval(&mut sender);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].sequence, 65_534u16.wrapping_add(n as u16));
        assert_eq!(sent[0].timestamp, (u32::MAX - 159).wrapping_add(n * 160));
        assert_eq!(sent[0].marker, n == 0);
        assert_eq!(sent[0].payload, [0x55; 160]);
    }
    assert_eq!((sender.packets(), sender.octets(), sender.ssrc()), (400, 64_000, 0x1234_5678));
}

/// RTP-03, RTP-16: skipped time moves the timestamp, not the sequence number, and marks the next packet only.
#[test]
fn skipped_time_marks_the_next_packet() {
    let mut sender = sender();
    let before = interval(&mut sender).remove(0);
    sender.skip(1);
    sender.skip(1);
    let after = interval(&mut sender).remove(0);
    assert_eq!(after.sequence, before.sequence.wrapping_add(1));
    assert_eq!(after.timestamp, before.timestamp.wrapping_add(480));
    assert!(after.marker);
    assert!(!interval(&mut sender)[0].marker);
}

/// SDP-10: a new format keeps SSRC, sequence and timestamps.
#[test]
fn a_new_format_goes_on_in_the_same_stream() {
    let mut sender = sender();
    let before = interval(&mut sender).remove(0);
    sender.set_format(Codec::Pcma, 8, Some(96), 30);
    let after = interval(&mut sender).remove(0);
    assert_eq!((after.payload_type, after.marker), (8, false));
    assert_eq!(after.sequence, before.sequence.wrapping_add(1));
    assert_eq!(after.timestamp, before.timestamp.wrapping_add(160));
    assert_eq!(interval(&mut sender)[0].timestamp, after.timestamp.wrapping_add(240));
}

/// DTM-01: marker on the first packet only, one timestamp per event, growing duration, three end packets, sequence continuous with
/// the audio, 100 ms tone, 60 ms gap, and the audio's timestamps as if there had been no event.
#[test]
fn a_digit_is_100_ms_and_three_ends() {
    let mut sender = sender();
    let audio = interval(&mut sender).remove(0);
    assert!(sender.send_digits("5#"));
    let mut all = Vec::new();
    let mut timestamps = Vec::new();
    while sender.is_sending_digits() {
        timestamps.push(sender.timestamp());
        all.extend(interval(&mut sender));
    }
    for (n, sent) in all.iter().enumerate() {
        assert_eq!(sent.sequence, audio.sequence.wrapping_add(1 + n as u16));
    }
    // 5 intervals of tone (the last with three packets), 3 of audio, twice.
    assert_eq!(timestamps.len(), 16);
    assert_eq!(all.len(), 20);
    for (digit, part) in [5, 11].into_iter().zip(all.chunks(10)) {
        let (tone, gap) = part.split_at(7);
        assert_eq!(
            tone.iter().map(|sent| sent.marker).collect::<Vec<_>>(),
            [true, false, false, false, false, false, false]
        );
        assert!(tone.iter().all(|sent| sent.payload_type == 101 && sent.timestamp == tone[0].timestamp));
        let durations: Vec<u16> = tone.iter().map(|sent| event(sent).duration).collect();
        assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
        let ends: Vec<bool> = tone.iter().map(|sent| event(sent).end).collect();
        assert_eq!(ends, [false, false, false, false, true, true, true]);
        assert!(tone.iter().all(|sent| event(sent).event == digit && event(sent).volume == VOLUME));
        for (n, sent) in gap.iter().enumerate() {
            assert_eq!((sent.payload_type, sent.marker), (0, false));
            assert_eq!(sent.timestamp, tone[0].timestamp.wrapping_add(800 + n as u32 * 160));
        }
    }
    assert_eq!(interval(&mut sender).len(), 1);
}

/// DTM-01: 30 ms packets: the tone is rounded up to whole packets.
#[test]
fn a_tone_is_whole_packets() {
    let mut sender = sender();
    sender.set_format(Codec::Pcmu, 0, Some(101), 30);
    sender.send_digits("1");
    let durations: Vec<u16> = std::iter::from_fn(|| Some(interval(&mut sender)))
        .take(4)
        .flatten()
        .map(|sent| event(&sent).duration)
        .collect();
    assert_eq!(durations, [240, 480, 720, 960, 960, 960]);
}

/// DTM-01: RFC 4733 §2.5.1.3: an event above 0xFFFF units is split: the full segment without an end bit, the rest under a new timestamp, unmarked.
#[test]
fn a_long_event_is_split() {
    let mut sender = sender();
    assert!(sender.send_event(1, 10_000));
    let mut all = Vec::new();
    while sender.is_sending_digits() {
        all.extend(interval(&mut sender).into_iter().filter(|sent| sent.payload_type == 101));
    }
    let start = all[0].timestamp;
    let second = all.iter().position(|sent| sent.timestamp != start).expect("a second segment");
    assert_eq!(all[second].timestamp, start.wrapping_add(0xFFFF));
    assert_eq!(event(&all[second - 1]), EventPayload { event: 1, end: false, volume: VOLUME, duration: 0xFFFF });
    assert!(all.iter().skip(1).all(|sent| !sent.marker));
    assert!(all[second..].iter().all(|sent| sent.timestamp == all[second].timestamp));
    // Both segments together are the 10 s, and only the very end has the end bit, three times.
    let last = event(&all[all.len() - 1]);
    assert_eq!(0xFFFF + u32::from(last.duration), 80_000);
    assert_eq!(all.iter().filter(|sent| event(sent).end).count(), 3);
    let durations: Vec<u16> = all[second..].iter().map(|sent| event(sent).duration).collect();
    assert!(durations.windows(2).all(|pair| pair[0] <= pair[1]));
}

/// DTM-01: a missed interval in a tone does not stretch it: its duration is what has passed.
#[test]
fn skipped_time_counts_in_a_tone() {
    let mut sender = sender();
    sender.send_digits("1");
    let first = interval(&mut sender).remove(0);
    sender.skip(2);
    let next = interval(&mut sender).remove(0);
    assert_eq!((event(&next).duration, event(&next).end, next.timestamp), (640, false, first.timestamp));
    let last = interval(&mut sender);
    assert_eq!((last.len(), event(&last[0]).duration, event(&last[0]).end), (3, 800, true));
}

#[test]
fn a_comma_pauses_for_a_second_and_other_characters_are_ignored() {
    let mut sender = sender();
    assert!(sender.send_digits("1 ,-x2"));
    let mut kinds = Vec::new();
    while sender.is_sending_digits() {
        kinds.push(interval(&mut sender)[0].payload_type == 101);
    }
    let runs: Vec<(bool, usize)> = kinds.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
    assert_eq!(runs, [(true, 5), (false, 3 + 50), (true, 5), (false, 3)]);
}

#[test]
fn digits_are_refused_without_a_payload_type_or_room() {
    let mut sender = sender();
    sender.set_format(Codec::Pcmu, 0, None, 20);
    assert!(!sender.send_digits("1"));
    sender.set_format(Codec::Pcmu, 0, Some(101), 20);
    assert!(sender.send_digits(&"1".repeat(64)));
    assert!(!sender.send_digits("2"));
    assert!(!sender.send_event(2, 100));
    // What is refused is refused whole.
    interval(&mut sender);
    assert!(!sender.send_digits("23"));
    assert!(sender.send_digits("2"));
    // A new format without events ends them.
    sender.set_format(Codec::Pcmu, 0, None, 20);
    assert!(!sender.is_sending_digits());
    assert_eq!(interval(&mut sender)[0].payload_type, 0);
}

#[test]
fn an_end_that_was_not_repeated_in_time_is_dropped() {
    let mut sender = sender();
    sender.send_digits("1");
    let mut out = Vec::new();
    for _ in 0..5 {
        assert!(!sender.frame(&[0x55; 160], &mut out));
    }
    assert!(sender.frame(&[0x55; 160], &mut out));
    assert!(!sender.extra(&mut out));
}
