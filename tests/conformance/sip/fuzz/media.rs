//! RTP headers and telephone-events (the receiver's state is fuzzed beside it, in `src/rtp/receiver`).

use super::Fuzz;
use voxtrunk::rtp::dtmf::{EventPayload, EventReceiver};
use voxtrunk::rtp::packet::{self, MAX_DATAGRAM, Packet};

fn packets() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (payload_type, payload) in [(0, &[0xff; 160][..]), (101, &[5, 0x8a, 3, 0x20]), (13, &[40]), (8, &[0xd5; 240])] {
        let mut out = Vec::new();
        let packet = Packet {
            payload_type,
            marker: payload_type == 101,
            sequence: 65_535,
            timestamp: u32::MAX - 5,
            ssrc: 7,
            payload,
        };
        packet::write(&packet, &mut out);
        all.push(out);
    }
    // With two CSRCs, an extension of one word, and padding of three.
    let mut full = vec![0xb2, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 1, 9, 9, 9, 9];
    full.extend([0x55; 20]);
    full.extend([0, 0, 3]);
    all.push(full);
    all
}

/// RTP-01, A10: any datagram as RTP: what is taken lies within it, and is read again from what we write of it.
#[test]
fn rtp() {
    let taken = Fuzz::new("rtp", packets(), 60_000).each(|datagram| {
        let Ok(packet) = packet::parse(datagram) else { return false };
        assert!(
            datagram.len() <= MAX_DATAGRAM && !packet.payload.is_empty() && packet.payload.len() <= datagram.len() - 12
        );
        let mut written = Vec::new();
        packet::write(&packet, &mut written);
        assert_eq!(packet::parse(&written), Ok(packet));
        true
    });
    assert!(taken > 5_000, "{taken}");
}

/// DTM-03, A10: any payload as a telephone-event; a digit is told once however often its packets come.
#[test]
fn telephone_events() {
    let corpus = vec![vec![5, 0x0a, 0, 160], vec![11, 0x8a, 3, 32], vec![16, 10, 0, 1, 2, 0, 0, 0]];
    let taken = Fuzz::new("telephone-events", corpus, 60_000).each(|payload| {
        let Some(event) = EventPayload::parse(payload) else {
            assert!(payload.len() < 4);
            return false;
        };
        assert_eq!(EventPayload::parse(&event.to_bytes()), Some(event));
        let mut receiver = EventReceiver::new();
        let told = (0..5).filter(|_| receiver.handle(1, 2, false, event).is_some()).count();
        assert_eq!(told, usize::from(event.event < 16));
        true
    });
    assert!(taken > 5_000, "{taken}");
}
