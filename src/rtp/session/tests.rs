//! Which port, which host: RTCP obeys the source policy, and shares RTP's port only where that was agreed on.

use super::*;
use crate::net::clock;
use crate::rtp::packet::{self, Packet};
use crate::rtp::rtcp::packet::{Block, CNAME_LEN, Report, write};

const PEER_SSRC: u32 = 0x0BAD_CAFE;
const OUR_SSRC: u32 = 0x1111;

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn params(policy: SourcePolicy, rtcp_mux: bool) -> SessionParams {
    let sdp_remote = Some(addr("192.0.2.10:4000"));
    let receiver = ReceiverParams {
        policy,
        sdp_remote,
        allowed: vec![],
        audio_payload_types: vec![(0, crate::codec::Codec::Pcmu)],
        dtmf_payload_type: None,
        comfort_noise: None,
        reorder_wait: Duration::from_millis(40),
    };
    let rtcp_remote = if rtcp_mux { sdp_remote } else { Some(addr("192.0.2.10:4001")) };
    SessionParams { receiver, srtp: None, rtcp_mux, rtcp_remote }
}

struct World {
    session: RtpSession,
    sender: Sender,
    now: Instant,
    sequence: u16,
}

impl World {
    fn new(params: SessionParams) -> World {
        let now = clock::now();
        let mut session = RtpSession::new(params);
        session.start_reports(now, WallClock { at: now, unix_ms: 1_800_000_000_000 }, 5);
        World { session, sender: Sender::new(OUR_SSRC, 1, 2), now, sequence: 0 }
    }
    /// A packet of ours goes out, a packet of theirs comes from there.
    fn audio(&mut self, from: &str) {
        let mut out = Vec::new();
        self.sender.frame(&[0xFF; 160], &mut out);
        assert!(self.session.protect(&mut out));
        let (sequence, timestamp) = (self.sequence, u32::from(self.sequence) * 160);
        let theirs =
            Packet { payload_type: 0, marker: false, sequence, timestamp, ssrc: PEER_SSRC, payload: &[0xFF; 160] };
        packet::write(&theirs, &mut out);
        self.now += Duration::from_millis(20);
        self.sequence += 1;
        self.session.handle_rtp(self.now, addr(from), &out);
        while self.session.receiver.poll(self.now).is_some() {}
    }
    fn report(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let block = Some(Block { ssrc: OUR_SSRC, highest_sequence: 10, cumulative_lost: 2, ..Block::default() });
        write(&Report { ssrc: PEER_SSRC, info: None, block, cname: &[b'0'; CNAME_LEN], bye: false }, &mut out);
        out
    }
    /// Where our next report goes.
    fn next(&mut self) -> Option<(Port, SocketAddr)> {
        let mut out = Vec::new();
        let before = self.session.reports().sent;
        loop {
            self.now = self.session.timeout().expect("it reports").max(self.now);
            let due = self.session.poll_rtcp(self.now, &self.sender, None, &mut out);
            if self.session.reports().sent > before {
                return due;
            }
        }
    }
}

/// RTP-14: with mux reports come and go by the RTP port; without, one that comes there is counted and not read.
#[test]
fn mux_only_if_agreed() {
    for mux in [true, false] {
        let mut world = World::new(params(SourcePolicy::Strict, mux));
        world.audio("192.0.2.10:4000");
        let report = world.report();
        world.session.handle_rtp(world.now, addr("192.0.2.10:4000"), &report);
        assert_eq!(world.session.reports().received, u64::from(mux));
        assert_eq!(world.session.refused().unasked_mux, u64::from(!mux));
        let port = if mux { Port::Rtp } else { Port::Rtcp };
        assert_eq!(world.next(), Some((port, addr(if mux { "192.0.2.10:4000" } else { "192.0.2.10:4001" }))));
        assert_eq!(world.session.receiver.stats().packets, 1, "no report was taken for audio");
    }
    let mut world = World::new(params(SourcePolicy::Strict, true));
    for first in [0u8, 1, 20, 22, 63] {
        world.session.handle_rtp(world.now, addr("192.0.2.10:4000"), &[first; 40]);
    }
    assert_eq!((world.session.refused().webrtc, world.session.receiver.stats().packets), (5, 0));
}

/// RTP-13: the peer's host may report, from any port; others are remembered as strangers and change nothing.
#[test]
fn strangers_are_not_heard() {
    let mut world = World::new(params(SourcePolicy::Strict, false));
    world.audio("192.0.2.10:4000");
    let report = world.report();
    world.session.handle_rtcp(world.now, addr("203.0.113.9:4001"), &report);
    assert_eq!(world.session.reports().received, 0);
    let stranger = world.session.refused().strangers.iter().next().copied().expect("remembered");
    assert_eq!((stranger.addr, stranger.rtp, stranger.rtcp), (addr("203.0.113.9:4001"), 0, 1));
    world.session.handle_rtcp(world.now, addr("192.0.2.10:39001"), &report);
    assert_eq!(world.session.reports().received, 1);
    assert_eq!(world.session.remote_loss(), Some(0.2));
    assert_eq!(world.next(), Some((Port::Rtcp, addr("192.0.2.10:4001"))), "strict: by the SDP alone");
    for n in 0..9 {
        world.session.handle_rtp(
            world.now,
            addr(&format!("203.0.113.{n}:1")),
            &[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        );
    }
    assert_eq!(world.session.refused().strangers.iter().count(), 4, "bounded");
    world.session.handle_rtp(world.now, addr("192.0.2.10:4000"), &[0x80, 18, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(world.session.refused().payload_type, Some(18));
}

/// RTP-09: when the media turned out to come from elsewhere, reports follow it: to the next port, or to where reports of that very
/// stream come from; never to a host that has not proved itself.
#[test]
fn reports_follow_the_proved_source() {
    let mut world = World::new(params(SourcePolicy::Nat, false));
    let report = world.report();
    world.session.handle_rtcp(world.now, addr("203.0.113.9:61001"), &report);
    assert_eq!(world.next(), Some((Port::Rtcp, addr("192.0.2.10:4001"))), "nothing is proved");
    for _ in 0..6 {
        world.audio("203.0.113.9:61000");
    }
    assert_eq!(world.session.receiver.target(), Some(addr("203.0.113.9:61000")));
    assert_eq!(world.next(), Some((Port::Rtcp, addr("203.0.113.9:61001"))));
    let mut foreign = report.clone();
    foreign[7] ^= 1;
    world.session.handle_rtcp(world.now, addr("203.0.113.9:7777"), &foreign);
    assert_eq!(world.next(), Some((Port::Rtcp, addr("203.0.113.9:61001"))), "not of the stream we play");
    world.session.handle_rtcp(world.now, addr("203.0.113.9:62345"), &report);
    assert_eq!(world.next(), Some((Port::Rtcp, addr("203.0.113.9:62345"))));
}

/// A sender's report tells the timestamp of its own moment, not that of the next packet.
#[test]
fn timestamps_are_of_the_moment() {
    let mut world = World::new(params(SourcePolicy::Strict, false));
    world.audio("192.0.2.10:4000");
    let next = world.now + Duration::from_millis(15);
    let sent = sent(world.now, &world.sender, Some(next));
    assert_eq!(sent.rtp_timestamp, world.sender.timestamp().wrapping_sub(120));
    assert_eq!((sent.packets, sent.octets, sent.ssrc), (1, 160, OUR_SSRC));
}

/// Without an address of the peer (`c=0.0.0.0`) nothing is sent; the schedule goes on.
#[test]
fn no_address_no_report() {
    let mut world = World::new(params(SourcePolicy::Latch, false));
    world.audio("192.0.2.10:4000");
    let mut held = params(SourcePolicy::Latch, false);
    (held.receiver.sdp_remote, held.rtcp_remote) = (None, None);
    world.session.set_params(world.now, held);
    assert_eq!(world.next(), None);
    world.session.set_params(world.now, params(SourcePolicy::Latch, false));
    assert!(world.next().is_some());
}
