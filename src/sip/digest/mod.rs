//! Digest authentication, both directions (RFC 7616, RFC 8760, RFC 3261 §22). Pure: nonces are made of `now` and a secret.
//!
//! `challenge`: reading `Digest …` values. `client`: answers to challenges of our requests. `server`: challenges of ours and
//! the check of what comes back. `hash`: the algorithms, and the only file that names their crates.

mod challenge;
pub(crate) mod client;
mod hash;
pub mod server;

pub(super) use hash::hmac_sha256;

use crate::observe::pii::Pii;

/// User name and password for the realms and hosts they were configured for (AUT-04).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `None`: any realm of the trunk's own hosts.
    pub realm: Option<String>,
    pub user: String,
    /// Does not print.
    pub password: Pii<String>,
}
