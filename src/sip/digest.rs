//! Digest authentication, both directions (RFC 7616, RFC 8760, RFC 3261 §22). Pure: nonces are made of `now` and a secret.

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
