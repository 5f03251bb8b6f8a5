//! The socket shell: one listener, one task per connection, each owned by a `JoinSet` that aborts it on drop.
//!
//! There is no queue: a session task reads, feeds the machine, writes what comes out, in turn. A client that does not read
//! stops its own session only.

use super::handshake::{Access, HttpRefusal, MOST_HEAD, admit, head_length};
use super::scenario::Scenario;
use super::session::{Opening, Output, Session};
use crate::audio::wav;
use crate::net::clock;
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error, Message, Utf8Bytes};

/// 15 MiB of audio in base64, and some JSON.
const MOST_MESSAGE: usize = 24 << 20;
/// Connections, handshakes included.
const MOST_CONNECTIONS: usize = 4_096;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What all tasks of a server share.
pub(super) struct Shared {
    pub scenario: Arc<Scenario>,
    pub access: Access,
    pub echo: bool,
    /// Where the audio of each session is written to.
    pub recordings: Option<PathBuf>,
    pub sessions: AtomicUsize,
    pub listening: AtomicBool,
    numbers: AtomicU64,
    /// Handshakes so far.
    handshakes: AtomicUsize,
    connections: Mutex<JoinSet<()>>,
}

impl Shared {
    pub fn new(scenario: Arc<Scenario>, access: Access, echo: bool, recordings: Option<PathBuf>) -> Shared {
        Shared {
            scenario,
            access,
            echo,
            recordings,
            sessions: AtomicUsize::new(0),
            listening: AtomicBool::new(true),
            numbers: AtomicU64::new(0),
            handshakes: AtomicUsize::new(0),
            connections: Mutex::new(JoinSet::new()),
        }
    }
    /// Cuts every connection.
    pub fn cut_all(&self) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
    /// Takes the connections out, to wait for their end.
    pub fn take_connections(&self) -> JoinSet<()> {
        std::mem::take(&mut *self.connections.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Binds the listener.
#[expect(
    clippy::disallowed_methods,
    reason = "the embedded server is the other side of the wire; its socket lives here"
)]
pub(super) async fn bind(listen: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(listen).await.map_err(|e| format!("realtime-sim: cannot listen on {listen}: {e}"))
}

/// Accepts until aborted.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: let some close.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        if !shared.listening.load(Ordering::Relaxed) {
            continue;
        }
        let mut connections = shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        while connections.try_join_next().is_some() {}
        if connections.len() < MOST_CONNECTIONS {
            connections.spawn(serve(stream, shared.clone()));
        }
    }
}

/// Counts a session for as long as it lives, however it ends.
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let allowed = HANDSHAKE_TIMEOUT + shared.scenario.server.connect_delay;
    let opened = tokio::time::timeout(allowed, shake_hands(&mut stream, &shared)).await;
    let Ok(Some((admitted, rest))) = opened else { return };
    shared.sessions.fetch_add(1, Ordering::Relaxed);
    let counted = Counted(shared);
    let shared = &counted.0;
    let opening = Opening {
        number: shared.numbers.fetch_add(1, Ordering::Relaxed) + 1,
        dialect: admitted.dialect,
        model: admitted.model,
        scenario: shared.scenario.clone(),
        echo: shared.echo,
        unix_s: clock::unix_ms() / 1_000,
        record: shared.recordings.is_some(),
    };
    tracing::debug!(session = opening.number, dialect = ?opening.dialect, model = opening.model, "realtime-sim: session open");
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .max_message_size(Some(MOST_MESSAGE))
        .max_frame_size(Some(MOST_MESSAGE));
    let socket = WebSocketStream::from_partially_read(stream, rest, Role::Server, Some(config)).await;
    let number = opening.number;
    let mut session = Session::new(clock::now(), opening);
    let end = run(socket, &mut session).await;
    if let (Some(folder), Some((samples, hz))) = (&shared.recordings, session.recording()) {
        let file = folder.join(format!("session-{number}.wav"));
        if let Err(problem) = wav::write(&file, hz, &[&samples]) {
            tracing::warn!(problem, "realtime-sim: the recording is lost");
        }
    }
    tracing::debug!(session = number, ?end, "realtime-sim: session over");
}

/// Reads the request head and answers it. Returns what was read beyond the head.
async fn shake_hands(stream: &mut TcpStream, shared: &Shared) -> Option<(super::handshake::Admitted, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(2_048);
    let length = loop {
        if let Some(length) = head_length(&bytes) {
            break length;
        }
        if bytes.len() > MOST_HEAD {
            let refusal = HttpRefusal { status: 431, message: "The request head is too long.".into() };
            let _ = stream.write_all(&refusal.to_bytes()).await;
            return None;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let rest = bytes.split_off(length);
    let options = &shared.scenario.server;
    tokio::time::sleep(options.connect_delay).await;
    let admitted = match options.refuse_http.get(shared.handshakes.fetch_add(1, Ordering::Relaxed)) {
        Some(&status) => Err(HttpRefusal { status, message: "The scenario refuses this connection.".into() }),
        None => admit(&bytes, &shared.access),
    };
    match admitted {
        Ok(admitted) => {
            stream.write_all(&admitted.response).await.ok()?;
            Some((admitted, rest))
        }
        Err(refusal) => {
            let _ = stream.write_all(&refusal.to_bytes()).await;
            let _ = stream.shutdown().await;
            None
        }
    }
}

/// One session, from its first event to the end of its socket.
async fn run(mut socket: WebSocketStream<TcpStream>, session: &mut Session) -> Result<(), Error> {
    loop {
        let due = loop {
            match session.poll() {
                Output::Text(text) => socket.feed(Message::Text(text.into())).await?,
                Output::Close { code, reason } => {
                    let reason = Utf8Bytes::from(reason);
                    socket.close(Some(CloseFrame { code: code.into(), reason })).await?;
                    return drain(&mut socket).await;
                }
                Output::Drop => return Ok(()),
                Output::Timeout(due) => break due,
            }
        };
        socket.flush().await?;
        let due = due.unwrap_or_else(|| clock::now() + Duration::from_secs(3_600));
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => session.text(clock::now(), &text),
                Some(Ok(Message::Binary(_))) => session.binary(),
                // Pings are answered and close frames returned by the library.
                Some(Ok(_)) => {}
                Some(Err(e)) => return Err(e),
                None => return Ok(()),
            },
            () = tokio::time::sleep_until(due.into()) => session.timeout(clock::now()),
        }
    }
}

/// Waits for the client's close frame, so that ours is not lost in a reset.
async fn drain(socket: &mut WebSocketStream<TcpStream>) -> Result<(), Error> {
    let rest = async { while let Some(Ok(_)) = socket.next().await {} };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, rest).await;
    Ok(())
}
