//! `[[tool]]`: what the model may do on this number.

use super::target::targets;
use super::{Tool, ToolKind, http};
use crate::config::fields::Fields;
use crate::tools::KeyEntry;
use std::time::Duration;

const MAX_TOOLS: usize = 32;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Hangup,
    Transfer,
    SendDtmf,
    CollectDigits,
    Http,
}

impl Kind {
    const ALL: [(&'static str, Kind); 5] = [
        ("hangup", Kind::Hangup),
        ("transfer", Kind::Transfer),
        ("send_dtmf", Kind::SendDtmf),
        ("collect_digits", Kind::CollectDigits),
        ("http", Kind::Http),
    ];

    fn word(self) -> &'static str {
        Kind::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
    /// What the model reads when the file says nothing; `None` = must be written.
    fn default_description(self) -> Option<&'static str> {
        match self {
            Kind::Hangup => Some(
                "Ends the call. Say goodbye first, in the same turn; the call ends when the caller has heard it. Use it when \
                 the caller is done or says goodbye.",
            ),
            Kind::Transfer => Some(
                "Transfers the caller to one of the listed destinations. Tell the caller first where they are being put \
                 through to.",
            ),
            Kind::SendDtmf => Some("Presses telephone keys (DTMF) on the line, for menus of the other side."),
            Kind::CollectDigits => Some(
                "Waits for the caller to enter something by the telephone's keys, like a PIN or an order number, and returns it. Ask for \
                 it first, in the same turn, and say how it ends. Never repeat a PIN or a card number aloud.",
            ),
            Kind::Http => None,
        }
    }
}

pub fn read(fields: &mut Fields<'_>) -> Vec<Tool> {
    let tables = fields.tables("tool");
    if tables.len() > MAX_TOOLS {
        fields.problem("tool", format!("is there {} times, the most is {MAX_TOOLS}", tables.len()));
    }
    let mut tools: Vec<Tool> = Vec::new();
    for mut table in tables {
        let Some(tool) = tool(&mut table) else { continue };
        if tools.iter().any(|other| other.name == tool.name) {
            let message = format!("\"{}\" is the name of an earlier tool: give this one another name", tool.name);
            table.problem("name", message);
        }
        tools.push(tool);
    }
    tools
}

fn tool(fields: &mut Fields<'_>) -> Option<Tool> {
    if !fields.has("kind") {
        fields
            .problem("kind", "is missing: use \"hangup\", \"transfer\", \"send_dtmf\", \"collect_digits\" or \"http\"");
    }
    let kind = fields.choice("kind", &Kind::ALL).map(|found| found.value);
    let name = name(fields, kind);
    let description = description(fields, kind);
    let requires_verified_caller = fields.flag("requires_verified_caller").unwrap_or(false);
    let kind = match kind? {
        Kind::Hangup => ToolKind::Hangup,
        Kind::Transfer => ToolKind::Transfer { targets: targets(fields) },
        Kind::SendDtmf => ToolKind::SendDtmf { max_digits: fields.number("max_digits", 1..=64).unwrap_or(16) },
        Kind::CollectDigits => ToolKind::CollectDigits(key_entry(fields)),
        Kind::Http => ToolKind::Http(http::read(fields)),
    };
    Some(Tool { name, description, requires_verified_caller, kind })
}

fn key_entry(fields: &mut Fields<'_>) -> KeyEntry {
    let secs = |fields: &mut Fields<'_>, key, range, default| {
        Duration::from_secs(fields.number(key, range).unwrap_or(default))
    };
    let mut finish = Some('#');
    if let Some(found) = fields.words("finish_key", 4) {
        let mut letters = found.value.chars();
        finish = match (letters.next(), letters.next()) {
            (Some(key), None) if key.is_ascii_digit() || key == '*' || key == '#' => Some(key),
            _ if found.value == "none" => None,
            _ => {
                fields.problems.add(found.error("is not a key: use \"#\", \"*\", \"0\" to \"9\", or \"none\""));
                finish
            }
        };
    }
    KeyEntry {
        most: fields.number("most_keys", 1..=64).unwrap_or(32),
        finish,
        first_key: secs(fields, "first_key_secs", 1..=120, 10),
        next_key: secs(fields, "next_key_secs", 1..=60, 4),
    }
}

/// What the Realtime service takes as a function name.
fn name(fields: &mut Fields<'_>, kind: Option<Kind>) -> String {
    let Some(found) = fields.words("name", 64) else {
        if kind == Some(Kind::Http) && !fields.has("name") {
            fields.problem("name", "is missing: name the function for the model, like \"look_up_order\"");
        }
        return kind.map_or("", Kind::word).to_owned();
    };
    if !is_identifier(&found.value) {
        fields
            .problems
            .add(found.error("may have letters, digits, \"_\" and \"-\" only, as the model's function name"));
    }
    found.value
}

fn description(fields: &mut Fields<'_>, kind: Option<Kind>) -> String {
    let missing = !fields.has("description");
    let found = fields.words("description", 1024);
    let default = kind.and_then(Kind::default_description);
    if missing && kind.is_some() && default.is_none() {
        fields.problem("description", "is missing: tell the model what the tool does and when to use it");
    }
    found.map_or(default.unwrap_or("").to_owned(), |found| found.value)
}

pub fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
