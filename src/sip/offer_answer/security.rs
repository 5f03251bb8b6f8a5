//! SDES SRTP in offer/answer (RFC 4568 §5 and §7, RFC 8643): which profile and which `a=crypto` line are taken, and whose key is whose.
//!
//! The key in a line protects what its writer sends. A key of ours stays over refreshes, hold and resume, and is never used again once it
//! was given up: the same key at the same packet index would be the same key stream (RFC 3711 §9.1).

use super::{LocalSrtp, MediaParams, Refusal};
use crate::sip::crypto_attribute::CryptoLine;
use crate::sip::sdp::{CRYPTO, Stream};
use crate::srtp_key::{MasterKey, SrtpKeys, Suite};
use std::net::SocketAddr;

/// Most `a=crypto` lines of a stream that are looked at.
const MAX_LINES: usize = 32;

/// A media profile that can be answered (SDP-14), with feedback (AVPF, SAVPF) or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    Plain,
    Secure,
}

impl Profile {
    pub fn of(stream: &Stream) -> Result<Profile, Refusal> {
        let proto = stream.proto.to_ascii_uppercase();
        match proto.as_str() {
            "RTP/AVP" | "RTP/AVPF" => Ok(Profile::Plain),
            "RTP/SAVP" | "RTP/SAVPF" => Ok(Profile::Secure),
            _ if proto.contains("SAVP") => {
                Err(refused("SRTP with keys by DTLS is not supported: offer RTP/SAVP with a=crypto (SDES)"))
            }
            _ => {
                let why = "a transport other than RTP/AVP and RTP/SAVP".to_owned();
                Err(Refusal { status: 488, why, about_srtp: false })
            }
        }
    }
}

/// The profile of our first offer. With SRTP as a wish it stays RTP/AVP, which every peer can take (RFC 8643 §3).
pub(super) fn first_profile(local: Option<&LocalSrtp>) -> &'static str {
    if local.is_some_and(|local| local.require) { "RTP/SAVP" } else { "RTP/AVP" }
}

/// What a later offer of ours repeats on a stream of the peer. One that was switched off may name any profile; ours must be one that
/// goes with what is agreed on.
pub(super) fn kept_profile(stream: &Stream, secure: bool) -> &str {
    match (Profile::of(stream), secure) {
        (Ok(Profile::Plain), _) | (Ok(Profile::Secure), true) => &stream.proto,
        (_, true) => "RTP/SAVP",
        (_, false) => "RTP/AVP",
    }
}

/// What an offered stream gets: the line of our answer, and the keys.
pub(super) struct Secured {
    /// The peer's tag and suite with our key.
    pub line: CryptoLine,
    pub keys: SrtpKeys,
    /// Ours from now on.
    pub local: LocalSrtp,
}

impl Secured {
    /// The first line, in the offerer's order, that we can take (RFC 4568 §5.1.2); `None`: plain RTP. `remote`: where the stream goes;
    /// `before`: what was agreed on last.
    pub fn new(
        profile: Profile,
        stream: &Stream,
        remote: Option<SocketAddr>,
        local: Option<&LocalSrtp>,
        before: Option<&MediaParams>,
    ) -> Result<Option<Secured>, Refusal> {
        let Some(local) = local else {
            return match profile {
                Profile::Plain => Ok(None),
                Profile::Secure => Err(refused(
                    "SRTP is off here, or its keys would travel unprotected: call by TLS, or offer RTP/AVP",
                )),
            };
        };
        if local.require && local.suites().is_empty() {
            return Err(refused("only SRTP is taken here, and its keys only by TLS: call by TLS"));
        }
        match (first_usable(stream, |line| local.takes(line.suite)), profile) {
            (Ok(theirs), _) => Secured::with(theirs, remote, local, before).map(Some),
            (Err(why), Profile::Secure) => Err(refused(&format!("SRTP without a usable a=crypto line: {why}"))),
            (Err(why), Profile::Plain) if local.require => {
                Err(refused(&format!("only SRTP is taken here: offer RTP/SAVP with a=crypto ({why})")))
            }
            (Err(_), Profile::Plain) => Ok(None),
        }
    }

    fn with(
        theirs: CryptoLine,
        remote: Option<SocketAddr>,
        local: &LocalSrtp,
        before: Option<&MediaParams>,
    ) -> Result<Secured, Refusal> {
        let local = match before {
            None => local.clone(),
            Some(before) => match before.srtp.as_ref().filter(|keys| keys.suite == theirs.suite) {
                Some(keys) if keys.receive == theirs.key || before.remote == remote => local.clone(),
                // Another suite, or a peer with another key at another address, which may be another machine: it knows nothing of
                // our packet counts, so our old key is of no use to it.
                _ => local.renewed(),
            },
        };
        let own = local.key(theirs.suite).ok_or_else(|| refused(NO_KEY))?;
        let keys = SrtpKeys { suite: theirs.suite, send: own.clone(), receive: theirs.key };
        Ok(Secured { line: CryptoLine { tag: theirs.tag, suite: theirs.suite, key: own }, keys, local })
    }
}

/// The keys of our last offer.
#[derive(Clone, Debug)]
pub(super) struct OfferedKeys {
    lines: Vec<CryptoLine>,
    /// Tag of the line that only says again what is in force.
    kept: Option<u32>,
    /// Whose keys the other lines have.
    fresh: Option<LocalSrtp>,
}

/// What an answer to them makes.
pub(super) struct Agreed {
    pub keys: SrtpKeys,
    /// Ours from now on.
    pub local: LocalSrtp,
}

impl OfferedKeys {
    /// All our suites at first; later the one in force with its key, then the others with fresh ones. A stream that is plain by
    /// agreement stays so.
    pub fn new(local: Option<&LocalSrtp>, before: Option<&MediaParams>) -> OfferedKeys {
        let mut offered = OfferedKeys { lines: Vec::new(), kept: None, fresh: None };
        let Some(local) = local else { return offered };
        let in_force = before.and_then(|before| before.srtp.as_ref());
        if before.is_some() && in_force.is_none() && !local.require {
            return offered;
        }
        let fresh = if before.is_some() { local.renewed() } else { local.clone() };
        if let Some(keys) = in_force {
            offered.kept = Some(1);
            offered.add(keys.suite, Some(keys.send.clone()));
        }
        for suite in local.suites().iter().filter(|suite| in_force.is_none_or(|keys| keys.suite != **suite)) {
            offered.add(*suite, fresh.key(*suite));
        }
        offered.fresh = Some(fresh);
        offered
    }

    fn add(&mut self, suite: Suite, key: Option<MasterKey>) {
        let tag = self.lines.len() as u32 + 1;
        self.lines.extend(key.map(|key| CryptoLine { tag, suite, key }));
    }

    pub fn lines(&self) -> &[CryptoLine] {
        &self.lines
    }

    /// What the answer chose: a line with tag and suite of one of ours (RFC 4568 §5.1.3). `None`: plain RTP.
    pub fn agreed(
        &self,
        profile: Profile,
        stream: &Stream,
        local: Option<&LocalSrtp>,
    ) -> Result<Option<Agreed>, Refusal> {
        let require = local.is_some_and(|local| local.require);
        if self.lines.is_empty() && profile == Profile::Plain && !require {
            return Ok(None);
        }
        let ours =
            |theirs: &CryptoLine| self.lines.iter().find(|line| line.tag == theirs.tag && line.suite == theirs.suite);
        let theirs = match first_usable(stream, |line| ours(line).is_some()) {
            Ok(theirs) => theirs,
            Err(NO_LINE) if profile == Profile::Plain && !require => return Ok(None),
            Err(why) => return Err(refused(&format!("an answer without a usable a=crypto line: {why}"))),
        };
        let (line, local) = ours(&theirs).zip(local).ok_or_else(|| refused(NO_KEY))?;
        let keys = SrtpKeys { suite: theirs.suite, send: line.key.clone(), receive: theirs.key };
        let local = self.fresh.as_ref().filter(|_| self.kept != Some(theirs.tag)).unwrap_or(local);
        Ok(Some(Agreed { keys, local: local.clone() }))
    }
}

const NO_LINE: &str = "there is none";
const NO_KEY: &str = "there is no SRTP key of ours";

/// The first line that can be read and fits; else why the first of them is of no use.
fn first_usable(stream: &Stream, fits: impl Fn(&CryptoLine) -> bool) -> Result<CryptoLine, &'static str> {
    let mut why = None;
    for value in stream.attributes(CRYPTO).take(MAX_LINES) {
        match CryptoLine::parse(value) {
            Ok(line) if fits(&line) => return Ok(line),
            Ok(_) => why = why.or(Some("its suite is not one that is taken here")),
            Err(error) => why = why.or(Some(error)),
        }
    }
    Err(why.unwrap_or(NO_LINE))
}

fn refused(why: &str) -> Refusal {
    Refusal { status: 488, why: why.to_owned(), about_srtp: true }
}

/// Why there can be no offer of ours: SRTP is a must, and there are no keys.
pub(super) fn no_offer(local: &LocalSrtp) -> Option<Refusal> {
    let impossible = local.require && local.suites().is_empty();
    impossible.then(|| refused("only SRTP is spoken here, and its keys only by TLS: call by TLS"))
}
