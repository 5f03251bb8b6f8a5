//! Caller → model: the line's codec in, the session's format out, on the clock of the wall.
//!
//! In: audio payloads in order, with the time missing before them. Out: appends of `append_ms` each. Time is counted in ticks of 1/8000 s,
//! whatever the line's rate, which may change with any packet (RTP-07).
//! The service's VAD runs on received audio, so its clock must run even when no packet comes (DTX, hold, loss): the
//! *stall clock* fills what is missing (concealment, which fades to silence within 60 ms). What comes late after that is
//! dropped, so the session has received as much audio as time has passed, ± 100 ms, and never a burst above 100 ms.
//! Audio from before [`Uplink::start`] (the session is not configured yet) is not kept: it would come as a burst.

use crate::audio::codec::Decoder;
use crate::audio::conceal::Concealer;
use crate::audio::g711::Law;
use crate::audio::line::FromLine;
use crate::audio::pcm::Rate;
use crate::codec::{Codec, TICKS_PER_MS};
use crate::realtime::AudioFormat;
use std::time::{Duration, Instant};

/// Most the session may lag behind plus most it may run ahead: the longest burst.
const WINDOW: i64 = ticks(100);
/// A packet whose samples all stay below this is a pause; drift is taken out there first.
const QUIET: u16 = 200;
/// Longest process stall that is filled; time beyond is skipped (a burst disturbs VAD more than a shorter pause).
const MAX_FILL: i64 = ticks(100);
/// What the stall clock fills at once.
const FRAME: i64 = ticks(20);

const fn ticks(ms: i64) -> i64 {
    ms * TICKS_PER_MS as i64
}

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
}

/// See the module's map.
pub(super) struct Uplink {
    format: AudioFormat,
    append_bytes: usize,
    reorder_wait: i64,
    /// Ticks in the last packet.
    packet: i64,
    start: Option<Instant>,
    /// Ticks given to the session, and skipped.
    fed: i64,
    muted: bool,
    dropping: bool,
    decoder: Decoder,
    concealer: Concealer,
    from_line: FromLine,
    /// Samples at the line's rate.
    line: Vec<i16>,
    /// Samples at the session's rate.
    session: Vec<i16>,
    batch: Vec<u8>,
    stats: UplinkStats,
}

impl Uplink {
    pub fn new(format: AudioFormat, line: Rate, append_ms: u32, reorder_wait: Duration) -> Uplink {
        Uplink {
            format,
            append_bytes: append_ms.clamp(20, 100) as usize * format.bytes_per_ms(),
            reorder_wait: ticks(reorder_wait.as_millis().min(100) as i64),
            packet: FRAME,
            start: None,
            fed: 0,
            muted: false,
            dropping: false,
            decoder: Decoder::new(),
            concealer: Concealer::new(line),
            from_line: FromLine::new(line, session_rate(format)),
            line: Vec::new(),
            session: Vec::new(),
            batch: Vec::new(),
            stats: UplinkStats::default(),
        }
    }

    /// The session takes audio from now on.
    pub fn start(&mut self, now: Instant) {
        self.start.get_or_insert(now);
    }

    /// Nobody takes audio any more.
    pub fn stop(&mut self) {
        self.start = None;
    }

    /// Muted, packets count for nothing and the session hears silence (hold).
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    pub fn stats(&self) -> UplinkStats {
        self.stats
    }

    /// One payload. `lost_before`: what the network lost right before it, in ticks.
    pub fn audio(
        &mut self,
        now: Instant,
        codec: Codec,
        payload: &[u8],
        lost_before: u32,
        append: &mut dyn FnMut(&[u8]),
    ) {
        // First the clock: after a stall of the process what waited in the socket must not become a burst.
        self.tick(now, append);
        let Some(wall) = self.wall(now) else { return };
        if self.muted {
            return;
        }
        self.line.clear();
        self.decoder.decode(codec, payload, &mut self.line);
        if self.line.is_empty() {
            return;
        }
        self.set_rate(codec.rate());
        let length = self.ticks_of_line();
        self.packet = length.min(ticks(60));
        if self.is_too_much(self.fed + length - wall) {
            self.stats.dropped += length as u64;
            return;
        }
        let room = wall + self.lead() - self.fed - length;
        let missing = i64::from(lost_before).min(room).min(MAX_FILL);
        if missing > 0 {
            let mut real = std::mem::take(&mut self.line);
            self.fill(missing, append);
            self.stats.concealed += missing as u64;
            std::mem::swap(&mut self.line, &mut real);
        }
        self.concealer.good(&mut self.line);
        self.stats.audio += length as u64;
        self.feed(append);
    }

    /// Runs the stall clock.
    pub fn tick(&mut self, now: Instant, append: &mut dyn FnMut(&[u8])) {
        let Some(wall) = self.wall(now) else { return };
        let mut due = wall - self.margin() - self.fed;
        if due < FRAME {
            return;
        }
        if due > MAX_FILL {
            let skip = due - MAX_FILL;
            self.fed += skip;
            self.stats.skipped += skip as u64;
            due = MAX_FILL;
        }
        while due >= FRAME {
            self.fill(FRAME, append);
            self.stats.filled += FRAME as u64;
            due -= FRAME;
        }
    }

    /// When the stall clock must run next.
    pub fn timeout(&self) -> Option<Instant> {
        let at = self.fed + self.margin() + FRAME;
        // 125 µs a tick; rounded up so that the tick finds it due.
        self.start.map(|start| start + Duration::from_micros(at.max(0) as u64 * 125))
    }

    /// How far the session may lag: a packet and the wait for a hole must fit in.
    fn margin(&self) -> i64 {
        (self.reorder_wait + self.packet + ticks(10)).clamp(ticks(60), ticks(80))
    }

    /// How far the session may run ahead.
    fn lead(&self) -> i64 {
        (WINDOW - self.margin()).max(self.packet)
    }

    /// `ahead`: where the session's clock would be against the wall with this packet.
    fn is_too_much(&mut self, ahead: i64) -> bool {
        let most = self.lead();
        let quiet = || self.line.iter().all(|s| s.unsigned_abs() < QUIET);
        // Once over, down to half: else every jittered packet at the edge would be cut.
        let limit = if self.dropping || quiet() { most / 2 } else { most };
        self.dropping = ahead > limit;
        self.dropping
    }

    fn wall(&self, now: Instant) -> Option<i64> {
        let start = self.start?;
        Some((now.saturating_duration_since(start).as_micros() / 125) as i64)
    }

    fn fill(&mut self, ticks: i64, append: &mut dyn FnMut(&[u8])) {
        self.line.clear();
        let samples = ticks as usize * self.concealer.rate().per_ms() / TICKS_PER_MS as usize;
        self.concealer.conceal(samples, &mut self.line);
        self.feed(append);
    }

    /// The line has this rate from now on; only a change costs anything.
    fn set_rate(&mut self, rate: Rate) {
        if rate != self.concealer.rate() {
            self.concealer.set_rate(rate);
            self.from_line.set_line(rate, self.concealer.recent());
        }
    }

    fn ticks_of_line(&self) -> i64 {
        (self.line.len() * TICKS_PER_MS as usize / self.concealer.rate().per_ms()) as i64
    }

    /// `line` → session.
    fn feed(&mut self, append: &mut dyn FnMut(&[u8])) {
        self.fed += self.ticks_of_line();
        self.session.clear();
        self.from_line.process(&self.line, &mut self.session);
        match self.format {
            AudioFormat::Pcm24k => {
                let from = self.batch.len();
                self.batch.resize(from + 2 * self.session.len(), 0);
                let (pairs, _) = self.batch[from..].as_chunks_mut::<2>();
                for (pair, sample) in pairs.iter_mut().zip(&self.session) {
                    *pair = sample.to_le_bytes();
                }
            }
            // Decoding and encoding by one law is the identity (but for µ-law's second zero), so pass-through needs no path of its own.
            AudioFormat::Pcmu => Law::Mu.encode(&self.session, &mut self.batch),
            AudioFormat::Pcma => Law::A.encode(&self.session, &mut self.batch),
        }
        let whole = self.batch.len() - self.batch.len() % self.append_bytes;
        for chunk in self.batch[..whole].chunks_exact(self.append_bytes) {
            append(chunk);
        }
        self.batch.drain(..whole);
    }
}

/// Rate of the session's samples.
pub(super) fn session_rate(format: AudioFormat) -> Rate {
    match format {
        AudioFormat::Pcm24k => Rate::Hz24000,
        AudioFormat::Pcmu | AudioFormat::Pcma => Rate::Hz8000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    struct Rig {
        uplink: Uplink,
        start: Instant,
        bytes: usize,
        longest_burst: usize,
    }

    impl Rig {
        fn new(format: AudioFormat) -> Rig {
            let start = clock::now();
            let mut uplink = Uplink::new(format, Rate::Hz8000, 20, ms(40));
            uplink.start(start);
            Rig { uplink, start, bytes: 0, longest_burst: 0 }
        }
        fn packet(&mut self, at: Duration, payload: &[u8]) {
            let mut got = 0;
            self.uplink.audio(self.start + at, Codec::Pcmu, payload, 0, &mut |b| got += b.len());
            self.bytes += got;
            self.longest_burst = self.longest_burst.max(got);
        }
        fn tick(&mut self, at: Duration) {
            let mut got = 0;
            self.uplink.tick(self.start + at, &mut |b| got += b.len());
            self.bytes += got;
            self.longest_burst = self.longest_burst.max(got);
        }
        fn lag_ms(&self, at: Duration) -> i64 {
            at.as_millis() as i64 - self.bytes as i64 / 8
        }
    }

    /// S4, S6: with no packet at all the session's clock still follows the wall.
    #[test]
    fn silence_keeps_time_when_nothing_comes() {
        let mut rig = Rig::new(AudioFormat::Pcmu);
        for t in (0..60_000).step_by(5) {
            rig.tick(ms(t));
            assert!(rig.lag_ms(ms(t)) <= 100, "{t}: {}", rig.lag_ms(ms(t)));
        }
        assert!(rig.longest_burst <= 800);
    }

    /// A burst after a stall of the network does not make the session's clock grow.
    #[test]
    fn late_burst_is_trimmed() {
        let mut rig = Rig::new(AudioFormat::Pcmu);
        let loud = [0x20u8; 160];
        for t in (0..1000).step_by(5) {
            rig.tick(ms(t));
            if t % 20 == 0 && !(300..600).contains(&t) {
                rig.packet(ms(t), &loud);
            }
            if t == 600 {
                let before = rig.bytes;
                for _ in 0..15 {
                    rig.packet(ms(t), &loud);
                }
                assert!(rig.bytes - before <= 800, "burst of {} ms", (rig.bytes - before) / 8);
            }
            assert!(rig.lag_ms(ms(t)).abs() <= 100, "{t}: {}", rig.lag_ms(ms(t)));
        }
        assert!(rig.uplink.stats().dropped > 0);
    }

    /// A caller's clock 200 ppm off for an hour stays within the window.
    #[test]
    fn drift_stays_within_the_window() {
        for interval_us in [19_996u64, 20_004] {
            let mut rig = Rig::new(AudioFormat::Pcmu);
            let loud = [0x20u8; 160];
            let mut next = 0;
            for t in (0..3_600_000u64).step_by(5) {
                while next <= t * 1000 {
                    rig.packet(ms(t), &loud);
                    next += interval_us;
                }
                rig.tick(ms(t));
                assert!(rig.lag_ms(ms(t)).abs() <= 100);
            }
            let s = rig.uplink.stats();
            assert!(s.dropped + s.filled <= ticks(800) as u64, "{s:?}");
        }
    }

    /// G.711 goes through unchanged when the session speaks the caller's law.
    #[test]
    fn same_law_is_the_identity() {
        let start = clock::now();
        let mut uplink = Uplink::new(AudioFormat::Pcmu, Rate::Hz8000, 20, ms(40));
        uplink.start(start);
        let payload: Vec<u8> = (0..=255u8).filter(|b| *b != 0x7F).take(160).collect();
        let mut out = Vec::new();
        uplink.audio(start + ms(20), Codec::Pcmu, &payload, 0, &mut |b| out.extend_from_slice(b));
        assert_eq!(out, payload);
    }

    /// A lost packet is concealed once: neither the network's count nor the stall clock fills it twice.
    #[test]
    fn a_hole_is_filled_once() {
        let start = clock::now();
        let mut uplink = Uplink::new(AudioFormat::Pcmu, Rate::Hz8000, 20, ms(40));
        uplink.start(start);
        let mut got = 0;
        for n in 0..50u64 {
            if n == 20 {
                continue;
            }
            let lost = if n == 21 { 160 } else { 0 };
            uplink.audio(start + ms(n * 20), Codec::Pcmu, &[0x20; 160], lost, &mut |b| got += b.len());
            uplink.tick(start + ms(n * 20), &mut |b| got += b.len());
        }
        assert_eq!(uplink.stats().concealed + uplink.stats().filled, 160);
        assert_eq!(got, 50 * 160);
    }

    /// PCM16 at 24 kHz has three samples, six bytes, for each code.
    #[test]
    fn upsampled_length() {
        let mut rig = Rig::new(AudioFormat::Pcm24k);
        for n in 0..50 {
            rig.packet(ms(20 * n), &[0xFF; 160]);
        }
        assert!((50 * 960 - 1920..=50 * 960).contains(&rig.bytes), "{}", rig.bytes);
    }
}
