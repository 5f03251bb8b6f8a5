//! Requests of the peer inside the dialog (RFC 3261 §12.2.2, §15.1.2, RFC 6086, 3311) and our INFO.

use super::{Phase, Session};
use crate::sip::Flow;
use crate::sip::headers::Name;
use crate::sip::message::{Builder, Message, Method};
use crate::sip::transaction::{Purpose, ServerKey, reply_flow};
use crate::sip::user_agent::core::Core;
use crate::sip::user_agent::{SessionEnd, UaEvent};
use std::time::Instant;

/// Most server transactions of one session: a peer cannot take the store of the others. Ample for digits by INFO over UDP,
/// where each stays 32 s.
const MOST_SERVERS: usize = 128;

impl Session {
    pub fn in_dialog(&mut self, core: &mut Core, now: Instant, flow: Flow, request: &Message, key: ServerKey) {
        let (method, Some(Ok(cseq))) = (request.method(), request.cseq()) else { return };
        if self.open_servers >= MOST_SERVERS && method != Method::Bye {
            core.dropped += 1;
            return;
        }
        let invite = method == Method::Invite;
        let tx = core.store.serve(key, None, reply_flow(flow, request), self.id, self.local_tag.clone(), invite);
        self.server_opened();
        if let Some(dialog) = self.dialog_of(request) {
            if dialog.take_cseq(cseq.number).is_err() {
                return self.reply(core, now, tx, request, 500, &[]);
            }
            dialog.seen_on(flow);
        }
        if matches!(self.phase, Phase::Mortal) {
            // RFC 5407 §3.2.1, §3.2.2: BYEs that cross are both answered 200, anything else has no dialog any more.
            let status = if method == Method::Bye { 200 } else { 481 };
            return self.reply(core, now, tx, request, status, &[]);
        }
        if matches!(method, Method::Invite | Method::Update)
            && let Some(min_se) = self.interval_too_small(core, request)
        {
            return self.reply(core, now, tx, request, 422, &[(Name::MinSe, min_se.to_string())]);
        }
        match method {
            Method::Bye => {
                self.reply(core, now, tx, request, 200, &[]);
                self.peer_bye(core, now, request);
            }
            Method::Invite => self.peer_reinvite(core, now, flow, tx, request),
            Method::Update => self.peer_update(core, now, flow, tx, request),
            Method::Info => {
                self.reply(core, now, tx, request, 200, &[]);
                core.event(UaEvent::Info {
                    session: self.id,
                    content_type: request.content_type().unwrap_or_default(),
                    body: request.body_bytes(),
                });
            }
            Method::Options => {
                core.respond(now, tx, 200, core.capable(self.trunk, request, 200, &self.local_tag, flow));
            }
            Method::Notify => self.peer_notify(core, now, tx, request),
            Method::Prack => self.peer_prack(core, now, flow, tx, request),
            Method::Refer => self.peer_refer(core, now, tx, request),
            Method::Subscribe => {
                self.reply(core, now, tx, request, 489, &[(Name::Other("Allow-Events".into()), "refer".into())]);
            }
            // Refused before, or not for a dialog.
            _ => self.reply(core, now, tx, request, 501, &[]),
        }
    }

    pub(super) fn reply(
        &self,
        core: &mut Core,
        now: Instant,
        tx: u64,
        request: &Message,
        status: u16,
        headers: &[(Name, String)],
    ) {
        let mut response = Builder::response(request, status, "", Some(&self.local_tag));
        for (name, value) in headers {
            response = response.header(name.clone(), value);
        }
        core.respond(now, tx, status, response);
    }

    fn peer_bye(&mut self, core: &mut Core, now: Instant, bye: &Message) {
        let reason = bye.reasons();
        match &self.phase {
            Phase::Incoming { .. } => self.end_incoming(core, now, SessionEnd::PeerBye { reason }),
            Phase::Calling(_) => self.early_bye(core, now, reason),
            Phase::Moratorium { .. } | Phase::Established => {
                // The 2xx it answers to is acknowledged, so that the peer stops repeating it.
                self.ack_without_answer(core, now);
                self.finish(core, now, SessionEnd::PeerBye { reason });
            }
            Phase::Mortal => {}
        }
    }

    /// INFO in the dialog; nothing is sent before the dialog stands.
    pub fn info(&mut self, core: &mut Core, now: Instant, content_type: &str, body: Vec<u8>) {
        let open = matches!(self.phase, Phase::Established | Phase::Moratorium { .. });
        if open && self.open_clients < MOST_SERVERS {
            self.send(core, now, Method::Info, Purpose::Info, &[], Some((content_type, body)));
        }
    }
}
