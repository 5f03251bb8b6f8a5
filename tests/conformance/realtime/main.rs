//! Conformance of the Realtime client with the published event schemas and with the example traces.
//!
//! | file | proves |
//! |---|---|
//! | `client_events` | whatever a session sends, for any agent and any intents, validates against the schema of its dialect |
//! | `server_events` | every server event of both schemas, and the hand-written cases, decode |
//! | `traces` | the example traces give the pinned agent events, in both dialects and across them |
//! | `disorder` | lost, doubled and shuffled events break no rule and no session |
//! | `model` | against a model of the service with its own VAD: every wish is answered, one response at a time |

mod client_events;
mod disorder;
mod driver;
mod model;
mod schema;
mod server_events;
mod traces;
