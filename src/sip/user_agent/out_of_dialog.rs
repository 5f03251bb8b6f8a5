//! Requests of ours outside of dialogs (REGISTER, OPTIONS): written for each flow they try, challenges answered, one end each.
//!
//! The next flow is tried, with a new branch, after a time-out, a transport error or a 503 (RFC 3263 §4.3). Every try is a new request of
//! the same Call-ID with a higher CSeq, so that a registrar takes a second one for newer (RFC 3261 §10.3).

use super::core::Core;
use super::types::{NewRequest, UaEvent};
use super::way::Way;
use crate::sip::Flow;
use crate::sip::digest::client::Answered;
use crate::sip::headers::Name;
use crate::sip::message::{Builder, Message, Method};
use crate::sip::transaction::{Purpose, Sent};
use crate::sip::user_agent::SessionId;
use std::collections::HashMap;
use std::time::Instant;

/// Most requests under way; one beyond fails at once.
const MOST_OPEN: usize = 1024;

/// The requests under way, by their number.
#[derive(Debug, Default)]
pub(super) struct Requests {
    open: HashMap<u64, Open>,
    serial: u64,
}

#[derive(Debug)]
struct Open {
    new: NewRequest,
    way: Way,
    call_id: String,
    from_tag: String,
    cseq: u32,
    answered: Answered,
    /// Authorization lines so far; for another flow they are answered anew.
    authorization: Vec<(Name, String)>,
}

impl Requests {
    pub fn len(&self) -> usize {
        self.open.len()
    }

    pub fn send(&mut self, core: &mut Core, now: Instant, new: NewRequest) {
        let way = Way::new(core, now, new.trunk, &new.flows).filter(|_| self.open.len() < MOST_OPEN);
        let Some(way) = way else {
            if let Some(flow) = new.flows.first().copied() {
                core.event(UaEvent::Response { id: new.id, flow, status: 503, message: None });
            }
            return;
        };
        self.serial += 1;
        let call_id = new.call_id.clone().unwrap_or_else(|| core.random.token() + &core.random.token());
        let cseq = new.cseq.unwrap_or_else(|| core.random.cseq());
        let (from_tag, answered) = (core.random.token(), Answered::default());
        let mut open = Open { new, way, call_id, from_tag, cseq, answered, authorization: Vec::new() };
        open.transmit(core, now, self.serial);
        self.open.insert(self.serial, open);
    }

    pub fn response(
        &mut self,
        core: &mut Core,
        now: Instant,
        serial: u64,
        (flow, message): (Flow, &Message),
        sent: &Sent,
    ) {
        let (Some(status @ 200..), Some(open)) = (message.status(), self.open.get_mut(&serial)) else { return };
        let again = match status {
            401 | 407 => open.authorize(core, message, sent),
            503 => {
                core.note_busy(now, sent.flow, message);
                open.next(true)
            }
            _ => false,
        };
        if again {
            open.cseq += 1;
            return open.transmit(core, now, serial);
        }
        self.end(core, serial, flow, status, Some(message.clone()));
    }

    /// No final response: 408 or 503.
    pub fn failed(&mut self, core: &mut Core, now: Instant, serial: u64, status: u16) {
        let Some(open) = self.open.get_mut(&serial) else { return };
        if open.next(false) {
            open.cseq += 1;
            return open.transmit(core, now, serial);
        }
        let flow = open.way.flow();
        self.end(core, serial, flow, status, None);
    }

    fn end(&mut self, core: &mut Core, serial: u64, flow: Flow, status: u16, message: Option<Message>) {
        if let Some(open) = self.open.remove(&serial) {
            core.event(UaEvent::Response { id: open.new.id, flow, status, message });
        }
    }
}

impl Open {
    /// Answers the challenge, once, if it is ours to answer.
    fn authorize(&mut self, core: &mut Core, message: &Message, sent: &Sent) -> bool {
        let lines = core.authorize(self.new.trunk, &self.way.hosts, &mut self.answered, message, sent);
        lines.map(|lines| self.authorization = lines).is_some()
    }

    /// Another server knows nothing of the nonces of the last.
    fn next(&mut self, busy: bool) -> bool {
        self.answered = Answered::default();
        self.authorization.clear();
        self.way.next(busy)
    }

    fn transmit(&mut self, core: &mut Core, now: Instant, serial: u64) {
        let (mut branch, mut request) = self.write(core);
        if self.way.fit(core, self.new.trunk, request.as_bytes().len()) {
            (branch, request) = self.write(core);
        }
        let flow = self.way.flow();
        core.store.start(&mut core.io, now, flow, branch, request, SessionId(serial), Purpose::Standalone);
    }

    fn write(&self, core: &mut Core) -> (String, Message) {
        let NewRequest { trunk, method, request_uri, from, to, headers, body, .. } = &self.new;
        let flow = self.way.flow();
        let has = |name: &Name| headers.iter().any(|(other, _)| other == name);
        let (branch, via) = core.via(*trunk, flow);
        let mut request = Builder::request(method, request_uri.as_str()).header(Name::Via, via);
        if !has(&Name::MaxForwards) {
            request = request.header(Name::MaxForwards, "70");
        }
        // A registration finds its own way (RFC 3608 §5).
        if *method != Method::Register {
            request = core.routed(*trunk, request);
        }
        request = request
            .header(Name::From, format!("{from};tag={}", self.from_tag))
            .header(Name::To, to)
            .header(Name::CallId, &self.call_id)
            .header(Name::CSeq, format!("{} {}", self.cseq, method.as_str()));
        if !has(&Name::Contact) {
            request = request.header(Name::Contact, core.contact(*trunk, flow));
        }
        if !has(&Name::Allow) {
            request = request.header(Name::Allow, core.allow(*trunk));
        }
        for (name, value) in headers.iter().chain(&self.authorization) {
            request = request.header(name.clone(), value);
        }
        if let Some((content_type, body)) = body {
            request = request.body(content_type, body.clone());
        }
        (branch, request.build())
    }
}
