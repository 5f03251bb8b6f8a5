//! The runner against real servers on loopback: slow, huge, redirecting, absent.

use super::*;
use crate::config::secret::SecretRef;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap as Headers, StatusCode as Status};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A running server; its task ends with the runtime of the test.
struct Server {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Headers>>>,
}

#[expect(clippy::disallowed_methods, reason = "a peer on loopback, in a test")]
async fn serve(ip: [u8; 4], redirect_to: Option<String>) -> Server {
    let seen: Arc<Mutex<Vec<Headers>>> = Arc::default();
    let location = redirect_to.clone().unwrap_or_default();
    let again = redirect_to.unwrap_or_default();
    let app = Router::new()
        .route("/json", get(|| async { ([("content-type", "application/json")], r#"{"name":"Ann"}"#) }))
        .route("/text", get(|| async { "hello" }))
        .route("/missing", get(|| async { (Status::NOT_FOUND, "no such order") }))
        .route("/huge", get(|| async { "x".repeat(100_000) }))
        .route("/never", get(|| async { std::future::pending::<&'static str>().await }))
        .route("/echo", post(|body: String| async move { body }))
        .route("/key", get(|headers: Headers| async move { format!("you sent {:?}", headers.get("authorization")) }))
        .route("/go", get(move || async move { Redirect::temporary(&location).into_response() }))
        .route("/see", post(move || async move { Redirect::to(&again).into_response() }))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .layer(axum::middleware::from_fn_with_state(seen.clone(), note));
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((ip, 0))).await.expect("loopback port");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    Server { addr, seen }
}

async fn note(
    State(seen): State<Arc<Mutex<Vec<Headers>>>>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    seen.lock().expect("not poisoned").push(request.headers().clone());
    next.run(request).await
}

fn request(url: String) -> HttpRequest {
    HttpRequest {
        method: HttpMethod::Get,
        url,
        headers: Vec::new(),
        body: None,
        timeout: Duration::from_secs(20),
        max_bytes: 1000,
        allow_private: true,
    }
}

/// 127.0.0.2 plays the public Internet.
fn second_loopback_is_public(ip: IpAddr) -> bool {
    ip == IpAddr::from([127, 0, 0, 2])
}

fn runner() -> HttpRunner {
    HttpRunner::new().expect("TLS set-up")
}

fn error(message: &str) -> ToolResult {
    ToolResult::error(message)
}

#[tokio::test]
async fn answers_come_as_json_or_text_with_their_status() {
    let server = serve([127, 0, 0, 1], None).await;
    let run = async |path: &str| runner().run(request(format!("http://{}{path}", server.addr))).await;
    assert_eq!(run("/json").await, ToolResult { ok: true, output: r#"{"body":{"name":"Ann"},"status":200}"#.into() });
    assert_eq!(run("/text").await, ToolResult { ok: true, output: r#"{"body":"hello","status":200}"#.into() });
    assert_eq!(
        run("/missing").await,
        ToolResult { ok: false, output: r#"{"body":"no such order","status":404}"#.into() }
    );
    let mut post = request(format!("http://{}/echo", server.addr));
    (post.method, post.body) = (HttpMethod::Post, Some(r#"{"a":1}"#.into()));
    assert_eq!(runner().run(post).await.output, r#"{"body":"{\"a\":1}","status":200}"#);
    let seen = server.seen.lock().expect("not poisoned");
    assert_eq!(seen.last().and_then(|headers| headers.get("content-type")).expect("sent"), "application/json");
}

/// A18: size and time limits.
#[tokio::test]
async fn huge_and_slow_answers_are_cut_off() {
    let server = serve([127, 0, 0, 1], None).await;
    let huge = runner().run(request(format!("http://{}/huge", server.addr))).await;
    let output: Value = serde_json::from_str(&huge.output).expect("JSON");
    assert_eq!((&output["truncated"], output["body"].as_str().map(str::len)), (&json!(true), Some(1000)));

    let mut slow = request(format!("http://{}/never", server.addr));
    slow.timeout = Duration::from_millis(80);
    let before = crate::net::clock::now();
    assert_eq!(runner().run(slow).await, error("The service did not answer in time."));
    assert!(before.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_port_without_listener_is_a_sentence() {
    let server = serve([127, 0, 0, 1], None).await;
    // Bound to .1 only, so the same port on .3 refuses.
    let url = format!("http://127.0.0.3:{}/text", server.addr.port());
    assert_eq!(runner().run(request(url)).await, error("The service cannot be reached."));
}

/// A18: private addresses are refused, written as an address, as a name, and however spelled.
#[tokio::test]
async fn private_addresses_are_refused_unless_allowed() {
    let server = serve([127, 0, 0, 1], None).await;
    let port = server.addr.port();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ];
    for host in hosts {
        let mut plain = request(format!("http://{host}:{port}/text"));
        plain.allow_private = false;
        let result = runner().run(plain).await;
        assert_eq!(result, error("The service's address is not allowed."), "{host}");
    }
    assert!(server.seen.lock().expect("not poisoned").is_empty(), "a request arrived");
}

/// A18, A25: the address that was checked is the one connected to; a second answer of the resolver is never asked for.
#[tokio::test]
async fn a_name_that_changes_its_address_gains_nothing() {
    let server = serve([127, 0, 0, 1], None).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let lookup: Lookup = Arc::new(move |_| {
        let first = counter.fetch_add(1, Ordering::Relaxed) == 0;
        // First a public address where nobody listens, from then on a private one with the server.
        let ip = if first { [127, 0, 0, 2] } else { [127, 0, 0, 1] };
        Box::pin(async move { Ok(vec![IpAddr::from(ip)]) })
    });
    let runner = HttpRunner::with(lookup, second_loopback_is_public).expect("TLS set-up");
    let mut rebind = request(format!("http://rebind.example:{}/text", server.addr.port()));
    rebind.allow_private = false;
    assert_eq!(runner.run(rebind.clone()).await, error("The service cannot be reached."));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(runner.run(rebind).await, error("The service's address is not allowed."));
    assert!(server.seen.lock().expect("not poisoned").is_empty(), "a request arrived");
}

/// A18: an allowed private service cannot send us to another private place.
#[tokio::test]
async fn redirects_to_private_places_are_refused() {
    let inner = serve([127, 0, 0, 1], None).await;
    let port = inner.addr.port();
    for target in [
        format!("http://127.0.0.1:{port}/text"),
        format!("http://localhost:{port}/text"),
        format!("http://[::ffff:127.0.0.1]:{port}/text"),
        "file:///etc/passwd".to_owned(),
        format!("http://user:pass@127.0.0.2:{port}/"),
        "/json".to_owned(),
    ] {
        let outer = serve([127, 0, 0, 1], Some(target.clone())).await;
        let result = runner().run(request(format!("http://{}/go", outer.addr))).await;
        assert!(!result.ok && result.output.contains("not allowed"), "{target}: {result:?}");
    }
    assert!(inner.seen.lock().expect("not poisoned").is_empty(), "a request arrived");
}

/// A18: a redirect to a public host is followed, without the credentials of the first; a loop is not.
#[tokio::test]
async fn public_redirects_are_followed_without_credentials() {
    let public = serve([127, 0, 0, 2], None).await;
    let first = serve([127, 0, 0, 1], Some(format!("http://{}/json", public.addr))).await;
    let lookup: Lookup = Arc::new(|_| Box::pin(async { Ok(Vec::new()) }));
    let runner = HttpRunner::with(lookup, second_loopback_is_public).expect("TLS set-up");
    let mut go = request(format!("http://{}/go", first.addr));
    go.headers = vec![("X-Api-Key".into(), HeaderValue::Literal("canary-1".into()))];
    assert_eq!(runner.run(go).await.output, r#"{"body":{"name":"Ann"},"status":200}"#);
    assert!(first.seen.lock().expect("not poisoned")[0].contains_key("x-api-key"));
    assert!(!public.seen.lock().expect("not poisoned")[0].contains_key("x-api-key"));

    let mut see = request(format!("http://{}/see", first.addr));
    (see.method, see.body) = (HttpMethod::Post, Some("{}".into()));
    assert!(runner.run(see).await.ok, "303 goes on with GET");

    let looping = request(format!("http://{}/loop", public.addr));
    assert_eq!(runner.run(looping).await, error("The service points to another place that is not allowed."));
    assert_eq!(public.seen.lock().expect("not poisoned").len(), 2 + MAX_REDIRECTS + 1);
}

/// G11: a secret goes out in its header and comes back in no result.
#[tokio::test]
async fn secrets_are_sent_and_never_come_back() {
    let server = serve([127, 0, 0, 1], None).await;
    let file = tempfile::NamedTempFile::new().expect("temp file");
    std::fs::write(file.path(), "canary-9d1e\n").expect("write");
    let mut key = request(format!("http://{}/key", server.addr));
    let secret = SecretRef::File(file.path().into());
    key.headers = vec![("Authorization".into(), HeaderValue::Secret { prefix: "Bearer ".into(), secret })];
    let result = runner().run(key.clone()).await;
    assert!(result.ok && !result.output.contains("canary"), "{result:?}");
    assert!(result.output.contains("Bearer ***"), "{result:?}");
    assert_eq!(server.seen.lock().expect("not poisoned")[0]["authorization"], "Bearer canary-9d1e");

    drop(file);
    assert_eq!(runner().run(key).await, error("The tool's credentials are not available."));
}
