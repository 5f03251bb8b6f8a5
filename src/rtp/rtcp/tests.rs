//! Two machines report to each other.

use super::*;
use crate::net::clock;

const UNIX_MS: u64 = 1_800_000_000_000;
const A: u32 = 0xAAAA;
const B: u32 = 0xBBBB;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn machine(now: Instant, seed: u64) -> Reports {
    let mut reports = Reports::default();
    reports.start(now, WallClock { at: now, unix_ms: UNIX_MS }, seed);
    reports
}

fn sent(ssrc: u32, packets: u64) -> Sent {
    Sent { ssrc, packets, octets: packets * 160, rtp_timestamp: packets as u32 * 160 }
}

fn reception(ssrc: u32, highest: u32, received: u32) -> Reception {
    Reception { ssrc, first: 1, highest, received, jitter: 24 }
}

/// The next packet, and when it goes out.
fn next(reports: &mut Reports, sent: Sent, reception: Option<Reception>) -> (Instant, Vec<u8>) {
    let mut out = Vec::new();
    loop {
        let at = reports.timeout().expect("it runs");
        if reports.poll(at, sent, reception, &mut out) {
            return (at, out);
        }
    }
}

#[test]
fn ntp_time_is_that_of_1900() {
    let at = clock::now();
    // 2027-01-15 08:00 UTC.
    let clock = WallClock { at, unix_ms: UNIX_MS };
    assert_eq!(clock.ntp(at) >> 32, 1_800_000_000 + 2_208_988_800);
    let later = clock.ntp(at + ms(1_250));
    assert_eq!((later >> 32, later as u32), (1_800_000_001 + 2_208_988_800, 1 << 30));
}

/// RTP-13: who has sent reports as a sender, with what it received; round trip from LSR and DLSR (RFC 3550 §6.4.1, figure 2).
#[test]
fn round_trip_and_loss_of_the_other_side() {
    let start = clock::now();
    let (mut a, mut b) = (machine(start, 1), machine(start, 2));
    let (sent_at, report) = next(&mut a, sent(A, 100), None);
    // 40 ms to B, which reports when its time has come; 60 ms back.
    assert_eq!(b.handle(sent_at + ms(40), Some(B), &report), Some(A));
    assert_eq!(b.stats().round_trip, None, "nothing of B was echoed");
    let mut out = Vec::new();
    let mut at = sent_at + ms(1_540);
    while !b.poll(at, sent(B, 80), Some(reception(A, 100, 75)), &mut out) {
        at = b.timeout().expect("it runs").max(at);
    }
    assert_eq!(a.handle(at + ms(60), Some(A), &out), Some(B));
    let stats = a.stats();
    let round_trip = stats.round_trip.expect("measured");
    assert!(round_trip.abs_diff(ms(100)) < ms(1), "{round_trip:?}");
    let remote = stats.remote.expect("reported");
    assert_eq!((remote.lost, remote.highest_sequence, remote.jitter), (25, 100, 24));
    assert!((remote.fraction_lost - 0.25).abs() < 0.01, "{remote:?}");
    assert_eq!((stats.received, stats.sent, stats.remote_reports, stats.deaf_reports), (1, 1, 1, 0));
}

/// Fraction lost is that since the report before; a new stream begins at nothing; duplicates are no negative fraction.
#[test]
fn loss_is_counted_from_report_to_report() {
    let start = clock::now();
    let (mut a, mut b) = (machine(start, 1), machine(start, 2));
    let mut told = |reception: Reception| {
        let (at, report) = next(&mut b, sent(B, 0), Some(reception));
        a.handle(at, Some(A), &report);
        let remote = a.stats().remote.expect("reported");
        (remote.lost, (remote.fraction_lost * 100.0).round() as i32)
    };
    assert_eq!(told(reception(A, 100, 100)), (0, 0));
    assert_eq!(told(reception(A, 200, 150)), (50, 50));
    assert_eq!(told(reception(A, 300, 260)), (40, 0), "late ones and copies came");
    assert_eq!(told(reception(A, 400, 360)), (40, 0));
    assert_eq!(told(reception(A, 500, 360)), (140, 100));
    let anew = Reception { first: 40_000, highest: 40_049, ..reception(A, 0, 40) };
    assert_eq!(told(anew), (10, 20));
}

/// RFC 3550 §6.4: an SR while audio flows and for one interval more, then RR; BYE last, and nothing after it.
#[test]
fn senders_reports_and_the_end() {
    let start = clock::now();
    let mut a = machine(start, 7);
    let is_sr = |report: &[u8]| report[1] == 200;
    let mut packets = 0;
    for n in 0..3 {
        packets += 250;
        assert!(is_sr(&next(&mut a, sent(A, packets), None).1), "{n}");
    }
    assert!(is_sr(&next(&mut a, sent(A, packets), None).1), "sent in the interval before");
    let (at, report) = next(&mut a, sent(A, packets), None);
    assert!(!is_sr(&report), "held: a receiver's report keeps the way open (SDP-08)");
    let mut out = Vec::new();
    assert!(a.bye(at, sent(A, packets), Some(reception(B, 9, 9)), &mut out));
    let mut byes = Vec::new();
    let read = packet::read(&out, |item| byes.extend((item == Item::Bye { ssrc: A }).then_some(())));
    assert_eq!((read, byes.len(), a.timeout()), (Ok(()), 1, None));
    assert!(!a.bye(at, sent(A, packets), None, &mut out), "once");
    let mut silent = machine(start, 8);
    assert!(!silent.bye(start, sent(A, 0), None, &mut out), "who never sent anything does not leave (§6.3.7)");
}

/// An echo of what we never sent, and reports on other streams, say nothing of us; a peer that gets nothing is seen.
#[test]
fn what_does_not_concern_us() {
    let start = clock::now();
    let mut a = machine(start, 1);
    let (at, _) = next(&mut a, sent(A, 100), None);
    let report = |block: Option<Block>| {
        let mut out = Vec::new();
        packet::write(&Report { ssrc: B, info: None, block, cname: &[b'0'; CNAME_LEN], bye: false }, &mut out);
        out
    };
    let foreign = Block { ssrc: 0xDEAD, cumulative_lost: 9, ..Block::default() };
    a.handle(at, Some(A), &report(Some(foreign)));
    assert_eq!((a.stats().remote, a.stats().deaf_reports), (None, 1));
    let forged = Block { ssrc: A, last_sr: 0x7777_7777, delay_since_last_sr: 1, ..Block::default() };
    a.handle(at, Some(A), &report(Some(forged)));
    assert_eq!((a.stats().round_trip, a.stats().remote_reports, a.stats().deaf_reports), (None, 1, 0));
    a.handle(at, Some(A), &report(None));
    a.handle(at, Some(A), &report(Some(Block { ssrc: A, fraction_lost: 255, ..Block::default() })));
    assert_eq!(a.stats().deaf_reports, 2);
    assert_eq!(a.handle(at, Some(A), b"not RTCP"), None);
    assert_eq!((a.stats().received, a.stats().malformed), (4, 1));
}

/// RFC 7022: names of 96 random bits, one a session.
#[test]
fn canonical_names_differ() {
    let names: std::collections::HashSet<_> = (0..1000).map(|seed| cname(&mut SplitMix(seed))).collect();
    assert_eq!(names.len(), 1000);
    assert!(names.iter().flatten().all(u8::is_ascii_hexdigit));
}

/// RTP-18: the peer's own figures of our stream (RFC 3611), not those of another; and its BYE.
#[test]
fn the_peers_own_measure() {
    let start = clock::now();
    let mut a = machine(start, 1);
    let metrics = |about: u32, mos_cq: u8| {
        let mut datagram = vec![0x80, 207, 0, 10];
        datagram.extend_from_slice(&B.to_be_bytes());
        datagram.extend_from_slice(&[7, 0, 0, 8]);
        datagram.extend_from_slice(&about.to_be_bytes());
        datagram.extend_from_slice(&[0; 16]);
        datagram.extend_from_slice(&[81, 127, 127, mos_cq, 0, 0, 0, 0, 0, 0, 0, 0]);
        datagram
    };
    a.handle(start, Some(A), &metrics(0xDEAD, 20));
    assert_eq!((a.stats().remote_mos, a.stats().remote_r_factor), (None, None));
    a.handle(start, Some(A), &metrics(A, 39));
    assert_eq!((a.stats().remote_mos, a.stats().remote_r_factor), (Some(3.9), Some(81)));
    a.handle(start, Some(A), &metrics(A, 127));
    assert_eq!(a.stats().remote_mos, Some(3.9), "127 is: not known");
    let mut out = Vec::new();
    packet::write(&Report { ssrc: B, info: None, block: None, cname: &[b'0'; CNAME_LEN], bye: true }, &mut out);
    assert_eq!(a.handle(start, Some(A), &out), Some(B));
    assert!(a.stats().bye);
}
