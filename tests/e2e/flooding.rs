//! More than we can take: floods from nobody, from a trunk that went mad, and calls beyond a limit.

use crate::caller::Caller;
use crate::world::{World, own_ip, plan};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use voxtrunk::config::settings::Network;
use voxtrunk::trunk::Trunk;

const LONG: Duration = Duration::from_secs(20);

fn trunk(name: &str, source: IpAddr) -> Trunk {
    let mut trunk = Trunk::new(name);
    trunk.identify.sources = vec![Network::from(source)];
    trunk
}

/// The `n`-th message of a flood: new calls, OPTIONS, REGISTER, junk, and what looks like requests of a call.
fn message(n: usize, from: SocketAddr, server: SocketAddr) -> Vec<u8> {
    let (method, tag) = match n % 6 {
        0..=2 => ("INVITE", ""),
        3 => ("OPTIONS", ""),
        4 => ("BYE", ";tag=guess"),
        _ => return vec![1; 300],
    };
    format!(
        "{method} sip:{n}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKf{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:x@{from}>;tag=s{n}\r\nTo: <sip:{n}@{server}>{tag}\r\nCall-ID: flood-{n}-{from}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:x@{from}>\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

async fn flood(source: IpAddr, server: SocketAddr, messages: usize) {
    let socket = UdpSocket::bind((source, 0)).await.unwrap();
    let from = socket.local_addr().unwrap();
    for n in 0..messages {
        socket.send_to(&message(n, from, server), server).await.unwrap();
        if n % 64 == 0 {
            while socket.try_recv_from(&mut [0; 2048]).is_ok() {}
            tokio::task::yield_now().await;
        }
    }
}

/// What the process holds, KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// A4, OVL-01, OVL-02: while nobody and a trunk that went mad send tens of thousands of messages, a running call goes on, another trunk's
/// calls are all answered, and the mad trunk's own call still ends by its BYE. Memory stays, and so do records: a refusal that has no
/// record of its own is counted in another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_harms_nobody_else() {
    const MESSAGES: usize = 20_000;
    let (nobody, mad, steady) = (own_ip(), own_ip(), own_ip());
    let world = World::new(vec![plan("1000", "")], |s| {
        let mut limited = trunk("mad", mad);
        limited.limits.calls_per_second = Some(1);
        s.trunks = vec![limited, trunk("steady", steady)];
    })
    .await;
    let sip = world.sip();
    let mut before = Caller::udp_from(mad, sip).await;
    assert_eq!(before.call("1000").await, 200);
    let mut running = Caller::udp(sip).await;
    assert_eq!(running.call("1000").await, 200);
    let held = memory();
    let mut floods = JoinSet::new();
    floods.spawn(flood(nobody, sip, MESSAGES));
    floods.spawn(flood(mad, sip, MESSAGES));
    let calls = async {
        let mut answered = 0;
        for _ in 0..20 {
            let mut caller = Caller::udp_from(steady, sip).await;
            answered += usize::from(caller.call("1000").await == 200);
            assert_eq!(caller.bye().await, 200);
        }
        answered
    };
    let (answered, heard, bye) = tokio::join!(calls, running.listen(LONG, |h| h.packets > 100), before.bye());
    floods.join_all().await;
    assert_eq!((answered, bye), (20, 200));
    assert!(heard.packets > 100, "{heard:?}");
    assert_eq!(running.bye().await, 200);
    let grown = memory().saturating_sub(held);
    assert!(grown < 64 * 1024, "{grown} KiB");
    let counts = world.until("all over", |c| c.calls == 0 && c.routes == 0).await;
    assert_eq!(counts.user_agent.sessions, 0, "{counts:?}");
    assert!(counts.foreign > 0, "{counts:?}");
    let records = world.stop().await;
    let mut causes: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for record in &records {
        let key = (record["trunk"].as_str().unwrap(), record["cause"].as_str().unwrap());
        *causes.entry(key).or_default() += 1 + record["folded"].as_u64().unwrap_or(0);
    }
    assert_eq!(causes[&("steady", "caller_bye")], 20, "{causes:?}");
    assert!(records.len() < 2000, "{} records", records.len());
}

/// OVL-01, OVL-08: ten times the trunk's rate: what is beyond gets 503 at once, nothing of it stays, and records stand for every INVITE
/// that was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_is_in_a_record() {
    const INVITES: usize = 400;
    let world = World::new(vec![plan("1000", "")], |s| {
        let mut limited = trunk("limited", own_ip());
        limited.identify.sources = vec![Network::from(s.sip.listen.ip())];
        limited.limits.calls_per_second = Some(1);
        s.trunks = vec![limited];
    })
    .await;
    let sip = world.sip();
    let socket = UdpSocket::bind((sip.ip(), 0)).await.unwrap();
    let from = socket.local_addr().unwrap();
    let mut refused = 0;
    let mut not_found = 0;
    for n in 0..INVITES {
        // Every sixth number of a flood, so that each is an INVITE of its own.
        let invite = message(n * 6, from, sip);
        let mut buffer = [0; 4096];
        loop {
            socket.send_to(&invite, sip).await.unwrap();
            let answer = tokio::time::timeout(Duration::from_millis(500), socket.recv(&mut buffer)).await;
            let Ok(Ok(length)) = answer else { continue };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if !text.contains(&format!("flood-{}-", n * 6)) {
                continue;
            }
            refused += usize::from(text.starts_with("SIP/2.0 503 "));
            not_found += usize::from(!text.starts_with("SIP/2.0 503 "));
            break;
        }
    }
    assert!(refused >= INVITES * 3 / 4, "{refused} of {INVITES} were refused");
    // Admitted ones have no such number; those without an ACK stay until their timers end.
    assert!(world.server.counts().await.user_agent.sessions <= not_found);
    let records = world.stop().await;
    let stand_for: u64 = records.iter().map(|r| 1 + r["folded"].as_u64().unwrap_or(0)).sum();
    assert_eq!(stand_for as usize, INVITES, "{} records", records.len());
}
