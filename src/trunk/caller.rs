//! Who calls, as the trunk says it and as far as it is trusted (AUT-08, AUT-10, AUT-12 to AUT-14).
//!
//! In: an INVITE and its trunk. Out: [`CallerInfo`], every text cleaned and bounded. P-Asserted-Identity, Remote-Party-ID, Diversion,
//! History-Info and verstat are read only from a trunk that names headers it is trusted for (A13); From is what anybody may write.

mod attestation;
mod text;

use super::dialled::user_of;
use super::{IdentityHeader, Trunk, forwarding};
use crate::observe::pii::Pii;
use crate::sip::headers::{Name, NameAddr};
use crate::sip::message::Message;
use crate::sip::uri::Uri;
use text::clean;

/// Most characters of a number or user, a name, a header.
const MAX_NUMBER: usize = 64;
const MAX_NAME: usize = 64;
const MAX_HEADER: usize = 256;

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
    /// STIR attestation as a trusted trunk says it: `A`, `B`, `C` if it verified the number (`verstat`), another verstat word, or
    /// `unverified-A` … for what only an Identity header claims. Never a reason to believe more than the trunk.
    pub attestation: Option<String>,
    /// Decoded User-to-User, at most 256 bytes, untrusted.
    pub user_to_user: Option<Pii<String>>,
    /// The headers of [`super::Trunk::headers_in`], by their configured name.
    pub headers: Vec<(String, Pii<String>)>,
}

/// Reads all there is.
pub fn caller(trunk: &Trunk, invite: &Message) -> CallerInfo {
    let from = invite.from().and_then(Result::ok);
    let asserted = asserted(trunk, invite);
    let withheld = is_withheld(invite, from.as_ref(), asserted.as_ref());
    let identity = asserted.as_ref().or(from.as_ref());
    let mut info = CallerInfo { withheld, ..CallerInfo::default() };
    if let Some(identity) = identity.filter(|_| !withheld) {
        info.number = Pii(number(trunk, &identity.uri));
        // The name is the caller's own word anyway: that of From, where the asserted identity has none.
        let name = identity.display.as_ref().or(from.as_ref().and_then(|from| from.display.as_ref()));
        info.name = Pii(clean(name.map_or("", String::as_str), MAX_NAME));
    }
    if is_trusted(trunk) {
        info.attestation = attestation::read(identity, invite);
        if let Some(forwarded) = forwarding::forwarded(invite) {
            info.forwarded_from = forwarded.from.map(|uri| Pii(number(trunk, &uri)));
            info.forward_reason = forwarded.reason;
        }
    }
    info.user_to_user = text::user_to_user(invite).map(Pii);
    info.headers = headers(trunk, invite, withheld);
    info
}

/// Whether the trunk refuses this caller (603, DLG-14).
pub fn is_blocked(trunk: &Trunk, caller: &CallerInfo) -> bool {
    let number = caller.number.expose();
    trunk.blocked.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(prefix) => !number.is_empty() && number.starts_with(prefix),
        None if pattern == "anonymous" => caller.withheld,
        None => pattern == number,
    })
}

fn is_trusted(trunk: &Trunk) -> bool {
    !trunk.trusted.is_empty()
}

/// The best identity that the trunk is believed.
fn asserted(trunk: &Trunk, invite: &Message) -> Option<NameAddr> {
    trunk.trusted.iter().find_map(|header| {
        let name = match header {
            IdentityHeader::PAssertedIdentity => Name::PAssertedIdentity,
            IdentityHeader::RemotePartyId => Name::RemotePartyId,
        };
        let values: Vec<NameAddr> =
            invite.values(&name).iter().take(4).filter_map(|v| NameAddr::parse(v).ok()).collect();
        // One sip and one tel value may stand there (RFC 3325 §9.1): the one with a number is the better, its name may be the other's.
        let display = values.iter().find_map(|value| value.display.clone());
        let best = values.iter().find(|value| value.uri.number().is_some()).or(values.first())?;
        Some(NameAddr { display, ..best.clone() })
    })
}

/// Whoever wants to stay unknown does, also towards a trunk that is not trusted (RFC 3323 §4, RFC 3325 §9.3).
fn is_withheld(invite: &Message, from: Option<&NameAddr>, asserted: Option<&NameAddr>) -> bool {
    let private = |word: &str| ["id", "user", "full", "uri"].iter().any(|p| word.trim().eq_ignore_ascii_case(p));
    let by_header = invite.values(&Name::Privacy).iter().any(|value| value.split(';').any(private));
    let by_parameter = asserted.and_then(|id| id.param("privacy").flatten()).is_some_and(private);
    by_header || by_parameter || [from, asserted].into_iter().flatten().any(|id| is_anonymous(&id.uri))
}

fn is_anonymous(uri: &Uri) -> bool {
    let host = uri.host().is_some_and(|host| host.to_ascii_lowercase().ends_with("anonymous.invalid"));
    let words = ["anonymous", "restricted", "unavailable", "unknown", "private"];
    host || uri.user().is_some_and(|user| words.iter().any(|word| user.eq_ignore_ascii_case(word)))
}

fn number(trunk: &Trunk, uri: &Uri) -> String {
    let user = user_of(uri).unwrap_or_default();
    trunk.numbers.normalise(&user).unwrap_or_else(|| clean(&user, MAX_NUMBER))
}

fn headers(trunk: &Trunk, invite: &Message, withheld: bool) -> Vec<(String, Pii<String>)> {
    let names_the_caller = |name: &Name| {
        matches!(name, Name::From | Name::Contact | Name::PAssertedIdentity | Name::RemotePartyId | Name::ReferredBy)
    };
    let mut found = Vec::new();
    for wanted in &trunk.headers_in {
        let name = Name::parse(wanted);
        if withheld && names_the_caller(&name) {
            continue;
        }
        if let Some(value) = invite.value(&name) {
            found.push((wanted.clone(), Pii(clean(&value, MAX_HEADER))));
        }
    }
    found
}

#[cfg(test)]
mod tests;
