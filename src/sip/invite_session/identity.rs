//! Who the peer says it is: P-Asserted-Identity, else Remote-Party-ID, and that it changed in the call (RFC 3325, 4916; XFR-09).
//!
//! Whether that is to be believed is the owner's to say.

use super::Session;
use crate::sip::headers::Name;
use crate::sip::message::Message;
use crate::sip::user_agent::UaEvent;
use crate::sip::user_agent::core::Core;

/// Display name and URI.
pub(super) type Identity = (Option<String>, String);

fn identity(message: &Message) -> Option<Identity> {
    [Name::PAssertedIdentity, Name::RemotePartyId].iter().find_map(|name| {
        let first = message.addresses(name).ok()?.into_iter().next()?;
        Some((first.display, first.uri.as_str().to_owned()))
    })
}

impl Session {
    pub(super) fn learn_identity(&mut self, message: &Message) {
        self.identity = identity(message).or(self.identity.take());
    }

    /// A re-INVITE or UPDATE that was agreed on.
    pub(super) fn identity_changed(&mut self, core: &mut Core, request: &Message) {
        let known = self.identity.clone();
        self.learn_identity(request);
        if self.identity != known {
            core.event(UaEvent::IdentityChanged { session: self.id, request: request.clone() });
        }
    }
}
