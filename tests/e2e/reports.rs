//! RTCP over real sockets, and a peer whose SDP is wrong.

use crate::caller::Caller;
use crate::world::{World, own_ip, plan};
use std::time::Duration;
use tokio::net::UdpSocket;
use voxtrunk::config::settings::Network;
use voxtrunk::phone::{CallOptions, place_call};

/// RTP-13, RTP-18: phone and server report to each other, in plain RTP; both know round trip, loss and jitter of the other side, and an
/// estimate of the quality in both directions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_know_how_good_the_line_is() {
    let everybody = vec![Network::parse("127.0.0.0/8").unwrap()];
    let world = World::new(vec![plan("1000", "")], |s| s.sip.peers = everybody).await;
    let options = CallOptions {
        hangup_after: Some(Duration::from_secs(16)),
        ..CallOptions::new(format!("sip:1000@{}", world.sip()))
    };
    let report = place_call(options, std::future::pending(), |_| {}).await.unwrap().0;
    let here = report.quality;
    assert!(here.rtcp_received >= 2 && here.rtcp_sent >= 2, "{here:?}");
    assert!(here.round_trip_ms.is_some_and(|ms| ms < 200.0), "{here:?}");
    assert!(here.remote_loss_percent.is_some_and(|loss| loss < 5.0) && here.remote_jitter_ms.is_some(), "{here:?}");
    assert!(here.mos.is_some_and(|mos| mos > 3.5) && here.remote_mos.is_some_and(|mos| mos > 3.5), "{here:?}");
    let record = &world.stop().await[0];
    let there = &record["quality"];
    assert!(there["round_trip_ms"].as_f64().is_some_and(|ms| ms < 200.0), "{there}");
    assert!(there["rtcp_received"].as_u64().is_some_and(|n| n >= 2), "{there}");
    assert!(there["mos"].as_f64().is_some_and(|mos| mos > 3.5), "{there}");
    assert!(there["remote_mos"].as_f64().is_some_and(|mos| mos > 3.5), "{there}");
    assert!(record.get("media_verdict").is_none(), "{record}");
}

/// S3: the caller's SDP names one host, its packets come from another: record and metrics say so, and what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_address_in_sdp_is_named() {
    let elsewhere = own_ip();
    let world = World::simple().await;
    let mut caller = Caller::udp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);
    let named = std::mem::replace(&mut caller.rtp, UdpSocket::bind((elsewhere, 0)).await.unwrap());
    let source = caller.rtp.local_addr().unwrap();
    let heard = caller.listen(Duration::from_millis(4_500), |_| false).await;
    assert_eq!(heard.packets, 0, "nothing is sent to who has not proved himself");
    let sdp = named.local_addr().unwrap();
    caller.rtp = named;
    assert_eq!(caller.bye().await, 200);
    let records = world.stop().await;
    let verdict = &records[0]["media_verdict"];
    assert_eq!(verdict["cause"], "source_refused", "{}", records[0]);
    let why = verdict["why"].as_str().unwrap();
    assert!(why.contains(&sdp.to_string()) && why.contains(&source.to_string()), "{why}");
    assert!(why.contains("source_policy = \"nat\""), "{why}");
    assert!(verdict["at_ms"].as_u64().is_some_and(|ms| (2_900..4_000).contains(&ms)), "{verdict}");
}
