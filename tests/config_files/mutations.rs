//! Broken files never panic and never lose their name: mutations of the repository's own files.

use crate::world::repository;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;
use std::path::Path;
use voxtrunk::config::dialplan::Dialplan;
use voxtrunk::config::settings::Settings;

const SEED: u64 = 0x5eed_c0f1;
const ROUNDS: usize = 2000;

/// Deletes, doubles, swaps or replaces a few pieces.
fn mutate(text: &str, random: &mut StdRng) -> String {
    let tokens =
        ["\"", "[", "]", "[[", "=", "\n", "{", "}", "\u{0}", "é", "-1", "1e999", "nan", "true", "\"\"", "'", "..", "*"];
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..characters.len());
        let end = (at + random.random_range(1..12)).min(characters.len());
        match random.random_range(0..4) {
            0 => drop(characters.drain(at..end)),
            1 => {
                let piece: Vec<char> = characters[at..end].to_vec();
                characters.splice(at..at, piece);
            }
            _ => {
                let token = tokens[random.random_range(0..tokens.len())];
                let to = if random.random_bool(0.5) { end } else { at };
                characters.splice(at..to, token.chars());
            }
        }
        if characters.is_empty() {
            characters.push(' ');
        }
    }
    characters.into_iter().collect()
}

#[test]
fn mutated_dialplans_are_read_or_refused_with_their_name() {
    let mut random = StdRng::seed_from_u64(SEED);
    let names = ["dialplans/default.toml", "dialplans/appointments.toml", "dialplans/after-hours.toml"];
    let mut refused = 0;
    for round in 0..ROUNDS {
        let path = repository(names[round % names.len()]);
        let text = mutate(&std::fs::read_to_string(&path).unwrap(), &mut random);
        let Err(errors) = Dialplan::parse(&path, &text) else { continue };
        refused += 1;
        assert!(!errors.is_empty());
        for error in errors {
            assert_eq!(Path::new(&error.file), path, "seed {SEED:#x} round {round}: {error}\n{text}");
            assert!(error.line <= text.lines().count() + 1, "seed {SEED:#x} round {round}: {error}\n{text}");
        }
    }
    assert!((ROUNDS / 10..ROUNDS).contains(&refused), "{refused} of {ROUNDS} were refused");
}

#[test]
fn mutated_settings_are_read_or_refused_with_their_name() {
    let mut random = StdRng::seed_from_u64(SEED);
    let example = std::fs::read_to_string(repository("voxtrunk.example.toml")).unwrap().replace("\n#[[", "\n[[");
    let example = example.replace("\n#kind", "\nkind").replace("\n#model", "\nmodel").replace("\n#key", "\nkey");
    let file = tempfile::NamedTempFile::new().unwrap();
    for round in 0..ROUNDS / 4 {
        let text = mutate(&example, &mut random);
        std::fs::write(file.path(), &text).unwrap();
        for error in Settings::load_with(Some(file.path()), HashMap::new()).err().unwrap_or_default() {
            assert_eq!(Path::new(&error.file), file.path(), "seed {SEED:#x} round {round}: {error}\n{text}");
        }
    }
}

#[test]
fn odd_variables_are_refused_by_name() {
    let odd = [
        "VOXTRUNK__",
        "VOXTRUNK__SIP",
        "VOXTRUNK__SIP__",
        "VOXTRUNK____LISTEN",
        "VOXTRUNK__SIP__LISTEN__X",
        "VOXTRUNK__PROVIDER__0__URL",
        "VOXTRUNK__SIP__PEERS[0]",
        "VOXTRUNK__SIP__PEERS[99999999999]",
        "VOXTRUNK__A.B",
        "VOXTRUNK__É",
        "VOXTRUNK__MEDIA__WORKERS",
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[sip]\npeers = [\"127.0.0.1\"]\n[[provider]]\nkind = \"embedded\"\n").unwrap();
    for name in odd {
        let variables = HashMap::from([(name.to_owned(), "x".to_owned())]);
        let errors = Settings::load_with(Some(file.path()), variables).expect_err(name);
        assert!(errors.iter().all(|error| !error.message.is_empty()), "{name}: {errors:?}");
    }
}
