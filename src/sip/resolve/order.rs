//! The order of NAPTR and SRV records (RFC 3263 §4.1, RFC 2782).

use super::target::dns_name;
use super::{Hop, MOST_TARGETS, Record, Transport};
use crate::sip::random::Random;

/// `_sip._udp.example.com`.
pub(super) fn srv_name(transport: Transport, host: &str) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{service}.{host}")
}

/// The SRV names of the services that we have, by order and preference. Only the lowest order that has one counts.
pub(super) fn naptr(records: &[Record], usable: &[Transport]) -> Vec<(Transport, String)> {
    let mut services: Vec<(u16, u16, Transport, String)> = Vec::new();
    for record in records {
        let Record::Naptr { order, preference, flags, service, replacement } = record else { continue };
        let transport = match service.to_ascii_uppercase().as_str() {
            "SIP+D2U" => Transport::Udp,
            "SIP+D2T" => Transport::Tcp,
            "SIPS+D2T" => Transport::Tls,
            _ => continue,
        };
        if flags.eq_ignore_ascii_case("s")
            && usable.contains(&transport)
            && let Some(name) = dns_name(replacement)
        {
            services.push((*order, *preference, transport, name));
        }
    }
    services.sort_by_key(|(order, preference, ..)| (*order, *preference));
    let lowest = services.first().map(|(order, ..)| *order);
    services.retain(|(order, ..)| Some(*order) == lowest);
    services.truncate(MOST_TARGETS);
    services.into_iter().map(|(_, _, transport, name)| (transport, name)).collect()
}

/// Puts SRV records in the order they are to be tried: by priority, within one at random by weight. Targets that are no names
/// (`.`: the service is not there) go.
pub(super) fn srv(records: &mut Vec<Record>, random: &mut Random) {
    let mut left: Vec<(u16, u16, u16, String)> = records
        .drain(..)
        .filter_map(|record| match record {
            Record::Srv { priority, weight, port, target } if port != 0 => {
                Some((priority, weight, port, dns_name(&target)?))
            }
            _ => None,
        })
        .collect();
    // Weight 0 first, so that it has a small chance (RFC 2782).
    left.sort_by_key(|(priority, weight, ..)| (*priority, *weight > 0));
    while let Some(&(priority, ..)) = left.first() {
        if records.len() == MOST_TARGETS {
            break;
        }
        let same = left.iter().take_while(|(p, ..)| *p == priority);
        let sum: u32 = same.clone().map(|(_, weight, ..)| u32::from(*weight)).sum();
        let pick = random.up_to(sum);
        let mut running = 0;
        let at = same
            .map(|(_, weight, ..)| {
                running += u32::from(*weight);
                running
            })
            .position(|running| running >= pick)
            .unwrap_or(0);
        let (priority, weight, port, target) = left.remove(at);
        records.push(Record::Srv { priority, weight, port, target });
    }
}

/// Each address once a transport, where it came first.
pub(super) fn dedup(hops: &mut Vec<Hop>) {
    let mut seen = Vec::new();
    hops.retain(|hop| {
        let key = (hop.transport, hop.addr);
        let new = !seen.contains(&key);
        seen.push(key);
        new
    });
}
