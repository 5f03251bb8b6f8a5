//! Calls with peers nobody here wrote: sipp, baresip and Kamailio (Debian), PJSIP (PyPI), judged by signalling and by recorded audio.
//!
//! Each test starts the program as a user would (`voxtrunk serve --config …`) on free loopback ports. A missing peer skips
//! the test with a line that says so, unless `VOXTRUNK_INTEROP` is set: then it fails.

#![allow(clippy::disallowed_methods, reason = "a test is its own world: it has sockets and a clock")]

mod baresip;
mod baresip_transfers;
mod hearing;
mod kamailio;
mod openssl;
mod pjsip;
mod quality;
mod relay;
mod reports;
mod sipp;
mod srtp;
mod support;
mod transfers;
mod wideband;
