//! The `http` tool (door of crate reqwest). No redirects to private ranges, time and size caps, secrets by reference.

use crate::config::dialplan::{HeaderValue, HttpMethod};
use std::time::Duration;

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

/// Shared HTTP client.
#[derive(Clone)]
pub struct HttpRunner {}

impl HttpRunner {
    pub fn new() -> Result<HttpRunner, String> {
        todo!()
    }
    /// Runs one request to its end; never fails otherwise than by a result for the model.
    pub async fn run(&self, request: HttpRequest) -> ToolResult {
        let _ = request;
        todo!()
    }
}
