//! An HTTP request from fixed configuration and checked arguments (attack A18).
//!
//! An argument cannot leave the path segment or query value it stands in: everything but RFC 3986 unreserved characters is
//! percent-encoded, and what URL libraries would still take for structure (`.`, `..`, an empty segment) is refused.
//! Header values are the configuration's only.

use super::arguments::Arguments;
use super::http::HttpRequest;
use crate::config::dialplan::{HttpMethod, HttpTool};
use crate::config::url::{Part, is_dot_segment, template};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Longest URL, bytes; what common servers take.
const MAX_URL_BYTES: usize = 8 * 1024;

/// The request, or a sentence for the model.
pub fn build(tool: &HttpTool, arguments: &Arguments) -> Result<HttpRequest, String> {
    let (path, query) = match tool.url.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (tool.url.as_str(), None),
    };
    let mut used = BTreeSet::new();
    let mut url = fill_path(path, arguments, &mut used)?;
    let mut separator = '?';
    if let Some(query) = query {
        url.push('?');
        url.push_str(&fill(query, arguments, &mut used)?);
        separator = '&';
    }
    let rest: Map<String, Value> = arguments
        .iter()
        .filter(|(name, _)| !used.contains(*name))
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    let body = match tool.method {
        HttpMethod::Get | HttpMethod::Delete => {
            for (name, value) in &rest {
                url.push(separator);
                url.push_str(&encode(name));
                url.push('=');
                url.push_str(&encode(&plain(value, name)?));
                separator = '&';
            }
            None
        }
        HttpMethod::Post | HttpMethod::Put | HttpMethod::Patch => Some(Value::Object(rest).to_string()),
    };
    if url.len() > MAX_URL_BYTES {
        return Err("The arguments are too long for this tool.".to_owned());
    }
    Ok(HttpRequest {
        method: tool.method,
        url,
        headers: tool.headers.clone(),
        body,
        timeout: tool.timeout,
        max_bytes: tool.max_bytes,
        allow_private: tool.allow_private,
    })
}

/// Fills segment by segment, so that a segment made of several parts is judged as a whole.
fn fill_path(path: &str, arguments: &Arguments, used: &mut BTreeSet<String>) -> Result<String, String> {
    let mut filled = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            filled.push('/');
        }
        let text = fill(segment, arguments, used)?;
        if segment.contains('{') && (text.is_empty() || is_dot_segment(&text)) {
            return Err("An argument that is part of an address must not be empty or consist of dots.".to_owned());
        }
        filled.push_str(&text);
    }
    Ok(filled)
}

fn fill(text: &str, arguments: &Arguments, used: &mut BTreeSet<String>) -> Result<String, String> {
    // The configuration was checked; a template that does not split cannot get here.
    let parts = template(text).map_err(|_| "This tool is not configured correctly.".to_owned())?;
    let mut filled = String::with_capacity(text.len());
    for part in parts {
        match part {
            Part::Literal(literal) => filled.push_str(literal),
            Part::Parameter(name) => {
                let value = arguments.get(name).ok_or_else(|| format!("The argument \"{name}\" is missing."))?;
                filled.push_str(&encode(&plain(value, name)?));
                used.insert(name.to_owned());
            }
        }
    }
    Ok(filled)
}

/// A value as text for a URL. Control characters are refused: no honest value has them, and a sloppy server behind the
/// URL may decode them into its own protocol.
fn plain(value: &Value, name: &str) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().any(char::is_control) {
        return Err(format!("The argument \"{name}\" must be one line of plain text."));
    }
    Ok(text)
}

/// Percent-encodes all but unreserved characters (RFC 3986 §2.3).
fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}
