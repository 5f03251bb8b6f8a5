//! `voxtrunk serve`.

use super::exit;
use std::process::ExitCode;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(_args: Args) -> ExitCode {
    eprintln!("voxtrunk serve: not in this build");
    exit::code(exit::FAILURE)
}
