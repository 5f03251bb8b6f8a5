//! `voxtrunk explain --trunk NAME`: what a trunk resolves to, where each setting comes from, and the lines for the other side.

use crate::config::settings::{Settings, TrunkOrigins};
use crate::sip::Transport;
use crate::sip::session_timer::{Refresher, TimerMode};
use crate::sip::user_agent::{Redirects, Reliable, WhileDraining};
use crate::trunk::{IdentityHeader, PEERS, SrtpPolicy, Trunk, TrunkKind, profile};
use std::fmt::{Display, Write};

/// The whole text; the error is a sentence for the operator.
pub fn report(name: &str, settings: &Settings) -> Result<String, String> {
    let trunks = settings.all_trunks();
    let Some(place) = trunks.iter().position(|trunk| trunk.name == name) else {
        let names: Vec<&str> = trunks.iter().map(|trunk| trunk.name.as_str()).collect();
        return Err(format!("there is no trunk \"{name}\"; there are: {}", names.join(", ")));
    };
    let trunk = trunks.get(place).ok_or("no such trunk")?;
    let none = TrunkOrigins::default();
    let origins = settings.trunk_origins.get(place).unwrap_or(&none);
    let mut text = format!("Trunk {name}, rule {} of {}", place + 1, trunks.len());
    if let Some(profile) = origins.profile.as_deref().and_then(profile::find) {
        let _ = write!(text, ", profile {}\n  {}", profile.name, profile.about());
    } else if name == PEERS {
        text.push_str(", made of sip.peers");
    }
    text.push('\n');
    for (heading, rows) in sections(trunk, settings) {
        let _ = writeln!(text, "\n{heading}");
        for (key, value) in rows {
            let origin = origins.fields.get(key).map_or_else(|| origin_of_default(key, trunk), String::as_str);
            let _ = writeln!(text, "  {key:<30} {value:<42} {origin}");
        }
    }
    let _ = write!(text, "\n{}", other_side(trunk, origins.profile.as_deref(), settings));
    Ok(text)
}

fn origin_of_default(key: &str, trunk: &Trunk) -> &'static str {
    match key {
        "targets" if trunk.registers() => "default: the host of the aor",
        "transports" if !trunk.targets.is_empty() => "default: what the targets say, or udp and tcp",
        "sources" if trunk.name == PEERS => "sip.peers",
        "sources" if trunk.identify.sources.is_empty() => "default: the addresses of the targets",
        _ => "default",
    }
}

type Rows = Vec<(&'static str, String)>;

fn sections(trunk: &Trunk, settings: &Settings) -> [(&'static str, Rows); 6] {
    [
        ("Who it is", who(trunk)),
        ("Where it is", place(trunk, settings)),
        ("Number and caller", identity(trunk)),
        ("What it may do", rights(trunk, settings)),
        ("Media", media(trunk, settings)),
        ("Signalling", signalling(trunk)),
    ]
}

fn who(trunk: &Trunk) -> Rows {
    let id = &trunk.identify;
    let sources = if id.sources.is_empty() && id.certificate_names.is_empty() && !trunk.targets.is_empty() {
        "as the targets resolve".to_owned()
    } else {
        list(&id.sources)
    };
    let mut rows = vec![
        ("kind", if trunk.registers() { "register" } else { "static" }.to_owned()),
        ("sources", sources),
        ("source_ports", if id.ports.is_empty() { "any".to_owned() } else { list(&id.ports) }),
        ("certificate_names", list(&id.certificate_names)),
        ("transports", list(&trunk.transports.iter().map(|t| word(*t)).collect::<Vec<_>>())),
    ];
    if let Some(user) = &id.user {
        rows.push(("challenge.user", format!("{} (realm {}), from anywhere else", user.credentials.user, user.realm)));
        rows.push(("challenge.password", secret(user.credentials.password.expose())));
    }
    rows
}

fn place(trunk: &Trunk, settings: &Settings) -> Rows {
    let options = trunk.options.every.map_or("never".to_owned(), |every| format!("{} s", every.as_secs()));
    let mut rows = vec![("targets", list(&trunk.targets)), ("options.every_secs", options)];
    if let TrunkKind::Register(registration) = &trunk.kind {
        rows.push(("register.aor", registration.aor.to_string()));
        rows.push(("register.expires_secs", format!("{} s asked for", registration.expires.as_secs())));
        rows.push(("register.keepalive", yes(registration.keepalive)));
    }
    for credentials in &trunk.credentials {
        rows.push(("credentials.user", credentials.user.clone()));
        let realm = credentials.realm.as_deref().unwrap_or("any of its own hosts");
        rows.push(("credentials.realm", realm.to_owned()));
        rows.push(("credentials.password", secret(credentials.password.expose())));
    }
    let ip = trunk.advertise.unwrap_or_else(|| settings.sip.advertised(settings.sip.listen.ip()));
    rows.push(("advertise", ip.to_string()));
    rows.push(("advertise_host", or_none(trunk.advertise_host.as_ref())));
    if trunk.transports.contains(&Transport::Tls) {
        let target_name = "the host of the target".to_owned();
        rows.push(("tls.server_name", trunk.tls.server_name.clone().unwrap_or(target_name)));
        let ca = trunk.tls.ca_file.as_ref().map_or("Mozilla's roots".to_owned(), |ca| ca.display().to_string());
        rows.push(("tls.ca_file", ca));
        let own = match (&trunk.tls.certificate, &settings.sip.tls) {
            (Some((certificate, _)), _) => certificate.display().to_string(),
            (None, Some(tls)) => format!("{} (of [sip.tls])", tls.certificate.display()),
            (None, None) => "none".to_owned(),
        };
        rows.push(("tls.certificate", own));
        rows.push(("tls.alpn", yes(trunk.tls.alpn)));
    }
    rows
}

fn identity(trunk: &Trunk) -> Rows {
    let header = |header: &IdentityHeader| match header {
        IdentityHeader::PAssertedIdentity => "P-Asserted-Identity",
        IdentityHeader::RemotePartyId => "Remote-Party-ID",
    };
    let trusted: Vec<&str> = trunk.trusted.iter().map(header).collect();
    let numbers = &trunk.numbers;
    let mut rows = vec![
        ("dialled_from", list(&trunk.dialled)),
        ("trusted", if trusted.is_empty() { "none: From only".to_owned() } else { list(&trusted) }),
        ("numbers.country", numbers.country.clone().unwrap_or("none: numbers stay as written".to_owned())),
    ];
    if numbers.country.is_some() {
        rows.push(("numbers.national_prefix", or_none(Some(&numbers.national_prefix).filter(|p| !p.is_empty()))));
        rows.push(("numbers.international_prefixes", list(&numbers.international_prefixes)));
        rows.push(("numbers.extension_digits", numbers.extension_digits.to_string()));
    }
    rows.push(("headers_in", list(&trunk.headers_in)));
    rows.push(("blocked", list(&trunk.blocked)));
    rows
}

fn rights(trunk: &Trunk, settings: &Settings) -> Rows {
    let limits = &trunk.limits;
    let redirects = match &trunk.redirects {
        Redirects::Never => "none: a 3xx is a refusal".to_owned(),
        Redirects::Hosts(hosts) => list(hosts),
    };
    let refer_to = if trunk.refer_to.is_empty() { "nowhere (603)".to_owned() } else { list(&trunk.refer_to) };
    let per_second = limits.calls_per_second.unwrap_or(settings.limits.calls_per_second);
    vec![
        ("methods", list(&trunk.methods)),
        ("limits.max_calls", limits.max_calls.unwrap_or(settings.limits.max_calls).to_string()),
        ("limits.calls_per_second", per_second.to_string()),
        ("limits.calls_per_caller", limits.calls_per_caller.map_or("no limit".to_owned(), |n| n.to_string())),
        ("limits.refusal", limits.refusal.to_string()),
        ("refer_to", refer_to),
        ("redirects", redirects),
        ("replaces", yes(trunk.replaces)),
        ("transfers_by_refer", yes(trunk.transfers_by_refer)),
    ]
}

fn media(trunk: &Trunk, settings: &Settings) -> Rows {
    let (own, all) = (&trunk.media, &settings.media);
    let codecs = own.codecs.as_ref().unwrap_or(&all.codecs);
    let codecs: Vec<String> = codecs.iter().map(|codec| format!("{codec:?}").to_uppercase()).collect();
    let policy = format!("{:?}", own.source_policy.unwrap_or(all.source_policy)).to_lowercase();
    let srtp = own.srtp.unwrap_or(all.srtp);
    let only_clear = !trunk.transports.contains(&Transport::Tls) && !own.srtp_without_tls;
    let srtp = match srtp {
        SrtpPolicy::Prefer if only_clear => "prefer: plain, for want of TLS".to_owned(),
        srtp => srtp.name().to_owned(),
    };
    let suites: Vec<&str> = own.srtp_suites.as_ref().unwrap_or(&all.srtp_suites).iter().map(|s| s.name()).collect();
    vec![
        ("media.codecs", list(&codecs)),
        ("media.prefer_local_order", yes(own.prefer_local_order.unwrap_or(all.prefer_local_order))),
        ("media.ptime_ms", own.ptime_ms.unwrap_or(all.ptime_ms).to_string()),
        ("media.source_policy", policy),
        ("media.networks", list(own.networks.as_ref().unwrap_or(&all.networks))),
        ("media.srtp", srtp),
        ("media.srtp_suites", list(&suites)),
        ("media.srtp_without_tls", yes(own.srtp_without_tls)),
        ("media.dtmf", own.dtmf.name().to_owned()),
    ]
}

fn signalling(trunk: &Trunk) -> Rows {
    let mode = match trunk.timer.mode {
        TimerMode::Off => "off",
        TimerMode::Accept => "accept",
        TimerMode::Offer => "offer",
    };
    let refresher = match trunk.timer.refresher {
        Refresher::Us => "us",
        Refresher::Peer => "peer",
    };
    let reliable = match trunk.reliable {
        Reliable::Off => "off",
        Reliable::Supported => "supported",
        Reliable::Preferred => "preferred",
    };
    let draining = match trunk.options.while_draining {
        WhileDraining::Unavailable => "503",
        WhileDraining::Silent => "silent",
        WhileDraining::Ok => "200",
    };
    let headers_out: Vec<String> = trunk.headers_out.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    vec![
        ("session_timer.mode", mode.to_owned()),
        ("session_timer.expires_secs", trunk.timer.expires.as_secs().to_string()),
        ("session_timer.min_secs", trunk.timer.min_se.as_secs().to_string()),
        ("session_timer.refresher", refresher.to_owned()),
        ("reliable", reliable.to_owned()),
        ("options.while_draining", draining.to_owned()),
        ("headers_out", list(&headers_out)),
    ]
}

/// What to write on the other side.
fn other_side(trunk: &Trunk, profile: Option<&str>, settings: &Settings) -> String {
    let ip = trunk.advertise.unwrap_or_else(|| settings.sip.advertised(settings.sip.listen.ip()));
    let host = trunk.advertise_host.clone().unwrap_or_else(|| match ip {
        std::net::IpAddr::V6(v6) => format!("[{v6}]"),
        std::net::IpAddr::V4(v4) => v4.to_string(),
    });
    let port = settings.sip.listen.port();
    let tls_port = settings.sip.tls.as_ref().map_or(5061, |tls| tls.listen.port());
    let plain = trunk.transports.iter().find(|t| **t != Transport::Tls);
    let (transport, port) = plain.map_or((Transport::Tls, tls_port), |t| (*t, port));
    let transport = word(transport);
    let media = &settings.media;
    let open = format!(
        "Open between the two: {transport} port {port}, and UDP ports {} to {} for RTP.\n",
        media.port_min, media.port_max
    );
    let lines = if trunk.registers() {
        "Nothing is written there but the account we register with; calls come to the Contact of our REGISTER.\n"
            .to_owned()
    } else {
        match profile {
            Some("asterisk") => format!(
                "pjsip.conf:\n  [voxtrunk]\n  type = aor\n  contact = sip:{host}:{port}\\;transport={transport}\n  \
                 qualify_frequency = 30\n  [voxtrunk]\n  type = identify\n  endpoint = voxtrunk\n  match = {ip}\n  [voxtrunk]\n  \
                 type = endpoint\n  context = from-voxtrunk\n  disallow = all\n  allow = ulaw,alaw\n  dtmf_mode = rfc4733\n  \
                 direct_media = no\n  send_pai = yes\n  trust_id_outbound = yes\n  aors = voxtrunk\nextensions.conf:\n  \
                 exten => 100,1,Dial(PJSIP/${{EXTEN}}@voxtrunk)\n"
            ),
            Some("freeswitch") => format!(
                "sip_profiles/external/voxtrunk.xml:\n  <gateway name=\"voxtrunk\">\n    <param name=\"proxy\" \
                 value=\"{host}:{port};transport={transport}\"/>\n    <param name=\"register\" value=\"false\"/>\n    \
                 <param name=\"ping\" value=\"30\"/>\n  </gateway>\ndialplan:\n  <action application=\"bridge\" \
                 data=\"sofia/gateway/voxtrunk/100\"/>\n"
            ),
            Some("kamailio") => format!(
                "kamailio.cfg:\n  $du = \"sip:{host}:{port};transport={transport}\";\n  record_route();\n  t_relay();\n"
            ),
            Some("cisco") => format!(
                "dial-peer voice 100 voip\n  destination-pattern 100\n  session protocol sipv2\n  session target ipv4:{host}:{port}\n  \
                 session transport {transport}\n  codec g711ulaw\n  dtmf-relay rtp-nte\n  voice-class sip options-keepalive\n"
            ),
            _ => format!("Send calls to sip:NUMBER@{host}:{port};transport={transport}\n"),
        }
    };
    format!(
        "On the other side\n{lines}\n{open}How to see that it works: `voxtrunk trunks` beside the running server; pages to paste from: docs/pbx/.\n"
    )
}

fn list<T: Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn word(transport: Transport) -> String {
    transport.via_token().to_lowercase()
}
fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}
fn or_none(text: Option<&String>) -> String {
    text.cloned().unwrap_or("none".to_owned())
}
fn secret(value: &str) -> String {
    if value.is_empty() { "cannot be read" } else { "***" }.to_owned()
}
