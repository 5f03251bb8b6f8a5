//! Function calls (reference 10.5).

use super::*;

fn result(bench: &mut Bench, id: u64, silent: bool) {
    bench.intent(Intent::ToolResult { id: ToolCallId(id), output: "{\"ok\":true}".to_owned(), silent });
}

fn calls(bench: &Bench) -> Vec<(u64, &str, &str)> {
    let call = |e: &'_ AgentEvent| match e {
        AgentEvent::ToolCall { id, .. } => Some(id.0),
        _ => None,
    };
    let texts = bench.events.iter().filter_map(|e| match e {
        AgentEvent::ToolCall { name, arguments, .. } => Some((name.as_str(), arguments.as_str())),
        _ => None,
    });
    bench.events.iter().filter_map(call).zip(texts).map(|(id, (name, arguments))| (id, name, arguments)).collect()
}

/// R13: one call, however many events tell of it.
#[test]
fn a_call_is_told_once_over_all_three_events() {
    let mut bench = Bench::ready();
    bench.created("r");
    let item = json!({"id": "i", "type": "function_call", "status": "completed", "call_id": "c", "name": "look_up",
        "arguments": "{\"n\":1}"});
    bench.server(json!({"type": "response.output_item.added", "response_id": "r",
        "item": {"id": "i", "type": "function_call", "call_id": "c", "name": "look_up", "arguments": ""}}));
    bench.server(json!({"type": "response.function_call_arguments.done", "response_id": "r", "item_id": "i",
        "call_id": "c", "arguments": "{\"n\":1}"}));
    assert!(calls(&bench).is_empty(), "the item is not complete yet");
    bench.server(json!({"type": "response.output_item.done", "response_id": "r", "item": item}));
    assert_eq!(calls(&bench), [(1, "look_up", "{\"n\":1}")]);
    bench.server(json!({"type": "response.output_item.done", "response_id": "r", "item": item}));
    bench.server(json!({"type": "response.done", "response": {"id": "r", "status": "completed", "output": [item]}}));
    assert_eq!(calls(&bench).len(), 1);
}

#[test]
fn each_event_alone_is_enough_when_the_response_completes() {
    let done = |output: Value| {
        json!({"type": "response.done",
        "response": {"id": "r", "status": "completed", "output": output}})
    };
    let item = json!({"id": "i", "type": "function_call", "status": "completed", "call_id": "c", "name": "f", "arguments": {"a": 1}});
    let mut bench = Bench::ready();
    bench.created("r");
    bench.server(done(json!([item])));
    assert_eq!(calls(&bench), [(1, "f", "{\"a\":1}")], "arguments as an object are JSON text too");

    // beta: the name comes with output_item.added only.
    let mut bench = Bench::ready();
    bench.created("r");
    bench.server(json!({"type": "response.output_item.added", "response_id": "r",
        "item": {"id": "i", "type": "function_call", "name": "f"}}));
    bench.server(
        json!({"type": "response.function_call_arguments.done", "response_id": "r", "item_id": "i", "call_id": "c",
        "arguments": ""}),
    );
    bench.server(done(json!([])));
    assert_eq!(calls(&bench), [(1, "f", "{}")]);
    result(&mut bench, 1, false);
    assert_eq!(bench.sent[0]["item"]["call_id"], "c");
}

#[test]
fn half_a_call_of_a_cancelled_response_is_not_told() {
    let mut bench = Bench::ready();
    bench.created("r");
    let item = json!({"id": "i", "type": "function_call", "status": "incomplete", "call_id": "c", "name": "f", "arguments": "{\"a"});
    bench.server(
        json!({"type": "response.function_call_arguments.done", "response_id": "r", "item_id": "i", "call_id": "c",
        "arguments": "{\"a"}),
    );
    bench.server(json!({"type": "response.output_item.done", "response_id": "r", "item": item}));
    bench.server(json!({"type": "response.done", "response": {"id": "r", "status": "cancelled", "output": [item]}}));
    assert!(calls(&bench).is_empty());
}

#[test]
fn result_is_an_item_and_one_create_after_response_done() {
    let mut bench = Bench::ready();
    bench.created("r");
    bench.tool_call("r", "c1");
    result(&mut bench, 1, false);
    assert_eq!(bench.sent_types(), ["conversation.item.create"], "the response still runs");
    assert_eq!(
        bench.sent[0]["item"],
        json!({"type": "function_call_output", "call_id": "c1", "output": "{\"ok\":true}"})
    );
    bench.done("r", "completed");
    assert_eq!(bench.sent_types()[1..], ["response.create"]);
}

#[test]
fn one_create_for_a_batch_after_all_its_outputs() {
    let mut bench = Bench::ready();
    bench.created("r");
    bench.tool_call("r", "c1");
    result(&mut bench, 1, false);
    bench.tool_call("r", "c2");
    bench.tool_call("r", "c3");
    bench.done("r", "completed");
    result(&mut bench, 3, false);
    assert!(!bench.sent_types().contains(&"response.create"));
    result(&mut bench, 2, true);
    let item = "conversation.item.create";
    assert_eq!(bench.sent_types(), [item, item, item, "response.create"]);
}

#[test]
fn silent_results_create_no_response() {
    let mut bench = Bench::ready();
    bench.created("r");
    bench.tool_call("r", "c1");
    bench.done("r", "completed");
    result(&mut bench, 1, true);
    assert_eq!(bench.sent_types(), ["conversation.item.create"]);
}

#[test]
fn no_create_when_the_vad_made_one_with_the_results_in_it() {
    for shown in [true, false] {
        let mut bench = Bench::ready();
        bench.created("r");
        bench.tool_call("r", "c1");
        bench.done("r", "completed");
        bench.speech_started("u");
        result(&mut bench, 1, false);
        assert_eq!(bench.sent_types(), ["conversation.item.create"], "the caller speaks");
        if shown {
            let item = json!({"id": "x", "type": "function_call_output", "call_id": "c1", "output": "{}"});
            bench.server(json!({"type": "conversation.item.created", "item": item}));
        }
        bench.speech_stopped("u");
        bench.created("vad");
        bench.done("vad", "completed");
        assert_eq!(bench.sent_types().contains(&"response.create"), !shown, "shown: {shown}");
    }
}

#[test]
fn a_create_refused_because_of_the_vad_is_repeated_only_if_its_response_missed_the_results() {
    for shown in [true, false] {
        let mut bench = Bench::ready();
        bench.created("r");
        bench.tool_call("r", "c1");
        bench.done("r", "completed");
        result(&mut bench, 1, false);
        let event_id = bench.sent[1]["event_id"].clone();
        if shown {
            bench.server(json!({"type": "conversation.item.done",
                "item": {"type": "function_call_output", "call_id": "c1"}}));
        }
        bench.created("vad");
        bench.error("conversation_already_has_active_response", &event_id);
        bench.clear();
        bench.done("vad", "completed");
        assert_eq!(bench.sent_types().contains(&"response.create"), !shown, "shown: {shown}");
    }
}

/// GA shows the call's own item once more when it is done, and it has the `call_id` of our output.
#[test]
fn the_call_item_is_not_taken_for_our_output() {
    let mut bench = Bench::ready();
    bench.created("r");
    bench.tool_call("r", "c1");
    bench.done("r", "completed");
    bench.speech_started("u");
    result(&mut bench, 1, false);
    bench.server(json!({"type": "conversation.item.done", "item": {"type": "function_call", "call_id": "c1"}}));
    bench.speech_stopped("u");
    bench.created("vad");
    bench.done("vad", "completed");
    assert_eq!(bench.sent_types(), ["conversation.item.create", "response.create"]);
}

#[test]
fn unexpected_results_are_told_and_not_sent() {
    let mut bench = Bench::ready();
    bench.created("r");
    bench.tool_call("r", "c1");
    bench.done("r", "completed");
    result(&mut bench, 1, true);
    result(&mut bench, 1, true);
    result(&mut bench, 9, false);
    assert_eq!(bench.sent.len(), 1);
    assert_eq!(bench.warnings(), ["tool_result_unexpected", "tool_result_unexpected"]);
}

#[test]
fn calls_without_any_id_or_beyond_the_limit_are_refused() {
    let mut bench = Bench::ready();
    bench.created("r");
    bench.server(json!({"type": "response.output_item.done", "response_id": "r",
        "item": {"type": "function_call", "status": "completed", "name": "f", "arguments": "{}"}}));
    for n in 0..40 {
        bench.tool_call("r", &format!("c{n}"));
    }
    assert_eq!(calls(&bench).len(), 32);
    assert_eq!(bench.warnings().iter().filter(|w| **w == "too_many_tool_calls").count(), 8);
}

#[test]
fn a_refused_item_is_told_with_its_command() {
    let mut bench = Bench::ready();
    let command = bench.intent(Intent::AddContext("It is raining.".to_owned()));
    assert_eq!(bench.sent[0]["item"]["role"], "system");
    let event_id = bench.sent[0]["event_id"].clone();
    bench.error("invalid_value", &event_id);
    assert!(matches!(&bench.events[..], [AgentEvent::Rejected { command: Some(c), .. }] if *c == command));
}
