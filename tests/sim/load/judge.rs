//! The runs, and what must hold at their ends.

use crate::world::World;
use voxtrunk::sip::user_agent::UaCounts;

/// What a long run must have reached, or it shows nothing; of a short one, the first few.
const REACHED: [&str; 25] = [
    "calls",
    "answered",
    "record: caller_bye",
    "record: agent_hangup",
    "rejected 404",
    "refused 503",
    "refused 486",
    "rejected 503",
    "cancelled",
    "vanished",
    "held",
    "empty re-INVITEs",
    "INFO",
    "keys",
    "transfers",
    "late offers",
    "sockets broken",
    "connections broken",
    "crashes",
    "packets sent",
    "packets received",
    "site ended: 486 and the like",
    "site ended: peer bye",
    "no codec",
    "bad content",
];

fn judge(world: &mut World) {
    let told = world.told();
    assert_eq!(world.agenda.len(), 0, "{told}");
    assert_eq!(world.server.ua.counts(), UaCounts::default(), "{told}: something stays at the server");
    assert_eq!(world.server.ua.dropped(), 0, "{told}: the store was full");
    for (n, site) in world.sites.iter().enumerate() {
        assert_eq!(site.agent.ua.counts(), UaCounts::default(), "{told}: something stays at site {n}");
        assert!(site.callers.is_empty(), "{told}: callers of site {n} have no end");
    }
    assert!(world.calls.is_empty(), "{told}: {} calls are left", world.calls.len());
    assert_eq!(world.admission.calls(), 0, "{told}: admission counts calls that are over");
    assert!(world.ports.used.is_empty(), "{told}: ports are left: {:?}", world.ports.used);
    let wrong: Vec<_> = world.invites.iter().filter(|(_, records)| **records != 1).take(10).collect();
    assert!(wrong.is_empty(), "{told}: (call, CSeq) and its records: {wrong:?}");
    let expected = if world.placed < 20_000 { 4 } else { REACHED.len() };
    for what in &REACHED[..expected] {
        let total = world.totals.keys().find(|n| n.ends_with(what));
        assert!(total.is_some(), "{told}: no {what:?} in {:#?}", world.totals);
    }
}

/// TXN-12, OVL-08, DLG-06: mixed calls with random faults leave nothing, and one record for every INVITE.
#[test]
fn mixed_calls_leave_nothing_but_their_records() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let calls = number("VOXTRUNK_SIM_CALLS").unwrap_or(1_000);
    let seed = number("VOXTRUNK_SIM_SEED").unwrap_or(1);
    println!("VOXTRUNK_SIM_SEED={seed} VOXTRUNK_SIM_CALLS={calls}");
    let mut world = World::new(seed, u32::try_from(calls).expect("fewer calls"));
    world.run();
    judge(&mut world);
    let virtual_time = world.now - world.t0;
    println!("{} INVITEs in {virtual_time:?} of virtual time, {} steps", world.invites.len(), world.steps);
    for (what, count) in &world.totals {
        println!("{count:>10} {what}");
    }
}
