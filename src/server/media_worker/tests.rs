//! Tests of the worker: filled in below the loop.
