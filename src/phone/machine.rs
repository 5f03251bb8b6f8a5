//! The phone as a pure machine: one outgoing call from INVITE to the report.
//!
//! `media` has what happens at each packet interval, and what comes.
//! `handle_*` takes inputs, `poll_output` is drained down to [`PhoneOutput::Timeout`]; nothing follows `Done`.

mod media;

use super::activity::Activity;
use super::report::{Measured, Outcome, Report};
use super::script::{Script, Step};
use super::tracks::Tracks;
use crate::audio::codec::{Decoder, Encoder};
use crate::audio::pcm::Rate;
use crate::rtp::quality::Quality;
use crate::rtp::receiver::{ReceiverParams, SourcePolicy};
use crate::rtp::rtcp::WallClock;
use crate::rtp::sender::Sender;
use crate::rtp::session::{Port, RtpSession, SessionParams};
use crate::sip::Flow;
use crate::sip::TrunkId;
use crate::sip::headers::{Name, Reason};
use crate::sip::message::{Message, ParseFailure};
use crate::sip::offer_answer::{Codec, LocalMedia, MediaParams, Negotiation};
use crate::sip::uri::Uri;
use crate::sip::user_agent::{NewInvite, SessionEnd, SessionId, UaCommand, UaConfig, UaEvent, UaOutput, UserAgent};
use crate::srtp_key::Suite;
use bytes::Bytes;
use media::{Clip, Pace};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The shell bounds how long it rings ([`super::CallOptions::answer_timeout`]); this is for one that never hangs up.
const RING_LIMIT: Duration = Duration::from_secs(3600);

/// Longer than this between two frames is a stall: frames in it are skipped, not sent in a burst.
const STALL: Duration = Duration::from_millis(100);
/// How long a hole in the agent's packets may stay open.
const REORDER_WAIT: Duration = Duration::from_millis(60);

/// What one call is made of.
pub struct PhoneConfig {
    pub ua: UaConfig,
    pub flow: Flow,
    /// Tried when nobody answers there.
    pub further: Vec<Flow>,
    pub target: Uri,
    /// From header value without tag, e.g. `"Test" <sip:100@127.0.0.1>`.
    pub from: String,
    pub headers: Vec<(Name, String)>,
    pub media: LocalMedia,
    pub steps: Vec<Step>,
    /// Rate of the steps' clips.
    pub clip_rate: Rate,
    /// Seed of SSRC, sequence, timestamp and CNAME.
    pub seed: u64,
    /// Wall clock when the call is placed, Unix ms (NTP time of reports).
    pub unix_ms: u64,
    /// Hang up this long after the answer, whatever the script does.
    pub hangup_after: Option<Duration>,
}

/// What the user of the phone may want to see while it happens.
#[derive(Clone, Debug, PartialEq)]
pub enum PhoneEvent {
    Progress(u16),
    Answered,
    CallerSpeaks(String),
    CallerStops,
    AgentSpeaks,
    AgentStops,
    Digits(String),
    /// The far end pressed a key.
    DigitReceived(char),
    Held(bool),
    ScriptNote(&'static str),
}

/// What the machine wants.
#[derive(Debug)]
pub enum PhoneOutput {
    Sip {
        flow: Flow,
        bytes: Bytes,
    },
    Rtp {
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    /// By the RTCP port.
    Rtcp {
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    Event(PhoneEvent),
    /// The call is over and every SIP transaction with it.
    Done(Box<Report>),
    Timeout(Option<Instant>),
}

/// The machine.
pub struct Phone {
    ua: UserAgent,
    session: SessionId,
    negotiation: Negotiation,
    seed: u64,
    wall_clock: WallClock,
    media: Option<MediaParams>,
    rtp: Option<RtpSession>,
    sender: Sender,
    source: SocketAddr,
    script: Script,
    clip: Option<Clip>,
    activity: Activity,
    /// At the rate of the first codec agreed on.
    tracks: Tracks,
    clip_rate: Rate,
    pace: Option<Pace>,
    hangup_after: Option<Duration>,
    measured: Measured,
    outputs: VecDeque<PhoneOutput>,
    finished: bool,
    decoder: Decoder,
    encoder: Encoder,
    frame: Vec<i16>,
    codes: Vec<u8>,
    packet: Vec<u8>,
}

impl Phone {
    /// Places the call: the INVITE is the first output.
    pub fn new(now: Instant, config: PhoneConfig) -> Phone {
        let mut ua = UserAgent::new(config.ua);
        let session = ua.new_session_id();
        let mut negotiation = Negotiation::new(config.media);
        let sdp = Some(negotiation.offer());
        ua.command(
            now,
            UaCommand::Invite(Box::new(NewInvite {
                session,
                trunk: TrunkId(0),
                flows: std::iter::once(config.flow).chain(config.further).collect(),
                target: config.target,
                from: config.from,
                sdp,
                headers: config.headers,
                ring_limit: RING_LIMIT,
            })),
        );
        let seed = config.seed;
        Phone {
            ua,
            session,
            negotiation,
            seed,
            wall_clock: WallClock { at: now, unix_ms: config.unix_ms },
            media: None,
            rtp: None,
            sender: Sender::new(seed as u32, (seed >> 32) as u16 >> 1, (seed >> 16) as u32),
            source: config.flow.remote,
            script: Script::new(config.steps),
            clip: None,
            activity: Activity::default(),
            tracks: Tracks::new(Rate::Hz8000),
            clip_rate: config.clip_rate,
            pace: None,
            hangup_after: config.hangup_after,
            measured: Measured::new(now),
            outputs: VecDeque::new(),
            finished: false,
            decoder: Decoder::new(),
            encoder: Encoder::new(Codec::Pcmu),
            frame: Vec::new(),
            codes: Vec::new(),
            packet: Vec::new(),
        }
    }

    pub fn handle_sip(&mut self, now: Instant, flow: Flow, message: Result<Message, ParseFailure>) {
        self.ua.handle_message(now, flow, Some(TrunkId(0)), message);
    }

    /// The flow is gone (connection closed, ICMP).
    pub fn handle_transport_error(&mut self, now: Instant, flow: Flow) {
        self.ua.handle_transport_error(now, flow);
    }

    pub fn handle_rtp(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Some(rtp) = &mut self.rtp else { return };
        self.measured.arrival(now);
        rtp.handle_rtp(now, from, datagram);
        self.drain_receiver(now);
    }

    pub fn handle_rtcp(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if let Some(rtp) = &mut self.rtp {
            rtp.handle_rtcp(now, from, datagram);
        }
    }

    /// Hangs up (or cancels) now.
    pub fn hang_up(&mut self, now: Instant) {
        let reason = Reason { protocol: "Q.850".into(), cause: Some(16), text: None };
        self.ua.command(now, UaCommand::Hangup { session: self.session, reason: Some(reason) });
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.ua.handle_timeout(now);
        self.drain_receiver(now);
        while let Some(due) = self.pace.as_ref().map(Pace::due).filter(|due| *due <= now) {
            self.interval(now, now.saturating_duration_since(due) > STALL);
        }
    }

    pub fn poll_output(&mut self, now: Instant) -> PhoneOutput {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            match self.ua.poll_output() {
                UaOutput::Transmit { flow, bytes } => return PhoneOutput::Sip { flow, bytes },
                UaOutput::Event(event) => self.ua_event(now, event),
                UaOutput::Timeout(timer) => return self.report(now).unwrap_or_else(|| self.idle(timer)),
            }
        }
    }

    /// The RTCP packet that is due.
    fn report(&mut self, now: Instant) -> Option<PhoneOutput> {
        let next = self.pace.as_ref().map(Pace::due);
        let (port, to) = self.rtp.as_mut()?.poll_rtcp(now, &self.sender, next, &mut self.packet)?;
        Some(self.report_output(port, to))
    }

    fn report_output(&self, port: Port, to: SocketAddr) -> PhoneOutput {
        let bytes = self.packet.clone();
        match port {
            Port::Rtp => PhoneOutput::Rtp { to, bytes },
            Port::Rtcp => PhoneOutput::Rtcp { to, bytes },
        }
    }

    /// Both tracks as recorded so far.
    pub fn tracks(&self) -> &Tracks {
        &self.tracks
    }

    fn idle(&mut self, timer: Option<Instant>) -> PhoneOutput {
        if self.measured.outcome.is_some() && !self.finished {
            self.finished = true;
            let stats = self.rtp.as_ref().map(|rtp| rtp.receiver.stats()).unwrap_or_default();
            let srtp = self.rtp.as_ref().map(RtpSession::srtp_stats).unwrap_or_default();
            return PhoneOutput::Done(Box::new(Report {
                srtp: self.rtp.as_ref().and_then(RtpSession::suite).map(Suite::name),
                srtp_refused: srtp.failed + srtp.replayed + srtp.malformed,
                quality: self.quality(),
                ..Report::new(&self.measured, stats, self.sender.packets(), self.media.as_ref(), &self.tracks)
            }));
        }
        let receiver = self.rtp.as_ref().and_then(RtpSession::timeout);
        let due = self.pace.as_ref().map(Pace::due);
        PhoneOutput::Timeout([timer, receiver, due].into_iter().flatten().min())
    }

    fn quality(&self) -> Quality {
        let (Some(rtp), Some(media)) = (&self.rtp, &self.media) else { return Quality::default() };
        Quality::of(rtp, media.codec, media.ptime_ms as f32)
    }

    fn ua_event(&mut self, now: Instant, event: UaEvent) {
        match event {
            UaEvent::Progress { status, .. } => {
                self.measured.progress(now, status);
                self.outputs.push_back(PhoneOutput::Event(PhoneEvent::Progress(status)));
            }
            UaEvent::Answered { sdp, .. } => self.answered(now, sdp),
            UaEvent::Reinvite { offer, .. } => self.reinvited(now, offer),
            UaEvent::ReinviteDone { status, sdp, .. } if (200..300).contains(&status) => {
                if let Some(Ok(media)) = sdp.map(|sdp| self.negotiation.receive_answer(&sdp)) {
                    self.apply(now, media);
                }
            }
            UaEvent::ReinviteDone { .. } => {
                self.outputs
                    .push_back(PhoneOutput::Event(PhoneEvent::ScriptNote("the other side refused the re-INVITE")));
            }
            UaEvent::ReinviteAck { sdp: Some(sdp), .. } => {
                if let Ok(media) = self.negotiation.receive_answer(&sdp) {
                    self.apply(now, media);
                }
            }
            UaEvent::IncomingCall { session, .. } => {
                self.ua.command(now, UaCommand::Reject { session, status: 486, headers: Vec::new() });
            }
            UaEvent::Ended { session, end } if session == self.session => self.ended(now, end),
            _ => {}
        }
    }

    fn answered(&mut self, now: Instant, sdp: Option<Bytes>) {
        self.measured.answered(now);
        let media = sdp.ok_or("the 200 OK has no SDP").and_then(|sdp| {
            self.negotiation.receive_answer(&sdp).map_err(|_| "the answer's SDP fits none of our codecs")
        });
        match media {
            Ok(media) => {
                self.apply(now, media);
                self.outputs.push_back(PhoneOutput::Event(PhoneEvent::Answered));
            }
            Err(why) => {
                self.measured.trouble = Some(why);
                self.hang_up(now);
            }
        }
        if self.pace.is_none()
            && let Some(media) = &self.media
        {
            let interval = Duration::from_millis(u64::from(media.ptime_ms));
            if let Some(rtp) = &mut self.rtp {
                rtp.start_reports(now, self.wall_clock, self.seed);
            }
            self.pace = Some(Pace { start: now, frames: 0, interval });
        }
    }

    fn reinvited(&mut self, now: Instant, offer: Option<Bytes>) {
        let answer = match offer {
            None => Ok(self.negotiation.offer()),
            Some(offer) => match self.negotiation.receive_offer(&offer) {
                Ok(answer) => {
                    self.apply(now, answer.media);
                    Ok(answer.sdp)
                }
                Err(refusal) => Err(refusal.status),
            },
        };
        self.ua.command(now, UaCommand::AnswerReinvite { session: self.session, answer });
    }

    fn apply(&mut self, now: Instant, media: MediaParams) {
        self.sender.set_format(media.codec, media.send_payload_type, media.dtmf_send, media.ptime_ms);
        let receiver = ReceiverParams {
            policy: SourcePolicy::Latch,
            sdp_remote: media.remote,
            allowed: vec![self.source.ip().into()],
            audio_payload_types: media.receive.clone(),
            dtmf_payload_type: media.dtmf_receive,
            comfort_noise: media.comfort_noise.then_some(13),
            reorder_wait: REORDER_WAIT,
        };
        let params = SessionParams {
            receiver,
            srtp: media.srtp.clone(),
            rtcp_mux: media.rtcp_mux,
            rtcp_remote: media.remote_rtcp,
        };
        if self.media.is_none() {
            self.tracks = Tracks::new(media.codec.rate());
        }
        if self.encoder.codec() != media.codec {
            self.encoder = Encoder::new(media.codec);
        }
        match &mut self.rtp {
            Some(rtp) => rtp.set_params(now, params),
            None => self.rtp = Some(RtpSession::new(params)),
        }
        self.media = Some(media);
    }

    fn ended(&mut self, now: Instant, end: SessionEnd) {
        let next = self.pace.take().map(|pace| pace.due());
        let goodbye = self.rtp.as_mut().and_then(|rtp| rtp.bye(now, &self.sender, next, &mut self.packet));
        if let Some((port, to)) = goodbye {
            let goodbye = self.report_output(port, to);
            self.outputs.push_back(goodbye);
        }
        self.measured.ended(
            now,
            match end {
                SessionEnd::PeerBye { .. } => Outcome::PeerHungUp,
                SessionEnd::Failed { status, .. } => Outcome::Refused(status),
                SessionEnd::Local | SessionEnd::PeerCancel { .. } | SessionEnd::NoAck => Outcome::HungUp,
            },
        );
    }
}
