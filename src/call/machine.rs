//! The machine itself: its parts, `handle`, `poll_output`, the timers, and the one way out.
//!
//! Every input ends in [`Call::advance`] (`clocks`), which runs whatever is due; RTP packets are made in `poll_output`, one at a time,
//! into one reused buffer.

use super::clocks::Clocks;
use super::digits::Digits;
use super::farewell::Farewell;
use super::filler::Filler;
use super::leg::{Leg, Wish};
use super::limits::LimitClock;
use super::link::Socket;
use super::media::{Goodbye, Media};
use super::one_way::OneWay;
use super::record::Record;
use super::segments::Segments;
use super::silence::SilenceClock;
use super::tools::Tools;
use super::transfer::Transfer;
use super::turn::Turns;
use super::{CallEnd, CallEvent, CallParams, Input, MediaPolicy, Output};
use crate::config::dialplan::Dialplan;
use crate::observe::pii::Pii;
use crate::realtime::session::Session;
use crate::realtime::{AudioFormat, Endpoint, Greeting, Intent};
use crate::rtp::rtcp::WallClock;
use crate::sip::offer_answer::Negotiation;
use crate::sip::user_agent::{SessionId, UaCommand};
use crate::trunk::{CallerInfo, Trunk};
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Outputs that may wait. The owner drains after each input, so this is never reached; beyond it, notes are not written.
const MOST_OUTPUTS: usize = 4_096;

/// Where the call is.
pub(super) enum Phase {
    /// Not answered: 180 was sent.
    Ringing,
    Talking,
    /// Caller and callee speak to each other; the agent is gone.
    Bridged {
        since: Instant,
    },
    /// The last words.
    Ending(Farewell),
    Ended,
}

/// The machine.
pub struct Call {
    pub(super) plan: Arc<Dialplan>,
    pub(super) id: SessionId,
    pub(super) dialled: String,
    pub(super) source: SocketAddr,
    pub(super) apology: Option<Arc<[i16]>>,
    pub(super) policy: MediaPolicy,
    pub(super) seed: u64,
    pub(super) wall_clock: WallClock,
    pub(super) endpoint: Endpoint,
    pub(super) ready_timeout: Duration,
    pub(super) format: AudioFormat,

    pub(super) phase: Phase,
    pub(super) negotiation: Negotiation,
    /// SDP of our 200; for a late offer that is our offer.
    pub(super) local_sdp: Bytes,
    pub(super) answered: Option<Instant>,
    /// The caller certainly hears us: the ACK came, or a packet.
    pub(super) established: bool,
    pub(super) media: Option<Media>,

    pub(super) socket: Socket,
    pub(super) session: Option<Box<Session>>,
    pub(super) session_timeout: Option<Instant>,
    /// The session is configured and not over.
    pub(super) ready: bool,
    pub(super) greeted: bool,
    pub(super) response_active: bool,
    pub(super) caller_speaks: bool,
    pub(super) failures: u32,

    pub(super) segments: Segments,
    pub(super) turns: Turns,
    pub(super) digits: Digits,
    pub(super) tools: Tools,
    pub(super) transfer: Option<Transfer>,
    pub(super) transfers: u32,
    pub(super) leg_wish: Option<Wish>,
    pub(super) leg: Option<Box<Leg>>,
    /// The dialog that referred us to another target, while that is called.
    pub(super) moving: Option<SessionId>,
    pub(super) moves: u32,
    /// The answer to our offer in a 200 is still to come.
    pub(super) answer_due: bool,
    pub(super) trunk: Option<Arc<Trunk>>,
    pub(super) caller_info: CallerInfo,
    pub(super) limits: Option<LimitClock>,
    pub(super) silence: SilenceClock,
    pub(super) one_way: OneWay,
    pub(super) filler: Filler,
    pub(super) clocks: Clocks,
    pub(super) record: Option<Record>,

    /// The last reports (RTCP BYE) of the call's own stream and of the second leg's.
    pub(super) goodbye: Option<Goodbye>,
    pub(super) leg_goodbye: Option<Goodbye>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) packet: Vec<u8>,
}

impl Call {
    /// Takes the offer (if any); a refused one ends the call at once with its status.
    pub fn new(now: Instant, params: CallParams) -> Call {
        let (dialled, unix_ms) = (params.record.dialled.clone(), params.record.started_unix_ms);
        let record = Record::new(now, params.record, params.plan.transcript);
        let codec = params.negotiation.local().codecs.first().copied();
        let codec = codec.unwrap_or(crate::sip::offer_answer::Codec::Pcmu);
        let mut call = Call {
            format: params.plan.audio.format(codec),
            silence: SilenceClock::new(params.plan.limits.caller_silence),
            plan: params.plan,
            id: params.session,
            dialled,
            source: params.source,
            apology: params.apology,
            policy: params.media,
            seed: params.seed,
            endpoint: params.endpoint,
            ready_timeout: params.ready_timeout,
            phase: Phase::Ringing,
            negotiation: params.negotiation,
            local_sdp: Bytes::new(),
            answered: None,
            established: false,
            media: None,
            socket: Socket::None,
            session: None,
            session_timeout: None,
            ready: false,
            greeted: false,
            response_active: false,
            caller_speaks: false,
            failures: 0,
            segments: Segments::default(),
            turns: Turns::default(),
            digits: Digits::default(),
            tools: Tools::default(),
            transfer: None,
            transfers: 0,
            leg_wish: None,
            leg: None,
            moving: None,
            moves: 0,
            answer_due: false,
            trunk: params.trunk,
            caller_info: params.caller_info,
            limits: None,
            one_way: OneWay::default(),
            filler: Filler::default(),
            clocks: Clocks::default(),
            record: Some(record),
            wall_clock: WallClock { at: now, unix_ms },
            goodbye: None,
            leg_goodbye: None,
            outputs: VecDeque::new(),
            packet: Vec::new(),
        };
        call.begin(now, params.offer, params.connect_timeout);
        call.advance(now);
        call
    }

    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        if self.is_ended() || self.media_input(now, &input) {
            return;
        }
        if !matches!(input, Input::Timeout | Input::Rtp { .. } | Input::Rtcp { .. } | Input::RealtimeText(_)) {
            self.clocks.stir();
        }
        match input {
            Input::Timeout => {}
            Input::Sip(event) => self.sip_event(now, event),
            Input::Rtp { from, datagram } => self.datagram(now, from, datagram),
            Input::RealtimeOpen => self.realtime_open(now),
            Input::RealtimeFailed(fault) => self.realtime_refused(now, fault),
            Input::RealtimeText(text) => {
                if let Some(session) = &mut self.session {
                    session.handle_text(now, text);
                }
            }
            Input::RealtimeClosed { code, reason } => self.realtime_closed(now, code, reason),
            Input::LegReady(ready) => self.leg_ready(now, ready),
            Input::LegFailed { status } => self.leg_unavailable(now, status),
            Input::LegRtp { from, datagram } => self.leg_datagram(now, from, datagram),
            Input::Rtcp { from, datagram } => {
                if let Some(media) = &mut self.media {
                    media.rtp.handle_rtcp(now, from, datagram);
                }
            }
            Input::LegRtcp { from, datagram } => {
                if let Some(media) = self.leg.as_mut().and_then(|leg| leg.media.as_mut()) {
                    media.rtp.handle_rtcp(now, from, datagram);
                }
            }
            Input::Tool { id, result } => self.tool_finished(now, id, result),
            Input::Close(end) => self.hang_up(now, end),
        }
        self.advance(now);
    }

    /// Drain down to `Timeout`; nothing follows `Ended`.
    pub fn poll_output(&mut self, now: Instant) -> Output {
        loop {
            if !self.outputs.is_empty()
                && let Some(output) = self.send_goodbye().or_else(|| self.outputs.pop_front())
            {
                return output;
            }
            if self.is_ended() {
                return Output::Timeout(None);
            }
            if self.clocks.may_send(now)
                && let Some(to) = self.send_packet(now)
            {
                return Output::Rtp { to };
            }
            if let Some(to) = self.send_leg_packet(now) {
                return Output::LegRtp { to };
            }
            if self.clocks.may_report(now)
                && let Some(output) = self.send_reports(now)
            {
                return output;
            }
            if self.outputs.is_empty() {
                return Output::Timeout(self.timeout(now));
            }
        }
    }

    /// The datagram of the last `Output::Rtp`, `Output::Rtcp`, `Output::LegRtp` or `Output::LegRtcp`.
    pub fn rtp_bytes(&self) -> &[u8] {
        &self.packet
    }

    /// Caller audio in one append, ms.
    pub fn append_ms(&self) -> u32 {
        self.policy.append_ms
    }

    /// From now on so much, 20 to 100 ms: an owner with too much to do asks for longer appends, and fewer.
    pub fn set_append_ms(&mut self, append_ms: u32) {
        self.policy.append_ms = append_ms;
        if let Some(media) = &mut self.media {
            media.uplink.set_append_ms(append_ms);
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }
    pub(super) fn is_talking(&self) -> bool {
        matches!(self.phase, Phase::Talking)
    }
    pub(super) fn on_hold(&self) -> bool {
        self.media.as_ref().is_some_and(Media::is_hold)
    }

    // ---- caller audio

    pub(super) fn datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Some(media) = &mut self.media else { return };
        media.rtp.handle_rtp(now, from, datagram);
        let heard = media.rtp.receiver.last_packet();
        if heard == Some(now) && !media.aligned {
            media.aligned = media.downlink.align(now);
            self.clocks.asked(true, media.downlink.timeout());
        }
        let (source, stranger) = (media.moved_target(), media.new_stranger());
        if let Some((addr, moved)) = source {
            self.note(CallEvent::MediaSource { addr, moved });
        }
        if let Some(addr) = stranger {
            self.note(CallEvent::SourceRefused { addr });
        }
        if !self.established && self.answered.is_some_and(|answered| heard.is_some_and(|at| at >= answered)) {
            self.established = true;
            self.clocks.stir();
        }
    }

    /// Takes out of the receiver what is due, and runs the stall clock.
    pub(super) fn receive(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Bridged { .. } | Phase::Ended) {
            return;
        }
        let Call { media, session, outputs, clocks, ready, socket, .. } = self;
        let Some(media) = media else { return };
        let mut session = session.as_mut().filter(|_| *ready);
        let mut append = |audio: &[u8]| {
            let Some(session) = &mut session else { return };
            match session.append(audio) {
                Some(text) if *socket == Socket::Open => outputs.push_back(Output::RealtimeText(text)),
                None if session.has_output() => clocks.stir(),
                Some(_) | None => {}
            }
        };
        let Media { rtp, uplink, params, .. } = media;
        uplink.set_reorder_wait(rtp.receiver.reorder_wait());
        let recent = rtp.receiver.recent_codec();
        let mut keys = Vec::new();
        while let Some(received) = rtp.receiver.poll(now) {
            use crate::rtp::receiver::Received;
            match received {
                Received::Audio { payload_type, payload, lost_before, paused_before, .. } => {
                    let codec = recent.filter(|(recent, _)| *recent == payload_type).map(|(_, codec)| codec);
                    if let Some(codec) = codec.or_else(|| Media::codec_of(params, payload_type)) {
                        uplink.audio(now, codec, payload, lost_before, paused_before, &mut append);
                    }
                }
                Received::Digit { event, .. } => keys.extend(super::digits::key_of_event(event)),
                Received::ComfortNoise { level } => uplink.comfort_noise(level),
            }
        }
        uplink.tick(now, &mut append);
        let tones: Vec<char> = if uplink.has_keys() { uplink.take_keys().collect() } else { Vec::new() };
        clocks.received(media);
        for key in keys {
            self.pressed(now, super::digits::Way::Rtp, key);
        }
        for key in tones {
            self.pressed(now, super::digits::Way::Tone, key);
        }
    }

    // ---- first words, silence tone

    /// The first word is spoken when the caller surely hears it.
    pub(super) fn greet(&mut self, now: Instant) {
        if self.greeted || !self.ready || !self.established || !self.is_talking() || self.on_hold() {
            return;
        }
        self.greeted = true;
        if self.plan.greeting != Greeting::None {
            self.intent(now, Intent::Greet(self.plan.greeting.clone()));
            self.turns.expect_answer(now);
        }
    }

    /// A soft tone while the caller waits for the agent.
    pub(super) fn filler_clock(&mut self, now: Instant) {
        let owed = match self.phase {
            Phase::Ending(_) => self.awaits_last_words(),
            Phase::Ringing | Phase::Bridged { .. } | Phase::Ended => false,
            Phase::Talking => {
                self.response_active
                    || self.tools.is_running()
                    || self.turns.is_awaited(now)
                    || self.transfer.as_ref().is_some_and(Transfer::keeps_waiting)
            }
        };
        let Some(media) = &mut self.media else { return };
        let quiet = media.downlink.queued_ms() == 0 && !media.is_hold() && !self.caller_speaks;
        let connecting = self.transfer.is_some();
        let tone = self.filler.update(now, owed && quiet && self.established, connecting);
        self.clocks.filler = self.filler.timeout(now);
        media.downlink.set_tone(tone);
    }

    // ---- outputs and the end

    pub(super) fn put(&mut self, output: Output) {
        if self.outputs.len() < MOST_OUTPUTS || !matches!(output, Output::Note(_)) {
            self.outputs.push_back(output);
        }
    }
    pub(super) fn note(&mut self, event: CallEvent) {
        self.put(Output::Note(event));
    }
    pub(super) fn warn(&mut self, label: &'static str, detail: impl Into<String>) {
        self.note(CallEvent::Warning { label, detail: detail.into() });
    }
    pub(super) fn sip(&mut self, command: UaCommand) {
        self.put(Output::Sip(command));
    }

    /// Ends the call from our side, as its state asks.
    pub(super) fn hang_up(&mut self, now: Instant, end: CallEnd) {
        if self.is_ended() {
            return;
        }
        if self.answered.is_some() {
            self.sip(UaCommand::Hangup { session: self.id, reason: Some(end.reason()) });
        } else {
            self.reject(end.cause.status(), Vec::new());
        }
        self.over(now, end);
    }

    /// The call is over, by whomever: everything is told, closed and released, once.
    pub(super) fn over(&mut self, now: Instant, end: CallEnd) {
        if self.record.is_none() {
            return;
        }
        self.close_leg(now, Some(end.reason()));
        let Some(mut record) = self.record.take() else { return };
        if let Phase::Bridged { since } = self.phase {
            record.cdr.bridged_ms = Some(now.saturating_duration_since(since).as_millis() as u64);
        }
        let mut said = Vec::new();
        if let Some(media) = &mut self.media {
            self.goodbye = media.goodbye(now);
            let downlink = &media.downlink;
            said = self.segments.close(|segment| downlink.heard(segment));
            record.left(media);
            record.cdr.codec = Some(media.params.codec.name().to_owned());
            record.cdr.srtp = media.rtp.suite().map(crate::srtp_key::Suite::name);
        }
        for said in said {
            record.said(said.began, "agent", &said.text);
            self.note(CallEvent::AgentSaid(Pii(said.text)));
        }
        if self.answered.is_none() && record.cdr.sip_status == 0 {
            record.cdr.sip_status = end.cause.status();
        }
        for (name, ms) in self.tools.abandon(now) {
            record.tool(name, false, ms);
        }
        record.cdr.dtmf_digits = self.digits.count();
        record.cdr.turns = std::mem::take(&mut self.turns).into_records();
        if let Some(session) = &self.session {
            record.cdr.tokens = session.usage().into();
        }
        self.phase = Phase::Ended;
        self.close_socket();
        let record = record.finish(now, end);
        self.put(Output::Ended(Box::new(record)));
    }
}
