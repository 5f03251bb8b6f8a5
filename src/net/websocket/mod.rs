//! The Realtime WebSocket of one call: opened blocking with deadlines, then polled by a media worker.
//!
//! Door of crate tungstenite. `connect`: DNS, TCP, TLS, handshake, and what their failures mean. `tls`: door of rustls.
//! `short`: the read adaptor under both. After the handshake the whole WebSocket moves to the worker: bytes that came
//! close behind the 101 are inside it and must not be lost.

pub mod connect;
pub mod short;
pub mod tls;

use short::Short;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use tungstenite::protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{Error, Message, Utf8Bytes, WebSocket};

/// A whole reply can come in one delta.
const MAX_MESSAGE: usize = 16 << 20;
/// tungstenite zero-fills this much before every read: its default of 128 KiB costs 0.5 ms of CPU a call-second.
const READ_BUFFER: usize = 4 << 10;
/// Sent to the system once a tick; more than this in one tick is sent at once.
const WRITE_BUFFER: usize = 32 << 10;
/// Twelve seconds of caller audio: a socket that takes nothing for so long is dead.
const MAX_BACKLOG: usize = 768 << 10;

/// Plain TCP, or TLS over it.
pub(crate) enum Stream {
    Plain(Short<TcpStream>),
    Tls(Box<tls::TlsStream>),
}

impl Stream {
    fn short(&mut self) -> &mut Short<TcpStream> {
        match self {
            Stream::Plain(short) => short,
            Stream::Tls(tls) => &mut tls.sock,
        }
    }
    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(short) => short.socket(),
            Stream::Tls(tls) => tls.sock.socket(),
        }
    }
}

impl io::Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(s) => s.read(buf),
            Stream::Tls(s) => s.read(buf),
        }
    }
}

impl io::Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(s) => s.write(buf),
            Stream::Tls(s) => s.write(buf),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(s) => s.flush(),
            Stream::Tls(s) => s.flush(),
        }
    }
}

/// One text message, shared with the read buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Text(Utf8Bytes);

impl Text {
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    Text(Text),
    /// The peer closed, or the socket broke (`code` is `None` then). Nothing follows.
    Closed {
        code: Option<u16>,
        reason: String,
    },
    /// Nothing more now.
    Empty,
}

/// Why a write failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken(pub String);

/// An open WebSocket, non-blocking.
pub struct RealtimeSocket {
    /// Boxed: it moves through the job queue into its call.
    ws: Box<WebSocket<Stream>>,
}

impl RealtimeSocket {
    /// Starts a round of reads: the socket was reported readable, or a message may wait in our buffers.
    pub fn begin_reads(&mut self) {
        self.ws.get_mut().short().begin();
    }

    /// The next text message of this round. Pings are answered inside; binary messages are passed over.
    pub fn read(&mut self) -> Incoming {
        loop {
            match self.ws.read() {
                Ok(Message::Text(text)) => return Incoming::Text(Text(text)),
                Ok(Message::Close(frame)) => {
                    let _ = self.ws.flush();
                    return closed(frame);
                }
                Ok(_) => {}
                Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => return Incoming::Empty,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return closed(None),
                Err(e) => return Incoming::Closed { code: None, reason: e.to_string() },
            }
        }
    }

    /// Queues one text message; [`RealtimeSocket::flush`] sends it. `Err` = too much waits already, or the socket broke.
    pub fn write(&mut self, text: String) -> Result<(), Broken> {
        match self.ws.write(Message::text(text)) {
            Ok(()) => Ok(()),
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(Error::WriteBufferFull(_)) => Err(Broken("the service takes no data".into())),
            Err(e) => Err(Broken(e.to_string())),
        }
    }

    /// Sends what is queued. `Ok(false)` = the socket is full, flush again at the next tick.
    pub fn flush(&mut self) -> Result<bool, Broken> {
        match self.ws.flush() {
            Ok(()) => Ok(true),
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(Broken(e.to_string())),
        }
    }

    /// Sends our close frame (1000); then read to the peer's, with a deadline.
    pub fn close(&mut self) {
        let _ = self.ws.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }));
        let _ = self.ws.flush();
    }
}

impl AsFd for RealtimeSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ws.get_ref().socket().as_fd()
    }
}

impl std::fmt::Debug for RealtimeSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RealtimeSocket").field("peer", &self.ws.get_ref().socket().peer_addr().ok()).finish()
    }
}

fn closed(frame: Option<CloseFrame>) -> Incoming {
    match frame {
        Some(frame) => Incoming::Closed { code: Some(frame.code.into()), reason: frame.reason.as_str().to_owned() },
        None => Incoming::Closed { code: None, reason: "closed without a close frame".into() },
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_BACKLOG)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}
