//! Load bench: how much CPU and memory one call costs, and what the caller hears of it.
//!
//! `cargo run --release --example load -- --calls 100 [--seconds 6] [--cps 97] [--repeats 3] [--pin] [--tls] [--srtp] [--workers 1] [--json]`
//! `cargo run --release --example load -- --table [--repeats 3]`: the table of docs/performance.md, targets beside the figures.
//! `cargo run --release --example load -- --floor --calls 400 --pin`: what the kernel alone costs at so many calls.
//! `cargo run --release --example load -- --calls 100 --flood 100000 --pin`: what a flood of one call's port does to the others.
//!
//! Two processes, so that the server is measured alone: the server, and this one, which places the calls (`generator`: raw SIP text and
//! RTP on plain threads), is the Realtime service that echoes them (`service`) and reads `/proc` (`measure`).
//! Every caller sample comes back through the whole chain, so a marker burst in it measures mouth to ear.
#![allow(clippy::disallowed_methods, reason = "a bench is its own world: it has sockets, threads and a clock")]

mod child;
mod flood;
mod floor;
mod generator;
mod measure;
mod service;
mod table;

use clap::Parser;
use measure::{Run, Summary};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Places N calls through the server and measures them.
#[derive(Debug, Clone, Parser)]
pub struct Args {
    /// Calls at once.
    #[arg(long, default_value_t = 20)]
    pub calls: usize,
    /// Length of the measured window, after all calls are up.
    #[arg(long, default_value_t = 6)]
    pub seconds: u64,
    /// Calls placed a second. A divisor of 50 would put all calls on the same 20 ms phases, which flatters.
    #[arg(long, default_value_t = 97)]
    pub cps: u32,
    /// Whole runs, each with fresh processes.
    #[arg(long, default_value_t = 1)]
    pub repeats: usize,
    /// Server on core 0, everything else on core 1.
    #[arg(long)]
    pub pin: bool,
    /// Callers sleep in their sockets, so that the server pays for waking them (15 to 20 % of its CPU on loopback).
    #[arg(long)]
    pub wake: bool,
    /// Audio codec of the Realtime session: pcm16 (with resampling) or g711 (passed through).
    #[arg(long, default_value = "pcm16")]
    pub audio: String,
    /// Caller audio in one message to the Realtime server, ms (media.append_ms).
    #[arg(long, default_value_t = 20)]
    pub append_ms: u32,
    /// Media worker threads of the server; with --pin the server has as many cores from core 0 on.
    #[arg(long, default_value_t = 1)]
    pub workers: usize,
    /// The Realtime session goes over TLS.
    #[arg(long)]
    pub tls: bool,
    /// The callers speak SRTP (AES_CM_128_HMAC_SHA1_80).
    #[arg(long)]
    pub srtp: bool,
    /// The number answers when its session is ready, not at once.
    #[arg(long)]
    pub when_ready: bool,
    /// Length of the interruptions after the window, one after another; 0 = none.
    #[arg(long, default_value_t = 8)]
    pub barge_in_seconds: u64,
    /// The whole table, plain and protected in turns: 20, 100, 400 and 500 calls on one core and 800 on two, plain and with TLS and SRTP, in Markdown.
    #[arg(long)]
    pub table: bool,
    /// The kernel's part alone: the same datagrams and messages, and nothing done with them.
    #[arg(long)]
    pub floor: bool,
    /// Packets a second that a stranger sends to the RTP port of the first call, which is then not in the figures.
    #[arg(long, default_value_t = 0)]
    pub flood: usize,
    /// One JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// What this process is.
    #[arg(long, hide = true, default_value = "bench")]
    pub role: String,
    /// Realtime URL, for the server role.
    #[arg(long, hide = true, default_value = "")]
    pub url: String,
}

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let done = match args.role.as_str() {
        "server" => child::server(&args),
        _ if args.table => table::table(&args),
        _ if args.floor => floor(&args),
        _ => bench(&args),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn bench(args: &Args) -> Result<(), String> {
    let summary = Summary::of(args.calls, &runs(args)?);
    if args.json {
        println!("{}", summary.json())
    } else {
        println!("{summary}")
    }
    Ok(())
}

fn floor(args: &Args) -> Result<(), String> {
    if args.pin {
        child::pin(1..2)?;
    }
    for _ in 0..args.repeats.max(1) {
        println!("{} calls: the kernel's part {:.2} ms/call-s", args.calls, floor::run(args)?);
    }
    Ok(())
}

fn runs(args: &Args) -> Result<Vec<Run>, String> {
    if args.pin && args.workers == 1 {
        child::pin(1..2)?;
    }
    let mut runs = Vec::new();
    for repeat in 0..args.repeats.max(1) {
        let run = one_run(args)?;
        if !args.json {
            eprintln!("run {}/{}: {run}", repeat + 1, args.repeats.max(1));
        }
        runs.push(run);
    }
    Ok(runs)
}

fn one_run(args: &Args) -> Result<Run, String> {
    let (start, barge_in) = (Instant::now(), Arc::default());
    let service = service::Service::start(args.tls, args.audio == "g711", start, Arc::clone(&barge_in))?;
    let server = child::Child::start(args, &service.url)?;
    let sip = server.address.parse().map_err(|e| format!("{}: {e}", server.address))?;
    let mut generator = generator::Generator::start(args, sip, start, Arc::clone(&barge_in))?;
    // One call first, so that what the process needs once is not counted as the cost of a call.
    generator.place(1)?;
    let before = measure::Process::read(server.pid())?;
    generator.place(args.calls)?;
    std::thread::sleep(Duration::from_secs(1));
    let flood = match args.flood {
        0 => None,
        per_second => generator.give_up_first().map(|target| flood::Flood::start(target, per_second)).transpose()?,
    };
    generator.begin_window();
    let first = measure::Process::read(server.pid())?;
    std::thread::sleep(Duration::from_secs(args.seconds));
    let last = measure::Process::read(server.pid())?;
    let heard = generator.end_window();
    if let Some(flood) = flood {
        eprintln!("the flood: {} packets a second", flood.stop());
    }
    barge_in.running.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(args.barge_in_seconds));
    barge_in.running.store(false, Ordering::Relaxed);
    generator.hang_up()?;
    server.stop()?;
    Ok(Run::of(args, before, first, last, heard, service.stop()))
}
