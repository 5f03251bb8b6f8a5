//! Non-INVITE server transaction (RFC 3261 figure 8, RFC 4320: no early 1xx, never 408).

use super::Action::{self, Fail, Send, Start, Terminate};
use crate::sip::timers::{Timer, Times};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerNonInvite {
    Trying,
    Completed,
    Terminated,
}

impl ServerNonInvite {
    /// A final response of the core. `false`: one was sent already.
    pub fn respond(&mut self, times: &Times, reliable: bool, out: &mut Vec<Action>) -> bool {
        if *self != ServerNonInvite::Trying {
            return false;
        }
        out.push(Send);
        if reliable {
            *self = ServerNonInvite::Terminated;
            out.push(Terminate);
        } else {
            out.push(Start(Timer::J, times.t1_64()));
            *self = ServerNonInvite::Completed;
        }
        true
    }

    /// A copy of the request.
    pub fn request(&mut self, out: &mut Vec<Action>) {
        if *self == ServerNonInvite::Completed {
            out.push(Send);
        }
    }

    pub fn timer(&mut self, timer: Timer, out: &mut Vec<Action>) {
        if (*self, timer) == (ServerNonInvite::Completed, Timer::J) {
            *self = ServerNonInvite::Terminated;
            out.push(Terminate);
        }
    }

    pub fn transport_error(&mut self, out: &mut Vec<Action>) {
        if *self != ServerNonInvite::Terminated {
            *self = ServerNonInvite::Terminated;
            out.extend([Fail(503), Terminate]);
        }
    }
}
