//! `[[tool]] kind = "http"`: one fixed request with typed holes.

use super::tools::is_identifier;
use super::{HeaderValue, HttpMethod, HttpTool, Parameter, ParameterKind};
use crate::config::fields::{Fields, Found};
use crate::config::network::is_public;
use crate::config::secret::SecretRef;
use crate::config::suggest;
use crate::config::url::{Host, Part, Url, template};
use std::time::Duration;

const MAX_PARAMETERS: usize = 32;
const METHODS: [(&str, HttpMethod); 5] = [
    ("GET", HttpMethod::Get),
    ("POST", HttpMethod::Post),
    ("PUT", HttpMethod::Put),
    ("PATCH", HttpMethod::Patch),
    ("DELETE", HttpMethod::Delete),
];
/// Headers that frame the message or name the host; the HTTP library writes them.
const RESERVED_HEADERS: [&str; 7] =
    ["host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te"];
/// Headers whose value is a credential.
const CREDENTIAL_HEADERS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "api-key",
    "x-api-key",
    "x-auth-token",
    "x-access-token",
    "ocp-apim-subscription-key",
];

pub fn read(fields: &mut Fields<'_>) -> HttpTool {
    let method = fields.choice("method", &METHODS).map_or(HttpMethod::Get, |found| found.value);
    let allow_private = fields.flag("allow_private").unwrap_or(false);
    let parameters = parameters(fields);
    if !fields.has("url") {
        fields.problem("url", "is missing: write it, with {parameter} where an argument goes");
    }
    let url = fields.words("url", 2048);
    if let Some(url) = &url
        && let Err(message) = check_url(&url.value, &parameters, allow_private)
    {
        fields.problems.add(url.error(message));
    }
    HttpTool {
        method,
        url: url.map(|url| url.value).unwrap_or_default(),
        headers: headers(fields),
        parameters,
        timeout: fields.number("timeout_ms", 100..=60_000).map_or(Duration::from_secs(10), Duration::from_millis),
        max_bytes: fields.number("max_bytes", 256..=262_144).unwrap_or(16_384),
        allow_private,
    }
}

fn check_url(text: &str, parameters: &[Parameter], allow_private: bool) -> Result<(), String> {
    let url = Url::parse(text)?;
    match url.scheme {
        "https" => {}
        "http" if allow_private => {}
        "http" => {
            return Err("is not encrypted: use https://, or set allow_private = true if the service is in your own \
                        network"
                .into());
        }
        other => return Err(format!("has the scheme \"{other}\": use https://")),
    }
    let private = match url.host {
        Host::Ip(ip) => !is_public(ip),
        Host::Name(_) => url.is_loopback(),
    };
    if private && !allow_private {
        return Err("leads into a private network: set allow_private = true if that is meant".into());
    }
    for part in template(url.path)? {
        if let Part::Parameter(name) = part {
            check_url_parameter(name, parameters)?;
        }
    }
    for pair in url.query.unwrap_or("").split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key.contains(['{', '}']) {
            return Err(format!("has a parameter in the name of a query field (\"{key}\"): put it after the \"=\""));
        }
        for part in template(value)? {
            if let Part::Parameter(name) = part {
                check_url_parameter(name, parameters)?;
            }
        }
    }
    Ok(())
}

fn check_url_parameter(name: &str, parameters: &[Parameter]) -> Result<(), String> {
    let Some(parameter) = parameters.iter().find(|parameter| parameter.name == name) else {
        let hint = suggest::hint(name, parameters.iter().map(|parameter| parameter.name.as_str()));
        return Err(format!("has {{{name}}}, but there is no [[tool.parameter]] of that name.{hint}"));
    };
    if !parameter.required {
        return Err(format!("has {{{name}}}, which is optional: a parameter in the URL must be required"));
    }
    Ok(())
}

fn headers(fields: &mut Fields<'_>) -> Vec<(String, HeaderValue)> {
    let mut headers: Vec<(String, HeaderValue)> = Vec::new();
    for (name, value) in fields.text_map("headers") {
        let lower = name.to_ascii_lowercase();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let message = if name.is_empty() || !name.bytes().all(token) {
            "is not the name of an HTTP header"
        } else if RESERVED_HEADERS.contains(&lower.as_str()) {
            "is written by the server itself: remove it"
        } else if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
            "is there twice"
        } else {
            match header_value(&lower, &value) {
                Ok(parsed) => {
                    headers.push((name, parsed));
                    continue;
                }
                Err(message) => {
                    fields.problems.add(value.error(message));
                    continue;
                }
            }
        };
        fields.problems.add(value.error(message));
    }
    headers
}

/// Literal, `env:NAME`, `file:/path`, or a reference after a word and a space: `Bearer env:NAME`.
fn header_value(lower_name: &str, value: &Found<String>) -> Result<HeaderValue, String> {
    let text = value.value.as_str();
    if text.is_empty() || !text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Err("must be printable ASCII, and not empty".into());
    }
    let (prefix, rest) = match text.split_once(' ') {
        Some((word, rest)) => (format!("{word} "), rest),
        None => (String::new(), text),
    };
    if rest.starts_with("env:") || rest.starts_with("file:") {
        return SecretRef::parse(rest).map(|secret| HeaderValue::Secret { prefix, secret });
    }
    if CREDENTIAL_HEADERS.contains(&lower_name) {
        return Err("is a credential, which is never written here: use \"env:NAME\", \"file:/path\", or \
                    \"Bearer env:NAME\""
            .into());
    }
    Ok(HeaderValue::Literal(text.to_owned()))
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    String,
    Integer,
    Number,
    Boolean,
    Enum,
}

fn parameters(fields: &mut Fields<'_>) -> Vec<Parameter> {
    let tables = fields.tables("parameter");
    if tables.len() > MAX_PARAMETERS {
        fields.problem("parameter", format!("is there {} times, the most is {MAX_PARAMETERS}", tables.len()));
    }
    let mut parameters: Vec<Parameter> = Vec::new();
    for mut table in tables {
        let parameter = parameter(&mut table);
        if parameters.iter().any(|other| other.name == parameter.name && !parameter.name.is_empty()) {
            table.problem("name", format!("\"{}\" is the name of an earlier parameter", parameter.name));
        }
        parameters.push(parameter);
    }
    parameters
}

fn parameter(fields: &mut Fields<'_>) -> Parameter {
    for (key, next) in [
        ("name", "name it, like \"order_id\""),
        ("description", "tell the model what to put there"),
        ("type", "use \"string\", \"integer\", \"number\", \"boolean\" or \"enum\""),
    ] {
        if !fields.has(key) {
            fields.problem(key, format!("is missing: {next}"));
        }
    }
    let name = fields.words("name", 64);
    if let Some(name) = name.as_ref().filter(|name| !is_identifier(&name.value) || name.value.contains('-')) {
        fields.problems.add(name.error("may have letters, digits and \"_\" only"));
    }
    Parameter {
        name: name.map(|name| name.value).unwrap_or_default(),
        description: fields.words("description", 1024).map(|found| found.value).unwrap_or_default(),
        kind: kind(fields),
        required: fields.flag("required").unwrap_or(true),
    }
}

fn kind(fields: &mut Fields<'_>) -> ParameterKind {
    let types = [
        ("string", Type::String),
        ("integer", Type::Integer),
        ("number", Type::Number),
        ("boolean", Type::Boolean),
        ("enum", Type::Enum),
    ];
    let kind = fields.choice("type", &types).map(|found| found.value);
    let only = |fields: &mut Fields<'_>, own: Type| {
        if own != Type::String {
            fields.only_with(&["max_length"], "type = \"string\"");
        }
        if own != Type::Integer {
            fields.only_with(&["min", "max"], "type = \"integer\"");
        }
        if own != Type::Enum {
            fields.only_with(&["values"], "type = \"enum\"");
        }
    };
    let Some(kind) = kind else {
        // The type was complained about; its companions cannot be judged.
        fields.forget(&["max_length", "min", "max", "values"]);
        return ParameterKind::Boolean;
    };
    only(fields, kind);
    match kind {
        Type::String => ParameterKind::String { max_length: fields.number("max_length", 1..=4000).unwrap_or(200) },
        Type::Integer => {
            let (min, max) = (fields.integer("min", i64::MIN..=i64::MAX), fields.integer("max", i64::MIN..=i64::MAX));
            if matches!((min, max), (Some(min), Some(max)) if min > max) {
                fields.problem("min", "is above max: swap them");
            }
            ParameterKind::Integer { min, max }
        }
        Type::Number => ParameterKind::Number,
        Type::Boolean => ParameterKind::Boolean,
        Type::Enum => ParameterKind::Enum { values: values(fields) },
    }
}

fn values(fields: &mut Fields<'_>) -> Vec<String> {
    if !fields.has("values") {
        fields.problem("values", "is missing: list the words the model may choose from");
    }
    let Some(list) = fields.texts("values") else { return Vec::new() };
    if list.value.is_empty() || list.value.len() > 100 {
        fields.problems.add(list.error("must have 1 to 100 words"));
    }
    let mut values: Vec<String> = Vec::new();
    for found in list.value {
        let message = if found.value.is_empty() || found.value.chars().count() > 200 {
            "must have 1 to 200 characters"
        } else if found.value.chars().any(char::is_control) {
            "contains a control character"
        } else if values.contains(&found.value) {
            "is there twice"
        } else {
            values.push(found.value);
            continue;
        };
        fields.problems.add(found.error(message));
    }
    values
}
