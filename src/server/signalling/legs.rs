//! Sessions of a call beyond the one it began with: second legs, and dialogs that take the call over.
//!
//! A call has one key, the session it began with; each further session has a route that leads to the same call. A leg gets its
//! port here and gives it back when it is over; nothing of it outlives its call (OVL-08 knows no record of its own for it).

use super::super::media_worker::{Command, NewLeg};
use super::super::outbound::{NoWay, Way};
use super::{Route, Signalling};
use crate::call::LegReady;
use crate::net::clock;
use crate::sip::Transport;
use crate::sip::user_agent::{SessionId, UaCommand, UaEvent};
use std::time::Instant;

impl Signalling {
    /// The way of a second leg of `call` was found, or there is none.
    pub(super) fn leg_found(&mut self, now: Instant, call: SessionId, way: Result<Way, NoWay>) {
        let Some(worker) = self.routes.get(&call).filter(|route| route.call_runs).and_then(|route| route.worker) else {
            return;
        };
        let leg = match way {
            Err(why) => {
                tracing::warn!(%why, status = why.status(), "a second leg has no way");
                Err(why.status())
            }
            Ok(way) => self.new_leg(now, call, way),
        };
        self.parts.workers[worker].send(Command::Leg(call, leg.map(Box::new)));
    }

    fn new_leg(&mut self, now: Instant, call: SessionId, way: Way) -> Result<NewLeg, u16> {
        // SRTP keys go to every address that is tried: those by TLS alone do not make it safe.
        let first = way.flows.iter().find(|flow| flow.transport != Transport::Tls).or(way.flows.first());
        let first = first.copied().ok_or(503u16)?;
        let route = self.routes.get(&call).ok_or(503u16)?;
        let (worker, origin) = (route.worker, route.origin.clone());
        if self.parts.trunks.cannot_offer(way.trunk, first) {
            tracing::warn!(
                trunk = self.parts.trunks.name(way.trunk),
                "a second leg needs SRTP, but its way is not by TLS"
            );
            return Err(488);
        }
        let rtp = self.parts.ports.allocate(now).map_err(|_| 503u16)?;
        let session = self.parts.user_agent.new_session_id();
        let local = self.local_media(way.trunk, first, rtp.port);
        // Until its INVITE is sent the user agent knows nothing of it.
        self.routes
            .insert(session, Route { worker, call, others: Vec::new(), call_runs: true, session_runs: false, origin });
        self.belongs(call, session);
        let Way { trunk, flows, from, max_forwards, refer } = way;
        Ok(NewLeg { ready: LegReady { session, trunk, flows, local, from, max_forwards, refer }, rtp })
    }

    /// An INVITE that takes over the dialog `old` goes to the call of that dialog. `false`: there is none any more.
    pub(super) fn take_over(&mut self, old: SessionId, event: UaEvent) -> bool {
        let (Some(route), Some(session)) = (self.routes.get(&old).filter(|route| route.call_runs), event.session())
        else {
            return false;
        };
        let (Some(worker), call, origin) = (route.worker, route.call, route.origin.clone()) else { return false };
        let route =
            Route { worker: Some(worker), call, others: Vec::new(), call_runs: true, session_runs: true, origin };
        self.routes.insert(session, route);
        self.belongs(call, session);
        self.parts.workers[worker].send(Command::Sip(call, event));
        true
    }

    fn belongs(&mut self, call: SessionId, session: SessionId) {
        if let Some(main) = self.routes.get_mut(&call) {
            main.others.push(session);
        }
    }

    /// A command of a call: an INVITE makes its session one of the user agent's.
    pub(super) fn sip_command(&mut self, command: UaCommand) {
        if let UaCommand::Invite(invite) = &command
            && let Some(route) = self.routes.get_mut(&invite.session)
        {
            route.session_runs = true;
        }
        self.parts.user_agent.command(clock::now(), command);
    }

    /// The call let go of its second leg. If the leg's session is the call's own by now, its events still go there.
    pub(super) fn leg_closed(&mut self, leg: SessionId, port: u16) {
        self.parts.ports.release(clock::now(), port);
        if self.routes.get(&leg).is_some_and(|route| !route.session_runs) {
            self.routes.remove(&leg);
        }
    }

    /// The call is over: no session leads to it any more.
    pub(super) fn release_sessions(&mut self, call: SessionId) {
        let others = self.routes.get_mut(&call).map(|route| std::mem::take(&mut route.others)).unwrap_or_default();
        for session in others {
            if let Some(route) = self.routes.get_mut(&session) {
                route.call_runs = false;
            }
            self.forget_if_over(session);
        }
    }
}
