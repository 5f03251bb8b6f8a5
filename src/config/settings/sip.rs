//! `[sip]` and `[sip.tls]`: where we listen, what we tell others, who may call.

use super::parts::{existing, networks, parsed, set};
use super::{SipSettings, SipTls, UnknownSources};
use crate::config::ConfigError;
use crate::config::fields::{Fields, Found, shorten};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Most addresses to listen on.
const MAX_LISTEN: usize = 16;
const TLS_PORT: u16 = 5061;

/// Returns the complaint about empty `peers`, which is one only if there is no trunk either.
pub fn read(mut fields: Fields<'_>, sip: &mut SipSettings) -> Option<ConfigError> {
    let listen = listen(&mut fields, sip);
    advertise(&mut fields, sip, &listen);
    let peers = networks(&mut fields, "peers");
    let nobody = peers.as_ref().filter(|peers| peers.value.is_empty()).map(|peers| {
        peers.error(
            "is empty and there is no [[trunk]], so nobody could call: list the networks of your PBX or trunk, like \
             [\"192.0.2.0/24\"]",
        )
    });
    set(&mut sip.peers, peers.map(|found| found.value));
    let answers = [("silent", UnknownSources::Silent), ("forbidden", UnknownSources::Forbidden)];
    set(&mut sip.unknown_sources, fields.choice("unknown_sources", &answers).map(|found| found.value));
    let dns = parsed::<SocketAddr>(&mut fields, "dns_server", "an address with port, like \"192.0.2.53:53\"");
    sip.dns_server = dns.map(|found| found.value);
    if let Some(table) = fields.table_if("tls") {
        sip.tls = tls(table, sip.listen);
    }
    nobody
}

fn listen(fields: &mut Fields<'_>, sip: &mut SipSettings) -> Vec<Found<SocketAddr>> {
    let all = several::<SocketAddr>(fields, "listen", "an address with port, like \"192.0.2.10:5060\"");
    for (index, found) in all.iter().enumerate() {
        if found.value.port() != 0 && all.iter().take(index).any(|earlier| earlier.value == found.value) {
            fields.problems.add(found.error(format!("{} stands twice: keep one", found.value)));
        }
    }
    if all.len() > MAX_LISTEN {
        fields.problem("listen", format!("has {} addresses, the most is {MAX_LISTEN}", all.len()));
    }
    if let Some((first, others)) = all.split_first() {
        sip.listen = first.value;
        sip.listen_also = others.iter().map(|found| found.value).collect();
    }
    all
}

/// One address a family, for every family that is listened on by an unspecified address.
fn advertise(fields: &mut Fields<'_>, sip: &mut SipSettings, listen: &[Found<SocketAddr>]) {
    let mut good: Vec<IpAddr> = Vec::new();
    let given = fields.has("advertise");
    for found in several::<IpAddr>(fields, "advertise", "an IP address without port, like \"192.0.2.10\"") {
        let ip = found.value;
        let message = if ip.is_unspecified() {
            "is not an address that others can send to: write the one the PBX or trunk reaches us at".to_owned()
        } else if !sip.listeners().any(|listen| listen.is_ipv4() == ip.is_ipv4()) {
            format!("is not of the same family as sip.listen ({}): use one of the same", sip.listen)
        } else if good.iter().any(|other| other.is_ipv4() == ip.is_ipv4()) {
            "is a second address of its family: write one a family here, and others as advertise of a [[trunk]]"
                .to_owned()
        } else {
            good.push(ip);
            continue;
        };
        fields.problems.add(found.error(message));
    }
    let mut good = good.into_iter();
    sip.advertise = good.next();
    sip.advertise_also = good.next();
    for listen in listen.iter().filter(|listen| listen.value.ip().is_unspecified()) {
        let ip = listen.value.ip();
        if sip.advertised(ip) == ip && (!given || sip.advertise.is_some()) {
            let message = "listens on all addresses, so sip.advertise is required: \
                           add advertise = \"the address the PBX or trunk reaches us at\"";
            fields.problems.add(listen.error(message));
        }
    }
}

/// A value or a list of them.
fn several<T: FromStr>(fields: &mut Fields<'_>, key: &'static str, expected: &str) -> Vec<Found<T>> {
    let mut all = Vec::new();
    let Some(list) = fields.text_or_texts(key) else { return all };
    if list.value.is_empty() {
        fields.problems.add(list.error(format!("is empty: write {expected}")));
    }
    for Found { value, at, field } in list.value {
        match value.trim().parse() {
            Ok(value) => all.push(Found { value, at, field }),
            Err(_) => {
                fields.problems.add(at.error(&field, format!("\"{}\" is not {expected}", shorten(&value))));
            }
        }
    }
    all
}

fn tls(mut fields: Fields<'_>, sip: SocketAddr) -> Option<SipTls> {
    let listen = parsed::<SocketAddr>(&mut fields, "listen", "an address with port, like \"192.0.2.10:5061\"");
    let certificate = existing(&mut fields, "certificate");
    let key = existing(&mut fields, "key");
    let client_ca = existing(&mut fields, "client_ca");
    let require = fields.flag("require_client_certificate").unwrap_or(false);
    let alpn = fields.flag("alpn").unwrap_or(false);
    for (name, path) in [("certificate", &certificate), ("key", &key)] {
        if path.is_none() && !fields.has(name) {
            fields.problem(name, "is missing: name the PEM file (the chain in certificate, its private key in key)");
        }
    }
    if require && client_ca.is_none() {
        let message = "needs client_ca: name the PEM file with the authority of the peers' certificates";
        fields.problem("require_client_certificate", message);
    }
    let listen = listen.map_or(SocketAddr::new(sip.ip(), TLS_PORT), |found| found.value);
    Some(SipTls { listen, certificate: certificate?, key: key?, client_ca, require_client_certificate: require, alpn })
}
