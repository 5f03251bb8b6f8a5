//! The Realtime WebSocket of one call: opened blocking with deadlines, then polled by a media worker.
//!
//! Door of crate tungstenite. `connect`: DNS, TCP, TLS, handshake, and what their failures mean. `tls`: door of rustls, and its records.
//! `short`: the read adaptor under all. `stream`, `head`: the connection while it is upgraded, and where that ends. `frames`: messages in
//! and out. After the handshake the socket moves to the worker with the bytes that came close behind the 101.

pub mod connect;
pub mod frames;
mod head;
pub mod short;
mod stream;
pub mod tls;

use frames::{CLOSE, Event, Frames, Inbox, PONG, TEXT, frame};
use short::Short;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use stream::Stream;
use tungstenite::protocol::frame::coding::OpCode;

/// Twelve seconds of caller audio: a socket that takes nothing for so long is dead.
const MAX_BACKLOG: usize = 768 << 10;
/// We are done (RFC 6455 §7.4.1).
const NORMAL: u16 = 1000;

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    Text(&'a str),
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
    socket: Short<TcpStream>,
    tls: Option<Box<tls::Session>>,
    /// A record of TLS may have come in part: nobody else looks at `tls`, which is cold, before the socket was read.
    part: bool,
    frames: Frames,
    /// What the system did not take yet: frames, with TLS records.
    backlog: Vec<u8>,
    /// Why nothing comes any more.
    ended: Option<String>,
    /// Our close frame is out: nothing else may follow it (§5.5.1).
    closing: bool,
}

impl RealtimeSocket {
    /// A socket past its handshake; `rest`: bytes that came behind it.
    fn new(stream: Stream, mut rest: Vec<u8>) -> RealtimeSocket {
        let Stream { mut socket, tls, plain } = stream;
        socket.polled();
        rest.extend_from_slice(&plain);
        let frames = Frames::new(rest);
        RealtimeSocket { socket, tls, part: true, frames, backlog: Vec::new(), ended: None, closing: false }
    }

    /// A round of reads: takes what the system has, at most [`short::ROUND_BYTES`], into the worker's buffer. Then [`Self::read`] until it
    /// is empty, then [`Self::end_round`].
    pub fn begin_round(&mut self, inbox: &mut Inbox) {
        self.frames.begin(inbox);
        if let Some(tls) = self.tls.as_mut().filter(|_| self.part) {
            inbox.put(tls.rest());
            // What came with the handshake is read without waiting for more.
            open(tls, inbox, &mut self.ended, &mut self.backlog);
        }
        self.socket.begin();
        while self.ended.is_none() {
            match self.socket.read(inbox.room()) {
                Ok(0) => self.ended = Some("closed without a close frame".into()),
                Ok(n) => {
                    inbox.filled(n);
                    match &mut self.tls {
                        Some(tls) => open(tls, inbox, &mut self.ended, &mut self.backlog),
                        None => inbox.opened(n, n),
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => self.ended = Some(e.to_string()),
            }
        }
        let had_part = std::mem::replace(&mut self.part, !inbox.sealed().is_empty());
        if let Some(tls) = self.tls.as_mut().filter(|_| had_part || self.part) {
            tls.keep(inbox.sealed());
        }
    }

    /// The next text message of this round. Pings are answered inside; binary messages are passed over.
    pub fn read<'a>(&mut self, inbox: &'a mut Inbox) -> Incoming<'a> {
        let place = loop {
            match self.frames.next(inbox) {
                Ok(Some(Event::Text(place))) => break place,
                Ok(Some(Event::Ping(range))) => self.pong(inbox.bytes(range)),
                Ok(Some(Event::Close { code, reason })) => {
                    self.say_goodbye(code);
                    return Incoming::Closed { code, reason };
                }
                Ok(None) => {
                    return match self.ended.take() {
                        Some(reason) => Incoming::Closed { code: None, reason },
                        None => Incoming::Empty,
                    };
                }
                Err(reason) => return Incoming::Closed { code: None, reason },
            }
        };
        match inbox.text(place) {
            Ok(text) => Incoming::Text(text),
            Err(reason) => Incoming::Closed { code: None, reason },
        }
    }

    /// What did not come whole waits for the next round.
    pub fn end_round(&mut self, inbox: &mut Inbox) {
        self.frames.end(inbox);
    }

    /// Sends one text message; what the system does not take goes with [`Self::flush`]. `scratch` is the worker's.
    /// `Err` = too much waits already, or the socket broke.
    pub fn write(&mut self, text: &str, scratch: &mut Vec<u8>) -> Result<(), Broken> {
        self.send(TEXT, text.as_bytes(), scratch)
    }

    /// Sends what waits. `Ok(false)` = the socket is full, flush again at the next tick.
    pub fn flush(&mut self) -> Result<bool, Broken> {
        let taken = taken(&mut self.socket, &self.backlog)?;
        self.backlog.drain(..taken);
        if !self.backlog.is_empty() {
            return Ok(false);
        }
        if self.backlog.capacity() > 0 {
            self.backlog = Vec::new();
        }
        Ok(true)
    }

    /// Something waits for [`Self::flush`].
    pub fn is_dirty(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Sends our close frame (1000); then read to the peer's, with a deadline.
    pub fn close(&mut self) {
        self.say_goodbye(Some(NORMAL));
    }

    fn send(&mut self, opcode: OpCode, payload: &[u8], scratch: &mut Vec<u8>) -> Result<(), Broken> {
        if self.closing {
            return Ok(());
        }
        let begin = match &mut self.tls {
            Some(tls) => {
                frame(opcode, payload, tls::FRONT, scratch);
                tls.seal(tls::FRONT, scratch).map_err(Broken)?
            }
            None => {
                frame(opcode, payload, 0, scratch);
                0
            }
        };
        let bytes = scratch.get(begin..).unwrap_or_default();
        let taken = if self.backlog.is_empty() { taken(&mut self.socket, bytes)? } else { 0 };
        let rest = bytes.get(taken..).unwrap_or_default();
        if !rest.is_empty() {
            if self.backlog.len() + rest.len() > MAX_BACKLOG {
                return Err(Broken("the service takes no data".into()));
            }
            self.backlog.extend_from_slice(rest);
        }
        Ok(())
    }

    /// What fails here shows at the next read.
    fn pong(&mut self, payload: &[u8]) {
        let _ = self.send(PONG, payload, &mut Vec::new());
    }

    fn say_goodbye(&mut self, code: Option<u16>) {
        let payload = code.map(u16::to_be_bytes);
        let _ = self.send(CLOSE, payload.as_ref().map_or(&[], |code| code.as_slice()), &mut Vec::new());
        self.closing = true;
        let _ = self.flush();
    }
}

/// Opens the TLS records of a round; why nothing follows them, and what the peer is to know of it.
fn open(tls: &mut tls::Session, inbox: &mut Inbox, ended: &mut Option<String>, backlog: &mut Vec<u8>) {
    let opened = tls.open(inbox.sealed());
    inbox.opened(opened.payload, opened.taken);
    if let Some(end) = opened.ended {
        tls.alert(&end, backlog);
        *ended = Some(end.why);
    }
}

/// How much of `bytes` the stream takes now.
fn taken(stream: &mut impl Write, bytes: &[u8]) -> Result<usize, Broken> {
    let mut taken = 0;
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(0) => return Err(Broken("the connection takes nothing any more".into())),
            Ok(n) => taken += n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Broken(e.to_string())),
        }
    }
    Ok(taken)
}

impl Drop for RealtimeSocket {
    /// RFC 8446 §6.1. Only between records: half of one waits for nobody.
    fn drop(&mut self) {
        let _ = self.flush();
        if let Some(tls) = self.tls.as_mut().filter(|_| self.backlog.is_empty()) {
            let mut goodbye = Vec::new();
            tls.close(&mut goodbye);
            let _ = self.socket.write(&goodbye);
        }
    }
}

impl AsFd for RealtimeSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.socket().as_fd()
    }
}

impl std::fmt::Debug for RealtimeSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RealtimeSocket").field("peer", &self.socket.socket().peer_addr().ok()).finish()
    }
}
