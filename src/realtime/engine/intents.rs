//! Intents to client events.

use super::ResponseEngine;
use super::slot::{Pending, Wish};
use crate::realtime::dialect::{Command, Role};
use crate::realtime::outbox::{Outbox, Sent};
use crate::realtime::{AgentEvent, CommandId, Greeting, Intent, SegmentId, SegmentOutcome, ToolCallId};
use std::time::Instant;

impl ResponseEngine {
    pub(in crate::realtime) fn on_intent(&mut self, now: Instant, id: CommandId, intent: Intent, out: &mut Outbox) {
        let command = Some(id);
        let speak = |wish| Pending { wish, command, refusals: 0 };
        match intent {
            Intent::Greet(Greeting::Say(words)) => self.want(now, speak(Wish::Exactly(words)), out),
            Intent::Greet(Greeting::Instructions(text)) | Intent::Say(text) => {
                self.want(now, speak(Wish::About(text)), out);
            }
            Intent::Greet(Greeting::None) => {}
            Intent::Respond => self.want(now, speak(Wish::Answer), out),
            Intent::AddContext(text) => {
                self.add_text(command, Role::System, &text, out);
            }
            Intent::Digits(digits) => {
                let text = format!("[The caller pressed these keys on the telephone: {digits}]");
                let (item, event) = self.add_text(command, Role::User, &text, out);
                self.calls.want_answer(&item, "", event);
                self.want(now, speak(Wish::Answer), out);
            }
            Intent::ToolResult { id, output, silent } => self.on_tool_result(now, command, id, &output, silent, out),
            Intent::Interrupt { segment, heard_ms } => self.on_interrupt(now, segment, heard_ms, out),
            // The session's own.
            Intent::Close => {}
        }
    }

    fn add_text(&mut self, command: Option<CommandId>, role: Role, text: &str, out: &mut Outbox) -> (String, u64) {
        self.last_item += 1;
        let id = format!("vt_item_{}", self.last_item);
        let event = out.send(Sent::Item, command, &Command::Text { id: &id, role, text });
        (id, event)
    }

    fn on_tool_result(
        &mut self,
        now: Instant,
        command: Option<CommandId>,
        id: ToolCallId,
        output: &str,
        silent: bool,
        out: &mut Outbox,
    ) {
        let Some((call_id, batch)) = self.calls.close(id) else {
            out.warn("tool_result_unexpected", &id.0.to_string());
            return;
        };
        let event = out.send(Sent::Item, command, &Command::FunctionCallOutput { call_id: &call_id, output });
        if !silent {
            self.calls.want_answer(&call_id, &batch, event);
        }
        let still_runs = self.sequencer.running().is_some_and(|r| r.id == batch);
        if !still_runs && self.calls.batch_is_complete(&batch) {
            self.want(now, Pending { wish: Wish::Answer, command, refusals: 0 }, out);
        }
    }

    /// Barge-in: cancel what runs, then tell the server how much of the segment was heard.
    fn on_interrupt(&mut self, now: Instant, id: SegmentId, heard_ms: u32, out: &mut Outbox) {
        let Some(segment) = self.segments.get(id) else {
            self.cancel_running(now, out);
            out.warn("interrupt_of_unknown_segment", &id.0.to_string());
            return;
        };
        let (was_open, interrupted) = (segment.open, segment.interrupted);
        // A response that answers a later turn of the caller is not what is being interrupted.
        let answers_later_turn =
            |r: &super::Running| r.id != segment.response && r.turn > segment.turn && !self.turns.speaking();
        if self.sequencer.running().is_some_and(|r| !answers_later_turn(r)) {
            self.cancel_running(now, out);
        } else if self.turns.speaking() {
            self.sequencer.cancel_requested();
        }
        if interrupted {
            return;
        }
        self.segments.mark_interrupted(id);
        let Some(segment) = self.segments.get(id) else { return };
        if segment.open {
            // Of a response that runs no more; nothing else would end it.
            let response = segment.response.clone();
            self.end_segments(&response, SegmentOutcome::Interrupted, out);
        }
        let Some(segment) = self.segments.get(id) else { return };
        let received_ms = self.segments.received_ms(segment);
        let all_heard = heard_ms >= received_ms && !was_open;
        if segment.item.is_empty() {
            out.warn("item_without_id", "");
        } else if heard_ms == 0 && !self.segments.has_siblings(segment) {
            // A truncation to nothing is refused where no audio exists yet; an item nobody heard is not part of the talk.
            out.send(Sent::Delete, None, &Command::Delete { item_id: &segment.item });
        } else if !all_heard {
            let audio_end_ms = heard_ms.min(received_ms);
            let (item_id, content_index) = (segment.item.as_str(), segment.content_index);
            out.send(Sent::Truncate, None, &Command::Truncate { item_id, content_index, audio_end_ms });
        }
    }

    /// A refused wish, told to its owner.
    pub(super) fn reject(command: Option<CommandId>, code: &str, message: String, out: &mut Outbox) {
        let code = Some(code).filter(|c| !c.is_empty()).map(str::to_owned);
        out.event(AgentEvent::Rejected { command, code, message });
    }
}
