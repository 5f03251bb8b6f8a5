//! One RTP session with one peer (RFC 3550 §3): its receiver, its protection (SRTP), its reports (RTCP).
//!
//! In: datagrams of the RTP port and of the RTCP port, packets of the [`Sender`](super::sender::Sender) on their way out.
//! Out: what the receiver gives; packets ready for the wire. The order is fixed: first byte (RFC 7983), authentication, then anything else:
//! nothing of a packet is used before its tag was checked (RFC 3711 §3.3).
//!
//! RTCP obeys the source policy: it is heard from the host that media comes from or that the SDP names, and goes nowhere else (RTP-09).

use super::demux::Kind;
use super::packet::DropCause;
use super::protection::Protection;
use super::receiver::{Receiver, ReceiverParams, SourcePolicy};
use super::rtcp::{ReportStats, Reports, Sent, WallClock};
use super::sender::Sender;
use super::srtp::SrtpStats;
use super::strangers::Strangers;
use crate::srtp_key::{SrtpKeys, Suite};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

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

/// What came that could not be used: for the one who has to find out why nothing is heard.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    /// Addresses that may not send to us.
    pub strangers: Strangers,
    /// Where the last packet came from that SRTP did not let through.
    pub unauthentic: Option<SocketAddr>,
    /// The last payload type that was not agreed on.
    pub payload_type: Option<u8>,
    /// STUN or DTLS: the peer expects WebRTC.
    pub webrtc: u64,
    /// RTCP on the RTP port, which was not agreed on.
    pub unasked_mux: u64,
}

/// The machine. In this order in memory: what each packet touches comes first.
#[repr(C)]
pub struct RtpSession {
    protection: Protection,
    rtcp_mux: bool,
    policy: SourcePolicy,
    /// Of the stream we send: SSRC and first sequence number; and its clock, as the last report had it.
    sent: Option<(u32, u16)>,
    clock_per_ms: u32,
    pub receiver: Receiver,
    sdp_remote: Option<SocketAddr>,
    rtcp_remote: Option<SocketAddr>,
    /// The port that reports of the stream we play come from.
    rtcp_source: Option<SocketAddr>,
    refused: Refused,
    reports: Reports,
}

impl RtpSession {
    pub fn new(params: SessionParams) -> RtpSession {
        let (policy, sdp_remote) = (params.receiver.policy, params.receiver.sdp_remote);
        let mut receiver = Receiver::new(params.receiver);
        receiver.set_authenticated(params.srtp.is_some());
        RtpSession {
            protection: Protection::new(params.srtp.as_ref()),
            policy,
            sdp_remote,
            rtcp_mux: params.rtcp_mux,
            rtcp_remote: params.rtcp_remote,
            receiver,
            rtcp_source: None,
            reports: Reports::default(),
            refused: Refused::default(),
            sent: None,
            clock_per_ms: 8,
        }
    }

    /// After an offer/answer. The stream and its counters go on, and under the same keys those of SRTP.
    pub fn set_params(&mut self, now: Instant, params: SessionParams) {
        self.policy = params.receiver.policy;
        self.sdp_remote = params.receiver.sdp_remote;
        if self.rtcp_remote != params.rtcp_remote {
            self.rtcp_source = None;
        }
        self.rtcp_mux = params.rtcp_mux;
        self.rtcp_remote = params.rtcp_remote;
        self.receiver.set_params(params.receiver);
        self.receiver.set_authenticated(params.srtp.is_some());
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

    /// Reports are sent from now on (the stream flows). `seed`: CNAME and intervals.
    pub fn start_reports(&mut self, now: Instant, clock: WallClock, seed: u64) {
        self.reports.start(now, clock, seed);
    }

    /// A datagram of the RTP port. What is neither RTP nor RTCP of ours is counted and dropped.
    pub fn handle_rtp(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        match Kind::of(datagram) {
            Kind::Rtcp if self.rtcp_mux => return self.report(now, from, datagram),
            Kind::Rtcp => self.refused.unasked_mux += 1,
            Kind::Stun | Kind::Dtls => self.refused.webrtc += 1,
            Kind::Rtp | Kind::Zrtp | Kind::Turn | Kind::Unknown => {}
        }
        let Some(packet) = self.protection.open_rtp(now, datagram) else {
            self.protection.done();
            self.refused.unauthentic = Some(from);
            return;
        };
        match self.receiver.handle_datagram(now, from, packet) {
            Some(DropCause::Source) => {
                self.refused.strangers.saw(from, false);
            }
            Some(DropCause::PayloadType) => self.refused.payload_type = datagram.get(1).map(|octet| octet & 0x7F),
            _ => {}
        }
        self.protection.done();
    }

    /// A datagram of the RTCP port.
    pub fn handle_rtcp(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        self.report(now, from, datagram);
    }

    fn report(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if !self.may_report(from) {
            self.refused.strangers.saw(from, true);
            return;
        }
        let ours = self.sent.map(|(ssrc, _)| ssrc);
        let report = self.protection.open_rtcp(now, datagram);
        let Some(sender) = report.map(|report| self.reports.handle(now, ours, report)) else {
            return self.protection.done();
        };
        self.protection.done();
        // Whoever knows the SSRC of the stream we play, and sends from its host, has shown where its reports are to go.
        let played = self.receiver.reception().map(|reception| reception.ssrc);
        let same_host = self.receiver.source().is_some_and(|source| is_same_host(source, from));
        if sender.is_some() && sender == played && same_host && !self.rtcp_mux && self.policy != SourcePolicy::Strict {
            self.rtcp_source = Some(from);
        }
    }

    /// From the host that is played, or that the SDP names for either kind.
    fn may_report(&self, from: SocketAddr) -> bool {
        let played = self.receiver.source().filter(|_| self.policy != SourcePolicy::Strict);
        [played, self.sdp_remote, self.rtcp_remote].into_iter().flatten().any(|peer| is_same_host(peer, from))
    }

    /// Where reports go: by the RTP port with mux; else where the peer's come from, where its SDP says, or, when its media turned out to
    /// come from elsewhere, the port after that. `None` while the peer has no address (hold by `c=0.0.0.0`).
    fn rtcp_target(&self) -> Option<(Port, SocketAddr)> {
        let rtp = self.receiver.target()?;
        if self.rtcp_mux {
            return Some((Port::Rtp, rtp));
        }
        let sdp = self.sdp_remote.zip(self.rtcp_remote);
        let by_sdp = sdp.filter(|(sdp, _)| is_same_host(*sdp, rtp) && sdp.port() == rtp.port()).map(|(_, rtcp)| rtcp);
        let next = || rtp.port().checked_add(1).map(|port| SocketAddr::new(rtp.ip(), port));
        let learned = self.rtcp_source.filter(|addr| is_same_host(*addr, rtp));
        learned.or(by_sdp).or_else(next).map(|to| (Port::Rtcp, to))
    }

    /// Makes a packet of the sender ready for the wire, in place. `false`: it must not be sent.
    pub fn protect(&mut self, packet: &mut Vec<u8>) -> bool {
        if let (None, [_, _, high, low, _, _, _, _, a, b, c, d, ..]) = (self.sent, packet.as_slice()) {
            self.sent = Some((u32::from_be_bytes([*a, *b, *c, *d]), u16::from_be_bytes([*high, *low])));
        }
        self.protection.protect_rtp(packet)
    }

    /// The RTCP packet that is due, ready for the wire in `out`, and where it goes. `next`: when the sender's next packet is due.
    pub fn poll_rtcp(
        &mut self,
        now: Instant,
        sender: &Sender,
        next: Option<Instant>,
        out: &mut Vec<u8>,
    ) -> Option<(Port, SocketAddr)> {
        if self.reports.timeout().is_none_or(|due| now < due) {
            return None;
        }
        self.clock_per_ms = sender.clock_per_ms();
        let sent = sent(now, sender, next);
        if !self.reports.poll(now, sent, self.receiver.reception(), out) {
            return None;
        }
        self.rtcp_target().filter(|_| self.protection.protect_rtcp(out))
    }

    /// The last RTCP packet, with BYE, as [`RtpSession::poll_rtcp`]. No report follows it.
    pub fn bye(
        &mut self,
        now: Instant,
        sender: &Sender,
        next: Option<Instant>,
        out: &mut Vec<u8>,
    ) -> Option<(Port, SocketAddr)> {
        if !self.reports.bye(now, sent(now, sender, next), self.receiver.reception(), out) {
            return None;
        }
        self.rtcp_target().filter(|_| self.protection.protect_rtcp(out))
    }

    /// What the peer's reports say, and how many there were.
    pub fn reports(&self) -> &ReportStats {
        self.reports.stats()
    }

    /// The share of our packets that the peer lost, by its last report, 0-1.
    pub fn remote_loss(&self) -> Option<f32> {
        let (remote, (_, first)) = self.reports.stats().remote.zip(self.sent)?;
        let expected = remote.highest_sequence.wrapping_sub(u32::from(first)).wrapping_add(1);
        let lost = remote.lost.max(0) as f32 / expected.max(1) as f32;
        Some(lost.min(1.0))
    }

    /// The jitter of our packets at the peer, by its last report, ms.
    pub fn remote_jitter_ms(&self) -> Option<f32> {
        let remote = self.reports.stats().remote?;
        Some(remote.jitter as f32 / self.clock_per_ms.max(1) as f32)
    }

    /// What came and was not used.
    pub fn refused(&self) -> &Refused {
        &self.refused
    }

    /// When the receiver's wait or the next report is due.
    pub fn timeout(&self) -> Option<Instant> {
        [self.receiver.timeout(), self.report_timeout()].into_iter().flatten().min()
    }

    /// When the next report is due.
    pub fn report_timeout(&self) -> Option<Instant> {
        self.reports.timeout()
    }
}

/// `::ffff:192.0.2.1` and `192.0.2.1` are the same host.
fn is_same_host(a: SocketAddr, b: SocketAddr) -> bool {
    a.ip().to_canonical() == b.ip().to_canonical()
}

/// The sender's figures at this moment. Its timestamp is that of the next packet: less what is left until then.
fn sent(now: Instant, sender: &Sender, next: Option<Instant>) -> Sent {
    let ahead = next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
    let ahead = (ahead.as_micros() * u128::from(sender.clock_per_ms()) / 1000) as u32;
    Sent {
        ssrc: sender.ssrc(),
        packets: sender.packets(),
        octets: sender.octets(),
        rtp_timestamp: sender.timestamp().wrapping_sub(ahead),
    }
}

#[cfg(test)]
mod srtp_tests;
#[cfg(test)]
mod tests;
