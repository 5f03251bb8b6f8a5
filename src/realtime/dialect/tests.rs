//! What goes over the wire, field by field (the schemas are in the conformance tests).

use super::*;

fn spec() -> AgentSpec {
    AgentSpec {
        instructions: "Be brief.".to_owned(),
        voice: Some("marin".to_owned()),
        format: AudioFormat::Pcm24k,
        turn_detection: TurnDetection::ServerVad {
            threshold: 0.6,
            prefix_padding_ms: 300,
            silence_duration_ms: 500,
            create_response: true,
            interrupt_response: false,
            idle_timeout_ms: None,
        },
        transcription: None,
        noise_reduction: None,
        tools: vec![ToolDefinition {
            name: "hang_up".to_owned(),
            description: "Ends".to_owned(),
            parameters: json!({"type": "object"}),
        }],
        temperature: Some(1.2),
        max_output_tokens: Some(900),
        speed: Some(1.1),
    }
}

fn event(dialect: DialectKind, command: &Command<'_>) -> Value {
    let value: Value = serde_json::from_str(&encode(dialect, command, "vt_9")).expect("JSON");
    assert_eq!(value["event_id"], "vt_9");
    value
}

#[test]
fn ga_session_is_nested_and_explicit() {
    let event = event(DialectKind::Ga, &Command::SessionUpdate(&spec()));
    let tool = json!({"type": "function", "name": "hang_up", "description": "Ends", "parameters": {"type": "object"}});
    let expected = json!({
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": "Be brief.",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "turn_detection": {
                    "type": "server_vad", "threshold": 0.6, "prefix_padding_ms": 300, "silence_duration_ms": 500,
                    "create_response": true, "interrupt_response": false, "idle_timeout_ms": null,
                },
                "transcription": null,
                "noise_reduction": null,
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.1},
        },
        "tools": [tool],
        "tool_choice": "auto",
        "max_output_tokens": 900,
    });
    assert_eq!(event["session"], expected);
}

#[test]
fn preview_session_is_flat_with_temperature() {
    let mut spec = spec();
    spec.format = AudioFormat::Pcmu;
    spec.speed = None;
    spec.tools.clear();
    spec.transcription =
        Some(Transcription { model: "whisper-1".to_owned(), language: Some("de".to_owned()), prompt: None });
    let event = event(DialectKind::Preview, &Command::SessionUpdate(&spec));
    let expected = json!({
        "modalities": ["audio", "text"],
        "instructions": "Be brief.",
        "voice": "marin",
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_ulaw",
        "input_audio_transcription": {"model": "whisper-1", "language": "de"},
        "turn_detection": {
            "type": "server_vad", "threshold": 0.6, "prefix_padding_ms": 300, "silence_duration_ms": 500,
            "create_response": true, "interrupt_response": false,
        },
        "tools": [],
        "tool_choice": "auto",
        "temperature": 1.2,
        "max_response_output_tokens": 900,
    });
    assert_eq!(event["session"], expected);
}

#[test]
fn exact_words_have_an_empty_input_on_ga_only() {
    let ga = event(DialectKind::Ga, &Command::RespondExactly("Hello \"you\"."));
    assert_eq!(ga["response"]["input"], json!([]));
    assert!(ga["response"]["instructions"].as_str().is_some_and(|i| i.ends_with("\n\nHello \"you\".")));
    let preview = event(DialectKind::Preview, &Command::RespondExactly("Hello"));
    assert!(preview["response"].get("input").is_none());
}

#[test]
fn small_events() {
    for dialect in [DialectKind::Ga, DialectKind::Preview] {
        assert_eq!(event(dialect, &Command::Respond), json!({"type": "response.create", "event_id": "vt_9"}));
        assert_eq!(
            event(dialect, &Command::Truncate { item_id: "i", content_index: 1, audio_end_ms: 1340 }),
            json!({"type": "conversation.item.truncate", "item_id": "i", "content_index": 1, "audio_end_ms": 1340,
                   "event_id": "vt_9"})
        );
        assert_eq!(
            event(dialect, &Command::Cancel { response_id: Some("r") }),
            json!({"type": "response.cancel", "response_id": "r", "event_id": "vt_9"})
        );
        let output = event(dialect, &Command::FunctionCallOutput { call_id: "c", output: "{}" });
        assert_eq!(output["item"], json!({"type": "function_call_output", "call_id": "c", "output": "{}"}));
        let text = event(dialect, &Command::Text { id: "i", role: Role::System, text: "t" });
        assert_eq!(text["item"]["role"], "system");
        assert_eq!(text["item"]["content"], json!([{"type": "input_text", "text": "t"}]));
    }
}

#[test]
fn custom_voice_is_an_object_on_ga() {
    let mut spec = spec();
    spec.voice = Some("voice_123".to_owned());
    let ga = event(DialectKind::Ga, &Command::SessionUpdate(&spec));
    assert_eq!(ga["session"]["audio"]["output"]["voice"], json!({"id": "voice_123"}));
}

#[test]
fn echoed_formats_are_compared_over_both_spellings() {
    let format = |name: &'static str, rate| Format { name: name.into(), rate };
    assert!(same_format(AudioFormat::Pcm24k, &format("pcm16", 0)));
    assert!(same_format(AudioFormat::Pcm24k, &format("audio/pcm", 24_000)));
    assert!(!same_format(AudioFormat::Pcm24k, &format("audio/pcm", 16_000)));
    assert!(same_format(AudioFormat::Pcmu, &format("g711_ulaw", 0)));
    assert!(!same_format(AudioFormat::Pcmu, &format("audio/pcma", 0)));
    assert!(same_format(AudioFormat::Pcma, &format("", 0)));
}
