//! Whatever a client does, in any order: no panic, only valid events, and every response that begins ends or goes on.

use crate::world::{Format, World, base64, caller_line, receptionist};
use proptest::prelude::*;
use serde_json::{Value, json};
use voxtrunk::realtime_sim::dialect::Dialect;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    Speak,
    Silence(u64),
    Wait(u64),
    Commit,
    Clear,
    Configure(u8, bool),
    Respond { out_of_band: bool, tokens: Option<u64> },
    Cancel,
    Text(String),
    Truncate { item: usize, ms: u64 },
    Delete(usize),
    Retrieve(usize),
    ToolOutput(usize),
    Raw(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..2_000).prop_map(Step::Append),
        Just(Step::Speak),
        (0u64..1_500).prop_map(Step::Silence),
        (0u64..10_000).prop_map(Step::Wait),
        Just(Step::Commit),
        Just(Step::Clear),
        (0u8..3, any::<bool>()).prop_map(|(format, vad)| Step::Configure(format, vad)),
        (any::<bool>(), proptest::option::of(1u64..200))
            .prop_map(|(out_of_band, tokens)| Step::Respond { out_of_band, tokens }),
        Just(Step::Cancel),
        "[a-z0-9#* ]{0,12}".prop_map(Step::Text),
        (0usize..8, 0u64..20_000).prop_map(|(item, ms)| Step::Truncate { item, ms }),
        (0usize..8).prop_map(Step::Delete),
        (0usize..8).prop_map(Step::Retrieve),
        (0usize..4).prop_map(Step::ToolOutput),
        "\\PC{0,40}".prop_map(Step::Raw),
    ]
}

fn apply(world: &mut World, step: Step) {
    let items = |world: &World| -> Vec<String> {
        let kinds = ["conversation.item.added", "conversation.item.created"];
        let events = kinds.iter().flat_map(|kind| world.all(kind));
        events.map(|event| event["item"]["id"].as_str().unwrap().to_owned()).collect()
    };
    let pick = |world: &World, n: usize| items(world).into_iter().rev().nth(n).unwrap_or("item_nope".into());
    match step {
        Step::Append(bytes) => world.send(json!({"type": "input_audio_buffer.append", "audio": base64(&bytes)})),
        Step::Speak => world.speak(&caller_line("opening_hours").samples),
        Step::Silence(ms) => world.silence(ms),
        Step::Wait(ms) => world.advance(ms),
        Step::Commit => world.send(json!({"type": "input_audio_buffer.commit"})),
        Step::Clear => world.send(json!({"type": "input_audio_buffer.clear"})),
        Step::Configure(format, vad) => {
            let format = [Format::Mu, Format::A, Format::Pcm][usize::from(format)];
            let tools =
                json!({"tools": [{"type": "function", "name": "book"}, {"type": "function", "name": "hangup"}]});
            world.configure(format, if vad { World::server_vad(300) } else { Value::Null }, tools);
        }
        Step::Respond { out_of_band, tokens } => {
            let mut response = json!({"conversation": if out_of_band { "none" } else { "auto" }});
            if let Some(tokens) = tokens {
                response["max_output_tokens"] = json!(tokens);
            }
            world.send(json!({"type": "response.create", "response": response}));
        }
        Step::Cancel => world.send(json!({"type": "response.cancel"})),
        Step::Text(text) => {
            let item = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]});
            world.send(json!({"type": "conversation.item.create", "item": item}));
        }
        Step::Truncate { item, ms } => {
            let id = pick(world, item);
            world.send(
                json!({"type": "conversation.item.truncate", "item_id": id, "content_index": 0, "audio_end_ms": ms}),
            );
        }
        Step::Delete(item) => {
            let id = pick(world, item);
            world.send(json!({"type": "conversation.item.delete", "item_id": id}));
        }
        Step::Retrieve(item) => {
            let id = pick(world, item);
            world.send(json!({"type": "conversation.item.retrieve", "item_id": id}));
        }
        Step::ToolOutput(n) => {
            let calls = world.all("response.function_call_arguments.done");
            let call_id = calls.get(n).map_or(json!("call_nope"), |call| call["call_id"].clone());
            let item = json!({"type": "function_call_output", "call_id": call_id, "output": "{}"});
            world.send(json!({"type": "conversation.item.create", "item": item}));
        }
        Step::Raw(text) => world.send_raw(&text),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Events are checked against the schema by the world; here: every response ends exactly once.
    #[test]
    fn any_order_of_events_is_survived(ga in any::<bool>(), steps in proptest::collection::vec(step(), 1..40)) {
        let dialect = if ga { Dialect::Ga } else { Dialect::Preview };
        let mut world = World::new(dialect, receptionist());
        for step in steps {
            apply(&mut world, step);
        }
        // No more input: whatever runs comes to its end.
        world.advance(120_000);
        let ids = |kind: &str| -> Vec<String> {
            world.all(kind).iter().map(|event| event["response"]["id"].as_str().unwrap().to_owned()).collect()
        };
        let (mut created, mut done) = (ids("response.created"), ids("response.done"));
        created.sort();
        done.sort();
        prop_assert_eq!(created, done);
    }
}
