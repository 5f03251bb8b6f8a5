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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::listen::bind_sip;
    use crate::sip::Transport;
    use std::net::SocketAddr;
    use tokio::net::TcpListener;

    const OPTIONS: &str = "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n";
    const LONG: Duration = Duration::from_secs(20);

    fn deadlines() -> StreamDeadlines {
        StreamDeadlines { first_message: LONG, message: LONG, idle: LONG, write: LONG, connect: LONG }
    }

    /// A served connection: the peer's end, its events, its write queue.
    async fn pair(deadlines: StreamDeadlines) -> (TcpStream, mpsc::Receiver<StreamEvent>, mpsc::Sender<Bytes>) {
        let listeners = bind_sip(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = TcpListener::from_std(listeners.tcp).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the peer's end of a test connection")]
        let peer = TcpStream::connect(listeners.addr).await.unwrap();
        let (stream, remote) = listener.accept().await.unwrap();
        let flow = Flow { transport: Transport::Tcp, local: listeners.addr, remote, conn: 1 };
        let (events_in, events) = mpsc::channel(8);
        let (writes, queue) = mpsc::channel(8);
        #[expect(clippy::disallowed_methods, reason = "in production signalling spawns it")]
        tokio::spawn(accepted(stream, flow, queue, events_in, deadlines));
        (peer, events, writes)
    }

    async fn next(events: &mut mpsc::Receiver<StreamEvent>) -> StreamEvent {
        timeout(LONG, events.recv()).await.expect("an event in time").expect("an event")
    }

    /// TRN-09: a connection that says nothing, or never finishes a message, is closed at its deadline.
    #[tokio::test]
    async fn slow_peers_are_closed() {
        let short = Duration::from_millis(50);
        let (_peer, mut events, _writes) = pair(StreamDeadlines { first_message: short, ..deadlines() }).await;
        assert!(matches!(next(&mut events).await, StreamEvent::Closed { .. }));
        let (mut peer, mut events, _writes) = pair(StreamDeadlines { message: short, ..deadlines() }).await;
        peer.write_all(OPTIONS.as_bytes()).await.unwrap();
        assert!(matches!(next(&mut events).await, StreamEvent::Message { .. }));
        peer.write_all(b"OPTIONS sip:x").await.unwrap();
        assert!(matches!(next(&mut events).await, StreamEvent::Closed { .. }));
        let mut end = Vec::new();
        timeout(LONG, peer.read_to_end(&mut end)).await.expect("closed in time").ok();
        assert!(end.is_empty());
    }

    /// TRN-05: a double CRLF is answered by a single one, and is no message.
    #[tokio::test]
    async fn a_ping_is_answered() {
        let (mut peer, mut events, _writes) = pair(deadlines()).await;
        peer.write_all(b"\r\n\r\n").await.unwrap();
        let mut pong = [0; 2];
        timeout(LONG, peer.read_exact(&mut pong)).await.unwrap().unwrap();
        assert_eq!(&pong, b"\r\n");
        peer.write_all(OPTIONS.as_bytes()).await.unwrap();
        let StreamEvent::Message { bytes, .. } = next(&mut events).await else { panic!("closed") };
        assert_eq!(bytes, OPTIONS);
    }

    /// What was queued before the connection left the table is still sent.
    #[tokio::test]
    async fn the_queue_is_sent_before_the_end() {
        let (mut peer, mut events, writes) = pair(deadlines()).await;
        for part in ["one ", "two"] {
            writes.send(Bytes::from_static(part.as_bytes())).await.unwrap();
        }
        drop(writes);
        let mut all = String::new();
        timeout(LONG, peer.read_to_string(&mut all)).await.unwrap().unwrap();
        assert_eq!(all, "one two");
        assert!(matches!(next(&mut events).await, StreamEvent::Closed { .. }));
    }

    /// TRN-11: a connection that cannot be opened is told.
    #[tokio::test]
    async fn a_refused_connection_is_closed() {
        let gone = bind_sip(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap().addr;
        let flow = Flow { transport: Transport::Tcp, local: gone, remote: gone, conn: 7 };
        let (events_in, mut events) = mpsc::channel(1);
        let (_writes, queue) = mpsc::channel(1);
        dialled(flow, queue, events_in, deadlines()).await;
        assert!(matches!(next(&mut events).await, StreamEvent::Closed { flow: f } if f == flow));
    }
}
