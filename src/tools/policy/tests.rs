//! What a model can and cannot do. The property tests generate calls without a model (attacks A16, A18; goal G12).

use super::*;
use crate::config::dialplan::Dialplan;
use crate::tools::http::LibraryUrl;
use proptest::prelude::*;
use std::path::Path;

/// A dialplan with every kind of tool.
const PLAN: &str = r#"
numbers = ["200"]
instructions = "x"
greeting = "none"
[[tool]]
kind = "hangup"
[[tool]]
kind = "transfer"
[[tool.target]]
name = "sales"
description = "Sales"
uri = "sip:sales@pbx.example"
[[tool.target]]
name = "support"
description = "Support"
uri = "tel:+15551230001"
[[tool]]
kind = "send_dtmf"
max_digits = 4
[[tool]]
kind = "collect_digits"
most_keys = 6
finish_key = "*"
[[tool]]
kind = "http"
name = "look_up"
description = "Looks up an order."
method = "GET"
url = "https://api.example.com/shops/{shop}/orders/{order}?lang=en&day={day}"
headers = { Authorization = "Bearer env:CRM_TOKEN", Accept = "application/json" }
[[tool.parameter]]
name = "shop"
description = "Shop"
type = "string"
max_length = 40
[[tool.parameter]]
name = "order"
description = "Order number"
type = "integer"
min = 1
max = 999999
[[tool.parameter]]
name = "day"
description = "Day"
type = "string"
[[tool.parameter]]
name = "note"
description = "Note"
type = "string"
required = false
[[tool]]
kind = "http"
name = "book"
description = "Books a table."
method = "POST"
url = "https://api.example.com/book"
[[tool.parameter]]
name = "name"
description = "Name"
type = "string"
[[tool.parameter]]
name = "people"
description = "How many"
type = "integer"
min = 1
max = 12
[[tool.parameter]]
name = "size"
description = "Size"
type = "enum"
values = ["small", "large"]
[[tool.parameter]]
name = "outside"
description = "Outside"
type = "boolean"
required = false
[[tool.parameter]]
name = "budget"
description = "Budget"
type = "number"
required = false
"#;

fn tools() -> Vec<Tool> {
    Dialplan::parse(Path::new("plan.toml"), PLAN).unwrap_or_else(|errors| panic!("{errors:?}")).tools
}

#[test]
fn a_transfer_picks_a_name_and_gets_the_configured_uri() {
    let action = check(&tools(), "transfer", r#"{"target":"sales"}"#);
    assert_eq!(action, Ok(ToolAction::Transfer { target: "sales".into(), uri: "sip:sales@pbx.example".into() }));
}

/// A16: numbers, URIs, case tricks and near names are not destinations.
#[test]
fn a_transfer_to_anything_unlisted_is_refused_with_the_list() {
    let tools = tools();
    let wanted =
        ["+882123456", "sip:evil@example.net", "Sales", "sales ", "", "tel:+15551230001", "sip:sales@pbx.example"];
    for target in wanted {
        let arguments = serde_json::json!({ "target": target }).to_string();
        let error = check(&tools, "transfer", &arguments).expect_err(target);
        assert_eq!(error, "The argument \"target\" must be one of: sales, support.");
    }
    assert!(check(&tools, "transfer", r#"{"target":["sales"]}"#).is_err());
    assert!(check(&tools, "transfer", r#"{"target":"sales","uri":"sip:evil@example.net"}"#).is_err());
    assert!(
        check(&tools, "transfer", r#"{"target":"evil","target":"support"}"#)
            .is_ok_and(|action| matches!(action, ToolAction::Transfer { uri, .. } if uri == "tel:+15551230001"))
    );
}

#[test]
fn digits_are_keys_and_few() {
    let tools = tools();
    let send = |digits: &str| check(&tools, "send_dtmf", &serde_json::json!({ "digits": digits }).to_string());
    assert_eq!(send("1*#d"), Ok(ToolAction::SendDtmf { digits: "1*#D".into() }));
    for bad in ["", "12345", "9,00", "9 0", "E", "１２", "1\r\n2", "+1"] {
        assert!(send(bad).is_err(), "{bad:?}");
    }
}

/// DTM-07: the model may ask for fewer keys than the dialplan's, never for more.
#[test]
fn an_entry_is_as_long_as_the_dialplan_lets_it_be() {
    let tools = tools();
    let most = |arguments: &str| match check(&tools, "collect_digits", arguments) {
        Ok(ToolAction::CollectDigits(entry)) => Some(entry.most),
        _ => None,
    };
    assert_eq!((most(""), most(r#"{"count":4}"#), most(r#"{"count":6}"#)), (Some(6), Some(4), Some(6)));
    assert_eq!((most(r#"{"count":7}"#), most(r#"{"count":0}"#), most(r#"{"keys":4}"#)), (None, None, None));
}

#[test]
fn arguments_must_be_what_the_schema_says() {
    let tools = tools();
    let refused = [
        ("book", "", "missing"),
        ("book", "[]", "one JSON object"),
        ("book", "{", "one JSON object"),
        ("book", r#"{"name":"a","people":2}"#, "\"size\" is missing"),
        ("book", r#"{"name":"a","people":2,"size":"huge"}"#, "one of: small, large"),
        ("book", r#"{"name":"a","people":0,"size":"small"}"#, "at least 1 and at most 12"),
        ("book", r#"{"name":"a","people":2.5,"size":"small"}"#, "a whole number"),
        ("book", r#"{"name":"a","people":1e400,"size":"small"}"#, "one JSON object"),
        ("book", r#"{"name":"a","people":"2","size":"small"}"#, "a whole number"),
        ("book", r#"{"name":null,"people":2,"size":"small"}"#, "must be text"),
        ("book", r#"{"name":"a","people":2,"size":"small","x":1}"#, "does not have"),
        ("book", r#"{"name":"a","people":2,"size":"small","outside":"yes"}"#, "true or false"),
        ("hangup", r#"{"now":true}"#, "does not have"),
        ("nothing", "{}", "no tool of that name"),
    ];
    for (name, arguments, expected) in refused {
        let error = check(&tools, name, arguments).expect_err(arguments);
        assert!(error.contains(expected), "{arguments}: {error}");
    }
    let long = serde_json::json!({ "reason": "x".repeat(MAX_ARGUMENTS_BYTES) }).to_string();
    assert!(check(&tools, "hangup", &long).expect_err("too long").contains("too long"));
    assert_eq!(check(&tools, "hangup", ""), Ok(ToolAction::Hangup { reason: None }));
    assert_eq!(check(&tools, "hangup", r#"{"reason":null}"#), Ok(ToolAction::Hangup { reason: None }));
}

#[test]
fn a_body_holds_the_typed_values_and_the_headers_are_the_files() {
    let tools = tools();
    let arguments = r#"{"name":"O\"Neil\r\n","people":3.0,"size":"small","outside":null,"budget":12.5}"#;
    let Ok(ToolAction::Http(request)) = check(&tools, "book", arguments) else { panic!("refused") };
    assert_eq!(request.url, "https://api.example.com/book");
    let body: serde_json::Value = serde_json::from_str(request.body.as_deref().unwrap_or("")).expect("JSON");
    assert_eq!(body, serde_json::json!({"name": "O\"Neil\r\n", "people": 3, "size": "small", "budget": 12.5}));
}

/// A18: quotes, shell, CRLF, path tricks stay in their place.
#[test]
fn arguments_cannot_leave_their_place_in_a_url() {
    let tools = tools();
    let look_up = |shop: &str, day: &str| {
        let arguments = serde_json::json!({"shop": shop, "order": 7, "day": day, "note": "a&b=c"}).to_string();
        match check(&tools, "look_up", &arguments) {
            Ok(ToolAction::Http(request)) => Ok(request.url),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        }
    };
    let url = look_up("a/../b?x=1#f", "\"'$();&day=evil").expect("taken");
    let expected = "https://api.example.com/shops/a%2F..%2Fb%3Fx%3D1%23f/orders/7\
                    ?lang=en&day=%22%27%24%28%29%3B%26day%3Devil&note=a%26b%3Dc";
    assert_eq!(url, expected);
    for bad in ["", ".", "..", "a\r\nHost: evil", "a\tb", "\u{0}"] {
        assert!(look_up(bad, "x").is_err(), "{bad:?}");
    }
    assert_eq!(
        look_up("%2e%2e", "x").as_deref(),
        Ok("https://api.example.com/shops/%252e%252e/orders/7?lang=en&day=x&note=a%26b%3Dc")
    );
}

/// The schemas are what a validator agrees with, closed, and name no URI.
#[test]
fn definitions_are_closed_schemas_without_addresses() {
    let tools = tools();
    let definitions = definitions(&tools);
    assert_eq!(definitions.len(), tools.len());
    for definition in &definitions {
        assert_eq!(definition.parameters["additionalProperties"], false, "{}", definition.name);
        jsonschema::validator_for(&definition.parameters).expect("a valid schema");
    }
    let transfer = &definitions[1];
    assert_eq!(transfer.parameters["properties"]["target"]["enum"], serde_json::json!(["sales", "support"]));
    assert!(transfer.description.contains("- sales: Sales"));
    let everything = format!("{definitions:?}");
    for secret in ["pbx.example", "+15551230001", "api.example.com", "CRM_TOKEN"] {
        assert!(!everything.contains(secret), "the model is told {secret}");
    }
}

fn hostile_text() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "sales",
        "support",
        "SALES",
        "+882123456",
        "sip:x@evil.example",
        "../",
        "..",
        ".",
        "/",
        "\\",
        "%2e%2e",
        "%2f",
        "?",
        "#",
        "&",
        "=",
        "@",
        "://",
        "\r\n",
        "\0",
        "\t",
        "\"",
        "'",
        "`",
        "$(id)",
        "; rm -rf /",
        "{shop}",
        "{",
        "}",
        " ",
        "é",
        "\u{202e}",
        "\u{ff0f}",
        "9,00",
        "*#",
        "0123456789",
        "127.0.0.1",
        "169.254.169.254",
        "Authorization: x",
        "env:HOME",
    ]);
    prop_oneof![prop::collection::vec(words, 0..6).prop_map(|words| words.concat()), ".{0,60}", "[0-9*#A-D]{0,8}"]
}

fn hostile_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        6 => hostile_text().prop_map(serde_json::Value::from),
        2 => any::<i64>().prop_map(serde_json::Value::from),
        2 => (0i64..20).prop_map(serde_json::Value::from),
        1 => any::<f64>().prop_map(serde_json::Value::from),
        1 => any::<bool>().prop_map(serde_json::Value::from),
        1 => Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map(hostile_text(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Mostly near-valid calls, so that they get deep; some rubbish.
fn hostile_call() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        12 => prop::sample::select(vec!["hangup", "transfer", "send_dtmf", "collect_digits", "look_up", "book"]).prop_map(str::to_owned),
        1 => hostile_text(),
    ];
    let near = |fields: &'static [&'static str]| {
        let values = prop::collection::vec((hostile_value(), 0..10u8), fields.len());
        values.prop_map(move |values| {
            let pairs = fields.iter().zip(values).filter(|(_, (_, keep))| *keep > 0);
            let typed = |(name, (value, keep)): (&&str, (serde_json::Value, u8))| match (*name, keep) {
                ("order" | "people", 3..) => (name.to_string(), serde_json::json!(keep)),
                ("size", 3..) => (name.to_string(), serde_json::json!("small")),
                ("target", 8..) => (name.to_string(), serde_json::json!("sales")),
                ("digits", 8..) => (name.to_string(), serde_json::json!("1*")),
                ("outside", 3..) => (name.to_string(), serde_json::json!(true)),
                ("budget", 3..) => (name.to_string(), serde_json::json!(12.5)),
                ("shop" | "day" | "name" | "note", 3..) if !value.is_string() => {
                    (name.to_string(), value.to_string().into())
                }
                _ => (name.to_string(), value),
            };
            serde_json::Value::Object(pairs.map(typed).collect()).to_string()
        })
    };
    name.prop_flat_map(move |name| {
        let arguments = match name.as_str() {
            "hangup" => near(&["reason"]).boxed(),
            "transfer" => near(&["target"]).boxed(),
            "send_dtmf" => near(&["digits"]).boxed(),
            "collect_digits" => near(&["count"]).boxed(),
            "look_up" => near(&["shop", "order", "day", "note"]).boxed(),
            _ => near(&["name", "people", "size", "outside", "budget"]).boxed(),
        };
        let rubbish = prop_oneof![hostile_text(), hostile_value().prop_map(|value| value.to_string())];
        (Just(name), prop_oneof![9 => arguments, 1 => rubbish.boxed()])
    })
}

/// G12, A16, A18: 12,000 generated calls; none leaves what the dialplan lists.
#[test]
fn no_generated_call_leaves_the_list() {
    let tools = tools();
    let allowed = ["sip:sales@pbx.example", "tel:+15551230001"];
    let taken = std::cell::RefCell::new(std::collections::BTreeMap::new());
    let config = ProptestConfig { cases: 12_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |((name, arguments) in hostile_call())| {
        let Ok(action) = check(&tools, &name, &arguments) else { return Ok(()) };
        *taken.borrow_mut().entry(name.clone()).or_insert(0u32) += 1;
        match action {
            ToolAction::Hangup { reason } => {
                prop_assert!(name == "hangup" && reason.is_none_or(|reason| reason.chars().count() <= 200));
            }
            ToolAction::Transfer { target, uri } => {
                prop_assert!(name == "transfer" && allowed.contains(&uri.as_str()) && ["sales", "support"].contains(&target.as_str()));
            }
            ToolAction::SendDtmf { digits } => {
                prop_assert!((1..=4).contains(&digits.len()), "{digits:?}");
                prop_assert!(digits.chars().all(|c| "0123456789*#ABCD".contains(c)), "{digits:?}");
            }
            ToolAction::CollectDigits(entry) => {
                prop_assert!(name == "collect_digits" && (1..=6).contains(&entry.most) && entry.finish == Some('*'));
            }
            ToolAction::Http(request) => {
                let url = LibraryUrl::parse(&request.url).map_err(TestCaseError::fail)?;
                prop_assert_eq!(&url.text, &request.url, "a library reads another URL");
                prop_assert_eq!(url.origin.as_str(), "https://api.example.com");
                prop_assert!(!url.has_fragment && !url.has_user);
                if name == "look_up" {
                    prop_assert_eq!(url.segments.len(), 4, "{}", &request.url);
                    prop_assert_eq!([&url.segments[0], &url.segments[2]], ["shops", "orders"]);
                    prop_assert!(url.segments[3].bytes().all(|b| b.is_ascii_digit()));
                    let keys: Vec<&str> = url.query.iter().map(|(key, _)| key.as_str()).collect();
                    prop_assert!(keys == ["lang", "day"] || keys == ["lang", "day", "note"], "{keys:?}");
                    prop_assert!(request.body.is_none());
                } else {
                    prop_assert_eq!(url.segments, ["book"]);
                    prop_assert!(url.query.is_empty());
                    prop_assert!(request.body.is_some_and(|body| serde_json::from_str::<serde_json::Value>(&body).is_ok()));
                }
                let http = tools.iter().find_map(|tool| match &tool.kind {
                    ToolKind::Http(http) if tool.name == name => Some(http),
                    _ => None,
                });
                prop_assert_eq!(Some(request.headers), http.map(|http| http.headers.clone()));
            }
        }
    });
    let taken = taken.into_inner();
    for name in ["hangup", "transfer", "send_dtmf", "collect_digits", "look_up", "book"] {
        let count = taken.get(name).copied().unwrap_or(0);
        assert!(
            count >= 50,
            "only {count} calls of {name} got through: the test does not reach what it should ({taken:?})"
        );
    }
}

/// A14: who only claims a number gets no tool that wants it proven; other tools are not concerned.
#[test]
fn a_tool_for_verified_callers_is_refused_to_others() {
    let tool = |name: &str, requires_verified_caller| Tool {
        name: name.into(),
        description: String::new(),
        requires_verified_caller,
        kind: ToolKind::Hangup,
    };
    let tools = [tool("balance", true), tool("hours", false)];
    assert!(check_caller(&tools, "balance", false).is_err_and(|why| why.contains("does not vouch")));
    assert_eq!(check_caller(&tools, "balance", true), Ok(()));
    assert_eq!(check_caller(&tools, "hours", false), Ok(()));
    assert_eq!(check_caller(&tools, "nothing", false), Ok(()), "that is for `check` to refuse");
}
