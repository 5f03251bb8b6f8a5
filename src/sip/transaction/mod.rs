//! Transactions (RFC 3261 §17, RFC 6026): four machines, one enum each as in the figures, and the store that runs them.
//!
//! A machine takes an input and writes [`Action`]s; it knows no bytes. `key` finds the transaction of a message (§17.1.3, §17.2.3);
//! `store` owns requests and responses, carries the actions out and tells the core by [`Notice`]s.

mod client;
mod client_invite;
mod key;
mod server;
mod server_invite;
mod store;

pub(crate) use key::{ServerKey, reply_flow};
pub(crate) use store::{Io, MergeKey, Notice, Purpose, Sent, Store};

use super::timers::Timer;
use std::time::Duration;

/// What a machine asks of the store, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send the request (client) or the last response (server), first time or again.
    Send,
    /// Client: send the ACK of a non-2xx final response.
    Ack,
    /// Client: give the response to the core.
    PassUp,
    Start(Timer, Duration),
    Stop(Timer),
    /// Tell the core that no final response comes: 408 for a time-out, 503 for a transport failure (§8.1.3.1); for a server
    /// transaction that the ACK did not come or the response could not be sent.
    Fail(u16),
    /// The transaction is over; stop its timers and forget it.
    Terminate,
}
