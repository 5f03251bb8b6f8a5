//! The opening HTTP request, pure: head bytes in, an admitted session or an HTTP refusal out (RFC 9112 §3, RFC 6455 §4.2).
//!
//! | path | dialect |
//! |---|---|
//! | `/v1/realtime?model=` | GA; preview with `OpenAI-Beta: realtime=v1` |
//! | `/openai/v1/realtime?model=` | GA on Azure; a stray `api-version` is 401, as there |
//! | `/openai/realtime?api-version=&deployment=` | preview on Azure |

use super::dialect::Dialect;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http;

/// A longer request head is refused.
pub const MOST_HEAD: usize = 16 << 10;

/// Who may connect.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// As `Authorization: Bearer`, `api-key` header or `api-key` in the query; none = anything goes.
    pub key: Option<String>,
    /// Known models or deployments; empty = any.
    pub models: Vec<String>,
}

/// A session that may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    pub dialect: Dialect,
    pub model: String,
    /// The bytes that accept the upgrade.
    pub response: Vec<u8>,
}

/// An HTTP answer that ends the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRefusal {
    pub status: u16,
    pub message: String,
}

impl HttpRefusal {
    fn new(status: u16, message: impl Into<String>) -> HttpRefusal {
        HttpRefusal { status, message: message.into() }
    }
    /// Head and JSON body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let reason = match self.status {
            400 => "Bad Request",
            401 => "Unauthorized",
            404 => "Not Found",
            405 => "Method Not Allowed",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            403 => "Forbidden",
            500 => "Internal Server Error",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            431 => "Request Header Fields Too Large",
            _ => "Refused",
        };
        let body = serde_json::json!({"error": {"message": self.message, "code": self.status.to_string()}}).to_string();
        let upgrade = if self.status == 426 { "upgrade: websocket\r\n" } else { "" };
        format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{upgrade}connection: close\r\n\r\n{body}",
            self.status,
            body.len()
        )
        .into_bytes()
    }
}

/// Where the head ends: just after the empty line.
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Judges a complete request head.
pub fn admit(head: &[u8], access: &Access) -> Result<Admitted, HttpRefusal> {
    let request = parse(head).ok_or_else(|| HttpRefusal::new(400, "This is not an HTTP/1.1 request."))?;
    if request.method() != http::Method::GET {
        return Err(HttpRefusal::new(405, "Only GET with a WebSocket upgrade is served here."));
    }
    let query = |name: &str| {
        let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| decode(value)).next()
    };
    let beta = header(&request, "openai-beta").is_some_and(|value| value.contains("realtime=v1"));
    let (dialect, model) = match request.uri().path() {
        "/v1/realtime" => (if beta { Dialect::Preview } else { Dialect::Ga }, query("model")),
        "/openai/v1/realtime" => {
            if query("api-version").is_some() {
                return Err(HttpRefusal::new(401, "`api-version` is not a parameter of the GA path; leave it out."));
            }
            (Dialect::Ga, query("model"))
        }
        "/openai/realtime" => {
            if query("api-version").is_none() {
                return Err(HttpRefusal::new(404, "Resource not found: the preview path needs `api-version`."));
            }
            (Dialect::Preview, query("deployment"))
        }
        path => {
            let path: String = path.chars().take(80).collect();
            return Err(HttpRefusal::new(404, format!("Nothing is served at {path}; try /v1/realtime.")));
        }
    };
    if let Some(key) = &access.key {
        let bearer = header(&request, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        let given = bearer.or(header(&request, "api-key")).map(str::to_owned).or_else(|| query("api-key"));
        if given.as_deref() != Some(key) {
            return Err(HttpRefusal::new(401, "Incorrect API key provided."));
        }
    }
    let model = model.filter(|model| !model.is_empty()).unwrap_or_else(|| "local-scripted-1".to_owned());
    if !access.models.is_empty() && !access.models.contains(&model) {
        let model: String = model.chars().take(64).collect();
        return Err(HttpRefusal::new(404, format!("The model or deployment '{model}' does not exist.")));
    }
    if header(&request, "upgrade").is_none() {
        return Err(HttpRefusal::new(426, "This is a WebSocket endpoint."));
    }
    let accept = create_response(&request).map_err(|e| HttpRefusal::new(400, e.to_string()))?;
    let mut response = Vec::new();
    write_response(&mut response, &accept).map_err(|e| HttpRefusal::new(400, e.to_string()))?;
    Ok(Admitted { dialect, model, response })
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn parse(head: &[u8]) -> Option<Request> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let mut start = lines.next()?.split(' ');
    let (method, target, version) = (start.next()?, start.next()?, start.next()?);
    if version != "HTTP/1.1" || start.next().is_some() {
        return None;
    }
    let mut request = http::Request::builder().method(method).uri(target).version(http::Version::HTTP_11);
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        request = request.header(name, value.trim());
    }
    request.body(()).ok()
}

/// Percent-decoding of a query value; bad escapes stay as they are.
fn decode(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len());
    let bytes = value.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = value.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, hex) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(target: &str, headers: &str, access: &Access) -> Result<(Dialect, String), u16> {
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        admit(head.as_bytes(), access).map(|a| (a.dialect, a.model)).map_err(|refusal| refusal.status)
    }

    #[test]
    fn the_path_and_the_beta_header_choose_the_dialect() {
        let open = Access::default();
        let model = |name: &str| name.to_owned();
        assert_eq!(ask("/v1/realtime?model=gpt-realtime", "", &open), Ok((Dialect::Ga, model("gpt-realtime"))));
        let beta = "OpenAI-Beta: realtime=v1\r\n";
        assert_eq!(ask("/v1/realtime?model=a%20b", beta, &open), Ok((Dialect::Preview, model("a b"))));
        assert_eq!(ask("/openai/v1/realtime?model=dep", "", &open), Ok((Dialect::Ga, model("dep"))));
        assert_eq!(ask("/openai/v1/realtime?model=dep&api-version=v", "", &open), Err(401));
        let azure = "/openai/realtime?api-version=2024-10-01-preview&deployment=dep";
        assert_eq!(ask(azure, "", &open), Ok((Dialect::Preview, model("dep"))));
        assert_eq!(ask("/openai/realtime?deployment=dep", "", &open), Err(404));
        assert_eq!(ask("/metrics", "", &open), Err(404));
        assert_eq!(ask("/v1/realtime", "", &open), Ok((Dialect::Ga, model("local-scripted-1"))));
    }

    #[test]
    fn the_key_and_the_model_are_checked_when_configured() {
        let access = Access { key: Some("k1".into()), models: vec!["m".into()] };
        assert_eq!(ask("/v1/realtime?model=m", "", &access), Err(401));
        assert_eq!(ask("/v1/realtime?model=m", "Authorization: Bearer k2\r\n", &access), Err(401));
        for (target, header) in [
            ("/v1/realtime?model=m", "Authorization: Bearer k1\r\n"),
            ("/openai/v1/realtime?model=m", "api-key: k1\r\n"),
            ("/openai/v1/realtime?model=m&api-key=k1", ""),
        ] {
            assert_eq!(ask(target, header, &access), Ok((Dialect::Ga, "m".into())));
        }
        assert_eq!(ask("/v1/realtime?model=n", "Authorization: Bearer k1\r\n", &access), Err(404));
    }

    #[test]
    fn broken_requests_get_an_http_answer() {
        let status = |head: &str| admit(head.as_bytes(), &Access::default()).map_err(|refusal| refusal.status);
        assert_eq!(status("GET /v1/realtime HTTP/1.1\r\n\r\n"), Err(426));
        assert_eq!(status("POST /v1/realtime HTTP/1.1\r\n\r\n"), Err(405));
        assert_eq!(status("GET /v1/realtime HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"), Err(400));
        assert_eq!(status("INVITE sip:a@b SIP/2.0\r\n\r\n"), Err(400));
        assert_eq!(status("\u{0}\r\n\r\n"), Err(400));
    }
}
