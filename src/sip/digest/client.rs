//! Answers to the challenges of our own requests (RFC 7616 §3.4, RFC 3261 §22.2–22.3).
//!
//! In: a 401 or 407 and the credentials that the request's trunk has (whom to answer at all is the caller's to know, AUT-04).
//! Out: the Authorization and Proxy-Authorization lines of the next try; `None`: the refusal stands.

use super::Credentials;
use super::challenge::{Challenge, Offered, digests};
use super::hash::{Digested, Qop};
use crate::sip::headers::{Name, Quoted};
use crate::sip::lexer;
use crate::sip::message::Message;
use crate::sip::random::Random;
use std::collections::VecDeque;

/// Nonces whose count is remembered.
const MOST_NONCES: usize = 256;
/// Realms in one request.
const MOST_REALMS: usize = 8;
/// Times that `stale=true` is believed for one request.
const MOST_STALE: u8 = 2;

/// What was answered for one request so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answered {
    challenges: Vec<Challenge>,
    stale: u8,
}

/// What the digest is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub method: &'a str,
    /// Request-URI, byte for byte.
    pub uri: &'a str,
    pub body: &'a [u8],
}

/// Counts how often each nonce was used, over all requests: nc may not repeat.
#[derive(Debug, Default)]
pub(crate) struct Client {
    used: VecDeque<(String, u32)>,
}

impl Client {
    /// The lines for the next try, for every realm that asked so far. `None`: no credentials for any realm, nothing that we can
    /// answer, or a challenge that was answered already and does not say that only the nonce was old.
    pub fn answer(
        &mut self,
        answered: &mut Answered,
        credentials: &[Credentials],
        response: &Message,
        asked: Asked<'_>,
        random: &mut Random,
    ) -> Option<Vec<(Name, String)>> {
        let mut new = false;
        for challenge in strongest(response, credentials) {
            let same = |old: &&mut Challenge| old.proxy == challenge.proxy && old.realm == challenge.realm;
            let room = answered.challenges.len() < MOST_REALMS;
            match answered.challenges.iter_mut().find(same) {
                Some(old) => {
                    if !challenge.stale || challenge.nonce == old.nonce || answered.stale >= MOST_STALE {
                        return None;
                    }
                    answered.stale += 1;
                    *old = challenge;
                }
                None if room => answered.challenges.push(challenge),
                None => return None,
            }
            new = true;
        }
        if !new {
            return None;
        }
        let lines = answered.challenges.iter().filter_map(|challenge| {
            let own = find(credentials, challenge)?;
            let name = if challenge.proxy { Name::ProxyAuthorization } else { Name::Authorization };
            Some((name, self.line(challenge, own, asked, random)))
        });
        Some(lines.collect())
    }

    fn line(&mut self, challenge: &Challenge, own: &Credentials, asked: Asked<'_>, random: &mut Random) -> String {
        let nc = format!("{:08x}", self.count(&challenge.nonce));
        let cnonce = random.token() + &random.token();
        let qop = match challenge.qop {
            Offered::Absent => None,
            Offered::Auth => Some(Qop { nc: &nc, body: None }),
            Offered::AuthInt => Some(Qop { nc: &nc, body: Some(asked.body) }),
        };
        let Challenge { realm, nonce, .. } = challenge;
        let digested = Digested {
            user: &own.user,
            realm,
            password: own.password.expose(),
            method: asked.method,
            uri: asked.uri,
            nonce,
            qop,
            cnonce: &cnonce,
        };
        let response = digested.response(challenge.algorithm);
        let (user, uri) = (Quoted(&own.user), asked.uri);
        let mut line = format!(
            "Digest username={user}, realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\""
        );
        if let Some(written) = &challenge.written {
            line += &format!(", algorithm={written}");
        }
        if let Some(opaque) = &challenge.opaque {
            line += &format!(", opaque=\"{opaque}\"");
        }
        // RFC 7616 §3.4: cnonce and nc only with qop; a session algorithm needs its cnonce all the same.
        match qop {
            Some(qop) => line += &format!(", qop={}, nc={nc}, cnonce=\"{cnonce}\"", qop.token()),
            None if challenge.algorithm.session => line += &format!(", cnonce=\"{cnonce}\""),
            None => {}
        }
        line
    }

    /// The next count of a nonce.
    fn count(&mut self, nonce: &str) -> u32 {
        if let Some((_, count)) = self.used.iter_mut().find(|(used, _)| used == nonce) {
            *count = count.saturating_add(1);
            return *count;
        }
        if self.used.len() >= MOST_NONCES {
            self.used.pop_front();
        }
        self.used.push_back((nonce.to_owned(), 1));
        1
    }
}

/// One challenge a realm: the strongest that we have an algorithm and credentials for, the first of equals (RFC 8760 §2.4).
fn strongest(response: &Message, credentials: &[Credentials]) -> Vec<Challenge> {
    let mut best: Vec<Challenge> = Vec::new();
    for (name, proxy) in [(Name::WwwAuthenticate, false), (Name::ProxyAuthenticate, true)] {
        let offers = response.raw_lines(&name).flat_map(digests);
        for offer in offers.filter_map(|params| Challenge::of(proxy, &params)) {
            if find(credentials, &offer).is_none() {
                continue;
            }
            let room = best.len() < MOST_REALMS;
            match best.iter_mut().find(|b| b.proxy == proxy && b.realm == offer.realm) {
                // auth-int is for those who offer nothing else.
                Some(old) if rank(&offer) > rank(old) => *old = offer,
                Some(_) => {}
                None if room => best.push(offer),
                None => {}
            }
        }
    }
    best
}

fn rank(challenge: &Challenge) -> (bool, u8) {
    (challenge.qop != Offered::AuthInt, challenge.algorithm.strength())
}

/// Credentials of the realm by name go before those of any realm.
fn find<'a>(credentials: &'a [Credentials], challenge: &Challenge) -> Option<&'a Credentials> {
    let realm = lexer::unquoted(format!("\"{}\"", challenge.realm).as_bytes());
    let named = credentials.iter().find(|own| own.realm.as_ref() == Some(&realm));
    named.or_else(|| credentials.iter().find(|own| own.realm.is_none()))
}

#[cfg(test)]
mod tests;
