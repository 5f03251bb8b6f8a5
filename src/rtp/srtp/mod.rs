//! SRTP and SRTCP (RFC 3711, 6188, 7714), pure: packets and `now` in, packets and counters out.
//!
//! | file | concern |
//! |---|---|
//! | here | both directions of one stream, and what happens when their keys change |
//! | `context` | one master key in one direction: session keys, indices by SSRC |
//! | `index` | roll-over counter and replay window |
//! | `transform` | one packet, by suite: `counter_mode`, `gcm` |
//! | `derivation` | session keys from a master key |
//! | `cipher` | the primitives: door of aes, ctr, sha1 and ring |
//!
//! Keys come from signalling (RFC 4568): no MKI, a derivation rate of 0, SRTCP always encrypted and with its long tag.
//! Nothing is allocated per packet; session keys are derived once.

mod cipher;
mod context;
mod counter_mode;
mod derivation;
mod gcm;
mod index;
mod transform;

use super::packet::MAX_DATAGRAM;
use crate::srtp_key::{MasterKey, SrtpKeys, Suite};
use context::Context;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long packets with the key before the present one are taken: what was on its way at the switch (SDP-10).
const OLD_KEY: Duration = Duration::from_millis(500);
/// Contexts of former keys kept in each direction, so that a key that comes back goes on where it was: an offer has at most one of
/// each suite.
const FORMER: usize = Suite::ALL.len();

/// Why a packet was not taken, or must not be sent; the label of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Too short, or no RTP.
    Malformed,
    /// Its tag is wrong: another key, another counter, or a forgery.
    NotAuthentic,
    /// Its index was used before.
    Replayed,
    /// Its key has protected as many packets as a key may (RFC 3711 §9.2).
    KeyWornOut,
}

/// Counters of what came and was not taken, SRTCP included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SrtpStats {
    /// The tag was wrong, or there was none.
    pub failed: u64,
    pub replayed: u64,
    pub malformed: u64,
}

thread_local! {
    /// Where packets are opened: one of each call's own would be out of the cache when its packet comes.
    static OPENED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The machine of one stream. What each packet needs stands first.
#[repr(C)]
pub struct Srtp {
    /// The packet that was opened last, in the thread's buffer, until [`Srtp::done`].
    opened: Vec<u8>,
    receive: Context,
    send: Context,
    /// Until then packets with the last of `former_receive` are taken.
    old_key_until: Option<Instant>,
    former_send: Vec<Context>,
    former_receive: Vec<Context>,
    stats: SrtpStats,
}

impl Srtp {
    /// `None`: a key is not as long as the suite wants.
    pub fn new(keys: &SrtpKeys) -> Option<Srtp> {
        Some(Srtp {
            send: Context::new(keys.suite, &keys.send)?,
            receive: Context::new(keys.suite, &keys.receive)?,
            former_send: Vec::new(),
            former_receive: Vec::new(),
            old_key_until: None,
            opened: Vec::new(),
            stats: SrtpStats::default(),
        })
    }

    /// After an offer/answer. A key that stays keeps its counters (RFC 3264 refresh), each direction for itself; the old key of the
    /// peer is taken for another 500 ms. `false`: a key is not as long as the suite wants, and nothing was changed.
    pub fn set_keys(&mut self, now: Instant, keys: &SrtpKeys) -> bool {
        let send = next(&mut self.send, &mut self.former_send, keys.suite, &keys.send);
        let receive = next(&mut self.receive, &mut self.former_receive, keys.suite, &keys.receive);
        if receive == Some(true) {
            self.old_key_until = Some(now + OLD_KEY);
        }
        send.is_some() && receive.is_some()
    }

    pub fn suite(&self) -> Suite {
        self.receive.suite()
    }

    pub fn stats(&self) -> SrtpStats {
        self.stats
    }

    /// Makes an RTP packet SRTP, in place; after an error it must not be sent.
    pub fn protect_rtp(&mut self, packet: &mut Vec<u8>) -> Result<(), Failure> {
        self.send.protect_rtp(packet)
    }

    /// Makes an RTCP packet (a compound in one datagram) SRTCP, in place; after an error it must not be sent.
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), Failure> {
        self.send.protect_rtcp(packet)
    }

    /// The RTP packet in an SRTP packet, or why there is none; that is counted.
    pub fn unprotect_rtp(&mut self, now: Instant, datagram: &[u8]) -> Result<&[u8], Failure> {
        self.unprotect(now, datagram, Context::unprotect_rtp)
    }

    /// The RTCP packet in an SRTCP packet, or why there is none; that is counted.
    pub fn unprotect_rtcp(&mut self, now: Instant, datagram: &[u8]) -> Result<&[u8], Failure> {
        self.unprotect(now, datagram, Context::unprotect_rtcp)
    }

    /// The packet that was opened is not needed any more: its buffer is for the thread's next one.
    pub fn done(&mut self) {
        if self.opened.capacity() > 0 {
            let mut buffer = std::mem::take(&mut self.opened);
            buffer.clear();
            let _ = OPENED.try_with(|free| free.set(buffer));
        }
    }

    fn unprotect(&mut self, now: Instant, datagram: &[u8], open: Open) -> Result<&[u8], Failure> {
        let opened = if datagram.len() > MAX_DATAGRAM {
            Err(Failure::Malformed)
        } else {
            if self.opened.capacity() == 0 {
                self.opened = OPENED.try_with(Cell::take).unwrap_or_default();
                self.opened.reserve(MAX_DATAGRAM);
            }
            let (receive, out) = (&mut self.receive, &mut self.opened);
            open(receive, datagram, out).or_else(|failure| {
                self.old_key_until = self.old_key_until.filter(|until| now < *until);
                let old = self.former_receive.last_mut().filter(|_| self.old_key_until.is_some());
                old.filter(|_| failure == Failure::NotAuthentic)
                    .is_some_and(|old| open(old, datagram, out).is_ok())
                    .then_some(())
                    .ok_or(failure)
            })
        };
        match opened {
            Ok(()) => Ok(&self.opened),
            Err(failure) => {
                let count = match failure {
                    Failure::NotAuthentic => &mut self.stats.failed,
                    Failure::Replayed => &mut self.stats.replayed,
                    Failure::Malformed | Failure::KeyWornOut => &mut self.stats.malformed,
                };
                *count += 1;
                Err(failure)
            }
        }
    }
}

type Open = fn(&mut Context, &[u8], &mut Vec<u8>) -> Result<(), Failure>;

/// Makes `present` a context with this key: itself, a former one, or a new one. `Some(true)`: it is another one now.
/// `None`: the key is not as long as the suite wants.
fn next(present: &mut Context, former: &mut Vec<Context>, suite: Suite, master: &MasterKey) -> Option<bool> {
    if present.is(suite, master) {
        return Some(false);
    }
    let context = match former.iter().position(|context| context.is(suite, master)) {
        Some(at) => former.remove(at),
        None => Context::succeeding(suite, master, present)?,
    };
    if former.len() == FORMER {
        former.remove(0);
    }
    former.push(std::mem::replace(present, context));
    Some(true)
}

#[cfg(test)]
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |sum, digit| sum * 16 + *digit as u8)).collect()
}

#[cfg(test)]
mod tests;
