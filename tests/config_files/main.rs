//! Configuration files as operators write them: what loads, what is refused and how, and that the documents are true.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod book;
mod commands;
mod dialplans;
mod documents;
mod mutations;
mod profiles;
mod settings;
mod srtp;
mod trunks;
mod world;
