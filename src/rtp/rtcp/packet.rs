//! RTCP packets in and out (RFC 3550 §6.4-6.6, RFC 3611 §4.7). The only door to rtcp-types.
//!
//! In: a datagram. Out: its [`Item`]s, in order. The lengths of the whole compound are checked before anything of it is read; what we
//! have no use for (SDES, APP, feedback, unknown types) is passed over by its length. Reading and writing allocate nothing.
//!
//! More lenient than RFC 3550 A.2 in one point: the first packet need not be a report, as some devices send BYE or APP alone.

use rtcp_types::{Bye, ReceiverReport, ReportBlock, RtcpPacketParser, SenderReport};

/// Largest datagram that is read.
const MAX_DATAGRAM: usize = 2048;
const VERSION: u8 = 2;
const SR: u8 = 200;
const RR: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;
const XR: u8 = 207;
/// RTCP types, as they tell RTCP from RTP on one port (RFC 5761 §4).
const TYPES: std::ops::RangeInclusive<u8> = 192..=223;
/// Block type of the VoIP metrics, and the octets of the block with its header.
const VOIP_METRICS: u8 = 7;
const VOIP_METRICS_LEN: usize = 36;
/// "Unavailable" (RFC 3611 §4.7.5).
const UNAVAILABLE: u8 = 127;

/// Length of a canonical name of ours: 96 bits in hexadecimal (RFC 7022 §5).
pub const CNAME_LEN: usize = 24;

/// What a report says of one stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Whose stream.
    pub ssrc: u32,
    /// Lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning; negative with duplicates. 24 bits.
    pub cumulative_lost: i32,
    /// Cycles of the sequence number in the upper half.
    pub highest_sequence: u32,
    /// In timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last SR that came from the stream's sender; 0 = none came.
    pub last_sr: u32,
    /// Since it came, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

/// What a sender says of its own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Seconds since 1900 in the upper half.
    pub ntp: u64,
    pub rtp_timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// One thing that a datagram says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A report began; its blocks follow. With `info` it is an SR.
    Report {
        ssrc: u32,
        info: Option<SenderInfo>,
    },
    Block(Block),
    /// The source is gone.
    Bye {
        ssrc: u32,
    },
    /// What the peer's own measure of our stream `ssrc` is: R factor and conversational MOS × 10, where it knows them.
    VoipMetrics {
        ssrc: u32,
        r_factor: Option<u8>,
        mos_cq: Option<u8>,
    },
}

/// Not RTCP, or its lengths do not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads a datagram. On `Err` nothing was given out but what stood before a broken packet.
pub fn read(datagram: &[u8], mut each: impl FnMut(Item)) -> Result<(), Malformed> {
    check(datagram)?;
    let mut rest = datagram;
    while !rest.is_empty() {
        let (packet, after) = rest.split_at_checked(length(rest)?).ok_or(Malformed)?;
        rest = after;
        match packet.get(1).copied().unwrap_or_default() {
            SR => {
                let report = SenderReport::parse(packet).map_err(|_| Malformed)?;
                let info = SenderInfo {
                    ntp: report.ntp_timestamp(),
                    rtp_timestamp: report.rtp_timestamp(),
                    packets: report.packet_count(),
                    octets: report.octet_count(),
                };
                each(Item::Report { ssrc: report.ssrc(), info: Some(info) });
                report.report_blocks().for_each(|found| each(Item::Block(block(&found))));
            }
            RR => {
                let report = ReceiverReport::parse(packet).map_err(|_| Malformed)?;
                each(Item::Report { ssrc: report.ssrc(), info: None });
                report.report_blocks().for_each(|found| each(Item::Block(block(&found))));
            }
            BYE => {
                let bye = Bye::parse(packet).map_err(|_| Malformed)?;
                bye.ssrcs().for_each(|ssrc| each(Item::Bye { ssrc }));
            }
            XR => extended(packet, &mut each),
            // SDES, APP, RTPFB, PSFB and what will be invented: nothing for us.
            _ => {}
        }
    }
    Ok(())
}

/// Whether the datagram is a chain of packets of version 2 with RTCP's types that fills it exactly (RFC 3550 A.2).
fn check(datagram: &[u8]) -> Result<(), Malformed> {
    if datagram.is_empty() || datagram.len() > MAX_DATAGRAM {
        return Err(Malformed);
    }
    let mut rest = datagram;
    while !rest.is_empty() {
        let [first, kind, ..] = rest else { return Err(Malformed) };
        let (packet, after) = rest.split_at_checked(length(rest)?).ok_or(Malformed)?;
        // Only the last one may be padded, and the padding is part of it.
        let padding = match packet.last() {
            Some(count) if first & 0x20 != 0 => usize::from(*count).max(1),
            _ => 0,
        };
        let padded = padding > 0 && (!after.is_empty() || padding > packet.len() - 4);
        if first >> 6 != VERSION || !TYPES.contains(kind) || padded {
            return Err(Malformed);
        }
        rest = after;
    }
    Ok(())
}

/// Octets of the packet that begins here.
fn length(rest: &[u8]) -> Result<usize, Malformed> {
    let [_, _, high, low, ..] = rest else { return Err(Malformed) };
    Ok(4 * (usize::from(u16::from_be_bytes([*high, *low])) + 1))
}

fn block(found: &ReportBlock<'_>) -> Block {
    let lost = found.cumulative_lost() << 8;
    Block {
        ssrc: found.ssrc(),
        fraction_lost: found.fraction_lost(),
        // Sign extension of 24 bits.
        cumulative_lost: lost as i32 >> 8,
        highest_sequence: found.extended_sequence_number(),
        jitter: found.interarrival_jitter(),
        last_sr: found.last_sender_report_timestamp(),
        delay_since_last_sr: found.delay_since_last_sender_report_timestamp(),
    }
}

/// The VoIP metrics of an extended report; other blocks are passed over, broken ones end it (RFC 3611 §3, §4.7).
fn extended(packet: &[u8], each: &mut impl FnMut(Item)) {
    let mut rest = packet.get(8..).unwrap_or_default();
    while let Ok(length) = length(rest) {
        let Some((block, after)) = rest.split_at_checked(length) else { return };
        rest = after;
        if block.first() != Some(&VOIP_METRICS) || block.len() != VOIP_METRICS_LEN {
            continue;
        }
        let known = |at: usize| block.get(at).copied().filter(|value| *value != UNAVAILABLE);
        let [.., a, b, c, d] = block.get(..8).unwrap_or_default() else { continue };
        each(Item::VoipMetrics {
            ssrc: u32::from_be_bytes([*a, *b, *c, *d]),
            r_factor: known(24).filter(|r| *r <= 100),
            mos_cq: known(27).filter(|mos| (10..=50).contains(mos)),
        });
    }
}

/// What one report of ours says.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    pub ssrc: u32,
    /// `None`: nothing was sent of late, so it is an RR.
    pub info: Option<SenderInfo>,
    pub block: Option<Block>,
    pub cname: &'a [u8; CNAME_LEN],
    pub bye: bool,
}

/// Writes SR or RR, SDES with CNAME and, at the end of the stream, BYE into `out` (cleared first).
pub fn write(report: &Report<'_>, out: &mut Vec<u8>) {
    out.clear();
    let count = u8::from(report.block.is_some());
    let blocks = 6 * u16::from(count);
    match &report.info {
        Some(info) => {
            header(out, count, SR, 6 + blocks, report.ssrc);
            out.extend_from_slice(&info.ntp.to_be_bytes());
            for word in [info.rtp_timestamp, info.packets, info.octets] {
                out.extend_from_slice(&word.to_be_bytes());
            }
        }
        None => header(out, count, RR, 1 + blocks, report.ssrc),
    }
    if let Some(block) = &report.block {
        let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7F_FFFF) as u32 & 0xFF_FFFF;
        let lost = u32::from(block.fraction_lost) << 24 | lost;
        for word in [block.ssrc, lost, block.highest_sequence, block.jitter, block.last_sr, block.delay_since_last_sr] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
    // One chunk: SSRC, CNAME (item 1), at least one null octet up to the word's end.
    header(out, 1, SDES, 8, report.ssrc);
    out.extend_from_slice(&[1, CNAME_LEN as u8]);
    out.extend_from_slice(report.cname);
    out.extend_from_slice(&[0; 2]);
    if report.bye {
        header(out, 1, BYE, 1, report.ssrc);
    }
}

/// `words` follow the first one.
fn header(out: &mut Vec<u8>, count: u8, kind: u8, words: u16, ssrc: u32) {
    out.extend_from_slice(&[VERSION << 6 | count, kind]);
    out.extend_from_slice(&words.to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
}

#[cfg(test)]
mod tests;
