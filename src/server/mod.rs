//! The server: signalling task, media workers, admission, shutdown. The only place that spawns.
