//! The socket under TLS and WebSocket: with a deadline while it connects, with short reads once it is polled.
//!
//! Polled: after a short read the kernel's buffer is empty, so the next read of the round answers `WouldBlock` without
//! a system call (epoll is level-triggered: what comes meanwhile is reported at the next tick). A round also ends after
//! [`ROUND_BYTES`], so that one flooding service cannot hold up the other calls of a worker.

use crate::net::clock;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Most bytes taken from one socket in one tick: 50 MB/s.
pub const ROUND_BYTES: usize = 256 << 10;

#[derive(Clone, Copy, Debug)]
enum Mode {
    /// Blocking; reads and writes fail with `TimedOut` after this instant.
    Deadline(Instant),
    /// Non-blocking: bytes this round may still take.
    Round(usize),
    /// The round is over: the socket is empty, or the round took its share and epoll will report the rest.
    Done,
}

/// The adaptor. `S` is a `TcpStream` but in tests.
#[derive(Debug)]
pub struct Short<S> {
    socket: S,
    mode: Mode,
}

impl<S> Short<S> {
    pub fn socket(&self) -> &S {
        &self.socket
    }
    /// From now on non-blocking, in rounds; the first round has begun.
    pub fn polled(&mut self) {
        self.mode = Mode::Round(ROUND_BYTES);
    }
    /// Begins a round of reads.
    pub fn begin(&mut self) {
        self.polled();
    }
}

impl Short<TcpStream> {
    /// A round-mode adaptor over a socket that is non-blocking already.
    pub fn new(socket: TcpStream) -> Short<TcpStream> {
        Short { socket, mode: Mode::Round(ROUND_BYTES) }
    }
    /// A blocking socket whose every read and write ends at `deadline` (a server that drips bytes gains nothing).
    pub fn until(socket: TcpStream, deadline: Instant) -> Short<TcpStream> {
        Short { socket, mode: Mode::Deadline(deadline) }
    }
}

fn remaining(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(clock::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Reads or writes a blocking socket until `deadline`: again after a signal (a process that is stopped and goes on gets one, signal(7)). The
/// socket's own time-out is `WouldBlock`, which the layers above would take for "try again".
fn before(deadline: Instant, mut work: impl FnMut(Duration) -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match work(remaining(deadline)?) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
            done => return done,
        }
    }
}

impl Read for Short<TcpStream> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.mode {
            Mode::Deadline(deadline) => before(deadline, |left| {
                self.socket.set_read_timeout(Some(left))?;
                self.socket.read(buf)
            }),
            Mode::Done => Err(ErrorKind::WouldBlock.into()),
            Mode::Round(left) => {
                let n = self.socket.read(buf)?;
                self.mode = match n {
                    // The end of the stream: the reader must see it every time it asks.
                    0 => Mode::Round(left),
                    n if n < buf.len() || n >= left => Mode::Done,
                    n => Mode::Round(left - n),
                };
                Ok(n)
            }
        }
    }
}

impl Write for Short<TcpStream> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Mode::Deadline(deadline) = self.mode {
            return before(deadline, |left| {
                self.socket.set_write_timeout(Some(left))?;
                self.socket.write(buf)
            });
        }
        self.socket.write(buf)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[expect(clippy::disallowed_methods, reason = "both ends of a test connection")]
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, peer)
    }

    #[test]
    fn a_short_read_ends_the_round() {
        let (ours, mut peer) = pair();
        let mut short = Short::new(ours);
        peer.write_all(b"abc").unwrap();
        let mut buffer = [0; 8];
        // The socket still blocks here, so that this waits for the bytes to arrive.
        assert_eq!(short.read(&mut buffer).unwrap(), 3);
        peer.write_all(b"def").unwrap();
        assert_eq!(short.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        short.begin();
        assert_eq!(short.read(&mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], b"def");
    }

    #[test]
    fn the_end_of_the_stream_is_seen_again_and_again() {
        let (ours, peer) = pair();
        let mut short = Short::new(ours);
        drop(peer);
        for _ in 0..3 {
            assert_eq!(short.read(&mut [0; 8]).unwrap(), 0);
        }
    }

    /// A signal is no end of a connection that is being opened; a time-out is, and the deadline holds however many signals come.
    #[test]
    fn a_signal_is_no_failure() {
        let deadline = clock::now() + Duration::from_secs(60);
        let mut results: Vec<io::Result<usize>> =
            vec![Ok(3), Err(ErrorKind::Interrupted.into()), Err(ErrorKind::Interrupted.into())];
        assert_eq!(before(deadline, |_| results.pop().unwrap()).unwrap(), 3);
        let full = before(deadline, |_| Err(ErrorKind::WouldBlock.into()));
        assert_eq!(full.unwrap_err().kind(), ErrorKind::TimedOut);
        let over = before(clock::now(), |_| Err(ErrorKind::Interrupted.into()));
        assert_eq!(over.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_flood_ends_its_round_at_its_share() {
        let (ours, mut peer) = pair();
        let writer = std::thread::Builder::new().spawn(move || {
            let _ = peer.write_all(&vec![0; 2 * ROUND_BYTES]);
        });
        let mut short = Short::new(ours);
        let mut taken = 0;
        // A buffer of one byte is always filled: no short read can end this round.
        while short.read(&mut [0; 1]).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, ROUND_BYTES);
        drop(short);
        writer.unwrap().join().unwrap();
    }

    /// R1: a service that drips bytes gains nothing.
    #[test]
    fn a_deadline_holds_over_many_reads() {
        let (ours, mut peer) = pair();
        let start = clock::now();
        let mut short = Short::until(ours, start + Duration::from_millis(150));
        let mut reads = 0;
        let error = loop {
            peer.write_all(b"x").unwrap();
            match short.read(&mut [0; 1]) {
                Ok(n) => reads += n,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(reads > 0 && clock::now() - start < Duration::from_secs(5));
    }
}
