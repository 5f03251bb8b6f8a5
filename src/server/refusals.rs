//! One record an INVITE, even when thousands a second are refused (OVL-08, A4), without thousands of records a second.
//!
//! Each refused INVITE has a record of its own, up to [`A_SECOND`]. Beyond that, those of the same trunk and cause share one record a
//! second that says how many it stands for (`folded`): the sum of all records and their `folded` is the number of INVITEs answered. What the
//! gate dropped unread was not answered, may have been anything, and is only counted in `voxtrunk_sip_dropped_total`. Pure.

use super::bucket::Bucket;
use crate::observe::cdr::Cdr;
use std::collections::BTreeMap;
use std::time::Instant;

/// Records of refused INVITEs in a second.
const A_SECOND: u32 = 100;
/// Kinds of refusals that can be folded at once: trunks times causes; beyond, the last kind takes them in.
const KINDS: usize = 1024;

#[derive(Debug)]
pub struct Refusals {
    bucket: Bucket,
    folded: BTreeMap<(Option<String>, String), Cdr>,
}

impl Refusals {
    pub fn new(now: Instant) -> Refusals {
        Refusals { bucket: Bucket::new(now, A_SECOND), folded: BTreeMap::new() }
    }

    /// The record to write now, if it is to be one of its own.
    pub fn take(&mut self, now: Instant, record: Cdr) -> Option<Cdr> {
        if self.bucket.take(now) {
            return Some(record);
        }
        let key = (record.trunk.clone(), record.cause.clone());
        if let Some(first) = self.folded.get_mut(&key) {
            first.folded += 1;
            first.ended_unix_ms = record.ended_unix_ms;
        } else if self.folded.len() < KINDS {
            self.folded.insert(key, record);
        } else if let Some(mut last) = self.folded.last_entry() {
            last.get_mut().folded += 1;
        }
        None
    }

    /// The records of those that were folded since the last time; about once a second, and at the end.
    pub fn flush(&mut self) -> impl Iterator<Item = Cdr> + use<> {
        std::mem::take(&mut self.folded).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;
    use std::time::Duration;

    /// OVL-08, A4: 20,000 refusals a second are at most a hundred and a few records a second, and none is missing from them.
    #[test]
    fn a_flood_of_refusals_is_folded() {
        let start = clock::now();
        let mut refusals = Refusals::new(start);
        let (mut written, mut stood_for) = (0, 0);
        for n in 0..60_000u32 {
            let now = start + Duration::from_micros(50) * n;
            let trunk = Some(if n.is_multiple_of(2) { "a" } else { "b" }.to_owned());
            let record = Cdr { trunk, cause: "calls_per_second".into(), ..Cdr::default() };
            let own = refusals.take(now, record);
            let flushed = if n % 20_000 == 19_999 { refusals.flush().collect() } else { Vec::new() };
            for record in own.into_iter().chain(flushed) {
                written += 1;
                stood_for += 1 + record.folded;
            }
        }
        assert_eq!(stood_for, 60_000);
        assert!(written <= 100 + 3 * 102, "{written}");
    }
}
