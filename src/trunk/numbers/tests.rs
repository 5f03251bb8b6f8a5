use super::*;
use proptest::prelude::*;

fn germany() -> NumberRules {
    NumberRules {
        country: Some("49".into()),
        national_prefix: "0".into(),
        international_prefixes: vec!["00".into()],
        extension_digits: 4,
    }
}

fn north_america() -> NumberRules {
    NumberRules { country: Some("1".into()), international_prefixes: vec!["011".into()], ..NumberRules::default() }
}

/// AUT-11: what carriers and PBXs write, and what dialplans see.
#[test]
fn national_and_international_numbers_become_e164() {
    let spain =
        NumberRules { country: Some("34".into()), international_prefixes: vec!["00".into()], ..NumberRules::default() };
    let rows = [
        (germany(), "030 12345678", "+493012345678"),
        (germany(), "03012345678", "+493012345678"),
        (germany(), "+493012345678", "+493012345678"),
        (germany(), "+49 (0)30 12345-678", "+493012345678"),
        (germany(), "00493012345678", "+493012345678"),
        (germany(), "0015551230001", "+15551230001"),
        (germany(), "493012345678", "+493012345678"),
        (germany(), "+493012345678;uniq=A1;user=phone", "+493012345678"),
        // A local number without its area stays what it is.
        (germany(), "12345678", "12345678"),
        (germany(), "4912345", "4912345"),
        // Extensions, service codes and names.
        (germany(), "620", "620"),
        (germany(), "0123", "0123"),
        (germany(), "**1", "**1"),
        (germany(), "*21#", "*21#"),
        (germany(), "sales.team-2", "sales.team-2"),
        // Only zeros, or longer than any number.
        (germany(), "00000", "+000"),
        (germany(), "0301234567890123", "0301234567890123"),
        (north_america(), "5551230001", "+15551230001"),
        (north_america(), "15551230001", "+15551230001"),
        (north_america(), "(555) 123-0001", "+15551230001"),
        (north_america(), "011493012345678", "+493012345678"),
        (north_america(), "911", "911"),
        (spain, "912345678", "+34912345678"),
        (NumberRules::default(), "030 12345678", "03012345678"),
        (NumberRules::default(), "+1-555-123-0001", "+15551230001"),
    ];
    for (rules, text, expected) in rows {
        assert_eq!(rules.normalise(text).as_deref(), Some(expected), "{text}");
    }
}

/// A19: what is no number and no name is nothing, before any look-up.
#[test]
fn tricks_are_no_numbers() {
    let tricks = [
        "",
        "+",
        ";x=1",
        " ",
        "../../etc/passwd",
        "200' OR '1'='1",
        "a/b",
        "a\0b",
        "200\r\nX: y",
        "[a-z]+",
        "é",
        "$(id)",
        "{number}",
        "1+2",
        "++1",
        "%00",
        "a b",
    ];
    for trick in tricks {
        assert_eq!(germany().normalise(trick), None, "{trick:?}");
    }
    assert_eq!(germany().normalise(&"1".repeat(65)), None);
    assert_eq!(germany().normalise(&" ".repeat(300)), None);
}

fn any_rules() -> impl Strategy<Value = NumberRules> {
    let country = proptest::option::of("[0-9]{1,3}");
    (country, "[0-9]{0,2}", proptest::collection::vec("[0-9]{0,3}", 0..3), 0_usize..8).prop_map(
        |(country, national_prefix, international_prefixes, extension_digits)| NumberRules {
            country,
            national_prefix,
            international_prefixes,
            extension_digits,
        },
    )
}

proptest! {
    /// AUT-11, A19: never a panic, only the allowed characters, bounded, and a second pass changes nothing.
    #[test]
    fn any_text_by_any_rules(rules in any_rules(), text in "\\PC{0,80}|[+]?[0-9 ().*#-]{0,80}|[0-9]{0,20}") {
        if let Some(number) = rules.normalise(&text) {
            prop_assert!(number.len() <= MAX_NUMBER && !number.is_empty());
            prop_assert!(number.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._*#".contains(&b)), "{}", number);
            prop_assert_eq!(rules.normalise(&number), Some(number));
        }
    }

    /// AUT-11: the work is bounded by the cap on the input, whatever it is.
    #[test]
    fn long_texts_are_refused_at_once(text in "[0-9]{257,4096}") {
        prop_assert_eq!(germany().normalise(&text), None);
    }
}
