//! Exit codes, the same for every command.

use std::process::ExitCode;

/// Everything went as asked.
pub const OK: u8 = 0;
/// It started and then failed (a port is taken, a file cannot be written …).
pub const FAILURE: u8 = 1;
/// The command line or a configuration file is wrong; nothing was started. (clap itself exits with 2 as well.)
pub const USAGE: u8 = 2;
/// `call` and `demo`: the call was not answered, was cut, or did not do what was expected.
pub const CALL_FAILED: u8 = 3;

/// The table shown at the end of `--help`.
pub const HELP: &str = "\
Exit codes:
  0  done as asked
  1  failed while running (a port is taken, a file cannot be written ...)
  2  the command line or a configuration file is wrong; nothing was started
  3  the call failed (commands `call` and `demo`)

Try:
  voxtrunk demo                        hear a whole call, offline
  voxtrunk check                       check settings and dialplans, every problem at once
  voxtrunk explain +15551230001        which file serves a number, and what the model is given
  voxtrunk serve --config voxtrunk.toml";

/// `code` as the process's exit code.
pub fn code(code: u8) -> ExitCode {
    ExitCode::from(code)
}

/// Runs a command's asynchronous part on a runtime of its own.
pub fn block_on(command: &str, work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            eprintln!("voxtrunk {command}: cannot start: {error}");
            code(FAILURE)
        }
    }
}
