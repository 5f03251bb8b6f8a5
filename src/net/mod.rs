//! I/O: the only place with sockets and the clock.

pub mod clock;
