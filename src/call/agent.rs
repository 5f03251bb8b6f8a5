//! Events of the Realtime session, and barge-in (R14).

use super::CallEvent;
use super::digits::Way;
use super::downlink::Downlink;
use super::machine::{Call, Phase};
use super::segments::{LOCAL, Said, unheard};
use super::transfer::Transfer;
use crate::audio::playout::{Heard, Played};
use crate::config::dialplan::Dialplan;
use crate::observe::pii::Pii;
use crate::realtime::buffers::Used;
use crate::realtime::session::SessionFault;
use crate::realtime::{AgentEvent, AgentSpec, AudioFormat, Intent, SegmentId, TurnDetection};
use crate::tools::policy;
use std::time::{Duration, Instant};

/// Responses that may fail in a row before the number's fallback takes over.
const MOST_FAILURES: u32 = 2;
/// Said to the model after a failed response, so that the caller's turn is not lost (R3).
const TRY_AGAIN: &str = "Your last answer failed on the way. Answer the caller's last words now.";

/// The session's configuration as the dialplan asks for it.
pub(super) fn spec(plan: &Dialplan, format: AudioFormat) -> AgentSpec {
    AgentSpec {
        instructions: plan.instructions.clone(),
        voice: plan.voice.clone(),
        format,
        turn_detection: plan.turn_detection.clone(),
        transcription: plan.transcription.clone(),
        noise_reduction: plan.noise_reduction.clone(),
        tools: policy::definitions(&plan.tools),
        temperature: plan.temperature,
        max_output_tokens: plan.max_output_tokens,
        speed: plan.speed,
    }
}

/// `(create_response, interrupt_response)`.
fn automatic(turn_detection: &TurnDetection) -> (bool, bool) {
    match *turn_detection {
        TurnDetection::ServerVad { create_response, interrupt_response, .. }
        | TurnDetection::SemanticVad { create_response, interrupt_response, .. } => {
            (create_response, interrupt_response)
        }
    }
}

impl Call {
    pub(super) fn agent_event(&mut self, now: Instant, event: AgentEvent) {
        if !matches!(event, AgentEvent::Audio { .. }) {
            self.clocks.stir();
        }
        match event {
            AgentEvent::Ready { session_id, .. } => self.realtime_ready(now, session_id),
            AgentEvent::ResponseStarted => {
                self.response_active = true;
                self.turns.response_started();
                self.farewell_response(true);
                self.consult_response(true);
            }
            AgentEvent::SegmentStarted { segment } => self.segment_started(now, segment),
            AgentEvent::Audio { segment, audio } => {
                self.agent_audio(now, segment, &audio);
                self.reuse(Used::Audio(audio));
            }
            AgentEvent::SegmentEnded { segment, .. } => {
                if let Some(voice) = self.voice() {
                    voice.end(segment.0);
                }
                let said = self.segments.end(segment);
                self.said(said);
            }
            AgentEvent::ResponseEnded { failed, .. } => {
                self.response_active = false;
                self.farewell_response(false);
                self.consult_response(false);
                self.response_ended(now, failed);
            }
            AgentEvent::AgentText { segment, text } => {
                let said = self.segments.text(segment, text);
                self.said(said);
            }
            AgentEvent::CallerSpeechStarted { turn, .. } => self.caller_starts(now, turn),
            AgentEvent::CallerSpeechStopped { .. } => self.caller_stops(now),
            AgentEvent::CallerText { turn, text } => {
                if let Some(record) = &mut self.record {
                    record.said(self.turns.caller_began(turn).unwrap_or(now), "caller", &text);
                }
                self.note(CallEvent::CallerSaid(Pii(text)));
            }
            AgentEvent::ToolCall { id, name, arguments } => self.tool_call(now, id, name, &arguments),
            // The CDR takes the session's sum at the end.
            AgentEvent::Usage(_) => {}
            AgentEvent::Rejected { command, code, message } => {
                self.farewell_rejected(command);
                self.consult_rejected(command);
                self.warn("realtime_rejected", format!("{}: {message}", code.unwrap_or_default()));
            }
            AgentEvent::Warning { label, detail } => self.warn(label, detail),
            AgentEvent::Closed { fault } => {
                let fault = fault.unwrap_or(SessionFault::Lost { code: None, reason: "closed".to_owned() });
                self.close_socket();
                self.realtime_failed(now, fault);
            }
        }
    }

    fn realtime_ready(&mut self, now: Instant, session_id: String) {
        if std::mem::replace(&mut self.ready, true) {
            return;
        }
        let mut ms = 0;
        if let Some(record) = &mut self.record {
            record.cdr.realtime_session = Some(session_id);
            ms = record.since_start(now).as_millis() as u64;
        }
        self.note(CallEvent::RealtimeReady { ms });
        self.tell_caller_data(now);
        if self.answered.is_none() {
            self.answer(now);
        } else if let Some(media) = &mut self.media {
            media.uplink.start(now);
        }
    }

    // ---- the agent's voice

    /// A text that is nothing but the next piece of what the agent says, of which there are 50 a second. `false`: nothing was done.
    pub(super) fn agent_delta(&mut self, now: Instant, text: &str) -> bool {
        let Some((segment, audio)) = self.session.as_mut().and_then(|session| session.take_audio(now, text)) else {
            return false;
        };
        if !audio.is_empty() {
            self.agent_audio(now, segment, &audio);
        }
        self.reuse(Used::Audio(audio));
        if self.clocks.filler.is_some() {
            self.filler_clock(now);
        }
        true
    }

    fn segment_started(&mut self, now: Instant, segment: SegmentId) {
        self.segments.begin(now, segment);
        if self.on_hold() || !self.admits_speech() {
            self.cut_unheard(now, segment);
        }
    }

    fn agent_audio(&mut self, now: Instant, segment: SegmentId, audio: &[u8]) {
        if !self.segments.takes_audio(now, segment) {
            return;
        }
        self.failures = 0;
        self.turns.audio(now);
        let taken = self.voice().is_none_or(|voice| voice.push(segment.0, audio));
        if !taken {
            self.warn("playout_full", "more than the queue holds; the rest of the answer is dropped");
        }
    }

    /// What one packet carried.
    pub(super) fn played(&mut self, now: Instant, played: Played) {
        if played.samples > 0
            && let Some(latency_ms) = self.turns.packet(now)
        {
            self.note(CallEvent::AgentSpeaks { latency_ms });
        }
        if let Some(segment) = played.finished {
            self.clocks.stir();
            let said = self.segments.played(SegmentId(segment));
            self.said(said);
            if self.voice_ref().is_some_and(Downlink::is_drained) {
                self.note(CallEvent::AgentStops);
            }
        }
    }

    /// Words the caller has heard.
    fn said(&mut self, said: Option<Said>) {
        let Some(Said { began, text }) = said else { return };
        let speaker = self.speaker();
        if let Some(record) = &mut self.record {
            record.said(began, speaker, &text);
        }
        self.note(CallEvent::AgentSaid(Pii(text)));
    }

    /// A failed response is silence to the caller: once more, then the number's fallback.
    fn response_ended(&mut self, now: Instant, failed: Option<SessionFault>) {
        let Some(fault) = failed else { return };
        self.failures += 1;
        self.warn("response_failed", fault.to_string());
        if !self.is_talking() || self.transfer.as_ref().is_some_and(Transfer::whispers) {
            return;
        }
        if self.failures < MOST_FAILURES {
            self.intent(now, Intent::Say(TRY_AGAIN.to_owned()));
        } else {
            self.close_socket();
            self.realtime_failed(now, fault);
        }
    }

    // ---- the caller's voice

    fn caller_starts(&mut self, now: Instant, turn: u64) {
        self.caller_speaks = true;
        self.turns.caller_starts(now, turn);
        self.silence.heard();
        self.note(CallEvent::CallerSpeaks);
        if automatic(&self.plan.turn_detection).1 {
            self.barge_in(now);
        }
    }

    fn caller_stops(&mut self, now: Instant) {
        self.caller_speaks = false;
        self.silence.heard();
        if automatic(&self.plan.turn_detection).0 {
            self.turns.caller_stops(now);
        }
        self.note(CallEvent::CallerStops);
    }

    /// A key: stops the agent as speech does (DTM-07).
    pub(super) fn pressed(&mut self, now: Instant, way: Way, key: char) {
        self.clocks.stir();
        if self.is_ended() || !self.digits.count_key(now, way, key) {
            return;
        }
        self.silence.heard();
        self.note(CallEvent::Digit);
        self.barge_in(now);
        if !self.collect_key(now, key) {
            self.digits.enter(key);
        }
    }

    /// Whether an entry would reach the model now.
    pub(super) fn takes_digits(&self) -> bool {
        let whispers = self.transfer.as_ref().is_some_and(Transfer::whispers);
        self.ready && self.is_talking() && !self.on_hold() && !whispers
    }

    pub(super) fn digit_clock(&mut self, now: Instant) {
        if !self.takes_digits() {
            return;
        }
        if let Some(entry) = self.digits.take(now) {
            self.intent(now, Intent::Digits(entry));
            self.turns.expect_answer(now);
        }
    }

    /// The caller cuts in. Last words, and words before a transfer, are spoken to their end.
    fn barge_in(&mut self, now: Instant) {
        if !self.is_talking() || self.transfer.is_some() {
            return;
        }
        let last_speech = self.media.as_ref().and_then(|m| Some(m.downlink.last_speech()? + m.downlink.ptime()));
        let Some(heard) = self.interrupt(now) else { return };
        let stop = last_speech.map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
        self.turns.interrupted(heard.heard_ms, stop);
        if let Some(record) = &mut self.record {
            record.cdr.barge_ins += 1;
        }
        self.note(CallEvent::BargeIn { heard_ms: heard.heard_ms, stop_ms: stop.as_millis() as u64 });
    }

    /// Stops the agent at once: what plays, what waits, and what is still being made. The segment that was cut first.
    pub(super) fn interrupt(&mut self, now: Instant) -> Option<Heard> {
        let cut = self.voice().map(Downlink::flush).unwrap_or_default();
        let first = cut.first().copied();
        for heard in cut.into_iter().filter(|h| h.segment < LOCAL) {
            self.intent(now, Intent::Interrupt { segment: SegmentId(heard.segment), heard_ms: heard.heard_ms });
            let said = self.segments.cut(now, heard);
            self.said(said);
        }
        let unplayed: Vec<SegmentId> = self.segments.open().collect();
        for segment in &unplayed {
            self.cut_unheard(now, *segment);
        }
        first.or(unplayed.first().map(|id| unheard(*id)))
    }

    fn cut_unheard(&mut self, now: Instant, segment: SegmentId) {
        self.intent(now, Intent::Interrupt { segment, heard_ms: 0 });
        self.segments.cut(now, unheard(segment));
    }

    // ---- clocks

    pub(super) fn is_drained(&self) -> bool {
        self.segments.open().next().is_none() && self.voice_ref().is_none_or(Downlink::is_drained)
    }

    /// Whether the agent, and not the caller, is at work.
    pub(super) fn agent_busy(&self, now: Instant) -> bool {
        !self.is_drained() || self.response_active || self.tools.is_busy() || self.turns.is_awaited(now)
    }

    pub(super) fn silence_clock(&mut self, now: Instant) {
        use super::silence::Silent;
        let waiting = matches!(self.phase, Phase::Talking)
            && (self.greeted && self.ready && self.transfer.is_none())
            && !(self.on_hold() || self.caller_speaks || self.agent_busy(now));
        match self.silence.update(now, waiting) {
            Some(Silent::CheckIn) => {
                self.note(CallEvent::CheckIn);
                self.intent(now, Intent::Say(self.plan.limits.check_in.clone()));
            }
            Some(Silent::Goodbye) => {
                let end = super::CallEnd::new(crate::observe::cdr::EndedBy::Agent, super::end::Cause::CallerSilent);
                self.say_goodbye(now, self.plan.limits.goodbye.clone(), end);
            }
            None => {}
        }
    }
}
