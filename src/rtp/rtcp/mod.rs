//! The reports of one RTP session, both ways (RFC 3550 §6, RFC 3611 §4.7 as far as it is read).
//!
//! In: RTCP datagrams that have passed the source policy and, with SRTP, authentication; what was received ([`Reception`]) and sent
//! ([`Sent`]). Out: compound packets when they are due, [`ReportStats`]. Pure: NTP time comes from a [`WallClock`], chance from a seed.
//!
//! | file | concern |
//! |---|---|
//! | `packet` | reading and writing; the door of crate rtcp-types |
//! | `schedule` | when the next report is due |

pub mod packet;
mod schedule;

use super::stats::Reception;
use packet::{Block, CNAME_LEN, Item, Report, SenderInfo};
use schedule::{Schedule, SplitMix};
use std::time::{Duration, Instant};

/// Seconds from 1900 to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;
/// Sender reports whose echo is believed.
const ECHOES: usize = 4;
/// A longer round trip is not one.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(30);

/// NTP time of an instant: wall clock at one moment, the monotonic clock from there.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    pub at: Instant,
    /// Unix time at that moment, ms.
    pub unix_ms: u64,
}

impl WallClock {
    /// Seconds since 1900 in the upper half, their fraction in the lower one (RFC 3550 §4).
    pub fn ntp(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.at) + Duration::from_millis(self.unix_ms);
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        // The upper half rolls over in 2036, as it is meant to.
        (since.as_secs().wrapping_add(NTP_EPOCH) << 32) | fraction
    }
}

/// The middle 32 bits of an NTP time.
fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// What we have sent, when a report is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    pub ssrc: u32,
    pub packets: u64,
    pub octets: u64,
    /// The timestamp that audio of this very moment has.
    pub rtp_timestamp: u32,
}

/// What the peer's reports say of our stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RemoteReport {
    /// Since the report before, 0-1.
    pub fraction_lost: f32,
    /// Since the beginning; negative with duplicates.
    pub lost: i32,
    /// Highest sequence number received, with its cycles in the upper half.
    pub highest_sequence: u32,
    /// In timestamp units of our stream.
    pub jitter: u32,
}

/// What is known from reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReportStats {
    pub sent: u64,
    /// Datagrams that were read, and that could not be.
    pub received: u64,
    pub malformed: u64,
    /// The last report on our stream, and how many there were.
    pub remote: Option<RemoteReport>,
    pub remote_reports: u64,
    /// Reports of the peer in a row, up to the last one, by which nothing of our stream arrives: no block on it, or all lost.
    pub deaf_reports: u32,
    /// The last round trip, and the longest one.
    pub round_trip: Option<Duration>,
    pub longest_round_trip: Option<Duration>,
    /// The peer's own estimate of what it hears (RFC 3611): R factor, conversational MOS.
    pub remote_r_factor: Option<u8>,
    pub remote_mos: Option<f32>,
    /// The peer's stream ended by BYE.
    pub bye: bool,
    pub last_received: Option<Instant>,
}

/// What was expected and received when the last report was made, and of which stream (RFC 3550 A.3).
#[derive(Clone, Copy, Default)]
struct Prior {
    ssrc: u32,
    first: u32,
    expected: u32,
    received: u32,
}

/// What only a session that reports has.
struct Running {
    clock: WallClock,
    schedule: Schedule,
    cname: [u8; CNAME_LEN],
    prior: Prior,
    /// Packets we had sent at the last report and at the one before (§6.4: who has sent since then is a sender).
    sent: [u64; 2],
    /// Middle bits of the NTP times of our last sender reports.
    echoes: [u32; ECHOES],
}

/// The machine.
#[derive(Default)]
pub struct Reports {
    running: Option<Box<Running>>,
    /// Who sent the last SR, the middle of its NTP time, when it came.
    last_sr: Option<(u32, u32, Instant)>,
    stats: ReportStats,
}

impl Reports {
    /// Reports are sent from now on. A second call changes nothing.
    pub fn start(&mut self, now: Instant, clock: WallClock, seed: u64) {
        self.running.get_or_insert_with(|| {
            let mut random = SplitMix(seed);
            let cname = cname(&mut random);
            let schedule = Schedule::new(now, random.next());
            Box::new(Running { clock, schedule, cname, prior: Prior::default(), sent: [0; 2], echoes: [0; ECHOES] })
        });
    }

    pub fn stats(&self) -> &ReportStats {
        &self.stats
    }

    pub fn timeout(&self) -> Option<Instant> {
        self.running.as_ref().map(|running| running.schedule.timeout())
    }

    /// A datagram of the peer. `ours`: the SSRC we send with. Gives the SSRC of its sender.
    pub fn handle(&mut self, now: Instant, ours: Option<u32>, datagram: &[u8]) -> Option<u32> {
        let (mut sender, mut reports, mut on_us) = (None, false, None);
        let Reports { running, last_sr, stats } = self;
        let read = packet::read(datagram, |item| match item {
            Item::Report { ssrc, info } => {
                sender = Some(ssrc);
                reports = true;
                if let Some(info) = info {
                    *last_sr = Some((ssrc, middle(info.ntp), now));
                }
            }
            Item::Block(block) if Some(block.ssrc) == ours => on_us = Some(block),
            Item::Bye { ssrc } => {
                sender = sender.or(Some(ssrc));
                stats.bye = true;
            }
            Item::VoipMetrics { ssrc, r_factor, mos_cq } if Some(ssrc) == ours => {
                stats.remote_r_factor = r_factor.or(stats.remote_r_factor);
                stats.remote_mos = mos_cq.map(|mos| f32::from(mos) / 10.0).or(stats.remote_mos);
            }
            Item::Block(_) | Item::VoipMetrics { .. } => {}
        });
        if read.is_err() {
            stats.malformed += 1;
            return None;
        }
        stats.received += 1;
        stats.last_received = Some(now);
        if let Some(block) = on_us {
            stats.remote_reports += 1;
            stats.remote = Some(RemoteReport {
                fraction_lost: f32::from(block.fraction_lost) / 256.0,
                lost: block.cumulative_lost,
                highest_sequence: block.highest_sequence,
                jitter: block.jitter,
            });
            if let Some(round_trip) = running.as_ref().and_then(|running| running.round_trip(now, &block)) {
                stats.round_trip = Some(round_trip);
                stats.longest_round_trip = stats.longest_round_trip.max(Some(round_trip));
            }
        }
        if reports {
            let hears = on_us.is_some_and(|block| block.fraction_lost < u8::MAX);
            stats.deaf_reports = if hears { 0 } else { stats.deaf_reports.saturating_add(1) };
        }
        sender
    }

    /// Writes the report that is due into `out`, if one is.
    pub fn poll(&mut self, now: Instant, sent: Sent, reception: Option<Reception>, out: &mut Vec<u8>) -> bool {
        let due = self.running.as_mut().is_some_and(|running| running.schedule.is_due(now));
        due && self.write(now, sent, reception, false, out)
    }

    /// Writes the last report, with BYE (§6.3.7; of two members each may leave at once). `false`: there was never a report to take back.
    pub fn bye(&mut self, now: Instant, sent: Sent, reception: Option<Reception>, out: &mut Vec<u8>) -> bool {
        // Who has sent neither RTP nor RTCP must not send BYE.
        let known = sent.packets > 0 || self.stats.sent > 0;
        let written = known && self.write(now, sent, reception, true, out);
        self.running = None;
        written
    }

    fn write(&mut self, now: Instant, sent: Sent, reception: Option<Reception>, bye: bool, out: &mut Vec<u8>) -> bool {
        let Some(running) = &mut self.running else { return false };
        let ntp = running.clock.ntp(now);
        let is_sender = sent.packets > running.sent[1];
        running.sent = [sent.packets, running.sent[0]];
        let info = is_sender.then(|| {
            running.echoes.rotate_right(1);
            running.echoes[0] = middle(ntp);
            SenderInfo {
                ntp,
                rtp_timestamp: sent.rtp_timestamp,
                packets: sent.packets as u32,
                octets: sent.octets as u32,
            }
        });
        let last_sr = self.last_sr;
        let block = reception.map(|reception| running.block(now, &reception, last_sr));
        packet::write(&Report { ssrc: sent.ssrc, info, block, cname: &running.cname, bye }, out);
        self.stats.sent += 1;
        true
    }
}

impl Running {
    /// RFC 3550 A.3, §6.4.1.
    fn block(&mut self, now: Instant, reception: &Reception, last_sr: Option<(u32, u32, Instant)>) -> Block {
        let expected = reception.highest.wrapping_sub(reception.first).wrapping_add(1);
        let mut prior = self.prior;
        if (prior.ssrc, prior.first) != (reception.ssrc, reception.first) {
            prior = Prior::default();
        }
        let expected_since = expected.wrapping_sub(prior.expected) as i32;
        let received_since = reception.received.wrapping_sub(prior.received) as i32;
        let lost_since = expected_since.saturating_sub(received_since);
        let fraction = if expected_since > 0 && lost_since > 0 {
            (i64::from(lost_since) * 256 / i64::from(expected_since)).min(255) as u8
        } else {
            0
        };
        self.prior = Prior { ssrc: reception.ssrc, first: reception.first, expected, received: reception.received };
        let (last_sr, delay) = match last_sr {
            Some((ssrc, middle, at)) if ssrc == reception.ssrc => {
                let delay = now.saturating_duration_since(at).as_secs_f64() * 65_536.0;
                (middle, delay as u32)
            }
            _ => (0, 0),
        };
        Block {
            ssrc: reception.ssrc,
            fraction_lost: fraction,
            cumulative_lost: expected.wrapping_sub(reception.received) as i32,
            highest_sequence: reception.highest,
            jitter: reception.jitter,
            last_sr,
            delay_since_last_sr: delay,
        }
    }

    /// Now minus the SR that is echoed minus the time the peer had it (§6.4.1). An echo of what we never sent tells nothing.
    fn round_trip(&self, now: Instant, block: &Block) -> Option<Duration> {
        if block.last_sr == 0 || !self.echoes.contains(&block.last_sr) {
            return None;
        }
        let units = middle(self.clock.ntp(now)).wrapping_sub(block.last_sr).wrapping_sub(block.delay_since_last_sr);
        // A peer whose clock is a little fast gives a little less than nothing.
        let units = (units as i32).max(0);
        let round_trip = Duration::from_secs_f64(f64::from(units) / 65_536.0);
        (round_trip <= LONGEST_ROUND_TRIP).then_some(round_trip)
    }
}

/// A short-term persistent name: 96 bits of chance (RFC 7022 §4.2), nothing of the host or the caller.
fn cname(random: &mut SplitMix) -> [u8; CNAME_LEN] {
    let bits = u128::from(random.next()) << 64 | u128::from(random.next());
    let digit = |n: usize| b"0123456789abcdef"[(bits >> (4 * n)) as usize & 0xF];
    std::array::from_fn(digit)
}

#[cfg(test)]
mod tests;
