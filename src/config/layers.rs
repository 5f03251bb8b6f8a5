//! Settings file and environment, laid over each other (door of crate config).
//!
//! In: the text of the file and the `VOXTRUNK__SECTION__KEY` variables. Out: one [`Table`] in which each value still knows
//! whether it came from a line of the file or from which variable. The `config` crate merges; places come from `document`.

use super::ConfigError;
use super::document::{self, At, Entry, Node, Table, Value};
use config::{Config, Environment, File, FileFormat, ValueKind};
use std::collections::HashMap;

const PREFIX: &str = "VOXTRUNK";
const SEPARATOR: &str = "__";

/// Merges. `source` names the file in messages.
pub fn merge(source: &str, text: &str, variables: HashMap<String, String>) -> Result<Table, Vec<ConfigError>> {
    let written = document::parse(source, text)?;
    // The config crate reads `NAME[7]` as a place in a list, and makes the list as long as it takes.
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let odd: Vec<ConfigError> = variables
        .keys()
        .filter(|name| name.to_uppercase().starts_with("VOXTRUNK__") && !plain(name))
        .map(|name| At::variable(name).error("", "has a name that no setting has: use VOXTRUNK__SECTION__NAME"))
        .collect();
    if !odd.is_empty() {
        return Err(odd);
    }
    let environment = Environment::with_prefix(PREFIX)
        .prefix_separator(SEPARATOR)
        .separator(SEPARATOR)
        .source(Some(variables.into_iter().collect()));
    let merged =
        Config::builder().add_source(File::from_str(text, FileFormat::Toml)).add_source(environment).build().map_err(
            |error| vec![At::file(source).error("", format!("cannot be merged with the environment: {error}"))],
        )?;
    match locate(source, merged.cache, Some(&Value::Table(written)), "") {
        Node { value: Value::Table(table), .. } => Ok(table),
        _ => Ok(Table::new()),
    }
}

/// This process's variables that belong to us.
pub fn process_variables() -> HashMap<String, String> {
    let ours = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        let name = name.into_string().ok()?;
        let start = name.get(..PREFIX.len() + SEPARATOR.len())?;
        // A value that is not UTF-8 is kept visible, so that its field complains instead of being skipped.
        start.eq_ignore_ascii_case("VOXTRUNK__").then(|| (name, value.to_string_lossy().into_owned()))
    };
    std::env::vars_os().filter_map(ours).collect()
}

/// Gives a merged value its place: the one in the file, unless the value is not the file's.
fn locate(source: &str, merged: config::Value, written: Option<&Value>, path: &str) -> Node {
    let from_environment = merged.origin() == Some("the environment");
    let at = if from_environment { At::variable(&variable(path)) } else { At::file(source) };
    let value = match merged.kind {
        ValueKind::Table(entries) => {
            let written = match written {
                Some(Value::Table(table)) => Some(table),
                _ => None,
            };
            let locate_entry = |(key, value): (String, config::Value)| {
                let entry = written.and_then(|table| table.get(&key));
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let mut node = locate(source, value, entry.map(|entry| &entry.node.value), &path);
                let mut key_at = node.at.clone();
                if let Some(entry) = entry.filter(|_| !node.at.environment) {
                    node.at = entry.node.at.clone();
                    key_at = entry.key_at.clone();
                }
                (key, Entry { key_at, node })
            };
            let table: Table = entries.into_iter().map(locate_entry).collect();
            // A table that only the environment made is where its variables are.
            if written.is_none()
                && let Some(entry) = table.values().find(|entry| entry.node.at.environment)
            {
                return Node { at: entry.node.at.clone(), value: Value::Table(table) };
            }
            Value::Table(table)
        }
        ValueKind::Array(items) => match written {
            // Lists are replaced whole, so a list that is not the environment's is the file's.
            Some(list @ Value::List(written)) if written.len() == items.len() => list.clone(),
            _ => Value::List(items.into_iter().map(|item| locate(source, item, None, path)).collect()),
        },
        // The file's own scalars, as `document` read them; the environment's are text.
        ValueKind::String(text) if from_environment => Value::Text(text),
        kind => written.cloned().unwrap_or_else(|| scalar(kind)),
    };
    Node { at, value }
}

fn scalar(kind: ValueKind) -> Value {
    match kind {
        ValueKind::Boolean(flag) => Value::Flag(flag),
        ValueKind::I64(number) => Value::Integer(number),
        ValueKind::Float(number) => Value::Float(number),
        ValueKind::String(text) => Value::Text(text),
        ValueKind::Nil => Value::Other("nothing"),
        _ => Value::Other("a number too large"),
    }
}

/// `sip.listen` → `VOXTRUNK__SIP__LISTEN`.
fn variable(path: &str) -> String {
    format!("{PREFIX}{SEPARATOR}{}", path.to_uppercase().replace('.', SEPARATOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(text: &str, variables: &[(&str, &str)]) -> Table {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        merge("v.toml", text, variables).expect("merges")
    }

    fn inner<'t>(table: &'t Table, key: &str) -> &'t Table {
        match &table[key].node.value {
            Value::Table(table) => table,
            other => panic!("{key} is {}", other.kind()),
        }
    }

    #[test]
    fn the_environment_wins_and_places_survive() {
        let text = "[sip]\nlisten = \"127.0.0.1:5060\"\npeers = [\"10.0.0.1\"]\n[[provider]]\nname = \"a\"\n";
        let table = merged(text, &[("VOXTRUNK__SIP__LISTEN", "127.0.0.1:5070"), ("VOXTRUNK__LIMITS__MAX_CALLS", "7")]);
        let listen = &inner(&table, "sip")["listen"].node;
        assert!(matches!(&listen.value, Value::Text(text) if text == "127.0.0.1:5070"));
        assert_eq!(&*listen.at.source, "environment variable VOXTRUNK__SIP__LISTEN");
        assert_eq!(inner(&table, "sip")["peers"].key_at.line, 3);
        let calls = &inner(&table, "limits")["max_calls"].node;
        assert!(calls.at.environment && matches!(&calls.value, Value::Text(text) if text == "7"));
        let Value::List(providers) = &table["provider"].node.value else { panic!("not a list") };
        assert_eq!(providers[0].at.line, 4);
    }

    #[test]
    fn syntax_errors_come_with_their_line() {
        let errors = merge("v.toml", "[sip\n", HashMap::new()).expect_err("broken");
        assert_eq!((errors[0].line, errors[0].file.as_str()), (1, "v.toml"));
    }
}
