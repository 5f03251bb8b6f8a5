//! Our requests outside of calls: REGISTER of each registering trunk (AUT-05) and OPTIONS to each target (DLG-12).

use super::super::targets::TargetId;
use super::Signalling;
use crate::observe::trunks::RegistrationState as Shown;
use crate::sip::message::{Message, Method};
use crate::sip::registration::{Registration, RegistrationConfig, RegistrationOutput, RegistrationState};
use crate::sip::uri::Uri;
use crate::sip::user_agent::{NewRequest, RequestId, UaCommand};
use crate::sip::{Flow, TrunkId};
use crate::trunk::TrunkKind;
use bytes::Bytes;
use rand::Rng;
use std::collections::HashMap;
use std::time::Instant;

/// What a request of ours is about.
#[derive(Clone, Copy, Debug)]
enum About {
    Registration(TrunkId),
    Probe(TargetId, Flow),
}

/// One registration.
struct Registering {
    machine: Registration,
    deadline: Option<Instant>,
    /// A request that waits for an address of the registrar.
    held: Option<Box<NewRequest>>,
}

#[derive(Default)]
pub struct Requests {
    last: u64,
    about: HashMap<RequestId, About>,
    registrations: HashMap<TrunkId, Registering>,
    leaving: bool,
}

impl Requests {
    fn next_id(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }

    /// Registrations that are not over: each may still say good-bye to its registrar.
    pub fn registrations(&self) -> usize {
        let over = |state| matches!(state, RegistrationState::Gone | RegistrationState::Off);
        self.registrations.values().filter(|registering| !over(registering.machine.status().state)).count()
    }
}

impl Signalling {
    /// Begins every registration.
    pub(super) fn register(&mut self, now: Instant) {
        let registering: Vec<_> = self
            .parts
            .trunks
            .all()
            .filter_map(|(id, ready)| match &ready.trunk.kind {
                TrunkKind::Register(registration) => Some((id, registration.clone(), ready.contact_user.clone())),
                TrunkKind::Static => None,
            })
            .collect();
        for (trunk, registration, contact_user) in registering {
            let id = self.own.next_id();
            let seed = self.parts.random.random();
            let mut machine = Registration::new(
                now,
                RegistrationConfig {
                    id,
                    trunk,
                    aor: registration.aor.clone(),
                    contact_user,
                    expires: registration.expires,
                    keepalive: registration.keepalive,
                    seed,
                },
            );
            machine.start(now);
            self.own.about.insert(id, About::Registration(trunk));
            self.own.registrations.insert(trunk, Registering { machine, deadline: None, held: None });
            self.drive(now, trunk);
        }
    }

    /// OVL-04: takes every registration back.
    pub(super) fn unregister(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.own.leaving, true) {
            self.each_registration(now, |machine| machine.stop(now));
        }
    }

    /// Lookups, OPTIONS and registrations that are due.
    pub(super) fn tend(&mut self, now: Instant) {
        for (id, uri) in self.targets.take_lookups(now) {
            self.look_up(now, super::ways::Purpose::Target(id), id.trunk, &uri);
        }
        for (id, uri, flow) in self.targets.take_probes(now) {
            self.probe(now, id, uri, flow);
        }
        let due = |registering: &Registering| registering.deadline.is_some_and(|at| at <= now);
        let due: Vec<_> = self.own.registrations.iter().filter(|(_, r)| due(r)).map(|(trunk, _)| *trunk).collect();
        for trunk in due {
            self.registration(now, trunk, |machine| machine.handle_timeout(now));
        }
    }

    fn probe(&mut self, now: Instant, target: TargetId, uri: Uri, flow: Flow) {
        let id = self.own.next_id();
        self.own.about.insert(id, About::Probe(target, flow));
        let host = self.parts.trunks.own_host(target.trunk, flow);
        let user = self.parts.trunks.get(target.trunk).map_or("", |ready| ready.contact_user.as_str());
        let request = NewRequest {
            id,
            trunk: target.trunk,
            flows: vec![flow],
            method: Method::Options,
            from: format!("<sip:{user}@{host}>"),
            to: format!("<{uri}>"),
            request_uri: uri,
            call_id: None,
            cseq: None,
            headers: Vec::new(),
            body: None,
        };
        self.parts.user_agent.command(now, UaCommand::Request(Box::new(request)));
    }

    /// The end of a request of ours.
    pub(super) fn answered(&mut self, now: Instant, id: RequestId, flow: Flow, status: u16, message: Option<&Message>) {
        match self.own.about.get(&id).copied() {
            Some(About::Registration(trunk)) => {
                self.registration(now, trunk, |machine| machine.response(now, flow, status, message));
            }
            Some(About::Probe(target, probed)) => {
                self.own.about.remove(&id);
                if let Some(up) = self.targets.answered(now, target, probed, status) {
                    let remote = probed.remote;
                    self.parts.notes.target_turned(self.parts.trunks.name(target.trunk), remote, up, status);
                }
            }
            None => {}
        }
    }

    /// The registrar's addresses are known, or are not to be known.
    pub(super) fn registrations_retry(&mut self, now: Instant, trunk: TrunkId) {
        let held = self.own.registrations.get_mut(&trunk).and_then(|registering| registering.held.take());
        if let Some(request) = held {
            self.send_register(now, trunk, request);
            self.drive(now, trunk);
        }
    }

    pub(super) fn pong(&mut self, now: Instant, flow: Flow) {
        self.each_registration(now, |machine| machine.pong(flow));
    }

    /// AUT-05, TRN-06: flows that are gone may have been a registration's.
    pub(super) fn flows_lost(&mut self, now: Instant, flows: &[Flow]) {
        self.each_registration(now, |machine| {
            for flow in flows {
                machine.flow_lost(now, *flow);
            }
        });
    }

    fn each_registration(&mut self, now: Instant, act: impl Fn(&mut Registration)) {
        let all: Vec<_> = self.own.registrations.keys().copied().collect();
        for trunk in all {
            self.registration(now, trunk, &act);
        }
    }

    fn registration(&mut self, now: Instant, trunk: TrunkId, act: impl FnOnce(&mut Registration)) {
        let Some(registering) = self.own.registrations.get_mut(&trunk) else { return };
        act(&mut registering.machine);
        self.drive(now, trunk);
    }

    /// Does what a registration wants until it wants nothing.
    fn drive(&mut self, now: Instant, trunk: TrunkId) {
        while let Some(registering) = self.own.registrations.get_mut(&trunk) {
            match registering.machine.poll_output() {
                RegistrationOutput::Request(request) => self.send_register(now, trunk, request),
                RegistrationOutput::Ping { flow, bytes } => {
                    self.parts.transport.send_raw(flow, Bytes::from_static(bytes));
                }
                RegistrationOutput::Close { flow } => {
                    self.parts.transport.close(now, flow, &mut self.parts.user_agent);
                }
                RegistrationOutput::ServiceRoute(routes) => {
                    self.parts.user_agent.command(now, UaCommand::ServiceRoute { trunk, routes });
                }
                RegistrationOutput::Changed(state) => {
                    let trouble = registering.machine.status().trouble.clone();
                    self.parts.notes.registration(self.parts.trunks.name(trunk), state, trouble.as_deref());
                    if let Some(flow) = registering.machine.status().flow {
                        self.front.welcome(now, flow.remote.ip(), trunk);
                    }
                }
                RegistrationOutput::Timeout(deadline) => {
                    registering.deadline = deadline;
                    return;
                }
            }
        }
    }

    /// Puts the registrar's addresses behind the flow in use; without any, waits for a lookup that runs.
    fn send_register(&mut self, now: Instant, trunk: TrunkId, mut request: Box<NewRequest>) {
        for flow in self.targets.flows(trunk) {
            let known = request.flows.iter().any(|f| f.remote == flow.remote && f.transport == flow.transport);
            if !known {
                request.flows.push(flow);
            }
        }
        if !request.flows.is_empty() {
            return self.parts.user_agent.command(now, UaCommand::Request(request));
        }
        let Some(registering) = self.own.registrations.get_mut(&trunk) else { return };
        if self.targets.is_looking(trunk) {
            registering.held = Some(request);
        } else {
            let why = self.targets.problem(trunk).unwrap_or_else(|| "the registrar has no address yet".to_owned());
            registering.machine.unreachable(now, &why);
        }
    }

    /// The trunk that registered by this connection.
    pub(super) fn registered_by(&self, flow: Flow) -> Option<TrunkId> {
        if !flow.transport.is_reliable() {
            return None;
        }
        let own = |registering: &Registering| registering.machine.status().flow;
        let same = |own: Flow| own.conn != 0 && own.conn == flow.conn && own.remote == flow.remote;
        self.own.registrations.iter().find(|(_, r)| own(r).is_some_and(same)).map(|(trunk, _)| *trunk)
    }

    /// State and trouble of a trunk's registration.
    pub(super) fn shown_registration(&self, now: Instant, trunk: TrunkId) -> Option<(Shown, Option<String>)> {
        let status = self.own.registrations.get(&trunk)?.machine.status();
        let until = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(now).as_secs());
        let shown = Shown {
            state: status.state.label().to_owned(),
            registrar: status.flow.map(|flow| format!("{} {}", flow.transport.via_token(), flow.remote)),
            expires_in_secs: until(status.until),
            last_status: status.last_status,
            retry_in_secs: until(status.next_at),
        };
        Some((shown, status.trouble.clone()))
    }
}
