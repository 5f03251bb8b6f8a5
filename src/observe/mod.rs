//! Records: log events, metrics, call detail records, and `Pii`.

pub mod cdr;
pub mod metrics;
pub mod pii;
