//! Calls that go well.

use crate::caller::{Caller, header};
use crate::world::World;
use std::time::Duration;

/// Quieter than any speech, louder than any comfort noise.
const AUDIBLE: f64 = 500.0;

async fn greeted(mut caller: Caller, world: World) {
    assert_eq!(caller.call("1000").await, 200);
    let heard = caller.listen(Duration::from_secs(10), |h| h.loudest > AUDIBLE).await;
    assert!(heard.loudest > AUDIBLE, "no greeting: {heard:?}");
    assert_eq!(caller.bye().await, 200);
    let counts = world.until("all over", |c| c.routes == 0 && c.sockets == 0).await;
    assert_eq!((counts.calls, counts.ports_in_use, counts.ports_quarantined), (0, 0, 1));
    let records = world.stop().await;
    assert_eq!(records.len(), 1, "OVL-08");
    let record = &records[0];
    assert_eq!(record["cause"], "caller_bye", "{record}");
    assert_eq!(record["ended_by"], "caller");
    assert_eq!(record["sip_status"], 200);
    assert_eq!(record["dialled"], "1000");
    assert_eq!(record["caller"], "200");
    assert!(record["rtp"]["received"].as_u64().unwrap() > 0, "{record}");
}

/// A caller hears the greeting; the record says how it went.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_greeting_is_heard_over_udp() {
    let world = World::simple().await;
    greeted(Caller::udp(world.sip()).await, world).await;
}

/// TRN-01, TRN-02: the same over one TCP connection to the same port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_greeting_is_heard_over_tcp() {
    let world = World::simple().await;
    greeted(Caller::tcp(world.sip()).await, world).await;
}

/// A number nobody serves: 404, and a record all the same (OVL-08).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_number_is_404() {
    let world = World::simple().await;
    assert_eq!(Caller::udp(world.sip()).await.call("+49301234").await, 404);
    let records = world.stop().await;
    assert_eq!(records.len(), 1);
    assert_eq!((records[0]["cause"].as_str(), records[0]["sip_status"].as_u64()), (Some("no_number"), Some(404)));
}

/// An offer without a codec of ours: 488, and no port or socket stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_without_g711_is_488() {
    let world = World::simple().await;
    let mut caller = Caller::udp(world.sip()).await;
    let offer = caller.offer("18").replace("a=rtpmap:101 telephone-event/8000", "a=rtpmap:18 G729/8000");
    caller.invite_with("1000", &offer).await;
    assert_eq!(caller.answer().await.0, 488);
    let records = world.stop().await;
    assert_eq!(records.len(), 1);
    assert_eq!((records[0]["cause"].as_str(), records[0]["sip_status"].as_u64()), (Some("no_codec"), Some(488)));
}

/// CANCEL while the session is set up: 487, and one record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_call_leaves_nothing() {
    // A service that never answers keeps the call ringing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/v1/realtime", silent.local_addr().unwrap());
    let world = World::new(vec![crate::world::plan("1000", "")], |s| {
        s.providers = vec![crate::world::provider(&url)];
        s.default_provider = "test".into();
    })
    .await;
    let mut caller = Caller::udp(world.sip()).await;
    caller.invite("1000").await;
    world.until("a call", |c| c.calls == 1).await;
    caller.cancel().await;
    let (status, text) = caller.answer().await;
    assert_eq!(status, 487, "{text}");
    assert!(header(&text, "Call-ID").is_some());
    world.until("all over", |c| c.calls == 0 && c.routes == 0).await;
    let records = world.stop().await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["cause"], "caller_cancel");
}
