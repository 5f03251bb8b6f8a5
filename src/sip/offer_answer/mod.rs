//! Offer/answer for one audio stream (RFC 3264) over `sdp`: PCMU, PCMA, G.722, telephone-event.
//!
//! In: SDP bodies. Out: SDP bodies and [`MediaParams`]. The owner is the call (or the phone).
//!
//! | file | concern |
//! |---|---|
//! | here | the types |
//! | `negotiation` | the state of one call, and the decisions |
//! | `audio_line` | what stands in our audio line |
//! | `local_srtp` | our side of SDES: suites and keys |
//! | `security` | which profile and `a=crypto` line is taken |
//!
//! `sdp` reads and writes bodies, `audio_formats` tells what payload types are.

mod audio_line;
mod local_srtp;
mod negotiation;
mod security;

pub use crate::codec::Codec;
pub use local_srtp::LocalSrtp;
pub use negotiation::Negotiation;

use crate::srtp_key::SrtpKeys;
use bytes::Bytes;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What we may send and receive, from our side of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }
    /// As the other side sees it.
    fn reversed(self) -> Direction {
        Direction::of(self.receives(), self.sends())
    }
    /// What both allow.
    fn and(self, other: Direction) -> Direction {
        Direction::of(self.sends() && other.sends(), self.receives() && other.receives())
    }
    fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }
    /// The SDP attribute (RFC 8866 §6.7).
    fn attribute(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }
}

/// Our end of the stream.
#[derive(Clone, Debug)]
pub struct LocalMedia {
    /// Advertised address for `c=` and `o=`.
    pub addr: IpAddr,
    /// RTP port (even); RTCP is the next one.
    pub port: u16,
    /// Codecs offered, best first. As answerer the offerer's order wins unless `prefer_local_order`.
    pub codecs: Vec<Codec>,
    pub prefer_local_order: bool,
    /// telephone-event (RFC 4733) offered or accepted.
    pub dtmf: bool,
    /// ptime we ask for, ms.
    pub ptime_ms: u32,
    /// `o=` session id (random, fixed for the call).
    pub session_id: u64,
    /// SDES SRTP (RFC 4568): what we may offer and take; `None` = plain RTP only.
    pub srtp: Option<LocalSrtp>,
}

impl Default for LocalMedia {
    /// PCMU and PCMA with telephone-event, 20 ms, plain; address and port are still to be set.
    fn default() -> LocalMedia {
        LocalMedia {
            addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 0,
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            prefer_local_order: false,
            dtmf: true,
            ptime_ms: 20,
            session_id: 0,
            srtp: None,
        }
    }
}

/// The stream both sides agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaParams {
    /// Where RTP goes. `None` while on hold with `c=0.0.0.0` or port 0, or if the host is a name.
    pub remote: Option<SocketAddr>,
    /// The codec we send, with the peer's payload type for it.
    pub codec: Codec,
    pub send_payload_type: u8,
    /// Payload types the peer may use towards us (ours).
    pub receive: Vec<(u8, Codec)>,
    /// telephone-event payload type: towards the peer (theirs), from the peer (ours).
    pub dtmf_send: Option<u8>,
    pub dtmf_receive: Option<u8>,
    /// Comfort noise (13) may come.
    pub comfort_noise: bool,
    /// Packet length to send, ms: 10, 20, 30, 40 or 60.
    pub ptime_ms: u32,
    pub direction: Direction,
    /// SDES keys agreed on; `None` = plain RTP.
    pub srtp: Option<SrtpKeys>,
    /// RTCP by the RTP port (RFC 5761): offered by the peer and taken.
    pub rtcp_mux: bool,
    /// The peer's RTCP address (`a=rtcp`, RFC 3605, else the port after RTP's); with mux that of RTP.
    pub remote_rtcp: Option<SocketAddr>,
}

/// An offer that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 488, 400 …
    pub status: u16,
    /// Text for Warning 305/399 and logs.
    pub why: String,
    /// It is about SRTP: what is wanted and what is offered do not go together, whatever the codecs.
    pub about_srtp: bool,
}

/// The answer to an offer and what follows from it. Prints without the body, which may carry keys.
#[derive(Clone)]
pub struct Answer {
    pub sdp: Bytes,
    pub media: MediaParams,
    /// The offer repeated the version of the last one: a refresh, media goes on untouched (SDP-09).
    pub refresh: bool,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("media", &self.media).field("refresh", &self.refresh).finish_non_exhaustive()
    }
}
