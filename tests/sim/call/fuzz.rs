//! Any input in any order: no panic, one end, nothing after it. The seed is in every failure.

use crate::peer::rtp;
use crate::world::{SESSION, World, each_seed, ms, offer, peer_addr, secs};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use voxtrunk::call::{CallEnd, Input};
use voxtrunk::config::dialplan::{AnswerPolicy, Fallback};
use voxtrunk::observe::cdr::EndedBy;
use voxtrunk::realtime::session::SessionFault;
use voxtrunk::sip::user_agent::{ReferOutcome, SessionEnd, UaEvent};
use voxtrunk::tools::http::ToolResult;

const CALLS: u64 = 60;
const INPUTS: usize = 250;

/// Whatever comes, in whatever order, the call does not panic, and it ends exactly once.
#[test]
fn any_input_in_any_order() {
    each_seed(CALLS, one_call);
}

fn one_call(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::setup()
        .with(|s| {
            s.offer = rng.random_bool(0.8).then(|| random_sdp(&mut rng));
            s.ack_after = rng.random_bool(0.8).then(|| ms(40));
            if rng.random_bool(0.2) {
                s.connect = Err((ms(100), SessionFault::Connect("no route".into())));
            }
        })
        .plan(|p| {
            p.answer = if rng.random() { AnswerPolicy::AtOnce } else { AnswerPolicy::WhenReady };
            p.fallback = match rng.random_range(0..3) {
                0 => Fallback::Reject,
                1 => Fallback::Transfer { target: "sales".into() },
                _ => Fallback::Apology { wav: None },
            };
            p.limits.max_call = secs(rng.random_range(5..600));
            p.limits.caller_silence = rng.random_bool(0.5).then(|| secs(5));
        })
        .ring();
    world.any_target = true;
    for _ in 0..INPUTS {
        random_input(&mut world, &mut rng);
        if rng.random_bool(0.05) {
            world.now += ms(rng.random_range(0..20_000));
        }
        let steps = rng.random_range(0..100);
        world.run(ms(steps));
    }
    if world.ended.is_none() {
        world.caller_hangs_up();
    }
    world.ends_within(ms(0));
}

fn random_sdp(rng: &mut StdRng) -> Bytes {
    let types = ["0 8 101", "8", "0", "101", "18", "0 8 101"][rng.random_range(0..6)];
    let direction = ["sendrecv", "sendonly", "inactive", "recvonly", "rubbish"][rng.random_range(0..5)];
    let mut sdp = offer(types, rng.random_range(0..9), direction).to_vec();
    if rng.random_bool(0.2) {
        let at = rng.random_range(0..sdp.len());
        sdp[at] = rng.random();
    }
    sdp.into()
}

fn random_input(world: &mut World, rng: &mut StdRng) {
    let now = world.now;
    match rng.random_range(0..16) {
        0 => world.input(Input::Timeout),
        1 => {
            let event = random_sip(rng);
            world.input(Input::Sip(event));
        }
        2 | 3 => {
            let payload: Vec<u8> = (0..rng.random_range(0..400)).map(|_| rng.random()).collect();
            let mut datagram = rtp([0, 8, 101, 13, 77][rng.random_range(0..5)], rng.random(), rng.random(), &payload);
            if rng.random_bool(0.3) {
                let at = rng.random_range(0..datagram.len());
                datagram[at] = rng.random();
            }
            world.input(Input::Rtp { from: peer_addr(), datagram: &datagram });
        }
        4 => world.input(Input::RealtimeOpen),
        5 if rng.random_bool(0.05) => {
            world.socket_open = false;
            world.input(Input::RealtimeClosed { code: None, reason: "cut" });
        }
        5 if rng.random_bool(0.05) => world.connect_fails(SessionFault::Timeout),
        6 if world.socket_open => {
            let texts = [
                r#"{"type":"response.done","response":{"id":"resp_1","status":"failed"}}"#,
                r#"{"type":"input_audio_buffer.speech_started","audio_start_ms":1,"item_id":"i"}"#,
                r#"{"type":"error","error":{"type":"server_error","code":null,"message":"x"}}"#,
                "{}",
                "\u{0}",
            ];
            world.input(Input::RealtimeText(texts[rng.random_range(0..texts.len())]));
        }
        7 => {
            let result = ToolResult { ok: rng.random(), output: "{}".into() };
            world.input(Input::Tool { id: rng.random_range(0..20), result });
        }
        8 if rng.random_bool(0.01) => {
            let end = CallEnd { by: EndedBy::Operator, cause: voxtrunk::call::end::Cause::Shutdown };
            world.input(Input::Close(end));
        }
        9 => world.service.speech_started(now, rng.random()),
        10 => world.service.speech_stopped(now, "words"),
        11 => {
            world.service.reply(now, crate::service::Reply::Speech(rng.random_range(0..3_000), "hello there"));
        }
        12 => {
            let call = [
                ("lookup", json!({})),
                ("send_dtmf", json!({"digits": "12"})),
                ("transfer", json!({"target": "sales"})),
                ("transfer", json!("x")),
                ("lookup", json!({"a": [1]})),
                ("nothing", json!(null)),
            ][rng.random_range(0..6)]
            .clone();
            world.service.reply(now, crate::service::Reply::Tool(call.0, call.1));
        }
        13 if rng.random_bool(0.1) => {
            world.service.speak_and_call(now, rng.random_range(0..3_000), "hang_up", &json!({}));
        }
        14 => {
            let key = rng.random_range(0..20);
            for packet in world.peer.key(key) {
                world.input(Input::Rtp { from: peer_addr(), datagram: &packet });
            }
        }
        _ => {}
    }
}

fn random_sip(rng: &mut StdRng) -> UaEvent {
    let session = SESSION;
    match rng.random_range(0..12) {
        0..=2 => UaEvent::Reinvite { session, offer: rng.random_bool(0.8).then(|| random_sdp(rng)) },
        3 => UaEvent::ReinviteAck { session, sdp: rng.random_bool(0.8).then(|| random_sdp(rng)) },
        4 => UaEvent::Established { session, sdp: rng.random_bool(0.5).then(|| random_sdp(rng)) },
        5 => UaEvent::Info {
            session,
            content_type: "application/dtmf-relay".into(),
            body: Bytes::from((0..rng.random_range(0..40)).map(|_| rng.random()).collect::<Vec<u8>>()),
        },
        6 => UaEvent::Info { session, content_type: "application/dtmf".into(), body: Bytes::from_static(b"7") },
        7..=9 => {
            let outcome = match rng.random_range(0..5) {
                0 => ReferOutcome::Accepted,
                1 => ReferOutcome::Progress(180),
                2 => ReferOutcome::Final(rng.random_range(100..700)),
                3 => ReferOutcome::Refused(rng.random_range(300..700)),
                _ => ReferOutcome::Unknown,
            };
            UaEvent::Refer { session, outcome }
        }
        10 if rng.random_bool(0.05) => UaEvent::Ended { session, end: SessionEnd::PeerBye { reason: Vec::new() } },
        _ => UaEvent::ReinviteDone { session, status: 200, sdp: None },
    }
}
