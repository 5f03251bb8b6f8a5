//! When packets leave: the 20 ms clock through stalls, under load and under a flood (RTP-03, A8).
//!
//! Arrival times are those of this process, which shares the machine with the server and whatever else runs: what is asked of them holds
//! however late either is scheduled. Timestamps and sequence numbers are exact.

use crate::caller::Caller;
use crate::media_attacks::{drain, echo, packet};
use crate::operating::Process;
use crate::world::own_ip;
use rustix::process::Signal;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::time::timeout_at;
use voxtrunk::realtime_sim::{Sim, SimConfig, SimMode};

const FRAME: Duration = Duration::from_millis(20);

/// One packet of the server.
#[derive(Clone, Copy, Debug)]
struct Got {
    at: Instant,
    sequence: u16,
    timestamp: u32,
    marker: bool,
}

/// What comes to this caller in this time; it sends silence meanwhile.
async fn collect(caller: &mut Caller, time: Duration) -> Vec<Got> {
    let mut got = Vec::new();
    let mut buffer = [0; 2048];
    let mut next = tokio::time::Instant::now();
    let end = next + time;
    while tokio::time::Instant::now() < end {
        if tokio::time::Instant::now() >= next {
            next += FRAME;
            caller.speak(&[0xFF; 160]).await;
        }
        if let Ok(Ok((n, _))) = timeout_at(next.min(end), caller.rtp.recv_from(&mut buffer)).await {
            let at = Instant::now();
            let [_, second, a, b, c, d, e, f, ..] = buffer;
            assert!(n > 12, "{n}");
            let (sequence, timestamp) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
            got.push(Got { at, sequence, timestamp, marker: second & 0x80 != 0 });
        }
    }
    got
}

/// How far behind its own timestamp each packet came, ms, against `first`; the least of them is free of what the receiver adds.
fn least_late(first: &Got, got: &[Got]) -> f64 {
    let late = |g: &Got| {
        (g.at - first.at).as_secs_f64() * 1_000.0 - f64::from(g.timestamp.wrapping_sub(first.timestamp)) / 8.0
    };
    got.iter().map(late).fold(f64::INFINITY, f64::min)
}

/// RTP-03: a server of its own with twelve calls, on which silence flows. Packets come 20 ms apart, each by its own place in time: none is
/// left out of the sequence, and no timestamp runs ahead or falls behind. Then the whole process stands still for 1.5 s (SIGSTOP) and goes
/// on: what was due meanwhile is skipped, not sent in a burst, and the timestamps stay true.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_makes_no_burst() {
    const STALL: Duration = Duration::from_millis(1_500);
    let sim =
        Sim::start(SimConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), mode: SimMode::Echo }).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let ip = own_ip();
    std::fs::create_dir(directory.path().join("dialplans")).unwrap();
    let plan = "numbers = [\"1000\"]\ninstructions = \"Echo.\"\ngreeting = \"none\"\n[audio]\necho_guard = \"off\"\n";
    std::fs::write(directory.path().join("dialplans/a.toml"), plan).unwrap();
    let config = format!(
        "dialplans = \"dialplans\"\n[sip]\nlisten = \"{ip}:0\"\npeers = [\"{ip}\"]\n[limits]\nmax_cpu_percent = 100\n\
         calls_per_second = 1000\n[observe]\nlisten = \"off\"\n[[provider]]\nkind = \"compatible\"\nname = \"echo\"\n\
         url = \"{}\"\nmodel = \"m\"\n",
        sim.url()
    );
    let server = Process::start(directory.path(), &config);
    let line = server.line_with("SIP on ");
    let sip: SocketAddr = line.split("SIP on ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let mut callers = Vec::new();
    for _ in 0..12 {
        let mut caller = Caller::udp(sip).await;
        assert_eq!(caller.call("1000").await, 200);
        collect(&mut caller, Duration::from_millis(100)).await;
        callers.push(caller);
    }
    let measuring: Vec<_> = callers
        .into_iter()
        .map(|mut caller| {
            tokio::spawn(async move {
                let before = collect(&mut caller, Duration::from_secs(2)).await;
                let meanwhile = collect(&mut caller, STALL).await;
                let after = collect(&mut caller, Duration::from_secs(2)).await;
                (caller, before, meanwhile, after)
            })
        })
        .collect();
    // The stall is a little shorter than what the callers take for it.
    tokio::time::sleep(Duration::from_millis(2_050)).await;
    server.signal(Signal::STOP);
    let stopped = Instant::now();
    tokio::time::sleep(STALL - Duration::from_millis(100)).await;
    let resumed = Instant::now();
    server.signal(Signal::CONT);
    let stalled = (resumed - stopped).as_millis() as u32;
    let mut gaps = Vec::new();
    for measured in measuring {
        let (mut caller, before, meanwhile, after) = measured.await.unwrap();
        let all: Vec<Got> = [before.as_slice(), &meanwhile, &after].concat();
        let first = all[0];
        let steps: Vec<u32> = all.windows(2).map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp)).collect();
        for (pair, step) in all.windows(2).zip(&steps) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1), "no packet is left out: {pair:?}");
            assert!(step % 160 == 0 && *step > 0, "{pair:?}");
            assert_eq!(pair[1].marker, *step > 160, "skipped time is marked, and nothing else: {pair:?}");
        }
        assert!(before.len() > 40, "silence flows: {}", before.len());
        // The stall is one step of the timestamps.
        let longest = *steps.iter().max().unwrap() / 8;
        assert!(longest + 40 >= stalled, "{longest} ms, stalled for {stalled} ms");
        let burst = all.iter().filter(|g| g.at >= resumed && g.at < resumed + Duration::from_secs(1)).count();
        assert!(burst <= 53, "{burst} packets in the second after the stall");
        let (early, late) = (least_late(&first, &before), least_late(&first, &after[after.len() / 2..]));
        assert!((late - early).abs() < 100.0, "timestamps stay true: {early:.1} ms before, {late:.1} ms after");
        gaps.extend(before.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64() * 1_000.0));
        assert_eq!(caller.bye().await, 200);
    }
    gaps.sort_by(f64::total_cmp);
    let at = |percent: usize| gaps[gaps.len() * percent / 100];
    println!("{} gaps: p5 {:.1}, p50 {:.1}, p95 {:.1}, p99 {:.1} ms", gaps.len(), at(5), at(50), at(95), at(99));
    assert!((10.0..30.0).contains(&at(50)), "{}", at(50));
    drop(server);
}

/// How long a phase of the flood is, and where it goes in it.
const PHASE: Duration = Duration::from_millis(500);
const NOBODY: usize = 0;
const VICTIM: usize = 1;

/// Something that runs in a thread until it is dropped.
struct Running<T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Running<T> {
    /// `step` is called again and again, then `end`.
    fn start<S: Send + 'static>(
        mut state: S,
        mut step: impl FnMut(&mut S) + Send + 'static,
        end: fn(S) -> T,
    ) -> Running<T> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                step(&mut state);
            }
            end(state)
        });
        Running { stop, thread: Some(thread) }
    }

    fn stop(mut self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

struct Flood {
    socket: UdpSocket,
    targets: [SocketAddr; 2],
    phase: Arc<AtomicUsize>,
    sent: [u64; 2],
    came_back: u64,
}

impl Flood {
    /// As much as one thread can send, each eighth packet a giant.
    fn step(&mut self) {
        let phase = self.phase.load(Ordering::Relaxed);
        for n in 0..64u64 {
            let mut packet = packet(self.sent[phase] as u16, 0x0BAD_0000, n % 5 == 4);
            if n % 8 == 0 {
                packet.resize(9_000, 0x80);
            }
            let _ = self.socket.send_to(&packet, self.targets[phase]);
            self.sent[phase] += 1;
        }
        self.came_back += drain(&self.socket);
    }
}

/// A thread that wants to run each millisecond: when it was kept from it for more than 4 ms, so was anybody.
#[derive(Default)]
struct Metronome {
    last: Option<Instant>,
    stalls: Arc<Mutex<Vec<(Instant, Instant)>>>,
}

impl Metronome {
    fn step(&mut self) {
        std::thread::park_timeout(Duration::from_millis(1));
        let now = Instant::now();
        if let Some(last) = self.last.replace(now).filter(|last| now - *last > Duration::from_millis(5)) {
            self.stalls.lock().unwrap().push((last, now));
        }
    }
}

/// A time between two packets, and where the flood went all the while.
type Gap = (Instant, Instant, usize);

/// The gaps of one caller.
async fn gaps(caller: &mut Caller, time: Duration, phase: &AtomicUsize) -> Vec<Gap> {
    let end = tokio::time::Instant::now() + time;
    let (mut next, mut last) = (tokio::time::Instant::now(), None::<(Instant, usize)>);
    let mut gaps = Vec::new();
    while tokio::time::Instant::now() < end {
        if tokio::time::Instant::now() >= next {
            next += FRAME;
            caller.speak(&[0xFF; 160]).await;
        }
        if caller.packet(next.min(end)).await.is_some() {
            let (now, during) = (Instant::now(), phase.load(Ordering::Relaxed));
            if let Some((before, _)) = last.replace((now, during)).filter(|(_, then)| *then == during) {
                gaps.push((before, now, during));
            }
        }
    }
    gaps
}

fn percentile(sorted: &[f64], permille: usize) -> f64 {
    sorted.get(sorted.len() * permille / 1_000).copied().unwrap_or(f64::INFINITY)
}

/// A8: as many packets as one thread can send, giant ones among them, to the port of one call: the p99.9 of the pace of the others, who share
/// its worker, is what it is when the same thread sends to a port of nobody's (which costs the machine as much). Both are measured in turns of
/// half a second, so that whatever else the machine does is in both, without the times in which it let nobody run; every other gap counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_port() {
    const ROUND: Duration = Duration::from_secs(6);
    const ROUNDS: usize = 12;
    const ENOUGH: usize = 1_500;
    let (world, _sim) = echo(|s| s.media.workers = 1).await;
    let mut callers = Vec::new();
    for _ in 0..9 {
        let mut caller = Caller::udp(world.sip()).await;
        assert_eq!(caller.call("1000").await, 200);
        callers.push(caller);
    }
    let mut victim = callers.pop().unwrap();
    let nobody = UdpSocket::bind((own_ip(), 0)).unwrap();
    let socket = UdpSocket::bind((own_ip(), 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let phase = Arc::new(AtomicUsize::new(NOBODY));
    let targets = [nobody.local_addr().unwrap(), victim.remote()];
    let flood = Flood { socket, targets, phase: Arc::clone(&phase), sent: [0; 2], came_back: 0 };
    let flood = Running::start(flood, Flood::step, |flood| (flood.sent, flood.came_back));
    let stalls = Arc::new(Mutex::new(Vec::new()));
    let metronome = Metronome { last: None, stalls: Arc::clone(&stalls) };
    let metronome = Running::start(metronome, Metronome::step, |_| ());
    let turns = tokio::spawn({
        let phase = Arc::clone(&phase);
        async move {
            let mut clock = tokio::time::interval(PHASE);
            loop {
                clock.tick().await;
                phase.fetch_xor(1, Ordering::Relaxed);
            }
        }
    });
    // The victim's caller goes on talking, so that its line is not dead.
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let talking = tokio::spawn(async move {
        while stopped.try_recv().is_err() {
            victim.listen(Duration::from_millis(200), |_| false).await;
        }
        victim
    });
    let mut measured: Vec<Gap> = Vec::new();
    let (mut calm, mut flooded) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let listening: Vec<_> = callers
            .into_iter()
            .map(|mut caller| {
                let phase = Arc::clone(&phase);
                tokio::spawn(async move {
                    let gaps = gaps(&mut caller, ROUND, &phase).await;
                    (caller, gaps)
                })
            })
            .collect();
        callers = Vec::new();
        for listening in listening {
            let (caller, gaps) = listening.await.unwrap();
            callers.push(caller);
            measured.extend(gaps);
        }
        let stalls = stalls.lock().unwrap();
        let of = |phase: usize| {
            let free = |gap: &&Gap| gap.2 == phase && !stalls.iter().any(|(from, to)| *from < gap.1 && gap.0 < *to);
            let mut ms: Vec<f64> = measured.iter().filter(free).map(|g| (g.1 - g.0).as_secs_f64() * 1_000.0).collect();
            ms.sort_by(f64::total_cmp);
            ms
        };
        (calm, flooded) = (of(NOBODY), of(VICTIM));
        if calm.len().min(flooded.len()) >= ENOUGH {
            break;
        }
    }
    turns.abort();
    let (sent, came_back) = flood.stop();
    metronome.stop();
    stop.send(()).unwrap();
    let mut victim = talking.await.unwrap();
    let show = |ms: &[f64]| {
        format!(
            "{} gaps, p50 {:.1}, p99 {:.1}, p99.9 {:.1} ms",
            ms.len(),
            percentile(ms, 500),
            percentile(ms, 990),
            percentile(ms, 999)
        )
    };
    let seen = format!(
        "sent {sent:?}, {} stalls; nobody's port: {}; the victim's: {}",
        stalls.lock().unwrap().len(),
        show(&calm),
        show(&flooded)
    );
    println!("{seen}");
    assert_eq!(came_back, 0);
    assert!(sent.iter().all(|sent| *sent > 20_000) && calm.len() > 300 && flooded.len() > 300, "{seen}");
    // A tick; and as the worker needs more of the CPU when it is flooded, thrice what it waits for the CPU anyway: nothing on a quiet machine.
    for permille in [990, 999] {
        let (calm, flooded) = (percentile(&calm, permille), percentile(&flooded, permille));
        assert!(flooded <= calm + 5.0 + 3.0 * (calm - 20.0).max(0.0), "{permille} permille: {seen}");
    }
    assert!(
        victim.listen(Duration::from_secs(3), |heard| heard.packets > 25).await.packets > 25,
        "the call itself goes on"
    );
    callers.push(victim);
    for caller in &mut callers {
        assert_eq!(caller.bye().await, 200);
    }
    for record in world.stop().await {
        assert_eq!((&record["cause"], &record["dtmf_digits"]), (&"caller_bye".into(), &0.into()), "{record}");
    }
}
