//! The ways in: UDP, TCP and TLS, over IPv4 and IPv6; what a stream may and may not do.

use crate::caller::Caller;
use crate::certificates::Authority;
use crate::world::{World, plan};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use voxtrunk::config::settings::Network;

const LONG: Duration = Duration::from_secs(20);

/// TRN-01: a call each over UDP, TCP and TLS, over IPv4 and IPv6, with the greeting heard and a BYE answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_by_each_transport_and_family() {
    for ip in [None, Some(IpAddr::V6(Ipv6Addr::LOCALHOST))] {
        let authority = Authority::new();
        let world = World::new(vec![plan("1000", "")], |s| {
            if let Some(ip) = ip {
                s.sip.listen = (ip, 0).into();
                s.sip.peers = vec![Network::from(ip)];
            }
            authority.listen(s);
        })
        .await;
        for mut caller in [
            Caller::udp(world.sip()).await,
            Caller::tcp(world.sip()).await,
            Caller::tls(world.sip_tls(), &authority).await,
        ] {
            assert_eq!(caller.call("1000").await, 200);
            assert!(caller.listen(LONG, |h| h.loudest > 500.0).await.loudest > 500.0, "the greeting");
            assert_eq!(caller.bye().await, 200);
        }
        let records = world.stop().await;
        assert_eq!(records.len(), 3);
    }
}
