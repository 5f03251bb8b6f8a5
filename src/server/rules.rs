//! Which trunk a request is of, by its source alone.

use crate::sip::message::Message;
use crate::sip::{Flow, TrunkId};
use crate::trunk::Trunk;

pub struct Facts<'a> {
    pub flow: Flow,
    pub certificate_names: &'a [String],
}
pub enum Verdict {
    Trunk(TrunkId),
    Challenge(Vec<TrunkId>),
    Unknown,
}
pub struct Identifier(Vec<Trunk>);

impl Identifier {
    pub fn new(trunks: &[Trunk], _contact_users: &[String]) -> Identifier {
        Identifier(trunks.to_vec())
    }
    pub fn identify(&self, facts: &Facts<'_>, _request: &Message) -> Verdict {
        let Facts { flow, certificate_names: _ } = facts;
        for (n, trunk) in self.0.iter().enumerate() {
            let id = TrunkId(n as u16);
            let identify = &trunk.identify;
            if identify.sources.iter().any(|network| network.contains(flow.remote.ip()))
                && (identify.ports.is_empty() || identify.ports.contains(&flow.remote.port()))
            {
                return Verdict::Trunk(id);
            }
            if identify.user.is_some() {
                return Verdict::Challenge(vec![id]);
            }
        }
        Verdict::Unknown
    }
}
