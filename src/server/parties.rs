//! Who calls whom, as the trunk's rules read it off an INVITE (pure).

use super::trunks::Trunks;
use crate::sip::TrunkId;
use crate::sip::message::Message;
use crate::trunk::{CallerInfo, Trunk, caller, dialled};

/// What an INVITE says: data for look-ups in maps and for records.
#[derive(Clone, Debug, Default)]
pub struct Parties {
    pub caller: CallerInfo,
    /// Empty: it names none.
    pub dialled: String,
    pub blocked: bool,
}

/// By the rules of its trunk; what has none is read by the defaults, for the record of its refusal.
pub fn parties(trunks: &Trunks, trunk: TrunkId, invite: &Message) -> Parties {
    let nobodys;
    let (rules, contact_user) = match trunks.get(trunk) {
        Some(ready) => (ready.trunk.as_ref(), ready.contact_user.as_str()),
        None => {
            nobodys = Trunk::new("");
            (&nobodys, "")
        }
    };
    let caller = caller::caller(rules, invite);
    let blocked = caller::is_blocked(rules, &caller);
    Parties { dialled: dialled::dialled(rules, contact_user, invite).number, caller, blocked }
}

/// By what a trunk's callers are told apart when it limits their calls; `None`: it does not, or the caller is withheld.
/// The caller is only asked for where it matters.
pub fn caller_key(trunks: &Trunks, trunk: TrunkId, caller: impl FnOnce() -> CallerInfo) -> Option<String> {
    trunks.get(trunk)?.trunk.limits.calls_per_caller?;
    Some(caller().number.expose().clone()).filter(|number| !number.is_empty())
}
