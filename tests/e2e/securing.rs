//! SRTP of a whole call: what each way in and each policy makes of an offer, and audio that only the two sides can read.

use crate::caller::{Caller, header};
use crate::certificates::Authority;
use crate::world::{World, plan};
use std::time::Duration;
use voxtrunk::config::settings::{Network, Settings};
use voxtrunk::srtp_key::Suite;
use voxtrunk::trunk::{SrtpPolicy, Trunk};

const LONG: Duration = Duration::from_secs(20);
const SUITE: Suite = Suite::AesCm128HmacSha1_80;
const KEY: [u8; 30] = [0x5A; 30];

/// One trunk for whoever calls from the server's own address.
fn trunk(settings: &mut Settings, policy: SrtpPolicy, without_tls: bool) {
    let mut trunk = Trunk::new("pbx");
    trunk.identify.sources = vec![Network::from(settings.sip.listen.ip())];
    trunk.transports = vec![voxtrunk::sip::Transport::Udp, voxtrunk::sip::Transport::Tls];
    trunk.media.srtp = Some(policy);
    trunk.media.srtp_without_tls = without_tls;
    settings.trunks = vec![trunk];
    settings.sip.peers.clear();
}

/// A call with SRTP: the greeting can be heard, and the server's line.
async fn secured(caller: &mut Caller, profile: &str, suite: Suite, key: &[u8]) -> String {
    let offer = caller.secure_offer(profile, 7, suite, key);
    caller.invite_with("1000", &offer).await;
    let (status, ok) = caller.answer().await;
    assert_eq!(status, 200, "{ok}");
    assert!(ok.contains(&format!("m=audio {} {profile} 0 101\r\n", caller.remote().port())), "{ok}");
    let line = caller.secure(&ok, suite, key);
    assert_eq!(line, format!("7 {}", suite.name()), "the offer's tag and suite");
    let heard = caller.listen(LONG, |heard| heard.loudest > 500.0).await;
    assert!(heard.loudest > 500.0, "the greeting, {suite:?}: {heard:?}");
    let key = ok.split(" inline:").nth(1).unwrap().lines().next().unwrap();
    key.to_owned()
}

/// An offer that must be refused; the text of the Warning.
async fn refused(caller: &mut Caller, offer: &str) -> String {
    caller.invite_with("1000", offer).await;
    let (status, answer) = caller.answer().await;
    assert_eq!(status, 488, "{answer}");
    header(&answer, "Warning").unwrap().to_owned()
}

/// SRT-01, SRT-02: by TLS SRTP is taken without a word in the settings, in every suite, each call with keys of its own; a plain call goes
/// on as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_tls_it_is_taken_in_every_suite() {
    let authority = Authority::new();
    let world = World::new(vec![plan("1000", "")], |s| {
        authority.listen(s);
        s.media.srtp_suites = Suite::ALL.to_vec();
    })
    .await;
    let mut keys = Vec::new();
    for suite in Suite::ALL {
        let key: Vec<u8> = (0..(suite.key_len() + suite.salt_len()) as u8).collect();
        let mut caller = Caller::tls(world.sip_tls(), &authority).await;
        let profile = if suite == SUITE { "RTP/AVP" } else { "RTP/SAVP" };
        keys.push(secured(&mut caller, profile, suite, &key).await);
        assert_eq!(caller.bye().await, 200);
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), Suite::ALL.len(), "a key for each call");
    let mut plain = Caller::tls(world.sip_tls(), &authority).await;
    plain.invite("1000").await;
    let (status, ok) = plain.answer().await;
    assert_eq!((status, ok.contains("a=crypto"), ok.contains("RTP/AVP 0 101")), (200, false, true), "{ok}");
    assert!(plain.listen(LONG, |heard| heard.loudest > 500.0).await.loudest > 500.0);
    assert_eq!(plain.bye().await, 200);
    let records = world.stop().await;
    let suites: Vec<_> = records.iter().map(|record| record["srtp"].as_str()).collect();
    let wanted: Vec<_> = Suite::ALL.iter().map(|suite| Some(suite.name())).chain([None]).collect();
    assert_eq!(suites, wanted);
}

/// SRT-01: without TLS no key goes out or counts: RTP/SAVP is 488 with the reason, and keys under RTP/AVP are passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tls_no_key_is_given_away() {
    let world = World::simple().await;
    let mut caller = Caller::udp(world.sip()).await;
    let offer = caller.secure_offer("RTP/SAVP", 1, SUITE, &KEY);
    let why = refused(&mut caller, &offer).await;
    assert!(why.starts_with("305 ") && why.contains("call by TLS, or offer RTP/AVP"), "{why}");
    let mut caller = Caller::udp(world.sip()).await;
    let offer = caller.secure_offer("RTP/AVP", 1, SUITE, &KEY);
    caller.invite_with("1000", &offer).await;
    let (status, ok) = caller.answer().await;
    assert_eq!((status, ok.contains("a=crypto")), (200, false), "{ok}");
    assert!(caller.listen(LONG, |heard| heard.loudest > 500.0).await.loudest > 500.0, "plain, as agreed on");
    assert_eq!(caller.bye().await, 200);
    let causes: Vec<_> = world.stop().await.iter().map(|record| record["cause"].as_str().unwrap().to_owned()).collect();
    assert_eq!(causes, ["no_srtp", "caller_bye"]);
}

/// SRT-02: a trunk that requires SRTP takes nothing else, and by UDP nothing at all; one that may do without TLS takes it there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_requires_it() {
    let authority = Authority::new();
    let world = World::new(vec![plan("1000", "")], |s| {
        authority.listen(s);
        trunk(s, SrtpPolicy::Require, false);
    })
    .await;
    let mut caller = Caller::tls(world.sip_tls(), &authority).await;
    let plain = caller.offer("0 101");
    let why = refused(&mut caller, &plain).await;
    assert!(why.contains("only SRTP is taken here: offer RTP/SAVP"), "{why}");
    let mut caller = Caller::tls(world.sip_tls(), &authority).await;
    secured(&mut caller, "RTP/SAVP", SUITE, &KEY).await;
    assert_eq!(caller.bye().await, 200);
    let mut caller = Caller::udp(world.sip()).await;
    let offer = caller.secure_offer("RTP/SAVP", 1, SUITE, &KEY);
    assert!(refused(&mut caller, &offer).await.contains("only by TLS: call by TLS"));
    // An INVITE without an offer would get one of ours, which nobody could use.
    let mut caller = Caller::udp(world.sip()).await;
    assert!(refused(&mut caller, "").await.contains("call by TLS"));
    assert_eq!(world.stop().await.len(), 4);

    let world = World::new(vec![plan("1000", "")], |s| trunk(s, SrtpPolicy::Require, true)).await;
    let mut caller = Caller::udp(world.sip()).await;
    secured(&mut caller, "RTP/SAVP", SUITE, &KEY).await;
    assert_eq!(caller.bye().await, 200);
    assert_eq!(world.stop().await[0]["srtp"], SUITE.name());
}

/// SRT-01, SRT-03: with a wrong key nothing passes either way, and the call goes on until its own end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_silence_and_no_end() {
    let authority = Authority::new();
    let world = World::new(vec![plan("1000", "")], |s| authority.listen(s)).await;
    let mut caller = Caller::tls(world.sip_tls(), &authority).await;
    let offer = caller.secure_offer("RTP/SAVP", 1, SUITE, &KEY);
    caller.invite_with("1000", &offer).await;
    let (status, ok) = caller.answer().await;
    assert_eq!(status, 200, "{ok}");
    // The key that we announced is not the one we send with.
    caller.secure(&ok, SUITE, &[1; 30]);
    // The server's key was right, so we hear it.
    caller.listen_for(Duration::from_secs(2), 51).await;
    assert_eq!(caller.bye().await, 200);
    let record = &world.stop().await[0];
    assert_eq!((&record["cause"], &record["rtp"]["received"]), (&"caller_bye".into(), &0.into()), "{record}");
    assert!(record["rtp"]["srtp_failed"].as_u64() > Some(50), "{record}");
}
