//! Who may send us media, and where we send (requirements RTP-08, RTP-09; RFC 4961).
//!
//! In: the source address, SSRC and sequence number of each well-formed packet. Out: whether it is played, and the target.
//!
//! The SDP address is named by signalling: its packets are taken at once. Any other address has to be allowed by the policy and
//! to prove itself with five packets in order, and only while there is no other source or that one has been silent for 500 ms.
//! The source that came first wins back at once. Until an address is proved nothing is sent to it (RTP bleed).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::receiver::{ReceiverParams, SourcePolicy};
use crate::cidr::Network;

/// Good packets in order that prove a source.
const PROOF: u32 = 5;
/// Silence of the present source before another one may take over.
const RELEARN_AFTER: Duration = Duration::from_millis(500);
/// Sources that may be proving themselves at once, and when one of them is forgotten.
const CANDIDATES: usize = 4;
const CANDIDATE_TIMEOUT: Duration = Duration::from_millis(300);

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Play,
    /// Play, and it comes from another address than the one before.
    PlayNewSource,
    Refuse,
}

#[derive(Clone, Copy)]
struct Candidate {
    addr: SocketAddr,
    ssrc: u32,
    next_sequence: u16,
    good: u32,
    seen: Instant,
}

/// In this order in memory: what each packet touches comes first.
#[repr(C)]
pub(super) struct Source {
    /// The source we play, as it was on the wire, and its last packet.
    active: Option<(SocketAddr, Instant)>,
    /// Counts whatever may have changed [`Self::target`].
    generation: u32,
    policy: SourcePolicy,
    /// The last one that could be reached.
    sdp: Option<SocketAddr>,
    /// The present SDP has no address to send to.
    held: bool,
    allowed: Vec<Network>,
    /// The source that was active first since the SDP address was set.
    first: Option<SocketAddr>,
    candidates: [Option<Candidate>; CANDIDATES],
    changes: u32,
}

/// `::ffff:192.0.2.1` and `192.0.2.1` are the same host.
fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
}

fn reachable(addr: SocketAddr) -> bool {
    addr.port() != 0 && !addr.ip().to_canonical().is_unspecified()
}

impl Source {
    pub fn new(params: &ReceiverParams) -> Source {
        let mut source = Source {
            active: None,
            generation: 0,
            policy: params.policy,
            sdp: None,
            held: true,
            allowed: Vec::new(),
            first: None,
            candidates: [None; CANDIDATES],
            changes: 0,
        };
        source.set_params(params);
        source
    }

    /// A new SDP address starts learning afresh; the same one (session refresh, end of a hold) keeps what was learned.
    /// Without an address (hold, late offer) there is no target.
    pub fn set_params(&mut self, params: &ReceiverParams) {
        let sdp = params.sdp_remote.filter(|addr| reachable(*addr));
        let moved = sdp.is_some_and(|new| !self.sdp.is_some_and(|old| same(old, new)));
        if moved || self.policy != params.policy {
            self.active = None;
            self.first = None;
            self.candidates = [None; CANDIDATES];
        }
        self.generation = self.generation.wrapping_add(1);
        self.policy = params.policy;
        self.sdp = sdp.or(self.sdp);
        self.held = sdp.is_none();
        self.allowed.clear();
        self.allowed.extend_from_slice(&params.allowed);
    }

    /// The proved source, else the SDP address.
    pub fn target(&self) -> Option<SocketAddr> {
        match self.policy {
            _ if self.held => None,
            SourcePolicy::Strict => self.sdp,
            SourcePolicy::Latch | SourcePolicy::Nat => self.active.map(|(addr, _)| addr).or(self.sdp),
        }
    }

    /// The address that is played, as it was on the wire.
    pub fn active(&self) -> Option<SocketAddr> {
        self.active.map(|(addr, _)| addr)
    }

    /// Another number than before: [`Self::target`] may be another one, too.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// How often the source moved.
    pub fn changes(&self) -> u32 {
        self.changes
    }

    /// Judges one well-formed packet of a negotiated payload type.
    pub fn check(&mut self, now: Instant, from: SocketAddr, ssrc: u32, sequence: u16) -> Verdict {
        if let Some((active, last)) = &mut self.active
            && (*active == from || same(*active, from))
        {
            *last = now;
            return Verdict::Play;
        }
        let by_signalling = self.sdp.is_some_and(|sdp| same(sdp, from));
        let was_first = self.first.is_some_and(|first| same(first, from));
        if by_signalling {
            // Whoever was learned before it has to wait for its silence from now on.
            self.first = Some(from);
        }
        if by_signalling || was_first {
            return self.activate(now, from);
        }
        // A source may prove itself while the old one's silence is still counted.
        let free = self.active.is_none_or(|(_, last)| now.saturating_duration_since(last) >= RELEARN_AFTER);
        if self.may_learn(from) && self.prove(now, from, ssrc, sequence) && free {
            return self.activate(now, from);
        }
        Verdict::Refuse
    }

    fn may_learn(&self, from: SocketAddr) -> bool {
        let ip = from.ip().to_canonical();
        let is_allowed = || self.allowed.iter().any(|source| source.contains(ip));
        let is_ip_of = |addr: Option<SocketAddr>| addr.is_some_and(|addr| addr.ip().to_canonical() == ip);
        match self.policy {
            SourcePolicy::Strict => false,
            SourcePolicy::Latch => is_ip_of(self.sdp) || is_allowed(),
            // Any address, once; afterwards only addresses that have a name: SDP, configured, or the first source's host (NAT rebinding).
            SourcePolicy::Nat => self.first.is_none() || is_ip_of(self.sdp) || is_ip_of(self.first) || is_allowed(),
        }
    }

    /// Counts a candidate's packet; `true` when it has proved itself.
    fn prove(&mut self, now: Instant, from: SocketAddr, ssrc: u32, sequence: u16) -> bool {
        let stale = |candidate: &Candidate| now.saturating_duration_since(candidate.seen) >= CANDIDATE_TIMEOUT;
        let slot = self.candidates.iter().position(|slot| slot.is_some_and(|c| same(c.addr, from))).or_else(|| {
            // A live candidate is never pushed out: a spray of addresses cannot keep a real one from proving itself.
            self.candidates.iter().position(|slot| slot.as_ref().is_none_or(stale))
        });
        let Some(slot) = slot.and_then(|index| self.candidates.get_mut(index)) else { return false };
        let good = match slot {
            Some(c) if same(c.addr, from) && c.ssrc == ssrc && c.next_sequence == sequence && !stale(c) => c.good + 1,
            _ => 1,
        };
        *slot = Some(Candidate { addr: from, ssrc, next_sequence: sequence.wrapping_add(1), good, seen: now });
        good >= PROOF
    }

    fn activate(&mut self, now: Instant, from: SocketAddr) -> Verdict {
        let before = self.target().or(self.sdp);
        self.generation = self.generation.wrapping_add(1);
        let had = self.active.replace((from, now)).is_some();
        self.first.get_or_insert(from);
        self.candidates = [None; CANDIDATES];
        if had || before.is_some_and(|before| !same(before, from)) {
            self.changes = self.changes.saturating_add(1);
            return Verdict::PlayNewSource;
        }
        Verdict::Play
    }
}

#[cfg(test)]
mod tests;
