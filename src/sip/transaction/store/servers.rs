//! Server transactions: requests of peers, their copies, ACKs, and our responses.

use super::{Io, MergeKey, Notice, ServerMachine, ServerTransaction, Store};
use crate::sip::Flow;
use crate::sip::message::Message;
use crate::sip::timers::{Owner, Timer};
use crate::sip::transaction::server::ServerNonInvite;
use crate::sip::transaction::server_invite::ServerInvite;
use crate::sip::transaction::{Action, ServerKey};
use crate::sip::user_agent::SessionId;
use std::time::Instant;

impl Store {
    /// A new server transaction; `flow` is where its responses go, `to_tag` the tag they carry.
    pub fn serve(
        &mut self,
        key: ServerKey,
        merge: Option<MergeKey>,
        flow: Flow,
        session: SessionId,
        to_tag: String,
        invite: bool,
    ) -> u64 {
        self.serial += 1;
        let id = self.serial;
        let machine = match invite {
            true => ServerMachine::Invite(ServerInvite::Proceeding),
            false => ServerMachine::NonInvite(ServerNonInvite::Trying),
        };
        self.by_key.insert(key.clone(), id);
        if let Some(merge) = &merge {
            self.merged.insert(merge.clone(), id);
        }
        self.index(flow, Owner::Server(id));
        self.servers.insert(id, ServerTransaction { machine, key, merge, flow, last: None, session, to_tag });
        id
    }

    pub fn find(&self, key: &ServerKey) -> Option<u64> {
        self.by_key.get(key).copied()
    }

    /// Session and To-tag of a server transaction.
    pub fn served(&self, id: u64) -> Option<(SessionId, &str)> {
        self.servers.get(&id).map(|tx| (tx.session, tx.to_tag.as_str()))
    }

    /// Where the responses go.
    pub fn reply_flow(&self, id: u64) -> Option<Flow> {
        self.servers.get(&id).map(|tx| tx.flow)
    }

    pub fn is_merged(&self, merge: &MergeKey) -> bool {
        self.merged.contains_key(merge)
    }

    /// A copy of the request.
    pub fn repeated(&mut self, io: &mut Io, now: Instant, id: u64) {
        let Some(tx) = self.servers.get_mut(&id) else { return };
        let mut actions = Vec::new();
        match &mut tx.machine {
            ServerMachine::Invite(m) => m.request(&mut actions),
            ServerMachine::NonInvite(m) => m.request(&mut actions),
        }
        self.run_server(io, now, id, actions);
    }

    /// An ACK with the branch of this INVITE. `false`: it is for the core.
    pub fn acknowledged(&mut self, io: &mut Io, now: Instant, id: u64) -> bool {
        let Some(tx) = self.servers.get_mut(&id) else { return false };
        let (reliable, mut actions) = (tx.flow.transport.is_reliable(), Vec::new());
        let taken = match &mut tx.machine {
            ServerMachine::Invite(m) => m.ack(&io.times, reliable, &mut actions),
            ServerMachine::NonInvite(_) => false,
        };
        self.run_server(io, now, id, actions);
        taken
    }

    /// Sends a response if the machine still takes one.
    pub fn respond(&mut self, io: &mut Io, now: Instant, id: u64, status: u16, response: &Message) {
        let Some(tx) = self.servers.get_mut(&id) else { return };
        let (reliable, mut actions) = (tx.flow.transport.is_reliable(), Vec::new());
        let taken = match &mut tx.machine {
            ServerMachine::Invite(m) => m.respond(&io.times, reliable, status, &mut actions),
            ServerMachine::NonInvite(m) => m.respond(&io.times, reliable, &mut actions),
        };
        if taken {
            tx.last = Some(response.as_bytes().clone());
        }
        self.run_server(io, now, id, actions);
    }

    /// Sends the last response of a Proceeding INVITE again (the minute of §13.3.1.1).
    pub fn repeat_provisional(&mut self, io: &mut Io, id: u64) {
        if let Some(ServerTransaction {
            machine: ServerMachine::Invite(ServerInvite::Proceeding),
            flow,
            last: Some(last),
            ..
        }) = self.servers.get(&id)
        {
            io.send(*flow, last.clone());
        }
    }

    pub(super) fn run_server(&mut self, io: &mut Io, now: Instant, id: u64, actions: Vec<Action>) {
        for action in actions {
            let Some(tx) = self.servers.get(&id) else { return };
            match action {
                Action::Send => {
                    if let Some(last) = &tx.last {
                        io.send(tx.flow, last.clone());
                    }
                }
                Action::Start(timer, after) => io.timers.set(Owner::Server(id), timer, now + after),
                Action::Stop(timer) => io.timers.stop(Owner::Server(id), timer),
                Action::Fail(_) => io.notices.push_back(Notice::ServerFailed { session: tx.session, tx: id }),
                Action::Terminate => self.forget_server(io, id),
                // Client actions.
                Action::Ack | Action::PassUp => {}
            }
        }
    }

    fn forget_server(&mut self, io: &mut Io, id: u64) {
        let Some(tx) = self.servers.remove(&id) else { return };
        for timer in [Timer::G, Timer::H, Timer::I, Timer::J, Timer::L] {
            io.timers.stop(Owner::Server(id), timer);
        }
        self.unindex(tx.flow, Owner::Server(id));
        self.by_key.remove(&tx.key);
        if let Some(merge) = tx.merge {
            self.merged.remove(&merge);
        }
        io.notices.push_back(Notice::ServerGone { session: tx.session });
    }
}
