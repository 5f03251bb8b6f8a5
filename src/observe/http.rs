//! `/metrics`, `/healthz` and `/trunks` (door of crate axum in the server). Loopback unless configured otherwise; no secrets, no admin
//! (attack A23).

use super::metrics::Metrics;
use super::trunks::TrunkBoard;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;

/// Whether new calls are taken. Shared; set once when draining begins.
#[derive(Clone, Debug, Default)]
pub struct Health {
    draining: Arc<AtomicBool>,
}

impl Health {
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
    /// What a load balancer is told: 200 `ok`, or 503 `draining`.
    fn report(&self) -> (StatusCode, &'static str) {
        if self.is_draining() { (StatusCode::SERVICE_UNAVAILABLE, "draining\n") } else { (StatusCode::OK, "ok\n") }
    }
}

/// Serves until its task is dropped. `net` binds the listener, `server` spawns this.
pub async fn serve(listener: TcpListener, metrics: Metrics, health: Health, trunks: TrunkBoard) -> std::io::Result<()> {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let content_type = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    let app = Router::new()
        .route("/trunks", get(move || async move { (json, trunks.json()) }))
        .route("/metrics", get(move || async move { (content_type, metrics.encode()) }))
        .route("/healthz", get(move || async move { health.report() }));
    axum::serve(listener, app).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::trunks::TrunkState;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(addr: std::net::SocketAddr, path: &str) -> String {
        #[expect(clippy::disallowed_methods, reason = "the client on loopback, in a test")]
        let mut stream = tokio::net::TcpStream::connect(addr).await.expect("connect");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        answer
    }

    /// A23: metrics and health, and nothing else.
    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a server on loopback, in a test")]
    async fn metrics_and_health_are_served_and_nothing_else() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback port");
        let addr = listener.local_addr().expect("bound");
        let (metrics, health) = (Metrics::new(), Health::default());
        metrics.invite("accepted");
        let trunks = TrunkBoard::default();
        tokio::spawn(serve(listener, metrics.clone(), health.clone(), trunks.clone()));
        trunks.write(vec![TrunkState { name: "carrier".into(), calls: 3, ..TrunkState::default() }]);
        let page = ask(addr, "/trunks").await;
        assert!(page.contains("application/json") && page.contains("\"name\": \"carrier\""), "{page}");
        let page = ask(addr, "/metrics").await;
        assert!(page.starts_with("HTTP/1.1 200") && page.contains("application/openmetrics-text"), "{page}");
        assert!(page.contains("voxtrunk_invites_total{result=\"accepted\"} 1"), "{page}");
        assert!(ask(addr, "/healthz").await.ends_with("ok\n"));
        health.set_draining();
        let draining = ask(addr, "/healthz").await;
        assert!(draining.starts_with("HTTP/1.1 503") && draining.ends_with("draining\n"), "{draining}");
        for path in ["/", "/config", "/metrics/../etc/passwd", "/reload"] {
            assert!(ask(addr, path).await.starts_with("HTTP/1.1 404"), "{path}");
        }
    }
}
