//! Prometheus metrics (door of crate prometheus-client).
