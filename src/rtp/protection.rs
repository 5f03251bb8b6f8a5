//! Whether the packets of a session are protected, and what follows from it.
//!
//! In: datagrams as they came, packets of ours. Out: packets that may be used, packets that may be sent. Once SRTP is agreed on, a
//! plain packet is used in neither direction; while it is not, SRTP is not looked for.

use super::srtp::{Srtp, SrtpStats};
use crate::srtp_key::{SrtpKeys, Suite};
use std::time::Instant;

/// The state of one session.
pub(super) struct Protection {
    /// Packets have to be protected.
    on: bool,
    /// Kept while protection is off: a key that comes back goes on where it was. `None` with `on`: its keys were of no use, and
    /// nothing passes.
    srtp: Option<Box<Srtp>>,
}

impl Protection {
    pub fn new(keys: Option<&SrtpKeys>) -> Protection {
        Protection { on: keys.is_some(), srtp: keys.and_then(Srtp::new).map(Box::new) }
    }

    /// After an offer/answer.
    pub fn set_keys(&mut self, now: Instant, keys: Option<&SrtpKeys>) {
        self.on = keys.is_some();
        let Some(keys) = keys else { return };
        if let Some(srtp) = &mut self.srtp {
            if !srtp.set_keys(now, keys) {
                self.srtp = None;
            }
        } else {
            self.srtp = Srtp::new(keys).map(Box::new);
        }
    }

    pub fn suite(&self) -> Option<Suite> {
        self.srtp.as_ref().filter(|_| self.on).map(|srtp| srtp.suite())
    }

    pub fn stats(&self) -> SrtpStats {
        self.srtp.as_ref().map(|srtp| srtp.stats()).unwrap_or_default()
    }

    /// The RTP packet in a datagram. `None`: it is not to be used, which is counted.
    pub fn open_rtp<'a>(&'a mut self, now: Instant, datagram: &'a [u8]) -> Option<&'a [u8]> {
        match &mut self.srtp {
            _ if !self.on => Some(datagram),
            Some(srtp) => srtp.unprotect_rtp(now, datagram).ok(),
            None => None,
        }
    }

    /// The RTCP packet in a datagram, in the same way.
    pub fn open_rtcp<'a>(&'a mut self, now: Instant, datagram: &'a [u8]) -> Option<&'a [u8]> {
        match &mut self.srtp {
            _ if !self.on => Some(datagram),
            Some(srtp) => srtp.unprotect_rtcp(now, datagram).ok(),
            None => None,
        }
    }

    /// The packet that was opened has been used.
    pub fn done(&mut self) {
        if let Some(srtp) = &mut self.srtp {
            srtp.done();
        }
    }

    /// Makes an RTP packet ready for the wire, in place. `false`: it must not be sent.
    pub fn protect_rtp(&mut self, packet: &mut Vec<u8>) -> bool {
        match &mut self.srtp {
            _ if !self.on => true,
            Some(srtp) => srtp.protect_rtp(packet).is_ok(),
            None => false,
        }
    }

    /// Makes an RTCP compound ready for the wire, in the same way.
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> bool {
        match &mut self.srtp {
            _ if !self.on => true,
            Some(srtp) => srtp.protect_rtcp(packet).is_ok(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
