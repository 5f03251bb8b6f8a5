//! The server is full, or does not start.

use crate::caller::{Caller, header};
use crate::world::{World, own_ip, plan, settings};
use voxtrunk::config::book::Book;
use voxtrunk::server::Server;

/// OVL-01: one call more than `max_calls` gets 503 with Retry-After; the running one is not touched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_says_when_to_come_again() {
    let world = World::new(vec![plan("1000", "")], |s| s.limits.max_calls = 1).await;
    let mut first = Caller::udp(world.sip()).await;
    assert_eq!(first.call("1000").await, 200);
    let mut second = Caller::udp(world.sip()).await;
    second.invite("1000").await;
    let (status, text) = second.answer().await;
    assert_eq!(status, 503);
    assert!(header(&text, "Retry-After").is_some(), "{text}");
    assert_eq!(first.bye().await, 200);
    let records = world.stop().await;
    assert_eq!(records.iter().filter(|r| r["cause"] == "max_calls").count(), 1);
    assert_eq!(records.len(), 2);
}

/// S10, RTP-12: no RTP port left is 503 before answer, and the port of an ended call rests before it is used again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_port_is_503() {
    let world = World::new(vec![plan("1000", "")], |s| {
        s.media.port_min = 40000;
        s.media.port_max = 40001;
    })
    .await;
    let mut first = Caller::udp(world.sip()).await;
    assert_eq!(first.call("1000").await, 200);
    assert_eq!(Caller::udp(world.sip()).await.call("1000").await, 503);
    assert_eq!(first.bye().await, 200);
    world.until("the port rests", |c| c.ports_in_use == 0 && c.ports_quarantined == 1).await;
    assert_eq!(Caller::udp(world.sip()).await.call("1000").await, 503);
    let records = world.stop().await;
    assert_eq!(records.iter().filter(|r| r["cause"] == "no_ports").count(), 2);
}

/// A port in use: the error names the address and what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_told() {
    let world = World::simple().await;
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(own_ip(), directory.path());
    settings.sip.listen = world.sip();
    let error = Server::start(settings, Book::default()).await.err().unwrap();
    assert!(error.contains(&world.sip().to_string()) && error.contains("sip.listen"), "{error}");
    world.stop().await;
}
