//! SDES in offer/answer (RFC 4568, RFC 8643): one test per rule.

use voxtrunk::sip::offer_answer::{Answer, LocalMedia, LocalSrtp, MediaParams, Negotiation, Refusal};
use voxtrunk::srtp_key::{SrtpKeys, Suite};

const SUITES: [Suite; 4] =
    [Suite::AeadAes256Gcm, Suite::AesCm256HmacSha1_80, Suite::AeadAes128Gcm, Suite::AesCm128HmacSha1_80];
const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
const OTHER: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
/// 46 and 28 octets.
const KEY_256: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLQ==";
const KEY_GCM: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==";
const CM_80: &str = "AES_CM_128_HMAC_SHA1_80";

fn local(srtp: Option<LocalSrtp>) -> Negotiation {
    let addr = "192.0.2.9".parse().expect("an address");
    Negotiation::new(LocalMedia { addr, port: 30_000, session_id: 4711, srtp, ..LocalMedia::default() })
}

fn off() -> Negotiation {
    local(None)
}

fn prefer() -> Negotiation {
    local(Some(LocalSrtp::new(false, &SUITES, [3; 32])))
}

fn require() -> Negotiation {
    local(Some(LocalSrtp::new(true, &SUITES, [3; 32])))
}

fn sdp(version: u32, media: &str) -> Vec<u8> {
    format!("v=0\r\no=- 77 {version} IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{media}").into_bytes()
}

fn audio(profile: &str, crypto: &[&str]) -> String {
    let lines: String = crypto.iter().map(|line| format!("a=crypto:{line}\r\n")).collect();
    format!("m=audio 4000 {profile} 8 101\r\na=rtpmap:101 telephone-event/8000\r\n{lines}")
}

fn savp(version: u32, crypto: &[&str]) -> Vec<u8> {
    sdp(version, &audio("RTP/SAVP", crypto))
}

fn take(us: &mut Negotiation, offer: &[u8]) -> Answer {
    us.receive_offer(offer).unwrap_or_else(|e| panic!("{}: {}", e.why, text(offer)))
}

fn refused(us: &mut Negotiation, offer: &[u8]) -> Refusal {
    us.receive_offer(offer).map(|answer| panic!("taken: {}\n{answer:?}", text(offer))).unwrap_err()
}

fn text(sdp: &[u8]) -> String {
    String::from_utf8(sdp.to_vec()).expect("we write UTF-8")
}

/// Values of an attribute or other line of ours.
fn lines(sdp: &[u8], key: &str) -> Vec<String> {
    text(sdp).lines().filter_map(|line| line.strip_prefix(key)).map(str::to_owned).collect()
}

fn keys(media: &MediaParams) -> &SrtpKeys {
    media.srtp.as_ref().expect("secured")
}

fn base64(octets: &[u8]) -> String {
    let mut text = String::new();
    voxtrunk::base64::encode_append(octets, &mut text);
    text
}

/// A pair of ours that has agreed by an offer of the first.
fn pair(offerer: LocalSrtp, answerer: LocalSrtp) -> (Negotiation, MediaParams, Negotiation, MediaParams) {
    let (mut a, mut b) = (local(Some(offerer)), local(Some(answerer)));
    let offer = a.offer();
    let answer = take(&mut b, &offer);
    let media = a.receive_answer(&answer.sdp).expect("agreed");
    (a, media, b, answer.media)
}

/// SRT-01: the offerer's first line that we support is taken; its tag is echoed, and the key is ours.
#[test]
fn the_first_line_that_fits() {
    let lines_offered = [
        "1 F8_128_HMAC_SHA1_80 inline:xxxx",
        &format!("2 {CM_80} inline:{KEY}|2^20|1:4"),
        &format!("37 {CM_80} inline:{KEY}|2^31 WSH=64"),
        &format!("4 AEAD_AES_256_GCM inline:{KEY}"),
        &format!("5 AES_256_CM_HMAC_SHA1_80 inline:{KEY_256}"),
    ];
    let answer = take(&mut prefer(), &savp(1, &lines_offered));
    let agreed = keys(&answer.media);
    assert_eq!(agreed.suite, Suite::AesCm128HmacSha1_80);
    assert_eq!(base64(agreed.receive.key_and_salt()), KEY);
    assert_ne!(agreed.send, agreed.receive, "a key for each direction");
    assert_eq!(lines(&answer.sdp, "m="), ["audio 30000 RTP/SAVP 8 101"]);
    let ours = base64(agreed.send.key_and_salt());
    assert_eq!(lines(&answer.sdp, "a=crypto:"), [format!("37 {CM_80} inline:{ours}")]);
    for suite in ["AES_CM_128_HMAC_SHA1_32", "aes_cm_128_hmac_sha1_32"] {
        let answer = take(&mut prefer(), &savp(1, &[&format!("1 {suite} inline:{KEY}")]));
        assert_eq!(keys(&answer.media).suite, Suite::AesCm128HmacSha1_32, "taken, though never offered");
    }
    for (suite, key) in [("AES_256_CM_HMAC_SHA1_80", KEY_256), ("AEAD_AES_128_GCM", KEY_GCM)] {
        let answer = take(&mut require(), &savp(1, &[&format!("9 {suite} inline:{key}")]));
        assert_eq!(keys(&answer.media).suite.name(), suite);
        assert_eq!(base64(keys(&answer.media).receive.key_and_salt()), key);
    }
}

/// SRT-02, SDP-14: what each policy makes of each kind of offer.
#[test]
fn policies() {
    let line = format!("1 {CM_80} inline:{KEY}");
    let mki = format!("1 {CM_80} inline:{KEY}|1:4");
    // Profile and line of the offer; then what off, prefer and require make of it: plain, secure, or why not.
    let rows: [(&str, &[&str], [&str; 3]); 9] = [
        ("RTP/AVP", &[], ["plain", "plain", "only SRTP"]),
        ("RTP/AVP", &[&line], ["plain", "secure", "secure"]),
        ("RTP/AVP", &[&mki], ["plain", "plain", "MKI"]),
        ("RTP/AVPF", &[&line], ["plain", "secure", "secure"]),
        ("RTP/SAVP", &[&line], ["off here", "secure", "secure"]),
        ("rtp/savpf", &[&line], ["off here", "secure", "secure"]),
        ("RTP/SAVP", &[], ["off here", "there is none", "there is none"]),
        ("RTP/SAVP", &[&mki], ["off here", "MKI", "MKI"]),
        ("UDP/TLS/RTP/SAVPF", &[&line], ["DTLS", "DTLS", "DTLS"]),
    ];
    for (profile, crypto, wanted) in rows {
        for (mut us, wanted) in [off(), prefer(), require()].into_iter().zip(wanted) {
            let seen = match us.receive_offer(&sdp(1, &audio(profile, crypto))) {
                Ok(answer) => {
                    let secure = answer.media.srtp.is_some();
                    let ours = lines(&answer.sdp, "a=crypto:");
                    assert_eq!(ours.len(), usize::from(secure), "{profile} {crypto:?}");
                    assert_eq!(lines(&answer.sdp, "m="), [format!("audio 30000 {profile} 8 101")], "the same profile");
                    if secure { "secure" } else { "plain" }.to_owned()
                }
                Err(refusal) => {
                    assert_eq!((refusal.status, refusal.about_srtp), (488, true), "{profile} {crypto:?}");
                    assert!(us.current().is_none());
                    refusal.why
                }
            };
            assert!(seen.contains(wanted), "{profile} {crypto:?}: {seen}, not {wanted}");
        }
    }
}

/// SRT-01: where the keys may not travel, a must refuses everything, and says what to do.
#[test]
fn a_must_without_tls() {
    let mut us = local(Some(LocalSrtp::impossible()));
    for offer in [savp(1, &[&format!("1 {CM_80} inline:{KEY}")]), sdp(1, &audio("RTP/AVP", &[]))] {
        let why = refused(&mut us, &offer).why;
        assert!(why.contains("call by TLS"), "{why}");
    }
    assert!(us.no_offer().is_some_and(|refusal| refusal.status == 488 && refusal.why.contains("call by TLS")));
    assert!(require().no_offer().is_none() && off().no_offer().is_none());
    us.offer();
    assert!(us.receive_answer(&sdp(1, &audio("RTP/AVP", &[]))).is_err(), "and no plain answer passes");
}

/// SRT-02, SDP-03: of a secure and a plain stream (the old best-effort way) the secure one is taken, wherever it stands.
#[test]
fn two_streams() {
    let secure = audio("RTP/SAVP", &[&format!("1 {CM_80} inline:{KEY}")]);
    let plain = audio("RTP/AVP", &[]);
    for mut us in [prefer(), require()] {
        let answer = take(&mut us, &sdp(1, &format!("{plain}{secure}")));
        assert_eq!(lines(&answer.sdp, "m="), ["audio 0 RTP/AVP 8", "audio 30000 RTP/SAVP 8 101"]);
        assert!(answer.media.srtp.is_some());
        // The next offer of ours repeats both.
        let offer = us.offer();
        assert_eq!(lines(&offer, "m="), ["audio 0 RTP/AVP 8", "audio 30000 RTP/SAVP 0 8 101"]);
    }
    let first = take(&mut prefer(), &sdp(1, &format!("{secure}{plain}")));
    assert_eq!(lines(&first.sdp, "m="), ["audio 30000 RTP/SAVP 8 101", "audio 0 RTP/AVP 8"]);
    let without = take(&mut off(), &sdp(1, &format!("{secure}{plain}")));
    assert_eq!(lines(&without.sdp, "m="), ["audio 0 RTP/SAVP 8", "audio 30000 RTP/AVP 8 101"]);
    let broken = secure.replace(KEY, "xx");
    let fallback = take(&mut prefer(), &sdp(1, &format!("{broken}{plain}")));
    assert!(fallback.media.srtp.is_none());
    assert!(refused(&mut require(), &sdp(1, &format!("{broken}{plain}"))).why.contains("not as long"));
}

/// SRT-01: a key at the session level counts for a stream without one of its own.
#[test]
fn keys_of_the_session_level() {
    let line = |key: &str| format!("1 {CM_80} inline:{key}");
    let mut offer = text(&savp(1, &[]));
    offer = offer.replace("t=0 0\r\n", &format!("t=0 0\r\na=crypto:{}\r\n", line(KEY)));
    let answer = take(&mut require(), offer.as_bytes());
    assert_eq!(base64(keys(&answer.media).receive.key_and_salt()), KEY);
    let own = format!("{offer}a=crypto:{}\r\n", line(OTHER));
    let answer = take(&mut require(), own.as_bytes());
    assert_eq!(base64(keys(&answer.media).receive.key_and_salt()), OTHER, "its own goes first");
}

/// SRT-01, SRT-02: our offers: RTP/SAVP as a must, else RTP/AVP with keys (RFC 8643), all suites in our order.
#[test]
fn our_offers() {
    for (mut us, profile) in [(require(), "RTP/SAVP"), (prefer(), "RTP/AVP")] {
        let offer = us.offer();
        assert_eq!(lines(&offer, "m="), [format!("audio 30000 {profile} 0 8 101")]);
        let crypto = lines(&offer, "a=crypto:");
        for (n, (line, suite)) in crypto.iter().zip(SUITES).enumerate() {
            assert!(line.starts_with(&format!("{} {} inline:", n + 1, suite.name())), "{line}");
        }
        assert_eq!(crypto.len(), 4);
        assert_eq!(us.offer(), offer, "said again, it is the same");
        let answer = format!("4 {CM_80} inline:{KEY}|2^31");
        let media = us.receive_answer(&sdp(1, &audio(profile, &[&answer]))).expect("agreed");
        assert_eq!(keys(&media).suite, Suite::AesCm128HmacSha1_80);
        assert_eq!(base64(keys(&media).receive.key_and_salt()), KEY);
        assert!(crypto[3].ends_with(&base64(keys(&media).send.key_and_salt())), "our key of that line");
    }
    assert_eq!(lines(&off().offer(), "a=crypto:"), Vec::<String>::new());
}

/// SRT-01: an answer must be a line of the offer; a plain one passes only where SRTP is a wish.
#[test]
fn answers_to_our_offers() {
    let gcm = format!("1 AEAD_AES_128_GCM inline:{KEY_GCM}");
    let good = format!("4 {CM_80} inline:{KEY}");
    let rows: [(&str, &[&str], bool, bool); 8] = [
        ("RTP/SAVP", &[&good], true, true),
        ("RTP/AVP", &[&good], true, true),
        ("RTP/AVP", &[], true, false),
        ("RTP/SAVP", &[], false, false),
        ("RTP/SAVP", &[&gcm], false, false),
        ("RTP/SAVP", &[&good.replace("4 A", "5 A")], false, false),
        ("RTP/SAVP", &[&good.replace("_80", "_32")], false, false),
        ("RTP/SAVP", &[&format!("{good} UNENCRYPTED_SRTP")], false, false),
    ];
    for (profile, crypto, with_prefer, with_require) in rows {
        for (mut us, wanted) in [(prefer(), with_prefer), (require(), with_require)] {
            us.offer();
            let seen = us.receive_answer(&sdp(1, &audio(profile, crypto)));
            assert_eq!(seen.is_ok(), wanted, "{profile} {crypto:?}: {seen:?}");
            if let Err(refusal) = seen {
                assert_eq!((refusal.status, refusal.about_srtp, us.current()), (488, true, None));
                assert!(us.receive_answer(&savp(1, &[&good])).is_ok(), "a good one afterwards still counts");
            }
        }
    }
    let mut us = off();
    us.offer();
    assert!(us.receive_answer(&savp(1, &[&good])).is_err(), "SRTP that was not offered");
}

/// SRT-01: both sides of ours agree, and each sends with what the other receives with.
#[test]
fn two_of_ours_agree() {
    let order = [Suite::AesCm128HmacSha1_80, Suite::AeadAes256Gcm];
    for required in [false, true] {
        let (_, a, _, b) = pair(LocalSrtp::new(required, &order, [1; 32]), LocalSrtp::new(true, &SUITES, [2; 32]));
        assert_eq!(keys(&a).suite, Suite::AesCm128HmacSha1_80, "the offerer's order");
        assert_eq!((&keys(&a).send, &keys(&a).receive), (&keys(&b).receive, &keys(&b).send));
    }
}

/// SRT-04, SDP-09: a key stays over refresh, hold and resume from either side; another one of the peer is a new key of the peer only.
#[test]
fn keys_stay() {
    let (mut a, first, mut b, _) =
        pair(LocalSrtp::new(true, &SUITES, [1; 32]), LocalSrtp::new(false, &SUITES, [2; 32]));
    let first = keys(&first).clone();
    for hold in [true, false] {
        b.set_hold(hold);
        let offer = b.offer();
        let answer = take(&mut a, &offer);
        assert_eq!(keys(&answer.media), &first, "hold {hold}, by the answerer");
        b.receive_answer(&answer.sdp).expect("agreed");
        a.set_hold(hold);
        let offer = a.offer();
        assert_eq!(lines(&offer, "a=crypto:").len(), 4, "the one in force, and all others");
        let answer = take(&mut b, &offer);
        assert_eq!(keys(&a.receive_answer(&answer.sdp).expect("agreed")), &first, "hold {hold}, by the offerer");
    }

    let mut us = prefer();
    let offer = |version, key: &str| savp(version, &[&format!("1 {CM_80} inline:{key}")]);
    let first = take(&mut us, &offer(1, KEY));
    let again = take(&mut us, &offer(1, KEY));
    assert!(again.refresh && again.sdp == first.sdp && again.media == first.media, "a refresh");
    let held =
        take(&mut us, &sdp(2, &format!("{}a=sendonly\r\n", audio("RTP/SAVP", &[&format!("1 {CM_80} inline:{KEY}")]))));
    assert_eq!(keys(&held.media), keys(&first.media), "held");
    let renumbered = take(&mut us, &savp(3, &[&format!("8 {CM_80} inline:{KEY}")]));
    assert_eq!(keys(&renumbered.media), keys(&first.media));
    assert!(lines(&renumbered.sdp, "a=crypto:")[0].starts_with("8 "));
    let rekeyed = take(&mut us, &offer(4, OTHER));
    assert!(!rekeyed.refresh);
    assert_eq!(keys(&rekeyed.media).send, keys(&first.media).send);
    assert_eq!(base64(keys(&rekeyed.media).receive.key_and_salt()), OTHER);
}

/// SRT-04: a key of ours that was given up never comes back: after another suite, after plain RTP, for another machine.
#[test]
fn a_key_that_was_given_up_is_never_used_again() {
    let mut us = prefer();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let mut version = 0;
    let mut next = |us: &mut Negotiation, media: &str| {
        version += 1;
        take(us, &sdp(version, media)).media.srtp.map(|keys| keys.send.key_and_salt().to_vec())
    };
    let cm = audio("RTP/SAVP", &[&format!("1 {CM_80} inline:{KEY}")]);
    let gcm = audio("RTP/SAVP", &[&format!("1 AEAD_AES_128_GCM inline:{KEY_GCM}")]);
    let elsewhere = audio("RTP/SAVP", &[&format!("1 {CM_80} inline:{OTHER}")]).replace("4000", "6000");
    let plain = audio("RTP/AVP", &[]);
    for media in [&cm, &gcm, &cm, &plain, &cm, &elsewhere, &cm, &gcm] {
        let Some(key) = next(&mut us, media) else { continue };
        assert!(!seen.contains(&key), "used again after {} keys", seen.len());
        seen.push(key);
    }
    assert_eq!(seen.len(), 7);
    // The same by answers to our offers: the suite changes there and back.
    let (mut a, first, ..) = pair(LocalSrtp::new(true, &SUITES, [1; 32]), LocalSrtp::new(true, &SUITES, [2; 32]));
    let mut seen = vec![keys(&first).send.clone()];
    for (suite, key) in [(CM_80, KEY), ("AEAD_AES_128_GCM", KEY_GCM), (CM_80, KEY)] {
        let offer = a.offer();
        let tag = lines(&offer, "a=crypto:").iter().position(|line| line.contains(suite)).expect("offered") + 1;
        let media = a.receive_answer(&savp(9, &[&format!("{tag} {suite} inline:{key}")])).expect("agreed");
        assert!(!seen.contains(&keys(&media).send), "{suite}");
        assert_eq!(keys(&media).suite.name(), suite);
        seen.push(keys(&media).send.clone());
    }
}

/// SRT-02, DLG-11: a stream that is plain by agreement is offered plain; a refused re-offer leaves keys as they are.
#[test]
fn later_offers() {
    let mut us = prefer();
    take(&mut us, &sdp(1, &audio("RTP/AVP", &[])));
    assert_eq!(lines(&us.offer(), "a=crypto:"), Vec::<String>::new());
    let mut us = require();
    let offer = savp(1, &[&format!("1 {CM_80} inline:{KEY}")]);
    let first = take(&mut us, &offer);
    assert!(refused(&mut us, &sdp(2, &audio("RTP/AVP", &[]))).about_srtp, "no downgrade where SRTP is a must");
    assert!(refused(&mut us, &savp(2, &["1 X inline:y"])).about_srtp);
    assert!(take(&mut us, &offer).refresh);
    let off = take(&mut us, &sdp(3, "m=audio 0 RTP/SAVP 8\r\n"));
    assert_eq!(lines(&off.sdp, "m="), ["audio 0 RTP/SAVP 8"]);
    let offer = us.offer();
    assert_eq!(lines(&offer, "m="), ["audio 30000 RTP/SAVP 0 8 101"]);
    assert!(lines(&offer, "a=crypto:")[0].ends_with(&base64(keys(&first.media).send.key_and_salt())), "and back again");
}

/// SRT-01: no key is in what prints.
#[test]
fn nothing_prints_a_key() {
    let mut us = require();
    us.offer();
    let answer = take(&mut us, &savp(1, &[&format!("1 {CM_80} inline:{KEY}")]));
    let own = base64(keys(&answer.media).send.key_and_salt());
    let refusal = refused(&mut us, &savp(2, &[&format!("1 {CM_80} inline:{KEY}|1:4")]));
    for printed in [format!("{us:?}"), format!("{answer:?}"), format!("{refusal:?}"), format!("{:?}", us.local())] {
        assert!(
            !printed.contains("inline") && !printed.contains(&KEY[..8]) && !printed.contains(&own[..8]),
            "{printed}"
        );
    }
}

/// SRT-01: hostile lines cost nothing and pass nowhere.
#[test]
fn many_and_long_lines() {
    let junk = format!("1 {CM_80} inline:{}", "A".repeat(4000));
    let many: Vec<&str> = std::iter::repeat_n(junk.as_str(), 900).collect();
    assert!(refused(&mut require(), &savp(1, &many)).why.contains("not as long"));
    let good = format!("1 {CM_80} inline:{KEY}");
    let late: Vec<&str> = std::iter::repeat_n("9 X inline:y", 40).chain([good.as_str()]).collect();
    assert!(refused(&mut require(), &savp(1, &late)).why.contains("not known"), "at most 32 lines are looked at");
}
