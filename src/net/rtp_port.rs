//! RTP port pairs (RFC 3550 §11: RTP even, RTCP the next odd one), one pair a call.
//!
//! In: a range, `now`. Out: bound sockets. A freed port rests in quarantine, so that late media of an old call never
//! reaches a new one; a port that another program holds is skipped.

use super::listen::{DSCP_EF, bind_udp, mark};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Ports held by other programs that one allocation may step over, so that it stays cheap.
const MAX_FOREIGN: usize = 256;
/// So that a flood of 5,000 packets a second does not push the caller's own out while the worker is late by 100 ms. Taken only when needed.
const RTP_BUFFER: usize = 512 * 1024;
/// RTCP is a packet now and then: keep the kernel from storing more than a few of them.
const RTCP_BUFFER: usize = 2048;

/// One pair of sockets. Dropping it closes both; the pool must be told by [`RtpPorts::release`].
#[derive(Debug)]
pub struct RtpPort {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub port: u16,
}

/// No pair is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// The pool.
#[derive(Debug)]
pub struct RtpPorts {
    ip: IpAddr,
    /// Even ports `first`, `first + 2`, … `pairs` of them.
    first: u16,
    pairs: u16,
    quarantine: Duration,
    used: HashSet<u16>,
    /// In the order of freeing, so of ending too.
    resting: VecDeque<(Instant, u16)>,
    resting_set: HashSet<u16>,
    rng: StdRng,
}

impl RtpPorts {
    /// `min..=max` as in the settings; a pair lies wholly inside.
    pub fn new(ip: IpAddr, min: u16, max: u16, quarantine: Duration, seed: u64) -> RtpPorts {
        let first = min.saturating_add(min % 2);
        let pairs = if max > first { (max - first).div_ceil(2) } else { 0 };
        RtpPorts {
            ip,
            first,
            pairs,
            quarantine,
            used: HashSet::new(),
            resting: VecDeque::new(),
            resting_set: HashSet::new(),
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// A free pair on the pool's own address, from a random place on (ports must not be guessable).
    pub fn allocate(&mut self, now: Instant) -> Result<RtpPort, Exhausted> {
        self.allocate_on(now, self.ip)
    }

    /// The same on another address of ours; a port is used once, whatever the address.
    pub fn allocate_on(&mut self, now: Instant, ip: IpAddr) -> Result<RtpPort, Exhausted> {
        self.wake(now);
        if self.pairs == 0 {
            return Err(Exhausted);
        }
        let start = self.rng.random_range(0..self.pairs);
        let mut foreign = 0;
        for step in 0..self.pairs {
            let pair = (u32::from(start) + u32::from(step)) % u32::from(self.pairs);
            let port = self.first + (pair * 2) as u16;
            if self.used.contains(&port) || self.resting_set.contains(&port) {
                continue;
            }
            match bind(ip, port) {
                Ok(bound) => {
                    self.used.insert(port);
                    return Ok(bound);
                }
                Err(_) if foreign < MAX_FOREIGN => foreign += 1,
                Err(_) => break,
            }
        }
        Err(Exhausted)
    }

    /// The call is over and its sockets are closed.
    pub fn release(&mut self, now: Instant, port: u16) {
        if self.used.remove(&port) && !self.quarantine.is_zero() {
            self.resting.push_back((now + self.quarantine, port));
            self.resting_set.insert(port);
        }
    }

    fn wake(&mut self, now: Instant) {
        while let Some(&(until, port)) = self.resting.front() {
            if until > now {
                break;
            }
            self.resting.pop_front();
            self.resting_set.remove(&port);
        }
    }

    pub fn in_use(&self) -> usize {
        self.used.len()
    }

    /// Ports resting at `now`.
    pub fn quarantined(&mut self, now: Instant) -> usize {
        self.wake(now);
        self.resting.len()
    }
}

fn bind(ip: IpAddr, port: u16) -> io::Result<RtpPort> {
    let rtp = bind_udp(SocketAddr::new(ip, port), Some(RTP_BUFFER))?;
    mark(&rtp, DSCP_EF);
    let rtcp = bind_udp(SocketAddr::new(ip, port + 1), Some(RTCP_BUFFER))?;
    Ok(RtpPort { rtp, rtcp, port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    /// A range of `pairs` free pairs on an address of our own.
    fn pool(last_octet: u8, pairs: u16) -> RtpPorts {
        let ip = IpAddr::from([127, 77, (std::process::id() % 251) as u8, last_octet]);
        RtpPorts::new(ip, 30001, 30001 + 2 * pairs, Duration::from_secs(30), 1)
    }

    /// RTP-12: RTP even, RTCP the next one; none left is told.
    #[test]
    fn pairs_are_even_odd_inside_the_range() {
        let mut ports = pool(1, 3);
        let now = clock::now();
        let all: Vec<RtpPort> = (0..3).map(|_| ports.allocate(now).unwrap()).collect();
        for pair in &all {
            assert!(pair.port % 2 == 0 && (30002..=30006).contains(&pair.port), "{}", pair.port);
            assert_eq!(pair.rtp.local_addr().unwrap().port(), pair.port);
            assert_eq!(pair.rtcp.local_addr().unwrap().port(), pair.port + 1);
        }
        assert_eq!(ports.allocate(now).err(), Some(Exhausted), "S10");
        assert_eq!(ports.in_use(), 3);
    }

    /// RTP-12: a port is not given out again before its rest is over.
    #[test]
    fn a_freed_port_rests() {
        let mut ports = pool(2, 1);
        let now = clock::now();
        let pair = ports.allocate(now).unwrap();
        let port = pair.port;
        drop(pair);
        ports.release(now, port);
        assert_eq!((ports.in_use(), ports.quarantined(now)), (0, 1));
        assert!(ports.allocate(now + Duration::from_secs(29)).is_err());
        assert_eq!(ports.allocate(now + Duration::from_secs(30)).unwrap().port, port);
        assert_eq!(ports.quarantined(now), 0);
    }

    /// TRN-01: a caller by IPv6 has its media there, from the same range of ports. TRN-14: marked EF.
    #[test]
    fn another_address_shares_the_range() {
        let mut ports = pool(4, 1);
        let now = clock::now();
        let pair = ports.allocate_on(now, "::1".parse().unwrap()).unwrap();
        assert!(pair.rtp.local_addr().unwrap().is_ipv6());
        assert_eq!(socket2::SockRef::from(&pair.rtp).tclass_v6().unwrap(), DSCP_EF << 2);
        assert!(ports.allocate(now).is_err(), "the range is in use");
    }

    #[test]
    fn a_port_of_another_program_is_skipped() {
        let mut ports = pool(3, 2);
        let now = clock::now();
        let foreign = bind_udp(SocketAddr::new(ports.ip, 30003), None).unwrap();
        assert_eq!(ports.allocate(now).unwrap().port, 30004);
        assert!(ports.allocate(now).is_err());
        drop(foreign);
        assert_eq!(ports.allocate(now).unwrap().port, 30002);
    }

    #[test]
    fn an_empty_range_is_exhausted() {
        let mut ports = RtpPorts::new([127, 0, 0, 1].into(), 65535, 65535, Duration::ZERO, 1);
        assert_eq!(ports.allocate(clock::now()).err(), Some(Exhausted));
    }
}
