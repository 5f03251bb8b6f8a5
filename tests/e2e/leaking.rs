//! A thousand calls of every kind, and nothing stays (OVL-08, invariant 8).

use crate::caller::Caller;
use crate::world::{World, plan};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

const CALLS: usize = 1000;
const AT_ONCE: usize = 24;

/// What the `n`-th caller does; returns the cause its record must have.
async fn one(n: usize, sip: std::net::SocketAddr) -> &'static str {
    let mut caller = if n.is_multiple_of(10) { Caller::tcp(sip).await } else { Caller::udp(sip).await };
    match n % 5 {
        // Talks a little, then hangs up.
        0 => {
            assert_eq!(caller.call("1000").await, 200);
            caller.listen(Duration::from_secs(5), |h| h.packets > 3).await;
            assert_eq!(caller.bye().await, 200);
            "caller_bye"
        }
        // Hangs up at once after the answer.
        1 => {
            assert_eq!(caller.call("1000").await, 200);
            assert_eq!(caller.bye().await, 200);
            "caller_bye"
        }
        // Gives up; the answer may have been faster.
        2 => {
            caller.invite("1000").await;
            caller.cancel().await;
            match caller.answer().await.0 {
                200 => {
                    assert_eq!(caller.bye().await, 200);
                    "caller_bye"
                }
                status => {
                    assert_eq!(status, 487);
                    "caller_cancel"
                }
            }
        }
        3 => {
            assert_eq!(caller.call("404").await, 404);
            "no_number"
        }
        _ => {
            let offer = caller.offer("18").replace("a=rtpmap:101 telephone-event/8000", "a=rtpmap:18 G729/8000");
            caller.invite_with("1000", &offer).await;
            assert_eq!(caller.answer().await.0, 488);
            "no_codec"
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_mixed_calls_leave_nothing() {
    let world = World::new(vec![plan("1000", "")], |s| s.media.port_quarantine = Duration::from_millis(100)).await;
    let sip = world.sip();
    let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
    let mut running = JoinSet::new();
    for n in 0..CALLS {
        if running.len() >= AT_ONCE {
            *expected.entry(running.join_next().await.unwrap().unwrap()).or_default() += 1;
        }
        running.spawn(one(n, sip));
    }
    while let Some(done) = running.join_next().await {
        *expected.entry(done.unwrap()).or_default() += 1;
    }
    let counts = world
        .until("back to zero", |c| {
            (
                c.calls,
                c.routes,
                c.ports_in_use,
                c.ports_quarantined,
                c.jobs,
                c.sockets,
                c.realtime_sessions,
                c.connections,
            ) == (0, 0, 0, 0, 0, 0, 0, 0)
        })
        .await;
    assert_eq!(counts.user_agent.sessions, 0, "{counts:?}");
    assert_eq!((counts.panics, counts.foreign), (0, 0));
    let records = world.stop().await;
    // Of more than a hundred refusals a second some share a record, which says how many it stands for.
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    for record in &records {
        let folded = record["folded"].as_u64().unwrap_or(0) as usize;
        *causes.entry(record["cause"].as_str().unwrap()).or_default() += 1 + folded;
    }
    assert_eq!(causes.values().sum::<usize>(), CALLS, "every INVITE is in a record");
    assert_eq!(causes, expected);
}
