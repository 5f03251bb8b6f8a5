//! A second leg over loopback: attended transfer, the bridge, and conversations that move (XFR-05 to XFR-07).

use crate::callee::{Callee, LOUD, SPEECH, TAG};
use crate::caller::{Caller, header};
use crate::world::{World, own_ip, plan, provider};
use std::time::Duration;
use voxtrunk::config::settings::{Network, Settings};
use voxtrunk::realtime_sim::{Sim, SimConfig, SimMode};
use voxtrunk::srtp_key::Suite;
use voxtrunk::trunk::{SrtpPolicy, Trunk};

/// Any key: the agent transfers to the desk. What it is to say to the target, it says.
const SCENARIO: &str = r#"
name = "desk"
[[greeting]]
say = ["greeting"]
[[digits]]
do = [{ call = "transfer", arguments = { target = "desk" } }]
[[instructions]]
contains = ["put through"]
do = [{ say = ["connecting"] }]
[[fallback]]
say = ["fallback"]
"#;

async fn sim(directory: &tempfile::TempDir) -> Sim {
    let file = directory.path().join("scenario.toml");
    std::fs::write(&file, SCENARIO).unwrap();
    let listen = ([127, 0, 0, 1], 0).into();
    Sim::start(SimConfig { listen, mode: SimMode::Scripted { scenario: Some(file) } }).await.unwrap()
}

async fn world(sim: &Sim, callee: &Callee, mode: &str) -> World {
    world_with(sim, callee, mode, |_| {}).await
}

/// The number 1000 transfers to this target; the target's host is one of the peers, and they may replace and refer.
async fn world_with(sim: &Sim, callee: &Callee, mode: &str, change: impl FnOnce(&mut Trunk)) -> World {
    let uri = callee.uri();
    let text = format!(
        "[[tool]]\nkind = \"transfer\"\n[[tool.target]]\nname = \"desk\"\ndescription = \"The desk\"\nuri = \"{uri}\"\n\
         mode = \"{mode}\"\n"
    );
    let host = uri.split('@').nth(1).and_then(|h| h.split(':').next()).unwrap().parse().unwrap();
    World::new(vec![plan("1000", &text)], |s: &mut Settings| {
        s.providers = vec![provider(&sim.url())];
        s.default_provider = "test".into();
        s.sip.peers.push(Network { addr: host, prefix: 32 });
        let mut trunk = Trunk::peers(std::mem::take(&mut s.sip.peers), vec![voxtrunk::sip::Transport::Udp]);
        trunk.name = "pbx".into();
        trunk.replaces = true;
        trunk.refer_to = vec![format!("sip:3*@{}", uri.split('@').nth(1).unwrap())];
        change(&mut trunk);
        s.trunks = vec![trunk];
    })
    .await
}

/// The caller is greeted, presses a key, and the target answers.
async fn connected(caller: &mut Caller, callee: &mut Callee) -> String {
    let invite = ringing(caller, callee).await;
    callee.answer(&invite).await;
    invite
}

/// The caller is greeted, presses a key, and the target rings.
async fn ringing(caller: &mut Caller, callee: &mut Callee) -> String {
    greeted(caller).await;
    pressed(caller, callee).await
}

/// The caller presses a key, and the target rings.
async fn pressed(caller: &mut Caller, callee: &mut Callee) -> String {
    caller.press(5).await;
    tokio::select! {
        invite = callee.ring() => invite,
        heard = caller.listen(Duration::from_secs(30), |_| false) => panic!("no second leg: {heard:?}"),
    }
}

/// The caller hears the greeting.
async fn greeted(caller: &mut Caller) {
    assert_eq!(caller.call("1000").await, 200);
    welcomed(caller).await;
}

async fn welcomed(caller: &mut Caller) {
    let heard = caller.listen(Duration::from_secs(10), |h| h.loudest > 1_000.0).await;
    assert!(heard.loudest > 1_000.0, "{heard:?}");
}

/// XFR-05: the target hears the agent and presses the key; then the two hear each other, here; the target hangs up both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bridged_here() {
    let invite = bridged(false).await;
    assert!(!invite.contains("a=crypto"), "no key goes by UDP: {invite}");
}

/// SRT-01, SRT-02: the same where both sides must have SRTP, each with keys of its own; our offer lists the suites, best first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bridged_here_with_srtp() {
    let invite = bridged(true).await;
    let lines: Vec<_> =
        invite.lines().filter_map(|line| line.strip_prefix("a=crypto:")?.split(" inline:").next()).collect();
    let suites = ["1 AEAD_AES_256_GCM", "2 AES_256_CM_HMAC_SHA1_80", "3 AEAD_AES_128_GCM", "4 AES_CM_128_HMAC_SHA1_80"];
    assert_eq!(lines, suites, "{invite}");
}

/// The whole story; the INVITE of the second leg.
async fn bridged(secure: bool) -> String {
    let directory = tempfile::tempdir().unwrap();
    let (sim, mut callee) = (sim(&directory).await, Callee::at(own_ip()).await);
    let world = world_with(&sim, &callee, "bridge", |trunk| required(trunk, secure)).await;
    let mut caller = Caller::udp(world.sip()).await;
    if secure {
        assert!(call_secured(&mut caller, "").await.len() > 10);
    } else {
        assert_eq!(caller.call("1000").await, 200);
    }
    welcomed(&mut caller).await;
    let invite = pressed(&mut caller, &mut callee).await;
    callee.answer(&invite).await;
    assert_eq!(header(&invite, "Max-Forwards"), Some("69"));
    assert!(callee.talk(Duration::from_secs(10), SPEECH).await >= SPEECH, "the whisper");
    callee.press_one().await;
    world.until("the agent is gone", |c| c.sockets == 0).await;
    // The caller speaks, the target hears it; and the other way round.
    let speaking = async {
        loop {
            caller.speak(&LOUD).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let amplitude = tokio::select! {
        amplitude = callee.talk(Duration::from_secs(5), SPEECH) => amplitude,
        () = speaking => 0,
    };
    assert!(amplitude >= SPEECH, "the target hears the caller: {amplitude}");
    let (heard, _) = tokio::join!(
        caller.listen(Duration::from_secs(5), |h| h.loudest > 5_000.0),
        callee.talk(Duration::from_secs(1), 0xFF)
    );
    assert!(heard.loudest > 5_000.0, "the caller hears the target: {heard:?}");
    callee.bye(&invite).await;
    let bye = caller.wait_for_bye(true).await;
    assert!(header(&bye, "Reason").is_some_and(|r| r.contains("cause=16")), "{bye}");
    world.until("all is over", |c| c.calls == 0 && c.ports_in_use == 0).await;
    let records = world.stop().await;
    assert_eq!(records.len(), 1, "one record: {records:?}");
    assert_eq!((records[0]["cause"].as_str(), records[0]["ended_by"].as_str()), (Some("bridged"), Some("target")));
    assert!(records[0]["bridged_ms"].as_u64().is_some_and(|ms| ms > 500), "{records:?}");
    assert_eq!(records[0]["srtp"].is_string(), secure, "{records:?}");
    invite
}

fn required(trunk: &mut Trunk, secure: bool) {
    if secure {
        (trunk.media.srtp, trunk.media.srtp_without_tls) = (Some(SrtpPolicy::Require), true);
    }
}

/// A call with SRTP and this header line more; the server's key.
async fn call_secured(caller: &mut Caller, line: &str) -> String {
    let (suite, key) = (Suite::AesCm128HmacSha1_80, [0x11; 30]);
    let offer = caller.secure_offer("RTP/SAVP", 1, suite, &key);
    caller.invite_with_both("1000", line, &offer).await;
    let (status, ok) = caller.answer().await;
    assert_eq!(status, 200, "{ok}");
    caller.secure(&ok, suite, &key);
    ok.split(" inline:").nth(1).and_then(|key| key.lines().next()).unwrap().to_owned()
}

/// SRT-01, XFR-07: who takes a conversation over gets keys of its own, which the one before it does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_with_other_keys() {
    let directory = tempfile::tempdir().unwrap();
    let (sim, callee) = (sim(&directory).await, Callee::at(own_ip()).await);
    let world = world_with(&sim, &callee, "attended", |trunk| required(trunk, true)).await;
    let (mut first, mut second) = (Caller::udp(world.sip()).await, Caller::udp(world.sip()).await);
    let before = call_secured(&mut first, "").await;
    welcomed(&mut first).await;
    let after = call_secured(&mut second, &format!("Replaces: {}\r\n", first.replaces())).await;
    assert_ne!(before, after);
    first.wait_for_bye(false).await;
    let heard = second.listen(Duration::from_secs(5), |h| h.packets > 25).await;
    assert!(heard.packets > 25, "the stream goes on, in the new keys: {heard:?}");
    assert_eq!(second.bye().await, 200);
    let records = world.stop().await;
    assert_eq!((records.len(), records[0]["moves"].as_u64()), (1, Some(1)), "{records:?}");
}

/// XFR-05: REFER with the Replaces of the target's dialog; when the telephone system says that it is done, both are let go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn referred_with_replaces() {
    let directory = tempfile::tempdir().unwrap();
    let (sim, mut callee) = (sim(&directory).await, Callee::at(own_ip()).await);
    let world = world(&sim, &callee, "attended").await;
    let mut caller = Caller::udp(world.sip()).await;
    connected(&mut caller, &mut callee).await;
    assert!(callee.talk(Duration::from_secs(10), SPEECH).await >= SPEECH, "the whisper");
    callee.press_one().await;
    let refer = caller.next_with("REFER ").await;
    let to = header(&refer, "Refer-To").unwrap();
    let call_id = callee.call_id.replace('@', "%40");
    let from_tag = callee.from.split(";tag=").nth(1).unwrap();
    assert!(to.contains("?Replaces=") && to.contains(&call_id), "{to}");
    assert!(to.contains(&format!("to-tag%3D{TAG}")) && to.contains(&format!("from-tag%3D{from_tag}")), "{to}");
    caller.reply(&refer, "202 Accepted").await;
    caller.notify("SIP/2.0 200 OK").await;
    caller.wait_for_bye(true).await;
    callee.ended("BYE").await;
    let records = world.stop().await;
    assert_eq!((records.len(), records[0]["cause"].as_str()), (1, Some("transferred")));
}

/// S8: the caller leaves while the target rings: CANCEL with a Reason, nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_leaves_while_it_rings() {
    let directory = tempfile::tempdir().unwrap();
    let (sim, mut callee) = (sim(&directory).await, Callee::at(own_ip()).await);
    let world = world(&sim, &callee, "attended").await;
    let mut caller = Caller::udp(world.sip()).await;
    let invite = ringing(&mut caller, &mut callee).await;
    assert_eq!(caller.bye().await, 200);
    let cancel = callee.ended("CANCEL").await;
    assert!(header(&cancel, "Reason").is_some_and(|r| r.contains("cause=16")), "{cancel}");
    callee.respond(&invite, "487 Request Terminated", "").await;
    world.until("all is over", |c| c.calls == 0 && c.ports_in_use == 0 && c.routes == 0).await;
    assert_eq!(world.stop().await.len(), 1);
}

/// XFR-07: another caller's INVITE with Replaces takes the conversation over; the first one gets BYE, one record is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced() {
    let directory = tempfile::tempdir().unwrap();
    let (sim, callee) = (sim(&directory).await, Callee::at(own_ip()).await);
    let world = world(&sim, &callee, "attended").await;
    let mut first = Caller::udp(world.sip()).await;
    greeted(&mut first).await;
    let mut second = Caller::udp(world.sip()).await;
    let replaces = first.replaces();
    second.invite_with_header("1000", &format!("Replaces: {replaces}")).await;
    assert_eq!(second.answer().await.0, 200);
    first.wait_for_bye(false).await;
    let heard = second.listen(Duration::from_secs(5), |h| h.packets > 25).await;
    assert!(heard.packets > 25, "the stream goes on to the second one: {heard:?}");
    assert_eq!(second.bye().await, 200);
    world.until("all is over", |c| c.calls == 0 && c.ports_in_use == 0).await;
    let records = world.stop().await;
    assert_eq!((records.len(), records[0]["moves"].as_u64()), (1, Some(1)), "{records:?}");
}

/// XFR-06, A15: a REFER to a listed target moves the agent there; one to another target is 603.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn referred_by_the_peer() {
    let directory = tempfile::tempdir().unwrap();
    let (sim, mut callee) = (sim(&directory).await, Callee::at(own_ip()).await);
    let world = world(&sim, &callee, "attended").await;
    let mut caller = Caller::udp(world.sip()).await;
    greeted(&mut caller).await;
    assert_eq!(caller.refer("sip:300@192.0.2.66").await, 603);
    assert_eq!(caller.refer(&callee.uri()).await, 202);
    let invite = callee.ring().await;
    callee.answer(&invite).await;
    caller.wait_for_bye(false).await;
    callee.talk(Duration::from_secs(1), 0xFF).await;
    callee.bye(&invite).await;
    world.until("all is over", |c| c.calls == 0 && c.ports_in_use == 0).await;
    let records = world.stop().await;
    assert_eq!((records.len(), records[0]["moves"].as_u64()), (1, Some(1)), "{records:?}");
    assert!(records[0]["rtp"]["received"].as_u64().is_some_and(|n| n > 20), "the target was heard: {records:?}");
}
