//! The other sides fail: the Realtime service, the caller's network.

use crate::caller::{Caller, header};
use crate::world::{World, own_ip, plan, provider};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use voxtrunk::call::CallEvent;
use voxtrunk::realtime_sim::{Sim, SimConfig, SimMode};
use voxtrunk::server::ServerOptions;

async fn world_with(url: &str, text: &str) -> World {
    World::new(vec![plan("1000", text)], |s| {
        s.providers = vec![provider(url)];
        s.default_provider = "test".into();
    })
    .await
}

/// An HTTP server that answers every request with this status.
async fn refusing(status: &'static str) -> String {
    counting(status).await.1
}

/// The same with the number of its connections so far.
async fn counting(status: &'static str) -> (Arc<AtomicUsize>, String) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/v1/realtime", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let body = r#"{"error":{"message":"no"}}"#;
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (asked, url)
}

/// R2: a wrong key is refused before answer, with 480: it concerns this number's plan, and on 503 peers take the whole
/// trunk out of service (DLG-14). The record says whose fault it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_480() {
    let world = world_with(&refusing("401 Unauthorized").await, "").await;
    assert_eq!(Caller::udp(world.sip()).await.call("1000").await, 480);
    let records = world.stop().await;
    assert_eq!(records.len(), 1);
    assert_eq!(
        (records[0]["cause"].as_str(), records[0]["ended_by"].as_str()),
        (Some("realtime_unauthorised"), Some("fault"))
    );
}

/// OVL-01, R3: after a service refused a session for its rate, the next call is refused at once, without asking it; a number that has
/// something to say to its callers is answered all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limited_service_is_left_alone() {
    let (asked, url) = counting("429 Too Many Requests").await;
    let speaking = plan("2000", "[fallback]\naction = \"apology\"\n");
    let world = World::new(vec![plan("1000", ""), speaking], |s| {
        s.providers = vec![provider(&url)];
        s.default_provider = "test".into();
    })
    .await;
    assert_eq!(Caller::udp(world.sip()).await.call("1000").await, 503);
    // The record is written when the call is really over; then the gate is shut.
    world.until("over", |c| c.calls == 0).await;
    let before = asked.load(Ordering::SeqCst);
    let mut caller = Caller::udp(world.sip()).await;
    caller.invite("1000").await;
    let (status, text) = caller.answer().await;
    assert_eq!(status, 503);
    assert!(
        header(&text, "Retry-After").is_some_and(|s| s.parse::<u32>().is_ok_and(|s| (1..=6).contains(&s))),
        "{text}"
    );
    assert_eq!(asked.load(Ordering::SeqCst), before, "it was asked again");
    assert_eq!(Caller::udp(world.sip()).await.call("2000").await, 200);
    world.until("over", |c| c.calls == 0).await;
    let records = world.stop().await;
    assert!(records.iter().all(|r| r["cause"] == "realtime_rate_limited"), "{records:?}");
    assert_eq!(records.len(), 3);
}

/// R1: nobody listens at the service's address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_service_is_503() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/v1/realtime", free.local_addr().unwrap());
    drop(free);
    let world = world_with(&url, "").await;
    assert_eq!(Caller::udp(world.sip()).await.call("1000").await, 503);
    let records = world.stop().await;
    assert_eq!(records[0]["cause"], "realtime_connect");
}

/// R1: a service that accepts and then says nothing is given up at the deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_service_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/v1/realtime", silent.local_addr().unwrap());
    let world = World::new(vec![plan("1000", "")], |s| {
        s.providers = vec![provider(&url)];
        s.providers[0].connect_timeout = Duration::from_millis(500);
        s.default_provider = "test".into();
    })
    .await;
    assert_eq!(Caller::udp(world.sip()).await.call("1000").await, 503);
    world.until("no set-up runs", |c| c.jobs == 0).await;
    world.stop().await;
}

/// The Realtime server dies in the call: the caller hears an apology, then BYE with a Reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dying_service_ends_the_call_with_an_apology() {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let sim = Sim::start(SimConfig { listen, mode: SimMode::Scripted { scenario: None } }).await.unwrap();
    let world = world_with(&sim.url(), "").await;
    let mut caller = Caller::udp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);
    let heard = caller.listen(Duration::from_secs(10), |h| h.packets > 25).await;
    assert!(heard.packets > 25, "{heard:?}");
    sim.cut_all();
    sim.stop().await;
    let bye = caller.wait_for_bye(true).await;
    assert!(header(&bye, "Reason").is_some(), "{bye}");
    let records = world.stop().await;
    assert_eq!(records.len(), 1);
    let cause = records[0]["cause"].as_str().unwrap();
    assert!(cause.starts_with("realtime_"), "{cause}");
    assert_eq!(records[0]["ended_by"], "fault");
}

/// The caller's media never comes: the call ends by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_without_media_is_hung_up() {
    let mut plan = plan("1000", "");
    plan.limits.no_media_start = Duration::from_secs(1);
    plan.limits.no_media = Duration::from_secs(1);
    let world = World::new(vec![plan], |_| {}).await;
    let mut caller = Caller::udp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);
    caller.wait_for_bye(false).await;
    let records = world.stop().await;
    assert_eq!(records[0]["cause"], "no_media");
}

/// A4: a source outside `sip.peers` gets no answer at all, by UDP or TCP, and is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_source_is_dropped() {
    let world = World::simple().await;
    let mut foreign = Caller::udp_from(own_ip(), world.sip()).await;
    foreign.invite("1000").await;
    world.until("a foreign datagram", |c| c.foreign == 1).await;
    // A peer's call after it is served: the foreign one was dropped, not queued.
    assert_eq!(Caller::udp(world.sip()).await.call("404").await, 404);
    assert_eq!(foreign.next(Duration::from_millis(200)).await, None);
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((own_ip(), 0).into()).unwrap();
    let mut stream = socket.connect(world.sip()).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "closed without a word: {read:?}");
    world.until("a foreign connection", |c| c.foreign == 2 && c.connections == 0).await;
    assert_eq!(world.stop().await.len(), 1, "no record for what was never read");
}

/// OVL-05, P1: a panic in one call ends that call with BYE and a record; the other call on the same worker goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_ends_one_call_only() {
    // The tap runs inside the call's step on its worker.
    let tap = |call: &str, event: &CallEvent| {
        assert!(!(call.ends_with("-2") && matches!(event, CallEvent::AgentSpeaks { .. })), "the second call panics");
    };
    let options = ServerOptions { tap: Some(Arc::new(tap)) };
    let world = World::with(vec![plan("1000", "")], |s| s.media.workers = 1, options).await;
    let mut first = Caller::udp(world.sip()).await;
    assert_eq!(first.call("1000").await, 200);
    let mut second = Caller::udp(world.sip()).await;
    assert_eq!(second.call("1000").await, 200);
    let bye = second.wait_for_bye(true).await;
    assert!(header(&bye, "Reason").is_some_and(|r| r.contains("cause=500")), "{bye}");
    assert!(first.listen(Duration::from_secs(5), |h| h.packets > 50).await.packets > 50);
    assert_eq!(first.bye().await, 200);
    let counts = world.until("all over", |c| c.routes == 0 && c.sockets == 0).await;
    assert_eq!((counts.panics, counts.ports_in_use, counts.realtime_sessions), (1, 0, 0));
    let records = world.stop_after_panic().await;
    let causes: Vec<_> = records.iter().map(|r| r["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["panic", "caller_bye"]);
    assert_eq!((records[0]["sip_status"].as_u64(), records[0]["ended_by"].as_str()), (Some(200), Some("fault")));
}

/// A9: many connections that say nothing do not keep out a call over TCP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_do_not_keep_calls_out() {
    let world = World::simple().await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(Caller::tcp(world.sip()).await);
    }
    let mut caller = Caller::tcp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);
    assert_eq!(caller.bye().await, 200);
    drop((idle, caller));
    world.until("all closed", |c| c.connections == 0).await;
    world.stop().await;
}

/// A4: a flood of junk, half messages and INVITEs without ACK from one source, and a call still goes through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_does_not_keep_calls_out() {
    let world = World::simple().await;
    let flood = tokio::net::UdpSocket::bind((world.sip().ip(), 0)).await.unwrap();
    let junk: [&[u8]; 4] = [b"\r\n\r\n", &[0xFF; 1200], b"INVITE sip:1 SIP/2.0\r\nVia: ;;;", b"SIP/2.0 200 OK\r\n\r\n"];
    for n in 0..20_000 {
        flood.send_to(junk[n % junk.len()], world.sip()).await.unwrap();
    }
    let mut caller = Caller::udp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);
    assert_eq!(caller.bye().await, 200);
    let counts = world.until("all over", |c| c.routes == 0).await;
    assert_eq!(counts.user_agent.sessions, 0);
    assert_eq!(world.stop().await.len(), 1);
}
