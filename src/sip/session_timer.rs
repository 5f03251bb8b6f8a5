//! Session timers (RFC 4028): what both sides ask for, who refreshes, and when.

use std::time::Duration;

/// What a trunk wants of session timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerPolicy {
    pub mode: TimerMode,
    /// Session-Expires that we ask for where we ask.
    pub expires: Duration,
    /// Smallest that we take: 422 below. Never under 90 s.
    pub min_se: Duration,
    /// Whom we want to refresh, where it is ours to choose.
    pub refresher: Refresher,
}

impl Default for TimerPolicy {
    fn default() -> TimerPolicy {
        TimerPolicy {
            mode: TimerMode::Accept,
            expires: Duration::from_secs(1800),
            min_se: Duration::from_secs(90),
            refresher: Refresher::Peer,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerMode {
    /// Not in Supported; what is asked for is ignored.
    Off,
    /// Done when the peer asks for it.
    Accept,
    /// Asked for by us too, in 2xx (of a peer that supports it, or alone) and in our INVITEs.
    Offer,
}

/// Seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    Us,
    Peer,
}
