//! One SIP stream connection, TCP or TLS (RFC 3261 §18.3, RFC 5626 §4.4.1): shakes hands, reads, cuts into messages, writes
//! from its queue.
//!
//! In: an accepted stream or an address to dial, the connection's [`Flow`] and write queue from
//! [`super::connections`]. Out: [`StreamEvent`]s on a bounded channel; when that is full the peer is held up by TCP.
//! Deadlines (TRN-09): handshake, first message, a message once begun, idle, write.

use super::clock;
use super::tls::{TlsClient, TlsServer};
use crate::sip::Flow;
use crate::sip::framing::{Frame, StreamCutter};
use crate::trunk::TlsPolicy;
use bytes::{Bytes, BytesMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

/// Our keepalive on a stream; any byte after it is the peer's pong (RFC 5626 §3.5.1 wants a single CRLF).
pub const PING: &[u8] = b"\r\n\r\n";

/// The deadlines of a connection.
#[derive(Clone, Copy, Debug)]
pub struct StreamDeadlines {
    /// Of a TLS handshake.
    pub handshake: Duration,
    /// From accept (or handshake) to the first whole message.
    pub first_message: Duration,
    /// From the first byte of a message to its last.
    pub message: Duration,
    /// Without any message or keepalive. Long calls are quiet, so this is longer than a call.
    pub idle: Duration,
    /// For one write.
    pub write: Duration,
    pub connect: Duration,
}

impl Default for StreamDeadlines {
    fn default() -> Self {
        StreamDeadlines {
            handshake: Duration::from_secs(5),
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
    /// The TLS handshake is done; `names` are the DNS names of the peer's verified certificate, none if it showed none.
    Secured { flow: Flow, names: Vec<String> },
    /// One whole message.
    Message { flow: Flow, bytes: Bytes },
    /// The peer answered our [`PING`].
    Pong { flow: Flow },
    /// It could not be opened, or the handshake failed; `Closed` follows.
    Failed { flow: Flow, why: String },
    /// The connection is gone (or never came to be). Exactly once, last.
    Closed { flow: Flow },
}

/// Who the peer of a TLS connection that we open must be.
#[derive(Clone, Debug)]
pub struct TlsPeer {
    /// The host that was configured (never one that DNS gave, RFC 5922 §4).
    pub name: String,
    pub policy: Arc<TlsPolicy>,
}

/// A connection of ours: what its task needs.
pub struct Line {
    pub flow: Flow,
    pub queue: mpsc::Receiver<Bytes>,
    pub events: mpsc::Sender<StreamEvent>,
    pub deadlines: StreamDeadlines,
}

/// Runs an accepted connection to its end; with `tls` it begins with the handshake.
pub async fn accepted(stream: TcpStream, mut line: Line, tls: Option<TlsServer>) {
    let _ = stream.set_nodelay(true);
    let first = line.deadlines.first_message;
    match tls {
        None => line.serve(stream, first).await,
        Some(tls) => {
            let shaken = tokio::select! {
                shaken = timeout(line.deadlines.handshake, tls.accept(stream)) => shaken,
                // Nobody writes to it yet: it was taken out of the table, another connection needs the place.
                _ = line.queue.recv() => return line.close().await,
            };
            match shaken {
                Ok(Ok((stream, names))) => {
                    if line.tell(StreamEvent::Secured { flow: line.flow, names }).await {
                        line.serve(stream, first).await;
                    }
                }
                Ok(Err(why)) => line.fail(why).await,
                Err(_) => line.fail("no TLS handshake in time".into()).await,
            }
        }
    }
    line.close().await;
}

/// Opens a connection to the flow's remote address, from the flow's local one, and runs it to its end; with `tls` it begins with
/// the handshake, and a peer that is not who it must be gets nothing.
pub async fn dialled(mut line: Line, tls: Option<(TlsClient, TlsPeer)>) {
    let (local, remote, deadlines) = (line.flow.local, line.flow.remote, line.deadlines);
    let stream = match timeout(deadlines.connect, connect(local, remote)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            line.fail(format!("cannot connect to {remote}: {error}")).await;
            return line.close().await;
        }
        Err(_) => {
            line.fail(format!("cannot connect to {remote}: no answer in time")).await;
            return line.close().await;
        }
    };
    match tls {
        None => line.serve(stream, deadlines.idle).await,
        Some((client, peer)) => {
            match timeout(deadlines.handshake, client.connect(stream, &peer.name, &peer.policy)).await {
                Ok(Ok((stream, names))) => {
                    if line.tell(StreamEvent::Secured { flow: line.flow, names }).await {
                        line.serve(stream, deadlines.idle).await;
                    }
                }
                Ok(Err(why)) => line.fail(why).await,
                Err(_) => line.fail(format!("TLS with {}: no handshake in time", peer.name)).await,
            }
        }
    }
    line.close().await;
}

/// From the interface of `local`, any port; an unspecified one leaves the choice to the routes.
async fn connect(local: SocketAddr, remote: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if !local.ip().is_unspecified() && local.is_ipv4() == remote.is_ipv4() {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    let stream = socket.connect(remote).await?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

impl Line {
    async fn tell(&self, event: StreamEvent) -> bool {
        self.events.send(event).await.is_ok()
    }

    async fn fail(&self, why: String) {
        self.tell(StreamEvent::Failed { flow: self.flow, why }).await;
    }

    async fn close(self) {
        self.tell(StreamEvent::Closed { flow: self.flow }).await;
    }

    /// Moves messages until the peer, the table or a deadline ends it.
    async fn serve(&mut self, mut stream: impl AsyncRead + AsyncWrite + Unpin, first: Duration) {
        let mut cutter = StreamCutter::new();
        let mut buffer = BytesMut::with_capacity(4096);
        let mut deadline = clock::now() + first;
        // Keepalives count as life only once there was a message.
        let mut proven = first == self.deadlines.idle;
        let mut pending = false;
        let mut pinged = false;
        loop {
            tokio::select! {
                read = stream.read_buf(&mut buffer) => {
                    if !matches!(read, Ok(n) if n > 0) {
                        return;
                    }
                    let mut bytes = buffer.split();
                    if std::mem::take(&mut pinged) {
                        if !cutter.is_inside_message() && bytes.starts_with(b"\r\n") {
                            let _ = bytes.split_to(2);
                        }
                        deadline = clock::now() + self.deadlines.idle;
                        if !self.tell(StreamEvent::Pong { flow: self.flow }).await {
                            return;
                        }
                    }
                    cutter.push(&bytes);
                    loop {
                        match cutter.next_frame() {
                            Some(Ok(Frame::Message(bytes))) => {
                                if !self.tell(StreamEvent::Message { flow: self.flow, bytes }).await {
                                    return;
                                }
                                (proven, pending) = (true, false);
                                deadline = clock::now() + self.deadlines.idle;
                            }
                            Some(Ok(Frame::Ping)) => {
                                if proven {
                                    deadline = clock::now() + self.deadlines.idle;
                                }
                                // RFC 5626 §4.4.1: a double CRLF is answered by a single one.
                                if !self.write(&mut stream, b"\r\n").await {
                                    return;
                                }
                            }
                            Some(Err(_)) => return,
                            None => break,
                        }
                    }
                    if cutter.is_inside_message() && !pending {
                        pending = true;
                        deadline = deadline.min(clock::now() + self.deadlines.message);
                    }
                }
                next = self.queue.recv() => match next {
                    Some(bytes) => {
                        pinged |= bytes == PING;
                        if !self.write(&mut stream, &bytes).await {
                            return;
                        }
                    }
                    // Taken out of the table: everything queued before was written. TLS says goodbye.
                    None => {
                        let _ = timeout(self.deadlines.write, stream.shutdown()).await;
                        return;
                    }
                },
                () = sleep_until(deadline.into()) => return,
            }
        }
    }

    async fn write(&self, stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> bool {
        let written = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        matches!(timeout(self.deadlines.write, written).await, Ok(Ok(())))
    }
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
        StreamDeadlines { handshake: LONG, first_message: LONG, message: LONG, idle: LONG, write: LONG, connect: LONG }
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
        tokio::spawn(accepted(stream, Line { flow, queue, events: events_in, deadlines }, None));
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

    /// TRN-06: the answer to our keepalive is told, whatever message comes behind it; two of them are no ping of the peer's.
    #[tokio::test]
    async fn a_pong_is_told() {
        let (mut peer, mut events, writes) = pair(deadlines()).await;
        for _ in 0..2 {
            writes.send(Bytes::from_static(PING)).await.unwrap();
            let mut ping = [0; 4];
            timeout(LONG, peer.read_exact(&mut ping)).await.unwrap().unwrap();
            assert_eq!(ping, PING);
            peer.write_all(b"\r\n").await.unwrap();
            assert!(matches!(next(&mut events).await, StreamEvent::Pong { .. }));
        }
        writes.send(Bytes::from_static(PING)).await.unwrap();
        peer.write_all(format!("\r\n{OPTIONS}").as_bytes()).await.unwrap();
        let (first, second) = (next(&mut events).await, next(&mut events).await);
        let (StreamEvent::Pong { .. }, StreamEvent::Message { bytes, .. }) = (first, second) else { panic!("no pong") };
        assert_eq!(bytes, OPTIONS);
        drop(writes);
        let mut rest = Vec::new();
        timeout(LONG, peer.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert_eq!(rest, PING, "nothing but our own keepalive was sent");
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
        let (events_in, mut events) = mpsc::channel(2);
        let (_writes, queue) = mpsc::channel(1);
        dialled(Line { flow, queue, events: events_in, deadlines: deadlines() }, None).await;
        assert!(matches!(next(&mut events).await, StreamEvent::Failed { why, .. } if why.contains("cannot connect")));
        assert!(matches!(next(&mut events).await, StreamEvent::Closed { flow: f } if f == flow));
    }
}
