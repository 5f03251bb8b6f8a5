//! Challenges of ours, and the check of what comes back (RFC 7616 §3.3–3.5, RFC 8760 §2, RFC 3261 §22.4). AUT-02, A2.
//!
//! A nonce says when it was made; a keyed hash over that, the source and the realm makes it ours. Nothing is kept for a challenge:
//! memory is used by sources that proved a password (their nonces' counts) or failed to, with a nonce that really reached them.

use super::Credentials;
use super::challenge::{Params, digests};
use super::hash::{Algorithm, Digested, Qop, keyed, same};
use crate::sip::headers::{Name, Quoted};
use crate::sip::message::Message;
use crate::sip::uri::Uri;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long a nonce is good.
const NONCE_AGE: Duration = Duration::from_secs(300);
/// A copy of a request that was let in passes again so long: its transaction lives at least this (timers I and J), so that
/// a copy later than this is a replay, and one earlier meets the transaction.
const COPY_AGE: Duration = Duration::from_secs(5);
/// Wrong answers of one source within [`FAILURES_WITHIN`] that lock it out for [`LOCKED_FOR`].
const MOST_FAILURES: u32 = 10;
const FAILURES_WITHIN: Duration = Duration::from_secs(600);
const LOCKED_FOR: Duration = Duration::from_secs(600);
/// Nonces in use and failing sources that are remembered.
const MOST_NONCES: usize = 4096;
const MOST_SOURCES: usize = 1024;

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// 401 with [`DigestServer::challenge`].
    Challenge { stale: bool },
    /// Too many wrong answers from this source: drop it, or 403.
    LockedOut,
}

/// When a nonce was made, ms since the first one, and its number.
type NonceId = (u64, u32);

/// A nonce that somebody proved a password with.
#[derive(Debug)]
struct InUse {
    /// Highest count so far.
    nc: u32,
    /// Response and branch of that request, and when it came, for its copies.
    last: (String, Instant),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    since: Instant,
    locked_until: Option<Instant>,
}

/// One realm of ours.
pub struct DigestServer {
    secret: [u8; 32],
    realm: String,
    base: Option<Instant>,
    serial: u32,
    in_use: BTreeMap<NonceId, InUse>,
    /// Nonces up to this one that are not in use any more are never good again.
    forgotten: Option<NonceId>,
    failures: HashMap<IpAddr, Failures>,
}

impl DigestServer {
    /// `secret`: unpredictable, of this process. `realm`: shown to the peers.
    pub fn new(secret: [u8; 32], realm: &str) -> DigestServer {
        DigestServer {
            secret,
            realm: realm.to_owned(),
            base: None,
            serial: 0,
            in_use: BTreeMap::new(),
            forgotten: None,
            failures: HashMap::new(),
        }
    }

    /// The headers of a 401: SHA-256 first, then MD5 (RFC 8760 §2.4).
    pub fn challenge(&mut self, now: Instant, source: IpAddr, stale: bool) -> Vec<(Name, String)> {
        self.serial = self.serial.wrapping_add(1);
        let id = (self.ms(now), self.serial);
        let nonce = self.nonce(id, source);
        let (realm, stale) = (Quoted(&self.realm), if stale { ", stale=true" } else { "" });
        let line = |algorithm| {
            let value = format!("Digest realm={realm}, nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}");
            (Name::WwwAuthenticate, value)
        };
        vec![line("SHA-256"), line("MD5")]
    }

    /// Whether a request from `source` proves to be of one of `users`: the place in the list.
    ///
    /// The same work is done for a user that does not exist. ACK and CANCEL carry no credentials (RFC 3261 §22.1): do not ask.
    pub fn verify(
        &mut self,
        now: Instant,
        source: IpAddr,
        request: &Message,
        users: &[Credentials],
    ) -> Result<usize, Denied> {
        let source = network(source);
        if self.is_locked(now, source) {
            return Err(Denied::LockedOut);
        }
        let challenge = |stale| Err(Denied::Challenge { stale });
        let Some(params) = self.own_params(request) else { return challenge(false) };
        let Some(answer) = Answer::read(&params, request) else { return challenge(false) };
        // A nonce of an earlier process or of another source: the peer may know the password, so it need not ask for another.
        let Some(id) = self.own_nonce(answer.nonce, source) else { return challenge(true) };
        let user = self.user_of(&answer, &params, request, users);
        let Some(user) = user else {
            return match self.fail(now, source) {
                true => Err(Denied::LockedOut),
                false => challenge(false),
            };
        };
        let copy = format!("{}{}", params.get("response").unwrap_or_default(), branch(request));
        if self.is_copy(now, id, &answer, &copy) {
            return Ok(user);
        }
        let old = self.ms(now).saturating_sub(id.0) > NONCE_AGE.as_millis() as u64;
        let used = self.in_use.get(&id).is_some_and(|used| answer.count <= used.nc);
        let forgotten = !self.in_use.contains_key(&id) && self.forgotten.is_some_and(|forgotten| id <= forgotten);
        if old || used || forgotten {
            return challenge(true);
        }
        self.use_up(now, id, answer.count, copy);
        self.failures.remove(&source);
        Ok(user)
    }

    /// Sources locked out at the moment, and nonces in use, for metrics.
    pub fn counts(&self, now: Instant) -> (usize, usize) {
        let locked = self.failures.values().filter(|f| f.locked_until.is_some_and(|until| until > now)).count();
        (locked, self.in_use.len())
    }

    fn ms(&mut self, now: Instant) -> u64 {
        let base = *self.base.get_or_insert(now);
        u64::try_from(now.saturating_duration_since(base).as_millis()).unwrap_or(u64::MAX)
    }

    /// 16 hex digits of time, 8 of number, 32 of proof.
    fn nonce(&self, (ms, serial): NonceId, source: IpAddr) -> String {
        let place = format!("{ms:016x}{serial:08x}");
        let source = network(source).to_string();
        let proof = keyed(&self.secret, &[place.as_bytes(), source.as_bytes(), self.realm.as_bytes()]);
        place + &proof
    }

    fn own_nonce(&self, nonce: &str, source: IpAddr) -> Option<NonceId> {
        let id = (nonce.get(..16)?, nonce.get(16..24)?);
        let id = (u64::from_str_radix(id.0, 16).ok()?, u32::from_str_radix(id.1, 16).ok()?);
        same(&self.nonce(id, source), nonce).then_some(id)
    }

    /// The credentials for our realm, if there are any.
    fn own_params(&self, request: &Message) -> Option<Params> {
        let realm = Quoted(&self.realm).to_string();
        let mut all = request.raw_lines(&Name::Authorization).flat_map(digests);
        all.find(|params| params.get("realm").is_some_and(|value| format!("\"{value}\"") == realm))
    }

    /// Whose answer it is. Each user costs the same, one that does not exist too.
    fn user_of(&self, answer: &Answer<'_>, params: &Params, request: &Message, users: &[Credentials]) -> Option<usize> {
        let get = |name| params.get(name).unwrap_or_default();
        let written = get("username");
        let named = users.iter().position(|user| same(quoted_inner(&user.user).as_str(), written));
        let nobody = keyed(&self.secret, &[written.as_bytes()]);
        let user = named.and_then(|at| users.get(at));
        let method = request.method();
        let digested = Digested {
            user: user.map_or(written, |user| &user.user),
            realm: get("realm"),
            password: user.map_or(&nobody, |user| user.password.expose()),
            method: method.as_str(),
            uri: get("uri"),
            nonce: answer.nonce,
            qop: answer.qop,
            cnonce: get("cnonce"),
        };
        let right = same(&digested.response(answer.algorithm), &get("response").to_ascii_lowercase());
        (right && answer.uri_fits).then_some(named).flatten()
    }

    fn is_copy(&self, now: Instant, id: NonceId, answer: &Answer<'_>, copy: &str) -> bool {
        self.in_use.get(&id).is_some_and(|used| {
            used.nc == answer.count && used.last.0 == copy && now.saturating_duration_since(used.last.1) <= COPY_AGE
        })
    }

    fn use_up(&mut self, now: Instant, id: NonceId, nc: u32, copy: String) {
        let oldest = self.ms(now).saturating_sub(NONCE_AGE.as_millis() as u64);
        while let Some((&first, _)) = self.in_use.first_key_value() {
            if first.0 >= oldest && self.in_use.len() < MOST_NONCES {
                break;
            }
            self.in_use.pop_first();
            self.forgotten = self.forgotten.max(Some(first));
        }
        self.in_use.insert(id, InUse { nc, last: (copy, now) });
    }

    fn is_locked(&self, now: Instant, source: IpAddr) -> bool {
        self.failures.get(&source).is_some_and(|f| f.locked_until.is_some_and(|until| until > now))
    }

    /// Counts a wrong answer. `true`: the source is locked out by it.
    fn fail(&mut self, now: Instant, source: IpAddr) -> bool {
        let over = |f: &Failures| match f.locked_until {
            Some(until) => until <= now,
            None => now.saturating_duration_since(f.since) > FAILURES_WITHIN,
        };
        if !self.failures.contains_key(&source) && self.failures.len() >= MOST_SOURCES {
            self.failures.retain(|_, f| !over(f));
            // All of them are busy: the one with the fewest failures gives way, a locked one last.
            if self.failures.len() >= MOST_SOURCES
                && let Some(least) = self.failures.iter().min_by_key(|(_, f)| (f.count, f.since)).map(|(ip, _)| *ip)
            {
                self.failures.remove(&least);
            }
        }
        let fresh = Failures { count: 0, since: now, locked_until: None };
        let failures = self.failures.entry(source).or_insert(fresh);
        if over(failures) {
            *failures = fresh;
        }
        failures.count += 1;
        if failures.count >= MOST_FAILURES {
            failures.locked_until = Some(now + LOCKED_FOR);
        }
        failures.locked_until.is_some()
    }
}

/// Without the secret.
impl std::fmt::Debug for DigestServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DigestServer").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// What of the credentials can be judged before the password.
#[derive(Debug)]
struct Answer<'a> {
    nonce: &'a str,
    algorithm: Algorithm,
    qop: Option<Qop<'a>>,
    /// `u32::MAX` without qop: such a nonce is good once.
    count: u32,
    uri_fits: bool,
}

impl<'a> Answer<'a> {
    /// `None`: an algorithm or qop that was not offered, or a parameter is missing.
    fn read(params: &'a Params, request: &Message) -> Option<Answer<'a>> {
        let algorithm = params.get("algorithm").map_or(Some(Algorithm::MD5), Algorithm::parse)?;
        if algorithm.session {
            return None;
        }
        let (qop, count) = match params.get("qop") {
            None => (None, u32::MAX),
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let nc = params.get("nc").filter(|nc| nc.len() == 8)?;
                params.get("cnonce")?;
                (Some(Qop { nc, body: None }), u32::from_str_radix(nc, 16).ok()?)
            }
            Some(_) => return None,
        };
        let (uri, asked) = (params.get("uri")?, request.request_uri()?.ok()?);
        let uri_fits = uri == asked.as_str() || Uri::parse(uri).is_ok_and(|uri| uri.equivalent(&asked));
        params.get("response")?;
        Some(Answer { nonce: params.get("nonce")?, algorithm, qop, count, uri_fits })
    }
}

/// One IPv6 customer has a /64.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from(u128::from(ip) >> 64 << 64)),
        v4 => v4,
    }
}

/// As it stands between quotes.
fn quoted_inner(text: &str) -> String {
    let quoted = Quoted(text).to_string();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

fn branch(request: &Message) -> String {
    request.top_via().and_then(Result::ok).and_then(|via| via.branch).unwrap_or_default()
}

#[cfg(test)]
mod tests;
