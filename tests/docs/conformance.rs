//! docs/conformance.md: every id is there once, its tests exist and name it, and no proven id stands as "not yet".

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How many ids each list has; a row that is lost or doubled shows here.
const COUNTS: [(&str, usize); 18] = [
    ("PAR", 18),
    ("TRN", 14),
    ("TXN", 13),
    ("DLG", 21),
    ("EAR", 6),
    ("AUT", 14),
    ("SDP", 16),
    ("TIM", 5),
    ("XFR", 9),
    ("DTM", 7),
    ("RTP", 18),
    ("SRT", 7),
    ("OVL", 8),
    ("REC", 3),
    ("R", 14),
    ("S", 12),
    ("P", 7),
    ("A", 26),
];

struct Row {
    state: String,
    rest: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows() -> BTreeMap<String, Row> {
    let text = std::fs::read_to_string(root().join("docs/conformance.md")).expect("docs/conformance.md");
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let (id, state) = (cells[0], cells[3.min(cells.len() - 1)]);
        let row = Row { state: state.into(), rest: cells[4..].join(" | ") };
        assert!(["done", "partly", "not yet"].contains(&state), "{id}: state {state:?}");
        assert!(rows.insert(id.to_owned(), row).is_none(), "{id} stands twice");
    }
    rows
}

fn family(id: &str) -> &str {
    id.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-')
}

#[test]
fn every_id_stands_once_with_a_state() {
    let rows = rows();
    for (name, count) in COUNTS {
        let found = rows.keys().filter(|id| family(id) == name).count();
        assert_eq!(found, count, "{name}");
    }
    assert_eq!(rows.len(), COUNTS.iter().map(|(_, count)| count).sum::<usize>());
}

#[test]
fn what_is_done_names_a_test_that_exists_and_what_is_not_says_why() {
    for (id, row) in rows() {
        let cited: Vec<&str> = row.rest.split('`').filter(|part| part.contains(".rs::")).collect();
        assert!(!(row.state == "done" && cited.is_empty()), "{id} is done but names no test");
        let words = row.rest.split('`').step_by(2).map(str::len).sum::<usize>();
        assert!(row.state == "done" || words > 5, "{id} is {} and does not say what is missing", row.state);
        for test in cited {
            let (file, name) = test.split_once("::").expect("path::name");
            let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{id}: {file}: {e}"));
            assert!(text.contains(&format!("fn {name}(")), "{id}: no test {name} in {file}");
            assert!(names(&text).contains(&id), "{id}: {file} does not name it");
        }
    }
}

#[test]
fn no_proven_id_stands_as_not_yet() {
    let rows = rows();
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    collect(&root().join("tests"), &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        for id in names_in_test_docs(&text) {
            if let Some(row) = rows.get(&id) {
                assert_ne!(row.state, "not yet", "{id} is named by a test in {}", file.display());
            }
        }
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder of ours").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// Ids in doc comments that stand right above a test.
fn names_in_test_docs(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut doc = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            doc.push_str(words);
            doc.push(' ');
        } else if line == "#[test]" || line.starts_with("#[tokio::test") {
            found.extend(names(&doc));
        } else if !line.starts_with("#[") {
            doc.clear();
        }
    }
    found
}

/// `ABC-12`, also in lists (`TXN-01, 02`, `TXN-01, -02`) and ranges (`TXN-01..12`, `TXN-01–12`); `R1`, `S3`, `P7`, `A21`.
fn names(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut last: Option<(String, u32)> = None;
    let mut separator = String::new();
    for token in tokens(text) {
        let letters: String = token.chars().take_while(char::is_ascii_uppercase).collect();
        let digits = &token[letters.len()..];
        let number = digits.parse::<u32>().ok();
        match (letters.len(), number) {
            (1, Some(n)) if digits.len() <= 2 && n > 0 && "RSPA".contains(&letters) => {
                found.insert(token.clone());
                last = None;
            }
            (3, None) if digits.is_empty() => last = Some((letters, u32::MAX)),
            (0, Some(n)) if digits.len() == 2 => {
                if let Some((family, previous)) = &mut last {
                    let range = separator.contains("..") || separator.contains('–');
                    let first = if range && *previous < n { *previous + 1 } else { n };
                    found.extend((first..=n).map(|n| format!("{family}-{n:02}")));
                    *previous = n;
                }
            }
            _ if token.chars().any(char::is_alphanumeric) => last = None,
            _ => {}
        }
        separator = token;
    }
    found
}

/// Runs of letters and digits, and the runs of anything else between them.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut previous = None;
    for c in text.chars() {
        let kind = c.is_alphanumeric();
        if previous == Some(kind)
            && let Some(token) = tokens.last_mut()
        {
            token.push(c);
        } else {
            tokens.push(c.to_string());
        }
        previous = Some(kind);
    }
    tokens
}

#[test]
fn ids_are_read_in_lists_and_ranges() {
    let found = names("PAR-01, 03, -05: and TXN-02..04; A16 (G12), R1. DTM-07");
    let expected = ["A16", "DTM-07", "PAR-01", "PAR-03", "PAR-05", "R1", "TXN-02", "TXN-03", "TXN-04"];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
