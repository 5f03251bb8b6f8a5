use super::*;
use crate::net::clock;

const INVITE: &[u8] = b"INVITE sip:1 SIP/2.0\r\nTo: <sip:1@x>\r\nFrom: <sip:2@y>;tag=1\r\n\r\n";
const REINVITE: &[u8] = b"INVITE sip:1 SIP/2.0\r\nt : <sip:1@x>;TAG=2\r\nFrom: <sip:2@y>;tag=1\r\n\r\n";
const BYE: &[u8] = b"BYE sip:1 SIP/2.0\r\n";

fn ip(n: u32) -> IpAddr {
    std::net::Ipv4Addr::from(0x0A00_0000 + n).into()
}

fn share(network: &str) -> Share {
    Share { networks: vec![Network::parse(network).expect("a network")], calls_per_second: 20 }
}

/// How many of `count` messages in one second come through.
fn through(gate: &mut Gate, start: Instant, source: impl Fn(u32) -> IpAddr, bytes: &[u8], count: u32) -> u32 {
    let at = |n: u32| start + Duration::from_secs(1) * n / count;
    (0..count).filter(|n| gate.admit(at(*n), source(*n), bytes).is_ok()).count() as u32
}

/// A4: a known source that floods uses up its own budget; the other trunk does not notice.
#[test]
fn a_flooding_source_harms_itself_only() {
    let now = clock::now();
    let mut gate = Gate::new(now, vec![share("10.0.0.1/32"), share("10.0.0.2/32")], false);
    assert!(through(&mut gate, now, |_| ip(1), INVITE, 20_000) <= 1501);
    assert_eq!(through(&mut gate, now, |_| ip(2), INVITE, 400), 400);
    // Many sources of one trunk share its budget: twice that of one.
    let mut gate = Gate::new(now, vec![share("10.0.0.0/8"), share("192.0.2.0/24")], false);
    assert!(through(&mut gate, now, |n| ip(n + 1), INVITE, 20_000) <= 3001);
}

/// OVL-02: what belongs to calls comes through while new work from the same source is dropped.
#[test]
fn new_work_is_dropped_first() {
    let now = clock::now();
    let mut gate = Gate::new(now, vec![share("10.0.0.1/32")], false);
    let mut served = [0; 3];
    for n in 0..20_000u32 {
        let at = now + Duration::from_micros(50) * n;
        gate.admit(at, ip(1), if n.is_multiple_of(2) { INVITE } else { b"junk" }).ok();
        if n.is_multiple_of(100) {
            for (n, bytes) in [BYE, REINVITE, b"SIP/2.0 200 OK\r\n"].into_iter().enumerate() {
                served[n] += u32::from(gate.admit(at, ip(1), bytes).is_ok());
            }
        }
    }
    assert_eq!(served, [200, 200, 200]);
}

/// A1, A4: nobody unknown is read, unless trunks can show themselves otherwise; then all of them share little.
#[test]
fn strangers_get_little_or_nothing() {
    let now = clock::now();
    let mut gate = Gate::new(now, vec![share("192.0.2.0/24")], false);
    assert_eq!(gate.admit(now, ip(1), INVITE), Err(Dropped::Foreign));
    assert_eq!(gate.may_connect(now, ip(1)), Err(Dropped::Foreign));
    let mut gate = Gate::new(now, vec![share("192.0.2.0/24")], true);
    assert_eq!(gate.may_connect(now, ip(1)), Ok(()));
    assert!(through(&mut gate, now, |_| ip(1), INVITE, 20_000) <= 16);
    assert!(through(&mut gate, now, |n| ip(n + 2), INVITE, 20_000) <= 151);
    // One that proved whose it is counts as that trunk's from then on.
    gate.welcome(now, ip(1), 0);
    assert_eq!(through(&mut gate, now, |_| ip(1), INVITE, 500), 500);
    let later = now + GUEST_STAYS;
    assert!(through(&mut gate, later, |_| ip(1), INVITE, 500) <= 500, "a stranger again, with what its bucket holds");
}

/// A4: as many sources as there are addresses cost a bounded table.
#[test]
fn tables_are_bounded() {
    let now = clock::now();
    let mut gate = Gate::new(now, vec![share("10.0.0.0/8")], true);
    for n in 0..20_000 {
        gate.admit(now, ip(n), INVITE).ok();
        gate.welcome(now, std::net::Ipv4Addr::from(0xC000_0000 + n).into(), 0);
    }
    assert!(gate.entries() <= 2 * SOURCES + GUESTS, "{}", gate.entries());
    let half = |n: u64| IpAddr::from(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(n)));
    assert_eq!(key(half(1)), key(half(u64::MAX)));
}

#[test]
fn what_belongs_to_a_call_is_seen_in_its_bytes() {
    for bytes in [REINVITE, BYE, b"SIP/2.0 180 Ringing\r\n", b"UPDATE sip:1 SIP/2.0\r\nTO:<sip:1>;x=y;tag=7\r\n"] {
        assert!(!is_new_work(bytes), "{}", String::from_utf8_lossy(bytes));
    }
    for bytes in [INVITE, b"OPTIONS sip:1 SIP/2.0\r\n", b"", b"\xff\xfe", b"INVITE x\r\nFrom: a;tag=1\r\nTo: b\r\n"] {
        assert!(is_new_work(bytes), "{}", String::from_utf8_lossy(bytes));
    }
}
