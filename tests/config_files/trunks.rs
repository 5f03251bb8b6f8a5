//! `[[trunk]]`, `[sip.tls]` and lists of addresses in the settings.

use crate::settings::{load, loaded, refused};
use std::time::Duration;
use voxtrunk::config::document;
use voxtrunk::config::settings::Settings;
use voxtrunk::sip::Transport;
use voxtrunk::sip::offer_answer::Codec;
use voxtrunk::sip::session_timer::{Refresher, TimerMode};
use voxtrunk::sip::user_agent::{Redirects, Reliable, WhileDraining};
use voxtrunk::trunk::profile::PROFILES;
use voxtrunk::trunk::{DialledFrom, IdentityHeader, Trunk, TrunkKind};

#[test]
fn peers_are_one_more_trunk_and_come_last() {
    let settings = loaded("[[trunk]]\nname = \"pbx\"\nsources = [\"192.0.2.20\"]\n", &[]);
    let names: Vec<String> = settings.all_trunks().into_iter().map(|trunk| trunk.name).collect();
    assert_eq!(names, ["pbx", "peers"]);
    let none = loaded("[sip]\npeers = []\n[[trunk]]\nname = \"pbx\"\nsources = [\"192.0.2.20\"]\n", &[]);
    assert_eq!(none.all_trunks().len(), 1);
    let peers = Settings::defaults().all_trunks();
    assert_eq!(peers, [Trunk::peers(Settings::defaults().sip.peers, vec![Transport::Udp, Transport::Tcp])]);
    assert_eq!(peers[0].dialled, [DialledFrom::RequestUri]);
}

#[test]
fn every_field_of_a_trunk_is_read() {
    let text = r#"
[[trunk]]
name = "pbx"
sources = ["192.0.2.20", "2001:db8::/64"]
source_ports = [5060, 5062]
targets = ["sip:192.0.2.20:5070", "sip:pbx.example.com;transport=tcp"]
transports = ["tcp", "udp"]
advertise = "192.0.2.9"
advertise_host = "Voice.Example.com"
reliable = "preferred"
methods = ["options", "INFO"]
trusted = ["remote-party-id", "P-Asserted-Identity"]
dialled_from = ["header:X-DID", "to"]
headers_in = ["X-Customer"]
headers_out = ["X-Site: north"]
refer_to = ["sip:*@pbx.example.com"]
redirects = ["PBX.example.com"]
replaces = true
transfers_by_refer = false
blocked = ["+4930*", "anonymous"]
options = { every_secs = 0, while_draining = "silent" }
media = { codecs = ["PCMA"], ptime_ms = 30, prefer_local_order = true, networks = ["198.51.100.0/24"], srtp = "off" }
session_timer = { mode = "offer", expires_secs = 600, min_secs = 120, refresher = "us" }
limits = { max_calls = 9, calls_per_second = 3, calls_per_caller = 2, refusal = 486 }
numbers = { country = "49", national_prefix = "0", international_prefixes = ["00"], extension_digits = 4 }
"#;
    let trunk = &loaded(text, &[]).trunks[0];
    assert_eq!((trunk.identify.sources.len(), trunk.identify.ports.as_slice()), (2, [5060, 5062].as_slice()));
    assert_eq!(trunk.targets.len(), 2);
    assert_eq!(trunk.transports, [Transport::Tcp, Transport::Udp]);
    assert_eq!(trunk.advertise, Some("192.0.2.9".parse().unwrap()));
    assert_eq!(trunk.advertise_host.as_deref(), Some("voice.example.com"));
    assert_eq!((trunk.reliable, trunk.methods.len()), (Reliable::Preferred, 2));
    assert_eq!(trunk.trusted, [IdentityHeader::RemotePartyId, IdentityHeader::PAssertedIdentity]);
    assert_eq!(trunk.dialled, [DialledFrom::Header("X-DID".into()), DialledFrom::To]);
    assert_eq!(trunk.headers_in, ["X-Customer"]);
    assert_eq!(trunk.headers_out, [("X-Site".to_owned(), "north".to_owned())]);
    assert_eq!(trunk.refer_to, ["sip:*@pbx.example.com"]);
    assert_eq!(trunk.redirects, Redirects::Hosts(vec!["pbx.example.com".into()]));
    assert!(trunk.replaces && !trunk.transfers_by_refer);
    assert_eq!(trunk.blocked, ["+4930*", "anonymous"]);
    assert_eq!((trunk.options.every, trunk.options.while_draining), (None, WhileDraining::Silent));
    assert_eq!((trunk.media.codecs.as_deref(), trunk.media.ptime_ms), (Some([Codec::Pcma].as_slice()), Some(30)));
    assert_eq!(trunk.media.networks.as_ref().map(Vec::len), Some(1));
    assert_eq!((trunk.timer.mode, trunk.timer.refresher), (TimerMode::Offer, Refresher::Us));
    assert_eq!((trunk.timer.expires, trunk.timer.min_se), (Duration::from_secs(600), Duration::from_secs(120)));
    let limits = trunk.limits;
    assert_eq!((limits.max_calls, limits.calls_per_second, limits.calls_per_caller), (Some(9), Some(3), Some(2)));
    assert_eq!(limits.refusal, 486);
    assert_eq!((trunk.numbers.country.as_deref(), trunk.numbers.extension_digits), (Some("49"), 4));
}

#[test]
fn a_registering_trunk_needs_little() {
    let text = "[[trunk]]\nname = \"carrier\"\nkind = \"register\"\n[trunk.register]\naor = \"sip:4930123@sip.example.com\"\n\
                [trunk.credentials]\npassword = \"env:VOXTRUNK_NOT_SET_7\"\n";
    let settings = loaded(text, &[]);
    let trunk = &settings.trunks[0];
    let TrunkKind::Register(registration) = &trunk.kind else { panic!("not registering") };
    assert_eq!((registration.expires, registration.keepalive), (Duration::from_secs(600), true));
    assert_eq!(trunk.targets[0].as_str(), "sip:sip.example.com");
    assert_eq!((trunk.credentials[0].user.as_str(), &trunk.credentials[0].realm), ("4930123", &None));
    let missing =
        "trunk \"carrier\": trunk[1].credentials.password: environment variable VOXTRUNK_NOT_SET_7 is not set";
    assert_eq!(settings.missing_secrets, [missing]);
}

/// A profile is no more than defaults: each is valid, each field of it can be overridden.
#[test]
fn profiles_are_defaults() {
    for profile in &PROFILES {
        document::parse(profile.name, profile.toml).unwrap_or_else(|errors| panic!("{}: {errors:?}", profile.name));
        let register = profile.toml.contains("kind = \"register\"");
        let aor =
            "[trunk.register]\naor = \"sip:4930123@192.0.2.30\"\n[trunk.credentials]\npassword = \"env:NOT_SET\"\n";
        let text = format!(
            "[[trunk]]\nname = \"t\"\nprofile = \"{}\"\nsources = [\"192.0.2.0/24\"]\n{}",
            profile.name,
            if register { aor } else { "" }
        );
        let settings = loaded(&text, &[]);
        assert_eq!(settings.trunks[0].registers(), register, "{}", profile.name);
        assert_eq!(settings.trunk_origins[0].profile.as_deref(), Some(profile.name));
        let changed = loaded(&text.replacen("profile =", "dialled_from = [\"diversion\"]\nprofile =", 1), &[]);
        assert_eq!(changed.trunks[0].dialled, [DialledFrom::Diversion]);
        assert!(changed.trunk_origins[0].fields["dialled_from"].ends_with("v.toml:3"));
        let origin = &settings.trunk_origins[0].fields["kind"];
        assert_eq!(*origin, format!("profile {}", profile.name));
    }
}

#[test]
fn mistakes_in_trunks_say_what_to_do() {
    let source = "sources = [\"192.0.2.20\"]\n";
    let register = "kind = \"register\"\n[trunk.credentials]\npassword = \"env:K\"\n";
    let cases = [
        ("".to_owned(), "v.toml:1:1: trunk[1].sources: is missing: write the networks"),
        ("sources = [\"0.0.0.0/0\"]".to_owned(), "v.toml:3:11: trunk[1].sources: has a network of all addresses"),
        (
            format!("{source}profile = \"asteriks\""),
            "trunk[1].profile: \"asteriks\" is not a profile: use one of 3cx, ",
        ),
        (format!("{source}profile = \"asteriks\""), "Did you mean \"asterisk\"?"),
        (format!("{source}kind = \"registered\""), "trunk[1].kind: \"registered\" is not known"),
        (format!("{source}source_ports = [0]"), "trunk[1].source_ports: is not a list of integers from 1 to 65535"),
        (
            format!("{source}targets = [\"192.0.2.20\"]"),
            "v.toml:4:12: trunk[1].targets[1]: \"192.0.2.20\" is not a SIP URI",
        ),
        (
            format!("{source}targets = [\"sip:100@192.0.2.20\"]"),
            "names a user: write the host only, like \"sip:192.0.2.20\"",
        ),
        (format!("{source}targets = [\"sip:h;transport=ws\"]"), "has a transport that is none"),
        (
            format!("{source}transports = [\"udp\"]\ntargets = [\"sip:h.example;transport=tcp\"]"),
            "trunk[1].targets: sip:h.example;transport=tcp goes by tcp, which transports does not list: add \"tcp\" there",
        ),
        (format!("{source}transports = [\"tls\"]"), "trunk[1].transports: has \"tls\", but we have no certificate"),
        (
            format!("{source}certificate_names = [\"pbx.example.com\"]"),
            "is known by TLS only: write transports = [\"tls\"]",
        ),
        (format!("{source}srtp = \"off\""), "trunk[1].srtp: unknown field"),
        (
            format!("{source}media = {{ srtp = \"require\" }}"),
            "v.toml:4:18: trunk[1].media.srtp: is \"require\", but the trunk may be reached by udp, where everyone on the way can \
             read the keys: write transports = [\"tls\"] in [[trunk]], or srtp_without_tls = true here if that is meant",
        ),
        (
            format!("{source}media = {{ srtp = \"must\" }}"),
            "trunk[1].media.srtp: \"must\" is not known: use one of \"off\"",
        ),
        (
            format!("{source}media = {{ srtp_suites = [\"AES_CM_128\"] }}"),
            "trunk[1].media.srtp_suites[1]: is not known: use \"AEAD_AES_256_GCM\"",
        ),
        (format!("{source}media = {{ srtp_suites = [] }}"), "trunk[1].media.srtp_suites: names no suite"),
        (
            format!("{source}media = {{ srtp_suites = [\"AEAD_AES_128_GCM\", \"aead_aes_128_gcm\"] }}"),
            "trunk[1].media.srtp_suites[2]: AEAD_AES_128_GCM stands twice",
        ),
        (
            format!("{source}limits = {{ max_calls = 500 }}"),
            "trunk[1].limits.max_calls: is more than [limits] max_calls (200)",
        ),
        (format!("{source}limits = {{ calls_per_second = 21 }}"), "is more than [limits] calls_per_second (20)"),
        (
            format!("{source}limits = {{ refusal = 404 }}"),
            "trunk[1].limits.refusal: is not what a full trunk may say: use 503",
        ),
        (
            format!("{source}session_timer = {{ min_secs = 3600 }}"),
            "session_timer.min_secs: is more than expires_secs (1800)",
        ),
        (format!("{source}session_timer = {{ expires_secs = 30 }}"), "session_timer.expires_secs: 30 is out of range"),
        (format!("{source}methods = [\"MESSAGE\"]"), "trunk[1].methods[1]: is not a method that can be switched"),
        (format!("{source}trusted = [\"From\"]"), "trunk[1].trusted[1]: is not known: use \"P-Asserted-Identity\""),
        (format!("{source}dialled_from = [\"ruri\"]"), "trunk[1].dialled_from[1]: is not known: use \"request-uri\""),
        (format!("{source}dialled_from = []"), "trunk[1].dialled_from: is empty, so no number could be found"),
        (
            format!("{source}numbers = {{ country = \"+49\" }}"),
            "trunk[1].numbers.country: is not a country code: write digits",
        ),
        (
            format!("{source}numbers = {{ national_prefix = \"0\" }}"),
            "numbers.country: is missing: prefixes mean nothing",
        ),
        (format!("{source}headers_in = [\"Authorization\"]"), "trunk[1].headers_in[1]: is a header with secrets"),
        (
            format!("{source}headers_out = [\"Via: x\"]"),
            "trunk[1].headers_out[1]: Via is a header that is written here anyway",
        ),
        (format!("{source}headers_out = [\"X-A: b\\r\\nX-B: c\"]"), "trunk[1].headers_out[1]: is not a header: write"),
        (format!("{source}refer_to = [\"200\"]"), "trunk[1].refer_to[1]: is not a pattern of URIs"),
        (format!("{source}blocked = [\"sales\"]"), "trunk[1].blocked[1]: is not a caller: write a number"),
        (format!("{source}advertise_host = \"192.0.2.1\""), "trunk[1].advertise_host: is not a host name"),
        (
            format!("{source}register = {{ aor = \"sip:a@b\" }}"),
            "trunk[1].register: has no meaning here, it belongs to kind",
        ),
        (register.to_owned(), "trunk[1].register.aor: is missing: write the address we register"),
        (
            "kind = \"register\"\n[trunk.register]\naor = \"sip:example.com\"\n[trunk.credentials]\nuser = \"a\"\n\
             password = \"env:K\"\n"
                .to_owned(),
            "trunk[1].register.aor: \"sip:example.com\" is not an address of record",
        ),
        (
            "kind = \"register\"\n[trunk.register]\naor = \"sip:a@example.com\"\n".to_owned(),
            "trunk[1].credentials: is missing: a registration needs",
        ),
        (format!("{source}credentials = {{ user = \"u\" }}"), "trunk[1].credentials.password: is missing: refer to it"),
        (format!("{source}challenge = {{ password = \"env:K\" }}"), "trunk[1].challenge.user: is missing"),
        (
            format!("{source}tls = {{ certificate = \"/dev/null\" }}"),
            "trunk[1].tls.key: is missing: certificate and key go together",
        ),
        (
            format!("{source}tls = {{ ca_file = \"/nonexistent\" }}"),
            "trunk[1].tls.ca_file: /nonexistent cannot be read",
        ),
        (format!("{source}[[trunk]]\nname = \"t\"\n{source}"), "trunk[2].name: \"t\" is the name of an earlier trunk"),
        (
            format!("{source}[[trunk]]\nname = \"peers\"\n{source}"),
            "trunk[2].name: is the name of the trunk that sip.peers",
        ),
        (format!("{source}[[trunk]]\nname = \"a b\"\n{source}"), "trunk[2].name: may have letters"),
        (format!("{source}[[trunk]]\n{source}"), "trunk[2].name: is missing: name it"),
        (format!("{source}trustd = []"), "trunk[1].trustd: unknown field; did you mean \"trusted\"?"),
    ];
    for (body, expected) in cases {
        let errors = refused(&format!("[[trunk]]\nname = \"t\"\n{body}\n"), &[]);
        let found = errors.iter().any(|error| error.contains(expected));
        assert!(found, "{body}\nexpected: {expected}\nfound: {errors:#?}");
        assert!(errors.len() == 1 || body.contains("header") || body.contains("certificate"), "{body}\n{errors:#?}");
    }
}

/// A21: a password is never written in the settings, and a refusal does not repeat it.
#[test]
fn a_password_in_the_file_is_refused_without_being_shown() {
    let text =
        "[[trunk]]\nname = \"t\"\nsources = [\"192.0.2.1\"]\ncredentials = { user = \"u\", password = \"canary-1\" }\n";
    let errors = refused(text, &[]);
    assert!(errors.len() == 1 && errors[0].contains("trunk[1].credentials.password: a secret is never written here"));
    assert!(!errors[0].contains("canary"), "{errors:?}");
    let (files, result) = load(&text.replace("\"canary-1\"", "\"file:PASSWORD\""), &[]);
    assert_eq!(files.lines(result.map(|settings| assert_eq!(settings.missing_secrets.len(), 1))), [""; 0]);
}

#[test]
fn several_addresses_and_tls() {
    let text = "[sip]\nlisten = [\"0.0.0.0:5060\", \"[::]:5060\"]\nadvertise = [\"192.0.2.10\", \"2001:db8::10\"]\n\
                dns_server = \"192.0.2.53:53\"\n[sip.tls]\ncertificate = \"/dev/null\"\nkey = \"/dev/null\"\n";
    let settings = loaded(text, &[]);
    let sip = &settings.sip;
    assert_eq!(sip.listeners().map(|a| a.to_string()).collect::<Vec<_>>(), ["0.0.0.0:5060", "[::]:5060"]);
    assert_eq!(sip.advertised("0.0.0.0".parse().unwrap()).to_string(), "192.0.2.10");
    assert_eq!(sip.advertised("::".parse().unwrap()).to_string(), "2001:db8::10");
    assert_eq!(sip.dns_server.unwrap().to_string(), "192.0.2.53:53");
    let tls = sip.tls.as_ref().unwrap();
    assert_eq!(
        (tls.listen.to_string().as_str(), tls.alpn, tls.require_client_certificate),
        ("0.0.0.0:5061", false, false)
    );
    assert!(settings.all_trunks()[0].transports.contains(&Transport::Tls));

    let from_environment = loaded("", &[("VOXTRUNK__SIP__LISTEN", "127.0.0.1:5060, [::1]:5060")]);
    assert_eq!(from_environment.sip.listen_also.len(), 1);
    let half = refused("[sip]\nlisten = [\"0.0.0.0:5060\", \"[::]:5060\"]\nadvertise = \"192.0.2.10\"\n", &[]);
    assert!(half.len() == 1 && half[0].starts_with("v.toml:2:27: sip.listen[2]: listens on all addresses"), "{half:?}");
    let twice = refused("[sip]\nadvertise = [\"192.0.2.10\", \"192.0.2.11\"]\n", &[]);
    assert!(twice.len() == 1 && twice[0].contains("is a second address of its family"), "{twice:?}");
    let bare = refused("[sip.tls]\nlisten = \"127.0.0.1:5061\"\nrequire_client_certificate = true\n", &[]);
    assert_eq!(bare.len(), 3, "{bare:#?}");
}
