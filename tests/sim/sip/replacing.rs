//! Replaces (RFC 3891) both ways: a call that takes over another one, and the REFER that makes one (RFC 5589 §7).

use crate::kit::*;
use voxtrunk::sip::TrunkId;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::Message;
use voxtrunk::sip::uri::Uri;
use voxtrunk::sip::user_agent::{SessionId, UaCommand, UaConfig, UaCounts, UaEvent, UaTrunk};

fn bench() -> Bench {
    Bench::of_trunk(|trunk| trunk.replaces = true)
}

fn tag(value: &str) -> String {
    value.rsplit("tag=").next().expect("a tag").to_owned()
}

/// Another call of the same peer, with this Replaces. Refusals are remembered by branch, hence `n`.
fn taking_over(n: usize, replaces: &str) -> (Peer, String) {
    let peer =
        Peer { call_id: "second@192.0.2.20".into(), from: "<sip:carol@192.0.2.20>;tag=carol".into(), ..Peer::new() };
    let invite = peer.with_branch("INVITE", 1, &format!("z9hG4bKsecond{n}"), &format!("Replaces: {replaces}\r\n"), SDP);
    (peer, invite)
}

/// How the peer of a dialog names it.
fn named(peer: &Peer) -> String {
    format!("{};to-tag={};from-tag={}", peer.call_id, tag(&peer.to), tag(&peer.from))
}

fn replaced(bench: &Bench) -> Option<SessionId> {
    bench.events.iter().find_map(|(_, event)| match event {
        UaEvent::IncomingCall { replaces, .. } => Some(*replaces),
        _ => None,
    })?
}

/// XFR-07: the new call names a dialog that is there: the owner is told which; on acceptance, and not before, the old one gets its BYE.
#[test]
fn a_call_takes_over_another() {
    let mut bench = bench();
    let (old, mut peer) = answered(&mut bench);
    let (mut carol, invite) = taking_over(0, &named(&peer));
    bench.at(100).hear(&invite);
    assert_eq!(replaced(&bench), Some(old));
    let session = incoming(&bench);
    bench.tell(UaCommand::Ring { session });
    bench.hear(peer.request("INFO", 2, "", ""));
    assert_eq!(bench.log(), ["100 100 INVITE", "100 180 INVITE", "100 200 INFO"], "the old one goes on");
    bench.told();
    bench.at(200).tell(UaCommand::Accept { session, sdp: sdp() });
    let bye = bench.sent.pop().expect("the BYE").message;
    assert_eq!((name(&bye).as_str(), bye.call_id()), ("BYE", Some(peer.call_id.clone())));
    assert_eq!(bye.value(&Name::Reason).as_deref(), Some("Q.850;cause=16;text=\"Replaced by another call\""));
    assert!(bench.last().has_token(&Name::Supported, "replaces"));
    bench.hear(reply(&bye, 200, "alice", &[], ""));
    assert_eq!(bench.told(), ["200 ended: local"]);
    carol.to = format!("{};tag={}", carol.to, local_tag(&mut bench, session));
    bench.hear(carol.request("ACK", 1, "", ""));
    bench.hear(carol.request("BYE", 2, "", ""));
    bench.expect_empty();
}

/// Our tag in the dialog of a session, read from a request of ours: it is told to nobody else.
fn local_tag(bench: &mut Bench, session: SessionId) -> String {
    bench.tell(UaCommand::Info { session, content_type: "a/b".into(), body: Vec::new() });
    let info: Message = bench.last();
    tag(&info.value(&Name::From).expect("From"))
}

/// XFR-07: refused, the new call leaves the old one as it was; one that is cancelled too.
#[test]
fn a_refused_take_over_changes_nothing() {
    for cancel in [true, false] {
        let mut bench = bench();
        let (_, mut peer) = answered(&mut bench);
        let (carol, invite) = taking_over(0, &named(&peer));
        bench.hear(&invite);
        let session = incoming(&bench);
        match cancel {
            true => bench.hear(carol.with_branch("CANCEL", 1, "z9hG4bKsecond0", "", "")),
            false => bench.tell(UaCommand::Reject { session, status: 486, headers: Vec::new() }),
        }
        assert!(bench.log().iter().all(|sent| !sent.ends_with("BYE")));
        bench.hear(peer.request("INFO", 2, "", ""));
        assert_eq!(bench.last().status(), Some(200));
    }
}

/// A15, XFR-07: default deny: 403; a dialog that is not there, another tag, a lost one, another trunk's: 481; unreadable: 400.
/// Nothing of it tells or touches anything.
#[test]
fn call_theft() {
    let mut off = Bench::new();
    let (_, peer) = answered(&mut off);
    off.hear(taking_over(0, &named(&peer)).1);
    assert_eq!((off.last().status(), off.told()), (Some(403), vec!["0 refused 403".to_owned()]));

    let of = |networks: &str| UaTrunk {
        networks: vec![voxtrunk::cidr::Network::parse(networks).expect("a network")],
        replaces: true,
        ..trunk()
    };
    let trunks = vec![of("192.0.2.0/26"), of("192.0.2.64/26")];
    let mut bench = Bench::with(UaConfig { trunks, ..config() }, udp());
    let (session, mut peer) = answered(&mut bench);
    let right = named(&peer);
    let (ours, theirs) = (tag(&peer.to), tag(&peer.from));
    let wrong = [
        (format!("other@h;to-tag={ours};from-tag={theirs}"), 481),
        (format!("{};to-tag={ours};from-tag=x", peer.call_id), 481),
        (format!("{};to-tag=x;from-tag={theirs}", peer.call_id), 481),
        (format!("{};to-tag={theirs};from-tag={ours}", peer.call_id), 481),
        (format!("{right};early-only"), 486),
        (format!("{};to-tag={ours}", peer.call_id), 400),
        (String::from("x;y=z"), 400),
    ];
    for (n, (replaces, status)) in wrong.into_iter().enumerate() {
        bench.hear(taking_over(n, &replaces).1);
        assert_eq!(bench.last().status(), Some(status), "{replaces}");
    }
    let other = voxtrunk::sip::Flow { remote: addr("192.0.2.66:5060"), ..udp() };
    bench.hear_of(Some(TrunkId(1)), other, taking_over(20, &right).1);
    assert_eq!(bench.last().status(), Some(481), "the dialog of another trunk");
    bench.told();
    bench.hear(peer.request("INFO", 2, "", ""));
    assert_eq!(bench.last().status(), Some(200));
    bench.tell(UaCommand::Hangup { session, reason: None });
    bench.hear(taking_over(21, &right).1);
    assert_eq!(bench.last().status(), Some(603), "the dialog is ending (RFC 3891 §3)");
    bench.expect_empty();
    bench.hear(taking_over(22, &right).1);
    assert_eq!(bench.last().status(), Some(481));
    assert_eq!(bench.ua.counts(), UaCounts::default());
}

/// XFR-07: an early dialog may be taken over when we placed the call: it is cancelled; one that rings here may not.
#[test]
fn early_dialogs() {
    let mut ringing = bench();
    let mut peer = Peer::new();
    ringing.hear(peer.invite());
    let session = incoming(&ringing);
    ringing.tell(UaCommand::Ring { session });
    peer.learn(&ringing.last());
    ringing.hear(taking_over(0, &named(&peer)).1);
    assert_eq!(ringing.last().status(), Some(481));

    let mut bench = bench();
    let ours = bench.place(Some(SDP));
    let invite = bench.last();
    bench.hear(reply(&invite, 180, "bob", &[CONTACT], ""));
    let from = tag(&invite.value(&Name::From).expect("From"));
    let replaces = format!("{};to-tag={from};from-tag=bob;early-only", invite.call_id().expect("Call-ID"));
    bench.hear(taking_over(0, &replaces).1);
    assert_eq!(replaced(&bench), Some(ours));
    let session = incoming(&bench);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    assert_eq!(bench.log(), ["0 100 INVITE", "0 200 INVITE", "0 CANCEL"]);
}

/// XFR-05: REFER with Replaces of the second call: as its peer knows it, escaped exactly, with Referred-By.
#[test]
fn attended_transfer() {
    let mut bench = Bench::new();
    let (caller, _) = answered(&mut bench);
    let (second, bob) = called(&mut bench);
    let refer_to = Uri::parse("sip:bob@192.0.2.20:5060").expect("a URI");
    let by = "<sip:agent@192.0.2.10>".to_owned();
    bench.tell(UaCommand::Refer {
        session: caller,
        refer_to: refer_to.clone(),
        referred_by: Some(by.clone()),
        replaces: Some(second),
    });
    let refer = bench.last();
    let (call_id, ours) = (&bob.call_id, tag(&bob.to));
    assert_eq!(
        refer.value(&Name::ReferTo),
        Some(format!("<sip:bob@192.0.2.20:5060?Replaces={call_id}%3Bto-tag%3Dbob%3Bfrom-tag%3D{ours}>"))
    );
    assert_eq!(refer.value(&Name::ReferredBy), Some(by));
    bench.hear(reply(&refer, 202, "alice", &[], ""));
    assert_eq!(bench.told(), ["0 refer accepted"]);
    // A session without a dialog, one that is gone, one that never was.
    let ringing = bench.place(Some(SDP));
    let (gone, never) = (second, SessionId(999));
    bench.tell(UaCommand::Hangup { session: gone, reason: None });
    bench.log();
    bench.told();
    for other in [ringing, gone, never] {
        bench.tell(UaCommand::Refer {
            session: caller,
            refer_to: refer_to.clone(),
            referred_by: None,
            replaces: Some(other),
        });
        assert_eq!((bench.log().len(), bench.told()), (0, vec!["0 refer refused 481".to_owned()]));
    }
}
