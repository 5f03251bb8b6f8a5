//! What we ask of others: REGISTER and its end, OPTIONS, and what an operator sees of both.

use crate::caller::{Caller, header};
use crate::peer::Peer;
use crate::world::{self, World, own_ip, plan};
use std::net::SocketAddr;
use std::time::Duration;
use voxtrunk::config::settings::Settings;
use voxtrunk::observe::pii::Pii;
use voxtrunk::observe::trunks::TrunkState;
use voxtrunk::sip::digest::Credentials;
use voxtrunk::sip::uri::Uri;
use voxtrunk::trunk::{Registration, Trunk, TrunkKind};

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

/// A trunk that registers as 4930123 with the registrar at this address.
fn registering(registrar: SocketAddr) -> Trunk {
    let mut trunk = Trunk::new("carrier");
    trunk.kind = TrunkKind::Register(Box::new(Registration {
        aor: uri("sip:4930123@carrier.example.com"),
        expires: Duration::from_secs(600),
        keepalive: true,
    }));
    trunk.targets = vec![uri(&format!("sip:{registrar}"))];
    trunk.credentials =
        vec![Credentials { realm: Some("carrier".into()), user: "4930123".into(), password: Pii("hush".into()) }];
    trunk
}

/// Waits until `wanted` is true of the trunk's state.
async fn until(world: &World, name: &str, what: &str, wanted: impl Fn(&TrunkState) -> bool) -> TrunkState {
    let look = async || world.server.trunks().into_iter().find(|state| state.name == name);
    let seen = world::until(what, look, |state| state.as_ref().is_some_and(&wanted)).await;
    seen.expect("it was as wanted")
}

/// AUT-05, AUT-06, OVL-04: a trunk registers with digest and a random contact user; a call to that contact is its trunk's, on the number
/// of the To header; a drain takes the registration back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_registers_and_takes_calls() {
    let ip = own_ip();
    let registrar = Peer::at(ip).await;
    let world = World::new(vec![plan("4930123", "")], |s| s.trunks = vec![registering(registrar.addr())]).await;
    let (first, from) = registrar.request("REGISTER").await;
    assert!(first.starts_with("REGISTER sip:carrier.example.com SIP/2.0\r\n"), "{first}");
    let challenge = "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"\r\n";
    registrar.answer(&first, from, "401 Unauthorized", challenge).await;
    let (second, from) = registrar.request("REGISTER").await;
    assert!(header(&second, "Authorization").is_some_and(|a| a.contains("username=\"4930123\"")), "{second}");
    assert_eq!(header(&first, "Call-ID"), header(&second, "Call-ID"));
    registrar.grant(&second, from, 120).await;
    let state =
        until(&world, "carrier", "registered", |t| t.registration.as_ref().is_some_and(|r| r.state == "registered"))
            .await;
    let registration = state.registration.unwrap();
    assert!(registration.expires_in_secs.is_some_and(|secs| (110..=120).contains(&secs)), "{registration:?}");
    assert_eq!((registration.last_status, state.problem), (Some(200), None));

    let contact = header(&second, "Contact").unwrap();
    let user = contact.trim_start_matches("<sip:").split('@').next().unwrap().to_owned();
    assert!(user.len() >= 16 && user != "voxtrunk", "{contact}");
    // The registrar sends calls to the contact; which number was dialled stands in To.
    let mut caller = Caller::udp_from(ip, world.sip()).await;
    caller.invite_to(&user, "4930123").await;
    let (status, text) = caller.answer().await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(caller.bye().await, 200);

    let ((), gone) = tokio::join!(world.server.refuse_calls(), registrar.register(0));
    assert_eq!(header(&gone, "Expires"), Some("0"), "{gone}");
    world.until("unregistered", |c| c.registrations == 0).await;
    let records = world.stop().await;
    assert_eq!((records[0]["trunk"].as_str(), records[0]["dialled"].as_str()), (Some("carrier"), Some("4930123")));
}

/// AUT-05, S9: a registrar that refuses is told to the operator with what to do, and nothing is taken back at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_registration_says_what_to_do() {
    let registrar = Peer::at(own_ip()).await;
    let world = World::new(vec![plan("1000", "")], |s| s.trunks = vec![registering(registrar.addr())]).await;
    let (request, from) = registrar.request("REGISTER").await;
    registrar.answer(&request, from, "403 Forbidden", "").await;
    let state = until(&world, "carrier", "refused", |t| t.problem.is_some()).await;
    assert!(state.problem.is_some_and(|p| p.contains("403") && p.contains("check")), "what to do");
    let registration = state.registration.unwrap();
    assert_eq!((registration.state.as_str(), registration.last_status), ("failed", Some(403)));
    assert!(registration.retry_in_secs.is_some_and(|secs| secs >= 30), "{registration:?}");
    world.stop().await;
    assert!(registrar.next(Duration::from_millis(100)).await.is_none());
}

fn two_targets(s: &mut Settings, a: SocketAddr, b: SocketAddr) {
    let mut trunk = Trunk::new("pbx");
    trunk.targets = vec![uri(&format!("sip:{a}")), uri(&format!("sip:{b}"))];
    trunk.options.every = Some(Duration::from_secs(1));
    s.trunks = vec![trunk];
}

/// DLG-12, S9: targets are asked with OPTIONS; one that answers 503 is down and is told to the operator with its address; one that
/// refuses the method is there. It comes back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_are_asked_whether_they_are_there() {
    let (a, b) = (Peer::at(own_ip()).await, Peer::at(own_ip()).await);
    let world = World::new(vec![plan("1000", "")], |s| two_targets(s, a.addr(), b.addr())).await;
    let (options, from) = a.request("OPTIONS").await;
    assert_eq!(from, world.sip(), "from the listening socket");
    a.answer(&options, from, "503 Service Unavailable", "").await;
    let (options, from) = b.request("OPTIONS").await;
    b.answer(&options, from, "405 Method Not Allowed", "").await;
    let state = until(&world, "pbx", "judged", |t| t.targets.iter().all(|target| target.up.is_some())).await;
    let seen: Vec<_> = state.targets.iter().map(|t| (t.up, t.last_status)).collect();
    assert_eq!(seen, [(Some(false), Some(503)), (Some(true), Some(405))]);
    assert!(state.problem.is_some_and(|p| p.contains(&a.addr().to_string()) && p.contains("503")));
    for _ in 0..2 {
        let (options, from) = a.request("OPTIONS").await;
        a.answer(&options, from, "200 OK", "").await;
    }
    let state = until(&world, "pbx", "well", |t| t.targets[0].up == Some(true)).await;
    assert_eq!(state.problem, None);
    world.stop().await;
}

/// The trunks as an operator sees them: `voxtrunk trunks` asks the running server, shows targets and what is wrong, and its exit code
/// says whether all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_shows_the_trunks() {
    let (a, b) = (Peer::at(own_ip()).await, Peer::at(own_ip()).await);
    let world = World::new(vec![plan("1000", "")], |s| {
        s.observe.listen = Some((s.sip.listen.ip(), 0).into());
        two_targets(s, a.addr(), b.addr());
    })
    .await;
    for (peer, status) in [(&a, "200 OK"), (&b, "503 Service Unavailable")] {
        let (options, from) = peer.request("OPTIONS").await;
        peer.answer(&options, from, status, "").await;
    }
    until(&world, "pbx", "judged", |t| t.targets.iter().all(|target| target.up.is_some())).await;
    let address = world.server.metrics_addr().unwrap().to_string();
    let run = move |json: bool| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_voxtrunk"));
        command.args(["trunks", "--url", &address]).args(json.then_some("--json"));
        command.output().unwrap()
    };
    let (table, json) = tokio::task::spawn_blocking(move || (run(false), run(true))).await.unwrap();
    assert_eq!(table.status.code(), Some(1), "a target is down");
    let text = String::from_utf8(table.stdout).unwrap();
    let line = |addr: SocketAddr| text.lines().find(|line| line.contains(&addr.to_string())).unwrap().to_owned();
    assert!(line(a.addr()).contains("up") && line(b.addr()).contains("down"), "{text}");
    assert!(text.contains("answers OPTIONS with 503") && text.contains("peers"), "{text}");
    let page: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(page["trunks"][0]["targets"][1]["up"], false);
    world.stop().await;
}
