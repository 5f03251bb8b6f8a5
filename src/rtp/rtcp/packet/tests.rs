//! What we write is what another implementation reads; what comes is read or refused, and never hurts.

use super::*;
use crate::rtp::rtcp::schedule::SplitMix;
use rtcp_types::{Compound, Packet};

const CNAME: &[u8; CNAME_LEN] = b"0123456789abcdef01234567";

fn items(datagram: &[u8]) -> Result<Vec<Item>, Malformed> {
    let mut items = Vec::new();
    read(datagram, |item| items.push(item)).map(|()| items)
}

fn a_block() -> Block {
    Block {
        ssrc: 0xCAFE,
        fraction_lost: 64,
        cumulative_lost: -3,
        highest_sequence: 0x0002_0010,
        jitter: 77,
        last_sr: 0x1234_5678,
        delay_since_last_sr: 65_536,
    }
}

fn an_info() -> SenderInfo {
    SenderInfo { ntp: 0xE9AA_BBCC_8000_0000, rtp_timestamp: 160, packets: 5, octets: 800 }
}

/// RTP-13: SR or RR, SDES with CNAME, BYE, as crate rtcp-types reads them and as we do.
#[test]
fn what_we_write_is_a_valid_compound() {
    let mut out = Vec::new();
    for (info, block, bye) in [
        (Some(an_info()), Some(a_block()), true),
        (Some(an_info()), None, false),
        (None, Some(a_block()), false),
        (None, None, true),
    ] {
        write(&Report { ssrc: 0xBEEF, info, block, cname: CNAME, bye }, &mut out);
        let packets: Vec<_> = Compound::parse(&out).expect("valid").map(|p| p.expect("valid")).collect();
        match (&packets[0], info) {
            (Packet::Sr(sr), Some(info)) => {
                assert_eq!((sr.ssrc(), sr.ntp_timestamp(), sr.packet_count()), (0xBEEF, info.ntp, info.packets));
                assert_eq!((sr.rtp_timestamp(), sr.octet_count()), (info.rtp_timestamp, info.octets));
            }
            (Packet::Rr(rr), None) => assert_eq!(rr.ssrc(), 0xBEEF),
            other => panic!("{other:?}"),
        }
        let Packet::Sdes(sdes) = &packets[1] else { panic!("{:?}", packets[1]) };
        let chunk = sdes.chunks().next().expect("a chunk");
        let item = chunk.items().next().expect("an item");
        assert_eq!((chunk.ssrc(), item.type_(), item.value()), (0xBEEF, 1, &CNAME[..]));
        assert_eq!(matches!(packets.get(2), Some(Packet::Bye(_))), bye);
        let mut expected = vec![Item::Report { ssrc: 0xBEEF, info }];
        expected.extend(block.map(Item::Block));
        expected.extend(bye.then_some(Item::Bye { ssrc: 0xBEEF }));
        assert_eq!(items(&out), Ok(expected));
    }
}

/// RTP-13: SDES, APP, XR and feedback are passed over; of XR the VoIP metrics are read.
#[test]
fn other_packets_are_passed_over() {
    let mut datagram = Vec::new();
    write(&Report { ssrc: 1, info: None, block: Some(a_block()), cname: CNAME, bye: false }, &mut datagram);
    // APP "TEST", RTPFB (a generic NACK), PSFB (PLI), an unknown type without anything.
    datagram.extend_from_slice(&[0x81, 204, 0, 2, 0, 0, 0, 1, b'T', b'E', b'S', b'T']);
    datagram.extend_from_slice(&[0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 5, 0, 0]);
    datagram.extend_from_slice(&[0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    datagram.extend_from_slice(&[0x80, 222, 0, 0]);
    // XR: a receiver reference time, then VoIP metrics: R 87, MOS-LQ 4.1, MOS-CQ 4.0.
    datagram.extend_from_slice(&[0x80, 207, 0, 13, 0, 0, 0, 1, 4, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    datagram.extend_from_slice(&[7, 0, 0, 8, 0, 0, 0xBE, 0xEF]);
    datagram.extend_from_slice(&[0; 16]);
    datagram.extend_from_slice(&[87, 127, 41, 40, 0, 0, 0, 0, 0, 0, 0, 0]);
    datagram.extend_from_slice(&[0x81, 203, 0, 1, 0, 0, 0, 1]);
    let metrics = Item::VoipMetrics { ssrc: 0xBEEF, r_factor: Some(87), mos_cq: Some(40) };
    let expected = vec![Item::Report { ssrc: 1, info: None }, Item::Block(a_block()), metrics, Item::Bye { ssrc: 1 }];
    assert_eq!(items(&datagram), Ok(expected));
}

#[test]
fn lengths_must_add_up() {
    let mut good = Vec::new();
    write(&Report { ssrc: 1, info: Some(an_info()), block: Some(a_block()), cname: CNAME, bye: true }, &mut good);
    for cut in 0..good.len() {
        // Cut between two packets it is still a whole compound.
        let whole = [52, 88].contains(&cut);
        assert_eq!(items(&good[..cut]).is_ok(), whole, "cut at {cut}");
    }
    let with = |at: usize, value: u8| {
        let mut bad = good.clone();
        bad[at] = value;
        items(&bad)
    };
    assert_eq!(with(0, 0x41), Err(Malformed), "version 1");
    assert_eq!(with(0, 0xA1), Err(Malformed), "padding in the first packet");
    assert_eq!(with(0, 0x9F), Err(Malformed), "31 blocks that are not there");
    assert_eq!(with(1, 96), Err(Malformed), "no RTCP type");
    assert_eq!(with(3, 200), Err(Malformed), "a length beyond the end");
    assert_eq!(items(&[0x80; 4096]), Err(Malformed), "larger than any");
    // The last packet may be padded, by what it has.
    let mut padded = good.clone();
    let bye = padded.len() - 8;
    padded[bye] = 0xA1;
    padded[bye + 3] = 2;
    padded.extend_from_slice(&[0, 0, 0, 4]);
    assert!(items(&padded).is_ok());
    *padded.last_mut().expect("not empty") = 0;
    assert_eq!(items(&padded), Err(Malformed), "a padding of nothing");
    *padded.last_mut().expect("not empty") = 200;
    assert_eq!(items(&padded), Err(Malformed), "a padding longer than the packet");
}

/// RTP-13 (P0): noise, and real packets with a few octets changed, cut or repeated, are read or refused; nothing panics, and what is
/// given out is bounded by the datagram.
#[test]
fn any_datagram_is_read_or_refused() {
    let rounds = 60_000;
    let mut seeds = Vec::new();
    write(&Report { ssrc: 1, info: Some(an_info()), block: Some(a_block()), cname: CNAME, bye: true }, &mut seeds);
    seeds.extend_from_slice(&[0x80, 207, 0, 10, 0, 0, 0, 1, 7, 0, 0, 8, 0, 0, 0, 2]);
    seeds.extend_from_slice(&[50; 28]);
    seeds.extend_from_slice(&[0x82, 204, 0, 3, 0, 0, 0, 1, b'N', b'A', b'M', b'E', 1, 2, 3, 4]);
    seeds.extend_from_slice(&[0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 5, 0, 0]);
    assert!(items(&seeds).is_ok());
    let (mut read, mut refused) = (0, 0);
    for seed in 0..rounds {
        let mut random = SplitMix(seed);
        let mut datagram = if seed % 3 == 0 {
            let length = random.next() as usize % 300;
            (0..length).map(|_| random.next() as u8).collect()
        } else {
            seeds.clone()
        };
        for _ in 0..random.next() % 6 {
            if datagram.is_empty() {
                break;
            }
            let at = random.next() as usize % datagram.len();
            match random.next() % 4 {
                0 => datagram[at] = random.next() as u8,
                1 => datagram.truncate(at),
                2 => datagram[at] ^= 1 << (random.next() % 8),
                _ => datagram.extend_from_within(at & !3..),
            }
        }
        let outcome = std::panic::catch_unwind(|| items(&datagram));
        match outcome.unwrap_or_else(|_| panic!("seed {seed}: {datagram:02x?}")) {
            Ok(items) => {
                assert!(items.len() <= datagram.len() / 4, "seed {seed}");
                read += 1;
            }
            Err(Malformed) => refused += 1,
        }
    }
    assert!(read > 5_000 && refused > 5_000, "{read} read, {refused} refused");
}
