//! Attended transfer: the target is called, hears from the agent who is calling, and takes the call or not (XFR-05, S8).
//!
//! Calling → Settle → Words → Drain → Await → REFER with Replaces, or the bridge. While the agent speaks to the callee the
//! session hears silence instead of the caller, and the caller hears the waiting tone; nobody hears the other before the
//! call was taken. Whatever goes wrong brings the caller back to the agent, with the outcome.

use super::leg::{LegEnd, normal_clearing};
use super::machine::{Call, Phase};
use super::transfer::Step;
use crate::audio::tone;
use crate::config::dialplan::{Accept, LegPlan};
use crate::realtime::{CommandId, Intent};
use std::time::{Duration, Instant};

/// What the agent was saying to the caller when the callee answered ends within this.
const SETTLE: Duration = Duration::from_secs(2);
/// The caller's last words may still be answered by the service: its VAD notices their end, then creates a response.
const QUIET: Duration = Duration::from_millis(800);
/// The words to the callee: until they begin, and altogether.
const BEGIN: Duration = Duration::from_secs(5);
const LONGEST_WORDS: Duration = Duration::from_secs(30);

/// Where the consultation is.
#[derive(Debug)]
pub(super) enum Consult {
    /// Asked for, or ringing. The leg has deadlines of its own.
    Calling,
    /// Answered: what runs for the caller is stopped first.
    Settle {
        quiet_at: Instant,
        until: Instant,
    },
    Words {
        command: CommandId,
        begun: bool,
        begin_by: Instant,
        until: Instant,
    },
    /// The words, or the tone, are to be heard.
    Drain {
        until: Instant,
    },
    /// For the key, or for nothing but the time.
    Await {
        until: Instant,
    },
}

impl Consult {
    pub fn whispers(&self) -> bool {
        !matches!(self, Consult::Calling)
    }

    fn is_settling(&self) -> bool {
        matches!(self, Consult::Settle { .. })
    }

    /// When time alone moves it on.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        match self {
            Consult::Calling => None,
            // Quiet already, it waits for the response that still runs.
            Consult::Settle { quiet_at, until } => Some(*quiet_at).filter(|at| *at > now).or(Some(*until)),
            Consult::Words { begun: false, begin_by, until, .. } => Some(*begin_by.min(until)),
            Consult::Words { until, .. } | Consult::Drain { until } | Consult::Await { until } => Some(*until),
        }
    }

    /// No more words come.
    pub fn without_session(&mut self) {
        if let Consult::Words { until, .. } = *self {
            *self = Consult::Drain { until };
        }
    }
}

impl Call {
    fn consultation(&mut self) -> Option<&mut Consult> {
        match &mut self.transfer.as_mut()?.step {
            Step::Consult(consult) => Some(consult),
            Step::Drain | Step::Referred { .. } => None,
        }
    }

    fn set_consultation(&mut self, consult: Consult) {
        if let Some(transfer) = &mut self.transfer {
            transfer.step = Step::Consult(consult);
        }
    }

    /// The words are heard: call the target.
    pub(super) fn consult(&mut self, now: Instant, plan: LegPlan) {
        let Some(transfer) = &mut self.transfer else { return };
        transfer.step = Step::Consult(Consult::Calling);
        let uri = transfer.refer_to.clone();
        self.transfer_noted("calling");
        self.open_leg(now, uri, plan.trunk, plan.ring);
    }

    pub(super) fn callee_answered(&mut self, now: Instant) {
        if !matches!(self.consultation(), Some(Consult::Calling)) {
            return;
        }
        self.transfer_noted("answered");
        // What the caller was being told is cut while it is still theirs.
        self.interrupt(now);
        self.hear_caller(false);
        let quiet_at = if self.caller_speaks { now + QUIET } else { now };
        self.caller_speaks = false;
        self.set_consultation(Consult::Settle { quiet_at, until: now + SETTLE });
    }

    /// Whether the session gets the caller's voice.
    fn hear_caller(&mut self, hear: bool) {
        if let Some(media) = &mut self.media {
            media.set_deaf(!hear);
        }
    }

    /// Whether what the agent says now is for nobody: the consultation has not begun.
    pub(super) fn is_settling(&self) -> bool {
        matches!(self.transfer.as_ref().map(|t| &t.step), Some(Step::Consult(consult)) if consult.is_settling())
    }

    pub(super) fn consult_clock(&mut self, now: Instant) {
        let drained = self.is_drained() && !self.response_active;
        let Some(plan) = self.transfer.as_ref().and_then(|t| t.leg.clone()) else { return };
        let Some(consult) = self.consultation() else { return };
        match consult {
            Consult::Settle { quiet_at, until } => {
                let quiet = now >= *quiet_at && drained;
                if quiet || now >= *until {
                    self.whisper(now, plan);
                }
            }
            Consult::Words { begun: false, begin_by, until, .. } if now >= *begin_by => {
                *consult = Consult::Drain { until: *until };
            }
            Consult::Drain { until } | Consult::Words { until, .. } if now >= *until => self.await_callee(now, &plan),
            Consult::Drain { .. } if drained => self.await_callee(now, &plan),
            Consult::Await { until } if now >= *until => match plan.accept {
                Accept::Auto => self.call_taken(now),
                Accept::Key(_) => self.not_taken(now, "the target did not take the call", "not_taken"),
            },
            _ => {}
        }
    }

    fn whisper(&mut self, now: Instant, plan: LegPlan) {
        self.set_consultation(Consult::Drain { until: now + LONGEST_WORDS });
        let context = "In this turn you speak to the person who was called, not to the caller. ";
        if let Some(command) = self.intent(now, Intent::Say(format!("{context}{}", plan.whisper))) {
            let (begin_by, until) = (now + BEGIN, now + LONGEST_WORDS);
            self.set_consultation(Consult::Words { command, begun: false, begin_by, until });
        } else if let Some(voice) = self.voice() {
            voice.push_clip(super::segments::LOCAL, &tone::attention());
        }
    }

    fn await_callee(&mut self, now: Instant, plan: &LegPlan) {
        self.set_consultation(Consult::Await { until: now + plan.accept_within });
    }

    /// A response began or ended.
    pub(super) fn consult_response(&mut self, began: bool) {
        let Some(consult) = self.consultation() else { return };
        match (&mut *consult, began) {
            (Consult::Words { begun, .. }, true) => *begun = true,
            (Consult::Words { begun: true, until, .. }, false) => *consult = Consult::Drain { until: *until },
            _ => {}
        }
    }

    /// The service refused to speak.
    pub(super) fn consult_rejected(&mut self, refused: Option<CommandId>) {
        if let Some(consult) = self.consultation()
            && matches!(consult, Consult::Words { command, .. } if Some(*command) == refused)
        {
            consult.without_session();
        }
    }

    /// A key of the callee before the call is theirs.
    pub(super) fn callee_pressed(&mut self, now: Instant, pressed: char) {
        let accept = self.transfer.as_ref().and_then(|t| t.leg.as_ref()).map(|plan| plan.accept);
        let asked = self.transfer.as_ref().is_some_and(|t| t.whispers());
        if asked && accept == Some(Accept::Key(pressed)) {
            self.call_taken(now);
        }
    }

    /// The callee takes the call: the two are joined, elsewhere or here.
    fn call_taken(&mut self, now: Instant) {
        self.transfer_noted("taken");
        let refers = self.transfer.as_ref().and_then(|t| t.leg.as_ref()).is_some_and(|plan| plan.refer);
        self.whisper_over(now);
        match &mut self.leg {
            Some(leg) if leg.refers && refers => {
                let session = leg.session;
                if let Some(media) = &mut leg.media {
                    media.downlink.set_tone(true);
                }
                self.refer(now, Some(session));
            }
            Some(_) => self.bridge(now),
            None => self.not_taken(now, "the target hung up", "hung_up"),
        }
    }

    /// The agent's voice goes to the caller again; what it was saying is cut.
    fn whisper_over(&mut self, now: Instant) {
        if self.transfer.as_ref().is_some_and(|t| t.whispers()) {
            self.interrupt(now);
            self.set_consultation(Consult::Calling);
            self.hear_caller(true);
        }
    }

    fn not_taken(&mut self, now: Instant, why: &str, outcome: &'static str) {
        self.whisper_over(now);
        self.close_leg(now, Some(normal_clearing()));
        self.transfer_failed(now, why, outcome);
    }

    /// The leg is gone, or never came, during a transfer.
    pub(super) fn callee_gone(&mut self, now: Instant, end: LegEnd) {
        // The caller's side took the leg over, or the callee left: the outcome of the REFER tells which.
        if self.consultation().is_none() {
            return;
        }
        let (why, outcome) = match end {
            LegEnd::HungUp | LegEnd::Broken(_) => ("the target hung up without taking the call".to_owned(), "hung_up"),
            LegEnd::Refused(status) => refusal(status),
        };
        self.not_taken(now, &why, outcome);
    }

    /// The downlink that carries the agent's voice: the callee's during a consultation.
    pub(super) fn voice(&mut self) -> Option<&mut super::downlink::Downlink> {
        let media = match self.transfer.as_ref().is_some_and(|t| t.whispers()) {
            true => self.leg.as_mut()?.media.as_mut(),
            false => self.media.as_mut(),
        };
        media.map(|media| &mut media.downlink)
    }

    pub(super) fn voice_ref(&self) -> Option<&super::downlink::Downlink> {
        let media = match self.transfer.as_ref().is_some_and(|t| t.whispers()) {
            true => self.leg.as_ref()?.media.as_ref(),
            false => self.media.as_ref(),
        };
        media.map(|media| &media.downlink)
    }

    /// Whom the agent is speaking to, for the transcript.
    pub(super) fn speaker(&self) -> &'static str {
        if self.transfer.as_ref().is_some_and(|t| t.whispers()) { "agent_to_target" } else { "agent" }
    }

    pub(super) fn is_bridged(&self) -> bool {
        matches!(self.phase, Phase::Bridged { .. })
    }
}

/// What a status of the leg's INVITE means, for the model and for the metric.
fn refusal(status: u16) -> (String, &'static str) {
    let (what, outcome) = match status {
        486 | 600 => ("is busy", "busy"),
        603 | 607 => ("declined", "declined"),
        408 | 480 | 487 => ("did not answer", "no_answer"),
        404 | 410 | 484 | 604 => ("has no such number", "no_number"),
        _ => ("could not be reached", "unreachable"),
    };
    (format!("the target {what} ({status})"), outcome)
}
