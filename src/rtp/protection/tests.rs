use super::*;
use crate::net::clock;
use crate::srtp_key::MasterKey;

const SUITE: Suite = Suite::AesCm128HmacSha1_80;

fn keys(n: u8) -> SrtpKeys {
    let key = MasterKey::new(SUITE, &[n; 30]).expect("30 octets");
    SrtpKeys { suite: SUITE, send: key.clone(), receive: key }
}

fn rtp(sequence: u16) -> Vec<u8> {
    [&[0x80, 0][..], &sequence.to_be_bytes(), &[0; 8], &[0x55; 160]].concat()
}

/// SRT-03: with SRTP agreed on, nothing plain is used or sent, RTP or RTCP; without, everything is as it came.
#[test]
fn nothing_plain_passes_where_srtp_is_agreed_on() {
    let now = clock::now();
    let (plain, report) = (rtp(1), [&[0x81, 201, 0, 1][..], &[0; 4]].concat());
    let mut off = Protection::new(None);
    assert_eq!(off.open_rtp(now, &plain), Some(&plain[..]));
    assert_eq!(off.open_rtcp(now, &report), Some(&report[..]));
    let mut packet = plain.clone();
    assert!(off.protect_rtp(&mut packet) && off.protect_rtcp(&mut packet));
    assert_eq!((packet, off.suite(), off.stats()), (plain.clone(), None, SrtpStats::default()));
    let mut on = Protection::new(Some(&keys(1)));
    assert_eq!(on.suite(), Some(SUITE));
    assert_eq!(on.open_rtp(now, &plain), None);
    assert_eq!(on.open_rtcp(now, &report), None);
    assert_eq!(on.stats(), SrtpStats { failed: 1, malformed: 1, ..SrtpStats::default() });
    for (mut packet, is_report) in [(plain, false), (report, true)] {
        let before = packet.clone();
        assert!(if is_report { on.protect_rtcp(&mut packet) } else { on.protect_rtp(&mut packet) });
        assert!(packet.len() >= before.len() + 10);
        let opened = if is_report { on.open_rtcp(now, &packet) } else { on.open_rtp(now, &packet) };
        assert_eq!(opened, Some(&before[..]));
    }
    let mut no_packet = vec![1, 2, 3];
    assert!(!on.protect_rtp(&mut no_packet) && !on.protect_rtcp(&mut no_packet), "never sent as it is");
}

/// SRT-03: keys of another length than the suite's protect nothing, so nothing passes.
#[test]
fn keys_of_no_use_close_the_stream() {
    let now = clock::now();
    let wrong = SrtpKeys { suite: Suite::AeadAes256Gcm, ..keys(1) };
    let mut later = Protection::new(Some(&keys(1)));
    later.set_keys(now, Some(&wrong));
    for mut closed in [Protection::new(Some(&wrong)), later] {
        let mut packet = rtp(1);
        assert!(!closed.protect_rtp(&mut packet) && !closed.protect_rtcp(&mut packet));
        assert_eq!(closed.open_rtp(now, &packet), None);
        assert_eq!(closed.open_rtcp(now, &packet), None);
        closed.set_keys(now, Some(&keys(2)));
        assert!(closed.protect_rtp(&mut packet) && closed.open_rtp(now, &packet).is_some());
    }
}

/// SRT-04: SRTP that is switched off and on again with the same keys goes on: no packet passes twice.
#[test]
fn off_and_on_again_goes_on() {
    let now = clock::now();
    let mut stream = Protection::new(Some(&keys(1)));
    let mut packet = rtp(1);
    assert!(stream.protect_rtp(&mut packet) && stream.open_rtp(now, &packet).is_some());
    stream.set_keys(now, None);
    assert!(stream.suite().is_none());
    stream.set_keys(now, Some(&keys(1)));
    assert!(stream.open_rtp(now, &packet).is_none());
    assert_eq!(stream.stats().replayed, 1);
    assert!(!stream.protect_rtp(&mut rtp(1)), "nor is an index used twice");
}
