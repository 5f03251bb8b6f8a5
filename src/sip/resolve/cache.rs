//! DNS answers by their TTL; the last good one is kept for the time when DNS fails (RFC 2308 for what is not there).

use super::{Answer, DnsFailure, MOST_ADDRESSES, MOST_RECORDS, Query, Record};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Names that are remembered.
const MOST_NAMES: usize = 1024;
/// Longest that an answer, and that nothing, is believed.
const LONGEST: Duration = Duration::from_secs(86_400);
const LONGEST_NOTHING: Duration = Duration::from_secs(300);
/// How soon a name is asked for again after a failure: with an old answer in use, and without.
const RETRY_OLD: Duration = Duration::from_secs(30);
const RETRY_NONE: Duration = Duration::from_secs(5);

/// What is known of a question.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub records: Vec<Record>,
    /// DNS did not answer and never had.
    pub failure: Option<DnsFailure>,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    answered: Instant,
    fresh_until: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<Query, Entry>,
}

impl Cache {
    /// What is fresh, or was answered since `started` (a TTL of 0 is good for the lookup that asked), and until when.
    pub fn get(&self, now: Instant, started: Instant, query: &Query) -> Option<(Known, Instant)> {
        let entry = self.entries.get(query)?;
        (entry.fresh_until > now || entry.answered >= started).then(|| (entry.known.clone(), entry.fresh_until))
    }

    pub fn put(&mut self, now: Instant, query: Query, answer: Result<Answer, DnsFailure>) {
        let (known, ttl) = match answer {
            Ok(answer) => {
                let records = usable(&query, answer.records);
                let longest = if records.is_empty() { LONGEST_NOTHING } else { LONGEST };
                (Known { records, failure: None }, answer.ttl.min(longest))
            }
            Err(failure) => match self.entries.remove(&query) {
                Some(old) if !old.known.records.is_empty() => (old.known, RETRY_OLD),
                _ => (Known { records: Vec::new(), failure: Some(failure) }, RETRY_NONE),
            },
        };
        if self.entries.len() >= MOST_NAMES && !self.entries.contains_key(&query) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.answered).map(|(query, _)| query.clone());
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        self.entries.insert(query, Entry { known, answered: now, fresh_until: now + ttl });
    }
}

/// The records that answer the question, up to the cap (A25). Addresses that no host has are left out.
fn usable(query: &Query, records: Vec<Record>) -> Vec<Record> {
    let most = if matches!(query, Query::Address(_)) { MOST_ADDRESSES } else { MOST_RECORDS };
    let fits = |record: &Record| match (query, record) {
        (Query::Naptr(_), Record::Naptr { .. }) | (Query::Srv(_), Record::Srv { .. }) => true,
        (Query::Address(_), Record::Address(ip)) => {
            let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
            !(ip.is_unspecified() || ip.is_multicast() || broadcast)
        }
        _ => false,
    };
    records.into_iter().take(MOST_RECORDS).filter(fits).take(most).collect()
}
