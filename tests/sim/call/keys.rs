//! Keys, both ways and every way: events, INFO, tones; and entries the model asks for (DTM-04, DTM-06, DTM-07).

use crate::service::Reply;
use crate::world::{SESSION, World, ms, offer, secs};
use serde_json::{Value, json};
use std::sync::Arc;
use voxtrunk::audio::dtmf_detect::DtmfDetector;
use voxtrunk::audio::pcm::Rate;
use voxtrunk::audio::tone;
use voxtrunk::call::{CallEvent, Input};
use voxtrunk::config::dialplan::{Tool, ToolKind};
use voxtrunk::sip::user_agent::{UaCommand, UaEvent};
use voxtrunk::tools::KeyEntry;
use voxtrunk::trunk::{DtmfWay, Trunk};

fn outputs(world: &World) -> Vec<Value> {
    let items = world.service.sent("conversation.item.create").into_iter().map(|e| &e["item"]);
    let texts = items.filter(|i| i["type"] == "function_call_output").filter_map(|i| i["output"].as_str());
    texts.map(|text| serde_json::from_str(text).expect("a result is JSON")).collect()
}

fn talk(events: bool, way: DtmfWay) -> World {
    let mut trunk = Trunk::new("t");
    trunk.media.dtmf = way;
    let tool = Tool {
        name: "collect_digits".into(),
        description: "Collects.".into(),
        requires_verified_caller: false,
        kind: ToolKind::CollectDigits(KeyEntry { most: 8, finish: Some('#'), first_key: secs(5), next_key: secs(2) }),
    };
    World::setup()
        .with(|setup| {
            setup.trunk = Some(Arc::new(trunk));
            if !events {
                let sdp = String::from_utf8(offer("0", 1, "sendrecv").to_vec()).expect("text");
                let without = sdp
                    .lines()
                    .filter(|line| !line.contains("101"))
                    .fold(String::new(), |all, line| all + line + "\r\n");
                setup.offer = Some(without.into());
            }
        })
        .plan(|plan| plan.tools.push(tool))
        .talk()
}

/// Presses a key as a tone.
fn sounds(world: &mut World, keys: &str) {
    for key in keys.chars() {
        world.peer.says.extend(tone::dtmf(key, 80).expect("a key"));
        world.peer.says.extend(tone::pause(80));
    }
    world.run(ms(160 * keys.len() as u64 + 60));
}

/// DTM-06: without telephone-events tones are keys: they reach the model as an entry and not as a voice, and cut in.
#[test]
fn tones_are_keys_on_a_line_without_events() {
    let mut world = talk(false, DtmfWay::Auto);
    world.service.keep_audio = true;
    world.model_speaks(5_000).run(ms(700));
    sounds(&mut world, "42#");
    world.run(secs(1));
    let items = world.service.sent("conversation.item.create");
    assert!(items.last().expect("an entry").to_string().contains("42#"), "{items:?}");
    assert!(world.noted(|e| matches!(e, CallEvent::BargeIn { .. })));
    let loud = world.service.audio.iter().filter(|s| s.unsigned_abs() > 3_000).count() / 24;
    assert!(loud < 3 * 45, "{loud} ms of tone went to the model");
    world.caller_hangs_up();
    assert_eq!(world.ends_within(ms(0)).cdr.dtmf_digits, 3);
}

/// DTM-06: where events were negotiated a tone is sound; `inband` listens all the same, and both ways are one key.
#[test]
fn tones_are_keys_where_the_trunk_says_so() {
    for (way, digits) in [(DtmfWay::Auto, 0), (DtmfWay::Rfc4733, 0), (DtmfWay::Info, 0), (DtmfWay::Inband, 2)] {
        let mut world = talk(true, way);
        sounds(&mut world, "7");
        world.run(secs(1));
        sounds(&mut world, "8");
        if way == DtmfWay::Inband {
            world.presses(8);
            let info = UaEvent::Info {
                session: SESSION,
                content_type: "application/dtmf-relay".into(),
                body: bytes::Bytes::from_static(b"Signal=8\r\n"),
            };
            world.input(Input::Sip(info));
        }
        world.run(secs(2)).caller_hangs_up();
        assert_eq!(world.ends_within(ms(0)).cdr.dtmf_digits, digits, "{way:?}");
    }
}

/// DTM-01: the `send_dtmf` tool goes the trunk's way; digits that cannot go are an error the model is told.
#[test]
fn keys_are_sent_the_trunks_way() {
    for (events, way) in [
        (true, DtmfWay::Auto),
        (false, DtmfWay::Auto),
        (true, DtmfWay::Info),
        (true, DtmfWay::Inband),
        (false, DtmfWay::Rfc4733),
    ] {
        let mut world = talk(events, way);
        let from = world.peer.got.len();
        world.service.reply(world.now, Reply::Tool("send_dtmf", json!({"digits": "12#"})));
        world.run(secs(3));
        let mut heard = String::new();
        let mut detector = DtmfDetector::new();
        for got in &world.peer.got[from..] {
            detector.process(Rate::Hz8000, &got.samples, &mut |key| heard.push(key));
        }
        let events_sent = world.peer.got[from..].iter().filter(|got| got.payload_type == 101 && got.marker).count();
        let infos: Vec<String> = world
            .sip
            .iter()
            .filter_map(|(_, command)| match command {
                UaCommand::Info { body, .. } => Some(String::from_utf8_lossy(body).into_owned()),
                _ => None,
            })
            .collect();
        let output = outputs(&world).pop().expect("a result");
        let seen = (events_sent, infos.len(), heard.as_str(), output["status"] == "sent");
        let expected = match (events, way) {
            (true, DtmfWay::Auto) => (3, 0, "", true),
            (_, DtmfWay::Info) => (0, 3, "", true),
            (false, DtmfWay::Rfc4733) => (0, 0, "", false),
            _ => (0, 0, "12#", true),
        };
        assert_eq!(seen, expected, "{events} {way:?}: {output}");
        assert_eq!(output["error"].is_string(), !expected.3);
        assert!(infos.iter().zip(["1", "2", "#"]).all(|(body, key)| body.starts_with(&format!("Signal={key}\r\n"))));
    }
}

/// DTM-07: an entry ends by `#`, by its length or by a pause; it is the tool's result and no message; its first key stops the agent.
#[test]
fn an_entry_is_collected_for_the_model() {
    for (arguments, keys, digits, ended_by) in [
        (json!({}), &[1u8, 2, 3, 4, 11][..], "1234", "finish_key"),
        (json!({"count": 4}), &[1, 2, 3, 4], "1234", "length"),
        (json!({}), &[9, 10], "9*", "timeout"),
        (json!({}), &[], "", "timeout"),
    ] {
        let mut world = talk(true, DtmfWay::Auto);
        world.service.speak_and_call(world.now, 3_000, "collect_digits", &arguments);
        world.run(secs(2));
        let before = world.now;
        for (n, key) in keys.iter().enumerate() {
            world.presses(*key);
            if n == 0 {
                let last = world.peer.last_loud().expect("it spoke");
                assert!(last <= before + ms(10), "the agent goes on\n{world}");
            }
            world.run(ms(300));
        }
        world.until("a result", secs(9), |w| !outputs(w).is_empty());
        assert_eq!(outputs(&world), [json!({"digits": digits, "ended_by": ended_by})]);
        world.run(secs(2)).caller_hangs_up();
        let record = world.ends_within(ms(0));
        assert_eq!(record.cdr.dtmf_digits as usize, keys.len());
        assert!(record.transcript.iter().all(|line| !line.2.expose().contains("1234")));
        let messages = world.service.sent("conversation.item.create");
        assert!(!messages.iter().any(|e| e["item"]["type"] == "message"), "{messages:?}");
        assert!(!format!("{:?}", world.notes).contains("1234"), "DTM-05: no digit in a note");
    }
}

/// DTM-07: no key is lost: what was typed ahead counts, and what comes after the entry is the next one.
#[test]
fn keys_typed_ahead_count() {
    let mut world = talk(true, DtmfWay::Auto);
    world.presses(5).presses(6);
    world.service.reply(world.now, Reply::Tool("collect_digits", json!({"count": 3})));
    world.run(ms(200)).presses(7).presses(8).run(secs(3));
    assert_eq!(outputs(&world), [json!({"digits": "567", "ended_by": "length"})]);
    let items = world.service.sent("conversation.item.create");
    assert!(items.last().expect("the rest").to_string().contains('8'), "{items:?}");
}

/// While the caller looks for a card there is no waiting tone, and a second entry is refused.
#[test]
fn an_entry_is_waited_for_in_silence() {
    let mut world = talk(true, DtmfWay::Auto);
    world.service.reply(world.now, Reply::Tool("collect_digits", json!({})));
    world.run(ms(200));
    world.service.reply(world.now, Reply::Tool("collect_digits", json!({})));
    world.until("refused", secs(1), |w| !outputs(w).is_empty());
    assert!(outputs(&world)[0]["error"].is_string());
    // The model speaks of it for a second.
    world.run(secs(2));
    let quiet = world.now;
    world.run(ms(2_500));
    let heard = world.peer.got.iter().filter(|got| got.at > quiet && got.samples.iter().any(|s| *s != 0)).count();
    assert_eq!(heard, 0, "a waiting tone\n{world}");
}
