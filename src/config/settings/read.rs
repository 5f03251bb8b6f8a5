//! The tables of the settings file, field by field. Defaults are [`Settings::defaults`].

use super::providers;
use super::{LogFormat, MediaSettings, Network, ObserveSettings, Settings, SipSettings};
use crate::config::document::{At, Table};
use crate::config::fields::{Fields, Found, Problems};
use crate::rtp::receiver::SourcePolicy;
use crate::sip::offer_answer::Codec;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub fn settings(problems: &Problems, at: At, table: Table) -> Settings {
    let mut settings = Settings::defaults();
    let mut fields = Fields::new(problems, at, table);
    if let Some(path) = path(&mut fields, "dialplans") {
        settings.dialplans = path;
    }
    sip(fields.table("sip"), &mut settings.sip);
    media(fields.table("media"), &mut settings.media);
    limits(&mut fields, &mut settings);
    observe(fields.table("observe"), &mut settings.observe);
    settings.providers = providers::read(&mut fields);
    if let Some(first) = settings.providers.first() {
        settings.default_provider = first.name.clone();
    }
    settings
}

fn sip(mut fields: Fields<'_>, sip: &mut SipSettings) {
    let listen = parsed::<SocketAddr>(&mut fields, "listen", "an address with port, like \"192.0.2.10:5060\"");
    let advertise = parsed::<IpAddr>(&mut fields, "advertise", "an IP address without port, like \"192.0.2.10\"");
    if let Some(listen) = &listen {
        sip.listen = listen.value;
    }
    match advertise {
        Some(advertise) if advertise.value.is_unspecified() => {
            let message = "is not an address that others can send to: write the one the PBX or trunk reaches us at";
            fields.problems.add(advertise.error(message));
        }
        Some(advertise) if advertise.value.is_ipv4() != sip.listen.is_ipv4() => {
            let message = format!("is not of the same family as sip.listen ({}): use one of the same", sip.listen);
            fields.problems.add(advertise.error(message));
        }
        Some(advertise) => sip.advertise = Some(advertise.value),
        None => {
            if let Some(listen) = listen.filter(|listen| listen.value.ip().is_unspecified()) {
                let message = "listens on all addresses, so sip.advertise is required: \
                               add advertise = \"the address the PBX or trunk reaches us at\"";
                fields.problems.add(listen.error(message));
            }
        }
    }
    if let Some(peers) = networks(&mut fields, "peers") {
        if peers.value.is_empty() {
            let message =
                "is empty, so nobody could call: list the networks of your PBX or trunk, like [\"192.0.2.0/24\"]";
            fields.problems.add(peers.error(message));
        }
        sip.peers = peers.value;
    }
}

fn media(mut fields: Fields<'_>, media: &mut MediaSettings) {
    let listen = parsed::<IpAddr>(&mut fields, "listen", "an IP address without port");
    media.listen = listen.map(|listen| listen.value).or(media.listen);
    set(&mut media.port_min, fields.number("port_min", 1024..=65534));
    set(&mut media.port_max, fields.number("port_max", 1025..=65535));
    port_range(&fields, media);
    codecs(&mut fields, media);
    set(&mut media.prefer_local_order, fields.flag("prefer_local_order"));
    if let Some(ptime) = fields.number::<u32>("ptime_ms", 10..=60) {
        if [10, 20, 30, 40, 60].contains(&ptime) {
            media.ptime_ms = ptime;
        } else {
            fields.problem("ptime_ms", format!("{ptime} is not a packet length of G.711: use 10, 20, 30, 40 or 60"));
        }
    }
    let policies = [("strict", SourcePolicy::Strict), ("latch", SourcePolicy::Latch), ("nat", SourcePolicy::Nat)];
    set(&mut media.source_policy, fields.choice("source_policy", &policies).map(|found| found.value));
    set(&mut media.networks, networks(&mut fields, "networks").map(|found| found.value));
    set(&mut media.reorder_wait, fields.number("reorder_wait_ms", 0..=200).map(Duration::from_millis));
    set(&mut media.append_ms, fields.number("append_ms", 20..=100));
    set(&mut media.port_quarantine, fields.number("port_quarantine_secs", 0..=600).map(Duration::from_secs));
    if let Some(workers) = fields.number("workers", 0..=256).filter(|workers| *workers > 0) {
        media.workers = workers;
    }
}

/// RTP takes an even port, RTCP the odd one above it (RFC 3550 §11).
fn port_range(fields: &Fields<'_>, media: &MediaSettings) {
    let (min, max) = (media.port_min, media.port_max);
    if min % 2 != 0 {
        fields.problem("port_min", format!("{min} is odd, but RTP takes even ports: use {}", min.saturating_add(1)));
    }
    if max % 2 == 0 {
        let message =
            format!("{max} is even, so its RTCP port would be outside the range: use {}", max.saturating_add(1));
        fields.problem("port_max", message);
    }
    if min >= max {
        fields.problem("port_max", format!("{max} is not above port_min ({min}): give the range at least two ports"));
    }
}

fn codecs(fields: &mut Fields<'_>, media: &mut MediaSettings) {
    let Some(list) = fields.texts("codecs") else { return };
    let mut codecs = Vec::new();
    for name in &list.value {
        match name.value.to_ascii_uppercase().as_str() {
            "PCMU" => codecs.push(Codec::Pcmu),
            "PCMA" => codecs.push(Codec::Pcma),
            _ => fields.problems.add(name.error("is not known: use \"PCMU\" and \"PCMA\"")),
        }
    }
    let all_known = codecs.len() == list.value.len();
    if !all_known {
        // Complained about above.
    } else if codecs.is_empty() {
        fields.problems.add(list.error("names no codec: use [\"PCMU\", \"PCMA\"], best first"));
    } else if codecs.len() > 2 || (codecs.len() == 2 && codecs.first() == codecs.last()) {
        fields.problems.add(list.error("names a codec twice: list each once"));
    } else {
        media.codecs = codecs;
    }
}

fn limits(fields: &mut Fields<'_>, settings: &mut Settings) {
    let mut table = fields.table("limits");
    set(&mut settings.limits.max_calls, table.number("max_calls", 1..=100_000));
    set(&mut settings.limits.calls_per_second, table.number("calls_per_second", 1..=10_000));
    set(&mut settings.limits.drain, table.number("drain_secs", 0..=86_400).map(Duration::from_secs));
    let pairs = (usize::from(settings.media.port_max) + 1).saturating_sub(usize::from(settings.media.port_min)) / 2;
    let judged = !fields.problems.has(&["media.port_min", "media.port_max", "limits.max_calls"]);
    if judged && pairs < settings.limits.max_calls {
        let message = format!(
            "{} calls need more ports than media.port_min to media.port_max has ({pairs} pairs): \
             widen the range or lower the limit",
            settings.limits.max_calls
        );
        table.problem("max_calls", message);
    }
}

fn observe(mut fields: Fields<'_>, observe: &mut ObserveSettings) {
    if let Some(listen) = fields.text("listen") {
        match listen.value.parse() {
            _ if listen.value == "off" => observe.listen = None,
            Ok(addr) => observe.listen = Some(addr),
            Err(_) => {
                fields.problems.add(listen.error("is not an address with port, like \"127.0.0.1:9090\", nor \"off\""));
            }
        }
    }
    if let Some(cdr) = path(&mut fields, "cdr") {
        observe.cdr = if cdr.as_os_str() == "off" { None } else { Some(cdr) };
    }
    set(&mut observe.transcripts, path(&mut fields, "transcripts"));
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    set(&mut observe.log_format, fields.choice("log_format", &formats).map(|found| found.value));
}

fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn path(fields: &mut Fields<'_>, key: &'static str) -> Option<PathBuf> {
    fields.words(key, 4096).map(|found| found.value.into())
}

/// A text that must parse; `expected` completes "is not …".
fn parsed<T: FromStr>(fields: &mut Fields<'_>, key: &'static str, expected: &str) -> Option<Found<T>> {
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

fn networks(fields: &mut Fields<'_>, key: &'static str) -> Option<Found<Vec<Network>>> {
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
