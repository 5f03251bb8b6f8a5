//! The far end of the RTP stream: what it sends, and what it collected.

use std::collections::VecDeque;
use std::time::Duration;
use voxtrunk::audio::codec::{Decoder, Encoder};
use voxtrunk::codec::Codec;
use voxtrunk::net::clock;
use voxtrunk::rtp::srtp::Srtp;

/// What the peer's microphone gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Packets of silence.
    Silent,
    /// Packets with a loud tone.
    Tone,
    /// A tone of that frequency.
    Hz(u32),
    /// No packets at all (DTX, dead line).
    Off,
}

/// One packet that reached the peer.
#[derive(Clone, Debug)]
pub struct Got {
    pub at: Duration,
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Decoded audio at its codec's rate; empty for telephone-events.
    pub samples: Vec<i16>,
    pub payload: Vec<u8>,
}

impl Got {
    pub fn is_audio(&self) -> bool {
        codec_of(self.payload_type).is_some()
    }
    pub fn is_loud(&self) -> bool {
        self.samples.iter().any(|s| s.unsigned_abs() > LOUD)
    }
}

/// Above this a sample is speech; the waiting tone stays below it.
pub const LOUD: u16 = 1_500;

pub struct Peer {
    /// What it sends.
    pub codec: Codec,
    encoder: Encoder,
    decoder: Decoder,
    pub voice: Voice,
    /// Time between packets by the peer's own clock.
    pub interval: Duration,
    pub next: Duration,
    pub got: Vec<Got>,
    /// Whether `got` is kept (an hour's call only counts).
    pub keep: bool,
    pub packets: u64,
    /// One in so many packets is lost on the way to us.
    pub lose_every: Option<u64>,
    /// Everything is protected, both ways.
    pub srtp: Option<Srtp>,
    /// So many of the next packets are lost on the way to us.
    pub lose_next: u32,
    pub ssrc: u32,
    /// What is wrong with the clock of what came: it is to be one audio stream, a packet each 20 ms, by its own numbers and by the wall.
    pub irregular: Vec<String>,
    pub sequence: u16,
    timestamp: u32,
    sent: u64,
    phase: usize,
    /// Words on top of `voice`.
    pub says: VecDeque<i16>,
    /// What the peer's line gives back of what it hears.
    pub echo: Option<Echo>,
    heard: Vec<i16>,
}

/// A hybrid: an impulse response after a delay, in samples.
pub struct Echo {
    pub delay: usize,
    pub response: Vec<f64>,
}

impl Peer {
    pub fn new(codec: Codec) -> Peer {
        Peer {
            codec,
            encoder: Encoder::new(codec),
            decoder: Decoder::new(),
            voice: Voice::Off,
            interval: Duration::from_millis(20),
            next: Duration::ZERO,
            got: Vec::new(),
            keep: true,
            packets: 0,
            lose_every: None,
            srtp: None,
            lose_next: 0,
            ssrc: 0x1234_5678,
            irregular: Vec::new(),
            sequence: 65_500,
            timestamp: 0xFFFF_F000,
            sent: 0,
            phase: 0,
            says: VecDeque::new(),
            echo: None,
            heard: Vec::new(),
        }
    }

    /// The packet of this interval; `None` when nothing is sent, or it is lost.
    pub fn packet(&mut self) -> Option<Vec<u8>> {
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(160);
        if self.encoder.codec() != self.codec {
            self.encoder = Encoder::new(self.codec);
        }
        let rate = self.codec.rate();
        let hz = match self.voice {
            Voice::Off => return None,
            Voice::Silent => None,
            Voice::Tone => Some(500),
            Voice::Hz(hz) => Some(hz),
        };
        let from = self.phase * rate.per_ms() / 8;
        let wave = |n: usize| hz.map_or(0, |hz| wave(hz, from + n, rate.hz() as usize));
        let mut samples: Vec<i16> = (0..rate.samples(20)).map(wave).collect();
        for sample in &mut samples {
            *sample = sample.saturating_add(self.says.pop_front().unwrap_or(0));
        }
        self.echo(&mut samples);
        self.phase += 160;
        self.sequence = self.sequence.wrapping_add(1);
        self.sent += 1;
        let mut payload = Vec::new();
        self.encoder.encode(&samples, &mut payload);
        let payload_type = self.codec.static_payload_type();
        if self.lose_every.is_some_and(|n| self.sent.is_multiple_of(n)) {
            return None;
        }
        if self.lose_next > 0 {
            self.lose_next -= 1;
            return None;
        }
        let mut packet = rtp_of(self.ssrc, payload_type, self.sequence, timestamp, &payload);
        if let Some(srtp) = &mut self.srtp {
            srtp.protect_rtp(&mut packet).expect("protected");
        }
        Some(packet)
    }

    /// Another source from here on, with numbers of its own (a transfer behind the PBX, music on hold).
    pub fn another_source(&mut self, ssrc: u32) {
        (self.ssrc, self.sequence, self.timestamp) = (ssrc, ssrc as u16, ssrc.rotate_left(16));
    }

    fn echo(&mut self, samples: &mut [i16]) {
        let Some(echo) = &self.echo else { return };
        let first = self.heard.len() as i64 - 160 - echo.delay as i64;
        for (n, sample) in samples.iter_mut().enumerate() {
            let heard = |k: usize| self.heard.get(usize::try_from(first + n as i64 - k as i64).ok()?).copied();
            let back: f64 = echo.response.iter().enumerate().map(|(k, h)| h * f64::from(heard(k).unwrap_or(0))).sum();
            *sample = sample.saturating_add(back as i16);
        }
    }

    /// The packets of one key: start, three updates, three ends (RFC 4733).
    pub fn key(&mut self, event: u8) -> Vec<Vec<u8>> {
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(800);
        [(0, 160u16), (0, 320), (0, 480), (0x80, 800), (0x80, 800), (0x80, 800)]
            .into_iter()
            .map(|(end, duration)| {
                self.sequence = self.sequence.wrapping_add(1);
                let d = duration.to_be_bytes();
                rtp(101, self.sequence, timestamp, &[event, end | 10, d[0], d[1]])
            })
            .collect()
    }

    pub fn receive(&mut self, at: Duration, datagram: &[u8]) {
        self.packets += 1;
        let opened;
        let datagram = match &mut self.srtp {
            Some(srtp) => {
                opened = srtp.unprotect_rtp(clock::now(), datagram).expect("authentic").to_vec();
                &opened
            }
            None => datagram,
        };
        assert!(datagram.len() >= 12 && datagram[0] == 0x80, "not an RTP packet: {datagram:02x?}");
        let payload_type = datagram[1] & 0x7F;
        let mut samples = Vec::new();
        if let Some(codec) = codec_of(payload_type) {
            self.decoder.decode(codec, &datagram[12..], &mut samples);
        }
        if self.echo.is_some() {
            // An event is silence on the line.
            self.heard.extend(if samples.is_empty() { [0; 160].to_vec() } else { samples.clone() });
        }
        let got = Got {
            at,
            payload_type,
            marker: datagram[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([datagram[2], datagram[3]]),
            timestamp: u32::from_be_bytes([datagram[4], datagram[5], datagram[6], datagram[7]]),
            ssrc: u32::from_be_bytes([datagram[8], datagram[9], datagram[10], datagram[11]]),
            samples,
            payload: datagram[12..].to_vec(),
        };
        if let Some(last) = self.got.last().filter(|last| last.is_audio() && self.irregular.len() < 10) {
            let regular = got.is_audio()
                && got.ssrc == last.ssrc
                && got.sequence == last.sequence.wrapping_add(1)
                && got.timestamp == last.timestamp.wrapping_add(160)
                && got.samples.len() == 160
                && at == last.at + Duration::from_millis(20);
            if !regular {
                let line = |got: &Got| (got.at, got.payload_type, got.ssrc, got.sequence, got.timestamp);
                self.irregular.push(format!("{:?} after {:?}", line(&got), line(last)));
            }
        }
        if !self.keep {
            self.got.clear();
        }
        self.got.push(got);
    }

    /// Milliseconds from the first to the last loud sample, both included, counted in the payloads (of packets after `from`).
    pub fn speech_ms(&self) -> u32 {
        self.speech_ms_since(Duration::ZERO)
    }

    pub fn speech_ms_since(&self, from: Duration) -> u32 {
        let samples: Vec<i16> =
            self.got.iter().filter(|g| g.is_audio() && g.at > from).flat_map(|g| g.samples.iter().copied()).collect();
        let loud = |s: &i16| s.unsigned_abs() > LOUD;
        match (samples.iter().position(loud), samples.iter().rposition(loud)) {
            (Some(first), Some(last)) => ((last + 1 - first) / self.codec.rate().per_ms()) as u32,
            _ => 0,
        }
    }

    /// When the last loud packet came.
    pub fn last_loud(&self) -> Option<Duration> {
        self.got.iter().rev().find(|g| g.is_loud()).map(|g| g.at)
    }
    pub fn first_loud_since(&self, from: Duration) -> Option<Duration> {
        self.got.iter().find(|g| g.at >= from && g.is_loud()).map(|g| g.at)
    }
    /// Longest stretch without any audible sample (the waiting tone counts as audible) between two times.
    pub fn longest_silence(&self, from: Duration, to: Duration) -> Duration {
        let mut last = from;
        let mut longest = Duration::ZERO;
        for got in self.got.iter().filter(|g| g.at >= from && g.at <= to) {
            if got.samples.iter().any(|s| s.unsigned_abs() > 100) {
                longest = longest.max(got.at - last);
                last = got.at;
            }
        }
        longest.max(to.saturating_sub(last))
    }

    /// Whether the packets are one stream: one SSRC, sequence + 1, timestamps that follow the clock.
    pub fn assert_one_stream(&self) {
        for pair in self.got.windows(2) {
            assert_eq!(pair[0].ssrc, pair[1].ssrc, "SSRC changed");
            assert_eq!(pair[0].sequence.wrapping_add(1), pair[1].sequence, "sequence gap at {:?}", pair[1].at);
        }
    }

    /// Whether audio came every 20 ms, but for one step at the beginning, to its place behind the peer's first packet; timestamps say so.
    pub fn assert_even_clock(&self) {
        let audio: Vec<&Got> = self.got.iter().filter(|g| g.is_audio()).collect();
        let mut steps = Vec::new();
        for (n, pair) in audio.windows(2).enumerate() {
            let apart = pair[1].at - pair[0].at;
            assert_eq!(u128::from(pair[1].timestamp.wrapping_sub(pair[0].timestamp)), apart.as_micros() / 125);
            if apart != Duration::from_millis(20) {
                steps.push((n, apart));
            }
        }
        let once = |&(n, apart): &(usize, Duration)| n < 50 && apart < Duration::from_millis(40);
        assert!(steps.len() <= 1 && steps.iter().all(once), "not every 20 ms: {steps:?}");
    }
}

fn codec_of(payload_type: u8) -> Option<Codec> {
    [Codec::Pcmu, Codec::Pcma, Codec::G722].into_iter().find(|codec| codec.static_payload_type() == payload_type)
}

/// 500 Hz: loud from the third sample on.
pub fn tone(n: usize, rate: usize) -> i16 {
    wave(500, n, rate)
}

fn wave(hz: u32, n: usize, rate: usize) -> i16 {
    ((n as f64 * f64::from(hz) * std::f64::consts::TAU / rate as f64).sin() * 10_000.0) as i16
}

pub fn rtp(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    rtp_of(0x1234_5678, payload_type, sequence, timestamp, payload)
}

pub fn rtp_of(ssrc: u32, payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80, payload_type];
    out.extend(sequence.to_be_bytes());
    out.extend(timestamp.to_be_bytes());
    out.extend(ssrc.to_be_bytes());
    out.extend(payload);
    out
}
