//! Flood bench: how many calls a second the server sets up, and what a flood of messages does to calls.
//!
//! `cargo run --release --example flood -- setups [--cps 200] [--seconds 60]`: so many new calls a second, each answered, held for half a
//! second and ended; counts failures, and the time from INVITE to 100 and to 200.
//!
//! `cargo run --release --example flood -- flood [--rate 20000] [--seconds 20]`: 50 calls with audio run, a trunk places 20 calls a second, and
//! meanwhile messages come first from an unknown source, then from a trunk that went mad. Counts lost audio, failed calls and memory.
//!
//! Two processes, as in the load bench, whose server, callers and echoing Realtime service are used here.
#![allow(clippy::disallowed_methods, reason = "a bench is its own world: it has sockets, threads and a clock")]

#[path = "../load/child.rs"]
#[allow(dead_code, reason = "the load bench uses the rest")]
mod child;
#[path = "../load/generator.rs"]
#[allow(dead_code, reason = "the load bench uses the rest")]
mod generator;
#[path = "../load/service.rs"]
#[allow(dead_code, reason = "the load bench uses the rest")]
mod service;
mod setups;
mod storm;

use clap::Parser;
use setups::{Placed, place};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storm::Storm;
use voxtrunk::config::book::Book;
use voxtrunk::config::settings::{Network, Settings};
use voxtrunk::server::Server;
use voxtrunk::trunk::Trunk;

/// Places calls and floods.
#[derive(Debug, Clone, Parser)]
pub struct Args {
    /// `setups` or `flood`.
    #[arg(default_value = "setups")]
    pub what: String,
    /// New calls a second (`setups`).
    #[arg(long, default_value_t = 200)]
    pub cps: u32,
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Messages a second (`flood`).
    #[arg(long, default_value_t = 20_000)]
    pub rate: u32,
    /// Calls with audio that run meanwhile (`flood`).
    #[arg(long, default_value_t = 50)]
    pub calls: usize,
    /// Media worker threads of the server.
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    #[arg(long, hide = true)]
    pub pin: bool,
    #[arg(long, hide = true)]
    pub wake: bool,
    #[arg(long, hide = true)]
    pub tls: bool,
    #[arg(long, hide = true)]
    pub srtp: bool,
    #[arg(long, hide = true, default_value_t = true)]
    pub when_ready: bool,
    #[arg(long, hide = true, default_value = "pcm16")]
    pub audio: String,
    #[arg(long, hide = true, default_value_t = 20)]
    pub append_ms: u32,
    #[arg(long, hide = true, default_value = "bench")]
    pub role: String,
    #[arg(long, hide = true, default_value = "")]
    pub url: String,
}

/// Where the callers of each trunk are; 127.0.0.66 is nobody's.
const STEADY: [u8; 4] = [127, 0, 0, 2];
const MAD: [u8; 4] = [127, 0, 0, 3];
const UNKNOWN: [u8; 4] = [127, 0, 0, 66];
const STEADY_CPS: u32 = 20;
const HOLD: Duration = Duration::from_millis(500);

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let done = match (args.role.as_str(), args.what.as_str()) {
        ("server", _) => server(&args),
        (_, "setups") => setups_bench(&args),
        (_, "flood") => flood_bench(&args),
        (_, what) => Err(format!("\"{what}\" is no bench: write setups or flood")),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flood: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// The load bench's server with a trunk for each kind of caller, and nobody else.
fn server(args: &Args) -> Result<(), String> {
    let mut settings: Settings = child::settings(args);
    // A port rests for 30 s after its call.
    (settings.media.port_min, settings.media.port_max) = (10_000, 59_999);
    settings.limits.max_calls = 4000;
    settings.limits.calls_per_second = args.cps.max(200) * 2;
    settings.sip.peers = Vec::new();
    settings.trunks = [("calls", [127, 0, 0, 1]), ("steady", STEADY), ("mad", MAD)]
        .into_iter()
        .map(|(name, ip)| {
            let mut trunk = Trunk::new(name);
            trunk.identify.sources = vec![Network::from(std::net::IpAddr::from(ip))];
            trunk.limits.calls_per_second = (name == "mad").then_some(5);
            trunk
        })
        .collect();
    child::until_told(2, async {
        let server = Server::start(settings, Book::from_plans(vec![child::plan(args)])).await?;
        println!("{}", server.sip_addr());
        child::stdin_closed().await;
        let left = server.stop().await;
        if left.calls + left.ports_in_use + left.sockets + left.jobs > 0 {
            return Err(format!("left over: {left:?}"));
        }
        Ok(())
    })
}

/// The server and the Realtime service behind it.
struct Processes {
    service: service::Service,
    server: child::Child,
    sip: SocketAddr,
}

impl Processes {
    fn start(args: &Args) -> Result<Processes, String> {
        let service = service::Service::start(false, false, Instant::now(), Arc::default())?;
        let server = child::Child::start(args, &service.url)?;
        let sip = server.address.parse().map_err(|e| format!("{}: {e}", server.address))?;
        Ok(Processes { service, server, sip })
    }
    fn rss_kib(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.server.pid());
        let status = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        line.and_then(|l| l.split_whitespace().next()?.parse().ok()).ok_or_else(|| format!("{path}: no VmRSS"))
    }
    fn stop(self) -> Result<(), String> {
        self.server.stop()?;
        self.service.stop();
        Ok(())
    }
}

fn setups_bench(args: &Args) -> Result<(), String> {
    let processes = Processes::start(args)?;
    place(processes.sip, STEADY, args.cps.min(20), Duration::from_secs(2), HOLD)?;
    let placed = place(processes.sip, STEADY, args.cps, Duration::from_secs(args.seconds), HOLD)?;
    println!("{} calls a second for {} s: {placed}", args.cps, args.seconds);
    processes.stop()?;
    verdict(placed.failed == 0 && placed.trying_us(99) <= 20_000, "a call failed, or 100 Trying came after 20 ms")
}

fn flood_bench(args: &Args) -> Result<(), String> {
    let processes = Processes::start(args)?;
    let callers = Args { cps: 20, ..args.clone() };
    let mut generator = generator::Generator::start(&callers, processes.sip, Instant::now(), Arc::default())?;
    generator.place(args.calls)?;
    let mut good = true;
    let time = Duration::from_secs(args.seconds);
    for (who, source) in
        [("nobody, for comparison", None), ("an unknown source", Some(UNKNOWN)), ("a mad trunk", Some(MAD))]
    {
        let before = processes.rss_kib()?;
        generator.begin_window();
        let storm = source.map(|source| Storm::start(source, processes.sip, args.rate)).transpose()?;
        let placed: Placed = place(processes.sip, STEADY, STEADY_CPS, time, HOLD)?;
        let sent = storm.map_or(0, Storm::stop);
        let heard = generator.end_window();
        let more = processes.rss_kib()?.saturating_sub(before);
        let lost = 100.0 * heard.lost as f64 / (heard.received + heard.lost).max(1) as f64;
        let late = 100.0 * heard.late as f64 / heard.received.max(1) as f64;
        let rate = sent as f64 / time.as_secs_f64();
        println!(
            "flood of {who}: {rate:.0} messages/s; {} calls: {} packets, {} lost ({lost:.3} %), {late:.2} % late; \
             {STEADY_CPS} calls/s: {placed}; memory {more:+} KiB",
            args.calls, heard.received, heard.lost
        );
        good &= heard.lost == 0 && placed.failed * 100 <= placed.calls && more <= 64 * 1024;
    }
    generator.hang_up()?;
    processes.stop()?;
    verdict(good, "audio was lost, more than 1 % of the calls failed, or memory rose by more than 64 MiB")
}

fn verdict(good: bool, otherwise: &str) -> Result<(), String> {
    if good { Ok(()) } else { Err(otherwise.to_owned()) }
}
