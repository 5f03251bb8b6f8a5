//! Tools: the model proposes, policy disposes (invariant 7).
//!
//! `policy` (pure) turns a proposed call into a [`ToolAction`] that the number's dialplan allows, or into a sentence for the
//! model; `arguments` (pure) reads and checks what the model wrote, `schema` (pure) gives the model its function
//! definitions, `request` (pure) puts arguments into URL and body. `http` (I/O, called by `server`) runs requests.

use std::time::Duration;

mod arguments;
pub mod http;
pub mod policy;
mod request;
mod schema;

/// What a checked call does.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolAction {
    /// BYE once the goodbye is heard to its last sample.
    Hangup {
        reason: Option<String>,
    },
    /// REFER to the URI of the named target.
    Transfer {
        target: String,
        uri: String,
    },
    SendDtmf {
        digits: String,
    },
    /// Keys of the caller, as one entry.
    CollectDigits(KeyEntry),
    Http(http::HttpRequest),
}

/// When an entry by keys is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// Keys, the finishing one not counted.
    pub most: usize,
    pub finish: Option<char>,
    /// From the end of the agent's words to the first key, and from key to key.
    pub first_key: Duration,
    pub next_key: Duration,
}
