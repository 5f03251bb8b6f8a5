//! Tool calls of the model: checked by policy, run, answered (invariant 7; R12, R13).
//!
//! Each call gets one result. One that comes twice is ignored, one after the time-out or the end is dropped.

use super::collect::Collect;
use super::end::Cause;
use super::keys::InfoKeys;
use super::machine::Call;
use super::{CallEnd, CallEvent, Output};
use crate::observe::cdr::EndedBy;
use crate::realtime::{Intent, ToolCallId};
use crate::tools::http::ToolResult;
use crate::tools::{ToolAction, policy};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Tools that run at once.
const MOST_RUNNING: usize = 8;
/// Ids remembered to find duplicates.
const MOST_SEEN: usize = 256;
/// Digits must be out by then (64 of them need 11 s, pauses more).
const DTMF_TIMEOUT: Duration = Duration::from_secs(90);
/// The owner's own time-out comes first; this is for an owner that never answers.
const GRACE: Duration = Duration::from_secs(1);

struct Running {
    id: ToolCallId,
    name: String,
    started: Instant,
    deadline: Instant,
    /// Ends when the digits are out; else by a result from outside.
    digits: bool,
}

/// What runs, and what was seen.
#[derive(Default)]
pub(super) struct Tools {
    running: Vec<Running>,
    /// Keys the model waits for.
    pub collect: Option<Collect>,
    /// Keys on their way out by INFO.
    pub info: InfoKeys,
    seen: VecDeque<ToolCallId>,
}

impl Tools {
    pub fn is_running(&self) -> bool {
        !self.running.is_empty()
    }
    /// The same, or the caller is entering something.
    pub fn is_busy(&self) -> bool {
        self.is_running() || self.collect.is_some()
    }
    pub fn timeout(&self) -> Option<Instant> {
        let running = self.running.iter().map(|r| r.deadline).min();
        [running, self.collect.as_ref().and_then(Collect::timeout), self.info.timeout()].into_iter().flatten().min()
    }
    /// Forgets what runs; `(name, ms)` of each.
    pub fn abandon(&mut self, now: Instant) -> Vec<(String, u64)> {
        self.info = InfoKeys::default();
        let running = self.running.drain(..).map(|r| (r.name, r.started));
        let collect = self.collect.take().map(Collect::into_name);
        running.chain(collect).map(|(name, started)| (name, ms(started, now))).collect()
    }
    fn is_new(&mut self, id: ToolCallId) -> bool {
        if self.seen.contains(&id) {
            return false;
        }
        if self.seen.len() == MOST_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(id);
        true
    }
}

fn ms(from: Instant, to: Instant) -> u64 {
    to.saturating_duration_since(from).as_millis() as u64
}

/// A result that says what went wrong, as JSON for the model.
pub(super) fn error(message: &str) -> String {
    serde_json::json!({ "error": message }).to_string()
}

impl Call {
    pub(super) fn tool_call(&mut self, now: Instant, id: ToolCallId, name: String, arguments: &str) {
        if !self.tools.is_new(id) {
            return self.warn("tool_duplicate", name);
        }
        if !self.is_talking() {
            // The call is ending; nothing more is done for it, and the service needs no answer.
            return self.warn("tool_after_end", name);
        }
        self.note(CallEvent::ToolStarted { name: name.clone() });
        let verified = self.caller_info.attestation.as_deref() == Some("A");
        let checked = policy::check_caller(&self.plan.tools, &name, verified);
        let action = match checked.and_then(|()| policy::check(&self.plan.tools, &name, arguments)) {
            Ok(action) => action,
            Err(why) => return self.answer_tool(now, id, name, now, false, error(&why), false),
        };
        match action {
            // A BYE now would tear down what is being set up for the caller.
            ToolAction::Hangup { .. } if self.transfer.is_some() => {
                let output = error("a transfer is running; the call ends by itself when it succeeds");
                self.answer_tool(now, id, name, now, false, output, true);
            }
            ToolAction::Hangup { .. } => {
                let output = r#"{"status":"hanging up"}"#.to_owned();
                self.answer_tool(now, id, name, now, true, output, true);
                self.hang_up_when_heard(now, CallEnd::new(EndedBy::Agent, Cause::AgentHangup));
            }
            ToolAction::Transfer { target, uri } => self.transfer_call(now, id, name, &target, &uri),
            _ if self.tools.running.len() >= MOST_RUNNING => {
                let output = error("too many tools are running; wait for their results");
                self.answer_tool(now, id, name, now, false, output, false);
            }
            ToolAction::SendDtmf { digits } => self.send_digits(now, id, name, &digits),
            ToolAction::CollectDigits(rules) => self.collect_digits(now, id, name, rules),
            ToolAction::Http(request) => {
                let timeout = request.timeout;
                let deadline = now + timeout + GRACE;
                self.tools.running.push(Running { id, name, started: now, deadline, digits: false });
                self.put(Output::StartTool { id: id.0, action: ToolAction::Http(request), timeout });
            }
        }
    }

    fn send_digits(&mut self, now: Instant, id: ToolCallId, name: String, digits: &str) {
        if let Err(why) = self.send_keys(digits) {
            let output = error(why);
            return self.answer_tool(now, id, name, now, false, output, false);
        }
        self.tools.running.push(Running { id, name, started: now, deadline: now + DTMF_TIMEOUT, digits: true });
    }

    /// A result from outside.
    pub(super) fn tool_finished(&mut self, now: Instant, id: u64, result: ToolResult) {
        let found = self.tools.running.iter().position(|r| r.id.0 == id && !r.digits);
        match found {
            Some(at) => self.tool_done(now, at, result.ok, result.output),
            None => self.warn("tool_late", id.to_string()),
        }
    }

    pub(super) fn tool_clock(&mut self, now: Instant) {
        if self.is_ended() || !self.tools.is_busy() {
            return;
        }
        self.collect_clock(now);
        self.info_clock(now);
        let sending = self.tools.info.is_sending();
        let digits_out = !sending && self.media.as_ref().is_none_or(|m| !m.downlink.is_sending_digits());
        while let Some(at) = self.tools.running.iter().position(|r| r.digits && digits_out) {
            self.tool_done(now, at, true, r#"{"status":"sent"}"#.to_owned());
        }
        while let Some(at) = self.tools.running.iter().position(|r| r.deadline <= now) {
            self.tool_done(now, at, false, error("the tool did not answer in time"));
        }
    }

    /// No session is left to tell; the CDR is.
    pub(super) fn abandon_tools(&mut self, now: Instant) {
        for (name, ms) in self.tools.abandon(now) {
            self.tool_noted(name, false, ms);
        }
    }

    fn tool_done(&mut self, now: Instant, at: usize, ok: bool, output: String) {
        let Running { id, name, started, .. } = self.tools.running.swap_remove(at);
        self.answer_tool(now, id, name, started, ok, output, false);
    }

    /// The result of a call, once. `silent`: no response follows it.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn answer_tool(
        &mut self,
        now: Instant,
        id: ToolCallId,
        name: String,
        started: Instant,
        ok: bool,
        output: String,
        silent: bool,
    ) {
        self.tool_noted(name, ok, ms(started, now));
        self.intent(now, Intent::ToolResult { id, output, silent });
        if !silent {
            self.turns.expect_answer(now);
        }
    }

    fn tool_noted(&mut self, name: String, ok: bool, ms: u64) {
        if let Some(record) = &mut self.record {
            record.tool(name.clone(), ok, ms);
        }
        self.note(CallEvent::ToolDone { name, ok, ms });
    }
}
