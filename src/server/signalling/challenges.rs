//! Peers that prove themselves by digest (AUT-02): whose users, which realm, and what to ask.

use super::super::trunks::Trunks;
use crate::sip::TrunkId;
use crate::sip::digest::Credentials;
use crate::sip::digest::server::{Denied, DigestServer};
use crate::sip::headers::Name;
use crate::sip::message::Message;
use std::net::IpAddr;
use std::time::Instant;

/// One realm of ours with its users.
struct Realm {
    name: String,
    server: DigestServer,
    trunks: Vec<TrunkId>,
    users: Vec<Credentials>,
}

pub struct Challenges {
    realms: Vec<Realm>,
}

/// What became of a request.
pub enum Proof {
    Of(TrunkId),
    /// `wrong`: it came with credentials, and they were not good.
    Ask {
        trunk: TrunkId,
        headers: Vec<(Name, String)>,
        wrong: bool,
    },
    LockedOut,
}

impl Challenges {
    pub fn new(trunks: &Trunks, secret: [u8; 32]) -> Challenges {
        let mut realms: Vec<Realm> = Vec::new();
        for (id, ready) in trunks.all() {
            let Some(user) = &ready.trunk.identify.user else { continue };
            let at = realms.iter().position(|realm| realm.name == user.realm).unwrap_or_else(|| {
                let server = DigestServer::new(secret, &user.realm);
                realms.push(Realm { name: user.realm.clone(), server, trunks: Vec::new(), users: Vec::new() });
                realms.len() - 1
            });
            if let Some(realm) = realms.get_mut(at) {
                realm.trunks.push(id);
                realm.users.push(user.credentials.clone());
            }
        }
        Challenges { realms }
    }

    /// `trunks`: those whose rules ask for a proof, in order. All users of a realm are tried, so that the answer is the same for each.
    pub fn check(&mut self, now: Instant, source: IpAddr, request: &Message, trunks: &[TrunkId]) -> Proof {
        let mut question = None;
        let has_answer = request.value(&Name::Authorization).is_some();
        for realm in &mut self.realms {
            let Some(asked) = realm.trunks.iter().find(|trunk| trunks.contains(trunk)).copied() else { continue };
            match realm.server.verify(now, source, request, &realm.users) {
                Ok(user) => {
                    let trunk = realm.trunks.get(user).copied().filter(|trunk| trunks.contains(trunk));
                    if let Some(trunk) = trunk {
                        return Proof::Of(trunk);
                    }
                }
                Err(Denied::LockedOut) => return Proof::LockedOut,
                Err(Denied::Challenge { stale }) => {
                    if question.is_none() {
                        let headers = realm.server.challenge(now, source, stale);
                        question = Some(Proof::Ask { trunk: asked, headers, wrong: has_answer && !stale });
                    }
                }
            }
        }
        question.unwrap_or(Proof::LockedOut)
    }
}
