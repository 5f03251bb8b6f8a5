//! The receive side of one stream: source policy, SSRC, reorder with a bounded wait, RFC 4733.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Who may send us media (requirement RTP-08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourcePolicy {
    /// The SDP address only.
    Strict,
    /// Learn once from an allowed set (SDP address, signalling source), after 5 good packets in order.
    Latch,
    /// Any source, one-shot.
    Nat,
}

/// What the owner knows of the stream; set again at every offer/answer.
#[derive(Clone, Debug)]
pub struct ReceiverParams {
    pub policy: SourcePolicy,
    /// Address of the peer's SDP.
    pub sdp_remote: Option<SocketAddr>,
    /// Addresses media may also come from (signalling source, media networks), any port.
    pub allowed: Vec<IpAddr>,
    /// Audio payload types the peer may use.
    pub audio_payload_types: Vec<u8>,
    pub dtmf_payload_type: Option<u8>,
    /// Comfort noise payload type (13), if understood.
    pub comfort_noise: Option<u8>,
    /// Longest wait for a hole in the sequence before it is declared lost.
    pub reorder_wait: Duration,
}

/// What comes out, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// One audio payload. `timestamp` in 1/8000 s. `lost_before`: samples missing right before it (0 = contiguous),
    /// after silence suppression the gap is not a loss.
    Audio { payload_type: u8, payload: &'a [u8], timestamp: u32, lost_before: u32 },
    /// A whole digit (0-15: `0`-`9`, `*`, `#`, `A`-`D`), once per event, when it began.
    Digit { event: u8, duration_ms: u32 },
    /// RFC 3389 noise level, -dBov.
    ComfortNoise { level: u8 },
}

/// Counters for CDR and metrics (RFC 3550 A.3, A.8).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReceiverStats {
    pub packets: u64,
    pub bytes: u64,
    /// Declared lost after the reorder wait.
    pub lost: u64,
    pub late: u64,
    pub duplicate: u64,
    pub reordered: u64,
    /// Wrong source, wrong version, unknown payload type, too short …
    pub refused_source: u64,
    pub malformed: u64,
    pub unknown_payload: u64,
    pub ssrc_changes: u32,
    pub source_changes: u32,
    /// Interarrival jitter, ms.
    pub jitter_ms: f32,
}

/// The machine.
pub struct Receiver {}

impl Receiver {
    pub fn new(params: ReceiverParams) -> Receiver {
        let _ = params;
        todo!()
    }
    pub fn set_params(&mut self, params: ReceiverParams) {
        let _ = params;
        todo!()
    }
    /// Takes one datagram. Malformed, foreign and unknown ones are counted and dropped.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let _ = (now, from, datagram);
        todo!()
    }
    /// Next output that is due. Call until `None` after each datagram and at each tick.
    pub fn poll(&mut self, now: Instant) -> Option<Received<'_>> {
        let _ = now;
        todo!()
    }
    /// When a waiting hole runs out.
    pub fn timeout(&self) -> Option<Instant> {
        todo!()
    }
    /// Where to send: the latched source, else the SDP address (RFC 4961; never an unverified source, RTP-09).
    pub fn target(&self) -> Option<SocketAddr> {
        todo!()
    }
    /// When the last accepted packet came.
    pub fn last_packet(&self) -> Option<Instant> {
        todo!()
    }
    pub fn stats(&self) -> ReceiverStats {
        todo!()
    }
}
