//! The schemas of tests/data/realtime, compiled once.

use jsonschema::Validator;
use serde_json::Value;
use std::sync::LazyLock;
use voxtrunk::realtime_sim::dialect::Dialect;

fn compile(text: &str) -> Validator {
    jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap()
}

static GA_SERVER: LazyLock<Validator> =
    LazyLock::new(|| compile(include_str!("../data/realtime/ga.server.schema.json")));
static GA_CLIENT: LazyLock<Validator> =
    LazyLock::new(|| compile(include_str!("../data/realtime/ga.client.schema.json")));
static PREVIEW_SERVER: LazyLock<Validator> =
    LazyLock::new(|| compile(include_str!("../data/realtime/beta.server.schema.json")));
static PREVIEW_CLIENT: LazyLock<Validator> =
    LazyLock::new(|| compile(include_str!("../data/realtime/beta.client.schema.json")));

/// Fails the test if a server event is not valid in its dialect.
pub fn assert_server_event(dialect: Dialect, event: &Value) {
    let validator = match dialect {
        Dialect::Ga => &GA_SERVER,
        Dialect::Preview => &PREVIEW_SERVER,
    };
    if !validator.is_valid(event) {
        let problems: Vec<String> =
            validator.iter_errors(event).map(|e| format!("{e} at {}", e.instance_path())).collect();
        panic!("{dialect:?} server event breaks its schema: {event}\n{}", problems.join("\n"));
    }
}

/// Whether a client event is valid in its dialect.
pub fn client_event_is_valid(dialect: Dialect, event: &Value) -> bool {
    match dialect {
        Dialect::Ga => GA_CLIENT.is_valid(event),
        Dialect::Preview => PREVIEW_CLIENT.is_valid(event),
    }
}
