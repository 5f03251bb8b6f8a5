//! Two sessions that protect what they say to each other, reports included.

use super::*;
use crate::net::clock;
use crate::rtp::receiver::Received;
use crate::srtp_key::MasterKey;

const ONE: &str = "192.0.2.1:4000";
const OTHER: &str = "192.0.2.2:5000";

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn key(suite: Suite, n: u8) -> MasterKey {
    MasterKey::new(suite, &vec![n; suite.key_len() + suite.salt_len()]).expect("of that length")
}

fn params(peer: &str, suite: Suite, send: u8, receive: u8, mux: bool) -> SessionParams {
    let remote = addr(peer);
    let receiver = ReceiverParams {
        policy: SourcePolicy::Nat,
        sdp_remote: Some(remote),
        allowed: vec![],
        audio_payload_types: vec![(0, crate::codec::Codec::Pcmu)],
        dtmf_payload_type: None,
        comfort_noise: None,
        reorder_wait: Duration::from_millis(40),
    };
    let srtp = Some(SrtpKeys { suite, send: key(suite, send), receive: key(suite, receive) });
    let rtcp = SocketAddr::new(remote.ip(), remote.port() + u16::from(!mux));
    SessionParams { receiver, srtp, rtcp_mux: mux, rtcp_remote: Some(rtcp) }
}

struct End {
    session: RtpSession,
    sender: Sender,
    heard: u32,
    /// Everything it sent.
    sent: Vec<(Port, Vec<u8>)>,
}

impl End {
    fn new(now: Instant, params: SessionParams, ssrc: u32) -> End {
        let mut session = RtpSession::new(params);
        session.start_reports(now, WallClock { at: now, unix_ms: 1_800_000_000_000 }, u64::from(ssrc));
        End { session, sender: Sender::new(ssrc, 30_000, 7), heard: 0, sent: Vec::new() }
    }

    /// Its packets of one interval: audio, and the report that is due.
    fn send(&mut self, now: Instant) -> usize {
        let before = self.sent.len();
        let mut out = Vec::new();
        self.sender.frame(&[0x55; 160], &mut out);
        assert!(self.session.protect(&mut out));
        self.sent.push((Port::Rtp, out.clone()));
        while self.session.timeout().is_some_and(|due| due <= now) {
            let reports = self.session.reports().sent;
            if let Some((port, _)) = self.session.poll_rtcp(now, &self.sender, None, &mut out) {
                self.sent.push((port, out.clone()));
            }
            if self.session.reports().sent == reports {
                break;
            }
        }
        self.sent.len() - before
    }

    fn take(&mut self, now: Instant, from: &str, port: Port, datagram: &[u8]) {
        match port {
            Port::Rtp => self.session.handle_rtp(now, addr(from), datagram),
            Port::Rtcp => self.session.handle_rtcp(now, addr(from), datagram),
        }
        while let Some(received) = self.session.receiver.poll(now) {
            if let Received::Audio { payload, .. } = received {
                assert_eq!(payload, [0x55; 160]);
                self.heard += 1;
            }
        }
    }
}

/// SRT-05, SRT-01: where RTP is protected, RTCP is, by its own port and by RTP's; plain and forged reports are not read.
#[test]
fn reports_are_protected_wherever_audio_is() {
    for suite in Suite::ALL {
        for mux in [false, true] {
            let start = clock::now();
            let mut one = End::new(start, params(OTHER, suite, 1, 2, mux), 11);
            let mut other = End::new(start, params(ONE, suite, 2, 1, mux), 22);
            for n in 0..1_500u32 {
                let now = start + Duration::from_millis(20) * n;
                let count = one.send(now);
                for (port, datagram) in &one.sent[one.sent.len() - count..] {
                    other.take(now, ONE, *port, datagram);
                }
                let count = other.send(now);
                for (port, datagram) in &other.sent[other.sent.len() - count..] {
                    one.take(now, OTHER, *port, datagram);
                }
            }
            for end in [&one, &other] {
                assert_eq!(end.heard, 1_500, "{suite:?}");
                let reports = end.session.reports();
                assert!(reports.received >= 3 && reports.remote.is_some(), "{suite:?}: {}", reports.received);
                assert_eq!(end.session.srtp_stats(), SrtpStats::default());
            }
            // A sender's report begins in the clear with its SSRC; its NTP time (1.8e9 s after 1970, 3E DF in front) is not to be seen.
            let report = one.sent.iter().find(|(_, datagram)| datagram[1] == 200).expect("a sender report").1.clone();
            assert_eq!((&report[4..8], report.len() % 4 == 0), (&11u32.to_be_bytes()[..], suite.salt_len() == 12));
            let read = other.session.reports().received;
            let now = start + Duration::from_secs(31);
            let port = if mux { Port::Rtp } else { Port::Rtcp };
            other.take(now, ONE, port, &report);
            assert_eq!(other.session.srtp_stats().replayed, 1);
            let mut forged = report.clone();
            let at = forged.len() - if suite.salt_len() == 12 { 1 } else { 11 };
            forged[at] ^= 0x40;
            other.take(now, ONE, port, &forged);
            assert_eq!(other.session.srtp_stats().failed, 1, "another index, so another tag");
            let plain = [&[0x80, 201, 0, 1][..], &11u32.to_be_bytes()].concat();
            other.take(now, ONE, port, &plain);
            assert_eq!(other.session.srtp_stats().malformed, 1);
            assert_eq!(other.session.reports().received, read, "{suite:?}");
        }
    }
}

/// SRT-03: without the key nobody is learned as the source, whatever the policy; with it, from where it comes is.
#[test]
fn the_source_is_learned_from_authentic_packets_alone() {
    let suite = Suite::AeadAes128Gcm;
    let start = clock::now();
    let mut one = End::new(start, params(OTHER, suite, 1, 2, false), 11);
    let mut stranger = End::new(start, params(OTHER, suite, 3, 2, false), 11);
    let mut other = End::new(start, params(ONE, suite, 2, 1, false), 22);
    let at = |n: u32| start + Duration::from_millis(20) * n;
    for n in 0..50 {
        stranger.send(at(n));
        let forged = stranger.sent.last().expect("a packet").1.clone();
        other.take(at(n), "203.0.113.66:4000", Port::Rtp, &forged);
        other.take(at(n), ONE, Port::Rtp, &forged);
    }
    assert_eq!(other.session.receiver.target(), Some(addr(ONE)));
    assert_eq!((other.session.receiver.last_packet(), other.heard), (None, 0));
    assert_eq!(other.session.srtp_stats().failed, 100);
    for n in 50..60 {
        one.send(at(n));
        let datagram = one.sent.iter().rfind(|(port, _)| *port == Port::Rtp).expect("a packet").1.clone();
        other.take(at(n), "203.0.113.9:61000", Port::Rtp, &datagram);
    }
    assert_eq!(other.session.receiver.target(), Some(addr("203.0.113.9:61000")));
    assert!(other.heard >= 5);
}
