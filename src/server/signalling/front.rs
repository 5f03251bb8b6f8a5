//! What happens to a message before the user agent sees it: gate, keepalives, parsing.
//!
//! In: [`SipInput`]s of the transport. Out: requests and responses given to the user agent with their trunk.

use super::super::gate::{Dropped, Gate, Share};
use super::Signalling;
use super::transport::{Arrival, Came, SipInput};
use crate::config::settings::Settings;
use crate::net::clock;
use crate::sip::TrunkId;
use crate::sip::message::Message;
use std::net::SocketAddr;
use std::time::Instant;

/// Datagrams taken in one turn of the loop.
const BATCH: usize = 64;

/// The state before the user agent.
pub struct Front {
    gate: Gate,
    /// Messages and connections of nobody we know.
    foreign: u64,
}

impl Front {
    pub fn new(now: Instant, settings: &Settings) -> Front {
        let share = Share { networks: settings.sip.peers.clone(), calls_per_second: settings.limits.calls_per_second };
        Front { gate: Gate::new(now, vec![share], false), foreign: 0 }
    }

    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    fn dropped(&mut self, why: Dropped, source: SocketAddr, notes: &super::Notes) -> bool {
        match why {
            Dropped::Foreign => {
                self.foreign += 1;
                notes.foreign(source);
            }
            Dropped::Rate => notes.too_fast(source),
        }
        false
    }
}

impl Signalling {
    pub(super) fn input(&mut self, input: SipInput) {
        let now = clock::now();
        if let SipInput::Datagrams(socket) = input {
            return self.datagrams(now, socket);
        }
        let (front, notes) = (&mut self.front, &self.parts.notes);
        let admit = |source: SocketAddr| match front.gate.may_connect(now, source.ip()) {
            Ok(()) => true,
            Err(why) => front.dropped(why, source, notes),
        };
        let came = self.parts.transport.handle(now, input, &mut self.parts.user_agent, admit);
        // Pongs and lost flows are for registrations; the user agent has been told of the latter.
        let Some(Came::Message(arrival)) = came else { return };
        match self.front.gate.admit(now, arrival.flow.remote.ip(), &arrival.bytes) {
            Ok(()) => self.arrived(now, arrival),
            Err(why) => drop(self.front.dropped(why, arrival.flow.remote, &self.parts.notes)),
        }
    }

    fn datagrams(&mut self, now: Instant, socket: usize) {
        for _ in 0..BATCH {
            let (front, notes) = (&mut self.front, &self.parts.notes);
            let admit = |source: SocketAddr, bytes: &[u8]| match front.gate.admit(now, source.ip(), bytes) {
                Ok(()) => true,
                Err(why) => front.dropped(why, source, notes),
            };
            match self.parts.transport.datagram(socket, admit) {
                Some(Some(arrival)) => self.arrived(now, arrival),
                // A keepalive, or a lot was thrown away: the others' turn.
                Some(None) | None => return,
            }
        }
    }

    fn arrived(&mut self, now: Instant, arrival: Arrival) {
        let message = Message::parse(arrival.bytes, arrival.framing);
        self.parts.user_agent.handle_message(now, arrival.flow, Some(TrunkId(0)), message);
        // Before the next one is judged: the calls that this one began or ended count.
        self.drain();
    }
}
