//! Where the dialled number stands (AUT-09): R-URI, P-Called-Party-ID, To, History-Info, Diversion, another header.
//!
//! In: an INVITE and the trunk's ordered list. Out: the first place that has a number or name, normalised by the trunk's rules.

use super::Trunk;
use super::forwarding::{diversion_first, history_first};
use crate::sip::headers::{Name, NameAddr};
use crate::sip::message::Message;
use crate::sip::uri::Uri;

/// One place of the ordered list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialledFrom {
    RequestUri,
    PCalledPartyId,
    To,
    HistoryInfo,
    Diversion,
    Header(String),
}

/// As it is written in the settings.
impl std::fmt::Display for DialledFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DialledFrom::RequestUri => f.write_str("request-uri"),
            DialledFrom::PCalledPartyId => f.write_str("p-called-party-id"),
            DialledFrom::To => f.write_str("to"),
            DialledFrom::HistoryInfo => f.write_str("history-info"),
            DialledFrom::Diversion => f.write_str("diversion"),
            DialledFrom::Header(name) => write!(f, "header:{name}"),
        }
    }
}

/// What was dialled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialled {
    /// Normalised; empty if no place had a number or name (404).
    pub number: String,
    /// Where it stood.
    pub from: Option<DialledFrom>,
}

/// The dialled number of an INVITE. `contact_user` is the user part of our Contact on this trunk, which is nobody's number.
pub fn dialled(trunk: &Trunk, contact_user: &str, invite: &Message) -> Dialled {
    for place in &trunk.dialled {
        let text = text_at(place, invite).filter(|text| contact_user.is_empty() || text != contact_user);
        if let Some(number) = text.and_then(|text| trunk.numbers.normalise(&text)) {
            return Dialled { number, from: Some(place.clone()) };
        }
    }
    Dialled::default()
}

fn text_at(place: &DialledFrom, invite: &Message) -> Option<String> {
    match place {
        DialledFrom::RequestUri => invite.request_uri()?.ok().and_then(|uri| user_of(&uri)),
        DialledFrom::To => invite.to()?.ok().and_then(|to| user_of(&to.uri)),
        DialledFrom::PCalledPartyId => invite.address(&Name::PCalledPartyId)?.ok().and_then(|id| user_of(&id.uri)),
        DialledFrom::HistoryInfo => history_first(invite).as_ref().and_then(user_of),
        DialledFrom::Diversion => diversion_first(invite).as_ref().and_then(user_of),
        DialledFrom::Header(name) => {
            let value = invite.value(&Name::parse(name))?;
            match NameAddr::parse(&value) {
                Ok(address) => user_of(&address.uri),
                Err(_) => Some(value),
            }
        }
    }
}

/// The number of a URI, or its user part, decoded.
pub(super) fn user_of(uri: &Uri) -> Option<String> {
    uri.number().or_else(|| uri.user_decoded()).filter(|user| !user.is_empty())
}

#[cfg(test)]
mod tests;
