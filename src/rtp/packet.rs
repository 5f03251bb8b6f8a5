//! One RTP packet (door of crate rtp-rs). RFC 3550 §5.1.
//!
//! In: a datagram; out: its checked header fields and payload, or why it is dropped. And back: [`write`].

use rtp_rs::{RtpPacketBuilder, RtpReader, RtpReaderError, Seq};

/// Longest datagram we take: an Ethernet frame's worth.
pub const MAX_DATAGRAM: usize = 1500;

/// What we need of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Without CSRC list, extension and padding.
    pub payload: &'a [u8],
}

/// Why a datagram was dropped (RTP-01); the label of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropCause {
    /// Longer than [`MAX_DATAGRAM`].
    TooLong,
    /// No room for the fixed header.
    TooShort,
    /// The first two bits are not 2: STUN, DTLS or noise (RFC 7983).
    Version,
    /// An RTCP packet type (RFC 5761 §4): not multiplexed here.
    Rtcp,
    /// CSRC list or extension is longer than the datagram.
    Truncated,
    /// Padding count of zero, or longer than the payload.
    Padding,
    /// No payload at all.
    Empty,
    /// Payload type not negotiated.
    PayloadType,
    /// An RFC 4733 or RFC 3389 payload that is too short.
    Payload,
    /// From an address that may not send to us, or that has not proved itself yet.
    Source,
    /// A second synchronisation source while the first one is alive.
    Ssrc,
    /// Out of the sequence's range; a second one in order is taken as a restart.
    Sequence,
    /// More packets than a stream can have.
    Flood,
}

impl DropCause {
    pub const ALL: [DropCause; 13] = [
        DropCause::TooLong,
        DropCause::TooShort,
        DropCause::Version,
        DropCause::Rtcp,
        DropCause::Truncated,
        DropCause::Padding,
        DropCause::Empty,
        DropCause::PayloadType,
        DropCause::Payload,
        DropCause::Source,
        DropCause::Ssrc,
        DropCause::Sequence,
        DropCause::Flood,
    ];
    pub fn label(self) -> &'static str {
        match self {
            DropCause::TooLong => "too_long",
            DropCause::TooShort => "too_short",
            DropCause::Version => "version",
            DropCause::Rtcp => "rtcp",
            DropCause::Truncated => "truncated",
            DropCause::Padding => "padding",
            DropCause::Empty => "empty",
            DropCause::PayloadType => "payload_type",
            DropCause::Payload => "payload",
            DropCause::Source => "source",
            DropCause::Ssrc => "ssrc",
            DropCause::Sequence => "sequence",
            DropCause::Flood => "flood",
        }
    }
}

/// Checks a datagram and takes it apart (RFC 3550 A.1, but for the payload type, which the receiver knows).
pub fn parse(datagram: &[u8]) -> Result<Packet<'_>, DropCause> {
    if datagram.len() > MAX_DATAGRAM {
        return Err(DropCause::TooLong);
    }
    let reader = RtpReader::new(datagram).map_err(|error| match error {
        RtpReaderError::BufferTooShort(_) => DropCause::TooShort,
        RtpReaderError::UnsupportedVersion(_) => DropCause::Version,
        RtpReaderError::HeadersTruncated { .. } => DropCause::Truncated,
        RtpReaderError::PaddingLengthInvalid(_) => DropCause::Padding,
    })?;
    // RFC 5761 §4: with the marker bit, RTCP's types 192-223 look like 64-95.
    if (64..=95).contains(&reader.payload_type()) {
        return Err(DropCause::Rtcp);
    }
    let payload = reader.payload();
    if payload.is_empty() {
        return Err(DropCause::Empty);
    }
    Ok(Packet {
        payload_type: reader.payload_type(),
        marker: reader.mark(),
        sequence: reader.sequence_number().into(),
        timestamp: reader.timestamp(),
        ssrc: reader.ssrc(),
        payload,
    })
}

/// Writes a packet into `out` (cleared first). The payload type's upper bit is cut off.
pub fn write(packet: &Packet<'_>, out: &mut Vec<u8>) {
    let builder = RtpPacketBuilder::new()
        .payload_type(packet.payload_type & 0x7F)
        .marked(packet.marker)
        .sequence(Seq::from(packet.sequence))
        .timestamp(packet.timestamp)
        .ssrc(packet.ssrc)
        .payload(packet.payload);
    out.clear();
    out.resize(builder.target_length(), 0);
    builder.build_into(out).expect("the buffer has the length asked for, the payload type has 7 bits");
}
