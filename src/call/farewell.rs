//! Last words: spoken, heard to the last sample, then BYE (invariants 6 and 10).
//!
//! "Heard" is segments ended and playout drained, never the service's word for it. Every wait is bounded.

use super::end::Cause;
use super::limits::Due;
use super::machine::{Call, Phase};
use super::{CallEnd, CallEvent};
use crate::observe::cdr::EndedBy;
use crate::realtime::{CommandId, Intent};
use std::time::{Duration, Instant};

/// Longest farewell.
const LONGEST: Duration = Duration::from_secs(15);
/// A response that was asked for must begin within this.
const BEGIN: Duration = Duration::from_secs(5);
/// A response that still runs, but says nothing more, is waited for this long.
const STRAGGLER: Duration = Duration::from_secs(2);
/// From the last sample to the BYE: what the peer's jitter buffer still holds is heard, too.
const TAIL: Duration = Duration::from_millis(200);
/// Said when nothing is received from the caller (RTP-10).
const NOT_HEARD: &str = "Nothing has been received from the caller for a while; the line seems to be broken. \
    In one short sentence, in the language of this call, say that you cannot hear the caller and have to end the call.";

/// What is waited for.
#[derive(Debug)]
enum Wait {
    /// Words were asked for; their response has begun or not.
    Words { command: CommandId, begun: bool, begin_by: Instant },
    /// A clip of ours is to be played once the caller hears us.
    Clip,
    /// Everything queued is to be heard. `admits`: the running response may still begin a segment.
    Drain { admits: bool },
}

/// The state of [`Phase::Ending`].
#[derive(Debug)]
pub(super) struct Farewell {
    end: CallEnd,
    wait: Wait,
    deadline: Instant,
    drained_at: Option<Instant>,
}

impl Call {
    /// Hangs up once everything said so far is heard.
    pub(super) fn hang_up_when_heard(&mut self, now: Instant, end: CallEnd) {
        let wait = Wait::Drain { admits: self.response_active };
        self.farewell(now, end, wait, now + LONGEST);
    }

    /// Has the model say `words` (what they are about), and hangs up when they are heard.
    pub(super) fn say_goodbye(&mut self, now: Instant, words: String, end: CallEnd) {
        if !self.is_talking() {
            return;
        }
        let cap = self.limits.as_ref().map_or(now + LONGEST, |l| l.cap());
        self.note(CallEvent::Goodbye);
        let Some(command) = self.intent(now, Intent::Say(words)) else { return self.hang_up_when_heard(now, end) };
        let wait = Wait::Words { command, begun: false, begin_by: now + BEGIN };
        self.farewell(now, end, wait, cap.min(now + LONGEST));
    }

    /// Plays the apology behind what is queued, and hangs up when it is heard.
    pub(super) fn say_sorry(&mut self, now: Instant, end: CallEnd) {
        // Established comes within 32 s, or the user agent ends the call (64*T1).
        self.farewell(now, end, Wait::Clip, now + Duration::from_secs(40));
    }

    fn farewell(&mut self, now: Instant, end: CallEnd, wait: Wait, deadline: Instant) {
        if self.is_ended() {
            return;
        }
        // Nobody hears last words on hold.
        if self.on_hold() {
            return self.hang_up(now, end);
        }
        self.phase = Phase::Ending(Farewell { end, wait, deadline, drained_at: None });
    }

    /// Whether the agent may begin to speak.
    pub(super) fn admits_speech(&self) -> bool {
        match &self.phase {
            Phase::Talking => !self.is_settling(),
            Phase::Ending(f) => matches!(f.wait, Wait::Words { .. } | Wait::Drain { admits: true }),
            Phase::Ringing | Phase::Bridged { .. } | Phase::Ended => false,
        }
    }

    /// Words were asked for and have not begun.
    pub(super) fn awaits_last_words(&self) -> bool {
        matches!(&self.phase, Phase::Ending(f) if matches!(f.wait, Wait::Words { .. }))
    }

    /// A response began or ended.
    pub(super) fn farewell_response(&mut self, began: bool) {
        let Phase::Ending(farewell) = &mut self.phase else { return };
        match (&mut farewell.wait, began) {
            (Wait::Words { begun, .. }, true) => *begun = true,
            (Wait::Words { begun: true, .. } | Wait::Drain { .. }, false) => {
                farewell.wait = Wait::Drain { admits: false };
            }
            _ => {}
        }
    }

    /// The service refused to speak.
    pub(super) fn farewell_rejected(&mut self, refused: Option<CommandId>) {
        if let Phase::Ending(farewell) = &mut self.phase
            && matches!(farewell.wait, Wait::Words { command, .. } if Some(command) == refused)
        {
            farewell.wait = Wait::Drain { admits: false };
        }
    }

    /// No more words come.
    pub(super) fn farewell_without_session(&mut self) {
        if let Phase::Ending(farewell) = &mut self.phase
            && !matches!(farewell.wait, Wait::Clip)
        {
            farewell.wait = Wait::Drain { admits: false };
        }
    }

    pub(super) fn farewell_clock(&mut self, now: Instant) {
        let drained = self.is_drained();
        let heard = self.last_words_heard_at();
        let Phase::Ending(farewell) = &mut self.phase else { return };
        let mut done = now >= farewell.deadline;
        match &mut farewell.wait {
            Wait::Words { begun: false, begin_by, .. } if now >= *begin_by => {
                farewell.wait = Wait::Drain { admits: false };
            }
            Wait::Words { .. } => {}
            Wait::Clip => {
                if self.established
                    && let Some(media) = &mut self.media
                {
                    let clip = super::fallback::clip(self.apology.as_deref());
                    let queued = Duration::from_millis(u64::from(media.downlink.queued_ms()));
                    let length = Duration::from_micros(clip.len() as u64 * 125);
                    media.downlink.push_clip(super::segments::LOCAL, &clip);
                    farewell.deadline = now + queued + length + Duration::from_secs(2);
                    farewell.wait = Wait::Drain { admits: false };
                }
                return if done {
                    self.end_farewell(now)
                };
            }
            Wait::Drain { .. } => {
                if !drained {
                    farewell.drained_at = None;
                } else {
                    let drained_at = *farewell.drained_at.get_or_insert(now);
                    let straggler = if self.response_active { drained_at + STRAGGLER } else { drained_at };
                    done |= now >= straggler && heard.is_none_or(|at| now >= at);
                }
            }
        }
        if done {
            self.end_farewell(now);
        }
    }

    fn end_farewell(&mut self, now: Instant) {
        if let Phase::Ending(farewell) = &self.phase {
            let end = farewell.end.clone();
            self.hang_up(now, end);
        }
    }

    /// When the peer has played the last packet with speech.
    pub(super) fn last_words_heard_at(&self) -> Option<Instant> {
        let downlink = &self.media.as_ref()?.downlink;
        Some(downlink.last_speech()? + downlink.ptime() + TAIL)
    }

    pub(super) fn farewell_timeout(&self, now: Instant) -> Option<Instant> {
        let Phase::Ending(farewell) = &self.phase else { return None };
        let next = match &farewell.wait {
            Wait::Words { begun: false, begin_by, .. } => Some(*begin_by),
            Wait::Drain { .. } => farewell.drained_at.map(|at| {
                let straggler = if self.response_active { at + STRAGGLER } else { at };
                self.last_words_heard_at().map_or(straggler, |heard| heard.max(straggler))
            }),
            Wait::Words { .. } | Wait::Clip => None,
        };
        Some(next.filter(|at| *at > now).map_or(farewell.deadline, |at| at.min(farewell.deadline)))
    }

    pub(super) fn limit_clock(&mut self, now: Instant) {
        if self.is_ended() || self.answered.is_none() {
            return;
        }
        let last_heard = self.media.as_ref().and_then(|m| m.rtp.receiver.last_heard());
        let Some(due) = self.limits.as_mut().and_then(|limits| limits.due(now, last_heard)) else { return };
        match due {
            Due::End => self.hang_up(now, CallEnd::new(EndedBy::Agent, Cause::MaxCall)),
            Due::NoMedia if self.is_bridged() => self.hang_up(now, CallEnd::new(EndedBy::Fault, Cause::NoMedia)),
            Due::Goodbye if self.on_hold() || self.transfer.is_some() || self.is_bridged() => {}
            Due::Goodbye => {
                let end = CallEnd::new(EndedBy::Agent, Cause::MaxCall);
                self.say_goodbye(now, self.plan.limits.goodbye.clone(), end);
            }
            // While a transfer runs the telephone system may have taken the caller's media elsewhere already.
            Due::NoMedia if self.transfer.is_some() => {
                if let Some(limits) = &mut self.limits {
                    limits.set_receiving(now, true);
                }
            }
            Due::NoMedia => {
                let end = CallEnd::new(EndedBy::Fault, Cause::NoMedia);
                self.say_goodbye(now, NOT_HEARD.to_owned(), end);
            }
        }
    }
}
