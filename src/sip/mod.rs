//! SIP, pure: bytes and `now` in, bytes, events and deadlines out (RFC 3261, 6026, 3264, 3515, 3581, 4320).
//!
//! In: datagrams and stream frames with the [`Flow`] they came by, [`user_agent::UaCommand`]s.
//! Out: [`user_agent::UaOutput`]. No sockets, no clock, no hidden randomness (the RNG is a seed in [`user_agent::UaConfig`]).
//!
//! `message`, `headers`, `uri`, `framing`: our own lexer and lossless message. `sdp`, `offer_answer`: over sdp-types.
//! `timers`, `transaction/`, `dialog`, `invite_session`, `user_agent`: the state machines.

use std::net::SocketAddr;

mod address;
mod audio_formats;
pub mod builder;
mod crypto_attribute;
mod dialog;
pub mod digest;
pub mod framing;
pub mod headers;
mod invite_session;
pub mod lexer;
pub mod message;
mod method;
mod multipart;
mod names;
pub mod offer_answer;
mod random;
pub mod refer;
pub mod registration;
pub mod replaces;
pub mod resolve;
pub mod sdp;
pub mod session_timer;
mod timers;
mod transaction;
pub mod uri;
mod uri_compare;
pub mod user_agent;
mod validate;
mod via;

/// The transport a message came by or goes by (Via `transport`, RFC 3261 §18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    /// Whether the transport delivers by itself: timers A, E, G do not run and D, I, J, K are zero (RFC 3261 §17).
    pub fn is_reliable(self) -> bool {
        !matches!(self, Transport::Udp)
    }

    /// The token of the Via header.
    pub fn via_token(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }
}

/// A trunk of the settings by its place in the list; the list does not change while the server runs. What a trunk is to the user
/// agent stands in [`user_agent::UaTrunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrunkId(pub u16);

/// Where a message came from or goes to: one UDP 4-tuple or one stream connection.
///
/// `conn` is 0 for UDP and for a stream that has not been opened yet; else the connection's number given by `net`.
/// A `Transmit` on a stream flow whose `conn` is gone makes `net` open a new connection to `remote`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    pub transport: Transport,
    /// The local socket address (bind address, as the kernel knows it).
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub conn: u64,
}
