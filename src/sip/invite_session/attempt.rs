//! The tries of our INVITE (RFC 3261 §8.1.3.4–5, RFC 3263 §4.3): what a refusal or a failure leads to. TXN-13, XFR-08.
//!
//! | refusal | next try |
//! |---|---|
//! | 401, 407 | with credentials, once a challenge (AUT-03) |
//! | 408 (none came), 503 | the next flow, new branch (TRN-13) |
//! | 413 with Retry-After, 491 | later, once each |
//! | 420 | without the options that the peer lacks, once |
//! | 422 | with the Min-SE of the peer (RFC 4028 §7.3) |
//! | 3xx | the Contacts that the trunk allows: depth 3, none twice |
//!
//! Each is a new request in the same call: new branch, higher CSeq. Anything else ends it. 415 does: SDP is all that we send.

use super::{Phase, Session, causes};
use crate::sip::digest::client::Answered;
use crate::sip::headers::{Name, NameAddr, Reason};
use crate::sip::message::Message;
use crate::sip::timers::Timer;
use crate::sip::transaction::{Purpose, Sent};
use crate::sip::uri::Uri;
use crate::sip::user_agent::core::Core;
use crate::sip::user_agent::way::Way;
use crate::sip::user_agent::{Redirects, SessionEnd};
use crate::sip::{Flow, Transport};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Tries of one call, whatever leads to them.
const MOST_TRIES: u8 = 32;
const MOST_CONTACTS: usize = 8;
const MOST_DEPTH: u8 = 3;
/// The longest Retry-After that a caller is kept waiting for.
const LONGEST_WAIT_SECS: u32 = 10;

#[derive(Debug)]
pub(super) struct Attempt {
    way: Way,
    answered: Answered,
    tries: u8,
    /// Options were left out already; it was waited for a 491; for a Retry-After.
    bare: bool,
    glared: bool,
    waited: bool,
    /// Contacts of redirections that are left to try, and how deep they are.
    contacts: VecDeque<(Uri, u8)>,
    depth: u8,
    /// Every target so far.
    seen: Vec<Uri>,
}

impl Attempt {
    pub fn new(way: Way, target: Uri) -> Attempt {
        Attempt {
            way,
            answered: Answered::default(),
            tries: 0,
            bare: false,
            glared: false,
            waited: false,
            contacts: VecDeque::new(),
            depth: 0,
            seen: vec![target],
        }
    }

    /// The next target; nonces are another server's business.
    fn forget_answers(&mut self) -> [(Name, String); 2] {
        self.answered = Answered::default();
        [(Name::Authorization, String::new()), (Name::ProxyAuthorization, String::new())]
    }

    /// Takes the Contacts of a 3xx that may be followed (XFR-08), best q first.
    fn redirected(&mut self, redirects: &Redirects, message: &Message) {
        if self.depth >= MOST_DEPTH {
            return;
        }
        let mut contacts: Vec<NameAddr> = message.addresses(&Name::Contact).unwrap_or_default();
        contacts.sort_by_key(|contact| std::cmp::Reverse(quality(contact)));
        for contact in contacts.into_iter().filter(|contact| may_follow(redirects, &contact.uri)).rev() {
            let new = !self.seen.iter().any(|seen| seen.equivalent(&contact.uri));
            if new && self.contacts.len() < MOST_CONTACTS {
                self.contacts.push_front((contact.uri, self.depth + 1));
            }
        }
    }
}

impl Session {
    /// A final refusal of our INVITE: another try, or the end.
    pub(super) fn invite_refusal(
        &mut self,
        core: &mut Core,
        now: Instant,
        status: u16,
        message: &Message,
        sent: &Sent,
    ) {
        if self.is_final(core, now, status, message, sent) {
            self.invite_refused(core, now, status, message.reasons());
        }
    }

    /// `false`: another try is under way.
    fn is_final(&mut self, core: &mut Core, now: Instant, status: u16, message: &Message, sent: &Sent) -> bool {
        let Phase::Calling(out) = &mut self.phase else { return true };
        if out.hangup.is_some() || out.attempt.tries >= MOST_TRIES {
            return true;
        }
        if status == 422 {
            if self.timer_raised(message) {
                let changes = self.ask_timer(core);
                self.invite_again(core, now, None, &changes);
                return false;
            }
            return true;
        }
        let attempt = &mut out.attempt;
        let after = message.seconds(&Name::RetryAfter).and_then(Result::ok);
        match status {
            401 | 407 => {
                let answer = core.authorize(self.trunk, &self.hosts, &mut attempt.answered, message, sent);
                let Some(lines) = answer else { return true };
                self.invite_again(core, now, None, &lines);
            }
            413 if !attempt.waited && after.is_some_and(|secs| secs <= LONGEST_WAIT_SECS) => {
                attempt.waited = true;
                core.start(now, self.id, Timer::InviteAgain, Duration::from_secs(after.unwrap_or(0).into()));
            }
            491 if !attempt.glared => {
                attempt.glared = true;
                let back_off = core.random.back_off(2_100, 4_000);
                core.start(now, self.id, Timer::InviteAgain, back_off);
            }
            420 if !attempt.bare => {
                attempt.bare = true;
                let Some(changes) = without_options(&sent.request, message) else { return true };
                self.invite_again(core, now, None, &changes);
            }
            503 => {
                core.note_busy(now, sent.flow, message);
                return !self.next_flow(core, now, true);
            }
            300..=399 => {
                attempt.redirected(&core.trunk(self.trunk).redirects, message);
                return !self.next_contact(core, now);
            }
            // The other Contacts of a redirection, unless nobody anywhere will answer (§16.7).
            400..=599 => return !self.next_contact(core, now),
            _ => return true,
        }
        false
    }

    /// No final response came: 408 or 503.
    pub(super) fn invite_failed(&mut self, core: &mut Core, now: Instant, status: u16) {
        let Phase::Calling(out) = &self.phase else { return };
        // Where it rang already, another flow would ring a second time.
        let untouched = out.early.is_empty() && out.hangup.is_none() && out.attempt.tries < MOST_TRIES;
        if untouched && (self.next_flow(core, now, false) || self.next_contact(core, now)) {
            return;
        }
        self.invite_refused(core, now, status, Vec::new());
    }

    fn next_flow(&mut self, core: &mut Core, now: Instant, busy: bool) -> bool {
        let Phase::Calling(out) = &mut self.phase else { return false };
        if !out.attempt.way.next(busy) {
            return busy && self.next_contact(core, now);
        }
        let changes = out.attempt.forget_answers();
        self.invite_again(core, now, None, &changes);
        true
    }

    /// Goes on to a Contact of a redirection.
    fn next_contact(&mut self, core: &mut Core, now: Instant) -> bool {
        let Phase::Calling(out) = &mut self.phase else { return false };
        let attempt = &mut out.attempt;
        while let Some((contact, depth)) = attempt.contacts.pop_front() {
            let Some(flow) = flow_to(core, self.trunk, attempt.way.flow(), &contact) else { continue };
            if flow != attempt.way.flow() {
                attempt.way.turn(flow);
            }
            attempt.depth = depth;
            attempt.seen.push(contact.clone());
            let changes = attempt.forget_answers();
            let uri = contact.as_str().split('?').next().unwrap_or_default().to_owned();
            self.invite_again(core, now, Some(&uri), &changes);
            return true;
        }
        false
    }

    /// Sends the INVITE again as a new request on the flow in use.
    pub(super) fn invite_again(
        &mut self,
        core: &mut Core,
        now: Instant,
        uri: Option<&str>,
        changes: &[(Name, String)],
    ) {
        let (Phase::Calling(out), Some(last)) = (&mut self.phase, &self.own_invite) else { return };
        let cseq = last.cseq().and_then(Result::ok).map_or(1, |cseq| cseq.number + 1);
        let (trunk, way) = (self.trunk, &mut out.attempt.way);
        let write = |core: &mut Core, flow: Flow| {
            let contact = [(Name::Contact, core.contact(trunk, flow))];
            let changes: Vec<_> = contact.iter().chain(changes).cloned().collect();
            core.again(trunk, flow, last, (uri, cseq), &changes)
        };
        let (mut branch, mut invite) = write(core, way.flow());
        if way.fit(core, trunk, invite.as_bytes().len()) {
            (branch, invite) = write(core, way.flow());
        }
        let flow = way.flow();
        self.transmit_invite(core, now, flow, branch, invite);
    }

    /// One try; what the last one made (early dialogs, CANCEL) is over.
    pub(super) fn transmit_invite(
        &mut self,
        core: &mut Core,
        now: Instant,
        flow: Flow,
        branch: String,
        invite: Message,
    ) {
        let Phase::Calling(out) = &mut self.phase else { return };
        out.attempt.tries += 1;
        out.early.clear();
        (out.media, out.provisional, out.cancelled) = (None, false, false);
        self.earlies.clear();
        self.own_invite = Some(invite.clone());
        self.open_clients += 1;
        let tx = core.store.start(&mut core.io, now, flow, branch, invite, self.id, Purpose::Invite);
        self.invite_tx = Some(tx);
    }

    /// The owner's limit: CANCEL as soon as there may be one.
    pub(super) fn ring_over(&mut self, core: &mut Core, now: Instant) {
        let Phase::Calling(out) = &mut self.phase else { return };
        if out.hangup.is_none() {
            out.unanswered = true;
            self.hangup(core, now, Some(causes::no_answer()));
        }
    }

    /// How a call that we cancelled ended: as its owner wished, or by the limit.
    pub(super) fn given_up(&self) -> SessionEnd {
        match &self.phase {
            Phase::Calling(out) if out.unanswered => {
                SessionEnd::Failed { status: 408, reason: vec![causes::no_answer()] }
            }
            _ => SessionEnd::Local,
        }
    }

    pub(super) fn invite_refused(&mut self, core: &mut Core, now: Instant, status: u16, reason: Vec<Reason>) {
        let Phase::Calling(out) = &self.phase else { return };
        let end = match out.hangup {
            Some(_) => self.given_up(),
            None => SessionEnd::Failed { status, reason },
        };
        self.finish(core, now, end);
    }
}

/// 420: the INVITE without what the peer lacks. `None`: it is not ours to leave out, or nothing of it is there.
fn without_options(invite: &Message, refusal: &Message) -> Option<Vec<(Name, String)>> {
    let lacks = refusal.values(&Name::Unsupported);
    let lacked = |option: &String| lacks.iter().any(|lack| lack.eq_ignore_ascii_case(option));
    // A call that is to take another one over would be a new call without it (RFC 3891 §3).
    if invite.value(&Name::Replaces).is_some() && lacks.iter().any(|lack| lack.eq_ignore_ascii_case("replaces")) {
        return None;
    }
    let mut changes = Vec::new();
    for name in [Name::Require, Name::ProxyRequire, Name::Supported] {
        let values = invite.values(&name);
        if values.iter().any(lacked) {
            let kept: Vec<_> = values.into_iter().filter(|option| !lacked(option)).collect();
            changes.push((name, kept.join(", ")));
        }
    }
    if lacks.iter().any(|lack| lack.eq_ignore_ascii_case("timer")) {
        changes.extend([(Name::SessionExpires, String::new()), (Name::MinSe, String::new())]);
    }
    (!changes.is_empty()).then_some(changes)
}

/// A15: nothing but what the trunk lists.
fn may_follow(redirects: &Redirects, uri: &Uri) -> bool {
    let Redirects::Hosts(hosts) = redirects else { return false };
    let name = match uri.scheme() {
        "sip" | "sips" => uri.host(),
        "tel" => uri.user(),
        _ => None,
    };
    name.is_some_and(|name| hosts.iter().any(|host| host.eq_ignore_ascii_case(name)))
}

/// `q` in thousandths; 1 if there is none.
fn quality(contact: &NameAddr) -> u32 {
    let q = contact.param("q").flatten().and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
    (q.clamp(0.0, 1.0) * 1000.0) as u32
}

/// Where a Contact is reached: at its address, or, for a name or a number, through the proxy that named it. `None`: by a transport
/// that the trunk does not have, or one less secure than the URI asks for.
fn flow_to(core: &Core, trunk: crate::sip::TrunkId, last: Flow, contact: &Uri) -> Option<Flow> {
    let named = contact.param("transport").flatten().map(str::to_ascii_lowercase);
    let transport = match (named.as_deref(), contact.scheme()) {
        (_, "sips") | (Some("tls"), _) => Transport::Tls,
        (Some("tcp"), _) => Transport::Tcp,
        (Some("udp"), _) => Transport::Udp,
        _ => last.transport,
    };
    let flow = match contact.host_ip().filter(|_| contact.is_sip()) {
        Some(ip) => {
            let port = contact.port().unwrap_or(if transport == Transport::Tls { 5061 } else { 5060 });
            Flow { transport, remote: (ip, port).into(), conn: 0, ..last }
        }
        None if contact.is_sip() && transport == Transport::Tls && last.transport != Transport::Tls => return None,
        None => last,
    };
    // What was said by TLS, keys of SRTP too, is not said again where anyone can read it.
    let as_safe = last.transport != Transport::Tls || flow.transport == Transport::Tls;
    let same_family = flow.remote.is_ipv4() == last.remote.is_ipv4();
    let usable = as_safe && same_family && core.advertised(trunk, flow).is_some();
    usable.then_some(flow)
}
