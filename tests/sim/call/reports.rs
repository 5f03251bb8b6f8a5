//! RTCP of a call: timing, BYE, hold, and what the peer's reports leave in the record (RTP-13, RTP-18, SDP-08).

use crate::peer::Voice;
use crate::world::{SESSION, World, ms, offer, peer_addr, secs};
use std::net::SocketAddr;
use std::time::Duration;
use voxtrunk::call::Input;
use voxtrunk::rtp::rtcp::packet::{Block, CNAME_LEN, Item, Report, SenderInfo, read, write};
use voxtrunk::sip::user_agent::UaEvent;

/// The peer's SSRC, as `peer::rtp` writes it.
const PEER_SSRC: u32 = 0x1234_5678;

fn rtcp_addr() -> SocketAddr {
    SocketAddr::new(peer_addr().ip(), 4001)
}

fn items(datagram: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    read(datagram, |item| items.push(item)).expect("a valid compound");
    items
}

/// SSRC and, in a sender's report, NTP time.
fn sender(datagram: &[u8]) -> (u32, Option<SenderInfo>) {
    match items(datagram).first() {
        Some(Item::Report { ssrc, info }) => (*ssrc, *info),
        other => panic!("a compound begins with a report, not {other:?}"),
    }
}

/// The peer reports this loss, a round trip of `delay` away: it had our last report since it left us, and `delay` passes until its own is here.
fn peer_reports(world: &mut World, delay: Duration, fraction_lost: u8, cumulative_lost: i32) {
    let (at, _, report) = world.rtcp.last().expect("a report");
    let (held, (ssrc, info)) = (world.now - *at, sender(report));
    let highest = world.peer.got.last().map_or(0, |got| u32::from(got.sequence));
    world.run(delay);
    let block = Some(Block {
        ssrc,
        fraction_lost,
        cumulative_lost,
        highest_sequence: highest,
        jitter: 40,
        last_sr: info.map_or(0, |info| (info.ntp >> 16) as u32),
        delay_since_last_sr: (held.as_secs_f64() * 65_536.0) as u32,
    });
    let mut datagram = Vec::new();
    write(&Report { ssrc: PEER_SSRC, info: None, block, cname: &[b'0'; CNAME_LEN], bye: false }, &mut datagram);
    world.input(Input::Rtcp { from: rtcp_addr(), datagram: &datagram });
}

/// RTP-13: to the port above the media's, 5 s apart on average, timestamps of the media's clock, one CNAME, BYE last.
#[test]
fn reports_from_the_answer_to_the_bye() {
    let mut world = World::setup().talk();
    let start = world.now;
    world.run(secs(100));
    let sent = world.rtcp.len();
    assert!((15..=28).contains(&sent), "{sent} in {:?}", world.now);
    let first = world.rtcp[0].0;
    assert!(first < ms(4_000), "the first one soon after the answer: {first:?}");
    assert!(world.rtcp.iter().all(|(_, to, _)| *to == rtcp_addr()));
    let gaps: Vec<Duration> = world.rtcp.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(gaps.iter().all(|gap| (ms(2_000)..ms(6_300)).contains(gap)), "{gaps:?}");
    let ssrc = world.peer.got[0].ssrc;
    let (mut before, mut names) = (None, std::collections::HashSet::new());
    for (at, _, datagram) in &world.rtcp {
        let (of, Some(info)) = sender(datagram) else { panic!("audio flows: a sender's report") };
        assert_eq!(of, ssrc);
        // NTP and RTP time run alike.
        if let Some((ntp, timestamp)) = before.replace((info.ntp, info.rtp_timestamp)) {
            let seconds = (info.ntp.wrapping_sub(ntp)) as f64 / 4_294_967_296.0;
            let ticks = f64::from(info.rtp_timestamp.wrapping_sub(timestamp));
            assert!((seconds * 8_000.0 - ticks).abs() <= 16.0, "{seconds} s, {ticks} ticks");
        }
        let audio = world.peer.got.iter().rev().find(|got| got.at <= *at).expect("audio before");
        assert!(info.rtp_timestamp.wrapping_sub(audio.timestamp) <= 160, "the moment's timestamp");
        let blocks = items(datagram);
        let Some(Item::Block(block)) = blocks.get(1) else { panic!("the peer is heard: a block on it") };
        assert_eq!((block.ssrc, block.cumulative_lost), (PEER_SSRC, 0));
        let sdes = datagram.len() - 36;
        names.insert(datagram[sdes + 10..sdes + 10 + CNAME_LEN].to_vec());
    }
    assert_eq!(names.len(), 1, "one name a session");
    world.caller_hangs_up();
    let (at, _, last) = world.rtcp.last().expect("reports");
    assert!(*at > start && items(last).contains(&Item::Bye { ssrc }), "{:?}", items(last));
    assert_eq!(world.rtcp.len(), sent + 1);
}

/// RTP-13, RTP-18: round trip, the peer's loss and jitter, and an estimate of quality both ways, in the record.
#[test]
fn what_the_peer_reports_is_in_the_record() {
    let mut world = World::setup().talk();
    world.run(secs(20));
    peer_reports(&mut world, ms(80), 0, 20);
    world.run(secs(10));
    world.caller_hangs_up();
    let quality = world.ended.as_ref().expect("ended").1.cdr.quality;
    let near = |value: Option<f32>, expected: f32, by: f32| value.is_some_and(|value| (value - expected).abs() <= by);
    assert!(near(quality.round_trip_ms, 80.0, 5.0), "{quality:?}");
    assert!(near(quality.remote_jitter_ms, 5.0, 0.01), "{quality:?}");
    let loss = quality.remote_loss_percent.expect("reported");
    assert!((0.5..3.0).contains(&loss), "{quality:?}");
    assert!(quality.remote_mos < quality.mos, "{quality:?}");
    assert!(near(quality.mos, 4.33, 0.08), "nothing was lost: {quality:?}");
    assert_eq!((quality.rtcp_received, quality.loss_percent), (1, Some(0.0)));
    assert!(quality.rtcp_sent >= 5);
}

/// RTP-18: loss lowers the estimate, and concealment shows.
#[test]
fn loss_is_rated() {
    let mut world = World::setup().talk();
    world.peer.voice = Voice::Tone;
    world.peer.lose_every = Some(20);
    world.run(secs(60));
    world.caller_hangs_up();
    let lost: Vec<Block> = world
        .rtcp
        .iter()
        .flat_map(|(_, _, datagram)| items(datagram))
        .filter_map(|item| match item {
            Item::Block(block) => Some(block),
            _ => None,
        })
        .collect();
    let last = lost.last().expect("blocks");
    assert!((120..=160).contains(&last.cumulative_lost), "{last:?}");
    assert!(
        lost.iter().skip(2).take(8).all(|block| (8..=18).contains(&block.fraction_lost)),
        "one in 20 is 13/256: {lost:?}"
    );
    let quality = world.ended.as_ref().expect("ended").1.cdr.quality;
    assert!(quality.loss_percent.is_some_and(|loss| (4.0..5.5).contains(&loss)), "{quality:?}");
    assert!(quality.concealed_percent.is_some_and(|part| (3.0..6.0).contains(&part)), "{quality:?}");
    assert!(quality.mos.is_some_and(|mos| (3.4..4.1).contains(&mos)), "{quality:?}");
    assert_eq!(quality.bursts, 0, "one in 20 stands alone");
    assert!(quality.gap_loss_percent > 4.0, "{quality:?}");
}

/// SDP-08: reports go on while held, so that NAT bindings and timers of the peer stay alive; with `c=0.0.0.0` there is nowhere to send.
#[test]
fn reports_keep_a_held_call_alive() {
    let zero =
        String::from_utf8_lossy(&offer("0 8 101", 2, "sendrecv")).replace("c=IN IP4 192.0.2.10", "c=IN IP4 0.0.0.0");
    for (held, flows) in
        [(offer("0 8 101", 2, "sendonly"), true), (offer("0 8 101", 2, "inactive"), true), (zero.into(), false)]
    {
        let mut world = World::setup().talk();
        world.input(Input::Sip(UaEvent::Reinvite { session: SESSION, offer: Some(held) }));
        world.peer.voice = Voice::Off;
        let (reports, packets) = (world.rtcp.len(), world.peer.packets);
        world.run(secs(60));
        assert_eq!(world.peer.packets, packets, "no audio");
        let sent = world.rtcp.len() - reports;
        assert_eq!((9..=20).contains(&sent), flows, "{sent} reports");
        assert!(flows || sent == 0);
        let silent = world.rtcp.iter().skip(reports + 2).all(|(_, _, datagram)| sender(datagram).1.is_none());
        assert!(silent, "who sends no audio writes receiver's reports");
        assert!(world.ended.is_none());
    }
}

/// The peer's reports that nothing arrives are told, with the addresses (S3).
#[test]
fn the_peer_hears_nothing() {
    let mut world = World::setup().talk();
    world.run(secs(6));
    for _ in 0..2 {
        peer_reports(&mut world, ms(20), 255, 900);
        world.run(secs(5));
    }
    let told = world.notes.iter().find_map(|(_, event)| match event {
        voxtrunk::call::CallEvent::OneWayAudio { cause: "unheard", why } => Some(why.clone()),
        _ => None,
    });
    let why = told.expect("a verdict");
    assert!(why.contains("198.51.100.1:20000 to 192.0.2.10:4000"), "{why}");
}
