//! Responses: one at a time in the conversation, cancellation, overrides, out-of-band, text, limits, streaming.

use crate::world::{Format, World, agent_line, assert_response, receptionist};
use serde_json::{Value, json};
use voxtrunk::realtime_sim::dialect::Dialect;

const BOTH: [Dialect; 2] = [Dialect::Ga, Dialect::Preview];

fn manual(dialect: Dialect) -> World {
    let mut world = World::new(dialect, receptionist());
    world.configure(Format::Mu, Value::Null, json!({}));
    world
}

#[test]
fn one_response_at_a_time() {
    for dialect in BOTH {
        let mut world = manual(dialect);
        world.send(json!({"type": "response.cancel", "event_id": "x"}));
        assert_eq!(world.last()["error"]["code"], "response_cancel_not_active");
        assert_eq!(world.last()["error"]["event_id"], "x");
        world.send(json!({"type": "response.create"}));
        world.send(json!({"type": "response.create", "event_id": "y"}));
        assert_eq!(world.last()["error"]["code"], "conversation_already_has_active_response");
        assert_eq!(world.last()["error"]["event_id"], "y");
        world.until("response.done");
        world.send(json!({"type": "response.create"}));
        assert_eq!(world.last()["type"], "response.created");
    }
}

/// Audio comes in growing chunks, 100 ms first, faster than real time, with words before the first of them.
#[test]
fn audio_is_streamed_faster_than_real_time() {
    for dialect in BOTH {
        let mut world = manual(dialect);
        world.send(json!({"type": "response.create"}));
        world.until("response.done");
        let delta = world.named("response.output_audio.delta");
        let sizes: Vec<usize> = world
            .all(&delta)
            .iter()
            .map(|event| base64_simd::STANDARD.decode_to_vec(event["delta"].as_str().unwrap()).unwrap().len() / 8)
            .collect();
        assert_eq!(sizes[..7], [100, 150, 250, 250, 300, 400, 500]);
        assert_eq!(sizes.iter().sum::<usize>(), agent_line("greeting").samples.len() / 8);
        let words = world.at(&world.named("response.output_audio_transcript.delta"));
        assert!(words <= world.at(&delta));
        assert_eq!(world.at(&delta) - world.at("response.created"), 350);
        let took = world.at("response.done") - world.at(&delta);
        let playback = sizes.iter().sum::<usize>() as u64;
        assert!(took > playback / 10 && took < playback / 6, "{playback} ms sent in {took} ms");
        let text: String = world
            .all(&world.named("response.output_audio_transcript.delta"))
            .iter()
            .map(|event| event["delta"].as_str().unwrap())
            .collect();
        assert_eq!(text, agent_line("greeting").text);
    }
}

#[test]
fn a_client_cancels() {
    for dialect in BOTH {
        let mut world = manual(dialect);
        let mark = world.mark();
        world.send(json!({"type": "response.create"}));
        world.until(&world.named("response.output_audio.delta"));
        world.send(json!({"type": "response.cancel"}));
        let done = world.until("response.done");
        assert_eq!(done["response"]["status_details"], json!({"type": "cancelled", "reason": "client_cancelled"}));
        assert_eq!(done["response"]["output"][0]["status"], "incomplete");
        assert_response(&world, &world.since(mark));
        let billed = done["response"]["usage"]["output_token_details"]["audio_tokens"].as_u64().unwrap();
        assert!((1..124).contains(&billed), "a cancelled response bills what was sent: {billed}");
    }
}

/// Before the first delta a response is cancelled without output.
#[test]
fn a_cancel_before_any_output() {
    let mut world = manual(Dialect::Ga);
    world.send(json!({"type": "response.create"}));
    let id = world.last()["response"]["id"].clone();
    world.send(json!({"type": "response.cancel", "response_id": id}));
    let done = world.until("response.done");
    assert_eq!((&done["response"]["status"], &done["response"]["output"]), (&json!("cancelled"), &json!([])));
}

/// Out of band: beside the conversation's own response, no item events, no conversation id, metadata kept, not interrupted.
#[test]
fn out_of_band_responses_run_beside() {
    for dialect in BOTH {
        let mut world = manual(dialect);
        world.send(json!({"type": "response.create"}));
        let modalities = if dialect == Dialect::Ga { "output_modalities" } else { "modalities" };
        world.send(
            json!({"type": "response.create", "response": {"conversation": "none", "metadata": {"topic": "check"},
            "input": [], "instructions": "Say that you are connecting.", modalities: ["text"]}}),
        );
        let created = world.last().clone();
        assert_eq!(created["type"], "response.created");
        assert_eq!(created["response"]["conversation_id"], Value::Null);
        assert_eq!(created["response"]["metadata"]["topic"], "check");
        let id = created["response"]["id"].clone();
        let done: Vec<Value> = (0..2).map(|_| world.until("response.done")).collect();
        let aside = done.iter().find(|done| done["response"]["id"] == id).unwrap();
        assert_eq!(aside["response"]["metadata"]["topic"], "check");
        let kind = if dialect == Dialect::Ga { "output_text" } else { "text" };
        let content = json!([{"type": kind, "text": "I am connecting you now."}]);
        assert_eq!(aside["response"]["output"][0]["content"], content);
        let item = &aside["response"]["output"][0]["id"];
        let told = ["conversation.item.added", "conversation.item.created", "conversation.item.done"];
        let told = told.iter().flat_map(|kind| world.all(kind)).filter(|event| event["item"]["id"] == *item).count();
        assert_eq!(told, 0, "out-of-band items are not in the conversation");
        let events: Vec<&Value> = world.events.iter().map(|(_, event)| event).collect();
        let of = |event: &&Value| event["response_id"] == id || event["response"]["id"] == id;
        assert_response(&world, &events.into_iter().filter(of).collect::<Vec<_>>());
    }
}

#[test]
fn an_unknown_reference_is_refused() {
    let mut world = manual(Dialect::Ga);
    let input = json!([{"type": "item_reference", "id": "nope"}]);
    world.send(json!({"type": "response.create", "response": {"conversation": "none", "input": input}}));
    assert_eq!(world.last()["error"]["param"], "response.input[0].id");
}

/// `max_output_tokens` cuts a response: incomplete, with the reason.
#[test]
fn the_token_cap_cuts() {
    for dialect in BOTH {
        let mut world = manual(dialect);
        world.send(json!({"type": "response.create", "response": {"max_output_tokens": 20}}));
        let done = world.until("response.done");
        assert_eq!(done["response"]["status_details"], json!({"type": "incomplete", "reason": "max_output_tokens"}));
        assert_eq!(done["response"]["max_output_tokens"], 20);
        assert_eq!(done["response"]["output"][0]["status"], "incomplete");
    }
}

/// A response may ask for another output format than the session's.
#[test]
fn a_response_overrides_the_format() {
    let mut world = manual(Dialect::Ga);
    let audio = json!({"output": {"format": {"type": "audio/pcm", "rate": 24000}}});
    world.send(json!({"type": "response.create", "response": {"audio": audio}}));
    let done = world.until("response.done");
    assert_eq!(done["response"]["audio"]["output"]["format"], json!({"type": "audio/pcm", "rate": 24000}));
    let bytes = world.audio_of(done["response"]["output"][0]["id"].as_str().unwrap()).len();
    assert_eq!(bytes, agent_line("greeting").samples.len() * 6);
}

/// A function the client insists on is called whatever the script says.
#[test]
fn a_forced_function_is_called() {
    for dialect in BOTH {
        let mut world = manual(dialect);
        let tools = json!([{"type": "function", "name": "f"}, {"type": "function", "name": "g"}]);
        let choice = json!({"type": "function", "name": "g"});
        world.send(json!({"type": "response.create", "response": {"tools": tools, "tool_choice": choice}}));
        let done = world.until("response.done");
        let output = done["response"]["output"].as_array().unwrap();
        assert_eq!((output.len(), &output[0]["name"], &output[0]["arguments"]), (1, &json!("g"), &json!("{}")));
        let arguments_done = world.all("response.function_call_arguments.done")[0];
        assert_eq!(arguments_done.get("name").is_some(), dialect == Dialect::Ga);
    }
}

/// What a response finds in its context is counted: the second one has the first as cached input.
#[test]
fn usage_grows_with_the_conversation() {
    let mut world = manual(Dialect::Ga);
    world.send(json!({"type": "response.create"}));
    let first = world.until("response.done")["response"]["usage"].clone();
    world.send(json!({"type": "response.create"}));
    let second = world.until("response.done")["response"]["usage"].clone();
    assert_eq!(first["input_token_details"]["cached_tokens"], 0);
    assert_eq!(
        first["output_token_details"]["audio_tokens"],
        (agent_line("greeting").samples.len() as u64 / 8).div_ceil(50)
    );
    assert!(second["input_tokens"].as_u64() > first["input_tokens"].as_u64());
    assert_eq!(second["input_token_details"]["cached_tokens"], first["input_tokens"]);
}
