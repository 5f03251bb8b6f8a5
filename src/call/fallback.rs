//! The Realtime side failed: what the number's dialplan wants then (R1–R5, DLG-14).
//!
//! Before the answer: refuse, so that the PBX overflows, or answer and transfer or apologise. In the call: what is queued
//! is heard to its end, then transfer or apology; the caller is never left in unexplained silence (invariant 11).

use super::end::Cause;
use super::machine::{Call, Phase};
use super::transfer::Transfer;
use super::{CallEnd, CallEvent};
use crate::config::dialplan::Fallback;
use crate::observe::cdr::EndedBy;
use crate::realtime::session::SessionFault;
use std::borrow::Cow;
use std::time::Instant;

/// Of the agent's queued speech, the most that is still played: a longer one sounds like a live agent who ignores the caller.
const MOST_QUEUED_MS: u32 = 5_000;

/// "Sorry" in words, 8 kHz.
const APOLOGY: &[u8] = include_bytes!("../../assets/speech/agent/apology.wav");

impl Call {
    pub(super) fn realtime_failed(&mut self, now: Instant, fault: SessionFault) {
        if self.is_ended() {
            return;
        }
        self.ready = false;
        self.response_active = false;
        self.caller_speaks = false;
        self.abandon_tools(now);
        self.end_open_segments(now);
        if matches!(self.phase, Phase::Ending(_)) {
            return self.farewell_without_session();
        }
        let end = CallEnd::new(EndedBy::Fault, Cause::Realtime(fault));
        if let Some(transfer) = &mut self.transfer {
            // It needs no model; if it fails, there is none to come back to.
            transfer.orphan(end);
            return;
        }
        match &self.plan.fallback {
            Fallback::Reject if self.answered.is_none() => {
                self.note(CallEvent::Fallback("reject"));
                self.hang_up(now, end);
            }
            Fallback::Reject | Fallback::Apology { .. } => self.apologise(now, end),
            Fallback::Transfer { target } => {
                let found = super::transfer::find_target(&self.plan.tools, target, None);
                match found.and_then(|target| Transfer::fallback(now, target, end.clone())) {
                    Some(transfer) => {
                        self.note(CallEvent::Fallback("transfer"));
                        self.answer(now);
                        self.transfer = Some(transfer);
                    }
                    None => self.apologise(now, end),
                }
            }
        }
    }

    /// Answers if need be, says sorry, hangs up.
    pub(super) fn apologise(&mut self, now: Instant, end: CallEnd) {
        self.note(CallEvent::Fallback("apology"));
        self.answer(now);
        self.say_sorry(now, end);
    }

    fn end_open_segments(&mut self, now: Instant) {
        let open = self.segments.end_all();
        let Some(voice) = self.voice() else { return };
        open.iter().for_each(|segment| voice.end(segment.0));
        if voice.queued_ms() > MOST_QUEUED_MS {
            self.interrupt(now);
        }
    }
}

/// The apology: the dialplan's own, else the built-in one.
pub(super) fn clip(own: Option<&[i16]>) -> Cow<'_, [i16]> {
    match own {
        Some(clip) if !clip.is_empty() => Cow::Borrowed(clip),
        _ => {
            let recorded = crate::audio::wav::decode_8k_mono("apology.wav", APOLOGY);
            Cow::Owned(recorded.unwrap_or_else(|_| crate::audio::tone::apology()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_clip_comes_first() {
        assert_eq!(clip(Some(&[1, 2, 3])).as_ref(), &[1, 2, 3]);
        assert!(clip(Some(&[])).len() > 16_000, "an empty file is no apology; the built-in one is speech");
    }
}
