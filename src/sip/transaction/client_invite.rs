//! INVITE client transaction (RFC 3261 figure 5 with RFC 6026 §8.4 Accepted).

use super::Action::{self, Ack, Fail, PassUp, Send, Start, Stop, Terminate};
use crate::sip::timers::{Timer, Times};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientInvite {
    /// `a` is the running interval of timer A.
    Calling {
        a: Duration,
    },
    Proceeding,
    Completed,
    Accepted,
    Terminated,
}

impl ClientInvite {
    pub fn start(times: &Times, reliable: bool, out: &mut Vec<Action>) -> ClientInvite {
        out.push(Send);
        if !reliable {
            out.push(Start(Timer::A, times.t1));
        }
        out.push(Start(Timer::B, times.t1_64()));
        ClientInvite::Calling { a: times.t1 }
    }

    pub fn response(&mut self, times: &Times, reliable: bool, status: u16, out: &mut Vec<Action>) {
        use ClientInvite::*;
        match (*self, status) {
            (Calling { .. }, 100..=199) => {
                out.extend([Stop(Timer::A), Stop(Timer::B), PassUp]);
                *self = Proceeding;
            }
            (Proceeding, 100..=199) => out.push(PassUp),
            (Calling { .. } | Proceeding, 200..=299) => {
                out.extend([Stop(Timer::A), Stop(Timer::B), Start(Timer::M, times.t1_64()), PassUp]);
                *self = Accepted;
            }
            (Calling { .. } | Proceeding, _) => {
                out.extend([Stop(Timer::A), Stop(Timer::B), Ack, PassUp]);
                if reliable {
                    *self = Terminated;
                    out.push(Terminate);
                } else {
                    // D is at least 32 s (table 4).
                    out.push(Start(Timer::D, times.t1_64()));
                    *self = Completed;
                }
            }
            (Completed, 300..) => out.push(Ack),
            (Accepted, 200..=299) => out.push(PassUp),
            // A provisional or 2xx after the non-2xx final, anything but 2xx after a 2xx.
            (Completed | Accepted | Terminated, _) => {}
        }
    }

    pub fn timer(&mut self, timer: Timer, out: &mut Vec<Action>) {
        use ClientInvite::*;
        match (*self, timer) {
            (Calling { a }, Timer::A) => {
                let a = a * 2;
                out.extend([Send, Start(Timer::A, a)]);
                *self = Calling { a };
            }
            (Calling { .. }, Timer::B) => self.fail(408, out),
            (Completed, Timer::D) | (Accepted, Timer::M) => {
                *self = Terminated;
                out.push(Terminate);
            }
            _ => {}
        }
    }

    /// In Proceeding nothing is sent, but a closed connection brings no final response either.
    pub fn transport_error(&mut self, out: &mut Vec<Action>) {
        use ClientInvite::*;
        match self {
            Calling { .. } | Proceeding => self.fail(503, out),
            Completed => {
                *self = Terminated;
                out.push(Terminate);
            }
            Accepted | Terminated => {}
        }
    }

    fn fail(&mut self, status: u16, out: &mut Vec<Action>) {
        *self = ClientInvite::Terminated;
        out.extend([Fail(status), Terminate]);
    }
}
