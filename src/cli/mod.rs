//! The commands. One file a command; this file parses arguments and picks one.
//!
//! Each command file has `Args` (what clap reads) and `run(args) -> ExitCode`. Texts that others may want to see or test
//! (`check`, `explain`) are made by library functions that return them.

pub mod call;
pub mod check;
pub mod demo;
pub mod exit;
pub mod explain;
pub mod health;
pub mod realtime_sim;
pub mod serve;
mod table;
pub mod trunks;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "voxtrunk",
    version,
    about = "Answers phone calls with a Realtime voice agent: SIP and RTP on one side, one Realtime session per call on the other.",
    after_help = exit::HELP,
    subcommand_required = true,
    arg_required_else_help = true,
    propagate_version = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order a new user meets them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Hear it work: server, embedded Realtime server and a test phone in one process, no key and no network needed.
    Demo(demo::Args),
    /// Check settings and dialplans: every problem at once, or a table of what is served by what.
    Check(check::Args),
    /// Show which dialplan serves a number and why, and what the model is given.
    Explain(explain::Args),
    /// Run the server.
    Serve(serve::Args),
    /// Call a SIP URI with the built-in test phone: WAV in, WAV out, digits.
    Call(call::Args),
    /// Ask a running server whether it is well (exit code 0 = yes).
    Health(health::Args),
    /// Show what the trunks of a running server are doing: registration, targets, calls, what is wrong.
    Trunks(trunks::Args),
    /// Run the embedded Realtime server by itself, for tests of any Realtime client.
    RealtimeSim(realtime_sim::Args),
}

/// Entry point of the binary.
pub fn main() -> ExitCode {
    run(Cli::parse())
}

/// Runs one parsed command line.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Check(args) => check::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Call(args) => call::run(args),
        Command::Health(args) => health::run(args),
        Command::Trunks(args) => trunks::run(args),
        Command::RealtimeSim(args) => realtime_sim::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_help_text() {
        for sub in Cli::command().get_subcommands() {
            assert!(sub.get_about().is_some(), "{} has no help", sub.get_name());
        }
    }
}
