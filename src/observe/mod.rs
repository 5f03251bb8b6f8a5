//! Records: log events, metrics, call detail records, and `Pii`.
//!
//! `events`: one call event = one log line + one metric. `log`: logging set-up. `metrics`: what is counted. `http`: where it
//! is read. `cdr`: what stays of a call. `records`: the thread that writes CDRs and transcripts. `trunks`: what trunks are doing. `pii`: caller data, masked.

pub mod cdr;
pub mod events;
pub mod http;
pub mod log;
pub mod metrics;
pub mod pii;
pub mod records;
pub mod trunks;

pub use events::note;
