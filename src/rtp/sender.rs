//! The send side of one stream: continuous SSRC, sequence and timestamps; marker rules; RFC 4733 events.
//!
//! In: one encoded payload per packet interval, digits to send. Out: packets. One clock drives both kinds: an interval carries audio or,
//! while a digit runs, its event packet. RFC 3550 §5.1, RFC 3551 §4.1, RFC 4733 §2.5.1.

use std::collections::VecDeque;

use super::dtmf::{EventPayload, event_of};
use super::packet::{self, Packet};
use crate::codec::Codec;

const TONE_MS: u32 = 100;
const GAP_MS: u32 = 60;
/// What a `,` among the digits waits.
const PAUSE_MS: u32 = 1000;
/// Level of our events: -10 dBm0.
const VOLUME: u8 = 10;
/// Digits that may wait.
const MAX_DIGITS: usize = 64;
/// RFC 4733 §2.5.1.4: the last packet of an event goes out three times.
const REPEATS: u8 = 2;

/// Something that waits to be sent.
#[derive(Clone, Copy, Debug)]
enum Key {
    Event { event: u8, duration_ms: u32 },
    Pause,
}

/// What the intervals carry now.
#[derive(Clone, Copy, Debug)]
enum State {
    Audio,
    Tone(Tone),
    /// Audio, until this many timestamp units have passed.
    Wait(u32),
}

/// A running event.
#[derive(Clone, Copy, Debug)]
struct Tone {
    event: u8,
    /// Whether its first packet has gone out.
    begun: bool,
    /// Timestamp of the event, or of the present segment of a very long one.
    start: u32,
    /// Passed since `start`.
    passed: u32,
    /// Left to send, in timestamp units.
    left: u32,
}

/// The machine. One `frame` call per packet interval, silence included; nothing is sent between.
pub struct Sender {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    audio_payload_type: u8,
    dtmf_payload_type: Option<u8>,
    /// Timestamp units: a millisecond's, and a packet's.
    per_ms: u32,
    per_packet: u32,
    /// The next audio packet begins a talkspurt.
    marker: bool,
    state: State,
    keys: VecDeque<Key>,
    /// The end of an event that is to be repeated: its payload, its timestamp, how often.
    repeat: Option<([u8; 4], u32, u8)>,
    packets: u64,
    octets: u64,
}

impl Sender {
    /// Random SSRC, first sequence number and timestamp from the owner's RNG (RFC 3550 §5.1).
    /// Until [`Self::set_format`]: PCMU, 20 ms, no events.
    pub fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Sender {
        Sender {
            ssrc,
            sequence,
            timestamp,
            audio_payload_type: 0,
            dtmf_payload_type: None,
            per_ms: Codec::Pcmu.clock_per_ms(),
            per_packet: 20 * Codec::Pcmu.clock_per_ms(),
            marker: true,
            state: State::Audio,
            keys: VecDeque::with_capacity(MAX_DIGITS),
            repeat: None,
            packets: 0,
            octets: 0,
        }
    }
    /// Codec, payload types and packet length from offer/answer; SSRC, sequence and timestamps go on (SDP-10), at the codec's clock.
    /// Without a telephone-event type, digits under way are dropped.
    pub fn set_format(&mut self, codec: Codec, audio_payload_type: u8, dtmf_payload_type: Option<u8>, ptime_ms: u32) {
        self.audio_payload_type = audio_payload_type;
        self.dtmf_payload_type = dtmf_payload_type;
        let before = std::mem::replace(&mut self.per_ms, codec.clock_per_ms());
        self.per_packet = ptime_ms * self.per_ms;
        if before != self.per_ms {
            self.change_clock(before);
        }
        if dtmf_payload_type.is_none() {
            self.state = State::Audio;
            self.keys.clear();
            self.repeat = None;
        }
    }
    /// Writes the packet of this interval into `out` (cleared first): `payload` as audio, or the running RFC 4733 event in its place.
    /// `true` = audio was written, `false` = an event packet took its place (the audio was not sent).
    /// At the end of an event two more end packets are due: call [`Sender::extra`] until `false`.
    pub fn frame(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        self.repeat = None;
        self.start_key();
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(self.per_packet);
        if let (State::Tone(tone), Some(payload_type)) = (self.state, self.dtmf_payload_type) {
            self.event(tone, payload_type, out);
            return false;
        }
        self.pass(self.per_packet);
        let marker = std::mem::take(&mut self.marker);
        self.write(self.audio_payload_type, marker, timestamp, payload, out);
        true
    }
    /// A further packet due at once (repeated event end), if any.
    pub fn extra(&mut self, out: &mut Vec<u8>) -> bool {
        let (Some((payload, timestamp, times)), Some(payload_type)) = (self.repeat.take(), self.dtmf_payload_type)
        else {
            return false;
        };
        self.repeat = (times > 1).then_some((payload, timestamp, times - 1));
        self.write(payload_type, false, timestamp, &payload, out);
        true
    }
    /// So many intervals passed in which nothing was sent (missed deadlines, hold): the timestamp goes on, the next packet is marked.
    pub fn skip(&mut self, intervals: u32) {
        self.pass_by(intervals.saturating_mul(self.per_packet));
    }
    /// `part` of `whole` parts of an interval passed, as [`Self::skip`]: the owner's clock took a step.
    pub fn skip_part(&mut self, part: u32, whole: u32) {
        self.pass_by((u64::from(self.per_packet) * u64::from(part) / u64::from(whole.max(1))) as u32);
    }
    fn pass_by(&mut self, units: u32) {
        self.timestamp = self.timestamp.wrapping_add(units);
        self.marker = true;
        match &mut self.state {
            // The tone was heard all that time, as far as the far end knows; its next packet says so.
            State::Tone(tone) if tone.begun => {
                tone.passed = tone.passed.saturating_add(units);
                tone.left = tone.left.saturating_sub(units);
            }
            State::Tone(tone) => tone.start = self.timestamp,
            State::Wait(_) | State::Audio => self.pass(units),
        }
    }
    /// Queues digits (`0-9*#A-Da-d`, `,` = 1 s pause, others are ignored): 100 ms tone, 60 ms gap (DTM-01). At most 64 wait; the rest is refused.
    /// `false` when no telephone-event was negotiated or the queue is full; then none of them was queued.
    pub fn send_digits(&mut self, digits: &str) -> bool {
        let keys = || {
            digits.chars().filter_map(|digit| match digit {
                ',' => Some(Key::Pause),
                digit => event_of(digit).map(|event| Key::Event { event, duration_ms: TONE_MS }),
            })
        };
        if self.dtmf_payload_type.is_none() || self.keys.len() + keys().count() > MAX_DIGITS {
            return false;
        }
        self.keys.extend(keys());
        true
    }
    /// Queues one event of any length (a held key); rounded up to whole packets. Refused as [`Self::send_digits`] does.
    pub fn send_event(&mut self, event: u8, duration_ms: u32) -> bool {
        if self.dtmf_payload_type.is_none() || self.keys.len() == MAX_DIGITS {
            return false;
        }
        self.keys.push_back(Key::Event { event, duration_ms });
        true
    }
    /// Whether digits are still going out.
    pub fn is_sending_digits(&self) -> bool {
        !matches!(self.state, State::Audio) || !self.keys.is_empty()
    }
    /// Packets written.
    pub fn packets(&self) -> u64 {
        self.packets
    }
    /// Payload octets written (RFC 3550 §6.4.1).
    pub fn octets(&self) -> u64 {
        self.octets
    }
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }
    /// Timestamp units a millisecond.
    pub fn clock_per_ms(&self) -> u32 {
        self.per_ms
    }
    /// Timestamp of the next interval.
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// In an interval that is free, the next key begins.
    fn start_key(&mut self) {
        if !matches!(self.state, State::Audio) {
            return;
        }
        match self.keys.pop_front() {
            Some(Key::Event { event, duration_ms }) => {
                let left = duration_ms.saturating_mul(self.per_ms);
                let tone = Tone { event, begun: false, start: self.timestamp, passed: 0, left };
                self.state = State::Tone(tone);
            }
            Some(Key::Pause) => self.state = State::Wait(PAUSE_MS * self.per_ms),
            None => {}
        }
    }

    /// What is under way was counted by another clock until now. A running event begins anew: its timestamp means nothing by the new one.
    fn change_clock(&mut self, before: u32) {
        let scaled = |units: u32| (u64::from(units) * u64::from(self.per_ms) / u64::from(before.max(1))) as u32;
        match &mut self.state {
            State::Audio => {}
            State::Wait(left) => *left = scaled(*left),
            State::Tone(tone) => {
                (tone.begun, tone.start, tone.passed, tone.left) = (false, self.timestamp, 0, scaled(tone.left));
            }
        }
        self.repeat = None;
    }

    fn pass(&mut self, units: u32) {
        if let State::Wait(left) = &mut self.state {
            *left = left.saturating_sub(units);
            if *left == 0 {
                self.state = State::Audio;
            }
        }
    }

    /// Writes this interval's event packet. `self.timestamp` is already that of the next interval.
    fn event(&mut self, mut tone: Tone, payload_type: u8, out: &mut Vec<u8>) {
        let max = u32::from(u16::MAX);
        tone.passed = tone.passed.saturating_add(self.per_packet);
        tone.left = tone.left.saturating_sub(self.per_packet);
        let end = tone.left == 0 && tone.passed <= max;
        let duration = tone.passed.min(max) as u16;
        let payload = EventPayload { event: tone.event, end, volume: VOLUME, duration }.to_bytes();
        self.write(payload_type, !tone.begun, tone.start, &payload, out);
        tone.begun = true;
        if tone.passed > max {
            // §2.5.1.3: full segment reported without the end bit; the rest goes on under a new timestamp.
            tone.start = tone.start.wrapping_add(max);
            tone.passed -= max;
        }
        self.state = State::Tone(tone);
        if end {
            self.repeat = Some((payload, tone.start, REPEATS));
            self.state = State::Wait(GAP_MS * self.per_ms);
        }
    }

    fn write(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8], out: &mut Vec<u8>) {
        let packet = Packet { payload_type, marker, sequence: self.sequence, timestamp, ssrc: self.ssrc, payload };
        packet::write(&packet, out);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        self.octets += payload.len() as u64;
    }
}

#[cfg(test)]
mod tests;
