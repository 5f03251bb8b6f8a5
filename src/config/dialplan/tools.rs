//! `[[tool]]`: what the model may do on this number.

use super::{Tool, ToolKind, TransferTarget, http};
use crate::config::fields::{Fields, Found};

const MAX_TOOLS: usize = 32;
const MAX_TARGETS: usize = 64;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Hangup,
    Transfer,
    SendDtmf,
    Http,
}

impl Kind {
    const ALL: [(&'static str, Kind); 4] =
        [("hangup", Kind::Hangup), ("transfer", Kind::Transfer), ("send_dtmf", Kind::SendDtmf), ("http", Kind::Http)];

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
        fields.problem("kind", "is missing: use \"hangup\", \"transfer\", \"send_dtmf\" or \"http\"");
    }
    let kind = fields.choice("kind", &Kind::ALL).map(|found| found.value);
    let name = name(fields, kind);
    let description = description(fields, kind);
    let kind = match kind? {
        Kind::Hangup => ToolKind::Hangup,
        Kind::Transfer => ToolKind::Transfer { targets: targets(fields) },
        Kind::SendDtmf => ToolKind::SendDtmf { max_digits: fields.number("max_digits", 1..=64).unwrap_or(16) },
        Kind::Http => ToolKind::Http(http::read(fields)),
    };
    Some(Tool { name, description, kind })
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

fn targets(fields: &mut Fields<'_>) -> Vec<TransferTarget> {
    let tables = fields.tables("target");
    if tables.is_empty() && !fields.has("target") {
        fields.problem("target", "is missing: add [[tool.target]] with name, description and uri");
    }
    if tables.len() > MAX_TARGETS {
        fields.problem("target", format!("is there {} times, the most is {MAX_TARGETS}", tables.len()));
    }
    let mut targets: Vec<TransferTarget> = Vec::new();
    for mut table in tables {
        let target = TransferTarget {
            name: required(&mut table, "name", 64, "the word the model picks, like \"sales\""),
            description: required(&mut table, "description", 1024, "tell the model who or what is there"),
            uri: target_uri(&mut table),
        };
        if targets.iter().any(|other| other.name == target.name && !target.name.is_empty()) {
            table.problem("name", format!("\"{}\" is the name of an earlier target: choose another", target.name));
        }
        targets.push(target);
    }
    targets
}

fn required(fields: &mut Fields<'_>, key: &'static str, max: usize, next: &str) -> String {
    if !fields.has(key) {
        fields.problem(key, format!("is missing: {next}"));
    }
    fields.words(key, max).map(|found| found.value).unwrap_or_default()
}

fn target_uri(fields: &mut Fields<'_>) -> String {
    if !fields.has("uri") {
        fields.problem("uri", "is missing: write sip:user@host, sips:user@host or tel:+15551230001");
    }
    let Some(found) = fields.words("uri", 512) else { return String::new() };
    if let Err(message) = check_uri(&found) {
        fields.problems.add(found.error(message));
    }
    found.value
}

/// Goes into a Refer-To header as it is, so nothing that could end it there, and no URI headers (RFC 3261 §19.1.1),
/// which would reach into the request the far side makes.
fn check_uri(found: &Found<String>) -> Result<(), String> {
    let uri = found.value.as_str();
    if let Some(bad) = uri.chars().find(|c| !c.is_ascii_graphic() || "<>\"`{}\\^|,".contains(*c)) {
        return Err(format!("contains {bad:?}, which cannot stand in a URI"));
    }
    if uri.contains('?') {
        return Err("has URI headers (?…), which are not allowed here: remove them".into());
    }
    if let Some(number) = uri.strip_prefix("tel:") {
        let digits = number.split(';').next().unwrap_or("");
        let bare = digits.strip_prefix('+').unwrap_or(digits);
        let dialled = |b: u8| b.is_ascii_digit() || b"*#-.()".contains(&b);
        if bare.is_empty() || !bare.bytes().all(dialled) || !bare.bytes().any(|b| b.is_ascii_digit()) {
            return Err("is not a tel URI: write tel:+15551230001".into());
        }
        return Ok(());
    }
    let Some(rest) = uri.strip_prefix("sip:").or_else(|| uri.strip_prefix("sips:")) else {
        return Err("has no known scheme: write sip:user@host, sips:user@host or tel:+15551230001".into());
    };
    let host_part = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host_part.split(';').next().unwrap_or("");
    match crate::config::url::Url::parse(&format!("sip://{host}")) {
        Ok(url) if url.path.is_empty() && url.query.is_none() && !rest.starts_with('@') => Ok(()),
        Ok(_) => Err("is not a SIP URI: write sip:user@host".into()),
        Err(message) => Err(format!("is not a SIP URI: it {message}")),
    }
}

pub fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
