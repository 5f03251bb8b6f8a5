//! The tables of the settings file, field by field. Defaults are [`Settings::defaults`].

use super::parts::{codecs, networks, parsed, path, ptime_ms, set, source_policy, srtp, srtp_suites};
use super::{LogFormat, MediaSettings, ObserveSettings, Settings, SipSettings};
use super::{providers, sip, trunks};
use crate::config::document::{At, Table};
use crate::config::fields::{Fields, Problems};
use crate::trunk::SrtpPolicy;
use std::net::IpAddr;
use std::time::Duration;

pub fn settings(problems: &Problems, at: At, table: Table) -> Settings {
    let mut settings = Settings::defaults();
    let mut fields = Fields::new(problems, at, table);
    if let Some(path) = path(&mut fields, "dialplans") {
        settings.dialplans = path;
    }
    let nobody = sip::read(fields.table("sip"), &mut settings.sip);
    media(fields.table("media"), &mut settings.media, &settings.sip);
    limits(&mut fields, &mut settings);
    observe(fields.table("observe"), &mut settings.observe);
    settings.providers = providers::read(&mut fields);
    if let Some(first) = settings.providers.first() {
        settings.default_provider = first.name.clone();
    }
    trunks::read(&mut fields, &mut settings);
    if let Some(nobody) = nobody.filter(|_| settings.trunks.is_empty()) {
        problems.add(nobody);
    }
    settings
}

fn media(mut fields: Fields<'_>, media: &mut MediaSettings, sip: &SipSettings) {
    let listen = parsed::<IpAddr>(&mut fields, "listen", "an IP address without port");
    media.listen = listen.map(|listen| listen.value).or(media.listen);
    set(&mut media.port_min, fields.number("port_min", 1024..=65534));
    set(&mut media.port_max, fields.number("port_max", 1025..=65535));
    port_range(&fields, media);
    set(&mut media.codecs, codecs(&mut fields));
    set(&mut media.prefer_local_order, fields.flag("prefer_local_order"));
    set(&mut media.ptime_ms, ptime_ms(&mut fields));
    set(&mut media.source_policy, source_policy(&mut fields));
    if let Some(found) = srtp(&mut fields) {
        media.srtp = found.value;
        // Those of loopback, which nobody wrote, just get their 488.
        if media.srtp == SrtpPolicy::Require && !sip.peers.is_empty() && sip.peers != Settings::defaults().sip.peers {
            let message = "is \"require\", but sip.peers may call by UDP and TCP, where everyone on the way can read the keys: \
                           write peers = [] and a [[trunk]] with transports = [\"tls\"], or srtp there";
            fields.problems.add(found.error(message));
        }
    }
    set(&mut media.srtp_suites, srtp_suites(&mut fields));
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

fn limits(fields: &mut Fields<'_>, settings: &mut Settings) {
    let mut table = fields.table("limits");
    set(&mut settings.limits.max_calls, table.number("max_calls", 1..=100_000));
    set(&mut settings.limits.calls_per_second, table.number("calls_per_second", 1..=10_000));
    set(&mut settings.limits.max_cpu_percent, table.number("max_cpu_percent", 10..=100));
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
    if let Some(journal) = path(&mut fields, "journal") {
        observe.journal = if journal.as_os_str() == "off" { None } else { Some(journal) };
    }
    set(&mut observe.transcripts, path(&mut fields, "transcripts"));
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    set(&mut observe.log_format, fields.choice("log_format", &formats).map(|found| found.value));
}
