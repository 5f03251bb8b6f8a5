//! Reading one table field by field: types, ranges and unknown keys become [`ConfigError`]s, all of them, and reading goes on.
//!
//! A reader asks a [`Fields`] for each field it knows. What was not asked for when the `Fields` is dropped is an unknown
//! key. What was asked for is remembered in [`Problems::asked`], from which tests prove that the documents list every field.

use super::ConfigError;
use super::document::{At, Entry, Node, Table, Value};
use super::suggest;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// The errors of one file, in the making.
#[derive(Debug, Default)]
pub struct Problems {
    list: RefCell<Vec<ConfigError>>,
    asked: RefCell<BTreeSet<String>>,
}

impl Problems {
    pub fn add(&self, error: ConfigError) {
        self.list.borrow_mut().push(error);
    }
    /// Whether one of these fields has a problem already, so that what depends on it cannot be judged.
    pub fn has(&self, fields: &[&str]) -> bool {
        self.list.borrow().iter().any(|error| fields.contains(&error.field.as_str()))
    }
    /// Dotted paths of all fields that were asked for; list positions left out (`tool.name`).
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }
    /// `Ok` without problems, else all of them in the order of the file.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<ConfigError>> {
        let mut list = self.list.into_inner();
        if list.is_empty() {
            return Ok(value);
        }
        list.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        Err(list)
    }
}

/// A value that was found, with the place for later complaints.
#[derive(Clone, Debug)]
pub struct Found<T> {
    pub value: T,
    pub at: At,
    pub field: String,
}

impl<T> Found<T> {
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        self.at.error(&self.field, message)
    }
}

/// One table being read.
pub struct Fields<'p> {
    pub problems: &'p Problems,
    pub at: At,
    path: String,
    /// `path` without list positions.
    plain_path: String,
    table: Table,
    asked: Vec<&'static str>,
    /// Those of `asked` that were there, right or wrong, and where.
    present: Vec<(&'static str, At)>,
}

impl<'p> Fields<'p> {
    pub fn new(problems: &'p Problems, at: At, table: Table) -> Fields<'p> {
        Fields {
            problems,
            at,
            path: String::new(),
            plain_path: String::new(),
            table,
            asked: Vec::new(),
            present: Vec::new(),
        }
    }

    /// Dotted path of a field here.
    pub fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }
    /// Whether the field is there, read already or not, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key) || self.place(key).is_some()
    }
    /// A complaint about a field, at its place, or at the table's if it is missing (or `key` is empty: about the table).
    pub fn problem(&self, key: &str, message: impl Into<String>) {
        let field = if key.is_empty() { self.path.clone() } else { self.path(key) };
        self.problems.add(self.place(key).unwrap_or(&self.at).error(&field, message));
    }
    fn place(&self, key: &str) -> Option<&At> {
        self.present.iter().find(|(present, _)| *present == key).map(|(_, at)| at)
    }

    fn take(&mut self, key: &'static str) -> Option<Found<Value>> {
        self.asked.push(key);
        self.problems.asked.borrow_mut().insert(join(&self.plain_path, key));
        let Node { at, value } = self.table.remove(key)?.node;
        self.present.push((key, at.clone()));
        Some(Found { value, at, field: self.path(key) })
    }

    fn wrong_type(&self, found: &Found<Value>, expected: &str) {
        let seen = match &found.value {
            Value::Text(text) if found.at.environment => format!("\"{}\"", shorten(text)),
            other => other.kind().to_owned(),
        };
        self.problems.add(found.error(format!("expected {expected}, but this is {seen}")));
    }

    pub fn text(&mut self, key: &'static str) -> Option<Found<String>> {
        let found = self.take(key)?;
        match found.value {
            Value::Text(text) => Some(Found { value: text, at: found.at, field: found.field }),
            _ => {
                self.wrong_type(&found, "a string (in quotes)");
                None
            }
        }
    }

    /// A text of at least one and at most `max` characters, without control characters other than line breaks and tabs.
    pub fn words(&mut self, key: &'static str, max: usize) -> Option<Found<String>> {
        let found = self.text(key)?;
        let length = found.value.chars().count();
        let message = if found.value.trim().is_empty() {
            "is empty: write something, or leave the field out".to_owned()
        } else if length > max {
            format!("has {length} characters, the most is {max}")
        } else if found.value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            "contains a control character: remove it".to_owned()
        } else {
            return Some(found);
        };
        self.problems.add(found.error(message));
        None
    }

    pub fn integer(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let found = self.take(key)?;
        let number = match &found.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if found.at.environment => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => Some(number),
            Some(number) => {
                self.out_of_range(&found, number, *range.start(), *range.end());
                None
            }
            None => {
                self.wrong_type(&found, "an integer (without quotes)");
                None
            }
        }
    }

    /// Like `integer`, as the type it is wanted in. The range must fit into it.
    pub fn number<N: TryFrom<i64>>(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<N> {
        self.integer(key, range).and_then(|number| N::try_from(number).ok())
    }

    pub fn decimal(&mut self, key: &'static str, range: RangeInclusive<f32>) -> Option<f32> {
        let found = self.take(key)?;
        let number = match &found.value {
            Value::Float(number) => *number as f32,
            Value::Integer(number) => *number as f32,
            Value::Text(text) if found.at.environment => text.trim().parse().unwrap_or(f32::NAN),
            _ => {
                self.wrong_type(&found, "a number (without quotes)");
                return None;
            }
        };
        if range.contains(&number) {
            return Some(number);
        }
        self.out_of_range(&found, number, *range.start(), *range.end());
        None
    }

    fn out_of_range<N: Display>(&self, found: &Found<Value>, number: N, from: N, to: N) {
        self.problems.add(found.error(format!("{number} is out of range: use {from} to {to}")));
    }

    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        let found = self.take(key)?;
        let flag = match &found.value {
            Value::Flag(flag) => Some(*flag),
            Value::Text(text) if found.at.environment => text.trim().to_lowercase().parse().ok(),
            _ => None,
        };
        if flag.is_none() {
            self.wrong_type(&found, "true or false (without quotes)");
        }
        flag
    }

    /// One of some words.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Option<Found<T>> {
        let found = self.text(key)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == found.value) {
            return Some(Found { value: *value, at: found.at, field: found.field });
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let hint = suggest::hint(&found.value, words.iter().copied());
        let list = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        self.problems.add(found.error(format!("\"{}\" is not known: use one of {list}.{hint}", shorten(&found.value))));
        None
    }

    /// A list of strings; from the environment: separated by commas.
    pub fn texts(&mut self, key: &'static str) -> Option<Found<Vec<Found<String>>>> {
        let found = self.take(key)?;
        let mut texts = Vec::new();
        match &found.value {
            Value::Text(list) if found.at.environment => {
                for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                    texts.push(Found { value: part.to_owned(), at: found.at.clone(), field: found.field.clone() });
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let field = format!("{}[{}]", found.field, index + 1);
                    let Value::Text(text) = &item.value else {
                        let message = format!("expected a string (in quotes), but this is {}", item.value.kind());
                        self.problems.add(item.at.error(&field, message));
                        continue;
                    };
                    texts.push(Found { value: text.clone(), at: item.at.clone(), field });
                }
            }
            _ => {
                self.wrong_type(&found, "a list of strings, like [\"a\", \"b\"]");
                return None;
            }
        }
        Some(Found { value: texts, at: found.at, field: found.field })
    }

    /// One string, or a list of them.
    pub fn text_or_texts(&mut self, key: &'static str) -> Option<Found<Vec<Found<String>>>> {
        let single = self
            .table
            .get(key)
            .is_some_and(|entry| matches!(entry.node.value, Value::Text(_)) && !entry.node.at.environment);
        if !single {
            return self.texts(key);
        }
        let found = self.text(key)?;
        Some(Found { at: found.at.clone(), field: found.field.clone(), value: vec![found] })
    }

    /// A list of integers in a range; from the environment: separated by commas.
    pub fn numbers<N: TryFrom<i64>>(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<Vec<N>> {
        let found = self.take(key)?;
        let items: Vec<Option<i64>> = match &found.value {
            Value::Text(list) if found.at.environment => list.split(',').map(|part| part.trim().parse().ok()).collect(),
            Value::List(items) => {
                let number = |item: &Node| match item.value {
                    Value::Integer(number) => Some(number),
                    _ => None,
                };
                items.iter().map(number).collect()
            }
            _ => vec![None],
        };
        let all = items.len();
        let good: Vec<N> =
            items.into_iter().flatten().filter(|n| range.contains(n)).filter_map(|n| N::try_from(n).ok()).collect();
        if good.len() == all {
            return Some(good);
        }
        let message =
            format!("is not a list of integers from {} to {}, like [{}]", range.start(), range.end(), range.end());
        self.problems.add(found.error(message));
        None
    }

    /// Lays a table under this one: what is not there is taken from it, tables key by key.
    pub fn lay_under(&mut self, defaults: Table) {
        merge_under(&mut self.table, defaults);
    }

    /// Dotted path (below this table) and place of every value that is still unread.
    pub fn places(&self) -> Vec<(String, At)> {
        let mut found = Vec::new();
        collect_places(&self.table, "", &mut found);
        found
    }

    /// A sub-table; an empty one if it is not there, so that its defaults apply.
    pub fn table(&mut self, key: &'static str) -> Fields<'p> {
        self.table_if(key).unwrap_or_else(|| self.child(key, None, self.at.clone(), Table::new()))
    }

    /// A sub-table, if it is there.
    pub fn table_if(&mut self, key: &'static str) -> Option<Fields<'p>> {
        let found = self.take(key)?;
        match found.value {
            Value::Table(table) => Some(self.child(key, None, found.at, table)),
            _ => {
                self.wrong_type(&found, &format!("a table ([{}])", found.field));
                None
            }
        }
    }

    /// `[[key]]`: a list of tables.
    pub fn tables(&mut self, key: &'static str) -> Vec<Fields<'p>> {
        let Some(found) = self.take(key) else { return Vec::new() };
        let Value::List(items) = found.value else {
            let field = found.field.clone();
            self.wrong_type(&found, &format!("a list of tables ([[{field}]])"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match item.value {
                Value::Table(table) => tables.push(self.child(key, Some(index + 1), item.at, table)),
                other => {
                    let message = format!("expected a table, but this is {}", other.kind());
                    self.problems.add(item.at.error(&format!("{}[{}]", found.field, index + 1), message));
                }
            }
        }
        tables
    }

    /// A table of free keys with string values (HTTP headers).
    pub fn text_map(&mut self, key: &'static str) -> Vec<(String, Found<String>)> {
        let Some(mut fields) = self.table_if(key) else { return Vec::new() };
        let mut pairs = Vec::new();
        for (name, entry) in std::mem::take(&mut fields.table) {
            let field = fields.path(&name);
            match entry.node.value {
                Value::Text(value) => pairs.push((name, Found { value, at: entry.node.at, field })),
                other => {
                    let message = format!("expected a string (in quotes), but this is {}", other.kind());
                    self.problems.add(entry.node.at.error(&field, message));
                }
            }
        }
        pairs
    }

    /// Whether the field is there as text.
    pub fn is_text(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|entry| matches!(entry.node.value, Value::Text(_)))
    }

    /// Text or table, for fields that take either; the other kinds are refused with `expected`.
    pub fn text_or_table(&mut self, key: &'static str, expected: &str) -> Option<TextOrTable<'p>> {
        let found = self.take(key)?;
        match found.value {
            Value::Text(value) => Some(TextOrTable::Text(Found { value, at: found.at, field: found.field })),
            Value::Table(table) => Some(TextOrTable::Table(self.child(key, None, found.at, table))),
            _ => {
                self.wrong_type(&found, expected);
                None
            }
        }
    }

    /// Fields that exist, but not with what was chosen elsewhere (`only` says with what).
    pub fn only_with(&mut self, keys: &[&'static str], only: &str) {
        for key in keys {
            if let Some(found) = self.take(key) {
                self.problems.add(found.error(format!("has no meaning here, it belongs to {only}: remove it")));
            }
        }
    }

    /// Fields that cannot be judged because what they depend on is wrong.
    pub fn forget(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.take(key);
        }
    }

    fn child(&self, key: &'static str, index: Option<usize>, at: At, table: Table) -> Fields<'p> {
        let path = match index {
            Some(index) => format!("{}[{index}]", self.path(key)),
            None => self.path(key),
        };
        let plain_path = join(&self.plain_path, key);
        Fields { problems: self.problems, at, path, plain_path, table, asked: Vec::new(), present: Vec::new() }
    }
}

/// See [`Fields::text_or_table`].
pub enum TextOrTable<'p> {
    Text(Found<String>),
    Table(Fields<'p>),
}

impl Drop for Fields<'_> {
    /// What nobody asked for is an unknown key.
    fn drop(&mut self) {
        for (key, entry) in std::mem::take(&mut self.table) {
            let field = self.path(&shorten(&key));
            let hint = match suggest::closest(&key, self.asked.iter().copied()) {
                Some(known) => format!("did you mean \"{known}\"?"),
                None => format!("known here: {}", self.asked.join(", ")),
            };
            // A variable made the whole table: name the variable, which is at the value.
            let at = if entry.node.at.environment { entry.node.at } else { entry.key_at };
            self.problems.add(at.error(&field, format!("unknown field; {hint}")));
        }
    }
}

fn merge_under(table: &mut Table, defaults: Table) {
    for (key, entry) in defaults {
        match (table.get_mut(&key).map(|entry| &mut entry.node.value), entry.node.value) {
            (None, value) => {
                let node = Node { at: entry.node.at, value };
                table.insert(key, Entry { key_at: entry.key_at, node });
            }
            (Some(Value::Table(own)), Value::Table(under)) => merge_under(own, under),
            (Some(_), _) => {}
        }
    }
}

fn collect_places(table: &Table, path: &str, found: &mut Vec<(String, At)>) {
    for (key, entry) in table {
        let path = join(path, key);
        match &entry.node.value {
            Value::Table(inner) => collect_places(inner, &path, found),
            _ => found.push((path, entry.node.at.clone())),
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Enough of a value to recognise it in a message.
pub fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document;

    fn errors(text: &str, read: impl FnOnce(&mut Fields<'_>)) -> Vec<String> {
        let problems = Problems::default();
        let table = document::parse("t.toml", text).expect("valid TOML");
        read(&mut Fields::new(&problems, At::file("t.toml"), table));
        problems.finish(()).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_problem_is_reported_with_its_place() {
        let text = "a = \"x\"\nb = 7\nc = 0.5\nd = \"yes\"\nmode = \"on\"\n[sub]\nlsten = 1\n";
        let found = errors(text, |fields| {
            assert_eq!(fields.integer("a", 0..=9), None);
            assert_eq!(fields.integer("b", 0..=5), None);
            assert_eq!(fields.decimal("c", 1.0..=2.0), None);
            assert_eq!(fields.flag("d"), None);
            assert!(fields.choice("mode", &[("one", 1), ("off", 0)]).is_none());
            let mut sub = fields.table("sub");
            assert!(sub.text("listen").is_none());
        });
        let expected = [
            "t.toml:1:5: a: expected an integer (without quotes), but this is a string",
            "t.toml:2:5: b: 7 is out of range: use 0 to 5",
            "t.toml:3:5: c: 0.5 is out of range: use 1 to 2",
            "t.toml:4:5: d: expected true or false (without quotes), but this is a string",
            "t.toml:5:8: mode: \"on\" is not known: use one of \"one\", \"off\". Did you mean \"one\"?",
            "t.toml:7:1: sub.lsten: unknown field; did you mean \"listen\"?",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn lists_of_tables_are_numbered_from_one() {
        let found = errors("[[tool]]\nname = \"a\"\n[[tool]]\nname = 3\n", |fields| {
            for mut tool in fields.tables("tool") {
                tool.text("name");
            }
        });
        assert_eq!(found, ["t.toml:4:8: tool[2].name: expected a string (in quotes), but this is an integer"]);
    }
}
