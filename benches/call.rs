//! CPU of whole calls in virtual time, without sockets: what a media worker's calls cost besides the kernel.
//!
//! ```sh
//! cargo bench --bench call                                   # 1, 100 and 400 calls in turns
//! cargo bench --bench call -- --calls 400 --repeats 9
//! valgrind --tool=callgrind target/release/deps/call-HASH --calls 4 --count
//! ```
//!
//! Every call talks both ways: 20 ms of µ-law come, are appended to the session as 24 kHz PCM16, and come back as a delta a tick later.
//! Calls take turns as a worker's do, a quarter of them in each tick of 5 ms, so with many calls each finds its memory as cold as in a
//! server. The difference between 1 and 400 calls is what caches cost. Figures are CPU time of this thread, the least of all repeats.

use clap::Parser;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use voxtrunk::audio::front::{EchoMode, FrontParams};
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::tone;
use voxtrunk::call::{Call, Input, Output};
use voxtrunk::net::clock;
use voxtrunk::realtime::buffers::{Buffers, Used};
use voxtrunk::rtp::sender::Sender;

#[path = "../tests/talking/mod.rs"]
mod talking;

/// Ticks of 5 ms in a frame of 20 ms; calls are spread over them.
const PHASES: usize = 4;
const TICK: Duration = Duration::from_millis(5);

#[derive(Parser)]
struct Args {
    /// Calls at once; several: in turns
    #[arg(long, value_delimiter = ',', default_value = "1,100,400")]
    calls: Vec<usize>,
    /// Length of a measurement, in the calls' time
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Measurements of each
    #[arg(long, default_value_t = 5)]
    repeats: u32,
    /// For valgrind, which counts instead: runs each once and looks at no clock
    #[arg(long)]
    count: bool,
    /// With the echo guard, which finds no echo on these lines
    #[arg(long)]
    guard: bool,
    /// `cargo bench` adds it.
    #[arg(long, hide = true)]
    bench: bool,
}

fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4000))
}

/// Calls that talk, and what their worker lends them.
struct World {
    calls: Vec<(Call, Sender, Option<Instant>)>,
    buffers: Buffers,
    now: Instant,
    tick: usize,
    delta: String,
    codes: Vec<u8>,
    datagram: Vec<u8>,
    packets: usize,
    appends: usize,
}

impl World {
    fn new(calls: usize, front: FrontParams) -> World {
        let now = clock::now();
        let speech: Vec<u8> = tone::voice(20, 1).into_iter().flat_map(|s| [s; 3]).flat_map(i16::to_le_bytes).collect();
        let mut codes = Vec::new();
        Law::Mu.encode(&tone::voice(20, 2), &mut codes);
        let calls = (0..calls).map(|n| (talking::call(now, front), Sender::new(n as u32, 65_000, 7), None)).collect();
        let mut world = World {
            calls,
            buffers: Buffers::default(),
            now,
            tick: 0,
            delta: talking::delta(&speech),
            codes,
            datagram: Vec::new(),
            packets: 0,
            appends: 0,
        };
        for n in 0..world.calls.len() {
            for event in talking::SESSION {
                world.input(n, Input::RealtimeText(event));
            }
        }
        world
    }

    fn input(&mut self, n: usize, input: Input<'_>) {
        let (call, _, due) = &mut self.calls[n];
        let unused = call.lend(std::mem::take(&mut self.buffers));
        call.handle(self.now, input);
        loop {
            match call.poll_output(self.now) {
                Output::Timeout(deadline) => {
                    *due = deadline;
                    break;
                }
                Output::Rtp { .. } => self.packets += call.rtp_bytes().len() / 172,
                Output::RealtimeText(text) => {
                    self.appends += usize::from(text.len() > 1_000);
                    call.reuse(Used::Text(text));
                }
                _ => {}
            }
        }
        self.buffers = call.lend(Buffers::default()).or(unused);
    }

    /// One tick of the worker: due calls, then datagrams, then deltas.
    fn tick(&mut self) {
        let calls = self.calls.len();
        for n in 0..calls {
            if self.calls[n].2.is_some_and(|due| due <= self.now) {
                self.input(n, Input::Timeout);
            }
        }
        let mut datagram = std::mem::take(&mut self.datagram);
        for n in (self.tick % PHASES..calls).step_by(PHASES) {
            self.calls[n].1.frame(&self.codes, &mut datagram);
            self.input(n, Input::Rtp { from: peer(), datagram: &datagram });
        }
        self.datagram = datagram;
        let delta = std::mem::take(&mut self.delta);
        for n in ((self.tick + PHASES - 1) % PHASES..calls).step_by(PHASES) {
            self.input(n, Input::RealtimeText(&delta));
        }
        self.delta = delta;
        self.now += TICK;
        self.tick += 1;
    }

    fn run(&mut self, seconds: u32) {
        let (packets, appends) = (self.packets, self.appends);
        for _ in 0..seconds * (1_000 / TICK.as_millis() as u32) {
            self.tick();
        }
        // A call may owe its first frame or two: its delta has not come yet.
        let least = (seconds as usize * 50 - 2) * self.calls.len();
        let (packets, appends) = (self.packets - packets, self.appends - appends);
        assert!(packets >= least && appends >= least, "{packets} packets and {appends} appends, not {least}");
    }

    /// CPU time per second of a call.
    fn measure(&mut self, seconds: u32) -> Duration {
        let before = clock::thread_cpu();
        self.run(seconds);
        clock::thread_cpu().saturating_sub(before) / (seconds * self.calls.len() as u32)
    }
}

fn main() {
    let args = Args::parse();
    let echo_guard = if args.guard { EchoMode::Auto } else { EchoMode::Off };
    let front = FrontParams { echo_guard, ..FrontParams::default() };
    let mut worlds: Vec<(World, Duration)> =
        args.calls.iter().map(|calls| (World::new(*calls, front), Duration::MAX)).collect();
    if args.count {
        worlds.iter_mut().for_each(|(world, _)| world.run(args.seconds));
        return;
    }
    worlds.iter_mut().for_each(|(world, _)| world.run(10));
    for _ in 0..args.repeats {
        for (world, least) in &mut worlds {
            *least = world.measure(args.seconds).min(*least);
        }
    }
    println!("size of Call: {} bytes", size_of::<Call>());
    for (world, least) in &worlds {
        println!("{:4} calls: {:6.1} us of CPU a call-second", world.calls.len(), least.as_secs_f64() * 1e6);
    }
}
