//! The event schemas of `tests/data/realtime`, looked up by event type.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::OnceLock;
use voxtrunk::realtime::DialectKind;

/// One side's schema of one dialect.
pub struct Schema {
    document: Value,
    validators: HashMap<String, jsonschema::Validator>,
}

pub fn name(dialect: DialectKind) -> &'static str {
    match dialect {
        DialectKind::Ga => "ga",
        DialectKind::Preview => "beta",
    }
}

pub fn data(file: &str) -> String {
    let path = format!("{}/tests/data/realtime/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

impl Schema {
    fn load(dialect: DialectKind, side: &str) -> Schema {
        let document: Value =
            serde_json::from_str(&data(&format!("{}.{side}.schema.json", name(dialect)))).expect("schema is JSON");
        let validators = events(&document)
            .map(|(event, reference)| {
                let schema = json!({"$schema": document["$schema"], "$defs": document["$defs"], "$ref": reference});
                let validator = jsonschema::validator_for(&schema).unwrap_or_else(|e| panic!("{event}: {e}"));
                (event.to_owned(), validator)
            })
            .collect();
        Schema { document, validators }
    }

    /// What we may send.
    pub fn client(dialect: DialectKind) -> &'static Schema {
        static SCHEMAS: [OnceLock<Schema>; 2] = [OnceLock::new(), OnceLock::new()];
        SCHEMAS[usize::from(dialect == DialectKind::Ga)].get_or_init(|| Schema::load(dialect, "client"))
    }

    /// What the service may send.
    pub fn server(dialect: DialectKind) -> &'static Schema {
        static SCHEMAS: [OnceLock<Schema>; 2] = [OnceLock::new(), OnceLock::new()];
        SCHEMAS[usize::from(dialect == DialectKind::Ga)].get_or_init(|| Schema::load(dialect, "server"))
    }

    pub fn document(&self) -> &Value {
        &self.document
    }

    pub fn event_names(&self) -> Vec<&str> {
        events(&self.document).map(|(event, _)| event).collect()
    }

    /// The schema of one event.
    pub fn of(&self, event: &str) -> &Value {
        let reference = self.document["x-events"][event].as_str().expect("a reference");
        self.resolve(reference)
    }

    pub fn resolve(&self, reference: &str) -> &Value {
        self.document.pointer(reference.strip_prefix('#').expect("a local reference")).expect("a definition")
    }

    /// What is wrong with an event; empty if nothing is.
    pub fn problems(&self, event: &Value) -> Vec<String> {
        let name = event["type"].as_str().unwrap_or_default();
        match self.validators.get(name) {
            None => vec![format!("no such event: {name:?}")],
            Some(validator) => {
                validator.iter_errors(event).map(|e| format!("{name}{}: {e}", e.instance_path())).collect()
            }
        }
    }

    pub fn assert_valid(&self, event: &Value, context: &str) {
        let problems = self.problems(event);
        assert!(problems.is_empty(), "{context}: {problems:?}\n{event}");
    }
}

fn events(document: &Value) -> impl Iterator<Item = (&str, &str)> {
    let map = document["x-events"].as_object().expect("x-events");
    map.iter().map(|(event, reference)| (event.as_str(), reference.as_str().expect("a reference")))
}

/// The hand-written cases hold for the validator as they do for the one they came with: the proof that the lookup works.
#[test]
fn validator_agrees_with_the_hand_written_cases() {
    let mut count = 0;
    for line in data("selftest_cases.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("case");
        let dialect = if case["dialect"] == "ga" { DialectKind::Ga } else { DialectKind::Preview };
        let schema = if case["side"] == "server" { Schema::server(dialect) } else { Schema::client(dialect) };
        let mut event = case["event"].clone();
        if case["side"] == "server" && event.get("event_id").is_none() {
            event["event_id"] = json!("event_1");
        }
        let problems = schema.problems(&event);
        assert_eq!(problems.is_empty(), case["ok"] == true, "{}: {problems:?}", case["why"]);
        count += 1;
    }
    assert_eq!(count, 64);
}
