//! What an event means: the names of both dialects, folded.

/// The meaning of a server event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    Committed,
    /// Any of `conversation.item.created` (beta), `.added`, `.done` (GA).
    ItemInConversation,
    CallerTranscript,
    CallerTranscriptFailed,
    ResponseCreated,
    OutputItemAdded,
    OutputItemDone,
    ContentPartDone,
    AudioDelta,
    AudioDone,
    TranscriptDelta,
    TranscriptDone,
    ArgumentsDone,
    ResponseDone,
    Error,
    /// Known and of no consequence here.
    Ignored,
    Unknown,
}

impl Kind {
    pub fn of(name: &str) -> Kind {
        match name {
            // xAI's first event is conversation.created; elsewhere it follows session.created.
            "session.created" | "conversation.created" => Kind::SessionCreated,
            "session.updated" => Kind::SessionUpdated,
            "input_audio_buffer.speech_started" => Kind::SpeechStarted,
            "input_audio_buffer.speech_stopped" => Kind::SpeechStopped,
            "input_audio_buffer.committed" => Kind::Committed,
            "conversation.item.created" | "conversation.item.added" | "conversation.item.done" => {
                Kind::ItemInConversation
            }
            // The second name stands in Azure's documents only.
            "conversation.item.input_audio_transcription.completed"
            | "conversation.item.audio_transcription.completed" => Kind::CallerTranscript,
            "conversation.item.input_audio_transcription.failed" => Kind::CallerTranscriptFailed,
            "response.created" => Kind::ResponseCreated,
            "response.output_item.added" => Kind::OutputItemAdded,
            "response.output_item.done" => Kind::OutputItemDone,
            "response.content_part.done" => Kind::ContentPartDone,
            "response.output_audio.delta" | "response.audio.delta" => Kind::AudioDelta,
            "response.output_audio.done" | "response.audio.done" => Kind::AudioDone,
            "response.output_audio_transcript.delta" | "response.audio_transcript.delta" => Kind::TranscriptDelta,
            "response.output_audio_transcript.done" | "response.audio_transcript.done" => Kind::TranscriptDone,
            "response.function_call_arguments.done" => Kind::ArgumentsDone,
            // Documented by some, sent by look-alikes: the response is over.
            "response.done" | "response.cancelled" => Kind::ResponseDone,
            "error" => Kind::Error,
            "conversation.item.deleted"
            | "conversation.item.truncated"
            | "conversation.item.retrieved"
            | "conversation.item.input_audio_transcription.delta"
            | "conversation.item.input_audio_transcription.segment"
            | "input_audio_buffer.cleared"
            | "input_audio_buffer.timeout_triggered"
            | "input_audio_buffer.dtmf_event_received"
            | "output_audio_buffer.started"
            | "output_audio_buffer.stopped"
            | "output_audio_buffer.cleared"
            | "rate_limits.updated"
            | "response.content_part.added"
            | "response.function_call_arguments.delta"
            | "response.output_text.delta"
            | "response.output_text.done"
            | "response.text.delta"
            | "response.text.done"
            | "transcription_session.created"
            | "transcription_session.updated" => Kind::Ignored,
            _ if name.starts_with("response.mcp_call") || name.starts_with("mcp_list_tools.") => Kind::Ignored,
            _ => Kind::Unknown,
        }
    }
}
