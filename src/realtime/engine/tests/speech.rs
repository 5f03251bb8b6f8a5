//! Segments, transcripts and caller turns.

use super::*;

#[test]
fn one_segment_for_each_item_and_part() {
    let mut bench = Bench::ready();
    bench.created("r");
    bench.audio("r", "a", 20);
    bench.audio("r", "a", 20);
    bench.audio_done("r", "a");
    bench.audio("r", "b", 20);
    bench.done("r", "completed");
    let id = |n| SegmentId(n);
    let outcome = SegmentOutcome::Completed;
    let audio = |n| AgentEvent::Audio { segment: id(n), audio: vec![0x55; 160] };
    assert_eq!(
        bench.events[..8],
        [
            AgentEvent::ResponseStarted,
            AgentEvent::SegmentStarted { segment: id(1) },
            audio(1),
            audio(1),
            AgentEvent::SegmentEnded { segment: id(1), outcome },
            AgentEvent::SegmentStarted { segment: id(2) },
            audio(2),
            AgentEvent::SegmentEnded { segment: id(2), outcome },
        ]
    );
}

#[test]
fn transcript_comes_from_whichever_event_has_it_first() {
    let part = json!({"type": "audio", "transcript": "Hello"});
    let item = json!({"id": "i", "type": "message", "status": "completed", "content": [part]});
    for event in [
        json!({"type": "response.output_audio_transcript.done", "response_id": "r", "item_id": "i", "transcript": "Hello"}),
        json!({"type": "response.audio_transcript.done", "response_id": "r", "item_id": "i", "transcript": "Hello"}),
        json!({"type": "response.content_part.done", "response_id": "r", "item_id": "i", "part": part}),
        json!({"type": "response.output_item.done", "response_id": "r", "item": item}),
        json!({"type": "response.done", "response": {"id": "r", "status": "completed", "output": [item]}}),
    ] {
        let mut bench = Bench::ready();
        bench.created("r");
        bench.audio("r", "i", 20);
        bench.server(event.clone());
        bench
            .server(json!({"type": "response.done", "response": {"id": "r", "status": "completed", "output": [item]}}));
        let texts = bench.events.iter().filter(|e| matches!(e, AgentEvent::AgentText { text, .. } if text == "Hello"));
        assert_eq!(texts.count(), 1, "{event}");
    }
}

#[test]
fn transcript_ahead_of_the_audio_waits_for_the_segment() {
    let mut bench = Bench::ready();
    bench.created("r");
    bench.server(json!({"type": "response.output_audio_transcript.done", "response_id": "r", "item_id": "i", "transcript": "Hi"}));
    assert_eq!(bench.events, [AgentEvent::ResponseStarted]);
    bench.audio("r", "i", 20);
    assert!(bench.events.contains(&AgentEvent::AgentText { segment: SegmentId(1), text: "Hi".to_owned() }));
}

#[test]
fn audio_without_response_created_or_any_id_is_heard() {
    for (response, item) in [("r", "i"), ("", "i"), ("", "")] {
        let mut bench = Bench::ready();
        bench.audio(response, item, 20);
        bench.audio(response, item, 20);
        bench.done(response, "completed");
        let audio = bench.events.iter().filter(|e| matches!(e, AgentEvent::Audio { .. })).count();
        assert_eq!((audio, bench.events.first()), (2, Some(&AgentEvent::ResponseStarted)));
        assert!(matches!(bench.events.last(), Some(AgentEvent::ResponseEnded { spoke: true, failed: None })));
    }
}

#[test]
fn bad_base64_is_a_warning() {
    let mut bench = Bench::ready();
    bench.server(json!({"type": "response.audio.delta", "response_id": "r", "item_id": "i", "delta": "!!!"}));
    assert_eq!(bench.warnings(), ["bad_base64"]);
}

#[test]
fn caller_turns_and_late_transcripts() {
    let mut bench = Bench::ready();
    bench.speech_started("a");
    bench.speech_stopped("a");
    bench.speech_started("b");
    let transcript = |item: &str, text: &str| json!({"type": "conversation.item.input_audio_transcription.completed", "item_id": item, "transcript": text});
    bench.server(transcript("b", " second "));
    bench.server(transcript("a", "first"));
    bench.server(transcript("a", "first"));
    bench.server(transcript("c", "  "));
    assert_eq!(
        bench.events,
        [
            AgentEvent::CallerSpeechStarted { turn: 1, audio_ms: 100 },
            AgentEvent::CallerSpeechStopped { turn: 1, audio_ms: 900 },
            AgentEvent::CallerSpeechStarted { turn: 2, audio_ms: 100 },
            AgentEvent::CallerText { turn: 2, text: "second".to_owned() },
            AgentEvent::CallerText { turn: 1, text: "first".to_owned() },
        ]
    );
}

#[test]
fn usage_is_summed_and_counted_once_a_response() {
    let mut bench = Bench::ready();
    let done = |id: &str| {
        json!({"type": "response.done", "response": {"id": id, "status": "completed", "usage": {"total_tokens": 82,
            "input_tokens": 5, "output_tokens": 77, "input_token_details": {"text_tokens": 5, "cached_tokens": 2},
            "output_token_details": {"text_tokens": 21, "audio_tokens": 56}}}})
    };
    bench.server(done("r1"));
    bench.server(done("r1"));
    bench.server(done("r2"));
    let usage = bench.session.usage();
    assert_eq!((usage.total, usage.output_audio, usage.cached, usage.responses), (164, 112, 4, 2));
    assert!(bench.events.contains(&AgentEvent::Usage(usage)));
}
