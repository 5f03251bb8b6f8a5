//! Offer/answer for one audio stream (RFC 3264) over `sdp`: PCMU, PCMA, telephone-event.
//!
//! In: SDP bodies. Out: SDP bodies and [`MediaParams`]. The owner is the call (or the phone).

use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

/// G.711 law of a payload (RFC 3551 §4.5.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    Pcmu,
    Pcma,
}

impl Codec {
    /// Static payload type (RFC 3551 table 4).
    pub fn static_payload_type(self) -> u8 {
        match self {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        }
    }
    /// Encoding name of rtpmap.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
        }
    }
}

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
}

/// An offer that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 488, 400 …
    pub status: u16,
    /// Text for Warning 305/399 and logs.
    pub why: String,
}

/// The answer to an offer and what follows from it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub sdp: Bytes,
    pub media: MediaParams,
    /// The offer repeated the version of the last one: a refresh, media goes on untouched (SDP-09).
    pub refresh: bool,
}

/// Offer/answer state of one call. A refused offer or answer leaves the state as it was (DLG-11).
#[derive(Clone, Debug)]
pub struct Negotiation {
    local: LocalMedia,
}

impl Negotiation {
    pub fn new(local: LocalMedia) -> Negotiation {
        Negotiation { local }
    }
    pub fn local(&self) -> &LocalMedia {
        &self.local
    }
    /// Our full offer with the current hold state (initial INVITE, late offer, answer to an empty re-INVITE).
    pub fn offer(&mut self) -> Bytes {
        todo!()
    }
    pub fn receive_offer(&mut self, sdp: &[u8]) -> Result<Answer, Refusal> {
        let _ = sdp;
        todo!()
    }
    /// The answer to our last [`Negotiation::offer`].
    pub fn receive_answer(&mut self, sdp: &[u8]) -> Result<MediaParams, Refusal> {
        let _ = sdp;
        todo!()
    }
    /// Holds or resumes from our side; takes effect with the next offer.
    pub fn set_hold(&mut self, hold: bool) {
        let _ = hold;
        todo!()
    }
    pub fn current(&self) -> Option<&MediaParams> {
        todo!()
    }
}
