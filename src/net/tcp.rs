//! One SIP stream connection (RFC 3261 §18.3, RFC 5626 §4.4.1): reads, cuts into messages, writes from its queue.
//!
//! In: an accepted stream or an address to dial, the connection's [`Flow`] and write queue from
//! [`super::connections`]. Out: [`StreamEvent`]s on a bounded channel; when that is full the peer is held up by TCP.
//! Deadlines (TRN-09): first message, a message once begun, idle, write.

use super::clock;
use crate::sip::Flow;
use crate::sip::framing::{Frame, StreamCutter};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

/// The deadlines of a connection.
#[derive(Clone, Copy, Debug)]
pub struct StreamDeadlines {
    /// From accept to the first whole message.
    pub first_message: Duration,
    /// From the first byte of a message to its last.
    pub message: Duration,
    /// Without any byte. Long calls are quiet, so this is longer than a call.
    pub idle: Duration,
    /// For one write.
    pub write: Duration,
    pub connect: Duration,
}

impl Default for StreamDeadlines {
    fn default() -> Self {
        StreamDeadlines {
            first_message: Duration::from_secs(10),
            message: Duration::from_secs(10),
            idle: Duration::from_secs(2 * 3600),
            write: Duration::from_secs(10),
            connect: Duration::from_secs(4),
        }
    }
}

/// What a connection tells the signalling task.
#[derive(Debug)]
pub enum StreamEvent {
    /// One whole message.
    Message { flow: Flow, bytes: Bytes },
    /// The connection is gone (or never came to be). Exactly once, last.
    Closed { flow: Flow },
}

/// Runs an accepted connection to its end.
pub async fn accepted(
    stream: TcpStream,
    flow: Flow,
    queue: mpsc::Receiver<Bytes>,
    events: mpsc::Sender<StreamEvent>,
    deadlines: StreamDeadlines,
) {
    serve(stream, flow, queue, &events, deadlines, deadlines.first_message).await;
    let _ = events.send(StreamEvent::Closed { flow }).await;
}

/// Opens a connection to the flow's remote address and runs it to its end.
pub async fn dialled(
    flow: Flow,
    queue: mpsc::Receiver<Bytes>,
    events: mpsc::Sender<StreamEvent>,
    deadlines: StreamDeadlines,
) {
    #[expect(clippy::disallowed_methods, reason = "net/ has the sockets")]
    let connecting = TcpStream::connect(flow.remote);
    if let Ok(Ok(stream)) = timeout(deadlines.connect, connecting).await {
        serve(stream, flow, queue, &events, deadlines, deadlines.idle).await;
    }
    let _ = events.send(StreamEvent::Closed { flow }).await;
}

async fn serve(
    mut stream: TcpStream,
    flow: Flow,
    mut queue: mpsc::Receiver<Bytes>,
    events: &mpsc::Sender<StreamEvent>,
    deadlines: StreamDeadlines,
    first: Duration,
) {
    let _ = stream.set_nodelay(true);
    let mut cutter = StreamCutter::new();
    let mut buffer = BytesMut::with_capacity(4096);
    let mut deadline = clock::now() + first;
    let mut pending = false;
    loop {
        tokio::select! {
            read = stream.read_buf(&mut buffer) => {
                if !matches!(read, Ok(n) if n > 0) {
                    return;
                }
                cutter.push(&buffer.split());
                loop {
                    match cutter.next_frame() {
                        Some(Ok(Frame::Message(bytes))) => {
                            if events.send(StreamEvent::Message { flow, bytes }).await.is_err() {
                                return;
                            }
                            pending = false;
                            deadline = clock::now() + deadlines.idle;
                        }
                        Some(Ok(Frame::Ping)) => {
                            // RFC 5626 §4.4.1: a double CRLF is answered by a single one.
                            if !write(&mut stream, b"\r\n", deadlines.write).await {
                                return;
                            }
                        }
                        Some(Err(_)) => return,
                        None => break,
                    }
                }
                if cutter.is_inside_message() && !pending {
                    pending = true;
                    deadline = deadline.min(clock::now() + deadlines.message);
                }
            }
            next = queue.recv() => match next {
                Some(bytes) => {
                    if !write(&mut stream, &bytes, deadlines.write).await {
                        return;
                    }
                }
                // Taken out of the table: everything queued before was written.
                None => return,
            },
            () = sleep_until(deadline.into()) => return,
        }
    }
}

async fn write(stream: &mut TcpStream, bytes: &[u8], limit: Duration) -> bool {
    matches!(timeout(limit, stream.write_all(bytes)).await, Ok(Ok(())))
}
