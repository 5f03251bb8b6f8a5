//! Who a trunk is and where: kind, sources, targets, transports, registration, credentials, TLS.

use super::super::Settings;
use super::super::parts::{existing, networks, parsed};
use crate::config::fields::{Fields, Found, shorten};
use crate::config::secret::SecretRef;
use crate::observe::pii::Pii;
use crate::sip::Transport;
use crate::sip::digest::Credentials;
use crate::sip::uri::Uri;
use crate::trunk::{DigestUser, Registration, Trunk, TrunkKind};
use std::net::IpAddr;
use std::time::Duration;

const MAX_TARGETS: usize = 16;
const REGISTER_SECS: u64 = 600;
const TRANSPORTS: [(&str, Transport); 3] = [("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];

pub fn read(fields: &mut Fields<'_>, trunk: &mut Trunk, settings: &mut Settings) {
    let kind = fields.choice("kind", &[("static", false), ("register", true)]).is_some_and(|kind| kind.value);
    trunk.targets = targets(fields);
    if kind {
        register(fields, trunk);
    } else if fields.places().iter().any(|(path, at)| path.starts_with("register.") && at.line > 0 && !is_profile(at)) {
        fields.only_with(&["register"], "kind = \"register\"");
    } else {
        fields.forget(&["register"]);
    }
    credentials(fields, trunk, kind, settings);
    trunk.transports = transports(fields, &trunk.targets).unwrap_or(std::mem::take(&mut trunk.transports));
    targets_fit(fields, trunk);
    identify(fields, trunk, kind);
    let advertise = parsed::<IpAddr>(fields, "advertise", "an IP address without port, like \"192.0.2.10\"");
    trunk.advertise = advertise.and_then(|found| {
        let usable = !found.value.is_unspecified();
        if !usable {
            fields.problems.add(found.error("is not an address that others can send to: write one that is"));
        }
        usable.then_some(found.value)
    });
    trunk.advertise_host = host_name(fields, "advertise_host");
    tls(fields, trunk);
}

fn is_profile(at: &crate::config::document::At) -> bool {
    at.source.starts_with("profile ")
}

fn targets(fields: &mut Fields<'_>) -> Vec<Uri> {
    let Some(list) = fields.text_or_texts("targets") else { return Vec::new() };
    if list.value.len() > MAX_TARGETS {
        fields.problems.add(list.error(format!("has {} entries, the most is {MAX_TARGETS}", list.value.len())));
    }
    list.value.iter().filter_map(|text| target(fields, text)).collect()
}

fn target(fields: &Fields<'_>, text: &Found<String>) -> Option<Uri> {
    let shown = shorten(&text.value);
    let message = match Uri::parse(text.value.trim()) {
        Ok(uri) if !uri.is_sip() => format!("\"{shown}\" is not a SIP URI: write sip:HOST[:PORT][;transport=tcp]"),
        Ok(uri) if uri.user().is_some() || uri.headers().is_some() => {
            format!("\"{shown}\" names a user: write the host only, like \"sip:{}\"", uri.host().unwrap_or("HOST"))
        }
        Ok(uri) => match uri.param("transport") {
            Some(transport) if transport_of(transport.unwrap_or_default()).is_none() => {
                format!("\"{shown}\" has a transport that is none: use ;transport=udp, tcp or tls")
            }
            _ => return Some(uri),
        },
        Err(_) => format!("\"{shown}\" is not a SIP URI: write sip:HOST[:PORT][;transport=tcp]"),
    };
    fields.problems.add(text.error(message));
    None
}

fn transport_of(word: &str) -> Option<Transport> {
    TRANSPORTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, transport)| *transport)
}

/// What a target asks for by itself.
fn asked(target: &Uri) -> Option<Transport> {
    if target.scheme() == "sips" {
        return Some(Transport::Tls);
    }
    target.param("transport").flatten().and_then(transport_of)
}

/// As listed, or as the targets say when all of them do.
fn transports(fields: &mut Fields<'_>, targets: &[Uri]) -> Option<Vec<Transport>> {
    if let Some(list) = fields.texts("transports") {
        let mut transports = Vec::new();
        for word in &list.value {
            match transport_of(&word.value) {
                Some(transport) if !transports.contains(&transport) => transports.push(transport),
                Some(_) => {}
                None => fields.problems.add(word.error("is not known: use \"udp\", \"tcp\" and \"tls\"")),
            }
        }
        if list.value.is_empty() {
            fields.problems.add(list.error("is empty: use some of \"udp\", \"tcp\" and \"tls\", or leave it out"));
        }
        return (!transports.is_empty()).then_some(transports);
    }
    let mut transports: Vec<Transport> = targets.iter().map(asked).collect::<Option<Vec<_>>>()?;
    transports.dedup();
    (!transports.is_empty()).then_some(transports)
}

fn targets_fit(fields: &Fields<'_>, trunk: &Trunk) {
    for target in &trunk.targets {
        if let Some(transport) = asked(target)
            && !trunk.transports.contains(&transport)
        {
            let word = transport.via_token().to_lowercase();
            let message = format!("{target} goes by {word}, which transports does not list: add \"{word}\" there");
            fields.problem("targets", message);
        }
    }
}

fn register(fields: &mut Fields<'_>, trunk: &mut Trunk) {
    let mut table = fields.table("register");
    let aor = table.words("aor", 512).and_then(|found| match Uri::parse(found.value.trim()) {
        Ok(uri) if uri.is_sip() && uri.user().is_some() => Some(uri),
        _ => {
            let shown = shorten(&found.value);
            let message =
                format!("\"{shown}\" is not an address of record: write sip:USER@HOST, as the carrier gave it");
            table.problems.add(found.error(message));
            None
        }
    });
    if !table.has("aor") {
        table.problem("aor", "is missing: write the address we register, like \"sip:4930123456@sip.example.com\"");
    }
    let expires = table.number("expires_secs", 60..=86_400).unwrap_or(REGISTER_SECS);
    let keepalive = table.flag("keepalive").unwrap_or(true);
    let Some(aor) = aor else { return };
    if trunk.targets.is_empty()
        && let Some(host) = aor.host()
    {
        // The registrar is the domain of the address of record, unless it is named (RFC 3261 §10.2.6).
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        trunk.targets.extend(Uri::parse(&format!("sip:{host}")));
    }
    let registration = Registration { aor, expires: Duration::from_secs(expires), keepalive };
    trunk.kind = TrunkKind::Register(Box::new(registration));
}

/// `[trunk.credentials]` answers challenges to us, `[trunk.challenge]` is what a peer must prove.
fn credentials(fields: &mut Fields<'_>, trunk: &mut Trunk, registers: bool, settings: &mut Settings) {
    let aor_user = match &trunk.kind {
        TrunkKind::Register(registration) => registration.aor.user_decoded(),
        TrunkKind::Static => None,
    };
    match fields.table_if("credentials") {
        Some(mut table) => {
            let realm = table.words("realm", 256).map(|found| found.value);
            let user = table.words("user", 256).map(|found| found.value).or(aor_user);
            if user.is_none() && !registers && !table.has("user") {
                table.problem("user", "is missing: write the user name of the digest authentication");
            }
            let password = password(&mut table, &trunk.name, settings);
            if let (Some(user), Some(password)) = (user, password) {
                trunk.credentials.push(Credentials { realm, user, password });
            }
        }
        None if registers => {
            let message = "is missing: a registration needs [trunk.credentials] with password = \"env:NAME\" (and user, if \
                           it is not that of the aor)";
            fields.problem("credentials", message);
        }
        None => {}
    }
    if let Some(mut table) = fields.table_if("challenge") {
        let realm = table.words("realm", 256).map_or_else(|| "voxtrunk".to_owned(), |found| found.value);
        let user = table.words("user", 256).map(|found| found.value);
        if user.is_none() && !table.has("user") {
            table.problem("user", "is missing: write the user name that the peer must prove to be");
        }
        let password = password(&mut table, &trunk.name, settings);
        if let (Some(user), Some(password)) = (user, password) {
            let credentials = Credentials { realm: Some(realm.clone()), user, password };
            trunk.identify.user = Some(DigestUser { realm, credentials });
        }
    }
}

/// A reference, resolved now if it can be. One that cannot is remembered: `serve` refuses to start with it.
fn password(fields: &mut Fields<'_>, trunk: &str, settings: &mut Settings) -> Option<Pii<String>> {
    let Some(found) = fields.text("password") else {
        if !fields.has("password") {
            fields.problem("password", "is missing: refer to it, like password = \"env:TRUNK_PASSWORD\"");
        }
        return None;
    };
    let secret = SecretRef::parse(&found.value).map_err(|message| fields.problems.add(found.error(message))).ok()?;
    match secret.resolve() {
        Ok(secret) => Some(Pii(secret.expose().to_owned())),
        Err(error) => {
            settings.missing_secrets.push(format!("trunk \"{trunk}\": {}: {error}", found.field));
            Some(Pii(String::new()))
        }
    }
}

fn identify(fields: &mut Fields<'_>, trunk: &mut Trunk, registers: bool) {
    let sources = networks(fields, "sources");
    let complained = fields.has("sources") && sources.is_none();
    if let Some(sources) = sources {
        if sources.value.iter().any(|network| network.prefix == 0) && trunk.identify.user.is_none() {
            let message = "has a network of all addresses, so that anybody could call as this trunk: write its own networks, \
                           or let it prove itself with [trunk.challenge]";
            fields.problems.add(sources.error(message));
        }
        trunk.identify.sources = sources.value;
    }
    trunk.identify.ports = fields.numbers("source_ports", 1..=65_535).unwrap_or_default();
    if let Some(names) = fields.texts("certificate_names") {
        for name in &names.value {
            if !is_host_name(&name.value) {
                fields.problems.add(name.error("is not a host name: write the DNS name in the peer's certificate"));
            }
        }
        trunk.identify.certificate_names = names.value.into_iter().map(|name| name.value.to_lowercase()).collect();
        let only_tls = trunk.transports == [Transport::Tls];
        if !trunk.identify.certificate_names.is_empty() && !only_tls {
            let message =
                "is known by TLS only: write transports = [\"tls\"], or who calls by another one proves nothing";
            fields.problem("certificate_names", message);
        }
    }
    let known = registers
        || !trunk.identify.sources.is_empty()
        || !trunk.identify.certificate_names.is_empty()
        || trunk.identify.user.is_some()
        || !trunk.targets.is_empty();
    if !known && !complained && !fields.problems.has(&[&fields.path("targets"), &fields.path("challenge.user")]) {
        let message = "is missing: write the networks its requests come from, like [\"192.0.2.0/24\"] (or targets, whose \
                       addresses then count)";
        fields.problem("sources", message);
    }
}

fn tls(fields: &mut Fields<'_>, trunk: &mut Trunk) {
    let Some(mut table) = fields.table_if("tls") else { return };
    trunk.tls.server_name = host_name(&mut table, "server_name");
    trunk.tls.ca_file = existing(&mut table, "ca_file");
    let certificate = existing(&mut table, "certificate");
    let key = existing(&mut table, "key");
    if certificate.is_some() != key.is_some() {
        let missing = if key.is_none() { "key" } else { "certificate" };
        if !table.has(missing) {
            table.problem(missing, "is missing: certificate and key go together (PEM files)");
        }
    }
    trunk.tls.certificate = certificate.zip(key);
    trunk.tls.alpn = table.flag("alpn").unwrap_or(false);
}

fn host_name(fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
    let found = fields.words(key, 253)?;
    if is_host_name(&found.value) {
        return Some(found.value.to_lowercase());
    }
    fields.problems.add(found.error("is not a host name: write one like \"sbc.example.com\", without port"));
    None
}

fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(label) && text.parse::<IpAddr>().is_err()
}
