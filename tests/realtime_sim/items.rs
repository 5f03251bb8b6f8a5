//! Conversation items: places, ids, deletion, retrieval, truncation, tool outputs.

use crate::world::{Format, World, agent_line, receptionist};
use serde_json::{Value, json};
use voxtrunk::realtime_sim::dialect::Dialect;

const BOTH: [Dialect; 2] = [Dialect::Ga, Dialect::Preview];

fn say(world: &mut World, id: &str, previous: Option<&str>) {
    let item =
        json!({"id": id, "type": "message", "role": "system", "content": [{"type": "input_text", "text": "note"}]});
    let mut event = json!({"type": "conversation.item.create", "event_id": "e1", "item": item});
    if let Some(previous) = previous {
        event["previous_item_id"] = json!(previous);
    }
    world.send(event);
}

fn announced(world: &World) -> &Value {
    let kind = if world.dialect == Dialect::Ga { "conversation.item.added" } else { "conversation.item.created" };
    world.all(kind).last().copied().unwrap()
}

#[test]
fn items_go_where_previous_item_id_says() {
    for dialect in BOTH {
        let mut world = World::new(dialect, receptionist());
        say(&mut world, "a", None);
        assert_eq!(announced(&world)["previous_item_id"], Value::Null);
        say(&mut world, "b", None);
        assert_eq!(announced(&world)["previous_item_id"], "a");
        say(&mut world, "c", Some("a"));
        assert_eq!(announced(&world)["previous_item_id"], "a");
        say(&mut world, "d", Some("root"));
        assert_eq!(announced(&world)["previous_item_id"], Value::Null);
        let ga = dialect == Dialect::Ga;
        assert_eq!(world.all("conversation.item.done").len(), if ga { 4 } else { 0 });
        say(&mut world, "e", Some("nope"));
        assert_eq!(world.last()["error"]["param"], "previous_item_id");
        assert_eq!(world.last()["error"]["event_id"], "e1");
        say(&mut world, "a", None);
        assert_eq!(world.last()["error"]["param"], "item.id");
    }
}

#[test]
fn unknown_items_are_errors_and_known_ones_are_answered() {
    for dialect in BOTH {
        let mut world = World::new(dialect, receptionist());
        say(&mut world, "a", None);
        world.send(json!({"type": "conversation.item.retrieve", "item_id": "a"}));
        assert_eq!(world.last()["type"], "conversation.item.retrieved");
        assert_eq!(world.last()["item"]["content"][0]["text"], "note");
        world.send(json!({"type": "conversation.item.delete", "item_id": "a"}));
        assert_eq!(world.last()["type"], "conversation.item.deleted");
        for event in [
            json!({"type": "conversation.item.delete", "item_id": "a"}),
            json!({"type": "conversation.item.retrieve", "item_id": "a"}),
            json!({"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": 0}),
        ] {
            world.send(event.clone());
            assert_eq!(world.last()["type"], "error", "{event}");
            assert_eq!(world.last()["error"]["param"], "item_id", "{event}");
        }
    }
}

/// The rules of truncation: known agent audio only, never beyond what was sent, the transcript goes with it.
#[test]
fn truncation_is_checked() {
    for dialect in BOTH {
        let mut world = World::new(dialect, receptionist());
        world.configure(Format::Mu, Value::Null, json!({}));
        world.send(json!({"type": "response.create"}));
        let done = world.until("response.done");
        let id = done["response"]["output"][0]["id"].as_str().unwrap().to_owned();
        let length_ms = agent_line("greeting").samples.len() as u64 / 8;
        let cut = |world: &mut World, index: u64, ms: u64| {
            world.send(json!({"type": "conversation.item.truncate", "event_id": "t", "item_id": id, "content_index": index, "audio_end_ms": ms}));
            world.last().clone()
        };
        let late = cut(&mut world, 0, length_ms + 1);
        let message = format!("Audio content of {length_ms} ms is already shorter than {} ms", length_ms + 1);
        assert_eq!(late["error"]["message"], message);
        assert_eq!((&late["error"]["code"], &late["error"]["event_id"]), (&json!("invalid_value"), &json!("t")));
        assert_eq!(cut(&mut world, 1, 100)["error"]["code"], "unsupported_content_type");
        let good = cut(&mut world, 0, 1_234);
        assert_eq!(good["type"], "conversation.item.truncated");
        assert_eq!((&good["item_id"], &good["audio_end_ms"]), (&json!(id), &json!(1_234)));
        assert_eq!(cut(&mut world, 0, 1_235)["type"], "error");
        world.send(json!({"type": "conversation.item.retrieve", "item_id": id}));
        let part = &world.last()["item"]["content"][0];
        assert_eq!(part.get("transcript"), None, "{part}");
        let bytes = base64_simd::STANDARD.decode_to_vec(part["audio"].as_str().unwrap()).unwrap().len();
        assert!(bytes.abs_diff(1_234 * 8) <= 8, "{bytes} bytes");
        say(&mut world, "note", None);
        world.send(
            json!({"type": "conversation.item.truncate", "item_id": "note", "content_index": 0, "audio_end_ms": 0}),
        );
        assert_eq!(world.last()["error"]["code"], "unsupported_content_type");
    }
}

#[test]
fn a_tool_output_needs_its_call() {
    for dialect in BOTH {
        let mut world = World::new(dialect, receptionist());
        let output = json!({"type": "function_call_output", "call_id": "call_nope", "output": "{}"});
        world.send(json!({"type": "conversation.item.create", "item": output}));
        assert_eq!(world.last()["error"]["code"], "invalid_tool_call_id");
    }
}

/// Caller audio that a client adds as an item comes back on retrieve and counts as input tokens.
#[test]
fn audio_items_keep_their_audio() {
    let mut world = World::new(Dialect::Ga, receptionist());
    world.configure(Format::Mu, Value::Null, json!({}));
    let audio = crate::world::base64(&vec![0x7f; 8_000]);
    let item =
        json!({"id": "a", "type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]});
    world.send(json!({"type": "conversation.item.create", "item": item}));
    assert_eq!(announced(&world)["item"]["content"][0].get("audio"), None, "item events leave audio out");
    world.send(json!({"type": "conversation.item.retrieve", "item_id": "a"}));
    assert_eq!(world.last()["item"]["content"][0]["audio"], audio);
    world.send(json!({"type": "response.create"}));
    let done = world.until("response.done");
    assert_eq!(done["response"]["usage"]["input_token_details"]["audio_tokens"], 10);
}
