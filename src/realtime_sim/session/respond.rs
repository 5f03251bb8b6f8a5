//! Responses: created by a turn or by the client, streamed faster than real time, cancelled, done, accounted.
//!
//! [`Running`] holds one response; `stream` sends its output items piece by piece.

use super::super::client_event::ClientEvent;
use super::super::dialect::Dialect;
use super::super::format::Format;
use super::super::plan::{Part, Plan, Trouble, plan};
use super::super::scenario::Quirk;
use super::super::script::Answer;
use super::super::shape::Refused;
use super::Session;
use super::stream::Open;
use super::usage::Tokens;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Instant;

/// Out-of-band responses that may run beside the conversation's own.
const MOST_RUNNING: usize = 16;

/// One response that is not done yet.
pub(super) struct Running {
    pub id: String,
    pub in_conversation: bool,
    /// Output is audio with a transcript, not text.
    pub spoken: bool,
    pub format: Format,
    /// The response object without `status`, `status_details`, `output` and `usage`.
    pub report: Value,
    pub parts: VecDeque<Part>,
    pub open: Option<Open>,
    pub output: Vec<Value>,
    /// `None` = stalled for good.
    pub next_at: Option<Instant>,
    pub single_delta: bool,
    pub trouble: Option<Trouble>,
    pub tokens: Tokens,
    pub most_tokens: Option<u64>,
}

impl Running {
    pub fn due(&self) -> Option<Instant> {
        self.next_at
    }
    pub fn in_conversation(&self) -> bool {
        self.in_conversation
    }
    pub fn object(&self, status: &str, details: Value, usage: Value) -> Value {
        let mut object = self.report.clone();
        object["status"] = json!(status);
        object["status_details"] = details;
        object["output"] = json!(self.output);
        object["usage"] = usage;
        object
    }
}

impl Session {
    /// Whether a response of the conversation is running.
    pub(super) fn speaking(&self) -> bool {
        self.running.iter().any(Running::in_conversation)
    }

    /// `response.create`.
    pub(super) fn create_response(&mut self, now: Instant, event: &ClientEvent) -> Result<(), Refused> {
        let none = Value::Null;
        let params = event.body.get("response").unwrap_or(&none);
        let out_of_band = params["conversation"] == "none";
        if let (Some(active), false) = (self.running.iter().find(|running| running.in_conversation), out_of_band) {
            let message = format!(
                "Conversation already has an active response in progress: {}. Wait until the response is finished before creating a new one.",
                active.id
            );
            return Err(Refused::new("conversation_already_has_active_response", message));
        }
        if self.running.len() >= MOST_RUNNING {
            return Err(Refused::new("rate_limit_exceeded", "Too many responses at once."));
        }
        let voice = self.asked(params, "/audio/output/voice", "/voice");
        if self.spoke && voice.is_some_and(|voice| voice != self.settings.voice()) {
            let message = "Cannot update a conversation's voice if assistant audio is present.";
            return Err(Refused::new("cannot_update_voice", message));
        }
        let mut told = params["instructions"].as_str().map(str::to_owned);
        for (i, item) in params["input"].as_array().into_iter().flatten().enumerate() {
            let id = item["id"].as_str().unwrap_or_default();
            if item["type"] == "item_reference" && !self.conversation.items().iter().any(|known| known.id == id) {
                let id: String = id.chars().take(64).collect();
                let message = format!("Error creating response: the item with id '{id}' does not exist.");
                return Err(Refused::new("invalid_value", message).at(format!("response.input[{i}].id")));
            }
            let text = item["content"].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
            told = told.or_else(|| Some(text.collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty()));
        }
        if self.echo.is_some() {
            self.echo_open();
            return Ok(());
        }
        let answer = self.script.answer(told.as_deref(), out_of_band);
        self.start(now, &answer, params, !out_of_band);
        Ok(())
    }

    /// The automatic response to a turn or a silence.
    pub(super) fn respond_to_turn(&mut self, now: Instant, answer: Answer) {
        if let Some(active) = self.running.iter().find(|running| running.in_conversation) {
            let message = format!("Conversation already has an active response in progress: {}.", active.id);
            return self.wire.error(&Refused::new("conversation_already_has_active_response", message), None);
        }
        let plan = plan(&answer, &self.scenario, self.settings.tools(), self.settings.tool_choice());
        if !plan.silent {
            self.start_plan(now, plan, &Value::Null, true);
        }
    }

    /// `response.cancel`.
    pub(super) fn cancel_response(&mut self, now: Instant, event: &ClientEvent) -> Result<(), Refused> {
        let wanted = event.text("response_id");
        if self.echo_cancel(now, wanted) {
            return Ok(());
        }
        let found = self.running.iter().position(|running| match wanted {
            Some(id) => running.id == id,
            None => running.in_conversation,
        });
        let Some(at) = found else {
            let message = "Cancellation failed: no active response found.";
            return Err(Refused::new("response_cancel_not_active", message));
        };
        let running = self.running.remove(at);
        self.playback_until = now;
        self.finish(now, running, "cancelled", json!({"type": "cancelled", "reason": "client_cancelled"}));
        Ok(())
    }

    /// The caller speaks over the agent.
    pub(super) fn interrupt(&mut self, now: Instant) {
        if let Some(at) = self.running.iter().position(Running::in_conversation) {
            let running = self.running.remove(at);
            self.finish(now, running, "cancelled", json!({"type": "cancelled", "reason": "turn_detected"}));
        }
        self.playback_until = now;
    }

    /// Lets every response that is due go on.
    pub(super) fn due_responses(&mut self, now: Instant) {
        while let Some(at) = self.running.iter().position(|running| running.next_at.is_some_and(|next| next <= now)) {
            let mut running = self.running.remove(at);
            if self.step(now, &mut running) {
                self.running.insert(at, running);
            } else {
                self.complete(now, running);
            }
            if self.wire.is_over() {
                return;
            }
        }
    }

    fn start(&mut self, now: Instant, answer: &Answer, params: &Value, in_conversation: bool) {
        let tools = params["tools"].as_array().map(Vec::as_slice);
        let choice = params.get("tool_choice").unwrap_or(self.settings.tool_choice());
        let plan = plan(answer, &self.scenario, tools.unwrap_or(self.settings.tools()), choice);
        self.start_plan(now, plan, params, in_conversation);
    }

    fn start_plan(&mut self, now: Instant, plan: Plan, params: &Value, in_conversation: bool) {
        for (code, message) in &plan.errors {
            self.wire.error_of("server_error", Some(code), message, None, None);
        }
        let mut running = self.new_running(params, in_conversation);
        running.single_delta = plan.single_delta || self.scenario.has(Quirk::SingleDelta);
        running.parts = plan.parts.into();
        running.trouble = plan.trouble;
        let stalled = running.trouble == Some(Trouble::Stall) && running.parts.is_empty();
        let think =
            if plan.silent { std::time::Duration::ZERO } else { plan.delay.unwrap_or(self.scenario.server.think) };
        running.next_at = (!stalled).then(|| now + think);
        self.wire
            .event("response.created", json!({"response": running.object("in_progress", Value::Null, Value::Null)}));
        if in_conversation {
            self.idle_at = None;
        }
        self.running.push(running);
        self.due_responses(now);
    }

    /// A response with the session's settings and the request's overrides.
    pub(super) fn new_running(&mut self, params: &Value, in_conversation: bool) -> Running {
        let id = self.wire.id("resp");
        let format = self.asked(params, "/audio/output/format", "/output_audio_format").map(Format::from_value);
        let format = format.unwrap_or(self.settings.output_format());
        let modalities = self.asked(params, "/output_modalities", "/modalities").unwrap_or(self.settings.modalities());
        let spoken = modalities.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "audio"));
        let most = ["max_output_tokens", "max_response_output_tokens"].iter().find_map(|name| params.get(*name));
        let most = most.unwrap_or(self.settings.max_output_tokens());
        let voice = self.asked(params, "/audio/output/voice", "/voice").unwrap_or(self.settings.voice());
        let mut report = json!({
            "object": "realtime.response", "id": id, "max_output_tokens": most, "metadata": params.get("metadata"),
            "conversation_id": in_conversation.then_some(&self.conversation_id),
        });
        match self.dialect {
            Dialect::Ga => {
                report["output_modalities"] = modalities.clone();
                report["audio"] = json!({"output": {"format": format.to_value(self.dialect), "voice": voice}});
            }
            Dialect::Preview => {
                report["modalities"] = modalities.clone();
                report["voice"] = voice.clone();
                report["output_audio_format"] = format.to_value(self.dialect);
                report["temperature"] = params.get("temperature").unwrap_or(self.settings.temperature()).clone();
            }
        }
        let most_tokens = most.as_u64();
        let tokens = self.input_tokens();
        Running {
            id,
            in_conversation,
            spoken,
            format,
            report,
            parts: VecDeque::new(),
            open: None,
            output: Vec::new(),
            next_at: None,
            single_delta: false,
            trouble: None,
            tokens,
            most_tokens,
        }
    }

    /// Everything was sent: completed, or what the scenario wants instead.
    fn complete(&mut self, now: Instant, mut running: Running) {
        match running.trouble.take() {
            None if running.most_tokens.is_some_and(|most| running.tokens.output() >= most) => {
                self.finish(now, running, "incomplete", json!({"type": "incomplete", "reason": "max_output_tokens"}));
            }
            None => self.finish(now, running, "completed", Value::Null),
            Some(Trouble::Fail { code, message }) => {
                let kind = if code == "server_error" { "server_error" } else { "invalid_request_error" };
                let error = json!({"type": kind, "code": code, "message": message});
                self.finish(now, running, "failed", json!({"type": "failed", "error": error}));
            }
            Some(Trouble::Break(broken)) => {
                self.wire.break_with(&broken);
                if !self.wire.is_over() {
                    self.finish(now, running, "completed", Value::Null);
                }
            }
            Some(Trouble::Stall) => {
                running.next_at = None;
                self.running.push(running);
            }
        }
    }

    /// `response.done` and what belongs to it; open parts get their own done events first.
    pub(super) fn finish(&mut self, now: Instant, mut running: Running, status: &str, details: Value) {
        if running.open.is_some() {
            self.close_item(&mut running, "incomplete");
        }
        let tokens = if status == "failed" && running.output.is_empty() { Tokens::default() } else { running.tokens };
        let usage = self.usage(tokens);
        self.wire.event("response.done", json!({"response": running.object(status, details, usage)}));
        if !self.scenario.has(Quirk::NoRateLimits) {
            let used = tokens.input_text + tokens.input_audio + tokens.output();
            self.wire.event("rate_limits.updated", json!({"rate_limits": [
                {"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 0.06},
                {"name": "tokens", "limit": 100_000, "remaining": 100_000u64.saturating_sub(used), "reset_seconds": 1.5},
            ]}));
        }
        if running.in_conversation {
            self.cached = (tokens.input_text, tokens.input_audio);
            self.arm_idle(now);
        }
    }

    /// An override in `response.create`, by dialect.
    fn asked<'a>(&self, params: &'a Value, ga: &str, preview: &str) -> Option<&'a Value> {
        params.pointer(match self.dialect {
            Dialect::Ga => ga,
            Dialect::Preview => preview,
        })
    }
}
