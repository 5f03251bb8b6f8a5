//! A scripted Realtime service: it says what a test tells it to, in the words of either dialect.
//!
//! In: the texts of the call. Out: texts with the time they arrive. Speech is generated ten times faster than real time.

use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use voxtrunk::audio::g711::Law;
use voxtrunk::realtime::DialectKind;

/// What answers a `response.create`.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Speech of so many ms.
    Speech(u32, &'static str),
    /// A function call, `(name, arguments)`.
    Tool(&'static str, Value),
    /// `response.done` with status failed.
    Fail,
}

/// How the handshake of the session goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    Configured,
    /// `session.update` is answered by an error.
    Refused,
    /// `session.created` is the last that is heard.
    Mute,
}

pub struct Service {
    pub dialect: DialectKind,
    pub opening: Opening,
    /// From `session.update` to `session.updated`.
    pub ready_after: Duration,
    /// To the first event of an answer.
    pub think: Duration,
    pub replies: VecDeque<Reply>,
    /// What the call sent, without audio.
    pub received: Vec<(Duration, Value)>,
    /// Bytes of caller audio and when they came; and the last 2 s as samples.
    pub audio_bytes: u64,
    pub appends: u64,
    pub audio: Vec<i16>,
    pub keep_audio: bool,
    pub g711: bool,
    /// What it says instead of its tone: 24 kHz, again and again.
    pub words: Vec<i16>,
    out: BTreeMap<(Duration, u64), Value>,
    count: u64,
    /// The response that is being generated, until when.
    active: Option<(String, Duration)>,
    pub items: Vec<String>,
    next_call: u64,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Service {
    pub fn new(dialect: DialectKind) -> Service {
        Service {
            dialect,
            opening: Opening::Configured,
            ready_after: ms(60),
            think: ms(300),
            replies: VecDeque::new(),
            received: Vec::new(),
            audio_bytes: 0,
            appends: 0,
            audio: Vec::new(),
            keep_audio: false,
            g711: false,
            words: Vec::new(),
            out: BTreeMap::new(),
            count: 0,
            active: None,
            items: Vec::new(),
            next_call: 0,
        }
    }

    fn name<'a>(&self, ga: &'a str, preview: &'a str) -> &'a str {
        if self.dialect == DialectKind::Ga { ga } else { preview }
    }

    pub fn opened(&mut self, now: Duration) {
        let session = match self.dialect {
            DialectKind::Ga => json!({"type": "realtime", "id": "sess_1", "object": "realtime.session",
                "model": "m", "audio": {"input": {}, "output": {}}, "expires_at": 1_900_000_000u64}),
            DialectKind::Preview => json!({"id": "sess_1", "object": "realtime.session", "model": "m",
                "input_audio_format": "pcm16", "expires_at": 1_900_000_000u64}),
        };
        self.at(now + ms(20), json!({"type": "session.created", "session": session}));
    }

    pub fn receive(&mut self, now: Duration, text: &str) {
        let event: Value = serde_json::from_str(text).expect("the call sends JSON");
        let kind = event["type"].as_str().expect("every event has a type").to_owned();
        if kind == "input_audio_buffer.append" {
            return self.append(&event);
        }
        self.received.push((now, event.clone()));
        match kind.as_str() {
            "session.update" => self.configure(now, &event),
            "response.create" => {
                let reply = self.replies.pop_front().unwrap_or(Reply::Speech(1_000, "All right."));
                self.reply(now + self.think, reply);
            }
            "response.cancel" => self.cancel(now, "client_cancelled"),
            "conversation.item.truncate" => self.at(
                now + ms(20),
                json!({"type": "conversation.item.truncated", "item_id": event["item_id"],
                    "content_index": 0, "audio_end_ms": event["audio_end_ms"]}),
            ),
            "conversation.item.create" => {
                let mut item = event["item"].clone();
                if item["id"].is_null() {
                    item["id"] = json!(format!("item_in{}", self.count));
                }
                self.item_event(now + ms(20), item);
            }
            "conversation.item.delete" => {
                self.at(now + ms(20), json!({"type": "conversation.item.deleted", "item_id": event["item_id"]}));
            }
            _ => {}
        }
    }

    fn append(&mut self, event: &Value) {
        let audio = event["audio"].as_str().expect("append has audio");
        let bytes = base64_simd::STANDARD.decode_to_vec(audio).expect("append has base64");
        self.audio_bytes += bytes.len() as u64;
        self.appends += 1;
        if self.keep_audio && self.g711 {
            Law::Mu.decode(&bytes, &mut self.audio);
        } else if self.keep_audio {
            self.audio.extend(bytes.chunks_exact(2).map(|p| i16::from_le_bytes([p[0], p[1]])));
        }
    }

    /// How much caller audio has come.
    pub fn received_audio(&self) -> Duration {
        let per_ms = if self.g711 { 8 } else { 48 };
        Duration::from_micros(self.audio_bytes * 1_000 / per_ms)
    }

    fn configure(&mut self, now: Duration, event: &Value) {
        match self.opening {
            Opening::Configured => {
                let mut session = event["session"].clone();
                session["id"] = json!("sess_1");
                session["model"] = json!("m");
                self.at(now + self.ready_after, json!({"type": "session.updated", "session": session}));
            }
            Opening::Refused => self.at(
                now + self.ready_after,
                json!({"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_value",
                    "message": "bad voice", "param": "session.voice", "event_id": event["event_id"]}}),
            ),
            Opening::Mute => {}
        }
    }

    pub fn at(&mut self, when: Duration, mut event: Value) {
        self.count += 1;
        event["event_id"] = json!(format!("event_{}", self.count));
        self.out.insert((when, self.count), event);
    }

    /// When the next text arrives.
    pub fn next_due(&self) -> Option<Duration> {
        self.out.keys().next().map(|(at, _)| *at)
    }

    /// Texts that arrive now.
    pub fn due(&mut self, now: Duration) -> Vec<String> {
        let mut texts = Vec::new();
        while self.next_due().is_some_and(|at| at <= now)
            && let Some((_, event)) = self.out.pop_first()
        {
            texts.push(event.to_string());
        }
        if self.active.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.active = None;
        }
        texts
    }

    fn item_event(&mut self, when: Duration, item: Value) {
        match self.dialect {
            DialectKind::Ga => {
                self.at(when, json!({"type": "conversation.item.added", "previous_item_id": null, "item": item}));
                self.at(when, json!({"type": "conversation.item.done", "previous_item_id": null, "item": item}));
            }
            DialectKind::Preview => {
                self.at(when, json!({"type": "conversation.item.created", "previous_item_id": null, "item": item}));
            }
        }
    }

    /// A whole response, also without being asked (VAD). Its id.
    pub fn reply(&mut self, when: Duration, reply: Reply) -> String {
        self.count += 1;
        let response = format!("resp_{}", self.count);
        let item = format!("item_{}", self.count);
        let fields = json!({"id": response, "object": "realtime.response", "status": "in_progress", "output": []});
        match reply {
            Reply::Fail => {
                self.at(when, json!({"type": "response.created", "response": fields}));
                self.done(when + ms(20), &response, "failed", json!([]));
                self.active = Some((response.clone(), when + ms(20)));
            }
            Reply::Speech(length, text) => {
                self.at(when, json!({"type": "response.created", "response": fields}));
                self.items.push(item.clone());
                let end = self.speech(when, &response, &item, length, text);
                let part = json!({"type": self.name("output_audio", "audio"), "transcript": text});
                let output = json!([{"id": item, "object": "realtime.item", "type": "message", "role": "assistant",
                    "status": "completed", "content": [part]}]);
                self.done(end, &response, "completed", output);
                self.active = Some((response.clone(), end));
            }
            Reply::Tool(name, arguments) => {
                self.at(when, json!({"type": "response.created", "response": fields}));
                self.next_call += 1;
                let call = format!("call_{}", self.next_call);
                let output = self.function(when + ms(10), &response, &item, &call, name, &arguments);
                self.done(when + ms(30), &response, "completed", json!([output]));
                self.active = Some((response.clone(), when + ms(30)));
            }
        }
        response
    }

    /// One response that speaks and then calls a function.
    pub fn speak_and_call(&mut self, when: Duration, length: u32, name: &str, arguments: &Value) {
        self.count += 1;
        let response = format!("resp_{}", self.count);
        let (item, tool) = (format!("item_{}", self.count), format!("item_{}t", self.count));
        let fields = json!({"id": response, "object": "realtime.response", "status": "in_progress", "output": []});
        self.at(when, json!({"type": "response.created", "response": fields}));
        self.items.push(item.clone());
        let end = self.speech(when, &response, &item, length, "Goodbye, and thank you.");
        self.next_call += 1;
        let call = format!("call_{}", self.next_call);
        let output = self.function(end + ms(5), &response, &tool, &call, name, arguments);
        self.done(end + ms(30), &response, "completed", json!([output]));
        self.active = Some((response, end + ms(30)));
    }

    fn speech(&mut self, when: Duration, response: &str, item: &str, length: u32, text: &str) -> Duration {
        let message = json!({"id": item, "object": "realtime.item", "type": "message", "role": "assistant",
            "status": "in_progress", "content": []});
        self.at(
            when + ms(5),
            json!({"type": "response.output_item.added", "response_id": response, "output_index": 0, "item": message}),
        );
        let added = self.name("conversation.item.added", "conversation.item.created").to_owned();
        self.at(when + ms(5), json!({"type": added, "previous_item_id": null, "item": message}));
        let ids = |kind: &str| json!({"type": kind, "response_id": response, "item_id": item, "output_index": 0, "content_index": 0});
        let mut part = ids("response.content_part.added");
        part["part"] = json!({"type": "audio", "transcript": ""});
        self.at(when + ms(5), part);
        let mut transcript =
            ids(self.name("response.output_audio_transcript.delta", "response.audio_transcript.delta"));
        transcript["delta"] = json!(text);
        self.at(when + ms(5), transcript);
        let mut at = when + ms(10);
        let mut sent = 0;
        while sent < length {
            let chunk = 100.min(length - sent);
            let mut delta = ids(self.name("response.output_audio.delta", "response.audio.delta"));
            delta["delta"] = json!(base64_simd::STANDARD.encode_to_string(self.voice(sent, chunk)));
            self.at(at, delta);
            at += ms(10);
            sent += chunk;
        }
        self.at(at, ids(self.name("response.output_audio.done", "response.audio.done")));
        let mut transcript = ids(self.name("response.output_audio_transcript.done", "response.audio_transcript.done"));
        transcript["transcript"] = json!(text);
        self.at(at, transcript);
        let mut part = ids("response.content_part.done");
        part["part"] = json!({"type": "audio", "transcript": text});
        self.at(at, part);
        let mut done = message;
        done["status"] = json!("completed");
        done["content"] = json!([{"type": self.name("output_audio", "audio"), "transcript": text}]);
        self.at(
            at,
            json!({"type": "response.output_item.done", "response_id": response, "output_index": 0, "item": done}),
        );
        at
    }

    /// Loud from the first to the last sample.
    fn voice(&self, from_ms: u32, length_ms: u32) -> Vec<u8> {
        let per_ms = if self.g711 { 8 } else { 24 };
        let range = (from_ms * per_ms) as usize..((from_ms + length_ms) * per_ms) as usize;
        let sample = |n: usize| match self.words.len() {
            0 => super::peer::tone(n, per_ms as usize * 1_000),
            words => self.words[n % words],
        };
        let samples: Vec<i16> = range.map(sample).collect();
        if self.g711 {
            let mut out = Vec::new();
            voxtrunk::audio::g711::Law::Mu.encode(&samples, &mut out);
            return out;
        }
        samples.iter().flat_map(|s| s.to_le_bytes()).collect()
    }

    fn function(
        &mut self,
        when: Duration,
        response: &str,
        item: &str,
        call: &str,
        name: &str,
        arguments: &Value,
    ) -> Value {
        let text = arguments.to_string();
        let mut fields = json!({"id": item, "object": "realtime.item", "type": "function_call", "status": "in_progress",
            "name": name, "call_id": call, "arguments": ""});
        self.at(
            when,
            json!({"type": "response.output_item.added", "response_id": response, "output_index": 1, "item": fields}),
        );
        self.at(
            when,
            json!({"type": "response.function_call_arguments.done", "response_id": response, "item_id": item,
                "output_index": 1, "call_id": call, "name": name, "arguments": text}),
        );
        fields["status"] = json!("completed");
        fields["arguments"] = json!(text);
        self.at(
            when,
            json!({"type": "response.output_item.done", "response_id": response, "output_index": 1, "item": fields}),
        );
        fields
    }

    fn done(&mut self, when: Duration, response: &str, status: &str, output: Value) {
        let details = match status {
            "failed" => json!({"type": "failed", "error": {"type": "server_error", "code": "server_error",
                "message": "the model failed"}}),
            "cancelled" => json!({"type": "cancelled", "reason": "turn_detected"}),
            _ => Value::Null,
        };
        let usage = json!({"total_tokens": 30, "input_tokens": 10, "output_tokens": 20,
            "input_token_details": {"text_tokens": 4, "audio_tokens": 6, "cached_tokens": 0},
            "output_token_details": {"text_tokens": 5, "audio_tokens": 15}});
        self.at(
            when,
            json!({"type": "response.done", "response": {"id": response, "object": "realtime.response",
                "status": status, "status_details": details, "output": output, "usage": usage}}),
        );
    }

    /// Cancels what is being generated: nothing more of it comes but its `response.done`.
    fn cancel(&mut self, now: Duration, reason: &str) {
        let Some((response, _)) = self.active.take() else {
            return self.at(
                now + ms(20),
                json!({"type": "error", "error": {"type": "invalid_request_error", "code": "response_cancel_not_active",
                    "message": "Cancellation failed: no active response found", "param": null, "event_id": null}}),
            );
        };
        self.out
            .retain(|_, event| event["response_id"] != json!(response) && event["response"]["id"] != json!(response));
        let _ = reason;
        self.done(now + ms(20), &response, "cancelled", json!([]));
    }

    /// The server's VAD: the caller begins to speak. It cancels by itself, as `interrupt_response` says.
    pub fn speech_started(&mut self, now: Duration, cancels: bool) {
        let at = self.received_audio().as_millis() as u64;
        self.at(
            now,
            json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": at, "item_id": format!("item_u{at}")}),
        );
        if cancels && self.active.is_some() {
            self.cancel(now, "turn_detected");
        }
    }

    pub fn speech_stopped(&mut self, now: Duration, text: &str) {
        let at = self.received_audio().as_millis() as u64;
        let item = format!("item_u{at}");
        self.at(now, json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": at, "item_id": item}));
        self.at(now, json!({"type": "input_audio_buffer.committed", "previous_item_id": null, "item_id": item}));
        self.item_event(
            now,
            json!({"id": item, "object": "realtime.item", "type": "message", "role": "user", "status": "completed",
                "content": [{"type": "input_audio", "transcript": null}]}),
        );
        self.at(
            now + ms(200),
            json!({"type": "conversation.item.input_audio_transcription.completed", "item_id": item,
                "content_index": 0, "transcript": text}),
        );
    }

    /// Events of a type the call sent.
    pub fn sent(&self, kind: &str) -> Vec<&Value> {
        self.received.iter().filter(|(_, e)| e["type"] == kind).map(|(_, e)| e).collect()
    }
}
