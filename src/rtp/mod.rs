//! RTP, pure (RFC 3550, 3551, 4733): datagrams and `now` in; frames, digits and packets out.
//!
//! `packet` is the door of crate rtp-rs. `receiver` = source policy + SSRC + reorder + RFC 4733; `sender` = sequence,
//! timestamp, marker; `dtmf` = both directions of RFC 4733.
//! Knows nothing of SDP or G.711: payload types come in as numbers, payloads leave as bytes.

pub mod receiver;
pub mod sender;
