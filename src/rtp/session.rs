//! One RTP session with one peer (RFC 3550 §3): its receiver, its protection (SRTP), its reports (RTCP).
//!
//! In: datagrams of the RTP port and of the RTCP port, packets of the [`Sender`](super::sender::Sender) on their way out.
//! Out: what the receiver gives; packets ready for the wire. The order is fixed: first byte (RFC 7983), authentication, then anything else:
//! nothing of a packet is used before its tag was checked (RFC 3711 §3.3).

use super::protection::Protection;
use super::receiver::{Receiver, ReceiverParams};
use super::sender::Sender;
use super::srtp::SrtpStats;
use crate::srtp_key::{SrtpKeys, Suite};
use std::net::SocketAddr;
use std::time::Instant;

/// What the owner knows of the session; set again at every offer/answer.
#[derive(Clone, Debug)]
pub struct SessionParams {
    pub receiver: ReceiverParams,
    /// `None`: plain RTP.
    pub srtp: Option<SrtpKeys>,
    /// RTCP comes and goes by the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// The peer's RTCP address by its SDP (`a=rtcp`, else the next port).
    pub rtcp_remote: Option<SocketAddr>,
}

/// Which of our two ports a packet of [`RtpSession::poll_rtcp`] leaves by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Rtp,
    Rtcp,
}

/// The machine.
pub struct RtpSession {
    pub receiver: Receiver,
    protection: Protection,
}

impl RtpSession {
    pub fn new(params: SessionParams) -> RtpSession {
        RtpSession { receiver: Receiver::new(params.receiver), protection: Protection::new(params.srtp.as_ref()) }
    }

    /// After an offer/answer. The stream and its counters go on, and under the same keys those of SRTP.
    pub fn set_params(&mut self, now: Instant, params: SessionParams) {
        self.receiver.set_params(params.receiver);
        self.protection.set_keys(now, params.srtp.as_ref());
    }

    /// The suite that protects the stream now.
    pub fn suite(&self) -> Option<Suite> {
        self.protection.suite()
    }

    /// What SRTP did not let through.
    pub fn srtp_stats(&self) -> SrtpStats {
        self.protection.stats()
    }

    /// A datagram of the RTP port. What is neither RTP nor RTCP of ours is counted and dropped.
    pub fn handle_rtp(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Some(packet) = self.protection.open_rtp(now, datagram) else { return };
        self.receiver.handle_datagram(now, from, packet);
    }

    /// A datagram of the RTCP port.
    pub fn handle_rtcp(&mut self, now: Instant, _from: SocketAddr, datagram: &[u8]) {
        let _ = self.protection.open_rtcp(now, datagram);
    }

    /// Makes a packet of the sender ready for the wire, in place. `false`: it must not be sent.
    pub fn protect(&mut self, packet: &mut Vec<u8>) -> bool {
        self.protection.protect_rtp(packet)
    }

    /// The RTCP packet that is due, ready for the wire in `out`, and where it goes.
    pub fn poll_rtcp(&mut self, _now: Instant, _sender: &Sender, _out: &mut Vec<u8>) -> Option<(Port, SocketAddr)> {
        None
    }

    /// When the receiver's wait or the next report is due.
    pub fn timeout(&self) -> Option<Instant> {
        self.receiver.timeout()
    }
}
