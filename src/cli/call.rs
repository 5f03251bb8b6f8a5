//! `voxtrunk call`.

use super::exit;
use std::process::ExitCode;

/// Arguments of `call`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(_args: Args) -> ExitCode {
    eprintln!("voxtrunk call: not in this build");
    exit::code(exit::FAILURE)
}
