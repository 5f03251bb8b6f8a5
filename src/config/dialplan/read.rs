//! A dialplan file, field by field: numbers, words, voice, and where the other parts are read.

use super::{
    AnswerPolicy, AudioChoice, CallerField, Dialplan, Fallback, Limits, NumberPattern, OnResume, agent, tools,
};
use crate::audio::front::{EchoMode, FrontParams};
use crate::audio::level::LevelParams;
use crate::config::document::{At, Table};
use crate::config::fields::{Fields, Found, Problems, TextOrTable};
use crate::config::suggest;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Longest instructions, bytes.
const MAX_INSTRUCTIONS_BYTES: u64 = 64 * 1024;
const DEFAULT_STEM: &str = "default";

const ON_RESUME: [(&str, OnResume); 3] =
    [("tell", OnResume::Tell), ("speak", OnResume::Speak), ("silent", OnResume::Silent)];
const CALLER_FIELDS: [(&str, CallerField); 5] = [
    ("number", CallerField::Number),
    ("name", CallerField::Name),
    ("forwarded_from", CallerField::ForwardedFrom),
    ("user_to_user", CallerField::UserToUser),
    ("headers", CallerField::Headers),
];

pub fn dialplan(problems: &Problems, file: &Path, table: Table) -> Dialplan {
    let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let mut fields = Fields::new(problems, At::file(&file.display().to_string()), table);
    let tools = tools::read(&mut fields);
    let language = language(&mut fields);
    let transcript = fields.flag("transcript").unwrap_or(false);
    let transcription = agent::transcription(&mut fields, language.as_deref(), transcript);
    let noise_reductions = [("near_field", "near_field"), ("far_field", "far_field")];
    let (audio, level, front) = audio(&mut fields);
    let answer = [("when_ready", AnswerPolicy::WhenReady), ("at_once", AnswerPolicy::AtOnce)];
    let mut plan = Dialplan {
        file: file.to_owned(),
        numbers: numbers(&mut fields, &name),
        instructions: instructions(&mut fields, file),
        greeting: agent::greeting(&mut fields),
        language,
        provider: fields.words("provider", 64).map(|found| found.value),
        model: fields.words("model", 128).map(|found| found.value),
        voice: fields.words("voice", 128).map(|found| found.value),
        turn_detection: agent::turn_detection(fields.table("turn_detection")),
        transcription,
        noise_reduction: fields.choice("noise_reduction", &noise_reductions).map(|found| found.value.to_owned()),
        temperature: fields.decimal("temperature", 0.6..=1.2),
        speed: fields.decimal("speed", 0.25..=1.5),
        max_output_tokens: fields.number("max_output_tokens", 1..=128_000),
        audio,
        level,
        front,
        answer: fields.choice("answer", &answer).map_or_else(AnswerPolicy::default, |found| found.value),
        tools,
        limits: limits(fields.table("limits")),
        fallback: Fallback::default(),
        transcript,
        caller_info: caller_info(&mut fields),
        on_resume: fields.choice("on_resume", &ON_RESUME).map_or_else(OnResume::default, |found| found.value),
        name,
    };
    plan.fallback = fallback(fields.table("fallback"), &plan, file);
    plan
}

/// `audio = "g711"` is short for `[audio] format`.
fn audio(fields: &mut Fields<'_>) -> (AudioChoice, LevelParams, FrontParams) {
    const FORMATS: [(&str, AudioChoice); 2] = [("pcm16", AudioChoice::Pcm16), ("g711", AudioChoice::G711)];
    if fields.is_text("audio") {
        let format = fields.choice("audio", &FORMATS).map_or_else(AudioChoice::default, |found| found.value);
        return (format, LevelParams::default(), FrontParams::default());
    }
    let mut table = fields.table("audio");
    let format = table.choice("format", &FORMATS).map_or_else(AudioChoice::default, |found| found.value);
    (format, level(&mut table), front(&mut table))
}

/// What is done to the agent's audio.
fn level(table: &mut Fields<'_>) -> LevelParams {
    let level = LevelParams::default();
    LevelParams {
        volume_db: table.decimal("volume_db", -20.0..=12.0).unwrap_or(level.volume_db),
        comfort_noise: table
            .number::<i8>("comfort_noise_dbov", -80..=-50)
            .map_or(level.comfort_noise, |dbov| Some(dbov.unsigned_abs())),
    }
}

/// What is done to the caller's audio.
fn front(table: &mut Fields<'_>) -> FrontParams {
    const GUARDS: [(&str, EchoMode); 2] = [("auto", EchoMode::Auto), ("off", EchoMode::Off)];
    let front = FrontParams::default();
    FrontParams {
        high_pass: table.flag("high_pass").unwrap_or(front.high_pass),
        gain_control: table.flag("gain_control").unwrap_or(front.gain_control),
        echo_guard: table.choice("echo_guard", &GUARDS).map_or(front.echo_guard, |found| found.value),
    }
}

fn numbers(fields: &mut Fields<'_>, name: &str) -> Vec<NumberPattern> {
    let mut patterns = Vec::new();
    if name == DEFAULT_STEM {
        patterns.push(NumberPattern::Default);
    } else if !fields.has("numbers") {
        fields.problem("numbers", "is missing: list what is dialled, like [\"+15551230001\", \"+1555*\"]");
    }
    let Some(list) = fields.texts("numbers") else { return patterns };
    if list.value.is_empty() && name != DEFAULT_STEM {
        fields.problems.add(list.error("is empty: list what is dialled, like [\"+15551230001\", \"+1555*\"]"));
    }
    for number in list.value {
        match pattern(&number.value) {
            Ok(pattern) if patterns.contains(&pattern) => {
                fields.problems.add(number.error(format!("\"{}\" is listed twice: remove one", number.value)));
            }
            Ok(pattern) => patterns.push(pattern),
            Err(message) => fields.problems.add(number.error(message)),
        }
    }
    patterns
}

/// `+15551230001`, `200`, `reception`, `+1555*`.
fn pattern(text: &str) -> Result<NumberPattern, String> {
    let shown = crate::config::fields::shorten(text);
    let (number, prefix) = match text.strip_suffix('*') {
        Some(number) => (number, true),
        None => (text, false),
    };
    if prefix && number.is_empty() {
        return Err("\"*\" alone would be every number: name the file default.toml instead".into());
    }
    match crate::config::book::normalise(number) {
        Some(normal) if normal == number && prefix => Ok(NumberPattern::Prefix(normal)),
        Some(normal) if normal == number => Ok(NumberPattern::Exact(normal)),
        Some(normal) => {
            let star = if prefix { "*" } else { "" };
            Err(format!("\"{shown}\" has signs that are not dialled: write \"{normal}{star}\""))
        }
        None => Err(format!(
            "\"{shown}\" is not a number: write E.164 like \"+15551230001\", an extension like \"200\", \
             or a prefix like \"+1555*\""
        )),
    }
}

const INSTRUCTIONS_NEXT: &str =
    "write instructions = { file = \"NAME.md\" } for a file beside this one, or instructions = \"the text itself\"";

fn instructions(fields: &mut Fields<'_>, file: &Path) -> String {
    if !fields.has("instructions") {
        fields.problem("instructions", format!("is missing: {INSTRUCTIONS_NEXT}"));
    }
    match fields.text_or_table("instructions", "a string, or { file = \"NAME.md\" }") {
        None => String::new(),
        Some(TextOrTable::Text(text)) => inline(fields.problems, text),
        Some(TextOrTable::Table(mut table)) => match (table.words("file", 255), table.text("text")) {
            (Some(name), None) => markdown(table.problems, file, &name),
            (None, Some(text)) => inline(table.problems, text),
            (Some(name), Some(_)) => {
                table.problems.add(name.error("and text are both given: keep one of them"));
                String::new()
            }
            (None, None) => {
                if !table.has("file") && !table.has("text") {
                    table.problem("file", format!("is missing: {INSTRUCTIONS_NEXT}"));
                }
                String::new()
            }
        },
    }
}

fn inline(problems: &Problems, text: Found<String>) -> String {
    if text.value.trim().is_empty() {
        problems.add(text.error(format!("is empty: {INSTRUCTIONS_NEXT}")));
    } else if text.value.len() as u64 > MAX_INSTRUCTIONS_BYTES {
        problems.add(text.error("is longer than 64 KiB: shorten it"));
    }
    text.value
}

/// The text of a file beside the dialplan. A path that leads elsewhere is refused.
fn markdown(problems: &Problems, file: &Path, name: &Found<String>) -> String {
    let Some(path) = beside(file, &name.value) else {
        problems
            .add(name.error("must be a file beside this one: write its name without \"..\" and without leading \"/\""));
        return String::new();
    };
    match crate::config::read_text(&path, MAX_INSTRUCTIONS_BYTES) {
        Err(error) => {
            problems.add(name.error(format!("{} {}", path.display(), error.message)));
            String::new()
        }
        Ok(text) if text.trim().is_empty() => {
            problems.add(name.error(format!("{} is empty: write what the agent is and does", path.display())));
            text
        }
        Ok(text) => text,
    }
}

/// `name` in the directory of `file` or below it.
fn beside(file: &Path, name: &str) -> Option<PathBuf> {
    let relative = Path::new(name);
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    inside.then(|| file.parent().unwrap_or(Path::new("")).join(relative))
}

/// BCP 47 by shape: `en`, `de-DE`, `zh-Hant-TW`.
fn language(fields: &mut Fields<'_>) -> Option<String> {
    let found = fields.words("language", 35)?;
    let mut subtags = found.value.split('-');
    let primary =
        subtags.next().is_some_and(|tag| (2..=3).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphabetic()));
    let rest = subtags.all(|tag| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric()));
    if primary && rest {
        return Some(found.value);
    }
    fields.problems.add(found.error("is not a language tag: write one like \"en\" or \"de-DE\""));
    None
}

/// Which of the caller's data the model is given.
fn caller_info(fields: &mut Fields<'_>) -> Vec<CallerField> {
    let mut wanted = Vec::new();
    for found in fields.texts("caller_info").map(|list| list.value).unwrap_or_default() {
        match CALLER_FIELDS.iter().find(|(word, _)| *word == found.value) {
            Some((_, field)) if wanted.contains(field) => {
                fields.problems.add(found.error(format!("\"{}\" is listed twice: remove one", found.value)));
            }
            Some((_, field)) => wanted.push(*field),
            None => {
                let words: Vec<&str> = CALLER_FIELDS.iter().map(|(word, _)| *word).collect();
                let hint = suggest::hint(&found.value, words.iter().copied());
                let shown = crate::config::fields::shorten(&found.value);
                let list = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
                fields.problems.add(found.error(format!("\"{shown}\" is not known: use one of {list}.{hint}")));
            }
        }
    }
    wanted
}

fn limits(mut fields: Fields<'_>) -> Limits {
    let default = Limits::default();
    let max_call = fields.number("max_call_minutes", 1..=1440).map(|minutes: u64| Duration::from_secs(minutes * 60));
    let mut secs = |key, range, default| fields.number(key, range).map_or(default, Duration::from_secs);
    let silence = secs("caller_silence_secs", 0..=3600, default.caller_silence.unwrap_or_default());
    Limits {
        max_call: max_call.unwrap_or(default.max_call),
        no_media_start: secs("no_media_start_secs", 5..=3600, default.no_media_start),
        no_media: secs("no_media_secs", 5..=3600, default.no_media),
        caller_silence: (!silence.is_zero()).then_some(silence),
        check_in: fields.words("check_in", 2000).map_or(default.check_in, |found| found.value),
        goodbye: fields.words("goodbye", 2000).map_or(default.goodbye, |found| found.value),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Action {
    Reject,
    Transfer,
    Apology,
}

fn fallback(mut fields: Fields<'_>, plan: &Dialplan, file: &Path) -> Fallback {
    let actions = [("reject", Action::Reject), ("transfer", Action::Transfer), ("apology", Action::Apology)];
    let action = fields.choice("action", &actions).map_or(Action::Reject, |found| found.value);
    match action {
        Action::Reject => {
            fields.only_with(&["target"], "action = \"transfer\"");
            fields.only_with(&["wav"], "action = \"apology\"");
            Fallback::Reject
        }
        Action::Transfer => {
            fields.only_with(&["wav"], "action = \"apology\"");
            if !fields.has("target") {
                fields.problem("target", "is missing: name a target of a transfer tool of this file");
            }
            let Some(target) = fields.words("target", 64) else { return Fallback::Reject };
            if !plan.transfer_targets().any(|known| known.name == target.value) {
                let names: Vec<&str> = plan.transfer_targets().map(|known| known.name.as_str()).collect();
                let message = if names.is_empty() {
                    "names a transfer target, but this file has no transfer tool: add [[tool]] kind = \"transfer\""
                        .into()
                } else {
                    let hint = suggest::hint(&target.value, names.iter().copied());
                    format!("\"{}\" is not a transfer target of this file ({}).{hint}", target.value, names.join(", "))
                };
                fields.problems.add(target.error(message));
            }
            Fallback::Transfer { target: target.value }
        }
        Action::Apology => {
            fields.only_with(&["target"], "action = \"transfer\"");
            Fallback::Apology { wav: fields.words("wav", 255).and_then(|wav| wav_file(fields.problems, file, &wav)) }
        }
    }
}

fn wav_file(problems: &Problems, file: &Path, name: &Found<String>) -> Option<PathBuf> {
    let path = file.parent().unwrap_or(Path::new("")).join(&name.value);
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_file() => Some(path),
        Ok(_) => {
            problems.add(name.error(format!("{} is not a file", path.display())));
            None
        }
        Err(error) => {
            problems.add(name.error(format!("{} cannot be read: {error}", path.display())));
            None
        }
    }
}
