//! Cuts a TCP or TLS stream into messages (RFC 3261 §7.5, §18.3) and keepalives (RFC 5626 §4.4.1).
//!
//! In: bytes as they arrive, in any split. Out: [`Frame`]s. What comes out depends on the bytes alone, never on the split
//! (PAR-06). After a [`FrameError`] the stream cannot be cut any more and must be closed.

use super::headers::Name;
use super::lexer::{self, MAX_MESSAGE};
use bytes::{Buf, Bytes, BytesMut};

/// What was cut off the front of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One message, for [`super::message::Message::parse`] with `Framing::Stream`.
    Message(Bytes),
    /// A double CRLF between messages: `net` answers with a single CRLF.
    Ping,
}

/// Why a stream cannot be cut. Close it; nothing after this point can be trusted (PAR-06).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Head and body would be more than 64 KiB.
    TooLarge,
    NoContentLength,
    /// No number, or more than one Content-Length.
    BadContentLength,
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FrameError::TooLarge => "a message of more than 64 KiB",
            FrameError::NoContentLength => "a message without Content-Length on a stream",
            FrameError::BadContentLength => "a Content-Length that is none, or two of them",
        })
    }
}

impl std::error::Error for FrameError {}

/// Holds what has arrived and is not cut yet: at most one message and one push, if drained after each push.
#[derive(Debug, Default)]
pub struct StreamCutter {
    buffer: BytesMut,
    /// No blank line ends before this offset, so that each byte is looked at once.
    scanned: usize,
    /// Length of the message at the front, once its head is complete.
    length: Option<usize>,
    /// A single CRLF between messages was skipped; a second one makes a ping.
    half_ping: bool,
    failed: Option<FrameError>,
}

/// What stands at the front of the buffer.
enum Front {
    /// The second CRLF of a pair was dropped.
    Ping,
    Nothing,
    Message,
}

impl StreamCutter {
    pub fn new() -> StreamCutter {
        StreamCutter::default()
    }

    /// Takes bytes as they arrive. Drain [`StreamCutter::next_frame`] after each call. Once failed, bytes are dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Whether part of a message is waiting for more bytes (for `net`'s per-message deadline).
    pub fn is_inside_message(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next frame, `None` when more bytes are needed. An error repeats for ever.
    pub fn next_frame(&mut self) -> Option<Result<Frame, FrameError>> {
        if let Some(error) = self.failed {
            return Some(Err(error));
        }
        match self.skip_line_ends() {
            Front::Ping => return Some(Ok(Frame::Ping)),
            Front::Nothing => return None,
            Front::Message => {}
        }
        match self.cut() {
            Ok(frame) => frame.map(|bytes| Ok(Frame::Message(bytes))),
            Err(error) => {
                self.failed = Some(error);
                self.buffer = BytesMut::new();
                Some(Err(error))
            }
        }
    }

    /// Drops CRLFs (and stray LFs) before a start line; none is left once a message has begun.
    fn skip_line_ends(&mut self) -> Front {
        loop {
            match (self.buffer.first(), self.buffer.get(1)) {
                (Some(b'\r'), Some(b'\n')) => {
                    self.buffer.advance(2);
                    self.half_ping = !self.half_ping;
                    if !self.half_ping {
                        return Front::Ping;
                    }
                }
                (Some(b'\n'), _) | (Some(b'\r'), Some(_)) => self.buffer.advance(1),
                // A CR whose LF has not arrived yet, or nothing.
                (Some(b'\r'), None) | (None, _) => return Front::Nothing,
                (Some(_), _) => {
                    self.half_ping = false;
                    return Front::Message;
                }
            }
        }
    }

    fn cut(&mut self) -> Result<Option<Bytes>, FrameError> {
        if self.length.is_none() {
            let Some(head) = self.find_head() else {
                return if self.buffer.len() > MAX_MESSAGE { Err(FrameError::TooLarge) } else { Ok(None) };
            };
            self.length = Some(message_length(self.buffer.get(..head).unwrap_or_default())?);
        }
        match self.length {
            Some(length) if self.buffer.len() >= length => {
                self.length = None;
                self.scanned = 0;
                Ok(Some(self.buffer.split_to(length).freeze()))
            }
            _ => Ok(None),
        }
    }

    /// The length of the head with its blank line. The scan goes on where it stopped, three bytes back at most.
    fn find_head(&mut self) -> Option<usize> {
        let mut from = self.scanned;
        while let Some(n) = self.buffer.get(from..).and_then(|rest| rest.iter().position(|b| *b == b'\n')) {
            let lf = from + n;
            match (self.buffer.get(lf + 1), self.buffer.get(lf + 2)) {
                (Some(b'\n'), _) => return Some(lf + 2),
                (Some(b'\r'), Some(b'\n')) => return Some(lf + 3),
                // The bytes that decide have not arrived.
                (None, _) | (Some(b'\r'), None) => {
                    self.scanned = lf;
                    return None;
                }
                _ => from = lf + 1,
            }
        }
        self.scanned = self.buffer.len();
        None
    }
}

fn message_length(head: &[u8]) -> Result<usize, FrameError> {
    if head.len() > MAX_MESSAGE {
        return Err(FrameError::TooLarge);
    }
    let index = lexer::index(head);
    let mut lengths = index.headers.iter().filter(|line| line.name == Some(Name::ContentLength));
    let value = lengths.next().ok_or(FrameError::NoContentLength)?.value.of(head);
    let body = lexer::digits(value).ok_or(FrameError::BadContentLength)?;
    if lengths.next().is_some() {
        return Err(FrameError::BadContentLength);
    }
    let body = usize::try_from(body).map_err(|_| FrameError::TooLarge)?;
    head.len().checked_add(body).filter(|n| *n <= MAX_MESSAGE).ok_or(FrameError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(cutter: &mut StreamCutter) -> Vec<Result<Frame, FrameError>> {
        let mut out = Vec::new();
        while let Some(frame) = cutter.next_frame() {
            let failed = frame.is_err();
            out.push(frame);
            if failed {
                break;
            }
        }
        out
    }

    fn cut(pieces: &[&[u8]]) -> Vec<Result<Frame, FrameError>> {
        let mut cutter = StreamCutter::new();
        let mut out = Vec::new();
        for piece in pieces {
            cutter.push(piece);
            out.extend(drain(&mut cutter));
            if out.last().is_some_and(Result::is_err) {
                break;
            }
        }
        out
    }

    fn message(body: &str) -> Vec<u8> {
        format!("OPTIONS sip:a@h SIP/2.0\r\nVia: x\r\nl : {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    fn ok(bytes: &[u8]) -> Result<Frame, FrameError> {
        Ok(Frame::Message(Bytes::copy_from_slice(bytes)))
    }

    /// TRN-05: a double CRLF is a ping, a single one is skipped.
    #[test]
    fn keepalives() {
        let m = message("");
        assert_eq!(cut(&[b"\r\n\r\n"]), [Ok(Frame::Ping)]);
        assert_eq!(
            cut(&[b"\r\n", b"\r\n", b"\r\n", &m, b"\r\n", &m, b"\r", b"\n\r", b"\n"]),
            [Ok(Frame::Ping), ok(&m), ok(&m), Ok(Frame::Ping)]
        );
        assert_eq!(cut(&[b"\r\n", &m]), [ok(&m)]);
    }

    /// PAR-06, PAR-07: what cannot be cut ends the stream, before anything is allocated for it.
    #[test]
    fn errors_are_final() {
        let head = |length: &str| format!("OPTIONS sip:a@h SIP/2.0\r\n{length}\r\n");
        let rows = [
            (head(""), FrameError::NoContentLength),
            (head("Content-Length: -1\r\n"), FrameError::BadContentLength),
            (head("l: 5\r\nContent-Length: 5\r\n"), FrameError::BadContentLength),
            (head("l: 99999999999999999999999\r\n"), FrameError::TooLarge),
            (head("l: 65536\r\n"), FrameError::TooLarge),
            ("x".repeat(MAX_MESSAGE + 1), FrameError::TooLarge),
        ];
        for (text, error) in rows {
            let mut cutter = StreamCutter::new();
            cutter.push(text.as_bytes());
            assert_eq!(drain(&mut cutter), [Err(error)]);
            cutter.push(&message(""));
            assert_eq!(cutter.next_frame(), Some(Err(error)));
            assert_eq!(cutter.buffer.len(), 0, "nothing is kept after an error");
        }
        let mut largest = head(&format!("l: {:05}\r\n", MAX_MESSAGE - head("l: 00000\r\n").len())).into_bytes();
        largest.resize(MAX_MESSAGE, b'x');
        assert_eq!(cut(&[&largest]), [ok(&largest)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        /// PAR-06: every split of a stream gives the same frames.
        #[test]
        fn any_split_gives_the_same_frames(
            parts in prop::collection::vec(prop_oneof![
                Just(b"\r\n".to_vec()), Just(b"\r\n\r\n".to_vec()), Just(b"\n".to_vec()),
                "[a-z\r\n]{0,40}".prop_map(|body| message(&body)),
                Just(b"BYE x SIP/2.0\nl:2\n\nab".to_vec()), Just(b"\r".to_vec()),
            ], 1..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let stream = parts.concat();
            let whole = cut(&[&stream]);
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(&cut(&bytes), &whole);
            let mut at: Vec<usize> = cuts.iter().map(|i| i.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|w| &stream[w[0]..w[1]]).collect();
            prop_assert_eq!(&cut(&pieces), &whole);
        }
    }
}
