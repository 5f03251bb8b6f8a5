//! Finds the way of a second leg: trunk, targets, addresses. The answer comes at once or when DNS has answered.

use super::super::outbound::{self, NoWay, Way};
use super::super::targets::TargetId;
use super::Signalling;
use crate::sip::uri::Uri;
use crate::sip::user_agent::SessionId;
use crate::sip::{Flow, TrunkId};
use std::time::{Duration, Instant};

/// Whom a lookup is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Leg(LegWish),
    Target(TargetId),
}

/// A second leg that is looking for its way.
#[derive(Clone, Debug)]
pub(super) struct LegWish {
    call: SessionId,
    trunk: TrunkId,
    max_forwards: u32,
}

impl Signalling {
    /// Finds the way of a second leg of `call` to `uri`, by the trunk of this name or that of the caller. Ends in
    /// [`Signalling::way_found`], maybe before this returns.
    pub(super) fn find_leg(&mut self, now: Instant, call: SessionId, trunk: Option<&str>, uri: &Uri) {
        let wish = match self.leg_wish(call, trunk) {
            Ok(wish) => wish,
            Err(why) => return self.way_found(now, call, Err(why)),
        };
        let flows = self.targets.flows(wish.trunk);
        if !flows.is_empty() {
            return self.leg_looked_up(now, wish, Ok((flows, Duration::ZERO)));
        }
        if self.targets.has_any(wish.trunk) {
            // Not resolved, or not yet: the first target is worth another try.
            let target = self.parts.trunks.get(wish.trunk).and_then(|ready| ready.trunk.targets.first().cloned());
            if let Some(target) = target {
                let trunk = wish.trunk;
                return self.look_up(now, Purpose::Leg(wish), trunk, &target);
            }
        }
        if uri.host().is_some() {
            let trunk = wish.trunk;
            return self.look_up(now, Purpose::Leg(wish), trunk, uri);
        }
        // A bare number on a trunk without targets goes back to where the caller's INVITE came from.
        let origin = self.routes.get(&call).map(|route| &route.origin);
        let back = origin.filter(|origin| origin.trunk == wish.trunk).map(|origin| origin.flow);
        match back {
            Some(flow) => self.leg_looked_up(now, wish, Ok((vec![flow], Duration::ZERO))),
            None => self.way_found(now, call, Err(NoWay::NoTarget)),
        }
    }

    fn leg_wish(&self, call: SessionId, trunk: Option<&str>) -> Result<LegWish, NoWay> {
        let origin = &self.routes.get(&call).ok_or(NoWay::CallGone)?.origin;
        let max_forwards = outbound::hops(origin.max_forwards)?;
        let trunk = match trunk {
            None => origin.trunk,
            Some(name) => self.parts.trunks.by_name(name).ok_or_else(|| NoWay::UnknownTrunk(name.to_owned()))?,
        };
        Ok(LegWish { call, trunk, max_forwards })
    }

    pub(super) fn leg_looked_up(&mut self, now: Instant, wish: LegWish, found: Result<(Vec<Flow>, Duration), String>) {
        let way = found.map_err(NoWay::Unresolved).and_then(|(flows, _)| self.way(&wish, flows));
        self.way_found(now, wish.call, way);
    }

    fn way(&self, wish: &LegWish, flows: Vec<Flow>) -> Result<Way, NoWay> {
        let ready = self.parts.trunks.get(wish.trunk).ok_or(NoWay::NoTarget)?;
        let origin = &self.routes.get(&wish.call).ok_or(NoWay::CallGone)?.origin;
        let flow = flows.first().ok_or(NoWay::NoTransport)?;
        let from = match &ready.trunk.kind {
            crate::trunk::TrunkKind::Register(registration) => format!("<{}>", registration.aor),
            crate::trunk::TrunkKind::Static => {
                let host = self.parts.trunks.own_host(wish.trunk, *flow);
                outbound::from_value(&ready.contact_user, origin.caller.as_deref(), &host)
            }
        };
        let (trunk, max_forwards) = (wish.trunk, wish.max_forwards);
        Ok(Way { trunk, flows, from, max_forwards, refer: ready.trunk.transfers_by_refer })
    }

    /// The way was found, or there is none. `legs` takes it from here: a port, and LegReady or LegFailed to the call's worker.
    fn way_found(&mut self, now: Instant, call: SessionId, way: Result<Way, NoWay>) {
        self.leg_found(now, call, way);
    }
}
