//! Blind transfer by REFER to a target of the number's own list (XFR-01 to XFR-03, S8).
//!
//! What was said is heard first. 202 is not success: success is a final NOTIFY of 2xx. A transfer that fails gives the
//! reason to the model and the caller stays; one that began because the Realtime side failed ends in the apology.

use super::end::Cause;
use super::machine::Call;
use super::tools::error;
use super::{CallEnd, CallEvent};
use crate::config::dialplan::{Tool, ToolKind};
use crate::observe::cdr::EndedBy;
use crate::realtime::ToolCallId;
use crate::sip::uri::Uri;
use crate::sip::user_agent::{ReferOutcome, UaCommand};
use std::time::{Duration, Instant};

/// Longest wait for the words before the transfer.
const LONGEST_WORDS: Duration = Duration::from_secs(15);
/// The user agent gives up after 30 s without a final NOTIFY; this is for one that never says so.
const LONGEST_REFER: Duration = Duration::from_secs(40);
/// Attempts in a call (A16).
const MOST_ATTEMPTS: u32 = 3;

#[derive(Debug)]
enum Step {
    /// Words are being heard, or the ACK is awaited.
    Drain,
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
    refer_to: Uri,
    started: Instant,
    deadline: Instant,
    step: Step,
}

/// The URI of a named target.
pub(super) fn find_target(tools: &[Tool], name: &str) -> Option<String> {
    let targets = tools.iter().filter_map(|tool| match &tool.kind {
        ToolKind::Transfer { targets } => Some(targets),
        _ => None,
    });
    targets.flatten().find(|target| target.name == name).map(|target| target.uri.clone())
}

impl Transfer {
    fn new(now: Instant, asker: Asker, target: String, refer_to: Uri) -> Transfer {
        Transfer { asker, target, refer_to, started: now, deadline: now + LONGEST_WORDS, step: Step::Drain }
    }

    pub fn fallback(now: Instant, target: String, uri: &str, end: CallEnd) -> Option<Transfer> {
        let mut transfer = Transfer::new(now, Asker::Fallback(end), target, Uri::parse(uri).ok()?);
        // The ACK of a call that was answered for this may take 32 s.
        transfer.deadline = now + LONGEST_REFER;
        Some(transfer)
    }

    /// The model that asked is gone.
    pub fn orphan(&mut self, end: CallEnd) {
        self.asker = Asker::Fallback(end);
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The caller waits for somebody, and should hear that.
    pub fn keeps_waiting(&self) -> bool {
        matches!(self.asker, Asker::Fallback(_)) || matches!(self.step, Step::Referred { .. })
    }

    fn end(&self) -> CallEnd {
        match &self.asker {
            Asker::Model { .. } => CallEnd::new(EndedBy::Agent, Cause::Transferred),
            Asker::Fallback(end) => end.clone(),
        }
    }
}

impl Call {
    pub(super) fn transfer_call(&mut self, now: Instant, id: ToolCallId, name: String, target: String, uri: &str) {
        self.transfers += 1;
        let refused = match Uri::parse(uri) {
            _ if self.transfer.is_some() => Err("a transfer is already running"),
            _ if self.transfers > MOST_ATTEMPTS => Err("too many transfers were tried in this call"),
            Err(_) => Err("the target's address cannot be used"),
            Ok(uri) => Ok(uri),
        };
        match refused {
            Ok(uri) => self.transfer = Some(Transfer::new(now, Asker::Model { id, name }, target, uri)),
            Err(why) => self.answer_tool(now, id, name, now, false, error(why), false),
        }
    }

    pub(super) fn transfer_clock(&mut self, now: Instant) {
        let heard = self.last_words_heard_at().is_none_or(|at| now >= at);
        let ready = self.is_drained() && heard && !self.response_active && self.established;
        let Some(transfer) = self.transfer.as_mut().filter(|_| !matches!(self.phase, super::machine::Phase::Ended))
        else {
            return;
        };
        let late = now >= transfer.deadline;
        match transfer.step {
            Step::Drain if ready || late => {
                transfer.step = Step::Referred { accepted: false };
                transfer.deadline = now + LONGEST_REFER;
                let (target, refer_to) = (transfer.target.clone(), transfer.refer_to.clone());
                self.note(CallEvent::Transfer { target, outcome: "sent" });
                let referred_by = Some(self.referred_by());
                self.sip(UaCommand::Refer { session: self.id, refer_to, referred_by, replaces: None });
            }
            Step::Referred { .. } if late => self.transfer_failed(now, "no outcome in time", "unknown"),
            _ => {}
        }
    }

    /// Who sends the caller on: the number that was dialled (RFC 3892).
    fn referred_by(&self) -> String {
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
            ReferOutcome::Final(status) => {
                self.transfer_failed(now, &format!("the target answered {status}"), "failed")
            }
            ReferOutcome::Refused(status) => {
                self.transfer_failed(now, &format!("the telephone system refused it with {status}"), "refused");
            }
            ReferOutcome::Unknown => self.transfer_failed(now, "no outcome in time", "unknown"),
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

    fn transferred(&mut self, now: Instant, outcome: &'static str) -> Option<CallEnd> {
        let transfer = self.transfer.take()?;
        let end = transfer.end();
        if let Asker::Model { id, name } = transfer.asker {
            self.answer_tool(now, id, name, transfer.started, true, r#"{"status":"transferred"}"#.to_owned(), true);
        }
        self.note(CallEvent::Transfer { target: transfer.target, outcome });
        Some(end)
    }

    fn transfer_failed(&mut self, now: Instant, why: &str, outcome: &'static str) {
        let Some(transfer) = self.transfer.take() else { return };
        self.note(CallEvent::Transfer { target: transfer.target, outcome });
        match transfer.asker {
            Asker::Model { id, name } => {
                let output = error(&format!("the transfer failed: {why}. The caller is still on the line."));
                self.answer_tool(now, id, name, transfer.started, false, output, false);
            }
            Asker::Fallback(end) => self.apologise(now, end),
        }
    }
}
