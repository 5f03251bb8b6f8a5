//! The output items of a running response, piece by piece: transcript words and audio chunks, or pieces of arguments.

use super::super::conversation::Item;
use super::super::plan::{Part, Trouble};
use super::super::polyphase::Polyphase;
use super::super::scenario::Quirk;
use super::Session;
use super::respond::Running;
use super::usage::text_tokens;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Audio a delta carries, one after the other; the last one goes on. As recorded from live services.
const CHUNKS_MS: [usize; 7] = [100, 150, 250, 250, 300, 400, 500];
const ARGUMENT_PIECE: usize = 12;
const ARGUMENT_STEP: Duration = Duration::from_millis(20);

/// The item that is being sent.
pub(super) enum Open {
    Message(Box<Message>),
    Call { value: Value, arguments: String, sent: usize },
}

pub(super) struct Message {
    value: Value,
    /// Not sent yet.
    words: VecDeque<String>,
    words_total: usize,
    transcript: String,
    samples: Vec<i16>,
    at: usize,
    chunks: usize,
    converter: Polyphase,
    /// Sent, in the response's format.
    audio: Vec<u8>,
}

impl Session {
    /// Sends the next piece and sets when the one after is due. `false` = nothing is left.
    pub(super) fn step(&mut self, now: Instant, running: &mut Running) -> bool {
        if running.most_tokens.is_some_and(|most| running.tokens.output() >= most) {
            if running.open.is_some() {
                self.close_item(running, "incomplete");
            }
            return false;
        }
        match running.open.take() {
            None => match running.parts.pop_front() {
                Some(part) => {
                    self.open_item(running, part);
                    true
                }
                None => false,
            },
            Some(Open::Message(message)) => {
                self.message_step(now, running, message);
                true
            }
            Some(Open::Call { value, arguments, sent }) => {
                self.call_step(now, running, value, arguments, sent);
                true
            }
        }
    }

    /// Announces the next item. Its first piece is due at once.
    fn open_item(&mut self, running: &mut Running, part: Part) {
        let id = self.wire.id("item");
        let open = match part {
            Part::Speech { text, samples } => {
                let value = json!({"id": id, "object": "realtime.item", "type": "message", "status": "in_progress",
                    "role": "assistant", "content": []});
                let words: VecDeque<String> = text.split_inclusive(' ').map(str::to_owned).collect();
                Open::Message(Box::new(Message {
                    value,
                    words_total: words.len(),
                    words,
                    transcript: String::new(),
                    samples,
                    at: 0,
                    chunks: 0,
                    converter: Polyphase::between(8_000, running.format.hz()),
                    audio: Vec::new(),
                }))
            }
            Part::SameCall => {
                let mut value = running.output.last().cloned().unwrap_or_default();
                let arguments = value["arguments"].as_str().unwrap_or_default().to_owned();
                (value["id"], value["status"], value["arguments"]) = (json!(id), json!("in_progress"), json!(""));
                Open::Call { value, arguments, sent: 0 }
            }
            Part::Call { name, arguments } => {
                let call_id = self.wire.id("call");
                let value = json!({"id": id, "object": "realtime.item", "type": "function_call",
                    "status": "in_progress", "name": name, "call_id": call_id, "arguments": ""});
                Open::Call { value, arguments, sent: 0 }
            }
        };
        let value = match &open {
            Open::Message(message) => &message.value,
            Open::Call { value, .. } => value,
        };
        let body = json!({"response_id": running.id, "output_index": running.output.len(), "item": value});
        self.wire.event("response.output_item.added", body);
        if running.in_conversation {
            self.conversation.push(Item::new(&id, value.clone()));
            self.announce(&id, false);
        }
        if let Open::Message(_) = open {
            let part = if running.spoken {
                json!({"type": "audio", "transcript": ""})
            } else {
                json!({"type": "text", "text": ""})
            };
            let body = place(running, &id, json!({ "part": part }));
            self.wire.event("response.content_part.added", body);
            let content = self.content(running.spoken, "");
            if let Some(item) = self.conversation.get_mut(&id) {
                item.value["content"] = content;
            }
        }
        running.open = Some(open);
    }

    fn message_step(&mut self, now: Instant, running: &mut Running, mut message: Box<Message>) {
        let id = message.value["id"].as_str().unwrap_or_default().to_owned();
        let names = self.dialect.names();
        let ms = CHUNKS_MS.get(message.chunks).or(CHUNKS_MS.last()).copied().unwrap_or(500);
        let whole = running.single_delta || !running.spoken;
        let end = if whole { message.samples.len() } else { (message.at + ms * 8).min(message.samples.len()) };
        let share = message.words_total * end / message.samples.len().max(1);
        let due = message.words_total - message.words.len().min(message.words_total);
        for _ in due..share.max(2).min(message.words_total) {
            let Some(word) = message.words.pop_front() else { break };
            let kind = if running.spoken { names.transcript_delta } else { names.text_delta };
            self.wire.event(kind, place(running, &id, json!({ "delta": word })));
            running.tokens.output_text += text_tokens(&word);
            message.transcript.push_str(&word);
        }
        running.open = None;
        if !running.spoken {
            running.open = Some(Open::Message(message));
            return self.close_item(running, "completed");
        }
        let first = message.audio.len();
        let mut samples = Vec::new();
        let chunk = message.samples.get(message.at..end).unwrap_or_default();
        message.converter.process(chunk, &mut samples);
        running.format.encode(&samples, &mut message.audio);
        let base64 = base64_simd::STANDARD.encode_to_string(message.audio.get(first..).unwrap_or_default());
        let at = format!(
            r#""response_id":"{}","item_id":"{id}","output_index":{},"content_index":0"#,
            running.id,
            running.output.len()
        );
        self.wire.audio_delta(names.audio_delta, &at, &base64);
        let audio_ms = ((end - message.at) / 8) as u64;
        running.tokens.output_audio_ms += audio_ms;
        self.spoke = true;
        if running.in_conversation {
            self.playback_until = self.playback_until.max(now) + Duration::from_millis(audio_ms);
            if let Some(item) = self.conversation.get_mut(&id) {
                item.audio_ms = (message.audio.len() / running.format.bytes_per_ms()) as u32;
            }
        }
        message.at = end;
        message.chunks += 1;
        let finished = message.at >= message.samples.len();
        running.open = Some(Open::Message(message));
        if finished {
            self.close_item(running, "completed");
        } else {
            let pace = Duration::from_millis(audio_ms).div_f64(self.scenario.server.pace);
            running.next_at = running.next_at.map(|at| at + pace);
        }
    }

    fn call_step(&mut self, now: Instant, running: &mut Running, mut value: Value, arguments: String, sent: usize) {
        let whole = self.scenario.has(Quirk::NoArgumentDeltas);
        let end = arguments.char_indices().map(|(at, _)| at).find(|at| *at >= sent + ARGUMENT_PIECE);
        let end = if whole { arguments.len() } else { end.unwrap_or(arguments.len()) };
        let piece = arguments.get(sent..end).unwrap_or_default();
        if !whole && !piece.is_empty() {
            let body = json!({"response_id": running.id, "item_id": value["id"], "output_index": running.output.len(),
                "call_id": value["call_id"], "delta": piece});
            self.wire.event("response.function_call_arguments.delta", body);
        }
        running.tokens.output_text += text_tokens(piece);
        value["arguments"] = json!(arguments.get(..end));
        let finished = end == arguments.len();
        running.open = Some(Open::Call { value, arguments, sent: end });
        if finished {
            self.close_item(running, "completed");
        } else {
            running.next_at = Some(now + ARGUMENT_STEP);
        }
    }

    /// The done events of the open item; it goes to the response's output and stays in the conversation.
    pub(super) fn close_item(&mut self, running: &mut Running, status: &str) {
        let names = self.dialect.names();
        let Some(open) = running.open.take() else { return };
        let (mut value, audio) = match open {
            Open::Message(message) => {
                let Message { mut value, transcript, audio, .. } = *message;
                let id = value["id"].as_str().unwrap_or_default().to_owned();
                let text = transcript.trim_end();
                if running.spoken {
                    self.wire.event(names.audio_done, place(running, &id, json!({})));
                    self.wire.event(names.transcript_done, place(running, &id, json!({ "transcript": text })));
                    let part = json!({"type": "audio", "transcript": text});
                    self.wire.event("response.content_part.done", place(running, &id, json!({ "part": part })));
                } else {
                    self.wire.event(names.text_done, place(running, &id, json!({ "text": text })));
                    let part = json!({"type": "text", "text": text});
                    self.wire.event("response.content_part.done", place(running, &id, json!({ "part": part })));
                }
                value["content"] = self.content(running.spoken, text);
                (value, audio)
            }
            Open::Call { value, .. } => {
                let mut body = json!({"response_id": running.id, "item_id": value["id"],
                    "output_index": running.output.len(), "call_id": value["call_id"], "arguments": value["arguments"]});
                if self.dialect == super::Dialect::Ga {
                    body["name"] = value["name"].clone();
                }
                self.wire.event("response.function_call_arguments.done", body);
                (value, Vec::new())
            }
        };
        value["status"] = json!(status);
        let body = json!({"response_id": running.id, "output_index": running.output.len(), "item": value});
        self.wire.event("response.output_item.done", body);
        let id = value["id"].as_str().unwrap_or_default().to_owned();
        if running.in_conversation {
            if let Some(item) = self.conversation.get_mut(&id) {
                item.value = value.clone();
                item.audio = audio;
            }
            self.announce_done(&id);
        }
        running.output.push(value);
        if running.trouble == Some(Trouble::Stall) && running.parts.is_empty() {
            running.next_at = None;
        }
    }

    fn content(&self, spoken: bool, text: &str) -> Value {
        let names = self.dialect.names();
        if spoken {
            json!([{"type": names.item_audio, "transcript": text}])
        } else {
            json!([{"type": names.item_text, "text": text}])
        }
    }
}

/// `fields` with the place of a content part in front.
pub(super) fn place(running: &Running, item_id: &str, fields: Value) -> Value {
    let mut body = json!({"response_id": running.id, "item_id": item_id, "output_index": running.output.len(),
        "content_index": 0});
    if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
        body.extend(fields);
    }
    body
}
