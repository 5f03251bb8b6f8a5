//! `srtp`, `srtp_suites` and `srtp_without_tls` of `[media]` and `[trunk.media]`.

use crate::settings::{loaded, refused};
use crate::world::{Files, MINIMAL};
use voxtrunk::cli::{check, explain};
use voxtrunk::srtp_key::Suite;
use voxtrunk::trunk::SrtpPolicy;

const REQUIRE: &str = "[media]\nsrtp = \"require\"\n";

fn trunk(more: &str) -> String {
    format!("[[trunk]]\nname = \"pbx\"\nsources = [\"192.0.2.20\"]\n{more}\n")
}

/// SRT-01, SRT-02: without a word SRTP is a wish, with the strongest suite first; trunk and environment may say otherwise.
#[test]
fn what_holds_where_nothing_is_said() {
    let settings = loaded(&trunk(""), &[]);
    let suites =
        [Suite::AeadAes256Gcm, Suite::AesCm256HmacSha1_80, Suite::AeadAes128Gcm, Suite::AesCm128HmacSha1_80].to_vec();
    assert_eq!((settings.media.srtp, &settings.media.srtp_suites), (SrtpPolicy::Prefer, &suites));
    assert_eq!((settings.trunks[0].media.srtp, settings.trunks[0].media.srtp_without_tls), (None, false));
    let text = explain::trunk::report("pbx", &settings).expect("a trunk");
    assert!(text.contains("media.srtp                     prefer: plain, for want of TLS"), "{text}");
    let off =
        loaded("", &[("VOXTRUNK__MEDIA__SRTP", "off"), ("VOXTRUNK__MEDIA__SRTP_SUITES", "aes_cm_128_hmac_sha1_32")]);
    assert_eq!((off.media.srtp, off.media.srtp_suites), (SrtpPolicy::Off, vec![Suite::AesCm128HmacSha1_32]));
    let own = trunk("[trunk.media]\nsrtp = \"off\"\nsrtp_suites = [\"AEAD_AES_128_GCM\"]");
    let own = loaded(&own, &[]);
    assert_eq!(own.trunks[0].media.srtp, Some(SrtpPolicy::Off));
    assert_eq!(own.trunks[0].media.srtp_suites, Some(vec![Suite::AeadAes128Gcm]));
}

/// SRT-02: the profiles of peers that speak nothing else require it.
#[test]
fn profiles_that_require_it() {
    for profile in ["teams", "whatsapp"] {
        let settings = loaded(&trunk(&format!("profile = \"{profile}\"")), &[]);
        assert_eq!(settings.trunks[0].media.srtp, Some(SrtpPolicy::Require), "{profile}");
        let text = explain::trunk::report("pbx", &settings).expect("a trunk");
        let row = text.lines().find(|line| line.contains("media.srtp ")).expect("a row");
        assert!(row.contains("require") && row.ends_with(&format!("profile {profile}")), "{row}");
    }
}

/// SRT-01: a must where keys would travel in the clear is an error that names the line and both ways out.
#[test]
fn a_must_needs_tls() {
    let clear = refused(&format!("[sip]\npeers = [\"192.0.2.0/24\"]\n{REQUIRE}"), &[]);
    assert_eq!(clear.len(), 1, "{clear:?}");
    assert!(clear[0].starts_with("v.toml:4:8: media.srtp: is \"require\", but sip.peers may call by UDP"), "{clear:?}");
    assert!(clear[0].contains("peers = []") && clear[0].contains("transports = [\"tls\"]"), "{clear:?}");
    let inherited = refused(&format!("{REQUIRE}{}", trunk("")), &[]);
    assert!(
        inherited[0].contains("trunk[1].media.srtp: is \"require\" by [media], but the trunk may be reached by udp")
    );
    assert!(inherited[0].contains("srtp_without_tls = true"), "{inherited:?}");
    let tls = "targets = [\"sip:pbx.example.com;transport=tls\"]";
    loaded(&format!("[sip]\npeers = []\n{REQUIRE}{}", trunk(tls)), &[]);
    loaded(&format!("{REQUIRE}{}", trunk("[trunk.media]\nsrtp = \"prefer\"")), &[]);
}

/// SRT-01: keys in the clear are possible where it is said, and `check` warns of it.
#[test]
fn keys_in_the_clear_are_warned_of() {
    let text = trunk("[trunk.media]\nsrtp = \"require\"\nsrtp_without_tls = true");
    let world = Files::new(&[("v.toml", &text), ("plan.toml", MINIMAL)]);
    let plans = world.path("plans");
    std::fs::create_dir(&plans).expect("a folder");
    std::fs::rename(world.path("plan.toml"), plans.join("plan.toml")).expect("moved");
    let files = check::Files { config: Some(world.path("v.toml")), dialplans: Some(plans) };
    let report = check::report(&files).expect("no error");
    assert!(report.contains("warning: trunk \"pbx\": srtp_without_tls: whoever can read its SIP"), "{report}");
    let text = explain::trunk::report("pbx", &loaded(&text, &[])).expect("a trunk");
    assert!(text.lines().any(|line| line.contains("media.srtp_without_tls") && line.contains("yes")), "{text}");
}
