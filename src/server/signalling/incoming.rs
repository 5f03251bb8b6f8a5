//! A new INVITE: admission, number, dialplan, RTP port, then a call on the least loaded worker; or a refusal.
//!
//! Every way out of here leaves exactly one record (OVL-08).

use super::super::media_worker::{Command, NewCall};
use super::super::outbound;
use super::super::parties::{self, Parties};
use super::super::providers::ReadyProvider;
use super::front::NO_RECORD;
use super::{Origin, Route, Signalling};
use crate::call::end::Cause;
use crate::call::{Call, CallEnd, CallParams, CallRecord, MediaPolicy, Output};
use crate::config::dialplan::Fallback;
use crate::net::clock;
use crate::net::rtp_port::RtpPort;
use crate::observe::cdr::{Cdr, EndedBy};
use crate::sip::headers::Name;
use crate::sip::message::Message;
use crate::sip::offer_answer::{LocalMedia, Negotiation};
use crate::sip::user_agent::{SessionId, UaCommand};
use crate::sip::{Flow, TrunkId};
use rand::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// A refusal: the SIP status, who is the cause, its label, when to try again.
struct Refusal {
    status: u16,
    by: EndedBy,
    cause: &'static str,
    retry_after: Option<u32>,
}

const NO_NUMBER: Refusal = Refusal { status: 404, by: EndedBy::Operator, cause: "no_number", retry_after: None };
/// OVL-01; when to try again is the gate's to say.
const RATE_LIMITED: Refusal =
    Refusal { status: 503, by: EndedBy::Fault, cause: "realtime_rate_limited", retry_after: None };
/// DLG-14.
const BLOCKED: Refusal = Refusal { status: 603, by: EndedBy::Operator, cause: "blocked_caller", retry_after: None };
const NO_PROVIDER: Refusal = Refusal { status: 480, by: EndedBy::Fault, cause: "no_provider", retry_after: None };
const NO_PORTS: Refusal = Refusal { status: 503, by: EndedBy::Fault, cause: "no_ports", retry_after: Some(5) };

impl Signalling {
    pub(super) fn incoming(&mut self, session: SessionId, trunk: TrunkId, flow: Flow, invite: Message) {
        let now = clock::now();
        let who = parties::parties(&self.parts.trunks, trunk, &invite);
        let mut record = self.record_of(trunk, flow, &invite, &who);
        let origin = Origin {
            trunk,
            flow,
            caller: Some(record.caller.clone()).filter(|caller| !caller.is_empty()),
            caller_key: parties::caller_key(&self.parts.trunks, trunk, || who.caller.clone()),
            max_forwards: invite.max_forwards().and_then(Result::ok).unwrap_or(outbound::MAX_FORWARDS),
        };
        match self.accept(now, session, origin.clone(), &invite, who, &mut record) {
            Ok(()) => {}
            Err(refusal) => {
                self.routes.insert(
                    session,
                    Route {
                        worker: None,
                        call: session,
                        others: Vec::new(),
                        call_runs: false,
                        session_runs: true,
                        origin,
                    },
                );
                let headers = refusal.retry_after.map(|s| (Name::RetryAfter, s.to_string())).into_iter().collect();
                self.parts.user_agent.command(now, UaCommand::Reject { session, status: refusal.status, headers });
                record.sip_status = refusal.status;
                self.admission.refused_otherwise(trunk);
                self.write_refusal(record, refusal.by, refusal.cause);
            }
        }
    }

    /// An INVITE was refused without a session, here in `front` or by the user agent for its form: the record is left to do.
    pub(super) fn refused(&mut self, trunk: TrunkId, flow: Flow, invite: &Message, status: u16) {
        let (by, cause) = match (self.refusing.take(), status) {
            (Some(NO_RECORD), _) => return,
            (Some(cause), 401 | 403) => (EndedBy::Caller, cause),
            (Some(cause), _) => (EndedBy::Operator, cause),
            (None, 503) => (EndedBy::Operator, "overload"),
            (None, _) => (EndedBy::Caller, "bad_request"),
        };
        let who = parties::parties(&self.parts.trunks, trunk, invite);
        let record = Cdr { sip_status: status, ..self.record_of(trunk, flow, invite, &who) };
        self.write_refusal(record, by, cause);
    }

    fn record_of(&mut self, trunk: TrunkId, flow: Flow, invite: &Message, who: &Parties) -> Cdr {
        Cdr {
            sip_call_id: invite.call_id().unwrap_or_default(),
            trunk: self.parts.trunks.get(trunk).map(|ready| ready.trunk.name.clone()),
            source: flow.remote.to_string(),
            caller: who.caller.number.expose().clone(),
            attestation: who.caller.attestation.clone(),
            dialled: who.dialled.clone(),
            ..self.blank_record()
        }
    }

    fn accept(
        &mut self,
        now: Instant,
        session: SessionId,
        origin: Origin,
        invite: &Message,
        who: Parties,
        record: &mut Cdr,
    ) -> Result<(), Refusal> {
        if who.blocked {
            return Err(BLOCKED);
        }
        let plan = self.parts.numbers.lookup(&record.dialled).ok_or(NO_NUMBER)?;
        record.dialplan = Some(plan.name.clone());
        let provider = self.parts.providers.get(plan.provider.as_deref()).ok_or(NO_PROVIDER)?.clone();
        record.provider = Some(provider.name.clone());
        // Numbers with another fallback have something to say to the caller meanwhile.
        if plan.fallback == Fallback::Reject
            && let Some(wait) = self.quota.wait(now, &provider.name)
        {
            return Err(Refusal { retry_after: Some(wait), ..RATE_LIMITED });
        }
        let media_ip = self.parts.trunks.media_ip(origin.flow);
        let rtp = self.parts.ports.allocate_on(now, media_ip).map_err(|_| NO_PORTS)?;
        let endpoint = provider.endpoint(plan.model.as_deref());
        record.model = Some(endpoint.model.clone());
        let settings = Arc::clone(&self.parts.settings);
        let media = &settings.media;
        let (source, allowed) = self.parts.trunks.media_sources(origin.trunk);
        let params = CallParams {
            record: record.clone(),
            session,
            endpoint,
            apology: self.parts.numbers.apology(&plan),
            plan,
            connect_timeout: provider.connect_timeout,
            ready_timeout: provider.ready_timeout,
            caller_info: who.caller,
            trunk: self.parts.trunks.get(origin.trunk).map(|ready| Arc::clone(&ready.trunk)),
            source: origin.flow.remote,
            negotiation: Negotiation::new(self.local_media(origin.trunk, origin.flow, rtp.port)),
            offer: invite.sdp(),
            media: MediaPolicy { source, allowed, reorder_wait: media.reorder_wait, append_ms: media.append_ms },
            seed: self.parts.random.random(),
        };
        self.start(now, origin, params, provider, rtp);
        Ok(())
    }

    /// Our end of a stream that goes with signalling on this flow.
    pub(super) fn local_media(&mut self, trunk: TrunkId, flow: Flow, port: u16) -> LocalMedia {
        // 62 bits: an `o=` number must fit a signed 64-bit reader (RFC 4566 §5.2).
        let session_id = self.parts.random.random::<u64>() >> 2;
        self.parts.trunks.local_media(trunk, flow, port, session_id, self.parts.random.random())
    }

    /// Makes the call and runs it to its first wish for time; what concerns SIP is done at once.
    fn start(&mut self, now: Instant, origin: Origin, params: CallParams, provider: ReadyProvider, rtp: RtpPort) {
        let (session, record) = (params.session, params.record.clone());
        let target = provider.target(&params.endpoint);
        let worker = (0..self.parts.workers.len()).min_by_key(|&i| self.parts.workers[i].load());
        self.admission.started(origin.trunk, origin.caller_key.as_deref());
        self.routes.insert(
            session,
            Route { worker, call: session, others: Vec::new(), call_runs: true, session_runs: true, origin },
        );
        self.parts.notes.call_started(&record);
        self.parts.calls.send_replace(self.admission.calls());
        let made = catch_unwind(AssertUnwindSafe(|| {
            let mut call = Call::new(now, params);
            let mut outputs = Vec::new();
            loop {
                match call.poll_output(now) {
                    Output::Timeout(deadline) => return (Some((call, deadline)), outputs, None),
                    Output::Ended(ended) => return (None, outputs, Some(ended)),
                    output => outputs.push(output),
                }
            }
        }));
        let Ok((call, outputs, ended)) = made else {
            // OVL-05: a panic here ends this call only.
            self.parts.user_agent.command(now, UaCommand::Reject { session, status: 500, headers: Vec::new() });
            let end = CallEnd { by: EndedBy::Fault, cause: Cause::Panic };
            let record = Cdr { sip_status: 500, ..record };
            return self.end_before_media(now, session, rtp, finished(record, end));
        };
        let mut kept = Vec::new();
        for output in outputs {
            match output {
                Output::Sip(command) => self.parts.user_agent.command(now, command),
                Output::Note(event) => self.parts.notes.call(&record, &event),
                output => kept.push(output),
            }
        }
        match (call, ended, worker) {
            (Some((call, deadline)), _, Some(worker)) => {
                let new = NewCall { call, session, rtp, target, outputs: kept, deadline, record };
                self.parts.workers[worker].send(Command::Add(Box::new(new)));
            }
            (_, Some(ended), _) => self.end_before_media(now, session, rtp, *ended),
            _ => {}
        }
    }

    /// The call was over before it came to a worker (a refused offer).
    fn end_before_media(&mut self, now: Instant, session: SessionId, rtp: RtpPort, record: CallRecord) {
        let port = rtp.port;
        drop(rtp);
        self.parts.ports.release(now, port);
        self.call_ended(session, record);
    }

    /// A record with our id and the time.
    pub(super) fn blank_record(&mut self) -> Cdr {
        self.last_call += 1;
        let now = clock::unix_ms();
        Cdr {
            call: format!("{:08x}-{}", self.boot, self.last_call),
            started_unix_ms: now,
            ended_unix_ms: now,
            ..Cdr::default()
        }
    }

    pub(super) fn write_refusal(&mut self, mut cdr: Cdr, by: EndedBy, cause: &'static str) {
        self.parts.notes.refused(cdr.trunk.as_deref().unwrap_or_default(), cause);
        cdr.ended(by, cause);
        if let Some(cdr) = self.refusals.take(clock::now(), cdr) {
            self.write(refusal_record(cdr));
        }
    }

    /// The records of refusals that share one.
    pub(super) fn write_folded(&mut self) {
        for cdr in self.refusals.flush() {
            self.write(refusal_record(cdr));
        }
    }
}

fn refusal_record(cdr: Cdr) -> CallRecord {
    let end = CallEnd { by: cdr.ended_by.unwrap_or(EndedBy::Operator), cause: Cause::SipFailed(cdr.sip_status) };
    CallRecord { end, cdr, transcript: Vec::new() }
}

fn finished(mut cdr: Cdr, end: CallEnd) -> CallRecord {
    cdr.ended(end.by, end.cause.label());
    CallRecord { end, cdr, transcript: Vec::new() }
}
