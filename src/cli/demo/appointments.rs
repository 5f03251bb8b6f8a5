//! The demo's appointment book: one HTTP endpoint on loopback, so that the tool call is a real one.

use axum::Router;
use axum::routing::post;
use std::net::SocketAddr;
use tokio::task::JoinHandle;

/// Serves until dropped.
pub struct Appointments {
    pub addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Appointments {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Appointments {
    /// Any free port of loopback.
    pub async fn start() -> Result<Appointments, String> {
        let listener = crate::net::socket::tcp_listen(([127, 0, 0, 1], 0).into())
            .await
            .map_err(|e| format!("no loopback port for the appointment book: {e}"))?;
        let addr = listener.local_addr().map_err(|e| e.to_string())?;
        let router = Router::new().route("/appointments", post(book));
        let serve = async move {
            // Ends only with the listener, that is with the demo.
            let _ = axum::serve(listener, router).await;
        };
        #[expect(clippy::disallowed_methods, reason = "the demo owns this task and ends it on drop")]
        let task = tokio::spawn(serve);
        Ok(Appointments { addr, task })
    }

    pub fn url(&self) -> String {
        format!("http://{}/appointments", self.addr)
    }
}

async fn book(body: String) -> (axum::http::StatusCode, String) {
    let wish: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    match (wish["day"].as_str(), wish["time"].as_str()) {
        (Some(day), Some(time)) => {
            let answer = serde_json::json!({ "booked": true, "day": day, "time": time, "reference": "NW-1024" });
            (axum::http::StatusCode::CREATED, answer.to_string())
        }
        _ => (axum::http::StatusCode::BAD_REQUEST, r#"{"error":"day and time are needed"}"#.into()),
    }
}
