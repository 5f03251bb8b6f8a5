//! The sentences: each names what was seen and what to do.

use super::*;
use crate::cidr::Network;
use crate::codec::Codec;
use crate::net::clock;
use crate::rtp::receiver::ReceiverParams;
use crate::rtp::session::{RtpSession, SessionParams};

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn packet(payload_type: u8) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(&[0xFF; 160]);
    packet
}

/// What a strict session refuses of these.
fn refused(sdp: &str, datagrams: &[(&str, Vec<u8>)]) -> Refused {
    let receiver = ReceiverParams {
        policy: SourcePolicy::Strict,
        sdp_remote: Some(addr(sdp)),
        allowed: Vec::<Network>::new(),
        audio_payload_types: vec![(0, Codec::Pcmu)],
        dtmf_payload_type: None,
        comfort_noise: None,
        reorder_wait: Duration::from_millis(40),
    };
    let mut session = RtpSession::new(SessionParams { receiver, srtp: None, rtcp_mux: false, rtcp_remote: None });
    for (from, datagram) in datagrams {
        session.handle_rtp(clock::now(), addr(from), datagram);
    }
    session.refused().clone()
}

struct Case {
    sdp: &'static str,
    local: &'static str,
    policy: SourcePolicy,
    trunk: Option<&'static str>,
    keys: bool,
    srtp_failed: u64,
    reports: ReportStats,
    sent: u64,
}

impl Default for Case {
    fn default() -> Case {
        Case {
            sdp: "198.51.100.7:4000",
            local: "203.0.113.1:20000",
            policy: SourcePolicy::Latch,
            trunk: Some("carrier"),
            keys: false,
            srtp_failed: 0,
            reports: ReportStats::default(),
            sent: 500,
        }
    }
}

impl Case {
    fn with<T>(&self, refused: &Refused, then: impl FnOnce(&Facts<'_>) -> T) -> T {
        then(&Facts {
            sdp: Some(addr(self.sdp)),
            local: addr(self.local),
            signalling: addr("198.51.100.7:5060").ip(),
            policy: self.policy,
            trunk: self.trunk,
            codec: "PCMU",
            keys: self.keys,
            refused,
            srtp_failed: self.srtp_failed,
            reports: &self.reports,
            sent: self.sent,
        })
    }
    fn nothing(&self, refused: &Refused) -> (&'static str, String) {
        let verdict = self.with(refused, |facts| facts.nothing_received());
        (verdict.cause, verdict.why)
    }
}

/// S3, S5: packets from elsewhere than the SDP says, by policy and trunk.
#[test]
fn another_source() {
    let from = [("203.0.113.9:4321", packet(0)), ("203.0.113.9:4321", packet(0))];
    let private = Case { sdp: "10.0.0.5:4000", ..Case::default() };
    assert_eq!(
        private.nothing(&refused("10.0.0.5:4000", &from)),
        (
            "source_refused",
            "the peer's SDP says 10.0.0.5:4000, a private address, its packets come from 203.0.113.9:4321 and 2 packets were refused: \
             set source_policy = \"nat\" in [trunk.media] of trunk \"carrier\", or \"latch\" and add \"203.0.113.9\" to its networks"
                .to_owned()
        )
    );
    let nat = Case { policy: SourcePolicy::Nat, trunk: None, ..Case::default() };
    let (_, why) = nat.nothing(&refused("198.51.100.7:4000", &from));
    assert!(
        why.ends_with("add \"203.0.113.9\" to networks in [media], if that is where its media comes from"),
        "{why}"
    );
    let strict = Case { policy: SourcePolicy::Strict, ..Case::default() };
    let (_, why) = strict.nothing(&refused("198.51.100.7:4000", &[("198.51.100.7:61000", packet(0))]));
    assert!(why.contains("packets come from 198.51.100.7:61000 and 1 packet were refused"), "{why}");
    assert!(why.ends_with("set source_policy = \"latch\" in [trunk.media] of trunk \"carrier\""), "{why}");
}

/// S3: what else keeps audio away, the surest cause first.
#[test]
fn other_causes() {
    let sdp = "198.51.100.7:4000";
    let nobody = Refused::default();
    let (cause, why) = Case::default().nothing(&refused(sdp, &[(sdp, packet(18))]));
    assert_eq!(cause, "payload_type");
    assert!(why.contains("18 (G.729)") && why.contains("send PCMU"), "{why}");
    let keys = || Case { keys: true, ..Case::default() };
    assert_eq!(
        keys().nothing(&refused(sdp, &[(sdp, packet(18))])).0,
        "payload_type",
        "its audio comes and is not ours"
    );
    let (cause, why) = keys().nothing(&nobody);
    assert_eq!(cause, "only_keys");
    assert!(why.contains("microphone is muted"), "{why}");
    let (cause, _) = Case::default().nothing(&refused(sdp, &[(sdp, vec![0, 1, 0, 0])]));
    assert_eq!(cause, "webrtc");
    let failed = Case { srtp_failed: 7, ..Case::default() };
    let unauthentic = Refused { unauthentic: Some(addr(sdp)), ..Refused::default() };
    let (cause, why) = failed.nothing(&unauthentic);
    assert_eq!(cause, "srtp_keys");
    assert!(why.contains("7 packets, the last from 198.51.100.7:4000"), "{why}");
    let reports = ReportStats { received: 1, ..ReportStats::default() };
    assert_eq!(Case { reports, ..Case::default() }.nothing(&nobody).0, "only_rtcp");
    let (cause, why) = Case::default().nothing(&nobody);
    assert_eq!(cause, "no_packet");
    assert!(why.contains("send to 203.0.113.1:20000") && why.contains("from 198.51.100.7 in the firewall"), "{why}");
    let (_, why) = Case { local: "192.168.1.5:20000", ..Case::default() }.nothing(&nobody);
    assert!(why.contains("192.168.1.5:20000, a private address") && why.contains("set sip.advertise"), "{why}");
}

/// S3, the other way round: the peer reports that it gets nothing; one report, or few packets, prove nothing.
#[test]
fn the_peer_hears_nothing() {
    let unheard = |case: &Case| case.with(&Refused::default(), |facts| facts.unheard());
    let deaf = |deaf_reports| ReportStats { deaf_reports, ..ReportStats::default() };
    assert_eq!(unheard(&Case { reports: deaf(1), ..Case::default() }), None);
    assert_eq!(unheard(&Case { reports: deaf(5), sent: 100, ..Case::default() }), None);
    let verdict = unheard(&Case { reports: deaf(2), sdp: "10.0.0.5:4000", ..Case::default() }).expect("a verdict");
    assert_eq!(verdict.cause, "unheard");
    let all = "none of our 500 packets from 203.0.113.1:20000 to 10.0.0.5:4000 arrives: that address is private";
    assert!(verdict.why.contains(all), "{}", verdict.why);
}
