//! The `voxtrunk` binary: everything is in the library, see `voxtrunk::cli`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    voxtrunk::cli::main()
}
