//! Mouth to ear: what a service answers in real time is heard in the packet that comes next, whenever the call was answered and its session
//! became ready.

use crate::talking;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use voxtrunk::audio::front::FrontParams;
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::tone;
use voxtrunk::call::{Call, Input, Output};
use voxtrunk::net::clock;
use voxtrunk::rtp::sender::Sender;

const TICK: Duration = Duration::from_millis(5);

/// Where the caller's audio comes from.
pub fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4000))
}

/// A call whose service gives back what it hears, as it hears it.
struct Echo {
    call: Call,
    now: Instant,
    /// The service's messages of this tick, for the next.
    coming: Vec<String>,
    due: Option<Instant>,
    /// Its response has begun.
    answers: bool,
    /// When loud packets went out.
    heard: Vec<Instant>,
}

impl Echo {
    fn new() -> Echo {
        let now = clock::now();
        Echo {
            call: talking::call(now, FrontParams::default()),
            now,
            coming: Vec::new(),
            due: None,
            answers: false,
            heard: Vec::new(),
        }
    }

    fn is_ready(&mut self) {
        for event in &talking::SESSION[..2] {
            self.input(Input::RealtimeText(event));
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.call.handle(self.now, input);
        loop {
            match self.call.poll_output(self.now) {
                Output::Timeout(due) => return self.due = due,
                Output::Rtp { .. } => {
                    let mut samples = Vec::new();
                    Law::Mu.decode(self.call.rtp_bytes().get(12..).unwrap_or_default(), &mut samples);
                    if samples.iter().any(|s| s.unsigned_abs() > 4_000) {
                        self.heard.push(self.now);
                    }
                }
                Output::RealtimeText(text) => {
                    let message: serde_json::Value = serde_json::from_str(&text).unwrap();
                    if let Some(audio) = message["audio"].as_str() {
                        if !std::mem::replace(&mut self.answers, true) {
                            self.coming.extend(talking::SESSION[2..].iter().map(|event| event.to_string()));
                        }
                        self.coming.push(talking::delta(&base64_simd::STANDARD.decode_to_vec(audio).unwrap()));
                    }
                }
                _ => {}
            }
        }
    }

    /// One tick; `packet` has just come.
    fn tick(&mut self, packet: Option<&[u8]>) {
        // As a media worker does it: what the service said waits for the packet that is soon due, and is taken in just before it.
        let now = self.now;
        if self.due.is_none_or(|due| due <= now || due > now + 2 * TICK) {
            self.now = self.due.map_or(now, |due| now.min(due - Duration::from_nanos(1)));
            for message in std::mem::take(&mut self.coming) {
                self.input(Input::RealtimeText(&message));
            }
            self.now = now;
        }
        self.input(Input::Timeout);
        if let Some(datagram) = packet {
            self.input(Input::Rtp { from: peer(), datagram });
        }
        self.now += TICK;
    }
}

/// 20 ms of µ-law: a word, and none.
fn words() -> [Vec<u8>; 2] {
    [tone::dual(1_000.0, 1_000.0, 20, 0.5), vec![0; 160]].map(|samples| {
        let mut codes = Vec::new();
        Law::Mu.encode(&samples, &mut codes);
        codes
    })
}

/// How long a word is on its way; the session was ready after `ready` ticks, packets came in each fourth tick from `phase` on.
fn mouth_to_ear(ready: u64, phase: u64) -> Duration {
    let mut echo = Echo::new();
    let mut sender = Sender::new(1, 65_000, 7);
    let ([loud, quiet], mut datagram) = (words(), Vec::new());
    let mut said = echo.now;
    for tick in 0..400 {
        if tick == ready {
            echo.is_ready();
        }
        let comes = tick >= phase && (tick - phase).is_multiple_of(4);
        if comes {
            let is_word = tick == phase + 320;
            if is_word {
                said = echo.now;
            }
            sender.frame(if is_word { &loud } else { &quiet }, &mut datagram);
        }
        echo.tick(comes.then_some(&datagram));
    }
    let heard = *echo.heard.first().unwrap_or_else(|| panic!("nothing was heard: ready {ready}, phase {phase}"));
    heard - said
}

#[test]
fn an_echo_is_heard_in_the_next_packet() {
    for ready in 0..12 {
        for phase in 0..8 {
            let took = mouth_to_ear(ready, phase);
            assert_eq!(
                took,
                Duration::from_millis(10),
                "session ready after {ready} ticks, first packet after {phase}"
            );
        }
    }
}

/// What stands still for [`STALL`] ticks and then goes on with all that came meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stalled {
    Network,
    Process,
    Service,
}

const STALL: u64 = 40;

/// The same word each second after a stall that ends at 2 s: how long each is on its way.
fn after_a_stall(stalled: Stalled, phase: u64) -> Vec<Duration> {
    let mut echo = Echo::new();
    echo.is_ready();
    let mut sender = Sender::new(1, 65_000, 7);
    let [loud, quiet] = words();
    let (mut waiting, mut held, mut said) = (Vec::<Vec<u8>>::new(), Vec::new(), Vec::new());
    for tick in 0..2_000 {
        let stands = (400 - STALL..400).contains(&tick);
        if tick >= phase && (tick - phase).is_multiple_of(4) {
            let mut datagram = Vec::new();
            let is_word = tick > 400 && (tick - phase) % 200 == 100;
            if is_word {
                said.push(echo.now);
            }
            sender.frame(if is_word { &loud } else { &quiet }, &mut datagram);
            waiting.push(datagram);
        }
        match stalled {
            Stalled::Network if stands => echo.tick(None),
            Stalled::Process if stands => echo.now += TICK,
            Stalled::Service if stands => {
                held.append(&mut echo.coming);
                let datagram = waiting.pop();
                echo.tick(datagram.as_deref());
            }
            _ => {
                held.append(&mut echo.coming);
                echo.coming = std::mem::take(&mut held);
                let last = waiting.pop();
                for datagram in waiting.drain(..) {
                    echo.input(Input::Rtp { from: peer(), datagram: &datagram });
                }
                echo.tick(last.as_deref());
            }
        }
    }
    said.iter().filter_map(|said| echo.heard.iter().find(|heard| *heard > said).map(|heard| *heard - *said)).collect()
}

/// RTP-03: whoever stands still, the delay that it leaves falls to what jitter may need within three seconds, and after some more in which
/// none of that was needed to less than a frame.
#[test]
fn what_a_stall_leaves_goes_within_seconds() {
    for stalled in [Stalled::Network, Stalled::Process, Stalled::Service] {
        for phase in 0..4 {
            let ms: Vec<u128> = after_a_stall(stalled, phase).iter().map(Duration::as_millis).collect();
            let seen = format!("{stalled:?}, phase {phase}: {ms:?} ms");
            assert!(ms.len() == 8 && ms[0] >= 90, "each word is heard, the first one late: {seen}");
            assert!(ms[3..].iter().all(|ms| *ms <= 50) && ms[7] <= 30, "{seen}");
        }
    }
}
