//! The documents say what is: docs/conformance.md against the tests, README's commands against the command line.

mod commands;
mod conformance;
mod layers;
