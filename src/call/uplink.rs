//! Caller → model: the line's codec in, the session's format out, on the clock of the wall.
//!
//! In: audio payloads in order, with the time missing before them. Out: appends of `append_ms` each. Time is counted in ticks of 1/8000 s,
//! whatever the line's rate, which may change with any packet (RTP-07).
//! Audio goes on as it comes. The service's VAD runs on received audio, so its clock must run even when no packet comes (DTX, hold, loss):
//! the *stall clock* fills what is missing, with concealment that fades to silence within 60 ms, or with the noise that the peer asked for
//! (RFC 3389). [`timeline`] says when, how much, and what came too late; so the session has received as much audio as time has passed, within
//! the network's jitter: ± 100 ms on a good one, ± 220 ms on the worst that is carried. A clock that drifts is followed by single pitch
//! periods (`audio::splice`). Audio from before [`Uplink::start`] (the session is not configured yet) is not kept: it would come as a burst.

mod timeline;

use crate::audio::codec::Decoder;
use crate::audio::comfort::ComfortNoise;
use crate::audio::conceal::Concealer;
use crate::audio::dtmf_detect::DtmfDetector;
use crate::audio::front::echo::EchoPath;
use crate::audio::front::{FrontEnd, FrontParams};
use crate::audio::g711::Law;
use crate::audio::line::FromLine;
use crate::audio::pcm::Rate;
use crate::audio::scratch;
use crate::audio::splice::{self, Seam};
use crate::codec::{Codec, TICKS_PER_MS};
use crate::realtime::AudioFormat;
use std::time::{Duration, Instant};
use timeline::{Correction, Fate, Timeline};

/// Keys heard and not taken yet; a packet has one or two.
const MOST_KEYS: usize = 16;

/// Audio that came too late is kept for so long, in ticks, until it is known whether all that follows is late (100 ms).
const KEPT_LATE: i64 = 100 * TICKS_PER_MS as i64;

/// Ticks of audio since the start, by fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UplinkStats {
    /// From packets.
    pub audio: u64,
    /// In place of what the network lost.
    pub concealed: u64,
    /// In place of what did not come (DTX, hold, stall).
    pub filled: u64,
    /// Came too late or too fast.
    pub dropped: u64,
    /// Never filled, because the process itself stood still.
    pub skipped: u64,
    /// Taken out of what came, and put in, to follow a clock that drifts and to catch up after a stall.
    pub taken_out: u64,
    pub put_in: u64,
}

/// What stands in for audio that is not there.
#[derive(Clone, Copy)]
enum Filling {
    /// What was there before, fading.
    Concealment,
    /// The peer is silent: noise of the level it asked for, if it did.
    Pause,
}

/// See the module's map.
pub(super) struct Uplink {
    format: AudioFormat,
    append_bytes: usize,
    timeline: Timeline,
    muted: bool,
    /// A packet came since the start.
    begun: bool,
    decoder: Decoder,
    concealer: Concealer,
    noise: ComfortNoise,
    /// -dBov, from the peer's last CN packet; it holds until the next audio.
    noise_level: Option<u8>,
    front: FrontEnd,
    /// Listens for keys in the audio, on lines without events.
    detector: Option<Box<DtmfDetector>>,
    keys: Vec<char>,
    from_line: FromLine,
    /// What was too late last, at the line's rate.
    late: Vec<i16>,
    /// What is less than one append.
    batch: Vec<u8>,
    stats: UplinkStats,
}

impl Uplink {
    pub fn new(format: AudioFormat, line: Rate, append_ms: u32, reorder_wait: Duration) -> Uplink {
        Uplink {
            format,
            append_bytes: append_bytes(format, append_ms),
            timeline: Timeline::new(reorder_wait),
            muted: false,
            begun: false,
            decoder: Decoder::new(),
            concealer: Concealer::new(line),
            noise: ComfortNoise::new(),
            noise_level: None,
            front: FrontEnd::new(FrontParams::OFF, line),
            detector: None,
            keys: Vec::new(),
            from_line: FromLine::new(line, session_rate(format)),
            late: Vec::new(),
            batch: Vec::new(),
            stats: UplinkStats::default(),
        }
    }

    /// What is done to the caller's audio.
    pub fn set_front(&mut self, params: FrontParams) {
        self.front = FrontEnd::new(params, self.concealer.rate());
    }

    /// Caller audio in one append, 20 to 100 ms.
    pub fn set_append_ms(&mut self, append_ms: u32) {
        self.append_bytes = append_bytes(self.format, append_ms);
    }

    /// Whether tones in the audio are keys.
    pub fn listen_for_keys(&mut self, listen: bool) {
        if self.detector.is_some() != listen {
            self.detector = listen.then(Box::default);
        }
    }

    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Keys that were heard since.
    pub fn take_keys(&mut self) -> std::vec::Drain<'_, char> {
        self.keys.drain(..)
    }

    /// What went out on RTP at `now`.
    pub fn sent(&mut self, now: Instant, rate: Rate, frame: &[i16]) {
        self.front.sent(now, rate, frame);
    }

    /// The echo of the line, if it has one.
    pub fn echo(&self) -> Option<EchoPath> {
        self.front.echo()
    }

    /// The session takes audio from now on.
    pub fn start(&mut self, now: Instant) {
        self.timeline.start(now);
        self.begun = false;
    }

    /// Nobody takes audio any more.
    pub fn stop(&mut self) {
        self.timeline.stop();
    }

    /// Muted, packets count for nothing and the session hears silence (hold).
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
        self.noise_level = self.noise_level.filter(|_| !muted);
    }

    /// How long the receiver waits for a hole at present: the stall clock must not be faster.
    pub fn set_reorder_wait(&mut self, wait: Duration) {
        self.timeline.set_reorder_wait(wait);
    }

    pub fn stats(&self) -> UplinkStats {
        self.stats
    }

    /// One payload. Before it, in ticks: what the network lost, and what the peer left out.
    pub fn audio(
        &mut self,
        now: Instant,
        codec: Codec,
        payload: &[u8],
        lost_before: u32,
        paused_before: u32,
        append: &mut dyn FnMut(&[u8]),
    ) {
        if !self.timeline.is_running() {
            return;
        }
        if self.muted {
            self.timeline.ignore();
            self.tick(now, append);
            return;
        }
        let mut line = scratch::lend();
        self.decoder.decode(codec, payload, &mut line);
        if line.is_empty() {
            return;
        }
        self.set_rate(codec.rate());
        self.listen(&mut line);
        let length = self.ticks_of(&line);
        let (conceal, silence, was_lost, with_late) =
            match self.timeline.packet(now, length, i64::from(lost_before), i64::from(paused_before)) {
                Fate::Goes { conceal, silence, was_lost, with_late } => (conceal, silence, was_lost, with_late),
                Fate::TooLate { first } => return self.keep_late(first, &line, length),
            };
        let was_lost = (was_lost as u64).min(self.stats.filled);
        self.stats.filled -= was_lost;
        self.stats.concealed += was_lost;
        if conceal + silence > 0 {
            self.fill(now, conceal, Filling::Concealment, append);
            self.fill(now, silence, Filling::Pause, append);
            self.stats.concealed += conceal as u64;
            self.stats.filled += silence as u64;
        }
        self.noise_level = None;
        let length = length + self.take_late(with_late, &mut line);
        if self.timeline.is_too_much(now, length) {
            self.stats.dropped += length as u64;
            return;
        }
        self.concealer.good(&mut line);
        self.stats.audio += length as u64;
        self.front.process(now, &mut line);
        self.correct(now, length, &mut line);
        self.feed(&line, append);
        self.timeline.align(now);
        if !std::mem::replace(&mut self.begun, true) && !self.batch.is_empty() {
            // What was filled up to the first packet ends anywhere: a rest of it would wait in front of every packet from now on.
            append(&self.batch);
            self.batch.clear();
        }
    }

    /// One payload that is for nobody but the one who listens for keys.
    pub fn overhear(&mut self, codec: Codec, payload: &[u8]) {
        if self.detector.is_some() {
            let mut line = scratch::lend();
            self.decoder.decode(codec, payload, &mut line);
            self.set_rate(codec.rate());
            self.listen(&mut line);
        }
    }

    /// RFC 3389: the peer is silent from here on, and its line sounds like this, -dBov.
    pub fn comfort_noise(&mut self, level: u8) {
        if self.timeline.is_running() && !self.muted {
            self.noise_level = Some(level);
            self.timeline.pause();
        }
    }

    /// Runs the stall clock.
    pub fn tick(&mut self, now: Instant, append: &mut dyn FnMut(&[u8])) {
        let due = self.timeline.due(now);
        self.stats.skipped += due.skip as u64;
        self.stats.filled += due.fill as u64;
        let filling = if self.noise_level.is_some() { Filling::Pause } else { Filling::Concealment };
        self.fill(now, due.fill, filling, append);
    }

    /// When the stall clock must run next.
    pub fn timeout(&self) -> Option<Instant> {
        self.timeline.timeout()
    }

    /// Too late, unless all that follows is.
    fn keep_late(&mut self, first: bool, line: &[i16], length: i64) {
        if first {
            self.late.clear();
        }
        self.stats.dropped += length as u64;
        if self.ticks_of(&self.late) + length <= KEPT_LATE {
            self.late.extend_from_slice(line);
        }
    }

    /// Puts what was too late before `line`, if it is all of it; how much that is, in ticks.
    fn take_late(&mut self, with_late: i64, line: &mut Vec<i16>) -> i64 {
        if with_late == 0 || self.ticks_of(&self.late) != with_late {
            return 0;
        }
        line.splice(..0, self.late.drain(..));
        self.stats.dropped -= with_late as u64;
        with_late
    }

    /// Brings the session's clock a little nearer to the wall's, if it has to be and `line` has a place for it.
    fn correct(&mut self, now: Instant, length: i64, line: &mut Vec<i16>) {
        let rate = self.concealer.rate();
        let (most, seam, put_in) = match self.timeline.correction(now, length) {
            Correction::None => return,
            Correction::Shorten { most, speech, any } => {
                let seam = if any {
                    Seam::Any
                } else if speech {
                    Seam::Unheard
                } else {
                    Seam::Quiet
                };
                (most, seam, false)
            }
            Correction::Lengthen { most, speech } => (most, if speech { Seam::Unheard } else { Seam::Quiet }, true),
        };
        let most = most as usize * rate.per_ms() / TICKS_PER_MS as usize;
        let change = if put_in { splice::lengthen } else { splice::shorten };
        let changed = change(rate, line, most, seam) * TICKS_PER_MS as usize / rate.per_ms();
        if changed == 0 {
            return;
        }
        if put_in {
            self.stats.put_in += changed as u64;
        } else {
            self.stats.taken_out += changed as u64;
        }
        self.timeline.corrected(now, if put_in { changed as i64 } else { -(changed as i64) });
    }

    fn fill(&mut self, now: Instant, ticks: i64, filling: Filling, append: &mut dyn FnMut(&[u8])) {
        if ticks <= 0 {
            return;
        }
        let mut line = scratch::lend();
        let samples = ticks as usize * self.concealer.rate().per_ms() / TICKS_PER_MS as usize;
        match (filling, self.noise_level) {
            (Filling::Pause, Some(level)) => {
                self.noise.fill(level, samples, &mut line);
                self.concealer.good(&mut line);
            }
            _ => self.concealer.conceal(samples, &mut line),
        }
        self.front.process(now, &mut line);
        self.feed(&line, append);
    }

    /// The line has this rate from now on; only a change costs anything.
    fn set_rate(&mut self, rate: Rate) {
        if rate != self.concealer.rate() {
            self.late.clear();
            self.concealer.set_rate(rate);
            self.from_line.set_line(rate, self.concealer.recent());
            self.front.set_rate(rate);
        }
    }

    /// Keys in the audio; their tone is not the caller's voice.
    fn listen(&mut self, line: &mut [i16]) {
        let Some(detector) = &mut self.detector else { return };
        detector.process(self.concealer.rate(), line, &mut |key| {
            if self.keys.len() < MOST_KEYS {
                self.keys.push(key);
            }
        });
        if detector.is_tone() {
            line.fill(0);
        }
    }

    fn ticks_of(&self, line: &[i16]) -> i64 {
        (line.len() * TICKS_PER_MS as usize / self.concealer.rate().per_ms()) as i64
    }

    /// `line` → session.
    fn feed(&mut self, line: &[i16], append: &mut dyn FnMut(&[u8])) {
        self.timeline.fed(self.ticks_of(line));
        let mut session = scratch::lend();
        self.from_line.process(line, &mut session);
        let mut fresh = scratch::lend();
        let nothing_waits = self.batch.is_empty();
        let bytes: &mut Vec<u8> = if nothing_waits { &mut fresh } else { &mut self.batch };
        match self.format {
            AudioFormat::Pcm24k => {
                let from = bytes.len();
                bytes.resize(from + 2 * session.len(), 0);
                let (pairs, _) = bytes[from..].as_chunks_mut::<2>();
                for (pair, sample) in pairs.iter_mut().zip(session.iter()) {
                    *pair = sample.to_le_bytes();
                }
            }
            // Decoding and encoding by one law is the identity (but for µ-law's second zero), so pass-through needs no path of its own.
            AudioFormat::Pcmu => Law::Mu.encode(&session, bytes),
            AudioFormat::Pcma => Law::A.encode(&session, bytes),
        }
        let appends = bytes.chunks_exact(self.append_bytes);
        let rest = appends.remainder().len();
        appends.for_each(append);
        let whole = bytes.len() - rest;
        if nothing_waits {
            self.batch.extend_from_slice(&fresh[whole..]);
        } else {
            self.batch.drain(..whole);
        }
    }
}

fn append_bytes(format: AudioFormat, append_ms: u32) -> usize {
    append_ms.clamp(20, 100) as usize * format.bytes_per_ms()
}

/// Rate of the session's samples.
pub(super) fn session_rate(format: AudioFormat) -> Rate {
    match format {
        AudioFormat::Pcm24k => Rate::Hz24000,
        AudioFormat::Pcmu | AudioFormat::Pcma => Rate::Hz8000,
    }
}

#[cfg(test)]
mod tests;
