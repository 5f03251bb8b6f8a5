//! A11: names that collide under hashes without a key cost no more than others.
//!
//! Branch, Call-ID and From tag of each INVITE collide, and the user agent keeps a transaction, a dialog and a session of each. Were one
//! of its maps hashed without a key, each request would be compared with all before it. (`tests/docs/layers.rs` holds that no map is.)

use crate::kit::{Bench, config, udp};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use voxtrunk::sip::user_agent::UaConfig;

const COUNT: usize = 800;

/// All texts of `PAIRS` pieces, each one of two: equal hashes whenever the pieces have equal ones.
fn of_pieces(pieces: [&str; 2]) -> Vec<String> {
    (0..COUNT).map(|n| (0..13).map(|bit| pieces[n >> bit & 1]).collect()).collect()
}

/// Texts of equal low bits under SipHash with a key of zeros, which is what `DefaultHasher::new` gives.
fn of_siphash_without_a_key() -> Vec<String> {
    let low_bits = |text: &str| {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        hasher.finish() & 0xff
    };
    (0u64..).map(|n| format!("{n:026x}")).filter(|text| low_bits(text) == 0).take(COUNT).collect()
}

fn ordinary() -> Vec<String> {
    (0..COUNT as u64).map(|n| format!("{:026x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
}

fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

/// The CPU time of one user agent for a request with each of the names.
fn cost(names: &[String]) -> Duration {
    let mut bench = Bench::with(UaConfig { max_transactions: 4 * COUNT, max_sessions: 2 * COUNT, ..config() }, udp());
    let request = |name: &str| {
        format!(
            "INVITE sip:4711@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK{name}\r\nMax-Forwards: 70\r\n\
             From: <sip:a@192.0.2.20>;tag={name}\r\nTo: <sip:4711@192.0.2.10>\r\nCall-ID: {name}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:a@192.0.2.20>\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let requests: Vec<String> = names.iter().map(|name| request(name)).collect();
    let start = cpu_time();
    for request in &requests {
        bench.hear(request);
        bench.sent.clear();
        bench.events.clear();
    }
    let time = cpu_time().saturating_sub(start);
    let counts = bench.ua.counts();
    assert_eq!((counts.server_transactions, counts.sessions), (names.len(), names.len()));
    time
}

/// A11: collision sets of hashes that multiply by 31 and by 33, and of SipHash without a key.
#[test]
fn collision_sets_cost_no_more() {
    // "Aa" and "BB" are one number times 31, "Az" and "BY" one times 33.
    let sets = [
        ("times 31", of_pieces(["Aa", "BB"])),
        ("times 33", of_pieces(["Az", "BY"])),
        ("SipHash without a key", of_siphash_without_a_key()),
    ];
    for (name, set) in sets {
        let mut seen = Vec::new();
        // The machine may be busy: one good pair of four decides. Compared with all before it, a set would take many times as long.
        let good = (0..4).any(|_| {
            let pair = (cost(&ordinary()), cost(&set));
            seen.push(pair);
            pair.1 < pair.0 * 3 / 2
        });
        assert!(good, "{name}: ordinary names and the set take {seen:?}");
    }
}
