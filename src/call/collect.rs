//! The `collect_digits` tool: an entry by keys, for the model that asked, and for nobody else (DTM-05, DTM-07).
//!
//! In: keys, from the moment the model asks, and those pressed just before (who knows the menu types ahead). Out: one tool result, after
//! the finishing key, at the expected length, or when the caller stops. The time for the first key begins when the agent has
//! finished speaking; the first key stops the agent.

use super::machine::Call;
use crate::observe::pii::Pii;
use crate::realtime::ToolCallId;
use crate::tools::KeyEntry;
use std::time::Instant;

/// An entry under way.
#[derive(Debug)]
pub(super) struct Collect {
    id: ToolCallId,
    name: String,
    started: Instant,
    rules: KeyEntry,
    entry: Pii<String>,
    /// When it ends for want of a key; not yet while the agent speaks.
    deadline: Option<Instant>,
}

impl Collect {
    pub fn timeout(&self) -> Option<Instant> {
        self.deadline
    }
    pub fn into_name(self) -> (String, Instant) {
        (self.name, self.started)
    }
}

impl Call {
    pub(super) fn collect_digits(&mut self, now: Instant, id: ToolCallId, name: String, rules: KeyEntry) {
        if self.tools.collect.is_some() {
            let output = super::tools::error("another entry is being collected; wait for its result");
            return self.answer_tool(now, id, name, now, false, output, false);
        }
        let ahead = self.digits.take_pending();
        let entry = Pii(String::new());
        self.tools.collect = Some(Collect { id, name, started: now, rules, entry, deadline: None });
        for key in ahead.0.chars() {
            if !self.collect_key(now, key) {
                // More than was asked for: the rest is an entry of its own.
                self.digits.enter(key);
            }
        }
    }

    /// `true`: the key belongs to the entry.
    pub(super) fn collect_key(&mut self, now: Instant, key: char) -> bool {
        let Some(collect) = &mut self.tools.collect else { return false };
        if collect.rules.finish == Some(key) {
            self.collected(now, "finish_key");
            return true;
        }
        collect.entry.0.push(key);
        collect.deadline = Some(now + collect.rules.next_key);
        if collect.entry.0.len() >= collect.rules.most {
            self.collected(now, "length");
        }
        true
    }

    pub(super) fn collect_clock(&mut self, now: Instant) {
        // Words still on their way ask for the keys.
        let speaks = !self.is_drained();
        let Some(collect) = &mut self.tools.collect else { return };
        if collect.entry.0.is_empty() {
            collect.deadline = if speaks { None } else { collect.deadline.or(Some(now + collect.rules.first_key)) };
        }
        if collect.deadline.is_some_and(|deadline| deadline <= now) {
            self.collected(now, "timeout");
        }
    }

    fn collected(&mut self, now: Instant, ended_by: &str) {
        let Some(Collect { id, name, started, entry, .. }) = self.tools.collect.take() else { return };
        let output = serde_json::json!({ "digits": entry.expose(), "ended_by": ended_by }).to_string();
        self.answer_tool(now, id, name, started, true, output, false);
    }
}
