//! Attacks on running calls by RTP, against real ports (A5, A6; A8 is in `pacing`, A5 at full length in `tests/sim/call/spray`), and peers who
//! do not know that their call is over. The Realtime server is an echo: what the model heard comes back to the
//! caller, who says nothing, so that every sound in the caller's ear is the attacker's.

use crate::caller::{Caller, Heard};
use crate::certificates::Authority;
use crate::world::{PATIENCE, World, own_ip, provider};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use voxtrunk::config::dialplan::Dialplan;
use voxtrunk::config::settings::{Network, Settings};
use voxtrunk::realtime_sim::{Sim, SimConfig, SimMode};
use voxtrunk::rtp::receiver::SourcePolicy;
use voxtrunk::srtp_key::Suite;

const ATTACK: Duration = Duration::from_secs(3);
const PER_SECOND: u64 = 5_000;
/// Packets that a caller is to hear meanwhile.
const LEAST: usize = 51;
/// The loudest that an echo of silence may be.
const SILENCE: f64 = 40.0;
const SUITE: Suite = Suite::AesCm128HmacSha1_80;
const KEY: [u8; 30] = [0x3C; 30];

/// A server whose model echoes, and goes on when the caller speaks.
pub async fn echo(change: impl FnOnce(&mut Settings)) -> (World, Sim) {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let sim = Sim::start(SimConfig { listen, mode: SimMode::Echo }).await.unwrap();
    let text = "numbers = [\"1000\"]\ninstructions = \"Echo.\"\ngreeting = \"none\"\n[audio]\necho_guard = \"off\"\n\
                [turn_detection]\ninterrupt_response = false\n";
    let plan = Dialplan::parse(Path::new("echo.toml"), text).unwrap();
    let url = sim.url();
    let world = World::new(vec![plan], |s| {
        s.providers = vec![provider(&url)];
        s.default_provider = "test".into();
        change(s);
    })
    .await;
    (world, sim)
}

/// 20 ms of µ-law: as loud as it goes, 1 kHz.
pub fn tone() -> Vec<u8> {
    [[0x80u8; 4], [0x00; 4]].concat().repeat(20)
}

/// A packet of that tone, or the end of event 5.
pub fn packet(sequence: u16, ssrc: u32, event: bool) -> Vec<u8> {
    let mut packet = vec![0x80, if event { 101 } else { 0 }];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    if event {
        packet.extend([5, 0x8A, 3, 0x20]);
    } else {
        packet.extend(tone());
    }
    packet
}

/// Somebody who sends to our ports and counts what comes back.
struct Attacker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, u64)>,
}

impl Attacker {
    /// From `sockets` ports of this address to each target in turn, `per_second` in all. Each socket numbers what it sends to a target in
    /// order, as a real stream would.
    fn start(from: IpAddr, sockets: usize, targets: Vec<SocketAddr>, per_second: u64) -> Attacker {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let sockets: Vec<UdpSocket> = (0..sockets)
            .map(|_| {
                let socket = UdpSocket::bind((from, 0)).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket
            })
            .collect();
        let thread = std::thread::spawn(move || {
            let (mut sent, mut received) = (0u64, 0);
            let begin = Instant::now();
            while !told.load(Ordering::Relaxed) {
                let due = begin.elapsed().as_millis() as u64 * per_second / 1000;
                while sent < due {
                    let round = sent / targets.len() as u64;
                    let target = targets[(sent % targets.len() as u64) as usize];
                    let socket = &sockets[(round % sockets.len() as u64) as usize];
                    let sequence = (round / sockets.len() as u64) as u16;
                    let packet = packet(sequence, 0x0BAD_0000 + round as u32 % 8, round % 5 == 4);
                    let _ = socket.send_to(&packet, target);
                    sent += 1;
                }
                received += sockets.iter().map(drain).sum::<u64>();
                std::thread::park_timeout(Duration::from_millis(1));
            }
            // What is on its way still counts.
            std::thread::park_timeout(Duration::from_millis(100));
            (sent, received + sockets.iter().map(drain).sum::<u64>())
        });
        Attacker { stop, thread }
    }

    /// Packets that it sent, and that came back to it.
    fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

pub fn drain(socket: &UdpSocket) -> u64 {
    std::iter::from_fn(|| socket.recv(&mut [0; 2048]).ok()).count() as u64
}

/// Every port that RTP or RTCP could be on.
fn ports(world: &World, min: u16, max: u16) -> Vec<SocketAddr> {
    (min..=max).map(|port| SocketAddr::new(world.sip().ip(), port)).collect()
}

/// Three callers who say nothing for as long as the attack goes on, and what each heard: 50 packets at least.
async fn silence(callers: Vec<Caller>) -> (Vec<Caller>, Vec<Heard>) {
    let listening = callers.into_iter().map(|mut caller| {
        tokio::spawn(async move {
            let (heard, _) = caller.listen_for(ATTACK, LEAST).await;
            (caller, heard)
        })
    });
    let mut done = Vec::new();
    for caller in listening.collect::<Vec<_>>() {
        done.push(caller.await.unwrap());
    }
    done.into_iter().unzip()
}

/// A spray over all ports of the server that begins before the calls do: 5,000 packets a second from four ports of a foreign address.
async fn bleed(policy: SourcePolicy, secure: bool, range: (u16, u16), behind_nat: bool) {
    let authority = Authority::new();
    let (world, _sim) = echo(|s| {
        s.media.source_policy = policy;
        (s.media.port_min, s.media.port_max) = range;
        s.media.port_quarantine = Duration::ZERO;
        authority.listen(s);
    })
    .await;
    let attacker = Attacker::start(own_ip(), 4, ports(&world, range.0, range.1), PER_SECOND);
    let mut callers = Vec::new();
    for _ in 0..3 {
        let mut caller =
            if secure { Caller::tls(world.sip_tls(), &authority).await } else { Caller::udp(world.sip()).await };
        let offer = match secure {
            true => caller.secure_offer("RTP/SAVP", 1, SUITE, &KEY),
            false => caller.offer("0 101"),
        };
        let local = format!("c=IN IP4 {}", caller.rtp.local_addr().unwrap().ip());
        let private = if behind_nat { "c=IN IP4 127.99.99.99" } else { local.as_str() };
        caller.invite_with("1000", &offer.replace(&local, private)).await;
        let (status, ok) = caller.answer().await;
        assert_eq!(status, 200, "{ok}");
        if secure {
            caller.secure(&ok, SUITE, &KEY);
        }
        callers.push(caller);
    }
    let (mut callers, heard) = silence(callers).await;
    let (sent, received) = attacker.stop();
    println!("{policy:?} secure {secure} nat {behind_nat}: {sent} sent, {received} came back, {heard:?}");
    assert!(sent > PER_SECOND, "{sent}");
    assert_eq!(received, 0, "{policy:?}");
    for heard in heard {
        assert!(heard.loudest < SILENCE, "{policy:?}: {heard:?}");
    }
    for caller in &mut callers {
        assert_eq!(caller.bye().await, 200);
    }
    for record in world.stop().await {
        let rtp = &record["rtp"];
        assert_eq!((&record["cause"], &record["dtmf_digits"]), (&"caller_bye".into(), &0.into()), "{record}");
        let dropped = rtp["refused_source"].as_u64().unwrap() + rtp["srtp_failed"].as_u64().unwrap();
        assert!(dropped > 0, "the spray reached the call: {record}");
    }
}

const NARROW: (u16, u16) = (21_000, 21_039);

/// A5: strict: nothing goes to who sprays, and nothing of it is heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bleeding_under_strict() {
    bleed(SourcePolicy::Strict, false, NARROW, false).await;
}

/// A5: latch, with the allowed set of signalling and SDP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bleeding_under_latch() {
    bleed(SourcePolicy::Latch, false, NARROW, false).await;
}

/// A5: nat, callers who name an address of their own network, the whole range of ports: nobody is learned but the callers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bleeding_under_nat() {
    bleed(SourcePolicy::Nat, false, (20_000, 29_999), true).await;
}

/// A5, SRT-03: SRTP under nat, the weakest policy: without the key nobody is learned, however many packets come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bleeding_under_srtp() {
    bleed(SourcePolicy::Nat, true, NARROW, false).await;
}

/// A6: audio and digits into a running call, at its very port: from a foreign address, and on packets that bear the caller's own address
/// with another SSRC, in order, or with its SSRC and numbers out of range. None is heard; the caller's own digit is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn injected_audio_and_digits() {
    let (world, _sim) = echo(|_| {}).await;
    let mut caller = Caller::udp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);
    caller.listen(Duration::from_millis(500), |_| false).await;
    let remote = caller.remote();
    let attacker = Attacker::start(own_ip(), 1, vec![remote], PER_SECOND);
    let mut loudest = 0f64;
    let (mut forged, mut heard) = (0u16, 0usize);
    let begin = tokio::time::Instant::now();
    for frame in 1.. {
        if frame > ATTACK.as_millis() as u32 / 20 && (heard >= LEAST || begin.elapsed() > ATTACK + PATIENCE) {
            break;
        }
        caller.speak(&[0xFF; 160]).await;
        for n in 0..50u16 {
            forged = forged.wrapping_add(1);
            let (ssrc, sequence) = match n % 5 {
                0..3 => (0x0BAD_CAFE, forged),
                _ => (caller.ssrc(), caller.next_sequence().wrapping_add(20_000).wrapping_add(forged)),
            };
            let _ = caller.rtp.send_to(&packet(sequence, ssrc, n % 5 == 2), remote).await;
        }
        while let Some(level) = caller.packet(begin + Duration::from_millis(20) * frame).await {
            heard += 1;
            loudest = loudest.max(level);
        }
    }
    let (sent, received) = attacker.stop();
    println!("{sent} and {forged} injected, {received} came back, {heard} heard, loudest {loudest:.0}");
    assert_eq!(received, 0);
    assert!(heard >= LEAST && loudest < SILENCE, "{heard} packets, loudest {loudest}");
    // The caller is still heard: its own voice comes back. Then its digit, which ends the echo.
    let back = own_echo(&mut caller).await;
    assert!(back > 5_000.0, "{back}");
    caller.send_event(7).await;
    own_echo(&mut caller).await;
    assert_eq!(caller.bye().await, 200);
    let record = &world.stop().await[0];
    assert_eq!((&record["cause"], &record["dtmf_digits"]), (&"caller_bye".into(), &1.into()), "{record}");
    assert!(record["rtp"]["refused_source"].as_u64() > Some(1000), "{record}");
}

/// Says something loud for two seconds; how loud it comes back.
async fn own_echo(caller: &mut Caller) -> f64 {
    let mut loudest = 0f64;
    for _ in 0..100 {
        caller.speak(&tone()).await;
        let deadline = tokio::time::Instant::now() + Duration::from_millis(20);
        while let Some(level) = caller.packet(deadline).await {
            loudest = loudest.max(level);
        }
    }
    loudest
}

/// Says something loud, a packet each 20 ms, until told to stop.
async fn talk_on(mut caller: Caller, mut stop: oneshot::Receiver<()>) -> Caller {
    let mut clock = tokio::time::interval(Duration::from_millis(20));
    loop {
        tokio::select! {
            _ = &mut stop => return caller,
            _ = clock.tick() => caller.speak(&tone()).await,
        }
    }
}

/// The next call on the one port: it comes once the port has rested, and hears nothing but its own silence.
async fn next_call(world: &World, mut caller: Caller) -> Caller {
    world.until("the port has rested", |c| c.ports_in_use == 0 && c.ports_quarantined == 0).await;
    assert_eq!(caller.call("1000").await, 200);
    let (heard, _) = caller.listen_for(Duration::from_secs(2), LEAST).await;
    assert!(heard.loudest < SILENCE, "{heard:?}");
    caller
}

/// RTP-12: a peer that does not know that its call is over, and talks on at the very port of the next one, is not heard there: from the same
/// host, while the port rests (afterwards it is silent); from another host, for as long as it likes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_peer_is_not_heard_in_a_new_call() {
    let elsewhere = own_ip();
    let (world, _sim) = echo(|s| {
        (s.media.port_min, s.media.port_max) = (40_000, 40_001);
        s.media.port_quarantine = Duration::from_secs(1);
        s.sip.peers.push(Network { addr: elsewhere, prefix: 32 });
    })
    .await;
    let mut old = Caller::udp(world.sip()).await;
    assert_eq!(old.call("1000").await, 200);
    let port = old.remote();
    let own = own_echo(&mut old).await;
    assert!(own > 5_000.0, "the call works: {own}");
    assert_eq!(old.bye().await, 200);
    let (stop, stopped) = oneshot::channel();
    let old = tokio::spawn(talk_on(old, stopped));
    assert_eq!(Caller::udp(world.sip()).await.call("1000").await, 503, "the port rests");
    stop.send(()).unwrap();
    drop(old.await.unwrap());

    let mut second = next_call(&world, Caller::udp(world.sip()).await).await;
    assert_eq!(second.remote(), port);
    assert_eq!(second.bye().await, 200);
    let (stop, stopped) = oneshot::channel();
    let second = tokio::spawn(talk_on(second, stopped));
    let mut third = next_call(&world, Caller::udp_from(elsewhere, world.sip()).await).await;
    assert_eq!(third.remote(), port);
    assert_eq!(third.bye().await, 200);
    stop.send(()).unwrap();
    drop(second.await.unwrap());
    let records = world.stop().await;
    let answered: Vec<_> = records.iter().filter(|r| r["sip_status"] == 200).collect();
    let refused = |n: usize| answered[n]["rtp"]["refused_source"].as_u64().unwrap();
    assert_eq!((answered.len(), refused(0), refused(1)), (3, 0, 0), "{records:#?}");
    assert!(refused(2) > 50, "it did reach the third call: {records:#?}");
}
