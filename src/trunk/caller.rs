//! Who calls, as the trunk says it and as far as it is trusted (AUT-08, AUT-10, AUT-12 to AUT-14).

use crate::observe::pii::Pii;

/// What an INVITE says about its caller: data for dialplan, prompt, tools and records. Texts are cleaned and bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerInfo {
    /// Normalised number or user; empty when withheld.
    pub number: Pii<String>,
    pub name: Pii<String>,
    /// Privacy `id`, or an anonymous URI.
    pub withheld: bool,
    /// The number that the call was forwarded from first, and why (Diversion, History-Info).
    pub forwarded_from: Option<Pii<String>>,
    pub forward_reason: Option<String>,
    /// STIR attestation as a trusted trunk says it (`verstat`, Identity's `attest`): A, B, C, or a verstat word.
    pub attestation: Option<String>,
    /// Decoded User-to-User, at most 256 bytes, untrusted.
    pub user_to_user: Option<Pii<String>>,
    /// The headers of [`super::Trunk::headers_in`], by their configured name.
    pub headers: Vec<(String, Pii<String>)>,
}
