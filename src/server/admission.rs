//! Whether a new call may come in (OVL-01): draining, load, calls in all and of the trunk, calls a second in all and of the trunk,
//! calls of the caller.
//!
//! Pure: takes `now` and what the caller knows. Asked when the INVITE comes, before there is a session; a refusal costs no state.

use super::bucket::Bucket;
use crate::sip::TrunkId;
use crate::trunk::TrunkLimits;
use std::collections::HashMap;
use std::time::Instant;

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Draining,
    /// By the label of the gate that is shut.
    Overload(&'static str),
    MaxCalls,
    Rate,
    TrunkCalls,
    TrunkRate,
    CallerCalls,
}

impl Refused {
    /// Cause in CDR and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Refused::Draining => "draining",
            Refused::Overload(gate) => gate,
            Refused::MaxCalls => "max_calls",
            Refused::Rate => "calls_per_second",
            Refused::TrunkCalls => "trunk_max_calls",
            Refused::TrunkRate => "trunk_calls_per_second",
            Refused::CallerCalls => "calls_per_caller",
        }
    }
    /// When the PBX may try again, seconds.
    pub fn retry_after(self) -> u32 {
        match self {
            Refused::Draining => 60,
            Refused::MaxCalls | Refused::TrunkCalls | Refused::CallerCalls | Refused::Overload(_) => 5,
            Refused::Rate | Refused::TrunkRate => 1,
        }
    }
}

/// One trunk's part.
#[derive(Debug)]
struct OfTrunk {
    limits: TrunkLimits,
    bucket: Option<Bucket>,
    calls: usize,
    refused: u64,
}

/// The gate, and the calls that were let in.
#[derive(Debug)]
pub struct Admission {
    max_calls: usize,
    calls: usize,
    bucket: Bucket,
    draining: bool,
    trunks: Vec<OfTrunk>,
    /// Calls of each caller of trunks that limit them: no more entries than calls.
    callers: HashMap<(TrunkId, String), usize>,
}

impl Admission {
    /// `trunks` by [`TrunkId`].
    pub fn new(now: Instant, max_calls: usize, calls_per_second: u32, trunks: &[TrunkLimits]) -> Admission {
        let of_trunk = |limits: &TrunkLimits| OfTrunk {
            limits: *limits,
            bucket: limits.calls_per_second.map(|rate| Bucket::new(now, rate)),
            calls: 0,
            refused: 0,
        };
        Admission {
            max_calls,
            calls: 0,
            bucket: Bucket::new(now, calls_per_second),
            draining: false,
            trunks: trunks.iter().map(of_trunk).collect(),
            callers: HashMap::new(),
        }
    }

    /// No new call from now on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// `Err`: the status to refuse with, and why. `caller` `None` = withheld; `overload` = the gate of [`super::load`] that is shut.
    pub fn admit(
        &mut self,
        now: Instant,
        trunk: TrunkId,
        caller: Option<&str>,
        overload: Option<&'static str>,
    ) -> Result<(), (u16, Refused)> {
        let judged = self.judge(now, trunk, caller, overload);
        let of_trunk = self.trunks.get_mut(usize::from(trunk.0));
        judged.map_err(|refused| {
            let status = match (refused, &of_trunk) {
                (Refused::CallerCalls, _) => 486,
                (_, Some(of_trunk)) => of_trunk.limits.refusal,
                (_, None) => 503,
            };
            if let Some(of_trunk) = of_trunk {
                of_trunk.refused += 1;
            }
            (status, refused)
        })
    }

    /// The buckets come last, the trunk's before the common one: a refused call takes no token of others.
    fn judge(
        &mut self,
        now: Instant,
        trunk: TrunkId,
        caller: Option<&str>,
        overload: Option<&'static str>,
    ) -> Result<(), Refused> {
        if self.draining {
            return Err(Refused::Draining);
        }
        if let Some(gate) = overload {
            return Err(Refused::Overload(gate));
        }
        if self.calls >= self.max_calls {
            return Err(Refused::MaxCalls);
        }
        if let Some(of_trunk) = self.trunks.get_mut(usize::from(trunk.0)) {
            if of_trunk.limits.max_calls.is_some_and(|max| of_trunk.calls >= max) {
                return Err(Refused::TrunkCalls);
            }
            if let (Some(max), Some(caller)) = (of_trunk.limits.calls_per_caller, caller)
                && self.callers.get(&(trunk, caller.to_owned())).is_some_and(|calls| *calls >= max)
            {
                return Err(Refused::CallerCalls);
            }
            if of_trunk.bucket.as_mut().is_some_and(|bucket| !bucket.take(now)) {
                return Err(Refused::TrunkRate);
            }
        }
        if self.bucket.take(now) { Ok(()) } else { Err(Refused::Rate) }
    }

    /// A call exists; [`Admission::ended`] with the same words is its counterpart.
    pub fn started(&mut self, trunk: TrunkId, caller: Option<&str>) {
        self.calls += 1;
        let Some(of_trunk) = self.trunks.get_mut(usize::from(trunk.0)) else { return };
        of_trunk.calls += 1;
        if let (Some(caller), Some(_)) = (caller, of_trunk.limits.calls_per_caller) {
            *self.callers.entry((trunk, caller.to_owned())).or_default() += 1;
        }
    }

    pub fn ended(&mut self, trunk: TrunkId, caller: Option<&str>) {
        self.calls = self.calls.saturating_sub(1);
        if let Some(of_trunk) = self.trunks.get_mut(usize::from(trunk.0)) {
            of_trunk.calls = of_trunk.calls.saturating_sub(1);
        }
        let Some(caller) = caller else { return };
        let key = (trunk, caller.to_owned());
        if let Some(calls) = self.callers.get_mut(&key) {
            *calls -= 1;
            if *calls == 0 {
                self.callers.remove(&key);
            }
        }
    }

    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Calls now, and calls refused so far.
    pub fn of_trunk(&self, trunk: TrunkId) -> (usize, u64) {
        self.trunks.get(usize::from(trunk.0)).map_or((0, 0), |of_trunk| (of_trunk.calls, of_trunk.refused))
    }

    /// The call will be refused for another reason (unknown number, blocked caller …).
    pub fn refused_otherwise(&mut self, trunk: TrunkId) {
        if let Some(of_trunk) = self.trunks.get_mut(usize::from(trunk.0)) {
            of_trunk.refused += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;
    use std::time::Duration;

    const A: TrunkId = TrunkId(0);
    const B: TrunkId = TrunkId(1);
    const OPEN: TrunkLimits =
        TrunkLimits { max_calls: None, calls_per_second: None, calls_per_caller: None, refusal: 503 };

    fn refused(judged: Result<(), (u16, Refused)>) -> (u16, Refused) {
        judged.expect_err("refused")
    }

    /// OVL-01: calls in all, rate, load, drain; each with its own cause.
    #[test]
    fn each_limit_refuses_by_its_name() {
        let now = clock::now();
        let mut gate = Admission::new(now, 2, 2, &[OPEN]);
        assert_eq!(refused(gate.admit(now, A, None, Some("cpu"))), (503, Refused::Overload("cpu")));
        for _ in 0..2 {
            assert_eq!(gate.admit(now, A, None, None), Ok(()));
        }
        assert_eq!(refused(gate.admit(now, A, None, None)), (503, Refused::Rate));
        assert_eq!(gate.admit(now + Duration::from_millis(500), A, None, None), Ok(()));
        gate.started(A, None);
        gate.started(A, None);
        let later = now + Duration::from_secs(9);
        assert_eq!(refused(gate.admit(later, A, None, None)), (503, Refused::MaxCalls));
        gate.ended(A, None);
        assert_eq!(gate.admit(later, A, None, None), Ok(()));
        gate.drain();
        assert_eq!(refused(gate.admit(later, A, None, None)), (503, Refused::Draining));
        assert_eq!(gate.of_trunk(A), (1, 4));
    }

    /// OVL-01: a trunk has its own limits and its own word for a refusal; the other trunk does not notice.
    #[test]
    fn trunks_are_limited_by_themselves() {
        let now = clock::now();
        let limits = TrunkLimits { max_calls: Some(1), calls_per_second: Some(3), refusal: 480, ..OPEN };
        let mut gate = Admission::new(now, 100, 100, &[limits, OPEN]);
        gate.admit(now, A, None, None).expect("the first");
        gate.started(A, None);
        assert_eq!(refused(gate.admit(now, A, None, None)), (480, Refused::TrunkCalls));
        gate.ended(A, None);
        gate.admit(now, A, None, None).expect("room again");
        gate.admit(now, A, None, None).expect("the third of this second");
        assert_eq!(refused(gate.admit(now, A, None, None)), (480, Refused::TrunkRate));
        for _ in 0..97 {
            gate.admit(now, B, None, None).expect("the trunk that is full took no token of the others");
        }
        assert_eq!(refused(gate.admit(now, B, None, None)), (503, Refused::Rate));
    }

    /// DLG-14: a caller's second call is 486; withheld callers are not one caller; nothing is kept after the end.
    #[test]
    fn a_callers_calls_are_counted() {
        let now = clock::now();
        let limits = TrunkLimits { calls_per_caller: Some(1), refusal: 503, ..OPEN };
        let mut gate = Admission::new(now, 100, 100, &[limits, limits]);
        gate.started(A, Some("+4930"));
        assert_eq!(refused(gate.admit(now, A, Some("+4930"), None)), (486, Refused::CallerCalls));
        assert_eq!(gate.admit(now, A, Some("+4931"), None), Ok(()));
        assert_eq!(gate.admit(now, A, None, None), Ok(()));
        assert_eq!(gate.admit(now, B, Some("+4930"), None), Ok(()));
        gate.ended(A, Some("+4930"));
        assert_eq!(gate.admit(now, A, Some("+4930"), None), Ok(()));
        assert!(gate.callers.is_empty());
    }
}
