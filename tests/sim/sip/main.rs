//! The SIP user agent in virtual time: no sockets, no sleeps.
//!
//! One user agent against messages written by hand, exact times: `transactions`, `callee`, `caller`, `dialogs`, `reinvites`, `rfc5407`,
//! `transfer`, `session_timer`, `reliable`, `replacing`, `referred`, `capabilities`, `calling`, `journal`.
//! `requests`: ours outside of dialogs. `tries`: random answers to ours. `registering`: the registration machine against a scripted registrar. `resolving`: RFC 3263
//! against scripted zones.
//! `collisions`: names chosen by an attacker. `torture`: RFC 4475 at the user agent. `network`: two user agents joined by a bad network, many seeds. `programs`: random
//! programs of messages, time and commands; nothing may stay and nothing may happen twice. `hour`: a call of an hour
//! with session timer. `flows`: golden traces of RFC 3665 and RFC 5359.

mod callee;
mod caller;
mod calling;
mod capabilities;
mod collisions;
mod dialogs;
mod flows;
mod hour;
mod journal;
mod kit;
mod network;
mod programs;
mod referred;
mod registering;
mod reinvites;
mod reliable;
mod replacing;
mod requests;
mod resolving;
mod rfc5407;
mod session_timer;
mod torture;
mod transactions;
mod transfer;
mod tries;
