//! What we can do, by trunk: Allow, Supported, and what of a Require we cannot (RFC 3261 §8.2.1, §8.2.2.3, §20.5, §20.37).

use super::core::Core;
use super::types::{Reliable, UaTrunk};
use crate::sip::TrunkId;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::session_timer::TimerMode;

/// Methods that a trunk may have or not, as Allow lists them.
const OPTIONAL: [Method; 5] = [Method::Options, Method::Info, Method::Update, Method::Refer, Method::Notify];

impl UaTrunk {
    /// Option tags of extensions that are on. `norefersub`: we can do without the subscription of a REFER (RFC 4488).
    fn options(&self) -> impl Iterator<Item = &'static str> {
        let timer = (self.timer.mode != TimerMode::Off).then_some("timer");
        let reliable = (self.reliable != Reliable::Off).then_some("100rel");
        let replaces = self.replaces.then_some("replaces");
        [reliable, timer, replaces, Some("norefersub")].into_iter().flatten()
    }
}

impl Core {
    /// Whether requests of this method are more than refused.
    pub fn takes(&self, trunk: TrunkId, method: &Method) -> bool {
        let trunk = self.trunk(trunk);
        match method {
            Method::Invite | Method::Ack | Method::Cancel | Method::Bye => true,
            Method::Prack => trunk.reliable != Reliable::Off,
            // Its answer is 489 (DLG-19).
            Method::Subscribe => true,
            method => OPTIONAL.contains(method) && trunk.methods.contains(method),
        }
    }

    /// Value of Allow.
    pub fn allow(&self, trunk: TrunkId) -> String {
        let mut allow = String::from("INVITE, ACK, CANCEL, BYE");
        for method in OPTIONAL.iter().chain([&Method::Prack]).filter(|method| self.takes(trunk, method)) {
            allow.push_str(", ");
            allow.push_str(method.as_str());
        }
        allow
    }

    /// Value of Supported.
    pub fn supported(&self, trunk: TrunkId) -> String {
        self.trunk(trunk).options().collect::<Vec<_>>().join(", ")
    }

    /// Supported of an INVITE of ours. Without an offer no 100rel: the peer's offer would come in a provisional response, and its
    /// answer would be due before anybody answers the call.
    pub fn supported_in_invite(&self, trunk: TrunkId, with_offer: bool) -> String {
        let options = self.trunk(trunk).options().filter(|option| with_offer || *option != "100rel");
        options.collect::<Vec<_>>().join(", ")
    }

    /// What a request requires and we cannot, as written (EAR-01): the value of Unsupported; `None` when there is nothing.
    pub fn unsupported(&self, trunk: TrunkId, request: &Message) -> Option<String> {
        let trunk = self.trunk(trunk);
        let can = |tag: &String| trunk.options().any(|option| option.eq_ignore_ascii_case(tag));
        let cannot: Vec<_> = request.values(&Name::Require).into_iter().filter(|tag| !can(tag)).collect();
        (!cannot.is_empty()).then(|| cannot.join(", "))
    }
}
