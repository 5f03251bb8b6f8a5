//! Pings on the registered flow (RFC 5626 §3.5.1, §4.4): CRLF CRLF, answered by CRLF on streams.
//!
//! A stream's pong that stays out means a dead flow where the peer is known to send pongs; where it is not, one request tells, and
//! further pings only keep the NAT open. Nothing answers on UDP.

use crate::sip::random::Random;
use crate::sip::{Flow, Transport};
use std::time::{Duration, Instant};

pub(super) const PING: &[u8] = b"\r\n\r\n";
const PONG_WAIT: Duration = Duration::from_secs(10);
/// Between pings, ms.
const STREAM_MS: (u64, u64) = (95_000, 120_000);
const DATAGRAM_MS: (u64, u64) = (24_000, 29_000);

/// What a timer of the keepalive asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    Ping,
    /// No pong from a peer that sends them.
    Dead,
    /// No pong from a peer that may not know them.
    Doubt,
}

#[derive(Debug)]
pub(super) struct Keepalive {
    on: bool,
    flow: Option<Flow>,
    interval_ms: (u64, u64),
    ping_at: Option<Instant>,
    pong_by: Option<Instant>,
    answers: Answers,
}

/// Whether the peer answers pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    Yes,
    Unknown,
    No,
}

impl Keepalive {
    pub fn new(on: bool) -> Keepalive {
        let (flow, ping_at, pong_by) = (None, None, None);
        Keepalive { on, flow, interval_ms: STREAM_MS, ping_at, pong_by, answers: Answers::Unknown }
    }

    /// The registration stands on `flow`. On the flow it stood on before, the pings go on.
    pub fn start(&mut self, now: Instant, flow: Flow, timer: Option<u32>, outbound: bool, random: &mut Random) {
        let same = self.flow == Some(flow);
        self.flow = Some(flow);
        if !same {
            self.answers = Answers::Unknown;
            self.pong_by = None;
        }
        if outbound {
            self.answers = Answers::Yes;
        }
        let usual = if flow.transport.is_reliable() { STREAM_MS } else { DATAGRAM_MS };
        // §4.4.1: 80 % to 100 % of the server's own Flow-Timer.
        self.interval_ms = timer.filter(|secs| *secs >= 10).map_or(usual, |secs| {
            let ms = u64::from(secs.min(3600)) * 1000;
            (ms / 5 * 4, ms)
        });
        if self.on && (!same || self.ping_at.is_none()) && self.pong_by.is_none() {
            self.ping_at = Some(now + random.back_off(self.interval_ms.0, self.interval_ms.1));
        }
    }

    pub fn stop(&mut self) {
        (self.flow, self.ping_at, self.pong_by) = (None, None, None);
    }

    pub fn pong(&mut self) {
        self.answers = Answers::Yes;
        self.pong_by = None;
    }

    pub fn next(&self) -> Option<Instant> {
        [self.ping_at, self.pong_by].into_iter().flatten().min()
    }

    pub fn timeout(&mut self, now: Instant, transport: Transport, random: &mut Random) -> Option<Alarm> {
        if self.pong_by.take_if(|by| *by <= now).is_some() {
            if self.answers == Answers::Yes {
                self.stop();
                return Some(Alarm::Dead);
            }
            self.answers = Answers::No;
            return Some(Alarm::Doubt);
        }
        self.ping_at.take_if(|at| *at <= now)?;
        self.ping_at = Some(now + random.back_off(self.interval_ms.0, self.interval_ms.1));
        if transport.is_reliable() && self.answers != Answers::No {
            self.pong_by = Some(now + PONG_WAIT);
        }
        Some(Alarm::Ping)
    }
}
