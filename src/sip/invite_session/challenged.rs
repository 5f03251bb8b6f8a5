//! Challenges to requests in the dialog of a call of ours (AUT-03): answered once each, to the hosts of its trunk only.
//!
//! AUT-04, A3: a challenge to a request in the dialog of the peer's call is a refusal like any other; so is one of a host that only
//! the peer's Contact named, or of a trunk without credentials.

use super::{Phase, Session};
use crate::sip::message::Message;
use crate::sip::transaction::{Purpose, Sent};
use crate::sip::user_agent::core::Core;
use std::time::Instant;

impl Session {
    /// A 401 or 407. `true`: the request is on its way again.
    pub(super) fn answer_challenge(
        &mut self,
        core: &mut Core,
        now: Instant,
        (purpose, old): (Purpose, u64),
        message: &Message,
        sent: &Sent,
    ) -> bool {
        // The INVITE has its own way (`attempt`), a CANCEL cannot be sent again (§22.1), an early dialog has no state for it.
        let other = matches!(purpose, Purpose::Invite | Purpose::Cancel | Purpose::Prack | Purpose::Standalone);
        let over = matches!(self.phase, Phase::Mortal) && purpose != Purpose::Bye;
        if self.hosts.is_empty() || other || over || self.dialog.is_none() {
            return false;
        }
        let at = self.challenged.iter().position(|(tx, _)| *tx == old);
        let mut answered = at.map(|at| self.challenged.swap_remove(at).1).unwrap_or_default();
        let Some(lines) = core.authorize(self.trunk, &self.hosts, &mut answered, message, sent) else { return false };
        let Some(cseq) = self.dialog.as_mut().map(|dialog| dialog.next_cseq()) else { return false };
        let (branch, request) = core.again(self.trunk, sent.flow, &sent.request, (None, cseq), &lines);
        self.open_clients += 1;
        let tx = core.store.start(&mut core.io, now, sent.flow, branch, request, self.id, purpose);
        self.challenged.push((tx, answered));
        match purpose {
            Purpose::Reinvite => self.invite_tx = Some(tx),
            Purpose::Update => self.update_goes_on(old, tx),
            Purpose::Refer => {
                let before = sent.request.cseq().and_then(Result::ok).map_or(0, |cseq| cseq.number);
                self.refer_goes_on(before, cseq);
            }
            _ => {}
        }
        true
    }
}
