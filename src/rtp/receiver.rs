//! The receive side of one stream: source policy, SSRC, reorder with a bounded wait, RFC 4733.
//!
//! In: datagrams with their source address, and `now`. Out: audio payloads in order, digits, noise levels, the address to send to.
//! datagram → `packet` (header checks) → payload type → `source` (policy) → SSRC → `reorder` → digit or audio. RFC 3550, 3551, 3389, 4733.
//! A packet in order comes out at once; nothing is allocated per packet in steady state.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::doubt::Doubt;
use super::dtmf::{EventPayload, EventReceiver};
use super::loss::{LossPattern, Losses};
use super::packet::{self, DropCause, Packet};
use super::patience::Patience;
use super::reorder::{Pushed, Reorder, Taken};
use super::source::{Source, Verdict};
use super::stats::{Ceiling, Jitter, Reception, Sequences};
use crate::cidr::Network;
use crate::codec::{Codec, TICKS_PER_MS};

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
    /// Where media may also come from (signalling source, media networks), any port.
    pub allowed: Vec<Network>,
    /// Audio payload types the peer may use, and what they carry.
    pub audio_payload_types: Vec<(u8, Codec)>,
    pub dtmf_payload_type: Option<u8>,
    /// Comfort noise payload type (13), if understood.
    pub comfort_noise: Option<u8>,
    /// The wait for a hole in the sequence, before it is declared lost, that a new stream begins with; it follows the network then
    /// ([`Receiver::reorder_wait`]).
    pub reorder_wait: Duration,
}

/// What comes out, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// One audio payload. `timestamp` in units of its codec's clock. `lost_before`: what is missing right before it, in ticks of 1/8000 s
    /// whatever the codec (0 = contiguous), at most 1 s; after silence suppression the gap is not a loss. `paused_before`: what the sender
    /// left out there besides (DTX), in ticks by its clock; by ours where its stream begins anew.
    Audio { payload_type: u8, payload: &'a [u8], timestamp: u32, lost_before: u32, paused_before: u32 },
    /// A whole digit (0-15: `0`-`9`, `*`, `#`, `A`-`D`), once per event, when it began; `duration_ms` is what had passed of it then.
    Digit { event: u8, duration_ms: u32 },
    /// RFC 3389 noise level, -dBov.
    ComfortNoise { level: u8 },
}

/// Counters for CDR and metrics (RFC 3550 A.3, A.8).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReceiverStats {
    /// From the accepted source with a negotiated payload type, late and duplicate ones included.
    pub packets: u64,
    /// Payload octets of these.
    pub bytes: u64,
    /// Declared lost after the reorder wait.
    pub lost: u64,
    pub late: u64,
    pub duplicate: u64,
    pub reordered: u64,
    /// Came, and had to make way before their turn: the oldest of a burst beyond the window, what waited when the stream changed.
    pub overflow: u64,
    /// From an address that may not send to us, or has not proved itself. [`Receiver::dropped`] has every cause.
    pub refused_source: u64,
    pub malformed: u64,
    pub unknown_payload: u64,
    pub ssrc_changes: u32,
    pub source_changes: u32,
    /// Interarrival jitter, ms.
    pub jitter_ms: f32,
}

/// Silence of the present SSRC after which another one is taken.
const SSRC_TIMEOUT: Duration = Duration::from_millis(60);
/// A packet's length, before one was read, ms.
const FRAME_MS: u32 = 20;
/// Longest loss reported at once, in ticks: 1 s.
const MAX_LOST: u32 = 8_000;
/// A pause by the sender's clock that is longer than the time that passed by more than this is no pause: the clock jumped.
const CLOCK_JUMP: u32 = 1_600;
/// Digits that may wait for [`Receiver::poll`].
const MAX_DIGITS: usize = 32;

/// The machine. In this order in memory: what each packet touches comes first, so that with hundreds of calls it is little.
#[repr(C)]
pub struct Receiver {
    last_packet: Option<Instant>,
    /// The stream's SSRC and its last packet.
    ssrc: Option<(u32, Instant)>,
    /// Whether ours is silent when it seems to be.
    doubt: Doubt,
    /// Length of the last audio packet, in ticks.
    packet_ticks: u32,
    /// The audio payload type that was looked up last, and what it carries: nearly always that of the next packet.
    recent: Option<(u8, Codec)>,
    dtmf: Option<u8>,
    comfort_noise: Option<u8>,
    /// Whoever sends knows the keys (SRTP).
    authenticated: bool,
    /// Audio, or comfort noise, was among the packets.
    audible: bool,
    /// Timestamp after the last audio given out, when that came, and packets lost since.
    audio_end: Option<u32>,
    missing: u32,
    audio_arrived: Option<Instant>,
    ceiling: Ceiling,
    jitter: Jitter,
    sequences: Sequences,
    stats: ReceiverStats,
    losses: Losses,
    digits: VecDeque<(u8, u32)>,
    source: Source,
    reorder: Reorder,
    patience: Patience,
    /// The SSRC before the present one, which was only pausing if it is heard again, and the sequence number that was due.
    former: Option<(u32, Option<u16>)>,
    /// The audio payload types negotiated.
    audio: Vec<(u8, Codec)>,
    events: EventReceiver,
    dropped: [u64; DropCause::ALL.len()],
}

impl Receiver {
    pub fn new(params: ReceiverParams) -> Receiver {
        let mut receiver = Receiver {
            last_packet: None,
            ssrc: None,
            doubt: Doubt::default(),
            packet_ticks: 0,
            recent: None,
            dtmf: None,
            comfort_noise: None,
            authenticated: false,
            audible: false,
            audio_end: None,
            missing: 0,
            audio_arrived: None,
            ceiling: Ceiling::new(),
            jitter: Jitter::default(),
            sequences: Sequences::default(),
            stats: ReceiverStats::default(),
            losses: Losses::default(),
            digits: VecDeque::with_capacity(MAX_DIGITS),
            source: Source::new(&params),
            reorder: Reorder::new(),
            patience: Patience::new(params.reorder_wait),
            former: None,
            audio: Vec::new(),
            events: EventReceiver::new(),
            dropped: [0; DropCause::ALL.len()],
        };
        receiver.set_params(params);
        receiver
    }
    /// After an offer/answer. The stream and its counters go on; a new SDP address makes the source be learned afresh.
    pub fn set_params(&mut self, params: ReceiverParams) {
        self.source.set_params(&params);
        self.audio = params.audio_payload_types;
        self.recent = None;
        self.dtmf = params.dtmf_payload_type;
        self.comfort_noise = params.comfort_noise;
    }
    /// Whether what comes here was authenticated before.
    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
    }
    /// Takes one datagram. Malformed, foreign and unknown ones are counted and dropped; why is given back.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<DropCause> {
        self.look(now);
        let cause = self.accept(now, from, datagram).err()?;
        self.count(cause);
        Some(cause)
    }
    /// Next output that is due. Call until `None` after each datagram and at each tick.
    pub fn poll(&mut self, now: Instant) -> Option<Received<'_>> {
        self.look(now);
        if let Some((event, duration_ms)) = self.digits.pop_front() {
            return Some(Received::Digit { event, duration_ms });
        }
        loop {
            let lost = u32::from(self.reorder.pop(now, self.patience.wait())?);
            self.stats.lost += u64::from(lost);
            self.missing = self.missing.saturating_add(lost);
            self.losses.lost(lost);
            self.losses.received();
            let (ssrc, packet) = (self.ssrc.map_or(0, |(ssrc, _)| ssrc), self.reorder.current());
            let payload_type = packet.payload_type;
            if Some(payload_type) == self.dtmf {
                let digit = Self::event(&mut self.events, ssrc, packet.timestamp, packet.marker, &packet.payload);
                match digit {
                    Ok(Some((event, duration_ms))) => return Some(Received::Digit { event, duration_ms }),
                    Ok(None) => {}
                    Err(cause) => self.count(cause),
                }
            } else if Some(payload_type) == self.comfort_noise {
                let level = packet.payload.first().map_or(127, |level| level & 0x7F);
                return Some(Received::ComfortNoise { level });
            } else if let Some(codec) = self.codec(payload_type) {
                return Some(self.audio(codec));
            }
            // Else its type was taken back by an offer/answer while it waited.
        }
    }
    /// When a waiting hole runs out.
    pub fn timeout(&self) -> Option<Instant> {
        self.reorder.timeout(self.patience.wait())
    }
    /// How long a hole is waited for at present: 20 to 200 ms, as the network needs (RTP-04).
    pub fn reorder_wait(&self) -> Duration {
        self.patience.wait()
    }
    /// Where to send: the latched source, else the SDP address (RFC 4961; never an unverified source, RTP-09).
    pub fn target(&self) -> Option<SocketAddr> {
        self.source.target()
    }
    /// Another number than at the last look: the target may be another one, too.
    pub fn target_generation(&self) -> u32 {
        self.source.generation()
    }
    /// An audio payload type and what it carries: nearly always that of the packet that came last.
    pub fn recent_codec(&self) -> Option<(u8, Codec)> {
        self.recent
    }
    /// When the last accepted packet came.
    pub fn last_packet(&self) -> Option<Instant> {
        self.last_packet
    }
    /// The same, once there was audio or comfort noise among them: a peer that sends keys alone is not heard (S3). In a pause of a peer
    /// that was (DTX), keys show that it is there.
    pub fn last_heard(&self) -> Option<Instant> {
        self.last_packet.filter(|_| self.audible)
    }
    pub fn stats(&self) -> ReceiverStats {
        let jitter_ms = self.jitter.estimate().as_secs_f32() * 1000.0;
        ReceiverStats { source_changes: self.source.changes(), jitter_ms, ..self.stats }
    }
    /// The present SSRC as a report has it; `None` before its first packet.
    pub fn reception(&self) -> Option<Reception> {
        self.ssrc.and_then(|(ssrc, _)| self.sequences.reception(ssrc, self.jitter.units()))
    }
    /// How the losses are spread.
    pub fn loss_pattern(&self) -> LossPattern {
        self.losses.pattern()
    }
    /// The address whose packets are played, once there is one.
    pub fn source(&self) -> Option<SocketAddr> {
        self.source.active()
    }
    /// Datagrams dropped for `cause`.
    pub fn dropped(&self, cause: DropCause) -> u64 {
        self.dropped[cause as usize]
    }

    fn accept(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Result<(), DropCause> {
        let packet = packet::parse(datagram)?;
        let is_event = Some(packet.payload_type) == self.dtmf;
        let codec = self.codec(packet.payload_type);
        if !is_event && codec.is_none() && Some(packet.payload_type) != self.comfort_noise {
            return Err(DropCause::PayloadType);
        }
        let verdict = self.source.check(now, from, packet.ssrc, packet.sequence);
        if verdict == Verdict::Refuse {
            return Err(DropCause::Source);
        }
        let ours = self.is_our_ssrc(now, packet, verdict);
        // Some gateways send their telephone-events with an SSRC of their own. In plain RTP anyone could who writes the caller's address
        // on a packet (A6), so that there it counts only while the audio pauses.
        let stray_event = is_event && self.authenticated;
        if !ours && !stray_event {
            return Err(DropCause::Ssrc);
        }
        // After source and SSRC: a stranger cannot use up the caller's share.
        if !self.ceiling.packet(now) {
            return Err(DropCause::Flood);
        }
        self.last_packet = Some(now);
        self.audible |= !is_event;
        self.stats.packets += 1;
        self.stats.bytes += packet.payload.len() as u64;
        if !ours {
            return self.stray_event(&packet);
        }
        self.patience.pass(now);
        let in_doubt = self.reorder.stored_at().is_some_and(|last| self.doubt.holds(now, last));
        let Pushed { taken, lost, overflow, late_by } = self.reorder.push(now, &packet, in_doubt);
        self.stats.lost += lost;
        self.losses.lost((lost + overflow).min(u64::from(u32::MAX)) as u32);
        if taken == Taken::Restarted {
            self.sequences.restart();
        }
        if taken != Taken::Probation {
            self.sequences.packet(packet.sequence);
            // Nobody is doubted any more: ours was there.
            self.doubt.ours();
        }
        self.stats.overflow += overflow;
        self.missing = self.missing.saturating_add((lost + overflow).min(u64::from(u32::MAX)) as u32);
        if let Some(by) = late_by {
            self.patience.late(by);
        }
        match taken {
            Taken::InOrder | Taken::Ahead | Taken::Jumped => {}
            Taken::Reordered => self.stats.reordered += 1,
            Taken::Restarted => self.new_timeline(),
            Taken::Duplicate => self.stats.duplicate += 1,
            Taken::Late => {
                self.stats.late += 1;
                // A digit of which only this packet is left is still a digit.
                return if is_event { self.stray_event(&packet) } else { Ok(()) };
            }
            Taken::Probation => {
                self.ceiling.give_back();
                return Err(DropCause::Sequence);
            }
        }
        if let Some(codec) = codec.filter(|_| taken != Taken::Duplicate) {
            self.jitter.packet(now, packet.timestamp, codec.clock_per_ms());
        }
        Ok(())
    }

    fn codec(&mut self, payload_type: u8) -> Option<Codec> {
        if let Some((_, codec)) = self.recent.filter(|(recent, _)| *recent == payload_type) {
            return Some(codec);
        }
        let codec = self.negotiated(payload_type)?;
        self.recent = Some((payload_type, codec));
        Some(codec)
    }

    fn negotiated(&self, payload_type: u8) -> Option<Codec> {
        self.audio.iter().find(|(n, _)| *n == payload_type).map(|(_, codec)| *codec)
    }

    fn look(&mut self, now: Instant) {
        let packet = Duration::from_millis(u64::from((self.packet_ticks / TICKS_PER_MS).max(FRAME_MS)));
        self.doubt.look(now, packet, self.ssrc.map(|(_, last)| last));
    }

    /// RFC 3550 §8, RFC 8108: one SSRC at a time. Another one takes over when ours has been silent for 60 ms, or when it comes with
    /// another source address; however many packets it sends before (A6). The one before it is taken back when it goes on.
    fn is_our_ssrc(&mut self, now: Instant, Packet { ssrc, sequence, .. }: Packet<'_>, verdict: Verdict) -> bool {
        let Some((ours, last)) = self.ssrc.filter(|(ours, _)| *ours != ssrc) else {
            self.ssrc = Some((ssrc, now));
            return true;
        };
        let silent = now.saturating_duration_since(last) >= SSRC_TIMEOUT && !self.doubt.holds(now, last);
        let elsewhere = verdict == Verdict::PlayNewSource;
        let back = self.former.filter(|(former, _)| *former == ssrc);
        if !silent && !elsewhere && back.is_none() {
            return false;
        }
        self.former = Some((ours, self.reorder.due())).filter(|_| !elsewhere && back.is_none());
        self.ssrc = Some((ssrc, now));
        self.doubt.ours();
        self.stats.ssrc_changes = self.stats.ssrc_changes.saturating_add(1);
        self.stats.overflow += self.reorder.restart() as u64;
        if let Some((_, Some(due))) = back {
            // From where it was, not with any packet that bears its SSRC.
            self.reorder.expect(due, sequence);
        }
        self.sequences.restart();
        self.new_timeline();
        true
    }

    fn new_timeline(&mut self) {
        self.jitter.restart();
        self.audio_end = None;
        self.missing = 0;
    }

    /// An event outside of the sequence; its digit, if new, is polled next.
    fn stray_event(&mut self, packet: &Packet<'_>) -> Result<(), DropCause> {
        let digit = Self::event(&mut self.events, packet.ssrc, packet.timestamp, packet.marker, packet.payload)?;
        if self.digits.len() < MAX_DIGITS {
            self.digits.extend(digit);
        }
        Ok(())
    }

    fn event(
        events: &mut EventReceiver,
        ssrc: u32,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Result<Option<(u8, u32)>, DropCause> {
        let payload = EventPayload::parse(payload).ok_or(DropCause::Payload)?;
        let digit = events.handle(ssrc, timestamp, marker, payload);
        Ok(digit.map(|digit| (digit.event, u32::from(digit.duration) / 8)))
    }

    /// The current packet as audio, with what is missing before it.
    fn audio(&mut self, codec: Codec) -> Received<'_> {
        let packet = self.reorder.current();
        let ticks = codec.ticks(&packet.payload);
        let units_per_tick = (codec.clock_per_ms() / TICKS_PER_MS).max(1);
        self.packet_ticks = ticks;
        let by_sequence = self.missing.saturating_mul(ticks);
        // A packet is sent when its last sample was spoken.
        let passed = match (self.audio_arrived, packet.arrived) {
            (Some(before), Some(at)) => ticks_of(at.saturating_duration_since(before)),
            _ => ticks,
        };
        // The clock tells how much of it was silence that was never sent (DTX); a clock that jumped tells nothing.
        let (lost_before, paused_before) = match self.audio_end.map(|end| packet.timestamp.wrapping_sub(end)) {
            Some(gap) if gap <= i32::MAX as u32 => {
                let gap = gap / units_per_tick;
                let lost = gap.min(by_sequence);
                let paused = gap - lost;
                (lost, if paused <= passed.saturating_add(CLOCK_JUMP) { paused } else { 0 })
            }
            Some(_) => (by_sequence, 0),
            None => (by_sequence, passed.saturating_sub(ticks)),
        };
        let lost_before = lost_before.min(MAX_LOST);
        self.audio_end = Some(packet.timestamp.wrapping_add(ticks.saturating_mul(units_per_tick)));
        self.audio_arrived = packet.arrived;
        self.missing = 0;
        Received::Audio {
            payload_type: packet.payload_type,
            payload: &packet.payload,
            timestamp: packet.timestamp,
            lost_before,
            paused_before,
        }
    }

    fn count(&mut self, cause: DropCause) {
        self.dropped[cause as usize] += 1;
        if matches!(cause, DropCause::Source | DropCause::Ssrc | DropCause::Sequence) {
            self.doubt.other();
        }
        match cause {
            DropCause::Source => self.stats.refused_source += 1,
            DropCause::PayloadType => self.stats.unknown_payload += 1,
            DropCause::Ssrc | DropCause::Sequence | DropCause::Flood => {}
            _ => self.stats.malformed += 1,
        }
    }
}

/// Samples of a time, at 8 kHz.
fn ticks_of(time: Duration) -> u32 {
    u32::try_from(time.as_micros() / 125).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod adaptive_tests;
#[cfg(test)]
mod dtmf_tests;
#[cfg(test)]
mod injection_tests;
#[cfg(test)]
mod robust_tests;
#[cfg(test)]
mod tests;
