//! Each profile against an INVITE of its trunk's shape: which trunk, number, caller and forwarding it must give.

use crate::settings::loaded;
use crate::world::{Files, MINIMAL, repository};
use voxtrunk::cli::explain::invite::{self, Judged, Sender};
use voxtrunk::cli::{check, explain};
use voxtrunk::trunk::Verdict;
use voxtrunk::trunk::profile::PROFILES;

/// The user of our Contact in the fixtures of registering trunks.
const CONTACT: &str = "vx7f3a9c";

struct Row {
    profile: &'static str,
    /// What the operator writes besides name and profile.
    own: &'static str,
    number: &'static str,
    place: &'static str,
    caller: &'static str,
    name: &'static str,
    forwarded: Option<(&'static str, &'static str)>,
    attestation: Option<&'static str>,
    headers: &'static [(&'static str, &'static str)],
}

impl Row {
    const fn new(profile: &'static str, own: &'static str, number: &'static str, caller: &'static str) -> Row {
        Row {
            profile,
            own,
            number,
            place: "request-uri",
            caller,
            name: "Jane Roe",
            forwarded: None,
            attestation: None,
            headers: &[],
        }
    }
}

const REGISTERED: &str =
    "[trunk.register]\naor = \"sip:4930231251@sip.example.net\"\n[trunk.credentials]\npassword = \"env:X\"\n";

const US: &str = "+12025550142";
const JANE: &str = "+12025550117";
const JANE_DE: &str = "+493023125117";

const ROWS: [Row; 13] = [
    Row {
        name: "+12025550117",
        forwarded: Some(("+12025550188", "unconditional")),
        attestation: Some("A"),
        headers: &[
            ("X-Twilio-CallSid", "CA11111111111111111111111111111111"),
            ("X-Twilio-AccountSid", "AC00000000000000000000000000000000"),
        ],
        ..Row::new("twilio", "sources = [\"198.51.100.0/30\", \"198.51.100.4/30\"]", US, JANE)
    },
    Row { name: "JANE ROE", ..Row::new("telnyx", "sources = [\"198.51.100.20\"]", US, JANE) },
    Row::new("asterisk", "sources = [\"192.0.2.20\"]", "100", JANE),
    Row::new("freeswitch", "sources = [\"192.0.2.21\"]", "100", JANE),
    Row { name: "", ..Row::new("kamailio", "targets = \"sip:192.0.2.22\"", "100", JANE) },
    Row { place: "to", ..Row::new("3cx", "targets = \"sip:192.0.2.23\"", "100", JANE) },
    Row {
        forwarded: Some(("1999", "no-answer")),
        ..Row::new("cisco", "sources = [\"192.0.2.24\"]\ntransports = [\"tcp\"]", "2000", JANE)
    },
    Row {
        forwarded: Some(("+12025550188", "unconditional")),
        ..Row::new("teams", "sources = [\"198.51.100.0/26\"]\nadvertise_host = \"voice.example.com\"", US, JANE)
    },
    Row {
        forwarded: Some(("+493023125188", "user-busy")),
        ..Row::new("telekom", "sources = [\"198.51.100.60\"]", "+493023125100", JANE_DE)
    },
    Row {
        name: "",
        place: "p-called-party-id",
        ..Row::new("easybell", "targets = \"sip:198.51.100.70\"", "+49302312510042", JANE_DE)
    },
    Row { place: "to", ..Row::new("fritzbox", "targets = \"sip:192.0.2.1\"", "620", JANE_DE) },
    Row { name: "", ..Row::new("livekit", "sources = [\"198.51.100.80\"]", US, JANE) },
    Row::new("whatsapp", "sources = [\"198.51.100.90\"]", US, JANE),
];

fn settings_of(row: &Row) -> String {
    let registers = PROFILES.iter().any(|p| p.name == row.profile && p.toml.contains("kind = \"register\""));
    let register = if registers { REGISTERED } else { "" };
    // A trunk before it that must not take its calls.
    format!(
        "[[trunk]]\nname = \"other\"\nsources = [\"203.0.113.0/24\"]\n[[trunk]]\nname = \"it\"\nprofile = \"{}\"\n{}\n{register}",
        row.profile, row.own
    )
}

fn judged(row: &Row, sender: &Sender) -> Judged {
    let settings = loaded(&settings_of(row), &[]);
    let file = repository(&format!("tests/data/trunks/{}.sip", row.profile));
    let message = invite::read(&file).unwrap_or_else(|error| panic!("{error}"));
    invite::judge(&settings, &message, sender).unwrap_or_else(|error| panic!("{}: {error}", row.profile)).1
}

/// AUT-01, AUT-06, AUT-08, AUT-09, AUT-10, AUT-11, AUT-12: every trunk with a profile gives its number and its caller.
#[test]
fn profiles_read_the_invites_of_their_trunks() {
    let sender = Sender { contact_user: CONTACT.into(), ..Sender::default() };
    for row in &ROWS {
        let found = judged(row, &sender);
        let profile = row.profile;
        assert_eq!(found.trunk.as_ref().map(|trunk| trunk.name.as_str()), Some("it"), "{profile}");
        assert!(matches!(found.verdict, Verdict::Trunk(_)) && !found.blocked, "{profile}");
        assert_eq!((found.number.as_str(), found.place.as_str()), (row.number, row.place), "{profile}");
        let caller = &found.caller;
        assert!(!caller.withheld, "{profile}");
        assert_eq!(
            (caller.number.expose().as_str(), caller.name.expose().as_str()),
            (row.caller, row.name),
            "{profile}"
        );
        let forwarded =
            caller.forwarded_from.as_ref().map(|n| n.expose().as_str()).zip(caller.forward_reason.as_deref());
        assert_eq!(forwarded, row.forwarded, "{profile}");
        assert_eq!(caller.attestation.as_deref(), row.attestation, "{profile}");
        let headers: Vec<_> =
            caller.headers.iter().map(|(name, value)| (name.as_str(), value.expose().as_str())).collect();
        assert_eq!(headers, row.headers, "{profile}");
    }
    let mut profiles: Vec<&str> = ROWS.iter().map(|row| row.profile).collect();
    profiles.sort_unstable();
    assert_eq!(profiles, PROFILES.map(|profile| profile.name), "every profile has a fixture");
}

/// A1: the same INVITEs from anywhere else are nobody's.
#[test]
fn the_same_invites_from_elsewhere_are_nobodys() {
    let from = Some("203.1.113.9:5060".parse().unwrap());
    for row in &ROWS {
        for contact_user in [CONTACT, ""] {
            let found = judged(row, &Sender { from, contact_user: contact_user.into(), ..Sender::default() });
            assert_eq!((found.verdict, found.number.as_str()), (Verdict::Unknown, ""), "{}", row.profile);
        }
    }
}

fn world(settings: &str) -> (Files, check::Files) {
    let world = Files::new(&[("v.toml", settings)]);
    std::fs::create_dir(world.path("plans")).unwrap();
    std::fs::write(world.path("plans/a.toml"), MINIMAL.replace("200", "100")).unwrap();
    let files = check::Files { config: Some(world.path("v.toml")), dialplans: Some(world.path("plans")) };
    (world, files)
}

#[test]
fn explain_tells_what_becomes_of_an_invite() {
    let (_world, files) = world("[[trunk]]\nname = \"pbx\"\nprofile = \"asterisk\"\nsources = [\"192.0.2.20\"]\n");
    let (settings, book) = check::load(&files).unwrap();
    let file = repository("tests/data/trunks/asterisk.sip");
    let text = invite::report(&file, &settings, &book, &Sender::default()).unwrap();
    for expected in [
        "From 192.0.2.20:5060: trunk pbx.",
        "Number    100 (from request-uri, of request-uri, to)",
        "a.toml: it lists 100",
        "Caller    +12025550117 \"Jane Roe\"",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let elsewhere = Sender { from: Some("192.0.2.99:5060".parse().unwrap()), ..Sender::default() };
    let text = invite::report(&file, &settings, &book, &elsewhere).unwrap();
    assert!(text.contains("no trunk's. It is dropped without an answer") && text.contains("Add the address"), "{text}");
    let error = invite::report(&repository("README.md"), &settings, &book, &Sender::default()).unwrap_err();
    assert!(error.contains("is not a SIP message"), "{error}");
}

#[test]
fn explain_shows_what_a_trunk_resolves_to_and_where_from() {
    let (_world, files) = world(
        "[sip]\nlisten = \"192.0.2.10:5060\"\n[[trunk]]\nname = \"pbx\"\nprofile = \"asterisk\"\nsources = [\"192.0.2.20\"]\n\
         limits = { max_calls = 7 }\ncredentials = { user = \"u\", password = \"env:VOXTRUNK_NOT_SET_9\" }\n",
    );
    let (settings, _) = check::load(&files).unwrap();
    let text = explain::trunk::report("pbx", &settings).unwrap();
    let line = |key: &str| {
        let found = text.lines().find(|line| line.trim_start().split(' ').next() == Some(key));
        found.unwrap_or_else(|| panic!("{key}\n{text}")).to_owned()
    };
    assert!(text.starts_with("Trunk pbx, rule 1 of 2, profile asterisk\n"), "{text}");
    assert!(line("sources").contains("192.0.2.20/32") && line("sources").ends_with("v.toml:6"), "{text}");
    assert!(line("limits.max_calls").contains(" 7 ") && line("limits.max_calls").ends_with("v.toml:7"), "{text}");
    assert!(line("options.every_secs").contains("30 s") && line("options.every_secs").ends_with("profile asterisk"));
    assert!(line("media.codecs").contains("PCMU, PCMA") && line("media.codecs").ends_with("default"));
    assert!(line("credentials.password").contains("cannot be read"), "{text}");
    assert!(
        text.contains("contact = sip:192.0.2.10:5060\\;transport=udp") && text.contains("match = 192.0.2.10"),
        "{text}"
    );
    assert!(text.contains("UDP ports 20000 to 29999"), "{text}");
    for profile in ["freeswitch", "kamailio", "cisco", "twilio", "teams"] {
        let own = format!("[[trunk]]\nname = \"t\"\nprofile = \"{profile}\"\nsources = [\"192.0.2.20\"]\n");
        let text = explain::trunk::report("t", &loaded(&own, &[])).unwrap();
        assert!(text.contains("127.0.0.1:506"), "{profile}\n{text}");
    }
    assert!(explain::trunk::report("peers", &settings).unwrap().contains("made of sip.peers"));
    let error = explain::trunk::report("pbxx", &settings).unwrap_err();
    assert_eq!(error, "there is no trunk \"pbxx\"; there are: pbx, peers");
}

#[test]
fn check_warns_of_rules_that_hide_one_another() {
    let (_world, files) = world(
        "[[trunk]]\nname = \"wide\"\nsources = [\"192.0.2.0/24\"]\n[[trunk]]\nname = \"narrow\"\nsources = [\"192.0.2.20\"]\n\
         [[trunk]]\nname = \"tcp\"\nsources = [\"198.51.100.1\"]\ntransports = [\"tcp\"]\n\
         [[trunk]]\nname = \"udp\"\nsources = [\"198.51.100.1\"]\ntransports = [\"udp\"]\n\
         [[trunk]]\nname = \"secure\"\ntargets = \"sip:pbx.example.com;transport=tls\"\n",
    );
    let text = check::report(&files).unwrap();
    assert!(text.contains("warning: trunk \"narrow\": shares sources with \"wide\", which comes first"), "{text}");
    assert!(text.contains("warning: trunk \"secure\": there is no [sip.tls]"), "{text}");
    assert!(!text.contains("trunk \"udp\"") && !text.contains("trunk \"tcp\""), "{text}");
}
