//! Several trunks on several addresses: whose a request is, what each trunk may do, and what others learn from us.

use crate::caller::{Caller, header};
use crate::world::{World, own_ip, plan};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use voxtrunk::config::settings::{Network, UnknownSources};
use voxtrunk::observe::pii::Pii;
use voxtrunk::sip::digest::Credentials;
use voxtrunk::sip::offer_answer::Codec;
use voxtrunk::trunk::{DialledFrom, DigestUser, IdentityHeader, Trunk};

const LONG: Duration = Duration::from_secs(20);

/// A static trunk of one host.
fn trunk(name: &str, source: IpAddr) -> Trunk {
    let mut trunk = Trunk::new(name);
    trunk.identify.sources = vec![Network::from(source)];
    trunk
}

/// The answer to an INVITE to `number`.
async fn invite(ip: IpAddr, world: &World, number: &str) -> (u16, String, Caller) {
    let mut caller = Caller::udp_from(ip, world.sip()).await;
    caller.invite(number).await;
    let (status, text) = caller.answer().await;
    (status, text, caller)
}

/// AUT-01, AUT-09, AUT-11: a request is of exactly one trunk, by its source; the trunk's rules read the number, its limits hold, and its name is in the
/// record (OVL-08, one an INVITE). OVL-01, DLG-14: 486 for a caller's second call, 480 where the trunk says so, 603 for a blocked caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_trunk_has_its_own_rules() {
    let (carrier, pbx, strict) = (own_ip(), own_ip(), own_ip());
    let world = World::new(vec![plan("+49301000", ""), plan("1000", "")], |s| {
        let mut german = trunk("carrier", carrier);
        german.numbers.country = Some("49".into());
        german.numbers.national_prefix = "0".into();
        german.dialled = vec![DialledFrom::RequestUri];
        german.limits.max_calls = Some(1);
        german.limits.refusal = 480;
        let mut one_each = trunk("pbx", pbx);
        one_each.limits.calls_per_caller = Some(1);
        let mut blocking = trunk("strict", strict);
        blocking.blocked = vec!["200".into()];
        s.trunks = vec![german, one_each, blocking];
    })
    .await;
    let (status, _, mut first) = invite(carrier, &world, "0301000").await;
    assert_eq!(status, 200);
    let (status, text, _) = invite(carrier, &world, "0301000").await;
    assert_eq!(status, 480);
    assert!(header(&text, "Retry-After").is_some(), "{text}");
    // The other trunk has room, and reads numbers as they are written.
    assert_eq!(invite(pbx, &world, "0301000").await.0, 404);
    let (status, _, mut second) = invite(pbx, &world, "1000").await;
    assert_eq!(status, 200);
    assert_eq!(invite(pbx, &world, "1000").await.0, 486);
    assert_eq!(invite(strict, &world, "1000").await.0, 603);
    assert_eq!((first.bye().await, second.bye().await), (200, 200));
    world.until("all over", |c| c.calls == 0).await;
    let records = world.stop().await;
    let seen: BTreeSet<_> = records
        .iter()
        .map(|r| (r["trunk"].as_str().unwrap(), r["cause"].as_str().unwrap(), r["dialled"].as_str().unwrap()))
        .collect();
    let expected = [
        ("carrier", "caller_bye", "+49301000"),
        ("carrier", "trunk_max_calls", "+49301000"),
        ("pbx", "no_number", "0301000"),
        ("pbx", "caller_bye", "1000"),
        ("pbx", "calls_per_caller", "1000"),
        ("strict", "blocked_caller", "1000"),
    ];
    assert_eq!(seen, BTreeSet::from(expected));
    assert_eq!(records.len(), 6, "one record an INVITE");
}

/// AUT-08, AUT-12: the record names the caller, and the attestation, that a trusted trunk vouches for, no name of who withholds it, and
/// only From for a trunk that is not trusted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_caller_is_whom_the_trunk_vouches_for() {
    let (carrier, stranger) = (own_ip(), own_ip());
    let world = World::new(vec![plan("1000", "")], |s| {
        let mut trusted = trunk("carrier", carrier);
        trusted.trusted = vec![IdentityHeader::PAssertedIdentity];
        s.trunks = vec![trusted, trunk("stranger", stranger)];
    })
    .await;
    let vouched =
        "P-Asserted-Identity: <sip:+15550100300;verstat=TN-Validation-Passed-A@carrier.example.com;user=phone>\r\n";
    let withheld = format!("{vouched}Privacy: id\r\n");
    for (ip, lines) in [(carrier, vouched), (carrier, withheld.as_str()), (stranger, vouched)] {
        let mut caller = Caller::udp_from(ip, world.sip()).await;
        caller.invite_adding("1000", lines).await;
        assert_eq!(caller.answer().await.0, 200);
        assert_eq!(caller.bye().await, 200);
    }
    world.until("all over", |c| c.calls == 0).await;
    let records = world.stop().await;
    let of = |trunk: &str| records.iter().filter(|r| r["trunk"] == trunk).collect::<Vec<_>>();
    let callers: BTreeSet<_> = of("carrier").iter().map(|r| r["caller"].as_str().unwrap().to_owned()).collect();
    assert_eq!(callers, BTreeSet::from(["+15550100300".to_owned(), String::new()]));
    let attested = of("carrier").iter().filter(|r| r["attestation"].is_string()).count();
    assert_eq!(attested, 2, "{records:?}");
    let strange = of("stranger");
    assert_ne!(strange[0]["caller"], "+15550100300", "not trusted, not believed");
    assert_eq!(strange[0]["attestation"], serde_json::Value::Null);
}

/// TRN-10: what we call ourselves in Contact and SDP, and the codecs, are the trunk's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_knows_us_by_its_own_address() {
    let (inside, outside, public) = (own_ip(), own_ip(), own_ip());
    let world = World::new(vec![plan("1000", "")], |s| {
        let mut carrier = trunk("carrier", outside);
        carrier.advertise = Some(public);
        carrier.media.codecs = Some(vec![Codec::Pcma]);
        s.trunks = vec![trunk("pbx", inside), carrier];
    })
    .await;
    let listen = world.sip().ip();
    for (from, known_as, format) in [(inside, listen, 0), (outside, public, 8)] {
        let mut caller = Caller::udp_from(from, world.sip()).await;
        let offer = caller.offer("0 8 101");
        caller.invite_with("1000", &offer).await;
        let (status, text) = caller.answer().await;
        assert_eq!(status, 200, "{text}");
        let contact = header(&text, "Contact").unwrap();
        assert!(contact.contains(&format!("@{known_as}:{}", world.sip().port())), "{contact}");
        assert!(text.contains(&format!("\r\nc=IN IP4 {known_as}\r\n")), "{text}");
        assert!(text.contains(&format!("RTP/AVP {format} ")), "{text}");
        assert_eq!(caller.bye().await, 200);
    }
    world.stop().await;
}

/// A1, AUT-01, DLG-01: of an unknown source nothing is answered. With `unknown_sources = "forbidden"` every request gets the same 403,
/// byte for byte whether the number exists, and neither sooner nor later; a known trunk is served meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_learns_nothing() {
    let scanner = own_ip();
    let silent = World::simple().await;
    let mut caller = Caller::udp_from(scanner, silent.sip()).await;
    for method in ["OPTIONS", "REGISTER", "INVITE", "BYE"] {
        let text = caller.request(method, 1, method, "");
        caller.send(&text).await;
    }
    // Answers would be in the socket before the one to somebody known is.
    let mut known = Caller::udp(silent.sip()).await;
    assert!(known.options().await.starts_with("SIP/2.0 200 "));
    assert_eq!(caller.next(Duration::from_millis(200)).await, None);
    assert!(silent.stop().await.is_empty());

    let world = World::new(vec![plan("1000", "")], |s| s.sip.unknown_sources = UnknownSources::Forbidden).await;
    let mut answers = BTreeSet::new();
    let mut times = [Vec::new(), Vec::new()];
    // Fewer than the gate lets through at once.
    for n in 0..4 {
        for (kind, number) in ["1000", "9999"].into_iter().enumerate() {
            let mut caller = Caller::udp_from(own_ip(), world.sip()).await;
            let sent = Instant::now();
            caller.invite(number).await;
            let (status, text) = caller.answer().await;
            times[kind].push(sent.elapsed());
            assert_eq!(status, 403, "{n}: {text}");
            answers.insert(masked(&text, number));
        }
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    for header in ["Server", "User-Agent", "Contact", "Allow", "Warning", "Reason"] {
        assert!(!answers.iter().any(|a| a.contains(&format!("\n{header}:"))), "{answers:#?}");
    }
    times.iter_mut().for_each(|t| t.sort());
    let [existing, missing] = times.map(|t| t[1]);
    assert!(existing.abs_diff(missing) < Duration::from_millis(20), "{existing:?} and {missing:?}");
    let mut known = Caller::udp(world.sip()).await;
    assert_eq!(known.call("1000").await, 200);
    assert_eq!(known.bye().await, 200);
    let records = world.stop().await;
    assert_eq!(records.iter().filter(|r| r["cause"] == "unknown_source" && r["trunk"].is_null()).count(), 8);
}

/// The answer without what the scanner itself chose, and without the To-tag, whose digits are a keyed hash.
fn masked(answer: &str, number: &str) -> String {
    let keep = |line: &&str| !["Via:", "From:", "Call-ID:"].iter().any(|own| line.starts_with(own));
    let lines = answer.replace(number, "NUMBER");
    let lines: Vec<_> = lines
        .lines()
        .filter(keep)
        .map(|line| match line.split_once(";tag=") {
            Some((head, tag)) => format!("{head};tag={}", "x".repeat(tag.len())),
            None => line.to_owned(),
        })
        .collect();
    lines.join("\n")
}

/// AUT-02, AUT-01: a peer from anywhere that proves to be the trunk's user is served, asked with SHA-256 first; a wrong password is asked
/// again with the same words, and is a record; the question itself is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_may_prove_itself() {
    let roaming = own_ip();
    let world = World::new(vec![plan("1000", "")], |s| {
        let mut office = Trunk::new("office");
        let credentials =
            Credentials { realm: Some("voxtrunk.test".into()), user: "office".into(), password: Pii("hush".into()) };
        office.identify.user = Some(DigestUser { realm: "voxtrunk.test".into(), credentials });
        s.trunks = vec![office];
    })
    .await;
    let mut caller = Caller::udp_from(roaming, world.sip()).await;
    caller.invite("1000").await;
    let (status, text) = caller.answer().await;
    assert_eq!(status, 401, "{text}");
    let asked: Vec<_> = text.lines().filter(|line| line.starts_with("WWW-Authenticate:")).collect();
    assert!(asked[0].contains("algorithm=SHA-256") && asked[1].contains("algorithm=MD5"), "{asked:?}");
    for (password, expected) in [("wrong", 401), ("hush", 200)] {
        caller.invite_with_password("1000", "office", password, asked[0]).await;
        let (status, text) = caller.answer().await;
        assert_eq!(status, expected, "{text}");
    }
    // In the call the source and the tags are proof enough.
    assert!(caller.listen(LONG, |h| h.packets > 5).await.packets > 5);
    assert_eq!(caller.bye().await, 200);
    let records = world.stop().await;
    let causes: Vec<_> = records.iter().map(|r| (r["trunk"].as_str(), r["cause"].as_str().unwrap())).collect();
    assert_eq!(causes, [(Some("office"), "bad_credentials"), (Some("office"), "caller_bye")]);
}
