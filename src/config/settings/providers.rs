//! `[[provider]]`: where Realtime sessions are opened, per kind of service.

use super::parts::existing;
use super::{EMBEDDED, Provider};
use crate::config::fields::{Fields, Found};
use crate::config::secret::SecretRef;
use crate::config::url::Url;
use crate::realtime::{DialectKind, Endpoint, ProviderKind};
use std::time::Duration;

const KINDS: [(&str, ProviderKind); 4] = [
    ("openai", ProviderKind::OpenAi),
    ("azure", ProviderKind::Azure),
    ("compatible", ProviderKind::Compatible),
    ("embedded", ProviderKind::Embedded),
];
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// The first preview version; what the oldest gateways and examples use.
const AZURE_PREVIEW_VERSION: &str = "2024-10-01-preview";

/// The provider of a server without `[[provider]]`. The server that starts the embedded service fills in the URL.
pub fn embedded() -> Provider {
    let endpoint = Endpoint {
        kind: ProviderKind::Embedded,
        dialect: DialectKind::Ga,
        url: String::new(),
        model: EMBEDDED.to_owned(),
        api_version: None,
    };
    Provider {
        name: EMBEDDED.to_owned(),
        endpoint,
        key: None,
        connect_timeout: CONNECT_TIMEOUT,
        ready_timeout: READY_TIMEOUT,
        ca_file: None,
    }
}

/// All of them, in the order of the file; the embedded one if there is none.
pub fn read(fields: &mut Fields<'_>) -> Vec<Provider> {
    let mut providers: Vec<Provider> = Vec::new();
    for mut table in fields.tables("provider") {
        let Some(provider) = provider(&mut table) else { continue };
        if providers.iter().any(|other| other.name == provider.name) {
            table.problem("name", format!("\"{}\" is the name of an earlier provider: choose another", provider.name));
        }
        providers.push(provider);
    }
    if providers.is_empty() {
        providers.push(embedded());
    }
    providers
}

/// `None` only if the kind is not known; then nothing else can be judged.
fn provider(fields: &mut Fields<'_>) -> Option<Provider> {
    let mut provider = embedded();
    if !fields.has("kind") {
        fields.problem("kind", "is missing: use \"openai\", \"azure\", \"compatible\" or \"embedded\"");
    }
    let kind = fields.choice("kind", &KINDS);
    provider.name = match fields.words("name", 64) {
        Some(name) => label(fields, name),
        None => {
            kind.as_ref().and_then(|kind| KINDS.iter().find(|(_, k)| *k == kind.value)).map(|(word, _)| *word)?.into()
        }
    };
    let dialects = [("ga", DialectKind::Ga), ("preview", DialectKind::Preview)];
    provider.endpoint.dialect = fields.choice("dialect", &dialects).map_or(DialectKind::Ga, |found| found.value);
    let allow_plain = fields.flag("allow_plain").unwrap_or(false);
    let url = fields.words("url", 2048).map(portal_url).filter(|url| websocket_url(fields, url, allow_plain));
    let resource = fields.words("resource", 64);
    let deployment = fields.words("deployment", 128);
    let model = fields.words("model", 128);
    let api_version = fields.words("api_version", 64);
    provider.key = key(fields);
    provider.ca_file = existing(fields, "ca_file");
    provider.connect_timeout = timeout(fields, "connect_timeout_ms", CONNECT_TIMEOUT);
    provider.ready_timeout = timeout(fields, "ready_timeout_ms", READY_TIMEOUT);

    let endpoint = &mut provider.endpoint;
    endpoint.kind = kind?.value;
    let parts = Parts { url, resource, deployment, model, api_version };
    match endpoint.kind {
        ProviderKind::OpenAi => parts.openai(fields, endpoint),
        ProviderKind::Azure => parts.azure(fields, endpoint),
        ProviderKind::Compatible => parts.compatible(fields, endpoint),
        ProviderKind::Embedded => parts.embedded(fields, endpoint),
    }
    Some(provider)
}

/// What says where; which of them are needed depends on the kind.
struct Parts {
    url: Option<Found<String>>,
    resource: Option<Found<String>>,
    deployment: Option<Found<String>>,
    model: Option<Found<String>>,
    api_version: Option<Found<String>>,
}

impl Parts {
    fn openai(self, fields: &Fields<'_>, endpoint: &mut Endpoint) {
        refuse(fields, [&self.resource, &self.deployment, &self.api_version], "kind = \"azure\"");
        endpoint.url = base_url(fields, self.url).unwrap_or_else(|| "wss://api.openai.com".to_owned());
        endpoint.model = required(fields, "model", self.model, "name the Realtime model, like \"gpt-realtime\"");
        require_key(fields, "env:OPENAI_API_KEY");
    }

    fn azure(self, fields: &Fields<'_>, endpoint: &mut Endpoint) {
        if let Some(model) = &self.model {
            let message =
                "has no meaning with kind = \"azure\", where the deployment decides: write deployment = \"…\"";
            fields.problems.add(model.error(message));
        }
        endpoint.model = required(fields, "deployment", self.deployment, "name the deployment you made in Azure");
        match (self.resource, self.url) {
            (Some(resource), None) => {
                if resource.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                    endpoint.url = format!("wss://{}.openai.azure.com", resource.value);
                } else {
                    let message =
                        "is not a resource name: write only the first label, like \"my-resource\", or give url";
                    fields.problems.add(resource.error(message));
                }
            }
            (None, Some(url)) => endpoint.url = base_url(fields, Some(url)).unwrap_or_default(),
            (Some(resource), Some(_)) => {
                fields.problems.add(resource.error("and url are both given: keep one of them"));
            }
            (None, None) => {
                let message =
                    "is missing: write resource = \"NAME\" for wss://NAME.openai.azure.com, or url = \"wss://…\"";
                fields.problem("resource", message);
            }
        }
        match (endpoint.dialect, self.api_version) {
            (DialectKind::Preview, version) => {
                endpoint.api_version = Some(version.map_or(AZURE_PREVIEW_VERSION.to_owned(), |version| version.value));
            }
            // A left-over api-version makes the GA service answer the handshake with 401.
            (DialectKind::Ga, Some(version)) => {
                fields.problems.add(version.error("belongs to dialect = \"preview\": remove it, or set that dialect"));
            }
            (DialectKind::Ga, None) => {}
        }
        require_key(fields, "env:AZURE_OPENAI_API_KEY");
    }

    fn compatible(self, fields: &Fields<'_>, endpoint: &mut Endpoint) {
        refuse(fields, [&self.resource, &self.deployment, &self.api_version], "kind = \"azure\"");
        let next = "write the whole address, like \"wss://host/v1/realtime\"";
        endpoint.url = required(fields, "url", self.url, next);
        endpoint.model = required(fields, "model", self.model, "name the model the server shall use");
    }

    fn embedded(self, fields: &Fields<'_>, endpoint: &mut Endpoint) {
        let kinds = "the other kinds (the embedded service needs no address)";
        refuse(fields, [&self.resource, &self.deployment, &self.api_version], kinds);
        refuse(fields, [&self.url], kinds);
        if let Some(model) = self.model {
            endpoint.model = model.value;
        }
    }
}

fn refuse<const N: usize>(fields: &Fields<'_>, parts: [&Option<Found<String>>; N], belongs_to: &str) {
    for part in parts.into_iter().flatten() {
        fields.problems.add(part.error(format!("belongs to {belongs_to}: remove it")));
    }
}

/// The value, or empty after a complaint (unless the field is there and was complained about already).
fn required(fields: &Fields<'_>, key: &'static str, found: Option<Found<String>>, next: &str) -> String {
    match found {
        Some(found) => found.value,
        None => {
            if !fields.has(key) {
                fields.problem(key, format!("is missing: {next}"));
            }
            String::new()
        }
    }
}

fn require_key(fields: &Fields<'_>, example: &str) {
    if !fields.has("key") {
        fields
            .problem("key", format!("is missing: refer to it, like key = \"{example}\" or \"file:/run/secrets/key\""));
    }
}

/// Names are labels of metrics and logs.
pub fn label(fields: &Fields<'_>, name: Found<String>) -> String {
    if !name.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.') {
        fields.problems.add(name.error("may have letters, digits, \"-\", \"_\" and \".\" only: rename it"));
    }
    name.value
}

fn key(fields: &mut Fields<'_>) -> Option<SecretRef> {
    let found = fields.text("key")?;
    SecretRef::parse(&found.value).map_err(|message| fields.problems.add(found.error(message))).ok()
}

fn timeout(fields: &mut Fields<'_>, key: &'static str, default: Duration) -> Duration {
    fields.number(key, 100..=60_000).map_or(default, Duration::from_millis)
}

/// Portals show `https://` endpoints, and operators copy them; the WebSocket is at the same place.
fn portal_url(mut found: Found<String>) -> Found<String> {
    if let Some(rest) = found.value.strip_prefix("https://") {
        found.value = format!("wss://{rest}");
    }
    found
}

/// Whether it may be used at all; complains if not. Plain `ws://` would send the key and the call in clear.
fn websocket_url(fields: &Fields<'_>, found: &Found<String>, allow_plain: bool) -> bool {
    let message = match Url::parse(&found.value) {
        Err(message) => message,
        Ok(_) if found.value.contains(['{', '}']) => "contains { or }, which a fixed address cannot have".to_owned(),
        Ok(url) if url.scheme == "wss" => return true,
        Ok(url) if url.scheme == "ws" && (url.is_loopback() || allow_plain) => return true,
        Ok(url) if url.scheme == "ws" => {
            "is not encrypted: use wss://, or set allow_plain = true if the key and every \
                                          word of the calls may cross that network in clear"
                .to_owned()
        }
        Ok(url) => format!("has the scheme \"{}\": use wss:// (or ws:// on loopback)", url.scheme),
    };
    fields.problems.add(found.error(message));
    false
}

/// A base to which the dialect adds its path.
fn base_url(fields: &Fields<'_>, found: Option<Found<String>>) -> Option<String> {
    let found = found?;
    if Url::parse(&found.value).is_ok_and(|url| url.query.is_some()) {
        let message = "has a query (?…), which follows from the dialect: remove it. For another address use \
                       kind = \"compatible\"";
        fields.problems.add(found.error(message));
    }
    Some(found.value.trim_end_matches('/').to_owned())
}
