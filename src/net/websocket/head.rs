//! The stream during the HTTP upgrade: hands tungstenite the head of the answer and keeps what follows it, which is WebSocket already.

use super::stream::Stream;
use std::io::{Read, Result, Write};

const UPGRADED: &[u8] = b"HTTP/1.1 101";
const END: &[u8] = b"\r\n\r\n";

/// In: bytes of the answer. Out: the same up to the blank line; [`Head::into_parts`] has the rest. An answer that is not 101 passes whole:
/// its body says what is wrong.
pub(super) struct Head<S = Stream> {
    stream: S,
    /// The answer's first bytes.
    start: Vec<u8>,
    /// Bytes of [`END`] that came last.
    matched: usize,
    rest: Vec<u8>,
}

impl<S> Head<S> {
    pub fn new(stream: S) -> Head<S> {
        Head { stream, start: Vec::with_capacity(UPGRADED.len()), matched: 0, rest: Vec::new() }
    }
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.rest)
    }

    /// How many of these bytes belong to the head.
    fn cut(&mut self, bytes: &[u8]) -> usize {
        for (i, byte) in bytes.iter().enumerate() {
            if self.start.len() < UPGRADED.len() {
                self.start.push(*byte);
            }
            self.matched = match END.get(self.matched) {
                Some(expected) if expected == byte => self.matched + 1,
                _ => usize::from(*byte == b'\r'),
            };
            if self.matched == END.len() && self.start == UPGRADED {
                return i + 1;
            }
        }
        bytes.len()
    }
}

impl<S: Read> Read for Head<S> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let n = self.stream.read(buffer)?;
        let bytes = buffer.get(..n).unwrap_or_default();
        let head = self.cut(bytes);
        self.rest.extend_from_slice(bytes.get(head..).unwrap_or_default());
        Ok(head)
    }
}

impl<S: Write> Write for Head<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.stream.write(bytes)
    }
    fn flush(&mut self) -> Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(answer: &[u8], piece: usize) -> (Vec<u8>, Vec<u8>) {
        let (mut head, mut given, mut buffer) = (Head::new(answer), Vec::new(), vec![0; piece]);
        while head.rest.is_empty() && !head.stream.is_empty() {
            let n = head.read(&mut buffer).unwrap();
            given.extend_from_slice(&buffer[..n]);
        }
        (given, head.into_parts().1)
    }

    #[test]
    fn frames_stay_behind_the_blank_line() {
        let answer = b"HTTP/1.1 101 Switching\r\nA: b\r\r\nC: d\r\n\r\n\x81\x02hi\r\n\r\n";
        for piece in [answer.len(), 47] {
            let (head, rest) = parts(answer, piece);
            assert!(head.ends_with(b"d\r\n\r\n") && answer[head.len()..].starts_with(&rest), "{piece}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_body() {
        let answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
        for piece in [answer.len(), 3, 1] {
            assert_eq!(parts(answer, piece), (answer.to_vec(), Vec::new()));
        }
    }
}
