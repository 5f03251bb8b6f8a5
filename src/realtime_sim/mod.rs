//! The embedded Realtime server: a real WebSocket on loopback, both dialects, server VAD, scenarios (its own command too).
//!
//! It is the strict other side of the client and shares nothing with it:
//!
//! | file | kind | role |
//! |---|---|---|
//! | `shell` | tasks | listener, one owned task per connection |
//! | `handshake` | pure | HTTP head → dialect and model, or a refusal |
//! | `session/` | pure | one session: client text and `now` in, events out |
//! | `client_event`, `shape`, `shapes` | pure | strict reading of client events, as live services do |
//! | `settings`, `conversation`, `ears`, `vad` | pure | session object, items, input buffer, turns |
//! | `scenario`, `scenario_file`, `script`, `plan` | pure | what it says and does, from a TOML file |
//! | `speech` | data | the pre-rendered lines |
//! | `wire`, `dialect`, `format`, `polyphase` | pure | events out, names, audio formats and rates |

mod client_event;
mod conversation;
pub mod dialect;
mod ears;
mod format;
pub mod handshake;
mod plan;
mod polyphase;
pub mod scenario;
mod scenario_file;
mod script;
pub mod session;
mod settings;
pub mod shape;
mod shapes;
mod shell;
pub mod speech;
pub mod vad;
mod wire;

use handshake::Access;
use scenario::Scenario;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::JoinSet;

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
    shared: Arc<shell::Shared>,
    listener: JoinSet<()>,
}

impl Sim {
    /// Binds and serves until stopped. The error says which address or which line of the scenario, and why.
    pub async fn start(config: SimConfig) -> Result<Sim, String> {
        let (scenario, echo) = match config.mode {
            SimMode::Scripted { scenario: Some(path) } => (Scenario::load(&path)?, false),
            SimMode::Scripted { scenario: None } => (Scenario::built_in()?, false),
            SimMode::Echo => (Scenario::built_in()?, true),
        };
        Sim::start_with(config.listen, scenario, echo).await
    }
    /// The same with a scenario made in code.
    pub async fn start_with(listen: SocketAddr, scenario: Scenario, echo: bool) -> Result<Sim, String> {
        Sim::recording(listen, scenario, echo, None).await
    }
    /// The same; what each session hears is written to `recordings/session-N.wav` when it is over (not in echo mode).
    pub async fn recording(
        listen: SocketAddr,
        scenario: Scenario,
        echo: bool,
        recordings: Option<PathBuf>,
    ) -> Result<Sim, String> {
        let access = Access { key: scenario.server.key.clone(), models: scenario.server.models.clone() };
        let socket = shell::bind(listen).await?;
        let addr = socket.local_addr().map_err(|e| format!("realtime-sim: {e}"))?;
        let shared = Arc::new(shell::Shared::new(Arc::new(scenario), access, echo, recordings));
        let mut listener = JoinSet::new();
        listener.spawn(shell::accept(socket, shared.clone()));
        Ok(Sim { addr, shared, listener })
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
        self.shared.sessions.load(Ordering::Relaxed)
    }
    /// Cuts every socket without a close frame (a kill -9 in small) and goes on listening; see [`Sim::set_listening`].
    pub fn cut_all(&self) {
        self.shared.cut_all();
    }
    /// `false`: new connections are dropped before the handshake, until `true`.
    pub fn set_listening(&self, listening: bool) {
        self.shared.listening.store(listening, Ordering::Relaxed);
    }
    /// Stops listening, cuts every session and waits until all tasks are gone.
    pub async fn stop(mut self) {
        self.listener.shutdown().await;
        self.shared.take_connections().shutdown().await;
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.listener.abort_all();
        self.shared.cut_all();
    }
}
