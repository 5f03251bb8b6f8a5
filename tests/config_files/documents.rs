//! The documents that list fields are true: every field is there, none is made up, and the defaults are the defaults.

use crate::world::{Files, MINIMAL, repository};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use voxtrunk::config::dialplan::Dialplan;
use voxtrunk::config::document::{self, Table, Value};
use voxtrunk::config::fields::Problems;
use voxtrunk::config::settings::Settings;

/// `#name = value` and `#[[table]]` switched on; prose comments (`# text`) stay.
fn everything_switched_on(example: &str, pem_files: &Path) -> String {
    let switch_on = |line: &str| match line.strip_prefix('#') {
        Some(code) if code.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => code.to_owned(),
        _ => line.to_owned(),
    };
    let text: Vec<String> = example.lines().map(switch_on).collect();
    text.join("\n").replace("/etc/voxtrunk/", &format!("{}/", pem_files.display()))
}

fn paths(table: &Table, prefix: &str, found: &mut BTreeSet<String>) {
    for (key, entry) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match &entry.node.value {
            Value::Table(inner) => paths(inner, &path, found),
            Value::List(items) => {
                for item in items {
                    if let Value::Table(inner) = &item.value {
                        paths(inner, &path, found);
                    }
                }
            }
            _ => {}
        }
        found.insert(path);
    }
}

#[test]
fn the_example_settings_have_every_field_and_load_with_everything_on() {
    let pem_files = ["private-ca.pem", "fullchain.pem", "privkey.pem", "peers-ca.pem", "client.pem", "client.key"];
    let files = Files::new(&pem_files.map(|name| (name, "")));
    let example = std::fs::read_to_string(repository("voxtrunk.example.toml")).unwrap();
    let text = everything_switched_on(&example, files.root());
    let table = document::parse("example", &text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let mut shown = BTreeSet::new();
    paths(&table, "", &mut shown);
    let problems = Problems::default();
    let settings = Settings::from_table(&problems, "example", table);
    assert_eq!((settings.providers.len(), settings.trunks.len()), (5, 2));
    assert_eq!(problems.asked(), shown, "fields the server reads (left) and fields the example shows (right)");
    problems.finish(()).unwrap_or_else(|errors| panic!("{errors:#?}"));
}

/// `section.field` → the default column, from the tables of dialplans/README.md.
fn documented() -> BTreeMap<String, String> {
    let readme = std::fs::read_to_string(repository("dialplans/README.md")).unwrap();
    let mut fields = BTreeMap::new();
    let mut section = None;
    for line in readme.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = match heading {
                "Top level" => Some(String::new()),
                code if code.starts_with('`') => Some(code.trim_matches(|c| "`[]".contains(c)).to_owned()),
                _ => None,
            };
        }
        let (Some(section), Some(row)) = (&section, line.strip_prefix("| `")) else { continue };
        let (name, rest) = row.split_once('`').unwrap();
        let default = rest.split('|').nth(1).unwrap().trim().to_owned();
        let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
        assert!(fields.insert(path.clone(), default).is_none(), "{path} is listed twice");
    }
    fields
}

/// Files that between them use each table and each kind once.
fn asked() -> BTreeSet<String> {
    let kinds = r#"
numbers = ["1"]
instructions = { text = "x" }
greeting = { say = "x" }
[[tool]]
kind = "transfer"
[[tool.target]]
name = "a"
mode = "attended"
[[tool]]
kind = "send_dtmf"
[[tool]]
kind = "collect_digits"
[[tool]]
kind = "http"
headers = { A = "b" }
[[tool.parameter]]
type = "string"
[[tool.parameter]]
type = "integer"
[[tool.parameter]]
type = "enum"
[fallback]
action = "apology"
"#;
    let problems = Problems::default();
    for text in [kinds, "[fallback]\naction = \"transfer\"\n", "turn_detection = { type = \"semantic_vad\" }\n"] {
        let table = document::parse("x.toml", text).unwrap();
        Dialplan::from_table(&problems, Path::new("x.toml"), table);
    }
    problems.asked()
}

#[test]
fn the_readme_lists_exactly_the_fields_there_are() {
    let documented: BTreeSet<String> = documented().into_keys().collect();
    assert_eq!(asked(), documented, "fields the server reads (left) and fields the README lists (right)");
}

/// Each default that is written as a value in the README, written into a file, changes nothing.
#[test]
fn the_readme_tells_the_true_defaults() {
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    let documented = documented();
    let mut written = 0;
    for (path, default) in &documented {
        let Some(value) = default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else { continue };
        let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
        // `eagerness` belongs to the other type, and the tables of tools are tried below; transcription is off by default.
        if path == "turn_detection.eagerness"
            || section == "tool"
            || section == "transcription"
            || section == "tool.parameter"
        {
            continue;
        }
        sections.entry(section).or_default().push_str(&format!("{name} = {value}\n"));
        written += 1;
    }
    assert!(written >= 12, "only {written} defaults were found: has the table's form changed?");
    let mut text = MINIMAL.to_owned();
    for (section, lines) in &sections {
        if !section.is_empty() {
            text.push_str(&format!("[{section}]\n"));
        }
        text.push_str(lines);
    }
    let file = Path::new("x.toml");
    assert_eq!(Dialplan::parse(file, &text), Dialplan::parse(file, MINIMAL), "{text}");

    let http = "[[tool]]\nkind = \"http\"\nname = \"t\"\ndescription = \"d\"\nurl = \"https://h.example/\"\n";
    let parameter = "[[tool.parameter]]\nname = \"p\"\ndescription = \"d\"\ntype = \"string\"\n";
    let dtmf = "[[tool]]\nkind = \"send_dtmf\"\n";
    let keys = "[[tool]]\nkind = \"collect_digits\"\n";
    let value = |path: &str| documented[path].trim_matches('`').to_owned();
    let line = |path: &str| format!("{} = {}\n", path.rsplit('.').next().unwrap(), value(path));
    let explicit = format!(
        "{MINIMAL}{http}{}{}{}{}{parameter}{}{}{dtmf}{}{keys}{}{}{}{}",
        line("tool.method"),
        line("tool.timeout_ms"),
        line("tool.max_bytes"),
        line("tool.allow_private"),
        line("tool.parameter.required"),
        line("tool.parameter.max_length"),
        line("tool.max_digits"),
        line("tool.most_keys"),
        line("tool.finish_key"),
        line("tool.first_key_secs"),
        line("tool.next_key_secs"),
    );
    let implicit = format!("{MINIMAL}{http}{parameter}{dtmf}{keys}");
    assert_eq!(Dialplan::parse(file, &explicit), Dialplan::parse(file, &implicit), "{explicit}");
    let with = |text: &str| Dialplan::parse(file, &format!("{MINIMAL}{text}")).unwrap();
    let model = line("transcription.model");
    assert_eq!(with(&format!("[transcription]\n{model}")), with("[transcription]\n"));
    let semantic = "[turn_detection]\ntype = \"semantic_vad\"\n";
    assert_eq!(with(&format!("{semantic}{}", line("turn_detection.eagerness"))), with(semantic));
}

#[test]
fn the_readmes_smallest_file_is_one() {
    let readme = std::fs::read_to_string(repository("dialplans/README.md")).unwrap();
    let block = readme.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    Dialplan::parse(Path::new("x.toml"), block).unwrap_or_else(|errors| panic!("{errors:#?}"));
}
