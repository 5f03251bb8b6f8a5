//! Where each trunk's requests go: its targets, their addresses, and which of them answer (S9, TRN-13). Pure.
//!
//! In: what lookups and OPTIONS came to. Out: what to look up and whom to ask next, the flows of a trunk with those that are up first.

use super::probe::{self, Probe};
use super::trunks::Trunks;
use crate::observe::trunks::TargetState;
use crate::sip::uri::Uri;
use crate::sip::{Flow, TrunkId};
use std::time::{Duration, Instant};

/// However long DNS says an answer is good; and the wait after a failure.
const FRESH: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3600));
const AGAIN: Duration = Duration::from_secs(15);

/// One target of a trunk, by its place in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetId {
    pub trunk: TrunkId,
    pub index: usize,
}

#[derive(Debug)]
struct Target {
    uri: Uri,
    /// `None`: a lookup runs.
    look_up_at: Option<Instant>,
    hops: Vec<Hop>,
    error: Option<String>,
}

#[derive(Debug)]
struct Hop {
    flow: Flow,
    probe: Option<Probe>,
}

#[derive(Debug)]
struct OfTrunk {
    probe_every: Option<Duration>,
    targets: Vec<Target>,
}

/// Those of all trunks.
#[derive(Debug)]
pub struct Targets(Vec<OfTrunk>);

impl Targets {
    pub fn new(now: Instant, trunks: &Trunks) -> Targets {
        let target = |uri: &Uri| Target { uri: uri.clone(), look_up_at: Some(now), hops: Vec::new(), error: None };
        let of = trunks.all().map(|(_, ready)| OfTrunk {
            probe_every: ready.trunk.options.every,
            targets: ready.trunk.targets.iter().map(target).collect(),
        });
        Targets(of.collect())
    }

    fn target(&mut self, id: TargetId) -> Option<&mut Target> {
        self.0.get_mut(usize::from(id.trunk.0))?.targets.get_mut(id.index)
    }

    fn all(&mut self) -> impl Iterator<Item = (TargetId, &mut Target)> {
        self.0.iter_mut().enumerate().flat_map(|(n, of)| {
            let id = move |index| TargetId { trunk: TrunkId(n as u16), index };
            of.targets.iter_mut().enumerate().map(move |(index, target)| (id(index), target))
        })
    }

    /// What is to be looked up now; [`Targets::resolved`] is due for each.
    pub fn take_lookups(&mut self, now: Instant) -> Vec<(TargetId, Uri)> {
        let due = self.all().filter(|(_, target)| target.look_up_at.is_some_and(|at| at <= now));
        due.map(|(id, target)| {
            target.look_up_at = None;
            (id, target.uri.clone())
        })
        .collect()
    }

    /// What a lookup came to: the addresses, best first, and how long they are good; or why there are none. After a failure the
    /// addresses known before stay in use.
    pub fn resolved(&mut self, now: Instant, id: TargetId, found: Result<(Vec<Flow>, Duration), String>, spread: u32) {
        let every = self.0.get(usize::from(id.trunk.0)).and_then(|of| of.probe_every);
        let Some(target) = self.target(id) else { return };
        match found {
            Ok((flows, good_for)) => {
                let mut known = std::mem::take(&mut target.hops);
                let hop = |(n, flow): (usize, Flow)| {
                    let at = known.iter().position(|hop| hop.flow == flow);
                    let new = || Hop { flow, probe: every.map(|every| Probe::new(now, every, spread + 37 * n as u32)) };
                    at.map_or_else(new, |at| known.swap_remove(at))
                };
                target.hops = flows.into_iter().enumerate().map(hop).collect();
                target.error = None;
                target.look_up_at = Some(now + good_for.clamp(FRESH.0, FRESH.1));
            }
            Err(why) => {
                target.error = Some(why);
                target.look_up_at = Some(now + AGAIN);
            }
        }
    }

    /// Whom to ask with OPTIONS now; [`Targets::answered`] is due for each.
    pub fn take_probes(&mut self, now: Instant) -> Vec<(TargetId, Uri, Flow)> {
        let mut due = Vec::new();
        for (id, target) in self.all() {
            for hop in &mut target.hops {
                if hop.probe.as_mut().is_some_and(|probe| probe.is_due(now)) {
                    due.push((id, target.uri.clone(), hop.flow));
                }
            }
        }
        due
    }

    /// What OPTIONS to a flow came to. Tells whether it went up or down by it.
    pub fn answered(&mut self, now: Instant, id: TargetId, flow: Flow, status: u16) -> Option<bool> {
        let hop = self.target(id)?.hops.iter_mut().find(|hop| hop.flow == flow)?;
        let probe = hop.probe.as_mut()?;
        probe.answered(now, status).then(|| probe.is_up() == Some(true))
    }

    /// The addresses of a trunk, best first: in the order of the settings and of DNS, those that are down behind the others.
    pub fn flows(&self, trunk: TrunkId) -> Vec<Flow> {
        let Some(of) = self.0.get(usize::from(trunk.0)) else { return Vec::new() };
        let hops: Vec<&Hop> = of.targets.iter().flat_map(|target| &target.hops).collect();
        let down = |hop: &&Hop| hop.probe.as_ref().is_some_and(|probe| probe.is_up() == Some(false));
        let (down, up): (Vec<&Hop>, Vec<&Hop>) = hops.into_iter().partition(down);
        let mut flows: Vec<Flow> = Vec::new();
        for hop in up.into_iter().chain(down) {
            if !flows.contains(&hop.flow) {
                flows.push(hop.flow);
            }
        }
        flows
    }

    /// Whether the trunk has targets at all.
    pub fn has_any(&self, trunk: TrunkId) -> bool {
        self.0.get(usize::from(trunk.0)).is_some_and(|of| !of.targets.is_empty())
    }

    /// A lookup runs that may still bring an address.
    pub fn is_looking(&self, trunk: TrunkId) -> bool {
        let of = self.0.get(usize::from(trunk.0));
        of.is_some_and(|of| of.targets.iter().any(|target| target.look_up_at.is_none()))
    }

    pub fn states(&self, now: Instant, trunk: TrunkId) -> Vec<TargetState> {
        let Some(of) = self.0.get(usize::from(trunk.0)) else { return Vec::new() };
        let mut states = Vec::new();
        for target in &of.targets {
            let uri = target.uri.to_string();
            if target.hops.is_empty() {
                states.push(TargetState { uri: uri.clone(), ..TargetState::default() });
            }
            states.extend(target.hops.iter().map(|hop| {
                let last = hop.probe.as_ref().and_then(Probe::last);
                TargetState {
                    uri: uri.clone(),
                    address: Some(format!("{} {}", hop.flow.transport.via_token(), hop.flow.remote)),
                    up: hop.probe.as_ref().and_then(Probe::is_up),
                    last_status: last.map(|(_, status)| status),
                    age_secs: last.map(|(at, _)| now.saturating_duration_since(at).as_secs()),
                }
            }));
        }
        states
    }

    /// What is wrong with a trunk's targets, and what to do.
    pub fn problem(&self, trunk: TrunkId) -> Option<String> {
        let of = self.0.get(usize::from(trunk.0))?;
        if let Some(error) = of.targets.iter().find_map(|target| target.error.clone()) {
            return Some(error);
        }
        let down = |hop: &&Hop| hop.probe.as_ref().is_some_and(|probe| probe.is_up() == Some(false));
        let hop = of.targets.iter().flat_map(|target| &target.hops).find(down)?;
        let status = hop.probe.as_ref().and_then(Probe::last).map_or(408, |(_, status)| status);
        let check = "check that it runs, its firewall, and that it takes OPTIONS from us";
        let what = match status {
            408 => format!("does not answer OPTIONS: {check}"),
            _ if probe::is_there(status) => {
                format!("was down and answers OPTIONS again ({status}): wait, the next answer puts it back in use")
            }
            _ => format!("answers OPTIONS with {status}: {check}"),
        };
        Some(format!("{} {what}", hop.flow.remote))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;
    use crate::net::clock;
    use crate::sip::Transport;
    use crate::trunk::Trunk;
    use rand::SeedableRng;
    use std::sync::Arc;

    const TRUNK: TrunkId = TrunkId(0);
    const FIRST: TargetId = TargetId { trunk: TRUNK, index: 0 };
    const SECOND: TargetId = TargetId { trunk: TRUNK, index: 1 };

    fn flow(n: u8) -> Flow {
        let local = ([192, 0, 2, 1], 5060).into();
        Flow { transport: Transport::Udp, local, remote: ([192, 0, 2, n], 5060).into(), conn: 0 }
    }

    fn targets(now: Instant) -> Targets {
        let uri = |text| Uri::parse(text).expect("a URI");
        let mut trunk = Trunk::new("carrier");
        trunk.targets = vec![uri("sip:a.example.com"), uri("sip:b.example.com")];
        trunk.options.every = Some(Duration::from_secs(30));
        let settings = Settings { trunks: vec![trunk], ..Settings::defaults() };
        let mut random = rand::rngs::StdRng::seed_from_u64(1);
        Targets::new(now, &Trunks::new(&Arc::new(settings), Vec::new(), &mut random))
    }

    /// S9: the next target that is up is used while the first is down, and the first again when it is back.
    #[test]
    fn a_target_that_is_down_comes_last() {
        let now = clock::now();
        let mut targets = targets(now);
        assert_eq!(targets.take_lookups(now).len(), 2);
        assert!(targets.is_looking(TRUNK) && targets.take_lookups(now).is_empty());
        targets.resolved(now, FIRST, Ok((vec![flow(2), flow(3)], Duration::from_secs(60))), 0);
        targets.resolved(now, SECOND, Ok((vec![flow(4)], Duration::from_secs(60))), 0);
        assert_eq!(targets.flows(TRUNK), [flow(2), flow(3), flow(4)]);
        let later = now + Duration::from_secs(1);
        assert_eq!(targets.take_probes(later).len(), 3);
        assert_eq!(targets.answered(later, FIRST, flow(2), 200), Some(true));
        assert_eq!(targets.answered(later, FIRST, flow(3), 408), Some(false));
        assert_eq!(targets.flows(TRUNK), [flow(2), flow(4), flow(3)]);
        assert!(targets.problem(TRUNK).is_some_and(|why| why.contains("192.0.2.3:5060 does not answer")));
        targets.answered(later, FIRST, flow(3), 200);
        assert!(targets.problem(TRUNK).is_some_and(|why| why.contains("answers OPTIONS again (200): wait")));
        targets.answered(later, FIRST, flow(3), 200);
        assert_eq!(targets.flows(TRUNK), [flow(2), flow(3), flow(4)]);
        assert_eq!(targets.problem(TRUNK), None);
    }

    /// TRN-13: addresses that are no longer named go, what is known of the others stays, and a DNS failure takes nothing away.
    #[test]
    fn addresses_are_looked_up_again() {
        let now = clock::now();
        let mut targets = targets(now);
        targets.take_lookups(now);
        targets.resolved(now, FIRST, Ok((vec![flow(2), flow(3)], Duration::ZERO)), 0);
        targets.resolved(now, SECOND, Err("DNS has no record".into()), 0);
        assert_eq!(targets.problem(TRUNK).as_deref(), Some("DNS has no record"));
        targets.take_probes(now + Duration::from_secs(1));
        targets.answered(now, FIRST, flow(2), 408);
        assert!(targets.take_lookups(now + Duration::from_secs(4)).is_empty());
        assert_eq!(targets.take_lookups(now + FRESH.0).len(), 1);
        targets.resolved(now, FIRST, Ok((vec![flow(5), flow(2)], Duration::MAX)), 0);
        assert_eq!(targets.flows(TRUNK), [flow(5), flow(2)], "the one that was down still is");
        assert_eq!(targets.take_lookups(now + FRESH.1).len(), 2);
        targets.resolved(now, FIRST, Err("DNS did not answer".into()), 0);
        assert_eq!(targets.flows(TRUNK), [flow(5), flow(2)]);
    }
}
