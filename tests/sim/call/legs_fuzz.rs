//! Any order of the events of two legs: no panic, one end, every leg ended and its port released. The seed is in every failure.

use crate::attended::leg_plan;
use crate::moved::takes_over;
use crate::peer::{Voice, rtp};
use crate::second_leg::leg_addr;
use crate::service::Reply;
use crate::world::{World, each_seed, ms, offer, secs};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::sync::Arc;
use voxtrunk::call::Input;
use voxtrunk::config::dialplan::{Accept, Fallback, LegPlan, ToolKind};
use voxtrunk::sip::uri::Uri;
use voxtrunk::sip::user_agent::{ReferOutcome, SessionEnd, SessionId, UaCommand, UaEvent};
use voxtrunk::trunk::Trunk;

const CALLS: u64 = 40;
const INPUTS: usize = 100;

/// XFR-05 to XFR-07, DLG-06: the oracle is in the world (no command after the end, no leg beside another, no media without a
/// port) and at the end of `one_call`.
#[test]
fn any_order_of_two_legs() {
    each_seed(CALLS, one_call);
}

fn one_call(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut trunk = Trunk::new("pbx");
    trunk.refer_to = vec!["sip:*@pbx.example".into()];
    let mut world = World::setup()
        .with(|s| s.trunk = Some(Arc::new(trunk)))
        .plan(|p| {
            for tool in &mut p.tools {
                let ToolKind::Transfer { targets } = &mut tool.kind else { continue };
                for target in targets {
                    let accept = if rng.random() { Accept::Key('1') } else { Accept::Auto };
                    target.leg = Some(LegPlan { refer: rng.random(), accept, accept_within: secs(2), ..leg_plan() });
                    target.fallback =
                        rng.random_bool(0.3).then(|| if target.name == "desk" { "sales" } else { "desk" }.into());
                }
            }
            p.fallback = Fallback::Transfer { target: "sales".into() };
            p.limits.max_call = secs(rng.random_range(10..600));
        })
        .talk();
    world.any_target = true;
    let mut next_session = 1_000;
    for _ in 0..INPUTS {
        if world.ended.is_some() {
            break;
        }
        random_input(&mut world, &mut rng, &mut next_session);
        let steps = rng.random_range(0..200);
        world.run(ms(steps));
    }
    if world.ended.is_none() {
        world.caller_hangs_up();
    }
    world.ends_within(ms(0));
    for session in invited(&world) {
        let ended = world.leg.ended.contains(&session) || world.own == session;
        let hung_up = world.command(|c| matches!(c, UaCommand::Hangup { session: s, .. } if *s == session)).is_some();
        assert!(ended || hung_up, "{session:?} is left over\n{world}");
    }
}

fn invited(world: &World) -> Vec<SessionId> {
    world.sip.iter().filter_map(|(_, c)| if let UaCommand::Invite(i) = c { Some(i.session) } else { None }).collect()
}

fn random_input(world: &mut World, rng: &mut StdRng, next_session: &mut u64) {
    let now = world.now;
    if world.leg.wanted && rng.random_bool(0.5) {
        if rng.random_bool(0.8) {
            world.leg_ready(rng.random());
        } else {
            world.leg_fails(rng.random_range(300..700));
        }
        return;
    }
    match rng.random_range(0..16) {
        0..=2 => {
            let target = if rng.random() { "sales" } else { "desk" };
            world.service.reply(now, Reply::Tool("transfer", json!({ "target": target })));
        }
        3..=5 => drop_ref(world.leg_answers()),
        6 => {
            let end = match rng.random_range(0..3) {
                0 => SessionEnd::PeerBye { reason: Vec::new() },
                1 => SessionEnd::NoAck,
                _ => SessionEnd::Failed { status: rng.random_range(300..700), reason: Vec::new() },
            };
            // A session ends once; the call's own is ended elsewhere.
            if world.leg.port && world.leg_session() != world.own {
                world.leg_ends(end);
            }
        }
        7 => {
            let direction = ["sendrecv", "sendonly", "inactive"][rng.random_range(0..3)];
            let sdp = offer(["0 8 101", "8", "18"][rng.random_range(0..3)], rng.random_range(0..9), direction);
            world.leg_event(|session| UaEvent::Reinvite { session, offer: Some(sdp) });
        }
        8 => {
            let direction = ["sendrecv", "sendonly", "inactive"][rng.random_range(0..3)];
            let (session, sdp) = (world.own, offer("0 8 101", rng.random_range(0..9), direction));
            world.input(Input::Sip(UaEvent::Reinvite { session, offer: Some(sdp) }));
        }
        9 | 10 => drop_ref(world.leg_presses(rng.random_range(0..3))),
        11 => {
            let outcome = match rng.random_range(0..4) {
                0 => ReferOutcome::Accepted,
                1 => ReferOutcome::Final(if rng.random_bool(0.2) { 200 } else { 486 }),
                2 => ReferOutcome::Refused(603),
                _ => ReferOutcome::Unknown,
            };
            let session = world.own;
            world.input(Input::Sip(UaEvent::Refer { session, outcome }));
        }
        12 => {
            let refer_to = Uri::parse(if rng.random() { "sip:3@pbx.example" } else { "sip:3@evil" }).expect("a URI");
            let session = world.own;
            world.input(Input::Sip(UaEvent::ReferRequested { session, refer_to, referred_by: None }));
        }
        13 if rng.random_bool(0.5) => {
            *next_session += 1;
            let sdp = if rng.random() { offer("0 8 101", 1, "sendrecv") } else { bytes::Bytes::new() };
            world.input(Input::Sip(takes_over(SessionId(*next_session), world.own, &sdp)));
        }
        14 => {
            let payload: Vec<u8> = (0..rng.random_range(0..300)).map(|_| rng.random()).collect();
            let datagram = rtp([0, 8, 101][rng.random_range(0..3)], rng.random(), rng.random(), &payload);
            world.input(Input::LegRtp { from: leg_addr(), datagram: &datagram });
            world.peer.voice = if rng.random() { Voice::Tone } else { Voice::Silent };
        }
        15 if rng.random_bool(0.05) && world.socket_open => drop_ref(world.realtime_breaks()),
        15 if rng.random_bool(0.05) => drop_ref(world.caller_hangs_up()),
        _ => {}
    }
}

fn drop_ref(_: &mut World) {}
