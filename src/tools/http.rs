//! The `http` tool (door of crate reqwest). No redirects to private ranges, time and size caps, secrets by reference.
//!
//! In: an [`HttpRequest`] that policy made. Out: a [`ToolResult`] for the model, always. Who may be connected to is decided
//! where names become addresses, and the connection uses exactly those addresses: a name that changes its mind between
//! check and use (DNS rebinding) gains nothing. Secrets are read when the request is made, and neither logs nor errors nor
//! results contain them.

use crate::config::dialplan::{HeaderValue, HttpMethod};
use crate::config::network::is_public;
use crate::config::url::{Host, Url};
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Most redirects followed.
const MAX_REDIRECTS: usize = 3;
/// Idle connections kept a host, so that a busy line does not pay a TLS handshake for every question.
const MAX_IDLE_PER_HOST: usize = 8;

/// A request made from fixed configuration and checked, escaped arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRequest {
    pub method: HttpMethod,
    pub url: String,
    pub headers: Vec<(String, HeaderValue)>,
    /// JSON body.
    pub body: Option<String>,
    pub timeout: Duration,
    pub max_bytes: usize,
    pub allow_private: bool,
}

/// What the model gets: JSON text `{"status":…,"body":…}`, or `{"error":…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    pub ok: bool,
    pub output: String,
}

impl ToolResult {
    /// A failure told to the model in a sentence.
    pub fn error(message: impl Into<String>) -> ToolResult {
        ToolResult { ok: false, output: json!({ "error": message.into() }).to_string() }
    }
}

/// Shared HTTP client.
#[derive(Clone)]
pub struct HttpRunner {
    /// Connects to public addresses only.
    public: Client,
    /// Connects anywhere; only for the first request of a tool that may.
    any: Client,
    is_public: fn(IpAddr) -> bool,
}

/// Name to addresses. Replaced in tests.
type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

impl HttpRunner {
    /// The error says what of the TLS set-up failed.
    pub fn new() -> Result<HttpRunner, String> {
        let lookup = |name: String| -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            Box::pin(async move {
                Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.map(|addr: SocketAddr| addr.ip()).collect())
            })
        };
        HttpRunner::with(Arc::new(lookup), is_public)
    }

    fn with(lookup: Lookup, is_public: fn(IpAddr) -> bool) -> Result<HttpRunner, String> {
        let public = client(Guard { lookup: lookup.clone(), may_connect: is_public })?;
        let any = client(Guard { lookup, may_connect: |_| true })?;
        Ok(HttpRunner { public, any, is_public })
    }

    /// Runs one request to its end; never fails otherwise than by a result for the model.
    pub async fn run(&self, request: HttpRequest) -> ToolResult {
        let limit = request.timeout;
        match tokio::time::timeout(limit, self.fetch(request)).await {
            Ok(Ok(result)) => result,
            Ok(Err(failure)) => ToolResult::error(failure.message()),
            Err(_) => ToolResult::error(Failure::Timeout.message()),
        }
    }

    async fn fetch(&self, request: HttpRequest) -> Result<ToolResult, Failure> {
        let (configured, secrets) = headers(&request.headers)?;
        let mut url = reqwest::Url::parse(&request.url).map_err(|_| Failure::BadUrl)?;
        let origin = url.origin();
        let mut method = method(request.method);
        let mut body = request.body;
        let mut client = if request.allow_private { &self.any } else { &self.public };
        for hop in 0..=MAX_REDIRECTS {
            if hop > 0 || !request.allow_private {
                self.check_literal_host(&url)?;
            }
            let mut outgoing = client.request(method.clone(), url.clone());
            // Credentials are for the configured service, not for whom it points to.
            if url.origin() == origin {
                outgoing = outgoing.headers(configured.clone());
            }
            if let Some(body) = &body {
                outgoing = outgoing.header(header::CONTENT_TYPE, "application/json").body(body.clone());
            }
            let response = outgoing.send().await.map_err(Failure::of)?;
            let Some(next) = redirect(&response)? else {
                return read(response, request.max_bytes, &secrets).await;
            };
            if next.scheme() != "https" && (next.scheme() != "http" || url.scheme() == "https") {
                return Err(Failure::Redirect);
            }
            // RFC 9110 §15.4: 303, and by old habit 301 and 302 after POST, go on with GET.
            let keeps_method =
                matches!(response.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
            if !keeps_method && method != Method::GET {
                (method, body) = (Method::GET, None);
            }
            url = next;
            client = &self.public;
        }
        Err(Failure::Redirect)
    }

    /// A host that is an address never meets the resolver, so it is judged here.
    fn check_literal_host(&self, url: &reqwest::Url) -> Result<(), Failure> {
        match Url::parse(&format!("{}://{}/", url.scheme(), url.host_str().unwrap_or(""))) {
            Ok(Url { host: Host::Ip(ip), .. }) if !(self.is_public)(ip) => Err(Failure::Private),
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::BadUrl),
        }
    }
}

impl std::fmt::Debug for HttpRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpRunner")
    }
}

fn client(guard: Guard) -> Result<Client, String> {
    // Our own provider and roots: nothing global is installed, nothing is read from the system.
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS set-up of the http tool: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(guard))
        .redirect(reqwest::redirect::Policy::none())
        // A proxy would resolve names itself, past the guard.
        .no_proxy()
        .referer(false)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .user_agent(concat!("voxtrunk/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| format!("HTTP client of the http tool: {error}"))
}

/// Resolves, and lets only allowed addresses through.
struct Guard {
    lookup: Lookup,
    may_connect: fn(IpAddr) -> bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.lookup)(name.as_str().to_owned());
        let may_connect = self.may_connect;
        Box::pin(async move {
            let found = found.await?;
            let allowed: Vec<SocketAddr> =
                found.iter().filter(|ip| may_connect(**ip)).map(|ip| SocketAddr::new(*ip, 0)).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(Box::new(PrivateAddress) as Box<dyn std::error::Error + Send + Sync>);
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The guard's refusal, found again at the end of reqwest's chain of causes.
#[derive(Debug)]
struct PrivateAddress;

impl std::fmt::Display for PrivateAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name leads to a private address")
    }
}
impl std::error::Error for PrivateAddress {}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Timeout,
    Connect,
    Private,
    Redirect,
    Broken,
    BadUrl,
    Secret,
}

impl Failure {
    fn of(error: reqwest::Error) -> Failure {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            if error.is::<PrivateAddress>() {
                return Failure::Private;
            }
            cause = error.source();
        }
        let failure = if error.is_connect() { Failure::Connect } else { Failure::Broken };
        // The URL holds what the caller said.
        tracing::debug!(error = %error.without_url(), "http tool failed");
        failure
    }
    /// For the model, which tells the caller in its own words.
    fn message(self) -> &'static str {
        match self {
            Failure::Timeout => "The service did not answer in time.",
            Failure::Connect => "The service cannot be reached.",
            Failure::Private => "The service's address is not allowed.",
            Failure::Redirect => "The service points to another place that is not allowed.",
            Failure::Broken => "The service's answer was cut off or not understood.",
            Failure::BadUrl => "The tool is not configured correctly.",
            Failure::Secret => "The tool's credentials are not available.",
        }
    }
}

fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
    }
}

/// The configured headers with their secrets, and the secrets, to keep them out of results.
fn headers(configured: &[(String, HeaderValue)]) -> Result<(HeaderMap, Vec<String>), Failure> {
    let mut headers = HeaderMap::new();
    let mut secrets = Vec::new();
    for (name, value) in configured {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| Failure::BadUrl)?;
        let mut value = match value {
            HeaderValue::Literal(text) => header::HeaderValue::from_str(text).map_err(|_| Failure::BadUrl)?,
            HeaderValue::Secret { prefix, secret } => {
                let secret = secret.resolve().map_err(|error| {
                    tracing::error!(%error, "a secret of an http tool cannot be read");
                    Failure::Secret
                })?;
                secrets.push(secret.expose().to_owned());
                let text = format!("{prefix}{}", secret.expose());
                header::HeaderValue::from_str(&text).map_err(|_| Failure::Secret)?
            }
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok((headers, secrets))
}

/// Where a redirect leads; `None` if it is none.
fn redirect(response: &Response) -> Result<Option<reqwest::Url>, Failure> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let url = location.and_then(|location| response.url().join(location).ok()).ok_or(Failure::Redirect)?;
    if url.has_host() && url.username().is_empty() && url.password().is_none() {
        Ok(Some(url))
    } else {
        Err(Failure::Redirect)
    }
}

/// Reads up to `max_bytes` of the body; the rest is left on the wire.
async fn read(mut response: Response, max_bytes: usize, secrets: &[String]) -> Result<ToolResult, Failure> {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|value| value.to_ascii_lowercase().contains("json"));
    let mut bytes = Vec::new();
    let mut truncated = false;
    while let Some(chunk) = response.chunk().await.map_err(Failure::of)? {
        let room = max_bytes - bytes.len();
        bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            truncated = true;
            break;
        }
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    for secret in secrets {
        text = text.replace(secret, "***");
    }
    let parsed = if is_json && !truncated { serde_json::from_str(&text).ok() } else { None };
    let body = parsed.unwrap_or(if text.is_empty() { Value::Null } else { Value::String(text) });
    let mut output = json!({ "status": status.as_u16(), "body": body });
    if truncated {
        output["truncated"] = json!(true);
    }
    Ok(ToolResult { ok: status.is_success(), output: output.to_string() })
}

/// How the HTTP library reads a URL: the judge in tests of what policy builds.
#[cfg(test)]
#[derive(Debug)]
pub struct LibraryUrl {
    pub text: String,
    pub origin: String,
    pub segments: Vec<String>,
    pub query: Vec<(String, String)>,
    pub has_fragment: bool,
    pub has_user: bool,
}

#[cfg(test)]
impl LibraryUrl {
    pub fn parse(text: &str) -> Result<LibraryUrl, String> {
        let url = reqwest::Url::parse(text).map_err(|error| error.to_string())?;
        Ok(LibraryUrl {
            text: url.as_str().to_owned(),
            origin: url.origin().ascii_serialization(),
            segments: url.path_segments().into_iter().flatten().map(str::to_owned).collect(),
            query: url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect(),
            has_fragment: url.fragment().is_some(),
            has_user: !url.username().is_empty() || url.password().is_some(),
        })
    }
}

#[cfg(test)]
mod tests;
