//! Strictness: what a live service refuses is refused, whole, with code and param; what the schema allows is taken.

use crate::schema::client_event_is_valid;
use crate::world::{Format, World, receptionist};
use serde_json::{Value, json};
use voxtrunk::realtime_sim::dialect::Dialect;

/// Every client event of the schema self-test, good and bad.
#[test]
fn the_self_test_events_are_taken_or_refused() {
    let mut checked = 0;
    for line in include_str!("../data/realtime/selftest_cases.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        if case["side"] != "client" {
            continue;
        }
        let dialect = if case["dialect"] == "ga" { Dialect::Ga } else { Dialect::Preview };
        let mut world = World::new(dialect, receptionist());
        // What the good cases refer to.
        let call = json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"});
        world.send(json!({"type": "conversation.item.create", "item": call}));
        let text = json!({"id": "item_1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]});
        world.send(json!({"type": "conversation.item.create", "item": text}));
        let before = world.mark();
        world.send_raw(&case["event"].to_string());
        let errors: Vec<&Value> = world.since(before).into_iter().filter(|event| event["type"] == "error").collect();
        assert_eq!(errors.is_empty(), case["ok"] == true, "{}: {errors:?}", case["why"]);
        assert!(world.closed.is_none(), "{}: the socket stays open", case["why"]);
        if case["ok"] == false {
            assert_eq!(world.mark(), before + 1, "{}: nothing but the error", case["why"]);
        }
        checked += 1;
    }
    assert!(checked > 40, "{checked} cases");
}

/// Code, param and event_id of a refusal, and that the whole event has no effect.
#[test]
fn refusals_name_code_param_and_event() {
    let ga = Dialect::Ga;
    let preview = Dialect::Preview;
    let update = |session: Value| json!({"type": "session.update", "event_id": "e1", "session": session});
    let cases = [
        (ga, update(json!({"instructions": "new"})), "missing_required_parameter", "session.type"),
        (
            ga,
            update(json!({"type": "realtime", "instructions": "new", "voice": "alloy"})),
            "unknown_parameter",
            "session.voice",
        ),
        (
            ga,
            update(json!({"type": "realtime", "instructions": "new", "temperature": 0.8})),
            "unknown_parameter",
            "session.temperature",
        ),
        (ga, update(json!({"type": "realtime", "instructions": 7})), "invalid_type", "session.instructions"),
        (
            ga,
            update(json!({"type": "realtime", "instructions": "new", "audio": {"output": {"speed": 2}}})),
            "invalid_value",
            "session.audio.output.speed",
        ),
        (
            ga,
            update(json!({"type": "realtime", "instructions": "new", "output_modalities": ["audio", "text"]})),
            "invalid_value",
            "session.output_modalities",
        ),
        (preview, update(json!({"type": "realtime", "instructions": "new"})), "unknown_parameter", "session.type"),
        (preview, update(json!({"instructions": "new", "audio": {}})), "unknown_parameter", "session.audio"),
        (preview, update(json!({"instructions": "new", "temperature": 1.5})), "invalid_value", "session.temperature"),
        (
            preview,
            update(json!({"instructions": "new", "tool_choice": {"type": "function", "function": {"name": "f"}}})),
            "missing_required_parameter",
            "session.tool_choice.name",
        ),
        (ga, json!({"type": "scooby.dooby.doo", "event_id": "e1"}), "invalid_value", "type"),
        (ga, json!({"event_id": "e1"}), "invalid_event", "type"),
        (ga, json!({"type": "input_audio_buffer.append", "event_id": "e1", "audio": "!!"}), "invalid_value", "audio"),
        (ga, json!({"type": "input_audio_buffer.append", "event_id": "e1"}), "missing_required_parameter", "audio"),
        (
            ga,
            json!({"type": "conversation.item.create", "event_id": "e1", "item": {"type": "message", "role": "assistant",
                "content": [{"type": "output_audio", "transcript": "hi"}]}}),
            "missing_required_parameter",
            "item.content[0].text",
        ),
    ];
    for (dialect, event, code, param) in cases {
        let mut world = World::new(dialect, receptionist());
        world.send_raw(&event.to_string());
        let error = &world.last()["error"];
        assert_eq!(world.last()["type"], "error", "{event}");
        assert_eq!((error["code"].as_str(), error["param"].as_str()), (Some(code), Some(param)), "{event}: {error}");
        assert_eq!(error["event_id"], "e1", "{event}");
        world.configure(Format::Mu, Value::Null, json!({}));
        assert_ne!(world.last()["session"]["instructions"], "new", "{event}: had an effect");
    }
}

#[test]
fn what_is_no_event_at_all_is_an_error_and_nothing_more() {
    for text in ["", "{", "[]", "null", "\"x\"", "{}", "{\"type\":7}", "{\"type\":\"response.create\",\"event_id\":7}"]
    {
        let mut world = World::new(Dialect::Ga, receptionist());
        world.send_raw(text);
        assert_eq!(world.last()["type"], "error", "{text}");
        assert_eq!(world.mark(), 2, "{text}");
    }
}

/// `session.updated` is the whole configuration; what an update leaves out stays.
#[test]
fn updates_are_merged_and_reported_whole() {
    let mut world = World::new(Dialect::Ga, receptionist());
    world.configure(Format::Mu, World::server_vad(500), json!({"instructions": "Be brief."}));
    let voice =
        json!({"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}});
    world.send(voice);
    let session = &world.last()["session"];
    assert_eq!(session["instructions"], "Be brief.");
    assert_eq!(session["audio"]["output"], json!({"format": {"type": "audio/pcmu"}, "voice": "cedar", "speed": 1.0}));
    assert_eq!(session["audio"]["input"]["turn_detection"]["silence_duration_ms"], 500);
    let off = json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": null, "transcription": null}}}});
    world.send(off);
    let input = &world.last()["session"]["audio"]["input"];
    assert_eq!((&input["turn_detection"], &input["transcription"]), (&Value::Null, &Value::Null));
    assert_eq!(input["format"], json!({"type": "audio/pcmu"}));

    let mut world = World::new(Dialect::Preview, receptionist());
    world.send(
        json!({"type": "session.update", "session": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}}),
    );
    let filled = json!({"type": "server_vad", "threshold": 0.7, "prefix_padding_ms": 300, "silence_duration_ms": 200,
        "create_response": true, "interrupt_response": true});
    assert_eq!(world.last()["session"]["turn_detection"], filled);
    assert_eq!(world.last()["session"]["voice"], "alloy");
}

/// Once the agent was heard, its voice stays; the model always does.
#[test]
fn voice_and_model_are_fixed() {
    for dialect in [Dialect::Ga, Dialect::Preview] {
        let mut world = World::new(dialect, receptionist());
        world.configure(Format::Mu, Value::Null, json!({}));
        world.send(json!({"type": "response.create"}));
        world.until("response.done");
        let (voice, model) = match dialect {
            Dialect::Ga => (
                json!({"type": "realtime", "audio": {"output": {"voice": "cedar"}}}),
                json!({"type": "realtime", "model": "other"}),
            ),
            Dialect::Preview => (json!({"voice": "echo"}), json!({"model": "other"})),
        };
        world.send(json!({"type": "session.update", "session": voice}));
        assert_eq!(world.last()["error"]["code"], "cannot_update_voice");
        world.send(json!({"type": "session.update", "session": model}));
        assert_eq!(world.last()["error"]["code"], "invalid_value");
    }
}

/// The shapes and the schemas were written apart: whatever one mutation of a good event does, they agree.
/// (Exceptions, on purpose: the shapes follow live behaviour where the schema is looser.)
#[test]
fn shapes_and_schemas_agree_on_mutated_events() {
    let mut disagreements = Vec::new();
    for line in include_str!("../data/realtime/selftest_cases.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        if case["side"] != "client" || case["ok"] == false {
            continue;
        }
        let dialect = if case["dialect"] == "ga" { Dialect::Ga } else { Dialect::Preview };
        for event in mutations(&case["event"]) {
            if !client_event_is_valid(dialect, &event) {
                let mut world = World::new(dialect, receptionist());
                world.send_raw(&event.to_string());
                if world.last()["type"] != "error" {
                    disagreements.push(event.to_string());
                }
            }
        }
    }
    assert!(disagreements.is_empty(), "taken although the schema forbids it:\n{}", disagreements.join("\n"));
}

/// Every event that differs from `event` in one place: a member dropped, added, or of another type.
fn mutations(event: &Value) -> Vec<Value> {
    let mut out = Vec::new();
    let wrong = [json!(null), json!(true), json!(-7), json!(2.5), json!("odd"), json!([]), json!({"odd": 1})];
    match event {
        Value::Object(map) => {
            let mut extra = map.clone();
            extra.insert("odd".into(), json!(1));
            out.push(Value::Object(extra));
            for (name, value) in map {
                // Free JSON: anything goes inside.
                if ["parameters", "metadata", "variables", "headers"].contains(&name.as_str()) {
                    continue;
                }
                let with = |value: Option<Value>| {
                    let mut map = map.clone();
                    match value {
                        Some(value) => map.insert(name.clone(), value),
                        None => map.remove(name),
                    };
                    Value::Object(map)
                };
                out.push(with(None));
                out.extend(wrong.iter().map(|value| with(Some(value.clone()))));
                out.extend(mutations(value).into_iter().map(|value| with(Some(value))));
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                for changed in mutations(item).into_iter().chain(wrong.iter().cloned()) {
                    let mut items = items.clone();
                    items[i] = changed;
                    out.push(Value::Array(items));
                }
            }
        }
        _ => {}
    }
    out
}
