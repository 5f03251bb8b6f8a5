//! What offer/answer agreed on, set to work: receiver, uplink and downlink of one stream.

use super::MediaPolicy;
use super::downlink::Downlink;
use super::uplink::Uplink;
use crate::audio::front::FrontParams;
use crate::codec::{Codec, TICKS_PER_MS};
use crate::observe::cdr::RtpRecord;
use crate::realtime::AudioFormat;
use crate::rtp::quality::Quality;
use crate::rtp::receiver::ReceiverParams;
use crate::rtp::rtcp::WallClock;
use crate::rtp::sender::Sender;
use crate::rtp::session::{Port, RtpSession, SessionParams};
use crate::sip::offer_answer::MediaParams;
use crate::trunk::DtmfWay;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// The last report of a stream, ready for the wire.
pub(super) type Goodbye = (Port, SocketAddr, Vec<u8>);

/// One stream, from the first agreed offer/answer to the end of the call.
pub(super) struct Media {
    pub params: MediaParams,
    pub rtp: RtpSession,
    pub uplink: Uplink,
    pub downlink: Downlink,
    /// The downlink's deadlines have their place among the caller's packets.
    pub aligned: bool,
    policy: MediaPolicy,
    signalling: IpAddr,
    /// Of CNAME and report intervals.
    seed: u64,
    /// The session is to hear silence, whatever comes.
    deaf: bool,
    dtmf: DtmfWay,
    /// As of the last look, and the receiver's number for it.
    target: Option<SocketAddr>,
    target_seen: u32,
    /// Strangers that were told of.
    strangers: usize,
    /// Audio that went past the uplink (a second leg's, or to one), and what was lost of it, in ticks.
    pub passed: u64,
    pub passed_lost: u64,
}

impl Media {
    /// `seed` makes SSRC, first sequence number and timestamp (RFC 3550 §5.1); `signalling` may send media, too.
    pub fn new(params: MediaParams, policy: &MediaPolicy, signalling: IpAddr, format: AudioFormat, seed: u64) -> Media {
        let (a, b) = (scramble(seed), scramble(seed.wrapping_add(1)));
        // In the lower half: the peer's SRTP cannot miss a roll-over before its first packet (RFC 3711 §3.3.1).
        let sender = Sender::new(a as u32, (a >> 32) as u16 >> 1, b as u32);
        let mut media = Media {
            rtp: RtpSession::new(session_params(&params, policy, signalling)),
            uplink: Uplink::new(format, params.codec.rate(), policy.append_ms, policy.reorder_wait),
            downlink: Downlink::new(sender, format, &params),
            aligned: false,
            policy: policy.clone(),
            signalling,
            seed: scramble(seed.wrapping_add(2)),
            deaf: false,
            dtmf: DtmfWay::Rfc4733,
            target: None,
            target_seen: 0,
            strangers: 0,
            passed: 0,
            passed_lost: 0,
            params,
        };
        media.uplink.set_muted(!media.hears_caller());
        media
    }

    /// The next offer/answer; SSRC, sequence and timestamps go on (SDP-10).
    pub fn apply(&mut self, now: Instant, params: MediaParams) {
        self.rtp.set_params(now, session_params(&params, &self.policy, self.signalling));
        self.downlink.set_media(&params);
        self.params = params;
        self.listen_for_keys();
        self.uplink.set_muted(self.deaf || !self.hears_caller());
    }

    /// What is done to the caller's audio, and the way of keys.
    pub fn set_up(&mut self, front: FrontParams, dtmf: DtmfWay) {
        self.dtmf = dtmf;
        self.uplink.set_front(front);
        self.listen_for_keys();
    }

    fn listen_for_keys(&mut self) {
        let events = self.params.dtmf_receive.is_some();
        let listen = self.dtmf == DtmfWay::Inband || (self.dtmf == DtmfWay::Auto && !events);
        self.uplink.listen_for_keys(listen);
    }

    /// The echo guard learns what the packet just written sounds like.
    pub fn note_sent(&mut self, now: Instant) {
        let (rate, frame) = self.downlink.take_sent();
        self.uplink.sent(now, rate, &frame);
    }

    /// Frames and reports flow from now on.
    pub fn start(&mut self, now: Instant, clock: WallClock) {
        self.downlink.start(now);
        self.rtp.start_reports(now, clock, self.seed);
    }

    /// The same for a caller, whose first packet the frames stand behind.
    pub fn start_behind(&mut self, now: Instant, clock: WallClock) {
        self.downlink.start_behind(now);
        self.rtp.start_reports(now, clock, self.seed);
    }

    /// The RTCP packet that is due, in `out`.
    pub fn report(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<(Port, SocketAddr)> {
        self.rtp.poll_rtcp(now, self.downlink.sender(), self.downlink.timeout(), out)
    }

    /// The last one: the stream is over.
    pub fn goodbye(&mut self, now: Instant) -> Option<Goodbye> {
        let mut packet = Vec::new();
        let (port, to) = self.rtp.bye(now, self.downlink.sender(), self.downlink.timeout(), &mut packet)?;
        Some((port, to, packet))
    }

    /// How good the stream is, both ways.
    pub fn quality(&self) -> Quality {
        let (packets, heard) = (self.rtp.receiver.stats().packets, self.uplink.stats());
        let (audio, concealed) = (heard.audio + self.passed, self.concealed());
        let packet_ms = match audio {
            0 => self.params.ptime_ms as f32,
            audio => audio as f32 / TICKS_PER_MS as f32 / packets.max(1) as f32,
        };
        let played = audio + concealed;
        let concealed = (played > 0).then(|| 100.0 * concealed as f32 / played as f32);
        Quality { concealed_percent: concealed, ..Quality::of(&self.rtp, self.params.codec, packet_ms) }
    }

    /// What stood in for audio that was lost, in ticks.
    fn concealed(&self) -> u64 {
        self.uplink.stats().concealed + self.passed_lost
    }

    /// The counters of the stream.
    pub fn rtp_record(&self) -> RtpRecord {
        let srtp = self.rtp.srtp_stats();
        RtpRecord {
            srtp_failed: srtp.failed,
            srtp_replayed: srtp.replayed,
            concealed_ms: self.concealed() / u64::from(TICKS_PER_MS),
            ..self.rtp.receiver.stats().into()
        }
    }

    pub fn set_deaf(&mut self, deaf: bool) {
        self.deaf = deaf;
        self.uplink.set_muted(deaf || !self.hears_caller());
    }

    /// Where the signalling comes from changed; in force with the next `apply`.
    pub fn set_signalling(&mut self, signalling: IpAddr) {
        self.signalling = signalling;
    }

    /// The peer wants no audio from us (SDP-07). A peer that merely sends none is not on hold.
    pub fn is_hold(&self) -> bool {
        !self.params.direction.sends()
    }

    /// What comes is the caller: not hold music (SDP-08).
    pub fn hears_caller(&self) -> bool {
        !self.is_hold() && self.params.direction.receives()
    }

    /// The codec of a payload type the peer may use.
    pub fn codec_of(params: &MediaParams, payload_type: u8) -> Option<Codec> {
        params.receive.iter().find(|(pt, _)| *pt == payload_type).map(|(_, codec)| *codec)
    }

    /// The target, if it is another one than at the last look; and whether it moved from the one of before, or of the SDP.
    pub fn moved_target(&mut self) -> Option<(SocketAddr, bool)> {
        let generation = self.rtp.receiver.target_generation();
        if std::mem::replace(&mut self.target_seen, generation) == generation {
            return None;
        }
        let target = self.rtp.receiver.target();
        if target == self.target {
            return None;
        }
        let before = std::mem::replace(&mut self.target, target).or(self.params.remote);
        target.map(|target| (target, before != Some(target)))
    }

    /// An address that was refused for the first time since the last look.
    pub fn new_stranger(&mut self) -> Option<SocketAddr> {
        let strangers = &self.rtp.refused().strangers;
        if self.strangers == strangers.count() {
            return None;
        }
        let stranger = strangers.iter().nth(self.strangers)?;
        self.strangers += 1;
        Some(stranger.addr)
    }

    pub fn timeout(&self) -> Option<Instant> {
        [self.rtp.timeout(), self.uplink.timeout(), self.downlink.timeout()].into_iter().flatten().min()
    }
}

fn session_params(params: &MediaParams, policy: &MediaPolicy, signalling: IpAddr) -> SessionParams {
    let mut allowed = policy.allowed.clone();
    allowed.push(signalling.into());
    let receiver = ReceiverParams {
        policy: policy.source,
        sdp_remote: params.remote,
        allowed,
        audio_payload_types: params.receive.clone(),
        dtmf_payload_type: params.dtmf_receive,
        // Its payload type is fixed, and many a gateway sends it without a word in the SDP: taken for unknown, it would look like a loss.
        comfort_noise: Some(13),
        reorder_wait: policy.reorder_wait,
    };
    SessionParams { receiver, srtp: params.srtp.clone(), rtcp_mux: params.rtcp_mux, rtcp_remote: params.remote_rtcp }
}

/// SplitMix64: neighbouring seeds give unrelated numbers.
fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
