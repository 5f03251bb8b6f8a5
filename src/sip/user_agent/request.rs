//! Requests and responses on their way in: the checks of RFC 3261 §8.2 in their order, then dialog, new call or refusal.
//!
//! Whatever needs no state is answered without any (§8.2.7): unauthenticated packets cost memory only as an INVITE that
//! becomes a session, and those are bounded.

use super::core::ACCEPT;
use super::{SessionId, UserAgent, WhileDraining};
use crate::sip::headers::{Name, NameAddr};
use crate::sip::invite_session::Session;
use crate::sip::message::{Builder, Message, Method, ParseFailure, fill_received};
use crate::sip::session_timer::{self, Answer};
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
        let key = ServerKey::of(&request);
        match (request.method(), &key) {
            (Method::Ack, Some(key)) => return self.ack(now, flow, &request, key),
            (Method::Cancel, Some(key)) => return self.cancel(now, origin, flow, &request, key.clone()),
            _ => {}
        }
        let dialog = self.dialog_of(flow, &request);
        let of_dialog = dialog.and_then(|id| self.sessions.get(&id)).map(Session::trunk);
        let Some(trunk) = of_dialog.or(origin) else { return };
        let Some(key) = key else {
            return self.core.respond_stateless(trunk, flow, &request, 400, &[]);
        };
        if let Some(tx) = self.core.store.find(&key) {
            return self.core.store.repeated(&mut self.core.io, now, tx);
        }
        if let Err((status, headers)) = self.check(trunk, &request) {
            return self.core.respond_stateless(trunk, flow, &request, status, &borrowed(&headers));
        }
        let (Some(Ok(to)), Some(Ok(from)), Some(call_id)) = (request.to(), request.from(), request.call_id()) else {
            return self.core.respond_stateless(trunk, flow, &request, 400, &[]);
        };
        let merge = merge_key(&request, &to, &from, &call_id);
        if merge.as_ref().is_some_and(|merge| self.core.store.is_merged(merge)) {
            return self.core.respond_stateless(trunk, flow, &request, 482, &[]);
        }
        // EAR-01: what is required and not done is never ignored; but a BYE always ends its call.
        if request.method() != Method::Bye
            && let Some(cannot) = self.core.unsupported(trunk, &request)
        {
            return self.core.respond_stateless(trunk, flow, &request, 420, &[(Name::Unsupported, &cannot)]);
        }
        match (to.tag(), dialog) {
            (None, _) => self.out_of_dialog(now, trunk, flow, &request, key, merge),
            (Some(_), None) => self.core.respond_stateless(trunk, flow, &request, 481, &[]),
            (Some(_), Some(session)) if self.core.store.len() < self.core.config.max_transactions => {
                self.with(session, |s, core| s.in_dialog(core, now, flow, &request, key));
            }
            (Some(_), Some(_)) => self.core.dropped += 1,
        }
    }

    /// Method and Request-URI (§8.2.1, §8.2.2.1).
    fn check(&self, trunk: TrunkId, request: &Message) -> Result<(), (u16, Vec<(Name, String)>)> {
        let method = request.method();
        if !self.core.takes(trunk, &method) {
            let status = if matches!(method, Method::Other(_)) { 501 } else { 405 };
            return Err((status, vec![(Name::Allow, self.core.allow(trunk))]));
        }
        match request.request_uri() {
            Some(Ok(uri)) if !matches!(uri.scheme(), "sip" | "sips" | "tel") => Err((416, Vec::new())),
            Some(Ok(uri)) if uri.headers().is_none() => Ok(()),
            _ => Err((400, Vec::new())),
        }
    }

    pub(super) fn is_known(&self, invite: &Message) -> bool {
        let served = ServerKey::of(invite).is_some_and(|key| self.core.store.find(&key).is_some());
        let (Some(Ok(to)), Some(Ok(from)), Some(call_id)) = (invite.to(), invite.from(), invite.call_id()) else {
            return served;
        };
        served || merge_key(invite, &to, &from, &call_id).is_some_and(|merge| self.core.store.is_merged(&merge))
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
            Method::Options => self.options(trunk, flow, request),
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

    /// DLG-12: while we can take no call, as the trunk wants it.
    fn options(&mut self, trunk: TrunkId, flow: Flow, request: &Message) {
        let full = self.core.live >= self.core.config.max_sessions;
        match self.core.trunk(trunk).while_draining {
            WhileDraining::Silent if self.core.draining || full => {}
            WhileDraining::Unavailable if self.core.draining || full => {
                let after = if self.core.draining { DRAIN_RETRY_AFTER } else { RETRY_AFTER };
                self.core.respond_stateless(trunk, flow, request, 503, &[(Name::RetryAfter, after)]);
            }
            WhileDraining::Silent | WhileDraining::Unavailable | WhileDraining::Ok => {
                let tag = self.core.stateless_tag(request);
                let bytes = self.core.capable(trunk, request, 200, &tag, flow).build().as_bytes().clone();
                self.core.io.send(reply_flow(flow, request), bytes);
            }
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
        if let Answer::TooSmall(min_se) = session_timer::answer(&self.core.trunk(trunk).timer, invite, None) {
            let min_se = min_se.to_string();
            return self.core.respond_stateless(trunk, flow, invite, 422, &[(Name::MinSe, &min_se)]);
        }
        let replaces = match self.replaced_by(trunk, invite) {
            Ok(replaces) => replaces,
            Err(status) => return self.core.respond_stateless(trunk, flow, invite, status, &[]),
        };
        let id = self.new_session_id();
        match Session::incoming(&mut self.core, now, (id, trunk), flow, invite, key, merge, replaces) {
            Some(session) => self.insert(session),
            // Contact or Record-Route cannot be read: no dialog can be made.
            None => self.core.respond_stateless(trunk, flow, invite, 400, &[]),
        }
    }

    /// The session that this INVITE takes over (RFC 3891 §3, XFR-07), or the status of its refusal (A15).
    fn replaced_by(&self, trunk: TrunkId, invite: &Message) -> Result<Option<SessionId>, u16> {
        let Some(replaces) = invite.replaces() else { return Ok(None) };
        let replaces = replaces.map_err(|_| 400u16)?;
        if !self.core.trunk(trunk).replaces {
            return Err(403);
        }
        let id = *self.dialogs.get(&(replaces.call_id, replaces.to_tag)).ok_or(481u16)?;
        // §3: "0" is the tag of a peer without tags.
        let is_peer = |s: &&Session| s.is_peer(&replaces.from_tag) || replaces.from_tag == "0" && s.is_peer("");
        let session = self.sessions.get(&id).filter(|s| s.trunk() == trunk).filter(is_peer).ok_or(481u16)?;
        session.may_be_replaced(replaces.early_only)?;
        Ok(Some(id))
    }

    /// The session of a request with To-tag.
    fn dialog_of(&self, flow: Flow, request: &Message) -> Option<SessionId> {
        let (to, from) = (request.to()?.ok()?, request.from()?.ok()?);
        self.find_dialog(flow, &request.call_id()?, to.tag()?, from.tag().unwrap_or_default())
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
        if let Some(session) = self.dialog_of(flow, ack) {
            self.with(session, |s, core| s.ack(core, now, flow, ack));
        }
    }

    /// §9.2: 200 for a CANCEL whose INVITE is known, whatever it still can do; 481 otherwise.
    fn cancel(&mut self, now: Instant, origin: Option<TrunkId>, flow: Flow, cancel: &Message, key: ServerKey) {
        if let Some(tx) = self.core.store.find(&key) {
            return self.core.store.repeated(&mut self.core.io, now, tx);
        }
        let found = self.core.store.find(&key.cancelled());
        let served =
            found.and_then(|tx| self.core.store.served(tx).map(|(session, tag)| (tx, session, tag.to_owned())));
        let Some((invite, session, to_tag)) = served.filter(|(_, session, _)| self.may_speak(*session, flow)) else {
            if let Some(trunk) = origin {
                self.core.respond_stateless(trunk, flow, cancel, 481, &[]);
            }
            return;
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

fn borrowed(headers: &[(Name, String)]) -> Vec<(Name, &str)> {
    headers.iter().map(|(name, value)| (name.clone(), value.as_str())).collect()
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
