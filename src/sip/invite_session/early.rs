//! Early dialogs of a call of ours that reliable provisional responses made: PRACK, and requests in them (RFC 3262 §4, RFC 3311).

use super::Session;
use crate::sip::Flow;
use crate::sip::dialog::{Dialog, peer_tag};
use crate::sip::headers::Name;
use crate::sip::lexer;
use crate::sip::message::{Message, Method};
use crate::sip::transaction::Purpose;
use crate::sip::user_agent::Reliable;
use crate::sip::user_agent::core::Core;
use bytes::Bytes;
use std::time::Instant;

/// Most of one call: forks of a peer that never stops answering.
const MOST_EARLY: usize = 16;

#[derive(Debug)]
pub(super) struct EarlyDialog {
    pub dialog: Dialog,
    /// RSeq of the last response taken.
    rseq: u32,
    /// The answer to our offer.
    pub sdp: Option<Bytes>,
}

fn rseq(response: &Message) -> Option<u32> {
    lexer::digits(response.raw_lines(&Name::RSeq).next()?).and_then(|n| u32::try_from(n).ok())
}

impl Session {
    /// A provisional response above 100 to our INVITE: a reliable one gets its PRACK. `false`: a copy, or one whose predecessor is
    /// missing (§4): it says nothing.
    pub(super) fn take_provisional(&mut self, core: &mut Core, now: Instant, flow: Flow, message: &Message) -> bool {
        let reliable = message.has_token(&Name::Require, "100rel");
        let (true, Some(rseq), Some(tag)) = (reliable, rseq(message), peer_tag(message)) else { return true };
        let offered = self.own_invite.as_ref().is_some_and(|invite| invite.sdp().is_some());
        if core.trunk(self.trunk).reliable == Reliable::Off || !offered {
            // We did not say that we can.
            return true;
        }
        let Some(Ok(cseq)) = message.cseq() else { return true };
        let at = match self.earlies.iter().position(|early| early.dialog.remote_tag == tag) {
            Some(at) if self.earlies.get(at).is_some_and(|early| Some(rseq) != early.rseq.checked_add(1)) => {
                return false;
            }
            Some(at) => at,
            None => {
                let dialog =
                    self.own_invite.as_ref().and_then(|invite| Dialog::caller(self.trunk, invite, message, flow));
                let Some(dialog) = dialog.filter(|_| self.earlies.len() < MOST_EARLY) else { return true };
                self.earlies.push(EarlyDialog { dialog, rseq, sdp: None });
                self.earlies.len() - 1
            }
        };
        let Some(early) = self.earlies.get_mut(at) else { return true };
        early.rseq = rseq;
        early.sdp = early.sdp.take().or_else(|| message.sdp());
        let number = early.dialog.next_cseq();
        let (branch, flow, prack) = core.in_dialog(&early.dialog, &Method::Prack, number);
        let prack = prack.header(Name::RAck, format!("{rseq} {} INVITE", cseq.number)).build();
        self.open_clients += 1;
        core.store.start(&mut core.io, now, flow, branch, prack, self.id, Purpose::Prack);
        true
    }

    /// The early dialog of this tag of the peer.
    pub(super) fn early(&self, tag: &str) -> Option<&EarlyDialog> {
        self.earlies.iter().find(|early| early.dialog.remote_tag == tag)
    }

    /// The dialog that a request of the peer belongs to.
    pub(super) fn dialog_of(&mut self, request: &Message) -> Option<&mut Dialog> {
        if self.dialog.is_some() {
            return self.dialog.as_mut();
        }
        let from = request.from()?.ok()?;
        let tag = from.tag()?;
        self.earlies.iter_mut().map(|early| &mut early.dialog).find(|dialog| dialog.remote_tag == tag)
    }

    /// What happened in the early dialog goes on in the dialog of its 2xx: CSeq numbers, and the answer, if the 2xx has none.
    pub(super) fn carry_on(&self, dialog: &mut Dialog, sdp: Option<Bytes>) -> Option<Bytes> {
        let Some(early) = self.early(&dialog.remote_tag) else { return sdp };
        dialog.local_cseq = dialog.local_cseq.max(early.dialog.local_cseq);
        dialog.remote_cseq = early.dialog.remote_cseq;
        sdp.or_else(|| early.sdp.clone())
    }
}
