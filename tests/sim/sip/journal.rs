//! Records of dialogs: made when a dialog stands or moves, and taken up by another user agent that hangs up.

use crate::kit::*;
use voxtrunk::sip::Flow;
use voxtrunk::sip::headers::{Name, Reason};
use voxtrunk::sip::message::Message;
use voxtrunk::sip::user_agent::{DialogRecord, SessionId, UaCommand, UaEvent};

const ROUTES: &str = "Record-Route: <sip:192.0.2.30;lr>\r\nRecord-Route: <sip:192.0.2.31;lr>\r\n";

fn restarted() -> Option<Reason> {
    Some(Reason { protocol: "SIP".into(), cause: Some(503), text: Some("Restarted".into()) })
}

fn changed(bench: &mut Bench) -> Vec<SessionId> {
    bench.ua.changed_dialogs().into_iter().collect()
}

fn record(bench: &Bench, session: SessionId) -> DialogRecord {
    let (trunk, record) = bench.ua.dialog(session).expect("a dialog that stands");
    assert_eq!(trunk, TRUNK);
    // As it comes back from a file.
    let text = serde_json::to_string(&record).expect("JSON");
    let back = serde_json::from_str(&text).expect("a record");
    assert_eq!(record, back);
    back
}

/// Another process: takes the record up and hangs up. The BYE and the flow it went by.
fn hang_up(bench: &mut Bench, record: DialogRecord) -> Option<Sent> {
    let session = bench.ua.new_session_id();
    bench.tell(UaCommand::Resume { session, trunk: TRUNK, record: Box::new(record) });
    bench.tell(UaCommand::Hangup { session, reason: restarted() });
    assert!(changed(bench).is_empty(), "what is hung up is not written down again");
    bench.sent.pop()
}

fn same(ours: &Message, before: &Message, names: &[Name]) {
    for name in names {
        assert_eq!(ours.values(name), before.values(name), "{name:?}");
    }
}

/// What the first process itself would have sent.
fn own_bye(bench: &mut Bench, session: SessionId) -> Sent {
    bench.tell(UaCommand::Hangup { session, reason: restarted() });
    bench.sent.pop().expect("a BYE")
}

/// OVL-06: the BYE of the next process is that of the one before but for its CSeq: Request-URI, Route, From, To, Call-ID, next hop.
#[test]
fn the_next_process_sends_the_bye() {
    for caller in [false, true] {
        let mut before = Bench::new();
        let session = if caller { called(&mut before).0 } else { answered_by_way_of(&mut before) };
        let kept = record(&before, session);
        let expected = own_bye(&mut before, session);
        let mut after = Bench::new();
        let bye = hang_up(&mut after, kept).expect("a BYE");
        same(&bye.message, &expected.message, &[Name::From, Name::To, Name::CallId, Name::Route, Name::Reason]);
        assert_eq!(bye.message.request_uri().expect("a request"), expected.message.request_uri().expect("a request"));
        assert_eq!(bye.flow, expected.flow);
        assert_eq!(bye.message.value(&Name::Reason).as_deref(), Some("SIP;cause=503;text=\"Restarted\""));
        let number = |message: &Message| message.cseq().expect("CSeq").expect("ok").number;
        assert_eq!(number(&bye.message), number(&expected.message) + 1_000, "beyond what was sent after the record");
        after.hear(reply(&bye.message, 200, "", &[], ""));
        assert_eq!(after.told(), ["0 ended: local"]);
        after.expect_empty();
    }
}

fn answered_by_way_of(bench: &mut Bench) -> SessionId {
    let mut peer = Peer::new();
    bench.hear(peer.with_branch("INVITE", 1, "z9hG4bKinvite", ROUTES, SDP));
    let session = incoming(bench);
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    peer.learn(&bench.last());
    bench.hear(peer.request("ACK", 1, "", ""));
    session
}

/// OVL-06: a peer that knows nothing of the dialog (481), or is gone (408), is nothing to tell of; all of it ends by itself.
#[test]
fn a_dialog_that_is_gone_ends_quietly() {
    let mut before = Bench::new();
    let (session, mut peer) = answered(&mut before);
    let kept = record(&before, session);
    let mut after = Bench::new();
    let bye = hang_up(&mut after, kept.clone()).expect("a BYE").message;
    // BYEs that cross.
    after.hear(peer.request("BYE", 2, "", ""));
    assert_eq!(after.last().status(), Some(200));
    after.hear(reply(&bye, 481, "", &[], ""));
    assert_eq!(after.told(), ["0 ended: local"]);
    after.expect_empty();
    // Everything else is of no dialog.
    after.hear(peer.request("INFO", 3, "", ""));
    assert_eq!(after.last().status(), Some(481));
    let mut silent = Bench::new();
    assert!(hang_up(&mut silent, kept).is_some());
    silent.expect_empty();
    assert_eq!(silent.told(), ["0 ended: local"]);
}

/// OVL-06: the connection of a stream dialog died with the process: the BYE goes to the Contact by a new one.
#[test]
fn a_stream_is_dialled_anew() {
    let mut before = Bench::over(tcp());
    let mut peer = Peer { contact: "<sip:alice@192.0.2.20:5070;transport=tcp>".into(), ..Peer::over(tcp()) };
    before.hear(peer.invite());
    let session = incoming(&before);
    before.tell(UaCommand::Accept { session, sdp: sdp() });
    peer.learn(&before.last());
    before.hear(peer.request("ACK", 1, "", ""));
    let kept = record(&before, session);
    let mut after = Bench::over(tcp());
    let bye = hang_up(&mut after, kept).expect("a BYE");
    let anew = Flow { remote: addr("192.0.2.20:5070"), conn: 0, ..tcp() };
    assert_eq!(bye.flow, anew);
    after.broken(anew);
    assert_eq!(after.told(), ["0 ended: local"]);
    after.expect_empty();
}

/// OVL-06: a record is due from the 2xx on, after a change of target or flow, and after many requests of ours; not for a plain refresh.
#[test]
fn a_record_is_due_when_something_changed() {
    let mut bench = Bench::new();
    let mut peer = Peer::new();
    bench.hear(peer.invite());
    let session = incoming(&bench);
    bench.tell(UaCommand::Ring { session });
    assert!(changed(&mut bench).is_empty() && bench.ua.dialog(session).is_none(), "no 2xx, no dialog to end");
    bench.tell(UaCommand::Accept { session, sdp: sdp() });
    assert_eq!(changed(&mut bench), [session], "before the ACK: it may come to the next process");
    let first = record(&bench, session);
    peer.learn(&bench.last());
    bench.hear(peer.request("ACK", 1, "", ""));
    bench.hear(peer.request("UPDATE", 2, "", ""));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
    assert!(changed(&mut bench).is_empty(), "the same target by the same flow");
    peer.contact = "<sip:alice@192.0.2.20:5099>".into();
    bench.hear(peer.request("UPDATE", 3, "", ""));
    bench.tell(UaCommand::AnswerReinvite { session, answer: Ok(sdp()) });
    assert_eq!(changed(&mut bench), [session]);
    let moved = record(&bench, session);
    assert_eq!(moved, DialogRecord { remote_target: "sip:alice@192.0.2.20:5099".into(), ..first });
    for n in 0..300 {
        let info = UaCommand::Info { session, content_type: "text/plain".into(), body: vec![b'1'] };
        bench.tell(info);
        let sent = bench.last();
        bench.hear(reply(&sent, 200, "", &[], ""));
        bench.after(if n % 50 == 0 { 40_000 } else { 0 });
    }
    assert_eq!(changed(&mut bench), [session], "CSeq has moved on");
    assert!(record(&bench, session).local_cseq > moved.local_cseq);
    bench.hear(peer.request("BYE", 9, "", ""));
    assert!(bench.ua.dialog(session).is_none());
}

/// OVL-06: a record that somebody wrote by hand makes no header of ours longer than a line, and no panic: 481.
#[test]
fn a_broken_record_makes_no_message() {
    let mut before = Bench::new();
    let (session, _) = answered(&mut before);
    let good = record(&before, session);
    let broken: [fn(&mut DialogRecord); 9] = [
        |r| r.call_id = "a\r\nX: y".into(),
        |r| r.call_id.clear(),
        |r| r.local_tag = "a b".into(),
        |r| r.remote_tag = "a;b".into(),
        |r| r.local = "<sip:a@b>\r\nX: y".into(),
        |r| r.remote = "nothing".into(),
        |r| r.remote_target = "sip:a@b\r\n".into(),
        |r| r.routes = vec!["<sip:p;lr>\n".into()],
        |r| r.local_cseq = u32::MAX,
    ];
    for (n, change) in broken.iter().enumerate() {
        let mut record = good.clone();
        change(&mut record);
        let mut after = Bench::new();
        assert!(hang_up(&mut after, record).is_none(), "{n}");
        assert_eq!(after.told(), ["0 ended: failed 481"], "{n}");
        after.expect_empty();
    }
    let mut full = Bench::with(voxtrunk::sip::user_agent::UaConfig { max_sessions: 0, ..config() }, udp());
    assert!(hang_up(&mut full, good).is_none());
    assert!(matches!(full.events.as_slice(), [(_, UaEvent::Ended { .. })]));
}
