//! INVITE server transaction (RFC 3261 figure 7 with RFC 6026 §8.5 Accepted).

use super::Action::{self, Fail, Send, Start, Stop, Terminate};
use crate::sip::timers::{Timer, Times};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerInvite {
    Proceeding,
    /// `g` is the running interval of timer G.
    Completed {
        g: Duration,
    },
    Confirmed,
    /// A 2xx was sent: INVITE copies are absorbed; the core repeats the 2xx.
    Accepted,
    Terminated,
}

impl ServerInvite {
    /// A response of the core. `false`: the state takes no response any more.
    pub fn respond(&mut self, times: &Times, reliable: bool, status: u16, out: &mut Vec<Action>) -> bool {
        use ServerInvite::*;
        if *self != Proceeding {
            return false;
        }
        out.push(Send);
        match status {
            100..=199 => {}
            200..=299 => {
                out.push(Start(Timer::L, times.t1_64()));
                *self = Accepted;
            }
            _ => {
                if !reliable {
                    out.push(Start(Timer::G, times.t1));
                }
                out.push(Start(Timer::H, times.t1_64()));
                *self = Completed { g: times.t1 };
            }
        }
        true
    }

    /// A copy of the INVITE.
    pub fn request(&mut self, out: &mut Vec<Action>) {
        use ServerInvite::*;
        match self {
            Proceeding | Completed { .. } => out.push(Send),
            Confirmed | Accepted | Terminated => {}
        }
    }

    /// An ACK with our branch. `false`: it acknowledges a 2xx and belongs to the core.
    pub fn ack(&mut self, times: &Times, reliable: bool, out: &mut Vec<Action>) -> bool {
        use ServerInvite::*;
        match self {
            Completed { .. } => {
                out.extend([Stop(Timer::G), Stop(Timer::H)]);
                if reliable {
                    *self = Terminated;
                    out.push(Terminate);
                } else {
                    out.push(Start(Timer::I, times.t4));
                    *self = Confirmed;
                }
                true
            }
            Confirmed | Terminated => true,
            Proceeding | Accepted => false,
        }
    }

    pub fn timer(&mut self, times: &Times, timer: Timer, out: &mut Vec<Action>) {
        use ServerInvite::*;
        match (*self, timer) {
            (Completed { g }, Timer::G) => {
                let g = (g * 2).min(times.t2);
                out.extend([Send, Start(Timer::G, g)]);
                *self = Completed { g };
            }
            (Completed { .. }, Timer::H) => {
                *self = Terminated;
                out.extend([Fail(408), Terminate]);
            }
            (Confirmed, Timer::I) | (Accepted, Timer::L) => {
                *self = Terminated;
                out.push(Terminate);
            }
            _ => {}
        }
    }

    pub fn transport_error(&mut self, out: &mut Vec<Action>) {
        use ServerInvite::*;
        match self {
            Proceeding | Completed { .. } => {
                *self = Terminated;
                out.extend([Fail(503), Terminate]);
            }
            // RFC 6026 §8.5: the core goes on repeating its 2xx; nothing is sent from Confirmed.
            Confirmed | Accepted | Terminated => {}
        }
    }
}
