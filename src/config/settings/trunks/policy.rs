//! What a trunk may do and wants: keepalive, media, timers, limits, methods, identity, numbers, headers, transfers.

use super::super::parts::{codecs, networks, ptime_ms, source_policy, srtp, srtp_suites};
use super::super::{LimitSettings, MediaSettings, Settings};
use crate::config::fields::{Fields, Found};
use crate::sip::Transport;
use crate::sip::headers::Name;
use crate::sip::message::Method;
use crate::sip::session_timer::{Refresher, TimerMode};
use crate::sip::user_agent::{Redirects, Reliable, WhileDraining};
use crate::trunk::{DialledFrom, DtmfWay, IdentityHeader, SrtpPolicy, Trunk};
use std::time::Duration;

/// Methods a trunk may be allowed besides INVITE, ACK, CANCEL and BYE.
const METHODS: [&str; 6] = ["OPTIONS", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY"];
const MAX_HEADERS: usize = 16;
const MAX_BLOCKED: usize = 10_000;
/// Written by the user agent itself, or no business of a dialplan.
const OURS: [Name; 20] = [
    Name::Via,
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::Contact,
    Name::MaxForwards,
    Name::Route,
    Name::RecordRoute,
    Name::ContentType,
    Name::ContentLength,
    Name::Allow,
    Name::Supported,
    Name::Require,
    Name::Authorization,
    Name::ProxyAuthorization,
    Name::Replaces,
    Name::SessionExpires,
    Name::MinSe,
    Name::RSeq,
];
const SECRET: [Name; 4] =
    [Name::Authorization, Name::ProxyAuthorization, Name::WwwAuthenticate, Name::ProxyAuthenticate];

pub fn read(fields: &mut Fields<'_>, trunk: &mut Trunk, settings: &Settings) {
    let most = &settings.limits;
    options(fields.table("options"), trunk);
    media(fields.table("media"), trunk, &settings.media);
    session_timer(fields.table("session_timer"), trunk);
    let reliable = [("off", Reliable::Off), ("supported", Reliable::Supported), ("preferred", Reliable::Preferred)];
    trunk.reliable = fields.choice("reliable", &reliable).map_or(trunk.reliable, |found| found.value);
    limits(fields.table("limits"), trunk, most);
    methods(fields, trunk);
    identity(fields, trunk);
    numbers(fields.table("numbers"), trunk);
    headers(fields, trunk);
    transfers(fields, trunk);
}

fn options(mut fields: Fields<'_>, trunk: &mut Trunk) {
    let default = if trunk.targets.is_empty() || trunk.registers() { 0 } else { 30 };
    let every = fields.number("every_secs", 0..=3600).unwrap_or(default);
    trunk.options.every = (every > 0).then(|| Duration::from_secs(every));
    let answers = [("503", WhileDraining::Unavailable), ("silent", WhileDraining::Silent), ("200", WhileDraining::Ok)];
    let draining = fields.choice("while_draining", &answers);
    trunk.options.while_draining = draining.map_or(trunk.options.while_draining, |found| found.value);
}

fn media(mut fields: Fields<'_>, trunk: &mut Trunk, all: &MediaSettings) {
    let media = &mut trunk.media;
    media.codecs = codecs(&mut fields);
    media.prefer_local_order = fields.flag("prefer_local_order");
    media.ptime_ms = ptime_ms(&mut fields);
    media.source_policy = source_policy(&mut fields);
    media.networks = networks(&mut fields, "networks").map(|found| found.value);
    media.srtp = srtp(&mut fields).map(|found| found.value);
    media.srtp_suites = srtp_suites(&mut fields);
    media.srtp_without_tls = fields.flag("srtp_without_tls").unwrap_or(false);
    media.dtmf = fields.choice("dtmf", &DtmfWay::NAMES).map_or(media.dtmf, |found| found.value);
    srtp_keys_travel(&fields, trunk, all);
}

/// SRTP as a must needs a way for its keys.
fn srtp_keys_travel(fields: &Fields<'_>, trunk: &Trunk, all: &MediaSettings) {
    let required = trunk.media.srtp.unwrap_or(all.srtp) == SrtpPolicy::Require;
    let clear = trunk.transports.iter().find(|transport| **transport != Transport::Tls);
    if let Some(clear) = clear.filter(|_| required && !trunk.media.srtp_without_tls) {
        let message = format!(
            "is \"require\"{}, but the trunk may be reached by {}, where everyone on the way can read the keys: write \
             transports = [\"tls\"] in [[trunk]], or srtp_without_tls = true here if that is meant",
            if trunk.media.srtp.is_some() { "" } else { " by [media]" },
            clear.via_token().to_lowercase()
        );
        fields.problem("srtp", message);
    }
}

fn session_timer(mut fields: Fields<'_>, trunk: &mut Trunk) {
    let timer = &mut trunk.timer;
    let modes = [("off", TimerMode::Off), ("accept", TimerMode::Accept), ("offer", TimerMode::Offer)];
    timer.mode = fields.choice("mode", &modes).map_or(timer.mode, |found| found.value);
    timer.expires = fields.number("expires_secs", 90..=86_400).map_or(timer.expires, Duration::from_secs);
    timer.min_se = fields.number("min_secs", 90..=86_400).map_or(timer.min_se, Duration::from_secs);
    let refreshers = [("us", Refresher::Us), ("peer", Refresher::Peer)];
    timer.refresher = fields.choice("refresher", &refreshers).map_or(timer.refresher, |found| found.value);
    if timer.min_se > timer.expires {
        let message = format!("is more than expires_secs ({}): lower it, or raise that", timer.expires.as_secs());
        fields.problem("min_secs", message);
    }
}

fn limits(mut fields: Fields<'_>, trunk: &mut Trunk, most: &LimitSettings) {
    trunk.limits.max_calls = fields.number("max_calls", 1..=100_000);
    trunk.limits.calls_per_second = fields.number("calls_per_second", 1..=10_000);
    let judged = !fields.problems.has(&["limits.max_calls", "limits.calls_per_second"]);
    if judged && trunk.limits.max_calls.is_some_and(|calls| calls > most.max_calls) {
        let message = format!("is more than [limits] max_calls ({}): raise that, or lower this", most.max_calls);
        fields.problem("max_calls", message);
    }
    if judged && trunk.limits.calls_per_second.is_some_and(|calls| calls > most.calls_per_second) {
        let message =
            format!("is more than [limits] calls_per_second ({}): raise that, or lower this", most.calls_per_second);
        fields.problem("calls_per_second", message);
    }
    trunk.limits.calls_per_caller = fields.number("calls_per_caller", 1..=10_000);
    if let Some(status) = fields.number::<u16>("refusal", 0..=999) {
        if [480, 486, 503].contains(&status) {
            trunk.limits.refusal = status;
        } else {
            fields.problem("refusal", "is not what a full trunk may say: use 503 (with Retry-After), 486 or 480");
        }
    }
}

fn methods(fields: &mut Fields<'_>, trunk: &mut Trunk) {
    let Some(list) = fields.texts("methods") else { return };
    trunk.methods.clear();
    for word in &list.value {
        let upper = word.value.to_ascii_uppercase();
        if METHODS.contains(&upper.as_str()) {
            trunk.methods.push(Method::from(upper.as_str()));
        } else {
            let list = METHODS.join(", ");
            let message =
                format!("is not a method that can be switched: use {list} (INVITE, ACK, CANCEL and BYE always are)");
            fields.problems.add(word.error(message));
        }
    }
}

fn identity(fields: &mut Fields<'_>, trunk: &mut Trunk) {
    if let Some(list) = fields.texts("trusted") {
        trunk.trusted.clear();
        for word in &list.value {
            match Name::parse(&word.value) {
                Name::PAssertedIdentity => trunk.trusted.push(IdentityHeader::PAssertedIdentity),
                Name::RemotePartyId => trunk.trusted.push(IdentityHeader::RemotePartyId),
                _ => {
                    let message = "is not known: use \"P-Asserted-Identity\" and \"Remote-Party-ID\", best first";
                    fields.problems.add(word.error(message));
                }
            }
        }
    }
    let Some(list) = fields.texts("dialled_from") else { return };
    let mut places = Vec::new();
    for word in &list.value {
        match dialled_from(&word.value) {
            Some(place) => places.push(place),
            None => {
                let message = "is not known: use \"request-uri\", \"p-called-party-id\", \"to\", \"history-info\", \
                               \"diversion\" or \"header:NAME\"";
                fields.problems.add(word.error(message));
            }
        }
    }
    if list.value.is_empty() {
        fields
            .problems
            .add(list.error("is empty, so no number could be found: leave it out for [\"request-uri\", \"to\"]"));
    }
    trunk.dialled = places;
}

fn dialled_from(word: &str) -> Option<DialledFrom> {
    Some(match word.to_ascii_lowercase().as_str() {
        "request-uri" => DialledFrom::RequestUri,
        "p-called-party-id" => DialledFrom::PCalledPartyId,
        "to" => DialledFrom::To,
        "history-info" => DialledFrom::HistoryInfo,
        "diversion" => DialledFrom::Diversion,
        lower => {
            lower.strip_prefix("header:").filter(|name| is_token(name))?;
            DialledFrom::Header(word.get("header:".len()..)?.to_owned())
        }
    })
}

fn numbers(mut fields: Fields<'_>, trunk: &mut Trunk) {
    let rules = &mut trunk.numbers;
    let digits = |fields: &Fields<'_>, found: &Found<String>, most: usize, what: &str| {
        let good = found.value.len() <= most && found.value.bytes().all(|b| b.is_ascii_digit());
        if !good {
            fields.problems.add(found.error(format!("is not {what}")));
        }
        good
    };
    if let Some(country) = fields.text("country") {
        let good = digits(&fields, &country, 3, "a country code: write digits only, like \"49\" or \"1\"");
        rules.country = (good && !country.value.is_empty()).then_some(country.value);
    }
    if let Some(prefix) = fields.text("national_prefix")
        && digits(&fields, &prefix, 4, "a prefix of national numbers: write digits, like \"0\", or \"\" for none")
    {
        rules.national_prefix = prefix.value;
    }
    if let Some(list) = fields.texts("international_prefixes") {
        let what = "a prefix of international numbers: write digits, like \"00\" or \"011\"";
        let good = |found: &Found<String>| digits(&fields, found, 6, what) && !found.value.is_empty();
        rules.international_prefixes = list.value.iter().filter(|f| good(f)).map(|f| f.value.clone()).collect();
    }
    rules.extension_digits = fields.number("extension_digits", 0..=15).unwrap_or(0);
    let alone =
        rules.country.is_none() && (!rules.national_prefix.is_empty() || !rules.international_prefixes.is_empty());
    if alone && !fields.has("country") {
        fields.problem("country", "is missing: prefixes mean nothing without the country code, like country = \"49\"");
    }
}

fn headers(fields: &mut Fields<'_>, trunk: &mut Trunk) {
    if let Some(list) = fields.texts("headers_in") {
        for name in &list.value {
            if !is_token(&name.value) || name.value.len() > 64 {
                fields.problems.add(name.error("is not the name of a header: write one like \"X-Customer\""));
            } else if SECRET.contains(&Name::parse(&name.value)) {
                fields.problems.add(name.error("is a header with secrets, which no dialplan is given: remove it"));
            }
        }
        if list.value.len() > MAX_HEADERS {
            fields.problems.add(list.error(format!("has {} names, the most is {MAX_HEADERS}", list.value.len())));
        }
        trunk.headers_in = list.value.into_iter().map(|name| name.value).collect();
    }
    let Some(list) = fields.texts("headers_out") else { return };
    if list.value.len() > MAX_HEADERS {
        fields.problems.add(list.error(format!("has {} headers, the most is {MAX_HEADERS}", list.value.len())));
    }
    for line in &list.value {
        let pair = line.value.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
        match pair {
            Some((name, _)) if OURS.contains(&Name::parse(name)) => {
                fields.problems.add(line.error(format!("{name} is a header that is written here anyway: remove it")));
            }
            Some((name, value)) if is_token(name) && !value.is_empty() && !value.chars().any(char::is_control) => {
                trunk.headers_out.push((name.to_owned(), value.to_owned()));
            }
            _ => fields.problems.add(line.error("is not a header: write \"Name: value\" on one line")),
        }
    }
}

fn transfers(fields: &mut Fields<'_>, trunk: &mut Trunk) {
    if let Some(list) = fields.texts("refer_to") {
        for pattern in &list.value {
            let good = ["sip:", "sips:", "tel:"].iter().any(|scheme| pattern.value.starts_with(scheme))
                && pattern.value.len() <= 256
                && !pattern.value.contains(char::is_whitespace);
            if !good {
                let message = "is not a pattern of URIs: write one like \"sip:*@pbx.example.com\" or \"tel:+4930*\"";
                fields.problems.add(pattern.error(message));
            }
        }
        trunk.refer_to = list.value.into_iter().map(|pattern| pattern.value).collect();
    }
    if let Some(list) = fields.texts("redirects") {
        let hosts: Vec<String> = list.value.into_iter().map(|host| host.value.to_lowercase()).collect();
        trunk.redirects = if hosts.is_empty() { Redirects::Never } else { Redirects::Hosts(hosts) };
    }
    trunk.replaces = fields.flag("replaces").unwrap_or(trunk.replaces);
    trunk.transfers_by_refer = fields.flag("transfers_by_refer").unwrap_or(trunk.transfers_by_refer);
    let Some(list) = fields.texts("blocked") else { return };
    if list.value.len() > MAX_BLOCKED {
        fields.problems.add(list.error(format!("has {} entries, the most is {MAX_BLOCKED}", list.value.len())));
    }
    for pattern in &list.value {
        let number = pattern.value.strip_suffix('*').unwrap_or(&pattern.value);
        let digits = number.strip_prefix('+').unwrap_or(number);
        let good = pattern.value == "anonymous" || (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
        if !good {
            let message = "is not a caller: write a number like \"+4930123456\", the begin of one like \"+4990*\", or \
                           \"anonymous\"";
            fields.problems.add(pattern.error(message));
        }
    }
    trunk.blocked = list.value.into_iter().map(|pattern| pattern.value).collect();
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._!%*+'~`".contains(&b))
}
