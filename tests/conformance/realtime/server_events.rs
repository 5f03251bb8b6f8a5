//! Every server event that the schemas describe, decoded.

use super::driver::{Driver, plain_spec};
use super::schema::{Schema, data};
use serde_json::{Map, Value, json};
use voxtrunk::realtime::wire::{self, Kind};
use voxtrunk::realtime::{AgentEvent, AudioFormat, DialectKind};

/// An instance of a schema with all its properties; alternatives by `choice`.
fn example(schema: &Schema, of: &Value, choice: usize, depth: usize) -> Value {
    if let Some(reference) = of["$ref"].as_str() {
        return example(schema, schema.resolve(reference), choice, depth);
    }
    if let Some(value) = of.get("const") {
        return value.clone();
    }
    if let Some(values) = of["enum"].as_array() {
        return values[choice % values.len()].clone();
    }
    for word in ["anyOf", "oneOf"] {
        if let Some(alternatives) = of[word].as_array() {
            return example(schema, &alternatives[choice % alternatives.len()], choice, depth);
        }
    }
    let kind = of["type"].as_str().or_else(|| of["type"][choice % of["type"].as_array().map_or(1, Vec::len)].as_str());
    match kind {
        Some("string") => json!("AAAA"),
        Some("integer") => json!(of["minimum"].as_i64().unwrap_or(1)),
        Some("number") => json!(0.5),
        Some("boolean") => json!(true),
        Some("array") if depth == 0 => json!([]),
        Some("array") => json!([example(schema, &of["items"], choice, depth - 1)]),
        Some("null") => Value::Null,
        _ => {
            let mut object = Map::new();
            for (name, property) in of["properties"].as_object().into_iter().flatten() {
                let required = of["required"].as_array().is_some_and(|r| r.contains(&json!(name)));
                if required || depth > 0 {
                    object.insert(name.clone(), example(schema, property, choice, depth.saturating_sub(1)));
                }
            }
            Value::Object(object)
        }
    }
}

#[test]
fn every_event_of_both_schemas_decodes_to_a_known_kind_and_ends_no_session() {
    for dialect in [DialectKind::Ga, DialectKind::Preview] {
        let schema = Schema::server(dialect);
        assert!(schema.document()["x-events"].as_object().is_some_and(|e| e.len() >= 36));
        let mut valid = 0;
        for name in schema.event_names() {
            for choice in 0..4 {
                let mut event = example(schema, schema.of(name), choice, 6);
                event["type"] = json!(name);
                valid += usize::from(schema.problems(&event).is_empty());
                let text = event.to_string();
                let decoded = wire::decode(&text).unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
                assert_ne!(decoded.kind(), Kind::Unknown, "{name}");

                let mut driver = Driver::new(dialect, plain_spec(AudioFormat::Pcmu));
                driver.server(&json!({"type": "session.created"}));
                driver.server(&json!({"type": "session.updated"}));
                let events = driver.server(&event).events;
                assert!(!driver.closed, "{name}: {events:?}");
                let odd = |e: &AgentEvent| {
                    matches!(e, AgentEvent::Warning { label: "unknown_event" | "malformed_event", .. })
                };
                assert!(!events.iter().any(odd), "{name}: {events:?}");
            }
        }
        // The maker of examples is simple; it must be right for most of them to prove anything.
        assert!(valid * 10 >= schema.event_names().len() * 4 * 8, "{dialect:?}: {valid} valid examples");
    }
}

#[test]
fn the_hand_written_server_cases_decode_whether_valid_or_not() {
    let mut count = 0;
    for line in data("selftest_cases.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("case");
        if case["side"] == "server" {
            let text = case["event"].to_string();
            let kind = wire::decode(&text).expect("event").kind();
            assert_ne!(kind, Kind::Unknown, "{text}");
            count += 1;
        }
    }
    assert!(count >= 14, "{count}");
}
