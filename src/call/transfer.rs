//! Transfers to a target of the number's own list, by REFER (XFR-01 to XFR-03, XFR-05, S8).
//!
//! What was said is heard first. A target with a second leg is called then (`attended`). 202 is not success: success is a
//! final NOTIFY of 2xx. A transfer that fails goes on to the target's fallback, if it names one; else the model gets the
//! reason and the caller stays. One that began because the Realtime side failed ends in the apology.

use super::attended::Consult;
use super::end::Cause;
use super::machine::Call;
use super::tools::error;
use super::{CallEnd, CallEvent};
use crate::config::dialplan::{LegPlan, Tool, ToolKind, TransferTarget};
use crate::observe::cdr::EndedBy;
use crate::realtime::ToolCallId;
use crate::sip::uri::Uri;
use crate::sip::user_agent::{ReferOutcome, SessionId, UaCommand};
use std::time::{Duration, Instant};

/// Longest wait for the words before the transfer.
const LONGEST_WORDS: Duration = Duration::from_secs(15);
/// The user agent gives up after 30 s without a final NOTIFY; this is for one that never says so.
const LONGEST_REFER: Duration = Duration::from_secs(40);
/// Attempts in a call (A16).
const MOST_ATTEMPTS: u32 = 3;

#[derive(Debug)]
pub(super) enum Step {
    /// Words are being heard, or the ACK is awaited.
    Drain,
    /// The target is called, and asked.
    Consult(Consult),
    Referred {
        accepted: bool,
    },
}

/// Whom the outcome is for.
#[derive(Debug)]
enum Asker {
    Model {
        id: ToolCallId,
        name: String,
    },
    /// The fallback of a failed Realtime side; how the call ends in any case.
    Fallback(CallEnd),
}

/// A running transfer.
#[derive(Debug)]
pub(super) struct Transfer {
    asker: Asker,
    target: String,
    pub refer_to: Uri,
    /// With a second leg.
    pub leg: Option<LegPlan>,
    fallback: Option<String>,
    /// What became of the targets before this one.
    tried: String,
    started: Instant,
    pub deadline: Instant,
    pub step: Step,
}

/// A target by its name, and by its address where several tools share the name.
pub(super) fn find_target<'a>(tools: &'a [Tool], name: &str, uri: Option<&str>) -> Option<&'a TransferTarget> {
    let targets = tools.iter().filter_map(|tool| match &tool.kind {
        ToolKind::Transfer { targets } => Some(targets),
        _ => None,
    });
    targets.flatten().find(|target| target.name == name && uri.is_none_or(|uri| target.uri == uri))
}

impl Transfer {
    fn new(now: Instant, asker: Asker, target: &TransferTarget) -> Option<Transfer> {
        Some(Transfer {
            asker,
            target: target.name.clone(),
            refer_to: Uri::parse(&target.uri).ok()?,
            leg: target.leg.clone(),
            fallback: target.fallback.clone(),
            tried: String::new(),
            started: now,
            deadline: now + LONGEST_WORDS,
            step: Step::Drain,
        })
    }

    pub fn fallback(now: Instant, target: &TransferTarget, end: CallEnd) -> Option<Transfer> {
        let mut transfer = Transfer::new(now, Asker::Fallback(end), target)?;
        // The ACK of a call that was answered for this may take 32 s.
        transfer.deadline = now + LONGEST_REFER;
        Some(transfer)
    }

    /// The model that asked is gone.
    pub fn orphan(&mut self, end: CallEnd) {
        self.asker = Asker::Fallback(end);
        if let Step::Consult(consult) = &mut self.step {
            consult.without_session();
        }
    }

    /// The caller waits for somebody, and should hear that.
    pub fn keeps_waiting(&self) -> bool {
        matches!(self.asker, Asker::Fallback(_)) || !matches!(self.step, Step::Drain)
    }

    /// The agent speaks to the callee, and the caller hears nothing of it.
    pub fn whispers(&self) -> bool {
        matches!(&self.step, Step::Consult(consult) if consult.whispers())
    }

    fn end(&self) -> CallEnd {
        match &self.asker {
            Asker::Model { .. } => CallEnd::new(EndedBy::Agent, Cause::Transferred),
            Asker::Fallback(end) => end.clone(),
        }
    }
}

impl Call {
    pub(super) fn transfer_call(&mut self, now: Instant, id: ToolCallId, name: String, target: &str, uri: &str) {
        self.transfers += 1;
        let asker = Asker::Model { id, name: name.clone() };
        let refused = match find_target(&self.plan.tools, target, Some(uri)) {
            _ if self.transfer.is_some() => Err("a transfer is already running"),
            _ if self.is_moving() => Err("the caller is being connected elsewhere already"),
            _ if self.transfers > MOST_ATTEMPTS => Err("too many transfers were tried in this call"),
            found => found.and_then(|t| Transfer::new(now, asker, t)).ok_or("the target's address cannot be used"),
        };
        match refused {
            Ok(transfer) => self.transfer = Some(transfer),
            Err(why) => self.answer_tool(now, id, name, now, false, error(why), false),
        }
    }

    pub(super) fn transfer_clock(&mut self, now: Instant) {
        if self.is_ended() {
            return;
        }
        let heard = self.last_words_heard_at().is_none_or(|at| now >= at);
        let ready = self.is_drained() && heard && !self.response_active && self.established;
        let Some(transfer) = self.transfer.as_mut() else { return };
        let late = now >= transfer.deadline;
        match transfer.step {
            Step::Drain if ready || late => match transfer.leg.clone() {
                None => self.refer(now, None),
                Some(plan) => self.consult(now, plan),
            },
            Step::Consult(_) => self.consult_clock(now),
            Step::Referred { .. } if late => self.refer_failed(now, "no outcome in time", "unknown"),
            _ => {}
        }
    }

    pub(super) fn transfer_timeout(&self, now: Instant) -> Option<Instant> {
        let transfer = self.transfer.as_ref()?;
        match &transfer.step {
            Step::Drain | Step::Referred { .. } => {
                Some(self.last_words_heard_at().filter(|at| *at > now).unwrap_or(transfer.deadline))
            }
            Step::Consult(consult) => consult.deadline(now),
        }
    }

    /// Sends the REFER; with `replaces` it joins the caller and that leg (RFC 5589 §7).
    pub(super) fn refer(&mut self, now: Instant, replaces: Option<SessionId>) {
        let Some(transfer) = &mut self.transfer else { return };
        transfer.step = Step::Referred { accepted: false };
        transfer.deadline = now + LONGEST_REFER;
        let (target, refer_to) = (transfer.target.clone(), transfer.refer_to.clone());
        self.note(CallEvent::Transfer { target, outcome: "sent" });
        let referred_by = Some(self.referred_by());
        self.sip(UaCommand::Refer { session: self.id, refer_to, referred_by, replaces });
    }

    /// Who sends the caller on: the number that was dialled (RFC 3892).
    pub(super) fn referred_by(&self) -> String {
        let user: String = self.dialled.chars().filter(|c| c.is_ascii_alphanumeric() || "+-_.".contains(*c)).collect();
        let host = match self.negotiation.local().addr {
            std::net::IpAddr::V4(v4) => v4.to_string(),
            std::net::IpAddr::V6(v6) => format!("[{v6}]"),
        };
        if user.is_empty() { format!("<sip:{host}>") } else { format!("<sip:{user}@{host}>") }
    }

    pub(super) fn refer_outcome(&mut self, now: Instant, outcome: ReferOutcome) {
        let Some(transfer) = &mut self.transfer else { return };
        let Step::Referred { accepted } = &mut transfer.step else { return };
        match outcome {
            ReferOutcome::Accepted | ReferOutcome::Progress(_) => {
                if !std::mem::replace(accepted, true) {
                    let target = transfer.target.clone();
                    self.note(CallEvent::Transfer { target, outcome: "accepted" });
                }
            }
            ReferOutcome::Final(status) if (200..300).contains(&status) => {
                let end = self.transferred(now, "completed");
                if let Some(end) = end {
                    self.hang_up(now, end);
                }
            }
            ReferOutcome::Final(status) => self.refer_failed(now, &format!("the target answered {status}"), "failed"),
            ReferOutcome::Refused(status) => {
                self.refer_failed(now, &format!("the telephone system refused it with {status}"), "refused");
            }
            ReferOutcome::Unknown => self.refer_failed(now, "no outcome in time", "unknown"),
        }
    }

    /// The legs could not be joined elsewhere: here, if there are two; else the transfer has failed.
    fn refer_failed(&mut self, now: Instant, why: &str, outcome: &'static str) {
        if self.leg.is_some() {
            return self.bridge(now);
        }
        self.transfer_failed(now, why, outcome);
    }

    /// Something about the running transfer, for log and metric.
    pub(super) fn transfer_noted(&mut self, outcome: &'static str) {
        if let Some(transfer) = &self.transfer {
            let target = transfer.target.clone();
            self.note(CallEvent::Transfer { target, outcome });
        }
    }

    /// The peer hung up after it took the REFER: handed over, outcome unknown (XFR-02).
    pub(super) fn handed_over(&mut self, now: Instant) -> Option<CallEnd> {
        let transfer = self.transfer.as_ref()?;
        if !matches!(transfer.step, Step::Referred { accepted: true }) {
            return None;
        }
        self.transferred(now, "handed_over")
    }

    /// It is done: the model's call gets its result, and how the call ends by it is told.
    pub(super) fn transferred(&mut self, now: Instant, outcome: &'static str) -> Option<CallEnd> {
        let transfer = self.transfer.take()?;
        let end = transfer.end();
        if let Asker::Model { id, name } = transfer.asker {
            self.answer_tool(now, id, name, transfer.started, true, r#"{"status":"transferred"}"#.to_owned(), true);
        }
        self.note(CallEvent::Transfer { target: transfer.target, outcome });
        Some(end)
    }

    pub(super) fn transfer_failed(&mut self, now: Instant, why: &str, outcome: &'static str) {
        let Some(mut transfer) = self.transfer.take() else { return };
        self.note(CallEvent::Transfer { target: transfer.target.clone(), outcome });
        let next = transfer.fallback.take().filter(|_| self.transfers < MOST_ATTEMPTS);
        let next = next.and_then(|name| find_target(&self.plan.tools, &name, None).cloned());
        if let Some(next) = next.filter(|next| Uri::parse(&next.uri).is_ok()) {
            self.transfers += 1;
            let Transfer { asker, target, tried, started, .. } = transfer;
            let tried = format!("{tried}{target}: {why}; ");
            self.transfer = Transfer::new(now, asker, &next).map(|transfer| Transfer { tried, started, ..transfer });
            return;
        }
        match transfer.asker {
            Asker::Model { id, name } => {
                let tried = transfer.tried;
                let output = error(&format!("the transfer failed: {tried}{why}. The caller is still on the line."));
                self.answer_tool(now, id, name, transfer.started, false, output, false);
            }
            Asker::Fallback(end) => self.apologise(now, end),
        }
    }
}
