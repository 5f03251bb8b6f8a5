//! Pieces that several tables of the settings have: addresses, networks, codecs, paths.

use super::Network;
use crate::config::fields::{Fields, Found};
use crate::rtp::receiver::SourcePolicy;
use crate::sip::offer_answer::Codec;
use crate::srtp_key::Suite;
use crate::trunk::SrtpPolicy;
use std::path::PathBuf;
use std::str::FromStr;

pub fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

pub fn path(fields: &mut Fields<'_>, key: &'static str) -> Option<PathBuf> {
    fields.words(key, 4096).map(|found| found.value.into())
}

/// A text that must parse; `expected` completes "is not …".
pub fn parsed<T: FromStr>(fields: &mut Fields<'_>, key: &'static str, expected: &str) -> Option<Found<T>> {
    let Found { value, at, field } = fields.text(key)?;
    match value.trim().parse() {
        Ok(value) => Some(Found { value, at, field }),
        Err(_) => {
            let value = crate::config::fields::shorten(&value);
            fields.problems.add(at.error(&field, format!("\"{value}\" is not {expected}")));
            None
        }
    }
}

pub fn networks(fields: &mut Fields<'_>, key: &'static str) -> Option<Found<Vec<Network>>> {
    let list = fields.texts(key)?;
    let mut networks = Vec::new();
    for text in &list.value {
        match Network::parse(&text.value) {
            Ok(network) => networks.push(network),
            Err(message) => fields.problems.add(text.error(message)),
        }
    }
    // Bad entries have been complained about; do not complain about emptiness on top.
    (networks.len() == list.value.len()).then_some(Found { value: networks, at: list.at, field: list.field })
}

/// `["G722", "PCMU", "PCMA"]`, best first.
pub fn codecs(fields: &mut Fields<'_>) -> Option<Vec<Codec>> {
    let list = fields.texts("codecs")?;
    let mut codecs = Vec::new();
    for name in &list.value {
        match name.value.to_ascii_uppercase().as_str() {
            "PCMU" => codecs.push(Codec::Pcmu),
            "PCMA" => codecs.push(Codec::Pcma),
            "G722" => codecs.push(Codec::G722),
            _ => fields.problems.add(name.error("is not known: use \"PCMU\", \"PCMA\" and \"G722\"")),
        }
    }
    let all_known = codecs.len() == list.value.len();
    if !all_known {
        // Complained about above.
    } else if codecs.is_empty() {
        fields.problems.add(list.error("names no codec: use [\"PCMU\", \"PCMA\"], best first"));
    } else if codecs.iter().enumerate().any(|(n, codec)| codecs.iter().take(n).any(|before| before == codec)) {
        fields.problems.add(list.error("names a codec twice: list each once"));
    } else {
        return Some(codecs);
    }
    None
}

/// `srtp`.
pub fn srtp(fields: &mut Fields<'_>) -> Option<Found<SrtpPolicy>> {
    fields.choice("srtp", &SrtpPolicy::NAMES)
}

/// `srtp_suites`: names of RFC 4568, best first.
pub fn srtp_suites(fields: &mut Fields<'_>) -> Option<Vec<Suite>> {
    let list = fields.texts("srtp_suites")?;
    let mut suites = Vec::new();
    for name in &list.value {
        match Suite::from_name(&name.value) {
            Some(suite) if suites.contains(&suite) => {
                fields.problems.add(name.error(format!("{} stands twice: list each once", suite.name())));
            }
            Some(suite) => suites.push(suite),
            None => {
                let names = Suite::ALL.map(|suite| format!("\"{}\"", suite.name())).join(", ");
                fields.problems.add(name.error(format!("is not known: use {names}")));
            }
        }
    }
    if list.value.is_empty() {
        let message = "names no suite: leave it out for the default, or write srtp = \"off\" if no SRTP is wanted";
        fields.problems.add(list.error(message));
    }
    (!suites.is_empty() && suites.len() == list.value.len()).then_some(suites)
}

/// Packet length of G.711 and G.722.
pub fn ptime_ms(fields: &mut Fields<'_>) -> Option<u32> {
    let ptime = fields.number::<u32>("ptime_ms", 10..=60)?;
    if [10, 20, 30, 40, 60].contains(&ptime) {
        return Some(ptime);
    }
    fields.problem("ptime_ms", format!("{ptime} is not a packet length we send: use 10, 20, 30, 40 or 60"));
    None
}

pub fn source_policy(fields: &mut Fields<'_>) -> Option<SourcePolicy> {
    let policies = [("strict", SourcePolicy::Strict), ("latch", SourcePolicy::Latch), ("nat", SourcePolicy::Nat)];
    fields.choice("source_policy", &policies).map(|found| found.value)
}

/// The path of a file that must be there.
pub fn existing(fields: &mut Fields<'_>, key: &'static str) -> Option<PathBuf> {
    let found = fields.words(key, 4096)?;
    if let Err(error) = std::fs::metadata(&found.value) {
        fields.problems.add(found.error(format!("{} cannot be read: {error}", found.value)));
    }
    Some(found.value.into())
}
