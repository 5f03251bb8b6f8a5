//! Calls that are placed at a rate, answered, held and ended; without audio of their own.

use std::fmt;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const RETRY: Duration = Duration::from_millis(500);
/// After the last call was placed, and for any one of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of them.
#[derive(Debug, Default)]
pub struct Placed {
    pub calls: usize,
    /// Not answered with 200, or not ended in time.
    pub failed: usize,
    pub repeated: usize,
    trying_us: Vec<u64>,
    answered_us: Vec<u64>,
}

impl Placed {
    /// INVITE to 100, percentile.
    pub fn trying_us(&self, percent: usize) -> u64 {
        percentile(&self.trying_us, percent)
    }
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |values: &[u64], percent| percentile(values, percent) as f64 / 1000.0;
        let (trying, answered) = (&self.trying_us, &self.answered_us);
        write!(
            f,
            "{} calls, {} failed, {} messages repeated, 100 after p50 {:.1} p99 {:.1} max {:.1} ms, 200 after p50 {:.0} p99 {:.0} ms",
            self.calls,
            self.failed,
            self.repeated,
            ms(trying, 50),
            ms(trying, 99),
            ms(trying, 100),
            ms(answered, 50),
            ms(answered, 99)
        )
    }
}

fn percentile(values: &[u64], percent: usize) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(u64::MAX)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Inviting,
    Talking(Instant),
    Leaving,
    Over,
}

struct One {
    state: State,
    began: Instant,
    retry: Instant,
    trying: bool,
    to_tag: String,
}

/// Places `cps` calls a second for `time`.
pub fn place(server: SocketAddr, source: [u8; 4], cps: u32, time: Duration, hold: Duration) -> Result<Placed, String> {
    let bind = |what: &str| UdpSocket::bind(SocketAddr::from((source, 0))).map_err(|e| format!("{what}: {e}"));
    let (sip, rtp) = (bind("callers")?, bind("audio")?);
    sip.set_nonblocking(true).map_err(|e| e.to_string())?;
    let (local, rtp_port) =
        (sip.local_addr().map_err(|e| e.to_string())?, rtp.local_addr().map_err(|e| e.to_string())?.port());
    let wanted = (time.as_secs_f64() * f64::from(cps)) as usize;
    let start = Instant::now();
    let mut run = Run {
        sip,
        local,
        server,
        rtp_port,
        boot: std::process::id(),
        start,
        calls: Vec::new(),
        placed: Placed::default(),
    };
    let mut first_open = 0;
    loop {
        let now = Instant::now();
        let due = ((now - start).as_secs_f64() * f64::from(cps)) as usize;
        while run.calls.len() < due.min(wanted) {
            run.begin(now);
        }
        run.answers();
        let now = Instant::now();
        for i in first_open..run.calls.len() {
            run.tend(i, now, hold);
        }
        while run.calls.get(first_open).is_some_and(|call| call.state == State::Over) {
            first_open += 1;
        }
        if run.calls.len() == wanted && (first_open == wanted || now > start + time + PATIENCE) {
            break;
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    run.placed.calls = wanted;
    run.placed.failed += run.calls.iter().filter(|call| call.state != State::Over).count();
    Ok(run.placed)
}

struct Run {
    sip: UdpSocket,
    local: SocketAddr,
    server: SocketAddr,
    rtp_port: u16,
    boot: u32,
    start: Instant,
    calls: Vec<One>,
    placed: Placed,
}

impl Run {
    fn begin(&mut self, now: Instant) {
        let call = One { state: State::Inviting, began: now, retry: now + RETRY, trying: false, to_tag: String::new() };
        self.calls.push(call);
        self.send(self.calls.len() - 1, "INVITE");
    }

    fn tend(&mut self, i: usize, now: Instant, hold: Duration) {
        let Some(call) = self.calls.get_mut(i) else { return };
        if matches!(call.state, State::Talking(since) if now >= since + hold) {
            call.state = State::Leaving;
            call.retry = now + RETRY;
            return self.send(i, "BYE");
        }
        let open = call.state == State::Inviting && !call.trying || call.state == State::Leaving;
        if open && now >= call.retry {
            call.retry = now + RETRY;
            let method = if call.state == State::Leaving { "BYE" } else { "INVITE" };
            self.placed.repeated += 1;
            self.send(i, method);
        }
    }

    fn answers(&mut self) {
        let mut buffer = [0u8; 4096];
        loop {
            let length = match self.sip.recv_from(&mut buffer) {
                Ok((length, _)) => length,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return,
            };
            let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
            let line = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
            let Some(i) = line("Call-ID:").and_then(|id| id.split('-').next()?.parse::<usize>().ok()) else { continue };
            let status: u16 = text.get(8..11).and_then(|s| s.parse().ok()).unwrap_or(0);
            let invite = line("CSeq:").is_some_and(|c| c.ends_with("INVITE"));
            let tag = line("To:").and_then(|t| t.split(";tag=").nth(1)).unwrap_or_default().to_owned();
            self.answer(i, invite, status, tag);
        }
    }

    fn answer(&mut self, i: usize, invite: bool, status: u16, tag: String) {
        let now = Instant::now();
        let Some(call) = self.calls.get_mut(i) else { return };
        let after = now.saturating_duration_since(call.began).as_micros() as u64;
        if invite && !std::mem::replace(&mut call.trying, true) {
            self.placed.trying_us.push(after);
        }
        match (call.state, invite, status) {
            (_, _, 0..=199) => {}
            (State::Inviting, true, 200) => {
                self.placed.answered_us.push(after);
                (call.state, call.to_tag) = (State::Talking(now), tag);
                self.send(i, "ACK");
            }
            (State::Inviting, true, _) => {
                (call.state, call.to_tag) = (State::Over, tag);
                self.placed.failed += 1;
                if self.placed.failed <= 3 {
                    eprintln!("flood: call {i} was refused: {status}, {:?} after the start", self.start.elapsed());
                }
                self.send(i, "ACK");
            }
            (State::Leaving, false, _) => call.state = State::Over,
            (_, true, 200) => self.send(i, "ACK"),
            _ => {}
        }
    }

    fn send(&self, i: usize, method: &str) {
        let (local, server, boot) = (self.local, self.server, self.boot);
        let Some(call) = self.calls.get(i) else { return };
        let refused = call.state == State::Over;
        let body = if method == "INVITE" {
            format!(
                "v=0\r\no=- {i} 1 IN IP4 {}\r\ns=-\r\nc=IN IP4 {}\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n",
                local.ip(),
                local.ip(),
                self.rtp_port
            )
        } else {
            String::new()
        };
        let cseq = if method == "BYE" { 2 } else { 1 };
        // The ACK of a refusal is of the INVITE's transaction.
        let branch = if method == "ACK" && refused { "INVITE" } else { method };
        let tag = if call.to_tag.is_empty() { String::new() } else { format!(";tag={}", call.to_tag) };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} sip:1000@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{boot}-{i}-{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{i}@{local}>;tag=c{i}\r\nTo: <sip:1000@{server}>{tag}\r\nCall-ID: {i}-{boot}@{local}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:{i}@{local}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = self.sip.send_to(text.as_bytes(), server);
    }
}
