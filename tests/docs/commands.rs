//! Every `voxtrunk …` line in a shell block of the documents is a command line that parses, and every TOML block is a file
//! that passes its checks.

use clap::Parser;
use std::path::Path;
use voxtrunk::cli::Cli;
use voxtrunk::config::dialplan::Dialplan;
use voxtrunk::config::settings::Settings;

const DOCUMENTS: [&str; 12] = [
    "README.md",
    "CONTRIBUTING.md",
    "dialplans/README.md",
    "docs/performance.md",
    "docs/interop.md",
    "docs/pbx.md",
    "docs/pbx/asterisk.md",
    "docs/pbx/freeswitch.md",
    "docs/pbx/kamailio.md",
    "docs/pbx/3cx.md",
    "docs/pbx/teams.md",
    "docs/pbx/registering.md",
];

#[test]
fn documented_commands_parse() {
    let mut checked = 0;
    for document in DOCUMENTS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{document}: {e}"));
        let mut in_shell = false;
        for line in text.lines() {
            if let Some(language) = line.strip_prefix("```") {
                in_shell = !in_shell && ["sh", "bash", "console"].contains(&language.trim());
                continue;
            }
            if in_shell && let Some(words) = arguments(line) {
                let parsed = Cli::try_parse_from(words.iter().map(String::as_str));
                assert!(
                    parsed.is_ok(),
                    "{document}: {line}\n{}",
                    parsed.err().map(|e| e.to_string()).unwrap_or_default()
                );
                checked += 1;
            }
        }
    }
    assert!(checked >= 8, "only {checked} command lines found");
}

/// The words after `voxtrunk` or `cargo run --release --`, comments cut, quotes removed.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.trim().trim_start_matches("$ ");
    let line = line.split(" #").next().unwrap_or(line).trim_end_matches(['&', ' ']);
    let rest = ["cargo run --release -- ", "voxtrunk ", "./voxtrunk ", "target/release/voxtrunk "]
        .iter()
        .find_map(|prefix| line.strip_prefix(prefix))?;
    let words = rest.split_whitespace().map(|word| word.trim_matches(['\'', '"']).to_owned());
    Some(std::iter::once("voxtrunk".to_owned()).chain(words).collect())
}

/// Text of the blocks of one language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{document}: {e}"));
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next().map(str::to_owned)).collect()
}

#[test]
fn documented_files_pass_their_checks() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in [("reception.md", "Be brief and friendly."), ("fullchain.pem", ""), ("privkey.pem", "")] {
        std::fs::write(dir.path().join(name), text).expect("written");
    }
    let pem_files = format!("{}/", dir.path().display());
    let mut checked = 0;
    for document in DOCUMENTS.into_iter().filter(|name| *name == "README.md" || name.starts_with("docs/pbx")) {
        for block in blocks(document, "toml") {
            let file = dir.path().join("documented.toml");
            std::fs::write(&file, block.replace("/etc/voxtrunk/", &pem_files)).expect("written");
            let problems = if block.starts_with("# dialplans/") {
                Dialplan::load(&file).err()
            } else {
                Settings::load(Some(&file)).err()
            };
            assert_eq!(problems, None, "{document}:\n{block}");
            checked += 1;
        }
    }
    assert!(checked >= 14, "only {checked} files found");
}
