//! Scenarios that misbehave on purpose, quirks, expiry, and echo mode.

use crate::world::{Format, World, base64, caller_line};
use serde_json::{Value, json};
use std::io::Write;
use voxtrunk::realtime_sim::dialect::Dialect;
use voxtrunk::realtime_sim::scenario::Scenario;

/// A scenario from a real file, as an operator would give it.
fn scenario(text: &str) -> Scenario {
    let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    file.write_all(format!("name = \"test\"\n{text}").as_bytes()).unwrap();
    Scenario::load(file.path()).unwrap()
}

fn world(text: &str) -> World {
    let mut world = World::new(Dialect::Ga, scenario(text));
    world.configure(Format::Mu, World::server_vad(300), json!({}));
    world.send(json!({"type": "response.create"}));
    world
}

#[test]
fn a_failed_response_has_no_error_event() {
    let mut world = world("[[greeting]]\nfail = \"rate_limit_exceeded\"\nmessage = \"Rate limit reached.\"\n");
    let done = world.until("response.done");
    assert_eq!(done["response"]["status"], "failed");
    let error =
        json!({"type": "invalid_request_error", "code": "rate_limit_exceeded", "message": "Rate limit reached."});
    assert_eq!(done["response"]["status_details"], json!({"type": "failed", "error": error}));
    assert_eq!(done["response"]["usage"]["total_tokens"], 0);
    assert!(world.all("error").is_empty());
}

#[test]
fn errors_closes_and_drops_come_after_what_was_said() {
    let mut closing = world(
        "[[greeting]]\nerror = \"server_error\"\n[[greeting]]\nsay = [\"go_ahead\"]\n[[greeting]]\nclose = 1011\nreason = \"keepalive ping timeout\"\n",
    );
    assert_eq!(closing.all("error")[0]["error"]["type"], "server_error");
    closing.advance(5_000);
    assert_eq!(closing.closed, Some((1011, "keepalive ping timeout".into())));
    assert_eq!(closing.all("response.output_item.done").len(), 1);
    let mut dropping = world("[[greeting]]\ndrop = true\n");
    dropping.advance(5_000);
    assert!(dropping.dropped);
}

#[test]
fn a_stalled_response_never_ends_but_can_be_cancelled() {
    let mut world = world("[[greeting]]\nstall = true\n");
    world.advance(600_000);
    assert_eq!(world.last()["type"], "response.created");
    world.send(json!({"type": "response.cancel"}));
    assert_eq!(world.all("response.done")[0]["response"]["status"], "cancelled");
}

#[test]
fn silence_delay_and_one_big_delta() {
    let mut world = world(
        "[[greeting]]\nsingle_delta = true\n[[greeting]]\ndelay_ms = 2500\n[[greeting]]\nsay = [\"hours\", \"long_explanation\"]\n[[utterance]]\ndo = [{ silent = true }]\n",
    );
    world.until("response.done");
    assert_eq!(world.all("response.output_audio.delta").len(), 1);
    assert_eq!(world.at("response.output_audio.delta") - world.at("response.created"), 2_500);
    world.silence(500);
    world.speak(&caller_line("opening_hours").samples);
    world.until("input_audio_buffer.committed");
    world.silence(3_000);
    assert_eq!(world.all("response.created").len(), 1, "no answer to the turn");
}

#[test]
fn quirks_change_what_is_sent() {
    let mut quirky = World::new(
        Dialect::Ga,
        scenario(
            "server.quirks = [\"conversation-created\", \"no-rate-limits\", \"no-argument-deltas\"]\n[[greeting]]\ncall = \"f\"\n",
        ),
    );
    assert_eq!(quirky.events[1].1["type"], "conversation.created");
    quirky.configure(Format::Mu, Value::Null, json!({"tools": [{"type": "function", "name": "f"}]}));
    quirky.send(json!({"type": "response.create"}));
    quirky.until("response.function_call_arguments.done");
    assert!(quirky.all("response.function_call_arguments.delta").is_empty());
    assert!(quirky.all("rate_limits.updated").is_empty());

    let text = "server.quirks = [\"beta-disabled\"]\n";
    let refused = World::new(Dialect::Preview, scenario(text));
    assert_eq!(refused.last()["error"]["code"], "beta_api_shape_disabled");
    assert_eq!(refused.closed, Some((4000, "invalid_request_error.beta_api_shape_disabled".into())));
    assert!(World::new(Dialect::Ga, scenario(text)).closed.is_none());
}

/// A break at a chosen event comes right after it.
#[test]
fn faults_come_at_the_chosen_event() {
    let fault = |what: &str| {
        format!(
            "[[greeting]]\nsay = [\"hours\"]\n[[fault]]\nafter_event = \"response.output_audio.delta\"\nnth = 3\ndo = {{ {what} }}\n"
        )
    };
    for (what, closed, dropped) in [
        ("drop = true", None, true),
        ("close = 1012, reason = \"restart\"", Some((1012, "restart".to_owned())), false),
        ("mute = true", None, false),
    ] {
        let mut broken = world(&fault(what));
        broken.advance(30_000);
        assert_eq!(broken.all("response.output_audio.delta").len(), 3, "{what}");
        assert_eq!(broken.last()["type"], "response.output_audio.delta", "{what}");
        assert_eq!((&broken.closed, broken.dropped), (&closed, dropped), "{what}");
    }
    let mut muted = World::new(Dialect::Ga, scenario(&fault("mute = true")));
    muted.send(json!({"type": "response.create"}));
    muted.advance(5_000);
    let before = muted.mark();
    muted.silence(2_000);
    muted.send(json!({"type": "response.create"}));
    assert_eq!(muted.mark(), before, "a muted server answers nothing");
}

/// What a scenario sends goes out as it is, between good events.
#[test]
fn a_scenario_sends_any_text() {
    let text = "[[greeting]]\nsay = [\"go_ahead\"]\n[[greeting]]\nsend = '{\"type\":\"input_audio_buffer.cleared\",\"event_id\":\"odd\"}'\n";
    let mut odd = world(text);
    let done = odd.until("response.done");
    assert_eq!(done["response"]["status"], "completed");
    assert_eq!(odd.all("input_audio_buffer.cleared")[0]["event_id"], "odd");
}

/// One call id in two items; a reply that goes on and on.
#[test]
fn doubled_calls_and_endless_replies() {
    let text = "[[greeting]]\ncall = \"f\"\ntwice = true\narguments = { a = 1 }\n[[fallback]]\nsay = [\"long_explanation\"]\n[[fallback]]\nrepeat = 20\n";
    let mut world = World::new(Dialect::Ga, scenario(text));
    world.configure(Format::Mu, Value::Null, json!({"tools": [{"type": "function", "name": "f"}]}));
    world.send(json!({"type": "response.create"}));
    let done = world.until("response.done");
    let output = done["response"]["output"].as_array().unwrap();
    assert_eq!(output.len(), 2);
    assert_eq!((&output[0]["call_id"], &output[0]["arguments"]), (&output[1]["call_id"], &output[1]["arguments"]));
    assert_ne!(output[0]["id"], output[1]["id"]);
    world.send(json!({"type": "response.create"}));
    let long = world.until("response.done");
    let audio_ms = world.audio_of(long["response"]["output"][0]["id"].as_str().unwrap()).len() / 8;
    assert!(audio_ms > 200_000, "{audio_ms} ms");
}

/// An update that is refused, and one that is never answered.
#[test]
fn updates_can_be_refused_or_ignored() {
    for (updates, answers) in [("refuse", 1), ("ignore", 0)] {
        let mut world = World::new(Dialect::Ga, scenario(&format!("server.updates = \"{updates}\"\n")));
        let before = world.mark();
        world.send(json!({"type": "session.update", "event_id": "u", "session": {"type": "realtime"}}));
        assert_eq!(world.mark() - before, answers, "{updates}");
        assert!(answers == 0 || world.last()["error"]["event_id"] == "u");
    }
}

#[test]
fn a_session_expires() {
    let mut world = World::new(Dialect::Ga, scenario("server.expires_after_s = 120\n"));
    let expires_at = world.events[0].1["session"]["expires_at"].as_u64();
    assert_eq!(expires_at, Some(1_760_000_120));
    world.advance(119_000);
    assert!(world.closed.is_none());
    world.advance(2_000);
    assert_eq!(world.last()["error"]["code"], "session_expired");
    let reason = "Your session hit the maximum duration of 2 minutes.".to_owned();
    assert_eq!(world.closed, Some((1001, reason)));
    // Nothing comes out of a closed session.
    world.send_raw("{}");
}

/// Echo: every append is a delta at once, byte for byte, in one response.
#[test]
fn echo_sends_every_sample_back() {
    for dialect in [Dialect::Ga, Dialect::Preview] {
        let mut world = World::echo(dialect);
        world.configure(Format::Mu, World::server_vad(500), json!({}));
        let sent: Vec<u8> = (0..16_000u32).map(|n| (n * 7 % 251) as u8).collect();
        for frame in sent.chunks(160) {
            let before = world.mark();
            world.advance(20);
            world.send(json!({"type": "input_audio_buffer.append", "audio": base64(frame)}));
            assert!(world.mark() > before);
        }
        assert_eq!(world.all("response.created").len(), 1);
        let item = world.all("response.output_item.added")[0]["item"]["id"].as_str().unwrap().to_owned();
        assert_eq!(world.audio_of(&item), sent);
        let cut =
            json!({"type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": 1_500});
        world.send(cut);
        assert_eq!(world.last()["type"], "conversation.item.truncated", "{}", world.last());
        world.send(json!({"type": "response.cancel"}));
        assert_eq!(world.all("response.done")[0]["response"]["status"], "cancelled");
        world.silence(20);
        assert_eq!(world.all("response.created").len(), 2);
        world.send_raw("{\"type\":\"input_audio_buffer.append\",\"audio\":\"!!!!\"}");
        assert_eq!(world.last()["error"]["code"], "invalid_value");
    }
}
