//! The callers: one thread for SIP and for sending RTP (1 ms grain), four that receive.
//!
//! SIP is text from a template; answers are told apart by the call's number in the Call-ID. RTP of all calls shares four
//! sockets: the server sends each call from its own port, so a packet's source port says whose it is.

use super::Args;
use super::service::BargeIn;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, mpsc};
use std::time::{Duration, Instant};
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::tone;
use voxtrunk::rtp::srtp::Srtp;
use voxtrunk::srtp_key::{MasterKey, SrtpKeys, Suite};

/// Of the calls with `--srtp`.
const SUITE: Suite = Suite::AesCm128HmacSha1_80;
const SOCKETS: usize = 4;
const FRAME: Duration = Duration::from_millis(20);
const PAYLOAD: usize = 160;
/// What every caller says all the time: two seconds of a voice over a little noise, well below a marker. Never digital silence, which costs
/// a server less than any line does.
const VOICE_FRAMES: usize = 100;
const VOICE_PEAK: i32 = 1_000;
const NOISE: i32 = 12;
/// A burst of three frames every two seconds.
const MARKER_EVERY: u32 = 100;
const MARKER_FRAMES: u32 = 3;
/// µ-law of a tone's peak: loud.
const LOUD: [u8; 8] = [0xFF, 0x90, 0x8A, 0x90, 0xFF, 0x10, 0x0A, 0x10];
/// Decoded samples above this are the marker and no ringing of a filter.
const LOUD_ENOUGH: i32 = 2000;
/// For answers of the server in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// A marker that did not come back by then is not counted as heard.
const LOST_MARKER: Duration = Duration::from_millis(1500);

/// What the callers heard in a window.
#[derive(Debug, Default)]
pub struct Heard {
    pub received: u64,
    pub lost: u64,
    /// More than 20 ms after its time, by the call's own best packet of the window.
    pub late: u64,
    pub interarrival_us: Vec<u32>,
    pub mouth_to_ear_us: Vec<u32>,
    /// INVITE to 200, all calls.
    pub setup_us: Vec<u32>,
}

/// The receive side of one call.
struct Ear {
    /// Arrival and RTP timestamp of the packet before.
    last: Option<(Instant, u32)>,
    /// Arrival of the window's packet that came earliest by its timestamp, and its frame since the first.
    base: Option<(Instant, u64)>,
    /// A window is open.
    measured: bool,
    extended: u64,
    /// When the marker that is on its way was sent, µs since the start; 0 = none.
    marker: Arc<AtomicU64>,
    srtp: Option<Srtp>,
    first: bool,
}

/// Shared by the threads.
struct Shared {
    start: Instant,
    /// Between two looks at a socket that polls; a blocking one has its time-out.
    nap: Duration,
    running: AtomicBool,
    measuring: AtomicBool,
    /// By the server's RTP port, one map a socket.
    ears: [Mutex<HashMap<u16, Ear>>; SOCKETS],
    heard: Mutex<Heard>,
    answered: AtomicU64,
    hung_up: AtomicU64,
    barge_in: Arc<BargeIn>,
    /// The server's RTP port of the first call.
    first: OnceLock<SocketAddr>,
    /// What the first call hears is not in the figures.
    without_first: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

enum Order {
    Place(usize),
    HangUp,
}

/// The callers' threads.
pub struct Generator {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    threads: Vec<std::thread::JoinHandle<()>>,
    placed: usize,
}

impl Generator {
    /// `--wake`: the receivers sleep in the socket and are woken by every packet, which loopback charges to the sender, the
    /// server. Else they look every 0.5 ms, as if the packets came by a network card.
    pub fn start(args: &Args, server: SocketAddr, start: Instant, barge_in: Arc<BargeIn>) -> Result<Generator, String> {
        let (calls, cps, wake) = (args.calls, args.cps, args.wake);
        let explain = |e: std::io::Error| format!("callers' sockets: {e}");
        let shared = Arc::new(Shared {
            start,
            barge_in,
            nap: if wake { Duration::ZERO } else { Duration::from_micros(500) },
            running: AtomicBool::new(true),
            measuring: AtomicBool::new(false),
            ears: Default::default(),
            heard: Mutex::default(),
            answered: AtomicU64::new(0),
            hung_up: AtomicU64::new(0),
            first: OnceLock::new(),
            without_first: AtomicBool::new(false),
        });
        let mut threads = Vec::new();
        let mut sockets = Vec::new();
        for n in 0..SOCKETS {
            let socket = UdpSocket::bind("127.0.0.1:0").map_err(explain)?;
            if wake {
                socket.set_read_timeout(Some(Duration::from_millis(100))).map_err(explain)?;
            } else {
                socket.set_nonblocking(true).map_err(explain)?;
            }
            let (ear, hearing) = (socket.try_clone().map_err(explain)?, Arc::clone(&shared));
            threads.push(std::thread::spawn(move || hear(&ear, &hearing, n)));
            sockets.push(socket);
        }
        let sip = UdpSocket::bind("127.0.0.1:0").map_err(explain)?;
        sip.set_nonblocking(true).map_err(explain)?;
        let (orders, inbox) = mpsc::channel();
        let local = sip.local_addr().map_err(explain)?;
        let mouth = Mouth {
            shared: Arc::clone(&shared),
            sip,
            local,
            server,
            sockets,
            calls: Vec::with_capacity(calls),
            gap: Duration::from_secs(1) / cps.max(1),
            wanted: 0,
            next_call: Instant::now(),
            hanging_up: false,
            srtp: args.srtp,
            packet: Vec::new(),
            voice: voice(),
        };
        threads.push(std::thread::spawn(move || mouth.run(&inbox)));
        Ok(Generator { shared, orders, threads, placed: 0 })
    }

    /// Places calls until there are `calls`, and waits until all are answered.
    pub fn place(&mut self, calls: usize) -> Result<(), String> {
        self.placed = calls;
        let _ = self.orders.send(Order::Place(calls));
        self.wait(calls, "answered", |s| &s.answered)
    }

    fn wait(&self, calls: usize, what: &str, count: fn(&Shared) -> &AtomicU64) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while (count(&self.shared).load(Ordering::Relaxed) as usize) < calls {
            if Instant::now() > deadline {
                return Err(format!(
                    "{} of {calls} calls {what} after {PATIENCE:?}",
                    count(&self.shared).load(Ordering::Relaxed)
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Where the first call's audio goes. What it hears is in the figures no more.
    pub fn give_up_first(&self) -> Option<SocketAddr> {
        self.shared.without_first.store(true, Ordering::Relaxed);
        self.shared.first.get().copied()
    }

    pub fn begin_window(&self) {
        self.shared.measuring.store(true, Ordering::Relaxed);
    }

    pub fn end_window(&self) -> Heard {
        self.shared.measuring.store(false, Ordering::Relaxed);
        std::mem::take(&mut *locked(&self.shared.heard))
    }

    /// BYE to all, and waits for the answers.
    pub fn hang_up(mut self) -> Result<(), String> {
        let _ = self.orders.send(Order::HangUp);
        let done = self.wait(self.placed, "hung up", |s| &s.hung_up);
        self.shared.running.store(false, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        done
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.shared.running.store(false, Ordering::Relaxed);
    }
}

/// Receives one socket's packets.
fn hear(socket: &UdpSocket, shared: &Shared, n: usize) {
    let mut buffer = [0u8; 2048];
    while shared.running.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((len, from)) => {
                let now = Instant::now();
                if let Some(ear) = locked(&shared.ears[n]).get_mut(&from.port()) {
                    ear.datagram(shared, now, &buffer[..len]);
                }
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::sleep(shared.nap),
            Err(_) => return,
        }
    }
}

impl Ear {
    fn datagram(&mut self, shared: &Shared, now: Instant, datagram: &[u8]) {
        let mut srtp = self.srtp.take();
        let packet = match &mut srtp {
            Some(srtp) => srtp.unprotect_rtp(now, datagram).unwrap_or_default(),
            None => datagram,
        };
        if let Some((header, payload)) = packet.split_first_chunk::<12>()
            && payload.len() == PAYLOAD
        {
            self.packet(shared, now, u32::from_be_bytes([header[4], header[5], header[6], header[7]]), payload);
        }
        self.srtp = srtp;
    }

    /// By the clock of the stream: a frame that was skipped and never sent counts as lost, like one the network lost.
    fn packet(&mut self, shared: &Shared, now: Instant, timestamp: u32, payload: &[u8]) {
        let measuring = shared.measuring.load(Ordering::Relaxed);
        let step = self.last.map_or(1, |(_, last)| timestamp.wrapping_sub(last) / PAYLOAD as u32);
        let in_order = (1..1 << 20).contains(&step);
        if in_order {
            self.extended += u64::from(step);
        }
        if measuring != self.measured {
            self.measured = measuring;
            self.base = None;
        }
        let late = match self.base {
            Some((base, number)) => {
                let due = base + FRAME * (self.extended.saturating_sub(number)) as u32;
                if now < due {
                    self.base = Some((now, self.extended));
                }
                now.saturating_duration_since(due) > FRAME
            }
            None => {
                self.base = Some((now, self.extended));
                false
            }
        };
        if shared.barge_in.running.load(Ordering::Relaxed) {
            if payload.iter().any(|&b| decode(b).abs() > LOUD_ENOUGH) {
                let us = now.saturating_duration_since(shared.start).as_micros() as u64;
                shared.barge_in.loud_us.store(us, Ordering::Relaxed);
            }
            self.last = Some((now, timestamp));
            return;
        }
        let sent_us = self.marker.load(Ordering::Relaxed);
        let loud = sent_us > 0 && payload.iter().any(|&b| decode(b).abs() > LOUD_ENOUGH);
        let age = now.saturating_duration_since(shared.start + Duration::from_micros(sent_us));
        if loud {
            self.marker.store(0, Ordering::Relaxed);
        }
        if measuring && !(self.first && shared.without_first.load(Ordering::Relaxed)) {
            let mut heard = locked(&shared.heard);
            heard.received += 1;
            heard.late += u64::from(late);
            if in_order {
                heard.lost += u64::from(step - 1);
            }
            if let Some((last, _)) = self.last {
                heard.interarrival_us.push(now.saturating_duration_since(last).as_micros() as u32);
            }
            if loud && age < LOST_MARKER {
                heard.mouth_to_ear_us.push(age.as_micros() as u32);
            }
        }
        self.last = Some((now, timestamp));
    }
}

/// µ-law to linear (G.711).
fn decode(byte: u8) -> i32 {
    let u = !byte;
    let magnitude = (((i32::from(u & 0x0F) << 3) + 0x84) << ((u & 0x70) >> 4)) - 0x84;
    if u & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The send side of one call.
struct Caller {
    state: State,
    invited: Instant,
    retry: Instant,
    to_tag: String,
    remote: Option<SocketAddr>,
    next_frame: Instant,
    frame: u32,
    marker: Arc<AtomicU64>,
    srtp: Option<Srtp>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Inviting,
    Talking,
    Leaving,
    Gone,
}

struct Mouth {
    shared: Arc<Shared>,
    sip: UdpSocket,
    local: SocketAddr,
    server: SocketAddr,
    sockets: Vec<UdpSocket>,
    calls: Vec<Caller>,
    gap: Duration,
    wanted: usize,
    next_call: Instant,
    hanging_up: bool,
    srtp: bool,
    packet: Vec<u8>,
    /// µ-law, [`VOICE_FRAMES`].
    voice: Vec<u8>,
}

impl Mouth {
    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        let mut tick = Instant::now();
        while self.shared.running.load(Ordering::Relaxed) {
            tick += Duration::from_millis(1);
            let now = Instant::now();
            match tick.checked_duration_since(now) {
                Some(wait) => std::thread::sleep(wait),
                None => tick = now,
            }
            match orders.try_recv() {
                Ok(Order::Place(calls)) => {
                    self.wanted = calls;
                    self.next_call = Instant::now();
                }
                Ok(Order::HangUp) => self.hanging_up = true,
                Err(_) => {}
            }
            self.place();
            self.answers();
            self.speak();
        }
    }

    fn place(&mut self) {
        let now = Instant::now();
        if self.calls.len() < self.wanted && now >= self.next_call {
            self.next_call += self.gap;
            self.calls.push(Caller {
                state: State::Inviting,
                invited: now,
                retry: now + Duration::from_millis(500),
                to_tag: String::new(),
                remote: None,
                next_frame: now,
                frame: 0,
                marker: Arc::default(),
                srtp: None,
            });
            self.request(self.calls.len() - 1, "INVITE");
        }
        for i in 0..self.calls.len() {
            let Some(call) = self.calls.get_mut(i) else { break };
            if self.hanging_up && call.state == State::Talking {
                call.state = State::Leaving;
                call.retry = now;
            }
            if matches!(call.state, State::Inviting | State::Leaving) && now >= call.retry {
                call.retry = now + Duration::from_millis(500);
                let method = if call.state == State::Inviting { "INVITE" } else { "BYE" };
                self.request(i, method);
            }
        }
    }

    fn request(&self, i: usize, method: &str) {
        let (local, server) = (self.local, self.server);
        let port = self.sockets.get(i % SOCKETS).and_then(|s| s.local_addr().ok()).map_or(0, |a| a.port());
        let Some(call) = self.calls.get(i) else { return };
        let body = if method == "INVITE" {
            let (profile, crypto) = if self.srtp {
                let key = base64_simd::STANDARD.encode_to_string(key(i));
                ("RTP/SAVP", format!("a=crypto:1 {} inline:{key}\r\n", SUITE.name()))
            } else {
                ("RTP/AVP", String::new())
            };
            format!(
                "v=0\r\no=- {i} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                 m=audio {port} {profile} 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n{crypto}"
            )
        } else {
            String::new()
        };
        let cseq = if method == "BYE" { 2 } else { 1 };
        let tag = if call.to_tag.is_empty() { String::new() } else { format!(";tag={}", call.to_tag) };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} sip:1000@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{i}x{method};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:load@{local}>;tag=l{i}\r\nTo: <sip:1000@{server}>{tag}\r\nCall-ID: {i}@load\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:load@{local}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = self.sip.send_to(text.as_bytes(), server);
    }

    fn answers(&mut self) {
        let mut buffer = [0u8; 4096];
        while let Ok((len, _)) = self.sip.recv_from(&mut buffer) {
            let text = String::from_utf8_lossy(buffer.get(..len).unwrap_or_default()).into_owned();
            let line = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
            let Some(i) = line("Call-ID:").and_then(|id| id.split('@').next()?.parse::<usize>().ok()) else { continue };
            let status: u16 = text.get(8..11).and_then(|s| s.parse().ok()).unwrap_or(0);
            let invite = line("CSeq:").is_some_and(|c| c.ends_with("INVITE"));
            if status >= 200 {
                let tag = line("To:").and_then(|t| t.split(";tag=").nth(1)).unwrap_or_default().to_owned();
                let port = line("m=audio ").and_then(|m| m.split(' ').next()?.parse::<u16>().ok());
                let theirs = line("a=crypto:").and_then(|c| c.split("inline:").nth(1)?.split(['|', ' ']).next());
                let theirs = theirs.and_then(|key| base64_simd::STANDARD.decode_to_vec(key).ok());
                self.answer(i, invite, status, &tag, port, theirs);
            }
        }
    }

    fn answer(&mut self, i: usize, invite: bool, status: u16, tag: &str, port: Option<u16>, theirs: Option<Vec<u8>>) {
        let now = Instant::now();
        let Some(call) = self.calls.get_mut(i) else { return };
        if !invite {
            if call.state == State::Leaving {
                call.state = State::Gone;
                self.shared.hung_up.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        call.to_tag = tag.to_owned();
        if call.state == State::Inviting {
            let (200, Some(port)) = (status, port) else {
                eprintln!("load: call {i} was refused: {status}");
                call.state = State::Gone;
                return self.request(i, "ACK");
            };
            call.state = State::Talking;
            call.remote = Some(SocketAddr::new(self.server.ip(), port));
            call.next_frame = now;
            // One machine for each thread: the mouth protects, the ear opens.
            let srtp = || Srtp::new(&keys(i, theirs.as_deref()?)?);
            call.srtp = srtp();
            let marker = Arc::clone(&call.marker);
            let first = i == 0;
            let ear = Ear { last: None, base: None, measured: false, extended: 0, marker, srtp: srtp(), first };
            if first {
                let _ = self.shared.first.set(SocketAddr::new(self.server.ip(), port));
            }
            if let Some(ears) = self.shared.ears.get(i % SOCKETS) {
                locked(ears).insert(port, ear);
            }
            locked(&self.shared.heard).setup_us.push(now.saturating_duration_since(call.invited).as_micros() as u32);
            self.shared.answered.fetch_add(1, Ordering::Relaxed);
        }
        self.request(i, "ACK");
    }

    fn speak(&mut self) {
        let now = Instant::now();
        let marked = !self.shared.barge_in.running.load(Ordering::Relaxed);
        for (i, call) in self.calls.iter_mut().enumerate() {
            let (State::Talking, Some(remote)) = (call.state, call.remote) else { continue };
            while call.next_frame <= now {
                call.next_frame += FRAME;
                // Markers of the calls are spread over the two seconds.
                let phase = (call.frame + i as u32 * 7) % MARKER_EVERY;
                let mut packet = [0; 12 + PAYLOAD];
                packet[..12].copy_from_slice(&header(call.frame, i as u32));
                let said = (call.frame as usize + i * 7) % VOICE_FRAMES * PAYLOAD;
                packet[12..].copy_from_slice(&self.voice[said..said + PAYLOAD]);
                if marked && phase < MARKER_FRAMES {
                    for (k, byte) in packet[12..].iter_mut().enumerate() {
                        *byte = LOUD[k % LOUD.len()];
                    }
                }
                if marked && phase == 0 {
                    let us = Instant::now().saturating_duration_since(self.shared.start).as_micros() as u64;
                    call.marker.store(us, Ordering::Relaxed);
                }
                call.frame += 1;
                let Some(socket) = self.sockets.get(i % SOCKETS) else { continue };
                match &mut call.srtp {
                    Some(srtp) => {
                        self.packet.clear();
                        self.packet.extend_from_slice(&packet);
                        if srtp.protect_rtp(&mut self.packet).is_ok() {
                            let _ = socket.send_to(&self.packet, remote);
                        }
                    }
                    None => drop(socket.send_to(&packet, remote)),
                }
            }
        }
    }
}

fn voice() -> Vec<u8> {
    let mut samples = tone::voice(20 * VOICE_FRAMES as u32, 4);
    let peak = samples.iter().map(|sample| i32::from(sample.unsigned_abs())).max().unwrap_or(0).max(1);
    let mut seed = 1u32;
    for sample in &mut samples {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (seed >> 16) as i32 % (2 * NOISE + 1) - NOISE;
        *sample = (i32::from(*sample) * VOICE_PEAK / peak + noise) as i16;
    }
    let mut codes = Vec::with_capacity(samples.len());
    Law::Mu.encode(&samples, &mut codes);
    codes.resize(VOICE_FRAMES * PAYLOAD, 0xFF);
    codes
}

/// Key and salt of a caller: no two alike.
fn key(call: usize) -> [u8; 30] {
    std::array::from_fn(|n| (call * 31 + n * 7 + (call >> 5)) as u8)
}

fn keys(call: usize, theirs: &[u8]) -> Option<SrtpKeys> {
    Some(SrtpKeys { suite: SUITE, send: MasterKey::new(SUITE, &key(call))?, receive: MasterKey::new(SUITE, theirs)? })
}

fn header(frame: u32, ssrc: u32) -> [u8; 12] {
    let mut header = [0u8; 12];
    header[0] = 0x80;
    header[1] = if frame == 0 { 0x80 } else { 0 };
    header[2..4].copy_from_slice(&(frame as u16).to_be_bytes());
    header[4..8].copy_from_slice(&(frame.wrapping_mul(PAYLOAD as u32)).to_be_bytes());
    header[8..12].copy_from_slice(&(0x1000_0000 + ssrc).to_be_bytes());
    header
}
