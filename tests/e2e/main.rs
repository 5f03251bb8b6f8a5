//! The whole server over loopback: real sockets, a raw caller, the embedded Realtime server.
//!
//! Each test has its own server on a free port of its own 127.x address, so any number of them, and any number of copies
//! of this program, run at once.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test is its own world: it has sockets and a clock"
)]

mod addressing;
mod answering;
mod attended;
mod by_name;
mod callee;
mod caller;
mod certificates;
mod crashing;
mod digits;
mod failing;
mod flooding;
mod interrupting;
mod leaking;
mod limiting;
mod media_attacks;
mod operating;
mod pacing;
mod peer;
mod registering;
mod reports;
mod securing;
mod srtp;
mod torture;
mod transports;
mod trunks;
mod wall_clock;
mod world;
