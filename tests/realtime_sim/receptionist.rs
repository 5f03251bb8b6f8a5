//! The built-in scenario from greeting to goodbye, in both dialects and all formats, in virtual time.

use crate::world::{Format, World, agent_line, assert_response, caller_line, receptionist};
use serde_json::{Value, json};
use voxtrunk::realtime_sim::dialect::Dialect;

fn tools() -> Value {
    json!({"tools": [
        {"type": "function", "name": "hangup", "description": "End the call.", "parameters": {"type": "object", "properties": {}}},
        {"type": "function", "name": "book_appointment", "description": "Book.", "parameters": {"type": "object",
            "properties": {"day": {"type": "string"}, "hour": {"type": "integer"}}, "required": ["day", "hour"]}},
    ]})
}

fn transcript(response_done: &Value) -> String {
    let output = response_done["response"]["output"].as_array().unwrap();
    let parts = output.iter().filter_map(|item| item["content"][0]["transcript"].as_str());
    parts.collect::<Vec<_>>().join("|")
}

fn whole_call(dialect: Dialect, format: Format) {
    let mut world = World::new(dialect, receptionist());
    assert_eq!(world.events[0].1["type"], "session.created");
    world.configure(format, World::server_vad(500), tools());

    // Greeting: asked for by the client, spoken in full.
    let mark = world.mark();
    world.send(json!({"type": "response.create", "response": {"instructions": "Greet the caller."}}));
    let done = world.until("response.done");
    assert_eq!(done["response"]["status"], "completed");
    assert_eq!(transcript(&done), agent_line("greeting").text);
    assert_response(&world, &world.since(mark));
    let item = done["response"]["output"][0]["id"].as_str().unwrap().to_owned();
    let (sent, spoken) =
        (world.audio_of(&item).len() / format.bytes_per_ms(), agent_line("greeting").samples.len() / 8);
    assert!(sent.abs_diff(spoken) <= 1, "greeting: {sent} ms sent of {spoken} ms");
    world.silence(7_000);

    // Turn 1: the long answer.
    world.speak(&caller_line("opening_hours").samples);
    let created = world.until("response.created");
    assert_eq!(created["response"]["status"], "in_progress");
    let done = world.until("response.done");
    let both = format!("{} {}", agent_line("hours").text, agent_line("long_explanation").text);
    assert_eq!(transcript(&done), both);
    let heard = world.all("conversation.item.input_audio_transcription.completed");
    assert_eq!(heard[0]["transcript"], "Hi, what are your opening hours?");
    let long_item = done["response"]["output"][0]["id"].as_str().unwrap().to_owned();

    // Turn 2: the caller speaks over it; the client truncates what was not heard.
    world.silence(1_500);
    world.speak(&caller_line("interruption").samples);
    world.until("input_audio_buffer.speech_started");
    world.send(
        json!({"type": "conversation.item.truncate", "item_id": long_item, "content_index": 0, "audio_end_ms": 3_100}),
    );
    assert_eq!(world.last()["type"], "conversation.item.truncated", "{}", world.last());
    let done = world.until("response.done");
    assert_eq!(transcript(&done), agent_line("go_ahead").text);
    world.silence(2_000);

    // Turn 3: a function call, its result, the answer to it.
    let mark = world.mark();
    world.speak(&caller_line("book_appointment").samples);
    let done = world.until("response.done");
    let created = world.since(mark).iter().position(|event| event["type"] == "response.created").unwrap();
    let events = world.since(mark + created);
    assert_response(&world, &events);
    let call = &done["response"]["output"][1];
    assert_eq!(call["name"], "book_appointment");
    assert_eq!(call["status"], "completed");
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"day": "Thursday", "hour": 15}));
    let deltas = world.all("response.function_call_arguments.delta");
    let pieces: String = deltas.iter().map(|delta| delta["delta"].as_str().unwrap()).collect();
    assert_eq!(pieces, call["arguments"].as_str().unwrap());
    let call_id = call["call_id"].clone();
    let output = json!({"type": "function_call_output", "call_id": call_id, "output": "{\"confirmed\":true}"});
    world.send(json!({"type": "conversation.item.create", "item": output}));
    world.send(json!({"type": "response.create"}));
    let done = world.until("response.done");
    let confirmed = format!("{} {}", agent_line("appointment_confirmed").text, agent_line("anything_else").text);
    assert_eq!(transcript(&done), confirmed);
    world.silence(6_000);

    // Turn 4: goodbye and hangup.
    world.speak(&caller_line("thats_all").samples);
    let done = world.until("response.done");
    assert_eq!(transcript(&done), agent_line("goodbye").text);
    assert_eq!(done["response"]["output"][1]["name"], "hangup");
    let errors = world.all("error");
    assert!(errors.is_empty(), "{errors:?}");
}

/// The whole receptionist call, GA, µ-law.
#[test]
fn a_whole_call_in_ga() {
    whole_call(Dialect::Ga, Format::Mu);
}

#[test]
fn a_whole_call_in_ga_with_pcm() {
    whole_call(Dialect::Ga, Format::Pcm);
}

#[test]
fn a_whole_call_in_preview() {
    whole_call(Dialect::Preview, Format::Pcm);
}

#[test]
fn a_whole_call_in_preview_with_a_law() {
    whole_call(Dialect::Preview, Format::A);
}

/// Without tools the same call goes on in words.
#[test]
fn without_tools_nothing_is_called() {
    let mut world = World::new(Dialect::Ga, receptionist());
    world.configure(Format::Mu, World::server_vad(500), json!({}));
    for line in ["opening_hours", "book_appointment", "thats_all"] {
        world.silence(400);
        world.speak(&caller_line(line).samples);
        world.until("response.done");
        world.silence(18_500);
    }
    let done = world.all("response.done");
    let texts: Vec<String> = done.iter().map(|done| transcript(done)).collect();
    assert!(texts[1].starts_with("Let me look that up for you. Your appointment"), "{texts:?}");
    assert_eq!(texts[2], agent_line("goodbye").text);
    assert!(done.iter().all(|done| done["response"]["output"].as_array().unwrap().len() == 1));
}

/// Keys as a user text item are read back.
#[test]
fn keys_are_read_back() {
    let mut world = World::new(Dialect::Preview, receptionist());
    world.configure(Format::Mu, World::server_vad(500), json!({}));
    let item = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "The caller pressed 1 4 #."}]});
    world.send(json!({"type": "conversation.item.create", "item": item}));
    world.send(json!({"type": "response.create"}));
    assert_eq!(transcript(&world.until("response.done")), "You pressed one. four. pound.");
}
