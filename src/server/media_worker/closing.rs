//! WebSockets that said goodbye and wait for the peer's close frame, at most [`PATIENCE`] (invariant 8).
//!
//! Closing at once would reset the connection while data is unread, and the service would log a lost client.

use crate::net::websocket::frames::Inbox;
use crate::net::websocket::{Incoming, RealtimeSocket};
use std::time::{Duration, Instant};

/// Media and WebSocket outlive their call by no more than 1 s.
const PATIENCE: Duration = Duration::from_millis(900);
/// More than this many and the oldest go at once.
const MAX_CLOSING: usize = 256;
/// Messages read and thrown away of one socket in one tick.
const READS: usize = 64;

#[derive(Debug, Default)]
pub struct Closing(Vec<(Instant, RealtimeSocket)>);

impl Closing {
    /// Sends the close frame and keeps the socket for a while.
    pub fn add(&mut self, now: Instant, mut socket: RealtimeSocket) {
        socket.close();
        if self.0.len() >= MAX_CLOSING {
            self.0.remove(0);
        }
        self.0.push((now + PATIENCE, socket));
    }

    pub fn tick(&mut self, now: Instant, inbox: &mut Inbox) {
        self.0.retain_mut(|(until, socket)| *until > now && !is_closed(socket, inbox));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether the peer's close frame came, or the connection broke.
fn is_closed(socket: &mut RealtimeSocket, inbox: &mut Inbox) -> bool {
    let _ = socket.flush();
    socket.begin_round(inbox);
    let mut closed = false;
    for _ in 0..READS {
        match socket.read(inbox) {
            Incoming::Text(_) => {}
            Incoming::Empty => break,
            Incoming::Closed { .. } => {
                closed = true;
                break;
            }
        }
    }
    socket.end_round(inbox);
    closed
}
