//! What may be parsed at all (A4, OVL-01, OVL-02): a look at the source and the first bytes, before anything is copied or read.
//!
//! | source | budget |
//! |---|---|
//! | in the networks of a trunk | a bucket of its own, and the trunk's: no trunk can use up another's share |
//! | a target of a trunk, or proved itself lately (digest) | as above, as a guest of that trunk |
//! | unknown, though a trunk may show itself by more than its address | a small bucket of its own, and one for all of them |
//! | unknown otherwise | none: dropped |
//!
//! Half of each bucket is kept for what belongs to calls that exist: responses, ACK, BYE, CANCEL, and requests with a To-tag. New work (and
//! junk) is dropped first, and never takes that half. Pure; the table of sources is bounded, oldest out, and hashed with a random key (A11).

use super::bucket::Bucket;
use crate::cidr::Network;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Messages a second of one known source, at least; each call a second that it may set up adds [`PER_CALL`].
const LEAST: u32 = 1000;
/// INVITE, ACK, BYE, their copies, and what a call says in between.
const PER_CALL: u32 = 20;
/// Messages a second of one unknown source, and of all of them.
const STRANGER: u32 = 10;
const STRANGERS: u32 = 100;
/// Sources with a bucket of their own.
const SOURCES: usize = 4096;
/// Sources that proved whose they are.
const GUESTS: usize = 1024;
/// Longer than the addresses of a target are used without another look-up.
const GUEST_STAYS: Duration = Duration::from_secs(7200);
/// What new work leaves of a bucket.
const RESERVE: Duration = Duration::from_millis(500);
/// To stands in the first lines.
const HEAD: usize = 2048;

/// Why a message is dropped unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Of no trunk.
    Foreign,
    /// More than its budget.
    Rate,
}

/// One trunk as the gate sees it.
#[derive(Clone, Debug)]
pub struct Share {
    pub networks: Vec<Network>,
    pub calls_per_second: u32,
}

impl Share {
    fn messages_per_second(&self) -> u32 {
        LEAST.max(self.calls_per_second.saturating_mul(PER_CALL))
    }
}

#[derive(Debug)]
pub struct Gate {
    shares: Vec<(Share, Bucket)>,
    /// `None`: nobody unknown is listened to.
    strangers: Option<Bucket>,
    sources: HashMap<IpAddr, Bucket>,
    /// The order in which they came to the table.
    order: VecDeque<IpAddr>,
    guests: HashMap<IpAddr, (usize, Instant)>,
}

impl Gate {
    /// `strangers`: a trunk may show itself by more than its address, or unknown sources are to get an answer.
    pub fn new(now: Instant, shares: Vec<Share>, strangers: bool) -> Gate {
        let budget = |share: Share| {
            let bucket = Bucket::new(now, share.messages_per_second().saturating_mul(2));
            (share, bucket)
        };
        Gate {
            shares: shares.into_iter().map(budget).collect(),
            strangers: strangers.then(|| Bucket::new(now, STRANGERS)),
            sources: HashMap::new(),
            order: VecDeque::new(),
            guests: HashMap::new(),
        }
    }

    /// Whether a source may open a connection: of a trunk, or a stranger where strangers are heard.
    pub fn may_connect(&mut self, now: Instant, source: IpAddr) -> Result<(), Dropped> {
        match self.share_of(now, source.to_canonical()) {
            Some(_) => Ok(()),
            None if self.strangers.is_some() => Ok(()),
            None => Err(Dropped::Foreign),
        }
    }

    /// Whether a message may be read. `bytes`: as much of it as there is.
    pub fn admit(&mut self, now: Instant, source: IpAddr, bytes: &[u8]) -> Result<(), Dropped> {
        let source = source.to_canonical();
        let reserve = if is_new_work(bytes) { RESERVE } else { Duration::ZERO };
        let share = self.share_of(now, source);
        let rate = match share.and_then(|at| self.shares.get(at)) {
            Some((share, _)) => share.messages_per_second(),
            None if self.strangers.is_some() => STRANGER,
            None => return Err(Dropped::Foreign),
        };
        if !self.source(now, source, rate).take_above(now, reserve) {
            return Err(Dropped::Rate);
        }
        let shared = match share {
            Some(at) => self.shares.get_mut(at).map(|(_, bucket)| bucket),
            None => self.strangers.as_mut(),
        };
        if shared.is_some_and(|bucket| bucket.take_above(now, reserve)) { Ok(()) } else { Err(Dropped::Rate) }
    }

    /// The source proved to be of a trunk: it counts as known for an hour.
    pub fn welcome(&mut self, now: Instant, source: IpAddr, trunk: usize) {
        let source = source.to_canonical();
        if self.shares.get(trunk).is_some_and(|(share, _)| is_in(&share.networks, source)) {
            return;
        }
        if self.guests.len() >= GUESTS && !self.guests.contains_key(&source) {
            self.guests.retain(|_, (_, until)| *until > now);
            if self.guests.len() >= GUESTS {
                return;
            }
        }
        if !self.guests.contains_key(&source) {
            // Its bucket was a stranger's.
            self.sources.remove(&key(source));
            self.order.retain(|at| *at != key(source));
        }
        self.guests.insert(source, (trunk, now + GUEST_STAYS));
    }

    fn share_of(&self, now: Instant, source: IpAddr) -> Option<usize> {
        let known = self.shares.iter().position(|(share, _)| is_in(&share.networks, source));
        known.or_else(|| self.guests.get(&source).filter(|(_, until)| *until > now).map(|(trunk, _)| *trunk))
    }

    fn source(&mut self, now: Instant, source: IpAddr, rate: u32) -> &mut Bucket {
        let key = key(source);
        if !self.sources.contains_key(&key) {
            if self.order.len() >= SOURCES
                && let Some(oldest) = self.order.pop_front()
            {
                self.sources.remove(&oldest);
            }
            self.order.push_back(key);
        }
        self.sources.entry(key).or_insert_with(|| Bucket::new(now, rate))
    }

    /// Entries of all tables, for tests.
    #[cfg(test)]
    fn entries(&self) -> usize {
        self.sources.len() + self.order.len() + self.guests.len()
    }
}

fn is_in(networks: &[Network], source: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(source))
}

/// One host: an IPv4 address, or a /64, which is as little as anybody gets.
fn key(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
    }
}

/// Anything but a response, ACK, CANCEL, BYE, PRACK or another request with a To-tag. A look at the bytes: what lies here is found out
/// when it is parsed.
fn is_new_work(bytes: &[u8]) -> bool {
    for of_a_call in [&b"SIP/2.0 "[..], b"ACK ", b"BYE ", b"CANCEL ", b"PRACK "] {
        if bytes.starts_with(of_a_call) {
            return false;
        }
    }
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    let to = head.split(|byte| *byte == b'\n').find(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"to") || name.eq_ignore_ascii_case(b"t")
    });
    !to.is_some_and(|line| line.windows(5).any(|five| five.eq_ignore_ascii_case(b";tag=")))
}

#[cfg(test)]
mod tests;
