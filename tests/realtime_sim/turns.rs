//! Turn taking: the received-audio clock, padding, silence, flags, manual commits, interruption, the idle timeout.

use crate::world::{Format, World, caller_line, receptionist};
use serde_json::{Value, json};
use voxtrunk::realtime_sim::dialect::Dialect;

fn vad(silence_duration_ms: u32, changes: Value) -> Value {
    let mut vad = World::server_vad(silence_duration_ms);
    vad.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    vad
}

/// Speaks one caller line after `lead_ms` of silence; returns (audio_start_ms, audio_end_ms).
fn one_turn(world: &mut World, lead_ms: u64) -> (u64, u64) {
    world.silence(lead_ms);
    world.speak(&caller_line("opening_hours").samples);
    let started = world.until("input_audio_buffer.speech_started");
    let stopped = world.until("input_audio_buffer.speech_stopped");
    assert_eq!(started["item_id"], stopped["item_id"]);
    (started["audio_start_ms"].as_u64().unwrap(), stopped["audio_end_ms"].as_u64().unwrap())
}

/// Start includes the padding, end includes the silence, both on the clock of received audio (±60 ms).
#[test]
fn padding_and_silence_are_honoured() {
    let spoken_ms = caller_line("opening_hours").samples.len() as u64 / 8;
    for dialect in [Dialect::Ga, Dialect::Preview] {
        for (padding_ms, silence_ms) in [(0u64, 300u64), (300, 500), (600, 900)] {
            let mut world = World::new(dialect, receptionist());
            let rules = vad(silence_ms as u32, json!({"prefix_padding_ms": padding_ms}));
            world.configure(Format::Mu, rules, json!({}));
            // Time that passes without audio is not on the clock.
            world.advance(5_000);
            let (start_ms, end_ms) = one_turn(&mut world, 1_000);
            assert!(start_ms.abs_diff(1_000 - padding_ms) <= 60, "padding {padding_ms}: start {start_ms}");
            assert!(end_ms.abs_diff(1_000 + spoken_ms + silence_ms) <= 60, "silence {silence_ms}: end {end_ms}");
        }
    }
}

#[test]
fn a_turn_gives_one_item_with_one_id_and_its_audio() {
    let mut world = World::new(Dialect::Ga, receptionist());
    world.configure(Format::Mu, World::server_vad(500), json!({}));
    let (start_ms, end_ms) = one_turn(&mut world, 1_000);
    let kinds: Vec<String> = world.events.iter().map(|(_, event)| event["type"].as_str().unwrap().to_owned()).collect();
    let at = kinds.iter().position(|kind| kind == "input_audio_buffer.speech_stopped").unwrap();
    let follow =
        ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done", "response.created"];
    assert_eq!(kinds[at + 1..at + 5], follow);
    let id = world.all("input_audio_buffer.committed")[0]["item_id"].clone();
    assert_eq!(world.all("conversation.item.added")[0]["item"]["id"], id);
    assert_eq!(world.all("input_audio_buffer.speech_started")[0]["item_id"], id);
    world.send(json!({"type": "conversation.item.retrieve", "item_id": id}));
    let audio = world.last()["item"]["content"][0]["audio"].as_str().unwrap().to_owned();
    let bytes = base64_simd::STANDARD.decode_to_vec(audio).unwrap().len() as u64;
    assert!(bytes.abs_diff((end_ms - start_ms) * 8) <= 16, "{bytes} bytes for {} ms", end_ms - start_ms);
}

#[test]
fn without_create_response_the_turn_waits_for_the_client() {
    let mut world = World::new(Dialect::Ga, receptionist());
    world.configure(Format::Mu, vad(300, json!({"create_response": false})), json!({}));
    one_turn(&mut world, 500);
    world.silence(1_500);
    assert!(world.all("response.created").is_empty());
    world.send(json!({"type": "response.create"}));
    let done = world.until("response.done");
    assert!(done["response"]["output"][0]["content"][0]["transcript"].as_str().unwrap().starts_with("We are open"));
}

/// A slow server is still sending when the caller speaks: it cancels by itself, and finishes its open parts.
#[test]
fn speech_cancels_a_running_response() {
    for dialect in [Dialect::Ga, Dialect::Preview] {
        let mut scenario = receptionist();
        scenario.server.pace = 1.5;
        let mut world = World::new(dialect, scenario);
        world.configure(Format::Mu, World::server_vad(500), json!({}));
        one_turn(&mut world, 500);
        world.silence(3_000);
        let mark = world.mark();
        world.speak(&caller_line("interruption").samples);
        let done = world.until("response.done");
        assert_eq!(done["response"]["status"], "cancelled");
        assert_eq!(done["response"]["status_details"], json!({"type": "cancelled", "reason": "turn_detected"}));
        assert_eq!(done["response"]["output"][0]["status"], "incomplete");
        let kinds: Vec<String> = world.since(mark).iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect();
        let audio_done = world.named("response.output_audio.done");
        let started = kinds.iter().position(|kind| kind == "input_audio_buffer.speech_started").unwrap();
        let closed = kinds.iter().position(|kind| *kind == audio_done).unwrap();
        assert!(started < closed, "{kinds:?}");
        let delta = world.named("response.output_audio.delta");
        let id = &done["response"]["id"];
        let late =
            world.since(mark + closed).into_iter().filter(|e| e["type"] == delta && e["response_id"] == *id).count();
        assert_eq!(late, 0, "deltas after the cancellation");
        let next = world.until("response.done");
        assert_eq!(next["response"]["output"][0]["content"][0]["transcript"], "Of course, go ahead.");
    }
}

/// interrupt_response = false: the response goes on; the automatic answer fails while it runs.
#[test]
fn without_interrupt_response_the_agent_talks_on() {
    let mut scenario = receptionist();
    scenario.server.pace = 1.0;
    let mut world = World::new(Dialect::Ga, scenario);
    world.configure(Format::Mu, vad(300, json!({"interrupt_response": false})), json!({}));
    one_turn(&mut world, 500);
    world.silence(3_000);
    world.speak(&caller_line("interruption").samples);
    let error = world.until("error");
    assert_eq!(error["error"]["code"], "conversation_already_has_active_response");
    assert_eq!(world.until("response.done")["response"]["status"], "completed");
}

/// No turn detection: append, commit, response.create; less than 100 ms is an error; clear forgets.
#[test]
fn push_to_talk() {
    for (dialect, off) in
        [(Dialect::Ga, Value::Null), (Dialect::Preview, Value::Null), (Dialect::Preview, json!({"type": "none"}))]
    {
        let mut world = World::new(dialect, receptionist());
        world.configure(Format::A, off, json!({}));
        world.send(json!({"type": "input_audio_buffer.commit", "event_id": "c1"}));
        assert_eq!(world.last()["error"]["code"], "input_audio_buffer_commit_empty");
        assert_eq!(world.last()["error"]["event_id"], "c1");
        world.silence(80);
        world.send(json!({"type": "input_audio_buffer.commit"}));
        assert_eq!(world.last()["error"]["code"], "input_audio_buffer_commit_empty");
        world.speak(&caller_line("opening_hours").samples);
        world.send(json!({"type": "input_audio_buffer.clear"}));
        assert_eq!(world.last()["type"], "input_audio_buffer.cleared");
        world.speak(&caller_line("opening_hours").samples);
        assert!(world.all("input_audio_buffer.speech_started").is_empty());
        world.send(json!({"type": "input_audio_buffer.commit"}));
        assert_eq!(world.all("input_audio_buffer.committed").len(), 1);
        world.silence(1_000);
        assert!(world.all("response.created").is_empty());
        world.send(json!({"type": "response.create"}));
        let done = world.until("response.done");
        assert!(done["response"]["output"][0]["content"][0]["transcript"].as_str().unwrap().starts_with("We are open"));
        assert_eq!(done["response"]["usage"]["input_token_details"]["audio_tokens"], 23); // 2.23 s, one per 100 ms
    }
}

/// semantic_vad is accepted; eagerness decides how long it waits.
#[test]
fn semantic_vad_waits_by_eagerness() {
    let spoken_ms = caller_line("opening_hours").samples.len() as u64 / 8;
    for (eagerness, wait_ms) in [("high", 300), ("medium", 700), ("auto", 700), ("low", 1_500)] {
        let mut world = World::new(Dialect::Ga, receptionist());
        world.configure(Format::Mu, json!({"type": "semantic_vad", "eagerness": eagerness}), json!({}));
        let (_, end_ms) = one_turn(&mut world, 1_000);
        assert!(end_ms.abs_diff(1_000 + spoken_ms + wait_ms) <= 60, "{eagerness}: {end_ms}");
    }
}

/// GA idle timeout: counted from the end of play-out; commits an item and asks.
#[test]
fn the_idle_timeout_counts_from_the_end_of_playback() {
    let mut world = World::new(Dialect::Ga, receptionist());
    world.configure(Format::Mu, vad(500, json!({"idle_timeout_ms": 5_000})), json!({}));
    world.send(json!({"type": "response.create"}));
    world.until("response.done");
    let first_delta = world.at("response.output_audio.delta");
    let item = world.all("response.output_item.added")[0]["item"]["id"].as_str().unwrap().to_owned();
    let played_ms = world.audio_of(&item).len() as u64 / 8;
    world.until("input_audio_buffer.timeout_triggered");
    let fired = world.at("input_audio_buffer.timeout_triggered");
    assert!(
        fired.abs_diff(first_delta + played_ms + 5_000) <= 60,
        "fired at {fired}, {first_delta} + {played_ms} + 5000"
    );
    let done = world.until("response.done");
    assert_eq!(done["response"]["output"][0]["content"][0]["transcript"], "Are you still there?");
    // Speech stops the clock.
    world.speak(&caller_line("opening_hours").samples);
    world.until("response.done");
    assert_eq!(world.all("input_audio_buffer.timeout_triggered").len(), 1);
}
