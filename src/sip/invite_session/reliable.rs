//! Reliable provisional responses, callee's side (RFC 3262 §3, §5): repeated until their PRACK, one at a time. EAR-01, EAR-02.
//!
//! The SDP of the first one that has any is our answer to the INVITE's offer, or our offer when the INVITE had none; a 2xx waits for its
//! PRACK. A PRACK may bring the answer, or a new offer, which the owner is asked about as if it came by UPDATE.

use super::{Phase, Session, sdp_body};
use crate::sip::Flow;
use crate::sip::headers::{Name, Reason};
use crate::sip::lexer;
use crate::sip::message::{Message, Method};
use crate::sip::timers::Timer;
use crate::sip::user_agent::core::Core;
use crate::sip::user_agent::{Reliable, SessionEnd};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Responses that wait for the PRACK of the one before; further ones are left out.
const MOST_QUEUED: usize = 4;

/// The reliable provisional responses to one INVITE.
#[derive(Debug, Default)]
pub(super) struct ReliableResponses {
    /// RSeq of the last one.
    rseq: Option<u32>,
    /// The one without PRACK.
    waiting: Option<Waiting>,
    queue: VecDeque<(u16, Option<Bytes>)>,
    /// The 2xx that waits.
    accept: Option<Bytes>,
    exchange: Exchange,
}

/// Offer and answer before the 2xx (RFC 3262 §5).
#[derive(Debug, Default)]
pub(super) enum Exchange {
    #[default]
    None,
    /// Our answer to the INVITE's offer was sent in a reliable response.
    Answered(Bytes),
    /// Our offer was; the PRACK has brought this answer.
    Offered(Option<Bytes>),
    /// A further offer of the peer was answered after that: the 2xx has no SDP.
    Renewed,
}

#[derive(Debug)]
struct Waiting {
    rseq: u32,
    /// CSeq of the INVITE.
    cseq: u32,
    flow: Flow,
    bytes: Bytes,
    /// Running interval of its repetition.
    interval: Duration,
    /// It carries SDP.
    sdp: bool,
}

/// RAck: RSeq, CSeq number and method of the response it acknowledges.
fn rack(request: &Message) -> Option<(u32, u32, Method)> {
    let value = request.raw_lines(&Name::RAck).next()?;
    let mut parts = value.split(|b| lexer::is_lws(*b)).filter(|part| !part.is_empty());
    let mut number = || u32::try_from(lexer::digits(parts.next()?)?).ok();
    let (rseq, cseq) = (number()?, number()?);
    Some((rseq, cseq, Method::from_bytes(parts.next()?)))
}

impl Session {
    /// Whether provisional responses to this INVITE are sent reliably, and whether they must be.
    fn reliably(&self, core: &Core, invite: &Message) -> (bool, bool) {
        let required = invite.has_token(&Name::Require, "100rel");
        let supported = invite.has_token(&Name::Supported, "100rel");
        match core.trunk(self.trunk).reliable {
            Reliable::Off => (false, false),
            Reliable::Supported => (required, required),
            Reliable::Preferred => (required || supported, required),
        }
    }

    /// Sends a provisional response reliably, or keeps it for its turn. `false`: it is to be sent the ordinary way.
    pub(super) fn reliable_provisional(
        &mut self,
        core: &mut Core,
        now: Instant,
        status: u16,
        sdp: Option<&Bytes>,
    ) -> bool {
        let (Phase::Incoming { invite, tx }, Some(dialog)) = (&self.phase, &self.dialog) else { return false };
        let (wanted, required) = self.reliably(core, invite);
        if !wanted || self.reliable.accept.is_some() {
            return wanted;
        }
        if self.reliable.waiting.is_some() {
            if self.reliable.queue.len() < MOST_QUEUED {
                self.reliable.queue.push_back((status, sdp.cloned()));
            }
            return true;
        }
        let (tx, fresh) = (*tx, matches!(self.reliable.exchange, Exchange::None));
        let body = sdp.filter(|sdp| fresh && !sdp.is_empty());
        if fresh && body.is_none() && invite.sdp().is_none() {
            // §5: the first reliable response to an INVITE without offer has to bring ours, and there is none yet.
            return required;
        }
        let Some(Ok(cseq)) = invite.cseq() else { return false };
        let rseq = self.reliable.rseq.map_or_else(|| core.random.cseq(), |last| last + 1);
        let mut response = core
            .capable(self.trunk, invite, status, &self.local_tag, dialog.flow)
            .header(Name::Require, "100rel")
            .header(Name::RSeq, rseq.to_string());
        if let Some((content_type, sdp)) = sdp_body(body) {
            response = response.body(content_type, sdp);
        }
        if let Some(sdp) = body {
            self.reliable.exchange = match invite.sdp() {
                Some(_) => Exchange::Answered(sdp.clone()),
                None => Exchange::Offered(None),
            };
            self.refresh.local_sdp = Some(sdp.clone());
        }
        let bytes = core.respond(now, tx, status, response);
        let Some(flow) = core.store.reply_flow(tx) else { return true };
        let interval = core.io.times.t1;
        self.reliable.rseq = Some(rseq);
        self.reliable.waiting = Some(Waiting { rseq, cseq: cseq.number, flow, bytes, interval, sdp: body.is_some() });
        core.start(now, self.id, Timer::ReliableRepeat, interval);
        core.start(now, self.id, Timer::ReliableLimit, core.io.times.t1_64());
        true
    }

    /// From T1, doubling, on every transport (§3).
    pub(super) fn repeat_reliable(&mut self, core: &mut Core, now: Instant) {
        let Some(waiting) = &mut self.reliable.waiting else { return };
        core.io.send(waiting.flow, waiting.bytes.clone());
        waiting.interval *= 2;
        core.start(now, self.id, Timer::ReliableRepeat, waiting.interval);
    }

    /// No PRACK within 64*T1: 5xx (§3).
    pub(super) fn no_prack(&mut self, core: &mut Core, now: Instant) {
        if matches!(self.phase, Phase::Incoming { .. }) {
            self.refuse_invite(core, now, 504, Vec::new());
            let reason = vec![Reason { protocol: "SIP".into(), cause: Some(504), text: Some("No PRACK".into()) }];
            self.finish(core, now, SessionEnd::Failed { status: 408, reason });
        }
    }

    /// Whether an acceptance has to wait: §3 for a PRACK, RFC 6337 §3.1.1 for our answer to an offer that came before the 2xx. Then
    /// it is kept.
    pub(super) fn accept_waits(&mut self, core: &mut Core, sdp: &Bytes) -> bool {
        let waits = self.reliable.waiting.as_ref().is_some_and(|waiting| waiting.sdp) || self.peer_offer.is_some();
        if waits {
            self.reliable.accept.get_or_insert_with(|| sdp.clone());
        } else {
            // A PRACK still to come is answered; the 2xx stands for the response.
            self.reliable.queue.clear();
            core.stop(self.id, Timer::ReliableRepeat);
            core.stop(self.id, Timer::ReliableLimit);
        }
        waits
    }

    /// What the 2xx carries, and whether it is an offer.
    pub(super) fn final_sdp(&self, invite: &Message, sdp: Bytes) -> (Option<Bytes>, bool) {
        match &self.reliable.exchange {
            Exchange::None => (Some(sdp), invite.sdp().is_none()),
            // EAR-03: the same again.
            Exchange::Answered(answer) => (Some(answer.clone()), false),
            Exchange::Offered(_) | Exchange::Renewed => (None, false),
        }
    }

    /// The answer that a PRACK brought, once.
    pub(super) fn answer_of_prack(&mut self) -> Option<Bytes> {
        match &mut self.reliable.exchange {
            Exchange::Offered(answer) => answer.take(),
            Exchange::None | Exchange::Answered(_) | Exchange::Renewed => None,
        }
    }

    /// Whether the peer may make an offer before our 2xx: the first exchange is over (RFC 3311 §5.1).
    pub(super) fn exchanged(&self) -> bool {
        let open = self.reliable.waiting.as_ref().is_some_and(|waiting| waiting.sdp);
        !open && matches!(self.reliable.exchange, Exchange::Answered(_) | Exchange::Renewed)
    }

    pub(super) fn peer_prack(&mut self, core: &mut Core, now: Instant, flow: Flow, tx: u64, request: &Message) {
        let acknowledged = rack(request).and_then(|(rseq, cseq, method)| {
            self.reliable.waiting.take_if(|w| method == Method::Invite && w.rseq == rseq && w.cseq == cseq)
        });
        let Some(waiting) = acknowledged else { return self.reply(core, now, tx, request, 481, &[]) };
        core.stop(self.id, Timer::ReliableRepeat);
        core.stop(self.id, Timer::ReliableLimit);
        let early = matches!(self.phase, Phase::Incoming { .. });
        match (&mut self.reliable.exchange, request.sdp()) {
            (Exchange::Offered(answer), sdp) if waiting.sdp => {
                *answer = sdp;
                self.reply(core, now, tx, request, 200, &[]);
            }
            // §5: an offer in the PRACK is answered in its 200.
            (Exchange::Answered(_) | Exchange::Renewed, Some(_)) if early && self.peer_offer.is_none() => {
                self.ask(core, flow, tx, request);
            }
            _ => self.reply(core, now, tx, request, 200, &[]),
        }
        self.go_on(core, now);
    }

    /// The next one, or the 2xx that waited.
    pub(super) fn go_on(&mut self, core: &mut Core, now: Instant) {
        while self.reliable.waiting.is_none()
            && let Some((status, sdp)) = self.reliable.queue.pop_front()
        {
            self.provisional(core, now, status, sdp);
        }
        if self.reliable.waiting.as_ref().is_none_or(|waiting| !waiting.sdp)
            && self.peer_offer.is_none()
            && let Some(sdp) = self.reliable.accept.take()
        {
            self.accept(core, now, sdp);
        }
    }

    /// The peer's offer before the 2xx was answered: the 2xx brings nothing new.
    pub(super) fn early_offer_answered(&mut self) {
        if matches!(self.phase, Phase::Incoming { .. }) {
            self.reliable.exchange = Exchange::Renewed;
        }
    }
}
