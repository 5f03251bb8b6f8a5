//! What the session is told besides instructions: first words, turn detection, transcription.

use crate::config::fields::{Fields, TextOrTable};
use crate::realtime::{Eagerness, Greeting, Transcription, TurnDetection};

const GREETING_NEXT: &str = "write greeting = { say = \"…\" }, greeting = { instructions = \"…\" }, or greeting = \"none\" \
                             if the caller shall speak first";

pub fn greeting(fields: &mut Fields<'_>) -> Greeting {
    if !fields.has("greeting") {
        fields.problem("greeting", format!("is missing: {GREETING_NEXT}"));
    }
    match fields.text_or_table("greeting", "a table, or \"none\"") {
        None => Greeting::None,
        Some(TextOrTable::Text(text)) => {
            if text.value != "none" {
                fields.problems.add(text.error(format!("is not understood: {GREETING_NEXT}")));
            }
            Greeting::None
        }
        Some(TextOrTable::Table(mut table)) => match (table.words("say", 2000), table.words("instructions", 2000)) {
            (Some(say), None) => Greeting::Say(say.value),
            (None, Some(instructions)) => Greeting::Instructions(instructions.value),
            (Some(say), Some(_)) => {
                table.problems.add(say.error("and instructions are both given: keep one of them"));
                Greeting::Say(say.value)
            }
            (None, None) => {
                if !table.has("say") && !table.has("instructions") {
                    table.problem("", format!("says nothing: {GREETING_NEXT}"));
                }
                Greeting::None
            }
        },
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Vad {
    Server,
    Semantic,
}

pub fn turn_detection(mut fields: Fields<'_>) -> TurnDetection {
    let types = [("server_vad", Vad::Server), ("semantic_vad", Vad::Semantic)];
    let vad = fields.choice("type", &types).map_or(Vad::Server, |found| found.value);
    let create = fields.flag("create_response").unwrap_or(true);
    let interrupt = fields.flag("interrupt_response").unwrap_or(true);
    match vad {
        Vad::Server => {
            fields.only_with(&["eagerness"], "type = \"semantic_vad\"");
            let mut wanted = TurnDetection::default();
            if let TurnDetection::ServerVad {
                threshold,
                prefix_padding_ms,
                silence_duration_ms,
                create_response,
                interrupt_response,
                idle_timeout_ms,
            } = &mut wanted
            {
                *threshold = fields.decimal("threshold", 0.0..=1.0).unwrap_or(*threshold);
                *prefix_padding_ms = fields.number("prefix_padding_ms", 0..=5000).unwrap_or(*prefix_padding_ms);
                *silence_duration_ms =
                    fields.number("silence_duration_ms", 100..=10_000).unwrap_or(*silence_duration_ms);
                *idle_timeout_ms = fields.number("idle_timeout_ms", 5000..=30_000).or(*idle_timeout_ms);
                (*create_response, *interrupt_response) = (create, interrupt);
            }
            wanted
        }
        Vad::Semantic => {
            let server_only = ["threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms"];
            fields.only_with(&server_only, "type = \"server_vad\"");
            let words = [
                ("low", Eagerness::Low),
                ("medium", Eagerness::Medium),
                ("high", Eagerness::High),
                ("auto", Eagerness::Auto),
            ];
            let eagerness = fields.choice("eagerness", &words).map_or(Eagerness::Auto, |found| found.value);
            TurnDetection::SemanticVad { eagerness, create_response: create, interrupt_response: interrupt }
        }
    }
}

/// On if the table is there, or if transcripts are kept (they need the caller's words). The language is pinned to the
/// dialplan's: on 8 kHz audio a model that guesses it writes down the wrong one.
pub fn transcription(fields: &mut Fields<'_>, language: Option<&str>, transcript: bool) -> Option<Transcription> {
    let wanted = fields.has("transcription") || transcript;
    let mut table = fields.table("transcription");
    let model = table.words("model", 128).map_or("whisper-1".to_owned(), |found| found.value);
    let own_language = table.words("language", 3).and_then(|found| {
        let valid = found.value.len() >= 2 && found.value.bytes().all(|b| b.is_ascii_lowercase());
        if !valid {
            table.problems.add(found.error("is not an ISO 639 code: write one like \"en\" or \"de\""));
        }
        valid.then_some(found.value)
    });
    let primary = || language.and_then(|tag| tag.split('-').next()).map(str::to_ascii_lowercase);
    let language = own_language.or_else(primary);
    let prompt = table.words("prompt", 2000).map(|found| found.value);
    wanted.then_some(Transcription { model, language, prompt })
}
