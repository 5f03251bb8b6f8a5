//! Requests and responses on their way in: the checks of RFC 3261 §8.2 in their order, then dialog, new call or refusal.
//!
//! Whatever needs no state is answered without any (§8.2.7): unauthenticated packets cost memory only as an INVITE that
//! becomes a session, and those are bounded.

use super::core::{ACCEPT, ALLOW};
use super::{SessionId, UserAgent};
use crate::sip::headers::{Name, NameAddr};
use crate::sip::invite_session::Session;
use crate::sip::message::{Builder, Message, Method, ParseFailure, fill_received};
use crate::sip::transaction::{MergeKey, ServerKey, reply_flow};
use crate::sip::{Flow, TrunkId};
use std::time::Instant;

/// Retry-After of an overloaded answer, seconds.
const RETRY_AFTER: &str = "5";
/// Retry-After of OPTIONS while draining, seconds: as long as another process may need to take over.
const DRAIN_RETRY_AFTER: &str = "60";

impl UserAgent {
    /// 400, 505, 513 … for what is no proper request; anything else malformed is dropped.
    pub(super) fn malformed(&mut self, trunk: TrunkId, flow: Flow, failure: ParseFailure) {
        if let Some(partial) = failure.partial.filter(Message::is_request) {
            let request = fill_received(&partial, flow.remote);
            self.core.respond_stateless(trunk, flow, &request, failure.status, &[]);
        }
    }

    pub(super) fn response(&mut self, now: Instant, flow: Flow, message: &Message) {
        // A second Via means that it is for someone else (§8.1.3.3).
        let Ok(vias) = message.vias() else { return };
        if let [via] = vias.as_slice()
            && self.core.is_our_via(&via.host, flow)
        {
            self.core.store.response(&mut self.core.io, now, flow, message);
        }
    }

    /// `origin` `None`: the source is of no trunk. It may speak in a dialog that knows it, and is told nothing else (A1).
    pub(super) fn request(&mut self, now: Instant, origin: Option<TrunkId>, flow: Flow, request: Message) {
        let trunk = origin.unwrap_or(TrunkId(0));
        let Some(key) = ServerKey::of(&request) else {
            return self.core.respond_stateless(trunk, flow, &request, 400, &[]);
        };
        match request.method() {
            Method::Ack => return self.ack(now, flow, &request, &key),
            _ => {
                if let Some(tx) = self.core.store.find(&key) {
                    return self.core.store.repeated(&mut self.core.io, now, tx);
                }
            }
        }
        if request.method() == Method::Cancel {
            return self.cancel(now, trunk, flow, &request, key);
        }
        if let Err((status, headers)) = check(&request) {
            return self.core.respond_stateless(trunk, flow, &request, status, &headers);
        }
        let (Some(Ok(to)), Some(Ok(from)), Some(call_id)) = (request.to(), request.from(), request.call_id()) else {
            return self.core.respond_stateless(trunk, flow, &request, 400, &[]);
        };
        let merge = merge_key(&request, &to, &from, &call_id);
        if merge.as_ref().is_some_and(|merge| self.core.store.is_merged(merge)) {
            return self.core.respond_stateless(trunk, flow, &request, 482, &[]);
        }
        // We have no extension that can be required (EAR-01: 100rel too); a BYE always ends its call.
        let required = request.values(&Name::Require).join(", ");
        if !required.is_empty() && request.method() != Method::Bye {
            return self.core.respond_stateless(trunk, flow, &request, 420, &[(Name::Unsupported, &required)]);
        }
        match to.tag() {
            Some(tag) => match self.find_dialog(flow, &call_id, tag, from.tag().unwrap_or_default()) {
                Some(session) if self.core.store.len() < self.core.config.max_transactions => {
                    self.with(session, |s, core| s.in_dialog(core, now, flow, &request, key));
                }
                Some(_) => self.core.dropped += 1,
                None => self.core.respond_stateless(trunk, flow, &request, 481, &[]),
            },
            None => self.out_of_dialog(now, trunk, flow, &request, key, merge),
        }
    }

    fn out_of_dialog(
        &mut self,
        now: Instant,
        trunk: TrunkId,
        flow: Flow,
        request: &Message,
        key: ServerKey,
        merge: Option<MergeKey>,
    ) {
        match request.method() {
            Method::Invite => self.new_call(now, trunk, flow, request, key, merge),
            Method::Options if self.core.draining => {
                self.core.respond_stateless(trunk, flow, request, 503, &[(Name::RetryAfter, DRAIN_RETRY_AFTER)]);
            }
            Method::Options => {
                let tag = self.core.stateless_tag(request);
                let bytes = self.core.capable(trunk, request, 200, &tag, flow).build().as_bytes().clone();
                self.core.io.send(reply_flow(flow, request), bytes);
            }
            // XFR-06: nobody outside a call may have us place one.
            Method::Refer => self.core.respond_stateless(trunk, flow, request, 603, &[]),
            // DLG-19.
            Method::Subscribe => {
                self.core.respond_stateless(
                    trunk,
                    flow,
                    request,
                    489,
                    &[(Name::Other("Allow-Events".into()), "refer")],
                );
            }
            _ => self.core.respond_stateless(trunk, flow, request, 481, &[]),
        }
    }

    fn new_call(
        &mut self,
        now: Instant,
        trunk: TrunkId,
        flow: Flow,
        invite: &Message,
        key: ServerKey,
        merge: Option<MergeKey>,
    ) {
        if let Err((status, headers)) = check_invite(invite) {
            return self.core.respond_stateless(trunk, flow, invite, status, &headers);
        }
        // A quarter of the store is kept for calls that are there already (OVL-02).
        let room = self.core.config.max_transactions - self.core.config.max_transactions / 4;
        if self.core.live >= self.core.config.max_sessions || self.core.store.len() >= room {
            return self.core.respond_stateless(trunk, flow, invite, 503, &[(Name::RetryAfter, RETRY_AFTER)]);
        }
        let id = self.new_session_id();
        match Session::incoming(&mut self.core, now, (id, trunk), flow, invite, key, merge) {
            Some(session) => self.insert(session),
            // Contact or Record-Route cannot be read: no dialog can be made.
            None => self.core.respond_stateless(trunk, flow, invite, 400, &[]),
        }
    }

    /// The session of a dialog's request. A12: tags alone do not make one, the source has to belong to the dialog as well.
    fn find_dialog(&self, flow: Flow, call_id: &str, local_tag: &str, remote_tag: &str) -> Option<SessionId> {
        let id = *self.dialogs.get(&(call_id.to_owned(), local_tag.to_owned()))?;
        let session = self.sessions.get(&id)?;
        (session.is_peer(remote_tag) && self.may_speak(id, flow)).then_some(id)
    }

    /// Nobody can do harm to a session that is gone.
    fn may_speak(&self, session: SessionId, flow: Flow) -> bool {
        let session = self.sessions.get(&session);
        session.is_none_or(|session| session.may_speak(flow.remote.ip(), &self.core))
    }

    /// The ACK of a non-2xx ends in its transaction, that of a 2xx in its dialog, any other nowhere.
    fn ack(&mut self, now: Instant, flow: Flow, ack: &Message, key: &ServerKey) {
        if let Some(tx) = self.core.store.find(key)
            && self.core.store.acknowledged(&mut self.core.io, now, tx)
        {
            return;
        }
        let (Some(Ok(to)), Some(Ok(from)), Some(call_id)) = (ack.to(), ack.from(), ack.call_id()) else { return };
        let (Some(local), remote) = (to.tag(), from.tag().unwrap_or_default()) else { return };
        if let Some(session) = self.find_dialog(flow, &call_id, local, remote) {
            self.with(session, |s, core| s.ack(core, now, flow, ack));
        }
    }

    /// §9.2: 200 for a CANCEL whose INVITE is known, whatever it still can do; 481 otherwise.
    fn cancel(&mut self, now: Instant, trunk: TrunkId, flow: Flow, cancel: &Message, key: ServerKey) {
        let found = self.core.store.find(&key.cancelled());
        let served =
            found.and_then(|tx| self.core.store.served(tx).map(|(session, tag)| (tx, session, tag.to_owned())));
        let Some((invite, session, to_tag)) = served.filter(|(_, session, _)| self.may_speak(*session, flow)) else {
            return self.core.respond_stateless(trunk, flow, cancel, 481, &[]);
        };
        if self.core.store.len() >= self.core.config.max_transactions {
            self.core.dropped += 1;
            return;
        }
        let tx = self.core.store.serve(key, None, reply_flow(flow, cancel), session, to_tag.clone(), false);
        self.core.respond(now, tx, 200, Builder::response(cancel, 200, "", Some(&to_tag)));
        self.with(session, |s, core| {
            s.server_opened();
            s.cancelled(core, now, invite, cancel);
        });
    }
}

/// What marks copies of one INVITE that came by different paths (§8.2.2.2).
fn merge_key(request: &Message, to: &NameAddr, from: &NameAddr, call_id: &str) -> Option<MergeKey> {
    let outside = request.method() == Method::Invite && to.tag().is_none();
    let from_tag = from.tag().filter(|tag| outside && !tag.is_empty())?;
    Some((call_id.to_owned(), from_tag.to_owned(), request.cseq()?.ok()?.number))
}

type Refusal = (u16, Vec<(Name, &'static str)>);

/// Method and Request-URI (§8.2.1, §8.2.2.1).
fn check(request: &Message) -> Result<(), Refusal> {
    match request.method() {
        Method::Other(_) => return Err((501, vec![(Name::Allow, ALLOW)])),
        Method::Register | Method::Prack | Method::Message | Method::Publish => {
            return Err((405, vec![(Name::Allow, ALLOW)]));
        }
        _ => {}
    }
    match request.request_uri() {
        Some(Ok(uri)) if !matches!(uri.scheme(), "sip" | "sips" | "tel") => Err((416, Vec::new())),
        Some(Ok(uri)) if uri.headers().is_none() => Ok(()),
        _ => Err((400, Vec::new())),
    }
}

/// Body and Accept of an INVITE (§8.2.3).
pub(crate) fn check_invite(invite: &Message) -> Result<(), Refusal> {
    if invite.values(&Name::ContentEncoding).iter().any(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err((415, vec![(Name::Other("Accept-Encoding".into()), "identity"), (Name::Accept, ACCEPT)]));
    }
    if !invite.body().is_empty() {
        let kind = invite.content_type().unwrap_or_else(|| ACCEPT.to_owned());
        let optional = invite
            .value(&Name::ContentDisposition)
            .is_some_and(|d| d.to_ascii_lowercase().replace(' ', "").contains("handling=optional"));
        // PAR-14: parts of a multipart body that we do not read are ignored, unless they insist.
        let readable = kind == ACCEPT || kind.starts_with("multipart/") && invite.unsupported_required_part().is_none();
        if !readable && !optional {
            return Err((415, vec![(Name::Accept, ACCEPT)]));
        }
    }
    let accepted = invite.values(&Name::Accept);
    let takes_sdp = |value: &String| {
        let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(kind.as_str(), ACCEPT | "application/*" | "*/*" | "")
    };
    if !accepted.is_empty() && !accepted.iter().any(takes_sdp) {
        return Err((406, Vec::new()));
    }
    Ok(())
}
