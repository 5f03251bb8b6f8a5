use super::super::testing::invite;
use super::super::{NumberRules, Trunk};
use super::*;
use proptest::prelude::*;

fn trusting() -> Trunk {
    Trunk { trusted: vec![IdentityHeader::PAssertedIdentity, IdentityHeader::RemotePartyId], ..Trunk::new("t") }
}

fn of(trunk: &Trunk, headers: &[&str]) -> CallerInfo {
    caller(trunk, &invite("sip:100@192.0.2.10", headers))
}

const FROM: &str = "From: \"Mallory\" <sip:+15550100666@192.0.2.20>;tag=a";
const PAI: &str = "P-Asserted-Identity: \"Alice\" <sip:+15550100001@192.0.2.20>, <tel:+15550100002>";
const RPID: &str = "Remote-Party-ID: \"Bob\" <sip:+15550100003@192.0.2.20>;party=calling;screen=yes;privacy=off";

/// AUT-08: the best header that the trunk is trusted for, else From; an untrusted trunk is believed From only (A13).
#[test]
fn the_caller_is_the_best_identity_that_is_believed() {
    let rows: [(&[&str], &str, &str); 6] = [
        (&[FROM, PAI, RPID], "+15550100001", "Alice"),
        (&[FROM, RPID], "+15550100003", "Bob"),
        (&[FROM], "+15550100666", "Mallory"),
        (&[FROM, "P-Asserted-Identity: <tel:+1-555-010-0002>"], "+15550100002", "Mallory"),
        (&[FROM, "P-Asserted-Identity: \"Alice\" <sip:alice@h>, <tel:+15550100002>"], "+15550100002", "Alice"),
        (&[FROM, "P-Asserted-Identity: <<broken>"], "+15550100666", "Mallory"),
    ];
    for (headers, number, name) in rows {
        let info = of(&trusting(), headers);
        assert_eq!((info.number.expose().as_str(), info.name.expose().as_str()), (number, name), "{headers:?}");
        assert!(!info.withheld);
        let untrusted = of(&Trunk::new("t"), headers);
        assert_eq!((untrusted.number.expose().as_str(), untrusted.name.expose().as_str()), ("+15550100666", "Mallory"));
    }
    let rpid_first = Trunk { trusted: vec![IdentityHeader::RemotePartyId], ..Trunk::new("t") };
    assert_eq!(of(&rpid_first, &[FROM, PAI, RPID]).number.expose(), "+15550100003");
    let rules = NumberRules { country: Some("1".into()), ..NumberRules::default() };
    let national = Trunk { numbers: rules, ..trusting() };
    assert_eq!(of(&national, &["P-Asserted-Identity: <sip:5550100001@h>"]).number.expose(), "+15550100001");
}

/// AUT-08: whoever withholds the number is withheld, whoever says so, in every field that could tell.
#[test]
fn withheld_callers_stay_unknown() {
    let rows: [&[&str]; 8] = [
        &[FROM, PAI, "Privacy: id"],
        &[FROM, PAI, "Privacy: user;critical"],
        &[FROM, "Privacy: ID"],
        &["From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=a", PAI],
        &["From: <sip:c8f2@anonymous.invalid>;tag=a"],
        &["From: <sip:Restricted@192.0.2.20>;tag=a"],
        &[FROM, "Remote-Party-ID: <sip:+15550100003@h>;privacy=full"],
        &[FROM, "P-Asserted-Identity: <sip:anonymous@h>"],
    ];
    for headers in rows {
        let trunk = Trunk { headers_in: vec!["From".into(), "P-Asserted-Identity".into(), "X-A".into()], ..trusting() };
        let info = of(&trunk, &[headers, &["X-A: b"]].concat());
        assert!(info.withheld, "{headers:?}");
        assert_eq!((info.number.expose().as_str(), info.name.expose().as_str()), ("", ""), "{headers:?}");
        assert_eq!(info.headers, [("X-A".to_owned(), Pii("b".to_owned()))], "{headers:?}");
    }
    assert!(!of(&trusting(), &[FROM, PAI, "Privacy: none"]).withheld);
}

/// AUT-10: who forwarded first and why, by Diversion or History-Info; only from a trusted trunk.
#[test]
fn forwarding_is_told() {
    let rows: [(&[&str], Option<&str>, Option<&str>); 6] = [
        (
            &["Diversion: <sip:+15550100012@h>;reason=user-busy, <sip:+15550100011@h>;reason=no-answer"],
            Some("+15550100011"),
            Some("no-answer"),
        ),
        (&["Diversion: <sip:+15550100011@h>;reason=unconditional;privacy=full"], None, Some("unconditional")),
        (
            &[
                "History-Info: <sip:+15550100011@h?Reason=SIP%3Bcause%3D486>;index=1, <sip:+15550100012@h>;index=1.1;mp=1",
            ],
            Some("+15550100011"),
            Some("user-busy"),
        ),
        (
            &["History-Info: <sip:+15550100011@h>;index=1, <sip:+15550100012@h;cause=408>;index=1.1;mp=1"],
            Some("+15550100011"),
            Some("no-answer"),
        ),
        (
            &[
                "History-Info: <sip:+15550100011@h?Privacy=history>;index=1, <sip:+15550100012@h;cause=302>;index=1.1;mp=1",
            ],
            None,
            Some("unconditional"),
        ),
        (&["History-Info: <sip:+15550100011@h>;index=1"], None, None),
    ];
    for (headers, from, reason) in rows {
        let info = of(&trusting(), headers);
        assert_eq!(info.forwarded_from.as_ref().map(|n| n.expose().as_str()), from, "{headers:?}");
        assert_eq!(info.forward_reason.as_deref(), reason, "{headers:?}");
        let untrusted = of(&Trunk::new("t"), headers);
        assert_eq!((untrusted.forwarded_from, untrusted.forward_reason), (None, None), "{headers:?}");
    }
}

/// AUT-12, A14: what the trunk verified is told apart from what an Identity header claims, and an untrusted trunk says nothing.
#[test]
fn attestation_is_what_the_trunk_verified() {
    // {"alg":"ES256"} . {"attest":"A"} . signature
    let identity =
        "Identity: eyJhbGciOiJFUzI1NiJ9.eyJhdHRlc3QiOiJBIn0.c2ln;info=<https://cert.example.com/c.pem>;alg=ES256";
    let passed =
        |suffix: &str| format!("P-Asserted-Identity: <sip:+15550100001;verstat=TN-Validation-Passed{suffix}@h>");
    let tel = "P-Asserted-Identity: <tel:+15550100001;verstat=TN-Validation-Passed-B>";
    let uri = "P-Asserted-Identity: <sip:+15550100001@h;user=phone;verstat=TN-Validation-Passed-C>";
    let rows: [(&[&str], Option<&str>); 10] = [
        (&[&passed("-A")], Some("A")),
        (&[&passed("")], Some("TN-Validation-Passed")),
        (&[&passed(""), identity], Some("A")),
        (&[&passed(""), "Attestation-Info: B"], Some("B")),
        (&[tel], Some("B")),
        (&[uri], Some("C")),
        (
            &["P-Asserted-Identity: <sip:+15550100001;verstat=TN-Validation-Failed-A@h>", identity],
            Some("TN-Validation-Failed"),
        ),
        (&["P-Asserted-Identity: <sip:+15550100001;verstat=No-TN-Validation@h>"], Some("No-TN-Validation")),
        (&[identity], Some("unverified-A")),
        (&["Identity: eyJ.%%%.x"], None),
    ];
    for (headers, expected) in rows {
        assert_eq!(of(&trusting(), headers).attestation.as_deref(), expected, "{headers:?}");
        assert_eq!(of(&Trunk::new("t"), headers).attestation, None, "{headers:?}");
    }
}

/// AUT-13: User-to-User is decoded, bounded and clean.
#[test]
fn user_to_user() {
    let text = |value: &str| of(&Trunk::new("t"), &[&format!("User-to-User: {value}")]).user_to_user.map(|uui| uui.0);
    assert_eq!(text("48656c6c6f;encoding=hex").as_deref(), Some("Hello"));
    assert_eq!(text("0448656c6c6f;purpose=isdn-uui;encoding=hex").as_deref(), Some("Hello"));
    assert_eq!(text("48656C6C6F").as_deref(), Some("Hello"));
    assert_eq!(text("ticket 42;encoding=text").as_deref(), Some("ticket 42"));
    assert_eq!(text("ff00ff;encoding=hex").as_deref(), Some("ff00ff"));
    assert_eq!(text("\"\""), None);
    let long = text(&format!("{};encoding=hex", "c3a4".repeat(2000))).unwrap_or_default();
    assert!(long.len() <= 256 && long.starts_with('ä'), "{} bytes", long.len());
}

/// AUT-14: texts are one line, bounded, without what hides or turns text around.
#[test]
fn texts_are_cleaned_and_bounded() {
    assert_eq!(clean("  a\t\r\n b\u{0}c  ", 64), "a b c");
    assert_eq!(clean("\u{202e}evil\u{200b}\u{feff}", 64), "evil");
    assert_eq!(clean("ä b c", 3), "ä b");
    let trunk = Trunk { headers_in: vec!["X-Note".into(), "X-Absent".into()], ..Trunk::new("t") };
    let note = format!("X-Note: {}", "n".repeat(5000));
    let name = format!("From: \"{}\" <sip:{}@h>;tag=a", "N".repeat(2000), "u".repeat(2000));
    let info = of(&trunk, &[&note, &name]);
    assert_eq!((info.headers.len(), info.headers[0].1.expose().len()), (1, 256));
    assert_eq!((info.name.expose().len(), info.number.expose().len()), (64, 64));
}

/// DLG-14: the list of blocked callers: numbers, beginnings, and those without a number.
#[test]
fn blocked_callers() {
    let trunk = Trunk { blocked: vec!["+15550100666".into(), "+1900*".into()], ..trusting() };
    let blocked = |trunk: &Trunk, headers: &[&str]| is_blocked(trunk, &of(trunk, headers));
    assert!(blocked(&trunk, &[FROM]));
    assert!(!blocked(&trunk, &[FROM, PAI]));
    assert!(blocked(&trunk, &["From: <sip:+19005550000@h>;tag=a"]));
    assert!(!blocked(&trunk, &["From: <sip:anonymous@anonymous.invalid>;tag=a"]));
    let no_anonymous = Trunk { blocked: vec!["anonymous".into()], ..trusting() };
    assert!(blocked(&no_anonymous, &[FROM, "Privacy: id"]) && !blocked(&no_anonymous, &[FROM]));
}

proptest! {
    /// AUT-14: whatever a header says, nothing panics and every bound holds.
    #[test]
    fn any_header(name in "[A-Za-z-]{1,12}", value in "\\PC{0,300}") {
        let names = ["Diversion", "History-Info", "P-Asserted-Identity", "Remote-Party-ID", "Identity", "User-to-User", &name];
        let trunk = Trunk { headers_in: vec!["Diversion".into()], ..trusting() };
        for name in names {
            let text = format!("INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=a\r\n\
                                To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:h>\r\nMax-Forwards: 70\r\n{name}: {value}\r\n\r\n");
            let framing = crate::sip::message::Framing::Datagram;
            let Ok(message) = Message::parse(text.into(), framing) else { continue };
            let info = caller(&trunk, &message);
            prop_assert!(info.number.expose().chars().count() <= MAX_NUMBER);
            prop_assert!(info.name.expose().chars().count() <= MAX_NAME);
            let whole = format!("{}{}", info.number.expose(), info.name.expose());
            prop_assert!(!whole.chars().any(char::is_control));
            super::super::dialled::dialled(&trunk, "", &message);
        }
    }
}
