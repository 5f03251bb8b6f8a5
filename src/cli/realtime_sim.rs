//! `voxtrunk realtime-sim`.

use super::exit;
use std::process::ExitCode;

/// Arguments of `realtime-sim`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(_args: Args) -> ExitCode {
    eprintln!("voxtrunk realtime-sim: not in this build");
    exit::code(exit::FAILURE)
}
