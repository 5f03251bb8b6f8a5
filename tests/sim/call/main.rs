//! The call machine in virtual time: no sockets, no clock. A scripted Realtime service speaks both dialects, a scripted
//! peer sends and collects RTP; `world` steps 5 ms at a time, as the media worker does.

mod attended;
mod barge_in;
mod bridge;
mod echo;
mod echo_lines;
mod faults;
mod fuzz;
mod hold;
mod hour;
mod keys;
mod latency;
mod legs_fuzz;
mod limits;
mod long;
mod moved;
mod network;
mod one_way;
mod peer;
mod reports;
mod second_leg;
mod service;
mod setup;
mod signalling;
mod speech;
mod spray;
mod srtp;
#[path = "../../talking/mod.rs"]
mod talking;
mod tools;
mod transfer;
mod wideband;
mod world;

use latency::peer;
