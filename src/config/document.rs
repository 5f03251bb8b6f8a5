//! A TOML text as a tree in which every value knows where it stands (door of crate toml).
//!
//! In: text. Out: [`Table`] of [`Node`]s with line and column, or every syntax error of the text at once.
//! `layers` builds the same tree from file and environment; `fields` reads it.

use super::ConfigError;
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The file, or `environment variable NAME`.
    pub source: Arc<str>,
    /// From 1; 0 = no line (a whole file, the environment).
    pub line: usize,
    pub column: usize,
    /// From an environment variable: always text, and the field decides what it is.
    pub environment: bool,
}

impl At {
    /// The file as a whole.
    pub fn file(name: &str) -> At {
        At { source: name.into(), line: 0, column: 0, environment: false }
    }
    /// One environment variable.
    pub fn variable(name: &str) -> At {
        At { source: format!("environment variable {name}").into(), line: 0, column: 0, environment: true }
    }
    /// An error here.
    pub fn error(&self, field: &str, message: impl Into<String>) -> ConfigError {
        ConfigError {
            file: self.source.to_string(),
            line: self.line,
            column: self.column,
            field: field.to_owned(),
            message: message.into(),
        }
    }
}

/// One value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    pub at: At,
    pub value: Value,
}

/// What TOML can say.
#[derive(Clone, Debug)]
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    /// Nothing we have a field for: a date, a number too large. The text says which.
    Other(&'static str),
}

impl Value {
    /// The kind, for "expected … but this is …".
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a decimal number",
            Value::Flag(_) => "true/false",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }
}

/// Key to value. The place of a node is its value's; of an entry also the key's.
pub type Table = BTreeMap<String, Entry>;

#[derive(Clone, Debug)]
pub struct Entry {
    pub key_at: At,
    pub node: Node,
}

/// Parses a whole text. `source` is the file name for messages.
pub fn parse(source: &str, text: &str) -> Result<Table, Vec<ConfigError>> {
    let places = Places::new(source, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(convert_table(&places, table.into_inner()));
    }
    let describe = |error: toml::de::Error| {
        let at = error.span().map_or_else(|| At::file(source), |span| places.at(span.start));
        at.error("", format!("not valid TOML: {}", error.message().replace('\n', ", ")))
    };
    let mut errors: Vec<ConfigError> = errors.into_iter().map(describe).collect();
    errors.sort_by_key(|error| (error.line, error.column));
    Err(errors)
}

fn convert_table(places: &Places<'_>, table: DeTable<'_>) -> Table {
    let convert_entry = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
        let key_at = places.at(key.span().start);
        let key: std::borrow::Cow<'_, str> = key.into_inner();
        (key.into_owned(), Entry { key_at, node: convert(places, value) })
    };
    table.into_iter().map(convert_entry).collect()
}

fn convert(places: &Places<'_>, value: Spanned<DeValue<'_>>) -> Node {
    let at = places.at(value.span().start);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other("a number too large"),
        },
        DeValue::Float(digits) => match digits.as_str().parse() {
            Ok(number) => Value::Float(number),
            Err(_) => Value::Other("not a number"),
        },
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| convert(places, item)).collect()),
        DeValue::Table(table) => Value::Table(convert_table(places, table)),
    };
    Node { at, value }
}

/// Byte offset to line and column (in characters).
struct Places<'t> {
    source: Arc<str>,
    text: &'t str,
    line_starts: Vec<usize>,
}

impl<'t> Places<'t> {
    fn new(source: &str, text: &'t str) -> Places<'t> {
        let after_newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(index, _)| index + 1);
        Places { source: source.into(), text, line_starts: std::iter::once(0).chain(after_newlines).collect() }
    }
    fn at(&self, offset: usize) -> At {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        At { source: self.source.clone(), line, column: before.chars().count() + 1, environment: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_line_and_column() {
        let table = parse("a.toml", "x = 1\n[t]\n  \"größe\" = \"ä\"\n").expect("valid");
        assert_eq!((table["x"].node.at.line, table["x"].node.at.column), (1, 5));
        let Value::Table(inner) = &table["t"].node.value else { panic!("not a table") };
        let entry = &inner["größe"];
        assert_eq!((entry.key_at.line, entry.key_at.column), (3, 3));
        assert_eq!((entry.node.at.line, entry.node.at.column), (3, 13));
    }

    #[test]
    fn all_syntax_errors_are_listed_at_once() {
        let errors = parse("a.toml", "x = \ny = 1\nz = [1,\n\"\n").expect_err("broken");
        assert!(errors.len() >= 2, "{errors:?}");
        assert!(errors.iter().any(|error| error.line == 1), "{errors:?}");
        assert!(errors.iter().all(|e| e.file == "a.toml" && e.message.starts_with("not valid TOML")), "{errors:?}");
    }

    #[test]
    fn radix_and_huge_integers_are_understood() {
        let table = parse("a.toml", "a = 0x1F\nb = 1_000\nc = 99999999999999999999\nd = -5\n").expect("valid");
        assert!(matches!(table["a"].node.value, Value::Integer(31)));
        assert!(matches!(table["b"].node.value, Value::Integer(1000)));
        assert!(matches!(table["c"].node.value, Value::Other("a number too large")));
        assert!(matches!(table["d"].node.value, Value::Integer(-5)));
    }
}
