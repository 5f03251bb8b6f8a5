//! Model → caller: the session's audio in, one RTP packet per absolute deadline out (RTP-03).
//!
//! In: audio of segments, faster than real time. Out: packets; which segment was in each. A deadline that was missed is
//! skipped (the timestamps go on, the audio stays queued), so nothing ever comes as a burst. Silence flows always, but
//! when the offer/answer direction forbids sending or nobody knows where to. It begins behind the caller's first packet, or without it soon after the
//! answer. The frame path allocates nothing.

use super::filler::Tone;
use super::relay::Relay;
use super::uplink::session_rate;
use crate::audio::codec::Encoder;
use crate::audio::dtmf_send::DtmfTones;
use crate::audio::g711::Law;
use crate::audio::level::{Level, LevelParams};
use crate::audio::line::ToLine;
use crate::audio::pcm::{Rate, TELEPHONE_HZ};
use crate::audio::playout::{Heard, Played, Playout};
use crate::audio::resample;
use crate::audio::scratch::{self, Lent};
use crate::codec::Codec;
use crate::realtime::AudioFormat;
use crate::rtp::sender::Sender;
use crate::sip::offer_answer::MediaParams;
use std::time::{Duration, Instant};

/// A packet leaves so long after the caller's that came last: an answer made in real time (an echo, an interpreter) has then come, with a tick
/// to spare, and need not wait for the next deadline. And a telephone takes a frame from its jitter buffer when it sends one: half-way between
/// two of its packets ours may be late; at 15 ms PJSIP's buffer ran dry whenever one was 3 ms late (docs/quality.md).
const BEHIND_CALLER: Duration = Duration::from_millis(10);

/// The first packet waits for the caller's, at most so long after the 2xx, and after its ACK. A telephone's clock begins with its own first packet;
/// what came before lies in its jitter buffer as a frame too many, which it cuts out of the agent's first words (docs/quality.md). No longer: a
/// caller who says nothing is to hear, and a gateway that sends nothing until it was sent something is to be sent something.
const AFTER_ANSWER: Duration = Duration::from_millis(200);
const AFTER_ACK: Duration = Duration::from_millis(60);

/// What one poll gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Not due.
    None,
    /// The deadline passed without a packet.
    Skipped,
    /// A packet was written; `Played` is what of the agent was in it.
    Packet(Played),
}

/// See the module's map.
pub(super) struct Downlink {
    sender: Sender,
    playout: Playout,
    level: Level,
    to_line: ToLine,
    format: AudioFormat,
    encoder: Encoder,
    ptime_ms: u32,
    sends: bool,
    next: Option<Instant>,
    /// `next` has its place among the caller's packets.
    aligned: bool,
    repeats_due: bool,
    /// The segment in `to_line`, and the first half of a sample split between deltas.
    current: Option<u64>,
    half: Option<u8>,
    tone: Option<Tone>,
    /// Keys that go out as tones.
    keys: DtmfTones,
    /// Frames come from the other leg.
    relay: Option<Box<Relay>>,
    last_speech: Option<Instant>,
    /// Samples of the last packet, until they are taken.
    frame: Option<Lent<i16>>,
}

impl Downlink {
    pub fn new(sender: Sender, format: AudioFormat, media: &MediaParams) -> Downlink {
        let mut downlink = Downlink {
            sender,
            playout: Playout::new(media.codec.rate()),
            level: Level::new(LevelParams::default()),
            to_line: ToLine::new(session_rate(format), media.codec.rate()),
            format,
            encoder: Encoder::new(media.codec),
            ptime_ms: 0,
            sends: false,
            next: None,
            aligned: false,
            repeats_due: false,
            current: None,
            half: None,
            tone: None,
            keys: DtmfTones::default(),
            relay: None,
            last_speech: None,
            frame: None,
        };
        downlink.set_media(media);
        downlink
    }

    /// What the last offer/answer says.
    pub fn set_media(&mut self, media: &MediaParams) {
        if media.codec != self.encoder.codec() {
            let rate = media.codec.rate();
            self.encoder = Encoder::new(media.codec);
            self.to_line.set_line(rate);
            self.playout.set_rate(rate);
            self.tone = self.tone.take().map(|_| Tone::new(rate));
            if let Some(relay) = &mut self.relay {
                relay.set_rate(rate);
            }
        }
        self.ptime_ms = media.ptime_ms.clamp(10, 60);
        self.sends = media.direction.sends();
        self.sender.set_format(media.codec, media.send_payload_type, media.dtmf_send, self.ptime_ms);
    }

    /// How loud the agent is, and its silence.
    pub fn set_level(&mut self, params: LevelParams) {
        self.level = Level::new(params);
    }

    /// Frames flow from now on.
    pub fn start(&mut self, now: Instant) {
        self.next.get_or_insert(now);
    }

    /// Answered: frames flow from the caller's first packet on, or at last after [`AFTER_ANSWER`].
    pub fn start_behind(&mut self, now: Instant) {
        self.start(now + AFTER_ANSWER);
    }

    /// The ACK is here, so that the caller's first packet is about to come: no longer than [`AFTER_ACK`].
    pub fn acknowledged(&mut self, now: Instant) {
        if !self.aligned && self.sender.packets() == 0 {
            self.next = self.next.map(|next| next.min(now + AFTER_ACK));
        }
    }

    /// A packet of the caller came. The first one moves the deadlines to [`BEHIND_CALLER`], once: they are absolute from then on. A step
    /// forward is told by the timestamps; one packet may come that much less than a frame after the one before. `true`: that is done, now or
    /// before.
    pub fn align(&mut self, now: Instant) -> bool {
        let (Some(next), false) = (self.next, self.aligned) else { return self.aligned };
        self.aligned = true;
        let aligned = now + BEHIND_CALLER;
        let step = aligned.saturating_duration_since(next);
        self.next = Some(aligned);
        if self.sender.packets() > 0 && !step.is_zero() {
            self.sender.skip_part(step.as_micros() as u32, self.ptime().as_micros() as u32);
        }
        true
    }

    pub fn ptime(&self) -> Duration {
        Duration::from_millis(u64::from(self.ptime_ms))
    }
    pub fn timeout(&self) -> Option<Instant> {
        self.next
    }
    /// When the last packet with agent speech went out.
    pub fn last_speech(&self) -> Option<Instant> {
        self.last_speech
    }
    /// The stream as its reports see it.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }
    pub fn packets(&self) -> u64 {
        self.sender.packets()
    }
    /// No speech waits and no segment is open.
    pub fn is_drained(&self) -> bool {
        self.playout.is_idle()
    }
    pub fn queued_ms(&self) -> u32 {
        self.playout.queued_ms()
    }
    pub fn heard(&self, segment: u64) -> Option<Heard> {
        self.playout.heard(segment)
    }
    pub fn send_digits(&mut self, digits: &str) -> bool {
        self.sends && self.sender.send_digits(digits)
    }
    /// Keys as tones in the audio.
    pub fn send_tones(&mut self, keys: &str) -> bool {
        self.sends && self.keys.send(keys)
    }
    pub fn is_sending_digits(&self) -> bool {
        self.sender.is_sending_digits() || self.keys.is_sending()
    }
    /// The samples of the packet that was just written, before they were encoded; none of an event.
    pub fn take_sent(&mut self) -> (Rate, Lent<i16>) {
        (self.encoder.rate(), self.frame.take().unwrap_or_else(scratch::lend))
    }
    /// Soft tone in place of silence, or none.
    pub fn set_tone(&mut self, on: bool) {
        self.tone = if on { self.tone.take().or_else(|| Some(Tone::new(self.encoder.rate()))) } else { None };
    }

    /// From now on the other leg is heard here, and no agent.
    pub fn bridge(&mut self) {
        self.flush();
        self.tone = None;
        let rate = self.encoder.rate();
        self.relay.get_or_insert_with(|| Box::new(Relay::new(rate)));
    }

    /// Audio of the other leg.
    pub fn relay(&mut self, codec: Codec, payload: &[u8], lost_before: u32) {
        if let Some(relay) = &mut self.relay {
            relay.push(codec, payload, lost_before);
        }
    }

    /// Audio of a segment in the session's format. `false`: the queue is full and the rest was refused.
    pub fn push(&mut self, segment: u64, audio: &[u8]) -> bool {
        if self.current != Some(segment) {
            self.flush_segment();
            self.current = Some(segment);
        }
        let mut session = scratch::lend();
        match self.format {
            AudioFormat::Pcm24k => self.join(audio, &mut session),
            AudioFormat::Pcmu => Law::Mu.decode(audio, &mut session),
            AudioFormat::Pcma => Law::A.decode(audio, &mut session),
        }
        let mut line = scratch::lend();
        self.to_line.process(&session, &mut line);
        self.playout.push(segment, &line) == line.len()
    }

    /// Audio of our own (apology), 8 kHz, whole.
    pub fn push_clip(&mut self, segment: u64, clip: &[i16]) {
        self.flush_segment();
        let hz = self.encoder.rate().hz();
        if hz == TELEPHONE_HZ {
            self.playout.push(segment, clip);
        } else if let Some(clip) = resample::convert(clip, TELEPHONE_HZ, hz) {
            self.playout.push(segment, &clip);
        }
        self.playout.end(segment);
    }

    /// The segment has no more audio.
    pub fn end(&mut self, segment: u64) {
        if self.current == Some(segment) {
            self.flush_segment();
        }
        self.playout.end(segment);
    }

    /// Drops all that waits; what was heard of each segment that was cut.
    pub fn flush(&mut self) -> Vec<Heard> {
        self.to_line.reset();
        (self.current, self.half) = (None, None);
        self.playout.flush()
    }

    /// Writes the packet that is due into `out`. Without a `target` (or a direction that sends) the deadline passes unused.
    pub fn poll(&mut self, now: Instant, has_target: bool, out: &mut Vec<u8>) -> Frame {
        if self.repeats_due {
            if has_target && self.sender.extra(out) {
                self.frame = None;
                return Frame::Packet(Played::default());
            }
            self.repeats_due = false;
        }
        let Some(due) = self.next.filter(|due| *due <= now) else { return Frame::None };
        let ptime = self.ptime();
        let late_ms = u64::try_from(now.duration_since(due).as_millis()).unwrap_or(u64::MAX);
        let missed = u32::try_from(late_ms / u64::from(self.ptime_ms.max(1))).unwrap_or(u32::MAX);
        if missed > 0 {
            self.sender.skip(missed);
        }
        self.next = Some(due + ptime * missed + ptime);
        if !self.sends || !has_target {
            self.sender.skip(1);
            return Frame::Skipped;
        }
        Frame::Packet(self.packet(now, out))
    }

    fn packet(&mut self, now: Instant, out: &mut Vec<u8>) -> Played {
        let mut frame = self.frame.take().unwrap_or_else(scratch::lend);
        frame.clear();
        frame.resize(self.encoder.rate().samples(self.ptime_ms as usize), 0);
        if let Some(relay) = &mut self.relay {
            relay.fill(&mut frame);
            self.repeats_due = !self.write(frame, out);
            return Played::default();
        }
        if self.keys.fill(self.encoder.rate(), &mut frame) {
            // What the agent says waits.
            self.repeats_due = !self.write(frame, out);
            return Played::default();
        }
        let played = self.playout.next_frame(&mut frame);
        match &mut self.tone {
            Some(tone) if played.samples == 0 => tone.fill(&mut frame),
            _ => {
                let (before, frame) = frame.split_at_mut(self.playout.before());
                self.level.apply(self.encoder.rate(), before, 0);
                self.level.apply(self.encoder.rate(), frame, played.samples);
            }
        }
        if !self.write(frame, out) {
            self.playout.unsend();
            self.repeats_due = true;
            self.frame = None;
            return Played::default();
        }
        if played.samples > 0 {
            self.last_speech = Some(now);
        }
        played
    }

    /// The packet of `frame`; `false`: an event took its place.
    fn write(&mut self, frame: Lent<i16>, out: &mut Vec<u8>) -> bool {
        let mut payload = scratch::lend();
        self.encoder.encode(&frame, &mut payload);
        self.frame = Some(frame);
        self.sender.frame(&payload, out)
    }

    fn flush_segment(&mut self) {
        self.half = None;
        let Some(segment) = self.current.take() else { return };
        let mut line = scratch::lend();
        self.to_line.flush(&mut line);
        self.playout.push(segment, &line);
    }

    /// Little-endian bytes → `session`; a delta may split anywhere, also within a sample.
    fn join(&mut self, audio: &[u8], session: &mut Vec<i16>) {
        let mut audio = audio;
        if let (Some(low), Some((high, rest))) = (self.half, audio.split_first()) {
            session.push(i16::from_le_bytes([low, *high]));
            self.half = None;
            audio = rest;
        }
        let (pairs, rest) = audio.as_chunks::<2>();
        if let [low] = rest {
            self.half = Some(*low);
        }
        session.extend(pairs.iter().map(|pair| i16::from_le_bytes(*pair)));
    }
}

#[cfg(test)]
mod tests;
