//! Function calls: gathered from three kinds of event, proposed once, answered in batches.
//!
//! A call counts when its item is complete (`output_item.done` or `response.done`); a cancelled response can leave
//! half a JSON text behind. The calls of one response are a batch: one `response.create` follows all its results.
//! The same ledger holds which of our items still want an answer, and whether the server has shown them.

use super::recent::Recent;
use crate::realtime::ToolCallId;
use crate::realtime::wire::ItemInfo;
use serde::de::IgnoredAny;
use std::collections::VecDeque;

/// Calls that may wait for a result at once.
const MAX_OPEN: usize = 32;
/// Half-known calls remembered.
const MAX_KNOWN: usize = 32;
/// Items that want an answer.
const MAX_UNANSWERED: usize = 64;

/// A call as pieced together so far.
#[derive(Clone, Debug, Default)]
struct Known {
    response: String,
    item: String,
    call_id: String,
    name: String,
    arguments: Option<String>,
}

#[derive(Debug)]
struct Open {
    id: ToolCallId,
    call_id: String,
    response: String,
}

#[derive(Debug)]
struct Unanswered {
    /// `call_id` or item id.
    key: String,
    /// The response whose call it answers; empty for other items.
    batch: String,
    /// Number of the client event that created it.
    event: u64,
    /// The server has put it into the conversation.
    shown: bool,
}

/// A complete call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proposed {
    pub id: ToolCallId,
    pub name: String,
    pub arguments: String,
}

/// Why a call is not proposed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotProposed {
    /// Incomplete, or proposed before.
    Quiet,
    /// Neither `call_id` nor item id: it could never be answered.
    NoId,
    TooMany,
}

#[derive(Default)]
pub(super) struct Calls {
    known: VecDeque<Known>,
    open: VecDeque<Open>,
    proposed: Recent,
    unanswered: VecDeque<Unanswered>,
    last: u64,
}

impl Calls {
    /// `output_item.added`, `arguments.done`: pieces. Empty fields add nothing.
    pub fn note(&mut self, response: &str, item: &str, call_id: &str, name: &str, arguments: Option<&str>) {
        let same = |k: &Known| (!item.is_empty() && k.item == item) || (!call_id.is_empty() && k.call_id == call_id);
        let index = self.known.iter().rposition(same).unwrap_or_else(|| {
            if self.known.len() == MAX_KNOWN {
                self.known.pop_front();
            }
            self.known.push_back(Known::default());
            self.known.len() - 1
        });
        let known = &mut self.known[index];
        for (field, value) in [
            (&mut known.response, response),
            (&mut known.item, item),
            (&mut known.call_id, call_id),
            (&mut known.name, name),
        ] {
            if !value.is_empty() {
                value.clone_into(field);
            }
        }
        if let Some(arguments) = arguments {
            known.arguments = Some(arguments.to_owned());
        }
    }

    /// A function call item in its final form.
    pub fn item_done(&mut self, response: &str, item: &ItemInfo<'_>) -> Result<Proposed, NotProposed> {
        let arguments = Some(item.arguments.as_ref()).filter(|a| !a.is_empty());
        self.note(response, &item.id, &item.call_id, &item.name, arguments);
        let complete = match item.status.as_ref() {
            "completed" => true,
            // Some servers leave the status out; then the arguments must at least be whole.
            "" => serde_json::from_str::<IgnoredAny>(non_empty(&item.arguments)).is_ok(),
            _ => false,
        };
        if !complete {
            return Err(NotProposed::Quiet);
        }
        self.propose(|k| {
            (!item.id.is_empty() && k.item == item.id) || (!item.call_id.is_empty() && k.call_id == item.call_id)
        })
    }

    /// `response.done` of a completed response: calls of which only `arguments.done` came.
    pub fn response_done(&mut self, response: &str, status: &str) -> Vec<Result<Proposed, NotProposed>> {
        let rest = |k: &Known| k.response == response && k.arguments.is_some();
        let mut found = Vec::new();
        while status == "completed" && self.known.iter().any(rest) {
            found.push(self.propose(rest));
        }
        self.known.retain(|k| k.response != response);
        found
    }

    fn propose(&mut self, which: impl Fn(&Known) -> bool) -> Result<Proposed, NotProposed> {
        let index = self.known.iter().rposition(which).ok_or(NotProposed::Quiet)?;
        let known = self.known.remove(index).ok_or(NotProposed::Quiet)?;
        let call_id = if known.call_id.is_empty() { known.item } else { known.call_id };
        if call_id.is_empty() {
            return Err(NotProposed::NoId);
        }
        if self.proposed.contains(&call_id) {
            return Err(NotProposed::Quiet);
        }
        if self.open.len() >= MAX_OPEN {
            return Err(NotProposed::TooMany);
        }
        self.proposed.insert(&call_id);
        self.last += 1;
        let id = ToolCallId(self.last);
        self.open.push_back(Open { id, call_id, response: known.response });
        let arguments = known.arguments.unwrap_or_default();
        Ok(Proposed { id, name: known.name, arguments: non_empty(&arguments).to_owned() })
    }

    /// A result came. Gives the `call_id` and the batch; `None` for a call that is unknown or has its result.
    pub fn close(&mut self, id: ToolCallId) -> Option<(String, String)> {
        let index = self.open.iter().position(|o| o.id == id)?;
        let open = self.open.remove(index)?;
        Some((open.call_id, open.response))
    }

    /// An item of ours, created by client event `event`, wants an answer.
    pub fn want_answer(&mut self, key: &str, batch: &str, event: u64) {
        if self.unanswered.len() == MAX_UNANSWERED {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(Unanswered { key: key.to_owned(), batch: batch.to_owned(), event, shown: false });
    }

    /// The server put an item into the conversation. Its own call items carry the same `call_id` as our outputs.
    pub fn shown(&mut self, item: &ItemInfo<'_>) {
        if item.kind == "function_call" {
            return;
        }
        let key = if item.call_id.is_empty() { &item.id } else { &item.call_id };
        for unanswered in self.unanswered.iter_mut().filter(|u| u.key == key.as_ref()) {
            unanswered.shown = true;
        }
    }

    /// Every result of the batch is there and at least one wants an answer.
    pub fn batch_is_complete(&self, batch: &str) -> bool {
        self.open.iter().all(|o| o.response != batch) && self.unanswered.iter().any(|u| u.batch == batch)
    }

    pub fn all_answered(&self) -> bool {
        self.unanswered.is_empty()
    }

    /// A response began that client event `request` asked for: it covers every item sent before. Returns those that the
    /// server had not shown, in case it is not ours after all.
    pub fn answered_by_us(&mut self, request: u64) -> Vec<String> {
        let mut uncovered = Vec::new();
        self.unanswered.retain(|item| {
            let covered = item.event < request;
            if covered && !item.shown {
                uncovered.push(item.key.clone());
            }
            !covered
        });
        uncovered
    }

    /// The request for an answer was refused for good: what it would have covered is not asked for again.
    pub fn give_up(&mut self) {
        self.unanswered.clear();
    }

    /// A response of the server's began: it covers what the server had shown.
    pub fn answered_by_server(&mut self) {
        self.unanswered.retain(|u| !u.shown);
    }
}

/// Models call functions without parameters with an empty text now and then.
fn non_empty(arguments: &str) -> &str {
    if arguments.trim().is_empty() { "{}" } else { arguments }
}
