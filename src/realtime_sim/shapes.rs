//! What a client may send, dialect by dialect, as data for [`super::shape`]. Everything not listed is refused: the live
//! services reject a whole event for one field of the other dialect.

use super::shape::{Field, Shape, may, need};
use Shape::*;

const LONG: usize = 1 << 20;
const STRING: Shape = Text(LONG);
const INF: i64 = i64::MAX;
const TOKENS: Shape = Either(&[Int(1, 4096), OneOf(&["inf"])]);
const STATUS: Shape = OneOf(&["completed", "incomplete", "in_progress"]);
const METADATA: Shape = Nullable(&Strings(16, 64, 512));
const PROMPT: Shape =
    Nullable(&Fields(&[need("id", STRING), may("version", Nullable(&STRING)), may("variables", Nullable(&AnyObject))]));
const TRACING: Shape = Nullable(&Either(&[
    OneOf(&["auto"]),
    Fields(&[may("workflow_name", STRING), may("group_id", STRING), may("metadata", AnyObject)]),
]));
const INCLUDE: Shape = Nullable(&List(&OneOf(&["item.input_audio_transcription.logprobs"]), 0, 8));
const FUNCTION: Shape = Fields(&[need("name", STRING), may("description", STRING), may("parameters", AnyObject)]);
const TOOL_CHOICE: Shape =
    Either(&[OneOf(&["auto", "none", "required"]), Tagged("type", &[("function", Fields(&[need("name", STRING)]))])]);
const ITEM_REFERENCE: (&str, Shape) = ("item_reference", Fields(&[need("id", STRING)]));

// ---- events that both dialects share, without `type` and `event_id`

const TRUNCATE: &[Field] =
    &[need("item_id", STRING), need("content_index", Int(0, INF)), need("audio_end_ms", Int(0, INF))];
const BY_ITEM: &[Field] = &[need("item_id", STRING)];
const APPEND: &[Field] = &[need("audio", Base64)];
const CANCEL: &[Field] = &[may("response_id", STRING)];

/// `event_id` of a client event.
pub const EVENT_ID: Shape = Text(512);

/// GA client events.
pub static GA: &[(&str, &[Field])] = &[
    ("session.update", &[need("session", GA_SESSION)]),
    ("input_audio_buffer.append", APPEND),
    ("input_audio_buffer.commit", &[]),
    ("input_audio_buffer.clear", &[]),
    ("output_audio_buffer.clear", &[]),
    ("conversation.item.create", &[need("item", Tagged("type", GA_ITEMS)), may("previous_item_id", Nullable(&STRING))]),
    ("conversation.item.delete", BY_ITEM),
    ("conversation.item.retrieve", BY_ITEM),
    ("conversation.item.truncate", TRUNCATE),
    ("response.create", &[may("response", GA_RESPONSE)]),
    ("response.cancel", CANCEL),
];

/// Preview client events.
pub static PREVIEW: &[(&str, &[Field])] = &[
    ("session.update", &[need("session", PREVIEW_SESSION)]),
    ("transcription_session.update", &[need("session", AnyObject)]),
    ("input_audio_buffer.append", APPEND),
    ("input_audio_buffer.commit", &[]),
    ("input_audio_buffer.clear", &[]),
    ("output_audio_buffer.clear", &[]),
    (
        "conversation.item.create",
        &[need("item", Tagged("type", PREVIEW_ITEMS)), may("previous_item_id", Nullable(&STRING))],
    ),
    ("conversation.item.delete", BY_ITEM),
    ("conversation.item.retrieve", BY_ITEM),
    ("conversation.item.truncate", TRUNCATE),
    ("response.create", &[may("response", PREVIEW_RESPONSE)]),
    ("response.cancel", CANCEL),
];

// ---- GA

const GA_MODALITIES: Shape = List(&OneOf(&["text", "audio"]), 1, 1);
const GA_FORMAT: Shape = Tagged(
    "type",
    &[
        ("audio/pcm", Fields(&[may("rate", Int(24_000, 24_000))])),
        ("audio/pcmu", Fields(&[])),
        ("audio/pcma", Fields(&[])),
    ],
);
const GA_VOICE: Shape = Either(&[STRING, Fields(&[need("id", STRING)])]);
const GA_TURN_DETECTION: Shape =
    Nullable(&Tagged("type", &[("server_vad", SERVER_VAD), ("semantic_vad", SEMANTIC_VAD)]));
const SERVER_VAD: Shape = Fields(&[
    may("threshold", Number(0.0, 1.0)),
    may("prefix_padding_ms", Int(0, 60_000)),
    may("silence_duration_ms", Int(0, 60_000)),
    may("create_response", Bool),
    may("interrupt_response", Bool),
    may("idle_timeout_ms", Nullable(&Int(5_000, 30_000))),
]);
const SEMANTIC_VAD: Shape = Fields(&[
    may("eagerness", OneOf(&["low", "medium", "high", "auto"])),
    may("create_response", Bool),
    may("interrupt_response", Bool),
]);
const GA_TRANSCRIPTION: Shape = Nullable(&Fields(&[
    may("model", STRING),
    may("language", STRING),
    may("languages", List(&STRING, 1, 64)),
    may("keywords", List(&STRING, 0, 1_000)),
    may("prompt", STRING),
    may("delay", OneOf(&["minimal", "low", "medium", "high", "xhigh"])),
]));
const GA_NOISE: Shape =
    Nullable(&Fields(&[may("type", OneOf(&["near_field", "far_field"])), may("strength", Number(0.0, 1.0))]));
const GA_INPUT: Shape = Fields(&[
    may("format", GA_FORMAT),
    may("transcription", GA_TRANSCRIPTION),
    may("noise_reduction", GA_NOISE),
    may("turn_detection", GA_TURN_DETECTION),
]);
const MCP_FILTER: Shape = Fields(&[may("tool_names", List(&STRING, 0, 256)), may("read_only", Bool)]);
const GA_TOOL: Shape = Tagged(
    "type",
    &[
        ("function", FUNCTION),
        (
            "mcp",
            Fields(&[
                need("server_label", STRING),
                may("server_url", STRING),
                may("connector_id", STRING),
                may("tunnel_id", STRING),
                may("authorization", STRING),
                may("server_description", STRING),
                may("headers", Nullable(&Strings(64, 256, 4_096))),
                may("allowed_tools", Nullable(&Either(&[List(&STRING, 0, 256), MCP_FILTER]))),
                may("allowed_callers", Nullable(&List(&OneOf(&["direct", "programmatic"]), 1, 2))),
                may(
                    "require_approval",
                    Nullable(&Either(&[
                        OneOf(&["always", "never"]),
                        Fields(&[may("always", MCP_FILTER), may("never", MCP_FILTER)]),
                    ])),
                ),
                may("defer_loading", Bool),
            ]),
        ),
    ],
);
const GA_TOOL_CHOICE: Shape = Either(&[
    OneOf(&["auto", "none", "required"]),
    Tagged(
        "type",
        &[
            ("function", Fields(&[need("name", STRING)])),
            ("mcp", Fields(&[need("server_label", STRING), may("name", Nullable(&STRING))])),
        ],
    ),
]);
const REASONING: Shape = Fields(&[may("effort", OneOf(&["minimal", "low", "medium", "high", "xhigh"]))]);
const GA_SESSION: Shape = Tagged(
    "type",
    &[
        (
            "realtime",
            Fields(&[
                may("model", STRING),
                may("output_modalities", GA_MODALITIES),
                may("instructions", STRING),
                may(
                    "audio",
                    Fields(&[
                        may("input", GA_INPUT),
                        may(
                            "output",
                            Fields(&[
                                may("format", GA_FORMAT),
                                may("voice", GA_VOICE),
                                may("speed", Number(0.25, 1.5)),
                            ]),
                        ),
                    ]),
                ),
                may("include", INCLUDE),
                may("tracing", TRACING),
                may("tools", List(&GA_TOOL, 0, 256)),
                may("tool_choice", GA_TOOL_CHOICE),
                may("parallel_tool_calls", Bool),
                may("reasoning", REASONING),
                may("max_output_tokens", TOKENS),
                may(
                    "truncation",
                    Either(&[
                        OneOf(&["auto", "disabled"]),
                        Tagged(
                            "type",
                            &[(
                                "retention_ratio",
                                Fields(&[
                                    need("retention_ratio", Number(0.0, 1.0)),
                                    may("token_limits", Fields(&[may("post_instructions", Int(0, INF))])),
                                ]),
                            )],
                        ),
                    ]),
                ),
                may("prompt", PROMPT),
            ]),
        ),
        ("transcription", Fields(&[may("audio", Fields(&[may("input", GA_INPUT)])), may("include", INCLUDE)])),
    ],
);
const GA_RESPONSE: Shape = Fields(&[
    may("output_modalities", GA_MODALITIES),
    may("instructions", STRING),
    may("audio", Fields(&[may("output", Fields(&[may("format", GA_FORMAT), may("voice", GA_VOICE)]))])),
    may("tools", List(&GA_TOOL, 0, 256)),
    may("tool_choice", GA_TOOL_CHOICE),
    may("parallel_tool_calls", Bool),
    may("reasoning", REASONING),
    may("max_output_tokens", TOKENS),
    may("conversation", OneOf(&["auto", "none"])),
    may("metadata", METADATA),
    may("prompt", PROMPT),
    may("input", List(&Tagged("type", GA_INPUT_ITEMS), 0, 1_000)),
]);

const OBJECT: Shape = OneOf(&["realtime.item"]);
const INPUT_TEXT: (&str, Shape) = ("input_text", Fields(&[need("text", STRING)]));
const fn message(role: &'static [(&'static str, Shape)]) -> (&'static str, Shape) {
    ("message", Tagged("role", role))
}
const fn message_fields(content: &'static Shape) -> [Field; 4] {
    [may("id", Text(32)), may("object", OBJECT), may("status", STATUS), need("content", *content)]
}
const SYSTEM_CONTENT: Shape = List(&Tagged("type", &[INPUT_TEXT]), 0, 100);
const SYSTEM_FIELDS: [Field; 4] = message_fields(&SYSTEM_CONTENT);
const GA_USER_CONTENT: Shape = List(
    &Tagged(
        "type",
        &[
            INPUT_TEXT,
            ("input_audio", Fields(&[need("audio", Base64), may("transcript", STRING)])),
            (
                "input_image",
                Fields(&[need("image_url", Text(1 << 24)), may("detail", OneOf(&["auto", "low", "high"]))]),
            ),
        ],
    ),
    0,
    100,
);
const GA_USER_FIELDS: [Field; 4] = message_fields(&GA_USER_CONTENT);
// Assistant audio cannot be created: the service asks for `item.content[0].text`.
const GA_ASSISTANT_CONTENT: Shape = List(
    &Tagged(
        "type",
        &[
            ("output_text", Fields(&[need("text", STRING)])),
            ("output_audio", Fields(&[need("text", STRING), may("audio", Base64), may("transcript", STRING)])),
        ],
    ),
    0,
    100,
);
const GA_ASSISTANT_FIELDS: [Field; 4] = message_fields(&GA_ASSISTANT_CONTENT);
const GA_MESSAGE: (&str, Shape) = message(&[
    ("system", Fields(&SYSTEM_FIELDS)),
    ("user", Fields(&GA_USER_FIELDS)),
    ("assistant", Fields(&GA_ASSISTANT_FIELDS)),
]);
const FUNCTION_CALL_OUTPUT: (&str, Shape) = (
    "function_call_output",
    Fields(&[
        may("id", Text(32)),
        may("object", OBJECT),
        may("status", STATUS),
        need("call_id", STRING),
        need("output", STRING),
    ]),
);
const GA_FUNCTION_CALL: (&str, Shape) = (
    "function_call",
    Fields(&[
        may("id", Text(32)),
        may("object", OBJECT),
        may("status", STATUS),
        may("call_id", STRING),
        need("name", STRING),
        need("arguments", STRING),
    ]),
);
const MCP_APPROVAL_RESPONSE: (&str, Shape) = (
    "mcp_approval_response",
    Fields(&[
        need("id", STRING),
        need("approval_request_id", STRING),
        need("approve", Bool),
        may("reason", Nullable(&STRING)),
    ]),
);
const GA_ITEMS: &[(&str, Shape)] = &[GA_MESSAGE, GA_FUNCTION_CALL, FUNCTION_CALL_OUTPUT, MCP_APPROVAL_RESPONSE];
const GA_INPUT_ITEMS: &[(&str, Shape)] =
    &[GA_MESSAGE, GA_FUNCTION_CALL, FUNCTION_CALL_OUTPUT, MCP_APPROVAL_RESPONSE, ITEM_REFERENCE];

// ---- preview

const PREVIEW_MODALITIES: Shape = List(&OneOf(&["text", "audio"]), 1, 2);
const PREVIEW_FORMAT: Shape = OneOf(&["pcm16", "g711_ulaw", "g711_alaw"]);
const PREVIEW_TOOL: Shape = Tagged("type", &[("function", FUNCTION)]);
const PREVIEW_SESSION: Shape = Fields(&[
    may("model", STRING),
    may("modalities", PREVIEW_MODALITIES),
    may("instructions", STRING),
    may("voice", STRING),
    may("input_audio_format", PREVIEW_FORMAT),
    may("output_audio_format", PREVIEW_FORMAT),
    may(
        "input_audio_transcription",
        Nullable(&Fields(&[may("model", STRING), may("language", STRING), may("prompt", STRING)])),
    ),
    may(
        "turn_detection",
        Nullable(&Tagged("type", &[("server_vad", SERVER_VAD), ("semantic_vad", SEMANTIC_VAD), ("none", Fields(&[]))])),
    ),
    may("input_audio_noise_reduction", Nullable(&Fields(&[may("type", OneOf(&["near_field", "far_field"]))]))),
    may("tools", List(&PREVIEW_TOOL, 0, 256)),
    may("tool_choice", TOOL_CHOICE),
    may("temperature", Number(0.6, 1.2)),
    may("max_response_output_tokens", TOKENS),
    may("speed", Number(0.25, 1.5)),
    may("tracing", TRACING),
    may("prompt", PROMPT),
    may("include", INCLUDE),
]);
const PREVIEW_RESPONSE: Shape = Fields(&[
    may("modalities", PREVIEW_MODALITIES),
    may("instructions", STRING),
    may("voice", STRING),
    may("output_audio_format", PREVIEW_FORMAT),
    may("tools", List(&PREVIEW_TOOL, 0, 256)),
    may("tool_choice", TOOL_CHOICE),
    may("temperature", Number(0.6, 1.2)),
    may("max_response_output_tokens", TOKENS),
    may("max_output_tokens", TOKENS),
    may("conversation", OneOf(&["auto", "none"])),
    may("metadata", METADATA),
    may("prompt", PROMPT),
    may("input", List(&Tagged("type", PREVIEW_INPUT_ITEMS), 0, 1_000)),
]);
const PREVIEW_USER_CONTENT: Shape = List(
    &Tagged(
        "type",
        &[INPUT_TEXT, ("input_audio", Fields(&[need("audio", Base64), may("transcript", Nullable(&STRING))]))],
    ),
    0,
    100,
);
const PREVIEW_USER_FIELDS: [Field; 4] = message_fields(&PREVIEW_USER_CONTENT);
const PREVIEW_ASSISTANT_CONTENT: Shape = List(&Tagged("type", &[("text", Fields(&[need("text", STRING)]))]), 0, 100);
const PREVIEW_ASSISTANT_FIELDS: [Field; 4] = message_fields(&PREVIEW_ASSISTANT_CONTENT);
const PREVIEW_MESSAGE: (&str, Shape) = message(&[
    ("system", Fields(&SYSTEM_FIELDS)),
    ("user", Fields(&PREVIEW_USER_FIELDS)),
    ("assistant", Fields(&PREVIEW_ASSISTANT_FIELDS)),
]);
const PREVIEW_FUNCTION_CALL: (&str, Shape) = (
    "function_call",
    Fields(&[
        may("id", Text(32)),
        may("object", OBJECT),
        may("status", STATUS),
        need("call_id", STRING),
        need("name", STRING),
        need("arguments", STRING),
    ]),
);
const PREVIEW_ITEMS: &[(&str, Shape)] = &[PREVIEW_MESSAGE, PREVIEW_FUNCTION_CALL, FUNCTION_CALL_OUTPUT];
const PREVIEW_INPUT_ITEMS: &[(&str, Shape)] =
    &[PREVIEW_MESSAGE, PREVIEW_FUNCTION_CALL, FUNCTION_CALL_OUTPUT, ITEM_REFERENCE];
