//! The embedded Realtime server: a real WebSocket on loopback, both dialects, server VAD, scenarios (its own command too).

use std::net::SocketAddr;
use std::path::PathBuf;

/// What a simulator is started with.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Port 0 = any free one.
    pub listen: SocketAddr,
    pub mode: SimMode,
}

/// What it does with what it hears.
#[derive(Clone, Debug)]
pub enum SimMode {
    /// The built-in scenario (greeting, answers, a tool, goodbye), or one from a file.
    Scripted { scenario: Option<PathBuf> },
    /// Every caller sample comes straight back as audio of one endless response: load bench, quality tests.
    Echo,
}

/// A running simulator. Dropping it stops it.
pub struct Sim {
    addr: SocketAddr,
}

impl Sim {
    /// Binds and serves until stopped. The error says which address and why.
    pub async fn start(config: SimConfig) -> Result<Sim, String> {
        let _ = config;
        todo!()
    }
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
    /// `ws://addr/v1/realtime`: GA without, preview with the `OpenAI-Beta: realtime=v1` header.
    pub fn url(&self) -> String {
        format!("ws://{}/v1/realtime", self.addr)
    }
    /// Sessions open now (leak test).
    pub fn sessions(&self) -> usize {
        todo!()
    }
    /// Cuts every socket without a close frame (a kill -9 in small) and goes on listening, or not.
    pub fn cut_all(&self) {
        todo!()
    }
    pub async fn stop(self) {
        todo!()
    }
}
