//! `[[tool.target]]`: where a transfer may go, and how.
//!
//! Blind: by REFER alone. Attended and bridge: a second leg is placed first, and the callee hears who is calling.

use super::{Accept, LegPlan, TransferTarget};
use crate::config::fields::{Fields, Found};
use crate::config::suggest;
use std::time::Duration;

const MAX_TARGETS: usize = 64;
/// What the callee is told when the file says nothing.
const WHISPER: &str = "You are now speaking to the person the caller is being put through to; the caller cannot hear you. In one \
    or two short sentences say who is calling and what it is about.";

pub fn targets(fields: &mut Fields<'_>) -> Vec<TransferTarget> {
    let tables = fields.tables("target");
    if tables.is_empty() && !fields.has("target") {
        fields.problem("target", "is missing: add [[tool.target]] with name, description and uri");
    }
    if tables.len() > MAX_TARGETS {
        fields.problem("target", format!("is there {} times, the most is {MAX_TARGETS}", tables.len()));
    }
    let mut targets: Vec<TransferTarget> = Vec::new();
    for mut table in tables {
        let target = TransferTarget {
            name: required(&mut table, "name", 64, "the word the model picks, like \"sales\""),
            description: required(&mut table, "description", 1024, "tell the model who or what is there"),
            uri: target_uri(&mut table),
            fallback: table.words("fallback", 64).map(|found| found.value),
            leg: leg(&mut table),
        };
        if targets.iter().any(|other| other.name == target.name && !target.name.is_empty()) {
            table.problem("name", format!("\"{}\" is the name of an earlier target: choose another", target.name));
        }
        targets.push(target);
    }
    check_fallbacks(fields, &targets);
    targets
}

fn check_fallbacks(fields: &mut Fields<'_>, targets: &[TransferTarget]) {
    for target in targets {
        let Some(fallback) = &target.fallback else { continue };
        let message = if *fallback == target.name {
            format!("\"{fallback}\" has itself as fallback: name another target")
        } else if !targets.iter().any(|other| other.name == *fallback) {
            let hint = suggest::hint(fallback, targets.iter().map(|other| other.name.as_str()));
            format!("the fallback \"{fallback}\" of \"{}\" is not a target of this tool.{hint}", target.name)
        } else {
            continue;
        };
        fields.problem("target", message);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Blind,
    Attended,
    Bridge,
}

/// The second leg of `attended` and `bridge`.
fn leg(fields: &mut Fields<'_>) -> Option<LegPlan> {
    const OF_LEGS: [&str; 6] = ["trunk", "ring_secs", "whisper", "accept", "accept_key", "accept_secs"];
    let modes = [("blind", Mode::Blind), ("attended", Mode::Attended), ("bridge", Mode::Bridge)];
    let mode = fields.choice("mode", &modes).map_or(Mode::Blind, |found| found.value);
    if mode == Mode::Blind {
        fields.only_with(&OF_LEGS, "mode = \"attended\" or \"bridge\"");
        return None;
    }
    let trunk = fields.words("trunk", 64).map(|found| found.value);
    let ring = fields.number("ring_secs", 5..=120).unwrap_or(30);
    let by_key = fields.choice("accept", &[("key", true), ("auto", false)]).is_none_or(|found| found.value);
    let accept = if by_key {
        Accept::Key(accept_key(fields))
    } else {
        fields.only_with(&["accept_key"], "accept = \"key\"");
        Accept::Auto
    };
    let whisper = fields.words("whisper", 2000).map(|found| found.value);
    let within = fields.number("accept_secs", 1..=60).unwrap_or(if by_key { 20 } else { 2 });
    Some(LegPlan {
        refer: mode == Mode::Attended,
        trunk,
        ring: Duration::from_secs(ring),
        whisper: whisper.unwrap_or_else(|| default_whisper(accept)),
        accept,
        accept_within: Duration::from_secs(within),
    })
}

fn accept_key(fields: &mut Fields<'_>) -> char {
    let Some(found) = fields.words("accept_key", 1) else { return '1' };
    match found.value.chars().next() {
        Some(key) if key.is_ascii_digit() || "*#".contains(key) => key,
        _ => {
            fields.problems.add(found.error("is not a key: write one of 0-9, * and #"));
            '1'
        }
    }
}

fn default_whisper(accept: Accept) -> String {
    let rest = match accept {
        Accept::Key(key) => format!(" Then ask them to press {key} to take the call, or to hang up."),
        Accept::Auto => " Then say that you are putting the caller through now.".to_owned(),
    };
    format!("{WHISPER}{rest}")
}

fn required(fields: &mut Fields<'_>, key: &'static str, max: usize, next: &str) -> String {
    if !fields.has(key) {
        fields.problem(key, format!("is missing: {next}"));
    }
    fields.words(key, max).map(|found| found.value).unwrap_or_default()
}

fn target_uri(fields: &mut Fields<'_>) -> String {
    if !fields.has("uri") {
        fields.problem("uri", "is missing: write sip:user@host, sips:user@host or tel:+15551230001");
    }
    let Some(found) = fields.words("uri", 512) else { return String::new() };
    if let Err(message) = check_uri(&found) {
        fields.problems.add(found.error(message));
    }
    found.value
}

/// Goes into a Refer-To header as it is, so nothing that could end it there, and no URI headers (RFC 3261 §19.1.1),
/// which would reach into the request the far side makes.
fn check_uri(found: &Found<String>) -> Result<(), String> {
    let uri = found.value.as_str();
    if let Some(bad) = uri.chars().find(|c| !c.is_ascii_graphic() || "<>\"`{}\\^|,".contains(*c)) {
        return Err(format!("contains {bad:?}, which cannot stand in a URI"));
    }
    if uri.contains('?') {
        return Err("has URI headers (?…), which are not allowed here: remove them".into());
    }
    if let Some(number) = uri.strip_prefix("tel:") {
        let digits = number.split(';').next().unwrap_or("");
        let bare = digits.strip_prefix('+').unwrap_or(digits);
        let dialled = |b: u8| b.is_ascii_digit() || b"*#-.()".contains(&b);
        if bare.is_empty() || !bare.bytes().all(dialled) || !bare.bytes().any(|b| b.is_ascii_digit()) {
            return Err("is not a tel URI: write tel:+15551230001".into());
        }
        return Ok(());
    }
    let Some(rest) = uri.strip_prefix("sip:").or_else(|| uri.strip_prefix("sips:")) else {
        return Err("has no known scheme: write sip:user@host, sips:user@host or tel:+15551230001".into());
    };
    let host_part = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host_part.split(';').next().unwrap_or("");
    match crate::config::url::Url::parse(&format!("sip://{host}")) {
        Ok(url) if url.path.is_empty() && url.query.is_none() && !rest.starts_with('@') => Ok(()),
        Ok(_) => Err("is not a SIP URI: write sip:user@host".into()),
        Err(message) => Err(format!("is not a SIP URI: it {message}")),
    }
}
