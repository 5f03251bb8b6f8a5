//! Tools: the model proposes, policy disposes (invariant 7).
//!
//! `policy` (pure) turns a proposed call into a [`ToolAction`] that the number's dialplan allows, or into a sentence for the
//! model; `arguments` (pure) reads and checks what the model wrote, `schema` (pure) gives the model its function
//! definitions, `request` (pure) puts arguments into URL and body. `http` (I/O, called by `server`) runs requests.

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
    Http(http::HttpRequest),
}
