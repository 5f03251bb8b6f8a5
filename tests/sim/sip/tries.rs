//! Random answers to whatever we send: INVITEs with several flows, credentials and redirections, and requests outside of dialogs.
//! Each call and each request ends once, nothing stays, and no credentials leave for a host that nobody named.

use crate::kit::*;
use std::time::Duration;
use voxtrunk::observe::pii::Pii;
use voxtrunk::sip::Flow;
use voxtrunk::sip::digest::Credentials;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::{Message, Method};
use voxtrunk::sip::session_timer::{TimerMode, TimerPolicy};
use voxtrunk::sip::uri::Uri;
use voxtrunk::sip::user_agent::{
    NewInvite, NewRequest, Redirects, RequestId, SessionId, UaCommand, UaConfig, UaCounts, UaEvent,
};

/// A small generator, so that a seed says everything.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len() as u64) as usize]
    }
}

fn our_config() -> UaConfig {
    let mut config = config();
    let trunk = &mut config.trunks[0];
    trunk.credentials = vec![Credentials { realm: None, user: "agent".into(), password: Pii("x".into()) }];
    trunk.redirects = Redirects::Hosts(vec!["198.51.100.6".into(), "pbx.example.com".into()]);
    trunk.timer = TimerPolicy { mode: TimerMode::Offer, ..TimerPolicy::default() };
    UaConfig { max_transactions: 1000, ..config }
}

const STATUS: [u16; 24] = [
    100, 180, 183, 199, 200, 200, 200, 300, 302, 401, 407, 407, 413, 415, 420, 422, 480, 481, 486, 491, 500, 503, 503,
    603,
];

fn answer(dice: &mut Dice, request: &Message) -> Vec<u8> {
    let status = *dice.pick(&STATUS);
    let stale = if dice.roll(3) == 0 { ", stale=true" } else { "" };
    let challenge = format!(r#"Digest realm="r{}", nonce="n{}", qop="auth"{stale}"#, dice.roll(2), dice.roll(1000));
    let contact = format!("<sip:u{}@{}>", dice.roll(5), dice.pick(&["192.0.2.20", "198.51.100.6", "pbx.example.com"]));
    let after = dice.roll(12).to_string();
    let min_se = (dice.roll(100) * 60).to_string();
    let all = [
        ("Contact", contact.as_str()),
        ("Proxy-Authenticate", &challenge),
        ("WWW-Authenticate", &challenge),
        ("Retry-After", &after),
        ("Unsupported", "timer"),
        ("Min-SE", &min_se),
    ];
    let headers: Vec<_> = all.into_iter().filter(|(name, _)| *name == "Contact" || dice.roll(3) > 0).collect();
    let tag = ["a", "b"][dice.roll(2) as usize];
    let body = if dice.roll(2) == 0 { SDP } else { "" };
    reply(request, status, if status == 100 { "" } else { tag }, &headers, body)
}

/// TXN-12, TXN-13, AUT-04: whatever the answers.
#[test]
fn whatever_they_answer() {
    let mut ends = [0usize; 2];
    for seed in 0..200u64 {
        let mut dice = Dice(seed);
        let mut bench = Bench::with(our_config(), udp());
        let flows: Vec<Flow> = (20..22).map(|n| Flow { remote: addr(&format!("192.0.2.{n}:5060")), ..udp() }).collect();
        let mut waiting: Vec<(Flow, Message)> = Vec::new();
        let (mut sessions, mut requests): (Vec<SessionId>, u64) = (Vec::new(), 0);
        for _ in 0..120 {
            match dice.roll(10) {
                0 if sessions.len() < 5 => {
                    let session = bench.ua.new_session_id();
                    sessions.push(session);
                    let ring_limit = Duration::from_secs(dice.roll(60));
                    let offer = (dice.roll(4) > 0).then(sdp);
                    let new = NewInvite { flows: flows.clone(), ring_limit, ..new_call(session, udp(), offer) };
                    bench.tell(UaCommand::Invite(Box::new(new)));
                }
                1 if requests < 5 => {
                    requests += 1;
                    bench.tell(UaCommand::Request(Box::new(NewRequest {
                        id: RequestId(requests),
                        trunk: TRUNK,
                        flows: flows.clone(),
                        method: Method::Options,
                        request_uri: Uri::parse("sip:192.0.2.20").expect("a URI"),
                        from: "<sip:agent@192.0.2.10>".into(),
                        to: "<sip:192.0.2.20>".into(),
                        call_id: None,
                        cseq: None,
                        headers: Vec::new(),
                        body: None,
                    })));
                }
                2 if !sessions.is_empty() && dice.roll(3) == 0 => {
                    let session = *dice.pick(&sessions);
                    bench.tell(UaCommand::Hangup { session, reason: None });
                }
                3 if !sessions.is_empty() => {
                    let session = *dice.pick(&sessions);
                    bench.tell(UaCommand::Reinvite { session, sdp: Some(sdp()) });
                }
                4 if !sessions.is_empty() => {
                    let session = *dice.pick(&sessions);
                    bench.tell(UaCommand::AnswerInAck { session, sdp: sdp() });
                }
                5 => {
                    let flow = *dice.pick(&flows);
                    bench.broken(flow);
                }
                6 => {
                    let ms = dice.roll(40_000);
                    bench.after(ms);
                }
                _ if !waiting.is_empty() => {
                    let (flow, request) = dice.pick(&waiting).clone();
                    let answer = answer(&mut dice, &request);
                    bench.hear_on(flow, answer);
                }
                _ => {}
            }
            for sent in bench.sent.drain(..) {
                let secret = [Name::Authorization, Name::ProxyAuthorization]
                    .iter()
                    .any(|name| sent.message.value(name).is_some());
                let named = ["192.0.2.20", "192.0.2.21"].contains(&sent.flow.remote.ip().to_string().as_str());
                assert!(named || !secret, "seed {seed}: credentials for {}", sent.flow.remote);
                if sent.message.is_request() && sent.message.method() != Method::Ack {
                    waiting.push((sent.flow, sent.message));
                }
            }
        }
        for session in &sessions {
            bench.tell(UaCommand::Hangup { session: *session, reason: None });
        }
        bench.after(400_000);
        assert_eq!(bench.ua.counts(), UaCounts::default(), "seed {seed}: something stays");
        for session in &sessions {
            let ended = |event: &UaEvent| matches!(event, UaEvent::Ended { session: ended, .. } if ended == session);
            let count = bench.events.iter().filter(|(_, event)| ended(event)).count();
            assert_eq!(count, 1, "seed {seed}: {session:?} ended {count} times");
            ends[0] += 1;
        }
        for id in 1..=requests {
            let told = |event: &UaEvent| matches!(event, UaEvent::Response { id: told, .. } if told.0 == id);
            let count = bench.events.iter().filter(|(_, event)| told(event)).count();
            assert_eq!(count, 1, "seed {seed}: request {id} told {count} times");
            ends[1] += 1;
        }
    }
    assert!(ends[0] > 500 && ends[1] > 500, "{ends:?}");
}
