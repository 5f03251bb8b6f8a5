//! Which addresses count: where media may come from, what we call ourselves, who may speak for a dialog.

use crate::caller::Caller;
use crate::world::{World, own_ip, plan};
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use voxtrunk::config::settings::Network;

/// RTP-08: media from a network of `media.networks` is heard and answered there; from outside of it neither, though it comes
/// with the right port and SSRC.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_may_come_from_a_media_network() {
    let world = World::new(vec![plan("1000", "")], |s| {
        let ip = s.sip.listen.ip();
        s.media.networks = vec![Network::parse(&format!("{ip}/24")).unwrap()];
    })
    .await;
    // All addresses of a test program differ in their last byte only.
    let inside = own_ip();
    let IpAddr::V4(v4) = inside else { unreachable!("own_ip is IPv4") };
    let [a, b, c, d] = v4.octets();
    let outside = IpAddr::from([a, b, c ^ 1, d]);
    for (source, heard) in [(inside, true), (outside, false)] {
        let mut caller = Caller::udp(world.sip()).await;
        assert_eq!(caller.call("1000").await, 200);
        // The SDP named the first socket; media comes and is awaited at another host.
        let named = std::mem::replace(&mut caller.rtp, UdpSocket::bind((source, 0)).await.unwrap());
        let there = caller.listen(Duration::from_secs(if heard { 10 } else { 1 }), |h| heard && h.packets > 10).await;
        assert_eq!(there.packets > 10, heard, "{source}: {there:?}");
        caller.rtp = named;
        assert_eq!(caller.bye().await, 200);
    }
    let records = world.stop().await;
    assert_eq!(records[0]["rtp"]["refused_source"].as_u64().unwrap(), 4, "proof takes five packets");
    assert!(records[1]["rtp"]["refused_source"].as_u64().unwrap() > 10, "{}", records[1]["rtp"]);
}
