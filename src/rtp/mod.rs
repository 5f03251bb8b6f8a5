//! RTP, pure (RFC 3550, 3551, 4733): datagrams and `now` in; frames, digits and packets out.
//!
//! `packet` is the door of crate rtp-rs. `receiver` = `source` policy + SSRC + `reorder` and its `patience` + RFC 4733 + `stats`; `sender` = sequence,
//! timestamp, marker; `dtmf` = the events of RFC 4733; `srtp` = what protects packets; `rtcp` = reports both ways; `session` = all of it for
//! one peer, apart by `demux`. `quality` (by `loss` and `e_model`) judges a stream; `strangers` remembers who was refused.
//! Knows nothing of SDP or G.711: payload types come in as numbers, payloads leave as bytes.

mod demux;
mod doubt;
pub mod dtmf;
pub mod e_model;
pub mod loss;
pub mod packet;
mod patience;
mod protection;
pub mod quality;
pub mod receiver;
mod reorder;
pub mod rtcp;
pub mod sender;
pub mod session;
mod source;
pub mod srtp;
pub mod stats;
pub mod strangers;
