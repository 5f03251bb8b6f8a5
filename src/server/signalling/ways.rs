//! Finds the way of a call or request of ours: trunk, targets, addresses. The answer comes at once or when DNS has answered.

use super::super::outbound::{self, NoWay, Way};
use super::Signalling;
use crate::sip::Transport;
use crate::sip::uri::Uri;
use crate::sip::user_agent::SessionId;
use std::net::SocketAddr;
use std::time::Instant;

/// Whom a way is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A second leg of this call.
    Leg(SessionId),
}

impl Signalling {
    /// Finds the way of a second leg of `call` to `uri`, by the trunk of this name or that of the caller. Ends in
    /// [`Signalling::way_found`], maybe before this returns.
    pub(super) fn find_leg(&mut self, now: Instant, call: SessionId, trunk: Option<&str>, uri: &Uri) {
        let way = self.leg_way(call, trunk, uri);
        self.way_found(now, Purpose::Leg(call), way);
    }

    fn leg_way(&mut self, call: SessionId, trunk: Option<&str>, uri: &Uri) -> Result<Way, NoWay> {
        let origin = self.routes.get(&call).map(|route| route.origin.clone()).ok_or(NoWay::CallGone)?;
        let max_forwards = outbound::hops(origin.max_forwards)?;
        let trunk = match trunk {
            None => origin.trunk,
            Some(name) => self.parts.trunks.by_name(name).ok_or_else(|| NoWay::UnknownTrunk(name.to_owned()))?,
        };
        let flow = match uri.host_ip() {
            Some(ip) => {
                let remote = SocketAddr::new(ip, uri.port().unwrap_or(5060));
                self.parts.trunks.flow(trunk, Transport::Udp, remote).ok_or(NoWay::NoTransport)?
            }
            None if uri.host().is_none() => origin.flow,
            None => return Err(NoWay::Unresolved("names are not looked up yet".into())),
        };
        let host = self.parts.trunks.own_host(trunk, flow);
        let own = self.parts.trunks.get(trunk).map_or("", |ready| ready.contact_user.as_str());
        let from = outbound::from_value(own, origin.caller.as_deref(), &host);
        let refer = self.parts.trunks.get(trunk).is_some_and(|ready| ready.trunk.transfers_by_refer);
        Ok(Way { trunk, flows: vec![flow], from, max_forwards, refer })
    }

    /// The way was found, or there is none.
    fn way_found(&mut self, now: Instant, purpose: Purpose, way: Result<Way, NoWay>) {
        match purpose {
            // `legs` takes it from here: a port, and LegReady or LegFailed to the call's worker.
            Purpose::Leg(call) => self.leg_found(now, call, way),
        }
    }
}
