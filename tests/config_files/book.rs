//! The book of numbers: which file serves what, and what cannot stand together.

use crate::world::{Files, MINIMAL};
use voxtrunk::config::book::{Book, Match, normalise};
use voxtrunk::config::settings::Settings;

fn plan(numbers: &str) -> String {
    MINIMAL.replace("[\"200\"]", numbers)
}

fn book(files: &[(&str, &str)]) -> Book {
    let files = Files::new(files);
    Book::load(files.root(), &Settings::defaults()).unwrap_or_else(|e| panic!("{:#?}", files.lines::<()>(Err(e))))
}

#[test]
fn exact_wins_over_the_longest_prefix_over_the_default() {
    let book = book(&[
        ("exact.toml", &plan("[\"+15551230001\", \"200\", \"reception\"]")),
        ("short.toml", &plan("[\"+1555*\"]")),
        ("long.toml", &plan("[\"+1555123*\"]")),
        ("default.toml", &MINIMAL.replace("numbers = [\"200\"]\n", "")),
        ("notes.md", "not a dialplan"),
        (".hidden.toml", "not a dialplan"),
    ]);
    let name = |number: &str| book.lookup(number).map(|plan| plan.name.clone());
    let cases = [
        ("+15551230001", "exact"),
        ("15551230001", "exact"),
        ("+1-555-123-0001", "exact"),
        ("+15551230001;phone-context=x", "exact"),
        ("200", "exact"),
        ("+200", "exact"),
        ("reception", "exact"),
        ("+15551239999", "long"),
        ("15551239999", "long"),
        ("+15559999999", "short"),
        ("1555", "default"),
        ("201", "default"),
        ("anything", "default"),
    ];
    for (number, expected) in cases {
        assert_eq!(name(number).as_deref(), Some(expected), "{number}");
    }
    assert_eq!(book.find("15551239999").unwrap().1, Match::Prefix("+1555123".into()));
    assert_eq!(book.find("201").unwrap().1, Match::Default);
}

/// A19: what is dialled is data; tricks in it find nothing, and nothing is opened.
#[test]
fn tricks_in_a_number_find_no_plan() {
    let book = book(&[("default.toml", &MINIMAL.replace("numbers = [\"200\"]\n", ""))]);
    let long = "1".repeat(65);
    let tricks = [
        "",
        "+",
        "../../etc/passwd",
        "default/../x",
        "200' OR '1'='1",
        "200;drop",
        "a%00b",
        "200\r\nX: y",
        "[a-z]+",
        "é",
        " ",
        "1 2\u{0}",
        &long,
        "/etc/passwd",
        "$(id)",
        "{number}",
    ];
    for number in tricks {
        let plain = number.split(';').next().unwrap();
        let taken = plain.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._*#".contains(&b)) && !plain.is_empty();
        let found = book.lookup(number).is_some();
        assert_eq!(found, taken && plain != "+" && plain.len() <= 64, "{number:?}");
    }
    assert_eq!(normalise("+1 (555) 123-0001").as_deref(), Some("+15551230001"));
    assert_eq!(normalise("sales.team-2").as_deref(), Some("sales.team-2"));
}

#[test]
fn without_a_default_unknown_numbers_are_nobodys() {
    let book = book(&[("a.toml", MINIMAL)]);
    assert!(book.lookup("201").is_none() && book.lookup("200").is_some());
}

#[test]
fn files_that_claim_one_number_are_both_named() {
    let files = Files::new(&[
        ("a.toml", &plan("[\"200\", \"+1555*\"]")),
        ("b.toml", &plan("[\"201\",\n \"200\"]")),
        ("c.toml", &plan("[\"+1555*\"]")),
    ]);
    let errors = files.lines(Book::load(files.root(), &Settings::defaults()));
    assert_eq!(
        errors,
        [
            "b.toml:1:11: numbers: \"200\" is claimed by a.toml too: remove it from one",
            "c.toml:1:11: numbers: \"+1555*\" is claimed by a.toml too: remove it from one",
        ]
    );
}

#[test]
fn problems_of_all_files_come_at_once() {
    let files = Files::new(&[
        ("a.toml", &format!("{MINIMAL}voise = \"x\"\n")),
        ("b.toml", "numbers = [\n"),
        ("c.toml", &format!("{}provider = \"embeded\"\n", plan("[\"300\"]"))),
    ]);
    let errors = files.lines(Book::load(files.root(), &Settings::defaults()));
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert_eq!(errors[0], "a.toml:4:1: voise: unknown field; did you mean \"voice\"?");
    assert!(errors[1].starts_with("b.toml:") && errors[1].contains("not valid TOML"), "{errors:?}");
    assert_eq!(
        errors[2],
        "c.toml:4:12: provider: \"embeded\" is not a [[provider]] of the settings (embedded). Did you mean \"embedded\"?"
    );
}

#[test]
fn an_empty_or_missing_directory_is_a_problem() {
    let files = Files::new(&[]);
    let empty = Book::load(files.root(), &Settings::defaults()).unwrap_err();
    assert!(empty.len() == 1 && empty[0].message.starts_with("has no dialplan (*.toml)"), "{empty:?}");
    let missing = files.lines(Book::load(&files.path("none"), &Settings::defaults()));
    assert!(missing.len() == 1 && missing[0].starts_with("none: dialplans: cannot be read: "), "{missing:?}");
}

/// A second leg goes out by a trunk that there is.
#[test]
fn the_trunk_of_a_target_must_be_there() {
    let target = "[[tool]]\nkind = \"transfer\"\n[[tool.target]]\nname = \"desk\"\ndescription = \"d\"\nuri = \"sip:a@b\"\n\
                  mode = \"attended\"\ntrunk = ";
    let files = Files::new(&[("a.toml", &format!("{MINIMAL}{target}\"pbxx\"\n"))]);
    let mut settings = Settings::defaults();
    settings.trunks = vec![voxtrunk::trunk::Trunk::new("pbx")];
    let errors = files.lines(Book::load(files.root(), &settings));
    let [error] = &errors[..] else { panic!("{errors:#?}") };
    assert!(error.starts_with("a.toml:") && error.contains("the target \"desk\" names \"pbxx\""), "{error}");
    assert!(error.ends_with("Did you mean \"pbx\"?"), "{error}");
    let files = Files::new(&[("a.toml", &format!("{MINIMAL}{target}\"pbx\"\n"))]);
    assert!(Book::load(files.root(), &settings).is_ok());
}
