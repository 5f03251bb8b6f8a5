//! RTP, pure (RFC 3550, 3551, 4733): datagrams and `now` in; frames, digits and packets out.
//!
//! `packet` is the door of crate rtp-rs. `receiver` = `source` policy + SSRC + `reorder` and its `patience` + RFC 4733 + `stats`; `sender` = sequence,
//! timestamp, marker; `dtmf` = the events of RFC 4733; `srtp` = what protects packets; `session` = all of it for one peer.
//! Knows nothing of SDP or G.711: payload types come in as numbers, payloads leave as bytes.

pub mod dtmf;
pub mod packet;
mod patience;
mod protection;
pub mod receiver;
mod reorder;
pub mod sender;
pub mod session;
mod source;
pub mod srtp;
mod stats;
