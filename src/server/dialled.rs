//! Which number was dialled, and who calls: what the INVITE says, as data (pure).

use crate::observe::pii::Pii;
use crate::sip::message::Message;
use crate::sip::uri::Uri;

/// The longest number or name kept in a record.
const MAX_SHOWN: usize = 64;

/// The number of the Request-URI, or its user part for an extension with a name. Data for a map lookup and for records.
pub fn dialled(invite: &Message) -> String {
    match invite.request_uri() {
        Some(Ok(uri)) => number_or_user(&uri),
        _ => String::new(),
    }
}

/// The calling number or name of From (P-Asserted-Identity needs a trust configuration first).
pub fn caller(invite: &Message) -> Pii<String> {
    match invite.from() {
        Some(Ok(from)) => Pii(number_or_user(&from.uri)),
        _ => Pii(String::new()),
    }
}

fn number_or_user(uri: &Uri) -> String {
    let text = uri.number().filter(|n| !n.is_empty()).or_else(|| uri.user_decoded()).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect()
}
