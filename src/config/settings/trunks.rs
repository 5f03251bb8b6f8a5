//! `[[trunk]]`: profile, fields, and what must agree between them and with the rest of the settings.
//!
//! In: the tables. Out: [`Trunk`]s ready to use, and where each field came from. A profile is laid under the trunk's own table,
//! so that a field is read the same way wherever it stands. `peer`: who and where; `policy`: what it may do.

mod peer;
mod policy;

use super::providers::label;
use super::{Settings, TrunkOrigins};
use crate::config::document;
use crate::config::fields::{Fields, shorten};
use crate::config::suggest;
use crate::sip::Transport;
use crate::trunk::profile::{self, PROFILES};
use crate::trunk::{PEERS, Trunk};
use std::collections::BTreeMap;

/// Most trunks of a server.
const MAX_TRUNKS: usize = 1000;

/// Reads all of them. `settings` has the other tables already.
pub fn read(fields: &mut Fields<'_>, settings: &mut Settings) {
    let tables = fields.tables("trunk");
    if tables.len() > MAX_TRUNKS {
        fields.problem("trunk", format!("there are {} trunks, the most is {MAX_TRUNKS}", tables.len()));
    }
    for mut table in tables {
        let origins = lay_profile_under(&mut table);
        let trunk = trunk(&mut table, settings);
        if trunk.name == PEERS {
            table.problem("name", "is the name of the trunk that sip.peers makes: choose another");
        } else if settings.trunks.iter().any(|other| other.name == trunk.name) && !trunk.name.is_empty() {
            table.problem("name", format!("\"{}\" is the name of an earlier trunk: choose another", trunk.name));
        }
        settings.trunks.push(trunk);
        settings.trunk_origins.push(origins);
    }
}

fn lay_profile_under(fields: &mut Fields<'_>) -> TrunkOrigins {
    let mut origins = TrunkOrigins::default();
    let own = fields.places();
    if let Some(name) = fields.words("profile", 64) {
        match profile::find(&name.value) {
            Some(profile) => {
                origins.profile = Some(profile.name.to_owned());
                // A profile that is no TOML does not pass the tests.
                let table = document::parse(&format!("profile {}", profile.name), profile.toml).unwrap_or_default();
                fields.lay_under(table);
            }
            None => {
                let names: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
                let hint = suggest::hint(&name.value, names.iter().copied());
                let shown = shorten(&name.value);
                let message = format!("\"{shown}\" is not a profile: use one of {}, or none.{hint}", names.join(", "));
                fields.problems.add(name.error(message));
            }
        }
    }
    let source = origins.profile.as_ref().map(|name| format!("profile {name}")).unwrap_or_default();
    let of_profile = fields.places().into_iter().filter(|(_, at)| *at.source == *source);
    origins.fields = of_profile.map(|(path, _)| (path, source.clone())).collect::<BTreeMap<_, _>>();
    origins.fields.extend(own.into_iter().map(|(path, at)| (path, format!("{}:{}", at.source, at.line))));
    origins
}

fn trunk(fields: &mut Fields<'_>, settings: &mut Settings) -> Trunk {
    let mut trunk = Trunk::new("");
    match fields.words("name", 64) {
        Some(name) => trunk.name = label(fields, name),
        None if !fields.has("name") => {
            fields.problem("name", "is missing: name it, for logs, metrics and `voxtrunk explain --trunk NAME`");
        }
        None => {}
    }
    peer::read(fields, &mut trunk, settings);
    policy::read(fields, &mut trunk, settings);
    tls_agrees(fields, &trunk, settings);
    trunk
}

/// TLS from the trunk needs a certificate of ours; TLS towards it does not.
fn tls_agrees(fields: &Fields<'_>, trunk: &Trunk, settings: &Settings) {
    let judged = !fields.problems.has(&["sip.tls", "sip.tls.certificate", "sip.tls.key", "sip.tls.client_ca"]);
    if !judged || !trunk.transports.contains(&Transport::Tls) {
        return;
    }
    match &settings.sip.tls {
        None if trunk.targets.is_empty() => {
            let message = "has \"tls\", but we have no certificate to be called by TLS: add [sip.tls] with certificate and \
                           key, or targets that we call";
            fields.problem("transports", message);
        }
        None if !trunk.identify.certificate_names.is_empty() => {
            fields.problem("certificate_names", "needs [sip.tls] with client_ca, or no certificate is ever asked for");
        }
        Some(tls) if tls.client_ca.is_none() && !trunk.identify.certificate_names.is_empty() => {
            let message = "needs client_ca in [sip.tls]: without it no peer is asked for a certificate";
            fields.problem("certificate_names", message);
        }
        _ => {}
    }
}
