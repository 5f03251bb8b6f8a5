//! voxtrunk: a SIP telephony voice-agent server.
//!
//! The map (who may use whom; see ARCHITECTURE.md for the invariants):
//!
//! | module | kind | role |
//! |---|---|---|
//! | [`sip`] | pure | messages, transactions, dialogs, offer/answer, one `UserAgent` for both roles |
//! | [`rtp`] | pure | packets, source policy, reorder, RFC 4733 both ways, sender |
//! | [`audio`] | pure | codecs, the line's rate ↔ 24 k, concealment, play-out queue with the heard-ledger, WAV |
//! | [`realtime`] | pure | neutral intents and agent events over the `ga` and `preview` dialects |
//! | [`tools`] | pure + I/O | what the model may do: policy (pure) and one file a kind |
//! | [`call`] | pure | joins the four above into one call |
//! | [`cidr`] | pure | IP networks, for the settings and for the protocol code |
//! | [`codec`] | pure | audio codecs: names, clocks, rates; known to `sip`, `rtp` and `audio` |
//! | [`config`] | policy | settings, dialplan files, the book of numbers, secrets |
//! | [`net`] | I/O | the only place with sockets and the clock |
//! | [`server`] | tasks | the only place that spawns: signalling, media workers, admission, shutdown |
//! | [`observe`] | records | events, metrics, CDR, `Pii` |
//! | [`realtime_sim`] | I/O | the embedded Realtime server |
//! | [`phone`] | I/O | the built-in test phone |
//! | [`cli`] | | the commands |
//!
//! `server → net, call, sip, config, tools, observe`; `call → rtp, audio, realtime, tools, sip (types)`;
//! `sip`, `rtp`, `audio`, `realtime` know nothing of each other (`rtp → audio::pcm` for sizes).
#![forbid(unsafe_code)]

pub mod audio;
pub mod base64;
pub mod call;
pub mod cidr;
pub mod cli;
pub mod codec;
pub mod config;
pub mod net;
pub mod observe;
pub mod phone;
pub mod realtime;
pub mod realtime_sim;
pub mod rtp;
pub mod server;
pub mod sip;
pub mod srtp_key;
pub mod tools;
pub mod trunk;
