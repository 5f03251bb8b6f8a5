//! What leaves by the RTP and RTCP ports: frames when they are due, reports, and each stream's last report before its port is given back.
//!
//! One packet at a time, in one buffer that is used again ([`Call::rtp_bytes`]).

use super::Output;
use super::downlink::Frame;
use super::machine::Call;
use crate::rtp::session::Port;
use std::net::SocketAddr;
use std::time::Instant;

impl Call {
    /// One packet, if one is due. `None` when there is none, or when notes must go out first.
    pub(super) fn send_packet(&mut self, now: Instant) -> Option<SocketAddr> {
        let media = self.media.as_mut()?;
        let target = media.rtp.receiver.target();
        let frame = media.downlink.poll(now, target.is_some(), &mut self.packet);
        self.clocks.asked(!matches!(frame, Frame::None), media.downlink.timeout());
        let to = match frame {
            Frame::None => return None,
            Frame::Skipped => None,
            Frame::Packet(played) => {
                media.note_sent(now);
                let ready = media.rtp.protect(&mut self.packet);
                self.played(now, played);
                target.filter(|_| ready)
            }
        };
        self.frame_passed(now);
        to
    }

    /// The same of the second leg.
    pub(super) fn send_leg_packet(&mut self, now: Instant) -> Option<SocketAddr> {
        let media = self.leg.as_mut()?.media.as_mut()?;
        let target = media.rtp.receiver.target();
        let sent = match media.downlink.poll(now, target.is_some(), &mut self.packet) {
            Frame::None => return None,
            Frame::Skipped => None,
            Frame::Packet(played) => {
                media.note_sent(now);
                let ready = media.rtp.protect(&mut self.packet);
                self.played(now, played);
                target.filter(|_| ready)
            }
        };
        self.advance(now);
        sent
    }

    /// An RTCP packet of either stream, if one is due.
    pub(super) fn send_reports(&mut self, now: Instant) -> Option<Output> {
        if let Some(media) = &mut self.media {
            let report = media.report(now, &mut self.packet);
            self.clocks.reported(media.rtp.report_timeout());
            if let Some((port, to)) = report {
                return Some(own_report(port, to));
            }
        }
        let (port, to) = self.leg.as_mut()?.media.as_mut()?.report(now, &mut self.packet)?;
        Some(leg_report(port, to))
    }

    /// The last report of a stream goes out before its port is given back.
    pub(super) fn send_goodbye(&mut self) -> Option<Output> {
        let goodbye = match self.outputs.front()? {
            Output::CloseLeg => &mut self.leg_goodbye,
            Output::Ended(_) => &mut self.goodbye,
            _ => return None,
        };
        let (port, to, packet) = goodbye.take()?;
        self.packet.clear();
        self.packet.extend_from_slice(&packet);
        let is_leg = matches!(self.outputs.front(), Some(Output::CloseLeg));
        Some(if is_leg { leg_report(port, to) } else { own_report(port, to) })
    }
}

fn own_report(port: Port, to: SocketAddr) -> Output {
    match port {
        Port::Rtp => Output::Rtp { to },
        Port::Rtcp => Output::Rtcp { to },
    }
}

fn leg_report(port: Port, to: SocketAddr) -> Output {
    match port {
        Port::Rtp => Output::LegRtp { to },
        Port::Rtcp => Output::LegRtcp { to },
    }
}
