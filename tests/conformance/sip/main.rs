//! Conformance of the SIP message layer and of offer/answer, through the public API.
//!
//! `torture`: RFC 4475 and RFC 5118 with a pinned outcome per file. `rules`: one test per requirement of parsing.
//! `build`: what we write. `sdp_rules`: offer/answer; `srtp_rules`: the same for SRTP keys. `differential`: the same values as two other parsers read.
//! `linear`: cost of the worst inputs, which are in `worst`. `fuzz` and `mutation`: no panic from any bytes, in bounded time.

mod build;
mod differential;
mod fuzz;
mod linear;
mod mutation;
mod rules;
mod sdp_rtcp;
mod sdp_rules;
mod srtp_rules;
mod support;
mod torture;
mod worst;
