//! `voxtrunk realtime-sim`: the embedded Realtime server by itself, until a signal ends it.

use super::exit;
use crate::realtime_sim::Sim;
use crate::realtime_sim::scenario::Scenario;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `realtime-sim`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 picks a free one. It has no TLS: keep it on loopback or a trusted network.
    #[arg(long, short, default_value = "127.0.0.1:8765", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,
    /// Scenario file (TOML, see assets/scenarios/README.md). Without one: the built-in receptionist.
    #[arg(long, short, value_name = "FILE", conflicts_with = "echo")]
    pub scenario: Option<PathBuf>,
    /// Send every caller sample straight back instead, as one endless response.
    #[arg(long)]
    pub echo: bool,
    /// Write what each session hears to DIR/session-N.wav when it is over: what the model hears of your callers.
    #[arg(long, value_name = "DIR", conflicts_with = "echo")]
    pub record: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: Args) -> ExitCode {
    let scenario = match args.scenario.as_deref().map_or_else(Scenario::built_in, Scenario::load) {
        Ok(scenario) => scenario,
        Err(problems) => {
            eprintln!("{problems}");
            return exit::code(exit::USAGE);
        }
    };
    exit::block_on("realtime-sim", async {
        match serve(args, scenario).await {
            Ok(()) => exit::code(exit::OK),
            Err(error) => {
                eprintln!("{error}");
                exit::code(exit::FAILURE)
            }
        }
    })
}

async fn serve(args: Args, scenario: Scenario) -> Result<(), String> {
    let signals = |kind| signal(kind).map_err(|e| format!("cannot watch for signals: {e}"));
    let (mut term, mut int) = (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
    let sim = Sim::recording(args.listen, scenario, args.echo, args.record).await?;
    println!("realtime-sim: {} (GA; preview with the header `OpenAI-Beta: realtime=v1`)", sim.url());
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    sim.stop().await;
    Ok(())
}
