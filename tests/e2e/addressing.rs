//! Which addresses count: where media may come from, what we call ourselves, who may speak for a dialog.

use crate::caller::{Caller, header};
use crate::world::{World, own_ip, plan, provider};
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
    // More where a machine that stood still cut the first five packets into two runs.
    assert!(
        records[0]["rtp"]["refused_source"].as_u64().unwrap() >= 4,
        "proof takes five packets: {}",
        records[0]["rtp"]
    );
    assert!(records[1]["rtp"]["refused_source"].as_u64().unwrap() > 10, "{}", records[1]["rtp"]);
}

/// TRN-10: behind a NAT or on a second interface: what we call ourselves in Via, Contact and SDP is `sip.advertise`, while
/// signalling and media go on between the sockets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_advertised_address_is_in_via_contact_and_sdp() {
    let advertised = own_ip();
    let world = World::new(vec![plan("1000", "")], |s| s.sip.advertise = Some(advertised)).await;
    let (listen, port) = (world.sip().ip(), world.sip().port());
    assert_ne!(listen, advertised);
    let mut caller = Caller::udp(world.sip()).await;
    caller.invite("1000").await;
    let (status, ok) = caller.answer().await;
    assert_eq!(status, 200, "{ok}");
    assert_eq!(header(&ok, "Contact"), Some(format!("<sip:voxtrunk@{advertised}:{port}>").as_str()));
    let sdp = ok.split("\r\n\r\n").nth(1).unwrap();
    let owner = sdp.lines().find(|line| line.starts_with("o=")).unwrap();
    assert!(owner.ends_with(&format!("IN IP4 {advertised}")), "{owner}");
    assert!(sdp.contains(&format!("\r\nc=IN IP4 {advertised}\r\n")), "{sdp}");
    // The RTP socket is where the SIP socket is.
    assert!(caller.listen(Duration::from_secs(10), |h| h.packets > 10).await.packets > 10);
    let (_, bye) = tokio::join!(world.server.drain(Duration::ZERO), caller.wait_for_bye(true));
    let via = header(&bye, "Via").unwrap();
    assert!(via.starts_with(&format!("SIP/2.0/UDP {advertised}:{port};")), "{via}");
    world.stop().await;
}

/// TRN-05: keepalives are neither answered nor counted, and the peer that sends them is served as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keepalive_datagrams_mean_nothing() {
    let world = World::simple().await;
    let mut pbx = Caller::udp(world.sip()).await;
    let before = world.server.counts().await;
    for keepalive in ["", "\r\n", "\r\n\r\n", "\0\0\0\0"] {
        pbx.send(keepalive).await;
    }
    pbx.send_options().await;
    let first = pbx.next(Duration::from_secs(10)).await.unwrap();
    assert!(first.starts_with("SIP/2.0 200 "), "{first}");
    assert_eq!(world.server.counts().await, before);
    world.stop().await;
}

/// A12: peers are two hosts, a network each. Requests in the dialog of the one from the other, with all its tags right, are
/// 481 and do not touch the call; the call's own host ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoofed_request_does_not_touch_the_call() {
    let attacker = own_ip();
    let world = World::new(vec![plan("1000", "")], |s| s.sip.peers.push(attacker.into())).await;
    let mut caller = Caller::udp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);
    let mut spoofed = Caller::udp_from(attacker, world.sip()).await;
    for (n, method) in ["BYE", "INVITE", "INFO", "UPDATE"].into_iter().enumerate() {
        let text = caller.request(method, 10 + n as u32, &format!("s{n}"), "");
        spoofed.send(&text).await;
        let answer = spoofed.next_with(&format!(" {method}\r\n")).await;
        assert!(answer.starts_with("SIP/2.0 481 "), "{answer}");
    }
    assert!(caller.listen(Duration::from_secs(10), |h| h.packets > 25).await.packets > 25, "the call goes on");
    assert_eq!(world.server.counts().await.calls, 1);
    assert_eq!(caller.bye().await, 200);
    let records = world.stop().await;
    assert_eq!(records[0]["cause"], "caller_bye");
}

/// A12: CANCEL with the branch of the INVITE from another peer is 481 and the phone rings on; from the caller it ends the call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoofed_cancel_does_not_touch_the_call() {
    let attacker = own_ip();
    // A service that takes the connection and says nothing: the call rings.
    let silent = tokio::net::TcpListener::bind((own_ip(), 0)).await.unwrap();
    let url = format!("ws://{}", silent.local_addr().unwrap());
    let world = World::new(vec![plan("1000", "provider = \"test\"")], |s| {
        s.sip.peers.push(attacker.into());
        s.providers = vec![provider(&url)];
    })
    .await;
    let mut caller = Caller::udp(world.sip()).await;
    let mut spoofed = Caller::udp_from(attacker, world.sip()).await;
    caller.invite("1000").await;
    caller.next_with("SIP/2.0 180 ").await;
    let text = caller.request("CANCEL", 1, "i", "");
    spoofed.send(&text).await;
    let answer = spoofed.next_with(" CANCEL\r\n").await;
    assert!(answer.starts_with("SIP/2.0 481 "), "{answer}");
    assert_eq!(world.server.counts().await.calls, 1);
    caller.cancel().await;
    assert_eq!(caller.answer().await.0, 487);
    let records = world.stop().await;
    assert_eq!(records[0]["sip_status"], 487, "{}", records[0]);
}
