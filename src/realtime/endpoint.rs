//! URL, headers and key place of every endpoint form.
//!
//! In: a checked [`Endpoint`]. Out: a [`Handshake`] without the key. The dialect is chosen by header at OpenAI and by
//! path at Azure; a compatible server gets its URL as configured, with `model=` added unless the URL has one.

use super::{DialectKind, Endpoint, Handshake, KeyHeader, ProviderKind};
use std::fmt::Write;

/// `api-version` of Azure's preview path when none is configured: the last one that was published.
const AZURE_PREVIEW_API_VERSION: &str = "2025-04-01-preview";

/// The URL, headers and key place of an endpoint.
pub fn handshake(endpoint: &Endpoint) -> Handshake {
    let base = websocket_scheme(&endpoint.url);
    let model = encode_query(&endpoint.model);
    let preview = endpoint.dialect == DialectKind::Preview;
    match endpoint.kind {
        ProviderKind::OpenAi => {
            let url = format!("{}?model={model}", with_path(&base, &["/v1", "/realtime"]));
            Handshake { url, headers: beta_header(preview), key: KeyHeader::Bearer }
        }
        // GA: a left-over `api-version` is answered with 401; preview: `deployment`, and no header.
        ProviderKind::Azure if !preview => {
            let url = format!("{}?model={model}", with_path(&base, &["/openai", "/v1", "/realtime"]));
            Handshake { url, headers: Vec::new(), key: KeyHeader::ApiKey }
        }
        ProviderKind::Azure => {
            let version = encode_query(endpoint.api_version.as_deref().unwrap_or(AZURE_PREVIEW_API_VERSION));
            let path = with_path(&base, &["/openai", "/realtime"]);
            let url = format!("{path}?api-version={version}&deployment={model}");
            Handshake { url, headers: Vec::new(), key: KeyHeader::ApiKey }
        }
        ProviderKind::Compatible => {
            Handshake { url: with_model(base, &model), headers: beta_header(preview), key: KeyHeader::Bearer }
        }
        ProviderKind::Embedded => {
            Handshake { url: with_model(base, &model), headers: beta_header(preview), key: KeyHeader::None }
        }
    }
}

fn beta_header(preview: bool) -> Vec<(String, String)> {
    if preview { vec![("OpenAI-Beta".to_owned(), "realtime=v1".to_owned())] } else { Vec::new() }
}

/// Operators copy `https://` endpoints from a portal.
fn websocket_scheme(url: &str) -> String {
    let url = url.trim();
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => format!("wss://{rest}"),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => format!("ws://{rest}"),
        _ => url.to_owned(),
    }
}

/// Appends the path, less the leading segments which the base already ends with; query and fragment of a base are dropped.
fn with_path(base: &str, segments: &[&str]) -> String {
    let base = base.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let (scheme, rest) = base.split_once("://").unwrap_or(("wss", base));
    let path_start = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_start);
    let have = (0..=segments.len()).rev().find(|&n| path.ends_with(&segments[..n].concat())).unwrap_or(0);
    format!("{scheme}://{authority}{path}{}", segments[have..].concat())
}

fn with_model(url: String, model: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let query = url.split_once('?').map(|(_, query)| query);
    let named = query.is_some_and(|q| q.split('&').any(|pair| pair.split('=').next() == Some("model")));
    match query {
        _ if named || model.is_empty() => url.to_owned(),
        None => format!("{url}?model={model}"),
        Some(q) if q.is_empty() || q.ends_with('&') => format!("{url}model={model}"),
        Some(_) => format!("{url}&model={model}"),
    }
}

/// RFC 3986 §2.1: everything but the unreserved characters.
fn encode_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(kind: ProviderKind, dialect: DialectKind, url: &str, model: &str) -> Endpoint {
        Endpoint { kind, dialect, url: url.to_owned(), model: model.to_owned(), api_version: None }
    }

    #[test]
    fn every_endpoint_form_has_its_url_header_and_key_place() {
        use DialectKind::{Ga, Preview};
        use KeyHeader::{ApiKey, Bearer, None as NoKey};
        use ProviderKind::{Azure, Compatible, Embedded, OpenAi};
        let rows = [
            (OpenAi, Ga, "wss://api.openai.com", "wss://api.openai.com/v1/realtime?model=m", Bearer, false),
            (OpenAi, Ga, "https://api.openai.com/v1/", "wss://api.openai.com/v1/realtime?model=m", Bearer, false),
            (OpenAi, Ga, "wss://h/v1/realtime", "wss://h/v1/realtime?model=m", Bearer, false),
            (OpenAi, Preview, "wss://api.openai.com", "wss://api.openai.com/v1/realtime?model=m", Bearer, true),
            (
                Azure,
                Ga,
                "wss://r.openai.azure.com",
                "wss://r.openai.azure.com/openai/v1/realtime?model=m",
                ApiKey,
                false,
            ),
            (Azure, Ga, "https://r/openai/v1", "wss://r/openai/v1/realtime?model=m", ApiKey, false),
            (
                Azure,
                Preview,
                "wss://r.openai.azure.com/",
                "wss://r.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&deployment=m",
                ApiKey,
                false,
            ),
            (Compatible, Ga, "ws://h:8080/v1/realtime", "ws://h:8080/v1/realtime?model=m", Bearer, false),
            (Compatible, Ga, "ws://h/x?a=1", "ws://h/x?a=1&model=m", Bearer, false),
            (Compatible, Ga, "ws://h/x?", "ws://h/x?model=m", Bearer, false),
            (Compatible, Ga, "ws://h/x?model=other&b=2#f", "ws://h/x?model=other&b=2", Bearer, false),
            (Compatible, Preview, "ws://h/x?models=1", "ws://h/x?models=1&model=m", Bearer, true),
            (Embedded, Ga, "ws://127.0.0.1:9/v1/realtime", "ws://127.0.0.1:9/v1/realtime?model=m", NoKey, false),
            (Embedded, Preview, "ws://127.0.0.1:9/v1/realtime", "ws://127.0.0.1:9/v1/realtime?model=m", NoKey, true),
        ];
        for (kind, dialect, base, url, key, beta) in rows {
            let got = handshake(&endpoint(kind, dialect, base, "m"));
            assert_eq!((got.url.as_str(), got.key), (url, key), "{kind:?} {dialect:?} {base}");
            assert_eq!(got.headers, beta_header(beta), "{kind:?} {dialect:?} {base}");
        }
    }

    #[test]
    fn configured_api_version_and_odd_names_are_percent_encoded() {
        let mut e = endpoint(ProviderKind::Azure, DialectKind::Preview, "wss://r", "my dep/&ü");
        e.api_version = Some("2024-10-01-preview".to_owned());
        assert_eq!(
            handshake(&e).url,
            "wss://r/openai/realtime?api-version=2024-10-01-preview&deployment=my%20dep%2F%26%C3%BC"
        );
    }

    #[test]
    fn compatible_server_without_a_model_is_left_alone() {
        let e = endpoint(ProviderKind::Compatible, DialectKind::Ga, "ws://h/x", "");
        assert_eq!(handshake(&e).url, "ws://h/x");
    }
}
