//! Many mixed calls with random faults against the server's pure half, in virtual time (TXN-12, OVL-08).
//!
//! The server's side is the real `UserAgent` and the real `Call` machines behind the real admission, with a model of RTP ports and of
//! the Realtime service. The far side is five sites of user agents, each behind a network of its own: clear, lossy, duplicating and
//! reordering, TCP, TLS. Peers crash, connections break, callers vanish, hold, transfer, press keys, hang up in any moment.
//! At the end nothing may be left, and every INVITE must have exactly one record.
//!
//! `VOXTRUNK_SIM_CALLS=100000` for the whole run (build it with `--release`), `VOXTRUNK_SIM_SEED` to repeat one.

mod agenda;
mod judge;
mod net;
#[path = "../../support/call_params.rs"]
mod params;
mod server;
mod site;
mod world;

#[expect(dead_code, reason = "shared with the simulation of one call, which uses more of it")]
#[path = "../call/peer.rs"]
mod peer;
#[expect(dead_code, reason = "shared with the simulation of one call, which uses more of it")]
#[path = "../call/service.rs"]
mod service;
