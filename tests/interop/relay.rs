//! A bad network between two telephones: SIP goes through unhurt, media is lost, delayed, overtaken and doubled.
//!
//! The caller dials the relay. In the offer and in the answer that pass through, the media address becomes one of the relay's two ports, so
//! each side talks to the relay and knows nothing of it; later requests go past it. One call a relay. It also sees how evenly the callee sends.
//!
//! What becomes of a packet depends on the seed and on its place behind the first one with speech, by its timestamp: with the same seed two
//! calls lose the same words, however long their silence before.

#[path = "../support/impairment.rs"]
mod impairment;

use super::support::prioritise_thread;
pub use impairment::{Impairment, Path};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use voxtrunk::audio::g711::Law;

/// How often the relay looks: the precision of its delays.
const LOOK: Duration = Duration::from_millis(1);

pub struct Relay {
    /// What the caller dials.
    pub sip: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Seen>>,
}

/// What went through.
#[derive(Clone, Debug, Default)]
#[allow(dead_code, reason = "printed")]
pub struct Seen {
    /// Media packets of each direction, [caller to callee, callee to caller].
    pub came: [u64; 2],
    pub went: [u64; 2],
    /// Packets before the first with speech.
    pub silent: [i64; 2],
    /// Between two packets of the callee, as they came here, ms: median, 99 %, most.
    pub gap_ms: [f64; 3],
    /// From the caller's last packet to each of the callee's, ms: 1 %, median, 99 %.
    pub behind_ms: [f64; 3],
}

/// Louder than any line noise of these calls, and reached within the first 20 ms of a word.
const SPEECH: u16 = 400;

/// Where a packet stands in what its sender says.
#[derive(Default)]
struct Place {
    /// Timestamp of the first packet with speech.
    begin: Option<u32>,
    /// Packets before it.
    before: i64,
}

impl Place {
    /// 0 is the first packet with speech; those before it are counted down from -1.
    fn of(&mut self, packet: &[u8]) -> i64 {
        let number = |at: usize| packet.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let timestamp = number(4);
        if self.begin.is_none() {
            let mut samples = Vec::new();
            Law::Mu.decode(packet.get(12..).unwrap_or_default(), &mut samples);
            self.begin = samples.iter().any(|sample| sample.unsigned_abs() > SPEECH).then_some(timestamp);
        }
        let Some(begin) = self.begin else {
            self.before += 1;
            return -self.before;
        };
        i64::from(timestamp.wrapping_sub(begin) as i32) / 160
    }
}

/// When the callee's packets came.
#[derive(Default)]
struct Pace {
    caller: Option<Duration>,
    callee: Option<Duration>,
    gaps: Vec<Duration>,
    behind: Vec<Duration>,
}

impl Pace {
    fn came(&mut self, direction: usize, now: Duration) {
        if direction == 0 {
            self.caller = Some(now);
            return;
        }
        self.gaps.extend(self.callee.replace(now).map(|before| now.saturating_sub(before)));
        self.behind.extend(self.caller.map(|caller| now.saturating_sub(caller)));
    }
}

fn shares(mut values: Vec<Duration>, shares: [f64; 3]) -> [f64; 3] {
    values.sort();
    let at = |share: f64| values.get((values.len().saturating_sub(1) as f64 * share) as usize);
    shares.map(|share| at(share).map_or(0.0, |time| (time.as_secs_f64() * 100_000.0).round() / 100.0))
}

impl Relay {
    /// Between a caller that will dial [`Relay::sip`] and `callee`; `path` each way.
    pub fn start(callee: SocketAddr, path: Path, seed: u64) -> Relay {
        let [sip, near, far] = std::array::from_fn(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            socket.set_nonblocking(true).expect("a socket");
            socket
        });
        let address = sip.local_addr().expect("bound");
        let stop = Arc::new(AtomicBool::new(false));
        let run = Run {
            callee,
            caller: None,
            sip,
            media: [near, far],
            target: [None, None],
            paths: [Impairment::new(path, seed), Impairment::new(path, seed ^ 0xFF)],
            places: Default::default(),
            queue: BTreeMap::new(),
            number: 0,
            seen: Seen::default(),
            pace: Pace::default(),
        };
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().spawn(move || run.run(&stopped)).expect("a thread");
        Relay { sip: address, stop, thread: Some(thread) }
    }

    /// Ends it.
    pub fn seen(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Run {
    callee: SocketAddr,
    caller: Option<SocketAddr>,
    sip: UdpSocket,
    /// The port the caller sends to, and the one the callee sends to.
    media: [UdpSocket; 2],
    /// Media addresses of caller and callee.
    target: [Option<SocketAddr>; 2],
    paths: [Impairment; 2],
    places: [Place; 2],
    /// By time and number: direction and packet.
    queue: BTreeMap<(Duration, u64), (usize, Vec<u8>)>,
    number: u64,
    seen: Seen,
    pace: Pace,
}

impl Run {
    fn run(mut self, stop: &AtomicBool) -> Seen {
        prioritise_thread(4);
        let begin = Instant::now();
        let mut bytes = [0u8; 65_536];
        while !stop.load(Ordering::Relaxed) {
            while let Ok((length, from)) = self.sip.recv_from(&mut bytes) {
                self.signalling(from, &bytes[..length]);
            }
            for direction in 0..2 {
                while let Ok((length, _)) = self.media[direction].recv_from(&mut bytes) {
                    self.seen.came[direction] += 1;
                    let now = begin.elapsed();
                    if bytes.get(1).is_some_and(|second| !(192..=223).contains(second)) {
                        self.pace.came(direction, now);
                    }
                    let place = self.places[direction].of(&bytes[..length]);
                    for at in self.paths[direction].arrivals_of(place, now).into_iter().flatten() {
                        self.number += 1;
                        self.queue.insert((at, self.number), (direction, bytes[..length].to_vec()));
                    }
                }
            }
            let now = begin.elapsed();
            while self.queue.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
                let Some((_, (direction, packet))) = self.queue.pop_first() else { break };
                // What the caller sent leaves by the port that the callee knows.
                if let Some(target) = self.target[1 - direction] {
                    let _ = self.media[1 - direction].send_to(&packet, target);
                    self.seen.went[direction] += 1;
                }
            }
            std::thread::park_timeout(LOOK);
        }
        self.seen.silent = [0, 1].map(|direction| self.places[direction].before);
        self.seen.gap_ms = shares(self.pace.gaps, [0.5, 0.99, 1.0]);
        self.seen.behind_ms = shares(self.pace.behind, [0.01, 0.5, 0.99]);
        self.seen
    }

    fn signalling(&mut self, from: SocketAddr, message: &[u8]) {
        let by_caller = from != self.callee;
        let to = if by_caller {
            self.caller = Some(from);
            self.callee
        } else {
            let Some(caller) = self.caller else { return };
            caller
        };
        let text = String::from_utf8_lossy(message);
        let (side, port) = if by_caller { (0, self.port(1)) } else { (1, self.port(0)) };
        let text = match rewrite(&text, port) {
            Some((text, media)) => {
                self.target[side] = Some(media);
                text
            }
            None => text.into_owned(),
        };
        let _ = self.sip.send_to(text.as_bytes(), to);
    }

    fn port(&self, side: usize) -> u16 {
        self.media[side].local_addr().expect("bound").port()
    }
}

/// The message with its media at 127.0.0.1:`port`, and where it was; `None` without SDP.
fn rewrite(message: &str, port: u16) -> Option<(String, SocketAddr)> {
    let (head, body) = message.split_once("\r\n\r\n")?;
    let media_line = body.lines().find(|line| line.starts_with("m=audio "))?;
    let media_port = media_line.split(' ').nth(1)?;
    let host = body.lines().rfind(|line| line.starts_with("c=IN IP4 "))?.trim_start_matches("c=IN IP4 ").trim();
    let media = format!("{host}:{media_port}").parse().ok()?;
    let body: String = body
        .lines()
        .filter(|line| !line.starts_with("a=rtcp"))
        .map(|line| match line {
            line if line.starts_with("c=") => "c=IN IP4 127.0.0.1\r\n".to_owned(),
            line if line.starts_with("m=audio ") => {
                format!("{}\r\n", line.replacen(&format!(" {media_port} "), &format!(" {port} "), 1))
            }
            line => format!("{line}\r\n"),
        })
        .collect();
    let head: Vec<String> = head
        .lines()
        .map(|line| match line.split_once(':') {
            Some((name, _)) if name.trim().eq_ignore_ascii_case("content-length") || name.trim() == "l" => {
                format!("Content-Length: {}", body.len())
            }
            _ => line.to_owned(),
        })
        .collect();
    Some((format!("{}\r\n\r\n{body}", head.join("\r\n")), media))
}
