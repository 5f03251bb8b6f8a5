//! Ten times a second: does this machine keep up; once a second: folded records, the state of the trunks.

use super::Signalling;
use crate::net::clock;
use crate::observe::trunks::TrunkState;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(super) const LOOK: Duration = Duration::from_millis(100);
const LOOKS_A_SECOND: u32 = 10;

impl Signalling {
    pub(super) fn look(&mut self) {
        let now = clock::now();
        let lag = now.saturating_duration_since(self.next_look);
        self.next_look = now + LOOK;
        let before = self.load.shut();
        self.load.observe(now, clock::process_cpu(), self.late_permille(), lag);
        if self.load.shut() != before {
            self.parts.notes.load(self.load.shut(), self.load.cpu_percent());
        }
        self.tend(now);
        self.end_orphans(now);
        self.looks = self.looks.wrapping_add(1);
        if self.looks % LOOKS_A_SECOND == 1 {
            self.write_folded();
            self.show_trunks(now);
        }
    }

    /// The worst lateness of the workers that have calls, of 1,000 ticks.
    fn late_permille(&self) -> u64 {
        let busy = self.parts.workers.iter().filter(|worker| worker.load() > 0);
        busy.map(|worker| worker.stats().late_permille.load(Ordering::Relaxed)).max().unwrap_or(0)
    }

    /// Puts the state of the trunks where others may read it.
    pub(super) fn show_trunks(&mut self, now: Instant) {
        let states = self.parts.trunks.all().map(|(id, ready)| {
            let (calls, refused) = self.admission.of_trunk(id);
            self.parts.notes.trunk_calls(&ready.trunk.name, calls);
            let (registration, trouble) = self.shown_registration(now, id).unzip();
            TrunkState {
                name: ready.trunk.name.clone(),
                kind: if ready.trunk.registers() { "register" } else { "static" }.to_owned(),
                registration,
                targets: self.targets.states(now, id),
                calls,
                refused,
                problem: trouble.flatten().or_else(|| self.targets.problem(id)),
            }
        });
        let states = states.collect();
        self.parts.board.write(states);
    }
}
