//! The built-in test phone: a user agent client on the same `sip` and `rtp` layers as the server.
//!
//! `machine` is pure: SIP and RTP datagrams and `now` in; datagrams, [`PhoneEvent`]s and at the end one [`Report`] out.
//! `script` says what the caller does (speak, press keys, hold, interrupt), `activity` hears when the agent speaks,
//! `tracks` keeps both sides on one clock for the WAV file, `report` measures. `run` is the thin shell; `route`
//! finds where the target is (RFC 3263), `wire` is its UDP socket or its TCP or TLS connection.

pub mod activity;
pub mod machine;
pub mod report;
mod route;
pub mod run;
pub mod script;
pub mod tracks;
mod wire;

pub use machine::{Phone, PhoneEvent};
pub use report::Report;
pub use run::{CallOptions, Heard, place_call};
pub use script::Step;
