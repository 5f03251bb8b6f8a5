//! A10: the cost of the worst input grows in proportion to it.
//!
//! Each input of `worst` is built at 16 KiB and at 64 KiB; the CPU time of the larger must stay below five times that of the smaller.
//! Quadratic work would be sixteen times. `benches/parse.rs` measures the same inputs against the limit of a millisecond.

use crate::worst::{inputs, least_time};
use bytes::Bytes;
use std::time::Duration;

/// Below this a ratio says nothing: an unoptimised build on a busy machine.
const NOISE: Duration = Duration::from_micros(400);

/// A10, PAR-06, PAR-12, SDP-16: every parser, each with its worst inputs.
#[test]
fn four_times_the_input_takes_about_four_times_as_long() {
    let mut slow = Vec::new();
    for (small, large) in inputs(16 * 1024).into_iter().zip(inputs(64 * 1024)) {
        let (parser, name) = (large.parser, large.name);
        assert!(large.bytes.len() <= 64 * 1024 && small.bytes.len() <= large.bytes.len(), "{parser:?} {name}");
        let (small, large) = (Bytes::from(small.bytes), Bytes::from(large.bytes));
        let mut seen = Vec::new();
        // The machine may be busy with other things: one good pair of four decides.
        let good = (0..4).any(|_| {
            let pair = (least_time(parser, &small, 3), least_time(parser, &large, 3));
            seen.push(pair);
            pair.1 <= pair.0 * 5 + NOISE
        });
        if !good {
            slow.push(format!("{parser:?}, {name}: {seen:?}"));
        }
    }
    assert!(slow.is_empty(), "more than in proportion: {slow:#?}");
}
