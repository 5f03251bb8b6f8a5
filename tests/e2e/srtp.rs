//! SRTP over real sockets: the phone calls by TLS; strangers throw packets at the call.

use crate::certificates::{Authority, SERVER_NAME};
use crate::world::{PATIENCE, World, own_ip, plan};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use voxtrunk::config::settings::{Network, Settings};
use voxtrunk::phone::{CallOptions, Report, Step, place_call};
use voxtrunk::rtp::receiver::SourcePolicy;
use voxtrunk::srtp_key::Suite;
use voxtrunk::trunk::{SrtpPolicy, TlsPolicy};

/// Where the one call of a test has its RTP.
const RTP_PORT: u16 = 20_000;

async fn world(authority: &Authority, change: impl FnOnce(&mut Settings)) -> World {
    World::new(vec![plan("1000", "")], |s| {
        s.sip.peers = vec![Network::parse("127.0.0.0/8").unwrap()];
        authority.listen(s);
        change(s);
    })
    .await
}

/// A call by TLS in which the caller hears the greeting out, waits as long as is asked for, and hangs up.
async fn call(authority: &Authority, world: &World, srtp: Option<SrtpPolicy>, wait: Duration) -> Report {
    let named = TlsPolicy {
        ca_file: Some(authority.ca.clone()),
        server_name: Some(SERVER_NAME.into()),
        ..TlsPolicy::default()
    };
    let options = CallOptions {
        tls: named,
        srtp,
        steps: vec![Step::AwaitAgentSilence { ms: 300, timeout: PATIENCE }, Step::Wait(wait), Step::Hangup],
        ..CallOptions::new(format!("sip:1000@{};transport=tls", world.sip_tls()))
    };
    place_call(options, std::future::pending(), |_| {}).await.unwrap().0
}

/// Milliseconds in which the agent was heard.
fn spoken(report: &Report) -> u32 {
    report.agent_speech.iter().map(|stretch| stretch.end_ms - stretch.start_ms).sum()
}

/// SRT-01, SRT-06: by TLS a call is protected unless one side will not; each suite; a must that cannot be met is no call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_by_tls_are_protected() {
    let authority = Authority::new();
    let mut expected = Vec::new();
    for suites in [&Suite::ALL[..1], &Suite::ALL[1..2], &Suite::ALL[2..3], &Suite::ALL[4..5]] {
        let world = world(&authority, |s| s.media.srtp_suites = suites.to_vec()).await;
        for policy in [None, Some(SrtpPolicy::Require), Some(SrtpPolicy::Off)] {
            let report = call(&authority, &world, policy, Duration::ZERO).await;
            assert!(report.answered_ms.is_some() && spoken(&report) > 500, "{report:?}");
            let suite = (policy != Some(SrtpPolicy::Off)).then(|| suites[0].name());
            assert_eq!((report.srtp, report.srtp_refused, report.packets_lost), (suite, 0, 0));
            expected.push(suite);
        }
        for (record, suite) in world.stop().await.iter().zip(expected.drain(..)) {
            assert_eq!(record["srtp"].as_str(), suite, "{record}");
            assert_eq!((record["rtp"]["srtp_failed"].as_u64(), record["rtp"]["lost"].as_u64()), (Some(0), Some(0)));
        }
    }
    let off = world(&authority, |s| s.media.srtp = SrtpPolicy::Off).await;
    let report = call(&authority, &off, Some(SrtpPolicy::Require), Duration::ZERO).await;
    assert_eq!((report.sip_status, report.answered_ms), (488, None));
    off.stop().await;
}

/// 5,000 packets a second, all bad, from several ports of the caller's host and of others; what came back to them.
async fn attack(server: SocketAddr, packets: u32) -> u32 {
    let mut sockets = Vec::new();
    for ip in ["127.0.0.1".parse().unwrap(), own_ip(), own_ip()] {
        sockets.push(UdpSocket::bind((ip, 0)).await.unwrap());
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    // A late tick is no reason for a burst that no socket can hold.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sent = 0;
    while sent < packets {
        ticks.tick().await;
        for _ in 0..25 {
            let n = sent as u8;
            let mut packet =
                vec![if n.is_multiple_of(7) { n } else { 0x80 }, if n.is_multiple_of(5) { 101 } else { 0 }];
            packet.extend((sent as u16).to_be_bytes());
            packet.extend((sent * 160).to_be_bytes());
            packet.extend(7u32.to_be_bytes());
            packet.resize(12 + if n.is_multiple_of(3) { 160 } else { usize::from(n) }, 0x20);
            sockets[sent as usize % sockets.len()].send_to(&packet, server).await.unwrap();
            sent += 1;
        }
    }
    let got_back = |socket: &UdpSocket| {
        std::iter::repeat_with(|| socket.try_recv(&mut [0; 2048])).take_while(Result::is_ok).count()
    };
    sockets.iter().map(got_back).sum::<usize>() as u32
}

/// A7, SRT-03: 10,000 bad packets, 5,000 a second, into a running call that takes media from anywhere: it goes on as if nothing were,
/// and nothing is sent to whoever sent them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_packets_do_nothing_to_a_call() {
    let authority = Authority::new();
    let world = world(&authority, |s| {
        s.media.source_policy = SourcePolicy::Nat;
        (s.media.port_min, s.media.port_max) = (RTP_PORT, RTP_PORT + 1);
    })
    .await;
    let rtp = SocketAddr::new(world.sip().ip(), RTP_PORT);
    let attacked = async {
        world.until("the call is up", |counts| counts.ports_in_use == 1).await;
        attack(rtp, 10_000).await
    };
    let (report, got_back) = tokio::join!(call(&authority, &world, None, Duration::from_secs(3)), attacked);
    assert_eq!(got_back, 0, "packets for a stranger");
    assert_eq!((report.outcome, report.packets_lost, report.srtp_refused), ("hung_up", 0, 0), "{report:?}");
    assert!(report.packets_received > 150 && spoken(&report) > 500, "{report:?}");
    world.until("the call is over", |counts| counts.calls == 0).await;
    let records = world.stop().await;
    let (record, heard) = (&records[0], &records[0]["rtp"]);
    assert_eq!((record["cause"].as_str(), record["dtmf_digits"].as_u64()), (Some("caller_bye"), Some(0)), "{record}");
    // Some are no RTP at all, and the kernel drops what a busy machine leaves lying; that each is counted is shown without a network.
    assert!(heard["srtp_failed"].as_u64().unwrap() > 5_000, "{heard}");
    for nothing in ["late", "duplicate", "refused_source", "srtp_replayed"] {
        assert_eq!(heard[nothing].as_u64(), Some(0), "{nothing}: {heard}");
    }
    let received = heard["received"].as_u64().unwrap();
    assert!(received <= report.packets_sent && received * 10 >= report.packets_sent * 8, "{report:?} {heard}");
}
