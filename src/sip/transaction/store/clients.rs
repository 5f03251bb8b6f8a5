//! Client transactions: own requests, their responses, the ACK of a refusal.

use super::{ClientMachine, ClientTransaction, Io, Notice, Purpose, Sent, Store};
use crate::sip::Flow;
use crate::sip::dialog::peer_tag;
use crate::sip::headers::Name;
use crate::sip::message::{Builder, Message, Method};
use crate::sip::timers::{Owner, Timer};
use crate::sip::transaction::Action;
use crate::sip::transaction::client::ClientNonInvite;
use crate::sip::transaction::client_invite::ClientInvite;
use crate::sip::user_agent::SessionId;
use bytes::Bytes;
use std::time::Instant;

impl Store {
    /// Sends a request in a new client transaction. `branch` is that of its top Via.
    #[expect(clippy::too_many_arguments, reason = "one call site a kind of request; a struct would only rename them")]
    pub fn start(
        &mut self,
        io: &mut Io,
        now: Instant,
        flow: Flow,
        branch: String,
        request: Message,
        session: SessionId,
        purpose: Purpose,
    ) -> u64 {
        self.serial += 1;
        let (id, mut actions) = (self.serial, Vec::new());
        let reliable = flow.transport.is_reliable();
        let machine = match request.method() {
            Method::Invite => ClientMachine::Invite(ClientInvite::start(&io.times, reliable, &mut actions)),
            _ => ClientMachine::NonInvite(ClientNonInvite::start(&io.times, reliable, &mut actions)),
        };
        self.by_branch.insert((branch.clone(), request.method()), id);
        self.index(flow, Owner::Client(id));
        self.clients.insert(id, ClientTransaction { machine, branch, flow, request, session, purpose });
        self.run_client(io, now, id, actions, None);
        id
    }

    /// A response whose Via is ours. `false`: no transaction waits for it.
    pub fn response(&mut self, io: &mut Io, now: Instant, flow: Flow, message: &Message) -> bool {
        let (Some(Ok(via)), Some(Ok(cseq)), Some(status)) = (message.top_via(), message.cseq(), message.status())
        else {
            return false;
        };
        let Some(branch) = via.branch else { return false };
        let Some(&id) = self.by_branch.get(&(branch, cseq.method)) else { return false };
        let Some(tx) = self.clients.get_mut(&id) else { return false };
        if tx.flow.transport.is_reliable() && tx.flow.conn != flow.conn && tx.flow.transport == flow.transport {
            // The connection now has its number: further requests of the transaction (CANCEL, ACK) use it.
            let (old, owner) = (tx.flow, Owner::Client(id));
            tx.flow = flow;
            self.unindex(old, owner);
            self.index(flow, owner);
        }
        let Some(tx) = self.clients.get_mut(&id) else { return false };
        let (reliable, mut actions) = (tx.flow.transport.is_reliable(), Vec::new());
        match &mut tx.machine {
            ClientMachine::Invite(m) => m.response(&io.times, reliable, status, &mut actions),
            ClientMachine::NonInvite(m) => m.response(&io.times, reliable, status, &mut actions),
        }
        self.run_client(io, now, id, actions, Some((message, flow)));
        true
    }

    /// The request and flow of a live client transaction.
    pub fn request(&self, id: u64) -> Option<(&Message, Flow)> {
        self.clients.get(&id).map(|tx| (&tx.request, tx.flow))
    }

    /// Forgets a client transaction that will get no final response (§9.1).
    pub fn abandon(&mut self, io: &mut Io, now: Instant, id: u64) {
        self.run_client(io, now, id, vec![Action::Terminate], None);
    }

    pub(super) fn run_client(
        &mut self,
        io: &mut Io,
        now: Instant,
        id: u64,
        actions: Vec<Action>,
        response: Option<(&Message, Flow)>,
    ) {
        for action in actions {
            let Some(tx) = self.clients.get(&id) else { return };
            let (session, purpose) = (tx.session, tx.purpose);
            match action {
                Action::Send => io.send(tx.flow, tx.request.as_bytes().clone()),
                Action::Ack => {
                    if let Some((message, _)) = response {
                        io.send(tx.flow, ack_of_refusal(&tx.request, message));
                    }
                }
                Action::PassUp => {
                    if let Some((message, flow)) = response {
                        io.notices.push_back(Notice::Response {
                            session,
                            purpose,
                            tx: id,
                            flow,
                            message: message.clone(),
                            sent: Box::new(Sent { request: tx.request.clone(), flow: tx.flow }),
                        });
                    }
                }
                Action::Start(timer, after) => io.timers.set(Owner::Client(id), timer, now + after),
                Action::Stop(timer) => io.timers.stop(Owner::Client(id), timer),
                Action::Fail(status) => io.notices.push_back(Notice::ClientFailed { session, purpose, tx: id, status }),
                Action::Terminate => self.forget_client(io, id),
            }
        }
    }

    fn forget_client(&mut self, io: &mut Io, id: u64) {
        let Some(tx) = self.clients.remove(&id) else { return };
        for timer in [Timer::A, Timer::B, Timer::D, Timer::E, Timer::F, Timer::K, Timer::M] {
            io.timers.stop(Owner::Client(id), timer);
        }
        self.unindex(tx.flow, Owner::Client(id));
        self.by_branch.remove(&(tx.branch, tx.request.method()));
        io.notices.push_back(Notice::ClientGone { session: tx.session, purpose: tx.purpose, tx: id });
    }
}

/// The ACK of a non-2xx: Request-URI, Via, From, Call-ID, Route of the INVITE, its To with the tag of the response
/// (§17.1.1.3).
fn ack_of_refusal(invite: &Message, response: &Message) -> Bytes {
    let uri = invite.request_uri().and_then(Result::ok).map(|u| u.to_string()).unwrap_or_default();
    let mut ack = Builder::request(&Method::Ack, &uri);
    if let Some(via) = invite.values(&Name::Via).into_iter().next() {
        ack = ack.header(Name::Via, via);
    }
    ack = ack.header(Name::MaxForwards, "70");
    let mut to = invite.value(&Name::To).unwrap_or_default();
    if let (Some(tag), false) = (peer_tag(response), has_tag(invite)) {
        to.push_str(&format!(";tag={tag}"));
    }
    ack = ack
        .header(Name::From, invite.value(&Name::From).unwrap_or_default())
        .header(Name::To, to)
        .header(Name::CallId, invite.value(&Name::CallId).unwrap_or_default());
    if let Some(Ok(cseq)) = invite.cseq() {
        ack = ack.header(Name::CSeq, format!("{} ACK", cseq.number));
    }
    for route in invite.values(&Name::Route) {
        ack = ack.header(Name::Route, route);
    }
    ack.build().as_bytes().clone()
}

fn has_tag(invite: &Message) -> bool {
    invite.to().is_some_and(|to| to.is_ok_and(|to| to.tag().is_some()))
}
