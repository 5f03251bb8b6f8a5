//! Non-INVITE client transaction (RFC 3261 figure 6).

use super::Action::{self, Fail, PassUp, Send, Start, Stop, Terminate};
use crate::sip::timers::{Timer, Times};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientNonInvite {
    /// `e` is the running interval of timer E.
    Trying {
        e: Duration,
    },
    Proceeding,
    Completed,
    Terminated,
}

impl ClientNonInvite {
    pub fn start(times: &Times, reliable: bool, out: &mut Vec<Action>) -> ClientNonInvite {
        out.push(Send);
        if !reliable {
            out.push(Start(Timer::E, times.t1));
        }
        out.push(Start(Timer::F, times.t1_64()));
        ClientNonInvite::Trying { e: times.t1 }
    }

    pub fn response(&mut self, times: &Times, reliable: bool, status: u16, out: &mut Vec<Action>) {
        use ClientNonInvite::*;
        match (*self, status) {
            (Trying { .. } | Proceeding, 100..=199) => {
                out.push(PassUp);
                *self = Proceeding;
            }
            (Trying { .. } | Proceeding, _) => {
                out.extend([Stop(Timer::E), Stop(Timer::F), PassUp]);
                if reliable {
                    *self = Terminated;
                    out.push(Terminate);
                } else {
                    out.push(Start(Timer::K, times.t4));
                    *self = Completed;
                }
            }
            (Completed | Terminated, _) => {}
        }
    }

    pub fn timer(&mut self, times: &Times, timer: Timer, out: &mut Vec<Action>) {
        use ClientNonInvite::*;
        match (*self, timer) {
            (Trying { e }, Timer::E) => {
                let e = (e * 2).min(times.t2);
                out.extend([Send, Start(Timer::E, e)]);
                *self = Trying { e };
            }
            (Proceeding, Timer::E) => out.extend([Send, Start(Timer::E, times.t2)]),
            (Trying { .. } | Proceeding, Timer::F) => self.fail(408, out),
            (Completed, Timer::K) => {
                *self = Terminated;
                out.push(Terminate);
            }
            _ => {}
        }
    }

    pub fn transport_error(&mut self, out: &mut Vec<Action>) {
        use ClientNonInvite::*;
        match self {
            Trying { .. } | Proceeding => self.fail(503, out),
            // The final response is here: nothing more is sent.
            Completed | Terminated => {}
        }
    }

    fn fail(&mut self, status: u16, out: &mut Vec<Action>) {
        *self = ClientNonInvite::Terminated;
        out.extend([Fail(status), Terminate]);
    }
}
