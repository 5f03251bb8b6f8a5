//! `voxtrunk demo`.

use super::exit;
use std::process::ExitCode;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(_args: Args) -> ExitCode {
    eprintln!("voxtrunk demo: not in this build");
    exit::code(exit::FAILURE)
}
